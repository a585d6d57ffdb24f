package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/agequote/agequote/internal/local"
)

// stackFlags are the flags of the commands that start the local stack.
type stackFlags struct {
	template, functions, dir string
	s3Port, lambdaPort       int
	concurrency              int
	retryWait                time.Duration
	verbose                  bool
}

func (f *stackFlags) register(fs *flag.FlagSet, dir string) {
	fs.StringVar(&f.template, "template", "", "`FILE` that says what runs (default: template.yaml)")
	fs.StringVar(&f.functions, "functions", "", "`DIR` of the built functions (default: build)")
	fs.StringVar(&f.dir, "dir", dir, "`DIR` that keeps the buckets; empty: one that goes with the stack")
	fs.IntVar(&f.s3Port, "s3-port", 0, "`PORT` of S3 on 127.0.0.1; 0 takes a free one")
	fs.IntVar(&f.lambdaPort, "lambda-port", 0, "`PORT` of Lambda on 127.0.0.1; 0 takes a free one")
	fs.IntVar(&f.concurrency, "concurrency", 0, "`N` instances of a function at a time; 0: one a processor")
	fs.DurationVar(&f.retryWait, "retry-wait", time.Second, "`TIME` before a failed event is tried again; 0s waits as Lambda does, 1 and 2 minutes")
	fs.BoolVar(&f.verbose, "verbose", false, "show what the functions log")
}

// start brings the stack up. Research models may run in it: it is for trials.
func (f *stackFlags) start(ctx context.Context, e *env) (*local.Stack, error) {
	template, functions := f.template, f.functions
	if template == "" {
		found, err := beside("template.yaml")
		if err != nil {
			return nil, err
		}
		template = found
	}
	if functions == "" {
		functions = filepath.Join(filepath.Dir(template), "build")
	}
	log := io.Discard
	if f.verbose {
		log = e.stderr
	}
	return local.Start(ctx, local.Options{
		Template:    template,
		Parameters:  map[string]string{"AllowResearchModel": "yes"},
		Functions:   functions,
		Dir:         f.dir,
		S3Port:      f.s3Port,
		LambdaPort:  f.lambdaPort,
		RetryWait:   f.retryWait,
		Concurrency: f.concurrency,
		FunctionLog: log,
		Log:         slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
}

// s3Client speaks to the stack's S3 as its operator.
func s3Client(ctx context.Context, s *local.Stack) (*s3.Client, error) {
	operator := s.Admin()
	cfg, err := awsconfig.LoadDefaultConfig(ctx,
		awsconfig.WithRegion(s.Region()),
		awsconfig.WithBaseEndpoint(s.S3Endpoint()),
		awsconfig.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(operator.AccessKeyID, operator.SecretAccessKey, "")))
	if err != nil {
		return nil, fmt.Errorf("load AWS settings: %w", err)
	}
	return s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = true
		o.RetryMaxAttempts = 3
		o.Logger = nil
	}), nil
}

func devCommand() *command {
	return &command{
		name:    "dev",
		summary: "runs the deployed system on this machine, until Ctrl-C",
		usage: `Starts everything in template.yaml: a real S3 server with a user and policy for
each function's role, and the functions as processes behind Lambda's Runtime API,
with memory, timeouts, retries and destinations as the template sets them. It
prints the settings with which the aws command, or any SDK, reaches it.

  agequote dev
  agequote dev --s3-port 7070 --verbose
`,
		flags: func(fs *flag.FlagSet) func(context.Context, *env, []string) error {
			var f stackFlags
			f.register(fs, filepath.Join("build", "dev"))
			return func(ctx context.Context, e *env, args []string) error {
				if len(args) > 0 {
					return usagef("dev: takes flags only, not %q", args[0])
				}
				return dev(ctx, e, &f)
			}
		},
	}
}

func dev(ctx context.Context, e *env, f *stackFlags) error {
	s, err := f.start(ctx, e)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stderr, "The stack runs. S3 is at %s, Lambda at %s; Ctrl-C ends it.\n", s.S3Endpoint(), s.LambdaEndpoint())
	if f.dir != "" {
		fmt.Fprintf(e.stderr, "Its buckets are folders in %s.\n", f.dir)
	}
	fmt.Fprint(e.stderr, "To reach it from another terminal:\n\n")
	for _, line := range append(s.Env(),
		"UPLOADS_BUCKET="+s.Resource("UploadsBucket"),
		"CASES_BUCKET="+s.Resource("CasesBucket"),
		"MODELS_BUCKET="+s.Resource("ModelsBucket"),
		"PREDICT_FUNCTION="+s.Resource("PredictFunction"),
		"QUOTE_FUNCTION="+s.Resource("QuoteFunction"),
	) {
		fmt.Fprintf(e.stdout, "export %s\n", line)
	}
	<-ctx.Done()
	fmt.Fprintln(e.stderr, "\nStopping.")
	return s.Close()
}
