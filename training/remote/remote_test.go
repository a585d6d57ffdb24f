package remote_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/local/gateway"
	"github.com/agequote/agequote/internal/local/samtemplate"
	"github.com/agequote/agequote/training/remote"
)

const region = "eu-central-1"

// large is sent in parts.
const large = 17 << 20

func start(t *testing.T, roles []gateway.Role, buckets ...samtemplate.Bucket) *gateway.Gateway {
	t.Helper()
	g, err := gateway.Start(t.Context(), gateway.Config{Dir: t.TempDir(), Region: region, Buckets: buckets, Roles: roles})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// client speaks to the gateway through a transport, nil for the usual one.
func client(g *gateway.Gateway, who aws.Credentials, via http.RoundTripper) *s3.Client {
	if via == nil {
		via = http.DefaultTransport
	}
	return s3.New(s3.Options{
		BaseEndpoint: &g.Endpoint,
		Region:       region,
		UsePathStyle: true,
		Credentials:  credentials.StaticCredentialsProvider{Value: who},
		HTTPClient:   &http.Client{Transport: via},
		Retryer:      aws.NopRetryer{},
	})
}

// wire is a transport with a hook before each request.
type wire func(*http.Request) error

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := w(r); err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	return http.DefaultTransport.RoundTrip(r)
}

func noise(seed uint64, n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed)}).Read(b) // always whole
	return string(b)
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, body := range files {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(body), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	fsys := os.DirFS(dir)
	err := fs.WalkDir(fsys, ".", func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		body, err := fs.ReadFile(fsys, p)
		out[p] = string(body)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// short keeps a difference of large files readable.
func short(files map[string]string) map[string]int {
	out := map[string]int{}
	for name, body := range files {
		out[name] = len(body)
	}
	return out
}

func same(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	if !cmp.Equal(got, want) {
		t.Errorf("%s: the files differ (bytes: -want +got)\n%s", what, cmp.Diff(short(want), short(got)))
	}
}

// sha is the name of a content.
func sha(content string) string {
	_, digits, _ := strings.Cut(digest.Of([]byte(content)), ":")
	return digits
}

func keys(t *testing.T, c *s3.Client, bucket string) int {
	t.Helper()
	out, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Contents)
}

func TestPushPull(t *testing.T) {
	g := start(t, nil, samtemplate.Bucket{Name: "training"})
	var sent atomic.Int64
	b := &remote.Bucket{Name: "training", Client: client(g, g.Operator, wire(func(r *http.Request) error {
		if r.Method == http.MethodPut {
			sent.Add(r.ContentLength)
		}
		return nil
	}))}
	ctx := t.Context()
	if err := remote.Pull(ctx, b, "runs/a", t.TempDir()); !errors.Is(err, remote.ErrNoSet) {
		t.Fatalf("Pull of nothing = %v, want ErrNoSet", err)
	}

	run := t.TempDir()
	write(t, run, map[string]string{
		"checkpoint/weights.bin": noise(1, large),
		"checkpoint/step.json":   `{"step":1}`,
		"metrics.jsonl":          "{}\n",
		"cache/maps.bin":         noise(2, 1000),
		"checkpoint/.tmp":        "half",
	})
	push := func(names ...string) {
		t.Helper()
		if err := remote.Push(ctx, b, "runs/a", run, names...); err != nil {
			t.Fatal(err)
		}
	}
	pull := func(dir string) {
		t.Helper()
		if err := remote.Pull(ctx, b, "runs/a", dir); err != nil {
			t.Fatal(err)
		}
	}
	push("checkpoint", "metrics.jsonl", "loss.svg")
	dir := filepath.Join(t.TempDir(), "new")
	pull(dir)
	same(t, "first", read(t, dir), map[string]string{
		"checkpoint/weights.bin": noise(1, large), "checkpoint/step.json": `{"step":1}`, "metrics.jsonl": "{}\n",
	})

	// The next push sends what changed, and takes away what it replaced.
	write(t, run, map[string]string{"checkpoint/step.json": `{"step":2}`, "loss.svg": "<svg/>"})
	sent.Store(0)
	push("checkpoint", "metrics.jsonl", "loss.svg")
	if n := sent.Load(); n > 10_000 {
		t.Errorf("a push of two small files sent %d bytes", n)
	}
	if n := keys(t, b.Client, "training"); n != 5 {
		t.Errorf("the bucket has %d objects, want 4 files and latest.json", n)
	}
	pull(dir)
	same(t, "second", read(t, dir), map[string]string{
		"checkpoint/weights.bin": noise(1, large), "checkpoint/step.json": `{"step":2}`, "metrics.jsonl": "{}\n", "loss.svg": "<svg/>",
	})

	// A file that is damaged here is mended, one that is damaged there is refused.
	write(t, dir, map[string]string{"metrics.jsonl": "[]\n"})
	pull(dir)
	if got := read(t, dir)["metrics.jsonl"]; got != "{}\n" {
		t.Errorf("Pull left %q", got)
	}
	key := "runs/a/files/" + sha(`{"step":2}`)
	if _, err := b.Client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("training"), Key: &key, Body: strings.NewReader(`{"step":9}`)}); err != nil {
		t.Fatal(err)
	}
	fresh := t.TempDir()
	if err := remote.Pull(ctx, b, "runs/a", fresh); err == nil || !strings.Contains(err.Error(), "checkpoint/step.json") {
		t.Errorf("Pull of a damaged object = %v", err)
	}
	for name := range read(t, fresh) {
		if strings.Contains(name, "step.json") {
			t.Errorf("Pull of a damaged object left %s", name)
		}
	}
}

// TestBrokenPush breaks a push off at every one of its writes.
func TestBrokenPush(t *testing.T) {
	g := start(t, nil, samtemplate.Bucket{Name: "training"})
	whole := &remote.Bucket{Name: "training", Client: client(g, g.Operator, nil)}
	ctx := t.Context()
	first, second := t.TempDir(), t.TempDir()
	write(t, first, map[string]string{"a": "1", "b": "same", "c": noise(3, large)})
	write(t, second, map[string]string{"a": "2", "b": "same", "c": noise(4, large), "d": "new"})
	if err := remote.Push(ctx, whole, "runs/a", first); err != nil {
		t.Fatal(err)
	}

	broken := errors.New("the machine is gone")
	for last := int64(0); ; last++ {
		if last > 50 {
			t.Fatal("the push never comes to its end")
		}
		var writes atomic.Int64
		breaking := &remote.Bucket{Name: "training", Client: client(g, g.Operator, wire(func(r *http.Request) error {
			if r.Method != http.MethodGet && writes.Add(1) > last {
				return broken
			}
			return nil
		}))}
		err := remote.Push(ctx, breaking, "runs/a", second)
		dir := t.TempDir()
		if err := remote.Pull(ctx, whole, "runs/a", dir); err != nil {
			t.Fatalf("after %d writes: %v", last, err)
		}
		if read(t, dir)["a"] == "2" { // latest.json is written: all of it holds
			same(t, "at last", read(t, dir), read(t, second))
			if last < 5 {
				t.Errorf("the set changed after %d writes, before its files were there", last)
			}
			return
		}
		if !errors.Is(err, broken) {
			t.Fatalf("Push after %d writes = %v, want the cause", last, err)
		}
		same(t, "meanwhile", read(t, dir), read(t, first))
	}
}

// TestTwoJobs pushes once more while a push is about to end.
func TestTwoJobs(t *testing.T) {
	g := start(t, nil, samtemplate.Bucket{Name: "training"})
	other := &remote.Bucket{Name: "training", Client: client(g, g.Operator, nil)}
	ctx := t.Context()
	dir, theirs := t.TempDir(), t.TempDir()
	write(t, dir, map[string]string{"a": "mine"})
	write(t, theirs, map[string]string{"a": "theirs"})
	between := &remote.Bucket{Name: "training", Client: client(g, g.Operator, wire(func(r *http.Request) error {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/latest.json") {
			return remote.Push(ctx, other, "runs/a", theirs)
		}
		return nil
	}))}
	for _, when := range []string{"first", "next"} {
		if err := remote.Push(ctx, between, "runs/a", dir); !errors.Is(err, remote.ErrChanged) {
			t.Errorf("%s: Push = %v, want ErrChanged", when, err)
		}
		got := t.TempDir()
		if err := remote.Pull(ctx, other, "runs/a", got); err != nil {
			t.Fatal(err)
		}
		same(t, when, read(t, got), read(t, theirs))
		write(t, theirs, map[string]string{"a": "theirs again"})
	}
}

// TestChangingFile pushes a file that grows between hashing and sending.
func TestChangingFile(t *testing.T) {
	g := start(t, nil, samtemplate.Bucket{Name: "training"})
	dir := t.TempDir()
	write(t, dir, map[string]string{"a": noise(5, large)})
	b := &remote.Bucket{Name: "training", Client: client(g, g.Operator, wire(func(r *http.Request) error {
		if r.Method != http.MethodPost || !r.URL.Query().Has("uploads") { // the start of an upload in parts
			return nil
		}
		f, err := os.OpenFile(filepath.Join(dir, "a"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteString("more")
		return errors.Join(err, f.Close())
	}))}
	if err := remote.Push(t.Context(), b, "runs/a", dir); err == nil || !strings.Contains(err.Error(), "changed meanwhile") {
		t.Errorf("Push = %v, want that the file changed", err)
	}
	if n := keys(t, b.Client, "training"); n != 0 {
		t.Errorf("%d objects are left", n)
	}
}

func TestPushRefusesLinks(t *testing.T) {
	g := start(t, nil, samtemplate.Bucket{Name: "training"})
	dir := t.TempDir()
	write(t, dir, map[string]string{"b": "linked to"})
	if err := os.Symlink("b", filepath.Join(dir, "a")); err != nil {
		t.Skip("no links here")
	}
	b := &remote.Bucket{Name: "training", Client: client(g, g.Operator, nil)}
	if err := remote.Push(t.Context(), b, "runs/a", dir); err == nil {
		t.Error("Push sent a link")
	}
}

func TestLocalPath(t *testing.T) {
	g := start(t, nil, samtemplate.Bucket{Name: "training"})
	t.Setenv("AWS_ENDPOINT_URL_S3", g.Endpoint)
	t.Setenv("AWS_ACCESS_KEY_ID", g.Operator.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", g.Operator.SecretAccessKey)
	t.Setenv("AWS_REGION", region)
	ctx := t.Context()
	dir, cache := t.TempDir(), t.TempDir()
	write(t, dir, map[string]string{"labels.tsv": "file\tage\n", "utkface/1.jpg": "x"})
	b, prefix, err := remote.Open(ctx, "s3://training/data/faces/")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Push(ctx, b, prefix, dir); err != nil {
		t.Fatal(err)
	}
	got, err := remote.LocalPath(ctx, "s3://training/data/faces", cache)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "data", read(t, got), read(t, dir))
	if got, err := remote.LocalPath(ctx, dir, cache); err != nil || got != dir {
		t.Errorf("LocalPath of a folder = %q, %v", got, err)
	}
	for _, uri := range []string{"s3://", "s3://training", "s3://training/", "s3://training/a//b", "s3://training/../a", "s3:///a"} {
		if _, _, err := remote.Open(ctx, uri); err == nil {
			t.Errorf("Open(%q) took it", uri)
		}
	}
}

// TestJobRole does what a job does with what infra/training.yaml lets it do.
func TestJobRole(t *testing.T) {
	r := jobRole(t)
	g := start(t, []gateway.Role{r},
		samtemplate.Bucket{Name: "agequote-training-000000000000-eu-central-1"}, samtemplate.Bucket{Name: "models"})
	who, _ := g.Role("job")
	job, operator := client(g, who, nil), client(g, g.Operator, nil)
	b := &remote.Bucket{Name: "agequote-training-000000000000-eu-central-1", Client: job}
	ctx := t.Context()
	dir := t.TempDir()
	if err := remote.Pull(ctx, b, "runs/transfer", dir); !errors.Is(err, remote.ErrNoSet) {
		t.Fatalf("first Pull = %v, want ErrNoSet", err)
	}
	for _, body := range []string{noise(1, large), noise(2, large)} { // the second replaces
		write(t, dir, map[string]string{"checkpoint/weights.bin": body})
		if err := remote.Push(ctx, b, "runs/transfer", dir); err != nil {
			t.Fatal(err)
		}
	}
	if n := keys(t, operator, b.Name); n != 2 {
		t.Errorf("%d objects are left, want one file and latest.json", n)
	}
	if err := remote.Pull(ctx, b, "runs/transfer", t.TempDir()); err != nil {
		t.Errorf("Pull: %v", err)
	}
	data := &remote.Bucket{Name: b.Name, Client: operator}
	if err := remote.Push(ctx, data, "data/faces", dir); err != nil {
		t.Fatal(err)
	}
	if err := remote.Pull(ctx, b, "data/faces", t.TempDir()); err != nil {
		t.Errorf("Pull of data: %v", err)
	}

	for _, tt := range []struct {
		bucket, key string
		may         bool
	}{
		{"models", "models/0123/manifest.json", true},
		{"models", "live/0001.json", false},
		{"models", "other", false},
		{b.Name, "data/faces/latest.json", false},
		{b.Name, "other", false},
	} {
		_, err := job.PutObject(ctx, &s3.PutObjectInput{Bucket: &tt.bucket, Key: &tt.key, Body: bytes.NewReader(nil)})
		if (err == nil) != tt.may {
			t.Errorf("the job's write of %s in %s = %v, may it: %t", tt.key, tt.bucket, err, tt.may)
		}
	}
}

// jobRole reads JobRole out of infra/training.yaml. Package samtemplate resolves
// the policies of functions alone, so it is shown one that has the job's.
func jobRole(t *testing.T) gateway.Role {
	t.Helper()
	text, err := os.ReadFile("../../infra/training.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, role, _ := strings.Cut(string(text), "\n  JobRole:\n")
	_, document, found := strings.Cut(role, "          PolicyDocument:\n")
	if !found {
		t.Fatal("infra/training.yaml has no JobRole with a PolicyDocument")
	}
	document, _, _ = strings.Cut(document, "\n\n")
	text = append(text, "\n  JobFunction:\n    Type: AWS::Serverless::Function\n    Properties:\n      Policies:\n          -\n"+document+"\n"...)
	text = []byte(moveOutputs(string(text)))
	template, err := samtemplate.Parse(text, samtemplate.Options{
		StackName: "agequote", Region: region, Account: "000000000000",
		Parameters: map[string]string{"VpcId": "vpc-1", "SubnetIds": "subnet-1", "ModelsBucketName": "models"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return gateway.Role{Name: "job", Statements: template.Functions[0].Statements}
}

// moveOutputs takes the outputs away, so that what follows them is a resource.
func moveOutputs(text string) string {
	before, after, _ := strings.Cut(text, "\nOutputs:\n")
	_, function, _ := strings.Cut(after, "\n  JobFunction:\n")
	return before + "\n  JobFunction:\n" + function
}
