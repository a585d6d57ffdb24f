package model_test

import (
	"os"
	"testing"

	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/model/modeltest"
)

// TestSelfTest runs the shipped model, and one that loads but is not what its
// manifest says.
func TestSelfTest(t *testing.T) {
	if err := openModel(t).SelfTest(); err != nil {
		t.Errorf("the shipped model: %v", err)
	}
	dir, _ := modeltest.Derive(t, packageDir, func(m *model.Manifest, _ map[string][]byte) { m.Network.Classes = 10 })
	pkg, err := model.ReadPackage(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Open(pkg, model.Options{AllowResearch: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.SelfTest(); err == nil {
		t.Error("a network with another number of ages passes")
	}
}
