package main

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/agequote/agequote/internal/audit"
	"github.com/agequote/agequote/internal/s3store"
)

// TestReview goes an underwriter's way on the stack: a customer asks for a
// person, an underwriter finds the case, opens the photo, sets the age, and the
// customer is shown the quote that follows.
func TestReview(t *testing.T) {
	selfie := asJPEG(t, readSample(t, "astronaut.png"))
	c := startChain(t, "SampleShare=0")
	ctx := t.Context()
	me, err := apply(ctx, c.APIEndpoint("OnboardApi"), key(1))
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
