package premium

import (
	"errors"
	"fmt"
)

// Rates gives annual death probabilities, 0 to 1, by issue age in whole years
// and policy year, counted from 1. Q returns ErrOutsideTable where there is no
// rate. MinAge is the lowest issue age, MaxAge the highest attained one. A
// *Table is one, and so is what Blend and On make of tables.
type Rates interface {
	Q(issueAge, year int) (float64, error)
	MinAge() int
	MaxAge() int
}

// maxYears is the longest term: from age 0 to the last that a table may have.
const maxYears = maxTableAge + 1

// fill writes the rates of the policy years 1..len(q) of an issue age into q,
// the same as Q gives one by one. It exists because an expected premium needs
// thousands: our own kinds copy them row by row.
func fill(q []float64, r Rates, issueAge int) error {
	switch r := r.(type) {
	case *Table:
		return r.fill(q, issueAge)
	case *blend:
		return r.fill(q, issueAge)
	case *shifted:
		return r.fill(q, issueAge)
	}
	for k := range q {
		var err error
		if q[k], err = r.Q(issueAge, k+1); err != nil {
			return err
		}
	}
	return nil
}

// Blend returns the unisex rates of a male and a female table: at each age and
// policy year
//
//	q = w*q_male + (1-w)*q_female
//
// with the male share w, 0 to 1, the same at every age and in every year: a
// mix that lives on in its first proportions, which is the usual convention
// and not what happens to a closed group, whose men die sooner. They span the
// ages that both have. A share outside 0 to 1 gives an error at every age.
func Blend(male, female Rates, maleShare float64) Rates {
	return &blend{male: male, female: female, share: maleShare}
}

type blend struct {
	male, female Rates
	share        float64 // of the male rates
}

var errShare = errors.New("blended rates: the male share must be a number from 0 to 1")

func (b *blend) MinAge() int { return max(b.male.MinAge(), b.female.MinAge()) }
func (b *blend) MaxAge() int { return min(b.male.MaxAge(), b.female.MaxAge()) }

func (b *blend) Q(issueAge, year int) (float64, error) {
	if !(b.share >= 0 && b.share <= 1) { // NaN compares false
		return 0, errShare
	}
	m, err := b.male.Q(issueAge, year)
	if err != nil {
		return 0, err
	}
	f, err := b.female.Q(issueAge, year)
	if err != nil {
		return 0, err
	}
	return b.of(m, f), nil
}

func (b *blend) of(male, female float64) float64 { return b.share*male + (1-b.share)*female }

func (b *blend) fill(q []float64, issueAge int) error {
	if !(b.share >= 0 && b.share <= 1) {
		return errShare
	}
	if err := fill(q, b.male, issueAge); err != nil {
		return err
	}
	var buf [maxYears]float64
	female := buf[:len(q)]
	if err := fill(female, b.female, issueAge); err != nil {
		return err
	}
	for k, m := range q {
		q[k] = b.of(m, female[k])
	}
	return nil
}

// halfYears is how far the mean exact age of people of a whole age lies from
// that age: a life aged 40 last birthday is 40 and a half on average, nearest
// birthday 40, next birthday 39 and a half, where birthdays fall evenly.
var halfYears = map[AgeBasis]int{AgeLastBirthday: 1, AgeNearestBirthday: 0, AgeNextBirthday: -1}

// On returns the table's rates for ages on another basis. The age of a person
// on the asked basis is brought to the table's by the mean exact age: half a
// year between is the mean of q at the two ages around, a whole year is the age
// beside. So on a table by age last birthday
//
//	nearest x: (q(x-1) + q(x)) / 2     next x: q(x-1)
//
// and on one by age nearest birthday
//
//	last x: (q(x) + q(x+1)) / 2        next x: (q(x-1) + q(x)) / 2
//
// each in the same policy year, so that selection is kept. The table's own
// basis gives the table itself. It returns an error for an unknown basis, and
// where the table tells none.
func (t *Table) On(basis AgeBasis) (Rates, error) {
	from, ok := halfYears[t.AgeBasis]
	if !ok {
		return nil, fmt.Errorf("table %d on another age basis: its own is not known", t.Number)
	}
	to, ok := halfYears[basis]
	if !ok {
		return nil, fmt.Errorf("table %d on another age basis: the asked one must be ALB, ANB or ANX", t.Number)
	}
	d := to - from
	if d == 0 {
		return t, nil
	}
	// The shift rounds towards minus infinity, as the mean of x-1 and x needs.
	return &shifted{table: t, by: d >> 1, mean: d&1 != 0}, nil
}

// shifted reads a table at another age: issue age + by, or the mean of that
// and the age above.
type shifted struct {
	table *Table
	by    int
	mean  bool
}

func (s *shifted) MinAge() int { return s.table.MinAge() - s.by }

func (s *shifted) MaxAge() int {
	if s.mean {
		return s.table.MaxAge() - s.by - 1
	}
	return s.table.MaxAge() - s.by
}

func (s *shifted) Q(issueAge, year int) (float64, error) {
	low, err := s.table.Q(issueAge+s.by, year)
	if err != nil || !s.mean {
		return low, err
	}
	high, err := s.table.Q(issueAge+s.by+1, year)
	if err != nil {
		return 0, err
	}
	return (low + high) / 2, nil
}

func (s *shifted) fill(q []float64, issueAge int) error {
	if err := s.table.fill(q, issueAge+s.by); err != nil || !s.mean {
		return err
	}
	var buf [maxYears]float64
	high := buf[:len(q)]
	if err := s.table.fill(high, issueAge+s.by+1); err != nil {
		return err
	}
	for k, low := range q {
		q[k] = (low + high[k]) / 2
	}
	return nil
}
