// Package store says how the handlers meet an object store: objects are written
// once and then stand. It holds the errors that every store returns, and a
// store in memory for tests and for work without AWS.
package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
)

// The errors that callers act on. Any other is passing trouble.
var (
	ErrNotFound = errors.New("object not found")
	ErrExists   = errors.New("object exists")
	ErrTooLarge = errors.New("object is larger than allowed")
	ErrDenied   = errors.New("access denied") // or missing, to one who may not list
)

// Memory is a store in memory with the behaviour of an S3 bucket. The zero
// value is empty and ready for use by many goroutines.
type Memory struct {
	mu      sync.Mutex
	objects map[string][]byte
}

// Get returns an object of at most limit bytes: ErrNotFound, ErrTooLarge.
func (m *Memory) Get(_ context.Context, key string, limit int64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.objects[key]
	switch {
	case !ok:
		return nil, ErrNotFound
	case int64(len(b)) > limit:
		return nil, ErrTooLarge
	}
	return slices.Clone(b), nil
}

// GetVersion returns the only version that there is.
func (m *Memory) GetVersion(ctx context.Context, key, _ string, limit int64) ([]byte, error) {
	return m.Get(ctx, key, limit)
}

// PutIfAbsent writes an object that does not exist yet: ErrExists.
func (m *Memory) PutIfAbsent(_ context.Context, key string, body []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.objects[key]; ok {
		return ErrExists
	}
	if m.objects == nil {
		m.objects = map[string][]byte{}
	}
	m.objects[key] = slices.Clone(body)
	return nil
}

// List returns the names that start with prefix, in order.
func (m *Memory) List(_ context.Context, prefix string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []string
	for key := range m.objects {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// Delete removes an object; one that does not exist is no error.
func (m *Memory) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
	return nil
}
