package fairness

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/agequote/agequote/internal/batch"
)

// Schema is the version of Report.
const Schema = 1

// What a report judges by.
const (
	leastJudged = 30  // people in a group, and in those that it is held against
	fourFifths  = 0.8 // 29 CFR 1607.4(D)
)

// Report is a fairness report. Its figures depend on the items alone, not on
// their order or on the clock. Figures that nothing gives are null.
type Report struct {
	Schema int    `json:"schema"`
	Source Source `json:"source"`
	// N counts all items; Outcomes add up to it. OutsideAges of them are counted
	// here and nowhere else: their known, declared or estimated age is outside
	// Ages.
	N           int                   `json:"n"`
	Outcomes    map[batch.Outcome]int `json:"outcomes"`
	Ages        [2]int                `json:"ages"` // both ends included
	OutsideAges int                   `json:"outside_ages"`
	Erased      int                   `json:"erased"` // cases whose facts were deleted: not among N
	// KnownAges counts the items in Ages whose true age is known, by where it is
	// from; Contradicted have a declared age that the photo contradicts, and no
	// label.
	KnownAges    map[KnownFrom]int `json:"known_ages"`
	Contradicted int               `json:"contradicted"`
	Versions     Versions          `json:"versions"`

	Dimensions  []Dimension `json:"dimensions"`
	Comparisons Comparisons `json:"comparisons"`
	// Summary is what the report comes to, and Findings what differs by more than
	// chance explains or is outside four fifths, in plain sentences.
	Summary  []string  `json:"summary"`
	Findings []Finding `json:"findings"`
	Changes  *Changes  `json:"changes,omitempty"` // absent without a report before
	Notices  []string  `json:"notices"`
	Methods  []Method  `json:"methods"`
}

// Finding is one thing to look into.
type Finding struct {
	Dimension string `json:"dimension"`
	Group     string `json:"group"`
	Measure   string `json:"measure"`
	Says      string `json:"sentence"`
}

// Source says what was counted.
type Source struct {
	Kind  string       `json:"kind"` // batch or period
	Batch string       `json:"batch,omitempty"`
	From  string       `json:"from,omitempty"` // of a period, first day, YYYY-MM-DD, UTC
	To    string       `json:"to,omitempty"`   // last day
	Files []SourceFile `json:"files"`
}

// SourceFile is a file that was read.
type SourceFile struct {
	Name string `json:"name"`
	Hash string `json:"hash"` // "sha256:..."
}

// Versions are what the items were decided with, each sorted.
type Versions struct {
	Models []string `json:"models"`
	Rules  []string `json:"rules"`
	Tables []string `json:"tables"`
	Code   []string `json:"code"`
}

// Dimension is one way of making groups.
type Dimension struct {
	Name        string  `json:"name"` // sex, age, race ...
	TestingOnly bool    `json:"testing_only"`
	Unknown     int     `json:"unknown"`             // items in no group
	Reference   string  `json:"reference,omitempty"` // the group that the others are held against, where the caller named one
	Groups      []Group `json:"groups"`
}

// Group is the items of one value of a dimension.
type Group struct {
	Name string `json:"name"`
	Who  string `json:"who"` // in words: women, people of 30-39
	N    int    `json:"n"`
	// Small groups are shown and not judged: chance moves them too much.
	Small    bool                  `json:"small"`
	Outcomes map[batch.Outcome]int `json:"outcomes"`
	Codes    map[string]int        `json:"codes"`   // of the refused
	Reasons  map[string]int        `json:"reasons"` // of the referred, postponed and declined, but for those that change a price alone
	Impact   *Impact               `json:"impact"`  // null where nobody was quoted
	Rates    []Rate                `json:"rates"`
	Means    []Mean                `json:"means"`
	// PremiumTotal is the sum of the premiums over that at the known ages, of
	// those who have both; null where nobody has.
	PremiumTotal *float64 `json:"premium_total"`
}

// Impact is the adverse impact ratio of being quoted: the group's rate over that
// of the group with the highest rate, among groups that are not small.
type Impact struct {
	Highest string    `json:"highest"` // the group's name
	Ratio   float64   `json:"ratio"`
	CI      *Interval `json:"ci"`
	Judged  bool      `json:"judged"`
	Inside  bool      `json:"inside"` // at least four fifths
	Says    string    `json:"sentence"`
}

// Test is a comparison's p-value; AdjustedP is that of Holm's method over all
// comparisons of the report, and Differs that it is under the level.
type Test struct {
	P         *float64 `json:"p"`          // null: not judged
	AdjustedP *float64 `json:"adjusted_p"` // null: not judged
	Differs   bool     `json:"differs"`
}

// SameAgeOdds is an odds ratio within age bands.
type SameAgeOdds struct {
	Odds float64  `json:"odds_ratio"`
	CI   Interval `json:"ci"`
	Test
}

// SameAgeGap is a gap of means within age bands.
type SameAgeGap struct {
	Gap float64  `json:"gap"`
	CI  Interval `json:"ci"`
	Test
}

// Rate is how often something happens to a group, and to those that it is held
// against.
type Rate struct {
	Measure string `json:"measure"`
	Share
	Rate      *float64  `json:"rate"`
	CI        *Interval `json:"ci"` // Wilson
	Against   string    `json:"against"`
	Other     Share     `json:"other"`
	OtherRate *float64  `json:"other_rate"`
	Gap       *float64  `json:"gap"` // rate less other_rate
	GapCI     *Interval `json:"gap_ci"`
	Odds      *float64  `json:"odds_ratio"`
	OddsCI    *Interval `json:"odds_ratio_ci"`
	// Corrected says that one half was added to each cell of the odds ratio.
	Corrected bool `json:"odds_corrected"`
	// SameAge compares within age bands (Mantel and Haenszel): null in the
	// dimension of age, and where no band has both.
	SameAge *SameAgeOdds `json:"same_age"`
	Test
	Says string `json:"sentence"`
}

// Mean is a mean over those of a group who have the figure.
type Mean struct {
	Measure   string      `json:"measure"`
	N         int         `json:"n"`
	Mean      *float64    `json:"mean"`
	SD        *float64    `json:"sd"` // standard deviation
	Against   string      `json:"against"`
	OtherN    int         `json:"other_n"`
	OtherMean *float64    `json:"other_mean"`
	Gap       *float64    `json:"gap"`
	GapCI     *Interval   `json:"gap_ci"`   // bootstrap
	SameAge   *SameAgeGap `json:"same_age"` // as that of a rate
	Test
	Says string `json:"sentence"`
}

// Comparisons says how the p-values were taken together.
type Comparisons struct {
	Judged  int     `json:"judged"` // comparisons with a p-value
	Differ  int     `json:"differ"`
	Method  string  `json:"method"`
	Level   float64 `json:"level"`
	LeastN  int     `json:"least_n"`
	Outside int     `json:"outside_four_fifths"` // groups
}

// Options of a report.
type Options struct {
	Source Source
	Erased int
	Ages   [2]int // both ends included; zero: 18 to 75
	// Reference names a group by dimension that the others are held against;
	// without one each group is held against everybody else.
	Reference map[string]string
}

// rateMeasure is something that does or does not happen to an item. among tells
// whom it can happen to.
type rateMeasure struct {
	name    string
	did     string // in words: "were referred"
	among   func(*Item) bool
	happens func(*Item) bool
}

func everybody(*Item) bool { return true }

func became(outcomes ...batch.Outcome) func(*Item) bool {
	return func(it *Item) bool { return slices.Contains(outcomes, it.Row.Outcome) }
}

var rateMeasures = []rateMeasure{
	{"quoted", "were quoted by computer", everybody, became(batch.Quoted)},
	{"referred", "were referred to a person", everybody, became(batch.Referred)},
	{"not_offered", "were postponed or declined", everybody, became(batch.Postponed, batch.Declined)},
	{"refused", "had their photo refused", everybody, became(batch.Refused)},
	{"failed", "failed in processing", everybody, became(batch.Failed)},
	{"covered", "had their known age within the photo's interval",
		func(it *Item) bool { return it.Known != nil && it.Row.Low != nil && it.Row.High != nil },
		func(it *Item) bool { return *it.Row.Low <= *it.Known && *it.Known <= *it.Row.High }},
	{"contradicted", "stated an age that the photo contradicts",
		func(it *Item) bool { return it.Row.DeclaredAge != nil && it.Row.Age != nil }, (*Item).contradicted},
	{"offered_by_a_person", "were offered cover by the person to whom they were referred",
		func(it *Item) bool {
			return it.Row.Outcome == batch.Referred && it.Final != "" && it.Final != batch.Referred
		},
		func(it *Item) bool { return it.Final == batch.Quoted }},
}

// meanMeasure is a figure that an item has or has not.
type meanMeasure struct {
	name   string
	what   string // in words: "the photo's age is off by"
	unit   unit
	judged bool
	of     func(*Item) (float64, bool)
}

func meanMeasures(index func(*Item) (float64, bool)) []meanMeasure {
	return []meanMeasure{
		{"age_error", "size of the photo's error", years, true, func(it *Item) (float64, bool) {
			e, ok := it.ageError()
			return math.Abs(e), ok
		}},
		{"age_bias", "photo's age less known age", signedYears, true, (*Item).ageError},
		{"premium_error", "premium less that at the known age", signedPercent, true, (*Item).premiumError},
		{"premium_per_1000", "premium for 1,000 of sum assured", money, false, (*Item).perThousand},
		{"premium_index", "premium for 1,000 against the mean of the same product, term and size of sum", percent, false, index},
	}
}

// Measure makes the report.
func Measure(items []Item, o Options) Report {
	if o.Ages == [2]int{} {
		o.Ages = [2]int{18, 75}
	}
	r := Report{Schema: Schema, Source: o.Source, N: len(items), Erased: o.Erased, Ages: o.Ages,
		Outcomes: map[batch.Outcome]int{}, KnownAges: map[KnownFrom]int{}, Methods: methods}
	if r.Source.Files == nil {
		r.Source.Files = []SourceFile{}
	}
	for _, outcome := range batch.Outcomes {
		r.Outcomes[outcome] = 0
	}
	r.Versions = versionsOf(items)

	counted := make([]*Item, 0, len(items))
	for i := range items {
		it := &items[i]
		r.Outcomes[it.Row.Outcome]++
		if years, ok := it.age(); ok && (years < float64(o.Ages[0]) || years >= float64(o.Ages[1]+1)) {
			r.OutsideAges++
			continue
		}
		counted = append(counted, it)
		switch {
		case it.Known != nil:
			r.KnownAges[it.KnownFrom]++
		case it.contradicted():
			r.Contradicted++
		}
	}
	m := &measurer{items: counted, means: meanMeasures(premiumIndex(counted)), reference: o.Reference}
	for _, d := range dimensions(counted) {
		r.Dimensions = append(r.Dimensions, m.dimension(d))
	}
	if r.Dimensions == nil {
		r.Dimensions = []Dimension{}
	}
	r.Comparisons = m.adjust(r.Dimensions)
	r.Notices = notices(&r)
	r.Findings = findings(&r)
	r.Summary = summary(&r)
	return r
}

func versionsOf(items []Item) Versions {
	sets := [4]map[string]bool{{}, {}, {}, {}}
	for i := range items {
		row := &items[i].Row
		for k, hash := range []string{row.ModelHash, row.RulesHash, row.TablesHash, row.CodeVersion} {
			if hash != "" {
				sets[k][hash] = true
			}
		}
	}
	list := func(s map[string]bool) []string { return append([]string{}, slices.Sorted(maps.Keys(s))...) }
	return Versions{list(sets[0]), list(sets[1]), list(sets[2]), list(sets[3])}
}

// premiumIndex holds each premium against the mean of its cell.
func premiumIndex(items []*Item) func(*Item) (float64, bool) {
	values := map[string][]float64{}
	for _, it := range items {
		if v, ok := it.perThousand(); ok {
			values[it.cell()] = append(values[it.cell()], v)
		}
	}
	cells := map[string]moments{}
	for c, v := range values {
		slices.Sort(v) // the sum must not hang on the order of the items
		cells[c] = momentsOf(v)
	}
	return func(it *Item) (float64, bool) {
		v, ok := it.perThousand()
		if !ok {
			return 0, false
		}
		c := cells[it.cell()]
		if c.n < 2 || c.mean() <= 0 { // alone there is nothing to be held against
			return 0, false
		}
		return v / c.mean(), true
	}
}

// Encode returns the report's bytes as they are stored.
func (r Report) Encode() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode fairness report: %w", err)
	}
	return append(b, '\n'), nil
}

// Parse reads what Encode wrote.
func Parse(b []byte) (Report, error) {
	var r Report
	if err := json.Unmarshal(b, &r); err != nil {
		return Report{}, fmt.Errorf("parse fairness report: %w", err)
	}
	if r.Schema != Schema {
		return Report{}, fmt.Errorf("parse fairness report: schema %d, this code reads %d", r.Schema, Schema)
	}
	return r, nil
}
