package fairness

import (
	"cmp"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
)

// What the intervals and tests here ask.
const (
	// level is the chance of being wrong once in the whole report, and 1 less the
	// confidence of each interval.
	level = 0.05
	// z is the normal distribution's quantile at 1 - level/2.
	z = 1.959963984540054
)

// Interval holds a figure's lower and upper confidence limit, of 95 %.
type Interval [2]float64

// holds tells whether v lies in the interval, both ends included.
func (i Interval) holds(v float64) bool { return i[0] <= v && v <= i[1] }

// Share is how many of n have something.
type Share struct {
	K int `json:"k"`
	N int `json:"n"`
}

// Rate is K of N, 0 to 1; NaN of none.
func (s Share) Rate() float64 { return float64(s.K) / float64(s.N) }

// wilson is the score interval of a share (E. B. Wilson, Probable inference, the
// law of succession, and statistical inference, JASA 22, 1927), without a
// correction for continuity.
func (s Share) wilson() Interval {
	n, p := float64(s.N), s.Rate()
	if s.N == 0 {
		return Interval{0, 1}
	}
	centre := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	// Rounding must not put the share itself outside at 0 and at 1.
	return Interval{min(p, max(0, centre-half)), max(p, min(1, centre+half))}
}

// gap is the difference of two shares, a less b, with Newcombe's hybrid score
// interval (R. G. Newcombe, Interval estimation for the difference between
// independent proportions, Statistics in Medicine 17, 1998, method 10).
func gap(a, b Share) (float64, Interval) {
	pa, pb, wa, wb := a.Rate(), b.Rate(), a.wilson(), b.wilson()
	d := pa - pb
	return d, Interval{
		d - math.Hypot(pa-wa[0], wb[1]-pb),
		d + math.Hypot(wa[1]-pa, pb-wb[0]),
	}
}

// odds is the odds ratio of a against b with Woolf's interval (B. Woolf, On
// estimating the relation between blood group and disease, Annals of Human
// Genetics 19, 1955). Where one of the four cells is 0, one half is added to
// each (J. B. S. Haldane, The estimation and significance of the logarithm of a
// ratio of frequencies, Annals of Human Genetics 20, 1956; F. J. Anscombe, On
// estimating binomial response relations, Biometrika 43, 1956); corrected says
// so.
func odds(a, b Share) (ratio float64, ci Interval, corrected bool) {
	cells := [4]float64{float64(a.K), float64(a.N - a.K), float64(b.K), float64(b.N - b.K)}
	if corrected = slices.Contains(cells[:], 0); corrected {
		for i := range cells {
			cells[i] += 0.5
		}
	}
	var variance float64
	for _, c := range cells {
		variance += 1 / c
	}
	ratio = cells[0] * cells[3] / (cells[1] * cells[2])
	half := z * math.Sqrt(variance)
	return ratio, Interval{ratio * math.Exp(-half), ratio * math.Exp(half)}, corrected
}

// rateRatio is a's share over b's, with the log interval of D. Katz and others
// (Obtaining confidence intervals for the risk ratio in cohort studies,
// Biometrics 34, 1978). It has no value where b has none; it has no interval
// where a has none either.
func rateRatio(a, b Share) (ratio float64, ci *Interval, ok bool) {
	if b.K == 0 || a.N == 0 {
		return 0, nil, false
	}
	ratio = a.Rate() / b.Rate()
	if a.K == 0 {
		return ratio, nil, true
	}
	half := z * math.Sqrt(1/float64(a.K)-1/float64(a.N)+1/float64(b.K)-1/float64(b.N))
	return ratio, &Interval{ratio * math.Exp(-half), ratio * math.Exp(half)}, true
}

// fisher is the two-sided p-value of Fisher's exact test: the chance, with the
// margins as they are, of a table that is no likelier than the one found (R. A.
// Fisher, Statistical Methods for Research Workers, section 21.02).
func fisher(a, b Share) float64 {
	n, k := a.N+b.N, a.K+b.K
	if a.N == 0 || b.N == 0 {
		return 1
	}
	low, high := max(0, k-b.N), min(a.N, k)
	chance := func(x int) float64 {
		return math.Exp(choose(a.N, x) + choose(b.N, k-x) - choose(n, k))
	}
	const slack = 1 + 1e-7 // equally likely tables differ in the last bits
	found, sum := chance(a.K), 0.0
	for x := low; x <= high; x++ {
		if c := chance(x); c <= found*slack {
			sum += c
		}
	}
	return min(1, sum)
}

// choose is the logarithm of the binomial coefficient.
func choose(n, k int) float64 {
	lgamma := func(v int) float64 { l, _ := math.Lgamma(float64(v) + 1); return l }
	return lgamma(n) - lgamma(k) - lgamma(n-k)
}

// moments are those of a set of values.
type moments struct{ n, sum, squares float64 }

func (m *moments) add(v float64) {
	m.n++
	m.sum += v
	m.squares += v * v
}

// plus is the moments of both sets.
func (m moments) plus(o moments) moments {
	return moments{m.n + o.n, m.sum + o.sum, m.squares + o.squares}
}

func (m moments) mean() float64 { return m.sum / m.n }

// variance is that of the sample, with n-1.
func (m moments) variance() float64 {
	return max(0, (m.squares-m.sum*m.sum/m.n)/(m.n-1))
}

func momentsOf(values []float64) (m moments) {
	for _, v := range values {
		m.add(v)
	}
	return m
}

// welch is the two-sided p-value of Welch's statistic for two means (B. L.
// Welch, The generalization of Student's problem, Biometrika 34, 1947), held
// against the normal distribution: groups of less than leastJudged are not
// judged, and from there on Student's is as good as normal.
func welch(a, b moments) float64 {
	if a.n < 2 || b.n < 2 {
		return 1
	}
	return normal(a.mean()-b.mean(), se(a, b))
}

// se is the standard error of the difference of two means.
func se(a, b moments) float64 { return math.Sqrt(a.variance()/a.n + b.variance()/b.n) }

// Draws of a bootstrap, and how many values are drawn from at most: past that
// the mean's own normal distribution is the same to the digits that are shown.
const (
	draws         = 2000
	bootstrapMost = 20_000
)

// meanGap is the difference of two means, a less b, with its bootstrap
// percentile interval (B. Efron and R. J. Tibshirani, An Introduction to the
// Bootstrap, 1993, section 13.3); each group is drawn anew by itself. The same
// name gives the same draws.
func meanGap(name string, a, b []float64) (float64, Interval) {
	ma, mb := momentsOf(a), momentsOf(b)
	d := ma.mean() - mb.mean()
	if len(a)+len(b) > bootstrapMost {
		half := z * se(ma, mb)
		return d, Interval{d - half, d + half}
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	r := rand.New(rand.NewPCG(h.Sum64(), 7))
	drawn := make([]float64, draws)
	for i := range drawn {
		drawn[i] = drawMean(r, a) - drawMean(r, b)
	}
	slices.Sort(drawn)
	return d, Interval{drawn[int(level/2*draws)-1], drawn[int((1-level/2)*draws)-1]}
}

func drawMean(r *rand.Rand, values []float64) float64 {
	var sum float64
	for range values {
		sum += values[r.IntN(len(values))]
	}
	return sum / float64(len(values))
}

// holm returns the p-values adjusted for being many, in their order: each may be
// held against level as it is, and the chance that one of them is wrong stays
// under it (S. Holm, A simple sequentially rejective multiple test procedure,
// Scandinavian Journal of Statistics 6, 1979).
func holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(p[i], p[j]) })
	adjusted, before := make([]float64, len(p)), 0.0
	for rank, i := range order {
		before = max(before, min(1, p[i]*float64(len(p)-rank)))
		adjusted[i] = before
	}
	return adjusted
}

// stratum is one age band of a group and of those that it is held against.
type stratum struct{ a, b Share }

// commonOdds is the odds ratio of a against b within strata (N. Mantel and W.
// Haenszel, Statistical aspects of the analysis of data from retrospective
// studies of disease, Journal of the National Cancer Institute 22, 1959), with
// the interval of J. Robins, N. Breslow and S. Greenland (Estimators of the
// Mantel-Haenszel variance consistent in both sparse data and large-strata
// limiting models, Biometrics 42, 1986) and the two-sided p-value of its
// logarithm over its standard error. ok is false where it has no value.
func commonOdds(strata []stratum) (ratio float64, ci Interval, p float64, ok bool) {
	var r, s, pr, ps, qr, qs float64
	for _, t := range strata {
		n := float64(t.a.N + t.b.N)
		if t.a.N == 0 || t.b.N == 0 {
			continue // nobody to be held against
		}
		a, b, c, d := float64(t.a.K), float64(t.a.N-t.a.K), float64(t.b.K), float64(t.b.N-t.b.K)
		ri, si, pi, qi := a*d/n, b*c/n, (a+d)/n, (b+c)/n
		r, s = r+ri, s+si
		pr, ps, qr, qs = pr+pi*ri, ps+pi*si, qr+qi*ri, qs+qi*si
	}
	if r == 0 || s == 0 {
		return 0, Interval{}, 0, false
	}
	ratio = r / s
	e := math.Sqrt(pr/(2*r*r) + (ps+qr)/(2*r*s) + qs/(2*s*s))
	return ratio, Interval{ratio * math.Exp(-z*e), ratio * math.Exp(z*e)}, normal(math.Log(ratio), e), true
}

// commonGap is the difference of means within strata, each weighted by n*m/(n+m)
// of its two sides, which is the coefficient of ordinary least squares with a
// constant for each stratum; its interval and p-value are normal, from each
// side's own variance in each stratum. ok is false where no stratum has two of both.
func commonGap(a, b []moments) (d float64, ci Interval, p float64, ok bool) {
	var weights, variance float64
	for i := range a {
		if a[i].n < 2 || b[i].n < 2 {
			continue
		}
		w := a[i].n * b[i].n / (a[i].n + b[i].n)
		weights += w
		d += w * (a[i].mean() - b[i].mean())
		variance += w * w * (a[i].variance()/a[i].n + b[i].variance()/b[i].n)
	}
	if weights == 0 {
		return 0, Interval{}, 0, false
	}
	d /= weights
	e := math.Sqrt(variance) / weights
	return d, Interval{d - z*e, d + z*e}, normal(d, e), true
}

// normal is the two-sided p-value of a figure that is 0 but for chance, by its
// standard error.
func normal(figure, e float64) float64 {
	if figure == 0 {
		return 1
	}
	return math.Erfc(math.Abs(figure) / (math.Sqrt2 * e))
}
