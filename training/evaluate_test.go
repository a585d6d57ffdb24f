package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/onnx/onnxtest"
)

const selfies = "file\tage\tsex\nastronaut.png\t42\tfemale\ngrace_hopper.jpg\t77\tfemale\n"

// TestEvaluate measures the shipped package on the two selfies, and again on
// the readings kept of them.
func TestEvaluate(t *testing.T) {
	onnxtest.Require(t)
	dir := t.TempDir()
	labels, readings, parity := filepath.Join(dir, "labels.tsv"), filepath.Join(dir, "readings.jsonl"), filepath.Join(dir, "parity.json")
	for name, content := range map[string]string{labels: selfies, parity: `{"photos":200,"max_probability":1e-5,"max_years":0.01}`} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := func(args ...string) {
		t.Helper()
		if err := run(t.Context(), args, io.Discard, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	evaluated := func(out string) ([]byte, evaluation.Document) {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(out, evaluation.DocumentName))
		if err != nil {
			t.Fatal(err)
		}
		d, err := evaluation.ParseDocument(b)
		if err != nil {
			t.Fatal(err)
		}
		return b, d
	}

	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	common := []string{"evaluate", "--package", "../models", "--labels", labels, "--parity", parity, "--cross-folds", "0", "--valuation-date", "2026-11-24"}
	command(append(common, "--images", "../events/selfies", "--out", first)...)
	b, d := evaluated(first)
	if d.Labels != digest.Of([]byte(selfies)) || d.Folds != 0 || d.Parity == nil || d.Parity.Photos != 200 {
		t.Errorf("labels %s, folds %d, parity %+v", d.Labels, d.Folds, d.Parity)
	}
	if r := d.Report; r.N != 2 || r.Model != "" || r.Groups["sex=female"].N != 2 || r.MAE == nil || r.CI.MAE == nil {
		t.Errorf("report %+v", r.Figures)
	}
	if p := d.Premium; p.Product != "us-term" || p.N != 1 || p.MeanAbsError == nil { // the other one is 77
		t.Errorf("premium %+v", p)
	}
	html, err := os.ReadFile(filepath.Join(first, pageFile))
	if err != nil || !strings.Contains(string(html), "Evaluation of ") {
		t.Errorf("page of %d bytes, %v", len(html), err)
	}

	// comparing two photos' ways of calibrating is hopeless, and said so
	var table bytes.Buffer
	err = run(t.Context(), []string{"calibrate", "--readings", readings, "--package", "../models", "--labels", labels, "--images", "../events/selfies"}, &table, io.Discard)
	if err != nil || !strings.Contains(table.String(), "too few for a coverage") {
		t.Errorf("calibrate: %v\n%s", err, table.String())
	}
	command(append(common, "--readings", readings, "--out", second)...)
	if again, _ := evaluated(second); !bytes.Equal(b, again) {
		t.Errorf("on the readings:\n%s\non the photos:\n%s", again, b)
	}
}
