// Command predict is the Lambda function that estimates the age on uploaded
// photos. It only wires: the work is in internal/predict.
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
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/onnx"
	"github.com/agequote/agequote/internal/predict"
	"github.com/agequote/agequote/internal/s3store"
	"github.com/agequote/agequote/internal/version"
)

func main() {
	if err := run(context.Background(), os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "predict:", err)
		os.Exit(1)
	}
}

// run builds everything before the first event, so that a broken model or
// setting fails at once and not with a customer's photo.
func run(ctx context.Context, getenv func(string) string) error {
	cfg, err := config.LoadPredict(getenv)
	if err != nil {
		return err
	}
	library, err := onnx.Find("")
	if err != nil {
		return err
	}
	if err := onnx.Start(library); err != nil {
		return err
	}
	pkg, err := model.ReadPackage(os.DirFS(cfg.ModelDir))
	if err != nil {
		return err
	}
	m, err := model.Open(pkg, model.Options{AllowResearch: cfg.AllowResearchModel})
	if err != nil {
		return err
	}
	aws, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return fmt.Errorf("load AWS settings: %w", err)
	}
	client := s3.NewFromConfig(aws)

	h := &predict.Handler{
		Photos:        &s3store.Bucket{Client: client, Name: cfg.UploadsBucket},
		UploadsBucket: cfg.UploadsBucket,
		Cases:         &s3store.Bucket{Client: client, Name: cfg.CasesBucket},
		Model:         m,
		Metrics:       &metrics.Recorder{Out: os.Stdout, Namespace: cfg.MetricsNamespace, Now: time.Now},
		Version:       version.String(),
		Now:           time.Now,
		Log:           slog.New(lambdacontext.NewLogHandler()),
	}
	lambda.Start(h.Handle)
	return nil
}
