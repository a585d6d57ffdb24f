// Package picturehash makes a perceptual hash of a whole picture: pictures that
// look alike pixel by pixel have hashes that differ in few bits, whatever their
// size, compression or brightness, and, within limits, however they are cropped.
//
// It hashes pictures, not faces. Nothing is looked for on the picture, no
// landmark aligns it, and what is kept is the signs of its coarsest waves of
// light and dark: framing, light and background weigh as much as the person
// does. docs/duplicates.md measures how little it tells people apart.
//
// The hash of a window is 256 bits: the signs of the 256 lowest frequencies of
// the discrete cosine transform of its luma, after Zauner (2010, "Implementation
// and Benchmarking of Perceptual Image Hash Functions") and PDQ (Meta, 2019).
// Both hold a coefficient against the median. The sign is the better threshold
// here, and gives the hash of the mirror image without another transform:
// frequencies that are odd across change their sign, the others do not.
package picturehash

import (
	"encoding/hex"
	"errors"
	"image"
	"math"
	"math/bits"
	"slices"
)

// Bits is the number of bits of a window's hash.
const Bits = 256

// Threshold is the largest distance at which two pictures count as the same,
// chosen by `make duplicates-study` on one half of its pictures; see
// docs/duplicates.md for what it finds and how often it errs on the other.
const Threshold = 36

// version begins every hash as text; hashes of different versions do not
// compare. Raise it with any change that moves a bit.
const version = 1

// Window is the hash of one window.
type Window [Bits / 64]uint64

// windows are the parts of the picture that are hashed, as shares of its width
// and height cut off at the left, top, right and bottom. The first is the whole
// picture. A cropped copy is found where it comes near one of the others of its
// original: a few of the crops of 2 to 15 % that there can be, and no more, since
// each window adds to what is kept and to the false alarms.
var windows = [...][4]float64{
	{},
	{.03, .03, .03, .03},
	{.06, .06, .06, .06},
	{.06, 0, .06, 0},
	{0, .06, 0, .06},
	{.09, 0, 0, 0},
	{0, .09, 0, 0},
	{0, 0, .09, 0},
	{0, 0, 0, .09},
}

// Windows is the number of windows of a hash.
const Windows = len(windows)

// Hash is the perceptual hash of a picture.
type Hash [Windows]Window

// ErrHash says that a text is no hash of this version.
var ErrHash = errors.New("no picture hash of this version")

// String returns the hash in hexadecimal.
func (h Hash) String() string {
	b := make([]byte, 0, 1+Windows*Bits/8)
	b = append(b, version)
	for _, w := range h {
		for _, word := range w {
			for shift := 56; shift >= 0; shift -= 8 {
				b = append(b, byte(word>>shift))
			}
		}
	}
	return hex.EncodeToString(b)
}

// Parse reads what String wrote: ErrHash.
func Parse(s string) (Hash, error) {
	var h Hash
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 1+Windows*Bits/8 || b[0] != version {
		return h, ErrHash
	}
	b = b[1:]
	for i := range h {
		for j := range h[i] {
			for range 8 {
				h[i][j] = h[i][j]<<8 | uint64(b[0])
				b = b[1:]
			}
		}
	}
	return h, nil
}

// Distance returns in how many bits two windows differ.
func (w Window) Distance(o Window) int {
	return bits.OnesCount64(w[0]^o[0]) + bits.OnesCount64(w[1]^o[1]) + bits.OnesCount64(w[2]^o[2]) + bits.OnesCount64(w[3]^o[3])
}

// Mirror returns the hash of the mirror image.
func (w Window) Mirror() Window {
	for i := range w {
		w[i] ^= oddAcross[i]
	}
	return w
}

// Distance returns the least number of bits in which one picture, whole, differs
// from a window of the other, either of them mirrored or not.
func (h Hash) Distance(o Hash) int {
	best := Bits
	mine, yours := h[0].Mirror(), o[0].Mirror()
	for i := range Windows {
		best = min(best, h[0].Distance(o[i]), o[0].Distance(h[i]), mine.Distance(o[i]), yours.Distance(h[i]))
	}
	return best
}

// side is the width and height in samples to which a window is reduced.
const side = 32

// Of hashes a picture. It takes its time from the picture's size, so a large
// one is reduced first: 320 pixels on the longer side are plenty. All sums are
// of whole numbers, so that the hash is the same on every processor.
func Of(img *image.RGBA) Hash {
	s := integrate(img)
	var h Hash
	for i, cut := range windows {
		h[i] = s.window(cut).hash()
	}
	return h
}

// sums are the sums of luma above and to the left of each corner of a pixel.
type sums struct {
	w, h int
	at   []int64 // (w+1) x (h+1)
}

// integrate sums up the luma (ITU-R BT.601), in 256ths.
func integrate(img *image.RGBA) sums {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	s := sums{w, h, make([]int64, (w+1)*(h+1))}
	for y := range h {
		row := int64(0)
		above, here := s.at[y*(w+1):], s.at[(y+1)*(w+1):]
		pix := img.Pix[y*img.Stride:][:4*w]
		for x := range w {
			p := pix[4*x:][:3]
			row += 77*int64(p[0]) + 150*int64(p[1]) + 29*int64(p[2])
			here[x+1] = above[x+1] + row
		}
	}
	return s
}

// samples are the mean lumas of side x side equal parts of a window.
type samples [side * side]int64

// place is a position between pixels: a pixel and 256ths.
type place struct{ pixel, part int64 }

// places divides the part of n pixels from first to last, as shares, into side
// equal parts.
func places(n int, first, last float64) (out [side + 1]place) {
	from := int64(math.Round(first * float64(n) * 256))
	to := int64(math.Round(last * float64(n) * 256))
	for i := range out {
		at := from + (to-from)*int64(i)/side
		pixel := min(at>>8, int64(n-1))
		out[i] = place{pixel, at - pixel<<8}
	}
	return out
}

// window reduces the part of the picture that is left when cut is cut off.
func (s sums) window(cut [4]float64) *samples {
	xs, ys := places(s.w, cut[0], 1-cut[2]), places(s.h, cut[1], 1-cut[3])
	var out samples
	var above, here [side + 1]int64
	s.row(&above, &xs, ys[0])
	for j := range side {
		s.row(&here, &xs, ys[j+1])
		height := ys[j+1].pixel<<8 + ys[j+1].part - ys[j].pixel<<8 - ys[j].part
		for i := range side {
			width := xs[i+1].pixel<<8 + xs[i+1].part - xs[i].pixel<<8 - xs[i].part
			if area := width * height; area > 0 {
				out[j*side+i] = (here[i+1] - here[i] - above[i+1] + above[i]) / area
			}
		}
		above = here
	}
	return &out
}

// row interpolates the sums at one height, in 65536ths.
func (s sums) row(out *[side + 1]int64, xs *[side + 1]place, y place) {
	top, bottom := s.at[int(y.pixel)*(s.w+1):], s.at[int(y.pixel+1)*(s.w+1):]
	for i, x := range xs {
		t := (256-x.part)*top[x.pixel] + x.part*top[x.pixel+1]
		b := (256-x.part)*bottom[x.pixel] + x.part*bottom[x.pixel+1]
		out[i] = (256-y.part)*t + y.part*b
	}
}

// frequencies are the waves that are kept, the lowest first: how many half
// waves across and down.
var frequencies = func() (out [Bits][2]int) {
	var all [][2]int
	for down := range side {
		for across := range side {
			if across+down > 0 { // not the mean: brightness is no matter
				all = append(all, [2]int{across, down})
			}
		}
	}
	radius := func(f [2]int) int { return f[0]*f[0] + f[1]*f[1] }
	slices.SortStableFunc(all, func(a, b [2]int) int { return radius(a) - radius(b) })
	copy(out[:], all)
	return out
}()

// waves is one more than the highest frequency that is kept, in one direction.
var waves = func() (n int) {
	for _, f := range frequencies {
		n = max(n, f[0]+1, f[1]+1)
	}
	return n
}()

// maxWaves bounds waves: the 256 lowest frequencies lie in a quarter circle.
const maxWaves = 20

// oddAcross marks the bits that the mirror image has the other way round.
var oddAcross = func() (w Window) {
	for i, f := range frequencies {
		if f[0]%2 == 1 {
			w[i/64] |= 1 << (i % 64)
		}
	}
	return w
}()

// cosines of the transform, times 2^14: rounded, so that the last bits of a
// processor's cosine are no matter.
var cosines = func() [][side]int64 {
	out := make([][side]int64, waves)
	for u := range out {
		for x := range side {
			out[u][x] = int64(math.Round(16384 * math.Cos(math.Pi/side*(float64(x)+0.5)*float64(u))))
		}
	}
	return out
}()

// hash transforms across and then down. A sum has at most 16 + 2*(14 + 5) = 54
// bits.
func (s *samples) hash() (w Window) {
	const half = side / 2
	var across [maxWaves][side]int64 // by frequency, then row
	for y := range side {
		row := s[y*side:][:side]
		// Cosines of even frequencies are symmetric, of odd ones antisymmetric.
		var sum, difference [half]int64
		for x := range half {
			sum[x], difference[x] = row[x]+row[side-1-x], row[x]-row[side-1-x]
		}
		for u := range waves {
			part := &sum
			if u%2 == 1 {
				part = &difference
			}
			var total int64
			cos := cosines[u][:half]
			for x, v := range part {
				total += v * cos[x]
			}
			across[u][y] = total
		}
	}
	for i, f := range frequencies {
		var total int64
		cos := &cosines[f[1]]
		for y, v := range &across[f[0]] {
			total += v * cos[y]
		}
		if total > 0 {
			w[i/64] |= 1 << (i % 64)
		}
	}
	return w
}
