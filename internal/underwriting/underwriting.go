// Package underwriting decides on an application: from declared facts and an
// age read from a photo it finds the class, the ages that may be priced, and
// the decision to quote, refer, postpone or decline with coded reasons. It is
// pure: no clock, no files, no network, and the same input gives the same
// assessment. It multiplies no premium (package premium does) and reads no
// rules from files (package rulebook does). A photo alone never declines.
package underwriting

import (
	"time"

	"github.com/agequote/agequote/internal/premium"
)

// Decision is the outcome of an assessment.
type Decision string

// The decisions, from mildest to strictest. No rule of this version postpones;
// the word is reserved because stored objects and queues know it.
const (
	Quote    Decision = "quote"    // indicative premium for the customer
	Refer    Decision = "refer"    // a person looks; prices are for the underwriter
	Postpone Decision = "postpone" // ask again later
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

// Product is one version of a product's rules. Package rulebook loads it;
// nothing changes it afterwards, so it may be shared.
type Product struct {
	ID            string
	Market        string // "US" ...
	Currency      string // ISO 4217
	EffectiveFrom time.Time
	AgeBasis      premium.AgeBasis

	Terms        []int // whole years on offer, rising; nil: any
	MinAge       int   // whole years on the age basis, inclusive
	MaxAge       int
	MaxExpiryAge int // issue age + term may reach this at most
	MinSumCents  int64
	MaxSumCents  int64

	// MaxIntervalWidth is the widest age interval, high - low in years, that is
	// quoted without a person.
	MaxIntervalWidth float64

	// FormerSmokerMonths is how long ago a former smoker must have stopped to
	// count as a non-smoker.
	FormerSmokerMonths int
	Tables             map[Segment]int // the SOA's table numbers
	Classes            []Class         // best first
	Bands              []Band          // rising and contiguous

	Interest     float64 // annual effective rate
	Loads        premium.Loads
	DefaultMode  string
	ModalFactors map[string]float64 // instalment as a share of the gross annual premium, by mode

	QuoteDays int // an indicative quote stands so many days
	Notices   []string
	Hash      string // of the product file's bytes
}

// Segment is what a mortality table is chosen by.
type Segment struct {
	Sex    string
	Smoker bool
}

// Class is a risk class. Multiple scales the table's mortality; Share is the
// part of accepted applicants expected in it, 0 to 1, which the check of
// rulebook uses: the multiples must average 1.
type Class struct {
	Name     string
	Multiple float64
	Share    float64
}

// Band puts body mass indices from From (inclusive) to To (exclusive), in
// kg/m2, into a class.
type Band struct {
	From, To float64
	Class    string
}

// Class returns the class of that name.
func (p *Product) Class(name string) (Class, bool) {
	for _, c := range p.Classes {
		if c.Name == name {
			return c, true
		}
	}
	return Class{}, false
}

// classByBuild returns the class of a body mass index; ok is false outside
// the outermost bands.
func (p *Product) classByBuild(bmi float64) (Class, bool) {
	for _, b := range p.Bands {
		if b.From <= bmi && bmi < b.To {
			return p.Class(b.Class)
		}
	}
	return Class{}, false
}

// OnTable returns a copy of the product whose age, sum and term limits are
// those of the table alone, for a price on an exact basis. Expenses, modes and
// classes stay the product's.
func (p *Product) OnTable(t *premium.Table) *Product {
	q := *p
	q.AgeBasis = t.AgeBasis
	q.Terms = nil
	q.MinAge, q.MaxAge = t.MinAge(), t.MaxAge()
	q.MaxExpiryAge = t.MaxAge() + 1 // the last policy year starts at the last age of the table
	q.MinSumCents, q.MaxSumCents = 1, maxSumCents
	return &q
}
