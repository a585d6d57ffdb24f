package local_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/local"
)

// functions is the folder with the built functions of testdata/template.yaml.
var functions string

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "functions-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	functions = dir

	program := filepath.Join(dir, "program")
	build := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", program, "./testdata/bootstrap")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build bootstrap: %w\n%s", err, out)
	}
	for _, id := range []string{"ReadFunction", "WriteFunction", "FailedFunction", "EchoFunction"} {
		if err := os.Mkdir(filepath.Join(dir, id), 0o755); err != nil {
			return 1, err
		}
		if err := os.Link(program, filepath.Join(dir, id, "bootstrap")); err != nil {
			return 1, err
		}
	}
	return m.Run(), nil
}

func options() local.Options {
	return local.Options{Template: "testdata/template.yaml", Functions: functions, RetryWait: 50 * time.Millisecond}
}

func start(t *testing.T, o local.Options) *local.Stack {
	t.Helper()
	s, err := local.Start(t.Context(), o)
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

// sdk sets the process up as a shell with the stack's variables would be.
func sdk(t *testing.T, s *local.Stack) aws.Config {
	t.Helper()
	for _, v := range s.Env() {
		name, text, _ := strings.Cut(v, "=")
		t.Setenv(name, text)
	}
	c, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func upload(t *testing.T, s *local.Stack, c *s3.Client, key, body string) {
	t.Helper()
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String(s.Resource("UploadsBucket")), Key: &key, Body: strings.NewReader(body),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// cases returns the objects of the cases bucket, by key.
func cases(t *testing.T, s *local.Stack, c *s3.Client) map[string]string {
	t.Helper()
	bucket := s.Resource("CasesBucket")
	list, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, o := range list.Contents {
		got, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: o.Key})
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(got.Body)
		got.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		out[*o.Key] = string(body)
	}
	return out
}

func TestUploadsTravelTheWholeTemplate(t *testing.T) {
	o := options()
	o.Parameters = map[string]string{"Greeting": "good day"}
	s := start(t, o)
	client := s3.NewFromConfig(sdk(t, s))

	want := map[string]string{}
	for i := range 20 {
		name := fmt.Sprintf("photo %d", i)
		upload(t, s, client, "uploads/"+name, "a face")
		want["read/"+name] = "good day a face"
	}
	upload(t, s, client, "uploads/bad", "broken")
	want["failed/bad"] = "RetriesExhausted"
	upload(t, s, client, "elsewhere/ignored", "a face") // outside the event's prefix

	if err := s.Idle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, cases(t, s, client)); diff != "" {
		t.Errorf("cases (-want +got):\n%s", diff)
	}
}

func TestKilledFunctionIsTriedAgain(t *testing.T) {
	s := start(t, options())
	client := s3.NewFromConfig(sdk(t, s))
	upload(t, s, client, "uploads/late", "slow")
	for _, started := cases(t, s, client)["started/late"]; !started; _, started = cases(t, s, client)["started/late"] {
		time.Sleep(time.Millisecond)
	}
	if n := s.KillFunction("ReadFunction"); n != 1 {
		t.Errorf("KillFunction = %d, want 1", n)
	}
	if err := s.Idle(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"started/late": "", "read/late": "hello slow"}
	if diff := cmp.Diff(want, cases(t, s, client)); diff != "" {
		t.Errorf("cases (-want +got):\n%s", diff)
	}
}

func TestOperatorInvokes(t *testing.T) {
	s := start(t, options())
	c := sdk(t, s)
	out, err := lambda.NewFromConfig(c).Invoke(t.Context(), &lambda.InvokeInput{
		FunctionName: aws.String(s.Resource("WriteFunction")),
		Payload:      []byte(`{"responsePayload": {"name": "direct", "text": "you"}}`),
	})
	if err != nil || out.FunctionError != nil {
		t.Fatalf("Invoke = %s, %v", out.Payload, err)
	}
	got := cases(t, s, s3.NewFromConfig(c))
	if !maps.Equal(got, map[string]string{"read/direct": "hello you"}) {
		t.Errorf("cases = %v, want what the function wrote", got)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	o := options()
	o.Dir = t.TempDir()
	s := start(t, o)
	upload(t, s, s3.NewFromConfig(sdk(t, s)), "uploads/hung", "slow")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, endpoint := range []string{s.S3Endpoint(), s.LambdaEndpoint()} {
		if conn, err := net.Dial("tcp", strings.TrimPrefix(endpoint, "http://")); err == nil {
			conn.Close()
			t.Errorf("%s listens after Close", endpoint)
		}
	}
	if got := children(t); len(got) > 0 {
		t.Errorf("processes after Close: %v", got)
	}

	// A kept folder is served again, under another stack in the same process.
	again := start(t, o)
	list, err := s3.NewFromConfig(sdk(t, again)).ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(again.Resource("UploadsBucket"))})
	if err != nil || len(list.Contents) != 1 {
		t.Errorf("kept objects = %d, %v, want 1", len(list.Contents), err)
	}
}

// children returns the commands of this process's children, where the system
// tells them.
func children(t *testing.T) []string {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, file := range stats {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // it ended meanwhile
		}
		command, rest, _ := strings.Cut(string(data), ") ")
		var state string
		var parent int
		if _, err := fmt.Sscan(rest, &state, &parent); err == nil && parent == os.Getpid() {
			out = append(out, command)
		}
	}
	return out
}

func TestStartErrorsSayWhatToDo(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port

	tests := []struct {
		name   string
		change func(*local.Options)
		is     error
		want   string // the whole line; with a final colon, its beginning
	}{
		{"S3 port", func(o *local.Options) { o.S3Port = port }, syscall.EADDRINUSE, fmt.Sprintf("port %d is in use; choose another with --s3-port", port)},
		{"Lambda port", func(o *local.Options) { o.LambdaPort = port }, syscall.EADDRINUSE, fmt.Sprintf("port %d is in use; choose another with --lambda-port", port)},
		{"not built", func(o *local.Options) { o.Functions = t.TempDir() }, fs.ErrNotExist, "ReadFunction is not built: run make functions"},
		{"no template", func(o *local.Options) { o.Template = "nowhere.yaml" }, fs.ErrNotExist, "read template: open nowhere.yaml:"},
		{"unknown parameter", func(o *local.Options) { o.Parameters = map[string]string{"Size": "1"} }, nil, "testdata/template.yaml: line 7: the template has no parameter Size"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := options()
			tt.change(&o)
			s, err := local.Start(t.Context(), o)
			if err == nil {
				s.Close()
				t.Fatal("Start succeeded")
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("Start = %v, want %v in its chain", err, tt.is)
			}
			if got := err.Error(); got != tt.want && (!strings.HasSuffix(tt.want, ":") || !strings.HasPrefix(got, tt.want)) {
				t.Errorf("Start = %q, want %q", got, tt.want)
			}
		})
	}
}
