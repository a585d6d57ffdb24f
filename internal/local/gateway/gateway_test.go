package gateway_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/agequote/agequote/internal/local/gateway"
	"github.com/agequote/agequote/internal/local/samtemplate"
)

const region = "eu-central-1"

// config is a small template: photos come in at uploads and become objects in
// cases. The roles may do what those of predict, quote and onboarding may.
func config(t *testing.T) gateway.Config {
	return gateway.Config{
		Dir:    t.TempDir(),
		Region: region,
		Buckets: []samtemplate.Bucket{
			{Name: "uploads", Versioned: true},
			{Name: "cases"},
		},
		Roles: []gateway.Role{
			{Name: "predict", Statements: []samtemplate.Statement{
				allow([]string{"s3:GetObject", "s3:GetObjectVersion"}, "arn:aws:s3:::uploads/uploads/*"),
				allow([]string{"s3:GetObject", "s3:PutObject"}, "arn:aws:s3:::cases/cases/*/photos/*"),
				{
					Effect: "Allow", Actions: []string{"s3:ListBucket"}, Resources: []string{"arn:aws:s3:::cases"},
					Conditions: map[string]map[string][]string{
						"StringLike":   {"s3:prefix": {"cases/*"}},
						"StringEquals": {"aws:ResourceAccount": {"000000000000"}},
					},
				},
			}},
			{Name: "quote", Statements: []samtemplate.Statement{
				allow([]string{"s3:Get*", "s3:PutObject", "lambda:InvokeFunction"}, "arn:aws:s3:::cas?s/*", "arn:aws:lambda:x:y:function:z"),
				{Effect: "Deny", Actions: []string{"s3:PutObject"}, Resources: []string{"arn:aws:s3:::cases/cases/*/photos/*"}},
			}},
			{Name: "onboard", Statements: []samtemplate.Statement{
				allow([]string{"s3:PutObject"}, "arn:aws:s3:::uploads/uploads/*"),
			}},
		},
	}
}

func allow(actions []string, resources ...string) samtemplate.Statement {
	return samtemplate.Statement{Effect: "Allow", Actions: actions, Resources: resources}
}

func start(t *testing.T, c gateway.Config) *gateway.Gateway {
	t.Helper()
	g, err := gateway.Start(t.Context(), c)
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

// client speaks to the gateway as a role, or as the operator.
func client(t *testing.T, g *gateway.Gateway, name string) *s3.Client {
	t.Helper()
	creds := g.Operator
	if name != "operator" {
		var ok bool
		if creds, ok = g.Role(name); !ok {
			t.Fatalf("there is no role %s", name)
		}
	}
	return s3.New(s3.Options{
		BaseEndpoint: &g.Endpoint,
		Region:       region,
		UsePathStyle: true,
		Credentials:  credentials.StaticCredentialsProvider{Value: creds},
	})
}

func put(t *testing.T, c *s3.Client, bucket, key, body string) (string, error) {
	out, err := c.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: strings.NewReader(body), IfNoneMatch: aws.String("*"),
	})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.VersionId), nil
}

func mustPut(t *testing.T, c *s3.Client, bucket, key, body string) (version string) {
	t.Helper()
	version, err := put(t, c, bucket, key, body)
	if err != nil {
		t.Fatal(err)
	}
	return version
}

// code returns an answer's error code, "ok" for none.
func code(err error) string {
	var api smithy.APIError
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &api):
		return api.ErrorCode()
	}
	return err.Error()
}

func TestRolesMayDoWhatTheTemplateGrants(t *testing.T) {
	g := start(t, config(t))
	operator := client(t, g, "operator")
	version := mustPut(t, operator, "uploads", "uploads/c1/0001", "a")
	mustPut(t, operator, "uploads", "other/c1", "a")
	mustPut(t, operator, "cases", "cases/c1/photos/0001/estimate.json", "{}")
	mustPut(t, operator, "cases", "cases/c1/application/0001.json", "{}")

	get := func(bucket, key, version string) func(*s3.Client) error {
		return func(c *s3.Client) error {
			in := &s3.GetObjectInput{Bucket: &bucket, Key: &key}
			if version != "" {
				in.VersionId = &version
			}
			out, err := c.GetObject(t.Context(), in)
			if err != nil {
				return err
			}
			return out.Body.Close()
		}
	}
	write := func(bucket, key string) func(*s3.Client) error {
		return func(c *s3.Client) error { _, err := put(t, c, bucket, key, "x"); return err }
	}
	list := func(bucket, prefix string) func(*s3.Client) error {
		return func(c *s3.Client) error {
			_, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
			return err
		}
	}
	remove := func(bucket, key string) func(*s3.Client) error {
		return func(c *s3.Client) error {
			_, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key})
			return err
		}
	}
	tests := []struct {
		name string
		who  string
		do   func(*s3.Client) error
		want string
	}{
		{"predict reads a photo", "predict", get("uploads", "uploads/c1/0001", ""), "ok"},
		{"predict reads a version", "predict", get("uploads", "uploads/c1/0001", version), "ok"},
		{"predict reads beside the photos", "predict", get("uploads", "other/c1", ""), "AccessDenied"},
		{"predict writes a photo", "predict", write("uploads", "uploads/c1/0002"), "AccessDenied"},
		{"predict writes an estimate", "predict", write("cases", "cases/c2/photos/0001/estimate.json"), "ok"},
		{"predict writes an estimate twice", "predict", write("cases", "cases/c2/photos/0001/estimate.json"), "PreconditionFailed"},
		{"predict writes a quote", "predict", write("cases", "cases/c1/quotes/photo-0001.json"), "AccessDenied"},
		{"predict reads an application", "predict", get("cases", "cases/c1/application/0001.json", ""), "AccessDenied"},
		{"predict lists a case", "predict", list("cases", "cases/c1/"), "ok"},
		{"predict lists everything", "predict", list("cases", ""), "AccessDenied"},
		{"predict removes an estimate", "predict", remove("cases", "cases/c1/photos/0001/estimate.json"), "AccessDenied"},
		{"quote reads a photo", "quote", get("uploads", "uploads/c1/0001", ""), "AccessDenied"},
		{"quote reads an application", "quote", get("cases", "cases/c1/application/0001.json", ""), "ok"},
		{"quote writes a quote", "quote", write("cases", "cases/c1/quotes/photo-0001.json"), "ok"},
		{"quote writes what it is denied", "quote", write("cases", "cases/c1/photos/0009/estimate.json"), "AccessDenied"},
		{"quote lists", "quote", list("cases", "cases/c1/"), "AccessDenied"},
		{"onboard writes a photo", "onboard", write("uploads", "uploads/c1/0003"), "ok"},
		{"onboard reads a photo", "onboard", get("uploads", "uploads/c1/0001", ""), "AccessDenied"},
		{"operator removes", "operator", remove("cases", "cases/c1/application/0001.json"), "ok"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := code(tt.do(client(t, g, tt.who))); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// form is a presigned POST.
type form struct {
	url    string
	fields map[string]string
}

// presign makes a form that takes a JPEG of at most 1000 bytes under one key.
func presign(t *testing.T, c *s3.Client, bucket, key string) form {
	t.Helper()
	return presignFor(t, c, bucket, key, time.Minute)
}

// presignFor is presign with a life of the form's own; below zero it is over.
func presignFor(t *testing.T, c *s3.Client, bucket, key string, life time.Duration) form {
	t.Helper()
	out, err := s3.NewPresignClient(c).PresignPostObject(t.Context(),
		&s3.PutObjectInput{Bucket: &bucket, Key: &key},
		func(o *s3.PresignPostOptions) {
			o.Expires = life
			o.Conditions = []any{
				[]any{"content-length-range", 1, 1000},
				map[string]string{"Content-Type": "image/jpeg"},
			}
		})
	if err != nil {
		t.Fatal(err)
	}
	out.Values["Content-Type"] = "image/jpeg"
	return form{url: out.URL, fields: out.Values}
}

// post sends the form with a file and returns the status of the answer.
func (f form) post(ctx context.Context, file []byte) (int, error) {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for name, text := range f.fields {
		if err := w.WriteField(name, text); err != nil {
			return 0, err
		}
	}
	part, err := w.CreateFormFile("file", "photo.jpg")
	if err != nil {
		return 0, err
	}
	if _, err := part.Write(file); err != nil {
		return 0, err
	}
	if err := w.Close(); err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url, &body)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", w.FormDataContentType())
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	return res.StatusCode, res.Body.Close()
}

// changePolicy changes the text of the policy, and leaves its signature.
func (f form) changePolicy(t *testing.T, from, to string) {
	t.Helper()
	policy, err := base64.StdEncoding.DecodeString(f.fields["policy"])
	if err != nil || !bytes.Contains(policy, []byte(from)) {
		t.Fatalf("policy %s, %v", policy, err)
	}
	f.fields["policy"] = base64.StdEncoding.EncodeToString(bytes.Replace(policy, []byte(from), []byte(to), 1))
}

func TestPresignedPost(t *testing.T) {
	g := start(t, config(t))
	tests := []struct {
		name   string
		who    string
		change func(form)
		size   int
		want   int
	}{
		{"operator", "operator", nil, 1000, http.StatusNoContent},
		{"role that may put", "onboard", nil, 1, http.StatusNoContent},
		{"role that may read", "predict", nil, 1, http.StatusForbidden},
		{"too large", "onboard", nil, 1001, http.StatusBadRequest},
		{"empty", "onboard", nil, 0, http.StatusBadRequest},
		{"another type", "onboard", func(f form) { f.fields["Content-Type"] = "text/html" }, 1, http.StatusForbidden},
		{"another key", "onboard", func(f form) { f.fields["key"] = "uploads/c2/0001" }, 1, http.StatusForbidden},
		{"a path in the key", "onboard", func(f form) { f.fields["key"] = "uploads/c2/../c1/0001" }, 1, http.StatusForbidden},
		{"the key without a policy", "onboard", func(f form) { delete(f.fields, "policy") }, 1, http.StatusBadRequest},
		{"a policy for another key", "onboard", func(f form) {
			f.changePolicy(t, "uploads/c1/", "uploads/c2/")
			f.fields["key"] = strings.Replace(f.fields["key"], "c1", "c2", 1)
		}, 1, http.StatusForbidden},
		{"a policy for more bytes", "onboard", func(f form) { f.changePolicy(t, "1000]", "9999]") }, 1001, http.StatusForbidden},
		{"a policy for longer", "onboard", func(f form) { f.changePolicy(t, `"expiration":"2`, `"expiration":"3`) }, 1, http.StatusForbidden},
		{"a field that the policy does not know", "onboard", func(f form) { f.fields["acl"] = "public-read" }, 1, http.StatusForbidden},
		{"an answer of the form's own", "onboard", func(f form) { f.fields["success_action_redirect"] = "https://example.com/" }, 1, http.StatusForbidden},
		{"another signature", "onboard", func(f form) { f.fields["X-Amz-Signature"] = strings.Repeat("0", 64) }, 1, http.StatusForbidden},
	}
	t.Run("key that the role may not put", func(t *testing.T) {
		got, err := presign(t, client(t, g, "onboard"), "uploads", "other/c1").post(t.Context(), []byte("x"))
		if err != nil || got != http.StatusForbidden {
			t.Errorf("post = %d, %v, want %d", got, err, http.StatusForbidden)
		}
	})
	t.Run("expired", func(t *testing.T) {
		got, err := presignFor(t, client(t, g, "onboard"), "uploads", "uploads/c1/0001", -time.Second).post(t.Context(), []byte("x"))
		if err != nil || got != http.StatusForbidden {
			t.Errorf("post = %d, %v, want %d", got, err, http.StatusForbidden)
		}
	})
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := presign(t, client(t, g, tt.who), "uploads", fmt.Sprintf("uploads/c1/%04d", i))
			if tt.change != nil {
				tt.change(f)
			}
			got, err := f.post(t.Context(), make([]byte, tt.size))
			if err != nil || got != tt.want {
				t.Errorf("post = %d, %v, want %d", got, err, tt.want)
			}
		})
	}
}

func TestEventsHaveTheShapeOfS3(t *testing.T) {
	now := time.Date(2026, 11, 24, 5, 0, 0, 0, time.UTC)
	var got []events.S3Event
	c := config(t)
	c.Now = func() time.Time { return now }
	c.Created = func(e events.S3Event) { got = append(got, e) }
	g := start(t, c)
	operator := client(t, g, "operator")

	versions := []string{mustPut(t, operator, "uploads", "uploads/ä b+c/0001", "photo")}
	if status, err := presign(t, client(t, g, "onboard"), "uploads", "uploads/c2/0001").post(t.Context(), []byte("posted")); err != nil || status != http.StatusNoContent {
		t.Fatalf("post = %d, %v", status, err)
	}
	head, err := operator.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("uploads"), Key: aws.String("uploads/c2/0001")})
	if err != nil {
		t.Fatal(err)
	}
	versions = append(versions, *head.VersionId, "")
	uploadInParts(t, operator, "cases", "batches/b1/large", []byte("in parts"))
	if _, err := operator.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("cases"), Key: aws.String("batches/b1/large")}); err != nil {
		t.Fatal(err)
	}

	record := func(kind, who, bucket, key, decoded, version, etag string, size int64) events.S3Event {
		return events.S3Event{Records: []events.S3EventRecord{{
			EventVersion: "2.1", EventSource: "aws:s3", AWSRegion: region, EventTime: now, EventName: kind,
			PrincipalID:       events.S3UserIdentity{PrincipalID: who},
			RequestParameters: events.S3RequestParameters{SourceIPAddress: "127.0.0.1"},
			S3: events.S3Entity{
				SchemaVersion: "1.0",
				Bucket:        events.S3Bucket{Name: bucket, OwnerIdentity: events.S3UserIdentity{PrincipalID: "operator"}, Arn: "arn:aws:s3:::" + bucket},
				Object:        events.S3Object{Key: key, URLDecodedKey: decoded, Size: size, VersionID: version, ETag: etag},
			},
		}}}
	}
	want := []events.S3Event{
		record("ObjectCreated:Put", "operator", "uploads", "uploads/%C3%A4+b%2Bc/0001", "uploads/ä b+c/0001", versions[0], etag("photo"), 5),
		record("ObjectCreated:Post", "onboard", "uploads", "uploads/c2/0001", "uploads/c2/0001", versions[1], etag("posted"), 6),
		record("ObjectCreated:CompleteMultipartUpload", "operator", "cases", "batches/b1/large", "batches/b1/large", "", etagOfParts("in parts"), 8),
	}
	ignore := cmp.Options{
		cmpopts.IgnoreFields(events.S3EventRecord{}, "ResponseElements"),
		cmpopts.IgnoreFields(events.S3Object{}, "Sequencer"),
	}
	if diff := cmp.Diff(want, got, ignore); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	for _, v := range versions[:2] {
		if v == "" {
			t.Error("an event of a versioned bucket names no version")
		}
	}

	// A function decodes what we encode.
	data, err := json.Marshal(got[0])
	if err != nil {
		t.Fatal(err)
	}
	var back events.S3Event
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got[0], back); diff != "" {
		t.Errorf("round trip (-sent +received):\n%s", diff)
	}
}

// etag is S3's for an object that was sent as a whole: the MD5 of its bytes.
func etag(body string) string {
	return fmt.Sprintf("%x", md5.Sum([]byte(body)))
}

// etagOfParts is S3's for an object that was sent in parts: the MD5 of the
// MD5s, and the number of parts.
func etagOfParts(parts ...string) string {
	var sums []byte
	for _, p := range parts {
		sum := md5.Sum([]byte(p))
		sums = append(sums, sum[:]...)
	}
	return fmt.Sprintf("%x-%d", md5.Sum(sums), len(parts))
}

func uploadInParts(t *testing.T, c *s3.Client, bucket, key string, body []byte) {
	t.Helper()
	up, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	part, err := c.UploadPart(t.Context(), &s3.UploadPartInput{
		Bucket: &bucket, Key: &key, UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: bytes.NewReader(body),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: &bucket, Key: &key, UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{ETag: part.ETag, PartNumber: aws.Int32(1), ChecksumCRC32: part.ChecksumCRC32}}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestBurst sends 500 forms at once. Each answer must have been preceded by
// its event, so that whoever waits for the answers has every event.
func TestBurst(t *testing.T) {
	const uploads, senders = 500, 40
	var mu sync.Mutex
	seen := map[string]int{}
	c := config(t)
	c.Created = func(e events.S3Event) {
		mu.Lock()
		defer mu.Unlock()
		seen[e.Records[0].S3.Object.URLDecodedKey]++
	}
	g := start(t, c)
	onboard := client(t, g, "onboard")

	var forms []form
	want := map[string]int{}
	for i := range uploads {
		key := fmt.Sprintf("uploads/case-%d/0001", i)
		want[key] = 1
		forms = append(forms, presign(t, onboard, "uploads", key))
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < uploads; i = next.Add(1) - 1 {
				status, err := forms[i].post(t.Context(), []byte(strconv.FormatInt(i, 10)))
				if err != nil || status != http.StatusNoContent {
					t.Errorf("post = %d, %v", status, err)
				}
			}
		})
	}
	wg.Wait()
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("events by key (-want +got):\n%s", diff)
	}
}

// TestOneWriterWins is what the names of stored objects rest on: of many who
// write the same name at once with If-None-Match, one succeeds.
func TestOneWriterWins(t *testing.T) {
	const racers = 40
	g := start(t, config(t))
	quote := client(t, g, "quote")
	var wins, losses atomic.Int64
	var wg sync.WaitGroup
	for range racers {
		wg.Go(func() {
			_, err := put(t, quote, "cases", "cases/c1/quotes/photo-0001.json", "{}")
			switch code(err) {
			case "ok":
				wins.Add(1)
			case "PreconditionFailed", "ConditionalRequestConflict":
				losses.Add(1)
			}
		})
	}
	wg.Wait()
	if wins.Load() != 1 || losses.Load() != racers-1 {
		t.Errorf("%d of %d writers won and %d lost, want 1 winner", wins.Load(), racers, losses.Load())
	}
}

func TestStartAgain(t *testing.T) {
	before, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	c := config(t)
	first := start(t, c)
	if _, err := gateway.Start(t.Context(), c); err == nil {
		t.Error("a second gateway started beside the first")
	}
	mustPut(t, client(t, first, "operator"), "cases", "kept", "x")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", strings.TrimPrefix(first.Endpoint, "http://")); err == nil {
		conn.Close()
		t.Error("the port listens after Close")
	}
	if now, err := os.Getwd(); err != nil || now != before {
		t.Errorf("working directory after Close = %s, %v, want that before", now, err)
	}

	// The same folder under another template: what was granted is gone.
	c.Roles[1].Statements = nil
	second := start(t, c)
	if _, err := put(t, client(t, second, "operator"), "cases", "kept", "x"); code(err) != "PreconditionFailed" {
		t.Errorf("put of a kept name = %s, want PreconditionFailed", code(err))
	}
	if _, err := put(t, client(t, second, "quote"), "cases", "cases/c1/quotes/facts-0001.json", "x"); code(err) != "AccessDenied" {
		t.Errorf("put by a role without statements = %s, want AccessDenied", code(err))
	}
}

func TestTakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := config(t)
	c.Port = l.Addr().(*net.TCPAddr).Port
	if _, err := gateway.Start(t.Context(), c); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Start on a taken port = %v, want EADDRINUSE", err)
	}
}
