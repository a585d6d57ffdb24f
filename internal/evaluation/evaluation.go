// Package evaluation measures estimates against known ages: errors, interval
// coverage and refusals, over all photos and by group, each with a bootstrap
// interval, and what the errors do to a premium. It reads labelled photos from a
// folder, but not the faces on them, and it knows no product: prices come in
// through a function.
package evaluation

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/reason"
)

// Row is one photo of a person whose age is known.
type Row struct {
	Age      float64           // true age in whole years
	Person   string            // who is on the photo; empty: somebody who is on no other
	Groups   map[string]string // column -> value: sex, race ...
	Code     reason.Code
	Estimate age.Estimate // where Code is ok
}

// Report is what was measured. Numbers that no accepted photo gives are null.
type Report struct {
	Schema int    `json:"schema"`
	Model  string `json:"model"` // hash of the package
	Figures
	Groups        map[string]Figures `json:"groups"`
	CoverageCheck CoverageCheck      `json:"coverage_check"`
}

// Figures are the measurements over one set of photos. Errors are estimate
// minus age, in years, on the printed values and over accepted photos.
type Figures struct {
	N        int       `json:"n"` // photos, refused ones included
	Rejected Rejected  `json:"rejected"`
	MAE      *float64  `json:"mae"`      // mean absolute error
	RMSE     *float64  `json:"rmse"`     // root mean square error
	CS5      *float64  `json:"cs5"`      // share with an error of at most 5 years
	Bias     *float64  `json:"bias"`     // mean error
	Coverage *float64  `json:"coverage"` // share with low <= age <= high
	Width    *float64  `json:"width"`    // mean of high - low
	CI       Intervals `json:"ci"`

	// CoverageUpper is the coverage that the group may have at best: see
	// CoverageCheck. It is null for a group that is not checked.
	CoverageUpper *float64 `json:"coverage_upper"`
}

// Interval holds the figure that a new sample of people would give, with a
// probability of 95 %.
type Interval [2]float64

// Intervals are those of the figures of the same names; rejected is that of the
// refused share.
type Intervals struct {
	Rejected *Interval `json:"rejected"`
	MAE      *Interval `json:"mae"`
	RMSE     *Interval `json:"rmse"`
	CS5      *Interval `json:"cs5"`
	Bias     *Interval `json:"bias"`
	Coverage *Interval `json:"coverage"`
	Width    *Interval `json:"width"`
}

// Rejected counts refused photos by code.
type Rejected struct {
	N     int                 `json:"n"`
	Share float64             `json:"share"`
	Codes map[reason.Code]int `json:"codes"`
}

// CoverageCheck tells whether any group's intervals hold too few ages for it to
// be chance. A group of at least LeastPhotos fails where its coverage's upper
// bound lies under Level. The bound is one-sided, of confidence Confidence for
// all groups together (Bonferroni: 1 - (1-Confidence)/Groups for each).
type CoverageCheck struct {
	Level       float64  `json:"level"`
	Confidence  float64  `json:"confidence"`
	LeastPhotos int      `json:"least_photos"`
	Groups      int      `json:"groups"` // checked
	Failed      []string `json:"failed"` // names of the groups that fail, in order
	Passed      bool     `json:"passed"`
}

// What the coverage check asks.
const (
	checkLevel      = 0.90
	checkConfidence = 0.95
	checkPhotos     = 100
)

// Adults is the group of who buys: true ages of 18 to 75, both included.
const Adults = "adults=18-75"

// band is a range of true ages, both ends included.
type band struct {
	name      string
	low, high float64
}

func (b band) holds(years float64) bool { return b.low <= years && years <= b.high }

var (
	// bands are always among the groups.
	bands = []band{
		{"age=0-17", 0, 17}, {"age=18-29", 18, 29}, {"age=30-39", 30, 39}, {"age=40-49", 40, 49},
		{"age=50-59", 50, 59}, {"age=60-69", 60, 69}, {"age=70-79", 70, 79}, {"age=80+", 80, math.Inf(1)},
	}
	adults = band{Adults, 18, 75}
	// splitBand is the one band that the adults' upper end cuts; the others
	// within adults are the bands themselves.
	splitBand = bands[6]
)

// Bands are the names of the age bands, rising.
func Bands() []string {
	var names []string
	for _, b := range bands {
		names = append(names, b.name)
	}
	return names
}

// names are the groups that a row belongs to: its age band, the values of its
// columns, and for an adult each of those within the adults.
func (r Row) names() []string {
	var names []string
	add := func(name string) {
		names = append(names, name)
		if adults.holds(r.Age) {
			names = append(names, Adults+","+name)
		}
	}
	for _, b := range bands {
		if !b.holds(r.Age) {
			continue
		}
		names = append(names, b.name)
		if b == splitBand && adults.holds(r.Age) {
			names = append(names, Adults+","+b.name)
		}
	}
	if adults.holds(r.Age) {
		names = append(names, Adults)
	}
	for column, value := range r.Groups {
		add(fmt.Sprintf("%s=%s", column, value))
	}
	return names
}

// Measure computes the report of a model's rows. The same rows give the same
// report: what is random in it is seeded by the groups' names.
func Measure(model string, rows []Row) Report {
	all := newGroup("all")
	groups := map[string]*group{}
	for _, b := range append(slices.Clone(bands), adults) {
		groups[b.name] = newGroup(b.name)
	}
	for i, r := range rows {
		all.add(r, i)
		for _, name := range r.names() {
			if groups[name] == nil {
				groups[name] = newGroup(name)
			}
			groups[name].add(r, i)
		}
	}

	report := Report{Schema: 1, Model: model, Groups: map[string]Figures{}, CoverageCheck: CoverageCheck{
		Level: checkLevel, Confidence: checkConfidence, LeastPhotos: checkPhotos, Failed: []string{},
	}}
	check := &report.CoverageCheck
	for _, g := range groups {
		if g.checked() {
			check.Groups++
		}
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for name, g := range groups {
		wg.Go(func() {
			f := g.figures(check.Groups)
			mu.Lock()
			defer mu.Unlock()
			report.Groups[name] = f
			if f.CoverageUpper != nil && *f.CoverageUpper < checkLevel {
				check.Failed = append(check.Failed, name)
			}
		})
	}
	report.Figures = all.figures(0)
	wg.Wait()
	slices.Sort(check.Failed)
	check.Passed = len(check.Failed) == 0
	return report
}

// group accumulates one group, person by person: who is on several photos is
// drawn with all of them.
type group struct {
	name    string
	total   sums
	codes   map[reason.Code]int
	index   map[string]int // of a person in persons
	persons []sums
}

func newGroup(name string) *group {
	return &group{name: name, codes: map[reason.Code]int{}, index: map[string]int{}}
}

func (g *group) add(r Row, row int) {
	person := r.key(row)
	k, ok := g.index[person]
	if !ok {
		k = len(g.persons)
		g.index[person] = k
		g.persons = append(g.persons, sums{})
	}
	one := r.sums()
	g.persons[k].add(one, 1)
	g.total.add(one, 1)
	if r.Code != reason.OK {
		g.codes[r.Code]++
	}
}

// key tells persons apart.
func (r Row) key(row int) string {
	if r.Person == "" {
		return fmt.Sprintf("row %d", row)
	}
	return r.Person
}

// checked tells whether the coverage check counts the group.
func (g *group) checked() bool { return g.total.n >= checkPhotos && g.total.accepted > 0 }

// figures computes the group's figures; checked is how many groups the coverage
// check counts, 0 where this one is none of them.
func (g *group) figures(checked int) Figures {
	f := Figures{N: int(g.total.n), Rejected: Rejected{N: int(g.total.n - g.total.accepted), Codes: g.codes}}
	if f.N == 0 {
		return f
	}
	v := g.total.values()
	f.Rejected.Share = round(v.rejected)
	if g.total.accepted > 0 {
		f.MAE, f.RMSE, f.CS5 = rounded(v.mae), rounded(v.rmse), rounded(v.cs5)
		f.Bias, f.Coverage, f.Width = rounded(v.bias), rounded(v.coverage), rounded(v.width)
	}
	f.CI = g.intervals()
	if checked > 0 && g.checked() {
		f.CoverageUpper = rounded(g.coverageUpper(1 - (1-checkConfidence)/float64(checked)))
	}
	return f
}

// sums adds up photos. Counts are floats because resampling multiplies them.
type sums struct {
	n, accepted, close5, covered float64
	abs, square, signed, width   float64
}

func (r Row) sums() sums {
	if r.Code != reason.OK {
		return sums{n: 1}
	}
	e := *r.Estimate.Age - r.Age
	low, high := *r.Estimate.Low, *r.Estimate.High
	s := sums{n: 1, accepted: 1, abs: math.Abs(e), square: e * e, signed: e, width: high - low}
	if math.Abs(e) <= 5 {
		s.close5 = 1
	}
	if low <= r.Age && r.Age <= high {
		s.covered = 1
	}
	return s
}

func (s *sums) add(o sums, times float64) {
	s.n += times * o.n
	s.accepted += times * o.accepted
	s.close5 += times * o.close5
	s.covered += times * o.covered
	s.abs += times * o.abs
	s.square += times * o.square
	s.signed += times * o.signed
	s.width += times * o.width
}

// values are the figures, not rounded; NaN where no photo was accepted.
type values struct {
	rejected, mae, rmse, cs5, bias, coverage, width float64
}

func (s *sums) values() values {
	return values{
		rejected: (s.n - s.accepted) / s.n,
		mae:      s.abs / s.accepted,
		rmse:     math.Sqrt(s.square / s.accepted),
		cs5:      s.close5 / s.accepted,
		bias:     s.signed / s.accepted,
		coverage: s.covered / s.accepted,
		width:    s.width / s.accepted,
	}
}

// round keeps four decimals: more would be noise. It gives no -0.
func round(v float64) float64 { return math.Round(v*1e4)/1e4 + 0 }

func rounded(v float64) *float64 {
	v = round(v)
	return &v
}
