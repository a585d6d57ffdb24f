package onboard

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/underwriting"
)

// statusBody is where a case stands, for its customer.
type statusBody struct {
	Schema       int                        `json:"schema"`
	Case         string                     `json:"case"`
	State        State                      `json:"state"`
	WaitingSince time.Time                  `json:"waiting_since"` // since when the state holds
	Photo        *photoBody                 `json:"photo,omitempty"`
	Photos       []photoBody                `json:"photos"`
	Quote        map[string]json.RawMessage `json:"quote,omitempty"`
	Facts        underwriting.Facts         `json:"facts"`
	Consent      *consentBody               `json:"consent,omitempty"`
}

// photoBody is what became of one photo.
type photoBody struct {
	N        int         `json:"n"`
	Code     reason.Code `json:"code"`
	Sentence string      `json:"sentence"`
	Time     time.Time   `json:"time"`
}

// consentBody is what the customer agreed to.
type consentBody struct {
	Version string    `json:"version"`
	Days    int       `json:"days"`
	Time    time.Time `json:"time"`
}

func (h *Handler) status(ctx context.Context, r *request) (answer, error) {
	// A number in the form that openapi.yaml states, or none.
	sent, _ := strconv.Atoi(r.event.QueryStringParameters["photo"])
	v, err := h.lookAfter(ctx, r.id, sent)
	if err != nil {
		return answer{}, err
	}
	s, err := v.body(h.Now())
	return answer{Status: http.StatusOK, Body: s}, err
}

func (v *caseView) body(now time.Time) (statusBody, error) {
	o := v.standing(now)
	s := statusBody{
		Schema: casefile.Schema, Case: v.id, State: o.state, WaitingSince: o.at.UTC(),
		Photos: []photoBody{}, Facts: v.application.Facts,
	}
	if c := v.application.Consent; c != nil {
		s.Consent = &consentBody{Version: c.Version, Days: c.Days, Time: c.Time}
	}
	for _, p := range v.photos {
		switch {
		case p.estimate != nil:
			s.Photos = append(s.Photos, photoBody{p.n, p.estimate.Code, p.estimate.Code.Sentence(), p.estimate.Time})
		case p.failure != nil:
			s.Photos = append(s.Photos, photoBody{p.n, reason.Internal, reason.Internal.Sentence(), p.failure.Time})
		}
	}
	if n := len(s.Photos); n > 0 {
		s.Photo = &s.Photos[n-1]
	}
	if o.quote == nil {
		return s, nil
	}
	var err error
	s.Quote, err = forCustomer(*o.quote)
	return s, err
}

// What a customer is shown of a stored quote: never what is for the underwriter
// or the examiner alone, and amounts only where they are offered.
var (
	customersFields = []string{"schema", "cause", "decision", "class", "reasons", "principal", "mode", "basis", "interval",
		"currency", "valuation_date", "expires", "notices", "model_use", "time"}
	customersAmounts = []string{"gross_annual_cents", "modal_cents", "schedule", "at", "expected_gross_annual_cents", "expected_mass"}
	customersBasis   = []string{"price_age", "price_age_source", "charged", "sum_cents", "term_years", "product"}
)

func forCustomer(q casefile.Quote) (map[string]json.RawMessage, error) {
	all, err := fields(q)
	if err != nil {
		return nil, err
	}
	shown := pick(all, customersFields)
	// All reasons are the underwriter's; the customer is told the principal ones.
	if shown["reasons"], err = json.Marshal(reasonsOf(q)); err != nil {
		return nil, fmt.Errorf("encode reasons: %w", err)
	}
	if q.Decision == underwriting.Quote {
		for name, text := range pick(all, customersAmounts) {
			shown[name] = text
		}
	}
	basis, err := fields(q.Basis)
	if err != nil {
		return nil, err
	}
	shown["basis"], err = json.Marshal(pick(basis, customersBasis))
	return shown, err
}

// reasonBody is a reason as the customer is told it.
type reasonBody struct {
	Code     underwriting.Code `json:"code"`
	Sentence string            `json:"sentence"`
}

func reasonsOf(q casefile.Quote) []reasonBody {
	out := []reasonBody{}
	for _, r := range q.PrincipalReasons() {
		out = append(out, reasonBody{r.Code, r.Sentence})
	}
	return out
}

// fields returns an object's JSON by field.
func fields(object any) (map[string]json.RawMessage, error) {
	b, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("encode quote: %w", err)
	}
	var out map[string]json.RawMessage
	if err := json.Unmarshal(b, &out); err != nil {
		return nil, fmt.Errorf("encode quote: %w", err)
	}
	return out, nil
}

func pick(all map[string]json.RawMessage, names []string) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for _, name := range names {
		if text, ok := all[name]; ok {
			out[name] = text
		}
	}
	return out
}
