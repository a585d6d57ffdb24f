// Package onboard is the HTTP API by which a customer applies, agrees that a
// photo is read, sends it and gets a quote or a person. Handler answers the
// events of an API Gateway HTTP API; openapi.yaml says what it takes and gives.
// It reads no photo, decides nothing and prices nothing: it writes what the
// customer declares, starts others, and tells where the case stands from what
// is stored.
package onboard

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/consent"
	"github.com/agequote/agequote/internal/erasure"
	"github.com/agequote/agequote/internal/metrics"
	"github.com/agequote/agequote/internal/openapi"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/upload"
)

// What we need of others, no more.
type (
	caseStore interface {
		Get(ctx context.Context, key string, limit int64) ([]byte, error)
		List(ctx context.Context, prefix string) ([]string, error)
		PutIfAbsent(ctx context.Context, key string, body []byte) error
	}
	photoLister interface {
		List(ctx context.Context, prefix string) ([]string, error)
	}
	presigner interface {
		Presign(ctx context.Context, r upload.Request) (upload.Form, error)
	}
	starter interface {
		InvokeAsync(ctx context.Context, function string, event []byte) error
	}
	// eraser removes what is personal of a case, again without harm:
	// *erasure.HeldError, store.ErrNotFound.
	eraser interface {
		Erase(ctx context.Context, id, by, why string) (erasure.Receipt, error)
	}
	recorder interface {
		Record(dimensions map[string]string, values ...metrics.Value)
	}
)

// Handler answers requests. Its fields are set by functions/onboard/main.go or
// a test.
type Handler struct {
	API     *openapi.API // what is taken and given
	Keys    Keys         // of cases and their secrets
	Cases   caseStore
	Photos  photoLister // the uploads bucket
	Uploads presigner   // forms for it
	Quote   starter
	// QuoteFunction is the name of the function that quotes.
	QuoteFunction string
	Eraser        eraser
	Letter        func(q *casefile.Quote, language string) (string, error)
	Book          *rulebook.Book
	Consent       consent.Terms // in force
	// Page returns a file of the page by its path under /page/, "" being the
	// page itself; PageHeaders go with each.
	Page        func(path string) (openapi.Asset, bool)
	PageHeaders map[string]string
	Metrics     recorder
	Version     string // code version, for the stored objects
	Now         func() time.Time
	Log         *slog.Logger
}

// The shapes of package openapi.
type (
	event    = openapi.Event
	response = openapi.Response
	answer   = openapi.Answer
	// Problem is an error for the customer.
	Problem = openapi.Problem
)

// request is an event that was let in and checked.
type request struct {
	event *event
	id    string // of the case; empty where there is none
	body  []byte // JSON that fits the operation's schema
}

// operation is what a route does.
type operation func(h *Handler, ctx context.Context, r *request) (answer, error)

// operations are all routes by API Gateway's route key. A test holds them to
// openapi.yaml and template.yaml.
var operations = map[string]operation{
	"GET /":                                (*Handler).page,
	"GET /page/{file+}":                    (*Handler).page,
	"GET /terms":                           (*Handler).terms,
	"POST /applications":                   (*Handler).create,
	"GET /applications/{case}":             (*Handler).status,
	"DELETE /applications/{case}":          (*Handler).erase,
	"POST /applications/{case}/photos":     (*Handler).photo,
	"POST /applications/{case}/age":        (*Handler).age,
	"POST /applications/{case}/facts":      (*Handler).facts,
	"POST /applications/{case}/person":     (*Handler).person,
	"POST /applications/{case}/complaints": (*Handler).complain,
	"GET /applications/{case}/letter":      (*Handler).letter,
}

// Handle answers one request. It returns no error: what goes wrong is an
// answer too.
func (h *Handler) Handle(ctx context.Context, e event) (response, error) {
	started := h.Now()
	a, err := h.serve(ctx, &e)
	if err != nil {
		p := openapi.ProblemOf(err)
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
	h.Metrics.Record(map[string]string{"Route": e.RouteKey},
		metrics.Value{Name: "Requests", Unit: metrics.Count, V: 1},
		metrics.Value{Name: "RequestDuration", Unit: metrics.Milliseconds, V: float64(took)})
	return out, nil
}

// serve lets the request in, checks it and runs its operation. A panic is an
// error like any other: the next customer gets an answer.
func (h *Handler) serve(ctx context.Context, e *event) (_ answer, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %v\n%s", openapi.ErrPanic, v, debug.Stack())
		}
	}()
	run, ok := operations[e.RouteKey]
	if !ok {
		return answer{}, openapi.NotFound()
	}
	spec := h.API.Operation(e.RouteKey)
	r := &request{event: e}
	if spec.Secured {
		// Before anything is looked at, and in the same words for a case that
		// does not exist, so that nobody learns which do.
		id := e.PathParameters["case"]
		if !h.Keys.Allows(id, bearer(e)) {
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
	// Erasing again gives the same receipt, and ends what broke off.
	if r.id != "" && e.RouteKey != "DELETE /applications/{case}" {
		if err := h.alive(ctx, r.id); err != nil {
			return answer{}, err
		}
	}
	return run(h, ctx, r)
}

// alive is a problem for a case that was deleted.
func (h *Handler) alive(ctx context.Context, id string) error {
	there, err := cases.Exists(ctx, h.Cases, casefile.DeletedKey(id))
	if err != nil {
		return fmt.Errorf("look for tombstone: %w", err)
	}
	if there {
		return errDeleted
	}
	return nil
}

var errDeleted = &Problem{Status: http.StatusGone, Code: "deleted", Detail: "This application was deleted."}

// bearer returns the request's secret, "" where it brings none.
func bearer(e *event) string {
	scheme, secret, ok := strings.Cut(e.Headers["authorization"], " ")
	if !ok || !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return secret
}
