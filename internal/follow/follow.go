// Package follow keeps the live model in memory: it looks at the registry's
// pointer now and then, loads what became live, and lets the photos that are
// being read finish on the model that they began with. What cannot be loaded is
// refused, told, and leaves the old model where it is.
package follow

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/metrics"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/registry"
)

const (
	lookTimeout = 5 * time.Second
	loadTimeout = 30 * time.Second

	// retryRefused is how long a pointer that was refused is left alone. A new
	// pointer is looked at at once.
	retryRefused = 10 * time.Minute

	// maxFallback is how many models are tried at the start, from the live one
	// back, before the packaged one serves.
	maxFallback = 3
)

// What we need of others, no more.
type (
	source interface {
		Numbers(ctx context.Context) ([]int, error)
		Record(ctx context.Context, n int) (registry.Live, string, error)
		Files(ctx context.Context, model string) fs.ReadFileFS
	}
	recorder interface {
		Record(dimensions map[string]string, values ...metrics.Value)
	}
)

// Model is a loaded model.
type Model interface {
	Look(photo []byte) (age.Estimate, string, error) // see predict.Estimator
	Hash() string
	Manifest() *model.Manifest
	Close() error
}

// Follower hands out the live model. Start must have been called.
type Follower struct {
	Registry source
	Load     func(fs.FS) (Model, error) // reads, verifies, opens and tests a package
	Packaged func() (Model, error)      // opens the model that the function was deployed with
	// PackagedHash is that model's hash. A new instance need not fetch from the
	// registry what came with its code: those megabytes are most of a cold start.
	PackagedHash string
	Interval     time.Duration // between two looks at the pointer
	Metrics      recorder
	Log          *slog.Logger
	Now          func() time.Time

	mu      sync.Mutex
	current *held
	at      int       // the record that current follows; 0 where nothing was ever live
	looked  time.Time // last look
	looking bool      // by one caller; the others go on with what there is
	refused int       // the last record whose model could not be used
	again   time.Time // when it is tried again
}

// held is a model with the number of those who use it.
type held struct {
	Model
	users  int
	closed bool
}

// Start loads the model that is live, or the one that was live before where
// that one is broken, or the packaged one. It fails where the registry cannot be
// asked, so that no instance serves another model for a passing trouble, and
// where the packaged model is needed and cannot be used.
func (f *Follower) Start(ctx context.Context) error {
	numbers, err := f.numbers(ctx)
	if err != nil {
		return err
	}
	f.looked = f.Now()
	tried := map[string]bool{}
	for i := len(numbers) - 1; i >= 0 && len(tried) < maxFallback; i-- {
		n := numbers[i]
		record, m, err := f.load(ctx, n, tried)
		switch {
		case err == nil && m == nil: // tried under another number
			continue
		case err == nil:
			f.current, f.at = &held{Model: m}, n
			f.Log.InfoContext(ctx, "model is live", "record", n, "model", m.Hash())
			return nil
		case errors.Is(err, registry.ErrUnavailable):
			return err
		}
		tried[record.Model] = true
		f.refuse(ctx, n, record.Model, err)
	}
	m, err := f.Packaged()
	if err != nil {
		return err
	}
	f.current = &held{Model: m}
	f.Log.InfoContext(ctx, "packaged model is live", "model", m.Hash())
	return nil
}

// load loads the model of the n-th record; nil where it is among those that
// were tried.
func (f *Follower) load(ctx context.Context, n int, tried map[string]bool) (registry.Live, Model, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	record, _, err := f.Registry.Record(ctx, n)
	if err != nil {
		if !errors.Is(err, registry.ErrBroken) {
			err = fmt.Errorf("%w: %w", registry.ErrUnavailable, err)
		}
		return record, nil, err
	}
	if tried[record.Model] {
		return record, nil, nil
	}
	if record.Model == registry.Packaged {
		m, err := f.Packaged()
		return record, m, err
	}
	if record.Model == f.PackagedHash {
		if m, err := f.Packaged(); err == nil {
			return record, m, nil
		} // the registry's may be whole
	}
	m, err := f.Load(f.Registry.Files(ctx, record.Model))
	return record, m, err
}

func (f *Follower) numbers(ctx context.Context) ([]int, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return f.Registry.Numbers(ctx)
}

// Acquire returns the live model, after a look at the pointer where the last
// one is older than Interval. The caller calls done when it is finished with
// the model.
func (f *Follower) Acquire(ctx context.Context) (m Model, done func()) {
	f.look(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.current
	h.users++
	return h, sync.OnceFunc(func() {
		f.mu.Lock()
		h.users--
		f.mu.Unlock()
		f.closeUnused(ctx, h)
	})
}

// look follows the pointer if it is time to. Only one caller looks.
func (f *Follower) look(ctx context.Context) {
	f.mu.Lock()
	due := !f.looking && f.Now().Sub(f.looked) >= f.Interval
	if due {
		f.looking = true
	}
	f.mu.Unlock()
	if !due {
		return
	}
	err := f.follow(ctx)
	if err != nil {
		f.Log.ErrorContext(ctx, "look for the live model", "err", err)
		f.Metrics.Record(nil, metrics.Value{Name: "ModelLookErrors", Unit: metrics.Count, V: 1})
	}
	f.mu.Lock()
	f.looking, f.looked = false, f.Now()
	f.mu.Unlock()
}

// follow loads what the pointer names, if it has moved. It changes nothing
// where it returns an error, which is a passing trouble.
func (f *Follower) follow(ctx context.Context) error {
	numbers, err := f.numbers(ctx)
	if err != nil {
		return err
	}
	last := 0
	if len(numbers) > 0 {
		last = numbers[len(numbers)-1]
	}
	if last == f.at || last == f.refused && f.Now().Before(f.again) {
		return nil
	}
	var record registry.Live
	var m Model
	if last == 0 { // the records were taken away
		m, err = f.Packaged()
	} else {
		record, m, err = f.load(ctx, last, map[string]bool{f.current.Hash(): true})
	}
	switch {
	case errors.Is(err, registry.ErrUnavailable):
		return err
	case err != nil:
		f.refuse(ctx, last, record.Model, err)
		return nil
	case m == nil: // it is the model that serves already
		f.at = last
		return nil
	}
	f.swap(ctx, last, m)
	return nil
}

// swap makes m the current model. The old one is closed when nobody uses it.
func (f *Follower) swap(ctx context.Context, n int, m Model) {
	f.mu.Lock()
	old := f.current
	f.current, f.at = &held{Model: m}, n
	f.mu.Unlock()
	f.Log.InfoContext(ctx, "model is live", "record", n, "model", m.Hash(), "before", old.Hash())
	f.closeUnused(ctx, old)
}

// closeUnused frees a model that is neither current nor in use.
func (f *Follower) closeUnused(ctx context.Context, h *held) {
	f.mu.Lock()
	unused := h != f.current && h.users == 0 && !h.closed
	h.closed = h.closed || unused
	f.mu.Unlock()
	if !unused {
		return
	}
	if err := h.Close(); err != nil {
		f.Log.ErrorContext(ctx, "close old model", "err", err)
	}
}

// refuse tells of a model that cannot be used, and leaves it alone for a while.
func (f *Follower) refuse(ctx context.Context, n int, model string, err error) {
	f.refused, f.again = max(f.refused, n), f.Now().Add(retryRefused)
	f.Log.ErrorContext(ctx, "live model refused, the old one stays", "record", n, "model", model, "err", err)
	f.Metrics.Record(nil, metrics.Value{Name: "ModelRefused", Unit: metrics.Count, V: 1})
}
