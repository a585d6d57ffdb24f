// Package fairness compares what becomes of groups of people: who is quoted,
// referred or refused, at which premium, and how far off the photo's age is. It
// reads rows of a batch or of a period of cases, and it states of each group
// what was counted, how sure that is, and what it means in a plain sentence. It
// changes nothing, and it does not know why a difference is there.
//
// Groups beyond sex and age, such as race, are columns that a test set brings
// along. They are no part of an application, and nothing that decides or prices
// reads them.
package fairness

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/agequote/agequote/internal/batch"
	"github.com/agequote/agequote/internal/underwriting"
)

// Item is one application as a report counts it. What is not known is nil or
// empty.
type Item struct {
	Row batch.Row
	// Known is the age that counts as true, in years, and KnownFrom says whose
	// word it is.
	Known     *float64
	KnownFrom KnownFrom
	// AtKnown is the gross annual premium at the known age, in cents, all else
	// being as it is.
	AtKnown *int64
	// Final is what a person made of it later; empty where nobody decided.
	Final batch.Outcome
	// Groups are the row's own and those of the labels: column -> value.
	Groups map[string]string
}

// KnownFrom says where a known age comes from.
type KnownFrom string

// The sources of a known age.
const (
	FromLabels   KnownFrom = "labels"   // a file of true ages, which came later
	FromDeclared KnownFrom = "declared" // what the applicant stated, and the photo does not contradict
)

// NewItem makes an item of a row. A declared age counts as the known one where
// the photo does not contradict it; a label replaces it.
func NewItem(r batch.Row, label *Label) Item {
	it := Item{Row: r, Groups: map[string]string{}}
	column := ""
	for _, word := range strings.Fields(r.Groups) {
		if name, value, ok := strings.Cut(word, "="); ok {
			column, it.Groups[name] = name, value
		} else if column != "" { // a value of several words
			it.Groups[column] += " " + word
		}
	}
	if r.DeclaredAge != nil && !it.has(underwriting.AgeContradicts) {
		it.Known, it.KnownFrom = r.DeclaredAge, FromDeclared
	}
	if label != nil {
		age := label.Age
		it.Known, it.KnownFrom = &age, FromLabels
		for column, value := range label.Groups {
			it.Groups[column] = value
		}
	}
	return it
}

// has tells whether the item's quote has a reason.
func (it *Item) has(code underwriting.Code) bool {
	return slices.Contains(strings.Fields(it.Row.Reasons), string(code))
}

// contradicted tells whether the photo contradicts the declared age.
func (it *Item) contradicted() bool { return it.has(underwriting.AgeContradicts) }

// age is that by which the item is put into a band: the known one, else the
// declared one, else the photo's.
func (it *Item) age() (float64, bool) {
	for _, v := range []*float64{it.Known, it.Row.DeclaredAge, it.Row.Age} {
		if v != nil {
			return *v, true
		}
	}
	return 0, false
}

// ageError is the photo's age less the known one.
func (it *Item) ageError() (float64, bool) {
	if it.Known == nil || it.Row.Age == nil {
		return 0, false
	}
	return *it.Row.Age - *it.Known, true
}

// premiumError is what the premium differs from that at the known age, as a
// share of it: 0.1 is 10 % more.
func (it *Item) premiumError() (float64, bool) {
	if it.Row.GrossCents == nil || it.AtKnown == nil || *it.AtKnown <= 0 {
		return 0, false
	}
	return float64(*it.Row.GrossCents)/float64(*it.AtKnown) - 1, true
}

// perThousand is the gross annual premium for 1,000 of sum assured.
func (it *Item) perThousand() (float64, bool) {
	if it.Row.GrossCents == nil || it.Row.SumCents <= 0 {
		return 0, false
	}
	return float64(*it.Row.GrossCents) / float64(it.Row.SumCents) * 1000, true
}

// cell names those with whom an item's premium may be compared: the same
// product, currency, term, and a sum assured of the same step of 1, 2, 5, 10 ...
func (it *Item) cell() string {
	return fmt.Sprintf("%s %s %d %s", it.Row.Product, it.Row.Currency, it.Row.TermYears, sumStep(it.Row.SumCents))
}

// sumStep is the highest of 1, 2, 5, 10, 20 ... that is not above the sum in
// whole units of the currency.
func sumStep(cents int64) string {
	step, next := 1.0, 1.0
	for i := 0; next <= float64(cents)/100; i++ {
		step = next
		next = []float64{2, 5, 10}[i%3] * math.Pow(10, float64(i/3))
	}
	return strconv.FormatFloat(step, 'f', -1, 64)
}

// Label is a true age that came later, and groups for testing.
type Label struct {
	Age    float64
	Groups map[string]string
}
