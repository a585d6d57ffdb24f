package face

import (
	"image"
	"image/draw"
	"sync"
)

// Picture is a decoded photo that knows which way is up. Its pixels stay in the
// decoder's own format until a region is asked for: a 12-megapixel photo is
// never copied whole, and if it can be, it is decoded at a part of its size, and
// finer only where finer pixels are asked for.
type Picture struct {
	orientation   int // EXIF, 1 to 8
	width, height int // as stored, in pixels

	img   image.Image // each pixel the mean of scale x scale
	scale int         // 1, 2, 4 or 8

	mu sync.Mutex
	// finer decodes the part r of the picture as stored at a finer scale, in
	// pixels of that. Nil where scale is 1.
	finer func(r image.Rectangle, scale int) image.Image

	// The first of the whole photo's reductions, which the detector and the
	// perceptual hash share, with the side and the divisor that it was made for.
	reduced     *image.RGBA
	reducedSide int
	reducedBy   int
}

// NewPicture wraps an upright image.
func NewPicture(img image.Image) *Picture {
	s := img.Bounds().Size()
	return &Picture{orientation: 1, width: s.X, height: s.Y, img: img, scale: 1}
}

// Size returns width and height of the upright photo in pixels.
func (p *Picture) Size() (w, h int) {
	if p.orientation >= 5 {
		return p.height, p.width
	}
	return p.width, p.height
}

// Factor returns the largest divisor up to f, which is 1 or more, that Region
// takes without decoding the photo more finely than f asks for.
func (p *Picture) Factor(f int) int {
	s := p.scale
	for s > f {
		s /= 2
	}
	return f / s * s
}

// Region returns the part r of the upright photo, each side divided by f and
// rounded up: a pixel is the mean of the f x f block that it stands for. r is
// clipped to the photo, and begins at a multiple of f.
func (p *Picture) Region(r image.Rectangle, f int) *image.RGBA {
	s := p.scale
	for f%s != 0 {
		s /= 2
	}
	w, h := p.Size()
	r = r.Intersect(image.Rect(0, 0, w, h))
	if s > 1 {
		r = image.Rect(r.Min.X/s, r.Min.Y/s, (r.Max.X+s-1)/s, (r.Max.Y+s-1)/s)
		w, h = (w+s-1)/s, (h+s-1)/s
	}
	img := p.img
	src := unrotate(r, w, h, p.orientation).Add(img.Bounds().Min)
	if s < p.scale {
		p.mu.Lock()
		img = p.finer(src, s)
		p.mu.Unlock()
	}
	return rotate(reduce(img, src, f/s), p.orientation)
}

// small returns the whole photo, reduced by a whole number f that brings the
// longer side to about side pixels. Nobody may write to it.
func (p *Picture) small(side int) (img *image.RGBA, f int) {
	p.mu.Lock()
	img, f = p.reduced, p.reducedBy
	found := p.reducedSide == side
	p.mu.Unlock()
	if found {
		return img, f
	}
	w, h := p.Size()
	f = p.Factor((max(w, h) + side - 1) / side)
	img = p.Region(image.Rect(0, 0, w, h), f)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reduced == nil {
		p.reduced, p.reducedSide, p.reducedBy = img, side, f
	}
	return img, f
}

// unrotate maps a rectangle of the upright w x h photo to the stored picture.
func unrotate(r image.Rectangle, w, h, orientation int) image.Rectangle {
	x0, y0, x1, y1 := r.Min.X, r.Min.Y, r.Max.X, r.Max.Y
	switch orientation {
	case 2: // mirrored left to right
		return image.Rect(w-x1, y0, w-x0, y1)
	case 3: // turned by 180 degrees
		return image.Rect(w-x1, h-y1, w-x0, h-y0)
	case 4: // mirrored top to bottom
		return image.Rect(x0, h-y1, x1, h-y0)
	case 5: // transposed
		return image.Rect(y0, x0, y1, x1)
	case 6: // needs a quarter turn clockwise
		return image.Rect(y0, w-x1, y1, w-x0)
	case 7: // transposed the other way
		return image.Rect(h-y1, w-x1, h-y0, w-x0)
	case 8: // needs a quarter turn anticlockwise
		return image.Rect(h-y1, x0, h-y0, x1)
	}
	return r
}

// rotate brings a stored picture upright.
func rotate(src *image.RGBA, orientation int) *image.RGBA {
	if orientation < 2 || orientation > 8 {
		return src
	}
	sw, sh := src.Rect.Dx(), src.Rect.Dy()
	w, h := sw, sh
	if orientation >= 5 {
		w, h = sh, sw
	}
	dst := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			var sx, sy int
			switch orientation {
			case 2:
				sx, sy = w-1-x, y
			case 3:
				sx, sy = w-1-x, h-1-y
			case 4:
				sx, sy = x, h-1-y
			case 5:
				sx, sy = y, x
			case 6:
				sx, sy = y, w-1-x
			case 7:
				sx, sy = h-1-y, w-1-x
			case 8:
				sx, sy = h-1-y, x
			}
			copy(dst.Pix[y*dst.Stride+4*x:][:4], src.Pix[sy*src.Stride+4*sx:][:4])
		}
	}
	return dst
}

// reduce averages f x f blocks of the stored picture. Integer sums make it the
// same on every processor.
func reduce(img image.Image, r image.Rectangle, f int) *image.RGBA {
	w, h := (r.Dx()+f-1)/f, (r.Dy()+f-1)/f
	dst := image.NewRGBA(image.Rect(0, 0, w, h))
	if m, ok := img.(*image.YCbCr); ok { // what JPEGs are; a third of the sampler's time
		if f == 2 && m.SubsampleRatio == image.YCbCrSubsampleRatio444 {
			m, r, f = halve(m, r), dst.Rect, 1
		}
		if f == 1 {
			draw.Draw(dst, dst.Rect, m, r.Min, draw.Src)
			return dst
		}
	}
	at := samplerOf(img)
	for y := range h {
		y0, y1 := r.Min.Y+y*f, min(r.Min.Y+(y+1)*f, r.Max.Y)
		for x := range w {
			x0, x1 := r.Min.X+x*f, min(r.Min.X+(x+1)*f, r.Max.X)
			c := at(x0, y0, x1, y1)
			o := y*dst.Stride + 4*x
			dst.Pix[o], dst.Pix[o+1], dst.Pix[o+2], dst.Pix[o+3] = c.R, c.G, c.B, 0xff
		}
	}
	return dst
}

// Small returns the whole photo as the face detector looks at it first, at
// most about 320 pixels a side: what a perceptual hash is made of. Nobody may
// write to it.
func (p *Picture) Small() *image.RGBA {
	img, _ := p.small(detectSides[0])
	return img
}
