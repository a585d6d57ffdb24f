package folder_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/folder"
	"github.com/agequote/agequote/internal/store"
)

func write(t *testing.T, dir, key, body string) {
	t.Helper()
	name := filepath.Join(dir, filepath.FromSlash(key))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(body), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestBucket reads a bucket by its own folder and by that of the stack.
func TestBucket(t *testing.T) {
	stack := t.TempDir()
	own := filepath.Join(stack, "objects", "agequote-cases-0-eu")
	write(t, own, "cases/a/quotes/photo-0001.json", "one")
	write(t, own, "cases/a/quotes/photo-0002.json", "two")
	write(t, own, "cases/b/quotes/photo-0001.json", "three")
	write(t, stack, "objects/agequote-uploads-0-eu/uploads/a/0001", "photo")
	write(t, stack, "secret", "not in the bucket")
	for _, dir := range []string{own, stack, filepath.Join(stack, "objects")} {
		b, err := folder.Open(dir, "cases")
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if got, err := b.Get(t.Context(), "cases/a/quotes/photo-0002.json", 3); string(got) != "two" {
			t.Errorf("Get = %q, %v", got, err)
		}
		keys, err := b.List(t.Context(), "cases/a/quotes/photo")
		if diff := cmp.Diff([]string{"cases/a/quotes/photo-0001.json", "cases/a/quotes/photo-0002.json"}, keys); diff != "" || err != nil {
			t.Errorf("List: %v %s", err, diff)
		}
		if keys, err := b.List(t.Context(), "cases/c/"); len(keys) > 0 || err != nil {
			t.Errorf("List of nothing = %q, %v", keys, err)
		}
		if _, err := b.Get(t.Context(), "cases/a/none", 3); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get of nothing: %v", err)
		}
		if _, err := b.Get(t.Context(), "cases/a/quotes/photo-0002.json", 2); !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("Get of 3 bytes with a limit of 2: %v", err)
		}
		if got, err := b.Get(t.Context(), "../../secret", 100); err == nil {
			t.Errorf("Get led out of the bucket: %q", got)
		}
		var names []string
		err = b.Each("cases/", func(name string) error { names = append(names, name); return nil })
		slices.Sort(names)
		if diff := cmp.Diff([]string{"a", "b"}, names); diff != "" || err != nil {
			t.Errorf("Each: %v %s", err, diff)
		}
	}
}
