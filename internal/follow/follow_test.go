package follow_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/follow"
	"github.com/agequote/agequote/internal/metrics"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/registry"
	"github.com/agequote/agequote/internal/store"
)

// fake is a model that knows whether it was closed.
type fake struct {
	name   string
	closed atomic.Int32
}

func (f *fake) Look([]byte) (age.Estimate, string, error) {
	if f.closed.Load() > 0 {
		return age.Estimate{}, "", errors.New("closed model")
	}
	return age.Estimate{}, "", nil
}
func (f *fake) Hash() string              { return f.name }
func (f *fake) Manifest() *model.Manifest { return &model.Manifest{} }
func (f *fake) Close() error              { f.closed.Add(1); return nil }

// flaky is a store that can be out of reach, wholly or for packages alone.
type flaky struct {
	*store.Memory
	down, packagesDown atomic.Bool
}

func (f *flaky) Get(ctx context.Context, key string, limit int64) ([]byte, error) {
	if f.down.Load() || f.packagesDown.Load() && strings.HasPrefix(key, "models/") {
		return nil, errors.New("connection reset")
	}
	return f.Memory.Get(ctx, key, limit)
}

func (f *flaky) List(ctx context.Context, prefix string) ([]string, error) {
	if f.down.Load() {
		return nil, errors.New("connection reset")
	}
	return f.Memory.List(ctx, prefix)
}

// world is a follower of a registry in memory, with a clock to set.
type world struct {
	*follow.Follower
	store    *flaky
	registry *registry.Registry
	log, out bytes.Buffer
	now      time.Time
	loads    map[string]int // by model
	loaded   []*fake
	n        int // last record
}

func newWorld() *world {
	w := &world{store: &flaky{Memory: new(store.Memory)}, now: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC), loads: map[string]int{}}
	w.registry = &registry.Registry{Objects: w.store}
	open := func(name string) follow.Model {
		m := &fake{name: name}
		w.loaded = append(w.loaded, m)
		return m
	}
	w.Follower = &follow.Follower{
		Registry: w.registry,
		Load: func(files fs.FS) (follow.Model, error) {
			manifest, err := fs.ReadFile(files, "manifest.json")
			if err != nil {
				return nil, err
			}
			w.loads[string(manifest)]++
			if strings.HasPrefix(string(manifest), "broken") {
				return nil, errors.New("network cannot be loaded")
			}
			return open(digest.Of(manifest)), nil
		},
		Packaged: func() (follow.Model, error) { return open("packaged"), nil },
		Interval: 30 * time.Second,
		Metrics:  &metrics.Recorder{Out: &w.out, Namespace: "test", Now: func() time.Time { return w.now }},
		Log:      slog.New(slog.NewTextHandler(&w.log, nil)),
		Now:      func() time.Time { return w.now },
	}
	return w
}

// live points to a model whose manifest is this text, after publishing it
// unless it is "missing".
func (w *world) live(t *testing.T, manifest string) string {
	t.Helper()
	hash := digest.Of([]byte(manifest))
	if manifest != "missing" {
		if _, err := w.registry.Upload(t.Context(), registry.Package{Manifest: []byte(manifest)}); err != nil {
			t.Fatal(err)
		}
	}
	w.point(t, hash)
	return hash
}

func (w *world) point(t *testing.T, model string) {
	t.Helper()
	w.n++
	if err := w.registry.Append(t.Context(), registry.Live{N: w.n, Model: model}); err != nil {
		t.Fatal(err)
	}
}

// serves returns the model that the next event gets.
func (w *world) serves(t *testing.T) string {
	t.Helper()
	m, done := w.Acquire(t.Context())
	defer done()
	if _, _, err := m.Look(nil); err != nil {
		t.Error(err)
	}
	return m.Hash()
}

func (w *world) count(metric string) int { return strings.Count(w.out.String(), `"`+metric+`":1`) }

func start(t *testing.T, w *world) {
	t.Helper()
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestFollow moves the pointer while events come.
func TestFollow(t *testing.T) {
	w := newWorld()
	start(t, w)
	if got := w.serves(t); got != "packaged" {
		t.Errorf("with an empty registry %s serves", got)
	}

	a := w.live(t, "A")
	w.now = w.now.Add(29 * time.Second)
	if got := w.serves(t); got != "packaged" {
		t.Errorf("%s serves before it is time to look", got)
	}
	w.now = w.now.Add(time.Second)
	if got := w.serves(t); got != a {
		t.Errorf("%s serves after the interval, want A", got)
	}
	if w.loaded[0].closed.Load() != 1 {
		t.Error("the packaged model was not closed once")
	}

	w.now = w.now.Add(30 * time.Second)
	w.point(t, a) // a second record of the same model
	if w.serves(t); w.loads["A"] != 1 {
		t.Errorf("A was loaded %d times", w.loads["A"])
	}
	w.now = w.now.Add(30 * time.Second)
	w.point(t, registry.Packaged)
	if got := w.serves(t); got != "packaged" {
		t.Errorf("%s serves after a rollback to the packaged model", got)
	}
	if n := w.count("ModelRefused") + w.count("ModelLookErrors"); n != 0 {
		t.Errorf("%d complaints: %s", n, &w.log)
	}
}

// TestPackagedIsNotFetched has the packaged model live by its own hash, and then
// a deployment that lost its files.
func TestPackagedIsNotFetched(t *testing.T) {
	for _, tt := range []struct {
		lost  error
		loads int
	}{{nil, 0}, {errors.New("file is missing"), 1}} {
		w := newWorld()
		w.PackagedHash = w.live(t, "A")
		w.Packaged = func() (follow.Model, error) { return &fake{name: w.PackagedHash}, tt.lost }
		start(t, w)
		if got := w.serves(t); got != w.PackagedHash || w.loads["A"] != tt.loads {
			t.Errorf("with the packaged files lost %v: %s serves, fetched %d times, want %d", tt.lost != nil, got, w.loads["A"], tt.loads)
		}
	}
}

// TestRefuse points to models that cannot be used: the old one stays, it is
// told once, and a better pointer is followed at once.
func TestRefuse(t *testing.T) {
	for _, manifest := range []string{"broken network", "missing"} {
		t.Run(manifest, func(t *testing.T) {
			w := newWorld()
			a := w.live(t, "A")
			start(t, w)
			broken := w.live(t, manifest)
			for range 5 { // two and a half minutes
				w.now = w.now.Add(30 * time.Second)
				if got := w.serves(t); got != a {
					t.Errorf("%s serves, want A", got)
				}
			}
			if n := w.count("ModelRefused"); n != 1 {
				t.Errorf("refused %d times, want once", n)
			}
			if n := strings.Count(w.log.String(), "level=ERROR"); n != 1 || !strings.Contains(w.log.String(), broken) {
				t.Errorf("%d error lines, want one that names the model:\n%s", n, &w.log)
			}
			w.now = w.now.Add(10 * time.Minute)
			if w.serves(t); w.count("ModelRefused") != 2 {
				t.Error("it was not tried again")
			}
			c := w.live(t, "C")
			w.now = w.now.Add(30 * time.Second)
			if got := w.serves(t); got != c {
				t.Errorf("%s serves, want C", got)
			}
		})
	}
}

// TestOutOfReach cuts the registry off: what serves goes on, and the pointer is
// followed as soon as that is possible.
func TestOutOfReach(t *testing.T) {
	w := newWorld()
	a := w.live(t, "A")
	start(t, w)
	b := w.live(t, "B")
	w.store.down.Store(true)
	w.now = w.now.Add(30 * time.Second)
	if got := w.serves(t); got != a {
		t.Errorf("%s serves, want A", got)
	}
	if w.count("ModelLookErrors") != 1 || w.count("ModelRefused") != 0 {
		t.Errorf("metrics: %s", &w.out)
	}
	w.store.down.Store(false)
	w.now = w.now.Add(30 * time.Second)
	if got := w.serves(t); got != b {
		t.Errorf("%s serves, want B", got)
	}
}

// TestStart starts on registries in all conditions.
func TestStart(t *testing.T) {
	tests := []struct {
		name    string
		live    []string // manifests, in order
		down    func(*flaky)
		want    string // manifest; "packaged"
		refused int
		err     bool
	}{
		{name: "empty", want: "packaged"},
		{name: "live", live: []string{"A", "B"}, want: "B"},
		{name: "live is broken", live: []string{"A", "broken"}, want: "A", refused: 1},
		{name: "live is broken under two records", live: []string{"A", "broken", "broken"}, want: "A", refused: 1},
		{name: "all are broken", live: []string{"broken 1", "missing"}, want: "packaged", refused: 2},
		{name: "only the last three are tried", live: []string{"A", "broken 1", "broken 2", "broken 3"}, want: "packaged", refused: 3},
		{name: "out of reach", live: []string{"A"}, down: func(s *flaky) { s.down.Store(true) }, err: true},
		{name: "packages out of reach", live: []string{"A"}, down: func(s *flaky) { s.packagesDown.Store(true) }, err: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			for _, manifest := range tt.live {
				w.live(t, manifest)
			}
			if tt.down != nil {
				tt.down(w.store)
			}
			if err := w.Start(t.Context()); (err != nil) != tt.err {
				t.Fatalf("Start = %v", err)
			}
			if tt.err {
				return
			}
			want := tt.want
			if want != "packaged" {
				want = digest.Of([]byte(want))
			}
			if got := w.serves(t); got != want || w.count("ModelRefused") != tt.refused {
				t.Errorf("%s serves, want %s; refused %d, want %d", got, want, w.count("ModelRefused"), tt.refused)
			}
			w.now = w.now.Add(time.Minute) // what was refused at the start is left alone
			if w.serves(t); w.count("ModelRefused") != tt.refused {
				t.Error("refused again a minute later")
			}
		})
	}
}

// TestStartNeedsAModel has neither a live nor a packaged model.
func TestStartNeedsAModel(t *testing.T) {
	w := newWorld()
	w.Packaged = func() (follow.Model, error) { return nil, model.ErrUse }
	if err := w.Start(t.Context()); !errors.Is(err, model.ErrUse) {
		t.Errorf("Start = %v, want ErrUse", err)
	}
	a := w.live(t, "A")
	start(t, w) // the packaged model is not needed now
	w.point(t, registry.Packaged)
	w.now = w.now.Add(time.Minute)
	if got := w.serves(t); got != a || w.count("ModelRefused") != 1 {
		t.Errorf("%s serves, want A; %d refused", got, w.count("ModelRefused"))
	}
}

// TestInFlight keeps a model open for as long as an event uses it.
func TestInFlight(t *testing.T) {
	w := newWorld()
	start(t, w)
	m, done := w.Acquire(t.Context())
	a := w.live(t, "A")
	w.now = w.now.Add(time.Minute)
	if got := w.serves(t); got != a {
		t.Errorf("%s serves, want A", got)
	}
	if _, _, err := m.Look(nil); err != nil {
		t.Errorf("a photo in flight: %v", err)
	}
	done()
	done() // does nothing
	if n := w.loaded[0].closed.Load(); n != 1 {
		t.Errorf("the old model was closed %d times", n)
	}
}

// TestManyAtOnce has many events use the model while the pointer moves. Run it
// with -race.
func TestManyAtOnce(t *testing.T) {
	w := newWorld()
	start(t, w)
	w.Interval = 0
	ctx := t.Context()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				m, done := w.Acquire(ctx)
				if _, _, err := m.Look(nil); err != nil {
					t.Error(err)
				}
				done()
			}
		})
	}
	for i := range 10 {
		w.live(t, fmt.Sprint("model ", i))
	}
	wg.Wait()
	w.serves(t)
	for i, m := range w.loaded {
		want := int32(1)
		if i == len(w.loaded)-1 {
			want = 0
		}
		if got := m.closed.Load(); got != want {
			t.Errorf("model %d of %d was closed %d times, want %d", i, len(w.loaded), got, want)
		}
	}
}
