// Package predict turns uploaded photos into stored estimates: one photo, one
// estimate or coded refusal, whatever is delivered twice or dies in between. It
// reads ages, it does not price them.
package predict

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/consent"
	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/duplicate"
	"github.com/agequote/agequote/internal/event"
	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/metrics"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/store"
)

// What we need of others, no more.
type (
	photoStore interface {
		GetVersion(ctx context.Context, key, version string, limit int64) ([]byte, error)
	}
	caseStore interface {
		Get(ctx context.Context, key string, limit int64) ([]byte, error)
		List(ctx context.Context, prefix string) ([]string, error)
		PutIfAbsent(ctx context.Context, key string, body []byte) error
	}
	recorder interface {
		Record(dimensions map[string]string, values ...metrics.Value)
	}
)

// Estimator is a loaded model.
type Estimator interface {
	// Look returns the age on a photo and the perceptual hash of the whole
	// picture.
	Look(photo []byte) (age.Estimate, string, error)
	Hash() string
	Manifest() *model.Manifest
}

// Handler handles an event of predict. Its fields are set by
// functions/predict/main.go, the batch command or a test.
type Handler struct {
	Photos        photoStore
	UploadsBucket string // the only bucket that photos are read from
	Cases         caseStore
	// Model returns the model that is live, once an event, and done, to be
	// called when the event is finished with it.
	Model func(ctx context.Context) (m Estimator, done func())
	// Room, where it is not nil, holds a token for each photo that is being
	// estimated: a batch has more items under way than processors, because they
	// wait for the disk, but no more estimates.
	Room    chan struct{}
	Metrics recorder
	Version string // code version, for the stored objects
	Now     func() time.Time
	Log     *slog.Logger
}

// Failed is the error of an event of which some photos could not be finished.
// The platform sends the whole event again, and the finished ones return what
// stands. Its text is logged by the platform, so it holds numbers alone.
type Failed struct{ Photos, Of int }

func (f *Failed) Error() string { return fmt.Sprintf("%d of %d photos failed", f.Photos, f.Of) }

// Handle estimates every photo of the event. A refusal is a result; a *Failed
// comes after all others are done, so that no photo takes another with it.
func (h *Handler) Handle(ctx context.Context, e event.Predict) (casefile.Answer, error) {
	answer := casefile.Answer{Schema: casefile.Schema, Results: []casefile.Result{}}
	photos := e.Photos
	failed := 0
	// One model for the whole event: each estimate names the one that made it.
	m, done := h.Model(ctx)
	defer done()
	for _, p := range photos {
		started := h.Now()
		result, err := h.handle(ctx, m, p)
		took := h.Now().Sub(started)
		if errors.Is(err, cases.ErrErased) {
			// Done: another try would find the same, and quote is told nothing.
			h.Log.InfoContext(ctx, "photo of an erased case")
			continue
		}
		if err != nil {
			failed++
			h.Log.ErrorContext(ctx, "photo failed", "err", err, "ms", took.Milliseconds())
			h.Metrics.Record(map[string]string{"Function": "predict"}, metrics.Value{Name: "Errors", Unit: metrics.Count, V: 1})
			continue
		}
		h.Log.InfoContext(ctx, "photo", "code", result.Code, "model", result.Model, "ms", took.Milliseconds())
		h.measure(m, result, took)
		if p.Batch != "" {
			result = named(result)
		}
		answer.Results = append(answer.Results, result)
	}
	if failed > 0 {
		return casefile.Answer{}, &Failed{Photos: failed, Of: len(photos)}
	}
	return answer, nil
}

// named is what a batch is told of a photo. Step Functions keeps an answer of at
// most 256 KiB, and needs no ages: quote reads the stored estimate.
func named(r casefile.Result) casefile.Result {
	return casefile.Result{Schema: r.Schema, Case: r.Case, N: r.N, Code: r.Code, Model: r.Model, Time: r.Time}
}

// handle is one photo from its name to its stored estimate. A panic is an
// error like any other: the process and the other photos live on.
func (h *Handler) handle(ctx context.Context, m Estimator, p event.Photo) (result casefile.Result, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()

	if p.Bucket != h.UploadsBucket {
		return casefile.Result{}, event.ErrForeign
	}

	folder, err := cases.Look(ctx, h.Cases, p.Case)
	if err != nil {
		return casefile.Result{}, err
	}
	if folder.Erased() {
		return casefile.Result{}, cases.ErrErased
	}

	// A second delivery finds the first one's estimate.
	key := casefile.EstimateKey(p.Case, p.N)
	if folder.Has(key) {
		standing, err := cases.Read[casefile.Estimate](ctx, h.Cases, key)
		if err != nil {
			return casefile.Result{}, fmt.Errorf("read estimate: %w", err)
		}
		return standing.Object, errIfErased(standing.Erased)
	}

	estimate, err := h.estimate(ctx, m, p, folder)
	if err != nil {
		return casefile.Result{}, err
	}
	// Before the estimate: whoever finds that finds these too.
	if err := h.compare(ctx, estimate); err != nil {
		return casefile.Result{}, fmt.Errorf("look for duplicates: %w", err)
	}
	body, err := cases.Encode(estimate)
	if err != nil {
		return casefile.Result{}, err
	}
	stored, err := cases.WriteOnce[casefile.Estimate](ctx, h.Cases, key, body)
	if err != nil {
		return casefile.Result{}, fmt.Errorf("write estimate: %w", err)
	}
	return stored.Object, errIfErased(stored.Erased)
}

// compare enters a photo that was read into the index of files, and records
// what other cases it was sent with. In a batch that is left to its own step:
// it knows all photos of the batch, whichever was read first. A refused photo
// is quoted on nothing and compared with nothing.
func (h *Handler) compare(ctx context.Context, e casefile.Estimate) error {
	if e.Code != reason.OK {
		return nil
	}
	m := duplicate.Marker{Cases: h.Cases, Version: h.Version, Now: h.Now}
	if e.Batch != "" {
		return m.Enter(ctx, duplicate.Of(e))
	}
	return m.File(ctx, duplicate.Of(e))
}

// errIfErased is for what stands under an estimate's name: a case that was
// erased since we asked has the name taken, and our estimate was not written.
func errIfErased(erased bool) error {
	if erased {
		return cases.ErrErased
	}
	return nil
}

// estimate reads the photo if that is allowed. What the customer can mend
// becomes a coded refusal, everything else an error, to be tried again.
func (h *Handler) estimate(ctx context.Context, m Estimator, p event.Photo, folder cases.Folder) (casefile.Estimate, error) {
	started := h.Now()
	e := casefile.Estimate{
		Schema:   casefile.Schema,
		Case:     p.Case,
		N:        p.N,
		Source:   casefile.Source{Bucket: h.UploadsBucket, Key: p.Key, Version: p.Version},
		Model:    m.Hash(),
		ModelUse: string(m.Manifest().Use),
		Version:  h.Version,
		Batch:    p.Batch,
		Time:     started.UTC(),
	}

	application, err := folder.ConsentingApplication(ctx)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return refuse(e, reason.NoConsent), nil
	case err != nil:
		return e, fmt.Errorf("read application: %w", err)
	}
	e.Application = application.Key
	if err := consent.Check(application.Object.Consent, started); err != nil {
		h.Log.InfoContext(ctx, "photo not read", "why", err) // of the package's closed list
		return refuse(e, reason.NoConsent), nil
	}

	photo, err := h.Photos.GetVersion(ctx, p.Key, p.Version, int64(face.DefaultLimits.Bytes))
	switch {
	case errors.Is(err, store.ErrTooLarge):
		return refuse(e, reason.TooLarge), nil
	case err != nil:
		return e, fmt.Errorf("read photo: %w", err)
	}
	e.Photo = digest.Of(photo)

	e.Estimate, e.Picture, e.MS, err = h.look(m, photo)
	switch code := reason.Of(err); code {
	case reason.OK:
		e.Code, e.Message = code, code.Sentence()
		return e, nil
	case reason.Internal:
		return e, fmt.Errorf("estimate age: %w", err)
	default:
		return refuse(e, code), nil
	}
}

// look estimates the age, and says in how many milliseconds.
func (h *Handler) look(m Estimator, photo []byte) (e age.Estimate, picture string, ms int64, err error) {
	if h.Room != nil {
		h.Room <- struct{}{}
		defer func() { <-h.Room }() // a panic in a codec, too
	}
	started := h.Now()
	e, picture, err = m.Look(photo)
	return e, picture, h.Now().Sub(started).Milliseconds(), err
}

// refuse makes the estimate a refusal.
func refuse(e casefile.Estimate, code reason.Code) casefile.Estimate {
	e.Code, e.Message = code, code.Sentence()
	e.Estimate, e.Picture = age.Estimate{}, ""
	return e
}

// measure records the outcome, and estimates that leave the model card's range.
func (h *Handler) measure(m Estimator, r casefile.Result, took time.Duration) {
	h.Metrics.Record(map[string]string{"Code": string(r.Code)},
		metrics.Value{Name: "Photos", Unit: metrics.Count, V: 1},
		metrics.Value{Name: "Duration", Unit: metrics.Milliseconds, V: float64(took.Milliseconds())})
	if r.Code != reason.OK {
		return
	}
	width := *r.High - *r.Low
	outside := 0.0
	// An estimate that stood already may be an earlier model's.
	if r.Model == m.Hash() && !m.Manifest().Range.Holds(*r.Age, width) {
		outside = 1
	}
	const binYears = 5
	h.Metrics.Record(nil,
		metrics.Value{Name: "Estimates", Unit: metrics.Count, V: 1},
		metrics.Value{Name: "EstimatesOutsideCard", Unit: metrics.Count, V: outside},
		metrics.Value{Name: "EstimatedAge", Unit: metrics.None, V: metrics.Bin(*r.Age, binYears)},
		metrics.Value{Name: "IntervalWidth", Unit: metrics.None, V: metrics.Bin(width, binYears)})
}
