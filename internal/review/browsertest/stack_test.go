package browsertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/agequote/agequote/internal/browser"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/local/ownfile"
	"github.com/agequote/agequote/internal/upload"
)

// site is the page on a running stack, with a look behind it.
type site struct {
	*browser.Browser
	*browser.Stack
	page    string // address of the review page, with a slash at the end
	onboard string // of the customers' page, without one
	dir     string // of the stack's objects
}

func startSite(t *testing.T, root string) *site {
	t.Helper()
	// The browser first: where there is none, nothing else is started.
	b := browser.Start(t, root, nil)
	b.Screen = browser.Desk
	dir := t.TempDir()
	// Every accepted case is drawn for a second look.
	stack := browser.StartStack(t, root, dir, "SampleShare=1")
	s := &site{Browser: b, Stack: stack, page: stack.APIEndpoint("ReviewApi") + "/", onboard: stack.APIEndpoint("OnboardApi"), dir: dir}
	s.Origins = []string{strings.TrimSuffix(s.page, "/"), s.onboard, stack.S3Endpoint(), stack.Issuer().URL}
	return s
}

// customer is somebody who applied.
type customer struct {
	api, id, secret string
}

// call sends a request and decodes the answer, whose status has to be want.
func call(t *testing.T, method, address, token string, body, into any, want int) {
	t.Helper()
	var b []byte
	if body != nil {
		var err error
		if b, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), method, address, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", casefile.NewID())
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != want {
		t.Fatalf("%s %s = %d %s, want %d", method, address, response.StatusCode, text, want)
	}
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatalf("%s %s: %v", method, address, err)
		}
	}
}

// apply makes a case and waits for its quote. age is what the customer declares.
func (s *site) apply(t *testing.T, age, sumUnits int, photo []byte) customer {
	t.Helper()
	var terms struct {
		Consent map[string]any `json:"consent"`
	}
	call(t, "GET", s.onboard+"/terms", "", nil, &terms, http.StatusOK)
	delete(terms.Consent, "text")
	facts := map[string]any{"age": age, "sex": "female", "height_cm": 167.5, "weight_kg": 61.75, "tobacco": "never", "sum_cents": sumUnits * 100, "term_years": 20, "market": "US"}
	var made struct{ Case, Secret string }
	call(t, "POST", s.onboard+"/applications", "", map[string]any{"facts": facts, "consent": terms.Consent}, &made, http.StatusCreated)
	c := customer{api: s.onboard + "/applications/" + made.Case, id: made.Case, secret: made.Secret}
	photo = ownfile.Of(photo, c.id)

	var form struct {
		URL    string
		Fields map[string]string
	}
	call(t, "POST", c.api+"/photos", c.secret, map[string]any{"type": http.DetectContentType(photo), "size": len(photo)}, &form, http.StatusCreated)
	if err := (upload.Form{URL: form.URL, Fields: form.Fields}).Send(t.Context(), photo); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if there, err := cases.Exists(t.Context(), s.Cases, casefile.QuoteKey(c.id, "photo-0001")); err != nil {
			t.Fatal(err)
		} else if there {
			return c
		}
		if time.Now().After(deadline) {
			t.Fatal("there is no quote after a minute")
		}
	}
}

// quote waits for a quote of a case.
func (s *site) quote(t *testing.T, id, cause string) casefile.Quote {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		q, err := cases.Read[casefile.Quote](t.Context(), s.Cases, casefile.QuoteKey(id, cause))
		if err == nil {
			return q.Object
		}
		if time.Now().After(deadline) {
			t.Fatalf("quote %s: %v", cause, err)
		}
	}
}

// decision returns a stored decision.
func (s *site) decision(t *testing.T, id string, n int) casefile.Decision {
	t.Helper()
	d, err := cases.Read[casefile.Decision](t.Context(), s.Cases, casefile.DecisionKey(id, n))
	if err != nil {
		t.Fatal(err)
	}
	return d.Object
}

// tab is somebody's who signed in.
type tab struct{ *browser.Tab }

// signIn opens the page, goes to the issuer and comes back as one of its users.
func (s *site) signIn(t *testing.T, user string) *tab {
	t.Helper()
	tb := &tab{s.Open(t, s.page)}
	tb.View("signin")
	tb.Click("#signin")
	tb.Click("button[value=" + user + "]")
	tb.View("queue")
	tb.Until("the queue", `document.querySelector('#rows:not([aria-busy]) li')`)
	return tb
}

// open goes to a case.
func (tb *tab) open(id string) {
	tb.T.Helper()
	tb.Do(`location.hash = '#/cases/` + id + `'`)
	tb.Until("the case", `document.querySelector('.case-head .id')?.textContent === '`+id+`'`)
}

// take takes the case that is open.
func (tb *tab) take() {
	tb.T.Helper()
	tb.Key("t")
	tb.See("#reserved", "Yours until")
}

// many makes n open cases of one: markers for each, and the objects of the first
// `whole` in the order of the queue, since no page after those is asked for. They
// are written straight into the store's folder: by S3 it would take minutes.
func (s *site) many(t *testing.T, model string, n, whole int) {
	t.Helper()
	objects := map[string][]byte{}
	for _, key := range []string{casefile.ApplicationKey(model, 1), casefile.EstimateKey(model, 1), casefile.QuoteKey(model, "photo-0001")} {
		body, err := s.Cases.Get(t.Context(), key, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		objects[key] = body
	}
	bucket := s.bucketFolder(t)
	write := func(key string, body []byte) {
		file := filepath.Join(bucket, filepath.FromSlash(key))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	quoted := s.quote(t, model, "photo-0001")
	for i := range n {
		id := fmt.Sprintf("%032x", i+1) // before every other case of the same second or sum
		if i < whole {
			for key, body := range objects {
				write(strings.Replace(key, model, id, 1), bytes.ReplaceAll(body, []byte(model), []byte(id)))
			}
		}
		for _, marker := range casefile.Marker(id, casefile.StateRefer, quoted.Time, quoted.Basis.SumCents) {
			write(marker, nil)
		}
	}
}

// bucketFolder finds the folder of the cases bucket.
func (s *site) bucketFolder(t *testing.T) string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == s.Resource("CasesBucket") {
			found = append(found, path)
			return filepath.SkipDir
		}
		return err
	})
	if err != nil || len(found) == 0 {
		t.Fatalf("find the folder of the cases bucket: %v", err)
	}
	slices.Sort(found)
	return found[0]
}
