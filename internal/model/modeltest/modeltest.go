// Package modeltest makes model packages for tests out of the one that ships.
package modeltest

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/model"
)

// Derive writes a package into a folder of its own: the shipped one, in the
// folder shipped, after change. It returns the folder and the package's hash.
func Derive(t testing.TB, shipped string, change func(m *model.Manifest, files map[string][]byte)) (dir, hash string) {
	t.Helper()
	pkg, err := model.ReadPackage(os.DirFS(shipped))
	if err != nil {
		t.Fatal(err)
	}
	// A manifest of its own, so that a change does not reach another's.
	b, err := json.Marshal(pkg.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.ParseManifest(b)
	if err != nil {
		t.Fatal(err)
	}
	files := pkg.Files()
	change(m, files)
	derived, err := model.NewPackage(*m, files)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	if err := derived.Write(dir); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(dir + "/" + model.ManifestName)
	if err != nil {
		t.Fatal(err)
	}
	return dir, digest.Of(written)
}
