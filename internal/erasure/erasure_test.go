package erasure_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/erasure"
	"github.com/agequote/agequote/internal/event"
	"github.com/agequote/agequote/internal/journal"
	"github.com/agequote/agequote/internal/metrics"
	"github.com/agequote/agequote/internal/quote"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/store"
	"github.com/agequote/agequote/internal/underwriting"
	"github.com/agequote/agequote/rules"
)

const (
	caseID = "3f0c9a5be27d4d0a8f61c2b7e4d95a10"
	other  = "9d41c2b7e4d95a103f0c9a5be27d4d0a"
	// elsewhere is a case that sent the same photo.
	elsewhere = "b7e4d95a109d41c23f0c9a5be27d4d0a"
)

// personal is what the test's customer declared, and what was read and
// computed of it: none of it may be anywhere when the case is erased.
var personal = []string{
	"1984-05-17", "female", "162.25", "77.125", "31415926", "987654", "former", // facts
	"a face", "41.7331", "36.125", "47.875", "0.0613", digest.Of([]byte("a face")), // photo and estimate
	"271828", "Preferred Plus", "17.4", // quote
	"my neighbour", "pressure", "perceptual", "salted", "request-key", elsewhere,
}

// kept must be somewhere still.
var kept = []string{"refer", "class_build", "us-term", "sha256:rules", "sha256:model", "2026-11-25", "2026-12-25", "Ann", "age estimate"}

var now = time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)

// world is both buckets, with a full case in them and another beside it.
type world struct {
	photos, cases *store.Memory
	decisions     []string // hash of each decision as it was
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{photos: new(store.Memory), cases: new(store.Memory)}
	for _, id := range []string{caseID, other} {
		w.fill(t, id)
	}
	return w
}

func (w *world) fill(t *testing.T, id string) {
	t.Helper()
	put := func(s *store.Memory, key string, body []byte) {
		t.Helper()
		if err := s.Overwrite(t.Context(), key, body); err != nil {
			t.Fatal(err)
		}
	}
	object := func(key string, o any) []byte {
		t.Helper()
		body, err := cases.Encode(o)
		if err != nil {
			t.Fatal(err)
		}
		put(w.cases, key, body)
		return body
	}
	put(w.photos, casefile.UploadKey(id, 1), []byte("a face"))
	put(w.photos, casefile.UploadKey(id, 1), []byte("a face again"))
	put(w.photos, casefile.UploadKey(id, 2), []byte("a face")) // not estimated yet
	put(w.photos, casefile.BatchUploadKey(id, 3), []byte("a face"))
	facts := underwriting.Facts{BirthDate: "1984-05-17", Sex: "female", HeightCM: 162.25, WeightKG: 77.125, Tobacco: "former:3",
		SumCents: 31415926, TermYears: 20, Market: "US"}
	consent := &casefile.Consent{Version: "2026-11-25", Hash: "sha256:text", Purpose: "age estimate", Days: 30, Time: now}
	object(casefile.ApplicationKey(id, 1), casefile.Application{Schema: 1, Case: id, N: 1, Facts: facts, Consent: consent, Salt: "salted", Request: "request-key"})
	years, low, high := 41.7331, 36.125, 47.875
	estimate := object(casefile.EstimateKey(id, 1), casefile.Estimate{Schema: 1, Case: id, N: 1, Code: reason.OK, Photo: digest.Of([]byte("a face")), Picture: "perceptual",
		Model: "sha256:model", Estimate: age.Estimate{Age: &years, Mean: &years, Low: &low, High: &high, Distribution: []float64{0.0613}}})
	put(w.cases, casefile.PhotoIndexKey(digest.Of([]byte("a face")), id, 1), nil)
	object(casefile.DuplicatesKey(id, 1), casefile.Duplicates{Schema: 1, Case: id, N: 1, Of: []casefile.Duplicate{{Case: elsewhere, N: 1, Kind: casefile.SameFile}}})
	cents := int64(271828)
	quote := object(casefile.QuoteKey(id, "photo-0001"), casefile.Quote{Schema: 2, Case: id, Cause: "photo-0001", Code: reason.OK,
		Decision: underwriting.Refer, Class: "Preferred Plus",
		Reasons: []underwriting.Reason{{Code: underwriting.ClassBuild, Decision: underwriting.Refer, Rule: "BUILD-1", Value: "17.4", Limit: "18"}},
		Amounts: casefile.Amounts{GrossAnnualCents: &cents}, Basis: casefile.Basis{Product: "us-term", SumCents: 31415926},
		ValuationDate: "2026-11-25", Expires: "2026-12-25",
		Hashes: casefile.Hashes{Photo: digest.Of([]byte("a face")), Estimate: digest.Of(estimate), Model: "sha256:model", Rules: "sha256:rules",
			RuleFiles: []casefile.RuleFile{{File: "products/us-term.yaml", Hash: "sha256:file"}}}})
	first := object("cases/"+id+"/decisions/0001.json", map[string]any{"schema": 1, "case": id, "n": 1, "decision": "decline", "by": "Ann",
		"why": "blood pressure", "previous": digest.Of(quote)})
	second := object("cases/"+id+"/decisions/0002.json", map[string]any{"schema": 1, "case": id, "n": 2, "decision": "quote", "by": "Ann",
		"why": "pressure again", "previous": digest.Of(first)})
	if id == caseID {
		w.decisions = []string{digest.Of(first), digest.Of(second)}
	}
	object(casefile.FailureKey(id, "photo-0002"), casefile.Failure{Schema: 1, Case: id, Stage: "predict"})
	object(casefile.ComplaintKey(id, 1), casefile.Complaint{Schema: 1, Case: id, N: 1, Text: "my neighbour saw my premium, 987654"})
	object(casefile.PersonKey(id, 1), casefile.PersonRequest{Schema: 1, Case: id, N: 1})
	put(w.cases, "cases/"+id+"/photos/0001/perceptual.json", []byte(`{"perceptual":"987654"}`)) // of no kind known
	for _, marker := range casefile.Marker(id, casefile.StateRefer, now, 31415926) {
		put(w.cases, marker, nil)
	}
	if err := w.cases.Delete(t.Context(), casefile.Marker(id, casefile.StateRefer, now, 31415926)[0]); err != nil {
		t.Fatal(err)
	}
}

func (w *world) eraser() *erasure.Eraser {
	return &erasure.Eraser{Photos: w.photos, Cases: w.cases, Version: "sha256:code", Now: func() time.Time { return now }}
}

// dump returns every version of every object of the case, and its name.
func (w *world) dump(t *testing.T, id string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for name, s := range map[string]*store.Memory{"photos": w.photos, "cases": w.cases} {
		versions, err := s.Versions(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		n := map[string]int{}
		for _, v := range versions {
			if !strings.Contains(v.Key, id) {
				continue
			}
			body := []byte("marker")
			if !v.Marker {
				if body, err = s.GetVersion(t.Context(), v.Key, v.ID, 1<<20); err != nil {
					t.Fatal(err)
				}
			}
			n[v.Key]++
			out[fmt.Sprintf("%s/%s#%d", name, v.Key, n[v.Key])] = string(body)
		}
	}
	return out
}

// clean fails where anything personal is left, or anything that must stay went.
func (w *world) clean(t *testing.T) {
	t.Helper()
	all := ""
	for name, body := range w.dump(t, caseID) {
		all += name + " " + body
		for _, p := range personal {
			if strings.Contains(name+body, p) {
				t.Errorf("%q is left in %s: %s", p, name, body)
			}
		}
		if !strings.HasSuffix(name, "#1") {
			t.Errorf("%s: an older version is left", name)
		}
	}
	for _, k := range kept {
		if !strings.Contains(all, k) {
			t.Errorf("%q is gone", k)
		}
	}
	for name := range w.dump(t, caseID) {
		if strings.Contains(name, "uploads/") || strings.Contains(name, "queue/") || strings.Contains(name, "index/") || strings.Contains(name, "perceptual") {
			t.Errorf("%s is left", name)
		}
	}
}

func TestErase(t *testing.T) {
	w := newWorld(t)
	neighbour := w.dump(t, other)
	got, err := w.eraser().Erase(t.Context(), caseID, "customer", "asked for by the customer")
	if err != nil {
		t.Fatal(err)
	}
	w.clean(t)
	if diff := cmp.Diff(neighbour, w.dump(t, other)); diff != "" {
		t.Errorf("another case changed:\n%s", diff)
	}
	want := erasure.Receipt{
		Schema: 1, Time: now,
		Removed: []string{"photos", "photo_hashes", "facts", "estimates", "premiums", "complaint_texts", "notes", "queue_entries", "other_objects"},
		Kept:    []erasure.Kept{{What: "deletion_record"}, {What: "consent_record"}, {What: "decision_record"}, {What: "review_record"}, {What: "complaint_record"}},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(erasure.Receipt{}, "Receipt"), cmpopts.IgnoreFields(erasure.Kept{}, "Why")); diff != "" || len(got.Receipt) < 20 {
		t.Errorf("receipt %q (-want +got)\n%s", got.Receipt, diff)
	}

	// What reads the case still can, and sees that it is erased.
	quote, err := cases.Read[casefile.Quote](t.Context(), w.cases, casefile.QuoteKey(caseID, "photo-0001"))
	if err != nil || !quote.Erased || quote.Object.Decision != underwriting.Refer || quote.Object.Hashes.RuleFiles[0].Hash != "sha256:file" {
		t.Errorf("quote %+v, %v", quote, err)
	}
	if application, err := cases.LatestApplication(t.Context(), w.cases, caseID); err != nil || !application.Erased {
		t.Errorf("application %+v, %v", application, err)
	}

	// Again: the same receipt, and nothing changes.
	before := w.dump(t, caseID)
	again, err := w.eraser().Erase(t.Context(), caseID, "customer", "asked again")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, again); diff != "" {
		t.Errorf("second receipt:\n%s", diff)
	}
	if diff := cmp.Diff(before, w.dump(t, caseID)); diff != "" {
		t.Errorf("second erasure changed:\n%s", diff)
	}
}

// TestChainVerifies follows the hashes from each decision to what it was made
// on, through erased objects.
func TestChainVerifies(t *testing.T) {
	w := newWorld(t)
	for _, state := range []string{"whole", "erased"} {
		if problems, err := erasure.Verify(t.Context(), w.cases, caseID); err != nil || len(problems) > 0 {
			t.Errorf("%s: %q, %v", state, problems, err)
		}
		if _, err := w.eraser().Erase(t.Context(), caseID, "customer", "test"); err != nil {
			t.Fatal(err)
		}
	}
	key := "cases/" + caseID + "/decisions/0001.json"
	b, err := w.cases.Get(t.Context(), key, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	forged := strings.Replace(string(b), w.decisions[0], digest.Of([]byte("forged")), 1)
	if err := w.cases.Overwrite(t.Context(), key, []byte(forged)); err != nil {
		t.Fatal(err)
	}
	if problems, err := erasure.Verify(t.Context(), w.cases, caseID); err != nil || len(problems) == 0 {
		t.Errorf("a forged link verifies: %q, %v", problems, err)
	}
}

// mortal is a store that dies at one of its writes, before or after it took
// effect, and stays dead.
type mortal struct {
	*store.Memory
	left  *int // writes until then; shared by both buckets
	after bool
}

var errDied = errors.New("died")

func (m mortal) write(do func() error) error {
	*m.left--
	switch {
	case *m.left > 0:
		return do()
	case *m.left == 0 && m.after:
		_ = do()
	}
	return errDied
}

func (m mortal) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	return m.write(func() error { return m.Memory.PutIfAbsent(ctx, key, body) })
}

func (m mortal) Overwrite(ctx context.Context, key string, body []byte) error {
	return m.write(func() error { return m.Memory.Overwrite(ctx, key, body) })
}

func (m mortal) DeleteVersion(ctx context.Context, key, version string) error {
	return m.write(func() error { return m.Memory.DeleteVersion(ctx, key, version) })
}

// TestEraseGoesOn dies at every write there is, and calls again: the same end
// as without a death.
func TestEraseGoesOn(t *testing.T) {
	for _, after := range []bool{false, true} {
		deaths := 0
		for died := true; died; deaths++ {
			w := newWorld(t)
			left := deaths + 1
			e := w.eraser()
			e.Photos, e.Cases = mortal{w.photos, &left, after}, mortal{w.cases, &left, after}
			_, err := e.Erase(t.Context(), caseID, "customer", "test")
			if died = err != nil; died && !errors.Is(err, errDied) {
				t.Fatal(err)
			}
			if _, err := w.eraser().Erase(t.Context(), caseID, "customer", "test"); err != nil {
				t.Fatalf("after death at write %d: %v", deaths+1, err)
			}
			if w.clean(t); t.Failed() {
				t.Fatalf("after death at write %d", deaths+1)
			}
			if problems, err := erasure.Verify(t.Context(), w.cases, caseID); err != nil || len(problems) > 0 {
				t.Fatalf("after death at write %d: %q, %v", deaths+1, problems, err)
			}
		}
		t.Logf("died at each of %d writes", deaths-1)
		if deaths < 30 {
			t.Errorf("died at %d writes alone", deaths-1)
		}
	}
}

// TestLateWritesFindTheirNamesTaken writes what a delivery that began before
// the tombstone still could.
func TestLateWritesFindTheirNamesTaken(t *testing.T) {
	w := newWorld(t)
	if _, err := w.eraser().Erase(t.Context(), caseID, "customer", "test"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{
		casefile.EstimateKey(caseID, 1), casefile.EstimateKey(caseID, 2),
		casefile.QuoteKey(caseID, "photo-0001"), casefile.QuoteKey(caseID, "photo-0002"), casefile.QuoteKey(caseID, "facts-0001"),
		casefile.ApplicationKey(caseID, 2), casefile.ComplaintKey(caseID, 2),
	} {
		stored, err := cases.WriteOnce[map[string]any](t.Context(), w.cases, key, []byte(`{"age":41.7331}`))
		if err != nil || !stored.Erased {
			t.Errorf("%s: %v, %v", key, stored.Object, err)
		}
	}
	w.clean(t)
}

// TestEraseWhileQuoted erases a case before each of the requests of a quote that
// is delivered twice: whatever the quote writes late finds its name taken. A
// queue marker alone may come after all; whoever reads the queue removes it, and
// expire does.
func TestEraseWhileQuoted(t *testing.T) {
	book, err := rulebook.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	late := 0
	for at := 1; ; at++ {
		w := newWorld(t)
		asked := 0
		h := &quote.Handler{
			Book: book, Metrics: &metrics.Recorder{Out: io.Discard, Now: time.Now}, Version: "sha256:code",
			Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
			Cases: interrupted{w.cases, func() {
				if asked++; asked != at {
					return
				}
				if _, err := w.eraser().Erase(t.Context(), caseID, "customer", "test"); err != nil {
					t.Fatal(err)
				}
			}},
		}
		for range 2 {
			if _, err := h.Handle(t.Context(), event.Quote{Cases: []event.Cause{{Case: caseID, Cause: "facts-0001", Code: reason.OK}}}); err != nil {
				t.Fatalf("erased before request %d: %v", at, err)
			}
		}
		if asked < at {
			t.Logf("erased before each of %d requests; a marker came late %d times", asked, late)
			break
		}
		markers, err := w.cases.List(t.Context(), "queue/")
		if err != nil {
			t.Fatal(err)
		}
		if stray := slices.DeleteFunc(markers, func(key string) bool { return path.Base(key) != caseID }); len(stray) > 0 {
			late++
			if err := cases.Unmark(t.Context(), w.cases, stray...); err != nil {
				t.Fatal(err)
			}
		}
		if w.clean(t); t.Failed() {
			t.Fatalf("erased before request %d", at)
		}
	}
}

// interrupted is a store before each of whose requests something else happens.
type interrupted struct {
	*store.Memory
	before func()
}

func (i interrupted) Get(ctx context.Context, key string, limit int64) ([]byte, error) {
	i.before()
	return i.Memory.Get(ctx, key, limit)
}

func (i interrupted) List(ctx context.Context, prefix string) ([]string, error) {
	i.before()
	return i.Memory.List(ctx, prefix)
}

func (i interrupted) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	i.before()
	return i.Memory.PutIfAbsent(ctx, key, body)
}

func TestHold(t *testing.T) {
	w := newWorld(t)
	e := w.eraser()
	held, err := e.Hold(t.Context(), w.photos, caseID, journal.Record{By: "Ann", Why: "court order 7"})
	if err != nil {
		t.Fatal(err)
	}
	before := w.dump(t, caseID)
	var stop *erasure.HeldError
	if _, err := e.Erase(t.Context(), caseID, "customer", "test"); !errors.As(err, &stop) || stop.Why != "court order 7" || stop.By != "Ann" {
		t.Errorf("Erase = %v, want the hold", err)
	}
	if diff := cmp.Diff(before, w.dump(t, caseID)); diff != "" {
		t.Errorf("a held case changed:\n%s", diff)
	}
	copies, err := w.cases.List(t.Context(), casefile.HeldPhotoPrefix(caseID))
	if err != nil || len(copies) != 4 {
		t.Errorf("copies %q, %v, want one of each version", copies, err)
	}
	if again, err := e.Hold(t.Context(), w.photos, caseID, journal.Record{By: "Bob"}); !errors.Is(err, erasure.ErrAlready) || again.By != held.By {
		t.Errorf("second Hold = %+v, %v", again, err)
	}

	if _, err := e.Release(t.Context(), caseID, journal.Record{By: "Bob", Why: "order lifted"}); err != nil {
		t.Fatal(err)
	}
	if copies, _ := w.cases.List(t.Context(), casefile.HeldPhotoPrefix(caseID)); len(copies) != 0 {
		t.Errorf("copies after the release: %q", copies)
	}
	if _, err := e.Erase(t.Context(), caseID, "customer", "test"); err != nil {
		t.Fatal(err)
	}
	w.clean(t)
	if _, err := e.Hold(t.Context(), w.photos, caseID, journal.Record{By: "Ann"}); !errors.Is(err, erasure.ErrErased) {
		t.Errorf("Hold of an erased case = %v", err)
	}
}

// lateHold puts a hold on the case in the moment before the tombstone stands.
type lateHold struct {
	*store.Memory
	hold func()
}

func (l lateHold) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	if key == casefile.DeletedKey(caseID) {
		l.hold()
	}
	return l.Memory.PutIfAbsent(ctx, key, body)
}

// TestHoldWins comes between the look for a hold and the tombstone.
func TestHoldWins(t *testing.T) {
	w := newWorld(t)
	e := w.eraser()
	e.Cases = lateHold{w.cases, func() {
		if _, err := w.eraser().Hold(t.Context(), w.photos, caseID, journal.Record{By: "Ann", Why: "court order 7"}); err != nil {
			t.Error(err)
		}
	}}
	var held *erasure.HeldError
	if _, err := e.Erase(t.Context(), caseID, "customer", "test"); !errors.As(err, &held) {
		t.Fatalf("Erase = %v, want the hold", err)
	}
	if err := cases.Alive(t.Context(), w.cases, caseID); err != nil {
		t.Errorf("the case is %v", err)
	}
	if b, err := w.photos.Get(t.Context(), casefile.UploadKey(caseID, 2), 10); err != nil || string(b) != "a face" {
		t.Errorf("the photo is %q, %v", b, err)
	}
}

func TestEraseUnknown(t *testing.T) {
	for _, id := range []string{"0000000000000000", "../" + caseID, ""} {
		w := newWorld(t)
		if _, err := w.eraser().Erase(t.Context(), id, "customer", "test"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Erase(%q) = %v, want ErrNotFound", id, err)
		}
		if _, err := w.cases.Get(t.Context(), casefile.DeletedKey(id), 1<<20); err == nil {
			t.Errorf("Erase(%q) left a tombstone", id)
		}
	}
}

// FuzzRedact looks for content that leaves more than its kind may.
func FuzzRedact(f *testing.F) {
	f.Add([]byte(`{"schema":2,"decision":"quote","reasons":[{"code":"x","value":"41"}],"basis":{"product":"p","sum_cents":3}}`))
	f.Add([]byte(`{"reasons":{"code":{"a":1}},"basis":[{"product":[[1]]}],"hashes":"x"}`))
	f.Add([]byte(`{broken`))
	f.Fuzz(func(t *testing.T, body []byte) {
		w := &world{photos: new(store.Memory), cases: new(store.Memory)}
		key := casefile.QuoteKey(caseID, "photo-0001")
		if err := w.cases.PutIfAbsent(t.Context(), key, body); err != nil {
			t.Fatal(err)
		}
		if _, err := w.eraser().Erase(t.Context(), caseID, "customer", "test"); err != nil {
			t.Fatal(err)
		}
		left, err := w.cases.Get(t.Context(), key, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		var object map[string]any
		if err := json.Unmarshal(left, &object); err != nil {
			t.Fatal(err)
		}
		for name := range object {
			switch name {
			case "schema", "case", "cause", "n", "time", "version", "code", "decision", "reasons", "principal", "basis", "currency",
				"valuation_date", "expires", "model_use", "replaces", "previous", "hashes", "erased":
			default:
				t.Errorf("%q stays", name)
			}
		}
	})
}
