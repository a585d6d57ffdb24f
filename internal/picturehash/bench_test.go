package picturehash_test

import (
	"image"
	"testing"

	"github.com/agequote/agequote/internal/picturehash"
)

// BenchmarkOf hashes a picture of the size at which the face detector looks.
func BenchmarkOf(b *testing.B) {
	img := image.NewRGBA(image.Rect(0, 0, 320, 240))
	for i := range img.Pix {
		img.Pix[i] = uint8(i * i / 7)
	}
	b.ReportAllocs()
	for b.Loop() {
		picturehash.Of(img)
	}
}
