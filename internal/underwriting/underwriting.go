// Package underwriting decides on an application: from declared facts and an
// age read from a photo it finds the class, the rating, the flat extras, the
// ages that may be priced, and the decision to quote, refer, postpone or
// decline with coded reasons. It is pure: no clock, no files, no network, and
// the same input gives the same assessment. It multiplies no premium (package
// premium does) and reads no rules from files (package rulebook does). A photo
// alone never declines.
package underwriting

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agequote/agequote/internal/premium"
)

// Decision is the outcome of an assessment.
type Decision string

// The decisions, from mildest to strictest.
const (
	Quote    Decision = "quote"    // indicative premium for the customer
	Refer    Decision = "refer"    // a person looks; prices are for the underwriter
	Postpone Decision = "postpone" // ask again later; never carries a price
	Decline  Decision = "decline"  // not on these terms; never carries a price
)

// severity orders decisions: the strictest reason decides.
func (d Decision) severity() int {
	switch d {
	case Decline:
		return 3
	case Postpone:
		return 2
	case Refer:
		return 1
	}
	return 0
}

// Product is one version of a product's rules, with the classes, the build
// chart and the questions that are in force with it. Package rulebook loads
// it; nothing changes it afterwards, so it may be shared.
type Product struct {
	ID            string
	Name          string // for customers
	Market        string // "US", "EU" or "IN"
	Currency      string // ISO 4217
	EffectiveFrom time.Time
	AgeBasis      premium.AgeBasis

	// Unisex products take no sex. Their rates are those of both sexes, blended
	// with MaleShare of men, 0 to 1; a table of both sexes needs no share.
	Unisex    bool
	MaleShare float64

	Terms        []int // whole years on offer, rising; nil: any
	MinAge       int   // whole years on the age basis, inclusive
	MaxAge       int
	MaxExpiryAge int // issue age + term may reach this at most
	MinSumCents  int64
	MaxSumCents  int64

	Photo Photo
	// MaxIntervalWidth is the widest age interval, high - low in years, that is
	// quoted without a person.
	MaxIntervalWidth float64

	// TobaccoFreeYears is how long ago a former user must have stopped to get
	// the rates of those who never used tobacco.
	TobaccoFreeYears float64
	// TobaccoSteps are table rating steps for users of tobacco where the tables
	// do not tell them apart; 0 where they do.
	TobaccoSteps int
	Classes      []Class // best first: those without tobacco, then those with it, where the tables tell them apart
	MaxSteps     int     // more table rating steps than these decline, 0 to 16
	Chart        Chart
	Questions    []Question

	Interest       float64 // annual effective rate
	ExpenseLoading float64 // share of the gross premium before the fee; Loads.Loading is the sum of the two
	ProfitLoading  float64
	Loads          premium.Loads
	DefaultMode    string
	ModalFactors   map[string]float64 // instalment as a share of the gross annual premium, by mode

	QuoteDays int // an indicative quote stands so many days
	Notices   []string
	Hash      string // of the files: product, classes, chart and questions
	Sources   []Source

	onTable int // number of the table that OnTable priced on, 0: by class
}

// Source is a rule file that the product was made of.
type Source struct {
	Kind string // product, classes, chart or questions
	ID   string
	File string // path in the rule book
	Hash string // of its bytes
}

// Roles of the photo.
const (
	CrossCheck = "cross-check" // an age must be declared; the photo must agree with it
	Prefill    = "prefill"     // the photo gives the age where none is declared
)

// Charges: which premium is charged where the age comes from a photo.
const (
	ChargeEstimated = "estimated" // at the point estimate
	ChargeHigh      = "high"      // at the interval's upper end
	ChargeExpected  = "expected"  // the mean over the age distribution
)

// Photo says what a photo is good for in a product.
type Photo struct {
	Role   string // CrossCheck or Prefill
	Charge string // with Prefill: ChargeEstimated, ChargeHigh or ChargeExpected
	// SlackYears widen the interval at each end before a declared age is held
	// against it.
	SlackYears float64
	// IgnoreDuplicates quotes a photo that was sent with another case too like
	// any other.
	IgnoreDuplicates bool
}

// Modes of payment: instalments a year.
var Modes = []string{"annual", "half-yearly", "quarterly", "monthly"}

// TableShare is a mortality table of the Society of Actuaries by its number,
// with its share of a blend, 0 to 1.
type TableShare struct {
	Number int
	Share  float64
}

// Class is a risk class with the mortality tables that stand behind it.
type Class struct {
	Name    string // with " Tobacco" at its end for users of tobacco
	Level   int    // its place among the product's class names, 0 is the best
	Tobacco bool   // for users of tobacco
	// TobaccoFreeYears is how long ago a former user must have stopped to be
	// in this class.
	TobaccoFreeYears float64
	// RelativeRisk is that of its tables in percent, 0 where they have none.
	RelativeRisk int
	// Female, Male and Both are its rates: one table each, or for Both, which
	// is what unisex products price on, the blend.
	Female, Male, Both []TableShare
	// FemaleShare and MaleShare are the parts of accepted applicants expected
	// in it, 0 to 1: weighted by them the relative risks average 100.
	FemaleShare, MaleShare float64
}

// rates returns what a person of that sex is priced on.
func (c *Class) rates(p *Product, sex string) []TableShare {
	switch {
	case p.Unisex:
		return c.Both
	case sex == "male":
		return c.Male
	}
	return c.Female
}

// TobaccoSuffix ends the name of a class for users of tobacco.
const TobaccoSuffix = " Tobacco"

// Class returns the class of that name. A name without its suffix finds the
// class for those who use tobacco, or do not, as told; where the tables do not
// tell them apart, one class is for both.
func (p *Product) Class(name string, tobacco bool) (Class, bool) {
	for _, c := range p.Classes {
		if c.Name == name && (c.Tobacco || !tobacco || !p.TobaccoDistinct()) || tobacco && c.Name == name+TobaccoSuffix {
			return c, true
		}
	}
	return Class{}, false
}

// TobaccoDistinct tells whether users of tobacco have classes of their own.
func (p *Product) TobaccoDistinct() bool {
	return len(p.Classes) > 0 && p.Classes[len(p.Classes)-1].Tobacco
}

// classesFor returns the classes that are open to those who use tobacco or do
// not, best first.
func (p *Product) classesFor(tobacco bool) []Class {
	if !p.TobaccoDistinct() {
		return p.Classes
	}
	first := slices.IndexFunc(p.Classes, func(c Class) bool { return c.Tobacco })
	if tobacco {
		return p.Classes[first:]
	}
	return p.Classes[:first]
}

// Chart is a build chart: what height and weight lead to.
type Chart struct {
	Panels []Panel
}

// Panel is the chart for one sex, or both, and a range of ages.
type Panel struct {
	Sex            string // empty: both
	FromAge, ToAge int    // whole years, from inclusive, to exclusive
	Outcomes       []Outcome
	Rows           []Row
}

// Row is the line of one range of heights, in cm, from inclusive, to
// exclusive. Weights, in kg, rise: a build has Outcomes[i] where Weights[i] is
// the first above its weight, and the last outcome where none is.
type Row struct {
	From, To float64
	Weights  []float64
}

// Outcome is what a cell of the chart leads to: a class at best, table rating
// steps on the worst class, a person, or a decline.
type Outcome struct {
	Level    int      // the best class that is open
	Steps    int      // more than 0: rated on the worst class; where referred, what counts towards the limit of ratings
	Decision Decision // Refer or Decline; empty where there is a class
}

// severity orders outcomes from mild to strict.
func (o Outcome) severity() int { return o.Decision.severity()*1000 + o.Steps*10 + o.Level }

// Stricter tells whether o is stricter than other.
func (o Outcome) Stricter(other Outcome) bool { return o.severity() > other.severity() }

// At returns the outcome of a build; ok is false for heights outside the chart.
// An age outside the panels' counts as the nearest of theirs.
func (c *Chart) At(sex string, age int, heightCM, weightKG float64) (Outcome, bool) {
	panel := c.panel(sex, age)
	if panel == nil {
		return Outcome{}, false
	}
	for i := range panel.Rows {
		if r := &panel.Rows[i]; r.From <= heightCM && heightCM < r.To {
			return panel.Outcomes[r.column(weightKG)], true
		}
	}
	return Outcome{}, false
}

func (r *Row) column(weightKG float64) int {
	for i, w := range r.Weights {
		if weightKG < w {
			return i
		}
	}
	return len(r.Weights)
}

// panel returns the last panel for the sex that begins at or below the age,
// or the first.
func (c *Chart) panel(sex string, age int) *Panel {
	var found *Panel
	for i := range c.Panels {
		p := &c.Panels[i]
		if p.Sex != "" && p.Sex != sex {
			continue
		}
		if found == nil || p.FromAge <= age {
			found = p
		}
	}
	return found
}

// limit returns the weights of the row in words: where the best class ends,
// and where the outermost outcomes begin.
func (c *Chart) limit(sex string, age int, heightCM float64) string {
	panel := c.panel(sex, age)
	if panel == nil {
		return "no chart"
	}
	best := panel.best()
	for i := range panel.Rows {
		if r := &panel.Rows[i]; r.From <= heightCM && heightCM < r.To {
			first, last := panel.insured()
			text := r.appendSpan(append(make([]byte, 0, textRoom), "best class "...), best, best)
			return string(r.appendSpan(append(text, ", insured "...), first, last))
		}
	}
	return fmt.Sprintf("%g-%g cm", panel.Rows[0].From, panel.Rows[len(panel.Rows)-1].To)
}

// best returns the column of the mildest outcome.
func (p *Panel) best() int {
	best := 0
	for i, o := range p.Outcomes {
		if p.Outcomes[best].Stricter(o) {
			best = i
		}
	}
	return best
}

// insured returns the first and last column with a class.
func (p *Panel) insured() (first, last int) {
	has := func(o Outcome) bool { return o.Decision == "" }
	first = slices.IndexFunc(p.Outcomes, has)
	last = first
	for i, o := range p.Outcomes {
		if has(o) {
			last = i
		}
	}
	return first, last
}

// textRoom is enough for what a build's reason says, which then is put together
// without allocations but that of the text.
const textRoom = 64

// appendSpan appends the weights of the columns first to last, in words.
func (r *Row) appendSpan(text []byte, first, last int) []byte {
	if first > 0 {
		text = append(appendNumber(text, r.Weights[first-1]), '-')
	} else {
		text = append(text, "0-"...)
	}
	if last < len(r.Weights) {
		text = appendNumber(text, r.Weights[last])
	} else {
		text = append(text, "any"...)
	}
	return append(text, " kg"...)
}

func appendNumber(text []byte, x float64) []byte { return strconv.AppendFloat(text, x, 'g', -1, 64) }

// buildText returns a build in words.
func buildText(heightCM, weightKG float64) string {
	text := append(appendNumber(make([]byte, 0, textRoom), heightCM), " cm, "...)
	return string(append(appendNumber(text, weightKG), " kg"...))
}

// levelName returns the name of a level, without tobacco's suffix.
func (p *Product) levelName(level int) string {
	for _, c := range p.Classes {
		if c.Level == level {
			return strings.TrimSuffix(c.Name, TobaccoSuffix)
		}
	}
	return ""
}

// OutcomeText says in words what a cell of the chart leads to.
func (p *Product) OutcomeText(o Outcome) string {
	switch {
	case o.Decision != "":
		return string(o.Decision)
	case o.Steps > 0:
		return Rating(o.Steps)
	}
	return p.levelName(o.Level)
}

// YesText says in words what a yes to a question does.
func (p *Product) YesText(e Effect) string {
	switch {
	case e.Decline:
		return "declines"
	case e.PostponeMonths > 0:
		return fmt.Sprintf("postpones by %d months", e.PostponeMonths)
	case e.Refer:
		return "refers to a person"
	case e.Steps > 0:
		return fmt.Sprintf("rates %d steps, %s", e.Steps, mortalityText(e.Steps))
	case e.Level > 0:
		return "class " + p.levelName(e.Level) + " at best"
	}
	return extraText(e.Extra)
}

// MaxQuestions is how many questions a product may ask.
const MaxQuestions = 8

// Question is a yes/no question on health or occupation.
type Question struct {
	ID   string
	Rule string // its rule id
	Text string // as the customer reads it
	Yes  Effect
}

// Effect is what a yes does; exactly one field is set. A no does nothing.
type Effect struct {
	Level          int               // more than 0: the best class that is open
	Steps          int               // table rating steps of 25 % of the worst class
	Extra          premium.FlatExtra // a year, per 1,000 of sum assured
	Refer          bool
	PostponeMonths int
	Decline        bool
}

// OnTable returns a copy of the product that prices on the table: its age, sum
// and term limits are those of the table alone, and sums have no bands.
// Expenses, modes, classes and questions stay the product's.
func (p *Product) OnTable(t *premium.Table) *Product {
	q := *p
	q.onTable = t.Number
	q.AgeBasis = t.AgeBasis
	q.Terms = nil
	q.MinAge, q.MaxAge = t.MinAge(), t.MaxAge()
	q.MaxExpiryAge = t.MaxAge() + 1 // the last policy year starts at the last age of the table
	q.MinSumCents, q.MaxSumCents = 1, maxSumCents
	q.Photo.Role = Prefill
	return &q
}
