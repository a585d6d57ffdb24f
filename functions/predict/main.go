// Command predict is the Lambda function that estimates the age on uploaded
// photos. It only wires: the work is in internal/predict.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/agequote/agequote/internal/config"
	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/follow"
	"github.com/agequote/agequote/internal/metrics"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/onnx"
	"github.com/agequote/agequote/internal/predict"
	"github.com/agequote/agequote/internal/registry"
	"github.com/agequote/agequote/internal/s3store"
	"github.com/agequote/agequote/internal/version"
)

func main() {
	// Lambda is paid for by the memory that a function is given, of which a photo
	// needs little: garbage is collected less often, up to half of it.
	debug.SetGCPercent(400)
	if mb := lambdacontext.MemoryLimitInMB; mb > 0 {
		debug.SetMemoryLimit(int64(mb) << 20 / 2)
	}
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
	// Loading it takes as long as asking S3 for the live model and verifying the
	// networks' files: a customer waits for the longer of the two.
	runtime := sync.OnceValue(func() error { return onnx.Start(library) })
	go runtime()
	aws, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return fmt.Errorf("load AWS settings: %w", err)
	}
	packaged := os.DirFS(cfg.ModelDir)
	manifest, err := fs.ReadFile(packaged, model.ManifestName)
	if err != nil {
		return fmt.Errorf("read packaged model: %w", err)
	}
	client := s3.NewFromConfig(aws)
	recorder := &metrics.Recorder{Out: os.Stdout, Namespace: cfg.MetricsNamespace, Now: time.Now}
	log := slog.New(lambdacontext.NewLogHandler())

	live := &follow.Follower{
		Registry:     &registry.Registry{Objects: &s3store.Bucket{Client: client, Name: cfg.ModelsBucket}},
		Load:         func(files fs.FS) (follow.Model, error) { return openTested(files, runtime, cfg.AllowResearchModel) },
		Packaged:     func() (follow.Model, error) { return open(packaged, runtime, cfg.AllowResearchModel) },
		PackagedHash: digest.Of(manifest),
		Interval:     cfg.ModelFollow,
		Metrics:      recorder,
		Log:          log,
		Now:          time.Now,
	}
	if err := live.Start(ctx); err != nil {
		return err
	}
	h := &predict.Handler{
		Photos:        &s3store.Bucket{Client: client, Name: cfg.UploadsBucket},
		UploadsBucket: cfg.UploadsBucket,
		Cases:         &s3store.Bucket{Client: client, Name: cfg.CasesBucket},
		Model:         func(ctx context.Context) (predict.Estimator, func()) { return live.Acquire(ctx) },
		Metrics:       recorder,
		Version:       version.String(),
		Now:           time.Now,
		Log:           log,
	}
	lambda.Start(h.Handle)
	return nil
}

// open loads a package into the runtime.
func open(files fs.FS, runtime func() error, allowResearch bool) (*model.Model, error) {
	pkg, err := model.ReadPackage(files)
	if err != nil {
		return nil, err
	}
	if err := runtime(); err != nil {
		return nil, err
	}
	return model.Open(pkg, model.Options{AllowResearch: allowResearch})
}

// openTested loads a package that did not come with this code, and runs it once
// before a customer's photo does.
func openTested(files fs.FS, runtime func() error, allowResearch bool) (*model.Model, error) {
	m, err := open(files, runtime, allowResearch)
	if err != nil {
		return nil, err
	}
	if err := m.SelfTest(); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}
