package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
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
	pagePort, reviewPort     int
	concurrency              int
	retryWait                time.Duration
	verbose                  bool
	parameters               map[string]string
}

func (f *stackFlags) register(fs *flag.FlagSet, dir string) {
	fs.StringVar(&f.template, "template", "", "`FILE` that says what runs (default: template.yaml)")
	fs.StringVar(&f.functions, "functions", "", "`DIR` of the built functions (default: build)")
	fs.StringVar(&f.dir, "dir", dir, "`DIR` that keeps the buckets; empty: one that goes with the stack")
	fs.IntVar(&f.s3Port, "s3-port", 0, "`PORT` of S3 on 127.0.0.1; 0 takes a free one")
	fs.IntVar(&f.lambdaPort, "lambda-port", 0, "`PORT` of Lambda on 127.0.0.1; 0 takes a free one")
	fs.IntVar(&f.pagePort, "page-port", 0, "`PORT` of the customers' page and API on 127.0.0.1; 0 takes a free one")
	fs.IntVar(&f.reviewPort, "review-port", 0, "`PORT` of the underwriters' page and API on 127.0.0.1; 0 takes a free one")
	fs.IntVar(&f.concurrency, "concurrency", 0, "`N` instances of a function at a time; 0: one a processor")
	fs.DurationVar(&f.retryWait, "retry-wait", time.Second, "`TIME` before a failed event is tried again; 0s waits as Lambda does, 1 and 2 minutes")
	// Research models may run in it: it is for trials.
	f.parameters = map[string]string{"AllowResearchModel": "yes"}
	fs.Func("parameter", "`NAME=VALUE` of the template, such as ReviewIssuer; once for each", func(text string) error {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return errors.New("want NAME=VALUE")
		}
		f.parameters[name] = value
		return nil
	})
	fs.BoolVar(&f.verbose, "verbose", false, "show what the functions log")
}

// start brings the stack up.
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
		Parameters:  f.parameters,
		Functions:   functions,
		Dir:         f.dir,
		S3Port:      f.s3Port,
		LambdaPort:  f.lambdaPort,
		APIPort:     f.pagePort,
		ReviewPort:  f.reviewPort,
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
