// Package replay computes stored quotes again from what is stored beside them,
// and tells what is the same and what is not: the hash of every input, the
// interval from the stored age distribution, and the quote's bytes, field by
// field and rule by rule. The clock and the version of the code are recorded
// inputs: another version is told and is no difference. It writes nothing.
package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/quote"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/store"
)

// Tolerance is by how much, in years, an age may differ that was read from the
// photo again: processors differ in the last bits of a network's output.
const Tolerance = 0.05

// ErrNoModel says that the package of a model is not at hand.
var ErrNoModel = errors.New("the model package is not here")

// Replayer replays the quotes of cases.
type Replayer struct {
	Cases interface {
		Get(ctx context.Context, key string, limit int64) ([]byte, error)
		List(ctx context.Context, prefix string) ([]string, error)
	}
	Book    *rulebook.Book
	Version string // of the code that runs now
	// Calibration returns what makes an interval of a distribution by the model
	// with this hash, or ErrNoModel.
	Calibration func(ctx context.Context, model string) (func(age.Distribution) (age.Estimate, error), error)
	// Photo reads the photo of an estimate again: store.ErrNotFound where it is
	// gone, ErrNoModel. Nil: photos are not read.
	Photo func(ctx context.Context, e casefile.Estimate) (age.Estimate, error)
}

// Outcome of one check.
type Outcome string

// The outcomes. Only Different is a difference.
const (
	Same      Outcome = "same"
	Different Outcome = "different"
	Unchecked Outcome = "unchecked" // what it takes is not at hand
	Noted     Outcome = "noted"     // differs, and may
)

// Check is one thing that was held against the record.
type Check struct {
	Name    string  `json:"name"`
	Outcome Outcome `json:"outcome"`
	Stored  string  `json:"stored,omitempty"`
	Now     string  `json:"now,omitempty"`
	Note    string  `json:"note,omitempty"`
}

// Report is what became of one quote.
type Report struct {
	Schema int     `json:"schema"`
	Case   string  `json:"case"`
	Quote  string  `json:"quote"` // name of the object
	Same   bool    `json:"same"`
	Checks []Check `json:"checks"`
	// Differences are those between the stored bytes and the new ones.
	Differences []Difference `json:"differences"`
}

// Case replays every quote of a case, in the order of their names. It returns
// store.ErrNotFound where there is none, and the errors of the stores.
func (r *Replayer) Case(ctx context.Context, id string) ([]Report, error) {
	keys, err := r.Cases.List(ctx, casefile.QuotesPrefix(id))
	if err != nil {
		return nil, fmt.Errorf("list quotes: %w", err)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("find quotes of the case: %w", store.ErrNotFound)
	}
	var reports []Report
	for _, key := range keys {
		report, err := r.quote(ctx, id, key)
		if err != nil {
			return nil, fmt.Errorf("replay %s: %w", key, err)
		}
		reports = append(reports, report)
	}
	return reports, nil
}

// replaying is one quote on its way.
type replaying struct {
	*Replayer
	report Report
	stored casefile.Quote
	in     quote.Input
}

const maxObject = 1 << 20

func (r *Replayer) quote(ctx context.Context, id, key string) (Report, error) {
	raw, err := r.Cases.Get(ctx, key, maxObject)
	if err != nil {
		return Report{}, err
	}
	stored, err := cases.Read[casefile.Quote](ctx, r.Cases, key)
	if err != nil {
		return Report{}, err
	}
	p := &replaying{Replayer: r, stored: stored.Object, report: Report{Schema: 1, Case: id, Quote: key, Differences: []Difference{}}}
	if err := p.inputs(ctx); err != nil {
		return Report{}, err
	}
	p.rules()
	again, err := quote.ComputeOrRefer(r.Book, p.in)
	if err != nil {
		return Report{}, fmt.Errorf("compute quote: %w", err)
	}
	p.tables(again)
	p.code()
	if err := p.bytes(raw, again); err != nil {
		return Report{}, err
	}
	p.report.Same = true
	for _, c := range p.report.Checks {
		p.report.Same = p.report.Same && c.Outcome != Different
	}
	return p.report, nil
}

func (p *replaying) check(c Check) { p.report.Checks = append(p.report.Checks, c) }

// hash holds one hash against the record.
func (p *replaying) hash(name, stored, now string) {
	c := Check{Name: name, Outcome: Same, Stored: stored}
	if stored != now {
		c.Outcome, c.Now = Different, now
	}
	p.check(c)
}

// inputs reads what the quote was made from. Hashes are taken from the objects
// as they are, so that a changed one shows in the quote too.
func (p *replaying) inputs(ctx context.Context) error {
	q := p.stored
	date, err := time.Parse(time.DateOnly, q.ValuationDate)
	if err != nil {
		return fmt.Errorf("read valuation date: %w", cases.ErrUnreadable)
	}
	p.in = quote.Input{
		Case: q.Case, Cause: q.Cause, ValuationDate: date, Time: q.Time, Inputs: q.Inputs,
		Hashes: casefile.Hashes{Code: q.Hashes.Code},
	}
	if q.Replaces != nil {
		p.in.Replaces = *q.Replaces
	}
	application, err := cases.Read[casefile.Application](ctx, p.Cases, q.Inputs.Application)
	if err != nil {
		return fmt.Errorf("read application: %w", err)
	}
	p.in.Facts, p.in.Hashes.Application = application.Object.Facts, application.Hash
	p.hash("application", q.Hashes.Application, application.Hash)
	if q.Inputs.Decision != "" {
		if err := p.decision(ctx); err != nil {
			return err
		}
	}
	if q.Inputs.Estimate == "" {
		return nil
	}
	estimate, err := cases.Read[casefile.Estimate](ctx, p.Cases, q.Inputs.Estimate)
	if err != nil {
		return fmt.Errorf("read estimate: %w", err)
	}
	e := estimate.Object
	p.in.ModelUse = e.ModelUse
	p.in.Hashes.Estimate, p.in.Hashes.Photo, p.in.Hashes.Model = estimate.Hash, e.Photo, e.Model
	p.hash("estimate", q.Hashes.Estimate, estimate.Hash)
	p.hash("photo", q.Hashes.Photo, e.Photo)
	p.hash("model", q.Hashes.Model, e.Model)
	if err := p.duplicates(ctx, q); err != nil {
		return err
	}
	if p.in.Estimate, err = p.interval(ctx, e); err != nil {
		return err
	}
	return p.photo(ctx, e)
}

// duplicates reads what other cases the quote's photo was sent with. A quote
// that names none was made before any were known.
func (p *replaying) duplicates(ctx context.Context, q casefile.Quote) error {
	if q.Inputs.Duplicates == "" {
		return nil
	}
	d, err := cases.Read[casefile.Duplicates](ctx, p.Cases, q.Inputs.Duplicates)
	if err != nil {
		return fmt.Errorf("read duplicates: %w", err)
	}
	p.in.Duplicates, p.in.Hashes.Duplicates = d.Object.Cases(), d.Hash
	p.hash("duplicates", q.Hashes.Duplicates, d.Hash)
	return nil
}

// decision reads the person's decision that the quote followed from.
func (p *replaying) decision(ctx context.Context) error {
	d, err := cases.Read[casefile.Decision](ctx, p.Cases, p.stored.Inputs.Decision)
	if err != nil {
		return fmt.Errorf("read decision: %w", err)
	}
	p.hash("decision", p.stored.Hashes.Decision, d.Hash)
	inputs := p.in.Inputs
	// The valuation date is the record's own, like any clock.
	date := p.in.ValuationDate
	if err := p.in.UseDecision(d, nil); err != nil {
		return err
	}
	p.in.Inputs, p.in.ValuationDate = inputs, date
	return nil
}

// interval makes the interval of the stored distribution again, and returns the
// estimate to quote on: the new one, or the stored one where the model is not
// at hand.
func (p *replaying) interval(ctx context.Context, e casefile.Estimate) (*age.Estimate, error) {
	const name = "interval"
	calibrate, err := p.Calibration(ctx, e.Model)
	if errors.Is(err, ErrNoModel) {
		p.check(Check{Name: name, Outcome: Unchecked, Stored: interval(e.Estimate), Note: "taken as stored: package of " + e.Model + " is not here"})
		return &e.Estimate, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read model package: %w", err)
	}
	again, err := calibrate(e.Distribution)
	if errors.Is(err, age.ErrUnsure) {
		p.check(Check{Name: name, Outcome: Different, Stored: interval(e.Estimate), Now: "unsure"})
		return &e.Estimate, nil
	}
	if err != nil {
		return nil, fmt.Errorf("calibrate distribution: %w", err)
	}
	c := Check{Name: name, Outcome: Same, Stored: interval(e.Estimate), Note: "from the stored distribution, by the model's calibration"}
	if now := interval(again); now != c.Stored {
		c.Outcome, c.Now = Different, now
	}
	p.check(c)
	return &again, nil
}

// interval prints an estimate; "none" where the photo was refused.
func interval(e age.Estimate) string {
	if e.Age == nil || e.Mean == nil || e.Low == nil || e.High == nil || e.Coverage == nil {
		return "none"
	}
	return fmt.Sprintf("%.1f years, mean %.1f, %.1f to %.1f at %g", *e.Age, *e.Mean, *e.Low, *e.High, *e.Coverage)
}

// photo estimates again where that was asked for and the photo is still there.
func (p *replaying) photo(ctx context.Context, e casefile.Estimate) error {
	if p.Photo == nil {
		return nil
	}
	const name = "photo read again"
	again, err := p.Photo(ctx, e)
	c := Check{Name: name, Outcome: Same, Stored: interval(e.Estimate)}
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrDenied):
		c.Outcome, c.Note = Unchecked, "the photo is gone"
	case errors.Is(err, ErrNoModel):
		c.Outcome, c.Note = Unchecked, "package of "+e.Model+" is not here"
	case errors.Is(err, ErrOtherPhoto):
		c.Outcome, c.Note = Different, ErrOtherPhoto.Error()
	case err != nil:
		return fmt.Errorf("read photo again: %w", err)
	default:
		c.Now = interval(again)
		c.Note = fmt.Sprintf("to %g years", Tolerance)
		if !near(e.Age, again.Age) || !near(e.Mean, again.Mean) {
			c.Outcome = Different
		}
	}
	p.check(c)
	return nil
}

// ErrOtherPhoto says that the photo that lies under the name is not the one
// that was read.
var ErrOtherPhoto = errors.New("another photo lies under its name")

func near(a, b *float64) bool {
	if a == nil || b == nil {
		return a == b
	}
	const tiny = 1e-9 // ages have one decimal: 28.4 and 28.45 are .05 apart but for rounding
	return math.Abs(*a-*b) <= Tolerance+tiny
}

// rules holds the rule files of today against those of the quote.
func (p *replaying) rules() {
	q := p.stored
	product, err := p.Book.Product(p.in.Facts.Market, p.in.Facts.Product, p.in.ValuationDate)
	switch {
	case q.Hashes.Rules == "":
		p.check(Check{Name: "rules", Outcome: Same, Note: "none: the facts could not be used"})
		return
	case err != nil:
		p.check(Check{Name: "rules", Outcome: Different, Stored: q.Hashes.Rules, Note: "this binary has no such product at that date: " + err.Error()})
		return
	case product.Hash == q.Hashes.Rules:
		p.check(Check{Name: "rules", Outcome: Same, Stored: q.Hashes.Rules})
		return
	}
	p.check(Check{Name: "rules", Outcome: Different, Stored: q.Hashes.Rules, Now: product.Hash,
		Note: fmt.Sprintf("product %s of %s was quoted under rules that this binary does not hold for that date", q.Basis.Product, q.ValuationDate)})
	now := map[string]string{}
	for _, s := range product.Sources {
		now[s.File] = s.Hash
	}
	for _, f := range q.Hashes.RuleFiles {
		c := Check{Name: f.File, Outcome: Same, Stored: f.Hash}
		if now[f.File] != f.Hash {
			c.Outcome, c.Now, c.Note = Different, now[f.File], p.known(f)
		}
		p.check(c)
	}
}

// known tells what the history of the rules knows of a file with these bytes.
func (p *replaying) known(f casefile.RuleFile) string {
	for _, r := range p.Book.History() {
		if r.File == f.File && r.Hash == f.Hash {
			return fmt.Sprintf("approved %s by %s, no longer held", r.Approved, r.Approver)
		}
	}
	return "not in the history of this binary"
}

func (p *replaying) tables(again casefile.Quote) {
	p.hash("tables", p.stored.Hashes.Tables, again.Hashes.Tables)
}

func (p *replaying) code() {
	c := Check{Name: "code", Outcome: Same, Stored: p.stored.Hashes.Code}
	if p.Version != p.stored.Hashes.Code {
		c.Outcome, c.Now, c.Note = Noted, p.Version, "another version replays; its number is a recorded input"
	}
	p.check(c)
}

// bytes holds the new quote against the stored one.
func (p *replaying) bytes(raw []byte, again casefile.Quote) error {
	body, err := again.Encode()
	if err != nil {
		return err
	}
	c := Check{Name: "quote", Outcome: Same, Note: fmt.Sprintf("%d bytes", len(raw))}
	if !bytes.Equal(raw, body) {
		c.Outcome = Different
		if p.report.Differences, err = differences(raw, body); err != nil {
			return err
		}
		c.Note = fmt.Sprintf("%d fields differ", len(p.report.Differences))
	}
	p.check(c)
	return nil
}
