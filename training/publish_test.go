package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/agequote/agequote/internal/gate"
	"github.com/agequote/agequote/internal/local/gateway"
	"github.com/agequote/agequote/internal/local/samtemplate"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/model/modeltest"
	"github.com/agequote/agequote/internal/release"
)

// TestPublish publishes to a real S3 server: a model that passes the gate, the
// same again, and one that was never evaluated, which is stored and refused.
func TestPublish(t *testing.T) {
	evaluation, err := os.ReadFile("../internal/gate/testdata/evaluation.json")
	if err != nil {
		t.Fatal(err)
	}
	good, hash := modeltest.Derive(t, "../models", func(m *model.Manifest, files map[string][]byte) {
		m.Name = "good"
		files[gate.EvaluationName] = evaluation
	})
	unmeasured, _ := modeltest.Derive(t, "../models", func(m *model.Manifest, files map[string][]byte) {
		m.Name = "unmeasured"
		delete(files, gate.EvaluationName)
	})

	const bucket = "models"
	g, err := gateway.Start(t.Context(), gateway.Config{
		Dir: t.TempDir(), Region: "eu-central-1", Buckets: []samtemplate.Bucket{{Name: bucket, Versioned: true}},
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Setenv("AWS_ENDPOINT_URL_S3", g.Endpoint)
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_ACCESS_KEY_ID", g.Operator.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", g.Operator.SecretAccessKey)

	for _, author := range []string{"Ada", "Bob"} { // the second time nothing changes
		var out bytes.Buffer
		if err := run(t.Context(), []string{"publish", "--package", good, "--bucket", bucket, "--author", author, "--json"}, &out, io.Discard); err != nil {
			t.Fatal(err)
		}
		var got struct {
			Model, Author string
			Passed        bool
		}
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if got.Model != hash || got.Author != "Ada" || !got.Passed {
			t.Errorf("published by %s: %+v", author, got)
		}
	}

	var out bytes.Buffer
	err = run(t.Context(), []string{"publish", "--package", unmeasured, "--bucket", bucket, "--author", "Ada"}, &out, io.Discard)
	var refused *release.RefusedError
	if !errors.As(err, &refused) || !strings.Contains(out.String(), "REFUSED  evaluation") {
		t.Errorf("unmeasured: %v\n%s", err, &out)
	}
}

func TestPublishWrongUse(t *testing.T) {
	for _, args := range []string{"publish", "publish --package p --bucket b", "publish --package p --author a --bucket b extra", "publish --force"} {
		if err := run(t.Context(), strings.Fields(args), io.Discard, io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("%s: %v, want wrong use", args, err)
		}
	}
}
