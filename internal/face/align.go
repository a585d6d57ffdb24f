package face

import (
	"image"
	"math"
)

// template is where the five landmarks of a face lie in the crop, in pixels:
// the median of YuNet's points on UTKFace chips (a frame of 200 pixels), times
// Size/200, so that a crop is framed like the chips.
var template = func() (t [5][2]float64) {
	for i, p := range [5][2]float64{{61.2, 60.1}, {136.9, 58.7}, {99.9, 101.5}, {66.9, 136.4}, {133.9, 135.0}} {
		t[i] = [2]float64{p[0] * Size / 200, p[1] * Size / 200}
	}
	return t
}()

// Align cuts the face out: the similarity transform (scale, turn, shift) that
// brings the landmarks closest to the template in the least-squares sense
// (Umeyama 1991), sampled bilinearly after averaging down, beyond the photo's
// edge its outermost pixel. The crop is Size x Size.
func Align(p *Picture, landmarks [5]Point) *image.RGBA {
	t := fit(landmarks)
	f := t.factor(p)
	w, h := p.Size()
	roi := t.bounds().Intersect(image.Rect(0, 0, w, h))
	roi.Min.X -= roi.Min.X % f
	roi.Min.Y -= roi.Min.Y % f
	if roi.Empty() {
		// The landmarks lie outside the photo; the nearest corner is all there is.
		roi = image.Rect(0, 0, 1, 1)
	}
	return warp(p.Region(roi, f), t.within(roi, f))
}

// similarity maps a pixel (u, v) of the crop to the photo:
// x = a*u - b*v + x0, y = b*u + a*v + y0.
type similarity struct{ a, b, x0, y0 float64 }

// fit returns the least-squares similarity from template to landmarks. Products
// are converted one by one, which forbids the compiler to fuse them: the result
// is the same on every processor.
func fit(landmarks [5]Point) similarity {
	const n = float64(len(landmarks))
	var mu, mv, mx, my float64
	for i, p := range landmarks {
		mu += template[i][0] / n
		mv += template[i][1] / n
		mx += float64(p.X) / subpixel / n
		my += float64(p.Y) / subpixel / n
	}
	var dot, cross, norm float64
	for i, p := range landmarks {
		u, v := template[i][0]-mu, template[i][1]-mv
		x, y := float64(p.X)/subpixel-mx, float64(p.Y)/subpixel-my
		dot += float64(u*x) + float64(v*y)
		cross += float64(u*y) - float64(v*x)
		norm += float64(u*u) + float64(v*v)
	}
	t := similarity{a: dot / norm, b: cross / norm}
	t.x0 = mx - float64(t.a*mu) + float64(t.b*mv)
	t.y0 = my - float64(t.b*mu) - float64(t.a*mv)
	return t
}

// bounds returns the smallest rectangle of the photo that holds the crop and
// the neighbours that its edge is interpolated from.
func (t similarity) bounds() image.Rectangle {
	minX, minY := math.Inf(1), math.Inf(1)
	maxX, maxY := math.Inf(-1), math.Inf(-1)
	for _, c := range [4][2]float64{{0, 0}, {Size, 0}, {0, Size}, {Size, Size}} {
		x := t.a*c[0] - t.b*c[1] + t.x0
		y := t.b*c[0] + t.a*c[1] + t.y0
		minX, maxX = min(minX, x), max(maxX, x)
		minY, maxY = min(minY, y), max(maxY, y)
	}
	margin := 2 + math.Hypot(t.a, t.b)
	return image.Rect(int(minX-margin), int(minY-margin), int(maxX+margin)+1, int(maxY+margin)+1)
}

// factor returns by what the photo is divided before the crop is taken from it.
// Averaging by whole blocks first keeps a large face from aliasing, and makes
// the cost that of the crop instead of the photo's.
func (t similarity) factor(p *Picture) int {
	return p.Factor(max(1, int(math.Hypot(t.a, t.b))))
}

// within returns the transform into a region of the photo reduced by f.
func (t similarity) within(roi image.Rectangle, f int) similarity {
	s := float64(f)
	return similarity{t.a / s, t.b / s, (t.x0 - float64(roi.Min.X)) / s, (t.y0 - float64(roi.Min.Y)) / s}
}

// warp samples src at the crop's pixels in fixed-point arithmetic (20 bits of
// position, 8 of weight), so that the crop is the same to the pixel everywhere.
// Each pixel is the mean of 2 x 2 samples, a quarter pixel off its centre.
func warp(src *image.RGBA, t similarity) *image.RGBA {
	const one = 1 << 20
	fixed := func(v float64) int { return int(math.Round(v * one)) }
	a, b, x0, y0 := fixed(t.a), fixed(t.b), fixed(t.x0)-one/2, fixed(t.y0)-one/2

	dst := image.NewRGBA(image.Rect(0, 0, Size, Size))
	spread := spreadPixels(src)
	width, maxX, maxY := src.Rect.Dx(), src.Rect.Dx()-1, src.Rect.Dy()-1
	// Sums of a row's samples; each has 2 x 8 bits of weight.
	var redBlue, green [Size]uint64
	for v4 := 1; v4 < 4*Size; v4 += 2 {
		// Numerators of the first quarter's centre.
		x4, y4 := a-b*v4, b+a*v4
		for u2 := range 2 * Size {
			// In 256ths of a pixel of the source after the shift.
			x, y := (x4/4+x0)>>12, (y4/4+y0)>>12
			x4, y4 = x4+2*a, y4+2*b
			fx, fy := uint64(x&255), uint64(y&255)
			x, y = x>>8, y>>8

			var p, q, r, t uint64
			if x >= 0 && x < maxX && y >= 0 && y < maxY {
				i := y*width + x
				top, bottom := spread[i:][:2], spread[i+width:][:2]
				p, q, r, t = top[0], top[1], bottom[0], bottom[1]
			} else {
				left, right := clampTo(x, maxX), clampTo(x+1, maxX)
				top, bottom := clampTo(y, maxY)*width, clampTo(y+1, maxY)*width
				p, q, r, t = spread[top+left], spread[top+right], spread[bottom+left], spread[bottom+right]
			}
			// (256-f)*p + f*q; what a colour borrows from the next it gives back.
			above := p<<8 + fx*(q-p)
			below := r<<8 + fx*(t-r)
			rb, g := above&redBlueMask, above>>16&0xffff
			redBlue[u2/2] += rb<<8 + fy*(below&redBlueMask-rb)
			green[u2/2] += g<<8 + fy*(below>>16&0xffff-g)
		}
		if v4&2 == 0 {
			continue // the upper half of the row
		}
		row := dst.Pix[v4/4*dst.Stride:][:4*Size]
		for u := range Size {
			const scale = 4 << 16
			row[4*u] = uint8((redBlue[u]&0xffffffff + scale/2) / scale)
			row[4*u+1] = uint8((green[u] + scale/2) / scale)
			row[4*u+2] = uint8((redBlue[u]>>32 + scale/2) / scale)
			row[4*u+3] = 0xff
		}
		redBlue, green = [Size]uint64{}, [Size]uint64{}
	}
	return dst
}

// redBlueMask takes red and blue, with room for further 16 bits above each, of
// a spread pixel.
const redBlueMask = 0xffff_0000_ffff

// spreadPixels gives each colour of a pixel 16 bits of a word, so that one
// multiplication weighs all three: red lowest, then green, then blue.
func spreadPixels(img *image.RGBA) []uint64 {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	spread := make([]uint64, 0, w*h)
	for y := range h {
		for row := img.Pix[y*img.Stride:][:4*w]; len(row) >= 4; row = row[4:] {
			spread = append(spread, uint64(row[0])|uint64(row[1])<<16|uint64(row[2])<<32)
		}
	}
	return spread
}

func clampTo(v, limit int) int { return min(max(v, 0), limit) }
