package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/agequote/agequote/internal/local/gateway"
	"github.com/agequote/agequote/internal/local/samtemplate"
	"github.com/agequote/agequote/internal/onnx/onnxtest"
	"github.com/agequote/agequote/training/dataset"
	"github.com/agequote/agequote/training/recipe"
)

// TestRunInS3 moves a run from one machine to another by way of S3: what was
// pushed after the job was told to stop is brought, and the cache is not.
func TestRunInS3(t *testing.T) {
	g, err := gateway.Start(t.Context(), gateway.Config{
		Dir: t.TempDir(), Region: "eu-central-1", Buckets: []samtemplate.Bucket{{Name: "training"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	t.Setenv("AWS_ENDPOINT_URL_S3", g.Endpoint)
	t.Setenv("AWS_ACCESS_KEY_ID", g.Operator.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", g.Operator.SecretAccessKey)
	t.Setenv("AWS_REGION", "eu-central-1")

	const place = "s3://training/runs/smoke"
	first := &job{dir: filepath.Join(t.TempDir(), "run"), images: t.TempDir()}
	if err := first.bring(t.Context(), place); err != nil {
		t.Fatalf("a run that is not there yet: %v", err)
	}
	files := map[string]string{"train.tsv": "file\tage\n", "checkpoint/current/state.json": "{}", "cache/train/plain.u8": "large", "metrics.jsonl": "{}\n"}
	for name, content := range files {
		path := filepath.Join(first.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	told, stop := context.WithCancel(t.Context())
	stop()
	if err := first.push(told); err != nil {
		t.Fatalf("push of a job that was told to stop: %v", err)
	}

	second := &job{dir: filepath.Join(t.TempDir(), "run"), images: t.TempDir()}
	if err := second.bring(t.Context(), place); err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(second.dir, name))
		if name == "cache/train/plain.u8" {
			if !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s came too: %v", name, err)
			}
			continue
		}
		if err != nil || string(got) != want {
			t.Errorf("%s is %q, %v, want %q", name, got, err, want)
		}
	}

	alone := &job{dir: t.TempDir(), images: t.TempDir()}
	if err := errors.Join(alone.bring(t.Context(), ""), alone.push(t.Context())); err != nil {
		t.Errorf("a run that is kept here alone: %v", err)
	}
	if err := alone.bring(t.Context(), "runs/smoke"); !errors.Is(err, errUsage) {
		t.Errorf("bring from a folder = %v, want wrong use", err)
	}
}

func TestPrepareMissing(t *testing.T) {
	onnxtest.Require(t)
	r, err := recipe.Load("recipes/smoke.yaml")
	if err != nil {
		t.Fatal(err)
	}
	j := &job{recipe: r, dir: t.TempDir(), images: t.TempDir()}
	if err := dataset.Synthetic(j.images, "../events/selfies", 20, 1); err != nil {
		t.Fatal(err)
	}
	f := &runFlags{detector: "../models/detector.onnx"}
	if err := f.prepareMissing(t.Context(), j, io.Discard); err != nil {
		t.Fatal(err)
	}
	train, err := dataset.ReadTrain(j.dir)
	if err != nil || len(train) == 0 {
		t.Fatalf("%d photos train: %v", len(train), err)
	}
	j.images = t.TempDir() // what is prepared is not prepared again
	if err := f.prepareMissing(t.Context(), j, io.Discard); err != nil {
		t.Error(err)
	}
}

// TestStatus ends by the signal that AWS sends before it takes an instance.
func TestStatus(t *testing.T) {
	if got := status(t.Context(), errUsage); got != 2 {
		t.Errorf("status of wrong use is %d", got)
	}
	if got := status(t.Context(), io.EOF); got != 1 {
		t.Errorf("status of a failure is %d", got)
	}
	ctx := stoppable()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Signal(syscall.SIGTERM); err != nil {
		t.Skipf("this system has no SIGTERM: %v", err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(time.Minute):
		t.Fatal("SIGTERM does not end the context")
	}
	if got := status(ctx, ctx.Err()); got != 143 {
		t.Errorf("status after SIGTERM is %d, want 143", got)
	}
}
