// Package hostile makes pictures that were built to hurt whoever decodes them:
// the largest that some limits let through, in as few bytes or with as much
// work as the format allows, and damaged ones. They are made anew each time, so
// that no such file lies in the project. Tests and bench/hostile use it alone.
package hostile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"

	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/reason"
)

// Picture is a hostile file.
type Picture struct {
	Name string
	Make func() []byte
	// Want is what face.Decode has to say of it; empty where it has to decode it.
	Want reason.Code
}

// Pictures returns files at and over the limits. Some are made of portrait, an
// honest JPEG of one face, 160 pixels or more a side.
func Pictures(l face.Limits, portrait []byte) []Picture {
	var all []Picture
	add := func(want reason.Code, name string, make func() []byte) {
		all = append(all, Picture{Name: name, Make: make, Want: want})
	}
	addJPEG(l, portrait, add)
	addPNG(l, add)
	addWebP(l, add)
	add("", "JPEG of faces, tiled", func() []byte { return tiled(portrait, min(1280, int(math.Sqrt(float64(l.Bytes)))), 40) })
	add("", "JPEG of noise, as large as allowed", func() []byte { return noise(l) })
	return all
}

// adder takes a picture into the list.
type adder func(want reason.Code, name string, make func() []byte)

// sides returns a width and a height whose product is at most pixels, and near
// it; both are multiples of 16, so that no block is a part.
func sides(pixels int) (w, h int) {
	w = int(math.Sqrt(float64(pixels)*1.25)) / 16 * 16
	return w, pixels / w / 16 * 16
}

// padded returns the file with bytes of this number put in at a place.
func padded(b []byte, at int, filler []byte) []byte {
	return append(append(bytes.Clone(b[:at]), filler...), b[at:]...)
}

// tiled fills a square with small copies of a portrait.
func tiled(portrait []byte, side, tile int) []byte {
	src, err := jpeg.Decode(bytes.NewReader(portrait))
	if err != nil {
		panic(fmt.Errorf("decode portrait: %w", err))
	}
	small := image.NewRGBA(image.Rect(0, 0, tile, tile))
	b := src.Bounds()
	for y := range tile {
		for x := range tile {
			small.Set(x, y, src.At(b.Min.X+x*b.Dx()/tile, b.Min.Y+y*b.Dy()/tile))
		}
	}
	all := image.NewRGBA(image.Rect(0, 0, side, side))
	for y := 0; y < side; y += tile {
		for x := 0; x < side; x += tile {
			draw.Draw(all, image.Rect(x, y, x+tile, y+tile), small, image.Point{}, draw.Src)
		}
	}
	return encodeJPEG(all, 90)
}

// noise is a JPEG of random pixels with about as many bytes as allowed.
func noise(l face.Limits) []byte {
	w, h := sides(min(l.Pixels, l.Bytes*2/3)) // a pixel of grey noise takes about 10 bits
	img := image.NewGray(image.Rect(0, 0, w, h))
	fillNoise(img.Pix)
	return encodeJPEG(img, 90)
}

func fillNoise(b []byte) {
	r := rand.New(rand.NewPCG(1, 2))
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, r.Uint64())
		b = b[8:]
	}
}

func encodeJPEG(img image.Image, quality int) []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
		panic(err) // writing to memory
	}
	return b.Bytes()
}

func encodePNG(img image.Image) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err) // writing to memory
	}
	return b.Bytes()
}
