package agreement_test

import (
	"math"
	"testing"

	"github.com/agequote/agequote/internal/agreement"
)

func pairs(table map[[2]string]int) []agreement.Pair {
	var out []agreement.Pair
	for cell, n := range table {
		for range n {
			out = append(out, agreement.Pair{First: cell[0], Second: cell[1]})
		}
	}
	return out
}

// TestOf holds kappa and its interval to statsmodels 0.15.0 (cohens_kappa), for
// two tables; the first is two raters' diagnoses of 100 patients in Fleiss,
// Statistical Methods for Rates and Proportions, 2nd ed. 1981, table 13.1, where
// kappa is .68.
func TestOf(t *testing.T) {
	for _, tt := range []struct {
		name             string
		table            [3][3]int
		kappa, low, high float64
	}{
		{"Fleiss", [3][3]int{{75, 1, 4}, {5, 4, 1}, {0, 0, 10}}, 0.676470588235294, 0.5045759580860855, 0.8483652183845026},
		{"another", [3][3]int{{40, 9, 3}, {6, 20, 5}, {1, 4, 12}}, 0.5478766349103826, 0.408702023379815, 0.6870512464409503},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table, names := map[[2]string]int{}, [3]string{"a", "b", "c"}
			for i, row := range tt.table {
				for j, n := range row {
					table[[2]string{names[i], names[j]}] = n
				}
			}
			got := agreement.Of(pairs(table))
			for _, x := range [][2]float64{{*got.Kappa, tt.kappa}, {*got.Low, tt.low}, {*got.High, tt.high}} {
				if math.Abs(x[0]-x[1]) > 1e-6 {
					t.Errorf("Of = %v, %v, %v, want %v, %v, %v", *got.Kappa, *got.Low, *got.High, tt.kappa, tt.low, tt.high)
				}
			}
		})
	}
}

func TestOfEdges(t *testing.T) {
	if got := agreement.Of(nil); got.N != 0 || got.Kappa != nil {
		t.Errorf("without cases %+v", got)
	}
	if got := agreement.Of(pairs(map[[2]string]int{{"a", "a"}: 5})); got.Agree != 1 || got.Kappa != nil {
		t.Errorf("one answer to all gives %+v, want no kappa", got)
	}
	if got := agreement.Of(pairs(map[[2]string]int{{"a", "a"}: 5, {"b", "b"}: 5})); *got.Kappa != 1 || *got.Low != 1 {
		t.Errorf("full agreement gives %+v", got)
	}
	// As often as by chance: independent answers.
	if got := agreement.Of(pairs(map[[2]string]int{{"a", "a"}: 1, {"a", "b"}: 1, {"b", "a"}: 1, {"b", "b"}: 1})); *got.Kappa != 0 {
		t.Errorf("chance gives %v, want 0", *got.Kappa)
	}
}
