package quote

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/event"
	"github.com/agequote/agequote/internal/store"
	"github.com/agequote/agequote/internal/underwriting"
)

// ErrNotSeen says that a decision would be priced otherwise than the person saw
// it who decided: the rules have changed since. Nothing is quoted then.
var ErrNotSeen = errors.New("the decision comes to another premium than was decided on")

// Decided is a person's decision as a quote takes it.
type Decided struct {
	Action         casefile.Action // Accept, Change, Postpone or Decline
	Ruling         underwriting.Ruling
	PostponeMonths int
	Reason         underwriting.Code // empty: none was given
	Record         string            // name of the decision in its folder, "decision-0001"
	Date           time.Time         // of the decision: the quote stands from then
}

// NewDecided returns what a stored decision means for the quote that follows
// from it.
func NewDecided(d *casefile.Decision) (*Decided, error) {
	if !d.MakesQuote() {
		return nil, fmt.Errorf("no quote follows from the action %q", d.Action)
	}
	out := &Decided{
		Action: d.Effective(), PostponeMonths: d.PostponeMonths, Reason: underwriting.Code(d.Reason),
		Record: casefile.DecisionCause(d.N), Date: d.Time,
	}
	if out.Action != casefile.Change {
		return out, nil
	}
	var err error
	out.Ruling, err = RulingOf(d.Change)
	return out, err
}

// RulingOf reads what a change asks for: a *underwriting.FieldsError.
func RulingOf(t *casefile.Terms) (underwriting.Ruling, error) {
	var bad underwriting.FieldsError
	if t == nil || t.Class == "" && t.Rating == "" && t.PriceAge == nil {
		bad.Add("change", "give a class, a rating or an age")
		return underwriting.Ruling{}, bad.OrNil()
	}
	r := underwriting.Ruling{Class: t.Class, Age: t.PriceAge}
	if t.Rating != "" {
		steps, ok := underwriting.RatingSteps(t.Rating)
		if !ok {
			bad.Add("rating", "give a letter from A to P, or none")
		}
		r.Steps = &steps
	}
	return r, bad.OrNil()
}

// refuses tells whether the decision offers nothing.
func (d *Decided) refuses() bool {
	return d.Action == casefile.Postpone || d.Action == casefile.Decline
}

// outcome is what the quote says.
func (d *Decided) outcome() underwriting.Decision {
	switch d.Action {
	case casefile.Postpone:
		return underwriting.Postpone
	case casefile.Decline:
		return underwriting.Decline
	}
	return underwriting.Quote
}

// codes say what was decided.
var codes = map[casefile.Action]underwriting.Code{
	casefile.Accept:   underwriting.UnderwriterAccepted,
	casefile.Change:   underwriting.UnderwriterChanged,
	casefile.Postpone: underwriting.UnderwriterPostponed,
	casefile.Decline:  underwriting.UnderwriterDeclined,
}

// reasons are what the decision adds to those of the rules.
func (d *Decided) reasons() []underwriting.Reason {
	out := []underwriting.Reason{underwriting.PersonReason(codes[d.Action], d.outcome(), d.Record, d.PostponeMonths)}
	if d.Reason != "" {
		out = append(out, underwriting.PersonReason(d.Reason, d.outcome(), d.Record, 0))
	}
	return out
}

// fillAge gives the rules the age that a person set where nothing else gives
// one.
func (d *Decided) fillAge(f *underwriting.Facts, evidence *underwriting.Evidence) {
	if d == nil || d.Ruling.Age == nil || evidence != nil || f.Age != nil || f.BirthDate != "" {
		return
	}
	age := float64(*d.Ruling.Age)
	f.Age = &age
}

// assess runs the rules, and puts what a person decided in their place.
func (in Input) assess(p *underwriting.Product, stated *underwriting.Stated, evidence *underwriting.Evidence) (underwriting.Assessment, error) {
	d := in.Decided
	if d == nil {
		return underwriting.DecideRated(p, in.Facts, stated, evidence, in.ValuationDate)
	}
	var a underwriting.Assessment
	var err error
	if d.Action == casefile.Change {
		a, err = underwriting.DecideRuled(p, in.Facts, d.Ruling, evidence, in.ValuationDate)
	} else {
		a, err = underwriting.Decide(p, in.Facts, evidence, in.ValuationDate)
	}
	switch {
	case err != nil:
		return a, err
	case d.refuses():
		a = a.Refused(codes[d.Action])
	case a.Price.Refused != "":
		var bad underwriting.FieldsError
		bad.Add("action", "the rules came to no premium that could be accepted; change class, rating or age")
		return a, bad.OrNil()
	}
	a.Decision = d.outcome()
	a.Reasons = append(a.Reasons, d.reasons()...)
	return a, nil
}

// mark writes down what is different where a person decided: which reasons the
// customer is told, and how long the quote stands. It counts from the decision,
// while ages and rates stay those of the valuation date that was decided on.
func (d *Decided) mark(q *casefile.Quote, p *underwriting.Product) {
	if d == nil {
		return
	}
	q.Decision = d.outcome()
	q.Principal = q.Principal[:0]
	for _, r := range underwriting.DecidedPrincipal(q.Reasons, q.Decision) {
		q.Principal = append(q.Principal, r.Code)
	}
	if p != nil {
		q.Expires = dateOf(d.Date.UTC()).AddDate(0, 0, p.QuoteDays).Format(time.DateOnly)
	}
}

// UseDecision makes the input that of a stored decision: it is priced on the
// quote that it was made on, at that quote's valuation date. base is nil where
// there was none; then the decision's own date counts.
func (in *Input) UseDecision(d cases.Stored[casefile.Decision], base *casefile.Quote) error {
	decided, err := NewDecided(&d.Object)
	if err != nil {
		return err
	}
	in.Decided = decided
	in.Inputs.Decision, in.Hashes.Decision = d.Key, d.Hash
	in.ValuationDate = d.Object.Time
	if base == nil {
		return nil
	}
	if in.ValuationDate, err = time.Parse(time.DateOnly, base.ValuationDate); err != nil {
		return fmt.Errorf("read valuation date: %w", cases.ErrUnreadable)
	}
	return nil
}

// TermsOf returns the terms of a quote.
func TermsOf(q *casefile.Quote) casefile.Terms {
	t := casefile.Terms{Decision: q.Decision, Class: q.Class, Rating: q.Basis.Rating, GrossAnnualCents: q.GrossAnnualCents}
	if q.Basis.Product != "" {
		age := q.Basis.PriceAge
		t.PriceAge = &age
	}
	return t
}

// decision reads what a decision is priced on.
func (h *Handler) decision(ctx context.Context, c event.Cause, in *Input) error {
	_, n, _ := casefile.ParseCause(c.Cause)
	d, err := cases.Read[casefile.Decision](ctx, h.Cases, casefile.DecisionKey(c.Case, n))
	if err != nil {
		return fmt.Errorf("read decision: %w", err)
	}
	if d.Erased {
		return cases.ErrErased
	}
	application, err := cases.Read[casefile.Application](ctx, h.Cases, d.Object.Application)
	if err != nil {
		return fmt.Errorf("read the decision's application: %w", err)
	}
	in.Facts = application.Object.Facts
	in.Inputs.Application, in.Hashes.Application = application.Key, application.Hash
	if d.Object.Quote == "" {
		return in.UseDecision(d, nil)
	}
	base, err := cases.Read[casefile.Quote](ctx, h.Cases, d.Object.Quote)
	if err != nil {
		return fmt.Errorf("read the decision's quote: %w", err)
	}
	in.Replaces = base.Key
	if base.Object.Inputs.Estimate != "" {
		estimate, err := cases.Read[casefile.Estimate](ctx, h.Cases, base.Object.Inputs.Estimate)
		if err != nil {
			return fmt.Errorf("read the decision's estimate: %w", err)
		}
		in.useEstimate(estimate)
		if base.Object.Inputs.Duplicates != "" { // what was known then, no more
			if err := h.useDuplicates(ctx, in, estimate.Object.N); err != nil {
				return err
			}
		}
	}
	return in.UseDecision(d, &base.Object)
}

// seen fails where a decision comes to another premium than its author saw.
func seen(ctx context.Context, s caseStore, in *Input, q *casefile.Quote) error {
	d, err := cases.Read[casefile.Decision](ctx, s, in.Inputs.Decision)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("read decision: %w", err)
	}
	want := d.Object.After.GrossAnnualCents
	if got := q.GrossAnnualCents; (want == nil) != (got == nil) || want != nil && *want != *got {
		return ErrNotSeen
	}
	return nil
}
