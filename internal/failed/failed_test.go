package failed_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/failed"
	"github.com/agequote/agequote/internal/metrics"
	"github.com/agequote/agequote/internal/store"
	"github.com/agequote/agequote/internal/underwriting"
)

const (
	id     = "3f0c9a5be27d4d0a8f61c2b7e4d95a10"
	record = "aws/lambda/async/agequote-predict/2026/11/24/record"
)

// fakeLambda keeps what it was asked to send.
type fakeLambda struct{ sent []string }

func (f *fakeLambda) InvokeAsync(_ context.Context, function string, event []byte) error {
	f.sent = append(f.sent, function+" "+string(event))
	return nil
}

type world struct {
	*failed.Handler
	records, cases *store.Memory
	lambda         *fakeLambda
}

func newWorld() *world {
	w := &world{records: new(store.Memory), cases: new(store.Memory), lambda: new(fakeLambda)}
	now := time.Date(2026, 11, 24, 9, 33, 8, 0, time.UTC)
	w.Handler = &failed.Handler{
		Records: w.records, Cases: w.cases, Lambda: w.lambda, PredictFunction: "agequote-predict",
		Metrics: &metrics.Recorder{Out: io.Discard, Now: time.Now},
		Version: "sha256:code",
		Now:     func() time.Time { now = now.Add(time.Second); return now },
		Log:     slog.New(slog.DiscardHandler),
	}
	return w
}

// giveUp stores a failure record and tells the handler of it.
func (w *world) giveUp(t *testing.T, payload string) error {
	t.Helper()
	body := []byte(payload)
	if err := w.records.PutIfAbsent(t.Context(), record, body); err != nil && !errors.Is(err, store.ErrExists) {
		t.Fatal(err)
	}
	var e events.S3EventRecord
	e.S3.Object.URLDecodedKey = record
	return w.Handle(t.Context(), events.S3Event{Records: []events.S3EventRecord{e}})
}

// wrap makes a failure record of an event.
func wrap(event string) string {
	return `{"requestContext":{"requestId":"r","condition":"RetriesExhausted","approximateInvokeCount":3},"requestPayload":` + event + `}`
}

func (w *world) keys(t *testing.T) []string {
	t.Helper()
	keys, err := w.cases.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return keys
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

// FuzzHandle looks for failure records that crash, or write anything but the
// failure and the marker of a case.
func FuzzHandle(f *testing.F) {
	for _, name := range []string{"failure-record.json", "s3-object-created.json", "batch-items.json", "facts-corrected.json", "destination-success.json"} {
		b, err := os.ReadFile("../../events/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add([]byte(wrap(string(b))))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		w := newWorld()
		w.put(t, casefile.ApplicationKey(id, 1), casefile.Application{Facts: underwriting.Facts{SumCents: 25_000_000}})
		before := w.keys(t)
		_ = w.giveUp(t, string(b)) // some are refused
		for _, key := range w.keys(t) {
			if !slices.Contains(before, key) && !strings.HasPrefix(key, "queue/") && !strings.HasPrefix(key, "cases/") || strings.Contains(key, "..") {
				t.Errorf("wrote %q", key)
			}
		}
	})
}

// TestHandlePhoto makes a case for a person of a photo that predict gave up,
// once, however often the record is delivered.
func TestHandlePhoto(t *testing.T) {
	w := newWorld()
	w.put(t, casefile.ApplicationKey(id, 1), casefile.Application{Facts: underwriting.Facts{SumCents: 25_000_000}})
	b, err := os.ReadFile("../../events/failure-record.json")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.giveUp(t, string(b)); err != nil {
			t.Fatal(err)
		}
	}

	f, err := cases.Read[casefile.Failure](t.Context(), w.cases, casefile.FailureKey(id, "photo-0001"))
	if err != nil {
		t.Fatal(err)
	}
	want := casefile.Failure{
		Schema: 1, Case: id, N: 1, Stage: "predict", Condition: "RetriesExhausted", Tries: 3,
		RequestID: "e4b46cbf-b738-4a2b-8f7e-1b5c2f0d6a11",
		Source: casefile.Source{Bucket: "agequote-uploads-000000000000", Key: casefile.UploadKey(id, 1),
			Version: "096fKKXTRTtl3on89fVO.nfljtsv6qko"},
		Record: record, Version: "sha256:code", Time: time.Date(2026, 11, 24, 9, 33, 9, 0, time.UTC),
	}
	if diff := cmp.Diff(want, f.Object); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	wantKeys := append([]string{casefile.ApplicationKey(id, 1), f.Key}, casefile.Marker(id, casefile.StateFailed, want.Time, 25_000_000)...)
	slices.Sort(wantKeys)
	if diff := cmp.Diff(wantKeys, w.keys(t)); diff != "" {
		t.Errorf("objects (-want +got)\n%s", diff)
	}
}

// TestHandleDoneElsewhere has the estimate there already: nothing failed.
func TestHandleDoneElsewhere(t *testing.T) {
	w := newWorld()
	w.put(t, casefile.EstimateKey(id, 1), casefile.Estimate{Code: "ok"})
	b, err := os.ReadFile("../../events/failure-record.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.giveUp(t, string(b)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{casefile.EstimateKey(id, 1)}, w.keys(t)); diff != "" {
		t.Errorf("objects (-want +got)\n%s", diff)
	}
}

// TestHandleSeveral sends each photo of an event singly and marks none: most of
// them have done nothing wrong.
func TestHandleSeveral(t *testing.T) {
	s3 := func(n string) string {
		return `{"s3":{"bucket":{"name":"b"},"object":{"key":"uploads/` + id + `/` + n + `"}}}`
	}
	item := func(n string) string {
		return `{"case":"` + id + `","n":` + n + `,"bucket":"b","key":"uploads/` + id + `/000` + n + `"}`
	}
	tests := []struct {
		name, event string
		want        []string
	}{
		{"records", `{"Records":[` + s3("0001") + `,` + s3("0002") + `]}`,
			[]string{`{"Records":[` + s3("0001") + `]}`, `{"Records":[` + s3("0002") + `]}`}},
		{"items of a batch", `{"items":[` + item("1") + `,` + item("2") + `],"batch":{"id":"x"}}`,
			[]string{`{"batch":{"id":"x"},"items":[` + item("1") + `]}`, `{"batch":{"id":"x"},"items":[` + item("2") + `]}`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			if err := w.giveUp(t, wrap(tt.event)); err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, event := range tt.want {
				want = append(want, "agequote-predict "+event)
			}
			if diff := cmp.Diff(want, w.lambda.sent); diff != "" {
				t.Errorf("sent (-want +got)\n%s", diff)
			}
			if keys := w.keys(t); len(keys) != 0 {
				t.Errorf("wrote %q", keys)
			}
		})
	}
}

// destination is what the platform passes on to quote: a photo that was read,
// and one that was refused.
const destination = `{"version":"1.0","requestPayload":{"Records":[]},"responsePayload":{"schema":1,"results":[` +
	`{"case":"` + id + `","n":1,"code":"ok","source":{"bucket":"b","key":"uploads/` + id + `/0001"}},{"case":"` + id + `","n":2,"code":"no_face"}]}}`

// TestHandleQuote makes cases for a person of what quote gave up.
func TestHandleQuote(t *testing.T) {
	tests := []struct {
		name, event, key string
		n                int
	}{
		{"of a photo", destination, "cases/" + id + "/photos/0001/failure.json", 1},
		{"of a corrected fact", `{"schema":1,"case":"` + id + `","cause":"facts-0002"}`, "cases/" + id + "/failures/facts-0002.json", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			estimate := casefile.Estimate{Code: "ok", Source: casefile.Source{Bucket: "b", Key: casefile.UploadKey(id, 1)}}
			w.put(t, casefile.EstimateKey(id, 1), estimate)
			if err := w.giveUp(t, wrap(tt.event)); err != nil {
				t.Fatal(err)
			}
			f, err := cases.Read[casefile.Failure](t.Context(), w.cases, tt.key)
			if err != nil {
				t.Fatal(err)
			}
			if f.Object.Stage != "quote" || f.Object.N != tt.n || (tt.n > 0) != (f.Object.Source == estimate.Source) {
				t.Errorf("failure %+v", f.Object)
			}
			// The estimate, the failure, two markers: the refused photo has none.
			if keys := w.keys(t); len(keys) != 4 {
				t.Errorf("objects %q", keys)
			}
		})
	}
}

// TestHandleDamaged damages what was given up on, or waits for: the case goes to
// a person, and what is to be sent again is known without it.
func TestHandleDamaged(t *testing.T) {
	photo := `{"Records":[{"s3":{"bucket":{"name":"b"},"object":{"key":"uploads/` + id + `/0001"}}}]}`
	source := casefile.Source{Bucket: "b", Key: casefile.UploadKey(id, 1)}
	estimate, quote := casefile.EstimateKey(id, 1), casefile.QuoteKey(id, "photo-0001")
	tests := []struct{ name, event, damaged, body, stage string }{
		{"estimate, met by predict", photo, estimate, `{"age":4`, "predict"},
		{"estimate, met by quote", destination, estimate, `{"age":"4"}`, "quote"},
		{"estimate, too large", destination, estimate, strings.Repeat(" ", 1<<20) + `{}`, "quote"},
		{"no estimate", destination, "other", "", "quote"},
		{"quote", destination, quote, `{"cause":`, "quote"},
		{"application", photo, casefile.ApplicationKey(id, 1), `{`, "predict"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			if err := w.cases.PutIfAbsent(t.Context(), tt.damaged, []byte(tt.body)); err != nil {
				t.Fatal(err)
			}
			if err := w.giveUp(t, wrap(tt.event)); err != nil {
				t.Fatal(err)
			}
			f, err := cases.Read[casefile.Failure](t.Context(), w.cases, casefile.FailureKey(id, "photo-0001"))
			if err != nil || f.Object.Stage != tt.stage || f.Object.Source != source {
				t.Errorf("failure %+v, %v", f.Object, err)
			}
			if markers, err := w.cases.List(t.Context(), "queue/"); err != nil || len(markers) != 2 {
				t.Errorf("markers %q, %v", markers, err)
			}
		})
	}
}

func TestHandleGarbage(t *testing.T) {
	w := newWorld()
	if err := w.giveUp(t, wrap(`{"detail":"another service's"}`)); err != nil {
		t.Errorf("Handle = %v: another try would read the same", err)
	}
	if keys := w.keys(t); len(keys) != 0 {
		t.Errorf("wrote %q", keys)
	}
}

// brokenStore fails as S3 does for a while.
type brokenStore struct{ *store.Memory }

func (brokenStore) PutIfAbsent(context.Context, string, []byte) error { return errors.New("slow down") }

func TestHandleStoreTrouble(t *testing.T) {
	w := newWorld()
	w.Cases = brokenStore{w.cases}
	b, err := os.ReadFile("../../events/failure-record.json")
	if err != nil {
		t.Fatal(err)
	}
	var want *failed.Failed
	if err := w.giveUp(t, string(b)); !errors.As(err, &want) || want.Records != 1 {
		t.Errorf("Handle = %v, want one record failed, to be tried again", err)
	}
}

// TestHandleErased gives up a photo of an erased case: nobody is to look at it.
func TestHandleErased(t *testing.T) {
	w := newWorld()
	w.put(t, casefile.DeletedKey(id), casefile.Tombstone{Schema: 1, Case: id})
	b, err := os.ReadFile("../../events/failure-record.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.giveUp(t, string(b)); err != nil {
		t.Fatal(err)
	}
	if got := w.keys(t); len(got) != 1 {
		t.Errorf("keys %q, want the tombstone alone", got)
	}
}
