package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/agequote/agequote/internal/local/gateway"
	"github.com/agequote/agequote/internal/local/samtemplate"
	"github.com/agequote/agequote/training/remote"
)

func TestPushAndPull(t *testing.T) {
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
	command := func(args ...string) error { return run(t.Context(), args, io.Discard, io.Discard) }

	from, to := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(from, "labels.tsv"), []byte("file\tage\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	const uri = "s3://training/data/faces"
	if err := command("pull", "--from", uri, "--to", to); !errors.Is(err, remote.ErrNoSet) {
		t.Errorf("pull of nothing = %v, want ErrNoSet", err)
	}
	if err := command("push", "--from", from, "--to", uri); err != nil {
		t.Fatal(err)
	}
	if err := command("pull", "--from", uri, "--to", to); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(to, "labels.tsv")); err != nil || string(got) != "file\tage\n" {
		t.Errorf("pulled %q, %v", got, err)
	}
	for _, wrong := range [][]string{{"push", "--from", from}, {"push", "--from", from, "--to", to}, {"pull", "--from", to, "--to", to}} {
		if err := command(wrong...); !errors.Is(err, errUsage) {
			t.Errorf("training %q = %v, want wrong use", wrong[0], err)
		}
	}
}
