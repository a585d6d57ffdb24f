// Command report is the Lambda function that looks for duplicates in a batch and
// tells at its end what came of it. It only wires: the work is in
// internal/report.
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

	"github.com/agequote/agequote/internal/config"
	"github.com/agequote/agequote/internal/metrics"
	"github.com/agequote/agequote/internal/report"
	"github.com/agequote/agequote/internal/s3store"
	"github.com/agequote/agequote/internal/version"
)

func main() {
	if err := run(context.Background(), os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

// run builds everything before the first event.
func run(ctx context.Context, getenv func(string) string) error {
	cfg, err := config.LoadReport(getenv)
	if err != nil {
		return err
	}
	aws, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return fmt.Errorf("load AWS settings: %w", err)
	}
	h := &report.Handler{
		Cases:   &s3store.Bucket{Client: s3.NewFromConfig(aws), Name: cfg.CasesBucket},
		Metrics: &metrics.Recorder{Out: os.Stdout, Namespace: cfg.MetricsNamespace, Now: time.Now},
		Version: version.String(),
		Now:     time.Now,
		Log:     slog.New(lambdacontext.NewLogHandler()),
	}
	lambda.Start(h.Handle)
	return nil
}
