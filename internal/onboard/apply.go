package onboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/consent"
	"github.com/agequote/agequote/internal/openapi"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/store"
	"github.com/agequote/agequote/internal/underwriting"
)

// maxApplications bounds how often a customer may correct the facts.
const maxApplications = 50

// declared is the body by which facts come, and consent with them.
type declared struct {
	Facts   underwriting.Facts `json:"facts"`
	Consent *consent.Given     `json:"consent"`
}

// declared decodes and checks the body. The time of consent is ours.
func (h *Handler) declared(body []byte) (underwriting.Facts, *casefile.Consent, error) {
	var d declared
	if err := fieldNames.Decode(body, &d); err != nil {
		return d.Facts, nil, err
	}
	now := h.Now().UTC()
	if err := h.validate(d.Facts, now); err != nil {
		return d.Facts, nil, err
	}
	if d.Consent == nil {
		return d.Facts, nil, nil
	}
	agreed, err := h.Consent.Accept(*d.Consent, now)
	if err != nil {
		return d.Facts, nil, &Problem{Status: http.StatusUnprocessableEntity, Code: "consent_unknown",
			Detail: "The consent text has changed. Please read it again."}
	}
	return d.Facts, agreed, nil
}

// validate says what is wrong with the facts, all at once.
func (h *Handler) validate(f underwriting.Facts, now time.Time) error {
	var bad *underwriting.FieldsError
	if errors.As(f.Validate(now), &bad) {
		return openapi.Invalid(bad.Fields)
	}
	p, err := h.Book.Product(f.Market, f.Product, now)
	switch {
	case errors.Is(err, rulebook.ErrNoMarket):
		return openapi.Invalid(fieldNames.Errors("market", "choose one of the markets on offer"))
	case errors.Is(err, rulebook.ErrNoProduct), errors.Is(err, rulebook.ErrNotYet):
		return openapi.Invalid(fieldNames.Errors("product", "choose one of the market's products"))
	case err != nil:
		return fmt.Errorf("find product: %w", err)
	}
	// An age may follow, by a photo or by a word: quote asks for it then.
	fields := slices.DeleteFunc(p.Validate(f).Fields, func(e underwriting.FieldError) bool { return e.Field == "age" })
	if len(fields) > 0 {
		return openapi.Invalid(fields)
	}
	return nil
}

// created is the answer to a new application.
type created struct {
	Case   string     `json:"case"`
	Secret string     `json:"secret"`
	Status statusBody `json:"status"`
}

// create begins a case. Its id follows from the idempotency key, so whoever
// asks again finds it; the stored application says whether it was with the same
// words.
func (h *Handler) create(ctx context.Context, r *request) (answer, error) {
	facts, consent, err := h.declared(r.body)
	if err != nil {
		return answer{}, err
	}
	id := h.Keys.Case(r.event.Headers["idempotency-key"])
	if err := h.alive(ctx, id); err != nil {
		return answer{}, err
	}
	a := casefile.Application{
		Schema: casefile.Schema, Case: id, N: 1, Time: h.Now().UTC(), Facts: facts, Consent: consent,
		Version: h.Version, Request: h.Keys.Request(r.body), Salt: casefile.NewSalt(),
	}
	encoded, err := cases.Encode(a)
	if err != nil {
		return answer{}, err
	}
	stored, err := cases.WriteOnce[casefile.Application](ctx, h.Cases, casefile.ApplicationKey(id, 1), encoded)
	if err != nil {
		return answer{}, fmt.Errorf("write application: %w", err)
	}
	if stored.Object.Request != a.Request {
		return answer{}, &Problem{Status: http.StatusUnprocessableEntity, Code: "key_reused",
			Detail: "This idempotency key began another application."}
	}
	if quotable(stored.Object, nil, h.Now()) {
		// Asked for again at each repetition: the first may have died before
		// this line, and a quote is written once.
		if err := h.startQuote(ctx, id, 1); err != nil {
			return answer{}, err
		}
	}
	v := &caseView{id: id, application: stored.Object}
	if stored.Object.Salt != a.Salt { // not written just now: the case may have come further
		if v, err = h.look(ctx, id); err != nil {
			return answer{}, err
		}
	}
	status, err := v.body(h.Now())
	return answer{Status: http.StatusCreated, Body: created{id, h.Keys.Secret(id), status}}, err
}

// facts corrects all facts, and may add consent.
func (h *Handler) facts(ctx context.Context, r *request) (answer, error) {
	facts, consent, err := h.declared(r.body)
	if err != nil {
		return answer{}, err
	}
	return h.correct(ctx, r.id, func(a *casefile.Application) {
		a.Facts = facts
		if consent != nil {
			a.Consent = consent
		}
	})
}

// age states the age instead of a photo.
func (h *Handler) age(ctx context.Context, r *request) (answer, error) {
	var stated struct {
		BirthDate string   `json:"birth_date"`
		Age       *float64 `json:"age"`
	}
	if err := fieldNames.Decode(r.body, &stated); err != nil {
		return answer{}, err
	}
	return h.correct(ctx, r.id, func(a *casefile.Application) {
		a.Facts.BirthDate, a.Facts.Age = stated.BirthDate, stated.Age
	})
}

// correct adds an application that differs from the newest one by change, and
// starts its quote where an age is known.
func (h *Handler) correct(ctx context.Context, id string, change func(*casefile.Application)) (answer, error) {
	a, err := h.addApplication(ctx, id, change)
	if err != nil {
		return answer{}, err
	}
	// The estimate is looked for after the application is written. One that
	// comes later is quoted with this very application.
	v, err := h.look(ctx, id)
	if err != nil {
		return answer{}, err
	}
	_, stated := a.Facts.StatedAge(h.Now())
	if stated || v.lastRead() != nil {
		if err := h.startQuote(ctx, id, a.N); err != nil {
			return answer{}, err
		}
	}
	status, err := v.body(h.Now())
	return answer{Status: http.StatusOK, Body: status}, err
}

// addApplication writes the next application of a case. Two that come at the
// same time get a number each.
func (h *Handler) addApplication(ctx context.Context, id string, change func(*casefile.Application)) (casefile.Application, error) {
	for {
		latest, err := cases.LatestApplication(ctx, h.Cases, id)
		if err != nil {
			return casefile.Application{}, fmt.Errorf("read application: %w", err)
		}
		a := latest.Object
		if a.N >= maxApplications {
			return casefile.Application{}, openapi.Conflict("limit", "The facts were corrected too often. Please ask for a person.")
		}
		a.N, a.Time, a.Version = a.N+1, h.Now().UTC(), h.Version
		a.Request, a.Salt = "", casefile.NewSalt()
		change(&a)
		if err := h.validate(a.Facts, a.Time); err != nil {
			return casefile.Application{}, err
		}
		encoded, err := cases.Encode(a)
		if err != nil {
			return casefile.Application{}, err
		}
		err = h.Cases.PutIfAbsent(ctx, casefile.ApplicationKey(id, a.N), encoded)
		if errors.Is(err, store.ErrExists) {
			continue
		}
		if err != nil {
			return casefile.Application{}, fmt.Errorf("write application: %w", err)
		}
		return a, nil
	}
}

// startQuote has the newest facts quoted, without waiting for it.
func (h *Handler) startQuote(ctx context.Context, id string, n int) error {
	e, err := json.Marshal(struct {
		Schema int    `json:"schema"`
		Case   string `json:"case"`
		Cause  string `json:"cause"`
	}{casefile.Schema, id, casefile.FactsCause(n)})
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	if err := h.Quote.InvokeAsync(ctx, h.QuoteFunction, e); err != nil {
		return fmt.Errorf("start quote: %w", err)
	}
	return nil
}
