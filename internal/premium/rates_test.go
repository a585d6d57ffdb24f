package premium_test

import (
	"errors"
	"math"
	"testing"

	"github.com/agequote/agequote/internal/premium"
)

// TestOn reads each table at other ages by hand.
func TestOn(t *testing.T) {
	last, nearest := mustTable(t, "3269"), mustTable(t, "2694")
	at := func(table *premium.Table, age, year int) float64 {
		q, err := table.Q(age, year)
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	for _, tt := range []struct {
		name      string
		table     *premium.Table
		basis     premium.AgeBasis
		age, year int
		want      float64
	}{
		{"ALB as it is", last, premium.AgeLastBirthday, 40, 3, at(last, 40, 3)},
		{"ALB to nearest", last, premium.AgeNearestBirthday, 40, 3, (at(last, 39, 3) + at(last, 40, 3)) / 2},
		{"ALB to next", last, premium.AgeNextBirthday, 40, 3, at(last, 39, 3)},
		{"ALB to nearest in the last select year", last, premium.AgeNearestBirthday, 40, 25, (at(last, 39, 25) + at(last, 40, 25)) / 2},
		{"ALB to nearest across the last select row", last, premium.AgeNearestBirthday, 96, 1, (at(last, 95, 1) + at(last, 96, 1)) / 2},
		{"ANB as it is", nearest, premium.AgeNearestBirthday, 40, 3, at(nearest, 40, 3)},
		{"ANB to last", nearest, premium.AgeLastBirthday, 40, 3, (at(nearest, 40, 3) + at(nearest, 41, 3)) / 2},
		{"ANB to next", nearest, premium.AgeNextBirthday, 40, 3, (at(nearest, 39, 3) + at(nearest, 40, 3)) / 2},
	} {
		rates, err := tt.table.On(tt.basis)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got, err := rates.Q(tt.age, tt.year); err != nil || got != tt.want {
			t.Errorf("%s: Q = %v, %v, want %v", tt.name, got, err, tt.want)
		}
	}
	if _, err := last.On("AMB"); err == nil {
		t.Error("On took an age basis that is none")
	}
	if _, err := new(premium.Table).On(premium.AgeLastBirthday); err == nil {
		t.Error("On took a table without an age basis")
	}
}

// TestRatesEnd holds the stated ages against the rates: the first and the last
// exist, those beside them do not, row by row as one by one.
func TestRatesEnd(t *testing.T) {
	for name, r := range allRates(t) {
		for _, tt := range []struct {
			age, year int
			inside    bool
		}{
			{r.MinAge(), 1, true}, {r.MinAge() - 1, 1, false}, {r.MinAge(), 0, false},
			{r.MaxAge(), 1, true}, {r.MaxAge() + 1, 1, false}, {r.MaxAge(), 2, false},
			{r.MinAge(), r.MaxAge() - r.MinAge() + 1, true}, {r.MinAge(), r.MaxAge() - r.MinAge() + 2, false},
			{math.MaxInt, 1, false}, {math.MinInt, 1, false}, {40, math.MaxInt, false},
		} {
			if _, err := r.Q(tt.age, tt.year); errors.Is(err, premium.ErrOutsideTable) == tt.inside {
				t.Errorf("%s: Q(%d, %d): %v", name, tt.age, tt.year, err)
			}
			if tt.year < 1 {
				continue
			}
			b := premium.Basis{Rates: r, Interest: 0.03, Multiple: 1}
			if _, err := b.Values(tt.age, tt.year); errors.Is(err, premium.ErrOutsideTable) == tt.inside {
				t.Errorf("%s: Values(%d, %d): %v", name, tt.age, tt.year, err)
			}
		}
	}
}

func TestBlendRefusesShares(t *testing.T) {
	male, female := mustTable(t, "3269"), mustTable(t, "3270")
	for _, share := range []float64{-0.01, 1.01, math.NaN()} {
		r := premium.Blend(male, female, share)
		_, err := r.Q(40, 1)
		_, err2 := premium.Basis{Rates: r, Interest: 0.03, Multiple: 1}.Values(40, 1)
		if err == nil || err2 == nil {
			t.Errorf("a male share of %v: %v, %v, want errors", share, err, err2)
		}
	}
}

// allRates is one of each kind, blends of shifted tables too.
func allRates(tb testing.TB) map[string]premium.Rates {
	tb.Helper()
	on := func(number string, basis premium.AgeBasis) premium.Rates {
		r, err := mustTable(tb, number).On(basis)
		if err != nil {
			tb.Fatal(err)
		}
		return r
	}
	return map[string]premium.Rates{
		"select":                 mustTable(tb, "3270"),
		"select from birth":      mustTable(tb, "3275"),
		"ultimate":               mustTable(tb, "2694"),
		"select, nearest":        on("3269", premium.AgeNearestBirthday),
		"select, next":           on("3269", premium.AgeNextBirthday),
		"ultimate, last":         on("2694", premium.AgeLastBirthday),
		"ultimate, next":         on("2694", premium.AgeNextBirthday),
		"unisex":                 premium.Blend(mustTable(tb, "3269"), mustTable(tb, "3270"), 0.6),
		"unisex, nearest":        premium.Blend(on("3271", premium.AgeNearestBirthday), on("3272", premium.AgeNearestBirthday), 0.45),
		"unisex of unequal ages": premium.Blend(on("2694", premium.AgeLastBirthday), mustTable(tb, "3298"), 0.5),
	}
}

// oneByOne hides what kind of rates these are, so that they are asked for one
// at a time.
type oneByOne struct{ premium.Rates }

// TestRowsAreTheRates compares the quick way, by rows, with Q bit by bit.
func TestRowsAreTheRates(t *testing.T) {
	for name, r := range allRates(t) {
		quick := premium.Basis{Rates: r, Interest: 0.03, Multiple: 1.5}
		slow := premium.Basis{Rates: oneByOne{r}, Interest: 0.03, Multiple: 1.5}
		for age := r.MinAge(); age <= r.MaxAge(); age++ {
			for _, term := range []int{1, 20, 25, 26, 40} {
				a, errA := quick.Values(age, term)
				b, errB := slow.Values(age, term)
				if a != b || (errA == nil) != (errB == nil) {
					t.Errorf("%s at %d for %d: %v, %v by rows, %v, %v one by one", name, age, term, a, errA, b, errB)
				}
			}
		}
	}
}
