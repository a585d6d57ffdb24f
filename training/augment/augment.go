// Package augment varies a photo's aligned crop as selfies vary: how the face
// is framed, light, blur and compression. The crop itself is cut by package
// face, from landmarks that were moved, so that a varied crop is sampled as
// serving samples it.
package augment

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"math"
	"math/rand/v2"

	"github.com/agequote/agequote/internal/face"
)

// Settings are ranges; a zero value changes nothing. A recipe holds them.
type Settings struct {
	Mirror   float64 `yaml:"mirror"`   // probability of a mirror image
	Turn     float64 `yaml:"turn"`     // degrees, standard deviation
	Scale    float64 `yaml:"scale"`    // standard deviation of the logarithm of the size
	Shift    float64 `yaml:"shift"`    // standard deviation, share of the distance of eyes and mouth
	Light    float64 `yaml:"light"`    // standard deviation of the logarithm of the brightness
	Contrast float64 `yaml:"contrast"` // standard deviation of the logarithm of the contrast
	Tint     float64 `yaml:"tint"`     // standard deviation of the logarithm of each channel's gain
	Grey     float64 `yaml:"grey"`     // probability of a picture without colour
	Blur     float64 `yaml:"blur"`     // probability of a reduction by 1 to 3 and back
	JPEG     float64 `yaml:"jpeg"`     // probability of compression at quality 20 to 90
}

// Check tells what is out of range.
func (s Settings) Check() error {
	for name, p := range map[string]float64{"mirror": s.Mirror, "grey": s.Grey, "blur": s.Blur, "jpeg": s.JPEG} {
		if !(p >= 0 && p <= 1) {
			return fmt.Errorf("augment: %s %v is no probability", name, p)
		}
	}
	for name, sd := range map[string]float64{"turn": s.Turn / 90, "scale": s.Scale, "shift": s.Shift, "light": s.Light, "contrast": s.Contrast, "tint": s.Tint} {
		if !(sd >= 0 && sd <= 1) {
			return fmt.Errorf("augment: %s is out of range", name)
		}
	}
	return nil
}

// Crop cuts the face out of the picture, varied by chance. The same state of r
// gives the same crop.
func (s Settings) Crop(pic *face.Picture, landmarks [5]face.Point, r *rand.Rand) *image.RGBA {
	crop := face.Align(pic, s.move(landmarks, r))
	if r.Float64() < s.Mirror {
		Mirror(crop)
	}
	if s.Light > 0 || s.Contrast > 0 || s.Tint > 0 || s.Grey > 0 {
		s.light(crop, r)
	}
	if r.Float64() < s.Blur {
		Blur(crop, 1+2*r.Float64())
	}
	if r.Float64() < s.JPEG {
		crop = compress(crop, 20+r.IntN(71))
	}
	return crop
}

// move turns, scales and shifts the landmarks about their middle.
func (s Settings) move(landmarks [5]face.Point, r *rand.Rand) [5]face.Point {
	var cx, cy float64
	for _, p := range landmarks {
		cx += float64(p.X) / 5
		cy += float64(p.Y) / 5
	}
	eyes := float64(landmarks[0].Y+landmarks[1].Y) / 2
	mouth := float64(landmarks[3].Y+landmarks[4].Y) / 2
	size := math.Abs(mouth - eyes)

	sin, cos := math.Sincos(s.Turn * r.NormFloat64() * math.Pi / 180)
	scale := math.Exp(s.Scale * r.NormFloat64())
	dx, dy := s.Shift*size*r.NormFloat64(), s.Shift*size*r.NormFloat64()
	for i, p := range landmarks {
		x, y := float64(p.X)-cx, float64(p.Y)-cy
		landmarks[i] = face.Point{
			X: int(math.Round(cx + dx + scale*(cos*x-sin*y))),
			Y: int(math.Round(cy + dy + scale*(sin*x+cos*y))),
		}
	}
	return landmarks
}

// light changes brightness, contrast about the mean, and colour.
func (s Settings) light(crop *image.RGBA, r *rand.Rand) {
	brightness := math.Exp(s.Light * r.NormFloat64())
	contrast := math.Exp(s.Contrast * r.NormFloat64())
	grey := r.Float64() < s.Grey
	var mean float64
	for i := 0; i < len(crop.Pix); i += 4 {
		mean += float64(crop.Pix[i+1])
	}
	mean /= float64(len(crop.Pix) / 4)
	var table [3][256]uint8
	for c := range table {
		gain := math.Exp(s.Tint * r.NormFloat64())
		for v := range table[c] {
			y := (mean + (float64(v)-mean)*contrast) * brightness * gain
			table[c][v] = uint8(math.Round(min(max(y, 0), 255)))
		}
	}
	for i := 0; i < len(crop.Pix); i += 4 {
		p := crop.Pix[i : i+3]
		if grey {
			// ITU-R BT.601 luma, in thousandths.
			luma := uint8((299*int(p[0]) + 587*int(p[1]) + 114*int(p[2]) + 500) / 1000)
			p[0], p[1], p[2] = table[1][luma], table[1][luma], table[1][luma]
			continue
		}
		p[0], p[1], p[2] = table[0][p[0]], table[1][p[1]], table[2][p[2]]
	}
}

// Mirror swaps left and right in place.
func Mirror(m *image.RGBA) {
	w := m.Rect.Dx()
	for y := range m.Rect.Dy() {
		row := m.Pix[y*m.Stride:][:4*w]
		for x := range w / 2 {
			a, b := row[4*x:4*x+4], row[4*(w-1-x):4*(w-x)]
			for c := range 4 {
				a[c], b[c] = b[c], a[c]
			}
		}
	}
}

// Blur loses the detail that a picture f times smaller would not have: it is
// reduced by area and enlarged by linear interpolation.
func Blur(m *image.RGBA, f float64) {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	sw, sh := max(1, int(float64(w)/f)), max(1, int(float64(h)/f))
	small := make([]float32, sw*sh*3)
	count := make([]float32, sw*sh)
	for y := range h {
		for x := range w {
			i := (y*sh/h)*sw + x*sw/w
			p := m.Pix[y*m.Stride+4*x:]
			for c := range 3 {
				small[3*i+c] += float32(p[c])
			}
			count[i]++
		}
	}
	for i, n := range count {
		for c := range 3 {
			small[3*i+c] /= n
		}
	}
	for y := range h {
		y0, y1, fy := between(y, h, sh)
		for x := range w {
			x0, x1, fx := between(x, w, sw)
			p := m.Pix[y*m.Stride+4*x:]
			for c := range 3 {
				top := small[3*(y0*sw+x0)+c]*(1-fx) + small[3*(y0*sw+x1)+c]*fx
				bottom := small[3*(y1*sw+x0)+c]*(1-fx) + small[3*(y1*sw+x1)+c]*fx
				p[c] = uint8(top*(1-fy) + bottom*fy + 0.5)
			}
		}
	}
}

// between returns the two of n pixels between which pixel i of size lies, and
// how far it is on the way.
func between(i, size, n int) (low, high int, share float32) {
	v := (float64(i)+0.5)*float64(n)/float64(size) - 0.5
	v = min(max(v, 0), float64(n-1))
	low = int(v)
	return low, min(low+1, n-1), float32(v - float64(low))
}

// compress goes through JPEG. A crop always can.
func compress(m *image.RGBA, quality int) *image.RGBA {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: quality}); err != nil {
		panic(err)
	}
	decoded, err := jpeg.Decode(&b)
	if err != nil {
		panic(err)
	}
	return face.NewPicture(decoded).Region(decoded.Bounds(), 1)
}
