// Package failed makes what the platform gave up on a case for a person. It
// reads the records that Lambda leaves in the failures bucket, writes a failure
// object and a queue marker for each photo, and sends the records of an event
// that held several once more as events of their own, so that the one that
// broke it takes none of the others with it.
package failed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/event"
	"github.com/agequote/agequote/internal/metrics"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/store"
)

// What we need of others, no more.
type (
	recordStore interface {
		Get(ctx context.Context, key string, limit int64) ([]byte, error)
	}
	caseStore interface {
		Get(ctx context.Context, key string, limit int64) ([]byte, error)
		List(ctx context.Context, prefix string) ([]string, error)
		PutIfAbsent(ctx context.Context, key string, body []byte) error
	}
	invoker interface {
		// InvokeAsync sends an event to a function and does not wait for it.
		InvokeAsync(ctx context.Context, function string, event []byte) error
	}
	recorder interface {
		Record(dimensions map[string]string, values ...metrics.Value)
	}
)

// Handler handles the arrival of failure records. Its fields are set by
// functions/failed/main.go or a test.
type Handler struct {
	Records         recordStore // the failures bucket
	Cases           caseStore
	Lambda          invoker
	PredictFunction string // name
	Metrics         recorder
	Version         string // code version, for the stored objects
	Now             func() time.Time
	Log             *slog.Logger
}

// maxRecord bounds a failure record: Lambda's limit on an asynchronous payload
// is 1 MB, and a record can hold a request and a response.
const maxRecord = 4 << 20

// Failed is the error of an event of which some records could not be handled.
type Failed struct{ Records, Of int }

func (f *Failed) Error() string { return fmt.Sprintf("%d of %d records failed", f.Records, f.Of) }

// Handle handles every failure record that the event names.
func (h *Handler) Handle(ctx context.Context, arrived events.S3Event) error {
	failures := 0
	for _, r := range arrived.Records {
		if err := h.handle(ctx, r.S3.Object.URLDecodedKey); err != nil {
			failures++
			h.Log.ErrorContext(ctx, "record failed", "err", err)
		}
	}
	if failures > 0 {
		return &Failed{Records: failures, Of: len(arrived.Records)}
	}
	return nil
}

// record is what Lambda writes when it gives up an asynchronous invocation.
type record struct {
	RequestContext struct {
		RequestID              string `json:"requestId"`
		Condition              string `json:"condition"`
		ApproximateInvokeCount int    `json:"approximateInvokeCount"`
	} `json:"requestContext"`
	RequestPayload json.RawMessage `json:"requestPayload"`
}

func (h *Handler) handle(ctx context.Context, key string) error {
	b, err := h.Records.Get(ctx, key, maxRecord)
	if err != nil {
		return fmt.Errorf("read failure record: %w", err)
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return errors.New("decode failure record")
	}
	f := casefile.Failure{
		Schema:    casefile.Schema,
		Condition: r.RequestContext.Condition,
		Tries:     r.RequestContext.ApproximateInvokeCount,
		RequestID: r.RequestContext.RequestID,
		Record:    key,
		Version:   h.Version,
		Time:      h.Now().UTC(),
	}

	// Which function gave up shows in what it was sent.
	var photos event.Predict
	if err := json.Unmarshal(r.RequestPayload, &photos); err == nil {
		return h.photos(ctx, f, r.RequestPayload, photos.Photos)
	}
	var causes event.Quote
	if err := json.Unmarshal(r.RequestPayload, &causes); err == nil {
		return h.causes(ctx, f, causes.Cases)
	}
	h.Log.ErrorContext(ctx, "failure record of no known event", "request", f.RequestID)
	return nil // another try would read the same
}

// photos handles an event that predict gave up.
func (h *Handler) photos(ctx context.Context, f casefile.Failure, payload []byte, photos []event.Photo) error {
	if len(photos) > 1 {
		return h.sendSingly(ctx, payload)
	}
	f.Stage = "predict"
	for _, p := range photos {
		f.Case, f.N = p.Case, p.N
		f.Source = casefile.Source{Bucket: p.Bucket, Key: p.Key, Version: p.Version}
		done, err := stands[casefile.Estimate](ctx, h.Cases, casefile.EstimateKey(p.Case, p.N))
		if err != nil {
			return err
		}
		if err := h.giveUp(ctx, f, casefile.PhotoCause(p.N), done); err != nil {
			return err
		}
	}
	return nil
}

// sendSingly sends each record of an event once more as an event of its own.
func (h *Handler) sendSingly(ctx context.Context, payload []byte) error {
	var several struct {
		Records []json.RawMessage `json:"Records,omitempty"`
		Items   []json.RawMessage `json:"items,omitempty"`
		Batch   json.RawMessage   `json:"batch,omitempty"`
	}
	if err := json.Unmarshal(payload, &several); err != nil {
		return errors.New("decode failed event")
	}
	send := func(single any) error {
		b, err := json.Marshal(single)
		if err != nil {
			return fmt.Errorf("encode single event: %w", err)
		}
		return h.Lambda.InvokeAsync(ctx, h.PredictFunction, b)
	}
	for _, r := range several.Records {
		if err := send(map[string]any{"Records": []json.RawMessage{r}}); err != nil {
			return err
		}
	}
	for _, i := range several.Items {
		single := map[string]any{"items": []json.RawMessage{i}}
		if several.Batch != nil {
			single["batch"] = several.Batch
		}
		if err := send(single); err != nil {
			return err
		}
	}
	h.Log.InfoContext(ctx, "sent singly", "records", len(several.Records)+len(several.Items))
	return nil
}

// causes handles an event that quote gave up.
func (h *Handler) causes(ctx context.Context, f casefile.Failure, causes []event.Cause) error {
	f.Stage = "quote"
	for _, c := range causes {
		if c.Code != reason.OK {
			continue // a refused photo has nothing to quote
		}
		f.Case, f.N, f.Source = c.Case, 0, c.Source
		if kind, n, _ := casefile.ParseCause(c.Cause); kind == "photo" {
			f.N = n
		}
		done, err := stands[casefile.Quote](ctx, h.Cases, casefile.QuoteKey(c.Case, c.Cause))
		if err != nil {
			return err
		}
		if err := h.giveUp(ctx, f, c.Cause, done); err != nil {
			return err
		}
	}
	return nil
}

// stands tells whether an object is there and can be read. One that is damaged
// serves nobody, so whoever waits for it waits for a person.
func stands[T any](ctx context.Context, s caseStore, key string) (bool, error) {
	_, err := cases.Read[T](ctx, s, key)
	switch {
	case err == nil:
		return true, nil
	case unusable(err):
		return false, nil
	}
	return false, fmt.Errorf("look for the effect: %w", err)
}

// unusable tells whether another try to read an object would fail the same way.
func unusable(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, cases.ErrUnreadable)
}

// giveUp writes the failure and its queue markers, unless another delivery of
// the same cause has meanwhile done what was given up.
func (h *Handler) giveUp(ctx context.Context, f casefile.Failure, cause string, done bool) error {
	folder, err := cases.Look(ctx, h.Cases, f.Case)
	if err != nil {
		return err
	}
	switch {
	case folder.Erased():
		h.Log.InfoContext(ctx, "gave up an erased case", "stage", f.Stage)
		return nil
	case done:
		h.Log.InfoContext(ctx, "gave up, but done by another delivery", "stage", f.Stage)
		return nil
	}

	body, err := cases.Encode(f)
	if err != nil {
		return err
	}
	stored, err := cases.WriteOnce[casefile.Failure](ctx, h.Cases, casefile.FailureKey(f.Case, cause), body)
	if err != nil {
		return fmt.Errorf("write failure: %w", err)
	}
	var sumCents int64
	application, err := folder.LatestApplication(ctx)
	switch {
	case err == nil:
		sumCents = application.Object.Facts.SumCents
	case unusable(err):
		// What broke the case must not keep it from a person: it waits as if
		// for the smallest sum.
	default:
		return fmt.Errorf("read application: %w", err)
	}
	if err := cases.Mark(ctx, h.Cases, casefile.Marker(f.Case, casefile.StateFailed, stored.Object.Time, sumCents)); err != nil {
		return err
	}
	h.Log.InfoContext(ctx, "with a person", "stage", f.Stage, "condition", f.Condition)
	h.Metrics.Record(map[string]string{"Function": f.Stage}, metrics.Value{Name: "Failures", Unit: metrics.Count, V: 1})
	return nil
}
