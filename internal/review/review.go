// Package review is the HTTP API by which underwriters work: a queue of cases
// that wait for a person, a case with all that is stored of it, and decisions,
// each an object that is written once and chained to the one before. Handler
// answers the events of an API Gateway HTTP API whose authorizer has checked
// the token; openapi.yaml says what it takes and gives. It prices nothing that
// is quoted: the quote function does, from the decision as stored.
package review

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/metrics"
	"github.com/agequote/agequote/internal/openapi"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/store"
)

//go:embed openapi.yaml
var openAPI []byte

// LoadAPI reads the embedded openapi.yaml.
func LoadAPI() (*openapi.API, error) { return openapi.Load(openAPI, openapi.Fields{Trim: "change."}) }

// What we need of others, no more.
type (
	caseStore interface {
		markerStore
		List(ctx context.Context, prefix string) ([]string, error)
		ListAfter(ctx context.Context, prefix, after string, limit int) ([]string, error)
	}
	photoLister interface {
		List(ctx context.Context, prefix string) ([]string, error)
	}
	presigner interface {
		View(ctx context.Context, key, version string, life time.Duration) (address string, expires time.Time, err error)
	}
	starter interface {
		InvokeAsync(ctx context.Context, function string, event []byte) error
	}
	// sealer keeps the hashes of a case's objects where they cannot be changed.
	sealer interface {
		Seal(ctx context.Context, id string) error
	}
	headReader interface {
		Get(ctx context.Context, key string, limit int64) ([]byte, error)
		List(ctx context.Context, prefix string) ([]string, error)
	}
	recorder interface {
		Record(dimensions map[string]string, values ...metrics.Value)
	}
)

// SignIn is what the page needs to let people sign in.
type SignIn struct {
	Issuer   string `json:"issuer"`
	ClientID string `json:"client_id"`
	Audience string `json:"audience"`
	Scope    string `json:"scope"`
}

// Handler answers requests. Its fields are set by functions/review/main.go or a
// test.
type Handler struct {
	API           *openapi.API
	RoleClaim     string // claim of the token that holds the role
	SignIn        SignIn
	Cases         caseStore
	Photos        photoLister // the uploads bucket
	Views         presigner   // addresses in it
	Quote         starter
	QuoteFunction string // name of the function that quotes
	Book          *rulebook.Book
	Limits        *Limits
	Seal          sealer
	Heads         headReader // the audit bucket
	// Page returns a file of the page by its path under /page/, "" being the
	// page itself; PageHeaders go with each. Nil: there is no page.
	Page        func(path string) (openapi.Asset, bool)
	PageHeaders map[string]string
	Metrics     recorder
	Version     string // code version, for the stored objects
	Now         func() time.Time
	Log         *slog.Logger
}

type (
	event    = openapi.Event
	response = openapi.Response
	answer   = openapi.Answer
)

// request is an event that was let in and checked.
type request struct {
	event *event
	spec  *openapi.Operation
	who   Identity
	id    string // of the case; empty where there is none
	body  []byte // JSON that fits the operation's schema
}

// operation is what a route does, and what it takes to be let in.
type operation struct {
	run  func(h *Handler, ctx context.Context, r *request) (answer, error)
	need Permission // empty: anybody
}

// operations are all routes by API Gateway's route key. A test holds them to
// openapi.yaml and template.yaml.
var operations = map[string]operation{
	"GET /":                            {(*Handler).page, ""},
	"GET /page/{file+}":                {(*Handler).page, ""},
	"GET /settings":                    {(*Handler).settings, ""},
	"GET /me":                          {(*Handler).me, ReadCases},
	"GET /reasons":                     {(*Handler).reasons, ReadCases},
	"GET /queue":                       {(*Handler).queue, ReadCases},
	"GET /agreement":                   {(*Handler).agreement, ReadCases},
	"GET /cases/{case}":                {(*Handler).show, ReadCases},
	"GET /cases/{case}/audit":          {(*Handler).audit, Verify},
	"POST /cases/{case}/reservation":   {(*Handler).take, Take},
	"DELETE /cases/{case}/reservation": {(*Handler).release, Take},
	"POST /cases/{case}/photo":         {(*Handler).photo, OpenPhoto},
	"POST /cases/{case}/decisions":     {(*Handler).decide, Decide},
}

// Handle answers one request. It returns no error: what goes wrong is an answer
// too.
func (h *Handler) Handle(ctx context.Context, e event) (response, error) {
	started := h.Now()
	a, err := h.serve(ctx, &e)
	if err != nil {
		p := problemOf(err)
		a = p.Answer()
		if p.Status >= http.StatusInternalServerError {
			h.Log.ErrorContext(ctx, "request failed", "route", e.RouteKey, "err", err)
		}
	}
	out, err := a.Response()
	if err != nil { // a programming error; the type is ours
		h.Log.ErrorContext(ctx, "encode answer", "route", e.RouteKey, "err", err)
		out, _ = openapi.Internal().Answer().Response()
	}
	took := h.Now().Sub(started).Milliseconds()
	// Neither the case nor anything that was sent: the log holds no personal data.
	h.Log.InfoContext(ctx, "request", "route", e.RouteKey, "status", out.StatusCode, "ms", took)
	h.Metrics.Record(map[string]string{"Route": "review " + e.RouteKey},
		metrics.Value{Name: "Requests", Unit: metrics.Count, V: 1},
		metrics.Value{Name: "RequestDuration", Unit: metrics.Milliseconds, V: float64(took)})
	return out, nil
}

// problemOf returns what is told of an error.
func problemOf(err error) *openapi.Problem {
	var out *NoEntry
	switch {
	case errors.As(err, &out):
		return &openapi.Problem{Status: out.Status, Code: out.Code, Detail: out.Message}
	case errors.Is(err, cases.ErrErased):
		return &openapi.Problem{Status: http.StatusGone, Code: "deleted", Detail: "This application was deleted at the customer's request, or its time was over."}
	case errors.Is(err, ErrNoCase):
		return openapi.NotFound()
	}
	return openapi.ProblemOf(err)
}

// noCase turns a store's word that nothing stands into that of this package.
func noCase(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return ErrNoCase
	}
	return err
}

// serve lets the request in, checks it and runs its operation. A panic is an
// error like any other: the next request gets an answer.
func (h *Handler) serve(ctx context.Context, e *event) (_ answer, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %v\n%s", openapi.ErrPanic, v, debug.Stack())
		}
	}()
	op, ok := operations[e.RouteKey]
	if !ok {
		return answer{}, openapi.NotFound()
	}
	spec := h.API.Operation(e.RouteKey)
	r := &request{event: e, spec: spec}
	if op.need != "" {
		if r.who, err = IdentityOf(e, h.RoleClaim); err != nil {
			return answer{}, err
		}
		if !r.who.Role.May(op.need) {
			return answer{}, &openapi.Problem{Status: http.StatusForbidden, Code: "role", Detail: "Your role may not do this."}
		}
	}
	if id, ok := e.PathParameters["case"]; ok {
		if !casefile.ValidID(id) {
			return answer{}, openapi.NotFound()
		}
		r.id = id
	}
	if r.body, err = spec.Body(e); err != nil {
		return answer{}, err
	}
	if bad := spec.Check(e, r.body); len(bad) > 0 {
		return answer{}, openapi.Invalid(bad)
	}
	return op.run(h, ctx, r)
}

// page answers with a file of the page.
func (h *Handler) page(_ context.Context, r *request) (answer, error) {
	if h.Page == nil {
		return answer{}, openapi.NotFound()
	}
	file, ok := h.Page(r.event.PathParameters["file"])
	if !ok {
		return answer{}, openapi.NotFound()
	}
	return file.Answer(r.event, h.PageHeaders), nil
}

// settings tells the page where to sign in.
func (h *Handler) settings(context.Context, *request) (answer, error) {
	return answer{Status: http.StatusOK, Body: h.SignIn}, nil
}

// me tells who asks, and how far their authority goes.
func (h *Handler) me(_ context.Context, r *request) (answer, error) {
	return answer{Status: http.StatusOK, Body: struct {
		Subject   string           `json:"sub"`
		Role      Role             `json:"role"`
		Authority map[string]int64 `json:"authority_cents"`
		May       []Permission     `json:"may"`
	}{r.who.Subject, r.who.Role, h.Limits.Authority(r.who.Role), r.who.Role.Permissions()}}, nil
}
