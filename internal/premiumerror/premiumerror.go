// Package premiumerror prices a person at a true and at an estimated age, for
// measuring what the error of an age costs. It goes the way of every quote, so
// that it is the served premium that is compared; it is no quote itself, and it
// knows nothing of photos.
package premiumerror

import (
	"fmt"
	"time"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/quote"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/underwriting"
)

// Applicant is who is priced at each age, as in the README's example: 250,000
// for 20 years in the United States, never smoked, a body mass index of 22.5.
func Applicant() underwriting.Facts {
	return underwriting.Facts{
		HeightCM: 170, WeightKG: 65, Tobacco: "never",
		SumCents: 250_000_00, TermYears: 20, Market: "US",
	}
}

// sexes are those that a product may price by.
var sexes = []string{"female", "male"}

// Prices prices an applicant. It is not safe for concurrent use.
type Prices struct {
	book  *rulebook.Book
	facts underwriting.Facts
	date  time.Time
	terms evaluation.Terms
}

// New makes prices by the products that are in force at a date, for an applicant
// whose age and sex are left open. It fails where an applicant of 40 gets no
// quote: then the facts are at fault, not an age.
func New(book *rulebook.Book, facts underwriting.Facts, date time.Time) (*Prices, error) {
	p := &Prices{book: book, facts: facts, date: date}
	q, err := p.quote(40, 40, sexes[0])
	if err != nil {
		return nil, err
	}
	if q.GrossAnnualCents == nil {
		return nil, fmt.Errorf("price an applicant of 40: %s", q.Decision)
	}
	p.terms = evaluation.Terms{
		Product:  q.Basis.Product,
		Currency: q.Currency,
		Basis: fmt.Sprintf("gross annual premium for %d over %d years, class %s, tobacco %s, sex as labelled (the mean of both where it is not), mortality times %g, interest %g",
			facts.SumCents/100, facts.TermYears, q.Class, facts.Tobacco, q.Basis.Multiple, q.Basis.Interest),
	}
	return p, nil
}

// Terms says what is priced.
func (p *Prices) Terms() evaluation.Terms { return p.terms }

// At returns the gross annual premium at a declared and at an estimated age, in
// whole units of the currency: an evaluation.Pricer. Where the sex is neither
// female nor male it is the mean of both. ok is false where one of the ages has
// no price: it passes a limit of the product, or is estimated under 18.
func (p *Prices) At(years, estimate float64, sex string) (atTrue, atEstimate float64, ok bool, err error) {
	of := []string{sex}
	if sex != "female" && sex != "male" {
		of = sexes
	}
	for _, s := range of {
		q, err := p.quote(years, estimate, s)
		if err != nil {
			return 0, 0, false, err
		}
		if q.GrossAnnualCents == nil || q.At.Estimated.GrossAnnualCents == nil {
			return 0, 0, false, nil
		}
		share := 1 / float64(len(of)) / 100
		atTrue += share * float64(*q.GrossAnnualCents)
		atEstimate += share * float64(*q.At.Estimated.GrossAnnualCents)
	}
	return atTrue, atEstimate, true, nil
}

// quote states the true age and lets a photo show the estimated one, so that one
// quote has the premium at both.
func (p *Prices) quote(years, estimate float64, sex string) (casefile.Quote, error) {
	in := quote.Input{
		Facts: p.facts, ValuationDate: p.date, Time: p.date,
		Estimate: &age.Estimate{Age: &estimate, Low: &estimate, High: &estimate},
	}
	in.Facts.Age, in.Facts.Sex = &years, sex
	q, err := quote.Compute(p.book, in)
	if err != nil {
		return casefile.Quote{}, fmt.Errorf("price at two ages: %w", err)
	}
	return q, nil
}
