package scaledjpeg_test

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/agequote/agequote/internal/scaledjpeg"
)

// The files in testdata are a part of events/selfies/grace_hopper.jpg, written
// by Pillow with each subsampling, with optimised tables and restart markers.
var read = []string{"420.jpg", "422.jpg", "444.jpg", "grey.jpg", "restart.jpg"}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decode(file []byte, scale int) (image.Image, error) {
	d, err := scaledjpeg.Open(file)
	if err != nil {
		return nil, err
	}
	return d.Decode(scale)
}

// planes returns the samples of a picture plane by plane, chroma as if it were
// whole.
func planes(img image.Image) []func(x, y int) float64 {
	switch m := img.(type) {
	case *image.Gray:
		return []func(x, y int) float64{func(x, y int) float64 { return float64(m.GrayAt(x, y).Y) }}
	case *image.YCbCr:
		at := func(of func(color.YCbCr) uint8) func(x, y int) float64 {
			return func(x, y int) float64 { return float64(of(m.YCbCrAt(x, y))) }
		}
		return []func(x, y int) float64{
			at(func(c color.YCbCr) uint8 { return c.Y }),
			at(func(c color.YCbCr) uint8 { return c.Cb }),
			at(func(c color.YCbCr) uint8 { return c.Cr }),
		}
	}
	return nil
}

// difference compares a scaled picture with the means of the whole one's
// blocks: the mean and the largest difference in levels, over whole blocks.
func difference(whole, scaled image.Image, scale int) (mean, largest float64, err error) {
	w, h := whole.Bounds().Dx(), whole.Bounds().Dy()
	if s := scaled.Bounds().Size(); s.X != (w+scale-1)/scale || s.Y != (h+scale-1)/scale {
		return 0, 0, fmt.Errorf("%dx%d by %d is %v", w, h, scale, s)
	}
	a, b := planes(whole), planes(scaled)
	if len(a) == 0 || len(a) != len(b) {
		return 0, 0, fmt.Errorf("%T for %T", scaled, whole)
	}
	n := 0
	for p := range a {
		for y := range h / scale {
			for x := range w / scale {
				var sum float64
				for dy := range scale {
					for dx := range scale {
						sum += a[p](x*scale+dx, y*scale+dy)
					}
				}
				d := math.Abs(b[p](x, y) - sum/float64(scale*scale))
				mean += d
				largest = max(largest, d)
				n++
			}
		}
	}
	return mean / float64(max(n, 1)), largest, nil
}

// TestDecodeIsMeans compares with image/jpeg: rounding makes half a level, and
// samples that image/jpeg cuts at black and white a few more.
func TestDecodeIsMeans(t *testing.T) {
	for _, name := range read {
		for _, scale := range []int{2, 4, 8} {
			t.Run(fmt.Sprintf("%s by %d", name, scale), func(t *testing.T) {
				b := readFile(t, name)
				whole, err := jpeg.Decode(bytes.NewReader(b))
				if err != nil {
					t.Fatal(err)
				}
				scaled, err := decode(b, scale)
				if err != nil {
					t.Fatal(err)
				}
				mean, largest, err := difference(whole, scaled, scale)
				if err != nil || mean > 0.4 || largest > 4 {
					t.Errorf("differs from image/jpeg by %.2f levels on average and %.2f at most (%v)", mean, largest, err)
				}
			})
		}
	}
}

// TestDecodeLeavesOthers takes files that image/jpeg reads otherwise or refuses.
func TestDecodeLeavesOthers(t *testing.T) {
	photo := readFile(t, "420.jpg")
	change := func(at int, to byte) []byte {
		b := bytes.Clone(photo)
		b[at] = to
		return b
	}
	frame := bytes.Index(photo, []byte{0xff, 0xc0})
	tests := map[string][]byte{
		"progressive":          readFile(t, "progressive.jpg"),
		"four colours":         readFile(t, "cmyk.jpg"),
		"empty":                nil,
		"cut in half":          photo[:len(photo)/2],
		"without its end":      photo[:len(photo)-2],
		"its end one byte off": append(bytes.Clone(photo[:len(photo)-2]), 0, 0xff, 0xd9),
		"12-bit samples":       change(frame+4, 12),
		"no width":             append(append(bytes.Clone(photo[:frame+7]), 0, 0), photo[frame+9:]...),
		"four times four":      change(frame+11, 0x44),
		"other scan":           change(bytes.Index(photo, []byte{0xff, 0xda})+4, 1),
	}
	for name, b := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := decode(b, 4); !errors.Is(err, scaledjpeg.ErrOther) {
				t.Errorf("Decode = %v, want ErrOther", err)
			}
		})
	}
}

// TestDecodeWhole compares with image/jpeg to the bit, padding and all.
func TestDecodeWhole(t *testing.T) {
	for _, name := range read {
		b := readFile(t, name)
		want, err := jpeg.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(b, 1)
		if err != nil {
			t.Fatal(err)
		}
		if !same(want, got, got.Bounds()) {
			t.Errorf("%s differs from image/jpeg", name)
		}
	}
}

// same tells whether two pictures have the same samples in r.
func same(a, b image.Image, r image.Rectangle) bool {
	if reflect.TypeOf(a) != reflect.TypeOf(b) || !r.In(a.Bounds()) || !r.In(b.Bounds()) {
		return false
	}
	m, ok := a.(*image.YCbCr)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			if ok && m.YCbCrAt(x, y) != b.(*image.YCbCr).YCbCrAt(x, y) || !ok && a.At(x, y) != b.At(x, y) {
				return false
			}
		}
	}
	return true
}

// TestRegion takes parts of a picture that was decoded at another scale.
func TestRegion(t *testing.T) {
	for _, name := range read {
		d, err := scaledjpeg.Open(readFile(t, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, scale := range []int{1, 2, 4, 8} {
			whole, err := d.Decode(scale)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Decode(8); err != nil {
				t.Fatal(err)
			}
			b := whole.Bounds()
			for range 20 {
				x, y := rand.IntN(b.Dx()), rand.IntN(b.Dy())
				r := image.Rect(x, y, x+1+rand.IntN(b.Dx()-x), y+1+rand.IntN(b.Dy()-y))
				if part := d.Region(r, scale); !same(whole, part, r) {
					t.Errorf("%s by %d: %v of %v differs", name, scale, r, b)
				}
			}
		}
	}
}

// FuzzDecode looks for files that crash, that are read here and refused or seen
// as another size by image/jpeg, or whose pixels differ from image/jpeg's.
func FuzzDecode(f *testing.F) {
	for _, name := range read {
		b := readFile(f, name)
		f.Add(b, uint8(1))
		f.Add(b, uint8(3))
		f.Add(b, uint8(4))
	}
	f.Fuzz(func(t *testing.T, b []byte, power uint8) {
		config, err := jpeg.DecodeConfig(bytes.NewReader(b))
		if err != nil || config.Width*config.Height > 1<<17 {
			return
		}
		d, err := scaledjpeg.Open(b)
		if err != nil {
			return
		}
		scale := 1 << (power % 4)
		scaled, err := d.Decode(scale)
		if err != nil {
			return
		}
		whole, err := jpeg.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("Decode reads what image/jpeg refuses: %v", err)
		}
		if _, _, err := difference(whole, scaled, scale); err != nil {
			t.Fatal(err)
		}
		r := scaled.Bounds()
		r.Min = r.Max.Div(3)
		if part := d.Region(r, scale); !same(scaled, part, r) {
			t.Fatalf("part %v of %v by %d differs", r, scaled.Bounds(), scale)
		}
		if scale == 1 && !same(whole, scaled, whole.Bounds()) {
			t.Fatal("differs from image/jpeg")
		}
	})
}
