package main

import (
	"bytes"
	"image"
	"image/jpeg"
	"math/rand/v2"

	"golang.org/x/image/draw"
)

// A change makes a copy of a picture; every copy but a JPEG's own is saved at
// quality 85 after it, as a phone would.
type change struct {
	Name string
	make func(image.Image, *rand.Rand) image.Image
}

var changes = []change{
	{"JPEG, quality 95", saved(95)},
	{"JPEG, quality 70", saved(70)},
	{"JPEG, quality 50", saved(50)},
	{"JPEG, quality 30", saved(30)},
	{"scaled by 0.25", scaled(0.25, 0.25)},
	{"scaled by 0.5", scaled(0.5, 0.5)},
	{"scaled by 2", scaled(2, 2)},
	{"stretched by 10 % in width", scaled(1.1, 1)},
	{"brighter by 30 of 255", levels(1, 30)},
	{"darker, to 70 %", levels(0.7, 0)},
	{"mirrored", func(i image.Image, _ *rand.Rand) image.Image { return mirrored(i) }},
	{"2 to 15 % cropped, evenly", croppedBetween(.02, .15, even)},
	{"2 to 15 % cropped off one side", croppedBetween(.02, .15, oneSide)},
	{"2 to 15 % cropped, anyhow", croppedBetween(.02, .15, anyhow)},
	{"2 % cropped, evenly", cropped(.02, even)},
	{"5 % cropped, evenly", cropped(.05, even)},
	{"10 % cropped, evenly", cropped(.10, even)},
	{"15 % cropped, evenly", cropped(.15, even)},
	{"5 % cropped off one side", cropped(.05, oneSide)},
	{"10 % cropped off one side", cropped(.10, oneSide)},
	{"15 % cropped off one side", cropped(.15, oneSide)},
	{"2 % cropped, anyhow", cropped(.02, anyhow)},
	{"5 % cropped, anyhow", cropped(.05, anyhow)},
	{"10 % cropped, anyhow", cropped(.10, anyhow)},
	{"15 % cropped, anyhow", cropped(.15, anyhow)},
	{"10 % cropped evenly, scaled by 0.5, quality 50", func(i image.Image, r *rand.Rand) image.Image {
		return saved(50)(scale(cropped(.10, even)(i, r), .5, .5), r)
	}},
	{"turned by 3 degrees", func(i image.Image, _ *rand.Rand) image.Image { return encode(turned(i), 85) }},
}

func saved(quality int) func(image.Image, *rand.Rand) image.Image {
	return func(i image.Image, _ *rand.Rand) image.Image { return encode(i, quality) }
}

// encode saves a picture as a JPEG and opens it again.
func encode(img image.Image, quality int) image.Image {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
		panic(err) // of a picture that was decoded before
	}
	out, err := jpeg.Decode(&b)
	if err != nil {
		panic(err)
	}
	return out
}

func scaled(x, y float64) func(image.Image, *rand.Rand) image.Image {
	return func(i image.Image, _ *rand.Rand) image.Image { return encode(scale(i, x, y), 85) }
}

func scale(img image.Image, x, y float64) image.Image {
	b := img.Bounds()
	out := image.NewRGBA(image.Rect(0, 0, int(float64(b.Dx())*x+.5), int(float64(b.Dy())*y+.5)))
	draw.CatmullRom.Scale(out, out.Rect, img, b, draw.Src, nil)
	return out
}

// pixels copies the part r of a picture.
func pixels(img image.Image, r image.Rectangle) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, r.Dx(), r.Dy()))
	draw.Draw(out, out.Rect, img, r.Min, draw.Src)
	return out
}

func levels(gain, offset float64) func(image.Image, *rand.Rand) image.Image {
	return func(i image.Image, _ *rand.Rand) image.Image {
		out := pixels(i, i.Bounds())
		for k, v := range out.Pix {
			if k%4 != 3 {
				out.Pix[k] = uint8(min(255, gain*float64(v)+offset))
			}
		}
		return encode(out, 85)
	}
}

func mirrored(img image.Image) image.Image {
	in := pixels(img, img.Bounds())
	out := image.NewRGBA(in.Rect)
	w := in.Rect.Dx()
	for y := range in.Rect.Dy() {
		for x := range w {
			copy(out.Pix[out.PixOffset(x, y):][:4], in.Pix[in.PixOffset(w-1-x, y):][:4])
		}
	}
	return encode(out, 85)
}

// turned turns by three degrees about the middle, and crops what is left empty.
func turned(img image.Image) image.Image {
	const sin, cos = 0.05233595624, 0.99862953475
	b := img.Bounds()
	w, h := float64(b.Dx()), float64(b.Dy())
	out := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	m := [6]float64{cos, -sin, w/2 - cos*w/2 + sin*h/2, sin, cos, h/2 - sin*w/2 - cos*h/2}
	draw.BiLinear.Transform(out, m, img, b, draw.Src, nil)
	cut := int(sin * max(w, h) / 2)
	return pixels(out, out.Rect.Inset(cut))
}

// cuts say how the share c of width and height that is cut off in all falls to
// left, top, right and bottom.
type cuts func(c float64, r *rand.Rand) [4]float64

func even(c float64, _ *rand.Rand) [4]float64 { return [4]float64{c / 2, c / 2, c / 2, c / 2} }

func oneSide(c float64, r *rand.Rand) (out [4]float64) {
	out[r.IntN(4)] = c
	return out
}

func anyhow(c float64, r *rand.Rand) [4]float64 {
	x, y := r.Float64(), r.Float64()
	return [4]float64{c * x, c * y, c * (1 - x), c * (1 - y)}
}

// croppedBetween crops by a share that is drawn.
func croppedBetween(low, high float64, how cuts) func(image.Image, *rand.Rand) image.Image {
	return func(i image.Image, r *rand.Rand) image.Image {
		return cropped(low+(high-low)*r.Float64(), how)(i, r)
	}
}

func cropped(c float64, how cuts) func(image.Image, *rand.Rand) image.Image {
	return func(i image.Image, r *rand.Rand) image.Image {
		b, cut := i.Bounds(), how(c, r)
		w, h := float64(b.Dx()), float64(b.Dy())
		part := image.Rect(int(cut[0]*w+.5), int(cut[1]*h+.5), int(w-cut[2]*w+.5), int(h-cut[3]*h+.5)).Add(b.Min)
		return encode(pixels(i, part), 85)
	}
}
