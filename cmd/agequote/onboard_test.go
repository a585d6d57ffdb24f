package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/local/ownfile"
	"github.com/agequote/agequote/internal/upload"
)

// customer is somebody at the API, as the page is.
type customer struct {
	api, id, secret string
	consent         json.RawMessage
}

// answer is what the API said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// call sends one request. A customer without a secret sends none.
func (c *customer) call(ctx context.Context, method, path string, body any, headers ...string) (answer, error) {
	var b []byte
	if text, ok := body.(string); ok {
		b = []byte(text)
	} else if body != nil {
		var err error
		if b, err = json.Marshal(body); err != nil {
			return answer{}, err
		}
	}
	for {
		r, err := http.NewRequestWithContext(ctx, method, c.api+path, bytes.NewReader(b))
		if err != nil {
			return answer{}, err
		}
		if body != nil {
			r.Header.Set("Content-Type", "application/json")
		}
		if c.secret != "" {
			r.Header.Set("Authorization", "Bearer "+c.secret)
		}
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			return answer{}, err
		}
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			return answer{}, err
		}
		if response.StatusCode == http.StatusTooManyRequests { // as the page does
			select {
			case <-ctx.Done():
				return answer{}, ctx.Err()
			case <-time.After(200 * time.Millisecond):
				continue
			}
		}
		return answer{response.StatusCode, response.Header, text}, nil
	}
}

// get sends a request that has to be answered with the status, and decodes what
// comes.
func (c *customer) get(ctx context.Context, want int, into any, method, path string, body any, headers ...string) error {
	a, err := c.call(ctx, method, path, body, headers...)
	if err != nil {
		return err
	}
	if a.status != want {
		return fmt.Errorf("%s %s = %d %s, want %d", method, path, a.status, a.body, want)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(a.body, into)
}

const customersFacts = `{"sex":"female","height_cm":167.25,"weight_kg":61.75,"tobacco":"never","sum_cents":25001700,"term_years":20,"market":"US"}`

// asJPEG is a picture as the page sends it; the astronaut reads older so than as
// her PNG, whose interval starts under 18.
func asJPEG(t *testing.T, photo []byte) []byte {
	t.Helper()
	img, _, err := image.Decode(bytes.NewReader(photo))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 85}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// apply makes a case with consent.
func apply(ctx context.Context, api, key string) (*customer, error) {
	c := &customer{api: api}
	var terms struct {
		Consent map[string]any `json:"consent"`
	}
	if err := c.get(ctx, http.StatusOK, &terms, "GET", "/terms", nil); err != nil {
		return nil, err
	}
	delete(terms.Consent, "text")
	c.consent, _ = json.Marshal(terms.Consent)
	var created struct{ Case, Secret string }
	body := `{"facts":` + customersFacts + `,"consent":` + string(c.consent) + `}`
	if err := c.get(ctx, http.StatusCreated, &created, "POST", "/applications", body, "Idempotency-Key", key); err != nil {
		return nil, err
	}
	c.id, c.secret = created.Case, created.Secret
	return c, nil
}

func (c *customer) path(part string) string { return "/applications/" + c.id + part }

// form asks for the form of the next photo.
func (c *customer) form(ctx context.Context, media string, size int) (upload.Form, int, error) {
	var f struct {
		N       int
		URL     string
		Fields  map[string]string
		Expires time.Time
	}
	err := c.get(ctx, http.StatusCreated, &f, "POST", c.path("/photos"), map[string]any{"type": media, "size": size})
	return upload.Form{URL: f.URL, Fields: f.Fields, Expires: f.Expires}, f.N, err
}

func (c *customer) send(ctx context.Context, photo []byte) error {
	f, _, err := c.form(ctx, http.DetectContentType(photo), len(photo))
	if err != nil {
		return err
	}
	return f.Send(ctx, photo)
}

// status is what a test looks at of a case's status.
type status struct {
	State  string
	Photo  *struct{ Code, Sentence string }
	Photos []struct {
		N    int
		Code string
	}
	Quote *struct {
		Cause   string
		Gross   *int64 `json:"gross_annual_cents"`
		Reasons []struct{ Code string }
	}
	Facts map[string]any
}

// until polls until the state is another than those.
func (c *customer) until(ctx context.Context, pause time.Duration, not ...string) (status, error) {
	for {
		var s status
		if err := c.get(ctx, http.StatusOK, &s, "GET", c.path(""), nil); err != nil {
			return s, err
		}
		if !slices.Contains(not, s.State) {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return s, fmt.Errorf("state %q: %w", s.State, ctx.Err())
		case <-time.After(pause):
		}
	}
}

func key(i int) string { return fmt.Sprintf("test-%s-%04d", casefile.NewID(), i) }

// TestOnboard goes a customer's whole way, and looks for what was sent in all
// that the stack printed.
func TestOnboard(t *testing.T) {
	selfie, young := readSample(t, "grace_hopper.jpg"), asJPEG(t, readSample(t, "astronaut.png")) // before the stack changes the working directory
	c := startChain(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	api := c.APIEndpoint("OnboardApi")
	const pause = 50 * time.Millisecond
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%v\n%s", err, c.log)
		}
	}
	me, err := apply(ctx, api, key(0))
	must(err)

	t.Run("the presigned form fixes key, type, size and time", func(t *testing.T) { testForms(t, c, me, selfie) })

	must(me.send(ctx, brokenPhotos(t, selfie)["no_face"]))
	s, err := me.until(ctx, pause, "waiting", "reading")
	must(err)
	if s.State != "another_photo" || s.Photo == nil || s.Photo.Code != "no_face" || s.Photo.Sentence == "" {
		t.Errorf("after a photo without a face: %+v", s)
	}

	must(me.send(ctx, young))
	s, err = me.until(ctx, pause, "waiting", "reading", "another_photo")
	must(err)
	if s.State != "quoted" || s.Quote == nil || s.Quote.Cause != "photo-0002" || s.Quote.Gross == nil || len(s.Photos) != 2 {
		t.Fatalf("after the second photo: %+v, quote %+v", s, s.Quote)
	}
	byPhoto := *s.Quote.Gross

	s = status{}
	must(me.get(ctx, http.StatusOK, &s, "POST", me.path("/facts"), `{"facts":`+strings.Replace(customersFacts, "25001700", "50001700", 1)+`}`))
	if s.State != "reading" || s.Quote != nil {
		t.Errorf("while the corrected facts are quoted: %+v", s)
	}
	s, err = me.until(ctx, pause, "reading")
	must(err)
	if s.State != "quoted" || s.Quote.Cause != "facts-0002" || *s.Quote.Gross <= byPhoto {
		t.Errorf("twice the sum: %+v, premium %d before", s, byPhoto)
	}

	must(me.get(ctx, http.StatusOK, nil, "POST", me.path("/age"), `{"birth_date":"1981-03-29"}`))
	s, err = me.until(ctx, pause, "reading")
	must(err)
	if s.Quote == nil || s.Quote.Cause != "facts-0003" || s.Facts["birth_date"] != "1981-03-29" {
		t.Errorf("after stating the age: %+v", s)
	}

	letter, err := me.call(ctx, "GET", me.path("/letter?lang=en"), nil)
	must(err)
	if letter.status != http.StatusOK || !strings.HasPrefix(letter.header.Get("Content-Type"), "text/plain") {
		t.Errorf("letter: %d %s", letter.status, letter.body)
	}

	const complaint = "My aunt Quintessa sold me this badly"
	must(me.get(ctx, http.StatusCreated, nil, "POST", me.path("/complaints"), map[string]string{"text": complaint}))
	must(me.get(ctx, http.StatusOK, &s, "POST", me.path("/person"), `{}`))
	if s.State != "with_a_person" {
		t.Errorf("after asking for a person: %+v", s)
	}
	for _, state := range []string{casefile.StateAsked, casefile.StateComplained} {
		if keys, err := c.cases.List(ctx, "queue/waiting/"+state+"/"); err != nil || len(keys) != 1 {
			t.Errorf("queue of %s: %q, %v", state, keys, err)
		}
	}
	stored, err := cases.Read[casefile.Complaint](ctx, c.cases, casefile.ComplaintKey(me.id, 1))
	if err != nil || stored.Object.Text != complaint {
		t.Errorf("stored complaint: %v", err)
	}

	t.Run("without the secret nobody learns anything", func(t *testing.T) { testSecret(t, me) })
	t.Run("idempotency", func(t *testing.T) { testIdempotency(t, api) })
	t.Run("stated age without consent", func(t *testing.T) { testNoConsent(t, api) })
	t.Run("an interrupted case goes to a person", func(t *testing.T) { testGivenUp(t, c, api, selfie) })

	var receipt, again map[string]any
	must(me.get(ctx, http.StatusOK, &receipt, "DELETE", me.path(""), nil))
	must(me.get(ctx, http.StatusOK, &again, "DELETE", me.path(""), nil))
	if receipt["receipt"] == "" || receipt["receipt"] != again["receipt"] {
		t.Errorf("receipts %v and %v", receipt, again)
	}
	must(me.get(ctx, http.StatusGone, nil, "GET", me.path(""), nil))

	c.settle(t, time.Minute)
	log := c.log.String()
	if !strings.Contains(log, "POST /applications/{case}/complaints") {
		t.Error("the log holds no requests, so looking through it shows nothing")
	}
	for _, personal := range []string{"1981-03-29", "167.25", "61.75", "25001700", "50001700", "Quintessa", me.secret, me.id} {
		if i := strings.Index(log, personal); i >= 0 {
			t.Errorf("the log tells %q: %s", personal, log[max(0, i-200):min(len(log), i+100)])
		}
	}
}

// testForms tries what the holder of a form may not do with it.
func testForms(t *testing.T, c *chain, me *customer, selfie []byte) {
	ctx := t.Context()
	tests := map[string]func(f *upload.Form, photo *[]byte){
		"another key":   func(f *upload.Form, _ *[]byte) { f.Fields["key"] = casefile.UploadKey(casefile.NewID(), 1) },
		"another photo": func(f *upload.Form, _ *[]byte) { f.Fields["key"] = casefile.UploadKey(me.id, 7) },
		"another type":  func(f *upload.Form, _ *[]byte) { f.Fields["Content-Type"] = "text/html" },
		"a larger file": func(_ *upload.Form, photo *[]byte) { *photo = append(bytes.Clone(*photo), 0) },
		"a smaller one": func(_ *upload.Form, photo *[]byte) { *photo = (*photo)[:len(*photo)-1] },
		"another life":  func(f *upload.Form, _ *[]byte) { f.Fields["X-Amz-Date"] = "20300101T000000Z" },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			f, n, err := me.form(ctx, "image/jpeg", len(selfie))
			if err != nil || n != 1 || time.Until(f.Expires) > upload.Life {
				t.Fatalf("form %d until %v: %v", n, f.Expires, err)
			}
			photo := selfie
			change(&f, &photo)
			var refused *upload.Refused
			if err := f.Send(ctx, photo); !errors.As(err, &refused) || refused.Status/100 != 4 {
				t.Errorf("upload = %v, want a refusal", err)
			}
		})
	}
	t.Run("after its end", func(t *testing.T) {
		p := &upload.Presigner{Client: c.client, Bucket: c.Resource("UploadsBucket"), Now: time.Now}
		f, err := p.Presign(ctx, upload.Request{Key: casefile.UploadKey(me.id, 1), Type: "image/jpeg", MinSize: 1, MaxSize: 1 << 20, Life: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2100 * time.Millisecond)
		var refused *upload.Refused
		if err := f.Send(ctx, selfie); !errors.As(err, &refused) || refused.Status != http.StatusForbidden {
			t.Errorf("upload = %v, want a refusal", err)
		}
	})
}

// testSecret compares what is answered about a case that is there with what is
// answered about one that is not.
func testSecret(t *testing.T, me *customer) {
	ctx := t.Context()
	stranger := &customer{api: me.api, secret: me.secret}
	tests := []struct{ name, id, secret string }{
		{"no secret", me.id, ""},
		{"wrong secret", me.id, strings.Repeat("A", 43)},
		{"no such case", strings.Repeat("0", 32), strings.Repeat("A", 43)},
		{"another case's secret", strings.Repeat("0", 32), me.secret},
		{"no id", "not-a-case", me.secret},
	}
	calls := []struct{ method, part, body string }{
		{"GET", "", ""}, {"DELETE", "", ""}, {"GET", "/letter", ""},
		{"POST", "/photos", `{"type":"image/jpeg","size":9}`}, {"POST", "/facts", `broken`}, {"POST", "/age", `{}`},
		{"POST", "/person", `{}`}, {"POST", "/complaints", `{"text":"x"}`},
	}
	for _, call := range calls {
		var want []byte
		for _, tt := range tests {
			c := &customer{api: stranger.api, secret: tt.secret}
			a, err := c.call(ctx, call.method, "/applications/"+tt.id+call.part, call.body)
			if err != nil {
				t.Fatal(err)
			}
			a.header.Del("Date")
			got := []byte(fmt.Sprint(a.status, a.header, string(a.body)))
			if want == nil {
				want = got
			}
			if a.status != http.StatusNotFound || !bytes.Equal(got, want) {
				t.Errorf("%s %s, %s: %s, want %s", call.method, call.part, tt.name, got, want)
			}
		}
	}
}

func testIdempotency(t *testing.T, api string) {
	ctx := t.Context()
	c := &customer{api: api}
	body, k := `{"facts":`+customersFacts+`}`, key(1)
	var first, second struct{ Case, Secret string }
	for _, into := range []any{&first, &second} {
		if err := c.get(ctx, http.StatusCreated, into, "POST", "/applications", body, "Idempotency-Key", k); err != nil {
			t.Fatal(err)
		}
	}
	if first != second || first.Secret == "" {
		t.Errorf("the same key gave %v and %v", first, second)
	}
	var problem struct{ Code string }
	err := c.get(ctx, http.StatusUnprocessableEntity, &problem, "POST", "/applications", strings.Replace(body, "61.75", "62", 1), "Idempotency-Key", k)
	if err != nil || problem.Code != "key_reused" {
		t.Errorf("another body: %+v, %v", problem, err)
	}
}

// testNoConsent applies without consent: no photo, and a quote at the stated age.
func testNoConsent(t *testing.T, api string) {
	ctx := t.Context()
	c := &customer{api: api}
	var created struct{ Case, Secret string }
	body := `{"facts":` + strings.Replace(customersFacts, `{`, `{"age":41,`, 1) + `}`
	if err := c.get(ctx, http.StatusCreated, &created, "POST", "/applications", body, "Idempotency-Key", key(2)); err != nil {
		t.Fatal(err)
	}
	c.id, c.secret = created.Case, created.Secret
	if err := c.get(ctx, http.StatusConflict, nil, "POST", c.path("/photos"), `{"type":"image/jpeg","size":9}`); err != nil {
		t.Error(err)
	}
	s, err := c.until(ctx, 50*time.Millisecond, "reading")
	if err != nil || s.State != "quoted" || s.Quote.Cause != "facts-0001" {
		t.Errorf("stated age: %+v, %v", s, err)
	}
}

// testGivenUp breaks a case's application while its photo is read, so that
// predict gives the photo up.
func testGivenUp(t *testing.T, c *chain, api string, selfie []byte) {
	ctx := t.Context()
	me, err := apply(ctx, api, key(3))
	if err != nil {
		t.Fatal(err)
	}
	f, _, err := me.form(ctx, "image/jpeg", len(selfie))
	if err != nil {
		t.Fatal(err)
	}
	first, err := cases.Read[casefile.Application](ctx, c.cases, casefile.ApplicationKey(me.id, 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cases.PutIfAbsent(ctx, casefile.ApplicationKey(me.id, 2), []byte("{broken")); err != nil {
		t.Fatal(err)
	}
	if err := f.Send(ctx, selfie); err != nil {
		t.Fatal(err)
	}
	c.settle(t, time.Minute)
	mended := first.Object
	mended.N = 3
	body, err := cases.Encode(mended)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cases.PutIfAbsent(ctx, casefile.ApplicationKey(me.id, 3), body); err != nil {
		t.Fatal(err)
	}
	s, err := me.until(ctx, 50*time.Millisecond, "reading")
	if err != nil || s.State != "with_a_person" {
		t.Errorf("given up: %+v, %v", s, err)
	}
}

// TestOnboardMany sends customers all at once; each gets a quote. It prints the
// time from the end of the upload to the quote. `make bench-onboard` sends 200.
func TestOnboardMany(t *testing.T) {
	n := 12
	if text := os.Getenv("AGEQUOTE_CUSTOMERS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	selfie := asJPEG(t, readSample(t, "astronaut.png"))
	c := startChain(t)
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Minute)
	defer cancel()
	api := c.APIEndpoint("OnboardApi")
	times := make([]time.Duration, n)
	g, ctx := errgroup.WithContext(ctx)
	for i := range n {
		g.Go(func() error {
			me, err := apply(ctx, api, key(i))
			if err != nil {
				return err
			}
			if err := me.send(ctx, ownfile.Of(selfie, strconv.Itoa(i))); err != nil { // a file of his own
				return err
			}
			sent := time.Now()
			s, err := me.until(ctx, time.Second, "waiting", "reading")
			if err != nil {
				return err
			}
			if s.State != "quoted" {
				return fmt.Errorf("customer %d: state %s, quote %+v", i, s.State, s.Quote)
			}
			// The quote says when it was made; polling would add its pause.
			q, err := cases.Read[casefile.Quote](ctx, c.cases, casefile.QuoteKey(me.id, casefile.PhotoCause(1)))
			times[i] = q.Object.Time.Sub(sent)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, c.log)
	}
	slices.Sort(times)
	t.Logf("%d customers at once, all quoted; upload to quote: p50 %.1f s, p95 %.1f s, slowest %.1f s",
		n, times[n/2].Seconds(), times[n*95/100].Seconds(), times[n-1].Seconds())
}

// TestOnboardConforms holds the customers' API to its OpenAPI file.
func TestOnboardConforms(t *testing.T) {
	program, file := schemathesis(t, "onboard")
	c := startChain(t, "OnboardRate=10000", "OnboardBurst=5000")
	me, err := apply(t.Context(), c.APIEndpoint("OnboardApi"), key(0))
	if err != nil {
		t.Fatal(err)
	}
	// Erasing comes last: nothing else is to be had of an erased case.
	for _, which := range []string{"--exclude-operation-id", "--include-operation-id"} {
		conforms(t, c, me, program, file, which, "erase")
	}
}

// schemathesis returns the program, and the OpenAPI file of a package.
func schemathesis(t *testing.T, api string) (program, file string) {
	t.Helper()
	program = os.Getenv("AGEQUOTE_SCHEMATHESIS")
	if program == "" {
		t.Skip("schemathesis is not asked for; run make test-schemathesis")
	}
	file, err := filepath.Abs("../../internal/" + api + "/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return program, file
}

// conforms has schemathesis make requests out of an OpenAPI file, good ones and
// bad, as somebody with a case: every answer has to be one that the file allows.
func conforms(t *testing.T, c *chain, who *customer, program, file string, more ...string) {
	t.Helper()
	folder := t.TempDir()
	config := filepath.Join(folder, "schemathesis.toml")
	if err := os.WriteFile(config, []byte("[parameters]\n\"path.case\" = \""+who.id+"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), program, append([]string{"--config-file", config, "run", file, "--url", who.api,
		"--header", "Authorization: Bearer " + who.secret, "--generation-with-security-parameters", "false",
		"--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
		"--phases", "examples,coverage,fuzzing", "--max-examples", "50", "--continue-on-failure", "--generation-deterministic",
		"--output-sanitize", "true", "--suppress-health-check", "all"}, more...)...)
	run.Dir = folder
	out, err := run.CombinedOutput()
	if err != nil {
		t.Errorf("schemathesis %q: %v\n%s\n%s", more, err, out, c.log)
	}
	t.Logf("%s", out[max(0, len(out)-1500):])
}
