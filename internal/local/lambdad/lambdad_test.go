package lambdad_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/local/lambdad"
)

const (
	operator  = "AKIAOPERATOR"
	arnPrefix = "arn:aws:lambda:eu-central-1:000000000000:function:"
	patience  = 30 * time.Second // for what takes milliseconds on a machine that is not busy
)

// orphanVariable makes the test binary the parent of TestParentKilled.
const orphanVariable = "LAMBDAD_TEST_ORPHAN"

// TestMain builds the one bootstrap that all tests run.
func TestMain(m *testing.M) {
	if dir := os.Getenv(orphanVariable); dir != "" {
		startOrphan(dir)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "lambdad")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "bootstrap"), "./testdata/bootstrap")
	if output, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build bootstrap: %v\n%s", err, output)
		return 1
	}
	bootstrapDir = dir
	return m.Run()
}

// bootstrapDir is set once, before any test runs.
var bootstrapDir string

// event is what the bootstrap understands; see testdata/bootstrap.
type event struct {
	Do   string
	File string
	Note string
	Fail int
	MB   int
}

func (e event) json(t testing.TB) []byte {
	t.Helper()
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// function is a function that runs the bootstrap, with the settings that a
// test changes.
func function(name string, change func(*lambdad.Function)) lambdad.Function {
	f := lambdad.Function{
		Name: name, ARN: arnPrefix + name, Dir: bootstrapDir,
		MemoryMB: 256, Timeout: patience, Concurrency: 1, AccessKey: "AKIA" + strings.ToUpper(name),
	}
	if change != nil {
		change(&f)
	}
	return f
}

// start starts a server whose Close is checked at the end of the test.
func start(t testing.TB, cfg lambdad.Config) *lambdad.Server {
	t.Helper()
	cfg.Operator = operator
	s, err := lambdad.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func client(s *lambdad.Server, accessKey string) *lambda.Client {
	return lambda.New(lambda.Options{
		BaseEndpoint:     aws.String(s.Endpoint()),
		Region:           "eu-central-1",
		Credentials:      credentials.NewStaticCredentialsProvider(accessKey, "secret", ""),
		RetryMaxAttempts: 1,
	})
}

type answer struct {
	Note, RequestID, ARN, Dir string
	PID, Child, SecondsLeft   int
	Environment               []string
	ErrorType, ErrorMessage   string
}

// invoke invokes synchronously as the operator. The boolean tells whether the
// function failed.
func invoke(t testing.TB, s *lambdad.Server, name string, e event) (answer, bool) {
	t.Helper()
	out, err := client(s, operator).Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &name, Payload: e.json(t)})
	if err != nil {
		t.Fatal(err)
	}
	var a answer
	if err := json.Unmarshal(out.Payload, &a); err != nil {
		t.Fatalf("decode %q: %v", out.Payload, err)
	}
	return a, out.FunctionError != nil
}

func idle(t testing.TB, s *lambdad.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Idle(ctx); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until the condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in %v: %s", patience, what)
		}
	}
}

// buckets keeps what is written to destinations, by "access key bucket/key".
type buckets struct {
	mu      sync.Mutex
	objects map[string][]byte
}

func (b *buckets) put(_ context.Context, bucket, key string, body []byte, accessKey string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.objects == nil {
		b.objects = make(map[string][]byte)
	}
	b.objects[accessKey+" "+bucket+"/"+key] = body
	return nil
}

// record is the part of an invocation record that is the same in each run.
type record struct {
	Name, Condition, Error string
	Tries                  int
}

var objectName = regexp.MustCompile(`^(\S+ \w+)/aws/lambda/async/(\w+)/\d{4}/\d\d/\d\d/\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d-[0-9a-f-]{36}$`)

// records returns the records in b, whose names must be as Lambda gives them.
func (b *buckets) records(t testing.TB) []record {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []record
	for _, name := range slices.Sorted(maps.Keys(b.objects)) {
		m := objectName.FindStringSubmatch(name)
		if m == nil {
			t.Fatalf("unexpected object name %q", name)
		}
		var r struct {
			RequestContext struct {
				Condition              string
				ApproximateInvokeCount int
			}
			ResponsePayload struct{ ErrorType string }
		}
		if err := json.Unmarshal(b.objects[name], &r); err != nil {
			t.Fatal(err)
		}
		all = append(all, record{
			Name: m[1] + " from " + m[2], Condition: r.RequestContext.Condition,
			Tries: r.RequestContext.ApproximateInvokeCount, Error: r.ResponsePayload.ErrorType,
		})
	}
	return all
}

func TestFunctionSeesLambda(t *testing.T) {
	t.Setenv("SECRET_OF_THIS_MACHINE", "1") // must not reach the function
	var log bytes.Buffer
	s, err := lambdad.Start(t.Context(), lambdad.Config{
		Operator:    operator,
		FunctionLog: &log,
		Functions: []lambdad.Function{function("predict", func(f *lambdad.Function) {
			f.Env = []string{"AWS_REGION=eu-central-1", "MODEL=a", "AWS_LAMBDA_FUNCTION_NAME=forged"}
		})},
	})
	if err != nil {
		t.Fatal(err)
	}
	a, failed := invoke(t, s, "predict", event{Do: "describe", Note: "n"})
	if failed {
		t.Fatalf("describe failed: %+v", a)
	}
	if err := s.Close(); err != nil { // the log is whole once the process has ended
		t.Fatal(err)
	}

	values := make(map[string]string)
	for _, pair := range a.Environment {
		name, value, _ := strings.Cut(pair, "=")
		values[name] = value
	}
	prefix := strings.TrimPrefix(s.Endpoint(), "http://") + "/instances/"
	if got := values["AWS_LAMBDA_RUNTIME_API"]; !strings.HasPrefix(got, prefix) {
		t.Errorf("AWS_LAMBDA_RUNTIME_API = %q, want prefix %q", got, prefix)
	}
	for _, random := range []string{"AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_LOG_STREAM_NAME", "_X_AMZN_TRACE_ID"} {
		if values[random] == "" {
			t.Errorf("%s is not set", random)
		}
		delete(values, random)
	}
	want := map[string]string{
		"AWS_REGION": "eu-central-1", "MODEL": "a",
		"AWS_LAMBDA_FUNCTION_NAME": "predict", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/predict",
		"AWS_ENDPOINT_URL_LAMBDA":   s.Endpoint(),
		"AWS_CONFIG_FILE":           os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"LAMBDA_TASK_ROOT": bootstrapDir, "LD_LIBRARY_PATH": bootstrapDir + ":" + bootstrapDir + "/lib",
		"_HANDLER": "bootstrap", "LANG": "en_US.UTF-8", "TZ": ":UTC", "PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin",
	}
	if diff := cmp.Diff(want, values); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}

	if a.Dir != bootstrapDir || a.ARN != arnPrefix+"predict" || len(a.RequestID) != 36 || a.SecondsLeft != int(patience.Seconds()) {
		t.Errorf("the function saw folder %q, ARN %q, request %q, %d s left", a.Dir, a.ARN, a.RequestID, a.SecondsLeft)
	}
	if got, want := log.String(), "predict: one line\npredict: and half a line\n"; got != want {
		t.Errorf("function log = %q, want %q", got, want)
	}
}

func TestSynchronousFailures(t *testing.T) {
	tests := []struct {
		name     string
		event    event
		change   func(*lambdad.Function)
		want     string // errorType
		message  string // part of errorMessage
		sameNext bool   // the next invocation meets the same process
	}{
		{name: "error", event: event{Do: "error"}, want: "errorString", message: "asked to fail", sameNext: true},
		{name: "panic", event: event{Do: "panic"}, want: "string", message: "asked to panic"},
		{name: "exit", event: event{Do: "exit"}, want: "Runtime.ExitError", message: "exit status 7"},
		{name: "timeout", event: event{Do: "sleep"}, want: "Sandbox.Timedout", message: "timed out after 0.30 seconds",
			change: func(f *lambdad.Function) { f.Timeout = 300 * time.Millisecond }},
		{name: "memory", event: event{Do: "allocate", MB: 200}, want: "Runtime.OutOfMemory", message: "signal: killed",
			change: func(f *lambdad.Function) { f.MemoryMB = 100 }},
		{name: "memory, answered before it is looked at", event: event{Do: "allocate", MB: 32}, want: "Runtime.OutOfMemory", message: "signal: killed",
			change: func(f *lambdad.Function) { f.MemoryMB = 32 }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := start(t, lambdad.Config{Functions: []lambdad.Function{function("predict", test.change)}})
			before, _ := invoke(t, s, "predict", event{})
			a, failed := invoke(t, s, "predict", test.event)
			if !failed || a.ErrorType != test.want || !strings.Contains(a.ErrorMessage, test.message) {
				t.Errorf("got failure %v, type %q, message %q, want type %q, message with %q", failed, a.ErrorType, a.ErrorMessage, test.want, test.message)
			}
			after, failed := invoke(t, s, "predict", event{})
			if failed || (before.PID == after.PID) != test.sameNext {
				t.Errorf("next invocation failed %v on process %d after %d, want the same %v", failed, after.PID, before.PID, test.sameNext)
			}
		})
	}
}

func TestMemoryWithinLimit(t *testing.T) {
	s := start(t, lambdad.Config{Functions: []lambdad.Function{function("predict", nil)}})
	if a, failed := invoke(t, s, "predict", event{Do: "allocate", MB: 100}); failed {
		t.Errorf("100 MB of 256 failed: %s", a.ErrorMessage)
	}
}

// syncBuffer is a log that can be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

func TestBrokenBootstrap(t *testing.T) {
	var log syncBuffer
	s := start(t, lambdad.Config{FunctionLog: &log, Functions: []lambdad.Function{function("predict", func(f *lambdad.Function) {
		f.Env = []string{"INIT=exit"}
	})}})
	a, failed := invoke(t, s, "predict", event{})
	if !failed || a.ErrorType != "Runtime.ExitError" || !strings.Contains(a.ErrorMessage, "exit status 3") {
		t.Errorf("got failure %v, type %q, message %q", failed, a.ErrorType, a.ErrorMessage)
	}

	// 50 events would take a fifth of a second if nothing held them back.
	for range 50 {
		if err := s.InvokeAsync("predict", []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Second)
	if starts := strings.Count(log.String(), "predict: cannot begin\n"); starts < 2 || starts > 7 {
		t.Errorf("started %d times in a second, want 2 to 7", starts)
	}
}

func TestPermissions(t *testing.T) {
	s := start(t, lambdad.Config{Functions: []lambdad.Function{
		function("review", func(f *lambdad.Function) { f.MayInvoke = []string{arnPrefix + "quote", "gone"} }),
		function("quote", nil),
	}})
	tests := []struct{ caller, target, want string }{
		{operator, "quote", ""},
		{operator, arnPrefix + "quote", ""},
		{operator, arnPrefix + "quote:$LATEST", ""},
		{operator, "000000000000:function:quote", ""},
		{operator, "absent", "ResourceNotFoundException"},
		{"AKIAREVIEW", "quote", ""},
		{"AKIAREVIEW", "review", "AccessDeniedException"},
		{"AKIAREVIEW", "absent", "AccessDeniedException"},
		{"AKIAQUOTE", "quote", "AccessDeniedException"},
		{"AKIASTRANGER", "quote", "AccessDeniedException"},
	}
	for _, test := range tests {
		for _, kind := range []types.InvocationType{types.InvocationTypeRequestResponse, types.InvocationTypeEvent} {
			_, err := client(s, test.caller).Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &test.target, InvocationType: kind})
			if got := errorCode(err); got != test.want {
				t.Errorf("%s invokes %s (%s) = %q, want %q", test.caller, test.target, kind, got, test.want)
			}
		}
	}
}

// errorCode is the service's code in err, "" for nil.
func errorCode(err error) string {
	var service smithy.APIError
	if errors.As(err, &service) {
		return service.ErrorCode()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func TestPayloadLimits(t *testing.T) {
	s := start(t, lambdad.Config{Functions: []lambdad.Function{function("quote", nil)}})
	text := func(n int) []byte { return []byte(`{"Note":"` + strings.Repeat("x", n) + `"}`) }
	tests := []struct {
		name    string
		kind    types.InvocationType
		payload []byte
		want    string
	}{
		{"synchronous, 5 MB", types.InvocationTypeRequestResponse, text(5 << 20), ""},
		{"synchronous, 6 MB and more", types.InvocationTypeRequestResponse, text(6 << 20), "RequestTooLargeException"},
		{"event, 1 MB and more", types.InvocationTypeEvent, text(1 << 20), "RequestTooLargeException"},
		{"not JSON", types.InvocationTypeEvent, []byte("{"), "InvalidRequestContentException"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := client(s, operator).Invoke(t.Context(), &lambda.InvokeInput{
				FunctionName: aws.String("quote"), InvocationType: test.kind, Payload: test.payload})
			if got := errorCode(err); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestEvents(t *testing.T) {
	ok, failures := &lambdad.Destination{Bucket: "ok"}, &lambdad.Destination{Bucket: "failures"}
	tests := []struct {
		name   string
		event  event
		change func(*lambdad.Function)
		wait   time.Duration // before a retry; 0: next to nothing
		want   record
	}{
		{name: "first try", event: event{}, want: record{"AKIAPREDICT ok from predict", "Success", "", 1}},
		{name: "third try", event: event{Do: "error", Fail: 2}, want: record{"AKIAPREDICT ok from predict", "Success", "", 3}},
		{name: "error", event: event{Do: "error"}, want: record{"AKIAPREDICT failures from predict", "RetriesExhausted", "errorString", 3}},
		{name: "exit, then success", event: event{Do: "exit", Fail: 1}, want: record{"AKIAPREDICT ok from predict", "Success", "", 2}},
		{name: "no retries", event: event{Do: "panic"}, change: func(f *lambdad.Function) { f.MaxRetries = 0 },
			want: record{"AKIAPREDICT failures from predict", "RetriesExhausted", "string", 1}},
		{name: "timeout", event: event{Do: "sleep"}, change: func(f *lambdad.Function) { f.Timeout = 100 * time.Millisecond },
			want: record{"AKIAPREDICT failures from predict", "RetriesExhausted", "Sandbox.Timedout", 3}},
		{name: "too old for a retry", event: event{Do: "error"}, change: func(f *lambdad.Function) { f.MaxEventAge = patience }, wait: time.Hour,
			want: record{"AKIAPREDICT failures from predict", "EventAgeExceeded", "errorString", 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var stored buckets
			s := start(t, lambdad.Config{
				PutObject: stored.put, RetryWait: max(test.wait, time.Millisecond),
				Functions: []lambdad.Function{function("predict", func(f *lambdad.Function) {
					f.MaxRetries, f.OnSuccess, f.OnFailure = 2, ok, failures
					if test.change != nil {
						test.change(f)
					}
				})},
			})
			test.event.Note, test.event.File = "try", filepath.Join(t.TempDir(), "tries")
			if err := s.InvokeAsync("predict", test.event.json(t)); err != nil {
				t.Fatal(err)
			}
			idle(t, s)
			if diff := cmp.Diff([]record{test.want}, stored.records(t)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			if got := len(lines(t, test.event.File)); got != test.want.Tries {
				t.Errorf("the function ran %d times, want %d", got, test.want.Tries)
			}
		})
	}
}

// lines returns the lines of a file, none where it does not exist yet.
func lines(t testing.TB, file string) []string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Fields(string(b))
}

// TestEventTooOldInQueue has an event wait for a place until it is too old.
func TestEventTooOldInQueue(t *testing.T) {
	var stored buckets
	s := start(t, lambdad.Config{PutObject: stored.put, Functions: []lambdad.Function{function("predict", func(f *lambdad.Function) {
		f.Timeout, f.MaxEventAge, f.OnFailure = 300*time.Millisecond, 100*time.Millisecond, &lambdad.Destination{Bucket: "failures"}
	})}})
	for _, e := range []event{{Do: "sleep"}, {}} {
		if err := s.InvokeAsync("predict", e.json(t)); err != nil {
			t.Fatal(err)
		}
	}
	idle(t, s)
	got := stored.records(t)
	slices.SortFunc(got, func(a, b record) int { return a.Tries - b.Tries })
	want := []record{
		{"AKIAPREDICT failures from predict", "EventAgeExceeded", "", 0},
		{"AKIAPREDICT failures from predict", "RetriesExhausted", "Sandbox.Timedout", 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// TestFunctionDestination follows one event through two functions: the record
// of the second holds the record of the first as its request.
func TestFunctionDestination(t *testing.T) {
	var stored buckets
	s := start(t, lambdad.Config{
		PutObject: stored.put,
		Now:       func() time.Time { return time.Date(2026, 11, 24, 13, 5, 9, 7e6, time.FixedZone("", 3600)) },
		NewID:     counter(),
		Functions: []lambdad.Function{
			function("predict", func(f *lambdad.Function) { f.OnSuccess = &lambdad.Destination{Function: arnPrefix + "quote"} }),
			function("quote", func(f *lambdad.Function) { f.OnSuccess = &lambdad.Destination{Bucket: "ok"} }),
		},
	})
	if err := s.InvokeAsync(arnPrefix+"predict", []byte(`{"Note":"a case"}`)); err != nil {
		t.Fatal(err)
	}
	idle(t, s)

	const object = "AKIAQUOTE ok/aws/lambda/async/quote/2026/11/24/2026-11-24T12.05.09-id5"
	var got struct{ RequestPayload map[string]any }
	if err := json.Unmarshal(stored.objects[object], &got); err != nil {
		t.Fatalf("decode record %q of %v: %v", object, slices.Collect(maps.Keys(stored.objects)), err)
	}
	payload, _ := got.RequestPayload["responsePayload"].(map[string]any)
	if payload["Note"] != "a case" {
		t.Errorf("responsePayload = %v, want the function's answer", payload)
	}
	delete(got.RequestPayload, "responsePayload")
	want := map[string]any{
		"version": "1.0", "timestamp": "2026-11-24T12:05:09.007Z",
		"requestContext": map[string]any{
			"requestId": "id1", "functionArn": arnPrefix + "predict:$LATEST", "condition": "Success", "approximateInvokeCount": 1.0,
		},
		"requestPayload":  map[string]any{"Note": "a case"},
		"responseContext": map[string]any{"statusCode": 200.0, "executedVersion": "$LATEST"},
	}
	if diff := cmp.Diff(want, got.RequestPayload); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

// counter returns ids that count up: id1, id2 ...
func counter() func() string {
	var mu sync.Mutex
	n := 0
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		n++
		return "id" + strconv.Itoa(n)
	}
}

func TestKill(t *testing.T) {
	var stored buckets
	s := start(t, lambdad.Config{PutObject: stored.put, RetryWait: time.Millisecond, Functions: []lambdad.Function{
		function("predict", func(f *lambdad.Function) {
			f.Concurrency, f.MaxRetries, f.OnSuccess = 2, 2, &lambdad.Destination{Bucket: "ok"}
		}),
		function("quote", nil),
	}})
	invoke(t, s, "quote", event{}) // a bystander

	var files []string
	for range 2 {
		files = append(files, filepath.Join(t.TempDir(), "tries"))
		e := event{Do: "sleep", Fail: 1, Note: "x", File: files[len(files)-1]}
		if err := s.InvokeAsync("predict", e.json(t)); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range files {
		eventually(t, "first try begins", func() bool { return len(lines(t, file)) == 1 })
	}
	if got := s.Kill("predict"); got != 2 {
		t.Errorf("Kill(predict) = %d, want 2", got)
	}
	idle(t, s)
	want := record{"AKIAPREDICT ok from predict", "Success", "", 2}
	if diff := cmp.Diff([]record{want, want}, stored.records(t)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if got := s.Kill("quote"); got != 1 {
		t.Errorf("Kill(quote) = %d, want its idle instance", got)
	}
	if _, failed := invoke(t, s, "quote", event{}); failed {
		t.Error("an invocation met the instance killed while idle")
	}
}

// TestQueue sends far more events than there are places: none is refused,
// lost, tried twice or overtaken.
func TestQueue(t *testing.T) {
	const events = 500
	file := filepath.Join(t.TempDir(), "notes")
	s := start(t, lambdad.Config{Functions: []lambdad.Function{function("predict", nil)}})
	c := client(s, operator)
	var want []string
	for i := range events {
		note := strconv.Itoa(i)
		want = append(want, note)
		out, err := c.Invoke(t.Context(), &lambda.InvokeInput{
			FunctionName: aws.String("predict"), InvocationType: types.InvocationTypeEvent, Payload: event{Note: note, File: file}.json(t)})
		if err != nil || out.StatusCode != 202 {
			t.Fatalf("invoke: status %d, %v", out.StatusCode, err)
		}
	}
	idle(t, s)
	if diff := cmp.Diff(want, lines(t, file)); diff != "" {
		t.Errorf("order of events (-want +got):\n%s", diff)
	}
}

func TestClose(t *testing.T) {
	s, err := lambdad.Start(t.Context(), lambdad.Config{Operator: operator, RetryWait: time.Hour, Functions: []lambdad.Function{
		function("idle", nil),
		function("busy", nil),
		function("retrying", func(f *lambdad.Function) { f.MaxRetries = 2 }),
	}})
	if err != nil {
		t.Fatal(err)
	}
	a, _ := invoke(t, s, "idle", event{Do: "child"})
	file := filepath.Join(t.TempDir(), "tries")
	for range 3 { // one runs, two wait
		if err := s.InvokeAsync("busy", event{Do: "sleep", Note: "x", File: file}.json(t)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.InvokeAsync("retrying", event{Do: "error", Note: "x", File: file}.json(t)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "two tries begin", func() bool { return len(lines(t, file)) == 2 })
	if !running(a.PID) || !running(a.Child) {
		t.Fatal("the idle instance or its child is not running")
	}

	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if running(a.PID) {
		t.Error("a process outlived Close")
	}
	eventually(t, "the child of a process ends", func() bool { return !running(a.Child) }) // init reaps it
	if c, err := net.Dial("tcp", strings.TrimPrefix(s.Endpoint(), "http://")); err == nil {
		c.Close()
		t.Error("the listener outlived Close")
	}
	if err := s.InvokeAsync("idle", []byte("{}")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("InvokeAsync after Close = %v, want net.ErrClosed", err)
	}
}

// TestChildren has a process end by itself while its child still runs.
func TestChildren(t *testing.T) {
	s := start(t, lambdad.Config{Functions: []lambdad.Function{function("predict", nil)}})
	a, _ := invoke(t, s, "predict", event{Do: "child"})
	if !running(a.Child) {
		t.Fatal("the child is not running")
	}
	if err := syscall.Kill(a.PID, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the child ends with its parent", func() bool { return !running(a.Child) })
}

// running tells whether a process is there and not only waiting to be reaped.
func running(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist) || !hasProc()
	}
	_, state, _ := bytes.Cut(stat, []byte(") "))
	return !bytes.HasPrefix(state, []byte("Z"))
}

func hasProc() bool {
	_, err := os.Stat("/proc/self/stat")
	return err == nil
}

// TestParentKilled kills the process that holds the server: its instances have
// to end too, though nothing could close the server.
func TestParentKilled(t *testing.T) {
	if !hasProc() {
		t.Skip("only Linux ends a process with its parent; /proc is missing")
	}
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), orphanVariable+"="+bootstrapDir)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscanf(out, "predict: %d\n", &pid); err != nil || !running(pid) {
		t.Errorf("read process of the instance: %d, %v", pid, err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it was killed
	eventually(t, "the instance ends", func() bool { return !running(pid) })
}

// startOrphan is the parent of TestParentKilled: it prints the process number
// of a busy instance, which does not notice that its server is gone, and waits
// to be killed.
func startOrphan(dir string) {
	s, err := lambdad.Start(context.Background(), lambdad.Config{FunctionLog: os.Stdout,
		Functions: []lambdad.Function{{Name: "predict", Dir: dir, Timeout: 2 * patience}}})
	if err == nil {
		err = s.InvokeAsync("predict", []byte(`{"Do":"sleep"}`))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	select {}
}

func TestStartRefuses(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	notExecutable := t.TempDir()
	if err := os.WriteFile(filepath.Join(notExecutable, "bootstrap"), nil, 0o600); err != nil {
		t.Fatal(err)
	}

	tests := []struct {
		name string
		cfg  lambdad.Config
		want error // nil: any
	}{
		{"port taken", lambdad.Config{Port: listener.Addr().(*net.TCPAddr).Port}, syscall.EADDRINUSE},
		{"bootstrap missing", lambdad.Config{Functions: []lambdad.Function{{Name: "a", Dir: t.TempDir()}}}, fs.ErrNotExist},
		{"bootstrap not executable", lambdad.Config{Functions: []lambdad.Function{{Name: "a", Dir: notExecutable}}}, nil},
		{"name twice", lambdad.Config{Functions: []lambdad.Function{function("a", nil), function("a", nil)}}, nil},
		{"unknown destination", lambdad.Config{Functions: []lambdad.Function{
			function("a", func(f *lambdad.Function) { f.OnSuccess = &lambdad.Destination{Function: "b"} })}}, nil},
		{"bucket destination, nothing to write with", lambdad.Config{Functions: []lambdad.Function{
			function("a", func(f *lambdad.Function) { f.OnFailure = &lambdad.Destination{Bucket: "b"} })}}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := lambdad.Start(t.Context(), test.cfg)
			if err == nil {
				s.Close()
				t.Fatal("Start succeeded")
			}
			if test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("Start = %v, want %v", err, test.want)
			}
		})
	}
}
