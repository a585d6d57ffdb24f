// Command failed is the Lambda function that makes what the platform gave up on
// a case for a person. It only wires: the work is in internal/failed.
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
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/agequote/agequote/internal/config"
	"github.com/agequote/agequote/internal/failed"
	"github.com/agequote/agequote/internal/lambdaclient"
	"github.com/agequote/agequote/internal/metrics"
	"github.com/agequote/agequote/internal/s3store"
	"github.com/agequote/agequote/internal/version"
)

func main() {
	if err := run(context.Background(), os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "failed:", err)
		os.Exit(1)
	}
}

// run builds everything before the first event.
func run(ctx context.Context, getenv func(string) string) error {
	cfg, err := config.LoadFailed(getenv)
	if err != nil {
		return err
	}
	aws, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return fmt.Errorf("load AWS settings: %w", err)
	}
	client := s3.NewFromConfig(aws)

	h := &failed.Handler{
		Records:         &s3store.Bucket{Client: client, Name: cfg.FailuresBucket},
		Cases:           &s3store.Bucket{Client: client, Name: cfg.CasesBucket},
		Lambda:          &lambdaclient.Client{Lambda: awslambda.NewFromConfig(aws)},
		PredictFunction: cfg.PredictFunction,
		Metrics:         &metrics.Recorder{Out: os.Stdout, Namespace: cfg.MetricsNamespace, Now: time.Now},
		Version:         version.String(),
		Now:             time.Now,
		Log:             slog.New(lambdacontext.NewLogHandler()),
	}
	lambda.Start(h.Handle)
	return nil
}
