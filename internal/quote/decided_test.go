package quote_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/quote"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/underwriting"
)

// decide prices a decision on the base quote: a *underwriting.FieldsError where
// it cannot be.
func decide(t *testing.T, book *rulebook.Book, in quote.Input, base casefile.Quote, d casefile.Decision) (casefile.Quote, error) {
	t.Helper()
	d.N, d.Time = 1, in.ValuationDate.Add(9*24*time.Hour)
	in.Cause = casefile.DecisionCause(1)
	if err := in.UseDecision(cases.Stored[casefile.Decision]{Object: d, Key: casefile.DecisionKey("3f0c9a", 1), Hash: "sha256:d"}, &base); err != nil {
		t.Fatal(err)
	}
	q, err := quote.ComputeOrRefer(book, in)
	var bad *underwriting.FieldsError
	if err != nil && !errors.As(err, &bad) {
		t.Fatalf("decide %s: %v", d.Action, err)
	}
	return q, err
}

// checkDecided lets a person decide in each way on a quote. To accept never
// changes a premium that the rules computed, to refuse leaves none, and no
// change insures anybody under 18 or past the product's limits.
func checkDecided(t *testing.T, book *rulebook.Book, in quote.Input, base casefile.Quote) {
	t.Helper()
	accepted, err := decide(t, book, in, base, casefile.Decision{Action: casefile.Accept})
	switch {
	case base.GrossAnnualCents == nil && err == nil:
		t.Errorf("accepted what has no premium: %+v", base)
	case base.GrossAnnualCents != nil && err != nil:
		t.Errorf("what has a premium cannot be accepted: %v", err)
	case err == nil:
		was := []any{base.Amounts, base.Schedule, base.At, base.ExpectedGrossCents, base.Class, base.Basis}
		is := []any{accepted.Amounts, accepted.Schedule, accepted.At, accepted.ExpectedGrossCents, accepted.Class, accepted.Basis}
		if diff := cmp.Diff(was, is); diff != "" {
			t.Errorf("accepting changes the premium (-rules +accepted)\n%s", diff)
		}
		if accepted.Decision != underwriting.Quote || accepted.ValuationDate != base.ValuationDate || accepted.Expires <= base.Expires {
			t.Errorf("accepted: %s at %s until %s", accepted.Decision, accepted.ValuationDate, accepted.Expires)
		}
	}
	for _, action := range []casefile.Action{casefile.Postpone, casefile.Decline} {
		refused, err := decide(t, book, in, base, casefile.Decision{Action: action, PostponeMonths: 6, Reason: string(underwriting.EvidenceReviewed)})
		if err != nil || priced(refused) || string(refused.Decision) != string(action) {
			t.Errorf("%s: %s, priced %v, %v", action, refused.Decision, priced(refused), err)
		}
		if len(refused.Principal) < 2 || len(refused.Principal) > 4 || refused.Principal[1] != underwriting.EvidenceReviewed {
			t.Errorf("%s: the customer is told %v", action, refused.Principal)
		}
	}
	if base.Class != "" && base.GrossAnnualCents != nil {
		same, err := decide(t, book, in, base, casefile.Decision{Action: casefile.Change, Change: &casefile.Terms{Class: base.Class}})
		if err != nil || *same.GrossAnnualCents != *base.GrossAnnualCents {
			t.Errorf("a change to the class that stands: %v, %v, was %d", err, same.GrossAnnualCents, *base.GrossAnnualCents)
		}
	}
	for _, age := range []int{17, 18, 45, 90} {
		q, err := decide(t, book, in, base, casefile.Decision{Action: casefile.Change, Change: &casefile.Terms{Class: base.Class, PriceAge: &age, Rating: "B"}})
		if err == nil && (age < 18 || age > 80 || q.Basis.PriceAge != age || q.Basis.Rating != "B" || q.GrossAnnualCents == nil) {
			t.Errorf("a change to age %d: %+v, %v", age, q.Basis, q.GrossAnnualCents)
		}
	}
}

// TestRulings goes over what a person may put in the rules' place.
func TestRulings(t *testing.T) {
	book := mustBook(t)
	heavy := input() // outside the classes: no price
	heavy.Facts.WeightKG = 150
	declined := input()
	declined.Facts.Answers = map[string]bool{"incurable": true}
	minor := input()
	minor.Facts.Age, minor.Estimate = nil, estimate(15, 12, 17.4)
	large := input()
	large.Facts.SumCents = 900_000_000_00
	age := 30
	for _, tt := range []struct {
		name   string
		in     quote.Input
		change casefile.Terms
		field  string // that is refused; empty: priced
		class  string
	}{
		{"class and rating where the rules found none", heavy, casefile.Terms{Class: "Standard", Rating: "D"}, "", "Standard"},
		{"class alone there", heavy, casefile.Terms{Class: "Standard"}, "rating", ""},
		{"rating alone there", heavy, casefile.Terms{Rating: "D"}, "class", ""},
		{"against a refusal of the rules", declined, casefile.Terms{Class: "Standard", Rating: "H"}, "", "Standard"},
		{"half against it", declined, casefile.Terms{Class: "Standard"}, "class", ""},
		{"a photo under 18, the age proven", minor, casefile.Terms{PriceAge: &age}, "", "Preferred Plus"},
		{"a photo under 18, another class", minor, casefile.Terms{Class: "Standard"}, "price_age", ""},
		{"a sum past the limits", large, casefile.Terms{Class: "Standard", Rating: "none"}, "sum_cents", ""},
		{"a rating past the product's", input(), casefile.Terms{Rating: "P"}, "rating", ""},
		{"a class of users of tobacco", input(), casefile.Terms{Class: "Standard Tobacco"}, "", "Standard Tobacco"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			base := mustCompute(t, tt.in)
			q, err := decide(t, book, tt.in, base, casefile.Decision{Action: casefile.Change, Change: &tt.change, Reason: string(underwriting.RuleUnfit)})
			var bad *underwriting.FieldsError
			if errors.As(err, &bad) {
				if bad.Fields[0].Field != tt.field {
					t.Errorf("refused for %v, want %q", bad.Fields, tt.field)
				}
				return
			}
			if tt.field != "" || q.Class != tt.class || q.GrossAnnualCents == nil || q.Decision != underwriting.Quote {
				t.Errorf("class %q, premium %v, want refused for %q", q.Class, q.GrossAnnualCents, tt.field)
			}
		})
	}
}
