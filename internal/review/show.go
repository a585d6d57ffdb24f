package review

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/underwriting"
)

// caseBody is a case as a person sees it.
type caseBody struct {
	Schema            int                 `json:"schema"`
	Case              string              `json:"case"`
	State             string              `json:"state"`
	Since             *time.Time          `json:"since"` // since when it waits; null where it does not
	Overdue           bool                `json:"overdue"`
	Reasons           []string            `json:"reasons"` // why it waits
	Application       *underwriting.Facts `json:"application"`
	Consent           *consentBody        `json:"consent"`
	Photo             *photoBody          `json:"photo"` // the newest that is stored
	Photos            []photoBody         `json:"photos"`
	Estimate          *estimateBody       `json:"estimate"` // that the quote rests on, or the newest
	Quote             *casefile.Quote     `json:"quote"`
	QuoteName         string              `json:"quote_name"` // to be sent with a decision
	Quotes            []quoteLine         `json:"quotes"`
	Classes           []string            `json:"classes"` // that a change may choose
	Next              int                 `json:"next"`    // number that a decision would get
	Decisions         []casefile.Decision `json:"decisions"`
	Complaints        []complaintBody     `json:"complaints"`
	Reservation       *takenBody          `json:"reservation"`
	May               []casefile.Action   `json:"may"`
	NeedsConfirmation []casefile.Action   `json:"needs_confirmation"`
	Duplicates        []json.RawMessage   `json:"duplicates"`
	History           []happening         `json:"history"`
}

type consentBody struct {
	Version   string     `json:"version"`
	Time      time.Time  `json:"time"`
	Purpose   string     `json:"purpose"`
	Days      int        `json:"days"`
	Withdrawn *time.Time `json:"withdrawn"`
}

type photoBody struct {
	N       int         `json:"n"`
	Code    reason.Code `json:"code"`
	Message string      `json:"message"`
	Time    time.Time   `json:"time"`
	Expired bool        `json:"expired"`
}

type estimateBody struct {
	N int `json:"n"`
	age.Estimate
	Model    string `json:"model"`
	ModelUse string `json:"model_use"`
}

type quoteLine struct {
	Name     string                `json:"name"`
	Cause    string                `json:"cause"`
	Time     time.Time             `json:"time"`
	Decision underwriting.Decision `json:"decision"`
	Class    string                `json:"class"`
	Cents    *int64                `json:"gross_annual_cents"`
}

type complaintBody struct {
	N    int       `json:"n"`
	Time time.Time `json:"time"`
	Text string    `json:"text"`
}

// happening is a line of the history. What is a code that the page puts into
// words; By is a person's subject, or empty.
type happening struct {
	Time time.Time `json:"time"`
	What string    `json:"what"`
	Of   string    `json:"of,omitempty"` // name of the object
	By   string    `json:"by,omitempty"`
}

// show answers with all that a person needs to decide, but the photo.
func (h *Handler) show(ctx context.Context, r *request) (answer, error) {
	c, err := Read(ctx, h.Cases, r.id, false)
	if err != nil {
		return answer{}, err
	}
	sample, err := h.isSample(ctx, c)
	if err != nil {
		return answer{}, err
	}
	b, err := h.view(ctx, c, r.who, sample)
	return answer{Status: http.StatusOK, Body: b}, err
}

func (h *Handler) view(ctx context.Context, c *Case, who Identity, sample bool) (*caseBody, error) {
	now := h.Now()
	b := &caseBody{
		Schema: casefile.Schema, Case: c.ID, State: c.resting(), Reasons: []string{},
		Photos: []photoBody{}, Quotes: []quoteLine{}, Classes: []string{}, Next: len(c.Decisions) + 1,
		Decisions: []casefile.Decision{}, Complaints: []complaintBody{},
		May: h.actions(c, who, sample), NeedsConfirmation: []casefile.Action{},
		Duplicates: append([]json.RawMessage{}, c.Duplicates...), QuoteName: c.quoteName(), History: c.history(sample, now),
	}
	if waits := c.waits(); len(waits) > 0 || sample {
		if len(waits) == 0 {
			waits = []wait{sampleWait(c, now)}
		}
		e := h.entryOf(c, waits[0], now)
		b.State, b.Since, b.Overdue, b.Reasons = e.State, &e.Since, e.Overdue, e.Reasons
	}
	if r := c.reserved(now); r != nil {
		b.Reservation = &takenBody{r.By, r.Until}
	}
	for _, q := range c.Complaints {
		b.Complaints = append(b.Complaints, complaintBody{q.N, q.Time, q.Text})
	}
	for _, d := range c.Decisions {
		b.Decisions = append(b.Decisions, d.Object)
	}
	if err := h.photos(ctx, c, b); err != nil {
		return nil, err
	}
	c.facts(b)
	h.quotes(c, who, b)
	return b, nil
}

// facts adds what was declared and agreed to.
func (c *Case) facts(b *caseBody) {
	if len(c.Applications) == 0 {
		return
	}
	facts := c.Application().Object.Facts
	b.Application = &facts
	for i := len(c.Applications) - 1; i >= 0; i-- {
		if k := c.Applications[i].Object.Consent; k != nil {
			b.Consent = &consentBody{k.Version, k.Time, k.Purpose, k.Days, k.Withdrawn}
			return
		}
	}
}

// photos adds what became of each photo, and whether it can still be opened.
func (h *Handler) photos(ctx context.Context, c *Case, b *caseBody) error {
	for _, n := range slices.Sorted(func(yield func(int) bool) {
		for n := range c.Estimates {
			if !yield(n) {
				return
			}
		}
	}) {
		e := c.Estimates[n].Object
		there := false
		if ownPhoto(c.ID, e.Source.Key) {
			var err error
			if there, err = h.photoStands(ctx, e.Source.Key); err != nil {
				return err
			}
		}
		b.Photos = append(b.Photos, photoBody{n, e.Code, e.Message, e.Time, !there})
	}
	if n := len(b.Photos); n > 0 {
		b.Photo = &b.Photos[n-1]
	}
	return nil
}

// quotes adds the quotes, the estimate of the newest, and what a change may
// choose.
func (h *Handler) quotes(c *Case, who Identity, b *caseBody) {
	for _, q := range c.Quotes {
		b.Quotes = append(b.Quotes, quoteLine{q.Key, q.Object.Cause, q.Object.Time, q.Object.Decision, q.Object.Class, q.Object.GrossAnnualCents})
	}
	rests := ""
	if q := c.Quote(); q != nil {
		b.Quote = &q.Object
		rests = q.Object.Inputs.Estimate
		if !h.Limits.Within(who.Role, q.Object.Currency, q.Object.Basis.SumCents, q.Object.Basis.Rating) {
			for _, action := range b.May {
				if action == casefile.Accept || action == casefile.Change {
					b.NeedsConfirmation = append(b.NeedsConfirmation, action)
				}
			}
		}
	}
	for n, e := range c.Estimates {
		if e.Key == rests || rests == "" && (b.Estimate == nil || n > b.Estimate.N) {
			b.Estimate = &estimateBody{n, e.Object.Estimate, e.Object.Model, e.Object.ModelUse}
		}
	}
	if b.Application == nil {
		return
	}
	p, err := h.Book.Product(b.Application.Market, b.Application.Product, h.Now())
	if err != nil {
		return // the facts name no product; the quote says so
	}
	tobacco, err := underwriting.ParseTobacco(b.Application.Tobacco)
	if err != nil {
		return
	}
	for _, class := range p.Classes {
		if class.Tobacco == tobacco.Uses(p.TobaccoFreeYears) || !p.TobaccoDistinct() {
			b.Classes = append(b.Classes, class.Name)
		}
	}
}

// history is what happened, in order. What brought the case to the queue is told
// in the same words whether its customer wanted a person or it is a sample.
func (c *Case) history(sample bool, now time.Time) []happening {
	out := []happening{}
	add := func(t time.Time, what, of, by string) { out = append(out, happening{t.UTC(), what, of, by}) }
	for _, a := range c.Applications {
		what := "corrected"
		if a.Object.N == 1 {
			what = "applied"
		}
		add(a.Object.Time, what, a.Key, "")
	}
	for _, e := range c.Estimates {
		what := "photo_read"
		if e.Object.Code != reason.OK {
			what = "photo_refused"
		}
		add(e.Object.Time, what, e.Key, "")
	}
	for _, f := range c.Failures {
		add(f.Time, "failed_"+f.Stage, "", "")
	}
	for _, q := range c.Quotes {
		add(q.Object.Time, "quote_"+string(q.Object.Decision), q.Key, "")
	}
	for _, r := range c.Requests {
		add(r.Time, "asked", "", "")
	}
	if sample {
		add(sampleAsked(c, now), "asked", "", "")
	}
	for _, r := range c.Complaints {
		add(r.Time, "complained", "", "")
	}
	for _, o := range c.Openings {
		add(o.Object.Time, "opened", o.Key, o.Object.By)
	}
	for _, d := range c.Decisions {
		add(d.Object.Time, "decided_"+string(d.Object.Action), d.Key, d.Object.By)
	}
	// At one time objects come first: a sample asks at the very time of its quote,
	// and has to look like a customer who asked once quoted.
	name := func(e happening) string { return cmp.Or(e.Of, "~") }
	slices.SortStableFunc(out, func(x, y happening) int { return cmp.Or(x.Time.Compare(y.Time), cmp.Compare(name(x), name(y))) })
	return out
}

// reasonsBody is the closed lists that forms offer.
type reasonsBody struct {
	Codes   []codeBody   `json:"codes"`
	Actions []actionBody `json:"actions"`
	Ratings []string     `json:"ratings"`
	Rules   []codeBody   `json:"rules"` // sentences of the codes that bring a case to the queue
}

type codeBody struct {
	Code     string `json:"code"`
	Sentence string `json:"sentence"`
}

type actionBody struct {
	Action casefile.Action     `json:"action"`
	Codes  []underwriting.Code `json:"codes"` // that fit it
	Needed bool                `json:"needed"`
}

func (h *Handler) reasons(context.Context, *request) (answer, error) {
	b := reasonsBody{Codes: []codeBody{}, Ratings: []string{"none"}, Rules: []codeBody{
		{"asked", "A person is wanted."}, {"complained", "The customer complained."},
		{"failed_predict", "The photo could not be processed."}, {"failed_quote", "The quote could not be made."},
		{"unreadable", "What is stored of this case cannot be read."},
	}}
	for _, a := range []struct {
		action  casefile.Action
		outcome underwriting.Decision
		needed  bool
	}{
		{casefile.Accept, underwriting.Quote, false}, {casefile.Change, underwriting.Quote, true},
		{casefile.Postpone, underwriting.Postpone, true}, {casefile.Decline, underwriting.Decline, true},
		{casefile.AnotherPhoto, "", false}, {casefile.ProofOfAge, "", false}, {casefile.Evidence, "", false},
		{casefile.Confirm, "", false}, {casefile.Return, "", false},
	} {
		codes := underwriting.PersonCodes(a.outcome)
		b.Actions = append(b.Actions, actionBody{a.action, append([]underwriting.Code{}, codes...), a.needed})
		for _, code := range codes {
			if !slices.ContainsFunc(b.Codes, func(have codeBody) bool { return have.Code == string(code) }) {
				b.Codes = append(b.Codes, codeBody{string(code), code.Sentence()})
			}
		}
	}
	for steps := 1; steps <= 16; steps++ {
		b.Ratings = append(b.Ratings, underwriting.Rating(steps))
	}
	for _, code := range underwriting.Codes() {
		b.Rules = append(b.Rules, codeBody{string(code), code.Sentence()})
	}
	return answer{Status: http.StatusOK, Body: b}, nil
}
