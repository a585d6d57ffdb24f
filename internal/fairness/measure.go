package fairness

import (
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/agequote/agequote/internal/batch"
	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/underwriting"
)

// split is a dimension as items fall into it: group "" is unknown.
type split struct {
	name        string
	testingOnly bool
	of          func(*Item) string
	order       []string // of the groups; others follow by name
}

// ageDimension is the name of the dimension of age bands.
const ageDimension = "age"

// dimensions are sex, age, and every column of the items' groups.
func dimensions(items []*Item) []split {
	bands := make([]string, 0, len(evaluation.Bands()))
	for _, b := range evaluation.Bands() {
		bands = append(bands, strings.TrimPrefix(b, "age="))
	}
	all := []split{
		{name: "sex", of: sexOf, order: []string{"female", "male"}},
		{name: ageDimension, of: bandOf, order: bands},
	}
	columns := map[string]bool{}
	for _, it := range items {
		for column := range it.Groups {
			columns[column] = true
		}
	}
	delete(columns, "sex") // where the market leaves the sex out, a test set may have it: see sexOf
	for _, column := range slices.Sorted(maps.Keys(columns)) {
		all = append(all, split{name: column, testingOnly: true, of: func(it *Item) string { return it.Groups[column] }})
	}
	return all
}

func sexOf(it *Item) string {
	if it.Row.Sex != "" {
		return it.Row.Sex
	}
	return it.Groups["sex"]
}

func bandOf(it *Item) string {
	years, ok := it.age()
	if !ok {
		return ""
	}
	for _, name := range evaluation.AgeGroups(math.Floor(years)) {
		if band, ok := strings.CutPrefix(name, "age="); ok {
			return band
		}
	}
	return ""
}

// measurer computes the groups of one report, and keeps every comparison until
// all are known: only then can they be adjusted.
type measurer struct {
	items     []*Item
	means     []meanMeasure
	reference map[string]string

	comparisons []*comparison
}

// comparison is a p-value with the places in the report that it belongs to. With
// two groups it belongs to both.
type comparison struct {
	p  float64
	at []*Test
}

// figures are what a group's items come to, over all and by age band.
type figures struct {
	rates  []Share
	values [][]float64 // by mean, rising

	bandRates map[string][]Share
	bandMeans map[string][]moments
}

func (m *measurer) noFigures() figures {
	return figures{rates: make([]Share, len(rateMeasures)), values: make([][]float64, len(m.means)),
		bandRates: map[string][]Share{}, bandMeans: map[string][]moments{}}
}

func (m *measurer) figures(items []*Item) figures {
	f := m.noFigures()
	bands := map[string][]*Item{}
	for _, it := range items {
		bands[bandOf(it)] = append(bands[bandOf(it)], it)
	}
	for _, band := range slices.Sorted(maps.Keys(bands)) {
		rates, values := m.count(bands[band])
		f.bandRates[band], f.bandMeans[band] = rates, make([]moments, len(m.means))
		for i, r := range rates {
			f.rates[i].K += r.K
			f.rates[i].N += r.N
		}
		for i, v := range values {
			f.bandMeans[band][i] = momentsOf(v)
			f.values[i] = append(f.values[i], v...)
		}
	}
	for _, v := range f.values {
		slices.Sort(v)
	}
	return f
}

// count returns each rate, and the values of each mean, rising: sums and draws
// must not hang on the order of the items.
func (m *measurer) count(items []*Item) (rates []Share, values [][]float64) {
	rates, values = make([]Share, len(rateMeasures)), make([][]float64, len(m.means))
	for _, it := range items {
		for i, measure := range rateMeasures {
			if measure.among(it) {
				rates[i].N++
				if measure.happens(it) {
					rates[i].K++
				}
			}
		}
		for i, measure := range m.means {
			if v, ok := measure.of(it); ok {
				values[i] = append(values[i], v)
			}
		}
	}
	for _, v := range values {
		slices.Sort(v)
	}
	return rates, values
}

// add takes in the figures of another group.
func (f *figures) add(o figures) {
	for k, s := range o.rates {
		f.rates[k].K += s.K
		f.rates[k].N += s.N
	}
	for k, v := range o.values {
		f.values[k] = append(f.values[k], v...)
	}
	for band, rates := range o.bandRates {
		if f.bandRates[band] == nil {
			f.bandRates[band], f.bandMeans[band] = make([]Share, len(rates)), make([]moments, len(f.values))
		}
		for k, s := range rates {
			f.bandRates[band][k].K += s.K
			f.bandRates[band][k].N += s.N
		}
		for k, v := range o.bandMeans[band] {
			f.bandMeans[band][k] = f.bandMeans[band][k].plus(v)
		}
	}
}

// against is what a group is held against.
type against struct {
	who string
	n   int
	figures
}

func (m *measurer) dimension(s split) Dimension {
	d := Dimension{Name: s.name, TestingOnly: s.testingOnly, Groups: []Group{}}
	members := map[string][]*Item{}
	for _, it := range m.items {
		if name := s.of(it); name != "" {
			members[name] = append(members[name], it)
		} else {
			d.Unknown++
		}
	}
	names := ordered(s.order, members)
	if reference := m.reference[s.name]; len(members[reference]) > 0 {
		d.Reference = reference
	}
	of := map[string]figures{}
	for _, name := range names {
		of[name] = m.figures(members[name])
	}
	d.Groups = make([]Group, len(names))
	for i, name := range names {
		d.Groups[i] = newGroup(s.name, name, members[name])
	}
	for i := range d.Groups {
		other, ok := m.other(d, i, members, of)
		if !ok {
			other = against{figures: m.noFigures()}
		}
		m.compare(&d, i, of[d.Groups[i].Name], other)
	}
	impacts(d.Name, d.Groups)
	return d
}

// ordered are the groups' names, those of the order first.
func ordered[T any](order []string, members map[string]T) []string {
	rank := func(name string) int {
		if i := slices.Index(order, name); i >= 0 {
			return i
		}
		return len(order)
	}
	names := slices.Sorted(maps.Keys(members))
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	return names
}

// priceOnly are the reasons that change a price, and send nobody to a person.
var priceOnly = []underwriting.Code{underwriting.ClassBuild, underwriting.RatedBuild, underwriting.TobaccoRates, underwriting.ClassTobacco,
	underwriting.RatedTobacco, underwriting.ClassAnswer, underwriting.RatedAnswer, underwriting.FlatExtra}

// reasonsOfOthers counts the reasons of those that a group is held against.
func reasonsOfOthers(d Dimension, i int) map[string]int {
	all := map[string]int{}
	for k, o := range d.Groups {
		if k != i && (d.Reference == "" || o.Name == d.Reference) {
			for code, n := range o.Reasons {
				all[code] += n
			}
		}
	}
	return all
}

func newGroup(dimension, name string, items []*Item) Group {
	g := Group{Name: name, Who: who(dimension, name), N: len(items), Small: len(items) < leastJudged,
		Outcomes: map[batch.Outcome]int{}, Codes: map[string]int{}, Reasons: map[string]int{}}
	for _, outcome := range batch.Outcomes {
		g.Outcomes[outcome] = 0
	}
	var charged, known float64
	for _, it := range items {
		if _, ok := it.premiumError(); ok {
			charged, known = charged+float64(*it.Row.GrossCents), known+float64(*it.AtKnown) // whole cents: exact
		}
		g.Outcomes[it.Row.Outcome]++
		switch it.Row.Outcome {
		case batch.Refused:
			g.Codes[it.Row.Code]++
		case batch.Referred, batch.Postponed, batch.Declined:
			for _, reason := range strings.Fields(it.Row.Reasons) {
				if !slices.Contains(priceOnly, underwriting.Code(reason)) {
					g.Reasons[reason]++
				}
			}
		}
	}
	if known > 0 {
		total := charged / known
		g.PremiumTotal = &total
	}
	return g
}

// other returns what group i is held against: the reference where there is one,
// else everybody else. ok is false where that is nobody, or the group itself.
func (m *measurer) other(d Dimension, i int, members map[string][]*Item, of map[string]figures) (against, bool) {
	g := d.Groups[i]
	if d.Reference != "" {
		return against{who: who(d.Name, d.Reference), n: len(members[d.Reference]), figures: of[d.Reference]}, g.Name != d.Reference
	}
	a := against{who: "all others", figures: m.noFigures()}
	for _, o := range d.Groups {
		if o.Name == g.Name {
			continue
		}
		if len(d.Groups) == 2 {
			a.who = o.Who
		}
		a.n += o.N
		a.add(of[o.Name])
	}
	for _, v := range a.values {
		slices.Sort(v)
	}
	return a, a.n > 0
}

// compare fills in the figures of group i.
func (m *measurer) compare(d *Dimension, i int, f figures, o against) {
	g := &d.Groups[i]
	g.Rates, g.Means = make([]Rate, len(rateMeasures)), make([]Mean, len(m.means))
	for k, measure := range rateMeasures {
		g.Rates[k] = rateOf(measure.name, f.rates[k], o.who, o.rates[k])
		if d.Name != ageDimension {
			p := g.Rates[k].atSameAge(k, f, o.figures)
			if g.Rates[k].SameAge != nil && judgeable(f.rates[k], o.rates[k]) {
				m.judge(d, i, &g.Rates[k].SameAge.Test, func() *Test { return &d.Groups[0].Rates[k].SameAge.Test }, p)
			}
		}
		if judgeable(f.rates[k], o.rates[k]) {
			m.judge(d, i, &g.Rates[k].Test, func() *Test { return &d.Groups[0].Rates[k].Test }, fisher(f.rates[k], o.rates[k]))
		}
	}
	for k, measure := range m.means {
		g.Means[k] = meanOf(d.Name+"="+g.Name+" "+measure.name, measure.name, f.values[k], o.who, o.values[k])
		a, b := momentsOf(f.values[k]), momentsOf(o.values[k])
		judged := measure.judged && a.n >= leastJudged && b.n >= leastJudged && a.variance()+b.variance() > 0 // else all are alike
		if d.Name != ageDimension {
			p := g.Means[k].atSameAge(k, f, o.figures)
			if judged && g.Means[k].SameAge != nil {
				m.judge(d, i, &g.Means[k].SameAge.Test, func() *Test { return &d.Groups[0].Means[k].SameAge.Test }, p)
			}
		}
		if judged {
			m.judge(d, i, &g.Means[k].Test, func() *Test { return &d.Groups[0].Means[k].Test }, welch(a, b))
		}
	}
}

// judgeable leaves out small groups, and what happens to nobody or to everybody.
func judgeable(a, b Share) bool {
	k := a.K + b.K
	return a.N >= leastJudged && b.N >= leastJudged && k > 0 && k < a.N+b.N
}

// judge notes a comparison. With two groups, the second's is the first's over
// again, and counts once.
func (m *measurer) judge(d *Dimension, i int, test *Test, first func() *Test, p float64) {
	test.P = &p
	if i == 1 && len(d.Groups) == 2 && d.Reference == "" {
		for _, c := range slices.Backward(m.comparisons) {
			if c.at[0] == first() {
				c.at, test.P = append(c.at, test), &c.p
				return
			}
		}
	}
	m.comparisons = append(m.comparisons, &comparison{p: p, at: []*Test{test}})
}

func rateOf(measure string, s Share, whom string, o Share) Rate {
	r := Rate{Measure: measure, Share: s, Against: whom, Other: o}
	if s.N > 0 {
		v, ci := s.Rate(), s.wilson()
		r.Rate, r.CI = &v, &ci
	}
	if o.N > 0 {
		v := o.Rate()
		r.OtherRate = &v
	}
	if s.N > 0 && o.N > 0 {
		d, ci := gap(s, o)
		r.Gap, r.GapCI = &d, &ci
		ratio, oci, corrected := odds(s, o)
		r.Odds, r.OddsCI, r.Corrected = &ratio, &oci, corrected
	}
	return r
}

func meanOf(seed, measure string, values []float64, whom string, others []float64) Mean {
	r := Mean{Measure: measure, N: len(values), Against: whom, OtherN: len(others)}
	if m := momentsOf(values); m.n > 0 {
		mean := m.mean()
		r.Mean = &mean
		if m.n > 1 {
			sd := math.Sqrt(m.variance())
			r.SD = &sd
		}
	}
	if m := momentsOf(others); m.n > 0 {
		mean := m.mean()
		r.OtherMean = &mean
	}
	if len(values) > 0 && len(others) > 0 {
		d, ci := meanGap(seed, values, others)
		r.Gap, r.GapCI = &d, &ci
	}
	return r
}

// atSameAge fills in the odds ratio within age bands, and returns its p-value.
func (r *Rate) atSameAge(k int, f, o figures) float64 {
	var strata []stratum
	for _, band := range slices.Sorted(maps.Keys(f.bandRates)) {
		if o.bandRates[band] != nil {
			strata = append(strata, stratum{f.bandRates[band][k], o.bandRates[band][k]})
		}
	}
	ratio, ci, p, ok := commonOdds(strata)
	if ok {
		r.SameAge = &SameAgeOdds{Odds: ratio, CI: ci}
	}
	return p
}

// atSameAge fills in the gap within age bands, and returns its p-value.
func (r *Mean) atSameAge(k int, f, o figures) float64 {
	var a, b []moments
	for _, band := range slices.Sorted(maps.Keys(f.bandMeans)) {
		if o.bandMeans[band] != nil {
			a, b = append(a, f.bandMeans[band][k]), append(b, o.bandMeans[band][k])
		}
	}
	d, ci, p, ok := commonGap(a, b)
	if ok {
		r.SameAge = &SameAgeGap{Gap: d, CI: ci}
	}
	return p
}

// impacts fills in the groups' adverse impact ratios.
func impacts(dimension string, groups []Group) {
	quoted := func(g Group) Share { return Share{g.Outcomes[batch.Quoted], g.N} }
	highest := -1
	for i, g := range groups {
		if !g.Small && (highest < 0 || quoted(g).Rate() > quoted(groups[highest]).Rate()) {
			highest = i
		}
	}
	if highest < 0 {
		return
	}
	best := groups[highest]
	for i := range groups {
		g := &groups[i]
		ratio, ci, ok := rateRatio(quoted(*g), quoted(best))
		if !ok {
			continue
		}
		g.Impact = &Impact{Highest: best.Name, Ratio: ratio, CI: ci, Judged: !g.Small, Inside: ratio >= fourFifths}
		if i == highest {
			g.Impact.CI = nil // it is held against itself
		}
		g.Impact.Says = impactSentence(dimension, *g, best)
	}
}

// adjust puts the adjusted p-values and then the sentences into the report.
func (m *measurer) adjust(dimensions []Dimension) Comparisons {
	p := make([]float64, len(m.comparisons))
	for i, c := range m.comparisons {
		p[i] = c.p
	}
	out := Comparisons{Judged: len(p), Method: "Holm", Level: level, LeastN: leastJudged}
	for i, adjusted := range holm(p) {
		if adjusted < level {
			out.Differ++
		}
		for _, test := range m.comparisons[i].at {
			test.AdjustedP, test.Differs = &adjusted, adjusted < level
		}
	}
	for di := range dimensions {
		for gi := range dimensions[di].Groups {
			g := &dimensions[di].Groups[gi]
			if g.Impact != nil && g.Impact.Judged && !g.Impact.Inside {
				out.Outside++
			}
			for k := range g.Rates {
				g.Rates[k].Says = rateSentence(*g, rateMeasures[k], g.Rates[k], len(p)) + mainReason(*g, g.Rates[k], reasonsOfOthers(dimensions[di], gi))
			}
			for k := range g.Means {
				g.Means[k].Says = meanSentence(*g, m.means[k], g.Means[k], len(p))
			}
		}
	}
	return out
}
