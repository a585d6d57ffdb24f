package recipe_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/agequote/agequote/training/recipe"
)

// TestAblation reads the rows that ship: each is a whole recipe of its own.
func TestAblation(t *testing.T) {
	a, recipes, err := recipe.LoadAblation("../recipes/ablation/transfer.yaml")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for i, r := range recipes {
		if other, ok := seen[r.Hash]; ok {
			t.Errorf("row %s is the same as %s", a.Rows[i].Name, other)
		}
		seen[r.Hash] = a.Rows[i].Name
		if rates := r.Fit.Stages[0].Rates; strings.HasPrefix(a.Rows[i].Name, "frozen") && len(rates) != 1 {
			t.Errorf("row %s trains %v", a.Rows[i].Name, rates)
		}
		if len(r.Fit.Groups) != 3 || r.Network.First != 10 {
			t.Errorf("row %s lost what it does not change: %+v", a.Rows[i].Name, r)
		}
	}
}

// TestLoad loads every recipe that is in the project.
func TestLoad(t *testing.T) {
	paths, err := filepath.Glob("../recipes/*.yaml")
	if err != nil || len(paths) < 2 {
		t.Fatalf("recipes: %q, %v", paths, err)
	}
	names := map[string]string{}
	for _, path := range paths {
		r, err := recipe.Load(path)
		if err != nil {
			t.Error(err)
			continue
		}
		if r.Name+".yaml" != filepath.Base(path) {
			t.Errorf("%s is named %q", path, r.Name)
		}
		if r.Fit.Seed != r.Seed || !strings.HasPrefix(r.Hash, "sha256:") || names[r.Hash] != "" {
			t.Errorf("%s: seed %d for the fit of %d, hash %q of %q too", path, r.Fit.Seed, r.Seed, r.Hash, names[r.Hash])
		}
		names[r.Hash] = path
	}
}

// TestParseNamesMistakes makes one mistake at a time in a recipe that is sound.
func TestParseNamesMistakes(t *testing.T) {
	raw, err := os.ReadFile("../recipes/smoke.yaml")
	if err != nil {
		t.Fatal(err)
	}
	sound := string(raw)
	tests := []struct{ from, to, want string }{
		{"seed: 1", "sead: 1", "sead"},
		{"seed: 1", "seed: 1\nseed: 2", "already"},
		{"name: smoke\n", "name: Smoke test\n", `name "Smoke test"`},
		{"train: [0, 1,", "train: [11, 1,", "11"},
		{"- name: plain", "- name: ''", "views: one without name"},
		{"mirror: true\n\nnetwork", "augment: {jpeg: 2}\n\nnetwork", "view mirror: augment: jpeg"},
		{"network:\n", "repeat: {synthetic: -1}\nnetwork:\n", "repeat: synthetic -1"},
		{"kind: mobilenet", "kind: mobilnet", `kind "mobilnet"`},
		{"first: 12", "first: 15", "first block 15"},
		{"classes: 101", "classes: 1", "100 classes"},
		{"weights: face-backbone", "weights: ''", "needs weights"},
		{"dropout: 0.3", "dropout: 1", "dropout 1"},
		{"clip: 1", "clip: -1", "clip"},
		{"average: 0.9", "average: 1", "average"},
		{"loss: {likelihood: 1, mean: 0.1}", "loss: {smooth_l1: 1}", "smooth_l1"},
		{"loss: {likelihood: 1, mean: 0.1}", "loss: {}", "no loss"},
		{"scopes: [block_12, block_13]", "scopes: []", `group "upper"`},
		{"name: upper", "name: head", `group "head"`},
		{"rates: {head: 1.0e-3}", "rates: {haed: 1.0e-3}", `rate of "haed"`},
		{"rates: {head: 1.0e-3}", "rates: {head: 0}", "stage head"},
		{"batch: 16", "batch: 15", "stage head"},
	}
	for _, tt := range tests {
		wrong := strings.Replace(sound, tt.from, tt.to, 1)
		if wrong == sound {
			t.Errorf("%q is not in the recipe", tt.from)
			continue
		}
		if _, err := recipe.Parse([]byte(wrong)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("with %q: %v, want %q in it", tt.to, err, tt.want)
		}
	}
}

// FuzzParse reads recipes from anywhere.
func FuzzParse(f *testing.F) {
	raw, err := os.ReadFile("../recipes/smoke.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := recipe.Parse(raw)
		if err == nil && (len(r.Fit.Stages) == 0 || len(r.Views) == 0) {
			t.Error("a recipe without stages or views passes")
		}
	})
}
