package review

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/openapi"
	"github.com/agequote/agequote/internal/quote"
	"github.com/agequote/agequote/internal/store"
	"github.com/agequote/agequote/internal/underwriting"
)

// ask is what a person sends to decide.
type ask struct {
	Action         casefile.Action `json:"action"`
	Suggested      casefile.Action `json:"suggested"` // with suggest
	Change         *casefile.Terms `json:"change"`
	PostponeMonths int             `json:"postpone_months"`
	Reason         string          `json:"reason"`
	Text           string          `json:"text"`
	Quote          string          `json:"quote"` // name of the one that was seen; empty: none
	N              int             `json:"n"`     // the number that the decision would get
}

// effective is the action that is to take effect, now or once confirmed.
func (a *ask) effective() casefile.Action {
	if a.Action == casefile.Suggest {
		return a.Suggested
	}
	return a.Action
}

// decide writes a person's decision, and what follows from it. Whoever decides
// has taken the case, has seen what stands, and may do it; of two the second is
// told who was first.
func (h *Handler) decide(ctx context.Context, r *request) (answer, error) {
	var a ask
	if err := r.spec.Decode(r.body, &a); err != nil {
		return answer{}, err
	}
	c, err := Read(ctx, h.Cases, r.id, false)
	if err != nil {
		return answer{}, err
	}
	sample, err := h.isSample(ctx, c)
	if err != nil {
		return answer{}, err
	}
	now := h.Now().UTC()
	if err := h.mayDecide(c, r.who, &a, sample, now); err != nil {
		return answer{}, err
	}
	d, err := h.draft(c, r.who, &a, now)
	if err != nil {
		return answer{}, err
	}
	if sample { // blind: what would have been decided, and nothing follows from it
		d.Action, d.Suggested = casefile.SecondLook, a.effective()
	}
	stored, err := h.write(ctx, c, d)
	if err != nil {
		return answer{}, err
	}
	h.Log.InfoContext(ctx, "decision", "action", d.Action, "role", d.Role)
	if err := h.follow(ctx, c, stored, sample); err != nil {
		// The decision stands. What did not follow is caught up by whoever reads
		// the queue next, since the markers are still there.
		h.Log.ErrorContext(ctx, "what follows from a decision", "err", err)
	}
	return answer{Status: http.StatusCreated, Body: struct {
		Decision casefile.Decision `json:"decision"`
	}{stored.Object}}, nil
}

// isSample tells whether the case is one of the blind sample.
func (h *Handler) isSample(ctx context.Context, c *Case) (bool, error) {
	keys := c.sampleMarkers()
	if len(keys) == 0 {
		return false, nil
	}
	return cases.Exists(ctx, h.Cases, keys[0])
}

// mayDecide checks everything but the decision itself: that nobody was first,
// that what was seen still stands, that the case waits and is the person's.
func (h *Handler) mayDecide(c *Case, who Identity, a *ask, sample bool, now time.Time) error {
	if n := len(c.Decisions); a.N <= n && n > 0 {
		return decided(&c.Decisions[n-1].Object)
	}
	if a.N != len(c.Decisions)+1 || a.Quote != c.quoteName() {
		return openapi.Conflict("moved", "The case has changed since you looked at it. Look again.")
	}
	if held := c.reserved(now); held != nil && held.By != who.Subject {
		return taken(held)
	}
	if held := c.held(); held == nil || held.By != who.Subject {
		return openapi.Conflict("not_taken", "Take the case first.")
	}
	may := h.actions(c, who, sample)
	if len(may) == 0 {
		return openapi.Conflict("closed", "Nothing of this case waits for you.")
	}
	if slices.Contains(may, a.Action) {
		return nil
	}
	if a.Action == casefile.Suggest && slices.Contains(may, a.Suggested) && (a.Suggested == casefile.Accept || a.Suggested == casefile.Change) {
		return nil
	}
	if a.Action == casefile.Confirm || a.Action == casefile.Return {
		if !who.Role.May(Confirm) {
			return &openapi.Problem{Status: http.StatusForbidden, Code: "role", Detail: "Your role may not do this."}
		}
	}
	return openapi.Conflict("action", "This cannot be decided on the case as it stands.")
}

func decided(d *casefile.Decision) *openapi.Problem {
	return &openapi.Problem{Status: http.StatusConflict, Code: "decided", Detail: "Another person has decided this case already.",
		Conflict: struct {
			By     string          `json:"by"`
			Time   time.Time       `json:"time"`
			Action casefile.Action `json:"action"`
			N      int             `json:"n"`
		}{d.By, d.Time, d.Action, d.N}}
}

func (c *Case) quoteName() string {
	if q := c.Quote(); q != nil {
		return q.Key
	}
	return ""
}

// actions returns what a person may decide on the case as it stands.
func (h *Handler) actions(c *Case, who Identity, sample bool) []casefile.Action {
	if !who.Role.May(Decide) {
		return []casefile.Action{}
	}
	if s := c.suggestion(); s != nil {
		if !who.Role.May(Confirm) || s.By == who.Subject {
			return []casefile.Action{}
		}
		if s.Quote != c.quoteName() { // what it was made on is no longer what stands
			return []casefile.Action{casefile.Return}
		}
		return []casefile.Action{casefile.Confirm, casefile.Return}
	}
	if len(c.open()) == 0 && c.resting() != stateCustomer && !sample {
		return []casefile.Action{}
	}
	out := []casefile.Action{}
	if q := c.Quote(); q != nil {
		if q.Object.Decision != underwriting.Postpone && q.Object.Decision != underwriting.Decline && q.Object.GrossAnnualCents != nil {
			out = append(out, casefile.Accept)
		}
		if q.Object.Basis.Product != "" {
			out = append(out, casefile.Change)
		}
	}
	if len(c.Applications) > 0 {
		out = append(out, casefile.Postpone, casefile.Decline)
	}
	if c.consented() {
		out = append(out, casefile.AnotherPhoto)
	}
	return append(out, casefile.ProofOfAge, casefile.Evidence)
}

// consented tells whether the customer has agreed that photos are read.
func (c *Case) consented() bool {
	for i := len(c.Applications) - 1; i >= 0; i-- {
		if consent := c.Applications[i].Object.Consent; consent != nil {
			return consent.Withdrawn == nil
		}
	}
	return false
}

// did tells whether an action was decided before.
func (c *Case) did(action casefile.Action) bool {
	return slices.ContainsFunc(c.Decisions, func(d cases.Stored[casefile.Decision]) bool { return d.Object.Effective() == action })
}

// draft returns the decision as it will be stored, or what is wrong with it.
func (h *Handler) draft(c *Case, who Identity, a *ask, now time.Time) (casefile.Decision, error) {
	d := casefile.Decision{
		Schema: casefile.DecisionSchema, Case: c.ID, N: a.N, Time: now, By: who.Subject, Role: string(who.Role),
		Action: a.Action, Reason: a.Reason, Text: strings.TrimSpace(a.Text),
		Quote: c.quoteName(), Application: c.Application().Key,
		Seconds: int(now.Sub(c.held().Since).Seconds()), Previous: c.previous(), Version: h.Version,
		Opened: slices.ContainsFunc(c.Openings, func(o cases.Stored[casefile.Opening]) bool { return o.Object.By == who.Subject }),
	}
	if q := c.Quote(); q != nil {
		d.Before = quote.TermsOf(&q.Object)
	}
	d.After = d.Before
	if a.Action == casefile.Return {
		return d, needText(&d)
	}
	if a.Action == casefile.Confirm {
		s := c.suggestion()
		d.Suggested, d.Change, d.PostponeMonths, d.After = s.Suggested, s.Change, s.PostponeMonths, s.After
		d.Reason = cmp.Or(d.Reason, s.Reason)
	} else {
		if a.Action == casefile.Suggest {
			d.Suggested = a.Suggested
		}
		if a.effective() == casefile.Change {
			d.Change = a.Change
		}
		if a.effective() == casefile.Postpone {
			d.PostponeMonths = a.PostponeMonths
		}
		if err := c.checkWords(a, &d); err != nil {
			return d, err
		}
	}
	return d, h.price(c, who, a, &d)
}

// needText is a problem without a text.
func needText(d *casefile.Decision) error {
	if d.Text == "" {
		return openapi.Invalid([]underwriting.FieldError{{Field: "text", Sentence: "say why, in a few words"}})
	}
	return nil
}

// checkWords checks reason, text and months: what overrides the rules needs a
// reason from the list and a text.
func (c *Case) checkWords(a *ask, d *casefile.Decision) error {
	var bad underwriting.FieldsError
	var outcome underwriting.Decision
	needed := false
	switch a.effective() {
	case casefile.Accept:
		outcome = underwriting.Quote
	case casefile.Change:
		outcome, needed = underwriting.Quote, true
	case casefile.Postpone:
		outcome, needed = underwriting.Postpone, true
		if a.PostponeMonths < 1 {
			bad.Add("postpone_months", "give the months to wait, 1 to 60")
		}
	case casefile.Decline:
		outcome, needed = underwriting.Decline, true
	}
	if (needed || a.Reason != "") && !slices.Contains(underwriting.PersonCodes(outcome), underwriting.Code(a.Reason)) {
		bad.Add("reason", "choose a reason from the list for this action")
	}
	if needed && d.Text == "" {
		bad.Add("text", "say why, in a few words")
	}
	// Nobody is turned away for what was never asked for, and nobody for a photo.
	if outcome == underwriting.Decline {
		switch {
		case a.Reason == string(underwriting.AgeUnproven) && !c.did(casefile.ProofOfAge):
			bad.Add("reason", "ask for proof of age first")
		case a.Reason == string(underwriting.EvidenceMissing) && !c.did(casefile.Evidence):
			bad.Add("reason", "ask for medical evidence first")
		}
	}
	if len(bad.Fields) > 0 {
		return openapi.Invalid(bad.Fields)
	}
	return nil
}

// price fills in what would stand after the decision, as the quote function will
// compute it, and holds it against the person's authority.
func (h *Handler) price(c *Case, who Identity, a *ask, d *casefile.Decision) error {
	probe := *d
	if probe.Action == casefile.Suggest {
		probe.Action, probe.Suggested = casefile.Confirm, d.Suggested // as it would take effect
	}
	if !probe.MakesQuote() {
		return nil
	}
	q, err := h.preview(c, &probe)
	var bad *underwriting.FieldsError
	if errors.As(err, &bad) {
		return openapi.Invalid(bad.Fields)
	}
	if err != nil {
		return fmt.Errorf("price decision: %w", err)
	}
	after := quote.TermsOf(&q)
	if d.Action == casefile.Confirm {
		if d.After.GrossAnnualCents == nil || after.GrossAnnualCents == nil || *d.After.GrossAnnualCents != *after.GrossAnnualCents {
			return openapi.Conflict("moved", "The rules have changed since this was suggested. Return it, and have it looked at again.")
		}
		return nil // two people together may
	}
	d.After = after
	if q.Decision != underwriting.Quote || h.Limits.Within(who.Role, q.Currency, q.Basis.SumCents, q.Basis.Rating) || a.Action == casefile.Suggest {
		return nil
	}
	return &openapi.Problem{Status: http.StatusForbidden, Code: "authority",
		Detail: "This is past your authority. Suggest it, and a senior confirms."}
}

// preview prices a decision that is not stored yet.
func (h *Handler) preview(c *Case, d *casefile.Decision) (casefile.Quote, error) {
	in := quote.Input{Case: c.ID, Cause: casefile.DecisionCause(d.N), Facts: c.Application().Object.Facts, Time: d.Time}
	var base *casefile.Quote
	if q := c.Quote(); q != nil {
		base = &q.Object
		if base.Inputs.Estimate != "" {
			for _, e := range c.Estimates {
				if e.Key == base.Inputs.Estimate {
					var read age.Estimate = e.Object.Estimate
					in.Estimate = &read
				}
			}
		}
	}
	if err := in.UseDecision(cases.Stored[casefile.Decision]{Object: *d}, base); err != nil {
		return casefile.Quote{}, err
	}
	return quote.ComputeOrRefer(h.Book, in)
}

// previous is the hash of what the next decision follows.
func (c *Case) previous() string {
	if n := len(c.Decisions); n > 0 {
		return c.Decisions[n-1].Hash
	}
	if q := c.Quote(); q != nil {
		return q.Hash
	}
	return c.Application().Hash
}

// write stores the decision, unless somebody was first.
func (h *Handler) write(ctx context.Context, c *Case, d casefile.Decision) (cases.Stored[casefile.Decision], error) {
	key := casefile.DecisionKey(c.ID, d.N)
	body, err := cases.Encode(d)
	if err != nil {
		return cases.Stored[casefile.Decision]{}, err
	}
	err = h.Cases.PutIfAbsent(ctx, key, body)
	exists := errors.Is(err, store.ErrExists)
	if err != nil && !exists {
		return cases.Stored[casefile.Decision]{}, fmt.Errorf("write decision: %w", err)
	}
	stored, err := cases.Read[casefile.Decision](ctx, h.Cases, key)
	switch {
	case err != nil:
		return stored, fmt.Errorf("read decision: %w", err)
	case stored.Erased:
		return stored, cases.ErrErased
	case exists && !(stored.Object.By == d.By && stored.Object.Time.Equal(d.Time)): // ours, where a try was repeated
		return stored, decided(&stored.Object)
	}
	return stored, nil
}

// follow does what follows from a decision: its hash is kept, its quote is
// started, and the queue is put in order. Each may be done again.
func (h *Handler) follow(ctx context.Context, c *Case, d cases.Stored[casefile.Decision], sample bool) error {
	now := h.Now()
	var extra []string
	if sample {
		extra = c.sampleMarkers() // before the decision, after which there are none
	}
	c.Decisions = append(c.Decisions, d)
	c.keys = append(c.keys, d.Key)
	if d.Object.Action == casefile.SecondLook {
		if err := h.recordLook(ctx, d); err != nil {
			return err
		}
	}
	// Whatever is not done leaves the markers, which remind of it.
	if err := errors.Join(h.seal(ctx, c), h.startOwed(ctx, c)); err != nil {
		return err
	}
	return settle(ctx, h.Cases, c, h.Limits, now, extra...)
}

// seal keeps the hashes of a case that was decided.
func (h *Handler) seal(ctx context.Context, c *Case) error {
	if len(c.Decisions) == 0 {
		return nil
	}
	if err := h.Seal.Seal(ctx, c.ID); err != nil {
		return fmt.Errorf("seal case: %w", err)
	}
	return nil
}

// startOwed starts the quote that the newest decision waits for. One that
// stands already is found by the quote function, and stays.
func (h *Handler) startOwed(ctx context.Context, c *Case) error {
	if len(c.Decisions) == 0 {
		return nil
	}
	d := &c.Decisions[len(c.Decisions)-1].Object
	cause := casefile.DecisionCause(d.N)
	if !d.MakesQuote() || slices.Contains(c.keys, casefile.QuoteKey(c.ID, cause)) {
		return nil
	}
	e, err := json.Marshal(map[string]any{"schema": casefile.Schema, "case": c.ID, "cause": cause})
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	return h.Quote.InvokeAsync(ctx, h.QuoteFunction, e)
}
