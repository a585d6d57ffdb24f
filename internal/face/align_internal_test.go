package face

import (
	"bytes"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"testing"
)

// warpPlain is warp as one would write it down: four bilinear samples a pixel,
// each of four neighbours with weights in 256ths.
func warpPlain(src *image.RGBA, t similarity) *image.RGBA {
	const one = 1 << 20
	fixed := func(v float64) int { return int(math.Round(v * one)) }
	a, b, x0, y0 := fixed(t.a), fixed(t.b), fixed(t.x0), fixed(t.y0)
	maxX, maxY := src.Rect.Dx()-1, src.Rect.Dy()-1
	dst := image.NewRGBA(image.Rect(0, 0, Size, Size))
	for v := range Size {
		for u := range Size {
			var sum [3]int
			for _, s := range [4][2]int{{1, 1}, {3, 1}, {1, 3}, {3, 3}} {
				u4, v4 := 4*u+s[0], 4*v+s[1]
				x := ((a*u4-b*v4)/4 + x0 - one/2) >> 12
				y := ((b*u4+a*v4)/4 + y0 - one/2) >> 12
				fx, fy := x&255, y&255
				for _, n := range [4][3]int{{0, 0, (256 - fx) * (256 - fy)}, {1, 0, fx * (256 - fy)}, {0, 1, (256 - fx) * fy}, {1, 1, fx * fy}} {
					p := src.Pix[clampTo(y>>8+n[1], maxY)*src.Stride+4*clampTo(x>>8+n[0], maxX):]
					for c := range sum {
						sum[c] += n[2] * int(p[c])
					}
				}
			}
			const scale = 4 << 16
			dst.SetRGBA(u, v, color.RGBA{uint8((sum[0] + scale/2) / scale), uint8((sum[1] + scale/2) / scale), uint8((sum[2] + scale/2) / scale), 0xff})
		}
	}
	return dst
}

func noise(w, h int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = uint8(min(max(rand.IntN(500)-120, 0), 255)) // black and white are frequent
	}
	return img
}

// TestWarp draws transforms, many of which leave the photo.
func TestWarp(t *testing.T) {
	for range 60 {
		src := noise(1+rand.IntN(400), 1+rand.IntN(400))
		s := similarity{a: 3 * rand.NormFloat64(), b: rand.NormFloat64(), x0: 200 * rand.NormFloat64(), y0: 200 * rand.NormFloat64()}
		if !bytes.Equal(warp(src, s).Pix, warpPlain(src, s).Pix) {
			t.Fatalf("crop of %v by %+v differs", src.Rect, s)
		}
	}
}

// TestReduceConverts holds the library's conversion of whole pictures to that
// of single pixels.
func TestReduceConverts(t *testing.T) {
	for ratio := image.YCbCrSubsampleRatio444; ratio <= image.YCbCrSubsampleRatio410; ratio++ {
		m := image.NewYCbCr(image.Rect(16, 8, 60, 50), ratio)
		for _, plane := range [][]uint8{m.Y, m.Cb, m.Cr} {
			copy(plane, noise(len(plane), 1).Pix)
		}
		r := image.Rect(19, 11, 58, 47)
		got := reduce(m, r, 1)
		for y := range r.Dy() {
			for x := range r.Dx() {
				c := m.YCbCrAt(r.Min.X+x, r.Min.Y+y)
				red, green, blue := color.YCbCrToRGB(c.Y, c.Cb, c.Cr)
				if want := (color.RGBA{red, green, blue, 0xff}); got.RGBAAt(x, y) != want {
					t.Fatalf("%v at %d, %d: %v, want %v", ratio, x, y, got.RGBAAt(x, y), want)
				}
			}
		}
	}
}

// TestHalve compares with the sampler, at odd edges too.
func TestHalve(t *testing.T) {
	for range 200 {
		m := image.NewYCbCr(image.Rect(3, 5, 3+1+rand.IntN(60), 5+1+rand.IntN(40)), image.YCbCrSubsampleRatio444)
		for _, plane := range [][]uint8{m.Y, m.Cb, m.Cr} {
			copy(plane, noise(len(plane), 1).Pix)
		}
		x, y := m.Rect.Min.X+rand.IntN(m.Rect.Dx()), m.Rect.Min.Y+rand.IntN(m.Rect.Dy())
		r := image.Rect(x, y, x+1+rand.IntN(m.Rect.Max.X-x), y+1+rand.IntN(m.Rect.Max.Y-y))
		got, at := reduce(m, r, 2), samplerOf(m)
		for v := range got.Rect.Dy() {
			for u := range got.Rect.Dx() {
				x, y := r.Min.X+2*u, r.Min.Y+2*v
				if want := at(x, y, min(x+2, r.Max.X), min(y+2, r.Max.Y)); got.RGBAAt(u, v) != want {
					t.Fatalf("%v of %v at %d, %d: %v, want %v", r, m.Rect, u, v, got.RGBAAt(u, v), want)
				}
			}
		}
	}
}

func BenchmarkWarp(b *testing.B) {
	src := noise(350, 350)
	for b.Loop() {
		warp(src, similarity{a: 1.3, b: 0.1, x0: 10.3, y0: -5.2})
	}
}
