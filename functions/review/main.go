// Command review is the Lambda function behind the HTTP API and the page by
// which underwriters work. It only wires: the work is in internal/review.
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

	"github.com/agequote/agequote/internal/audit"
	"github.com/agequote/agequote/internal/config"
	"github.com/agequote/agequote/internal/lambdaclient"
	"github.com/agequote/agequote/internal/metrics"
	"github.com/agequote/agequote/internal/openapi"
	"github.com/agequote/agequote/internal/review"
	"github.com/agequote/agequote/internal/review/page"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/s3store"
	"github.com/agequote/agequote/internal/upload"
	"github.com/agequote/agequote/internal/version"
	"github.com/agequote/agequote/rules"
)

func main() {
	if err := run(context.Background(), os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "review:", err)
		os.Exit(1)
	}
}

// run builds everything before the first request.
func run(ctx context.Context, getenv func(string) string) error {
	cfg, err := config.LoadReview(getenv)
	if err != nil {
		return err
	}
	api, err := review.LoadAPI()
	if err != nil {
		return err
	}
	limits, err := review.LoadLimits()
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
	photos := &upload.Presigner{Client: client, Bucket: cfg.UploadsBucket, Now: time.Now}
	origin, err := photos.Origin(ctx)
	if err != nil {
		return err
	}
	headers, err := page.Headers(origin, cfg.Issuer, cfg.TokenOrigin)
	if err != nil {
		return err
	}

	stored := &s3store.Bucket{Client: client, Name: cfg.CasesBucket}
	heads := &s3store.Bucket{Client: client, Name: cfg.AuditBucket}
	h := &review.Handler{
		API:           api,
		RoleClaim:     cfg.RoleClaim,
		SignIn:        review.SignIn{Issuer: cfg.Issuer, ClientID: cfg.ClientID, Audience: cfg.Audience, Scope: cfg.Scope},
		Cases:         stored,
		Photos:        &s3store.Bucket{Client: client, Name: cfg.UploadsBucket},
		Views:         photos,
		Quote:         &lambdaclient.Client{Lambda: awslambda.NewFromConfig(aws)},
		QuoteFunction: cfg.QuoteFunction,
		Book:          book,
		Limits:        limits,
		Seal:          &audit.Sealer{Cases: stored, Heads: heads, Version: version.String(), Now: time.Now},
		Heads:         heads,
		Page:          asset,
		PageHeaders:   headers,
		Metrics:       &metrics.Recorder{Out: os.Stdout, Namespace: cfg.MetricsNamespace, Now: time.Now},
		Version:       version.String(),
		Now:           time.Now,
		Log:           slog.New(lambdacontext.NewLogHandler()),
	}
	lambda.Start(h.Handle)
	return nil
}

// asset is a file of the page as the handler takes it.
func asset(path string) (openapi.Asset, bool) {
	f, ok := page.Asset(path)
	return openapi.Asset(f), ok
}
