// Command quote is the Lambda function that turns an estimate and declared
// facts into an indicative premium. It only wires: the work is in
// internal/quote.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/agequote/agequote/internal/audit"
	"github.com/agequote/agequote/internal/config"
	"github.com/agequote/agequote/internal/control"
	"github.com/agequote/agequote/internal/metrics"
	"github.com/agequote/agequote/internal/quote"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/s3store"
	"github.com/agequote/agequote/internal/sample"
	"github.com/agequote/agequote/internal/version"
	"github.com/agequote/agequote/rules"
)

func main() {
	if err := run(context.Background(), os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "quote:", err)
		os.Exit(1)
	}
}

// run builds everything before the first event, so that a broken rule file or
// setting fails at once and not with a customer's case.
func run(ctx context.Context, getenv func(string) string) error {
	cfg, err := config.LoadQuote(getenv)
	if err != nil {
		return err
	}
	book, err := rulebook.Load(rules.FS)
	if err != nil {
		return err
	}
	aws, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return fmt.Errorf("load AWS settings: %w", err)
	}

	client := s3.NewFromConfig(aws)
	cases := &s3store.Bucket{Client: client, Name: cfg.CasesBucket}
	heads := &s3store.Bucket{Client: client, Name: cfg.AuditBucket}
	stop := &control.Follower{Switch: control.New(cases), Now: time.Now}
	h := &quote.Handler{
		Cases:   cases,
		Book:    book,
		Stopped: stop.Stopped,
		Sample:  sample.Draw{Share: cfg.SampleShare, Seed: cfg.SampleSeed}.Takes,
		Seal:    &audit.Sealer{Cases: cases, Heads: heads, Version: version.String(), Now: time.Now},
		Metrics: &metrics.Recorder{Out: os.Stdout, Namespace: cfg.MetricsNamespace, Now: time.Now},
		Version: version.String(),
		Now:     time.Now,
		Log:     slog.New(lambdacontext.NewLogHandler()),
	}
	lambda.Start(h.Handle)
	return nil
}
