// Package quote turns a stored estimate and declared facts into a stored quote:
// Compute is the pure core that a replay runs again, Handler the shell around
// it. It reads no photo and keeps no rule of its own; those are data in rules/.
package quote

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
	"github.com/agequote/agequote/internal/event"
	"github.com/agequote/agequote/internal/metrics"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/store"
	"github.com/agequote/agequote/internal/underwriting"
)

// What we need of others, no more.
type (
	caseStore interface {
		Get(ctx context.Context, key string, limit int64) ([]byte, error)
		List(ctx context.Context, prefix string) ([]string, error)
		PutIfAbsent(ctx context.Context, key string, body []byte) error
	}
	sealer interface {
		Seal(ctx context.Context, id string) error
	}
	recorder interface {
		Record(dimensions map[string]string, values ...metrics.Value)
	}
)

// Handler handles an event of quote. Its fields are set by
// functions/quote/main.go, the batch command or a test.
type Handler struct {
	Cases caseStore
	Book  *rulebook.Book
	// Stopped names the record by which quoting was stopped, "" while it is not:
	// every case then goes to a person. Nil: it cannot be stopped.
	Stopped func(ctx context.Context) (record string, err error)
	// ValuationDate is the day of every quote, for a batch that runs past
	// midnight; zero: the day on which it is made.
	ValuationDate time.Time
	// Sample tells which of the cases quoted without a person are put before one
	// all the same. Nil: none is.
	Sample func(id string) bool
	// Seal keeps the hashes of a case when a decision's quote has come to it.
	// Nil: none are kept.
	Seal    sealer
	Metrics recorder
	Version string // code version, for the stored objects
	Now     func() time.Time
	Log     *slog.Logger
}

// Outcome is one case's line in the answer of quote: where its quote stands,
// without its facts or amounts.
type Outcome struct {
	Case     string                `json:"case"`
	Cause    string                `json:"cause"`
	Code     reason.Code           `json:"code"` // ok, or the photo's refusal, which has no quote
	Decision underwriting.Decision `json:"decision,omitempty"`
	Quote    string                `json:"quote,omitempty"` // name of the object
}

// Answer is what quote returns.
type Answer struct {
	Schema int       `json:"schema"`
	Quotes []Outcome `json:"quotes"`
}

// Failed is the error of an event of which some cases could not be finished.
// Its text is logged by the platform, so it holds numbers alone.
type Failed struct{ Cases, Of int }

func (f *Failed) Error() string { return fmt.Sprintf("%d of %d cases failed", f.Cases, f.Of) }

// Handle quotes every case of the event. A *Failed comes after all others are
// done, so that no case takes another with it.
func (h *Handler) Handle(ctx context.Context, e event.Quote) (Answer, error) {
	answer := Answer{Schema: casefile.Schema, Quotes: []Outcome{}}
	failed := 0
	for _, c := range e.Cases {
		started := h.Now()
		outcome, err := h.handle(ctx, c)
		took := h.Now().Sub(started)
		if errors.Is(err, cases.ErrErased) {
			h.Log.InfoContext(ctx, "erased case") // done: another try would find the same
			continue
		}
		if errors.Is(err, errNoEstimate) {
			h.Log.InfoContext(ctx, "photo without an estimate") // predict gave it up; the batch's report names it
			continue
		}
		if err != nil {
			failed++
			h.Log.ErrorContext(ctx, "case failed", "err", err, "ms", took.Milliseconds())
			h.Metrics.Record(map[string]string{"Function": "quote"}, metrics.Value{Name: "Errors", Unit: metrics.Count, V: 1})
			continue
		}
		h.Log.InfoContext(ctx, "case", "code", outcome.Code, "decision", outcome.Decision, "ms", took.Milliseconds())
		if outcome.Decision != "" {
			h.Metrics.Record(map[string]string{"Decision": string(outcome.Decision)},
				metrics.Value{Name: "Quotes", Unit: metrics.Count, V: 1},
				metrics.Value{Name: "Duration", Unit: metrics.Milliseconds, V: float64(took.Milliseconds())})
		}
		answer.Quotes = append(answer.Quotes, outcome)
	}
	if failed > 0 {
		return Answer{}, &Failed{Cases: failed, Of: len(e.Cases)}
	}
	return answer, nil
}

// handle is one case from its estimate and facts to its stored quote.
func (h *Handler) handle(ctx context.Context, c event.Cause) (outcome Outcome, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	if c.Code == "" {
		if c.Code, err = h.code(ctx, c); err != nil {
			return Outcome{}, err
		}
	}
	outcome = Outcome{Case: c.Case, Cause: c.Cause, Code: c.Code}
	if c.Code != reason.OK {
		return outcome, nil // the customer is asked for another photo
	}

	folder, err := cases.Look(ctx, h.Cases, c.Case)
	if err != nil {
		return Outcome{}, err
	}
	if folder.Erased() {
		return Outcome{}, cases.ErrErased
	}
	application, err := folder.LatestApplication(ctx)
	if err != nil {
		return Outcome{}, fmt.Errorf("read application: %w", err)
	}
	key := casefile.QuoteKey(c.Case, c.Cause)
	var stored cases.Stored[casefile.Quote]
	if folder.Has(key) {
		stored, err = cases.Read[casefile.Quote](ctx, h.Cases, key)
	} else {
		stored, err = h.write(ctx, c, folder, application)
	}
	if err != nil {
		return Outcome{}, err
	}
	if application.Erased || stored.Erased {
		return Outcome{}, cases.ErrErased // since we asked; our quote was not written
	}
	outcome.Code, outcome.Decision, outcome.Quote = stored.Object.Code, stored.Object.Decision, key

	return outcome, h.follow(ctx, c, stored.Object, application.Object.Facts.SumCents)
}

// follow does what a stored quote asks for. It comes after the quote, and again
// with each delivery: a crash between the two leaves no referred case without a
// marker.
func (h *Handler) follow(ctx context.Context, c event.Cause, q casefile.Quote, sumCents int64) error {
	if kind, _, _ := casefile.ParseCause(c.Cause); kind == "decision" {
		if h.Seal == nil {
			return nil
		}
		return h.Seal.Seal(ctx, c.Case)
	}
	state := ""
	switch {
	case q.Decision == underwriting.Refer:
		state = casefile.StateRefer
	case q.Decision == underwriting.Quote && h.Sample != nil && h.Sample(c.Case):
		state = casefile.StateSample
	default:
		return nil
	}
	if err := cases.Alive(ctx, h.Cases, c.Case); err != nil {
		return err
	}
	return cases.Mark(ctx, h.Cases, casefile.Marker(c.Case, state, q.Time, sumCents))
}

// errNoEstimate says that there is nothing to quote, and that another try would
// find the same.
var errNoEstimate = errors.New("photo has no estimate")

// code is what the stored estimate of a batch's item says.
func (h *Handler) code(ctx context.Context, c event.Cause) (reason.Code, error) {
	_, n, _ := casefile.ParseCause(c.Cause) // package event has looked
	stored, err := cases.Read[casefile.Estimate](ctx, h.Cases, casefile.EstimateKey(c.Case, n))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", errNoEstimate
	case err != nil:
		return "", fmt.Errorf("read estimate: %w", err)
	}
	return stored.Object.Code, errIfErased(stored.Erased)
}

// errIfErased is for an object of a case that was erased.
func errIfErased(erased bool) error {
	if erased {
		return cases.ErrErased
	}
	return nil
}

// write computes the quote and stores it, or returns the one that another
// delivery stored first.
func (h *Handler) write(ctx context.Context, c event.Cause, folder cases.Folder, application cases.Stored[casefile.Application]) (cases.Stored[casefile.Quote], error) {
	quote, err := h.compute(ctx, c, folder, application)
	if err != nil {
		return cases.Stored[casefile.Quote]{}, err
	}
	body, err := quote.Encode()
	if err != nil {
		return cases.Stored[casefile.Quote]{}, err
	}
	stored, err := cases.WriteOnce[casefile.Quote](ctx, h.Cases, casefile.QuoteKey(c.Case, c.Cause), body)
	if err != nil {
		return cases.Stored[casefile.Quote]{}, fmt.Errorf("write quote: %w", err)
	}
	return stored, nil
}

// compute computes the quote from what is stored.
func (h *Handler) compute(ctx context.Context, c event.Cause, folder cases.Folder, application cases.Stored[casefile.Application]) (casefile.Quote, error) {
	now := h.Now().UTC()
	in := Input{
		Case: c.Case, Cause: c.Cause,
		Facts:         application.Object.Facts,
		ValuationDate: now,
		Time:          now,
		Inputs:        casefile.Inputs{Application: application.Key},
		Hashes:        casefile.Hashes{Application: application.Hash, Code: h.Version},
	}
	kind, _, _ := casefile.ParseCause(c.Cause)
	if kind == "decision" {
		// A person has looked, so that a stop does not keep it back.
		if err := h.decision(ctx, c, &in); err != nil {
			return casefile.Quote{}, err
		}
		quote, err := ComputeOrRefer(h.Book, in)
		if err != nil {
			return casefile.Quote{}, fmt.Errorf("compute quote of a decision: %w", err)
		}
		return quote, seen(ctx, h.Cases, &in, &quote)
	}

	estimate, ok, err := h.estimate(ctx, c, folder)
	if err != nil {
		return casefile.Quote{}, fmt.Errorf("read estimate: %w", err)
	}
	if ok {
		in.useEstimate(estimate)
		// Duplicates are written before the estimate. A photo's own estimate stood
		// before the case was listed, so that these are listed too. Another may have
		// come while it was, so that they are asked for.
		if n := estimate.Object.N; kind != "photo" || folder.Has(casefile.DuplicatesKey(c.Case, n)) {
			if err := h.useDuplicates(ctx, &in, n); err != nil {
				return casefile.Quote{}, err
			}
		}
	}
	if !h.ValuationDate.IsZero() {
		in.ValuationDate = h.ValuationDate
	}
	if in.Replaces, err = h.latestQuote(ctx, folder.Under(casefile.QuotesPrefix(c.Case))); err != nil {
		return casefile.Quote{}, err
	}
	quote, err := ComputeOrRefer(h.Book, in)
	if err != nil {
		return casefile.Quote{}, fmt.Errorf("compute quote: %w", err)
	}
	if h.Stopped == nil {
		return quote, nil
	}
	record, err := h.Stopped(ctx)
	if err != nil {
		return casefile.Quote{}, fmt.Errorf("look whether quoting is stopped: %w", err)
	}
	return ReferStopped(quote, record), nil
}

// useEstimate adds a stored estimate and where it came from.
func (in *Input) useEstimate(e cases.Stored[casefile.Estimate]) {
	var read age.Estimate = e.Object.Estimate
	in.Estimate = &read
	in.ModelUse = e.Object.ModelUse
	in.Inputs.Estimate = e.Key
	in.Hashes.Estimate, in.Hashes.Photo, in.Hashes.Model = e.Hash, e.Object.Photo, e.Object.Model
}

// useDuplicates adds what other cases photo n was sent with, if any.
func (h *Handler) useDuplicates(ctx context.Context, in *Input, n int) error {
	d, err := cases.Read[casefile.Duplicates](ctx, h.Cases, casefile.DuplicatesKey(in.Case, n))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("read duplicates: %w", err)
	case d.Erased:
		return cases.ErrErased
	}
	in.Duplicates = d.Object.Cases()
	in.Inputs.Duplicates, in.Hashes.Duplicates = d.Key, d.Hash
	return nil
}

// latestQuote returns the name of the newest of a case's quotes, "" where it has
// none.
func (h *Handler) latestQuote(ctx context.Context, keys []string) (string, error) {
	var latest string
	var at time.Time
	for _, key := range keys {
		q, err := cases.Read[casefile.Quote](ctx, h.Cases, key)
		if err != nil {
			return "", fmt.Errorf("read earlier quote: %w", err)
		}
		if latest == "" || q.Object.Time.After(at) {
			latest, at = key, q.Object.Time
		}
	}
	return latest, nil
}
