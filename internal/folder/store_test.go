package folder_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/agequote/agequote/internal/folder"
	"github.com/agequote/agequote/internal/store"
	"github.com/agequote/agequote/internal/store/storetest"
)

func create(t testing.TB, dir string) *folder.Store {
	t.Helper()
	s, err := folder.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStore(t *testing.T) {
	storetest.ConformanceWriteOnce(t, create(t, filepath.Join(t.TempDir(), "new", "folder")))
}

// TestStoreAfterDeath finds what a killed process was writing gone, and its
// objects standing.
func TestStoreAfterDeath(t *testing.T) {
	dir := t.TempDir()
	first := create(t, dir)
	if err := first.PutIfAbsent(t.Context(), "cases/a", []byte("whole")); err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(dir, ".writing", "half")
	if err := os.WriteFile(half, []byte("ha"), 0o600); err != nil {
		t.Fatal(err)
	}
	second := create(t, dir)
	if _, err := os.Stat(half); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was being written is still there: %v", err)
	}
	if err := second.PutIfAbsent(t.Context(), "cases/a", []byte("other")); !errors.Is(err, store.ErrExists) {
		t.Errorf("PutIfAbsent = %v, want ErrExists", err)
	}
}

// TestStoreOutside tries to write outside the folder.
func TestStoreOutside(t *testing.T) {
	parent := t.TempDir()
	s := create(t, filepath.Join(parent, "bucket"))
	for _, body := range []string{"x", ""} {
		if err := s.PutIfAbsent(t.Context(), "../outside", []byte(body)); err == nil {
			t.Error("wrote outside")
		}
	}
	if _, err := os.Stat(filepath.Join(parent, "outside")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("found it outside: %v", err)
	}
}

func BenchmarkPutIfAbsent(b *testing.B) {
	s := create(b, b.TempDir())
	body := make([]byte, 4096)
	n := 0
	for b.Loop() {
		n++
		if err := s.PutIfAbsent(b.Context(), fmt.Sprintf("cases/case-%08d/application/0001.json", n), body); err != nil {
			b.Fatal(err)
		}
	}
}
