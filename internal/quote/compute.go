package quote

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/premium"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/underwriting"
)

// Input is all that a quote depends on besides the rule book. The clock and
// the code's version are inputs too, so that a replay gives the same bytes.
type Input struct {
	Case, Cause string
	Facts       underwriting.Facts
	// Estimate is nil without a photo; a refused one, whose ages are nil,
	// counts as none.
	Estimate      *age.Estimate
	ValuationDate time.Time // its date counts, in its own location
	Time          time.Time

	ModelUse string
	Replaces string // name of the quote that this one replaces; empty: none
	Inputs   casefile.Inputs
	// Hashes are the caller's: photo, model, estimate, application and code.
	// Compute fills in rules and tables.
	Hashes casefile.Hashes

	Exact *Exact // nil: the product's own basis
}

// Exact overrides parts of the product's basis; a nil or empty field keeps the
// product's. With a Table the product's age, sum and term limits give way to
// the table's own, ages are read on the table's age basis, and sex, tobacco
// and build need not be stated: without a build and a class the multiple is 1.
type Exact struct {
	Table    *int // the SOA's number
	Interest *float64
	Multiple *float64
	Class    string // name of a class of the product
}

// Compute prices one application. It does no I/O apart from the book's own
// reading of an embedded table, and the same input gives the same quote. Facts
// that cannot be used come back as one *underwriting.FieldsError naming every
// bad field; any other error is a fault of the rule book.
func Compute(book *rulebook.Book, in Input) (casefile.Quote, error) {
	in.ValuationDate = dateOf(in.ValuationDate)
	product, rated, err := prepare(book, in)
	if err != nil {
		return casefile.Quote{}, err
	}
	exact := in.exact()
	var table *premium.Table
	if exact.Table != nil {
		if table, err = book.Table(*exact.Table); err != nil {
			return casefile.Quote{}, fmt.Errorf("read stated table: %w", err)
		}
		product = product.OnTable(table)
	}
	assessment, err := underwriting.DecideRated(product, in.Facts, rated, in.evidence(), in.ValuationDate)
	if err != nil {
		return casefile.Quote{}, err
	}
	// Without a class there is no table, and every price is refused.
	var rates premium.Rates
	var numbers []int
	var tables string
	if len(assessment.Rates) > 0 {
		for _, r := range assessment.Rates {
			numbers = append(numbers, r.Number)
		}
		if rates, err = book.Rates(assessment); err != nil {
			return casefile.Quote{}, fmt.Errorf("find rates: %w", err)
		}
		if table, err = book.Table(numbers[0]); err != nil {
			return casefile.Quote{}, fmt.Errorf("read table: %w", err)
		}
		if tables, err = book.TablesHash(numbers...); err != nil {
			return casefile.Quote{}, fmt.Errorf("hash tables: %w", err)
		}
	} else {
		table = &premium.Table{}
	}

	p := pricer{
		basis: premium.Basis{Rates: rates, Interest: product.Interest, Multiple: assessment.Multiple},
		loads: product.Loads,
		mode:  in.mode(product),
		term:  in.Facts.TermYears,
		sum:   in.Facts.SumCents,
	}
	if exact.Interest != nil {
		p.basis.Interest = *exact.Interest
	}
	p.factor = product.ModalFactors[p.mode]

	q := in.frame(product, assessment)
	q.Mode = p.mode
	q.Hashes.Rules, q.Hashes.Tables = product.Hash, tables
	q.Basis = casefile.Basis{
		Table: table.Number, TableName: table.Name,
		Interest: p.basis.Interest, Multiple: p.basis.Multiple,
		Loading: p.loads.Loading, PolicyFeeCents: p.loads.PolicyFeeCents, ModalFactor: p.factor,
		AgeBasis: string(product.AgeBasis), PriceAge: assessment.Price.Age, PriceAgeSource: assessment.Source,
		SumCents: p.sum, TermYears: p.term, Product: product.ID,
	}
	if err := p.fill(&q, assessment, in.Estimate); err != nil {
		return casefile.Quote{}, fmt.Errorf("price: %w", err)
	}
	return q, nil
}

// dateOf drops the time of day: a valuation date is a date, whichever clock
// it was read from.
func dateOf(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}

// prepare checks the input and returns the product, and the class where the
// caller states one or states a multiple.
func prepare(book *rulebook.Book, in Input) (*underwriting.Product, *underwriting.Stated, error) {
	exact := in.exact()
	bad := in.badFacts()
	product, err := book.Product(in.Facts.Market, in.Facts.Product, in.ValuationDate)
	switch {
	case err == nil:
	case errors.Is(err, rulebook.ErrNoMarket):
		if in.Facts.Market != "" { // an empty one has been noted
			bad.Add("market", "no product is sold in this market")
		}
	case errors.Is(err, rulebook.ErrNoProduct):
		bad.Add("product", "this market has no such product")
	case errors.Is(err, rulebook.ErrNotYet):
		bad.Add("valuation_date", "the product is not in force yet at this date")
	default:
		return nil, nil, fmt.Errorf("find product: %w", err)
	}
	asks := product
	if exact.Table != nil {
		table, err := book.Table(*exact.Table)
		if errors.Is(err, rulebook.ErrNoTable) {
			bad.Add("table", "the project holds no such table; rules/tables/index.tsv lists them")
		} else if err == nil && product != nil {
			asks = product.OnTable(table)
		}
	}
	if exact.Interest != nil && !(*exact.Interest >= 0 && *exact.Interest <= 1) {
		bad.Add("interest", "give the annual rate as a fraction, 0 to 1")
	}
	if exact.Multiple != nil && !(*exact.Multiple > 0 && *exact.Multiple <= 100) {
		bad.Add("multiple", "give a multiple of mortality above 0, at most 100")
	}
	if product == nil {
		return nil, nil, bad.OrNil()
	}
	bad.Fields = append(bad.Fields, asks.Validate(in.Facts).Fields...)
	rated := in.statedClass(product, bad)
	if err := bad.OrNil(); err != nil {
		return nil, nil, err
	}
	return product, rated, nil
}

// statedClass returns the class that the caller states, nil for the one by build.
func (in Input) statedClass(product *underwriting.Product, bad *underwriting.FieldsError) *underwriting.Stated {
	exact := in.exact()
	if _, ok := product.Class(exact.Class, false); exact.Class != "" && !ok {
		bad.Add("class", "this product has no such class")
		return nil
	}
	if in.Exact == nil {
		return nil
	}
	stated := &underwriting.Stated{Class: exact.Class, Multiple: 1}
	if exact.Multiple != nil {
		stated.Multiple = *exact.Multiple
	}
	return stated
}

func (in Input) exact() Exact {
	if in.Exact == nil {
		return Exact{}
	}
	return *in.Exact
}

// badFacts returns what is wrong with the facts, never nil.
func (in Input) badFacts() *underwriting.FieldsError {
	validate := in.Facts.Validate
	if in.exact().Table != nil {
		validate = in.Facts.ValidateExact
	}
	bad := &underwriting.FieldsError{}
	if in.Facts.Age == nil && in.Facts.BirthDate == "" && in.evidence() == nil {
		bad.Fields = append(bad.Fields, underwriting.NoAge())
	}
	var facts *underwriting.FieldsError
	if errors.As(validate(in.ValuationDate), &facts) {
		bad.Fields = append(bad.Fields, facts.Fields...)
	}
	return bad
}

// evidence returns the photo's age, nil without a photo or with a refused one.
func (in Input) evidence() *underwriting.Evidence {
	e := in.Estimate
	if e == nil || e.Age == nil || e.Low == nil || e.High == nil {
		return nil
	}
	return &underwriting.Evidence{Age: *e.Age, Low: *e.Low, High: *e.High}
}

func (in Input) mode(p *underwriting.Product) string {
	if in.Facts.Mode == "" {
		return p.DefaultMode
	}
	return in.Facts.Mode
}

// frame returns the quote without its money.
func (in Input) frame(p *underwriting.Product, a underwriting.Assessment) casefile.Quote {
	q := casefile.Quote{
		Schema: casefile.Schema, Case: in.Case, Cause: in.Cause, Code: reason.OK,
		Decision: a.Decision, Class: a.Class, Reasons: a.Reasons,
		Currency:      p.Currency,
		ValuationDate: in.ValuationDate.Format(time.DateOnly),
		Expires:       in.ValuationDate.AddDate(0, 0, p.QuoteDays).Format(time.DateOnly),
		Notices:       p.Notices,
		ModelUse:      in.ModelUse,
		Inputs:        in.Inputs, Hashes: in.Hashes, Time: in.Time,
	}
	if q.Reasons == nil {
		q.Reasons = []underwriting.Reason{} // [] in JSON, not null: there are none
	}
	if in.Replaces != "" {
		q.Replaces = &in.Replaces
	}
	if e := in.evidence(); e != nil {
		q.Interval = &casefile.Band{Age: e.Age, Low: e.Low, High: e.High, Coverage: in.Estimate.Coverage}
	}
	return q
}

// pricer multiplies one basis out at several ages.
type pricer struct {
	basis  premium.Basis
	loads  premium.Loads
	mode   string
	factor float64
	term   int
	sum    int64 // cents
}

// fill adds the amounts that the assessment allows.
func (p *pricer) fill(q *casefile.Quote, a underwriting.Assessment, e *age.Estimate) (err error) {
	if q.Amounts, err = p.at(a.Price); err != nil {
		return err
	}
	if a.Interval == nil {
		return nil
	}
	q.At = &casefile.QuoteAt{}
	for _, end := range []struct {
		to   *casefile.QuoteAge
		from underwriting.PriceAge
	}{{&q.At.Low, a.Interval.Low}, {&q.At.Estimated, a.Interval.Estimated}, {&q.At.High, a.Interval.High}} {
		amounts, err := p.at(end.from)
		if err != nil {
			return err
		}
		*end.to = casefile.QuoteAge{Age: end.from.Age, Amounts: amounts, Reason: end.from.Refused}
	}
	return p.expect(q, a, e)
}

// expect adds the expected premium where there is a distribution to expect over.
func (p *pricer) expect(q *casefile.Quote, a underwriting.Assessment, e *age.Estimate) error {
	if a.Blocked != "" || len(e.Distribution) == 0 {
		return nil
	}
	net, mass, err := p.basis.Expected(e.Distribution, a.PriceMin, a.PriceMax, p.term, p.sum)
	if err != nil {
		return err
	}
	// Six decimals: processors that fuse multiply and add differ in the last
	// bits, and a replay compares bytes.
	rounded := math.Round(mass*1e6) / 1e6
	q.ExpectedMass = &rounded
	if mass == 0 {
		return nil
	}
	gross := p.loads.Gross(net, p.sum, nil, 1)
	q.ExpectedGrossCents = &gross
	return nil
}

// at returns the premium at one age, and no amounts where it is refused.
func (p *pricer) at(age underwriting.PriceAge) (casefile.Amounts, error) {
	if age.Refused != "" {
		return casefile.Amounts{}, nil
	}
	net, err := p.basis.NetAnnual(age.Age, p.term, p.sum)
	if err != nil {
		return casefile.Amounts{}, err
	}
	netCents, gross := premium.RoundCents(net), p.loads.Gross(net, p.sum, nil, 1)
	modal := premium.Modal(gross, p.factor)
	return casefile.Amounts{NetAnnualCents: &netCents, GrossAnnualCents: &gross, ModalCents: &modal}, nil
}
