// Copyright 2025 The Go Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in THIRD-PARTY-NOTICES.md.

package scaledjpeg

// The inverse transform at the whole size is that of Go's image/jpeg, taken over
// so that the pixels are the same to the bit: the algorithm of Loeffler,
// Ligtenberg and Moschytz, "Practical Fast 1-D DCT Algorithms with 11
// Multiplications", ICASSP 1989. Sums that overflow in a hostile file wrap as
// they do there.

// Constants as fractions of 2^60.
const (
	cos1         = 1130768441178740757 // cos 1*pi/16
	sin1         = 224923827593068887  // sin 1*pi/16
	cos3         = 958619196450722178  // cos 3*pi/16
	sin3         = 640528868967736374  // sin 3*pi/16
	halfRoot     = 815238614083298888  // 1/sqrt 2
	halfRootCos6 = 311978311033955632  // (1/sqrt 2)*cos 6*pi/16
	halfRootSin6 = 753182269664427492  // (1/sqrt 2)*sin 6*pi/16
)

// fixed rounds one of these to so many bits.
func fixed(x uint64, bits int) int32 { return int32((x + 1<<(59-bits)) >> (60 - bits)) }

// turn rotates and scales two coordinates.
func turn(x0, x1, cos, sin int32) (y0, y1 int32) {
	sum := cos * (x0 + x1)
	return sum + (sin-cos)*x1, sum - (cos+sin)*x0
}

// inverse writes a block as 8 x 8 pixels and clears its coefficients. used is as
// block returns it.
func inverse(c *[64]int32, used uint, pixels []byte, stride int) {
	if used == 0 {
		v := level((c[0]<<17 + 1<<19) >> 2 >> 18)
		for y := range 8 {
			row := pixels[y*stride:][:8]
			for x := range row {
				row[x] = v
			}
		}
		return
	}
	for y := range 8 {
		if y == 0 || used>>y&rowBit != 0 { // zeros stay zeros
			inverseRow((*[8]int32)(c[8*y:]))
		}
	}
	for x := range 8 {
		inverseColumn(c, x)
	}
	for y := range 8 {
		row, values := pixels[y*stride:][:8], c[8*y:][:8]
		for x, v := range values {
			row[x] = level(v)
		}
	}
	clear(c[:])
}

// level is the pixel of a sample about zero.
func level(v int32) byte { return byte(min(max(v, -128), 127) + 128) }

// inverseRow is one side of the transform along a row: whole numbers become
// multiples of 2^-20.
func inverseRow(x *[8]int32) {
	x0, x7, x2, x5, x1, x6, x3, x4 := x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]

	x0 <<= 17
	x1 <<= 17
	x0, x1 = x0+x1, x0-x1
	x2, x3 = turn(x2, x3, fixed(halfRootCos6, 18), -fixed(halfRootSin6, 18))
	x1, x2 = x1+x2, x1-x2
	x0, x3 = x0+x3, x0-x3

	x4 <<= 7
	x7 <<= 7
	x7, x4 = x7+x4, x7-x4
	x6 *= fixed(halfRoot, 8)
	x5 *= fixed(halfRoot, 8)
	x7, x5 = x7+x5, x7-x5
	x4, x6 = x4+x6, x4-x6
	x4, x7 = turn(x4>>2, x7>>2, fixed(cos3, 12), -fixed(sin3, 12))
	x5, x6 = turn(x5>>2, x6>>2, fixed(cos1, 12), -fixed(sin1, 12))

	x[0], x[7] = x0+x7, x0-x7
	x[1], x[6] = x1+x6, x1-x6
	x[2], x[5] = x2+x5, x2-x5
	x[3], x[4] = x3+x4, x3-x4
}

// inverseColumn is the other side down a column: multiples of 2^-20 become
// samples.
func inverseColumn(c *[64]int32, x int) {
	x &= 7
	x0, x7, x2, x5, x1, x6, x3, x4 := c[x], c[8+x], c[16+x], c[24+x], c[32+x], c[40+x], c[48+x], c[56+x]

	x0 += 1 << 19 // half a level, for the shifts to round
	x0, x1 = (x0+x1)>>2, (x0-x1)>>2
	x2, x3 = turn(x2>>13, x3>>13, fixed(halfRootCos6, 12), -fixed(halfRootSin6, 12))
	x1, x2 = x1+x2, x1-x2
	x0, x3 = x0+x3, x0-x3

	x7, x4 = x7+x4, x7-x4
	x5 = (x5 >> 13) * fixed(halfRoot, 14)
	x6 = (x6 >> 13) * fixed(halfRoot, 14)
	x7, x5 = x7+x5, x7-x5
	x4, x6 = x4+x6, x4-x6
	x4, x7 = turn(x4>>14, x7>>14, fixed(cos3, 12), -fixed(sin3, 12))
	x5, x6 = turn(x5>>14, x6>>14, fixed(cos1, 12), -fixed(sin1, 12))

	c[x], c[56+x] = (x0+x7)>>18, (x0-x7)>>18
	c[8+x], c[48+x] = (x1+x6)>>18, (x1-x6)>>18
	c[16+x], c[40+x] = (x2+x5)>>18, (x2-x5)>>18
	c[24+x], c[32+x] = (x3+x4)>>18, (x3-x4)>>18
}
