package storetest

import (
	"context"
	"sync"

	"github.com/agequote/agequote/internal/store"
)

// Asked is a store in memory that writes down each request as S3 would be asked:
// "GET key", "LIST prefix", "PUT key". It is for tests of how many there are.
type Asked struct {
	Objects store.Memory // reached by this name, unnoticed

	mu       sync.Mutex
	requests []string
}

// Requests returns the requests since the last call, in order.
func (a *Asked) Requests() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	since := a.requests
	a.requests = nil
	return since
}

func (a *Asked) ask(method, key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests = append(a.requests, method+" "+key)
}

// Get asks the store.
func (a *Asked) Get(ctx context.Context, key string, limit int64) ([]byte, error) {
	return a.GetVersion(ctx, key, "", limit)
}

// GetVersion asks the store.
func (a *Asked) GetVersion(ctx context.Context, key, version string, limit int64) ([]byte, error) {
	a.ask("GET", key)
	return a.Objects.GetVersion(ctx, key, version, limit)
}

// List asks the store.
func (a *Asked) List(ctx context.Context, prefix string) ([]string, error) {
	a.ask("LIST", prefix)
	return a.Objects.List(ctx, prefix)
}

// PutIfAbsent asks the store.
func (a *Asked) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	a.ask("PUT", key)
	return a.Objects.PutIfAbsent(ctx, key, body)
}
