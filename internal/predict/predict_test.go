package predict_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/consent"
	"github.com/agequote/agequote/internal/event"
	"github.com/agequote/agequote/internal/metrics"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/predict"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/store"
	"github.com/agequote/agequote/internal/underwriting"
)

const bucket = "agequote-uploads-000000000000"

// fakeModel estimates by a function of the photo's bytes.
type fakeModel struct {
	estimate func(photo string) (age.Estimate, error)
}

func (f fakeModel) Look(photo []byte) (age.Estimate, string, error) {
	e, err := f.estimate(string(photo))
	return e, "picture", err
}
func (fakeModel) Hash() string { return "sha256:model" }
func (fakeModel) Manifest() *model.Manifest {
	return &model.Manifest{Use: model.Research, Range: model.Range{Age: [2]float64{0, 80}, Width: [2]float64{0, 60}}}
}

// always is the model that is live all the time.
func always(m predict.Estimator) func(context.Context) (predict.Estimator, func()) {
	return func(context.Context) (predict.Estimator, func()) { return m, func() {} }
}

// world is a handler with its stores, a log and a clock.
type world struct {
	*predict.Handler
	photos, cases *store.Memory
	log, metrics  *bytes.Buffer
}

func newWorld() *world {
	w := &world{photos: new(store.Memory), cases: new(store.Memory), log: new(bytes.Buffer), metrics: new(bytes.Buffer)}
	clock := given.Add(time.Hour)
	var mu sync.Mutex
	w.Handler = &predict.Handler{
		Photos: w.photos, UploadsBucket: bucket, Cases: w.cases,
		Model: always(fakeModel{func(photo string) (age.Estimate, error) {
			switch photo {
			case "no face":
				return age.Estimate{}, reason.New(reason.NoFace, nil)
			case "poison":
				panic("cannot compute")
			case "fault":
				return age.Estimate{}, errors.New("network is broken")
			}
			years, low, high, coverage := 42.0, 35.0, 50.0, 0.9
			return age.Estimate{Age: &years, Mean: &years, Low: &low, High: &high, Coverage: &coverage, Distribution: []float64{1}}, nil
		}}),
		Metrics: &metrics.Recorder{Out: w.metrics, Namespace: "test", Now: time.Now},
		Version: "sha256:code",
		Now: func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			clock = clock.Add(time.Millisecond) // each reading differs, as a real clock's
			return clock
		},
		Log: slog.New(slog.NewJSONHandler(w.log, nil)),
	}
	return w
}

// apply stores an application and a photo, and returns the photo's event.
func (w *world) apply(t *testing.T, id, photo string, consent *casefile.Consent) event.Predict {
	t.Helper()
	ctx := t.Context()
	a, err := cases.Encode(casefile.Application{Schema: 1, Case: id, N: 1, Facts: underwriting.Facts{BirthDate: "1984-05-17"}, Consent: consent})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.cases.PutIfAbsent(ctx, casefile.ApplicationKey(id, 1), a); err != nil {
		t.Fatal(err)
	}
	if err := w.photos.PutIfAbsent(ctx, casefile.UploadKey(id, 1), []byte(photo)); err != nil {
		t.Fatal(err)
	}
	return event.Predict{Photos: []event.Photo{{Case: id, N: 1, Bucket: bucket, Key: casefile.UploadKey(id, 1)}}}
}

// given is when the consent of every test was, an hour before the clock starts.
var given = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

var agreed = consented(func(*casefile.Consent) {})

func consented(change func(*casefile.Consent)) *casefile.Consent {
	terms, err := consent.Current(30)
	if err != nil {
		panic(err)
	}
	c := terms.Record(given)
	change(c)
	return c
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

// stored returns the estimate's bytes, nil where there is none.
func (w *world) stored(t *testing.T, id string) []byte {
	t.Helper()
	b, err := w.cases.Get(t.Context(), casefile.EstimateKey(id, 1), 1<<20)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	return b
}

func TestHandle(t *testing.T) {
	tests := []struct {
		name    string
		photo   string
		consent *casefile.Consent
		want    reason.Code // "": an error, and nothing stored
	}{
		{"estimated", "selfie", agreed, reason.OK},
		{"refused", "no face", agreed, reason.NoFace},
		{"too large", strings.Repeat("x", 11<<20), agreed, reason.TooLarge},
		{"no consent", "selfie", nil, reason.NoConsent},
		{"consent without a text", "selfie", &casefile.Consent{Time: given}, reason.NoConsent},
		{"consent to a text of nobody's", "selfie", consented(func(c *casefile.Consent) { c.Hash = "sha256:0" }), reason.NoConsent},
		{"consent withdrawn", "selfie", consented(func(c *casefile.Consent) { c.Withdrawn = &given }), reason.NoConsent},
		{"days over", "selfie", consented(func(c *casefile.Consent) { c.Time = given.AddDate(0, 0, -30) }), reason.NoConsent},
		{"fault of ours", "fault", agreed, ""},
		{"panic", "poison", agreed, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			const id = "3f0c9a5be27d4d0a8f61c2b7e4d95a10"
			answer, err := w.Handle(t.Context(), w.apply(t, id, tt.photo, tt.consent))

			if tt.want == "" {
				var failed *predict.Failed
				if !errors.As(err, &failed) || failed.Photos != 1 {
					t.Errorf("Handle = %v, want one photo failed", err)
				}
				if b := w.stored(t, id); b != nil {
					t.Errorf("stored %s", b)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var estimate casefile.Estimate
			if err := json.Unmarshal(w.stored(t, id), &estimate); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(answer.Results, []casefile.Result{estimate}); diff != "" {
				t.Errorf("answer differs from what is stored:\n%s", diff)
			}
			if estimate.Code != tt.want || estimate.Message != tt.want.Sentence() {
				t.Errorf("code %q, message %q, want %q", estimate.Code, estimate.Message, tt.want)
			}
			if refused := tt.want != reason.OK; refused != (estimate.Age == nil) || refused != (estimate.Distribution == nil) {
				t.Errorf("age %v, distribution %v with code %q", estimate.Age, estimate.Distribution, tt.want)
			}
			if read := tt.want != reason.NoConsent && tt.want != reason.TooLarge; read != (estimate.Photo != "") {
				t.Errorf("photo hash %q with code %q", estimate.Photo, tt.want)
			}
		})
	}
}

// TestHandleOthersLive puts a photo that panics between two good ones.
func TestHandleOthersLive(t *testing.T) {
	w := newWorld()
	var e event.Predict
	for i, photo := range []string{"selfie", "poison", "selfie"} {
		e.Photos = append(e.Photos, w.apply(t, fmt.Sprintf("customer%d", i), photo, agreed).Photos...)
	}
	if _, err := w.Handle(t.Context(), e); err == nil {
		t.Error("Handle hid a failed photo")
	}
	for id, want := range map[string]bool{"customer0": true, "customer1": false, "customer2": true} {
		if got := w.stored(t, id) != nil; got != want {
			t.Errorf("%s stored: %v, want %v", id, got, want)
		}
	}
}

// TestHandleOnce delivers one event 40 times at once.
func TestHandleOnce(t *testing.T) {
	w := newWorld()
	e := w.apply(t, "customer0", "selfie", agreed)
	answers := make([]casefile.Answer, 40)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			var err error
			if answers[i], err = w.Handle(context.Background(), e); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i, a := range answers {
		if diff := cmp.Diff(answers[0], a); diff != "" {
			t.Fatalf("answer %d differs:\n%s", i, diff)
		}
	}
}

// TestHandleLetsTheModelGo counts how often the model is asked for and let go:
// once an event, whatever becomes of its photos.
func TestHandleLetsTheModelGo(t *testing.T) {
	w := newWorld()
	live := w.Model
	asked, used := 0, 0
	w.Model = func(ctx context.Context) (predict.Estimator, func()) {
		m, _ := live(ctx)
		asked++
		used++
		return m, func() { used-- }
	}
	e := w.apply(t, "customer0", "poison", agreed)
	e.Photos = append(e.Photos, w.apply(t, "customer1", "selfie", agreed).Photos...)
	if _, err := w.Handle(t.Context(), e); err == nil {
		t.Error("Handle hid a failed photo")
	}
	if asked != 1 || used != 0 {
		t.Errorf("the model was asked for %d times, and %d uses are left", asked, used)
	}
}

// narrow is a later model, whose card holds no estimate.
type narrow struct{ fakeModel }

func (narrow) Hash() string              { return "sha256:later" }
func (narrow) Manifest() *model.Manifest { return &model.Manifest{Use: model.Research} }

// TestHandleMeasuresAgainstTheRightCard delivers a photo again after another
// model went live: the estimate that stands says nothing about that one's card.
func TestHandleMeasuresAgainstTheRightCard(t *testing.T) {
	w := newWorld()
	first, _ := w.Model(t.Context())
	e := w.apply(t, "customer0", "selfie", agreed)
	if _, err := w.Handle(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	w.Handler.Model = always(narrow{first.(fakeModel)})
	answer, err := w.Handle(t.Context(), e)
	if err != nil || answer.Results[0].Model != first.Hash() {
		t.Errorf("second delivery: %+v, %v", answer.Results, err)
	}
	const outside = `"EstimatesOutsideCard":1`
	if strings.Contains(w.metrics.String(), outside) {
		t.Error("an earlier model's estimate counts as outside the later one's card")
	}
	if _, err := w.Handle(t.Context(), w.apply(t, "customer1", "selfie", agreed)); err != nil || !strings.Contains(w.metrics.String(), outside) {
		t.Errorf("the later model's own estimate does not count: %v", err)
	}
}

// TestHandleConsentStands corrects a fact without saying anything of consent,
// and then withdraws it.
func TestHandleConsentStands(t *testing.T) {
	w := newWorld()
	e := w.apply(t, "customer0", "selfie", agreed)
	tests := []struct {
		consent *casefile.Consent
		want    reason.Code
		by      int // application
	}{
		{nil, reason.OK, 1},
		{consented(func(c *casefile.Consent) { c.Withdrawn = &given }), reason.NoConsent, 3},
	}
	for i, tt := range tests {
		n := i + 2
		w.put(t, casefile.ApplicationKey("customer0", n), casefile.Application{Schema: 1, Case: "customer0", N: n, Consent: tt.consent})
		e.Photos[0].N = n
		answer, err := w.Handle(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		if r := answer.Results[0]; r.Code != tt.want || r.Application != casefile.ApplicationKey("customer0", tt.by) {
			t.Errorf("photo %d: %s, by the consent in %s", n, r.Code, r.Application)
		}
	}
}

// TestHandleErased delivers a photo of a case that is erased, and one of a case
// that is erased while its photo is read: nothing is written, told or tried
// again.
func TestHandleErased(t *testing.T) {
	w := newWorld()
	e := w.apply(t, "customer0", "selfie", agreed)
	w.put(t, casefile.DeletedKey("customer0"), casefile.Tombstone{Schema: 1, Case: "customer0"})
	e.Photos = append(e.Photos, w.apply(t, "customer1", "selfie", agreed).Photos...)
	live, _ := w.Model(t.Context())
	taken := casefile.EstimateKey("customer1", 1)
	w.Handler.Model = always(fakeModel{func(photo string) (age.Estimate, error) {
		w.put(t, taken, map[string]any{"schema": 1, "erased": casefile.Erased{}})
		e, _, err := live.Look([]byte(photo))
		return e, err
	}})
	for _, delivery := range []string{"first", "second"} {
		answer, err := w.Handle(t.Context(), e)
		if err != nil || len(answer.Results) != 0 {
			t.Errorf("%s delivery: %+v, %v, want nothing", delivery, answer, err)
		}
	}
	if keys, _ := w.cases.List(t.Context(), "cases/customer0/photos/"); len(keys) != 0 {
		t.Errorf("wrote %q", keys)
	}
	if b, err := w.cases.Get(t.Context(), taken, 1<<20); err != nil || !strings.Contains(string(b), "erased") {
		t.Errorf("%s, %v stands under the taken name", b, err)
	}
}

// TestHandleForeignBucket tries to have a photo read from elsewhere.
func TestHandleForeignBucket(t *testing.T) {
	w := newWorld()
	e := w.apply(t, "customer0", "selfie", agreed)
	e.Photos[0].Bucket = "somebody-elses"
	if _, err := w.Handle(t.Context(), e); err == nil {
		t.Error("Handle read a photo outside the uploads bucket")
	}
}

// TestHandleLogsNothingPersonal greps the log and the metrics for what was sent.
func TestHandleLogsNothingPersonal(t *testing.T) {
	w := newWorld()
	const id = "3f0c9a5be27d4d0a8f61c2b7e4d95a10"
	for i, photo := range []string{"selfie", "fault"} {
		_, _ = w.Handle(t.Context(), w.apply(t, id+fmt.Sprint(i), photo, agreed))
	}
	for _, personal := range []string{id, "1984-05-17", "uploads/", `"age"`} {
		if said := w.log.String() + w.metrics.String(); strings.Contains(said, personal) {
			t.Errorf("log or metrics hold %q:\n%s", personal, said)
		}
	}
}
