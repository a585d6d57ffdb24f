package fairness

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/agequote/agequote/internal/batch"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/underwriting"
)

// objects is what Stored asks of a store.
type objects interface {
	Get(ctx context.Context, key string, limit int64) ([]byte, error)
	List(ctx context.Context, prefix string) ([]string, error)
}

// Case is a stored case as a report counts it.
type Case struct {
	Row       batch.Row
	Final     batch.Outcome      // what a person made of it; empty where nobody decided
	Facts     underwriting.Facts // that the computer's outcome rests on
	Valuation time.Time
	Time      time.Time // of the computer's outcome
	Erased    bool      // its facts are gone: only Time and the outcome are there
}

// Stored reads what the computer made of a case, by the newest of its own
// quotes, refusals and failures, and what a person decided after that. ok is
// false where there is neither.
func Stored(ctx context.Context, s objects, id string) (c Case, ok bool, err error) {
	keys, err := s.List(ctx, casefile.Prefix(id))
	if err != nil {
		return Case{}, false, fmt.Errorf("list case: %w", err)
	}
	r := reader{ctx: ctx, objects: s, c: Case{Row: batch.Row{Case: id}}}
	for _, key := range keys {
		name := strings.TrimPrefix(key, casefile.Prefix(id))
		switch {
		case name == "deleted.json":
			r.c.Erased = true
		case strings.HasPrefix(name, "quotes/"):
			err = r.quote(key)
		case strings.HasPrefix(name, "photos/") && strings.HasSuffix(name, "/estimate.json"):
			err = r.refusal(key)
		case strings.HasSuffix(name, "/failure.json"), strings.HasPrefix(name, "failures/"):
			err = r.failure(key)
		}
		if err != nil {
			return Case{}, false, err
		}
	}
	if r.c.Time.IsZero() {
		return Case{}, false, nil
	}
	return r.finish()
}

// reader keeps the newest outcome of one case.
type reader struct {
	ctx     context.Context
	objects objects
	c       Case

	latest  casefile.Quote // where the newest outcome is one
	decided casefile.Quote // newest that a person's decision made
}

func (r *reader) quote(key string) error {
	q, err := cases.Read[casefile.Quote](r.ctx, r.objects, key)
	if err != nil {
		return fmt.Errorf("read quote: %w", err)
	}
	kind, _, _ := casefile.ParseCause(q.Object.Cause)
	switch {
	case kind == "decision":
		if q.Object.Time.After(r.decided.Time) {
			r.decided = q.Object
		}
	case q.Object.Time.After(r.c.Time):
		r.c.Time, r.latest = q.Object.Time, q.Object
		r.c.Row.Outcome = outcomes[q.Object.Decision]
	}
	return nil
}

// refusal takes a refused photo for an outcome; an estimate is none.
func (r *reader) refusal(key string) error {
	e, err := cases.Read[casefile.Estimate](r.ctx, r.objects, key)
	if err != nil {
		return fmt.Errorf("read estimate: %w", err)
	}
	if e.Object.Code != reason.OK && e.Object.Time.After(r.c.Time) {
		r.c.Time, r.latest = e.Object.Time, casefile.Quote{}
		r.c.Row.Outcome, r.c.Row.Code = batch.Refused, string(e.Object.Code)
		r.c.Row.ModelHash, r.c.Row.CodeVersion = e.Object.Model, e.Object.Version
	}
	return nil
}

func (r *reader) failure(key string) error {
	f, err := cases.Read[casefile.Failure](r.ctx, r.objects, key)
	if err != nil {
		return fmt.Errorf("read failure: %w", err)
	}
	if f.Object.Time.After(r.c.Time) {
		r.c.Time, r.latest = f.Object.Time, casefile.Quote{}
		r.c.Row.Outcome, r.c.Row.Code = batch.Failed, f.Object.Condition
		r.c.Row.Stage, r.c.Row.CodeVersion = f.Object.Stage, f.Object.Version
	}
	return nil
}

// outcomes of a quote by its decision.
var outcomes = map[underwriting.Decision]batch.Outcome{
	underwriting.Quote: batch.Quoted, underwriting.Refer: batch.Referred, underwriting.Postpone: batch.Postponed, underwriting.Decline: batch.Declined,
}

func (r *reader) finish() (Case, bool, error) {
	c := &r.c
	if c.Row.Outcome == "" {
		return Case{}, false, fmt.Errorf("read quote: it has no decision that is known: %w", cases.ErrUnreadable)
	}
	if r.decided.Time.After(c.Time) {
		c.Final = outcomes[r.decided.Decision]
	}
	if c.Erased {
		return *c, true, nil
	}
	application := r.latest.Inputs.Application
	if application == "" {
		a, err := cases.LatestApplication(r.ctx, r.objects, c.Row.Case)
		if err != nil {
			return Case{}, false, fmt.Errorf("read application: %w", err)
		}
		application = a.Key
	}
	a, err := cases.Read[casefile.Application](r.ctx, r.objects, application)
	if err != nil {
		return Case{}, false, fmt.Errorf("read application: %w", err)
	}
	c.Facts = a.Object.Facts
	r.declared()
	if r.latest.Time.IsZero() {
		return *c, true, nil
	}
	r.priced()
	return *c, true, r.estimate()
}

// declared writes down the facts, at the quote's valuation date or the day of
// the outcome.
func (r *reader) declared() {
	c := &r.c
	c.Valuation = c.Time
	if day, err := time.Parse(time.DateOnly, r.latest.ValuationDate); err == nil {
		c.Valuation = day
	}
	f, row := c.Facts, &c.Row
	row.DeclaredAge = f.Age
	if years, ok := f.StatedAge(c.Valuation); ok && f.Age == nil {
		age := float64(years)
		row.DeclaredAge = &age
	}
	row.Sex, row.Tobacco, row.Market, row.SumCents, row.TermYears = f.Sex, f.Tobacco, f.Market, f.SumCents, f.TermYears
}

func (r *reader) priced() {
	row, q := &r.c.Row, &r.latest
	codes := make([]string, len(q.Reasons))
	for i, reason := range q.Reasons {
		codes[i] = string(reason.Code)
	}
	row.Reasons, row.Code = strings.Join(codes, " "), string(q.Code)
	row.Product, row.Currency, row.Class, row.Rating = q.Basis.Product, q.Currency, q.Class, q.Basis.Rating
	row.GrossCents = q.GrossAnnualCents
	row.ModelHash, row.RulesHash, row.TablesHash, row.CodeVersion = q.Hashes.Model, q.Hashes.Rules, q.Hashes.Tables, q.Hashes.Code
}

func (r *reader) estimate() error {
	if r.latest.Inputs.Estimate == "" {
		return nil
	}
	e, err := cases.Read[casefile.Estimate](r.ctx, r.objects, r.latest.Inputs.Estimate)
	if err != nil {
		return fmt.Errorf("read estimate: %w", err)
	}
	row := &r.c.Row
	row.Age, row.Low, row.High, row.Coverage = e.Object.Age, e.Object.Low, e.Object.High, e.Object.Coverage
	return nil
}

// Period is the days from From to To, both included, in UTC.
type Period struct{ From, To time.Time }

// ParsePeriod reads two days, YYYY-MM-DD.
func ParsePeriod(from, to string) (Period, error) {
	var p Period
	var errs [2]error
	p.From, errs[0] = time.Parse(time.DateOnly, from)
	p.To, errs[1] = time.Parse(time.DateOnly, to)
	if errors.Join(errs[:]...) != nil {
		return Period{}, errors.New("give both days of the period as YYYY-MM-DD")
	}
	if p.To.Before(p.From) {
		return Period{}, errors.New("the period ends before it begins")
	}
	return p, nil
}

// Holds tells whether a moment lies in the period.
func (p Period) Holds(t time.Time) bool {
	return !t.Before(p.From) && t.Before(p.To.AddDate(0, 0, 1))
}
