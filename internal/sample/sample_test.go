package sample_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/agequote/agequote/internal/sample"
)

func TestTakes(t *testing.T) {
	const n = 20_000
	for _, share := range []float64{0, 0.02, 0.5, 1} {
		one, other := sample.Draw{Share: share, Seed: "one"}, sample.Draw{Share: share, Seed: "other"}
		taken, both := 0, 0
		for i := range n {
			id := fmt.Sprintf("case-%08d", i)
			if again := (sample.Draw{Share: share, Seed: "one"}); one.Takes(id) != again.Takes(id) {
				t.Fatal("the same draw gives two answers")
			}
			if one.Takes(id) {
				taken++
				if other.Takes(id) {
					both++
				}
			}
		}
		// Five standard deviations of a binomial share.
		if got, slack := float64(taken)/n, 5*math.Sqrt(share*(1-share)/n); math.Abs(got-share) > slack {
			t.Errorf("share %v takes %v of the cases, want within %v", share, got, slack)
		}
		if got, slack := float64(both)/n, 5*math.Sqrt(share*share*(1-share*share)/n); math.Abs(got-share*share) > slack {
			t.Errorf("share %v: two seeds agree on %v, want %v: the seed does not count", share, got, share*share)
		}
	}
}
