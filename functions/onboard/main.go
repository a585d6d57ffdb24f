// Command onboard is the Lambda function behind the HTTP API and the page by
// which a customer applies. It only wires: the work is in internal/onboard.
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
	"github.com/agequote/agequote/internal/consent"
	"github.com/agequote/agequote/internal/erasure"
	"github.com/agequote/agequote/internal/lambdaclient"
	"github.com/agequote/agequote/internal/letter"
	"github.com/agequote/agequote/internal/metrics"
	"github.com/agequote/agequote/internal/onboard"
	"github.com/agequote/agequote/internal/onboard/page"
	"github.com/agequote/agequote/internal/openapi"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/s3store"
	"github.com/agequote/agequote/internal/upload"
	"github.com/agequote/agequote/internal/version"
	"github.com/agequote/agequote/rules"
)

func main() {
	if err := run(context.Background(), os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "onboard:", err)
		os.Exit(1)
	}
}

// run builds everything before the first request.
func run(ctx context.Context, getenv func(string) string) error {
	cfg, err := config.LoadOnboard(getenv)
	if err != nil {
		return err
	}
	keys, err := onboard.NewKeys(cfg.ServiceKey)
	if err != nil {
		return err
	}
	api, err := onboard.LoadAPI()
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
	uploads := &upload.Presigner{Client: client, Bucket: cfg.UploadsBucket, Now: time.Now}
	origin, err := uploads.Origin(ctx)
	if err != nil {
		return err
	}
	terms, err := consent.Current(cfg.RetentionDays)
	if err != nil {
		return err
	}

	stored := &s3store.Bucket{Client: client, Name: cfg.CasesBucket}
	photos := &s3store.Bucket{Client: client, Name: cfg.UploadsBucket}
	h := &onboard.Handler{
		API:           api,
		Keys:          keys,
		Cases:         stored,
		Photos:        photos,
		Uploads:       uploads,
		Quote:         &lambdaclient.Client{Lambda: awslambda.NewFromConfig(aws)},
		QuoteFunction: cfg.QuoteFunction,
		Eraser:        &erasure.Eraser{Photos: photos, Cases: stored, Version: version.String(), Now: time.Now},
		Letter:        letter.Write,
		Book:          book,
		Consent:       terms,
		Page:          asset,
		PageHeaders:   page.Headers(origin),
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
