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
	a, b, x0, y0 := fixed(t.a), fixed(t.b), fixed(t.x0), fixed(t.y0)

	dst := image.NewRGBA(image.Rect(0, 0, Size, Size))
	maxX, maxY := src.Rect.Dx()-1, src.Rect.Dy()-1
	for v := range Size {
		for u := range Size {
			var red, green, blue int
			for _, s := range [4][2]int{{1, 1}, {3, 1}, {1, 3}, {3, 3}} {
				// Centre of the quarter, less half a pixel of the source; in
				// 256ths of a pixel after the shift.
				u4, v4 := 4*u+s[0], 4*v+s[1]
				x := ((a*u4-b*v4)/4 + x0 - one/2) >> 12
				y := ((b*u4+a*v4)/4 + y0 - one/2) >> 12
				fx, fy := x&255, y&255

				top := clampTo(y>>8, maxY) * src.Stride
				bottom := clampTo(y>>8+1, maxY) * src.Stride
				left, right := 4*clampTo(x>>8, maxX), 4*clampTo(x>>8+1, maxX)
				p, q := src.Pix[top+left:][:3], src.Pix[top+right:][:3]
				r, t := src.Pix[bottom+left:][:3], src.Pix[bottom+right:][:3]
				w00, w10, w01, w11 := (256-fx)*(256-fy), fx*(256-fy), (256-fx)*fy, fx*fy
				red += w00*int(p[0]) + w10*int(q[0]) + w01*int(r[0]) + w11*int(t[0])
				green += w00*int(p[1]) + w10*int(q[1]) + w01*int(r[1]) + w11*int(t[1])
				blue += w00*int(p[2]) + w10*int(q[2]) + w01*int(r[2]) + w11*int(t[2])
			}
			const scale = 4 << 16 // four samples, 2 x 8 bits of weight
			o := v*dst.Stride + 4*u
			dst.Pix[o] = uint8((red + scale/2) / scale)
			dst.Pix[o+1] = uint8((green + scale/2) / scale)
			dst.Pix[o+2] = uint8((blue + scale/2) / scale)
			dst.Pix[o+3] = 0xff
		}
	}
	return dst
}

func clampTo(v, limit int) int { return min(max(v, 0), limit) }
