package expiry_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/consent"
	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/erasure"
	"github.com/agequote/agequote/internal/expiry"
	"github.com/agequote/agequote/internal/journal"
	"github.com/agequote/agequote/internal/local/samtemplate"
	"github.com/agequote/agequote/internal/store"
)

var start = time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)

// world is the buckets on a clock.
type world struct {
	photos, cases, failures *store.Memory
	now                     time.Time
}

func newWorld() *world {
	w := &world{now: start}
	clock := func() time.Time { return w.now }
	w.photos, w.cases, w.failures = &store.Memory{Now: clock}, &store.Memory{Now: clock}, &store.Memory{Now: clock}
	return w
}

func (w *world) sweeper(days int, dryRun bool, each func(expiry.Item) error) *expiry.Sweeper {
	now := func() time.Time { return w.now }
	return &expiry.Sweeper{
		Photos: w.photos, Cases: w.cases, Failures: w.failures, Days: days, DryRun: dryRun, Now: now, Each: each,
		Eraser: &erasure.Eraser{Photos: w.photos, Cases: w.cases, Now: now},
	}
}

func put(t *testing.T, s *store.Memory, key string, body string) {
	t.Helper()
	if err := s.Overwrite(t.Context(), key, []byte(body)); err != nil {
		t.Fatal(err)
	}
}

func (w *world) apply(t *testing.T, id string, c *casefile.Consent) {
	t.Helper()
	body, err := cases.Encode(casefile.Application{Schema: 1, Case: id, N: 1, Consent: c})
	if err != nil {
		t.Fatal(err)
	}
	put(t, w.cases, casefile.ApplicationKey(id, 1), string(body))
	put(t, w.photos, casefile.UploadKey(id, 1), "a face")
}

func agreed(t *testing.T, days int) *casefile.Consent {
	t.Helper()
	terms, err := consent.Current(days)
	if err != nil {
		t.Fatal(err)
	}
	return terms.Record(start)
}

// TestRun has a case for each rule, and looks after so many days. The
// deployment keeps photos for 10 days.
func TestRun(t *testing.T) {
	withdrawn := agreed(t, 30)
	withdrawn.Withdrawn = &start
	waits := func(t *testing.T, w *world, id string) {
		put(t, w.cases, casefile.Marker(id, casefile.StateRefer, start, 1)[0], "")
	}
	nothing := func(*testing.T, *world, string) {}
	tests := []struct {
		name    string
		consent *casefile.Consent
		also    func(t *testing.T, w *world, id string)
		days    int // after the upload
		want    expiry.Why
		deleted bool
	}{
		{"within", agreed(t, 30), nothing, 9, expiry.Within, false},
		{"the deployment's days over", agreed(t, 30), nothing, 10, expiry.Over, true},
		{"fewer days consented to", agreed(t, 5), nothing, 5, expiry.Over, true},
		{"waits for a decision", agreed(t, 30), waits, 29, expiry.Waits, false},
		{"waited for as long as consented to", agreed(t, 30), waits, 30, expiry.Over, true},
		{"waits, fewer days consented to", agreed(t, 5), waits, 5, expiry.Over, true},
		{"withdrawn", withdrawn, nothing, 0, expiry.Withdrawn, true},
		{"no consent so far", nil, nothing, 0, expiry.Recent, false},
		{"no consent", nil, nothing, 1, expiry.NoConsent, true},
		{"held", agreed(t, 5), func(t *testing.T, w *world, id string) {
			if _, err := w.sweeper(10, false, nil).Eraser.Hold(t.Context(), w.photos, id, journal.Record{By: "Ann"}); err != nil {
				t.Fatal(err)
			}
		}, 300, expiry.Held, false},
		{"erased", agreed(t, 30), func(t *testing.T, w *world, id string) {
			if _, err := w.sweeper(10, false, nil).Eraser.Erase(t.Context(), id, "customer", "test"); err != nil {
				t.Fatal(err)
			}
			put(t, w.photos, casefile.UploadKey(id, 1), "on its way when the case was erased")
		}, 40, expiry.Erased, true},
		{"hidden", agreed(t, 30), func(t *testing.T, w *world, id string) {
			if err := w.photos.Delete(t.Context(), casefile.UploadKey(id, 1)); err != nil {
				t.Fatal(err)
			}
		}, 1, expiry.Superseded, true},
		{"application unreadable", nil, func(t *testing.T, w *world, id string) { put(t, w.cases, casefile.ApplicationKey(id, 1), "{") }, 9, expiry.Within, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			const id = "3f0c9a5be27d4d0a8f61c2b7e4d95a10"
			w := newWorld()
			w.apply(t, id, tt.consent)
			tt.also(t, w, id)
			w.now = start.Add(consent.Period(tt.days))
			for _, dryRun := range []bool{true, false} {
				var got []expiry.Item
				report, err := w.sweeper(10, dryRun, func(i expiry.Item) error { got = append(got, i); return nil }).Run(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if len(got) != 1 || got[0].Why != tt.want || got[0].Deleted != tt.deleted || got[0].Case != id {
					t.Fatalf("dry run %v: %+v, want %s", dryRun, got, tt.want)
				}
				left, err := w.photos.Versions(t.Context(), "")
				if err != nil {
					t.Fatal(err)
				}
				if gone := len(left) == 0; gone != (tt.deleted && !dryRun) {
					t.Errorf("dry run %v leaves %+v", dryRun, left)
				}
				sum := 0
				for _, n := range report.Whys {
					sum += n
				}
				if report.Seen != 1 || report.Deleted+report.Kept != report.Seen || sum != report.Seen || (report.Deleted == 1) != tt.deleted {
					t.Errorf("the report does not add up: %+v", report)
				}
			}
		})
	}
}

// TestRunSweepsErasedCases has an erasure that was broken off after its
// tombstone, a queue marker that came late, and Lambda's record of a failure.
func TestRunSweepsErasedCases(t *testing.T) {
	const id, other = "3f0c9a5be27d4d0a8f61c2b7e4d95a10", "9d41c2b7e4d95a103f0c9a5be27d4d0a"
	w := newWorld()
	w.apply(t, id, agreed(t, 30))
	w.apply(t, other, agreed(t, 30))
	put(t, w.cases, casefile.DeletedKey(id), `{"schema":1,"case":"`+id+`"}`)
	for _, c := range []string{id, other} {
		put(t, w.failures, "aws/lambda/async/quote/"+c, `{"responsePayload":{"results":[{"case":"`+c+`","age":41.7}]}}`)
	}
	if _, err := w.sweeper(10, false, func(expiry.Item) error { return nil }).Eraser.Finish(t.Context(), other); err == nil {
		t.Error("Finish of a case without a tombstone")
	}
	report, err := w.sweeper(10, false, func(expiry.Item) error { return nil }).Run(t.Context())
	if err != nil || report.ErasuresFinished != 1 || report.FailureRecords != 1 {
		t.Errorf("report %+v, %v", report, err)
	}
	put(t, w.cases, casefile.Marker(id, casefile.StateRefer, start, 1)[1], "")
	put(t, w.cases, casefile.Marker(other, casefile.StateRefer, start, 1)[1], "")
	photo := digest.Of([]byte("a photo"))
	put(t, w.cases, casefile.PhotoIndexKey(photo, id, 1), "")
	put(t, w.cases, casefile.PhotoIndexKey(photo, other, 1), "")
	report, err = w.sweeper(10, false, func(expiry.Item) error { return nil }).Run(t.Context())
	if err != nil || report.StrayMarkers != 1 || report.StrayEntries != 1 || report.ErasuresFinished+report.FailureRecords > 1 {
		t.Errorf("second report %+v, %v", report, err)
	}
	application, err := cases.LatestApplication(t.Context(), w.cases, id)
	if err != nil || !application.Erased {
		t.Errorf("application %+v, %v", application, err)
	}
	queue, _ := w.cases.List(t.Context(), "queue/")
	index, _ := w.cases.List(t.Context(), "index/")
	records, _ := w.failures.List(t.Context(), "")
	if diff := cmp.Diff([]string{casefile.Marker(other, casefile.StateRefer, start, 1)[1], casefile.PhotoIndexKey(photo, other, 1), "aws/lambda/async/quote/" + other}, slices.Concat(queue, index, records)); diff != "" {
		t.Errorf("left (-want +got)\n%s", diff)
	}
}

// TestTemplate holds the lifecycle of the uploads bucket to the same days: it
// and the consent text take theirs from one parameter, and older versions go as
// fast as here.
func TestTemplate(t *testing.T) {
	for _, days := range []string{"", "14"} {
		o := samtemplate.Options{StackName: "agequote", Region: "eu-central-1", Account: "000000000000", Parameters: map[string]string{}}
		want := 30
		if days != "" {
			o.Parameters["RetentionDays"], want = days, 14
		}
		template, err := samtemplate.Read("../../template.yaml", o)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, b := range template.Buckets {
			if b.LogicalID != "UploadsBucket" {
				continue
			}
			found = true
			if b.ExpirationDays != want || b.NoncurrentDays != expiry.NoncurrentDays {
				t.Errorf("photos go after %d days and older versions after %d, want %d and %d", b.ExpirationDays, b.NoncurrentDays, want, expiry.NoncurrentDays)
			}
		}
		if !found {
			t.Fatal("no uploads bucket")
		}
		for _, f := range template.Functions {
			if got := f.Environment["RETENTION_DAYS"]; f.LogicalID == "OnboardFunction" && got != strconv.Itoa(want) {
				t.Errorf("onboard's consent text tells %s days, want %d", got, want)
			}
		}
	}
}
