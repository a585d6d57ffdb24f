// Package premium reads mortality tables and turns their rates into premiums
// for level term insurance: net by the equivalence principle, gross with
// expenses, modal by instalment, and the expectation over an age that is only
// known as a distribution. It is pure: values in, values out. It decides
// nothing about a person (package underwriting does), knows no product, and
// prices no other cover than a level sum paid at the end of the year of death.
package premium

import (
	"fmt"
	"math"
)

// Basis is what a net premium rests on. Interest is the annual effective rate
// (0.03 is 3%). Multiple scales every death probability of the table: 1.5 is
// 150% mortality.
type Basis struct {
	Table    *Table
	Interest float64
	Multiple float64
}

// NetAnnual returns the level net premium in cents, unrounded, paid at the
// start of each policy year while the insured lives, for sumCents paid at the
// end of the year of death within term years of issue at age. By the
// equivalence principle
//
//	premium = sum * A / a-due
//	A     = sum over k = 0..term-1 of v^(k+1) * kp * q'(k+1)
//	a-due = sum over k = 0..term-1 of v^k * kp
//
// with v = 1/(1+interest), q' = min(1, multiple*q) and kp the probability of
// living k years. Source: Bowers et al., Actuarial Mathematics, 2nd edition,
// sections 4.2, 5.3 and 6.3; Dickson, Hardy and Waters, Actuarial Mathematics
// for Life Contingent Risks, chapters 4 to 6. Both sums are evaluated by their
// backward recursions. It returns ErrOutsideTable where the table lacks a rate.
func (b Basis) NetAnnual(age, term int, sumCents int64) (float64, error) {
	if err := b.check(term); err != nil {
		return 0, err
	}
	v := 1 / (1 + b.Interest)
	var insurance, annuity float64 // value at the start of year k of what is still to come
	for k := term; k >= 1; k-- {
		q, err := b.Table.Q(age, k)
		if err != nil {
			return 0, err
		}
		q = min(1, b.Multiple*q)
		insurance = v * (q + (1-q)*insurance)
		annuity = 1 + v*(1-q)*annuity
	}
	return float64(sumCents) * insurance / annuity, nil
}

// Expected returns the expected net premium in cents, unrounded, over an age
// distribution: distribution[k] is the probability of age k in whole years.
// Ages outside minAge..maxAge are left out and the rest renormalised; mass is
// the share that was covered, 0 to 1. With no mass the net premium is 0 and
// means nothing. Gross premium is linear in net, so Gross of the expectation
// is the expected gross premium.
//
// The premium is convex in age, so this lies above the premium at the mean.
func (b Basis) Expected(distribution []float64, minAge, maxAge, term int, sumCents int64) (net, mass float64, err error) {
	var total float64
	for age, p := range distribution {
		if p < 0 || math.IsNaN(p) || math.IsInf(p, 0) {
			return 0, 0, fmt.Errorf("expected premium: class %d of the distribution is no probability", age)
		}
		total += p
		if p == 0 || age < minAge || age > maxAge {
			continue
		}
		n, err := b.NetAnnual(age, term, sumCents)
		if err != nil {
			return 0, 0, fmt.Errorf("expected premium: %w", err)
		}
		mass += p
		net += p * n
	}
	if mass == 0 {
		return 0, 0, nil
	}
	return net / mass, mass / total, nil
}

func (b Basis) check(term int) error {
	switch {
	case b.Table == nil:
		return fmt.Errorf("premium basis: no table")
	case !(b.Interest > -1) || math.IsInf(b.Interest, 0): // NaN compares false
		return fmt.Errorf("premium basis: interest must be a number above -1")
	case !(b.Multiple > 0) || math.IsInf(b.Multiple, 0):
		return fmt.Errorf("premium basis: multiple must be a number above 0")
	case term < 1:
		return fmt.Errorf("premium basis: term must be at least 1 year")
	}
	return nil
}

// Loads turn a net premium into a gross one. FlatExtraCents are extra
// mortality charges a year. Loading is the share of the gross premium, before
// the fee, that goes to expenses and profit, 0 to below 1. PolicyFeeCents are
// a fixed amount a year.
type Loads struct {
	FlatExtraCents int64
	Loading        float64
	PolicyFeeCents int64
}

// Gross returns the gross annual premium in cents: (net + flat extras) /
// (1 - loading) + policy fee, rounded half up once, at the end. net is in
// cents, unrounded.
func (l Loads) Gross(net float64) int64 {
	return RoundCents((net+float64(l.FlatExtraCents))/(1-l.Loading) + float64(l.PolicyFeeCents))
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

// RoundCents rounds an amount in cents half up: 0.5 becomes 1, -0.5 becomes 0.
func RoundCents(cents float64) int64 { return int64(math.Floor(cents + 0.5)) }
