package evaluation

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
)

// How often people are drawn anew. A bound that holds for all groups together
// lies far out in the tail, so it needs more draws than an interval.
const (
	resamples      = 1000
	boundResamples = 5000
	confidence     = 0.95 // of an interval
)

// resample draws n of n people with replacement, so many times, and calls visit
// with how often each was drawn. The same name gives the same draws.
func resample(name string, n, times int, visit func(counts []float64)) {
	h := fnv.New64a()
	h.Write([]byte(name))
	r := rand.New(rand.NewPCG(h.Sum64(), 1))
	counts := make([]float64, n)
	for range times {
		clear(counts)
		for range n {
			counts[r.IntN(n)]++
		}
		visit(counts)
	}
}

// percentile interval of resampled values (Efron and Tibshirani, An Introduction
// to the Bootstrap, section 13.3). Values that are not numbers, of a resample
// that had no photo to measure, are left out; nil where none is left.
func percentileInterval(values []float64) *Interval {
	sorted := sortedNumbers(values)
	if len(sorted) == 0 {
		return nil
	}
	tail := (1 - confidence) / 2
	return &Interval{round(quantile(sorted, tail)), round(quantile(sorted, 1-tail))}
}

func sortedNumbers(values []float64) []float64 {
	numbers := slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	slices.Sort(numbers)
	return numbers
}

// quantile is the smallest value with at least a share p at or below it.
func quantile(sorted []float64, p float64) float64 {
	const tiny = 1e-9 // 1000*.025 in floats must not round up
	i := int(math.Ceil(p*float64(len(sorted))-tiny)) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

// intervals resamples the group's people.
func (g *group) intervals() Intervals {
	drawn := make([]values, 0, resamples)
	resample(g.name, len(g.persons), resamples, func(counts []float64) {
		var s sums
		for k, c := range counts {
			if c > 0 {
				s.add(g.persons[k], c)
			}
		}
		drawn = append(drawn, s.values())
	})
	of := func(figure func(values) float64) *Interval {
		column := make([]float64, len(drawn))
		for i, v := range drawn {
			column[i] = figure(v)
		}
		return percentileInterval(column)
	}
	return Intervals{
		Rejected: of(func(v values) float64 { return v.rejected }),
		MAE:      of(func(v values) float64 { return v.mae }),
		RMSE:     of(func(v values) float64 { return v.rmse }),
		CS5:      of(func(v values) float64 { return v.cs5 }),
		Bias:     of(func(v values) float64 { return v.bias }),
		Coverage: of(func(v values) float64 { return v.coverage }),
		Width:    of(func(v values) float64 { return v.width }),
	}
}

// coverageUpper is the group's coverage that resampling reaches at the given
// quantile.
func (g *group) coverageUpper(p float64) float64 {
	drawn := make([]float64, 0, boundResamples)
	resample(g.name+", upper bound", len(g.persons), boundResamples, func(counts []float64) {
		var accepted, covered float64
		for k, c := range counts {
			accepted += c * g.persons[k].accepted
			covered += c * g.persons[k].covered
		}
		drawn = append(drawn, covered/accepted)
	})
	return quantile(sortedNumbers(drawn), p)
}
