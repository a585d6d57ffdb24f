package evaluation

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
