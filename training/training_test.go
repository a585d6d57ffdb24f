package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/onnx/onnxtest"
	"github.com/agequote/agequote/training/dataset"
)

func TestPrepare(t *testing.T) {
	onnxtest.Require(t)
	dir := t.TempDir()
	photos, byFlags, byRecipe := filepath.Join(dir, "photos"), filepath.Join(dir, "flags"), filepath.Join(dir, "recipe")
	runs := func(args ...string) string {
		t.Helper()
		var stdout bytes.Buffer
		if err := run(t.Context(), args, &stdout, io.Discard); err != nil {
			t.Fatalf("run(%q): %v", args, err)
		}
		return stdout.String()
	}
	runs("prepare", "--synthetic", photos, "--selfies", "../events/selfies", "--photos", "40")

	labels := filepath.Join(photos, "labels.tsv")
	if err := os.WriteFile(filepath.Join(photos, "note.jpg"), []byte("no picture"), 0o600); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(labels)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(labels, append(content, "note.jpg\t40\nlost.jpg\t41\nphotos/00000.jpg\t99\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	recipe := filepath.Join(dir, "recipe.yaml")
	shipped, err := os.ReadFile("recipes/transfer.yaml")
	if err != nil {
		t.Fatal(err)
	}
	own := "data:\n  images: " + photos + `
  sources:
    - {kind: labels, name: own, file: labels.tsv, salt: x, train: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], use: production, terms: consent 3}
`
	dataPart := regexp.MustCompile(`(?m)^data:\n((?: .*)?\n)*`)
	if err := os.WriteFile(recipe, dataPart.ReplaceAllLiteral(shipped, []byte(own)), 0o600); err != nil {
		t.Fatal(err)
	}

	const detector = "../models/detector.onnx"
	out := runs("prepare", "--labels", labels, "--images", photos, "--out", byFlags, "--detector", detector)
	if !strings.Contains(out, "for research") {
		t.Errorf("prepare by flags says\n%s", out)
	}
	validation, err := dataset.ReadValidation(byFlags)
	if err != nil || len(validation) == 0 {
		t.Errorf("%d photos validate: %v", len(validation), err)
	}

	out = runs("prepare", "--recipe", recipe, "--out", byRecipe, "--detector", detector)
	if !strings.Contains(out, "for production") {
		t.Errorf("prepare by recipe says\n%s", out)
	}
	train, err := dataset.ReadTrain(byRecipe)
	if err != nil {
		t.Fatal(err)
	}
	var report dataset.Report
	raw, err := os.ReadFile(filepath.Join(byRecipe, dataset.DroppedFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &report); err != nil {
		t.Fatal(err)
	}
	// 43 lines: the first photo is there twice, with ages 0 to 99 and 99.
	dropped := map[dataset.Reason]int{"not_image": 1, dataset.Missing: 1, dataset.AgeConflict: 2}
	if diff := cmp.Diff(dropped, report.Dropped); diff != "" || report.Read != 43 || len(train) != 39 {
		t.Errorf("%d read, %d train; dropped (-want +got)\n%s", report.Read, len(train), diff)
	}
}

func TestPrepareRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	bare := write("bare.yaml", "seed: 1\n")
	wrong := write("wrong.yaml", "data:\n  sources: [{kind: fgnet, train: [kept_apart], use: research}]\n")
	strange := write("strange.yaml", "data:\n  surces: []\n")
	good := write("good.yaml", "sources: [{kind: fgnet, train: [others], use: research}]\n")
	lost := write("labels.tsv", "file\tage\nlost.jpg\t30\n")
	tests := []struct {
		args  []string
		usage bool
		want  string
	}{
		{[]string{"--out", dir}, true, "needed"},
		{[]string{"--recipe", bare}, true, "--out"},
		{[]string{"--recipe", bare, "--data", good, "--out", dir}, true, "two places"},
		{[]string{"--data", good, "--out", dir}, true, "--images"},
		{[]string{"--data", good, "--labels", lost, "--images", dir, "--out", dir}, true, "one source"},
		{[]string{"--recipe", bare, "--images", dir, "--out", dir}, false, "data: sources: none"},
		{[]string{"--recipe", wrong, "--images", dir, "--out", dir}, false, "no model is trained"},
		{[]string{"--recipe", strange, "--images", dir, "--out", dir}, false, "surces"},
		{[]string{"--labels", lost, "--images", dir, "--out", dir, "--faces=false"}, false, "no photo"},
	}
	for _, tt := range tests {
		err := run(t.Context(), append([]string{"prepare"}, tt.args...), io.Discard, io.Discard)
		if err == nil || errors.Is(err, errUsage) != tt.usage || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("prepare %q = %v, want %q in it", tt.args, err, tt.want)
		}
	}
}

func TestRunWrongUse(t *testing.T) {
	for _, args := range [][]string{nil, {"fit"}, {"prepare"}, {"export", "--network", "x"}, {"export", "--colour"}, {"calibrate"}, {"evaluate", "--package", "x"}, {"calibrate", "--readings", "x", "--package", "y"}} {
		if err := run(t.Context(), args, io.Discard, io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("run(%q) = %v, want errUsage", args, err)
		}
	}
	if err := run(t.Context(), []string{"-h"}, io.Discard, io.Discard); err != nil {
		t.Errorf("run(-h) = %v", err)
	}
}
