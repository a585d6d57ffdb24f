// Package premium reads mortality tables and turns their rates into premiums
// for level term insurance: net by the equivalence principle, gross with
// expenses, modal by instalment, and the expectation over an age that is only
// known as a distribution. It is pure: values in, values out. It decides
// nothing about a person (package underwriting does), knows no product, and
// prices no other cover than a level sum paid at the end of the year of death.
package premium

import (
	"errors"
	"fmt"
	"math"
)

// Basis is what a net premium rests on. Interest is the annual effective rate
// (0.03 is 3%). Multiple scales every death probability: 1.5 is 150%
// mortality.
type Basis struct {
	Rates    Rates
	Interest float64
	Multiple float64
}

// Values are expected present values at issue, for a sum assured of 1.
type Values struct {
	Insurance float64 // A: 1 paid at the end of the year of death within the term
	Annuity   float64 // a-due: 1 paid at the start of each year of the term while alive
}

// Values returns the present values for a term in whole years from issue at
// age:
//
//	A     = sum over k = 0..term-1 of v^(k+1) * kp * q'(k+1)
//	a-due = sum over k = 0..term-1 of v^k * kp
//
// with v = 1/(1+interest), q'(k) = min(1, multiple*q) in policy year k and kp
// the probability of living k years. Both are evaluated by their backward
// recursions
//
//	A(k)     = v*q'(k+1) + v*(1-q'(k+1))*A(k+1)
//	a-due(k) = 1 + v*(1-q'(k+1))*a-due(k+1)
//
// from 0 at the end of the term. Every step adds numbers that are not
// negative, so the relative error stays near one rounding a year.
// Source: Bowers et al., Actuarial Mathematics, 2nd edition, sections 4.2 and
// 5.3; Dickson, Hardy and Waters, Actuarial Mathematics for Life Contingent
// Risks, chapters 4 and 5. It returns ErrOutsideTable where a rate is missing.
func (b Basis) Values(age, term int) (Values, error) {
	if err := b.check(term); err != nil {
		return Values{}, err
	}
	var years [maxYears]float64
	return b.values(age, years[:term])
}

// NetAnnual returns the level net premium in cents, unrounded, paid at the
// start of each policy year while the insured lives, for sumCents paid at the
// end of the year of death within term years of issue at age: by the
// equivalence principle sum * A / a-due, as Values has them. Source: Bowers et
// al., section 6.3; Dickson, Hardy and Waters, chapter 6. It returns
// ErrOutsideTable where a rate is missing.
func (b Basis) NetAnnual(age, term int, sumCents int64) (float64, error) {
	v, err := b.Values(age, term)
	if err != nil {
		return 0, err
	}
	return v.net(sumCents), nil
}

// net is the one place that divides, so that every way to a premium gives the
// same bits.
func (v Values) net(sumCents int64) float64 {
	return float64(sumCents) * v.Insurance / v.Annuity
}

// Expected returns the expected net premium in cents, unrounded, over an age
// distribution: distribution[k] is the probability of age k in whole years.
// Ages outside minAge..maxAge are left out and the rest renormalised; mass is
// the share that was covered, 0 to 1. With no mass the net premium is 0 and
// means nothing. Gross premium is linear in net, so Gross of the expectation
// is the expected gross premium.
//
// Where the premium is convex in age, as it mostly is, this lies above the
// premium at the mean.
func (b Basis) Expected(distribution []float64, minAge, maxAge, term int, sumCents int64) (net, mass float64, err error) {
	if err := b.check(term); err != nil {
		return 0, 0, fmt.Errorf("expected premium: %w", err)
	}
	var years [maxYears]float64
	var total float64
	for age, p := range distribution {
		if !(p >= 0) || math.IsInf(p, 0) { // NaN compares false
			return 0, 0, fmt.Errorf("expected premium: class %d of the distribution is no probability", age)
		}
		total += p
		if p == 0 || age < minAge || age > maxAge {
			continue
		}
		v, err := b.values(age, years[:term])
		if err != nil {
			return 0, 0, fmt.Errorf("expected premium: %w", err)
		}
		mass += p
		net += p * v.net(sumCents)
	}
	if mass == 0 {
		return 0, 0, nil
	}
	return net / mass, mass / total, nil
}

// values runs the recursions over len(q) years; q is room for their rates. The
// basis has been checked.
func (b Basis) values(age int, q []float64) (Values, error) {
	if err := fill(q, b.Rates, age); err != nil {
		return Values{}, err
	}
	v := 1 / (1 + b.Interest)
	var out Values
	for k := len(q) - 1; k >= 0; k-- {
		rate := b.Multiple * q[k]
		if rate > 1 {
			rate = 1
		}
		lives := v * (1 - rate)
		out.Insurance = v*rate + lives*out.Insurance
		out.Annuity = 1 + lives*out.Annuity
	}
	return out, nil
}

func (b Basis) check(term int) error {
	switch {
	case b.Rates == nil:
		return errors.New("premium basis: no rates")
	case !(b.Interest > -1) || math.IsInf(b.Interest, 0): // NaN compares false
		return errors.New("premium basis: interest must be a number above -1")
	case !(b.Multiple > 0) || math.IsInf(b.Multiple, 0):
		return errors.New("premium basis: multiple must be a number above 0")
	case term < 1:
		return errors.New("premium basis: term must be at least 1 year")
	case term > maxYears:
		return fmt.Errorf("premium basis: term of more than %d years: %w", maxYears, ErrOutsideTable)
	}
	return nil
}
