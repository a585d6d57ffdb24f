package evaluation

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestMeanInterval compares with the normal approximation for a mean over
// people: photos of one person that are all alike must not narrow it.
func TestMeanInterval(t *testing.T) {
	const people = 400
	r := rand.New(rand.NewPCG(1, 2))
	one, copies := make([][]float64, people), make([][]float64, people)
	var sum, squares float64
	for i := range people {
		v := r.Float64()
		sum, squares = sum+v, squares+v*v
		one[i], copies[i] = []float64{v}, []float64{v, v, v, v, v, v, v, v, v}
	}
	mean := sum / people
	half := 1.96 * math.Sqrt((squares/people-mean*mean)/people)
	for _, clusters := range [][][]float64{one, copies} {
		ci := MeanInterval("test", clusters)
		if math.Abs(ci[0]-(mean-half)) > 0.1*half || math.Abs(ci[1]-(mean+half)) > 0.1*half {
			t.Errorf("MeanInterval of %d each = %v, want about %.4f +- %.4f", len(clusters[0]), *ci, mean, half)
		}
	}
	if ci := MeanInterval("none", nil); ci != nil {
		t.Errorf("MeanInterval of nothing = %v, want nil", *ci)
	}
}
