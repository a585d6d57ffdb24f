package similar

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func index(t *testing.T, photos []Photo, features [][]float32) *Index {
	t.Helper()
	x, err := NewIndex(photos, features)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// TestSearch holds properties on random features, every third of which is the
// one before it at another length, so that there are ties.
func TestSearch(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	const n, width = 60, 7
	photos, features := make([]Photo, n), make([][]float32, n)
	for i := range features {
		photos[i].File = strconv.Itoa(i)
		features[i] = make([]float32, width)
		for k := range width {
			features[i][k] = float32(r.NormFloat64())
			if i%3 == 2 {
				features[i][k] = 4 * features[i-1][k]
			}
		}
	}
	x := index(t, photos, features)
	for i, f := range features {
		got, err := x.Search(f, n+1)
		if err != nil || len(got) != n {
			t.Fatalf("Search finds %d, %v, want all %d", len(got), err, n)
		}
		self := i
		if i%3 == 2 {
			self = i - 1 // as similar, and first in the index
		}
		if got[0].Photo != self || math.Abs(got[0].Similarity-1) > 1e-6 {
			t.Errorf("the nearest to %d is %+v, want %d at 1", i, got[0], self)
		}
		for k := 1; k < n; k++ {
			a, b := got[k-1], got[k]
			if a.Similarity < b.Similarity || a.Similarity == b.Similarity && a.Photo > b.Photo {
				t.Errorf("%+v comes before %+v", a, b)
			}
		}
		few, err := x.Search(f, 4)
		if diff := cmp.Diff(got[:4], few); diff != "" || err != nil {
			t.Errorf("the first four (-all, +four): %v\n%s", err, diff)
		}
	}
}

func TestRefused(t *testing.T) {
	photos := []Photo{{File: "a"}, {File: "b"}}
	nan := float32(math.NaN())
	for name, features := range map[string][][]float32{
		"too few": {{1, 0}}, "zero": {{1, 0}, {0, 0}}, "no number": {{1, 0}, {nan, 1}}, "another width": {{1, 0}, {1}},
	} {
		if _, err := NewIndex(photos, features); err == nil {
			t.Errorf("%s: NewIndex takes %v", name, features)
		}
	}
	if _, err := index(t, photos, [][]float32{{1, 0}, {0, 1}}).Search([]float32{1, 0, 0}, 1); err == nil {
		t.Error("Search takes features of another width")
	}
}

// TestMeasure has faces at angles of 0, 10, 25, 45 and 100 degrees: those of a
// at 20 and 40 years, of b at 30, of a at 24, and of b at 31.
func TestMeasure(t *testing.T) {
	photos := []Photo{{"a20", "a", 20}, {"a40", "a", 40}, {"b30", "b", 30}, {"a24", "a", 24}, {"b31", "b", 31}}
	var features [][]float32
	for _, degrees := range []float64{0, 10, 25, 45, 100} {
		sin, cos := math.Sincos(degrees * math.Pi / 180)
		features = append(features, []float32{float32(cos), float32(sin)})
	}
	x := index(t, photos, features)

	// Orders, right ones in capitals:
	//   a20 (0):  A40 b30 A24 b31    a40 (10): A20 b30 A24 b31    b30 (25): a40 a24 a20 B31
	//   a24 (45): b30 A40 A20 b31    b31 (100): a24 B30 a40 a20
	tests := []struct {
		name  string
		pairs Pairs
		want  Figures
	}{
		{"all", All, Figures{
			Queries: 5, People: 2, Precision1: Figure{Value: 2.0 / 5}, Precision5: Figure{Value: (3*2.0/5 + 2*1.0/5) / 5},
			MeanAveragePrecision: Figure{Value: (2*(1+2.0/3)/2 + (1.0/2+2.0/3)/2 + 1.0/4 + 1.0/2) / 5},
			Ceiling5:             (3*2.0/5 + 2*1.0/5) / 5, Chance: (3*2.0/4 + 2*1.0/4) / 5,
		}},
		// a20 asks for a40 without a24, a40 for both, a24 for a40 without a20.
		{"far", Far, Figures{
			Queries: 3, People: 1, Precision1: Figure{Value: 2.0 / 3}, Precision5: Figure{Value: (1.0/5 + 2.0/5 + 1.0/5) / 3},
			MeanAveragePrecision: Figure{Value: (1 + (1+2.0/3)/2 + 1.0/2) / 3},
			Ceiling5:             (1.0/5 + 2.0/5 + 1.0/5) / 3, Chance: (1.0/3 + 2.0/4 + 1.0/3) / 3,
		}},
		// a20 asks for a24 without a40, a24 for a20 without a40; b30 and b31 for each other.
		{"near", Near, Figures{
			Queries: 4, People: 2, Precision1: Figure{Value: 0}, Precision5: Figure{Value: 1.0 / 5},
			MeanAveragePrecision: Figure{Value: (1.0/2 + 1.0/2 + 1.0/4 + 1.0/2) / 4},
			Ceiling5:             1.0 / 5, Chance: (1.0/3 + 1.0/3 + 1.0/4 + 1.0/4) / 4,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := x.Measure(tt.pairs)
			if !ok {
				t.Fatal("Measure asks for nobody")
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateApprox(0, 1e-12), cmpopts.IgnoreFields(Figure{}, "CI")); diff != "" {
				t.Errorf("Measure (-want, +got):\n%s", diff)
			}
			for _, f := range []Figure{got.Precision1, got.Precision5, got.MeanAveragePrecision} {
				if f.CI == nil || f.CI[0] > f.Value+1e-4 || f.CI[1] < f.Value-1e-4 {
					t.Errorf("%v lies outside its interval %v", f.Value, f.CI)
				}
			}
		})
	}

	if f, ok := index(t, photos[1:3], features[1:3]).Measure(All); ok {
		t.Errorf("of two people with a photo each, Measure = %+v", f)
	}
}
