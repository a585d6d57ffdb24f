package main

import (
	"image"
	"math"
	"math/bits"
	"slices"

	"github.com/agequote/agequote/internal/picturehash"
)

// A method hashes pictures; its hashes are compared by the least distance of
// any of theirs.
type method struct {
	Name string
	Bits int
	of   func(picturehash.Hash, []float64) any // of the hash in use, and the luma at 64 x 64
	dist func(a, b any) int
}

// methods are the one in use, parts of it, and what is commonly used instead.
// The latter are written after their sources in floating point, since they are
// only held against ours here.
var methods = []method{
	{"in use: DCT signs, 9 windows, mirrored too", picturehash.Bits, inUse, func(a, b any) int {
		x, y := a.(*picturehash.Hash), b.(*picturehash.Hash)
		return x.Distance(*y)
	}},
	{"the same, not mirrored", picturehash.Bits, inUse, func(a, b any) int {
		x, y := a.(*picturehash.Hash), b.(*picturehash.Hash)
		best := picturehash.Bits
		for i := range x {
			best = min(best, x[0].Distance(y[i]), y[0].Distance(x[i]))
		}
		return best
	}},
	{"the same, whole picture alone", picturehash.Bits, inUse, func(a, b any) int {
		x, y := a.(*picturehash.Hash), b.(*picturehash.Hash)
		return x[0].Distance(y[0])
	}},
	{"PDQ's bits (DCT against the median, 64 px)", 256, whole(pdq), near},
	{"pHash (DCT 8 x 8 against the median)", 64, whole(phash), near},
	{"dHash", 64, whole(dhash(8)), near},
	{"dHash, 16 x 16", 256, whole(dhash(16)), near},
	{"mean of blocks, 16 x 16, against the median", 256, whole(blocks), near},
}

func inUse(h picturehash.Hash, _ []float64) any { return &h }

type word [4]uint64

func near(a, b any) int {
	x, y := a.(*word), b.(*word)
	return bits.OnesCount64(x[0]^y[0]) + bits.OnesCount64(x[1]^y[1]) + bits.OnesCount64(x[2]^y[2]) + bits.OnesCount64(x[3]^y[3])
}

func whole(f func([]float64) []bool) func(picturehash.Hash, []float64) any {
	return func(_ picturehash.Hash, luma []float64) any {
		var w word
		for i, bit := range f(luma) {
			if bit {
				w[i/64] |= 1 << (i % 64)
			}
		}
		return &w
	}
}

// side is the width and height of the luma that the other methods start from.
const side = 64

// lumaOf returns the picture's luma at side x side: the mean of each part.
func lumaOf(img *image.RGBA) []float64 {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	out := make([]float64, side*side)
	for y := range side {
		for x := range side {
			sum, n := 0, 0
			for v := y * h / side; v < max((y+1)*h/side, y*h/side+1); v++ {
				for u := x * w / side; u < max((x+1)*w/side, x*w/side+1); u++ {
					p := img.Pix[v*img.Stride+4*u:]
					sum += 299*int(p[0]) + 587*int(p[1]) + 114*int(p[2])
					n++
				}
			}
			out[y*side+x] = float64(sum) / float64(n) / 1000
		}
	}
	return out
}

// reduced returns the luma at w x h, again by means.
func reduced(p []float64, w, h int) []float64 {
	out := make([]float64, w*h)
	for y := range h {
		for x := range w {
			n := 0.0
			for v := y * side / h; v < (y+1)*side/h; v++ {
				for u := x * side / w; u < (x+1)*side/w; u++ {
					out[y*w+x] += p[v*side+u]
					n++
				}
			}
			out[y*w+x] /= n
		}
	}
	return out
}

var cosine = map[int][][]float64{32: cosineTable(32), 64: cosineTable(64)}

func cosineTable(n int) [][]float64 {
	out := make([][]float64, n)
	for u := range out {
		out[u] = make([]float64, n)
		for x := range out[u] {
			out[u][x] = math.Cos(math.Pi / float64(n) * (float64(x) + .5) * float64(u))
		}
	}
	return out
}

// dct returns the coefficients from to to in both directions, of n x n samples.
func dct(p []float64, n, from, to int) (out []float64) {
	cos := cosine[n]
	for v := from; v < to; v++ {
		column := make([]float64, n)
		for y := range n {
			for x := range n {
				column[x] += p[y*n+x] * cos[v][y]
			}
		}
		for u := from; u < to; u++ {
			sum := 0.0
			for x, c := range column {
				sum += c * cos[u][x]
			}
			out = append(out, sum)
		}
	}
	return out
}

func overMedian(v []float64) []bool {
	sorted := slices.Sorted(slices.Values(v))
	median := (sorted[len(v)/2-1] + sorted[len(v)/2]) / 2
	out := make([]bool, len(v))
	for i, x := range v {
		out[i] = x > median
	}
	return out
}

func pdq(luma []float64) []bool    { return overMedian(dct(luma, side, 1, 17)) }
func phash(luma []float64) []bool  { return overMedian(dct(reduced(luma, 32, 32), 32, 0, 8)) }
func blocks(luma []float64) []bool { return overMedian(reduced(luma, 16, 16)) }

func dhash(n int) func([]float64) []bool {
	return func(luma []float64) (out []bool) {
		p := reduced(luma, n+1, n)
		for y := range n {
			for x := range n {
				out = append(out, p[y*(n+1)+x+1] > p[y*(n+1)+x])
			}
		}
		return out
	}
}
