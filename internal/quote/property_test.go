package quote_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/quote"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/underwriting"
)

// maxAllocs is what a quote may allocate at most.
const maxAllocs = 20

// TestComputeAllocations counts them for quotes with little and with much to
// say.
func TestComputeAllocations(t *testing.T) {
	book := mustBook(t)
	prefill, unisex := input(), input()
	prefill.Facts.Age = nil
	unisex.Facts.Market, unisex.Facts.Sex = "EU", ""
	rated := input()
	rated.Facts.Answers = map[string]bool{"cancer": true, "diabetes": true}
	built := input() // a reason about the build has the most words
	built.Facts.WeightKG, built.Facts.Answers = 120, map[string]bool{"diabetes": true}
	tobacco := input()
	tobacco.Facts.Tobacco, tobacco.Facts.Age = "former:3.5", ptr(75.0)
	for name, in := range map[string]quote.Input{"declared": input(), "prefill": prefill, "unisex": unisex, "rated": rated, "built": built, "tobacco": tobacco} {
		if _, err := quote.Compute(book, in); err != nil { // parses the tables
			t.Fatal(err)
		}
		n := testing.AllocsPerRun(100, func() {
			if _, err := quote.Compute(book, in); err != nil {
				t.Error(err)
			}
		})
		t.Logf("%s: %v allocations", name, n)
		if n > maxAllocs {
			t.Errorf("%s: %v allocations, want at most %d", name, n, maxAllocs)
		}
	}
}

// TestUnisexTakesNoSex offers a sex where the market prices without: it is
// refused, so no premium can change with it.
func TestUnisexTakesNoSex(t *testing.T) {
	for _, market := range []string{"EU", "IN"} {
		in := input()
		in.Facts.Market, in.Facts.Sex, in.Facts.SumCents = market, "", 100_000_000
		if q := mustCompute(t, in); q.Decision != underwriting.Quote {
			t.Errorf("%s without sex: %s %+v", market, q.Decision, q.Reasons)
		}
		for _, sex := range []string{"female", "male"} {
			in.Facts.Sex = sex
			_, err := quote.Compute(mustBook(t), in)
			var bad *underwriting.FieldsError
			if !errors.As(err, &bad) || bad.Fields[0].Field != "sex" {
				t.Errorf("%s, %s: %v, want sex refused", market, sex, err)
			}
		}
	}
}

// TestSchedule steps down where each temporary extra ends.
func TestSchedule(t *testing.T) {
	in := input()
	in.Facts.Answers = map[string]bool{"cancer": true, "dangerous-work": true}
	q := mustCompute(t, in)
	if len(q.Schedule) != 2 || q.Schedule[0].FromYear != 1 || q.Schedule[1].FromYear != 6 {
		t.Fatalf("schedule %+v, want years 1 and 6", q.Schedule)
	}
	if q.Schedule[0].GrossAnnualCents != *q.GrossAnnualCents || q.Schedule[0].ModalCents != *q.ModalCents {
		t.Errorf("begins with %+v, charged is %d", q.Schedule[0], *q.GrossAnnualCents)
	}
	delete(in.Facts.Answers, "cancer")
	if later := mustCompute(t, in); later.Schedule != nil || q.Schedule[1].GrossAnnualCents != *later.GrossAnnualCents {
		t.Errorf("from year 6 %+v, without the extra of five years %d, %+v", q.Schedule[1], *later.GrossAnnualCents, later.Schedule)
	}
}

// priced tells whether a quote carries an amount anywhere.
func priced(q casefile.Quote) bool {
	none := casefile.Amounts{}
	if q.Amounts != none || q.ExpectedGrossCents != nil || q.Schedule != nil {
		return true
	}
	return q.At != nil && (q.At.Low.Amounts != none || q.At.Estimated.Amounts != none || q.At.High.Amounts != none)
}

// FuzzCompute throws facts and intervals at the whole of the rules. Whatever
// they are: no panic, the same bytes twice, a refusal carries no price, a quote
// carries one, and every reason is told in words.
func FuzzCompute(f *testing.F) {
	f.Add("US", "female", "never", "monthly", 42.5, 170.0, 65.0, int64(25_000_000), 20, uint8(0), 32.1, 12.0, 24.0, true)
	f.Add("EU", "", "former:0.5", "", 17.0, 180.0, 120.0, int64(200_000_000), 10, uint8(3), 64.0, 14.0, 14.0, true)
	f.Add("IN", "", "current", "annual", -1.0, 160.0, 50.0, int64(300_000_000), 30, uint8(255), 16.0, 1.0, 1.0, true)
	f.Add("US", "male", "current:cigar", "quarterly", 75.0, 190.0, 95.0, int64(2_500_000), 15, uint8(16), 0.0, 0.0, 0.0, false)
	book := mustBook(f)
	questions := []string{"heart-stroke", "cancer", "diabetes", "blood-pressure", "family-history", "tests-pending", "incurable", "dangerous-work"}
	f.Fuzz(func(t *testing.T, market, sex, tobacco, mode string, years, height, weight float64, sum int64, term int, answers uint8, low, below, above float64, photo bool) {
		in := quote.Input{
			Facts: underwriting.Facts{Sex: sex, HeightCM: height, WeightKG: weight, Tobacco: tobacco, SumCents: sum, TermYears: term,
				Market: market, Mode: mode},
			ValuationDate: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC),
		}
		if years != -1 {
			in.Facts.Age = &years
		}
		for i, id := range questions {
			if answers&(1<<i) != 0 {
				if in.Facts.Answers == nil {
					in.Facts.Answers = map[string]bool{}
				}
				in.Facts.Answers[id] = true
			}
		}
		if photo && low >= 0 && below >= 0 && above >= 0 && low+below+above <= 100 { // what a model can say
			in.Estimate = spread(low, low+below, low+below+above)
		}
		checkQuote(t, book, in)
	})
}

// spread is an estimate, flat over its interval.
func spread(low, point, high float64) *age.Estimate {
	low, point, high = age.Printed(low), age.Printed(point), age.Printed(high)
	return estimate(point, low, high)
}

func checkQuote(t *testing.T, book *rulebook.Book, in quote.Input) underwriting.Decision {
	t.Helper()
	q, err := quote.ComputeOrRefer(book, in)
	if err != nil {
		t.Fatalf("%+v: %v", in.Facts, err)
	}
	again, err := quote.ComputeOrRefer(book, in)
	if err != nil {
		t.Fatal(err)
	}
	if first, second := mustEncode(t, q), mustEncode(t, again); !bytes.Equal(first, second) {
		t.Errorf("the same input gave other bytes:\n%s%s", first, second)
	}
	switch q.Decision {
	case underwriting.Decline, underwriting.Postpone:
		if priced(q) || len(q.Reasons) == 0 {
			t.Errorf("%s with a price or without a reason: %+v", q.Decision, q)
		}
	case underwriting.Quote:
		if q.GrossAnnualCents == nil || *q.GrossAnnualCents <= 0 {
			t.Errorf("quote without a premium: %+v", q)
		}
	case underwriting.Refer:
		if len(q.Reasons) == 0 {
			t.Errorf("referred without a reason: %+v", q)
		}
	default:
		t.Errorf("decision %q", q.Decision)
	}
	if n := len(q.PrincipalReasons()); n > 4 || n != len(q.Principal) || n == 0 && len(q.Reasons) > 0 {
		t.Errorf("%d principal reasons, %d codes, %d reasons", n, len(q.Principal), len(q.Reasons))
	}
	for _, r := range q.Reasons {
		if r.Sentence == "" || r.Rule == "" {
			t.Errorf("reason without words: %+v", r)
		}
	}
	for i := 1; i < len(q.Schedule); i++ {
		if q.Schedule[i].GrossAnnualCents > q.Schedule[i-1].GrossAnnualCents {
			t.Errorf("the premium rises from year to year: %+v", q.Schedule)
		}
	}
	checkDecided(t, book, in, q)
	return q.Decision
}

// TestComputeProperties is FuzzCompute over facts that are mostly in order,
// which random bytes seldom are.
func TestComputeProperties(t *testing.T) {
	book := mustBook(t)
	r := rand.New(rand.NewPCG(11, 12))
	decisions := map[underwriting.Decision]int{}
	questions := []string{"heart-stroke", "cancer", "diabetes", "blood-pressure", "family-history", "tests-pending", "incurable", "dangerous-work"}
	for range 3000 {
		in := quote.Input{ValuationDate: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC), Facts: underwriting.Facts{
			HeightCM: float64(140 + r.IntN(70)), WeightKG: float64(40 + r.IntN(110)),
			Tobacco:  []string{"never", "former:1", "former:3.5", "current:cigar"}[r.IntN(4)],
			SumCents: int64(r.IntN(7_000_000)) * 100, TermYears: []int{10, 15, 20, 25, 30, 12}[r.IntN(6)],
			Market: []string{"US", "EU", "IN"}[r.IntN(3)], Mode: underwriting.Modes[r.IntN(4)],
		}}
		if in.Facts.Market == "US" {
			in.Facts.Sex = []string{"female", "male"}[r.IntN(2)]
		}
		if in.Facts.Market != "IN" && r.IntN(2) == 0 {
			in.Facts.Answers = map[string]bool{questions[r.IntN(8)]: true, questions[r.IntN(8)]: true}
		}
		if r.IntN(3) > 0 {
			in.Facts.Age = ptr(float64(r.IntN(90)) + 0.5)
		}
		if low := float64(r.IntN(80)); r.IntN(3) > 0 {
			in.Estimate = spread(low, low+float64(r.IntN(12)), low+12+float64(r.IntN(10)))
		}
		decisions[checkQuote(t, book, in)]++
	}
	if len(decisions) != 4 {
		t.Errorf("drew %v, want all four decisions", decisions)
	}
}
