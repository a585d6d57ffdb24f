package evaluation

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/agequote/agequote/internal/reason"
)

// Terms say what is priced, for the reader of the figures.
type Terms struct {
	Product  string `json:"product"`
	Basis    string `json:"basis"`    // sum, term, class and what else fixes the premium
	Currency string `json:"currency"` // ISO 4217
}

// Premium is what the errors of the age do to a premium, over accepted photos of
// adults of 18 to 75: the gross annual premium at the estimated age less that at
// the true one, in whole units of the currency.
type Premium struct {
	Terms
	PremiumFigures
	Groups map[string]PremiumFigures `json:"groups"`
}

// PremiumFigures are the measurements over one set of photos; null where none
// was priced. A relative error is the error's size over the premium at the true
// age.
type PremiumFigures struct {
	N                   int              `json:"n"`        // photos priced at both ages
	Unpriced            int              `json:"unpriced"` // one of the ages passes a limit of the product
	MeanAbsError        *float64         `json:"mean_abs_error"`
	MeanError           *float64         `json:"mean_error"`
	MedianRelativeError *float64         `json:"median_relative_error"`
	Within10            *float64         `json:"within10"` // share with a relative error of at most 10 %
	Within25            *float64         `json:"within25"`
	CI                  PremiumIntervals `json:"ci"`
}

// PremiumIntervals are those of the figures of the same names.
type PremiumIntervals struct {
	MeanAbsError        *Interval `json:"mean_abs_error"`
	MeanError           *Interval `json:"mean_error"`
	MedianRelativeError *Interval `json:"median_relative_error"`
	Within10            *Interval `json:"within10"`
	Within25            *Interval `json:"within25"`
}

// Pricer returns the gross annual premiums at the true and at the estimated age
// of a person whose sex may not be known (empty), in whole units of the
// currency. ok is false where one of the ages passes a limit of the product.
type Pricer func(years, estimate float64, sex string) (atTrue, atEstimate float64, ok bool, err error)

// MeasurePremium prices every accepted adult's photo. The groups are the age
// bands and columns of the adults alone. A row's sex is its column sex.
func MeasurePremium(rows []Row, terms Terms, price Pricer) (Premium, error) {
	all := newPremiumGroup("premium")
	groups := map[string]*premiumGroup{}
	for i, r := range rows {
		if r.Code != reason.OK || !adults.holds(r.Age) {
			continue
		}
		atTrue, atEstimate, ok, err := price(r.Age, *r.Estimate.Age, r.Groups["sex"])
		if err != nil {
			return Premium{}, fmt.Errorf("price photo %d: %w", i, err)
		}
		all.add(r.key(i), atTrue, atEstimate, ok)
		for _, name := range r.premiumNames() {
			if groups[name] == nil {
				groups[name] = newPremiumGroup("premium, " + name)
			}
			groups[name].add(r.key(i), atTrue, atEstimate, ok)
		}
	}

	p := Premium{Terms: terms, Groups: map[string]PremiumFigures{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for name, g := range groups {
		wg.Go(func() {
			f := g.figures()
			mu.Lock()
			defer mu.Unlock()
			p.Groups[name] = f
		})
	}
	p.PremiumFigures = all.figures()
	wg.Wait()
	return p, nil
}

// premiumNames are an adult's groups; all of them lie within the adults.
func (r Row) premiumNames() []string {
	var names []string
	for _, b := range bands {
		if b.holds(r.Age) {
			names = append(names, b.name)
		}
	}
	for column, value := range r.Groups {
		names = append(names, fmt.Sprintf("%s=%s", column, value))
	}
	return names
}

// premiumGroup is one group's priced photos.
type premiumGroup struct {
	name     string
	unpriced int
	index    map[string]int // of a person, for drawing
	photos   []pricedPhoto
}

type pricedPhoto struct {
	person          int
	error, relative float64 // the error with its sign, its size over the true premium
}

func newPremiumGroup(name string) *premiumGroup {
	return &premiumGroup{name: name, index: map[string]int{}}
}

func (g *premiumGroup) add(person string, atTrue, atEstimate float64, ok bool) {
	if !ok {
		g.unpriced++
		return
	}
	k, known := g.index[person]
	if !known {
		k = len(g.index)
		g.index[person] = k
	}
	e := atEstimate - atTrue
	g.photos = append(g.photos, pricedPhoto{person: k, error: e, relative: math.Abs(e) / atTrue})
}

func (g *premiumGroup) figures() PremiumFigures {
	f := PremiumFigures{N: len(g.photos), Unpriced: g.unpriced}
	if f.N == 0 {
		return f
	}
	// Rising relative errors: then a weighted median is one walk.
	slices.SortFunc(g.photos, func(a, b pricedPhoto) int {
		switch {
		case a.relative < b.relative:
			return -1
		case a.relative > b.relative:
			return 1
		}
		return a.person - b.person
	})
	once := make([]float64, len(g.index))
	for k := range once {
		once[k] = 1
	}
	v := g.values(once)
	f.MeanAbsError, f.MeanError = rounded(v.abs), rounded(v.signed)
	f.MedianRelativeError, f.Within10, f.Within25 = rounded(v.median), rounded(v.within10), rounded(v.within25)

	drawn := make([]premiumValues, 0, resamples)
	resample(g.name, len(g.index), resamples, func(counts []float64) { drawn = append(drawn, g.values(counts)) })
	of := func(figure func(premiumValues) float64) *Interval {
		column := make([]float64, len(drawn))
		for i, v := range drawn {
			column[i] = figure(v)
		}
		return percentileInterval(column)
	}
	f.CI = PremiumIntervals{
		MeanAbsError:        of(func(v premiumValues) float64 { return v.abs }),
		MeanError:           of(func(v premiumValues) float64 { return v.signed }),
		MedianRelativeError: of(func(v premiumValues) float64 { return v.median }),
		Within10:            of(func(v premiumValues) float64 { return v.within10 }),
		Within25:            of(func(v premiumValues) float64 { return v.within25 }),
	}
	return f
}

type premiumValues struct{ abs, signed, median, within10, within25 float64 }

// values are the figures with each person counted so often. The photos must be
// in the order of their relative errors.
func (g *premiumGroup) values(counts []float64) premiumValues {
	var v premiumValues
	var n float64
	for _, p := range g.photos {
		c := counts[p.person]
		n += c
		v.abs += c * math.Abs(p.error)
		v.signed += c * p.error
		if p.relative <= 0.10 {
			v.within10 += c
		}
		if p.relative <= 0.25 {
			v.within25 += c
		}
	}
	var below float64
	for _, p := range g.photos {
		below += counts[p.person]
		if below >= n/2 {
			v.median = p.relative
			break
		}
	}
	v.abs, v.signed = v.abs/n, v.signed/n
	v.within10, v.within25 = v.within10/n, v.within25/n
	return v
}
