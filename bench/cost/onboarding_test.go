package cost_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/agequote/agequote/bench/cost"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/consent"
	"github.com/agequote/agequote/internal/metrics"
	"github.com/agequote/agequote/internal/onboard"
	"github.com/agequote/agequote/internal/openapi"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/store/storetest"
	"github.com/agequote/agequote/internal/upload"
	"github.com/agequote/agequote/rules"
)

// forms gives a form without asking anybody, as S3's presigner does.
type forms struct{}

func (forms) Presign(context.Context, upload.Request) (upload.Form, error) {
	return upload.Form{URL: "https://s3.example"}, nil
}

// customer goes through the API.
type customer struct {
	*onboard.Handler
	cases, photos storetest.Asked
	asked         int // of the API
	query         map[string]string
	id, secret    string
}

func newCustomer(t *testing.T) *customer {
	t.Helper()
	api, err := onboard.LoadAPI()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := onboard.NewKeys(strings.Repeat("k", 32))
	if err != nil {
		t.Fatal(err)
	}
	book, err := rulebook.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	terms, err := consent.Current(30)
	if err != nil {
		t.Fatal(err)
	}
	c := new(customer)
	c.Handler = &onboard.Handler{
		API: api, Keys: keys, Cases: &c.cases, Photos: &c.photos, Uploads: forms{}, Book: book, Consent: terms,
		Metrics: &metrics.Recorder{Out: io.Discard, Now: time.Now}, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}
	return c
}

// ask sends a request and reads the answer.
func (c *customer) ask(t *testing.T, route, body string, answer any) {
	t.Helper()
	c.asked++
	out, err := c.Handle(t.Context(), openapi.Event{
		RouteKey: route, Body: body, PathParameters: map[string]string{"case": c.id}, QueryStringParameters: c.query,
		Headers: map[string]string{"authorization": "Bearer " + c.secret, "content-type": "application/json", "idempotency-key": strings.Repeat("i", 32)},
	})
	if err != nil || out.StatusCode >= http.StatusBadRequest {
		t.Fatalf("%s: %d %s, %v", route, out.StatusCode, out.Body, err)
	}
	if err := json.Unmarshal([]byte(out.Body), answer); err != nil {
		t.Fatal(err)
	}
}

// finds asks how it stands with the photo that was sent, as the page does.
func (c *customer) finds(t *testing.T, want onboard.State) {
	t.Helper()
	c.query = map[string]string{"photo": "1"}
	defer func() { c.query = nil }()
	var got struct{ State onboard.State }
	if c.ask(t, "GET /applications/{case}", "", &got); got.State != want {
		t.Errorf("state %q, want %q", got.State, want)
	}
}

// TestOnboarding counts what one customer's way through the API asks of S3.
func TestOnboarding(t *testing.T) {
	c := newCustomer(t)
	stored := func(s *storetest.Asked, key, body string) {
		t.Helper()
		if err := s.Objects.PutIfAbsent(t.Context(), key, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	agreed, err := json.Marshal(consent.Given{Version: c.Consent.Version, Hash: c.Consent.Hash, Purpose: c.Consent.Purpose, Days: c.Consent.Days})
	if err != nil {
		t.Fatal(err)
	}
	var created struct {
		Case, Secret string
		Status       struct{ State onboard.State }
	}
	application := fmt.Sprintf(`{"facts":{"sex":"female","height_cm":168,"weight_kg":62,"tobacco":"never","sum_cents":25000000,"term_years":20,"market":"US"},"consent":%s}`, agreed)
	c.ask(t, "POST /applications", application, &created)
	c.id, c.secret = created.Case, created.Secret
	c.ask(t, "POST /applications/{case}/photos", `{"type":"image/jpeg","size":100000}`, new(any))
	stored(&c.photos, casefile.UploadKey(c.id, 1), "a selfie")
	c.finds(t, onboard.Reading)
	stored(&c.cases, casefile.EstimateKey(c.id, 1), `{"n":1,"code":"ok"}`)
	c.finds(t, onboard.Reading)
	stored(&c.cases, casefile.QuoteKey(c.id, casefile.PhotoCause(1)), `{"decision":"quote","inputs":{"application":"`+casefile.ApplicationKey(c.id, 1)+`"}}`)
	c.finds(t, onboard.Quoted)

	asked := append(c.cases.Requests(), c.photos.Requests()...)
	count := map[string]float64{}
	for _, r := range asked {
		method, _, _ := strings.Cut(r, " ")
		count[method]++
	}
	want := cost.Onboarding
	if float64(c.asked) != want.Requests || count["LIST"] != want.Lists || count["GET"] != want.Gets || count["PUT"] != 1 {
		t.Errorf("%d requests to the API make %v, want %+v and the application's PUT:\n%s", c.asked, count, want, strings.Join(asked, "\n"))
	}
	// The same request again finds the case as it stands by now.
	if c.ask(t, "POST /applications", application, &created); created.Case != c.id || created.Status.State != onboard.Quoted {
		t.Errorf("applied again: %+v, want the quoted case", created)
	}
}
