// Package agreement measures how far two who judged the same cases agree beyond
// chance. It is pure: values in, values out.
package agreement

import "math"

// Result is the agreement over N cases. Kappa and its interval are nil where
// they are not defined: without cases, or where both gave one and the same
// answer to all, so that chance alone would agree.
type Result struct {
	N     int      `json:"n"`
	Agree float64  `json:"agree"` // share of the cases judged the same, 0 to 1; 0 without cases
	Kappa *float64 `json:"kappa"` // 1: always; 0: as often as by chance
	Low   *float64 `json:"low"`   // of the 95 % interval
	High  *float64 `json:"high"`
}

// z is the normal distribution's quantile at 97.5 %.
const z = 1.959963984540054

// Pair is one case with both answers.
type Pair struct{ First, Second string }

// Of returns Cohen's kappa, (po - pe) / (1 - pe), with po the share that agrees
// and pe the share that would by chance (Cohen, Educational and Psychological
// Measurement 20, 1960, 37-46), and its 95 % interval by the large-sample
// standard error of Fleiss, Cohen and Everitt (Psychological Bulletin 72, 1969,
// 323-327), cut off at -1 and 1. With a few dozen cases the interval is a rough
// one, and where all agree its width is 0: look at N.
func Of(pairs []Pair) Result {
	n := float64(len(pairs))
	if n == 0 {
		return Result{}
	}
	cells, rows, columns := map[Pair]float64{}, map[string]float64{}, map[string]float64{}
	for _, p := range pairs {
		cells[p] += 1 / n
		rows[p.First] += 1 / n
		columns[p.Second] += 1 / n
	}
	var po, pe float64
	for answer, share := range rows {
		po += cells[Pair{answer, answer}]
		pe += share * columns[answer]
	}
	out := Result{N: len(pairs), Agree: round(po)}
	const tiny = 1e-12
	if 1-pe < tiny {
		return out
	}
	kappa := (po - pe) / (1 - pe)
	var a, b float64
	for p, share := range cells {
		if p.First == p.Second {
			x := 1 - (rows[p.First]+columns[p.First])*(1-kappa)
			a += share * x * x
			continue
		}
		x := columns[p.First] + rows[p.Second]
		b += share * x * x
	}
	b *= (1 - kappa) * (1 - kappa)
	c := kappa - pe*(1-kappa)
	se := math.Sqrt(max(0, a+b-c*c)) / ((1 - pe) * math.Sqrt(n))
	k, low, high := round(kappa), round(max(-1, kappa-z*se)), round(min(1, kappa+z*se))
	out.Kappa, out.Low, out.High = &k, &low, &high
	return out
}

// round keeps six decimals: sums over maps differ in the last bits.
func round(x float64) float64 { return math.Round(x*1e6) / 1e6 }
