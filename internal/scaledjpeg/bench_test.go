package scaledjpeg_test

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"os"
	"testing"

	"golang.org/x/image/draw"

	"github.com/agequote/agequote/internal/scaledjpeg"
)

// large is the sample selfie at 12 megapixels with a sensor's grain, 2 MB.
func large(b *testing.B) []byte {
	file, err := os.ReadFile("../../events/selfies/grace_hopper.jpg")
	if err != nil {
		b.Fatal(err)
	}
	small, err := jpeg.Decode(bytes.NewReader(file))
	if err != nil {
		b.Fatal(err)
	}
	img := image.NewRGBA(image.Rect(0, 0, 3024, 4032))
	draw.CatmullRom.Scale(img, img.Rect, small, small.Bounds(), draw.Src, nil)
	grain := rand.New(rand.NewPCG(1, 2))
	for i := range img.Pix {
		if i%4 != 3 {
			img.Pix[i] = uint8(min(255, max(0, float64(img.Pix[i])+3*grain.NormFloat64())))
		}
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, &jpeg.Options{Quality: 92}); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}

// BenchmarkDecode compares with image/jpeg, which decodes whole.
func BenchmarkDecode(b *testing.B) {
	photo := large(b)
	b.Run("whole", func(b *testing.B) {
		for b.Loop() {
			if _, err := jpeg.Decode(bytes.NewReader(photo)); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, scale := range []int{1, 2, 4, 8} {
		b.Run(fmt.Sprint(scale), func(b *testing.B) {
			for b.Loop() {
				if _, err := decode(photo, scale); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("part", func(b *testing.B) {
		d, err := scaledjpeg.Open(photo)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := d.Decode(8); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			d.Region(image.Rect(1000, 1000, 2000, 2300), 1)
		}
	})
}
