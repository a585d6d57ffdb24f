package recipe_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/agequote/agequote/training/recipe"
)

// TestAblation reads the rows that ship: each is a whole recipe of its own.
func TestAblation(t *testing.T) {
	a, recipes, err := recipe.LoadAblation(filepath.Join("..", "recipes", "ablation.yaml"))
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
		if len(r.Fit.Groups) != 4 || r.Network.First != 10 {
			t.Errorf("row %s lost what it does not change: %+v", a.Rows[i].Name, r)
		}
	}
}
