package hostile

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"image"

	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/reason"
)

// Colour types of a PNG.
const (
	pngGrey    = 0
	pngRGB     = 2
	pngPalette = 3
	pngRGBA    = 6
)

var pngChannels = map[byte]int{pngGrey: 1, pngRGB: 3, pngPalette: 1, pngRGBA: 4}

const paeth = 4 // the slowest filter

// raster is a PNG whose rows are all alike, and nearly all zeros.
type raster struct {
	w, h       int
	depth      byte // bits of a channel
	colour     byte
	interlaced bool
	filter     byte // of each row
}

func chunk(kind string, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	b = append(b, kind...)
	b = append(b, body...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// head is the file up to its data.
func (r raster) head() []byte {
	ihdr := binary.BigEndian.AppendUint32(nil, uint32(r.w))
	ihdr = binary.BigEndian.AppendUint32(ihdr, uint32(r.h))
	ihdr = append(ihdr, r.depth, r.colour, 0, 0, 0)
	if r.interlaced {
		ihdr[12] = 1
	}
	b := append([]byte("\x89PNG\r\n\x1a\n"), chunk("IHDR", ihdr)...)
	if r.colour == pngPalette {
		b = append(b, chunk("PLTE", make([]byte, 3*2))...)
	}
	return b
}

// data is the compressed rows.
func (r raster) data() []byte {
	var out bytes.Buffer
	z := zlib.NewWriter(&out)
	rows := func(w, h int) {
		if w == 0 {
			return
		}
		row := make([]byte, 1+(w*int(r.depth)*pngChannels[r.colour]+7)/8)
		row[0] = r.filter
		if r.filter == paeth {
			for i := range min(4, len(row)-1) {
				row[1+i] = 0x40 // so that the filter carries something along, alpha too
			}
		}
		for range h {
			z.Write(row) // to memory: no error
		}
	}
	if r.interlaced {
		for _, p := range [][4]int{{8, 0, 8, 0}, {8, 4, 8, 0}, {4, 0, 8, 4}, {4, 2, 4, 0}, {2, 0, 4, 2}, {2, 1, 2, 0}, {1, 0, 2, 1}} {
			rows((r.w-p[1]+p[0]-1)/p[0], (r.h-p[3]+p[2]-1)/p[2])
		}
	} else {
		rows(r.w, r.h)
	}
	z.Close()
	return out.Bytes()
}

func (r raster) file() []byte {
	return append(append(r.head(), chunk("IDAT", r.data())...), chunk("IEND", nil)...)
}

func addPNG(l face.Limits, add adder) {
	largest := func(bytesPerPixel int, r raster) func() []byte {
		r.w, r.h = sides(min(l.Pixels, l.DecodedBytes/bytesPerPixel))
		return r.file
	}
	add("", "grey PNG of as many pixels as allowed", largest(4, raster{depth: 8, colour: pngGrey}))
	add("", "PNG of red, green and blue and as many pixels as allowed", largest(4, raster{depth: 8, colour: pngRGB, filter: paeth}))
	add("", "PNG with alpha in as much memory as allowed", largest(6, raster{depth: 8, colour: pngRGBA, filter: paeth}))
	add("", "PNG of two colours and as many pixels as allowed", largest(4, raster{depth: 1, colour: pngPalette}))
	add("", "PNG of 16 bits in as much memory as allowed", largest(12, raster{depth: 16, colour: pngRGB, filter: paeth}))
	add("", "grey PNG of 16 bits in as much memory as allowed", largest(12, raster{depth: 16, colour: pngGrey}))
	add("", "interlaced PNG in as much memory as allowed", largest(12, raster{depth: 8, colour: pngRGBA, interlaced: true}))
	add("", "interlaced PNG of 16 bits in as much memory as allowed", largest(24, raster{depth: 16, colour: pngRGBA, interlaced: true}))
	add("", "PNG of 160 pixels by as many as allowed", func() []byte {
		return raster{w: 160, h: l.Pixels / 160, depth: 8, colour: pngRGB}.file()
	})
	add(reason.NotImage, "PNG that states all pixels and has none", func() []byte {
		r := raster{depth: 8, colour: pngRGB}
		r.w, r.h = sides(l.Pixels)
		return append(append(r.head(), chunk("IDAT", []byte{0x78, 0x9c})...), chunk("IEND", nil)...)
	})
	small := raster{w: 400, h: 400, depth: 8, colour: pngRGB}
	add("", "PNG with texts and a profile that unpack to a hundred times the bytes allowed", func() []byte {
		bomb := zeros(100 * l.Bytes)
		b := small.head()
		b = append(b, chunk("iCCP", append([]byte("profile\x00\x00"), bomb...))...)
		for _, kind := range []string{"iptc", "exif"} {
			b = append(b, chunk("zTXt", append([]byte("Raw profile type "+kind+"\x00\x00"), bomb...))...)
		}
		return append(append(b, chunk("IDAT", small.data())...), chunk("IEND", nil)...)
	})
	empty := func(chunks int) []byte {
		b, end := small.head(), append(chunk("IDAT", small.data()), chunk("IEND", nil)...)
		return append(append(b, bytes.Repeat(chunk("tEXt", nil), chunks-3)...), end...)
	}
	add("", "PNG of as many chunks as allowed", func() []byte { return empty(l.Chunks) })
	add(reason.TooLarge, "PNG of as many chunks as its bytes hold", func() []byte { return empty(l.Bytes/12 - 100) })
	add("", "PNG whose data comes byte by byte", func() []byte {
		b := small.head()
		for _, c := range small.data() {
			b = append(b, chunk("IDAT", []byte{c})...)
		}
		return append(b, chunk("IEND", nil)...)
	})
	add("", "PNG of noise, as large as allowed", func() []byte {
		w, h := sides(min(l.Pixels, l.Bytes*4/5/4))
		img := image.NewNRGBA(image.Rect(0, 0, w, h))
		fillNoise(img.Pix)
		return encodePNG(img)
	})
}

// zeros is a compressed stream of n zeros.
func zeros(n int) []byte {
	var out bytes.Buffer
	z := zlib.NewWriter(&out)
	block := make([]byte, 1<<20)
	for range n / len(block) {
		z.Write(block) // to memory: no error
	}
	z.Close()
	return out.Bytes()
}
