package cases

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/store"
)

// reader is a store that is listed and read.
type reader interface {
	getter
	lister
}

// Folder is a case by the names of its objects as they stood at one time, so
// that one request tells what else would be asked for name by name. A listing is
// no snapshot: of two objects that came while it was made the later one alone may
// be in it.
type Folder struct {
	store reader
	id    string
	names []string
}

// Look lists the names of a case; one that does not exist has none. Customers
// can add no more of them than one request lists (1,000 on S3): package onboard
// bounds their applications, photos and complaints.
func Look(ctx context.Context, s reader, id string) (Folder, error) {
	names, err := s.List(ctx, casefile.Prefix(id))
	if err != nil {
		return Folder{}, fmt.Errorf("list case: %w", err)
	}
	return Folder{s, id, names}, nil
}

// Erased tells whether the case had a tombstone. It is asked as Alive is: before
// any work on the case.
func (f Folder) Erased() bool { return f.Has(casefile.DeletedKey(f.id)) }

// Has tells whether an object of this name stood.
func (f Folder) Has(key string) bool { return slices.Contains(f.names, key) }

// Under returns the names that start with prefix, in order.
func (f Folder) Under(prefix string) []string {
	var under []string
	for _, key := range f.names {
		if strings.HasPrefix(key, prefix) {
			under = append(under, key)
		}
	}
	return under
}

// LatestApplication returns the application with the highest number, or
// store.ErrNotFound.
func (f Folder) LatestApplication(ctx context.Context) (Stored[casefile.Application], error) {
	keys := f.applications()
	if len(keys) == 0 {
		return Stored[casefile.Application]{}, store.ErrNotFound
	}
	return Read[casefile.Application](ctx, f.store, keys[0])
}

// ConsentingApplication returns the newest application that says anything of
// consent, be it that it was withdrawn, or store.ErrNotFound. A corrected fact
// need not repeat the consent.
func (f Folder) ConsentingApplication(ctx context.Context) (Stored[casefile.Application], error) {
	for _, key := range f.applications() {
		a, err := Read[casefile.Application](ctx, f.store, key)
		if err != nil || a.Object.Consent != nil {
			return a, err
		}
	}
	return Stored[casefile.Application]{}, store.ErrNotFound
}

// applications returns the names of the case's applications, the newest first.
func (f Folder) applications() []string {
	number := func(key string) int {
		n, err := strconv.Atoi(strings.TrimSuffix(path.Base(key), ".json"))
		if err != nil {
			return 0
		}
		return n
	}
	keys := slices.DeleteFunc(f.Under(casefile.ApplicationPrefix(f.id)), func(key string) bool { return number(key) < 1 })
	slices.SortFunc(keys, func(a, b string) int { return number(b) - number(a) })
	return keys
}
