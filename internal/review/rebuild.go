package review

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
)

// Rebuilder makes the queue anew from the cases: markers that should stand and
// do not are written, and those that stand for nothing are removed.
type Rebuilder struct {
	Cases interface {
		markerStore
		List(ctx context.Context, prefix string) ([]string, error)
	}
	// Each calls do with the id of every case, in any order.
	Each   func(ctx context.Context, do func(id string) error) error
	Limits *Limits
	// Sample draws the blind sample anew; nil: of the sample's markers those that
	// stand stay, and none is written.
	Sample func(id string) bool
	DryRun bool // change nothing
	Now    func() time.Time
}

// Rebuilt is what a rebuild did, or with DryRun would have done.
type Rebuilt struct {
	Schema     int `json:"schema"`
	Cases      int `json:"cases"`
	Waiting    int `json:"waiting"` // of them; a blind sample is not counted
	Written    int `json:"written"` // markers
	Removed    int `json:"removed"`
	Unreadable int `json:"unreadable"` // cases; their markers stay as they are
}

// rebuildAtOnce is how many cases are read at a time.
const rebuildAtOnce = 16

// Run rebuilds the queue. Cases may be decided meanwhile: each is looked at
// whole, and what comes after it was looked at is settled by whoever does it.
func (b *Rebuilder) Run(ctx context.Context) (Rebuilt, error) {
	standing, err := b.standing(ctx)
	if err != nil {
		return Rebuilt{}, err
	}
	out := Rebuilt{Schema: casefile.Schema}
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(rebuildAtOnce)
	err = b.Each(gctx, func(id string) error {
		if !casefile.ValidID(id) {
			return nil
		}
		mu.Lock()
		have := standing[id]
		delete(standing, id)
		mu.Unlock()
		g.Go(func() error {
			one, err := b.one(gctx, id, have)
			if err != nil {
				return fmt.Errorf("rebuild a case: %w", err)
			}
			mu.Lock()
			defer mu.Unlock()
			out.add(one)
			return nil
		})
		return gctx.Err()
	})
	if err := errors.Join(g.Wait(), err); err != nil {
		return out, err
	}
	for _, keys := range standing { // of no case
		if err := b.remove(ctx, keys, &out); err != nil {
			return out, err
		}
	}
	return out, nil
}

func (r *Rebuilt) add(o Rebuilt) {
	r.Cases++
	r.Waiting += o.Waiting
	r.Written += o.Written
	r.Removed += o.Removed
	r.Unreadable += o.Unreadable
}

// standing returns the markers that there are, by case.
func (b *Rebuilder) standing(ctx context.Context) (map[string][]string, error) {
	keys, err := b.Cases.List(ctx, "queue/")
	if err != nil {
		return nil, fmt.Errorf("list queue: %w", err)
	}
	out := map[string][]string{}
	for _, key := range keys {
		if m, ok := parseMarker(key); ok {
			out[m.id] = append(out[m.id], key)
		}
	}
	return out, nil
}

func (b *Rebuilder) one(ctx context.Context, id string, have []string) (Rebuilt, error) {
	var out Rebuilt
	c, err := Read(ctx, b.Cases, id, true)
	switch {
	case errors.Is(err, cases.ErrErased), errors.Is(err, ErrNoCase):
		return out, b.remove(ctx, have, &out)
	case errors.Is(err, cases.ErrUnreadable):
		out.Unreadable = 1
		return out, nil
	case err != nil:
		return out, err
	}
	want := c.markers(b.Limits, b.Now())
	if len(want) > 0 {
		out.Waiting = 1
	}
	if sample := c.sampleMarkers(); len(sample) > 0 {
		drawn := b.Sample != nil && b.Sample(id) || b.Sample == nil && slices.Contains(have, sample[0])
		if drawn {
			want = append(want, sample...)
		}
	}
	var missing []string
	for _, key := range want {
		if !slices.Contains(have, key) {
			missing = append(missing, key)
		}
	}
	out.Written = len(missing)
	if !b.DryRun {
		if err := cases.Mark(ctx, b.Cases, missing); err != nil {
			return out, err
		}
	}
	return out, b.remove(ctx, slices.DeleteFunc(have, func(key string) bool { return slices.Contains(want, key) }), &out)
}

func (b *Rebuilder) remove(ctx context.Context, keys []string, out *Rebuilt) error {
	if !b.DryRun {
		if err := cases.Unmark(ctx, b.Cases, keys...); err != nil {
			return err
		}
	}
	out.Removed += len(keys)
	return nil
}
