package hostile

import (
	"encoding/binary"

	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/reason"
)

// bitWriter packs bits as lossless WebP has them, lowest first.
type bitWriter struct {
	b []byte
	n int
}

func (w *bitWriter) put(value, bits int) {
	for i := range bits {
		if w.n%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.n/8] |= byte(value>>i&1) << (w.n % 8)
		w.n++
	}
}

// onlyColour writes five codes of one symbol, 0 bits long: any number of pixels
// then takes no data at all.
func (w *bitWriter) onlyColour() {
	for range 5 {
		w.put(1, 1) // simple
		w.put(0, 1) // one symbol
		w.put(0, 1) // of one bit
		w.put(0, 1)
	}
}

// lossless is a WebP picture of one colour, after as many transforms as there
// are: predictor, cross-colour, subtract green, and a palette.
func lossless(width, height int, transforms bool) []byte {
	var w bitWriter
	w.put(0x2f, 8)
	w.put(width-1, 14)
	w.put(height-1, 14)
	w.put(1, 1)
	w.put(0, 3)
	body(&w, transforms)
	return w.b
}

// body is what follows the header of a lossless picture.
func body(w *bitWriter, transforms bool) {
	if transforms {
		for _, kind := range []int{0, 1} {
			w.put(1, 1)
			w.put(kind, 2)
			w.put(0, 3)
			w.put(0, 1)
			w.onlyColour()
		}
		w.put(1, 1)
		w.put(2, 2)
		w.put(1, 1)
		w.put(3, 2)
		w.put(255, 8) // a palette of 256, so that rows stay as long
		w.put(0, 1)
		w.onlyColour()
	}
	w.put(0, 1)
	w.put(0, 1) // no colour cache
	w.put(0, 1) // one group of codes
	w.onlyColour()
	w.put(0, 64) // what the decoder reads ahead
}

// lossy is a key frame whose data is all zeros, as long as the decoder asks for.
func lossy(width, height int) []byte {
	blocks := (width + 15) / 16 * ((height + 15) / 16)
	first := 200 + blocks // modes
	data := make([]byte, 10+first+200+4*blocks)
	tag := uint32(1<<4 | first<<5)
	data[0], data[1], data[2] = byte(tag), byte(tag>>8), byte(tag>>16)
	copy(data[3:], "\x9d\x01\x2a")
	binary.LittleEndian.PutUint16(data[6:], uint16(width))
	binary.LittleEndian.PutUint16(data[8:], uint16(height))
	return data
}

func riffChunk(kind string, body []byte) []byte {
	b := binary.LittleEndian.AppendUint32([]byte(kind), uint32(len(body)))
	b = append(b, body...)
	if len(body)%2 == 1 {
		b = append(b, 0)
	}
	return b
}

func webpFile(chunks ...[]byte) []byte {
	b := []byte("WEBP")
	for _, c := range chunks {
		b = append(b, c...)
	}
	return riffChunk("RIFF", b)
}

// canvas is the header of a WebP file with more than a picture.
func canvas(flags byte, w, h int) []byte {
	b := []byte{flags, 0, 0, 0}
	for _, n := range []int{w - 1, h - 1} {
		b = append(b, byte(n), byte(n>>8), byte(n>>16))
	}
	return riffChunk("VP8X", b)
}

func addWebP(l face.Limits, add adder) {
	const alphaFlag = 1 << 4
	w, h := sides(min(l.Pixels, l.DecodedBytes/12))
	add("", "lossless WebP in as much memory as allowed, of 30 bytes", func() []byte {
		return webpFile(riffChunk("VP8L", lossless(w, h, false)))
	})
	add("", "the same with all four transforms", func() []byte {
		return webpFile(riffChunk("VP8L", lossless(w, h, true)))
	})
	add(reason.TooLarge, "lossless WebP of as many pixels as its header holds", func() []byte {
		return webpFile(riffChunk("VP8L", lossless(1<<14, 1<<14, false)))
	})
	add("", "lossy WebP in as much memory as allowed", func() []byte {
		w, h := sides(min(l.Pixels, l.DecodedBytes/8))
		return webpFile(riffChunk("VP8 ", lossy(w, h)))
	})
	add("", "lossy WebP with alpha in as much memory as allowed", func() []byte {
		w, h := sides(min(l.Pixels, l.DecodedBytes/24))
		var alpha bitWriter
		alpha.put(1, 8) // compressed, no filter
		body(&alpha, true)
		return webpFile(canvas(alphaFlag, w, h), riffChunk("ALPH", alpha.b), riffChunk("VP8 ", lossy(w, h)))
	})
	add(reason.NotImage, "WebP whose canvas is small and whose picture is large", func() []byte {
		return webpFile(canvas(0, 400, 400), riffChunk("VP8L", lossless(w, h, false)))
	})
	add(reason.Unsupported, "animated WebP", func() []byte { return webpFile(canvas(1<<1, 400, 400)) })
	add(reason.NotImage, "WebP with empty chunks up to the limit", func() []byte {
		one := riffChunk("XMP ", nil)
		chunks := make([][]byte, l.Bytes/8-10)
		for i := range chunks {
			chunks[i] = one
		}
		return webpFile(append([][]byte{canvas(0, 400, 400)}, chunks...)...)
	})
}
