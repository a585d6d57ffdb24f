// Package scaledjpeg decodes a JPEG file at a half, a quarter or an eighth of
// its size, and then parts of it more finely: each pixel is the mean of the
// block that it stands for, taken from the coefficients of the discrete cosine
// transform, so that most of the transform and of the memory is never spent.
// At its whole size a picture is image/jpeg's to the bit.
//
// It reads what cameras and browsers write (baseline Huffman coding, one scan,
// grey or YCbCr, no damage) and answers ErrOther to all else, on purpose: the
// standard library's decoder then has the last word, and a hostile file is
// judged by that one alone.
package scaledjpeg

import (
	"encoding/binary"
	"errors"
	"image"
)

// ErrOther says that the file is none that this package reads: it is coded in
// another way, damaged, or no JPEG. image/jpeg tells which.
var ErrOther = errors.New("jpeg of another kind")

// Markers (ITU-T T.81, table B.1).
const (
	sof0 = 0xc0 // baseline
	sof1 = 0xc1 // extended sequential
	dht  = 0xc4
	rst0 = 0xd0
	soi  = 0xd8
	eoi  = 0xd9
	sos  = 0xda
	dqt  = 0xdb
	dri  = 0xdd
	app0 = 0xe0
	adob = 0xee
	appf = 0xef
	com  = 0xfe
)

// unzig maps the order in the file to row and column: 8*row + column
// (ITU-T T.81, figure 5).
var unzig = [64]uint8{
	0, 1, 8, 16, 9, 2, 3, 10,
	17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34,
	27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36,
	29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46,
	53, 60, 61, 54, 47, 55, 62, 63,
}

// component is a colour plane of the frame.
type component struct {
	id            byte
	across, down  int // blocks in a minimum coded unit
	quantisation  byte
	dcTable       byte
	acTable       byte
	width, height int // pixels that a block becomes
	pixels        []byte
	stride        int
	dc            int32 // of the block before
}

// Decoder decodes one file. It is not safe for concurrent use.
type Decoder struct {
	file          []byte
	start         int           // of the scan's data
	quantisation  [4]*[64]int32 // in zigzag order
	huffman       [2][2]*huffman
	components    []component
	width, height int
	restart       int // minimum coded units between restart markers; 0: none
	jfif          bool
	adobe         int // transform of the Adobe segment; -1: none

	bits         bits
	left         int  // minimum coded units up to the next restart marker
	next         byte // that marker
	coefficients [64]int32
	whole        bool  // decoding at the whole size
	rows         []row // all of them, once Decode has succeeded
}

// row is where a row of minimum coded units begins, with all that decoding it
// needs of the rows above.
type row struct {
	bits bits
	dc   [3]int32
	left int
	next byte
}

// Open reads a file's header. Its only error is ErrOther.
func Open(file []byte) (*Decoder, error) {
	d := &Decoder{file: file, adobe: -1}
	var err error
	d.start, err = d.header(file)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Decode returns the picture with both sides divided by scale, which is 1, 2, 4
// or 8, and rounded up: an *image.Gray, or an *image.YCbCr, which has full chroma
// where scale is more than 1. Its only error is ErrOther. It allocates in
// proportion to the size that the file states: the caller has checked that.
func (d *Decoder) Decode(scale int) (image.Image, error) {
	if !valid(scale) {
		return nil, ErrOther
	}
	units := d.units()
	img := d.allocate(units, scale)
	d.restore(row{bits: bits{b: d.file, i: d.start}, left: d.restart, next: rst0})
	d.rows = nil
	var rows []row
	for y := range units.Max.Y {
		rows = append(rows, d.row())
		for x := range units.Max.X {
			if !d.unit(x, y, true) {
				return nil, ErrOther
			}
		}
	}
	if !d.bits.marker(eoi) { // the file ends with the scan, or is another's
		return nil, ErrOther
	}
	d.rows = rows
	return img, nil
}

// Region returns a part of what Decode returns at this scale: at least r, as far
// as it lies in the picture. Only rows in which r lies are decoded. It panics
// where Decode has not succeeded before, at any scale.
func (d *Decoder) Region(r image.Rectangle, scale int) image.Image {
	if !valid(scale) || d.rows == nil {
		panic("scaledjpeg: region of a picture that was not decoded")
	}
	w, h := d.unitSize(scale)
	units := image.Rect(r.Min.X/w, r.Min.Y/h, (r.Max.X+w-1)/w, (r.Max.Y+h-1)/h).Intersect(d.units())
	img := d.allocate(units, scale)
	for y := units.Min.Y; y < units.Max.Y; y++ {
		d.restore(d.rows[y])
		for x := range units.Max.X {
			d.unit(x-units.Min.X, y-units.Min.Y, x >= units.Min.X)
		}
	}
	return img
}

func valid(scale int) bool { return scale == 1 || scale == 2 || scale == 4 || scale == 8 }

func (d *Decoder) row() row {
	r := row{bits: d.bits, left: d.left, next: d.next}
	for i, c := range d.components {
		r.dc[i] = c.dc
	}
	return r
}

func (d *Decoder) restore(r row) {
	d.bits, d.left, d.next = r.bits, r.left, r.next
	for i := range d.components {
		d.components[i].dc = r.dc[i]
	}
}

// header reads the segments up to the scan's data and returns where that begins.
func (d *Decoder) header(b []byte) (int, error) {
	if len(b) < 2 || b[0] != 0xff || b[1] != soi {
		return 0, ErrOther
	}
	for i := 2; i+4 <= len(b); {
		if b[i] != 0xff {
			return 0, ErrOther
		}
		length := int(binary.BigEndian.Uint16(b[i+2:]))
		if length < 2 || i+2+length > len(b) {
			return 0, ErrOther
		}
		segment := b[i+4 : i+2+length]
		marker := b[i+1]
		i += 2 + length

		ok := true
		switch {
		case marker == sof0 || marker == sof1:
			ok = d.frame(segment)
		case marker == dht:
			ok = d.huffmanTables(segment)
		case marker == dqt:
			ok = d.quantisationTables(segment)
		case marker == dri:
			ok = len(segment) == 2
			if ok {
				d.restart = int(binary.BigEndian.Uint16(segment))
			}
		case marker == app0:
			d.jfif = len(segment) >= 5 && string(segment[:5]) == "JFIF\x00"
		case marker == adob:
			if len(segment) >= 12 && string(segment[:5]) == "Adobe" {
				d.adobe = int(segment[11])
			}
		case marker == sos:
			if !d.scanHeader(segment) {
				return 0, ErrOther
			}
			return i, nil
		default:
			ok = marker == com || marker >= app0 && marker <= appf
		}
		if !ok {
			return 0, ErrOther
		}
	}
	return 0, ErrOther
}

func (d *Decoder) frame(s []byte) bool {
	if d.components != nil || len(s) < 6 || s[0] != 8 {
		return false
	}
	n := int(s[5])
	d.height, d.width = int(binary.BigEndian.Uint16(s[1:])), int(binary.BigEndian.Uint16(s[3:]))
	if n != 1 && n != 3 || len(s) != 6+3*n || d.width == 0 || d.height == 0 {
		return false
	}
	for i := range n {
		c := component{id: s[6+3*i], across: int(s[7+3*i] >> 4), down: int(s[7+3*i] & 15), quantisation: s[8+3*i]}
		switch {
		case n == 1:
			c.across, c.down = 1, 1 // whatever is stated: T.81, A.2.2
		case i == 0 && (c.across < 1 || c.across > 2 || c.down < 1 || c.down > 2),
			i > 0 && (c.across != 1 || c.down != 1),
			c.quantisation > 3:
			return false
		}
		for _, other := range d.components {
			if other.id == c.id {
				return false
			}
		}
		d.components = append(d.components, c)
	}
	return true
}

func (d *Decoder) quantisationTables(s []byte) bool {
	for len(s) > 0 {
		wide, id := int(s[0]>>4), s[0]&15
		size := 64 * (1 + wide)
		if wide > 1 || id > 3 || len(s) < 1+size {
			return false
		}
		table := new([64]int32)
		for i := range table {
			if wide == 1 {
				table[i] = int32(binary.BigEndian.Uint16(s[1+2*i:]))
			} else {
				table[i] = int32(s[1+i])
			}
		}
		d.quantisation[id] = table
		s = s[1+size:]
	}
	return true
}

func (d *Decoder) huffmanTables(s []byte) bool {
	for len(s) > 0 {
		if len(s) < 17 {
			return false
		}
		class, id := s[0]>>4, s[0]&15
		if class > 1 || id > 1 {
			return false
		}
		n := 0
		for _, count := range s[1:17] {
			n += int(count)
		}
		if n == 0 || n > 256 || len(s) < 17+n {
			return false
		}
		h := newHuffman(s[1:17], s[17:17+n], class == 1)
		if h == nil {
			return false
		}
		d.huffman[class][id] = h
		s = s[17+n:]
	}
	return true
}

// scanHeader takes the one scan that holds all components.
func (d *Decoder) scanHeader(s []byte) bool {
	n := len(d.components)
	if n == 0 || len(s) != 4+2*n || int(s[0]) != n {
		return false
	}
	for i := range d.components {
		c := &d.components[i]
		c.dcTable, c.acTable = s[2+2*i]>>4, s[2+2*i]&15
		if s[1+2*i] != c.id || c.dcTable > 1 || c.acTable > 1 || c.quantisation > 3 ||
			d.huffman[0][c.dcTable] == nil || d.huffman[1][c.acTable] == nil || d.quantisation[c.quantisation] == nil {
			return false
		}
	}
	if s[1+2*n] != 0 || s[2+2*n] != 63 || s[3+2*n] != 0 {
		return false
	}
	// Red, green and blue in place of YCbCr: image/jpeg has the rules.
	rgb := n == 3 && !d.jfif && (d.adobe == 0 || d.components[0].id == 'R')
	return !rgb
}

// unitSize returns width and height of a minimum coded unit in pixels.
func (d *Decoder) unitSize(scale int) (w, h int) {
	return 8 * d.components[0].across / scale, 8 * d.components[0].down / scale
}

// units returns how many minimum coded units lie across and down.
func (d *Decoder) units() image.Rectangle {
	w, h := d.unitSize(1)
	return image.Rect(0, 0, (d.width+w-1)/w, (d.height+h-1)/h)
}

// allocate makes the picture of some units and hands its planes to the
// components. But at its whole size, a block of subsampled chroma becomes as
// many pixels more, so that all planes are alike.
func (d *Decoder) allocate(units image.Rectangle, scale int) image.Image {
	d.whole = scale == 1
	luma := d.components[0]
	for i := range d.components {
		c := &d.components[i]
		c.width, c.height = 8, 8
		if !d.whole {
			c.width, c.height = 8/scale*luma.across/c.across, 8/scale*luma.down/c.down
		}
		c.stride = units.Dx() * c.across * c.width
		c.pixels = make([]byte, c.stride*units.Dy()*c.down*c.height)
	}

	w, h := d.unitSize(scale)
	r := image.Rect(units.Min.X*w, units.Min.Y*h, units.Max.X*w, units.Max.Y*h).
		Intersect(image.Rect(0, 0, (d.width+scale-1)/scale, (d.height+scale-1)/scale))
	if len(d.components) == 1 {
		return &image.Gray{Pix: d.components[0].pixels, Stride: d.components[0].stride, Rect: r}
	}
	cb, cr := d.components[1], d.components[2]
	img := &image.YCbCr{
		Y: d.components[0].pixels, Cb: cb.pixels, Cr: cr.pixels,
		YStride: d.components[0].stride, CStride: cb.stride, SubsampleRatio: image.YCbCrSubsampleRatio444, Rect: r,
	}
	if d.whole {
		img.SubsampleRatio = ratios[luma.across-1][luma.down-1]
	}
	return img
}

// ratios are image/jpeg's names for luma's blocks across and down, less one.
var ratios = [2][2]image.YCbCrSubsampleRatio{
	{image.YCbCrSubsampleRatio444, image.YCbCrSubsampleRatio440},
	{image.YCbCrSubsampleRatio422, image.YCbCrSubsampleRatio420},
}

// unit decodes a minimum coded unit, and where it is shown, into the planes at
// this place.
func (d *Decoder) unit(ux, uy int, shown bool) bool {
	if d.restart > 0 && d.left == 0 {
		if !d.bits.marker(d.next) {
			return false
		}
		for i := range d.components {
			d.components[i].dc = 0
		}
		d.left, d.next = d.restart, rst0+(d.next-rst0+1)%8
	}
	d.left--
	for i := range d.components {
		c := &d.components[i]
		for y := range c.down {
			for x := range c.across {
				used, ok := d.block(c)
				if !ok {
					return false
				}
				if !shown {
					if used != 0 {
						clear(d.coefficients[:])
					}
					continue
				}
				at := (uy*c.down+y)*c.height*c.stride + (ux*c.across+x)*c.width
				if d.whole {
					inverse(&d.coefficients, used, c.pixels[at:], c.stride)
				} else {
					reconstruct(&d.coefficients, used, c.pixels[at:], c.stride, c.width, c.height)
				}
			}
		}
	}
	return true
}
