package quote

import (
	"fmt"
	"math"
	"slices"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/premium"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/underwriting"
)

// pricer multiplies one basis out at several ages.
type pricer struct {
	basis  premium.Basis
	loads  premium.Loads
	extras []premium.FlatExtra
	factor float64 // of the mode
	term   int
	sum    int64 // cents

	room *room // of the amounts that fill hands out
}

// room holds what a quote points to: one allocation for all.
type room struct {
	at    casefile.QuoteAt
	mass  float64
	cents [13]int64 // four premiums of three amounts, and the expected one
	used  int       // of cents
}

// set takes the basis from the assessment and the product, or from the caller
// where he states it.
func (p *pricer) set(book *rulebook.Book, product *underwriting.Product, a *underwriting.Assessment, in *Input) error {
	*p = pricer{
		basis:  premium.Basis{Interest: product.Interest, Multiple: a.Multiple},
		loads:  product.Loads,
		extras: a.Extras,
		factor: product.ModalFactors[in.mode(product)],
		term:   in.Facts.TermYears,
		sum:    in.Facts.SumCents,
	}
	if in.Exact != nil {
		p.loads.Bands, p.extras = nil, nil
		if in.Exact.Interest != nil {
			p.basis.Interest = *in.Exact.Interest
		}
	}
	if len(a.Rates) == 0 {
		return nil
	}
	var err error
	if p.basis.Rates, err = book.Rates(*a); err != nil {
		return fmt.Errorf("find rates: %w", err)
	}
	return nil
}

// basisOf writes down what the premium is made of.
func (p *pricer) basisOf(b *casefile.Basis) {
	b.Interest, b.Multiple = p.basis.Interest, p.basis.Multiple
	b.Loading, b.PolicyFeeCents, b.ModalFactor = p.loads.Loading, p.loads.PolicyFeeCents, p.factor
	b.BandFactor = premium.BandFactor(p.loads.Bands, p.sum)
	b.SumCents, b.TermYears = p.sum, p.term
	if len(p.extras) > 0 {
		b.FlatExtras = make([]casefile.FlatExtra, 0, len(p.extras))
	}
	for _, e := range p.extras {
		b.FlatExtras = append(b.FlatExtras, casefile.FlatExtra{PerMille: e.PerMille, Years: e.Years})
	}
}

// fill adds the amounts that the assessment allows.
func (p *pricer) fill(q *casefile.Quote, a underwriting.Assessment, e *age.Estimate) error {
	p.room = &room{}
	expected, has, err := p.expect(q, a, e)
	if err != nil {
		return err
	}
	if err := p.charge(q, a, expected, has); err != nil {
		return err
	}
	if a.Interval == nil {
		return nil
	}
	q.At = &p.room.at
	for _, end := range [...]struct {
		to   *casefile.QuoteAge
		from underwriting.PriceAge
	}{{&q.At.Low, a.Interval.Low}, {&q.At.Estimated, a.Interval.Estimated}, {&q.At.High, a.Interval.High}} {
		*end.to = casefile.QuoteAge{Age: end.from.Age, Reason: end.from.Refused}
		if end.from.Refused != "" {
			continue
		}
		net, err := p.basis.NetAnnual(end.from.Age, p.term, p.sum)
		if err != nil {
			return err
		}
		end.to.Amounts = p.amounts(net)
	}
	return nil
}

// charge adds the premium that is quoted, and its later years.
func (p *pricer) charge(q *casefile.Quote, a underwriting.Assessment, expected float64, has bool) error {
	if a.Charge == underwriting.ChargeExpected && !has {
		// An interval alone, as the command line takes it, has no distribution
		// to expect over: the point stands for it.
		q.Basis.Charged = underwriting.ChargeEstimated
	}
	if a.Price.Refused != "" {
		return nil
	}
	net := expected
	if q.Basis.Charged != underwriting.ChargeExpected {
		var err error
		if net, err = p.basis.NetAnnual(a.Price.Age, p.term, p.sum); err != nil {
			return err
		}
	}
	q.Amounts = p.amounts(net)
	q.Schedule = p.schedule(net)
	return nil
}

// expect adds the expected premium where there is a distribution to expect over,
// and returns it net, unrounded.
func (p *pricer) expect(q *casefile.Quote, a underwriting.Assessment, e *age.Estimate) (net float64, has bool, err error) {
	if a.Interval == nil || a.Blocked != "" || len(e.Distribution) == 0 {
		return 0, false, nil
	}
	net, mass, err := p.basis.Expected(e.Distribution, a.PriceMin, a.PriceMax, p.term, p.sum)
	if err != nil {
		return 0, false, err
	}
	// Six decimals: processors that fuse multiply and add differ in the last
	// bits, and a replay compares bytes.
	p.room.mass = math.Round(mass*1e6) / 1e6
	q.ExpectedMass = &p.room.mass
	if mass == 0 {
		return 0, false, nil
	}
	q.ExpectedGrossCents = p.keep(p.loads.Gross(net, p.sum, p.extras, 1))
	return net, true, nil
}

// amounts returns the premium of the first year.
func (p *pricer) amounts(net float64) casefile.Amounts {
	gross := p.loads.Gross(net, p.sum, p.extras, 1)
	return casefile.Amounts{
		NetAnnualCents:   p.keep(premium.RoundCents(net)),
		GrossAnnualCents: p.keep(gross),
		ModalCents:       p.keep(premium.Modal(gross, p.factor)),
	}
}

func (p *pricer) keep(cents int64) *int64 {
	to := &p.room.cents[p.room.used]
	p.room.used++
	*to = cents
	return to
}

// schedule returns the premium from each policy year in which it changes, nil
// where no flat extra ends before the term does.
func (p *pricer) schedule(net float64) []casefile.Step {
	var room [underwriting.MaxQuestions + 1]int // an extra comes from a question
	years := append(room[:0], 1)
	for _, e := range p.extras {
		if e.Years > 0 && e.Years < p.term {
			years = append(years, e.Years+1)
		}
	}
	if len(years) == 1 {
		return nil
	}
	slices.Sort(years)
	years = slices.Compact(years)
	steps := make([]casefile.Step, len(years))
	for i, year := range years {
		gross := p.loads.Gross(net, p.sum, p.extras, year)
		steps[i] = casefile.Step{FromYear: year, GrossAnnualCents: gross, ModalCents: premium.Modal(gross, p.factor)}
	}
	return steps
}
