package quote_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/event"
	"github.com/agequote/agequote/internal/metrics"
	"github.com/agequote/agequote/internal/quote"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/store"
	"github.com/agequote/agequote/internal/underwriting"
)

const caseID = "3f0c9a5be27d4d0a8f61c2b7e4d95a10"

// world is a handler with its store, a log and a clock that ticks.
type world struct {
	*quote.Handler
	cases *store.Memory
	// Two buffers: each writer locks its own alone.
	log, metrics *bytes.Buffer
}

func newWorld(t *testing.T) *world {
	w := &world{cases: new(store.Memory), log: new(bytes.Buffer), metrics: new(bytes.Buffer)}
	clock := time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)
	var mu sync.Mutex
	w.Handler = &quote.Handler{
		Cases: w.cases, Book: mustBook(t), Version: "sha256:code",
		Metrics: &metrics.Recorder{Out: w.metrics, Namespace: "test", Now: time.Now},
		Now: func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			clock = clock.Add(time.Millisecond)
			return clock
		},
		Log: slog.New(slog.NewJSONHandler(w.log, nil)),
	}
	return w
}

func (w *world) put(t *testing.T, key string, object any) {
	t.Helper()
	body, err := cases.Encode(object)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.cases.PutIfAbsent(t.Context(), key, body); err != nil {
		t.Fatal(err)
	}
}

func (w *world) get(t *testing.T, key string) []byte {
	t.Helper()
	b, err := w.cases.Get(t.Context(), key, 1<<20)
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return b
}

var goodFacts = underwriting.Facts{Sex: "female", HeightCM: 168, WeightKG: 62, Tobacco: "never", SumCents: 25_000_000, TermYears: 20, Market: "US"}

// apply stores an application and the estimate of a photo.
func (w *world) apply(t *testing.T, id string, facts underwriting.Facts) {
	t.Helper()
	w.put(t, casefile.ApplicationKey(id, 1), casefile.Application{Schema: 1, Case: id, N: 1, Facts: facts})
	years, low, high, coverage := 42.0, 35.0, 50.0, 0.9
	distribution := make([]float64, 100)
	distribution[40], distribution[44] = 0.5, 0.5
	w.put(t, casefile.EstimateKey(id, 1), casefile.Estimate{
		Schema: 1, Case: id, N: 1, Code: reason.OK, Photo: "sha256:photo", Model: "sha256:model", ModelUse: "research",
		Estimate: age.Estimate{Age: &years, Mean: &years, Low: &low, High: &high, Coverage: &coverage, Distribution: distribution},
	})
}

func photoEvent(id string) event.Quote {
	return event.Quote{Cases: []event.Cause{{Case: id, Cause: "photo-0001", Code: reason.OK}}}
}

// TestHandleOnce delivers one result 40 times at once, on a clock that ticks:
// one quote, the same answer, and later the same bytes.
func TestHandleOnce(t *testing.T) {
	w := newWorld(t)
	w.apply(t, caseID, goodFacts)
	answers := make([]quote.Answer, 40)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			var err error
			if answers[i], err = w.Handle(t.Context(), photoEvent(caseID)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	key := casefile.QuoteKey(caseID, "photo-0001")
	want := quote.Answer{Schema: 1, Quotes: []quote.Outcome{{Case: caseID, Cause: "photo-0001", Code: reason.OK, Decision: underwriting.Quote, Quote: key}}}
	for i, a := range answers {
		if diff := cmp.Diff(want, a); diff != "" {
			t.Fatalf("answer %d (-want +got)\n%s", i, diff)
		}
	}
	before := w.get(t, key)
	if _, err := w.Handle(t.Context(), photoEvent(caseID)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, w.get(t, key)) {
		t.Error("a later delivery changed the quote")
	}
}

// TestHandleDuplicate quotes a photo that was sent with two other cases: a
// person looks at it, and the quote names what says so. What becomes known
// after the quote changes nothing.
func TestHandleDuplicate(t *testing.T) {
	const late = "late0000000000000000000000000000"
	w := newWorld(t)
	w.apply(t, caseID, goodFacts)
	w.apply(t, late, goodFacts)
	key := casefile.DuplicatesKey(caseID, 1)
	w.put(t, key, casefile.Duplicates{Schema: 1, Case: caseID, N: 1, Of: []casefile.Duplicate{
		{Case: "another0", N: 1, Kind: casefile.SameFile}, {Case: "another0", N: 2, Kind: casefile.SameFile}, {Case: "further0", N: 1, Kind: casefile.SamePicture, Distance: 7}}})
	if _, err := w.Handle(t.Context(), photoEvent(late)); err != nil {
		t.Fatal(err)
	}
	w.put(t, casefile.DuplicatesKey(late, 1), casefile.Duplicates{Schema: 1, Case: late, N: 1, Of: []casefile.Duplicate{{Case: caseID, N: 1, Kind: casefile.SameFile}}})
	for id, want := range map[string]underwriting.Decision{caseID: underwriting.Refer, late: underwriting.Quote} {
		answer, err := w.Handle(t.Context(), photoEvent(id))
		if err != nil || answer.Quotes[0].Decision != want {
			t.Errorf("%s: %+v, %v, want %s", id, answer, err, want)
		}
	}
	var q casefile.Quote
	if err := json.Unmarshal(w.get(t, casefile.QuoteKey(caseID, "photo-0001")), &q); err != nil {
		t.Fatal(err)
	}
	if len(q.Reasons) != 1 || q.Reasons[0].Code != underwriting.DuplicatePhoto || q.Reasons[0].Value != "another0 further0" || q.GrossAnnualCents == nil {
		t.Errorf("reasons %+v, premium %v", q.Reasons, q.GrossAnnualCents)
	}
	if q.Inputs.Duplicates != key || q.Hashes.Duplicates != digest.Of(w.get(t, key)) {
		t.Errorf("inputs %+v, hashes %+v", q.Inputs, q.Hashes)
	}
	// A corrected fact keeps the photo, and so the reason.
	if answer, err := w.Handle(t.Context(), event.Quote{Cases: []event.Cause{{Case: caseID, Cause: "facts-0001", Code: reason.OK}}}); err != nil || answer.Quotes[0].Decision != underwriting.Refer {
		t.Errorf("after a correction: %+v, %v", answer, err)
	}
}

// TestHandleReplays computes a stored quote again from what is stored beside
// it: the same bytes.
func TestHandleReplays(t *testing.T) {
	for name, facts := range map[string]underwriting.Facts{"quoted": goodFacts, "facts missing": {Market: "US"}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.apply(t, caseID, facts)
			if _, err := w.Handle(t.Context(), photoEvent(caseID)); err != nil {
				t.Fatal(err)
			}
			key := casefile.QuoteKey(caseID, "photo-0001")
			standing := w.get(t, key)
			var q casefile.Quote
			if err := json.Unmarshal(standing, &q); err != nil {
				t.Fatal(err)
			}
			application, err := cases.Read[casefile.Application](t.Context(), w.cases, q.Inputs.Application)
			if err != nil {
				t.Fatal(err)
			}
			estimate, err := cases.Read[casefile.Estimate](t.Context(), w.cases, q.Inputs.Estimate)
			if err != nil {
				t.Fatal(err)
			}
			if application.Hash != q.Hashes.Application || estimate.Hash != q.Hashes.Estimate || q.Hashes.Photo != "sha256:photo" {
				t.Errorf("hashes %+v", q.Hashes)
			}
			again, err := quote.ComputeOrRefer(mustBook(t), quote.Input{
				Case: q.Case, Cause: q.Cause, Facts: application.Object.Facts, Estimate: &estimate.Object.Estimate,
				ValuationDate: q.Time, Time: q.Time, ModelUse: q.ModelUse, Inputs: q.Inputs, Hashes: q.Hashes,
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(standing), string(mustEncode(t, again))); diff != "" {
				t.Errorf("replay (-stored +again)\n%s", diff)
			}
		})
	}
}

func TestHandleRefusedPhoto(t *testing.T) {
	w := newWorld(t)
	w.apply(t, caseID, goodFacts)
	answer, err := w.Handle(t.Context(), event.Quote{Cases: []event.Cause{{Case: caseID, Cause: "photo-0001", Code: reason.NoFace}}})
	if err != nil {
		t.Fatal(err)
	}
	want := []quote.Outcome{{Case: caseID, Cause: "photo-0001", Code: reason.NoFace}}
	if diff := cmp.Diff(want, answer.Quotes); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if keys, _ := w.cases.List(t.Context(), casefile.QuotesPrefix(caseID)); len(keys) != 0 {
		t.Errorf("wrote %q", keys)
	}
}

// TestHandleCorrection corrects a fact twice: the third quote keeps the photo's
// estimate, and names the second, which it replaces.
func TestHandleCorrection(t *testing.T) {
	w := newWorld(t)
	w.apply(t, caseID, goodFacts)
	if _, err := w.Handle(t.Context(), photoEvent(caseID)); err != nil {
		t.Fatal(err)
	}
	older := goodFacts
	older.BirthDate = "1980-05-17"
	w.put(t, casefile.ApplicationKey(caseID, 3), casefile.Application{Schema: 1, Case: caseID, N: 3, Facts: older})
	if _, err := w.Handle(t.Context(), event.Quote{Cases: []event.Cause{{Case: caseID, Cause: "facts-0003", Code: reason.OK}}}); err != nil {
		t.Fatal(err)
	}
	corrected := goodFacts
	corrected.BirthDate = "1984-05-17"
	w.put(t, casefile.ApplicationKey(caseID, 4), casefile.Application{Schema: 1, Case: caseID, N: 4, Facts: corrected})
	if _, err := w.Handle(t.Context(), event.Quote{Cases: []event.Cause{{Case: caseID, Cause: "facts-0004", Code: reason.OK}}}); err != nil {
		t.Fatal(err)
	}
	var q casefile.Quote
	if err := json.Unmarshal(w.get(t, casefile.QuoteKey(caseID, "facts-0004")), &q); err != nil {
		t.Fatal(err)
	}
	if q.Replaces == nil || *q.Replaces != casefile.QuoteKey(caseID, "facts-0003") {
		t.Errorf("replaces %v", q.Replaces)
	}
	if q.Basis.PriceAge != 42 || q.Hashes.Photo != "sha256:photo" || q.Inputs.Application != casefile.ApplicationKey(caseID, 4) {
		t.Errorf("priced at %d from %+v", q.Basis.PriceAge, q.Inputs)
	}
}

// TestHandleRefers marks a referred case in both orders, and again where a
// crash left the quote without its markers.
func TestHandleRefers(t *testing.T) {
	tests := []struct {
		name  string
		facts underwriting.Facts
		want  underwriting.Code
	}{
		{"age contradicts", func() underwriting.Facts { f := goodFacts; f.BirthDate = "1960-01-01"; return f }(), underwriting.AgeContradicts},
		{"facts missing", underwriting.Facts{Market: "US"}, underwriting.FactsInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.apply(t, caseID, tt.facts)
			if _, err := w.Handle(t.Context(), photoEvent(caseID)); err != nil {
				t.Fatal(err)
			}
			var q casefile.Quote
			if err := json.Unmarshal(w.get(t, casefile.QuoteKey(caseID, "photo-0001")), &q); err != nil {
				t.Fatal(err)
			}
			if q.Decision != underwriting.Refer || q.Reasons[0].Code != tt.want {
				t.Fatalf("decision %s for %+v", q.Decision, q.Reasons)
			}
			want := casefile.Marker(caseID, casefile.StateRefer, q.Time, tt.facts.SumCents)
			for _, key := range want {
				w.get(t, key)
				if err := w.cases.Delete(t.Context(), key); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := w.Handle(t.Context(), photoEvent(caseID)); err != nil {
				t.Fatal(err)
			}
			for _, key := range want {
				w.get(t, key)
			}
		})
	}
}

// TestHandleStopped quotes while quoting is stopped, and cannot tell whether it
// is: the first goes to a person whatever the rules say, the second is tried
// again.
func TestHandleStopped(t *testing.T) {
	w := newWorld(t)
	w.apply(t, "customer0", goodFacts)
	minor := goodFacts
	minor.BirthDate = "2015-01-01" // the rules decline
	w.apply(t, "customer1", minor)
	w.Stopped = func(context.Context) (string, error) { return "control/000007.json", nil }
	for _, id := range []string{"customer0", "customer1"} {
		if _, err := w.Handle(t.Context(), photoEvent(id)); err != nil {
			t.Fatal(err)
		}
		var q casefile.Quote
		if err := json.Unmarshal(w.get(t, casefile.QuoteKey(id, "photo-0001")), &q); err != nil {
			t.Fatal(err)
		}
		if q.Decision != underwriting.Refer || q.Reasons[0].Code != underwriting.Stopped || q.Reasons[0].Value != "control/000007.json" {
			t.Errorf("%s: decision %s for %+v", id, q.Decision, q.Reasons)
		}
	}
	if keys, _ := w.cases.List(t.Context(), "queue/waiting/refer/"); len(keys) != 2 {
		t.Errorf("queue %q, want both cases", keys)
	}

	w.Stopped = func(context.Context) (string, error) { return "", errors.New("no answer") }
	w.apply(t, "customer2", goodFacts)
	if _, err := w.Handle(t.Context(), photoEvent("customer2")); err == nil {
		t.Error("quoted without knowing whether it may")
	}
}

// TestHandleErased delivers a case that is erased, and one that is erased while
// its quote is made: nothing is written, told or tried again.
func TestHandleErased(t *testing.T) {
	w := newWorld(t)
	older := goodFacts
	older.BirthDate = "1960-01-01" // refers, so that a marker could follow
	w.apply(t, "customer0", older)
	w.apply(t, "customer1", older)
	w.put(t, casefile.DeletedKey("customer0"), casefile.Tombstone{Schema: 1, Case: "customer0"})
	taken := casefile.QuoteKey("customer1", "photo-0001")
	w.Stopped = func(context.Context) (string, error) {
		w.put(t, taken, map[string]any{"schema": 1, "decision": "refer", "erased": casefile.Erased{}})
		return "", nil
	}
	for _, delivery := range []string{"first", "second"} {
		e := photoEvent("customer0")
		e.Cases = append(e.Cases, photoEvent("customer1").Cases...)
		answer, err := w.Handle(t.Context(), e)
		if err != nil || len(answer.Quotes) != 0 {
			t.Errorf("%s delivery: %+v, %v, want nothing", delivery, answer, err)
		}
	}
	if keys, _ := w.cases.List(t.Context(), casefile.QuotesPrefix("customer0")); len(keys) != 0 {
		t.Errorf("wrote %q", keys)
	}
	if !strings.Contains(string(w.get(t, taken)), "erased") {
		t.Error("wrote over a taken name")
	}
	if keys, _ := w.cases.List(t.Context(), "queue/"); len(keys) != 0 {
		t.Errorf("queue %q", keys)
	}
}

// TestHandleOthersLive has a case without an application between two good ones.
func TestHandleOthersLive(t *testing.T) {
	w := newWorld(t)
	var e event.Quote
	for _, id := range []string{"customer0", "customer1", "customer2"} {
		if id != "customer1" {
			w.apply(t, id, goodFacts)
		}
		e.Cases = append(e.Cases, photoEvent(id).Cases...)
	}
	var failed *quote.Failed
	if _, err := w.Handle(t.Context(), e); !errors.As(err, &failed) || failed.Cases != 1 {
		t.Errorf("Handle = %v, want one case failed", err)
	}
	w.get(t, casefile.QuoteKey("customer0", "photo-0001"))
	w.get(t, casefile.QuoteKey("customer2", "photo-0001"))

	for _, personal := range []string{"customer0", "customer1", `"age"`, "25000000", "female"} {
		if said := w.log.String() + w.metrics.String(); strings.Contains(said, personal) {
			t.Errorf("log or metrics hold %q:\n%s", personal, said)
		}
	}
}

// TestHandleBatch quotes what the stored estimates of a batch's items say: an
// estimate, a refusal, and nothing where predict gave up.
func TestHandleBatch(t *testing.T) {
	w := newWorld(t)
	const refused, missing, erased = "customer-refused", "customer-missing", "customer-erased0"
	w.apply(t, caseID, goodFacts)
	w.put(t, casefile.EstimateKey(refused, 1), casefile.Estimate{Case: refused, N: 1, Code: reason.NoFace})
	w.put(t, casefile.EstimateKey(erased, 1), map[string]any{"case": erased, "erased": casefile.Erased{}})
	var e event.Quote
	items := fmt.Sprintf(`{"items":[{"case":%q,"n":"1"},{"case":%q},{"case":%q},{"case":%q}],"batch":{"id":"b"}}`, missing, refused, erased, caseID)
	if err := json.Unmarshal([]byte(items), &e); err != nil {
		t.Fatal(err)
	}
	answer, err := w.Handle(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, q := range answer.Quotes {
		got = append(got, q.Case+" "+string(q.Code))
	}
	if diff := cmp.Diff([]string{refused + " no_face", caseID + " ok"}, got); diff != "" {
		t.Errorf("answer (-want +got)\n%s", diff)
	}
	w.get(t, casefile.QuoteKey(caseID, "photo-0001"))
	if keys, _ := w.cases.List(t.Context(), casefile.QuotesPrefix(refused)); len(keys) > 0 {
		t.Errorf("a refused photo has quotes %q", keys)
	}
}

// torn is a store whose listing was made while predict wrote: it passed the name
// of the duplicates before they were written, and that of the estimate after.
type torn struct{ *store.Memory }

func (s torn) List(ctx context.Context, prefix string) ([]string, error) {
	keys, err := s.Memory.List(ctx, prefix)
	return slices.DeleteFunc(keys, func(key string) bool { return strings.HasSuffix(key, "/duplicates.json") }), err
}

// TestHandleTornListing corrects a fact while a photo of the case is read that
// was sent with another case: an estimate that is seen is seen with its
// duplicates.
func TestHandleTornListing(t *testing.T) {
	w := newWorld(t)
	w.apply(t, caseID, goodFacts)
	w.put(t, casefile.DuplicatesKey(caseID, 1), casefile.Duplicates{Schema: 1, Case: caseID, N: 1, Of: []casefile.Duplicate{{Case: "another0", N: 1, Kind: casefile.SameFile}}})
	w.Handler.Cases = torn{w.cases}
	answer, err := w.Handle(t.Context(), event.Quote{Cases: []event.Cause{{Case: caseID, Cause: "facts-0001", Code: reason.OK}}})
	if err != nil || answer.Quotes[0].Decision != underwriting.Refer {
		t.Errorf("%+v, %v, want a referral", answer, err)
	}
}
