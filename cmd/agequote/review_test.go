package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"golang.org/x/sync/errgroup"

	"github.com/agequote/agequote/internal/audit"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/s3store"
	"github.com/agequote/agequote/internal/underwriting"
)

// TestReview goes an underwriter's way on the stack: a customer asks for a
// person, an underwriter finds the case, opens the photo, sets the age, and the
// customer is shown the quote that follows.
func TestReview(t *testing.T) {
	selfie := asJPEG(t, readSample(t, "astronaut.png"))
	c := startChain(t, "SampleShare=0")
	ctx := t.Context()
	me := c.asked(t, key(1), selfie)

	person := func(name string) *customer {
		token, err := c.Token(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		return &customer{api: c.APIEndpoint("ReviewApi"), secret: token}
	}
	anna, ben, ada := person("anna"), person("ben"), person("ada")
	if a, err := (&customer{api: anna.api}).call(ctx, "GET", "/queue", nil); err != nil || a.status != http.StatusUnauthorized {
		t.Errorf("without a token the queue answers %d, %v", a.status, err)
	}

	var page struct {
		Cases []struct{ Case, State string }
	}
	if err := anna.get(ctx, http.StatusOK, &page, "GET", "/queue", nil); err != nil {
		t.Fatal(err)
	}
	if len(page.Cases) != 1 || page.Cases[0].Case != me.id || page.Cases[0].State != "asked" {
		t.Fatalf("the queue shows %+v", page.Cases)
	}
	var seen struct {
		QuoteName string `json:"quote_name"`
		Next      int
		Photo     struct{ Expired bool }
		Quote     struct {
			Gross int64 `json:"gross_annual_cents"`
		}
	}
	if err := anna.get(ctx, http.StatusOK, &seen, "GET", "/cases/"+me.id, nil); err != nil {
		t.Fatal(err)
	}
	if err := anna.get(ctx, http.StatusOK, nil, "POST", "/cases/"+me.id+"/reservation", nil); err != nil {
		t.Fatal(err)
	}
	if a, err := ben.call(ctx, "POST", "/cases/"+me.id+"/reservation", nil); err != nil || a.status != http.StatusConflict || !strings.Contains(string(a.body), `"by":"anna"`) {
		t.Errorf("a second person takes the case: %d %s, %v", a.status, a.body, err)
	}

	var view struct{ URL string }
	if err := anna.get(ctx, http.StatusOK, &view, "POST", "/cases/"+me.id+"/photo", map[string]int{"n": 1}); err != nil {
		t.Fatal(err)
	}
	photo, err := http.Get(view.URL)
	if err != nil {
		t.Fatal(err)
	}
	photo.Body.Close()
	if photo.StatusCode != http.StatusOK || photo.ContentLength < 1000 {
		t.Errorf("the photo's address answers %s, %d bytes", photo.Status, photo.ContentLength)
	}

	decision := map[string]any{"action": "change", "change": map[string]any{"price_age": 50}, "reason": "age_proven", "text": "passport seen",
		"quote": seen.QuoteName, "n": seen.Next}
	if err := anna.get(ctx, http.StatusCreated, nil, "POST", "/cases/"+me.id+"/decisions", decision); err != nil {
		t.Fatal(err)
	}
	if a, err := ben.call(ctx, "POST", "/cases/"+me.id+"/decisions", decision); err != nil || a.status != http.StatusConflict || !strings.Contains(string(a.body), `"by":"anna"`) {
		t.Errorf("a second person decides: %d %s, %v", a.status, a.body, err)
	}
	c.settle(t, 20*time.Second)
	after, err := me.until(ctx, 50*time.Millisecond, "reading", "with_a_person")
	if err != nil {
		t.Fatal(err)
	}
	if after.State != "quoted" || after.Quote == nil || after.Quote.Cause != "decision-0001" || *after.Quote.Gross <= seen.Quote.Gross {
		t.Errorf("the customer is shown %+v, was %d cents", after.Quote, seen.Quote.Gross)
	}

	var report audit.Report
	if err := ada.get(ctx, http.StatusOK, &report, "GET", "/cases/"+me.id+"/audit", nil); err != nil {
		t.Fatal(err)
	}
	if !report.OK || report.Heads != 2 || !slices.ContainsFunc(report.Lines, func(l audit.Line) bool { return l.What == "change" && l.By == "anna" && l.Sealed }) {
		t.Errorf("audit %+v", report)
	}
	c.lockedHead(t, me.id)
	c.commands(t, me)
	if strings.Contains(c.log.String(), me.id) || strings.Contains(c.log.String(), "passport") {
		t.Error("the log tells of the case")
	}
}

// lockedHead tries to get rid of a head, as the operator who may do anything but
// what Object Lock forbids.
func (c *chain) lockedHead(t *testing.T, id string) {
	t.Helper()
	ctx := t.Context()
	heads := &s3store.Bucket{Client: c.client, Name: c.Resource("AuditBucket")}
	versions, err := heads.Versions(ctx, audit.HeadPrefix(id))
	if err != nil || len(versions) != 2 {
		t.Fatalf("heads %v, %v", versions, err)
	}
	_, err = c.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &heads.Name, Key: &versions[0].Key, VersionId: &versions[0].ID})
	var refused smithy.APIError
	if !errors.As(err, &refused) || !strings.Contains(refused.ErrorMessage(), "object lock") {
		t.Errorf("deleting the locked version of a head: %v", err)
	}
	// A deletion without a version hides it from who does not look closely.
	if err := heads.Delete(ctx, versions[0].Key); err != nil {
		t.Fatal(err)
	}
	report, err := audit.Verify(ctx, c.cases, heads, id)
	if err != nil || !report.OK || report.Heads != 2 {
		t.Errorf("with a head hidden: %+v, %v", report, err)
	}
}

// commands verifies the case at the command line, before and after somebody
// changed a decision, and makes a lost queue anew.
func (c *chain) commands(t *testing.T, me *customer) {
	t.Helper()
	ctx := t.Context()
	for _, line := range c.Env() {
		name, value, _ := strings.Cut(line, "=")
		t.Setenv(name, value)
	}
	agequote := func(args ...string) (string, error) {
		var out bytes.Buffer
		err := run(ctx, &env{stdout: &out, stderr: io.Discard, getenv: os.Getenv, now: time.Now}, args)
		return out.String(), err
	}
	verify := []string{"audit", me.id, "--cases", c.cases.Name, "--audit", c.Resource("AuditBucket")}
	if out, err := agequote(verify...); err != nil || !strings.Contains(out, "the chain verifies, against itself and 2 heads") {
		t.Errorf("audit: %v\n%s", err, out)
	}
	decision := casefile.DecisionKey(me.id, 1)
	body, err := c.cases.Get(ctx, decision, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cases.Overwrite(ctx, decision, bytes.Replace(body, []byte("anna"), []byte("ben"), 1)); err != nil {
		t.Fatal(err)
	}
	if out, err := agequote(verify...); err == nil || !strings.Contains(out, "quotes/decision-0001.json was made from another content") {
		t.Errorf("audit of a changed decision: %v\n%s", err, out)
	}

	if err := me.get(ctx, http.StatusOK, nil, "POST", me.path("/person"), map[string]any{}); err != nil {
		t.Fatal(err)
	}
	markers, err := c.cases.List(ctx, "queue/")
	if err != nil || len(markers) != 2 {
		t.Fatalf("markers %v, %v", markers, err)
	}
	versions, err := c.cases.Versions(ctx, "queue/")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range versions {
		if err := c.cases.DeleteVersion(ctx, v.Key, v.ID); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := agequote("queue", "--rebuild", "--cases-bucket", c.cases.Name); err != nil || out != "1 cases, 1 wait for a person; 2 markers written, 0 removed; 0 cases cannot be read\n" {
		t.Errorf("queue --rebuild: %v, %s", err, out)
	}
	if again, err := c.cases.List(ctx, "queue/"); err != nil || !slices.Equal(again, markers) {
		t.Errorf("markers %v, want %v", again, markers)
	}
}

// TestReviewMany measures pages of a long queue on the stack: AGEQUOTE_OPEN open
// cases, spread over the states. make bench-review asks for 10,000.
func TestReviewMany(t *testing.T) {
	open, err := strconv.Atoi(cmp.Or(os.Getenv("AGEQUOTE_OPEN"), "200"))
	if err != nil {
		t.Fatal(err)
	}
	c := startChain(t)
	ctx := t.Context()
	c.fillQueue(t, open)
	token, err := c.Token(ctx, "anna")
	if err != nil {
		t.Fatal(err)
	}
	anna := &customer{api: c.APIEndpoint("ReviewApi"), secret: token}
	type page struct {
		Cases []struct{ Case string }
		Next  *string
	}
	get := func(query string) (p page) {
		t.Helper()
		if err := anna.get(ctx, http.StatusOK, &p, "GET", "/queue?"+query, nil); err != nil {
			t.Fatal(err)
		}
		return p
	}
	get("") // starts the function
	for _, order := range []string{"waiting", "sum"} {
		seen := map[string]bool{}
		var first, later []time.Duration
		for next := ""; ; {
			started := time.Now()
			p := get("order=" + order + "&after=" + next)
			took := time.Since(started)
			if next == "" {
				first = append(first, took)
			} else {
				later = append(later, took)
			}
			for _, k := range p.Cases {
				if seen[k.Case] {
					t.Errorf("%s shows a case twice", order)
				}
				seen[k.Case] = true
			}
			if p.Next == nil {
				break
			}
			next = *p.Next
		}
		if len(seen) != open {
			t.Errorf("%s shows %d of %d cases", order, len(seen), open)
		}
		for range 20 {
			started := time.Now()
			get("order=" + order)
			first = append(first, time.Since(started))
		}
		slices.Sort(first)
		slices.Sort(later)
		t.Logf("%d open cases by %s, pages of 50: first page median %v, 95 %% under %v (with counts); later pages median %v, 95 %% under %v",
			open, order, first[len(first)/2].Round(time.Millisecond), first[len(first)*95/100].Round(time.Millisecond),
			later[len(later)/2].Round(time.Millisecond), later[len(later)*95/100].Round(time.Millisecond))
	}
}

// fillQueue writes cases that wait: referred, asked and complained.
func (c *chain) fillQueue(t *testing.T, n int) {
	t.Helper()
	ctx := t.Context()
	var g errgroup.Group
	g.SetLimit(32)
	start := time.Now().Add(-20 * time.Hour).UTC() // nothing is overdue
	for i := range n {
		g.Go(func() error {
			id := fmt.Sprintf("many-%08d", i)
			at := start.Add(time.Duration(i) * time.Second)
			facts := testFacts
			facts.SumCents = int64(5_000_000 + i*700)
			write := func(key string, object any) error {
				b, err := cases.Encode(object)
				if err != nil {
					return err
				}
				return c.cases.PutIfAbsent(ctx, key, b)
			}
			application := casefile.ApplicationKey(id, 1)
			err := write(application, casefile.Application{Schema: 1, Case: id, N: 1, Time: at, Facts: facts, Salt: casefile.NewSalt()})
			q := casefile.Quote{Schema: casefile.QuoteSchema, Case: id, Cause: "photo-0001", Time: at, Currency: "USD", Decision: underwriting.Quote,
				Inputs: casefile.Inputs{Application: application}}
			state := []string{casefile.StateRefer, casefile.StateRefer, casefile.StateAsked, casefile.StateComplained}[i%4]
			switch state {
			case casefile.StateRefer:
				q.Decision, q.Reasons = underwriting.Refer, []underwriting.Reason{{Code: underwriting.AgeContradicts, Decision: underwriting.Refer}}
			case casefile.StateAsked:
				err = errors.Join(err, write(casefile.PersonKey(id, 1), casefile.PersonRequest{Schema: 1, Case: id, N: 1, Time: at}))
			default:
				err = errors.Join(err, write(casefile.ComplaintKey(id, 1), casefile.Complaint{Schema: 1, Case: id, N: 1, Time: at, Text: "too dear"}))
			}
			return errors.Join(err, write(casefile.QuoteKey(id, q.Cause), q),
				cases.Mark(ctx, c.cases, casefile.Marker(id, state, at, facts.SumCents)))
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// asked is a customer who sent a photo and wants a person.
func (c *chain) asked(t *testing.T, key string, selfie []byte) *customer {
	t.Helper()
	ctx := t.Context()
	me, err := apply(ctx, c.APIEndpoint("OnboardApi"), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := me.send(ctx, selfie); err != nil {
		t.Fatal(err)
	}
	if _, err := me.until(ctx, 50*time.Millisecond, "waiting", "reading"); err != nil {
		t.Fatal(err)
	}
	if err := me.get(ctx, http.StatusOK, nil, "POST", me.path("/person"), map[string]any{}); err != nil {
		t.Fatal(err)
	}
	return me
}

// TestReviewConforms holds the underwriters' API to its OpenAPI file, for each
// role, on a case that waits for a person.
func TestReviewConforms(t *testing.T) {
	program, file := schemathesis(t, "review")
	selfie := readSample(t, "grace_hopper.jpg")
	c := startChain(t, "ReviewRate=10000", "ReviewBurst=5000")
	ctx := t.Context()
	me := c.asked(t, key(0), selfie)
	for _, name := range []string{"anna", "ada", "sam"} {
		token, err := c.Token(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		conforms(t, c, &customer{api: c.APIEndpoint("ReviewApi"), id: me.id, secret: token}, program, file)
	}
}
