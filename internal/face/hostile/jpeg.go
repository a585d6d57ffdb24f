package hostile

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/reason"
)

// frame is a JPEG whose data is all zeros: what a zero bit stands for is chosen,
// so that a few bytes, or as many as the limit allows, keep the decoder busy.
type frame struct {
	sof        byte
	w, h       int
	components int
	sampling   byte // of the first component: 0x11, 0x22
	adobe      int  // transform of an Adobe segment; -1: none
	ac         byte // symbol of the AC code "0": 0 ends the block, 1 is a coefficient of one bit
	restart    int
}

// blocks returns how many blocks of all components there are.
func (f frame) blocks() int {
	n := (f.w + 7) / 8 * ((f.h + 7) / 8)
	if f.sampling == 0x22 {
		return n + (f.components-1)*n/4
	}
	return n * f.components
}

func segment(marker byte, body ...byte) []byte {
	b := []byte{0xff, marker, byte((len(body) + 2) >> 8), byte(len(body) + 2)}
	return append(b, body...)
}

// head is the file up to its first scan.
func (f frame) head() []byte {
	b := []byte{0xff, 0xd8}
	if f.adobe >= 0 {
		b = append(b, segment(0xee, append([]byte("Adobe\x00\x64\x00\x00\x00\x00"), byte(f.adobe))...)...)
	}
	b = append(b, segment(0xdb, append([]byte{0}, bytes.Repeat([]byte{1}, 64)...)...)...)
	body := []byte{8, byte(f.h >> 8), byte(f.h), byte(f.w >> 8), byte(f.w), byte(f.components)}
	for c := range f.components {
		s := byte(0x11)
		if c == 0 {
			s = f.sampling
		}
		body = append(body, byte(c+1), s, 0)
	}
	b = append(b, segment(f.sof, body...)...)
	oneCode := append([]byte{1}, make([]byte, 15)...) // "0" is the only code
	b = append(b, segment(0xc4, append(append([]byte{0x00}, oneCode...), 0)...)...)
	b = append(b, segment(0xc4, append(append([]byte{0x10}, oneCode...), f.ac)...)...)
	if f.restart > 0 {
		b = append(b, segment(0xdd, byte(f.restart>>8), byte(f.restart))...)
	}
	return b
}

// scan is a scan of the first n components over coefficients first to last, at
// bits of successive approximation, with its data in bits of zeros.
func (f frame) scan(n int, first, last, approximation byte, bits int) []byte {
	body := []byte{byte(n)}
	for c := range n {
		body = append(body, byte(c+1), 0)
	}
	body = append(body, first, last, approximation)
	return append(segment(0xda, body...), make([]byte, (bits+7)/8)...)
}

// baseline is the whole file with one scan.
func (f frame) baseline() []byte {
	bits := 2 // difference of nothing, end of block
	if f.ac == 1 {
		bits = 1 + 63*2 // each coefficient is there
	}
	if f.restart > 0 {
		return append(append(f.head(), f.restarts(bits)...), 0xff, 0xd9)
	}
	return append(append(f.head(), f.scan(f.components, 0, 63, 0, f.blocks()*bits)...), 0xff, 0xd9)
}

// restarts is a scan of grey with a marker after each block.
func (f frame) restarts(bits int) []byte {
	b := f.scan(1, 0, 63, 0, 0)
	for i := range f.blocks() {
		if i > 0 {
			b = append(b, 0xff, 0xd0+byte((i-1)%8))
		}
		b = append(b, make([]byte, (bits+7)/8)...)
	}
	return b
}

// progressive is the whole file: all components' means, then scans that refine
// the first one's other coefficients without finding any.
func (f frame) progressive(scans int) []byte {
	b := append(f.head(), f.scan(f.components, 0, 0, 0x01, f.blocks())...)
	own := (f.w + 7) / 8 * ((f.h + 7) / 8)
	for range scans - 1 {
		b = append(b, f.scan(1, 1, 63, 0x10, own)...)
	}
	return append(b, 0xff, 0xd9)
}

// full is a progressive file whose first component has each coefficient, which
// each further scan has to refine by a bit.
func (f frame) full(scans int) []byte {
	own := (f.w + 7) / 8 * ((f.h + 7) / 8)
	f.ac = 1
	b := append(f.head(), f.scan(f.components, 0, 0, 0x01, f.blocks())...)
	b = append(b, f.scan(1, 1, 63, 0x01, own*63*2)...)
	oneCode := append([]byte{1}, make([]byte, 15)...)
	b = append(b, segment(0xc4, append(append([]byte{0x10}, oneCode...), 0)...)...) // from here on "0" ends the block
	for range scans - 2 {
		b = append(b, f.scan(1, 1, 63, 0x10, own*64)...)
	}
	return append(b, 0xff, 0xd9)
}

func grey(w, h int) frame {
	return frame{sof: 0xc0, w: w, h: h, components: 1, sampling: 0x11, adobe: -1}
}

func colour(w, h int) frame {
	return frame{sof: 0xc0, w: w, h: h, components: 3, sampling: 0x22, adobe: -1}
}

func addJPEG(l face.Limits, portrait []byte, add adder) {
	w, h := sides(l.Pixels)
	// An honest file blown up by segments that nobody reads.
	blown := func(bytes int) []byte {
		b := slices.Clone(portrait)
		for left := bytes - len(b); left > 0; left = bytes - len(b) {
			n := min(left, 0xffff+2)
			if rest := left - n; rest > 0 && rest < 4 {
				n -= 4
			}
			b = padded(b, 2, segment(0xfe, make([]byte, n-4)...))
		}
		return b
	}
	add("", "JPEG of as many bytes as allowed", func() []byte { return blown(l.Bytes) })
	add(reason.TooLarge, "JPEG of one byte more", func() []byte { return blown(l.Bytes + 1) })
	add("", "JPEG of as many pixels as allowed, empty", func() []byte { return colour(w, h).baseline() })
	add(reason.TooLarge, "JPEG of a few pixels more", func() []byte { return colour(w+16, h+16).baseline() })
	add("", "grey JPEG of as many pixels and bytes as allowed", func() []byte { return fullGrey(l).baseline() })
	add(reason.NotImage, "the same without its end, so that two decoders read it", func() []byte {
		b := fullGrey(l).baseline()
		return b[:len(b)-2]
	})
	add("", "grey JPEG with a restart marker after each block", func() []byte {
		f := grey(w, h)
		f.restart = 1
		return f.baseline()
	})
	addFourColours(l, add)
	addProgressive(l, add)

	add("", "JPEG of 160 pixels by as many as a side may have", func() []byte {
		return grey(160, min(65535, l.Pixels/160)).baseline()
	})
	add(reason.TooSmall, "JPEG of 1 pixel by 65535", func() []byte { return grey(1, 65535).baseline() })
	add(reason.NotImage, "JPEG that states all pixels and has none", func() []byte {
		f := colour(w, h)
		return append(f.head(), f.scan(3, 0, 63, 0, 8)...)
	})
	add("", "JPEG with EXIF of 64 KB in 5,000 tags", func() []byte { return padded(portrait, 2, segment(0xe1, tags(5000)...)) })
	add("", "JPEG with EXIF segments up to the limit", func() []byte {
		one := segment(0xe1, tags(5000)...)
		return padded(portrait, 2, bytes.Repeat(one, (l.Bytes-len(portrait))/len(one)))
	})
	add("", "JPEG with segments of no length up to the limit", func() []byte {
		return padded(portrait, 2, bytes.Repeat(segment(0xfe), (l.Bytes-len(portrait))/4))
	})
	add("", "JPEG with fill bytes up to the limit", func() []byte {
		return padded(portrait, 2, bytes.Repeat([]byte{0xff}, l.Bytes-len(portrait)))
	})
}

// fullGrey has each coefficient of each block in as many bytes as allowed.
func fullGrey(l face.Limits) frame {
	const bytesPerBlock = 16
	w, h := sides(min(l.Pixels, (l.Bytes-1000)/bytesPerBlock*64))
	f := grey(w, h)
	f.ac = 1
	return f
}

// addFourColours adds what the decoder makes a second picture of.
func addFourColours(l face.Limits, add adder) {
	cmyk := func(pixels int) frame {
		w, h := sides(pixels)
		return frame{sof: 0xc0, w: w, h: h, components: 4, sampling: 0x11, adobe: 2}
	}
	add("", "JPEG of four colours in as much memory as allowed", func() []byte { return cmyk(min(l.Pixels, l.DecodedBytes/12)).baseline() })
	add(reason.TooLarge, "JPEG of four colours and as many pixels as allowed", func() []byte { return cmyk(l.Pixels).baseline() })
	add("", "JPEG of red, green and blue in as much memory as allowed", func() []byte {
		w, h := sides(min(l.Pixels, l.DecodedBytes/7))
		return frame{sof: 0xc0, w: w, h: h, components: 3, sampling: 0x11, adobe: 0}.baseline()
	})
}

// addProgressive adds files of many scans.
func addProgressive(l face.Limits, add adder) {
	progressive := func(f frame) frame {
		f.sof = 0xc2
		return f
	}
	w, h := sides(min(l.Pixels, l.DecodedBytes/5))
	add("", "progressive grey JPEG of as many pixels and scans as allowed", func() []byte {
		return progressive(grey(w, h)).progressive(l.ScanPixels / (w * h))
	})
	add(reason.TooLarge, "the same with one scan more", func() []byte {
		return progressive(grey(w, h)).progressive(l.ScanPixels/(w*h) + 1)
	})
	add("", "progressive JPEG of a megapixel and hundreds of scans", func() []byte {
		return progressive(colour(1024, 1024)).progressive(l.ScanPixels >> 20)
	})
	add("", "progressive JPEG of 160 pixels and thousands of scans", func() []byte {
		return progressive(grey(160, 160)).progressive(l.ScanPixels / (160 * 160))
	})
	add("", "progressive JPEG of four colours in as much memory as allowed", func() []byte {
		w, h := sides(l.DecodedBytes / 28)
		return frame{sof: 0xc2, w: w, h: h, components: 4, sampling: 0x11, adobe: 2}.progressive(l.ScanPixels / (w * h))
	})
	add("", "progressive JPEG of as many bytes as allowed, each coefficient refined", func() []byte {
		// Each pixel takes 2 bits in the scan that finds its coefficient, and one in each of 16 others.
		w, h := sides((l.Bytes - 1000) * 8 / (2 + 16))
		return progressive(grey(w, h)).full(min(18, l.ScanPixels/(w*h)))
	})
	add(reason.NotImage, "progressive JPEG cut in its last scan", func() []byte {
		b := progressive(grey(w, h)).progressive(l.ScanPixels / (w * h))
		return b[:len(b)-100]
	})
}

// tags is an EXIF block of n tags, none of which is the orientation.
func tags(n int) []byte {
	b := []byte("Exif\x00\x00MM\x00*\x00\x00\x00\x08")
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	for i := range n {
		b = binary.BigEndian.AppendUint16(b, uint16(0x8000+i))
		b = append(b, 0, 3, 0, 0, 0, 1, 0, 1, 0, 0)
	}
	return append(b, 0, 0, 0, 8) // the next directory is this one
}
