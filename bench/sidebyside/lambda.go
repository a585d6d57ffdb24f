package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/agequote/agequote/bench/report"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/consent"
	"github.com/agequote/agequote/internal/local/gateway"
	"github.com/agequote/agequote/internal/local/lambdad"
	"github.com/agequote/agequote/internal/local/ownfile"
	"github.com/agequote/agequote/internal/local/samtemplate"
	"github.com/agequote/agequote/internal/quote"
	"github.com/agequote/agequote/internal/s3store"
	"github.com/agequote/agequote/internal/underwriting"
)

const region = "us-east-1"

// lambdaStack runs predict and quote as the template sets them, on an S3 server
// in this process that tells nobody of uploads: photos are sent by the bench.
type lambdaStack struct {
	gateway        *gateway.Gateway
	lambda         *lambdad.Server
	requests       *requestCounter
	client         *s3.Client
	uploads        string
	cases          *s3store.Bucket
	predict, quote *function
}

func startLambda(ctx context.Context, root, dir string) (*lambdaStack, error) {
	template, err := samtemplate.Read(filepath.Join(root, "template.yaml"), samtemplate.Options{
		StackName: "agequote", Region: region, Account: "000000000000",
		Parameters: map[string]string{"AllowResearchModel": "yes"},
	})
	if err != nil {
		return nil, err
	}
	var roles []gateway.Role
	for _, f := range template.Functions {
		roles = append(roles, gateway.Role{Name: f.LogicalID, Statements: f.Statements})
	}
	s := &lambdaStack{}
	if s.gateway, err = gateway.Start(ctx, gateway.Config{Dir: dir, Region: region, Buckets: template.Buckets, Roles: roles, Log: slog.New(slog.DiscardHandler)}); err != nil {
		return nil, err
	}
	if s.requests, err = countRequests(s.gateway.Endpoint); err != nil {
		return nil, err
	}
	s.client = s3.New(s3.Options{BaseEndpoint: &s.gateway.Endpoint, Region: region, UsePathStyle: true, Credentials: credentials.StaticCredentialsProvider{Value: s.gateway.Operator}})
	for _, b := range template.Buckets {
		switch b.LogicalID {
		case "UploadsBucket":
			s.uploads = b.Name
		case "CasesBucket":
			s.cases = &s3store.Bucket{Client: s.client, Name: b.Name}
		}
	}

	c := lambdad.Config{
		Operator: s.gateway.Operator.AccessKeyID,
		// What a function prints is counted: logs are paid for by the byte.
		FunctionLog: &s.requests.printed,
		PutObject:   func(context.Context, string, string, []byte, string) error { return nil },
		Log:         slog.New(slog.DiscardHandler),
	}
	for _, f := range template.Functions {
		dir := filepath.Join(root, "build", f.LogicalID)
		fn := &function{stack: s, logicalID: f.LogicalID, name: f.Name, bootstrap: filepath.Join(dir, "bootstrap"), memory: f.MemoryMB}
		switch f.LogicalID {
		case "PredictFunction":
			s.predict = fn
		case "QuoteFunction":
			s.quote = fn
		default:
			continue
		}
		role, _ := s.gateway.Role(f.LogicalID)
		env := []string{"AWS_REGION=" + region, "AWS_ACCESS_KEY_ID=" + role.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + role.SecretAccessKey, "AWS_ENDPOINT_URL_S3=" + s.requests.server.URL}
		for name, value := range f.Environment {
			env = append(env, name+"="+value)
		}
		c.Functions = append(c.Functions, lambdad.Function{Name: f.Name, ARN: f.ARN, Dir: dir, MemoryMB: f.MemoryMB, Timeout: f.Timeout, Concurrency: 1, Env: env, AccessKey: role.AccessKeyID})
	}
	s.lambda, err = lambdad.Start(ctx, c)
	return s, err
}

func (s *lambdaStack) Close() error {
	err := s.lambda.Close()
	s.requests.server.Close()
	return errors.Join(err, s.gateway.Close())
}

// function is predict or quote; predict is a contender.
type function struct {
	stack           *lambdaStack
	logicalID, name string
	bootstrap       string
	memory          int
	pid             int

	photo    report.Photo        // prepared last
	next     []byte              // its event
	ms       map[string][]uint64 // photo -> nanoseconds of each answer but the first of a process
	cold     []float64
	counts   counts // of S3 requests and bytes printed, summed over n warm answers
	n        int
	answered bool // since the process started
}

// Start kills the process that runs; the next event starts one.
func (f *function) Start(context.Context) error {
	f.stack.lambda.Kill(f.name)
	f.pid, f.answered = 0, false
	return nil
}

// Prepare stores a new case with its application and a photo that is a file of
// its own, as a customer's is, and names it in the next event, as a batch does.
func (f *function) Prepare(ctx context.Context, p report.Photo) error {
	f.photo = p
	now := time.Now()
	id, days := casefile.NewID(), 30
	terms, err := consent.Current(days)
	if err != nil {
		return err
	}
	const age = 75 // the photo agrees, so that nobody is put before a person
	body, err := cases.Encode(casefile.Application{
		Schema: casefile.Schema, Case: id, N: 1, Time: now.UTC(), Salt: casefile.NewSalt(), Consent: terms.Record(now), Version: "bench",
		Facts: underwriting.Facts{BirthDate: now.AddDate(-age, 0, 0).Format(time.DateOnly), Sex: "female", Tobacco: "never", HeightCM: 170, WeightKG: 65, SumCents: 25_000_000, TermYears: 10, Market: "US"},
	})
	if err != nil {
		return err
	}
	if err := f.stack.cases.PutIfAbsent(ctx, casefile.ApplicationKey(id, 1), body); err != nil {
		return err
	}
	key := casefile.UploadKey(id, 1)
	out, err := f.stack.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &f.stack.uploads, Key: &key, Body: bytes.NewReader(ownfile.Of(p.Bytes, id))})
	if err != nil {
		return err
	}
	item := map[string]any{"case": id, "n": 1, "bucket": f.stack.uploads, "key": key}
	if out.VersionId != nil {
		item["version"] = *out.VersionId
	}
	f.next, err = json.Marshal(map[string]any{"items": []any{item}})
	return err
}

// Answer sends the prepared event to predict, and hands what it answers to
// quote, whose time is not predict's.
func (f *function) Answer(ctx context.Context, p report.Photo) error {
	answer, err := f.invoke(ctx, f.next, p.Name)
	if err != nil {
		return err
	}
	var shape struct{ Results []casefile.Result }
	if err := json.Unmarshal(answer, &shape); err != nil {
		return err
	}
	if len(shape.Results) != 1 || shape.Results[0].Age == nil {
		return fmt.Errorf("no age in %.200s", answer)
	}
	f.stack.quote.next = answer
	return nil
}

func (f *function) invoke(ctx context.Context, payload []byte, photo string) ([]byte, error) {
	before := f.stack.requests.now()
	began := time.Now()
	answer, failed, err := f.stack.lambda.Invoke(ctx, f.name, payload)
	took := time.Since(began)
	if err != nil {
		return nil, err
	}
	if failed {
		return nil, fmt.Errorf("%s failed: %.300s", f.logicalID, answer)
	}
	if !f.answered {
		f.answered = true
		f.cold = append(f.cold, ms(took))
		return answer, nil
	}
	f.counts = f.counts.plus(f.stack.requests.now().minus(before))
	f.n++
	if f.ms == nil {
		f.ms = map[string][]uint64{}
	}
	f.ms[photo] = append(f.ms[photo], uint64(took))
	return answer, nil
}

// usage is what one warm answer takes.
func (f *function) usage(photo string) report.Usage {
	var times []float64
	for _, v := range f.ms[photo] {
		times = append(times, float64(v)/1e6)
	}
	n := float64(max(f.n, 1))
	return report.Usage{
		MemoryMB: f.memory,
		WarmMS:   report.Median(times),
		ColdMS:   report.Median(f.cold),
		Puts:     float64(f.counts.puts) / n,
		Lists:    float64(f.counts.lists) / n,
		Gets:     float64(f.counts.gets) / n,
		Stored:   float64(f.counts.stored) / n,
		Printed:  float64(f.counts.printed) / n,
	}
}

// Processor and Peak find the process by its program, below this one.
func (f *function) Processor() (float64, bool) {
	if !f.find() {
		return 0, false
	}
	return processorMS(f.pid)
}

func (f *function) Peak() int64 {
	if !f.find() {
		return 0
	}
	return peakMemory(f.pid)
}

func (f *function) find() bool {
	if f.pid != 0 {
		return true
	}
	programs, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, p := range programs {
		if to, err := os.Readlink(p); err != nil || to != f.bootstrap {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(p, "/")[2])
		if err == nil && parent(pid) == os.Getpid() {
			f.pid = pid
			return true
		}
	}
	return false
}

func parent(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), ") ") // the name before may hold anything
	fields := strings.Fields(rest)
	if len(fields) < 2 {
		return 0
	}
	n, _ := strconv.Atoi(fields[1])
	return n
}

// Stop asks quote for the turn's last case, cold, and for a few more, warm, and
// ends both.
func (f *function) Stop() error {
	ctx, q := context.Background(), f.stack.quote
	q.answered = false
	err := q.quote(ctx)
	const more = 5
	for range more {
		if err != nil {
			break
		}
		if err = f.Prepare(ctx, f.photo); err != nil {
			break
		}
		if err = f.Answer(ctx, f.photo); err != nil {
			break
		}
		err = q.quote(ctx)
	}
	f.stack.lambda.Kill(q.name)
	f.stack.lambda.Kill(f.name)
	return err
}

// quote asks quote for the last case. A customer who is put before a person makes
// requests that an ordinary one does not, and is an error.
func (f *function) quote(ctx context.Context) error {
	answer, err := f.invoke(ctx, f.next, report.Page)
	if err != nil {
		return err
	}
	var shape quote.Answer
	if err := json.Unmarshal(answer, &shape); err != nil {
		return err
	}
	if len(shape.Quotes) != 1 || shape.Quotes[0].Decision != underwriting.Quote {
		return fmt.Errorf("not quoted: %.200s", answer)
	}
	return nil
}

// counts are S3 requests as they are priced, and bytes.
type counts struct{ puts, lists, gets, stored, printed int64 }

func (a counts) plus(b counts) counts {
	return counts{a.puts + b.puts, a.lists + b.lists, a.gets + b.gets, a.stored + b.stored, a.printed + b.printed}
}

func (a counts) minus(b counts) counts {
	return counts{a.puts - b.puts, a.lists - b.lists, a.gets - b.gets, a.stored - b.stored, a.printed - b.printed}
}

// requestCounter stands before S3 and counts what passes.
type requestCounter struct {
	server  *httptest.Server
	printed printed

	mu sync.Mutex
	c  counts
}

func countRequests(endpoint string) (*requestCounter, error) {
	target, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	r := &requestCounter{}
	// The host stays as it was signed.
	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = target.Scheme, target.Host, p.In.Host
	}}
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.count(req)
		proxy.ServeHTTP(w, req)
	}))
	return r, nil
}

func (r *requestCounter) count(req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case req.Method == http.MethodPut || req.Method == http.MethodPost:
		r.c.puts++
		r.c.stored += max(req.ContentLength, 0)
	case req.URL.Query().Has("list-type") || req.URL.Query().Has("versions"):
		r.c.lists++
	case req.Method == http.MethodGet || req.Method == http.MethodHead:
		r.c.gets++
	}
}

func (r *requestCounter) now() counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.c
	c.printed = r.printed.bytes()
	return c
}

// printed counts bytes.
type printed struct {
	mu sync.Mutex
	n  int64
}

var _ io.Writer = (*printed)(nil)

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n += int64(len(b))
	return len(b), nil
}

func (p *printed) bytes() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}
