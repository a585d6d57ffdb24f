package evaluation

// Draws are people drawn anew, with replacement, as often as an interval takes.
// Figures of one set of people that share them cost a fraction of drawing for
// each, and move together.
type Draws struct {
	counts [][]uint16 // by draw: how often each was drawn
}

// NewDraws draws n of n people. The same name and n give the same draws.
func NewDraws(name string, n int) *Draws {
	d := &Draws{}
	if n == 0 {
		return d
	}
	resample(name, n, resamples, func(counts []float64) {
		row := make([]uint16, n)
		for i, c := range counts {
			row[i] = uint16(c)
		}
		d.counts = append(d.counts, row)
	})
	return d
}

// Interval is the bootstrap interval of a figure, which is given how often each
// of the people was drawn, and returns NaN where nothing was drawn that it could
// be computed of. It is rounded to four decimals, and nil where no draw gave a
// figure.
func (d *Draws) Interval(figure func(counts []uint16) float64) *Interval {
	values := make([]float64, len(d.counts))
	for i, counts := range d.counts {
		values[i] = figure(counts)
	}
	return percentileInterval(values)
}

// MeanInterval is the bootstrap interval of the mean of values that come in
// clusters, such as one person's photos: whole clusters are drawn. It is rounded
// to four decimals, and nil without values. The same name gives the same draws.
func MeanInterval(name string, clusters [][]float64) *Interval {
	type total struct{ sum, n float64 }
	totals := make([]total, len(clusters))
	for i, values := range clusters {
		for _, v := range values {
			totals[i].sum += v
		}
		totals[i].n = float64(len(values))
	}
	means := make([]float64, 0, resamples)
	resample(name, len(clusters), resamples, func(counts []float64) {
		var drawn total
		for i, c := range counts {
			drawn.sum += c * totals[i].sum
			drawn.n += c * totals[i].n
		}
		means = append(means, drawn.sum/drawn.n)
	})
	return percentileInterval(means)
}
