package review

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/audit"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	quoteevent "github.com/agequote/agequote/internal/event"
	"github.com/agequote/agequote/internal/local/samtemplate"
	"github.com/agequote/agequote/internal/metrics"
	"github.com/agequote/agequote/internal/openapi"
	"github.com/agequote/agequote/internal/quote"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/store"
	"github.com/agequote/agequote/internal/underwriting"
	"github.com/agequote/agequote/rules"
)

// office is a review API over a store in memory, with the quote function behind
// it.
type office struct {
	*Handler
	store  *store.Memory
	heads  *store.Memory
	photos *store.Memory
	quotes *quote.Handler
	seal   *audit.Sealer
	mu     sync.Mutex
	now    time.Time
}

// views gives addresses without S3.
type views struct{}

func (views) View(_ context.Context, key, version string, life time.Duration) (string, time.Time, error) {
	return "https://photos.example/" + key + "?version=" + version, time.Time{}.Add(life), nil
}

// InvokeAsync is the quote function, at once.
func (o *office) InvokeAsync(ctx context.Context, _ string, e []byte) error {
	var q quoteevent.Quote
	if err := json.Unmarshal(e, &q); err != nil {
		return err
	}
	_, err := o.quotes.Handle(ctx, q)
	return err
}

type noMetrics struct{}

func (noMetrics) Record(map[string]string, ...metrics.Value) {}

// tick is the clock: a second later each time it is looked at.
func (o *office) tick() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now = o.now.Add(time.Second)
	return o.now
}

func (o *office) pass(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now = o.now.Add(d)
}

func newOffice(t testing.TB) *office {
	t.Helper()
	o := &office{store: &store.Memory{}, heads: &store.Memory{}, photos: &store.Memory{}, now: time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)}
	api, err := LoadAPI()
	if err != nil {
		t.Fatal(err)
	}
	limits, err := LoadLimits()
	if err != nil {
		t.Fatal(err)
	}
	book, err := rulebook.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	o.seal = &audit.Sealer{Cases: o.store, Heads: o.heads, Version: "test", Now: o.tick}
	o.quotes = &quote.Handler{Cases: o.store, Book: book, Metrics: noMetrics{}, Version: "test", Now: o.tick, Log: log, Seal: o.seal}
	o.Handler = &Handler{
		API: api, RoleClaim: "roles", Cases: o.store, Photos: o.photos, Views: views{}, Quote: o, QuoteFunction: "quote",
		Book: book, Limits: limits, Seal: o.seal, Heads: o.heads, Metrics: noMetrics{}, Version: "test", Now: o.tick, Log: log,
	}
	return o
}

func put(t testing.TB, s *store.Memory, key string, object any) {
	t.Helper()
	body, err := cases.Encode(object)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutIfAbsent(t.Context(), key, body); err != nil {
		t.Fatal(err)
	}
}

// facts of a woman of 60 who wants 250,000 dollars.
func facts(age float64) underwriting.Facts {
	return underwriting.Facts{Sex: "female", HeightCM: 168, WeightKG: 62, Tobacco: "never", SumCents: 25_000_000, TermYears: 20, Market: "US", Age: &age}
}

// apply makes a case with a photo of somebody of 30.0 years, 22 to 38, and
// quotes it.
func (o *office) apply(t testing.TB, id string, f underwriting.Facts) {
	t.Helper()
	put(t, o.store, casefile.ApplicationKey(id, 1), casefile.Application{
		Schema: 1, Case: id, N: 1, Time: o.tick(), Facts: f, Salt: casefile.NewSalt(),
		Consent: &casefile.Consent{Version: "1", Time: o.now, Purpose: "age", Days: 30},
	})
	key := casefile.UploadKey(id, 1)
	if err := o.photos.PutIfAbsent(t.Context(), key, []byte("photo")); err != nil {
		t.Fatal(err)
	}
	point, low, high, coverage := 30.0, 22.0, 38.0, 0.9
	distribution := make(age.Distribution, 101)
	distribution[30] = 1
	put(t, o.store, casefile.EstimateKey(id, 1), casefile.Estimate{
		Schema: 1, Case: id, N: 1, Code: reason.OK, Time: o.tick(), Source: casefile.Source{Bucket: "uploads", Key: key, Version: "v1"},
		Application: casefile.ApplicationKey(id, 1), Photo: "sha256:photo", Model: "sha256:model",
		Estimate: age.Estimate{Age: &point, Mean: &point, Low: &low, High: &high, Coverage: &coverage, Distribution: distribution},
	})
	o.quote(t, id, casefile.PhotoCause(1))
}

func (o *office) quote(t testing.TB, id, cause string) {
	t.Helper()
	if _, err := o.quotes.Handle(t.Context(), quoteevent.Quote{Cases: []quoteevent.Cause{{Case: id, Cause: cause, Code: reason.OK}}}); err != nil {
		t.Fatal(err)
	}
}

// reply is what the API said.
type reply struct {
	status int
	body   []byte
}

func (r reply) into(t testing.TB, want int, v any) {
	t.Helper()
	if r.status != want {
		t.Fatalf("answered %d %s, want %d", r.status, r.body, want)
	}
	if v == nil {
		return
	}
	if err := json.Unmarshal(r.body, v); err != nil {
		t.Fatal(err)
	}
}

// problem returns the code of a problem.
func (r reply) problem(t testing.TB) string {
	t.Helper()
	var p openapi.Problem
	if err := json.Unmarshal(r.body, &p); err != nil {
		t.Fatalf("answered %d %s: no problem", r.status, r.body)
	}
	return fmt.Sprint(r.status, " ", p.Code)
}

// ask sends a request as API Gateway would, as "anna/underwriter".
func (o *office) ask(t testing.TB, who, route, id string, body any, query ...string) reply {
	t.Helper()
	e := event{RouteKey: route, Headers: map[string]string{}, PathParameters: map[string]string{}, QueryStringParameters: map[string]string{}}
	for i := 0; i+1 < len(query); i += 2 {
		e.QueryStringParameters[query[i]] = query[i+1]
	}
	if id != "" {
		e.PathParameters["case"] = id
	}
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		e.Body, e.Headers["content-type"] = string(b), "application/json"
	}
	if who != "" {
		at := strings.LastIndex(who, "/")
		name, role := who[:at], who[at+1:]
		e.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
			JWT: &events.APIGatewayV2HTTPRequestContextAuthorizerJWTDescription{Claims: map[string]string{"sub": name, "roles": role}},
		}
	}
	out, err := o.Handle(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	return reply{out.StatusCode, []byte(out.Body)}
}

const (
	anna = "anna/underwriter"
	ben  = "ben/underwriter"
	sam  = "sam/senior"
	tess = "tess/senior"
	ada  = "ada/auditor"
)

func (o *office) look(t testing.TB, who, id string) caseBody {
	t.Helper()
	var b caseBody
	o.ask(t, who, "GET /cases/{case}", id, nil).into(t, http.StatusOK, &b)
	return b
}

func (o *office) take(t testing.TB, who, id string) {
	t.Helper()
	o.ask(t, who, "POST /cases/{case}/reservation", id, nil).into(t, http.StatusOK, nil)
}

// decide decides on what stands, with more fields of the body.
func (o *office) decideOn(t testing.TB, who, id, action string, more map[string]any) reply {
	t.Helper()
	seen := o.look(t, who, id)
	body := map[string]any{"action": action, "quote": seen.QuoteName, "n": seen.Next}
	maps.Copy(body, more)
	return o.ask(t, who, "POST /cases/{case}/decisions", id, body)
}

func (o *office) queued(t testing.TB, who string, query ...string) (ids []string, page queueBody) {
	t.Helper()
	o.ask(t, who, "GET /queue", "", nil, query...).into(t, http.StatusOK, &page)
	for _, e := range page.Cases {
		ids = append(ids, e.Case)
	}
	return ids, page
}

func (o *office) markers(t testing.TB) []string {
	t.Helper()
	keys, err := o.store.List(t.Context(), "queue/")
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func why(reason string) map[string]any {
	return map[string]any{"reason": reason, "text": "see the file"}
}

func TestOperationsAreDescribed(t *testing.T) {
	api, err := LoadAPI()
	if err != nil {
		t.Fatal(err)
	}
	var served []string
	for key, op := range operations {
		described := strings.Replace(key, "+}", "}", 1)
		served = append(served, described)
		if o := api.Operation(key); o != nil && o.Secured != (op.need != "") {
			t.Errorf("%s: a token is asked for in one place alone", key)
		}
	}
	slices.Sort(served)
	if diff := cmp.Diff(api.Routes(), served); diff != "" {
		t.Errorf("routes (-openapi.yaml +served)\n%s", diff)
	}
}

// TestOperationsAreDeployed holds the routes to template.yaml, both ways, and
// what needs no token to what needs no role.
func TestOperationsAreDeployed(t *testing.T) {
	template, err := samtemplate.Read("../../template.yaml", samtemplate.Options{
		StackName: "agequote", Region: "eu-central-1", Account: "000000000000",
		Parameters: map[string]string{"ReviewIssuer": "https://issuer.example", "ReviewAudience": "a", "ReviewClientId": "c"},
	})
	if err != nil {
		t.Fatal(err)
	}
	deployed, served := map[string]bool{}, map[string]bool{}
	for _, f := range template.Functions {
		for _, e := range f.HTTPEvents {
			if e.API == "ReviewApi" {
				deployed[e.Method+" "+e.Path] = e.Authorizer != ""
			}
		}
	}
	for key, op := range operations {
		served[key] = op.need != ""
	}
	if diff := cmp.Diff(deployed, served); diff != "" {
		t.Errorf("routes, and whether they ask for a token (-template.yaml +served)\n%s", diff)
	}
}

// TestRoles tries every route with every role, and without one.
func TestRoles(t *testing.T) {
	o := newOffice(t)
	o.apply(t, "case-0001", facts(60))
	body := map[string]any{
		"POST /cases/{case}/photo":     map[string]int{"n": 1},
		"POST /cases/{case}/decisions": map[string]any{"action": "proof_of_age", "quote": "x", "n": 9},
	}
	for route, op := range operations {
		for _, who := range []string{"", "eve/", "eve/[underwriter senior]", "eve/admin", anna, sam, ada} {
			got := o.ask(t, who, route, "case-0001", body[route])
			_, name, _ := strings.Cut(who, "/")
			let := op.need == "" || Role(name).May(op.need)
			if refused := got.status == http.StatusUnauthorized || got.status == http.StatusForbidden; refused == let {
				t.Errorf("%s as %q = %d %s", route, who, got.status, got.body)
			}
		}
	}
}

// TestAccept goes the short way: take, accept, and the customer's quote stands
// at the premium that the rules came to.
func TestAccept(t *testing.T) {
	o := newOffice(t)
	o.apply(t, "case-0001", facts(60))
	ids, page := o.queued(t, anna)
	if diff := cmp.Diff([]string{"case-0001"}, ids); diff != "" {
		t.Fatal(diff)
	}
	if e := page.Cases[0]; e.State != "refer" || !slices.Equal(e.Reasons, []string{"age_contradicts"}) || *e.Age != 30 || e.Currency != "USD" || page.Open["refer"] != 1 {
		t.Errorf("the queue shows %+v, %v", e, page.Open)
	}
	if got := o.decideOn(t, anna, "case-0001", "accept", nil).problem(t); got != "409 not_taken" {
		t.Errorf("deciding without taking: %s", got)
	}
	o.take(t, anna, "case-0001")
	o.ask(t, anna, "POST /cases/{case}/photo", "case-0001", map[string]int{"n": 1}).into(t, http.StatusOK, nil)
	before := o.look(t, anna, "case-0001")
	if before.Reservation.By != "anna" || !slices.Contains(before.May, casefile.Accept) || len(before.NeedsConfirmation) > 0 {
		t.Errorf("the case shows %+v", before)
	}
	var made struct{ Decision casefile.Decision }
	o.decideOn(t, anna, "case-0001", "accept", nil).into(t, http.StatusCreated, &made)
	d := made.Decision
	if d.By != "anna" || !d.Opened || d.Seconds < 1 || d.After.Decision != underwriting.Quote || d.Before.Decision != underwriting.Refer {
		t.Errorf("stored %+v", d)
	}

	after := o.look(t, anna, "case-0001")
	q := after.Quote
	if q.Cause != "decision-0001" || q.Decision != underwriting.Quote || *q.GrossAnnualCents != *before.Quote.GrossAnnualCents ||
		*q.Replaces != before.QuoteName || q.Hashes.Decision == "" || q.Principal[0] != underwriting.UnderwriterAccepted {
		t.Errorf("quote %+v", q)
	}
	if after.State != stateClosed || len(after.May) > 0 {
		t.Errorf("after it the case is %s, may %v", after.State, after.May)
	}
	if left := o.markers(t); len(left) > 0 {
		t.Errorf("markers left: %v", left)
	}
	var r audit.Report
	o.ask(t, ada, "GET /cases/{case}/audit", "case-0001", nil).into(t, http.StatusOK, &r)
	if !r.OK || r.Heads != 2 { // the decision, and its quote
		t.Errorf("audit %+v", r)
	}
}

// TestActions decides in each way, and looks at what stands then.
func TestActions(t *testing.T) {
	thirty := 30
	for _, tt := range []struct {
		name, action string
		more         map[string]any
		problem      string
		decision     underwriting.Decision // of the newest quote
		class        string
		age          int
		state        string
	}{
		{name: "accept", action: "accept", decision: "quote", class: "Preferred Plus", age: 60, state: stateClosed},
		{name: "change age", action: "change", more: map[string]any{"change": map[string]any{"price_age": thirty}, "reason": "age_proven", "text": "passport"},
			decision: "quote", class: "Preferred Plus", age: 30, state: stateClosed},
		{name: "change class", action: "change", more: map[string]any{"change": map[string]any{"class": "Standard"}, "reason": "hazard_reviewed", "text": "dives"},
			decision: "quote", class: "Standard", age: 60, state: stateClosed},
		{name: "no reason", action: "change", more: map[string]any{"change": map[string]any{"class": "Standard"}}, problem: "422 invalid"},
		{name: "reason without text", action: "change", more: map[string]any{"change": map[string]any{"class": "Standard"}, "reason": "rule_unfit", "text": "  "}, problem: "422 invalid"},
		{name: "change of nothing", action: "change", more: why("rule_unfit"), problem: "422 invalid"},
		{name: "no such class", action: "change", more: map[string]any{"change": map[string]any{"class": "Gold"}, "reason": "rule_unfit", "text": "x"}, problem: "422 invalid"},
		{name: "age past the limit", action: "change", more: map[string]any{"change": map[string]any{"price_age": 80}, "reason": "age_proven", "text": "x"}, problem: "422 invalid"},
		{name: "rating", action: "change", more: map[string]any{"change": map[string]any{"rating": "B"}, "reason": "evidence_reviewed", "text": "x"},
			decision: "quote", class: "Preferred Plus", age: 60, state: stateClosed},
		{name: "rating past the authority", action: "change", more: map[string]any{"change": map[string]any{"rating": "H"}, "reason": "evidence_reviewed", "text": "x"}, problem: "403 authority"},
		{name: "postpone", action: "postpone", more: map[string]any{"postpone_months": 6, "reason": "evidence_missing", "text": "x"}, decision: "postpone", state: stateClosed},
		{name: "postpone for no time", action: "postpone", more: why("evidence_missing"), problem: "422 invalid"},
		{name: "decline", action: "decline", more: why("evidence_reviewed"), decision: "decline", state: stateClosed},
		{name: "decline, never asked for proof", action: "decline", more: why("age_unproven"), problem: "422 invalid"},
		{name: "decline for the photo", action: "decline", more: why("age_contradicts"), problem: "422 invalid"},
		{name: "another photo", action: "another_photo", decision: "refer", class: "Preferred Plus", age: 60, state: stateCustomer},
		{name: "proof of age", action: "proof_of_age", decision: "refer", class: "Preferred Plus", age: 60, state: stateCustomer},
		{name: "evidence", action: "evidence", decision: "refer", class: "Preferred Plus", age: 60, state: stateCustomer},
		{name: "confirm nothing", action: "confirm", problem: "403 role"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOffice(t)
			o.apply(t, "case-0001", facts(60))
			o.take(t, anna, "case-0001")
			got := o.decideOn(t, anna, "case-0001", tt.action, tt.more)
			if tt.problem != "" {
				if got := got.problem(t); got != tt.problem {
					t.Errorf("answered %s, want %s", got, tt.problem)
				}
				if keys, _ := o.store.List(t.Context(), casefile.DecisionsPrefix("case-0001")); len(keys) > 0 {
					t.Errorf("stored %v", keys)
				}
				return
			}
			got.into(t, http.StatusCreated, nil)
			b := o.look(t, anna, "case-0001")
			if b.Quote.Decision != tt.decision || b.State != tt.state {
				t.Errorf("quote %s, state %s", b.Quote.Decision, b.State)
			}
			refused := tt.decision == "postpone" || tt.decision == "decline"
			if priced := b.Quote.GrossAnnualCents != nil; priced == refused {
				t.Errorf("a %s has price %v", tt.decision, b.Quote.GrossAnnualCents)
			}
			if !refused && (b.Quote.Class != tt.class || b.Quote.Basis.PriceAge != tt.age) {
				t.Errorf("class %s, age %d, want %s, %d", b.Quote.Class, b.Quote.Basis.PriceAge, tt.class, tt.age)
			}
			if left := o.markers(t); len(left) > 0 {
				t.Errorf("markers left: %v", left)
			}
			var r audit.Report
			o.ask(t, ada, "GET /cases/{case}/audit", "case-0001", nil).into(t, http.StatusOK, &r)
			if !r.OK {
				t.Errorf("audit %+v", r)
			}
		})
	}
}
