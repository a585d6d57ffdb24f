// Package onboard is the HTTP API by which a customer applies, agrees that a
// photo is read, sends it and gets a quote or a person. Handler answers the
// events of an API Gateway HTTP API; openapi.yaml says what it takes and gives.
// It reads no photo, decides nothing and prices nothing: it writes what the
// customer declares, starts others, and tells where the case stands from what
// is stored.
package onboard

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/consent"
	"github.com/agequote/agequote/internal/erasure"
	"github.com/agequote/agequote/internal/metrics"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/upload"
)

// MaxBody bounds the body of a request, in bytes. The largest is a complaint.
const MaxBody = 32 << 10

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

// Asset is one file of the page.
type Asset struct {
	Body []byte
	Type string // media type
	ETag string // quoted
}

// Handler answers requests. Its fields are set by functions/onboard/main.go or
// a test.
type Handler struct {
	API     *API // what is taken and given
	Keys    Keys // of cases and their secrets
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
	Page        func(path string) (Asset, bool)
	PageHeaders map[string]string
	Metrics     recorder
	Version     string // code version, for the stored objects
	Now         func() time.Time
	Log         *slog.Logger
}

// The shapes of an HTTP API's event and answer, payload format 2.0.
type (
	event    = events.APIGatewayV2HTTPRequest
	response = events.APIGatewayV2HTTPResponse
)

// request is an event that was let in and checked.
type request struct {
	event *event
	id    string // of the case; empty where there is none
	body  []byte // JSON that fits the operation's schema
}

// answer is what an operation says; JSON but for a page's file and a letter.
type answer struct {
	status  int
	body    any // []byte as it is, else JSON
	media   string
	headers map[string]string
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
		p := problemOf(err)
		a = p.answer()
		if p.Status >= http.StatusInternalServerError {
			h.Log.ErrorContext(ctx, "request failed", "route", e.RouteKey, "err", err)
		}
	}
	out, err := a.response()
	if err != nil { // a programming error; the type is ours
		h.Log.ErrorContext(ctx, "encode answer", "route", e.RouteKey, "err", err)
		out, _ = internalError().answer().response()
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
			err = fmt.Errorf("%w: %v\n%s", errPanic, v, debug.Stack())
		}
	}()
	run, ok := operations[e.RouteKey]
	if !ok {
		return answer{}, notFound()
	}
	spec := h.API.operation(e.RouteKey)
	r := &request{event: e}
	if spec.secured {
		// Before anything is looked at, and in the same words for a case that
		// does not exist, so that nobody learns which do.
		id := e.PathParameters["case"]
		if !h.Keys.Allows(id, bearer(e)) {
			return answer{}, notFound()
		}
		r.id = id
	}
	if r.body, err = body(e, spec); err != nil {
		return answer{}, err
	}
	if bad := spec.check(e, r.body); len(bad) > 0 {
		return answer{}, invalid(bad)
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

// body returns the request's body where the operation takes one.
func body(e *event, spec *apiOperation) ([]byte, error) {
	if spec.body == nil {
		return nil, nil
	}
	media, _, err := mime.ParseMediaType(e.Headers["content-type"])
	if err != nil || media != "application/json" {
		return nil, &Problem{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media", Detail: "Send the body as application/json."}
	}
	b := []byte(e.Body)
	if e.IsBase64Encoded {
		if len(b) > base64.StdEncoding.EncodedLen(MaxBody) {
			return nil, tooLarge()
		}
		if b, err = base64.StdEncoding.DecodeString(e.Body); err != nil {
			return nil, malformed()
		}
	}
	if len(b) > MaxBody {
		return nil, tooLarge()
	}
	if !json.Valid(b) {
		return nil, malformed()
	}
	return b, nil
}

// response puts the answer into API Gateway's shape. Nothing but the page may
// be kept by a browser or anything on the way.
func (a answer) response() (response, error) {
	out := response{StatusCode: a.status, Headers: map[string]string{
		"Cache-Control":          "no-store",
		"X-Content-Type-Options": "nosniff",
		"Referrer-Policy":        "no-referrer",
	}}
	media := a.media
	switch b := a.body.(type) {
	case nil:
	case []byte:
		out.Body = string(b)
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			return response{}, fmt.Errorf("encode answer: %w", err)
		}
		out.Body = string(encoded)
		if media == "" {
			media = "application/json"
		}
	}
	if media != "" {
		out.Headers["Content-Type"] = media
	}
	for name, text := range a.headers {
		out.Headers[name] = text
	}
	return out, nil
}

// decode reads a body that fits its schema into a type of ours. The schema
// takes 20.0 for a whole number, Go does not.
func decode(b []byte, into any) error {
	if err := json.Unmarshal(b, into); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return invalid(fieldErrors(wrong.Field, "write whole numbers without a point or an exponent"))
		}
		return malformed()
	}
	return nil
}
