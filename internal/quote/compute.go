package quote

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/casefile"
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
	Estimate *age.Estimate
	// Duplicates are the other cases that the photo was sent with.
	Duplicates    []string
	ValuationDate time.Time // its date counts, in its own location
	// RulesDate is the day whose product counts, for a trial of rules that come
	// into force later; zero is the valuation date. Ages are those at the
	// valuation date either way.
	RulesDate time.Time
	Time      time.Time

	ModelUse string
	Replaces string // name of the quote that this one replaces; empty: none
	Inputs   casefile.Inputs
	// Hashes are the caller's: photo, model, estimate, application and code.
	// Compute fills in rules and tables.
	Hashes casefile.Hashes

	Exact *Exact // nil: the product's own basis

	// Decided is what a person decided on the case; nil: the rules decide.
	Decided *Decided
}

// Exact prices on a stated basis; a nil or empty field keeps the product's, but
// the multiple is 1 unless given, and neither ratings, flat extras nor discounts
// for large sums count. With a Table the product's age, sum and term limits give
// way to the table's own, ages are read on the table's age basis, and sex,
// tobacco and build need not be stated.
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
	q, _, err := compute(book, in)
	return q, err
}

// working is what a quote was made with, for its explanation.
type working struct {
	product    *underwriting.Product
	assessment underwriting.Assessment
	pricer     pricer
}

func compute(book *rulebook.Book, in Input) (q casefile.Quote, w working, err error) {
	in.ValuationDate = dateOf(in.ValuationDate)
	evidence := in.evidence()
	in.Decided.fillAge(&in.Facts, evidence)
	product, stated, err := prepare(book, in, evidence)
	if err != nil {
		return casefile.Quote{}, w, err
	}
	w.product = product
	if w.assessment, err = in.assess(product, stated, evidence); err != nil {
		return casefile.Quote{}, w, err
	}
	q = in.frame(product, w.assessment, evidence)
	in.Decided.mark(&q, product)
	if q.Basis.Tables, q.Hashes.Tables, err = tables(book, w.assessment); err != nil {
		return casefile.Quote{}, w, err
	}
	if len(q.Basis.Tables) > 0 {
		q.Basis.Table, q.Basis.TableName = q.Basis.Tables[0].Table, q.Basis.Tables[0].Name
	}
	if err := w.pricer.set(book, product, &w.assessment, &in); err != nil {
		return casefile.Quote{}, w, err
	}
	w.pricer.basisOf(&q.Basis)
	if err := w.pricer.fill(&q, w.assessment, in.Estimate); err != nil {
		return casefile.Quote{}, w, fmt.Errorf("price: %w", err)
	}
	return q, w, nil
}

// tables returns the assessment's tables by name, and the hash of their files.
// Without a class there is no table, and every price is refused.
func tables(book *rulebook.Book, a underwriting.Assessment) ([]casefile.TableShare, string, error) {
	if len(a.Rates) == 0 {
		return nil, "", nil
	}
	var room [2]int
	numbers, shares := room[:0], make([]casefile.TableShare, len(a.Rates))
	for i, r := range a.Rates {
		t, err := book.Table(r.Number)
		if err != nil {
			return nil, "", fmt.Errorf("read table %d: %w", r.Number, err)
		}
		// The rates use the first share as it is; 1 - 0.55 is no plain 0.45.
		shares[i] = casefile.TableShare{Table: r.Number, Name: t.Name, Share: math.Round(r.Share*1e9) / 1e9}
		numbers = append(numbers, r.Number)
	}
	hash, err := book.TablesHash(numbers...)
	if err != nil {
		return nil, "", fmt.Errorf("hash tables: %w", err)
	}
	return shares, hash, nil
}

// dateOf drops the time of day: a valuation date is a date, whichever clock
// it was read from.
func dateOf(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}

// prepare checks the input and returns the product, on the table that the caller
// states, and what else he states of the basis.
func prepare(book *rulebook.Book, in Input, evidence *underwriting.Evidence) (*underwriting.Product, *underwriting.Stated, error) {
	exact := in.exact()
	bad := in.badFacts(evidence)
	product, err := book.Product(in.Facts.Market, in.Facts.Product, in.rulesDate())
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
	if exact.Table != nil {
		table, err := book.Table(*exact.Table)
		switch {
		case errors.Is(err, rulebook.ErrNoTable):
			bad.Add("table", "the project holds no such table; rules/tables/tables.yaml lists them")
		case err != nil:
			return nil, nil, fmt.Errorf("read stated table: %w", err)
		case product != nil:
			product = product.OnTable(table)
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
	bad.Fields = append(bad.Fields, product.Validate(in.Facts).Fields...)
	stated := in.stated(product, &bad)
	if err := bad.OrNil(); err != nil {
		return nil, nil, err
	}
	return product, stated, nil
}

// rulesDate returns the day whose products count.
func (in Input) rulesDate() time.Time {
	if in.RulesDate.IsZero() {
		return in.ValuationDate
	}
	return in.RulesDate
}

// stated returns what the caller states of the rating, nil where the rules
// find it. An exact price has no rating and no flat extras beside it.
func (in Input) stated(product *underwriting.Product, bad *underwriting.FieldsError) *underwriting.Stated {
	if in.Exact == nil {
		return nil
	}
	if _, ok := product.Class(in.Exact.Class, false); in.Exact.Class != "" && !ok {
		bad.Add("class", "this product has no such class")
		return nil
	}
	stated := &underwriting.Stated{Class: in.Exact.Class, Multiple: 1}
	if in.Exact.Multiple != nil {
		stated.Multiple = *in.Exact.Multiple
	}
	return stated
}

func (in Input) exact() Exact {
	if in.Exact == nil {
		return Exact{}
	}
	return *in.Exact
}

// badFacts returns what is wrong with the facts.
func (in Input) badFacts(evidence *underwriting.Evidence) (bad underwriting.FieldsError) {
	if in.Facts.Age == nil && in.Facts.BirthDate == "" && evidence == nil {
		bad.Fields = append(bad.Fields, underwriting.NoAge())
	}
	var err error
	if in.exact().Table != nil {
		err = in.Facts.ValidateExact(in.ValuationDate)
	} else {
		err = in.Facts.Validate(in.ValuationDate)
	}
	if facts, ok := errors.AsType[*underwriting.FieldsError](err); ok {
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
	return &underwriting.Evidence{Age: *e.Age, Low: *e.Low, High: *e.High, Duplicates: in.Duplicates}
}

func (in Input) mode(p *underwriting.Product) string {
	if in.Facts.Mode == "" {
		return p.DefaultMode
	}
	return in.Facts.Mode
}

// frame returns the quote without its money.
func (in Input) frame(p *underwriting.Product, a underwriting.Assessment, e *underwriting.Evidence) casefile.Quote {
	q := casefile.Quote{
		Schema: casefile.QuoteSchema, Case: in.Case, Cause: in.Cause, Code: reason.OK,
		Decision: a.Decision, Class: a.Class, Reasons: a.Reasons, Principal: principal(a.Reasons),
		Mode:          in.mode(p),
		Currency:      p.Currency,
		ValuationDate: in.ValuationDate.Format(time.DateOnly),
		Expires:       in.ValuationDate.AddDate(0, 0, p.QuoteDays).Format(time.DateOnly),
		Notices:       p.Notices,
		ModelUse:      in.ModelUse,
		Inputs:        in.Inputs, Hashes: in.Hashes, Time: in.Time,
		Basis: casefile.Basis{
			Rating: a.Rating, AgeBasis: string(a.AgeBasis),
			PriceAge: a.Price.Age, PriceAgeSource: a.Source, Charged: a.Charge,
			Product: p.ID,
		},
	}
	if q.Reasons == nil {
		q.Reasons = []underwriting.Reason{} // [] in JSON, not null: there are none
	}
	if in.Replaces != "" {
		replaces := in.Replaces // a pointer to in's own would put all of in on the heap
		q.Replaces = &replaces
	}
	if e != nil {
		q.Interval = &casefile.Band{Age: e.Age, Low: e.Low, High: e.High, Coverage: in.Estimate.Coverage}
	}
	q.Hashes.Rules = p.Hash
	q.Hashes.RuleFiles = make([]casefile.RuleFile, len(p.Sources))
	for i, s := range p.Sources {
		q.Hashes.RuleFiles[i] = casefile.RuleFile{File: s.File, Hash: s.Hash}
	}
	return q
}

// principal returns the codes of the reasons that the customer is told.
func principal(reasons []underwriting.Reason) []underwriting.Code {
	if len(reasons) == 0 {
		return []underwriting.Code{}
	}
	told := underwriting.Principal(reasons)
	codes := make([]underwriting.Code, len(told))
	for i, r := range told {
		codes[i] = r.Code
	}
	return codes
}
