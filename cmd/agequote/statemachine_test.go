package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/batch"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/consent"
	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/report"
	"github.com/agequote/agequote/internal/s3store"
	"github.com/agequote/agequote/internal/store"
)

// door stands between moto's interpreter and the local stack. The interpreter
// signs with keys of its own; the door signs again with those of the state
// machine's role, so that the role's permissions are tried. moto has no
// ItemBatcher: the door groups the lines of items.csv in its stead.
type door struct {
	chain *chain
	role  aws.Credentials
	group int // items for a call
	// before is told of every call of a function, and returns what to do when it
	// has its answer.
	before func(function string, payload []byte) (after func())
	mu     sync.Mutex
	calls  map[string][]string // by function: payloads
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	endpoint, service := d.chain.S3Endpoint(), "s3"
	if function, ok := strings.CutPrefix(r.URL.Path, "/2015-03-31/functions/"); ok {
		endpoint, service = d.chain.LambdaEndpoint(), "lambda"
		function, _ = url.PathUnescape(strings.TrimSuffix(function, "/invocations"))
		_, function, _ = strings.Cut(function, "function:")
		d.mu.Lock()
		d.calls[function] = append(d.calls[function], string(body))
		d.mu.Unlock()
		if d.before != nil {
			defer d.before(function, body)()
		}
	}
	out, err := d.forward(r, endpoint, service, body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer out.Body.Close()
	answer, err := io.ReadAll(out.Body)
	if err == nil && out.StatusCode == http.StatusOK && strings.HasSuffix(r.URL.Path, "/"+batch.ItemsName) {
		answer, err = d.grouped(answer)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	for _, name := range []string{"Content-Type", "ETag", "Last-Modified", "X-Amz-Function-Error", "X-Amz-Executed-Version", "X-Amzn-Errortype", "X-Amzn-Requestid"} {
		if v := out.Header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	w.WriteHeader(out.StatusCode)
	_, _ = w.Write(answer)
}

func (d *door) forward(r *http.Request, endpoint, service string, body []byte) (*http.Response, error) {
	again, err := http.NewRequestWithContext(r.Context(), r.Method, endpoint+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	again.URL.RawPath = r.URL.RawPath
	hash := strings.TrimPrefix(digest.Of(body), "sha256:")
	again.Header.Set("X-Amz-Content-Sha256", hash)
	if kind := r.Header.Get("X-Amz-Invocation-Type"); kind != "" {
		again.Header.Set("X-Amz-Invocation-Type", kind)
	}
	if err := v4.NewSigner().SignHTTP(r.Context(), d.role, again, hash, service, d.chain.Region(), time.Now()); err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(again)
}

// grouped is items.csv with a line for each batch of items.
func (d *door) grouped(items []byte) ([]byte, error) {
	records, err := csv.NewReader(bytes.NewReader(items)).ReadAll()
	if err != nil || len(records) == 0 {
		return nil, fmt.Errorf("items.csv of %d lines: %w", len(records), err)
	}
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	lines := [][]string{{"items"}}
	for rest := records[1:]; len(rest) > 0; {
		n := min(d.group, len(rest))
		var objects []map[string]string
		for _, record := range rest[:n] {
			o := map[string]string{}
			for i, name := range records[0] {
				o[name] = record[i]
			}
			objects = append(objects, o)
		}
		text, err := json.Marshal(objects)
		if err != nil {
			return nil, err
		}
		lines, rest = append(lines, []string{string(text)}), rest[n:]
	}
	err = w.WriteAll(lines)
	return out.Bytes(), err
}

// forMoto puts an ItemSelector that gives a child the same input where the
// definition has an ItemBatcher, and shortens the waits. All else is
// interpreted as it is.
func forMoto(t *testing.T, definition string) string {
	t.Helper()
	var d map[string]any
	if err := json.Unmarshal([]byte(definition), &d); err != nil {
		t.Fatal(err)
	}
	replaced := 0
	var visit func(any)
	visit = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if b, ok := v["ItemBatcher"].(map[string]any); ok {
				items := "States.Array($$.Map.Item.Value)"
				if v["ItemReader"].(map[string]any)["ReaderConfig"] != nil {
					items = "States.StringToJson($$.Map.Item.Value.items)"
				}
				delete(v, "ItemBatcher")
				v["ItemSelector"] = map[string]any{"Items.$": items, "BatchInput": b["BatchInput"]}
				replaced++
			}
			if _, ok := v["IntervalSeconds"]; ok {
				v["IntervalSeconds"] = 1
			}
			for _, field := range v {
				visit(field)
			}
		case []any:
			for _, item := range v {
				visit(item)
			}
		}
	}
	visit(d)
	if replaced != 3 {
		t.Fatalf("%d ItemBatchers, want 3", replaced)
	}
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// startMoto starts moto's server, whose interpreter talks to the door.
func startMoto(t *testing.T, program, doorPort string) (endpoint string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var log lockedBuffer
	server := exec.CommandContext(t.Context(), program, "-H", "127.0.0.1", "-p", port)
	// Where the interpreter finds AWS: moto takes this port for its own.
	server.Env = append(os.Environ(), "MOTO_PORT="+doorPort, "AWS_REQUEST_CHECKSUM_CALCULATION=when_required", "AWS_RESPONSE_CHECKSUM_VALIDATION=when_required")
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		if t.Failed() {
			text := log.String()
			t.Logf("moto:\n%s", text[max(0, len(text)-4000):])
		}
	})
	endpoint = "http://" + address
	config := `{"stepfunctions":{"execute_state_machine":true}}`
	for range 300 {
		out, err := http.Post(endpoint+"/moto-api/config", "application/json", strings.NewReader(config))
		if err == nil {
			out.Body.Close()
			if out.StatusCode >= 300 {
				t.Fatalf("configure moto: %s", out.Status)
			}
			return endpoint
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("moto does not answer\n%s", log.String())
	return ""
}

// machineWorld is the state machine in moto before the local stack.
type machineWorld struct {
	*chain
	door   *door
	images string
}

func startMachine(t *testing.T, group int) *machineWorld {
	t.Helper()
	program := os.Getenv("AGEQUOTE_MOTO")
	if program == "" {
		t.Skip("moto is not asked for; run make test-statemachine")
	}
	images, err := filepath.Abs("../../events/selfies")
	if err != nil {
		t.Fatal(err)
	}
	c := startChain(t, "PredictConcurrency=2")
	definition, role, err := c.Machine("BatchStateMachine")
	if err != nil {
		t.Fatal(err)
	}
	w := &machineWorld{chain: c, door: &door{chain: c, role: role, group: group, calls: map[string][]string{}}, images: images}
	server := httptest.NewServer(w.door)
	t.Cleanup(server.Close)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	endpoint := startMoto(t, program, port)

	for _, line := range append(c.Env(), "AWS_ENDPOINT_URL_SFN="+endpoint,
		"CASES_BUCKET="+c.Resource("CasesBucket"), "UPLOADS_BUCKET="+c.Resource("UploadsBucket"), "PREDICT_FUNCTION="+c.Resource("PredictFunction")) {
		name, value, _ := strings.Cut(line, "=")
		t.Setenv(name, value)
	}
	cfg, err := awsconfig.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	made, err := sfn.NewFromConfig(cfg).CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{
		Name: aws.String("agequote-batch"), Definition: aws.String(forMoto(t, definition)), RoleArn: aws.String("arn:aws:iam::123456789012:role/batch"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("BATCH_STATE_MACHINE", aws.ToString(made.StateMachineArn))
	return w
}

// batch runs the command, and returns the summary and what it told.
func (w *machineWorld) batch(t *testing.T, args ...string) (s batch.Summary, told string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	e := &env{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, getenv: os.Getenv, now: time.Now}
	all := append([]string{"batch", "--aws", "--json", "--poll", "200ms", "--concurrency", "2", "--items", fmt.Sprint(w.door.group)}, args...)
	if err := run(ctx, e, all); err != nil {
		t.Fatalf("%v: %v\n%s\n%s", args, err, stderr.String(), w.log)
	}
	if err := json.Unmarshal(stdout.Bytes(), &s); err != nil {
		t.Fatalf("%v\n%s", err, stdout.String())
	}
	return s, stderr.String()
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestStateMachine runs the definition that is deployed, in an interpreter that
// we did not write, on the real functions and S3 under the role that the
// template gives it. One photo is gone when predict wants it: its neighbours are
// quoted, the report names it, and it is run again as a batch of its own.
func TestStateMachine(t *testing.T) {
	w := startMachine(t, 3)
	dir := t.TempDir()
	images := filepath.Join(dir, "images")
	if err := os.CopyFS(images, os.DirFS(w.images)); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(images, "broken.jpg"), "no picture at all")
	const gone = "policy-gone-0001"
	text := manifestHeader + manifestLine("policy-0001-good", "astronaut.png") + manifestLine(gone, "grace_hopper.jpg") +
		manifestLine("policy-0003-good", "grace_hopper.jpg") + manifestLine("policy-0004-none", "broken.jpg") +
		manifestLine("policy-0005-miss", "nowhere.jpg") + manifestLineOf("policy-0006-cons", "astronaut.png", "") + "torn line\n"
	manifest := writeFile(t, filepath.Join(dir, "manifest.csv"), text)

	uploads := &s3store.Bucket{Client: w.client, Name: w.Resource("UploadsBucket")}
	var once sync.Once
	w.door.before = func(function string, _ []byte) func() {
		if strings.HasSuffix(function, "-predict") {
			once.Do(func() {
				if err := removeAllVersions(t.Context(), uploads, casefile.BatchUploadKey(gone, 1)); err != nil {
					t.Error(err)
				}
			})
		}
		return func() {}
	}
	first, told := w.batch(t, manifest, "--images", images, "--out", filepath.Join(dir, "out"))
	t.Logf("%s", told)
	if err := first.Books.Check(); err != nil {
		t.Error(err)
	}
	want := map[string]int{"not_image": 1, "no_consent": 1, "photo_missing": 1, "bad_row": 1, "gave_up": 1}
	if diff := cmp.Diff(want, first.Codes); diff != "" {
		t.Errorf("codes (-want +got)\n%s", diff)
	}
	if b := first.Books; b.Listed != 7 || b.Quoted+b.Referred != 2 || b.Refused != 2 || b.Failed != 3 {
		t.Errorf("books %+v", b)
	}
	if !strings.Contains(told, "predict: 2 = ") || !strings.Contains(told, "quote: 2 = ") {
		t.Errorf("two calls for five items are not told in\n%s", told)
	}
	w.triedAsOften(t, gone)
	w.failureNames(t, filepath.Join(dir, "out", "failures.csv"), gone)

	// The same call again starts nothing.
	before := len(w.door.calls["agequote-predict"])
	again, told := w.batch(t, manifest, "--images", images)
	if diff := cmp.Diff(first, again); diff != "" || len(w.door.calls["agequote-predict"]) != before || !strings.Contains(told, "was started before") {
		t.Errorf("the second call: %s\n%s", told, diff)
	}

	// What failed is a batch of its own; one line is mended, the torn one stays out.
	writeFile(t, filepath.Join(images, "nowhere.jpg"), readText(t, filepath.Join(images, "astronaut.png")))
	failures := withoutLine(readText(t, filepath.Join(dir, "out", "failures.csv")), "torn line")
	second, _ := w.batch(t, writeFile(t, filepath.Join(dir, "again.csv"), failures), "--images", images)
	if b := second.Books; b.Listed != 2 || b.Quoted+b.Referred != 2 {
		t.Errorf("books of the failed items %+v, %v", b, second.Codes)
	}
	if _, err := cases.Read[casefile.Quote](t.Context(), w.cases, casefile.QuoteKey(gone, "photo-0001")); err != nil {
		t.Errorf("quote of the photo that was gone: %v", err)
	}

	// The photos that are there now, as S3 lists them: everything stands.
	third, told := w.batch(t, "--prefix", "batch-uploads/", "--batch", "listed")
	t.Logf("%s", told)
	if b := third.Books; b.Listed != 6 || b.Quoted+b.Referred != 4 || b.Refused != 2 {
		t.Errorf("books of the listing %+v, %v", b, third.Codes)
	}
	w.roleIsNarrow(t)
}

// TestStateMachineDies has an item whose every call ends the process of predict:
// the others of its call are quoted all the same.
func TestStateMachineDies(t *testing.T) {
	w := startMachine(t, 3)
	const poison = "policy-0001-kill"
	w.door.before = func(function string, payload []byte) func() {
		if !strings.HasSuffix(function, "-predict") || !bytes.Contains(payload, []byte(poison)) {
			return func() {}
		}
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
					w.KillFunction("PredictFunction")
				}
			}
		}()
		return func() { close(stop); <-stopped }
	}
	manifest := writeFile(t, filepath.Join(t.TempDir(), "manifest.csv"), manifestHeader+
		manifestLine(poison, "astronaut.png")+manifestLine("policy-0002-good", "astronaut.png")+manifestLine("policy-0003-good", "grace_hopper.jpg"))
	s, told := w.batch(t, manifest, "--images", w.images, "--concurrency", "1")
	if b := s.Books; b.Listed != 3 || b.Quoted+b.Referred != 2 || s.Codes["gave_up"] != 1 {
		t.Errorf("books %+v, %v\n%s", b, s.Codes, told)
	}
}

const manifestHeader = "case,photo,age,sex,height_cm,weight_kg,tobacco,sum,term,market,consent_version,consent_time\n"

// manifestLine is the line of an applicant who agreed to the newest text.
func manifestLine(id, photo string) string {
	terms, err := consent.Current(30)
	if err != nil {
		panic(err)
	}
	return manifestLineOf(id, photo, terms.Version)
}

func manifestLineOf(id, photo, consentVersion string) string {
	return fmt.Sprintf("%s,%s,52,female,168,62,never,250000,20,US,%s,%s\n",
		id, photo, consentVersion, time.Now().UTC().Add(-time.Minute).Format(time.RFC3339))
}

// triedAsOften holds the failure that is stored to the calls that were made, and
// both to what package report says.
func (w *machineWorld) triedAsOften(t *testing.T, id string) {
	t.Helper()
	n := 0
	for _, payload := range w.door.calls["agequote-predict"] {
		if strings.Contains(payload, id) {
			n++
		}
	}
	f, err := cases.Read[casefile.Failure](t.Context(), w.cases, casefile.FailureKey(id, "photo-0001"))
	if err != nil {
		t.Fatal(err)
	}
	if n != report.Tries || f.Object.Tries != n || f.Object.Stage != batch.StagePredict {
		t.Errorf("%d calls, failure %+v", n, f.Object)
	}
}

func (w *machineWorld) failureNames(t *testing.T, file, id string) {
	t.Helper()
	records, err := csv.NewReader(strings.NewReader(readText(t, file))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range records {
		if record[0] == id && strings.Contains(strings.Join(record, ","), ",gave_up,predict,5,") {
			return
		}
	}
	t.Errorf("failures.csv does not name %s\n%q", id, records)
}

// roleIsNarrow tries what the state machine's role must not do.
func (w *machineWorld) roleIsNarrow(t *testing.T) {
	t.Helper()
	endpoint := w.S3Endpoint()
	as := &s3store.Bucket{Name: w.cases.Name, Client: s3.New(s3.Options{
		BaseEndpoint: &endpoint, Region: w.Region(), UsePathStyle: true,
		Credentials: credentials.StaticCredentialsProvider{Value: w.door.role},
	})}
	for _, key := range []string{casefile.ApplicationKey("policy-0001-good", 1), casefile.EstimateKey("policy-0001-good", 1)} {
		if _, err := as.Get(t.Context(), key, 1<<20); !errors.Is(err, store.ErrDenied) {
			t.Errorf("the state machine reads %s: %v", key, err)
		}
	}
	for _, key := range []string{"cases/policy-0001-good/quotes/photo-0009.json", "batches/listed/results.csv", "control/0001.json"} {
		if err := as.Overwrite(t.Context(), key, []byte("{}")); err == nil {
			t.Errorf("the state machine writes %s", key)
		}
	}
}

func removeAllVersions(ctx context.Context, b *s3store.Bucket, key string) error {
	versions, err := b.Versions(ctx, key)
	for _, v := range versions {
		err = errors.Join(err, b.DeleteVersion(ctx, v.Key, v.ID))
	}
	if len(versions) == 0 {
		err = errors.Join(err, errors.New("there is no photo to be removed"))
	}
	return err
}

func readText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func withoutLine(text, part string) string {
	var kept []string
	for line := range strings.Lines(text) {
		if !strings.Contains(line, part) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}
