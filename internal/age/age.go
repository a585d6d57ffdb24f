// Package age turns a distribution over ages into an estimate: a point, and an
// interval whose coverage was measured by split conformal calibration. It is
// pure: no clock, no files, no network. It does not know how a distribution
// was read from a photo, or what an age costs.
package age

import (
	"errors"
	"fmt"
	"math"
)

// ErrUnsure says that a distribution is spread too widely for its interval to
// mean anything.
var ErrUnsure = errors.New("age distribution is too wide")

// Estimate is an age read from one photo, in years, on the values that are
// printed: one decimal. The pointers are nil, and the distribution empty, where
// the photo was refused.
type Estimate struct {
	Age          *float64  `json:"age"`          // point estimate
	Mean         *float64  `json:"mean"`         // mean of the distribution
	Low          *float64  `json:"low"`          // lower end of the interval
	High         *float64  `json:"high"`         // upper end
	Coverage     *float64  `json:"coverage"`     // share of people whose age the interval holds, as calibrated
	Distribution []float64 `json:"distribution"` // Distribution[k] is the probability of age k in whole years
}

// Distribution is a probability for each age in whole years: element k is age k.
type Distribution []float64

// digits to which a stored probability is rounded. Everything after is computed
// from the rounded values, so that a stored distribution gives the same
// estimate again.
const digits = 1e6

// NewDistribution normalises a network's output and rounds it as it is stored.
// It fails on an empty, negative, infinite or all-zero output.
func NewDistribution(output []float32) (Distribution, error) {
	var sum float64
	for _, p := range output {
		if p < 0 || math.IsNaN(float64(p)) || math.IsInf(float64(p), 0) {
			return nil, fmt.Errorf("age distribution holds %v", p)
		}
		sum += float64(p)
	}
	if sum <= 0 {
		return nil, errors.New("age distribution is empty")
	}
	d := make(Distribution, len(output))
	for k, p := range output {
		d[k] = math.Round(float64(p)/sum*digits) / digits
	}
	return d, nil
}

// Mean is the expected age in years.
func (d Distribution) Mean() float64 {
	var sum, mean float64
	for k, p := range d {
		sum += p
		mean += float64(k) * p
	}
	return mean / sum
}

// SD is the standard deviation in years.
func (d Distribution) SD() float64 {
	mean := d.Mean()
	var sum, square float64
	for k, p := range d {
		sum += p
		square += (float64(k) - mean) * (float64(k) - mean) * p
	}
	return math.Sqrt(square / sum)
}

// Quantile is the age below which a share q of the distribution lies,
// interpolated linearly within a class, which spans half a year on either side
// of its whole age. It is never below 0.
func (d Distribution) Quantile(q float64) float64 {
	var sum float64
	for _, p := range d {
		sum += p
	}
	rest := q * sum
	for k, p := range d {
		if p > 0 && rest <= p {
			return max(0, float64(k)-0.5+rest/p)
		}
		rest -= p
	}
	return float64(len(d)-1) + 0.5
}

// Point says which number of a distribution is the estimate.
type Point string

// The point estimates that a model package can choose.
const (
	PointMean   Point = "mean"
	PointMedian Point = "median"
)

// Of returns the point estimate of d in years, to one decimal.
func (p Point) Of(d Distribution) (float64, error) {
	switch p {
	case PointMean:
		return Printed(d.Mean()), nil
	case PointMedian:
		return Printed(d.Quantile(0.5)), nil
	}
	return 0, fmt.Errorf("unknown point estimate %q", p)
}

// Printed rounds an age to the one decimal with which it is printed, stored and
// measured.
func Printed(years float64) float64 { return math.Round(years*10) / 10 }

// PriceAge is the whole age at which an estimated age is priced: floor(e + 1/2).
func PriceAge(years float64) int { return int(math.Floor(years + 0.5)) }
