package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/consent"
	"github.com/agequote/agequote/internal/erasure"
	"github.com/agequote/agequote/internal/s3store"
	"github.com/agequote/agequote/internal/underwriting"
)

// agequote runs the program against the chain's stack, as from a shell with the
// settings that `agequote dev` prints.
func (c *chain) agequote(t *testing.T, now time.Time, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	for _, line := range append(c.Env(), "CASES_BUCKET="+c.Resource("CasesBucket"), "UPLOADS_BUCKET="+c.Resource("UploadsBucket"),
		"FAILURES_BUCKET="+c.Resource("FailuresBucket"), "RETENTION_DAYS=30") {
		name, value, _ := strings.Cut(line, "=")
		t.Setenv(name, value)
	}
	var out, diagnostics bytes.Buffer
	e := &env{stdin: strings.NewReader(""), stdout: &out, stderr: &diagnostics, getenv: os.Getenv, now: func() time.Time { return now }}
	status = exitStatus(e, run(t.Context(), e, args))
	return status, out.String(), diagnostics.String()
}

// TestChainErase stops quoting, has a case referred, holds it, and deletes it by
// the customer's API: on the real stack, with the roles of the template.
func TestChainErase(t *testing.T) {
	photo := readSample(t, "grace_hopper.jpg") // the stack changes the working directory
	c := startChain(t)
	ctx, now := t.Context(), time.Now()
	uploads := &s3store.Bucket{Client: c.client, Name: c.Resource("UploadsBucket")}
	must := func(want int, args ...string) string {
		t.Helper()
		status, stdout, stderr := c.agequote(t, now, args...)
		if status != want {
			t.Fatalf("agequote %q: status %d, %s%s", args, status, stdout, stderr)
		}
		return stdout + stderr
	}

	if got := must(0, "stop", "--by", "Ann", "--why", "wrong table"); !strings.Contains(got, "control/000001.json") {
		t.Errorf("stop printed %s", got)
	}
	api := c.APIEndpoint("OnboardApi")
	id, secret := c.create(t, api)
	form, err := presignUpload(ctx, c.client, uploads.Name, casefile.UploadKey(id, 1), photo)
	if err != nil {
		t.Fatal(err)
	}
	if err := form.Send(ctx, photo); err != nil {
		t.Fatal(err)
	}
	c.settle(t, time.Minute)
	quote, err := cases.Read[casefile.Quote](ctx, c.cases, casefile.QuoteKey(id, "photo-0001"))
	if err != nil {
		t.Fatalf("%v\n%s", err, c.log)
	}
	if r := quote.Object.Reasons[0]; quote.Object.Decision != underwriting.Refer || r.Code != underwriting.Stopped || r.Value != "control/000001.json" {
		t.Errorf("decision %s, first reason %+v while stopped", quote.Object.Decision, r)
	}
	must(0, "start", "--by", "Ann", "--why", "mended")
	if got := must(0, "stop", "--status"); !strings.Contains(got, "Quoting runs") || !strings.Contains(got, "wrong table") {
		t.Errorf("stop --status printed %s", got)
	}

	must(0, "hold", id, "--by", "Ann", "--why", "court order 7")
	if status, body := request(t, http.MethodDelete, api+"/applications/"+id, secret, ""); status != http.StatusConflict || !strings.Contains(body, "legal_hold") {
		t.Errorf("DELETE of a held case: %d %s", status, body)
	}
	if got := must(1, "erase", id, "--by", "Ann", "--why", "test"); !strings.Contains(got, "court order 7") {
		t.Errorf("erase of a held case printed %s", got)
	}
	must(0, "release-hold", id, "--by", "Ann", "--why", "lifted")

	status, body := request(t, http.MethodDelete, api+"/applications/"+id, secret, "")
	var receipt erasure.Receipt
	if err := json.Unmarshal([]byte(body), &receipt); err != nil || status != http.StatusOK || receipt.Receipt == "" {
		t.Fatalf("DELETE: %d %s\n%s", status, body, c.log)
	}
	if strings.Contains(body, id) {
		t.Error("the receipt names the case")
	}
	// What comes late: the photo's event again, and its quote's.
	event, err := json.Marshal(photoEvent(casefile.Source{Bucket: uploads.Name, Key: casefile.UploadKey(id, 1)}))
	if err != nil {
		t.Fatal(err)
	}
	for function, event := range map[string][]byte{
		"PredictFunction": event, "QuoteFunction": []byte(`{"schema":1,"case":"` + id + `","cause":"facts-0001"}`),
	} {
		if err := c.lambda().InvokeAsync(ctx, c.Resource(function), event); err != nil {
			t.Fatal(err)
		}
	}
	c.settle(t, time.Minute)
	must(0, "erase", id, "--verify")
	c.erased(t, id, uploads)
	must(0, "expire")
	c.erased(t, id, uploads)
	if failures, err := c.cases.List(ctx, "queue/"); err != nil || len(failures) > 0 {
		t.Errorf("queue %q, %v", failures, err)
	}
}

// create applies with consent as the page does, and returns case and secret.
func (c *chain) create(t *testing.T, api string) (id, secret string) {
	t.Helper()
	terms, err := consent.Current(30)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{"facts": testFacts, "consent": consent.Given{
		Version: terms.Version, Hash: terms.Hash, Purpose: terms.Purpose, Days: terms.Days}})
	if err != nil {
		t.Fatal(err)
	}
	status, answer := request(t, http.MethodPost, api+"/applications", "", string(body))
	var created struct{ Case, Secret string }
	if err := json.Unmarshal([]byte(answer), &created); err != nil || status != http.StatusCreated {
		t.Fatalf("POST /applications: %d %s\n%s", status, answer, c.log)
	}
	return created.Case, created.Secret
}

func request(t *testing.T, method, url, secret, body string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", casefile.NewID())
	}
	if secret != "" {
		r.Header.Set("Authorization", "Bearer "+secret)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(b)
}

// erased fails where a photo or anything that was declared, read or computed is
// left, in any version.
func (c *chain) erased(t *testing.T, id string, uploads *s3store.Bucket) {
	t.Helper()
	if photos, err := uploads.Versions(t.Context(), casefile.UploadPrefix(id)); err != nil || len(photos) > 0 {
		t.Errorf("photos left: %+v, %v", photos, err)
	}
	versions, err := c.cases.Versions(t.Context(), casefile.Prefix(id))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, v := range versions {
		if seen[v.Key] || v.Marker {
			t.Errorf("%s has more than one version", v.Key)
		}
		seen[v.Key] = true
		body, err := c.cases.GetVersion(t.Context(), v.Key, v.ID, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for _, personal := range []string{"25000017", "female", "height", "distribution", `"photo"`, `"age":`, "gross", "salt"} {
			if strings.Contains(string(body), personal) {
				t.Errorf("%s holds %s: %s", v.Key, personal, body)
			}
		}
	}
	for _, key := range []string{casefile.ApplicationKey(id, 1), casefile.EstimateKey(id, 1), casefile.QuoteKey(id, "photo-0001"), casefile.DeletedKey(id)} {
		if !seen[key] {
			t.Errorf("nothing stays of %s", key)
		}
	}
}

// TestChainExpire has a photo whose days are over, in a world that is 31 days
// later.
func TestChainExpire(t *testing.T) {
	photo := readSample(t, "grace_hopper.jpg")
	c := startChain(t)
	uploads := &s3store.Bucket{Client: c.client, Name: c.Resource("UploadsBucket")}
	id := casefile.NewID()
	if err := c.upload(t.Context(), id, photo); err != nil {
		t.Fatal(err)
	}
	c.settle(t, time.Minute)
	for _, step := range []struct {
		after int // days
		args  []string
		want  string
		left  int
	}{
		{29, nil, `"seen":1,"deleted":0,"kept":1,"whys":{"within":1}`, 1},
		{31, []string{"--dry-run"}, `"seen":1,"deleted":1,"kept":0,"whys":{"over":1}`, 1},
		{31, nil, `"seen":1,"deleted":1,"kept":0,"whys":{"over":1}`, 0},
		{31, nil, `"seen":0,"deleted":0,"kept":0,"whys":{}`, 0},
	} {
		status, stdout, stderr := c.agequote(t, time.Now().AddDate(0, 0, step.after), append([]string{"expire", "--json"}, step.args...)...)
		if status != 0 || !strings.Contains(stdout, step.want) {
			t.Errorf("after %d days: status %d, %s%s, want %s", step.after, status, stdout, stderr, step.want)
		}
		if left, err := uploads.Versions(t.Context(), ""); err != nil || len(left) != step.left {
			t.Errorf("after %d days: %+v, %v, want %d left", step.after, left, err, step.left)
		}
	}
}
