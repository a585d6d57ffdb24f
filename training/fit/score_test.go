package fit

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestScore measures a network with one output, its views averaged.
func TestScore(t *testing.T) {
	photos := []Photo{{Age: 30, Source: "a"}, {Age: 40, Source: "a"}, {Age: 50, Source: "b"}}
	outputs := [][][]float32{
		{{31}, {42}, {50}},
		{{35}, {30}, {56}},
	}
	// The means are off by 3 and -4 years in a, and by 3 in b.
	got, err := score(outputs, photos)
	if err != nil {
		t.Fatal(err)
	}
	want := Scores{
		Score: (3.5 + 3) / 2, Point: "output",
		MAE:  map[string]float64{"a/output": 3.5, "b/output": 3},
		RMSE: map[string]float64{"a/output": math.Sqrt((9 + 16) / 2.0), "b/output": 3},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Errorf("score (-want +got):\n%s", diff)
	}
}
