package face

import (
	"encoding/binary"
	"image"
)

// halve returns the part r of a picture with full chroma at half its size: each
// sample is the mean of two by two, at an odd edge of what there is. It is what
// reduce does by its sampler, eight samples at a time, and the way of every large
// JPEG, whose decoder leaves it twice as large as the detector looks at it.
func halve(m *image.YCbCr, r image.Rectangle) *image.YCbCr {
	w, h := (r.Dx()+1)/2, (r.Dy()+1)/2
	out := image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio444)
	for y := range h {
		top, bottom := r.Min.Y+2*y, min(r.Min.Y+2*y+1, r.Max.Y-1)
		for _, plane := range [3]struct {
			from, to     []uint8
			stride, step int
		}{{m.Y, out.Y, m.YStride, out.YStride}, {m.Cb, out.Cb, m.CStride, out.CStride}, {m.Cr, out.Cr, m.CStride, out.CStride}} {
			at := func(row int) []uint8 {
				return plane.from[(row-m.Rect.Min.Y)*plane.stride+r.Min.X-m.Rect.Min.X:][:r.Dx()]
			}
			halveRows(plane.to[y*plane.step:][:w], at(top), at(bottom))
		}
	}
	return out
}

// halveRows writes the means of two by two samples of two rows.
func halveRows(out, a, b []uint8) {
	const low = 0x00ff_00ff_00ff_00ff
	for len(a) >= 8 {
		p, q := binary.LittleEndian.Uint64(a), binary.LittleEndian.Uint64(b)
		v := p&low + p>>8&low + q&low + q>>8&low // four sums of 10 bits
		v = (v + 0x0002_0002_0002_0002) >> 2 & low
		v = (v | v>>8) & 0x0000_ffff_0000_ffff
		binary.LittleEndian.PutUint32(out, uint32(v|v>>16))
		out, a, b = out[4:], a[8:], b[8:]
	}
	for x := range out {
		next := min(2*x+1, len(a)-1)
		out[x] = uint8((int(a[2*x]) + int(a[next]) + int(b[2*x]) + int(b[next]) + 2) / 4)
	}
}
