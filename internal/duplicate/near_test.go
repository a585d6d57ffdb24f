package duplicate

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/picturehash"
)

// drawn returns n random hashes, a tenth of which are near the one before: some
// by a window, some mirrored.
func drawn(n int, r *rand.Rand) []picturehash.Hash {
	hashes := make([]picturehash.Hash, n)
	for i := range hashes {
		for w := range hashes[i] {
			for k := range hashes[i][w] {
				hashes[i][w][k] = r.Uint64()
			}
		}
		if i == 0 || r.IntN(10) > 0 {
			continue
		}
		near := hashes[i-1][r.IntN(picturehash.Windows)]
		if r.IntN(2) == 0 {
			near = near.Mirror()
		}
		for range r.IntN(2 * picturehash.Threshold) {
			bit := r.IntN(picturehash.Bits)
			near[bit/64] ^= 1 << (bit % 64)
		}
		hashes[i][0] = near
	}
	return hashes
}

// TestNear holds the tables against comparing all with all, at thresholds
// around those at which a chunk's radius changes.
func TestNear(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	hashes := drawn(400, r)
	for _, threshold := range []int{0, 15, 16, 31, picturehash.Threshold, 47} {
		want := []pair{}
		for i := range hashes {
			for j := i + 1; j < len(hashes); j++ {
				if d := hashes[i].Distance(hashes[j]); d <= threshold {
					want = append(want, pair{i, j, d})
				}
			}
		}
		if diff := cmp.Diff(want, near(hashes, threshold), cmp.AllowUnexported(pair{})); diff != "" {
			t.Errorf("threshold %d (-all with all +near):\n%s", threshold, diff)
		}
		if threshold == picturehash.Threshold && len(want) < 10 {
			t.Errorf("%d pairs drawn: the test tests nothing", len(want))
		}
	}
}

// BenchmarkNear goes through batches of random hashes. Those of faces are less
// evenly spread: `make duplicates-study` times them.
func BenchmarkNear(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		hashes := drawn(n, rand.New(rand.NewPCG(1, 1)))
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				near(hashes, picturehash.Threshold)
			}
		})
	}
}
