// Package runner runs a batch in one process: the handlers that Lambda runs,
// over a bucket in a folder. What it does is fixed by the manifest and by what
// stands in the folder, so that a run which was killed is taken up by running it
// again. Rows, counts and the report are package batch's.
package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/agequote/agequote/internal/batch"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/duplicate"
	"github.com/agequote/agequote/internal/event"
	"github.com/agequote/agequote/internal/quote"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/store"
)

// What we need of others, no more.
type (
	caseStore interface {
		Get(ctx context.Context, key string, limit int64) ([]byte, error)
		List(ctx context.Context, prefix string) ([]string, error)
		PutIfAbsent(ctx context.Context, key string, body []byte) error
		Exists(ctx context.Context, key string) (bool, error)
	}
	photos interface {
		// Check returns why a photo cannot be read, "" where it can.
		Check(photo string) batch.Code
	}
	predictor interface {
		Handle(ctx context.Context, e event.Predict) (casefile.Answer, error)
	}
	quoter interface {
		Handle(ctx context.Context, e event.Quote) (quote.Answer, error)
	}
	duplicates interface {
		Batch(ctx context.Context, pictures []duplicate.Picture) (int, error)
	}
)

// Bucket is the name of the bucket that photos are read from, in stored
// estimates and in predict's events.
const Bucket = "images"

// Runner runs one batch. Its fields are set by cmd/agequote or a test.
type Runner struct {
	Cases      caseStore
	Photos     photos
	Predict    predictor
	Quote      quoter
	Duplicates duplicates // nil: not looked for
	Manifest   func() (io.ReadCloser, error)

	ID      string    // of the batch
	Started time.Time // when the batch was first begun: the time of its applications
	Version string    // code version, for the stored objects
	Workers int       // items at a time; more than processors, since the disk is waited for
	Now     func() time.Time
	Log     *slog.Logger
	// Done is told of every item as a phase has finished it; see Step.
	Done func(Step)
}

// Step is an item that a phase has finished.
type Step struct {
	Code    string // ok, the photo's refusal, or the failure's code
	Decided string // the quote's decision, in that phase
	Before  bool   // it was finished before this run
}

// tries is how often an item is tried before it is given up, as by Lambda.
const tries = 3

// Walk calls do with every item of the manifest, in order.
func (r *Runner) Walk(do func(batch.Item) error) (err error) {
	f, err := r.Manifest()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	m, err := batch.NewReader(f)
	if err != nil {
		return err
	}
	for {
		item, err := m.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := do(item); err != nil {
			return err
		}
	}
}

// each does every item, Workers at a time. A canceled context lets those that
// are under way finish and begins no other.
func (r *Runner) each(ctx context.Context, do func(context.Context, batch.Item) (Step, error)) error {
	group, ctx := errgroup.WithContext(ctx)
	items := make(chan batch.Item)
	for range max(1, r.Workers) {
		group.Go(func() error {
			for item := range items {
				step, err := do(context.WithoutCancel(ctx), item)
				if err != nil {
					return fmt.Errorf("line %d of the manifest: %w", item.Row, err)
				}
				r.Done(step)
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(items)
		return r.Walk(func(item batch.Item) error {
			item.Fields = nil
			select {
			case items <- item:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	return group.Wait()
}

// PredictAll writes every item's application and reads its photo.
func (r *Runner) PredictAll(ctx context.Context) error { return r.each(ctx, r.predict) }

func (r *Runner) predict(ctx context.Context, item batch.Item) (Step, error) {
	if item.Problem != nil {
		return Step{Code: string(item.Problem.Code)}, nil
	}
	if step, done, err := r.standing(ctx, item); done || err != nil {
		return step, err
	}
	if err := r.apply(ctx, item); errors.Is(err, cases.ErrErased) {
		return Step{Code: string(batch.Erased)}, nil
	} else if err != nil {
		return Step{}, err
	}
	if code := r.Photos.Check(item.Photo); code != "" {
		return r.giveUp(ctx, item, batch.StagePredict, code, 1)
	}
	photo := event.Photo{Case: item.Case, N: item.N, Bucket: Bucket, Key: item.Photo, Batch: r.ID}
	var answer casefile.Answer
	err := r.try(ctx, func() (err error) {
		answer, err = r.Predict.Handle(ctx, event.Predict{Photos: []event.Photo{photo}})
		return err
	})
	switch {
	case err != nil:
		return r.giveUp(ctx, item, batch.StagePredict, batch.GaveUp, tries)
	case len(answer.Results) == 0:
		return Step{Code: string(batch.Erased)}, nil
	}
	return Step{Code: string(answer.Results[0].Code)}, nil
}

// standing returns what an earlier run made of the photo.
func (r *Runner) standing(ctx context.Context, item batch.Item) (Step, bool, error) {
	e, err := cases.Read[casefile.Estimate](ctx, r.Cases, casefile.EstimateKey(item.Case, item.N))
	if err == nil {
		return Step{Code: string(e.Object.Code), Before: true}, true, nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return Step{}, false, fmt.Errorf("read estimate: %w", err)
	}
	return r.failed(ctx, item)
}

// failed returns what an earlier run gave up.
func (r *Runner) failed(ctx context.Context, item batch.Item) (Step, bool, error) {
	f, err := cases.Read[casefile.Failure](ctx, r.Cases, casefile.FailureKey(item.Case, casefile.PhotoCause(item.N)))
	if err == nil {
		return Step{Code: f.Object.Condition, Before: true}, true, nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return Step{}, false, fmt.Errorf("read failure: %w", err)
	}
	return Step{}, false, nil
}

// apply writes the application that the item's line states.
func (r *Runner) apply(ctx context.Context, item batch.Item) error {
	if err := cases.Alive(ctx, r.Cases, item.Case); err != nil {
		return err
	}
	body, err := cases.Encode(casefile.Application{
		Schema: casefile.Schema, Case: item.Case, N: 1, Time: r.Started.UTC(),
		Facts: item.Facts, Consent: item.Consent, Version: r.Version, Salt: casefile.NewSalt(),
	})
	if err != nil {
		return err
	}
	err = r.Cases.PutIfAbsent(ctx, casefile.ApplicationKey(item.Case, 1), body)
	if err != nil && !errors.Is(err, store.ErrExists) {
		return fmt.Errorf("write application: %w", err)
	}
	return nil
}

// try does something up to tries times, with a pause between that gives passing
// trouble the time to pass.
func (r *Runner) try(ctx context.Context, do func() error) (err error) {
	for i := range tries {
		if err = do(); err == nil {
			return nil
		}
		if i < tries-1 {
			time.Sleep(100 * time.Millisecond << (2 * i))
		}
	}
	return err
}

// giveUp records a failure, which then stands for the whole batch: a rerun of
// what failed is a batch of its own. The case waits for a person.
func (r *Runner) giveUp(ctx context.Context, item batch.Item, stage string, code batch.Code, tried int) (Step, error) {
	r.Log.ErrorContext(ctx, "gave up", "line", item.Row, "stage", stage, "code", code)
	if err := cases.Alive(ctx, r.Cases, item.Case); errors.Is(err, cases.ErrErased) {
		return Step{Code: string(batch.Erased)}, nil
	} else if err != nil {
		return Step{}, err
	}
	body, err := cases.Encode(casefile.Failure{
		Schema: casefile.Schema, Case: item.Case, N: item.N, Stage: stage, Condition: string(code), Tries: tried,
		Source: casefile.Source{Bucket: Bucket, Key: item.Photo}, Version: r.Version, Time: r.Now().UTC(),
	})
	if err != nil {
		return Step{}, err
	}
	key := casefile.FailureKey(item.Case, casefile.PhotoCause(item.N))
	stored, err := cases.WriteOnce[casefile.Failure](ctx, r.Cases, key, body)
	if err != nil {
		return Step{}, fmt.Errorf("write failure: %w", err)
	}
	markers := casefile.Marker(item.Case, casefile.StateFailed, stored.Object.Time, item.Facts.SumCents)
	if err := cases.Mark(ctx, r.Cases, markers); err != nil {
		return Step{}, err
	}
	return Step{Code: string(code)}, nil
}

// FindDuplicates compares the photos of the whole batch. It holds a line of
// hashes for each.
func (r *Runner) FindDuplicates(ctx context.Context) (int, error) {
	if r.Duplicates == nil {
		return 0, nil
	}
	var pictures []duplicate.Picture
	err := r.Walk(func(item batch.Item) error {
		if err := ctx.Err(); err != nil || item.Problem != nil {
			return err
		}
		e, err := cases.Read[casefile.Estimate](ctx, r.Cases, casefile.EstimateKey(item.Case, item.N))
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read estimate: %w", err)
		}
		if e.Object.Code == reason.OK && !e.Erased { // a refused photo is quoted on nothing
			pictures = append(pictures, duplicate.Of(e.Object))
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	n, err := r.Duplicates.Batch(ctx, pictures)
	if err != nil {
		return 0, fmt.Errorf("find duplicates: %w", err)
	}
	return n, nil
}

// QuoteAll quotes every item whose photo was read. One that is quoted already
// is sent again: quote finds what stands, and mends a marker that is missing.
func (r *Runner) QuoteAll(ctx context.Context) error { return r.each(ctx, r.quote) }

func (r *Runner) quote(ctx context.Context, item batch.Item) (Step, error) {
	if item.Problem != nil {
		return Step{Code: string(item.Problem.Code)}, nil
	}
	before, done, err := r.standing(ctx, item)
	if err != nil {
		return Step{}, err
	}
	if !done {
		return Step{Code: string(batch.Erased)}, nil // nothing else leaves the first phase without either
	}
	if before.Code != string(reason.OK) {
		return Step{Code: before.Code}, nil
	}
	if step, done, err := r.failed(ctx, item); done || err != nil {
		return step, err
	}
	cause := event.Cause{Case: item.Case, Cause: casefile.PhotoCause(item.N), Code: reason.OK}
	var answer quote.Answer
	if before.Before, err = r.Cases.Exists(ctx, casefile.QuoteKey(cause.Case, cause.Cause)); err != nil {
		return Step{}, err
	}
	err = r.try(ctx, func() (err error) {
		answer, err = r.Quote.Handle(ctx, event.Quote{Cases: []event.Cause{cause}})
		return err
	})
	switch {
	case err != nil:
		return r.giveUp(ctx, item, batch.StageQuote, batch.GaveUp, tries)
	case len(answer.Quotes) == 0:
		return Step{Code: string(batch.Erased)}, nil
	}
	return Step{Code: string(reason.OK), Decided: string(answer.Quotes[0].Decision), Before: before.Before}, nil
}

// Tally counts steps. It may be used by many goroutines.
type Tally struct {
	done, before atomic.Int64
	mu           sync.Mutex
	counts       map[string]int
}

// Add counts a step under its decision, else its code, and returns how many
// there are.
func (t *Tally) Add(s Step) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = map[string]int{}
	}
	name := s.Decided
	if name == "" {
		name = s.Code
	}
	t.counts[name]++
	if s.Before {
		t.before.Add(1)
	}
	return int(t.done.Add(1))
}

// Counts returns the number of steps by decision or code, of all, and of those
// that were finished before this run.
func (t *Tally) Counts() (counts map[string]int, all, before int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	counts = make(map[string]int, len(t.counts))
	for name, n := range t.counts {
		counts[name] = n
	}
	return counts, int(t.done.Load()), int(t.before.Load())
}
