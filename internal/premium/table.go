package premium

import (
	"errors"
	"fmt"
)

// ErrOutsideTable says that an age or a duration lies outside a mortality
// table. Its text and that of the errors around it name the table's limits,
// never the age asked for: an age is personal data and errors are logged.
var ErrOutsideTable = errors.New("outside the mortality table")

// AgeBasis says what a table means by a whole age.
type AgeBasis string

// The age bases. No table in use is by age next birthday, but markets are. A
// table whose name tells none has the empty basis.
const (
	AgeLastBirthday    AgeBasis = "ALB"
	AgeNearestBirthday AgeBasis = "ANB"
	AgeNextBirthday    AgeBasis = "ANX"
)

// Table holds annual death probabilities q. Ages are whole years on the
// table's own age basis; a duration is the policy year, counted from 1. A
// select table gives q by issue age and duration while selection wears off,
// an ultimate table by attained age alone. A Table is immutable, so one may be
// shared between goroutines.
type Table struct {
	Number   int // the Society of Actuaries' table identity
	Name     string
	AgeBasis AgeBasis

	selectMin int       // first issue age of the select rates
	period    int       // durations of selection, 0 without select rates
	selected  []float64 // q, row by row: (issue age - selectMin) * period + duration - 1

	ultimateMin int
	ultimate    []float64 // q at attained age ultimateMin + i
}

// MinAge returns the lowest issue age that has a rate, in years.
func (t *Table) MinAge() int {
	if t.period > 0 {
		return min(t.selectMin, t.ultimateMin)
	}
	return t.ultimateMin
}

// MaxAge returns the highest attained age that has an ultimate rate, in years.
func (t *Table) MaxAge() int { return t.ultimateMin + len(t.ultimate) - 1 }

// SelectPeriod returns for how many policy years the select rates run; 0 means
// that the table is ultimate throughout.
func (t *Table) SelectPeriod() int { return t.period }

// Q returns the probability that somebody insured at issueAge dies within the
// policy year (1 is the first), given that he lives at its start. During the
// select period the select rate counts if the issue age has one; otherwise,
// and ever after, the ultimate rate at attained age issueAge + year - 1. It
// returns ErrOutsideTable where there is no rate.
func (t *Table) Q(issueAge, year int) (float64, error) {
	if year < 1 {
		return 0, fmt.Errorf("table %d: policy years count from 1: %w", t.Number, ErrOutsideTable)
	}
	if row := t.selectRow(issueAge); year <= len(row) {
		return row[year-1], nil
	}
	i := issueAge + year - 1 - t.ultimateMin
	if issueAge < t.MinAge() || i < 0 || i >= len(t.ultimate) {
		return 0, t.outside()
	}
	return t.ultimate[i], nil
}

// fill writes the rates of the policy years 1..len(q) into q, as Q has them.
func (t *Table) fill(q []float64, issueAge int) error {
	n := copy(q, t.selectRow(issueAge))
	if n == len(q) {
		return nil
	}
	i := issueAge + n - t.ultimateMin
	if issueAge < t.MinAge() || i < 0 || i > len(t.ultimate)-(len(q)-n) {
		return t.outside()
	}
	copy(q[n:], t.ultimate[i:])
	return nil
}

// selectRow returns the select rates of an issue age, by policy year; empty
// where it has none, so that the ultimate rates apply from the first year.
func (t *Table) selectRow(issueAge int) []float64 {
	row := issueAge - t.selectMin
	if t.period == 0 || row < 0 || row >= len(t.selected)/t.period {
		return nil
	}
	return t.selected[row*t.period : (row+1)*t.period]
}

func (t *Table) outside() error {
	return fmt.Errorf("table %d has rates for ages %d to %d: %w", t.Number, t.MinAge(), t.MaxAge(), ErrOutsideTable)
}
