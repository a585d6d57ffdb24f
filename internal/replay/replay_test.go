package replay_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/event"
	"github.com/agequote/agequote/internal/metrics"
	"github.com/agequote/agequote/internal/quote"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/replay"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/store"
	"github.com/agequote/agequote/internal/underwriting"
	"github.com/agequote/agequote/rules"
)

const (
	caseID = "3f0c9a5be27d4d0a8f61c2b7e4d95a10"
	maker  = "sha256:made"
)

var loadBook = sync.OnceValues(func() (*rulebook.Book, error) { return rulebook.Load(rules.FS) })

func mustBook(t *testing.T) *rulebook.Book {
	t.Helper()
	b, err := loadBook()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var facts = underwriting.Facts{Sex: "female", HeightCM: 168, WeightKG: 62, Tobacco: "never",
	SumCents: 25_000_000, TermYears: 20, Market: "US", Answers: map[string]bool{"cancer": true}}

func ptr[T any](v T) *T { return &v }

// calibrate stands for a model's calibration.
func calibrate(d age.Distribution) (age.Estimate, error) {
	return age.Estimate{Age: ptr(42.0), Mean: ptr(42.0), Low: ptr(35.0), High: ptr(50.0), Coverage: ptr(0.9), Distribution: d}, nil
}

// quoted is a store with one case whose photo was quoted by the real handler.
func quoted(t *testing.T) *store.Memory { return quotedWith(t, false) }

// quotedWith is quoted, of a photo that was sent with another case too where
// duplicates says so.
func quotedWith(t *testing.T, duplicates bool) *store.Memory {
	t.Helper()
	s := new(store.Memory)
	if duplicates {
		put(t, s, casefile.DuplicatesKey(caseID, 1), casefile.Duplicates{Schema: 1, Case: caseID, N: 1, Of: []casefile.Duplicate{{Case: "another0", N: 1, Kind: casefile.SameFile}}})
	}
	put(t, s, casefile.ApplicationKey(caseID, 1), casefile.Application{Schema: 1, Case: caseID, N: 1, Facts: facts})
	d := make(age.Distribution, 100)
	d[40], d[44] = 0.5, 0.5
	estimate, _ := calibrate(d)
	put(t, s, casefile.EstimateKey(caseID, 1), casefile.Estimate{Schema: 1, Case: caseID, N: 1, Code: reason.OK,
		Photo: "sha256:photo", Model: "sha256:model", ModelUse: "research", Estimate: estimate})
	h := quote.Handler{Cases: s, Book: mustBook(t), Version: maker,
		Metrics: &metrics.Recorder{Out: new(bytes.Buffer), Namespace: "test", Now: time.Now},
		Now:     func() time.Time { return time.Date(2026, 11, 24, 9, 30, 0, 1, time.UTC) },
		Log:     slog.New(slog.DiscardHandler)}
	for _, cause := range []string{"photo-0001", "facts-0001"} {
		if _, err := h.Handle(t.Context(), event.Quote{Cases: []event.Cause{{Case: caseID, Cause: cause, Code: reason.OK}}}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func put(t *testing.T, s *store.Memory, key string, object any) {
	t.Helper()
	body, err := cases.Encode(object)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutIfAbsent(t.Context(), key, body); err != nil {
		t.Fatal(err)
	}
}

// alter replaces text in a stored object, as nobody should.
func alter(t *testing.T, s *store.Memory, key, from, to string) {
	t.Helper()
	body, err := s.Get(t.Context(), key, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(body), from, to, 1)
	if changed == string(body) {
		t.Fatalf("%q is not in %s", from, body)
	}
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if err := s.PutIfAbsent(t.Context(), key, []byte(changed)); err != nil {
		t.Fatal(err)
	}
}

func replayer(t *testing.T, s *store.Memory) *replay.Replayer {
	return &replay.Replayer{Cases: s, Book: mustBook(t), Version: maker,
		Calibration: func(context.Context, string) (func(age.Distribution) (age.Estimate, error), error) {
			return calibrate, nil
		}}
}

// draft is the rule book with one text replaced in a file.
func draft(t *testing.T, file, from, to string) *rulebook.Book {
	t.Helper()
	files := fstest.MapFS{}
	err := fs.WalkDir(rules.FS, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(rules.FS, name)
		if name == file {
			body = bytes.Replace(body, []byte(from), []byte(to), 1)
		}
		files[name] = &fstest.MapFile{Data: body}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := rulebook.LoadDraft(files)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCase replays quotes as they were made, and after each kind of change; the
// outcomes are those of the first quote, which comes from the facts alone, and
// of the second, from the photo.
func TestCase(t *testing.T) {
	photoQuote := casefile.QuoteKey(caseID, "photo-0001")
	tests := []struct {
		name   string
		change func(*testing.T, *store.Memory, *replay.Replayer)
		want   []string // "check outcome" of the photo's quote that are not same
		fields []string // that differ
	}{
		{"as made", func(*testing.T, *store.Memory, *replay.Replayer) {}, nil, nil},
		{"other code", func(_ *testing.T, _ *store.Memory, r *replay.Replayer) { r.Version = "sha256:later" },
			[]string{"code noted"}, nil},
		{"no model", func(_ *testing.T, _ *store.Memory, r *replay.Replayer) {
			r.Calibration = func(context.Context, string) (func(age.Distribution) (age.Estimate, error), error) {
				return nil, replay.ErrNoModel
			}
		}, []string{"interval unchecked"}, nil},
		{"application altered", func(t *testing.T, s *store.Memory, _ *replay.Replayer) {
			alter(t, s, casefile.ApplicationKey(caseID, 1), `"term_years":20`, `"term_years":10`)
		}, []string{"application different", "quote different"}, []string{"basis.term_years", "hashes.application"}},
		{"distribution altered", func(t *testing.T, s *store.Memory, _ *replay.Replayer) {
			alter(t, s, casefile.EstimateKey(caseID, 1), `0.5,0,0,0,0.5`, `0.9,0,0,0,0.1`)
		}, []string{"estimate different", "quote different"}, []string{"gross_annual_cents", "hashes.estimate"}},
		{"interval altered", func(t *testing.T, s *store.Memory, _ *replay.Replayer) {
			alter(t, s, casefile.EstimateKey(caseID, 1), `"high":50`, `"high":49`)
		}, []string{"estimate different", "interval different", "quote different"}, []string{"hashes.estimate"}},
		{"premium altered", func(t *testing.T, s *store.Memory, _ *replay.Replayer) {
			alter(t, s, photoQuote, `"gross_annual_cents":`, `"gross_annual_cents":1`)
		}, []string{"quote different"}, []string{"gross_annual_cents"}},
		{"reason altered", func(t *testing.T, s *store.Memory, _ *replay.Replayer) {
			alter(t, s, photoQuote, `"rule":"Q-CANCER","value":"yes"`, `"rule":"Q-CANCER","value":"no"`)
		}, []string{"quote different"}, []string{"reasons[Q-CANCER].value"}},
		{"other rules", func(t *testing.T, _ *store.Memory, r *replay.Replayer) {
			r.Book = draft(t, "questions/health.yaml", "flat_extra_per_mille: 5,", "flat_extra_per_mille: 6,")
		}, []string{"rules different", "questions/health.yaml different", "quote different"},
			[]string{"basis.flat_extras[0].per_mille", "gross_annual_cents", "hashes.rules", "reasons[Q-CANCER].effect"}},
		{"other interest", func(t *testing.T, _ *store.Memory, r *replay.Replayer) {
			r.Book = draft(t, "products/us-term.yaml", "interest: 0.03", "interest: 0.02")
		}, []string{"rules different", "products/us-term.yaml different", "quote different"}, []string{"basis.interest"}},
		{"photo agrees", photoReads(42.05), nil, nil},
		{"photo differs", photoReads(42.1), []string{"photo read again different"}, nil},
		{"photo is gone", func(_ *testing.T, _ *store.Memory, r *replay.Replayer) {
			r.Photo = func(context.Context, casefile.Estimate) (age.Estimate, error) {
				return age.Estimate{}, store.ErrNotFound
			}
		}, []string{"photo read again unchecked"}, nil},
		{"another photo", func(_ *testing.T, _ *store.Memory, r *replay.Replayer) {
			r.Photo = func(context.Context, casefile.Estimate) (age.Estimate, error) {
				return age.Estimate{}, replay.ErrOtherPhoto
			}
		}, []string{"photo read again different"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := quoted(t)
			r := replayer(t, s)
			tt.change(t, s, r)
			reports, err := r.Case(t.Context(), caseID)
			if err != nil {
				t.Fatal(err)
			}
			if len(reports) != 2 || reports[1].Quote != photoQuote {
				t.Fatalf("%d reports, want the two quotes'", len(reports))
			}
			var got []string
			same := true
			for _, c := range reports[1].Checks {
				if c.Outcome != replay.Same {
					got = append(got, c.Name+" "+string(c.Outcome))
				}
				same = same && c.Outcome != replay.Different
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("checks (-want +got)\n%s", diff)
			}
			if reports[1].Same != same {
				t.Errorf("same is %v", reports[1].Same)
			}
			differ := map[string]bool{}
			for _, d := range reports[1].Differences {
				differ[d.Field] = true
			}
			for _, field := range tt.fields {
				if !differ[field] {
					t.Errorf("%s does not differ, but %v", field, reports[1].Differences)
				}
			}
			if len(tt.fields) == 0 && len(differ) > 0 {
				t.Errorf("differ: %v", reports[1].Differences)
			}
		})
	}
}

func photoReads(years float64) func(*testing.T, *store.Memory, *replay.Replayer) {
	return func(_ *testing.T, _ *store.Memory, r *replay.Replayer) {
		r.Photo = func(_ context.Context, e casefile.Estimate) (age.Estimate, error) {
			again := e.Estimate
			again.Age = &years
			return again, nil
		}
	}
}

// TestRulesNoLongerHeld names the rules of a quote by product, file and
// approval.
// TestDuplicates replays quotes that were referred for their photo, and again
// after somebody changed which case it was sent with.
func TestDuplicates(t *testing.T) {
	s := quotedWith(t, true)
	reports, err := replayer(t, s).Case(t.Context(), caseID)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range reports {
		if !r.Same || !slices.ContainsFunc(r.Checks, func(c replay.Check) bool { return c.Name == "duplicates" && c.Outcome == replay.Same }) {
			t.Errorf("%s: %+v", r.Quote, r)
		}
	}
	alter(t, s, casefile.DuplicatesKey(caseID, 1), "another0", "another1")
	reports, err = replayer(t, s).Case(t.Context(), caseID)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range reports {
		if r.Same || len(r.Differences) == 0 {
			t.Errorf("%s: other duplicates make no difference: %+v", r.Quote, r)
		}
	}
}

func TestRulesNoLongerHeld(t *testing.T) {
	s := quoted(t)
	r := replayer(t, s)
	r.Book = draft(t, "products/us-term.yaml", "interest: 0.03", "interest: 0.02")
	reports, err := r.Case(t.Context(), caseID)
	if err != nil {
		t.Fatal(err)
	}
	line, err := json.Marshal(reports[1])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"product us-term of 2026-11-24", "rules that this binary does not hold", "not in the history of this binary"} {
		if !strings.Contains(string(line), want) {
			t.Errorf("no %q in %s", want, line)
		}
	}
}

func TestCaseWithoutQuotes(t *testing.T) {
	if reports, err := replayer(t, new(store.Memory)).Case(t.Context(), caseID); err == nil {
		t.Errorf("Case = %+v, want an error", reports)
	}
}
