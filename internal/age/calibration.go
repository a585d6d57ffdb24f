package age

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
)

// Oldest is where an interval ends at the latest, in years.
const Oldest = 120

// Calibration gives an estimate its interval. With e the point estimate of a
// distribution and Low(e), High(e) the tails, interpolated linearly between the
// knots and constant beyond them, the interval is
//
//	score "spread":    [e - Low(e)*s,     e + High(e)*s],      s = standard deviation + SpreadFloor
//	score "quantile":  [Q(q) - Low(e),    Q(1-q) + High(e)],   Q = quantiles of the distribution, q = Quantile
//
// with each end drawn in to a whole age, for ages are whole years: between 33.2
// and 34 nobody is. An end is drawn in no further than to e.
//
// This is split conformal prediction: "spread" with normalised residuals (Lei et
// al. 2018, Distribution-Free Predictive Inference for Regression, section 5.2),
// "quantile" conformalised quantile regression (Romano, Patterson and Candès
// 2019), both with the tails apart and local in e (Guan 2023, Localized Conformal
// Prediction, with a uniform kernel of nearest neighbours). It conditions on what
// serving knows, the distribution, and on nothing else about the person.
type Calibration struct {
	Method       string  `json:"method"`        // "local-conformal"
	Coverage     float64 `json:"coverage"`      // share of people whose age the interval holds
	Score        Score   `json:"score"`         // spread or quantile
	SpreadFloor  float64 `json:"spread_floor"`  // years; of the score spread
	Quantile     float64 `json:"quantile"`      // 0 to 0.5; of the score quantile
	AbstainWidth float64 `json:"abstain_width"` // years; a wider interval is refused as unsure
	Knots        []Knot  `json:"knots"`         // rising
}

// Knot holds the tails at one point estimate.
type Knot struct {
	At   float64        `json:"at"`   // point estimate, in years
	Low  float64        `json:"low"`  // how far the interval reaches down, in spreads or years; negative: not even to the quantile
	High float64        `json:"high"` // how far it reaches up
	N    map[string]int `json:"n"`    // calibration photos that it was computed from, by source
}

// Method is the only way of calibration so far.
const Method = "local-conformal"

// Score is what an interval is measured out in.
type Score string

// The scores.
const (
	ScoreSpread   Score = "spread"
	ScoreQuantile Score = "quantile"
)

// Check tells what is wrong with a calibration that was read from a file.
func (c Calibration) Check() error {
	switch {
	case c.Method != Method:
		return fmt.Errorf("calibration method %q is not known", c.Method)
	case !(c.Coverage > 0 && c.Coverage < 1):
		return fmt.Errorf("calibration coverage %v is not between 0 and 1", c.Coverage)
	case c.Score != ScoreSpread && c.Score != ScoreQuantile:
		return fmt.Errorf("calibration score %q is not known", c.Score)
	case !(c.SpreadFloor >= 0) || !(c.AbstainWidth > 0):
		return errors.New("calibration spread_floor or abstain_width is out of range")
	case !(c.Quantile >= 0 && c.Quantile < 0.5):
		return fmt.Errorf("calibration quantile %v is not from 0 to below 0.5", c.Quantile)
	case len(c.Knots) == 0:
		return errors.New("calibration without knots")
	}
	for i, k := range c.Knots {
		if i > 0 && !(k.At > c.Knots[i-1].At) {
			return fmt.Errorf("calibration knot %d does not follow the one before", i)
		}
		for _, v := range []float64{k.At, k.Low, k.High} {
			if !(math.Abs(v) <= Oldest) { // NaN compares false
				return fmt.Errorf("calibration knot %d is out of range", i)
			}
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
	b := c.base(d, e)
	lowTail, highTail := c.tails(e)
	low := wholeUp(b.low-lowTail*b.unit, e)
	high := wholeDown(b.high+highTail*b.unit, e)
	if high-low > c.AbstainWidth {
		return Estimate{}, ErrUnsure
	}
	coverage := c.Coverage
	return Estimate{Age: &e, Mean: &mean, Low: &low, High: &high, Coverage: &coverage, Distribution: d}, nil
}

// tiny is more than the error of the arithmetic below, and less than any
// difference between ages: an end that a whole age fixed must not lose it.
const tiny = 1e-6

// wholeUp draws a lower end in to the next whole age, but not past e.
func wholeUp(years, e float64) float64 { return min(max(0, math.Ceil(years-tiny)), e) }

// wholeDown draws an upper end in to the whole age before, but not past e.
func wholeDown(years, e float64) float64 { return max(min(Oldest, math.Floor(years+tiny)), e) }

// base is where the tails of a distribution start, and their unit.
type base struct {
	low, high float64 // years
	unit      float64 // years
}

func (c Calibration) base(d Distribution, e float64) base {
	if c.Score == ScoreQuantile {
		return base{low: d.Quantile(c.Quantile), high: d.Quantile(1 - c.Quantile), unit: 1}
	}
	return base{low: e, high: e, unit: d.SD() + c.SpreadFloor}
}

// tails interpolates between the knots.
func (c Calibration) tails(e float64) (low, high float64) {
	i := sort.Search(len(c.Knots), func(i int) bool { return c.Knots[i].At >= e })
	switch i {
	case 0:
		return c.Knots[0].Low, c.Knots[0].High
	case len(c.Knots):
		last := c.Knots[i-1]
		return last.Low, last.High
	}
	a, b := c.Knots[i-1], c.Knots[i]
	share := (e - a.At) / (b.At - a.At)
	return a.Low + share*(b.Low-a.Low), a.High + share*(b.High-a.High)
}

// Labelled is a photo of a person whose age is known.
type Labelled struct {
	Distribution Distribution
	Age          float64 // true age, in whole years
	Source       string  // the data set that it comes from
}

// Settings of a calibration.
type Settings struct {
	Coverage    float64
	Point       Point
	Score       Score
	SpreadFloor float64 // years; for ScoreSpread
	Quantile    float64 // for ScoreQuantile

	// Local tails: those at each knot are of the Neighbours photos whose point
	// estimates lie nearest to it. Among them each photo of a smaller source
	// counts so much more, up to MostWeight times, that the sources count alike.
	Knots      []float64 // point estimates in years, rising
	Neighbours int
	MostWeight float64 // at least 1

	// Bins, if not 0, replaces knots and neighbours: so many bins of the point
	// estimate, of equal size, with constant tails.
	Bins int

	AbstainShare float64 // of the photos, those with the widest intervals
}

// DefaultSettings are those that docs/calibration.md found best on the photos of
// the shipped model's calibration. The knots lie closer where children change
// fast.
func DefaultSettings(point Point) Settings {
	return Settings{
		Coverage: 0.9, Point: point, Score: ScoreSpread, SpreadFloor: 5,
		Knots: []float64{0, 2, 4, 7, 10, 14, 18, 22, 26, 30, 35, 40, 50, 60, 70}, Neighbours: 200, MostWeight: 4,
		AbstainShare: 0.0025,
	}
}

// scored is a calibration photo in the terms of its tails.
type scored struct {
	point     float64 // years
	low, high float64 // tails that would just hold the true age
	source    string
}

// Calibrate computes the tails on photos that the model was not trained on.
//
// Photos of several sources need not be alike, and serving does not know the
// source. The sources count alike as far as MostWeight lets them, so that the
// promise is one for their even mixture and not only for the largest.
func Calibrate(photos []Labelled, s Settings) (Calibration, error) {
	c := Calibration{Method: Method, Coverage: s.Coverage, Score: s.Score, SpreadFloor: s.SpreadFloor, Quantile: s.Quantile, AbstainWidth: 2 * Oldest}
	all := make([]scored, len(photos))
	for i, p := range photos {
		e, err := s.Point.Of(p.Distribution)
		if err != nil {
			return Calibration{}, err
		}
		b := c.base(p.Distribution, e)
		all[i] = scored{point: e, low: (b.low - p.Age) / b.unit, high: (p.Age - b.high) / b.unit, source: p.Source}
	}
	// By point estimate, and in the photos' order among equals: so a photo's
	// neighbours do not depend on how the sort works.
	slices.SortStableFunc(all, func(a, b scored) int { return cmp.Compare(a.point, b.point) })

	var err error
	if s.Bins > 0 {
		c.Knots, err = binned(all, s)
	} else {
		c.Knots, err = local(all, s)
	}
	if err != nil {
		return Calibration{}, err
	}
	if c.AbstainWidth, err = c.abstainWidth(photos, s); err != nil {
		return Calibration{}, err
	}
	return c, c.Check()
}

// local computes the tails at each knot.
func local(all []scored, s Settings) ([]Knot, error) {
	if len(s.Knots) == 0 || s.Neighbours < 1 {
		return nil, errors.New("calibrate: knots and neighbours are needed")
	}
	var knots []Knot
	for _, at := range s.Knots {
		k, err := knot(at, nearest(all, at, s.Neighbours), s)
		if err != nil {
			return nil, err
		}
		knots = append(knots, k)
	}
	return knots, nil
}

// nearest returns the n photos, sorted by point estimate, that lie nearest to at.
func nearest(photos []scored, at float64, n int) []scored {
	first, _ := slices.BinarySearchFunc(photos, at, func(p scored, at float64) int { return cmp.Compare(p.point, at) })
	last := first // photos[first:last] are taken
	for last-first < n && (first > 0 || last < len(photos)) {
		if first > 0 && (last == len(photos) || at-photos[first-1].point <= photos[last].point-at) {
			first--
		} else {
			last++
		}
	}
	return photos[first:last]
}

// binned computes tails that are constant between edges. Point estimates have
// one decimal, so that two knots a tenth apart make a step.
func binned(all []scored, s Settings) ([]Knot, error) {
	if len(all) < s.Bins {
		return nil, fmt.Errorf("calibrate %d photos in %d bins", len(all), s.Bins)
	}
	starts := edges(all, s.Bins)
	var knots []Knot
	for i, from := range starts {
		var bin []scored
		for _, p := range all {
			if p.point >= from && (i+1 == len(starts) || p.point < starts[i+1]) {
				bin = append(bin, p)
			}
		}
		k, err := knot(from, bin, s)
		if err != nil {
			return nil, err
		}
		knots = append(knots, k)
		if i+1 < len(starts) {
			k.At = Printed(starts[i+1] - 0.1)
			knots = append(knots, k)
		}
	}
	return knots, nil
}

// edges returns the starts of n bins of about equal size, in whole years.
func edges(sorted []scored, n int) []float64 {
	starts := []float64{0}
	for i := 1; i < n; i++ {
		start := math.Round(sorted[i*len(sorted)/n].point)
		if start > starts[len(starts)-1] {
			starts = append(starts, start)
		}
	}
	return starts
}

// leastInTail is how many photos must be expected in a tail for its edge to be
// more than one photo's accident.
const leastInTail = 4

// knot computes the tails of a set of photos.
func knot(at float64, photos []scored, s Settings) (Knot, error) {
	tail := (1 - s.Coverage) / 2
	if float64(len(photos))*tail < leastInTail-tiny {
		return Knot{}, fmt.Errorf("calibrate: %d photos near %v years are too few for a coverage of %v", len(photos), at, s.Coverage)
	}
	k := Knot{At: at, N: map[string]int{}}
	for _, p := range photos {
		k.N[p.source]++
	}
	most := 0
	for _, n := range k.N {
		most = max(most, n)
	}
	weights := make([]float64, len(photos))
	for i, p := range photos {
		weights[i] = min(float64(most)/float64(k.N[p.source]), max(1, s.MostWeight))
	}
	k.Low = upperTail(photos, weights, tail, func(p scored) float64 { return p.low })
	k.High = upperTail(photos, weights, tail, func(p scored) float64 { return p.high })
	return k, nil
}

// upperTail returns the score above which a new one falls with probability of at
// most tail: the conformal quantile of weighted scores (Tibshirani et al. 2019,
// Conformal Prediction Under Covariate Shift, lemma 3), the new one's weight
// being the mean of the others. With equal weights it is the k-th smallest of n
// with k = ceil((n+1)(1-tail)).
func upperTail(photos []scored, weights []float64, tail float64, score func(scored) float64) float64 {
	order := make([]int, len(photos))
	total := 0.0
	for i, w := range weights {
		order[i] = i
		total += w
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(score(photos[a]), score(photos[b])) })
	// Floats make 20*(1-.05) a little more than 19, which must not round up.
	least := (total+total/float64(len(photos)))*(1-tail) - tiny
	below := 0.0
	for _, i := range order {
		if below += weights[i]; below >= least {
			return score(photos[i])
		}
	}
	return score(photos[order[len(order)-1]])
}

// abstainWidth is the width that only the asked share of photos passes, at least
// a year.
func (c Calibration) abstainWidth(photos []Labelled, s Settings) (float64, error) {
	var widths []float64
	for _, p := range photos {
		e, err := c.Estimate(p.Distribution, s.Point)
		if err != nil {
			return 0, err
		}
		widths = append(widths, *e.High-*e.Low)
	}
	slices.Sort(widths)
	width := widths[min(len(widths)-1, int(float64(len(widths))*(1-s.AbstainShare)))]
	return max(1, Printed(width)), nil
}
