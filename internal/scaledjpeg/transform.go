package scaledjpeg

import "math"

// A block of 8 samples is x[i] = sum of a(u) c(u) cos((2i+1) u pi/16), with
// a(0) = 1/sqrt(8) and a(u) = 1/2 (ITU-T T.81, A.3.3, one side of it). The means
// of its n parts are the same sum with the mean of the cosines, so that a row of
// n x 8 numbers gives them at once. The second half mirrors the first: the
// cosine is even about the middle where u is, else odd.
const (
	basisBits  = 12
	middleBits = 4 // kept between the two passes
)

// basis[n][k][u] is the weight of coefficient u in part k of n = 2, 4 or 8.
var basis = func() (b [9][4][8]int32) {
	for _, n := range []int{2, 4, 8} {
		for k := range n / 2 {
			for u := range 8 {
				a := 0.5
				if u == 0 {
					a = math.Sqrt(1.0 / 8)
				}
				var mean float64
				for i := k * 8 / n; i < (k+1)*8/n; i++ {
					mean += math.Cos(float64(2*i+1)*float64(u)*math.Pi/16) * float64(n) / 8
				}
				b[n][k][u] = int32(math.Round(a * mean * (1 << basisBits)))
			}
		}
	}
	return b
}()

// reconstruct writes a block as width x height pixels and clears its
// coefficients. used is as block returns it.
func reconstruct(c *[64]int32, used uint, pixels []byte, stride, width, height int) {
	mean := (c[0]+4)>>3 + 128
	if used == 0 || width == 1 && height == 1 {
		v := clamp(mean)
		for y := range height {
			row := pixels[y*stride:][:width]
			for x := range row {
				row[x] = v
			}
		}
		if used != 0 {
			clear(c[:])
		}
		return
	}
	used |= 1 // the mean's own column

	// Down each column.
	var middle [8][8]int32 // row, column
	const round = 1 << (basisBits - middleBits - 1)
	if height == 1 {
		for x := range 8 {
			middle[0][x] = (c[x]*1448 + round) >> (basisBits - middleBits) // 4096/sqrt(8)
		}
	} else {
		m := &basis[height]
		for x := range 8 {
			if used>>x&1 == 0 {
				continue
			}
			c0, c1, c2, c3, c4, c5, c6, c7 := c[x], c[8+x], c[16+x], c[24+x], c[32+x], c[40+x], c[48+x], c[56+x]
			for k := range height / 2 {
				w := &m[k&3]
				even := w[0]*c0 + w[2]*c2 + w[4]*c4 + w[6]*c6 + round
				odd := w[1]*c1 + w[3]*c3 + w[5]*c5 + w[7]*c7
				middle[k&7][x] = (even + odd) >> (basisBits - middleBits)
				middle[(height-1-k)&7][x] = (even - odd) >> (basisBits - middleBits)
			}
		}
	}
	clear(c[:])

	// Along each row.
	const shift = basisBits + middleBits
	const lift = 128<<shift + 1<<(shift-1)
	m := &basis[width]
	for y := range height {
		row := pixels[y*stride:][:width]
		t := &middle[y&7]
		if width == 1 {
			row[0] = clamp((t[0]*1448 + lift) >> shift)
			continue
		}
		for k := range width / 2 {
			w := &m[k&3]
			even := w[0]*t[0] + w[2]*t[2] + w[4]*t[4] + w[6]*t[6] + lift
			odd := w[1]*t[1] + w[3]*t[3] + w[5]*t[5] + w[7]*t[7]
			row[k] = clamp((even + odd) >> shift)
			row[width-1-k] = clamp((even - odd) >> shift)
		}
	}
}

func clamp(v int32) byte { return byte(min(max(v, 0), 255)) }
