package age

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Oldest is where an interval ends at the latest, in years.
const Oldest = 120

// Calibration gives an estimate its interval. The interval of a distribution
// with point estimate e and standard deviation s is
//
//	[e + Low * (s + SpreadFloor), e + High * (s + SpreadFloor)]
//
// with Low and High of the bin that holds e: split conformal prediction with
// normalised residuals (Lei et al. 2018, Distribution-Free Predictive Inference
// for Regression, section 5.2), in bins of the predicted age, its two tails
// apart. It conditions on what serving knows, the distribution, and on nothing
// else about the person.
type Calibration struct {
	Method       string  `json:"method"`        // "split-conformal"
	Coverage     float64 `json:"coverage"`      // share of people whose age the interval holds
	SpreadFloor  float64 `json:"spread_floor"`  // years
	AbstainWidth float64 `json:"abstain_width"` // years; a wider interval is refused as unsure
	Bins         []Bin   `json:"bins"`          // ascending; the first starts at 0
}

// Bin is a range of point estimates that shares its tails.
type Bin struct {
	From float64        `json:"from"` // least point estimate, in years
	Low  float64        `json:"low"`  // lower tail, in spreads; at most 0
	High float64        `json:"high"` // upper tail, in spreads; at least 0
	N    map[string]int `json:"n"`    // calibration photos, by source
}

// Method is the only way of calibration so far.
const Method = "split-conformal"

// Check tells what is wrong with a calibration that was read from a file.
func (c Calibration) Check() error {
	switch {
	case c.Method != Method:
		return fmt.Errorf("calibration method %q is not known", c.Method)
	case !(c.Coverage > 0 && c.Coverage < 1):
		return fmt.Errorf("calibration coverage %v is not between 0 and 1", c.Coverage)
	case !(c.SpreadFloor >= 0) || !(c.AbstainWidth > 0):
		return errors.New("calibration spread_floor or abstain_width is out of range")
	case len(c.Bins) == 0 || c.Bins[0].From != 0:
		return errors.New("calibration bins must start at 0")
	}
	for i, b := range c.Bins {
		if i > 0 && !(b.From > c.Bins[i-1].From) {
			return fmt.Errorf("calibration bin %d does not follow the one before", i)
		}
		if !(b.Low <= 0 && b.High >= 0) || math.IsInf(b.Low, 0) || math.IsInf(b.High, 0) {
			return fmt.Errorf("calibration bin %d does not hold the estimate", i)
		}
	}
	return nil
}

// Estimate returns the point and interval of d. It returns ErrUnsure where the
// interval is wider than AbstainWidth.
func (c Calibration) Estimate(d Distribution, point Point) (Estimate, error) {
	e, err := point.Of(d)
	if err != nil {
		return Estimate{}, err
	}
	mean := Printed(d.Mean())
	bin := c.bin(e)
	spread := d.SD() + c.SpreadFloor
	low := Printed(max(0, e+bin.Low*spread))
	high := Printed(min(Oldest, e+bin.High*spread))
	if high-low > c.AbstainWidth {
		return Estimate{}, ErrUnsure
	}
	coverage := c.Coverage
	return Estimate{Age: &e, Mean: &mean, Low: &low, High: &high, Coverage: &coverage, Distribution: d}, nil
}

func (c Calibration) bin(e float64) Bin {
	for _, b := range slices.Backward(c.Bins) {
		if e >= b.From {
			return b
		}
	}
	return c.Bins[0]
}

// Labelled is a photo of a person whose age is known.
type Labelled struct {
	Distribution Distribution
	Age          float64 // true age, in whole years
	Source       string  // the data set that it comes from
}

// Settings of a calibration.
type Settings struct {
	Coverage     float64
	Point        Point
	SpreadFloor  float64 // years
	Bins         int     // of equal size, by point estimate
	AbstainShare float64 // of the photos, those with the widest intervals
}

// Calibrate computes the tails on photos that the model was not trained on.
//
// Photos of several sources need not be alike. A tail is the widest that any
// source asks for, so that the interval keeps its promise for each of them and
// not only for their mixture; a source counts in a bin only if it is large
// enough there to have such a tail at all.
func Calibrate(photos []Labelled, s Settings) (Calibration, error) {
	if s.Bins < 1 || len(photos) < s.Bins {
		return Calibration{}, fmt.Errorf("calibrate %d photos in %d bins", len(photos), s.Bins)
	}
	points := make([]float64, len(photos))
	for i, p := range photos {
		e, err := s.Point.Of(p.Distribution)
		if err != nil {
			return Calibration{}, err
		}
		points[i] = e
	}

	c := Calibration{Method: Method, Coverage: s.Coverage, SpreadFloor: s.SpreadFloor, AbstainWidth: math.MaxFloat64}
	for _, from := range edges(points, s.Bins) {
		c.Bins = append(c.Bins, Bin{From: from, N: map[string]int{}})
	}
	residuals := make([]map[string][]float64, len(c.Bins))
	for i, p := range photos {
		k := slices.IndexFunc(c.Bins, func(b Bin) bool { return b.From == c.bin(points[i]).From })
		if residuals[k] == nil {
			residuals[k] = map[string][]float64{}
		}
		r := (p.Age - points[i]) / (p.Distribution.SD() + s.SpreadFloor)
		residuals[k][p.Source] = append(residuals[k][p.Source], r)
		c.Bins[k].N[p.Source]++
	}
	tail := (1 - s.Coverage) / 2
	for k := range c.Bins {
		counted := false
		for _, r := range residuals[k] {
			low, high, ok := tails(r, tail)
			if !ok {
				continue
			}
			counted = true
			c.Bins[k].Low = min(c.Bins[k].Low, low)
			c.Bins[k].High = max(c.Bins[k].High, high)
		}
		if !counted {
			return Calibration{}, fmt.Errorf("calibrate: too few photos from %v years for a coverage of %v", c.Bins[k].From, s.Coverage)
		}
	}

	var widths []float64
	for _, p := range photos {
		e, err := c.Estimate(p.Distribution, s.Point)
		if err != nil {
			return Calibration{}, err
		}
		widths = append(widths, *e.High-*e.Low)
	}
	slices.Sort(widths)
	c.AbstainWidth = Printed(widths[min(len(widths)-1, int(float64(len(widths))*(1-s.AbstainShare)))])
	return c, c.Check()
}

// edges returns the starts of n bins of about equal size, in whole years.
func edges(points []float64, n int) []float64 {
	sorted := slices.Sorted(slices.Values(points))
	starts := []float64{0}
	for i := 1; i < n; i++ {
		start := math.Round(sorted[i*len(sorted)/n])
		if start > starts[len(starts)-1] {
			starts = append(starts, start)
		}
	}
	return starts
}

// leastInTail is how many residuals must be expected in a tail for its edge to
// be more than one photo's accident.
const leastInTail = 4

// tails returns the residuals below and above which a new one falls with
// probability of at most tail each: the conformal quantiles, the k-th largest
// and smallest with k = ceil((n+1)(1-tail)). ok is false where n is too small.
func tails(residuals []float64, tail float64) (low, high float64, ok bool) {
	sorted := slices.Sorted(slices.Values(residuals))
	n := len(sorted)
	// Floats make 20*(1-.05) a little more than 19, which must not round up.
	const tiny = 1e-9
	k := int(math.Ceil(float64(n+1)*(1-tail) - tiny))
	if k > n || float64(n)*tail < leastInTail-tiny {
		return 0, 0, false
	}
	return sorted[n-k], sorted[k-1], true
}
