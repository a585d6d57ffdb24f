package premiumerror_test

import (
	"testing"
	"time"

	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/premium"
	"github.com/agequote/agequote/internal/premiumerror"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/rules"
)

var _ evaluation.Pricer = (*premiumerror.Prices)(nil).At

var valuation = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)

func prices(t *testing.T) (*premiumerror.Prices, *rulebook.Book) {
	t.Helper()
	book, err := rulebook.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	p, err := premiumerror.New(book, premiumerror.Applicant(), valuation)
	if err != nil {
		t.Fatal(err)
	}
	return p, book
}

// gross is the premium of the applicant on a table, worked out without a quote.
func gross(t *testing.T, book *rulebook.Book, table, years int) float64 {
	t.Helper()
	product, err := book.Product("US", "", valuation)
	if err != nil {
		t.Fatal(err)
	}
	rates, err := book.Table(table)
	if err != nil {
		t.Fatal(err)
	}
	net, err := premium.Basis{Rates: rates, Interest: product.Interest, Multiple: 1}.NetAnnual(years, 20, 250_000_00)
	if err != nil {
		t.Fatal(err)
	}
	return float64(product.Loads.Gross(net, 250_000_00, nil, 1)) / 100
}

func TestAt(t *testing.T) {
	p, book := prices(t)
	const female, male = 3211, 3239 // Preferred Plus, RR70
	tests := []struct {
		name            string
		years, estimate float64
		sex             string
		tables          []int
		at              [2]int // ages priced; 0: none
	}{
		{"woman", 40, 44.5, "female", []int{female}, [2]int{40, 45}},
		{"man", 40, 35.4, "male", []int{male}, [2]int{40, 35}},
		{"sex not known", 40, 35.4, "", []int{female, male}, [2]int{40, 35}},
		{"as old as the product takes", 75, 75.4, "male", []int{male}, [2]int{75, 75}},
		{"estimated too old", 75, 75.5, "male", nil, [2]int{}},
		{"estimated under 18", 18, 17.9, "male", nil, [2]int{}},
		{"too young", 17, 20, "male", nil, [2]int{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			atTrue, atEstimate, ok, err := p.At(tt.years, tt.estimate, tt.sex)
			if err != nil || ok != (tt.tables != nil) {
				t.Fatalf("At = %v, %v, want a price: %v", ok, err, tt.tables != nil)
			}
			var want [2]float64
			for _, table := range tt.tables {
				for i, years := range tt.at {
					want[i] += gross(t, book, table, years) / float64(len(tt.tables))
				}
			}
			if diff := [2]float64{atTrue - want[0], atEstimate - want[1]}; max(diff[0], -diff[0], diff[1], -diff[1]) > 1e-9 {
				t.Errorf("At = %.2f, %.2f, want %.2f, %.2f", atTrue, atEstimate, want[0], want[1])
			}
		})
	}
}

func TestNewNeedsAnApplicantWhoGetsAQuote(t *testing.T) {
	_, book := prices(t)
	facts := premiumerror.Applicant()
	facts.WeightKG = 200 // beyond every class
	if p, err := premiumerror.New(book, facts, valuation); err == nil {
		t.Errorf("New = %+v, want an error", p.Terms())
	}
	facts = premiumerror.Applicant()
	facts.Market = "XX"
	if _, err := premiumerror.New(book, facts, valuation); err == nil {
		t.Error("New in a market without products, want an error")
	}
}
