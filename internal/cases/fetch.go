package cases

import (
	"context"
	"errors"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/agequote/agequote/internal/store"
)

// Fetcher reads objects of a case at the same time; what is done with each is
// done by one at a time.
type Fetcher struct {
	store getter
	ctx   context.Context // of whoever reads; a fetcher does not outlive it
	group *errgroup.Group
	mu    sync.Mutex
}

// fetchers is how many objects of a case are read at a time.
const fetchers = 8

// NewFetcher reads from s until ctx ends.
func NewFetcher(ctx context.Context, s getter) *Fetcher {
	f := &Fetcher{store: s}
	f.group, f.ctx = errgroup.WithContext(ctx)
	f.group.SetLimit(fetchers)
	return f
}

// Wait returns when all is read, with the first error.
func (f *Fetcher) Wait() error { return f.group.Wait() }

// Fetch reads one object for use. One that was deleted since it was listed is
// left out, and so is one whose error is among except.
func Fetch[T any](f *Fetcher, key string, use func(Stored[T]), except ...error) {
	f.group.Go(func() error {
		o, err := Read[T](f.ctx, f.store, key)
		left := func(e error) bool { return errors.Is(err, e) }
		if left(store.ErrNotFound) || slices.ContainsFunc(except, left) {
			return nil
		}
		if err != nil {
			return err
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		use(o)
		return nil
	})
}
