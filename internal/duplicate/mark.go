package duplicate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/store"
)

// caseStore is what we need of the cases bucket.
type caseStore interface {
	Get(ctx context.Context, key string, limit int64) ([]byte, error)
	List(ctx context.Context, prefix string) ([]string, error)
	PutIfAbsent(ctx context.Context, key string, body []byte) error
}

// Marker records duplicates in the cases bucket. Its fields are set by a main
// or a test.
type Marker struct {
	Cases   caseStore
	Version string // code version, for the stored objects
	Now     func() time.Time
}

// Batch finds and records the duplicates of a batch: among its own photos the
// same file and the same picture, and in the index of all photos the same file
// of any other case. It comes after every photo of the batch was read and
// before any is quoted. Calling it again changes nothing, and for the same
// index it records the same. It returns how many photos have duplicates.
func (m *Marker) Batch(ctx context.Context, pictures []Picture) (int, error) {
	found := map[Picture][]casefile.Duplicate{}
	alive := m.aliveOnce(ctx)
	for _, match := range Find(pictures) {
		a, b := match.A, match.B
		both, err := alive(a.Case, b.Case)
		if err != nil {
			return 0, err
		}
		if !both {
			continue
		}
		found[a] = append(found[a], casefile.Duplicate{Case: b.Case, N: b.N, Kind: match.Kind, Distance: match.Distance})
		found[b] = append(found[b], casefile.Duplicate{Case: a.Case, N: a.N, Kind: match.Kind, Distance: match.Distance})
	}
	var marked atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(lookups)
	for _, p := range pictures {
		group.Go(func() error {
			indexed, err := m.indexed(ctx, p)
			if err != nil {
				return err
			}
			any, err := m.write(ctx, p, append(indexed, found[p]...))
			if errors.Is(err, cases.ErrErased) {
				return nil // since its photo was read
			}
			if any {
				marked.Add(1)
			}
			return err
		})
	}
	err := group.Wait()
	return int(marked.Load()), err
}

// lookups is how many photos of a batch are looked up at a time: on AWS each
// waits for S3, and a batch of 100,000 has minutes.
const lookups = 32

// aliveOnce returns a function that tells whether none of some cases is erased,
// and looks for each once.
func (m *Marker) aliveOnce(ctx context.Context) func(ids ...string) (bool, error) {
	known := map[string]bool{}
	return func(ids ...string) (bool, error) {
		for _, id := range ids {
			if _, ok := known[id]; !ok {
				err := cases.Alive(ctx, m.Cases, id)
				if err != nil && !errors.Is(err, cases.ErrErased) {
					return false, err
				}
				known[id] = err == nil
			}
			if !known[id] {
				return false, nil
			}
		}
		return true, nil
	}
}

// File enters a photo into the index of files and records its duplicates in
// the index. The entry is written before the index is read: of two that do so
// at once at least the later one finds the other.
func (m *Marker) File(ctx context.Context, p Picture) error {
	if err := m.Enter(ctx, p); err != nil {
		return err
	}
	indexed, err := m.indexed(ctx, p)
	if err != nil {
		return err
	}
	_, err = m.write(ctx, p, indexed)
	return err
}

// Enter enters a photo into the index of files.
func (m *Marker) Enter(ctx context.Context, p Picture) error {
	if p.Photo == "" {
		return nil
	}
	err := m.Cases.PutIfAbsent(ctx, casefile.PhotoIndexKey(p.Photo, p.Case, p.N), nil)
	if err != nil && !errors.Is(err, store.ErrExists) {
		return fmt.Errorf("write index entry: %w", err)
	}
	return nil
}

// indexed returns the photos of other cases that are the same file.
func (m *Marker) indexed(ctx context.Context, p Picture) ([]casefile.Duplicate, error) {
	if p.Photo == "" {
		return nil, nil
	}
	keys, err := m.Cases.List(ctx, casefile.PhotoIndexFolder(p.Photo))
	if err != nil {
		return nil, fmt.Errorf("list index: %w", err)
	}
	var out []casefile.Duplicate
	for _, key := range keys {
		id, n, ok := casefile.ParsePhotoIndexKey(key)
		if !ok || id == p.Case {
			continue // a retake with the same file is no duplicate
		}
		switch err := cases.Alive(ctx, m.Cases, id); {
		case errors.Is(err, cases.ErrErased):
			continue // its entry is about to go
		case err != nil:
			return nil, err
		}
		out = append(out, casefile.Duplicate{Case: id, N: n, Kind: casefile.SameFile})
		if len(out) == MaxNamed {
			break
		}
	}
	return out, nil
}

// write records duplicates, and tells whether any stand.
func (m *Marker) write(ctx context.Context, p Picture, of []casefile.Duplicate) (bool, error) {
	if len(of) == 0 {
		return false, nil
	}
	if err := cases.Alive(ctx, m.Cases, p.Case); err != nil {
		return false, err
	}
	body, err := cases.Encode(casefile.Duplicates{
		Schema: casefile.Schema, Case: p.Case, N: p.N, Of: order(of),
		Time: m.Now().UTC(), Version: m.Version,
	})
	if err != nil {
		return false, err
	}
	if _, err := cases.WriteOnce[casefile.Duplicates](ctx, m.Cases, casefile.DuplicatesKey(p.Case, p.N), body); err != nil {
		return false, fmt.Errorf("write duplicates: %w", err)
	}
	return true, nil
}

// MaxNamed bounds how many duplicates a photo names: a picture from the
// internet sent with a thousand cases need not name them all in each.
const MaxNamed = 50

// order sorts duplicates by case and number, the closest first where one photo
// is named twice, and leaves each once.
func order(of []casefile.Duplicate) []casefile.Duplicate {
	slices.SortFunc(of, func(a, b casefile.Duplicate) int {
		if c := (Picture{Case: a.Case, N: a.N}).compare(Picture{Case: b.Case, N: b.N}); c != 0 {
			return c
		}
		return rank(a) - rank(b)
	})
	of = slices.CompactFunc(of, func(a, b casefile.Duplicate) bool { return a.Case == b.Case && a.N == b.N })
	return of[:min(len(of), MaxNamed)]
}

// rank puts the same file before the same picture, and that by distance.
func rank(d casefile.Duplicate) int {
	if d.Kind == casefile.SameFile {
		return -1
	}
	return d.Distance
}
