package crosscheck

import (
	"math"
	"slices"

	"github.com/agequote/agequote/internal/evaluation"
)

// observed is a value of one photo of a person.
type observed[T any] struct {
	id    int
	value T
}

// pair is what a figure sums up: an upper and a lower value.
type pair = [2]float64

// round keeps four decimals, as evaluation's intervals do. Adding 0 makes -0 one.
func round(v float64) float64 { return math.Round(v*1e4)/1e4 + 0 }

// sampler draws people for the intervals. Sets of as many people share draws.
type sampler map[int]*evaluation.Draws

func (s sampler) draws(n int) *evaluation.Draws {
	if s[n] == nil {
		s[n] = evaluation.NewDraws("crosscheck", n)
	}
	return s[n]
}

// shareOf is the part of the photos that hit, with its interval.
func shareOf[T any](s sampler, list []observed[T], hit func(T) bool) Share {
	pairs := make([]observed[pair], len(list))
	for i, o := range list {
		pairs[i] = observed[pair]{o.id, pair{0, 1}}
		if hit(o.value) {
			pairs[i].value[0] = 1
		}
	}
	share := Share{N: len(list)}
	share.Value, share.CI = s.pooled(pairs)
	return share
}

// pooled is the sum of the first values over the sum of the second, with its
// interval; 0 without any.
func (s sampler) pooled(list []observed[pair]) (float64, *evaluation.Interval) {
	if len(list) == 0 {
		return 0, nil
	}
	totals := byPerson(list)
	ratio := func(counts []uint16) float64 {
		var a, b float64
		for i, c := range counts {
			a += float64(c) * totals[i][0]
			b += float64(c) * totals[i][1]
		}
		return a / b
	}
	once := slices.Repeat([]uint16{1}, len(totals))
	return round(ratio(once)), s.draws(len(totals)).Interval(ratio)
}

// byPerson sums the values of each person, in the order of their first photos.
func byPerson(list []observed[pair]) []pair {
	at := map[int]int{}
	var totals []pair
	for _, o := range list {
		i, ok := at[o.id]
		if !ok {
			i = len(totals)
			at[o.id] = i
			totals = append(totals, pair{})
		}
		totals[i][0] += o.value[0]
		totals[i][1] += o.value[1]
	}
	return totals
}

// ratioOf describes the ratios of the first values to the second.
func (s sampler) ratioOf(list []observed[pair]) Ratio {
	r := Ratio{N: len(list)}
	if len(list) == 0 {
		return r
	}
	type one struct {
		person int // in the order of their first photos, as in byPerson
		ratio  float64
	}
	at := map[int]int{}
	ratios := make([]one, len(list))
	for i, o := range list {
		if _, ok := at[o.id]; !ok {
			at[o.id] = len(at)
		}
		ratios[i] = one{at[o.id], o.value[0] / o.value[1]}
	}
	slices.SortStableFunc(ratios, func(a, b one) int {
		switch {
		case a.ratio < b.ratio:
			return -1
		case a.ratio > b.ratio:
			return 1
		}
		return 0
	})
	quantile := func(q float64, counts []uint16) float64 {
		total := 0
		for _, o := range ratios {
			total += int(counts[o.person])
		}
		below := 0
		for _, o := range ratios {
			if below += int(counts[o.person]); below > 0 && float64(below) >= q*float64(total) {
				return o.ratio
			}
		}
		return math.NaN() // nobody was drawn
	}
	once := slices.Repeat([]uint16{1}, len(at))
	r.P10, r.Median, r.P90 = round(quantile(0.1, once)), round(quantile(0.5, once)), round(quantile(0.9, once))
	r.MedianCI = s.draws(len(at)).Interval(func(counts []uint16) float64 { return quantile(0.5, counts) })
	r.Pooled, r.PooledCI = s.pooled(list)
	return r
}
