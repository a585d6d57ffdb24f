package face

import (
	"image"
	"image/color"
)

// A sampler returns the mean colour of the pixels from x0 to x1 and y0 to y1,
// the ends not among them.
type sampler func(x0, y0, x1, y1 int) color.RGBA

// samplerOf returns a picture's sampler. What the decoders make has a way of its
// own: a photo is looked at up to three times, and one of 40 megapixels takes
// seconds where each pixel goes through the interface.
func samplerOf(img image.Image) sampler {
	switch m := img.(type) {
	case *image.YCbCr:
		return samplerYCbCr(m)
	case *image.Gray:
		return samplerGray(m)
	case *image.RGBA:
		return byRows(rowsRGBA(m))
	case *image.NRGBA:
		return byRows(rowsNRGBA(m))
	case *image.Paletted:
		return byRows(rowsPaletted(m))
	case *image.CMYK:
		return byRows(rowsCMYK(m))
	case *image.NYCbCrA:
		return byRows(rowsNYCbCrA(m))
	case *image.RGBA64:
		return byRows(rowsOf(func(x, y int) (r, g, b, a uint32) { return m.RGBA64At(x, y).RGBA() }))
	case *image.NRGBA64:
		return byRows(rowsOf(func(x, y int) (r, g, b, a uint32) { return m.NRGBA64At(x, y).RGBA() }))
	case *image.Gray16:
		return byRows(rowsOf(func(x, y int) (r, g, b, a uint32) { return m.Gray16At(x, y).RGBA() }))
	}
	return byRows(rowsOf(func(x, y int) (r, g, b, a uint32) { return img.At(x, y).RGBA() }))
}

func samplerGray(m *image.Gray) sampler {
	return func(x0, y0, x1, y1 int) color.RGBA {
		var sum int
		for y := y0; y < y1; y++ {
			for _, v := range m.Pix[m.PixOffset(x0, y) : m.PixOffset(x0, y)+x1-x0] {
				sum += int(v)
			}
		}
		n := (x1 - x0) * (y1 - y0)
		v := uint8((sum + n/2) / n)
		return color.RGBA{v, v, v, 0xff}
	}
}

// samplerYCbCr averages luma and chroma apart and converts once.
func samplerYCbCr(m *image.YCbCr) sampler {
	across, down := chromaShifts(m.SubsampleRatio)
	origin := m.Rect.Min
	return func(x0, y0, x1, y1 int) color.RGBA {
		var sumY int
		row := (y0-origin.Y)*m.YStride + x0 - origin.X
		for range y1 - y0 {
			for _, v := range m.Y[row : row+x1-x0] {
				sumY += int(v)
			}
			row += m.YStride
		}
		n := (x1 - x0) * (y1 - y0)

		cx0, cx1 := x0>>across-origin.X>>across, (x1-1)>>across-origin.X>>across+1
		cy0, cy1 := y0>>down-origin.Y>>down, (y1-1)>>down-origin.Y>>down+1
		var sumCb, sumCr int
		for cy := cy0; cy < cy1; cy++ {
			cb, cr := m.Cb[cy*m.CStride:], m.Cr[cy*m.CStride:]
			for cx := cx0; cx < cx1; cx++ {
				sumCb += int(cb[cx])
				sumCr += int(cr[cx])
			}
		}
		nc := (cx1 - cx0) * (cy1 - cy0)
		r, g, b := color.YCbCrToRGB(uint8((sumY+n/2)/n), uint8((sumCb+nc/2)/nc), uint8((sumCr+nc/2)/nc))
		return color.RGBA{r, g, b, 0xff}
	}
}

// chromaShifts returns the binary logarithms of how many pixels share a chroma
// sample, across and down.
func chromaShifts(r image.YCbCrSubsampleRatio) (across, down uint) {
	switch r {
	case image.YCbCrSubsampleRatio422:
		return 1, 0
	case image.YCbCrSubsampleRatio420:
		return 1, 1
	case image.YCbCrSubsampleRatio440:
		return 0, 1
	case image.YCbCrSubsampleRatio411:
		return 2, 0
	case image.YCbCrSubsampleRatio410:
		return 2, 1
	}
	return 0, 0
}

// rows returns the sum of a row's pixels in 16 bits, laid over white: a cut-out
// selfie in a PNG with a transparent ground must not turn dark.
type rows func(y, x0, x1 int) (r, g, b int)

func byRows(sum rows) sampler {
	return func(x0, y0, x1, y1 int) color.RGBA {
		var r, g, b int
		for y := y0; y < y1; y++ {
			dr, dg, db := sum(y, x0, x1)
			r, g, b = r+dr, g+dg, b+db
		}
		n := (x1 - x0) * (y1 - y0)
		to8 := func(sum int) uint8 { return uint8((sum/n + 128) / 257) }
		return color.RGBA{to8(r), to8(g), to8(b), 0xff}
	}
}

// overWhite is the part in a sum of rows of a colour premultiplied by alpha.
func overWhite(r, g, b, a uint32) (int, int, int) {
	white := 0xffff - int(a)
	return int(r) + white, int(g) + white, int(b) + white
}

// rowsOf asks for the colours pixel by pixel.
func rowsOf(at func(x, y int) (r, g, b, a uint32)) rows {
	return func(y, x0, x1 int) (r, g, b int) {
		for x := x0; x < x1; x++ {
			dr, dg, db := overWhite(at(x, y))
			r, g, b = r+dr, g+dg, b+db
		}
		return r, g, b
	}
}

func rowsRGBA(m *image.RGBA) rows {
	return func(y, x0, x1 int) (r, g, b int) {
		at := m.PixOffset(x0, y)
		for p := m.Pix[at : at+4*(x1-x0)]; len(p) >= 4; p = p[4:] {
			white := 0xff - int(p[3])
			r, g, b = r+int(p[0])+white, g+int(p[1])+white, b+int(p[2])+white
		}
		return 0x101 * r, 0x101 * g, 0x101 * b
	}
}

func rowsNRGBA(m *image.NRGBA) rows {
	return func(y, x0, x1 int) (r, g, b int) {
		at := m.PixOffset(x0, y)
		for p := m.Pix[at : at+4*(x1-x0)]; len(p) >= 4; p = p[4:] {
			switch p[3] {
			case 0xff:
				r, g, b = r+0x101*int(p[0]), g+0x101*int(p[1]), b+0x101*int(p[2])
			case 0:
				r, g, b = r+0xffff, g+0xffff, b+0xffff
			default:
				dr, dg, db := overWhite(color.NRGBA{p[0], p[1], p[2], p[3]}.RGBA())
				r, g, b = r+dr, g+dg, b+db
			}
		}
		return r, g, b
	}
}

func rowsPaletted(m *image.Paletted) rows {
	var palette [256][3]int
	for i, c := range m.Palette {
		palette[i][0], palette[i][1], palette[i][2] = overWhite(c.RGBA())
	}
	return func(y, x0, x1 int) (r, g, b int) {
		at := m.PixOffset(x0, y)
		for _, i := range m.Pix[at : at+x1-x0] {
			c := &palette[i]
			r, g, b = r+c[0], g+c[1], b+c[2]
		}
		return r, g, b
	}
}

func rowsCMYK(m *image.CMYK) rows {
	return func(y, x0, x1 int) (r, g, b int) {
		at := m.PixOffset(x0, y)
		for p := m.Pix[at : at+4*(x1-x0)]; len(p) >= 4; p = p[4:] {
			dr, dg, db := overWhite(color.CMYK{p[0], p[1], p[2], p[3]}.RGBA())
			r, g, b = r+dr, g+dg, b+db
		}
		return r, g, b
	}
}

func rowsNYCbCrA(m *image.NYCbCrA) rows {
	return func(y, x0, x1 int) (r, g, b int) {
		for x := x0; x < x1; x++ {
			a := m.A[m.AOffset(x, y)]
			if a == 0 {
				r, g, b = r+0xffff, g+0xffff, b+0xffff
				continue
			}
			at := m.COffset(x, y)
			c := color.YCbCr{m.Y[m.YOffset(x, y)], m.Cb[at], m.Cr[at]}
			dr, dg, db := overWhite(color.NYCbCrA{YCbCr: c, A: a}.RGBA())
			r, g, b = r+dr, g+dg, b+db
		}
		return r, g, b
	}
}
