// Package store says how the handlers meet an object store: objects are written
// once and then stand. It holds the errors that every store returns, and a
// store in memory for tests and for work without AWS.
package store

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The errors that callers act on. Any other is passing trouble.
var (
	ErrNotFound = errors.New("object not found")
	ErrExists   = errors.New("object exists")
	ErrTooLarge = errors.New("object is larger than allowed")
	ErrDenied   = errors.New("access denied") // or missing, to one who may not list
)

// Version is one version of an object, or the marker that its deletion left in
// a bucket that keeps versions.
type Version struct {
	Key      string
	ID       string
	Latest   bool
	Marker   bool      // a deletion: it has no content
	Modified time.Time // when it was written
}

// Memory is a store in memory with the behaviour of an S3 bucket that keeps
// versions. The zero value is empty and ready for use by many goroutines.
type Memory struct {
	Now func() time.Time // for Version.Modified; nil: time.Now

	mu      sync.Mutex
	written int                 // counts all writes, to name versions
	objects map[string][]stored // by key, the oldest first
}

// stored is a version as Memory keeps it.
type stored struct {
	Version
	body []byte
}

// Get returns an object of at most limit bytes: ErrNotFound, ErrTooLarge.
func (m *Memory) Get(ctx context.Context, key string, limit int64) ([]byte, error) {
	return m.GetVersion(ctx, key, "", limit)
}

// GetVersion is Get of one version of an object; an empty version is the
// latest.
func (m *Memory) GetVersion(_ context.Context, key, version string, limit int64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	versions := m.objects[key]
	at := len(versions) - 1
	if version != "" {
		at = slices.IndexFunc(versions, func(v stored) bool { return v.ID == version })
	}
	switch {
	case at < 0 || versions[at].Marker:
		return nil, ErrNotFound
	case int64(len(versions[at].body)) > limit:
		return nil, ErrTooLarge
	}
	return slices.Clone(versions[at].body), nil
}

// PutIfAbsent writes an object that does not exist yet: ErrExists.
func (m *Memory) PutIfAbsent(_ context.Context, key string, body []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stands(key) {
		return ErrExists
	}
	m.add(key, body, false)
	return nil
}

// Overwrite writes an object whether it exists or not. The version before it
// stays.
func (m *Memory) Overwrite(_ context.Context, key string, body []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add(key, body, false)
	return nil
}

// List returns the names that start with prefix, in order.
func (m *Memory) List(_ context.Context, prefix string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []string
	for key := range m.objects {
		if strings.HasPrefix(key, prefix) && m.stands(key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// ListAfter returns at most limit names that start with prefix and come after
// the name after, in order.
func (m *Memory) ListAfter(ctx context.Context, prefix, after string, limit int) ([]string, error) {
	keys, err := m.List(ctx, prefix)
	from, found := slices.BinarySearch(keys, after)
	if found {
		from++
	}
	return keys[from:min(from+limit, len(keys))], err
}

// Versions returns every version under prefix, by name and then from the
// newest to the oldest.
func (m *Memory) Versions(_ context.Context, prefix string) ([]Version, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Version
	for _, key := range slices.Sorted(maps.Keys(m.objects)) {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		for i, v := range slices.Backward(m.objects[key]) {
			v.Latest = i == len(m.objects[key])-1
			out = append(out, v.Version)
		}
	}
	return out, nil
}

// Delete hides an object behind a marker; one that does not exist is no error.
func (m *Memory) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add(key, nil, true)
	return nil
}

// DeleteVersion removes one version for good; one that does not exist is no
// error.
func (m *Memory) DeleteVersion(_ context.Context, key, version string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	left := slices.DeleteFunc(m.objects[key], func(v stored) bool { return v.ID == version })
	if m.objects[key] = left; len(left) == 0 {
		delete(m.objects, key)
	}
	return nil
}

// stands tells whether the latest version is no marker.
func (m *Memory) stands(key string) bool {
	versions := m.objects[key]
	return len(versions) > 0 && !versions[len(versions)-1].Marker
}

func (m *Memory) add(key string, body []byte, marker bool) {
	now := time.Now
	if m.Now != nil {
		now = m.Now
	}
	if m.objects == nil {
		m.objects = map[string][]stored{}
	}
	m.written++
	m.objects[key] = append(m.objects[key], stored{
		Version: Version{Key: key, ID: strconv.Itoa(m.written), Marker: marker, Modified: now()},
		body:    slices.Clone(body),
	})
}
