package premium

import "math"

// FlatExtra is a charge for extra mortality that does not grow with age:
// PerMille currency units a year for each 1,000 of sum assured, added to the
// net premium. Years is for how many policy years from the first it is
// charged; 0 is the whole term.
type FlatExtra struct {
	PerMille float64
	Years    int
}

// in tells whether the extra is charged in a policy year, counted from 1.
func (e FlatExtra) in(year int) bool { return e.Years == 0 || year <= e.Years }

// SumBand is a discount for large sums. Discount, 0 to below 1, comes off the
// charge for that part of the sum assured which lies at or above FromCents and
// below the next band's. A discount on the whole sum would make a sum just
// above an edge cheaper than one just below it.
type SumBand struct {
	FromCents int64
	Discount  float64
}

// BandFactor returns what is left of the charge for the whole sum after the
// bands' discounts,
//
//	(sum over the parts of the sum of part * (1 - discount)) / sum
//
// which lies in 0 to 1. The bands must rise by FromCents; below the first there
// is no discount. Without bands it is exactly 1. Factor times sum never falls
// as the sum rises, whatever the discounts.
func BandFactor(bands []SumBand, sumCents int64) float64 {
	if len(bands) == 0 || sumCents <= bands[0].FromCents {
		return 1
	}
	charged := float64(bands[0].FromCents)
	for i, b := range bands {
		if sumCents <= b.FromCents {
			break
		}
		to := sumCents
		if i+1 < len(bands) {
			to = min(to, bands[i+1].FromCents)
		}
		charged += float64(to-b.FromCents) * (1 - b.Discount)
	}
	return charged / float64(sumCents)
}

// Loads turn a net premium into a gross one. Loading is the share of the gross
// premium, before the fee, that goes to expenses and profit, 0 to below 1.
// PolicyFeeCents are a fixed amount a year. Bands rise by their edge.
type Loads struct {
	Loading        float64
	PolicyFeeCents int64
	Bands          []SumBand
}

// Gross returns the gross annual premium of one policy year, counted from 1, in
// cents:
//
//	(net + flat extras) / (1 - loading) * band factor + policy fee
//
// rounded half up once, at the end. net is NetAnnual's for sumCents, unrounded.
// An extra whose years are over is left out, so the premium may fall from one
// year to a later one, and never rises.
func (l Loads) Gross(net float64, sumCents int64, extras []FlatExtra, year int) int64 {
	for _, e := range extras {
		if e.in(year) {
			net += e.PerMille * float64(sumCents) / 1000
		}
	}
	return RoundCents(net/(1-l.Loading)*BandFactor(l.Bands, sumCents) + float64(l.PolicyFeeCents))
}

// Modal returns one instalment in cents: gross annual cents times the mode's
// factor, rounded half up. The factor counts to six decimals, and the product
// is taken in integers: in binary floating point a half cent such as
// 40 * 0.0875 may fall to either side.
func Modal(grossCents int64, factor float64) int64 {
	const million = 1_000_000
	micros := RoundCents(factor * million)
	return (grossCents*micros + million/2) / million
}

// tieSlack is how far below a half cent, relative to the amount, an amount
// still counts as the half. A premium whose exact value ends in a half cent (one
// year's cover at no interest may, where discounting and survival seldom do)
// comes out of a dozen roundings of 2^-53 a hair above or below; which way
// depends on the order of operations and on whether the processor fuses them.
// 2^-48 covers these. The price is that a true value within 2^-48 under a half
// goes up a cent: one premium of 10,000.00 in three hundred million.
const tieSlack = 0x1p-48

// RoundCents rounds an amount in cents half up: 0.5 becomes 1, -0.5 becomes 0.
// An amount that binary floating point has left just under a half cent counts
// as the half: see tieSlack.
func RoundCents(cents float64) int64 {
	return int64(math.Floor(cents + 0.5 + tieSlack*math.Abs(cents)))
}
