// Package local runs a SAM template on one machine: its buckets on an S3
// server, its functions as processes behind Lambda's own interface, and
// between them the events, retries, destinations and permissions that the
// template states. Where its parameter ReviewIssuer is not set, people sign in at an
// issuer of the stack's own (package issuer). Code that talks to it uses the AWS SDK and needs only the
// variables that Env returns, or HTTP for the template's HTTP APIs.
//
// It is for demonstrations, development and tests. It isolates nothing, keeps
// no audit trail and listens on 127.0.0.1 alone. State machines get their role, and
// are not run. REST APIs, alarms, lifecycle rules and encryption of the template
// are left out; packages samtemplate, gateway, lambdad, httpapi and issuer say what they
// leave out.
package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/agequote/agequote/internal/local/gateway"
	"github.com/agequote/agequote/internal/local/lambdad"
	"github.com/agequote/agequote/internal/local/samtemplate"
)

// Options say what to run and where. Paths may be relative.
type Options struct {
	Template   string            // path of template.yaml
	Parameters map[string]string // overrides of its parameters
	Functions  string            // folder with <logical id>/bootstrap for each function

	StackName string // default agequote
	Region    string // default eu-central-1
	Account   string // default 000000000000

	Dir        string // keeps the objects; empty: a temporary folder that Close removes
	S3Port     int    // 0: any free one
	LambdaPort int    // 0: any free one
	APIPort    int    // of the first HTTP API; 0: any free one
	ReviewPort int    // of the API with the logical id ReviewApi; 0: any free one. Other APIs take free ones

	RetryWait   time.Duration // before each retry; 0: Lambda's 1 and 2 minutes
	Concurrency int           // instances of a function that reserves none; 0: one for each processor

	// Front returns the address at which the functions find S3, given its own: a
	// trial puts a proxy that fails in between (package faultproxy). Nil: S3's own.
	Front func(s3 string) (string, error)

	FunctionLog io.Writer    // what functions print, each line after the function's name; nil: discarded
	Log         *slog.Logger // nil: discarded
}

// Stack is a running template.
type Stack struct {
	options  Options
	template *samtemplate.Template
	gateway  *gateway.Gateway
	front    string // where the functions find it
	lambda   *lambdad.Server
	apis     map[string]*api // by logical id
	signIn   *signIn         // nil: the template needs no issuer, or has another
	ready    chan struct{}   // closed once events may be passed on
	folder   string          // of the template
	remove   string          // the temporary folder; empty: none
}

// Start runs the template and returns when it can be used. The end of ctx
// kills the functions; Close must be called all the same.
//
// From Start to Close the working directory of the process is another one, for
// a reason that package gateway gives. So make relative paths absolute before
// Start. There can be one Stack at a time in a process.
//
// A taken port is an error that wraps syscall.EADDRINUSE, and a missing
// bootstrap one that wraps fs.ErrNotExist; both say in one line what to do. A
// problem of the template is told with its line.
func Start(ctx context.Context, o Options) (_ *Stack, err error) {
	if o, err = withDefaults(o); err != nil {
		return nil, err
	}
	s := &Stack{options: o, apis: map[string]*api{}, ready: make(chan struct{})}
	if s.folder, err = filepath.Abs(filepath.Dir(o.Template)); err != nil {
		return nil, fmt.Errorf("find template: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()

	if err := s.listenIssuer(ctx, &o); err != nil {
		return nil, err
	}
	s.template, err = samtemplate.Read(o.Template, samtemplate.Options{
		Parameters: o.Parameters, StackName: o.StackName, Region: o.Region, Account: o.Account,
	})
	if err != nil {
		return nil, err
	}
	if err := checkFunctions(s.template, o.Functions); err != nil {
		return nil, err
	}
	if o.Dir == "" {
		if s.remove, err = os.MkdirTemp("", "agequote-"); err != nil {
			return nil, fmt.Errorf("make data folder: %w", err)
		}
		o.Dir = s.remove
	}
	if err := s.listenAPIs(ctx); err != nil {
		return nil, err
	}
	s.serveIssuer()
	if err := s.makeSecrets(o.Dir); err != nil {
		return nil, err
	}
	if err := s.startS3(ctx, o); err != nil {
		return nil, err
	}
	if s.front = s.gateway.Endpoint; o.Front != nil {
		if s.front, err = o.Front(s.front); err != nil {
			return nil, fmt.Errorf("put something in front of S3: %w", err)
		}
	}
	if err := s.startLambda(ctx); err != nil {
		return nil, err
	}
	s.serveAPIs()
	close(s.ready)
	return s, nil
}

// hint is a failure that the person at the machine can mend: text says how, and
// the cause is there for errors.Is alone.
type hint struct {
	text  string
	cause error
}

func (h *hint) Error() string { return h.text }
func (h *hint) Unwrap() error { return h.cause }

func withDefaults(o Options) (Options, error) {
	if o.StackName == "" {
		o.StackName = "agequote"
	}
	if o.Region == "" {
		o.Region = "eu-central-1"
	}
	if o.Account == "" {
		o.Account = "000000000000"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	for _, p := range []*string{&o.Functions, &o.Dir} {
		if *p == "" {
			continue
		}
		absolute, err := filepath.Abs(*p)
		if err != nil {
			return Options{}, fmt.Errorf("find folder: %w", err)
		}
		*p = absolute
	}
	return o, nil
}

// checkFunctions fails where a function is not built or can never run.
func checkFunctions(t *samtemplate.Template, folder string) error {
	for _, f := range t.Functions {
		_, err := os.Stat(filepath.Join(folder, f.LogicalID, "bootstrap"))
		if errors.Is(err, fs.ErrNotExist) {
			return &hint{f.LogicalID + " is not built: run make functions", err}
		}
		if err != nil {
			return fmt.Errorf("find %s: %w", f.LogicalID, err)
		}
		if f.Reserved != nil && *f.Reserved == 0 {
			return fmt.Errorf("%s reserves no concurrency, so it would never run", f.LogicalID)
		}
	}
	return nil
}

func (s *Stack) startS3(ctx context.Context, o Options) error {
	var roles []gateway.Role
	for _, f := range s.template.Functions {
		roles = append(roles, gateway.Role{Name: f.LogicalID, Statements: f.Statements})
	}
	for _, m := range s.template.Machines {
		roles = append(roles, gateway.Role{Name: m.LogicalID, Statements: m.Statements})
	}
	var err error
	s.gateway, err = gateway.Start(ctx, gateway.Config{
		Dir:     o.Dir,
		Port:    o.S3Port,
		Region:  o.Region,
		Buckets: s.template.Buckets,
		Roles:   roles,
		Log:     o.Log,
		Created: s.notify,
	})
	if errors.Is(err, syscall.EADDRINUSE) {
		return &hint{fmt.Sprintf("port %d is in use; choose another with --s3-port", o.S3Port), err}
	}
	return err
}

func (s *Stack) startLambda(ctx context.Context) error {
	c := lambdad.Config{
		Operator:    s.gateway.Operator.AccessKeyID,
		PutObject:   s.putObject,
		RetryWait:   s.options.RetryWait,
		Port:        s.options.LambdaPort,
		FunctionLog: s.options.FunctionLog,
		Log:         s.options.Log,
		Callers:     map[string][]string{},
	}
	for _, m := range s.template.Machines {
		role, _ := s.gateway.Role(m.LogicalID) // startS3 made one for each
		c.Callers[role.AccessKeyID] = mayInvoke(m.Statements, s.template.Functions)
	}
	for _, f := range s.template.Functions {
		c.Functions = append(c.Functions, s.lambdaFunction(f))
	}
	var err error
	s.lambda, err = lambdad.Start(ctx, c)
	if errors.Is(err, syscall.EADDRINUSE) {
		return &hint{fmt.Sprintf("port %d is in use; choose another with --lambda-port", s.options.LambdaPort), err}
	}
	return err
}

// lambdaFunction puts a function of the template as the Lambda server takes it.
func (s *Stack) lambdaFunction(f samtemplate.Function) lambdad.Function {
	role, _ := s.gateway.Role(f.LogicalID) // startS3 made one for each function
	env := append(s.clientEnv(role), "AWS_ENDPOINT_URL_S3="+s.front)
	for name, text := range f.Environment {
		env = append(env, name+"="+text)
	}
	concurrency := s.options.Concurrency
	if f.Reserved != nil {
		concurrency = *f.Reserved
	}
	return lambdad.Function{
		Name:        f.Name,
		ARN:         f.ARN,
		Dir:         filepath.Join(s.options.Functions, f.LogicalID),
		MemoryMB:    f.MemoryMB,
		Timeout:     f.Timeout,
		Concurrency: concurrency,
		Env:         env,
		MaxRetries:  f.Retries,
		MaxEventAge: f.MaxEventAge,
		OnSuccess:   s.destination(f.OnSuccess),
		OnFailure:   s.destination(f.OnFailure),
		AccessKey:   role.AccessKeyID,
		MayInvoke:   mayInvoke(f.Statements, s.template.Functions),
	}
}

func (s *Stack) destination(d *samtemplate.Destination) *lambdad.Destination {
	if d == nil {
		return nil
	}
	if d.Type == samtemplate.ToLambda {
		return &lambdad.Destination{Function: d.ARN}
	}
	for _, b := range s.template.Buckets {
		if b.ARN == d.ARN {
			return &lambdad.Destination{Bucket: b.Name}
		}
	}
	return nil // samtemplate has refused a destination that is not in the template
}

// putObject writes what Lambda delivers to a bucket, as on AWS in the name of
// the function's role, so a role that may not write there is found out here.
func (s *Stack) putObject(ctx context.Context, bucket, key string, body []byte, accessKey string) error {
	role, ok := s.gateway.Role(accessKey)
	if !ok {
		return fmt.Errorf("there is no role %s", accessKey)
	}
	client := s3.New(s3.Options{
		BaseEndpoint: &s.gateway.Endpoint,
		Region:       s.options.Region,
		UsePathStyle: true,
		Credentials:  credentials.StaticCredentialsProvider{Value: role},
	})
	_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)})
	return err
}

// Close kills the functions, stops the servers, and removes the data if they
// were in a temporary folder. Nothing runs or listens when it returns.
func (s *Stack) Close() error {
	err := s.closeAPIs() // first, so that no request finds its function gone
	err = errors.Join(err, s.closeIssuer())
	if s.lambda != nil { // then, so that no function finds S3 gone
		err = errors.Join(err, s.lambda.Close())
	}
	if s.gateway != nil {
		err = errors.Join(err, s.gateway.Close())
	}
	if s.remove != "" {
		err = errors.Join(err, os.RemoveAll(s.remove))
	}
	return err
}

// S3Endpoint is the URL of the S3 server.
func (s *Stack) S3Endpoint() string { return s.gateway.Endpoint }

// LambdaEndpoint is the URL of the Lambda server.
func (s *Stack) LambdaEndpoint() string { return s.lambda.Endpoint() }

// Region is the AWS region that the stack says it is in.
func (s *Stack) Region() string { return s.options.Region }

// Admin returns the credentials of the operator, who may do anything.
func (s *Stack) Admin() aws.Credentials { return s.gateway.Operator }

// Role is the role of a function, as the S3 server knows it.
type Role struct {
	Name        string // the function's logical id
	Credentials aws.Credentials
}

// Roles returns the roles of all functions, for trials of what they may do.
func (s *Stack) Roles() []Role {
	var out []Role
	for _, f := range s.template.Functions {
		credentials, _ := s.gateway.Role(f.LogicalID) // startS3 made one for each
		out = append(out, Role{f.LogicalID, credentials})
	}
	return out
}

// Env returns the variables, NAME=value, with which the AWS SDK and its command
// line talk to the stack as the operator.
func (s *Stack) Env() []string {
	return append(s.clientEnv(s.gateway.Operator),
		"AWS_ENDPOINT_URL_S3="+s.gateway.Endpoint,
		"AWS_ENDPOINT_URL_LAMBDA="+s.lambda.Endpoint(),
	)
}

func (s *Stack) clientEnv(c aws.Credentials) []string {
	return []string{
		"AWS_REGION=" + s.options.Region,
		"AWS_DEFAULT_REGION=" + s.options.Region,
		"AWS_ACCESS_KEY_ID=" + c.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY=" + c.SecretAccessKey,
	}
}

// Resource returns the name of the bucket or function with a logical id, empty
// where the template has none.
func (s *Stack) Resource(logicalID string) string {
	for _, b := range s.template.Buckets {
		if b.LogicalID == logicalID {
			return b.Name
		}
	}
	for _, f := range s.template.Functions {
		if f.LogicalID == logicalID {
			return f.Name
		}
	}
	return ""
}

// Machine returns the definition of the state machine with a logical id, filled
// in as a deployment would, and the credentials of its role. The stack does not
// run it.
func (s *Stack) Machine(logicalID string) (definition string, role aws.Credentials, err error) {
	for _, m := range s.template.Machines {
		if m.LogicalID != logicalID {
			continue
		}
		text, err := os.ReadFile(filepath.Join(s.folder, m.Definition))
		if err != nil {
			return "", aws.Credentials{}, fmt.Errorf("read definition: %w", err)
		}
		filled := string(text)
		for name, value := range m.Substitutions {
			filled = strings.ReplaceAll(filled, "${"+name+"}", value)
		}
		role, _ := s.gateway.Role(logicalID)
		return filled, role, nil
	}
	return "", aws.Credentials{}, fmt.Errorf("there is no state machine %s", logicalID)
}

// RetentionDays returns after how many days the lifecycle of the bucket with a
// logical id removes every object, 0 where it does not. Here nothing carries it
// out by itself.
func (s *Stack) RetentionDays(logicalID string) int {
	for _, b := range s.template.Buckets {
		if b.LogicalID == logicalID {
			return b.ExpirationDays
		}
	}
	return 0
}

// KillFunction sends SIGKILL to each live instance of a function, named by its
// logical id, and returns how many there were. It is for tests.
func (s *Stack) KillFunction(logicalID string) int {
	return s.lambda.Kill(s.Resource(logicalID))
}

// Idle waits until no event is queued, running, waiting for a retry or on its
// way to a destination. An upload that has its answer counts as queued.
func (s *Stack) Idle(ctx context.Context) error { return s.lambda.Idle(ctx) }
