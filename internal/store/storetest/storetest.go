// Package storetest is the suite that every store must pass, so that the one
// in memory behaves like the one that production uses.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/store"
)

// WriteOnce is a store whose objects are written and stand.
type WriteOnce interface {
	Get(ctx context.Context, key string, limit int64) ([]byte, error)
	PutIfAbsent(ctx context.Context, key string, body []byte) error
	List(ctx context.Context, prefix string) ([]string, error)
}

// Store is all that any handler asks of a store.
type Store interface {
	WriteOnce
	ListAfter(ctx context.Context, prefix, after string, limit int) ([]string, error)
	Delete(ctx context.Context, key string) error
	GetVersion(ctx context.Context, key, version string, limit int64) ([]byte, error)
	Overwrite(ctx context.Context, key string, body []byte) error
	Versions(ctx context.Context, prefix string) ([]store.Version, error)
	DeleteVersion(ctx context.Context, key, version string) error
}

// Conformance runs the suite against an empty store.
func Conformance(t *testing.T, s Store) {
	ConformanceWriteOnce(t, s)
	ctx := t.Context()
	t.Run("list a part", func(t *testing.T) {
		for _, name := range []string{"b", "d", "c", "a"} {
			if err := s.PutIfAbsent(ctx, "part/"+name, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		for _, tt := range []struct {
			after string
			limit int
			want  []string
		}{
			{"", 2, []string{"part/a", "part/b"}},
			{"part/b", 2, []string{"part/c", "part/d"}},
			{"part/bb", 9, []string{"part/c", "part/d"}},
			{"part/d", 9, []string{}},
		} {
			got, err := s.ListAfter(ctx, "part/", tt.after, tt.limit)
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("ListAfter(%q, %d): %v (-want +got)\n%s", tt.after, tt.limit, err, diff)
			}
		}
	})
	t.Run("delete", func(t *testing.T) {
		if err := s.PutIfAbsent(ctx, "cases/gone", []byte("x")); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time it is not there
			if err := s.Delete(ctx, "cases/gone"); err != nil {
				t.Errorf("Delete: %v", err)
			}
		}
		if _, err := s.Get(ctx, "cases/gone", 10); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get after Delete = %v, want ErrNotFound", err)
		}
	})
	t.Run("versions", func(t *testing.T) { versions(t, s) })
}

// ConformanceWriteOnce runs the part of the suite that needs no deletion.
func ConformanceWriteOnce(t *testing.T, s WriteOnce) {
	ctx := t.Context()
	put := func(key, body string) {
		t.Helper()
		if err := s.PutIfAbsent(ctx, key, []byte(body)); err != nil {
			t.Fatalf("PutIfAbsent(%q): %v", key, err)
		}
	}

	t.Run("missing", func(t *testing.T) {
		if _, err := s.Get(ctx, "cases/none", 10); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get of a missing object = %v, want ErrNotFound", err)
		}
	})
	t.Run("written once", func(t *testing.T) {
		put("cases/a", "first")
		if err := s.PutIfAbsent(ctx, "cases/a", []byte("second")); !errors.Is(err, store.ErrExists) {
			t.Errorf("second PutIfAbsent = %v, want ErrExists", err)
		}
		if got, err := s.Get(ctx, "cases/a", 5); err != nil || string(got) != "first" {
			t.Errorf("Get = %q, %v, want the first body", got, err)
		}
	})
	t.Run("limit", func(t *testing.T) {
		put("cases/large", "123456")
		if _, err := s.Get(ctx, "cases/large", 5); !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("Get above the limit = %v, want ErrTooLarge", err)
		}
	})
	t.Run("binary of many megabytes", func(t *testing.T) {
		body := make([]byte, 32<<20)
		_, _ = rand.NewChaCha8([32]byte{}).Read(body)
		put("models/large.onnx", string(body))
		got, err := s.Get(ctx, "models/large.onnx", int64(len(body)))
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("Get = %d bytes, %v, want the %d that were put", len(got), err, len(body))
		}
	})
	t.Run("list", func(t *testing.T) {
		put("cases/list/0002", "")
		put("cases/list/0001", "")
		put("cases/listed", "")
		got, err := s.List(ctx, "cases/list/")
		if diff := cmp.Diff([]string{"cases/list/0001", "cases/list/0002"}, got); err != nil || diff != "" {
			t.Errorf("List: %v, (-want +got)\n%s", err, diff)
		}
		if got, err := s.List(ctx, "cases/empty/"); err != nil || len(got) != 0 {
			t.Errorf("List of nothing = %q, %v", got, err)
		}
	})
	t.Run("one winner", func(t *testing.T) {
		var winners atomic.Int32
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				err := s.PutIfAbsent(ctx, "cases/race", []byte{byte(i)})
				switch {
				case err == nil:
					winners.Add(1)
				case !errors.Is(err, store.ErrExists):
					t.Errorf("PutIfAbsent in a race: %v", err)
				}
			})
		}
		wg.Wait()
		if n := winners.Load(); n != 1 {
			t.Errorf("%d writers won, want 1", n)
		}
	})
}

// versions overwrites and deletes an object, and then takes its versions away
// one by one.
func versions(t *testing.T, s Store) {
	ctx := t.Context()
	const key, other = "cases/versions/a", "cases/versions/b"
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	list := func() []store.Version {
		t.Helper()
		all, err := s.Versions(ctx, "cases/versions/")
		must(err)
		return all
	}
	must(s.PutIfAbsent(ctx, key, []byte("first")))
	must(s.PutIfAbsent(ctx, other, []byte("other")))
	must(s.Overwrite(ctx, key, []byte("second")))
	must(s.Delete(ctx, key))
	// Not PutIfAbsent: on S3 a deleted name is free again, on the local server
	// it is not.
	must(s.Overwrite(ctx, key, []byte("third")))

	all := list()
	var got []string
	for _, v := range all {
		body := "-"
		if !v.Marker {
			b, err := s.GetVersion(ctx, v.Key, v.ID, 10)
			must(err)
			body = string(b)
		}
		if v.Modified.IsZero() {
			t.Errorf("version %q has no time", body)
		}
		if v.Latest {
			body += " latest"
		}
		got = append(got, v.Key+" "+body)
	}
	want := []string{key + " third latest", key + " -", key + " second", key + " first", other + " other latest"}
	// S3 tells times in whole seconds, so those before the latest may come in any order.
	slices.Sort(got[1:4])
	slices.Sort(want[1:4])
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("Versions (-want +got)\n%s", diff)
	}
	// The oldest first, so that none comes to light again.
	for _, v := range slices.Backward(all) {
		for range 2 { // the second time it is not there
			if err := s.DeleteVersion(ctx, v.Key, v.ID); err != nil {
				t.Errorf("DeleteVersion(%+v): %v", v, err)
			}
		}
	}
	if left := list(); len(left) != 0 {
		t.Errorf("versions left: %+v", left)
	}
	if _, err := s.Get(ctx, key, 10); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get after all versions went = %v, want ErrNotFound", err)
	}
}
