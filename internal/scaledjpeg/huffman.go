package scaledjpeg

import (
	"encoding/binary"
)

// lookBits is how many bits a table looks at first; longer codes are rare.
const lookBits = 10

// Fields of a look-up entry. An entry of 0 is a code longer than lookBits.
const (
	lengthMask = 31      // low bits: how many bits it takes
	whole      = 1 << 5  // the value's own bits are part of it
	symbolAt   = 8       // 8 bits: run of zeros << 4 | size of the value in bits
	valueAt    = 16      // 16 bits, signed, if whole
	maxLength  = 16      // of a code
	none       = 1 << 16 // above every code
)

// huffman is a table of codes (ITU-T T.81, annex C).
type huffman struct {
	look    [1 << lookBits]uint32
	after   [maxLength + 1]uint32 // first 16-bit word above all codes of this length, or shorter
	offset  [maxLength + 1]int    // of a code of this length in symbols, less the code
	symbols [256]byte
}

// newHuffman makes the table of counts of codes by length and their symbols. It
// returns nil where the counts are those of no code. Values, where wanted, are
// looked up with their code.
func newHuffman(counts, symbols []byte, values bool) *huffman {
	h := new(huffman)
	copy(h.symbols[:], symbols)
	code, n := 0, 0
	for length := 1; length <= maxLength; length++ {
		h.offset[length] = n - code
		for range counts[length-1] {
			if code >= 1<<length {
				return nil
			}
			if length <= lookBits {
				h.enter(code, length, symbols[n], values)
			}
			code++
			n++
		}
		h.after[length] = uint32(code) << (maxLength - length)
		code <<= 1
	}
	return h
}

// enter fills in all words that begin with a code.
func (h *huffman) enter(code, length int, symbol byte, values bool) {
	size := int(symbol & 15)
	rest := lookBits - length
	for word := range 1 << rest {
		e := uint32(length) | uint32(symbol)<<symbolAt
		if values && size > 0 && size <= rest {
			v := extend(uint32(word)>>(rest-size), size)
			e = uint32(length+size) | whole | uint32(symbol)<<symbolAt | uint32(uint16(v))<<valueAt
		}
		h.look[code<<rest|word] = e
	}
}

// extend is EXTEND of ITU-T T.81, F.2.2.1: size bits as a signed value.
func extend(v uint32, size int) int32 {
	if size > 0 && v < 1<<(size-1) {
		return int32(v) - 1<<size + 1
	}
	return int32(v)
}

// bits reads the scan's data, bit by bit, up to the next marker.
type bits struct {
	b   []byte
	i   int
	acc uint64 // the next bits, at the top; below them zeros
	n   int    // how many; below zero where more were taken than there are
}

// fill puts 32 bits or more into acc, unless a marker comes before.
func (r *bits) fill() {
	if r.n < 0 {
		return
	}
	if r.i+8 <= len(r.b) {
		w := binary.BigEndian.Uint64(r.b[r.i:])
		const ones, tops = 0x0101010101010101, 0x8080808080808080
		if noFF := (^w-ones)&w&tops == 0; noFF {
			bytes := (64 - r.n) / 8
			r.acc |= w >> r.n
			r.i += bytes
			r.n += 8 * bytes
			if r.n < 64 {
				r.acc &^= 1<<(64-r.n) - 1
			}
			return
		}
	}
	for r.n <= 56 && r.i < len(r.b) {
		c := r.b[r.i]
		if c == 0xff {
			if r.i+1 >= len(r.b) || r.b[r.i+1] != 0 {
				return
			}
			r.i++
		}
		r.i++
		r.acc |= uint64(c) << (56 - r.n)
		r.n += 8
	}
}

// marker takes a marker that must come after less than a byte of padding.
func (r *bits) marker(m byte) bool {
	r.fill()
	if r.n < 0 || r.n >= 8 || r.i+2 > len(r.b) || r.b[r.i] != 0xff || r.b[r.i+1] != m {
		return false
	}
	r.i += 2
	r.acc, r.n = 0, 0
	return true
}

// long returns the symbol and length of a code longer than lookBits, and a
// length of 0 where there is no such code.
func (h *huffman) long(acc uint64) (symbol byte, length int) {
	word := uint32(acc >> (64 - maxLength))
	for length := lookBits + 1; length <= maxLength; length++ {
		if word < h.after[length] {
			return h.symbols[(h.offset[length]+int(word>>(maxLength-length)))&255], length
		}
	}
	return 0, 0
}

// rowBit is that of the first row in what block returns.
const rowBit = 1 << 8

// block decodes a block into d.coefficients, dequantised, by row and column. It
// returns which columns hold more than zeros, but for the mean, one bit each,
// and above these which rows: 0 where the mean is all.
func (d *Decoder) block(c *component) (used uint, ok bool) {
	r := &d.bits
	if r.n < 32 {
		r.fill()
	}
	acc, n := r.acc, r.n
	table := d.quantisation[c.quantisation]

	h := d.huffman[0][c.dcTable]
	e := h.look[acc>>(64-lookBits)]
	symbol, length := byte(e>>symbolAt), int(e&lengthMask)
	if length == 0 {
		symbol, length = h.long(acc)
	}
	if length == 0 || symbol > 11 { // the largest difference of 8-bit samples
		return 0, false
	}
	acc <<= length
	c.dc += extend(uint32(acc>>(63-symbol)>>1), int(symbol))
	acc <<= symbol
	n -= length + int(symbol)
	d.coefficients[0] = c.dc * table[0]

	h = d.huffman[1][c.acTable]
	for k := 1; k < 64; k++ {
		if n < 32 {
			r.acc, r.n = acc, n
			r.fill()
			acc, n = r.acc, r.n
		}
		e := h.look[acc>>(64-lookBits)]
		if e&whole != 0 {
			length := int(e & lengthMask)
			acc <<= length
			n -= length
			k += int(e >> (symbolAt + 4) & 15)
			if k > 63 {
				return 0, false
			}
			at := unzig[k] & 63
			d.coefficients[at] = int32(e) >> valueAt * table[k]
			used |= 1<<(at&7) | rowBit<<(at>>3)
			continue
		}
		symbol, length := byte(e>>symbolAt), int(e&lengthMask)
		if length == 0 {
			if symbol, length = h.long(acc); length == 0 {
				return 0, false
			}
		}
		acc <<= length
		n -= length
		run, size := int(symbol>>4), int(symbol&15)
		if size == 0 {
			if run == 0 {
				break // the rest is zero
			}
			if run != 15 {
				return 0, false
			}
			k += 15
			if k > 63 {
				return 0, false
			}
			continue
		}
		k += run
		if k > 63 {
			return 0, false
		}
		v := extend(uint32(acc>>(64-size)), size)
		acc <<= size
		n -= size
		at := unzig[k] & 63
		d.coefficients[at] = v * table[k]
		used |= 1<<(at&7) | rowBit<<(at>>3)
	}
	r.acc, r.n = acc, n
	return used, n >= 0
}
