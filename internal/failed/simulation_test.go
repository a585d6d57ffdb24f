package failed_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/consent"
	"github.com/agequote/agequote/internal/event"
	"github.com/agequote/agequote/internal/failed"
	"github.com/agequote/agequote/internal/metrics"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/predict"
	"github.com/agequote/agequote/internal/quote"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/store"
	"github.com/agequote/agequote/internal/underwriting"
	"github.com/agequote/agequote/rules"
)

// TestSimulation runs the three handlers as the platform does, in one goroutine
// and by a seed: events come in any order, some twice; an invocation dies
// between any two requests, or gets no answer to one that was done; clocks are
// wrong by up to a day; the model is replaced half way. Whatever the seed, no
// object is written twice, no case is another's, and what is not done is with a
// person or is done when it is sent again. AGEQUOTE_SIMULATE=n is another size,
// AGEQUOTE_SEED another seed.
func TestSimulation(t *testing.T) {
	size, seed := number(t, "AGEQUOTE_SIMULATE", 2000), number(t, "AGEQUOTE_SEED", 1)
	s := newSimulation(t, uint64(seed), size)
	s.run(t)
	before := s.books(t)
	for _, key := range s.common.keys(t, "queue/waiting/failed/") {
		if id := key[strings.LastIndex(key, "/")+1:]; !s.gaveUp(t, id) {
			t.Errorf("case %s is in the queue, and nothing gave it up", id)
		}
	}

	s.faults = 0
	for i := range s.size {
		if !s.done(t, i) {
			s.send("predict", s.photoEvent(i))
		}
	}
	s.run(t)
	after := s.books(t)
	t.Logf("seed %d: %d invocations, %d died, %d requests failed, %d of them after their effect", seed, s.invocations, s.died, s.failures, s.lost)
	t.Logf("before what gave up was sent again: %v; after: %v", before, after)
	if after["quoted"] != size-s.broken || after["refused"] != s.broken {
		t.Errorf("books: %v of %d photos, %d of them broken", after, size, s.broken)
	}
	if before["quoted"] == after["quoted"] || s.died == 0 || s.lost == 0 || after["model sha256:new"] == 0 || after["model sha256:old"] == 0 {
		t.Error("not every fault was met")
	}
}

func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// invocationOf is one event on its way to a function.
type invocationOf struct {
	function string
	payload  string
	tries    int
}

type simulation struct {
	size, broken int
	random       *rand.Rand
	faults       float64 // share of requests that meet one
	queue        []invocationOf
	stores       map[string]*store.Memory // by case
	common       *counted                 // what belongs to no case
	records      *store.Memory
	photos       *store.Memory
	start        time.Time
	clock        time.Time // of the invocation

	dead bool // the invocation that runs has died: nothing that it asks for happens

	invocations, died, failures, lost int

	predict *predict.Handler
	quote   *quote.Handler
	failed  *failed.Handler
}

// counted is a store whose names a test may list.
type counted struct{ *store.Memory }

func (c *counted) keys(t *testing.T, prefix string) []string {
	t.Helper()
	keys, err := c.List(t.Context(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func newSimulation(t *testing.T, seed uint64, size int) *simulation {
	t.Helper()
	s := &simulation{
		size: size, random: rand.New(rand.NewPCG(seed, 2)), faults: 0.05, stores: map[string]*store.Memory{},
		common: &counted{new(store.Memory)}, records: new(store.Memory), photos: new(store.Memory),
		start: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC),
	}
	book, err := rulebook.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	recorder := &metrics.Recorder{Out: io.Discard, Now: time.Now}
	now := func() time.Time { return s.clock }
	s.predict = &predict.Handler{Photos: photosOf{s}, UploadsBucket: "uploads", Cases: s, Model: s.model, Metrics: recorder, Version: "code", Now: now, Log: quiet}
	s.quote = &quote.Handler{Cases: s, Book: book, Metrics: recorder, Version: "code", Now: now, Log: quiet}
	s.failed = &failed.Handler{Records: recordsOf{s}, Cases: s, Lambda: s, PredictFunction: "predict", Metrics: recorder, Version: "code", Now: now, Log: quiet}
	s.upload(t)
	return s
}

func caseOf(i int) string { return fmt.Sprintf("case%08d", i) }

// upload stores the applications and photos, and queues their events: some of
// two photos, some twice.
func (s *simulation) upload(t *testing.T) {
	t.Helper()
	terms, err := consent.Current(30)
	if err != nil {
		t.Fatal(err)
	}
	facts := underwriting.Facts{Sex: "female", HeightCM: 168, WeightKG: 62, Tobacco: "never", SumCents: 25_000_000, TermYears: 20, Market: "US"}
	for i := range s.size {
		id := caseOf(i)
		s.stores[id] = new(store.Memory)
		body, err := cases.Encode(casefile.Application{Schema: 1, Case: id, N: 1, Time: s.start, Facts: facts, Consent: terms.Record(s.start), Salt: casefile.NewSalt()})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.stores[id].PutIfAbsent(t.Context(), casefile.ApplicationKey(id, 1), body); err != nil {
			t.Fatal(err)
		}
		photo := "photo of " + id
		if i%100 == 0 {
			photo, s.broken = "no face", s.broken+1
		}
		if err := s.photos.PutIfAbsent(t.Context(), casefile.UploadKey(id, 1), []byte(photo)); err != nil {
			t.Fatal(err)
		}
		switch {
		case i%10 == 9: // S3 may put several records into one event
			s.send("predict", s.photoEvent(i-1, i))
		case i%10 != 8:
			s.send("predict", s.photoEvent(i))
		}
		if s.random.IntN(10) == 0 {
			s.send("predict", s.photoEvent(i))
		}
	}
}

func (s *simulation) photoEvent(indexes ...int) string {
	var records []string
	for _, i := range indexes {
		records = append(records, fmt.Sprintf(`{"s3":{"bucket":{"name":"uploads"},"object":{"key":%q}}}`, casefile.UploadKey(caseOf(i), 1)))
	}
	return `{"Records":[` + strings.Join(records, ",") + `]}`
}

func (s *simulation) send(function, payload string) {
	s.queue = append(s.queue, invocationOf{function: function, payload: payload})
}

// InvokeAsync is Lambda's, as the functions reach it.
func (s *simulation) InvokeAsync(_ context.Context, function string, payload []byte) error {
	if err := s.meet(); err != nil {
		return err
	}
	s.send(function, string(payload))
	return s.answered()
}

// run handles events in any order until there are none.
func (s *simulation) run(t *testing.T) {
	t.Helper()
	for len(s.queue) > 0 {
		i := s.random.IntN(len(s.queue))
		e := s.queue[i]
		s.queue[i] = s.queue[len(s.queue)-1]
		s.queue = s.queue[:len(s.queue)-1]

		s.invocations++
		s.dead = false
		s.clock = s.start.Add(time.Duration(s.invocations)*time.Millisecond + time.Duration(s.random.Int64N(int64(48*time.Hour))) - 24*time.Hour)
		answer, err := s.invoke(t, e)
		if s.dead && err == nil { // it died after its last request, and before it answered
			err = errDied
		}
		e.tries++
		switch {
		case err == nil && e.function == "predict":
			s.send("quote", `{"responsePayload":`+answer+`}`)
		case err == nil:
		case e.tries < 3:
			s.queue = append(s.queue, e)
		case e.function == "failed": // lost: the alarm tells
		default:
			s.giveUp(t, e)
		}
	}
}

// giveUp writes the platform's record, which starts failed.
func (s *simulation) giveUp(t *testing.T, e invocationOf) {
	t.Helper()
	key := fmt.Sprintf("aws/lambda/async/%d", s.invocations)
	if err := s.records.PutIfAbsent(t.Context(), key, []byte(wrap(e.payload))); err != nil {
		t.Fatal(err)
	}
	s.send("failed", key)
}

// invoke runs one function on one event.
func (s *simulation) invoke(t *testing.T, e invocationOf) (string, error) {
	t.Helper()
	var answer any
	var err error
	switch e.function {
	case "predict":
		var in event.Predict
		if err := json.Unmarshal([]byte(e.payload), &in); err != nil {
			t.Fatal(err)
		}
		answer, err = s.predict.Handle(t.Context(), in)
	case "quote":
		var in event.Quote
		if err := json.Unmarshal([]byte(e.payload), &in); err != nil {
			t.Fatal(err)
		}
		answer, err = s.quote.Handle(t.Context(), in)
	case "failed":
		var r events.S3EventRecord
		r.S3.Object.URLDecodedKey = e.payload
		err = s.failed.Handle(t.Context(), events.S3Event{Records: []events.S3EventRecord{r}})
	}
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), nil
}

// model is replaced half way.
func (s *simulation) model(context.Context) (predict.Estimator, func()) {
	name := "sha256:old"
	if s.invocations > s.size/2 {
		name = "sha256:new"
	}
	return simulatedModel(name), func() {}
}

type simulatedModel string

func (m simulatedModel) Hash() string            { return string(m) }
func (simulatedModel) Manifest() *model.Manifest { return &model.Manifest{Use: model.Production} }
func (m simulatedModel) Look(photo []byte) (age.Estimate, string, error) {
	e, err := m.estimate(photo)
	return e, "", err
}

func (simulatedModel) estimate(photo []byte) (age.Estimate, error) {
	if string(photo) == "no face" {
		return age.Estimate{}, reason.New(reason.NoFace, nil)
	}
	d := make([]float64, 100)
	d[42] = 1
	years, low, high, coverage := 42.0, 35.0, 50.0, 0.9
	return age.Estimate{Age: &years, Mean: &years, Low: &low, High: &high, Coverage: &coverage, Distribution: d}, nil
}

var (
	errDied = errors.New("the process is gone")
	errBusy = errors.New("503 SlowDown")
	errLost = errors.New("connection reset")
)

// meet is a request before its effect.
func (s *simulation) meet() error {
	if s.dead {
		return errDied
	}
	if s.random.Float64() >= s.faults {
		return nil
	}
	s.failures++
	if s.random.IntN(2) == 0 {
		s.dead = true
		s.died++
		return errDied
	}
	return errBusy
}

// answered is a request after its effect.
func (s *simulation) answered() error {
	if s.random.Float64() < s.faults/2 {
		s.failures++
		s.lost++
		return errLost
	}
	return nil
}

// in returns the store that holds a key.
func (s *simulation) in(key string) *store.Memory {
	if rest, ok := strings.CutPrefix(key, "cases/"); ok {
		id, _, _ := strings.Cut(rest, "/")
		return s.stores[id]
	}
	return s.common.Memory
}

func (s *simulation) Get(ctx context.Context, key string, limit int64) ([]byte, error) {
	if err := s.meet(); err != nil {
		return nil, err
	}
	return s.in(key).Get(ctx, key, limit)
}

func (s *simulation) List(ctx context.Context, prefix string) ([]string, error) {
	if err := s.meet(); err != nil {
		return nil, err
	}
	return s.in(prefix).List(ctx, prefix)
}

func (s *simulation) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	if err := s.meet(); err != nil {
		return err
	}
	if err := s.in(key).PutIfAbsent(ctx, key, body); err != nil {
		return err
	}
	return s.answered()
}

type photosOf struct{ *simulation }

func (p photosOf) GetVersion(ctx context.Context, key, version string, limit int64) ([]byte, error) {
	if err := p.meet(); err != nil {
		return nil, err
	}
	return p.photos.GetVersion(ctx, key, version, limit)
}

type recordsOf struct{ *simulation }

func (r recordsOf) Get(ctx context.Context, key string, limit int64) ([]byte, error) {
	if err := r.meet(); err != nil {
		return nil, err
	}
	return r.records.Get(ctx, key, limit)
}

// done tells whether a photo has led to what it leads to.
func (s *simulation) done(t *testing.T, i int) bool {
	t.Helper()
	id := caseOf(i)
	estimate, err := cases.Read[casefile.Estimate](t.Context(), s.stores[id], casefile.EstimateKey(id, 1))
	if err != nil {
		return false
	}
	quoted, err := cases.Exists(t.Context(), s.stores[id], casefile.QuoteKey(id, "photo-0001"))
	return err == nil && (quoted || estimate.Object.Code != reason.OK)
}

func (s *simulation) gaveUp(t *testing.T, id string) bool {
	t.Helper()
	there, err := cases.Exists(t.Context(), s.stores[id], casefile.FailureKey(id, "photo-0001"))
	if err != nil {
		t.Fatal(err)
	}
	return there
}

// books counts what became of the photos, and checks what stands.
func (s *simulation) books(t *testing.T) map[string]int {
	t.Helper()
	out := map[string]int{}
	for i := range s.size {
		id := caseOf(i)
		versions, err := s.stores[id].Versions(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, v := range versions {
			if seen[v.Key] {
				t.Errorf("%s was written twice", v.Key)
			}
			if seen[v.Key] = true; !strings.HasPrefix(v.Key, casefile.Prefix(id)) {
				t.Errorf("%s lies in case %s", v.Key, id)
			}
		}
		estimate, err := cases.Read[casefile.Estimate](t.Context(), s.stores[id], casefile.EstimateKey(id, 1))
		q, quoteErr := cases.Read[casefile.Quote](t.Context(), s.stores[id], casefile.QuoteKey(id, "photo-0001"))
		switch {
		case err == nil && estimate.Object.Code == reason.NoFace && i%100 == 0:
			out["refused"]++
		case err == nil && quoteErr == nil && q.Object.Hashes.Estimate == estimate.Hash && q.Object.Case == id:
			out["quoted"]++
			out["model "+estimate.Object.Model]++
		case err == nil && estimate.Object.Code != reason.OK:
			t.Errorf("%s is refused as %s", id, estimate.Object.Code)
		case s.gaveUp(t, id):
			out["failed"]++
		default:
			out["lost"]++
		}
	}
	return out
}
