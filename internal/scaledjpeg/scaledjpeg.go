// Package scaledjpeg decodes a JPEG file at a half, a quarter or an eighth of
// its size: each pixel is the mean of the block that it stands for, taken from
// the coefficients of the discrete cosine transform, so that most of the
// transform and of the memory is never spent.
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

type decoder struct {
	bits          bits
	quantisation  [4]*[64]int32 // in zigzag order
	huffman       [2][2]*huffman
	components    []component
	width, height int
	restart       int // minimum coded units between restart markers; 0: none
	jfif          bool
	adobe         int // transform of the Adobe segment; -1: none
	coefficients  [64]int32
}

// Decode returns the picture with both sides divided by scale, which is 2, 4 or
// 8, and rounded up: an *image.Gray, or an *image.YCbCr with full chroma. Its
// only error is ErrOther. It allocates in proportion to the size that the file
// states: the caller has checked that.
func Decode(file []byte, scale int) (image.Image, error) {
	if scale != 2 && scale != 4 && scale != 8 {
		return nil, ErrOther
	}
	d := &decoder{adobe: -1}
	start, err := d.header(file)
	if err != nil {
		return nil, err
	}
	img := d.allocate(scale)
	d.bits = bits{b: file, i: start}
	if err := d.scan(); err != nil {
		return nil, err
	}
	return img, nil
}

// header reads the segments up to the scan's data and returns where that begins.
func (d *decoder) header(b []byte) (int, error) {
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

func (d *decoder) frame(s []byte) bool {
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

func (d *decoder) quantisationTables(s []byte) bool {
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

func (d *decoder) huffmanTables(s []byte) bool {
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
func (d *decoder) scanHeader(s []byte) bool {
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

// units returns how many minimum coded units lie across and down.
func (d *decoder) units() (across, down int) {
	w, h := 8*d.components[0].across, 8*d.components[0].down
	return (d.width + w - 1) / w, (d.height + h - 1) / h
}

// allocate makes the picture and hands its planes to the components. A block of
// subsampled chroma becomes as many pixels more, so that all planes are alike.
func (d *decoder) allocate(scale int) image.Image {
	unitsAcross, unitsDown := d.units()
	luma := d.components[0]
	stride := unitsAcross * luma.across * 8 / scale
	plane := stride * unitsDown * luma.down * 8 / scale
	for i := range d.components {
		c := &d.components[i]
		c.width, c.height = 8/scale*luma.across/c.across, 8/scale*luma.down/c.down
		c.pixels, c.stride = make([]byte, plane), stride
	}

	r := image.Rect(0, 0, (d.width+scale-1)/scale, (d.height+scale-1)/scale)
	if len(d.components) == 1 {
		return &image.Gray{Pix: d.components[0].pixels, Stride: stride, Rect: r}
	}
	return &image.YCbCr{
		Y: d.components[0].pixels, Cb: d.components[1].pixels, Cr: d.components[2].pixels,
		YStride: stride, CStride: stride, SubsampleRatio: image.YCbCrSubsampleRatio444, Rect: r,
	}
}

// scan decodes all blocks. The file ends with the scan, or is another's.
func (d *decoder) scan() error {
	unitsAcross, unitsDown := d.units()
	left, next := d.restart, byte(rst0)
	for uy := range unitsDown {
		for ux := range unitsAcross {
			if d.restart > 0 && left == 0 {
				if !d.bits.marker(next) {
					return ErrOther
				}
				for i := range d.components {
					d.components[i].dc = 0
				}
				left, next = d.restart, rst0+(next-rst0+1)%8
			}
			left--
			for i := range d.components {
				c := &d.components[i]
				for y := range c.down {
					for x := range c.across {
						used, ok := d.block(c)
						if !ok {
							return ErrOther
						}
						at := (uy*c.down+y)*c.height*c.stride + (ux*c.across+x)*c.width
						reconstruct(&d.coefficients, used, c.pixels[at:], c.stride, c.width, c.height)
					}
				}
			}
		}
	}
	if !d.bits.marker(eoi) {
		return ErrOther
	}
	return nil
}
