package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/quote"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/underwriting"
	"github.com/agequote/agequote/rules"
)

const storedCase = "3f0c9a5be27d4d0a8f61c2b7e4d95a10"

// storedFolder is the folder of a cases bucket with one quoted case.
func storedFolder(t *testing.T) string {
	t.Helper()
	book, err := rulebook.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	keep := func(key string, body []byte, err error) string {
		t.Helper()
		name := filepath.Join(dir, filepath.FromSlash(key))
		if err == nil {
			err = os.MkdirAll(filepath.Dir(name), 0o755)
		}
		if err == nil {
			err = os.WriteFile(name, body, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		return digest.Of(body)
	}
	at := time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)
	years, low, high, coverage := 42.0, 36.0, 50.0, 0.9
	d := make([]float64, 101)
	d[40], d[44] = 0.5, 0.5
	estimate := casefile.Estimate{Schema: 1, Case: storedCase, N: 1, Code: reason.OK, Photo: "sha256:photo", Model: "sha256:model", ModelUse: "research",
		Estimate: age.Estimate{Age: &years, Mean: &years, Low: &low, High: &high, Coverage: &coverage, Distribution: d}}
	application := casefile.Application{Schema: 1, Case: storedCase, N: 1, Facts: underwriting.Facts{Sex: "female", HeightCM: 168, WeightKG: 62,
		Tobacco: "never", SumCents: 25_000_000, TermYears: 20, Market: "US"}}
	in := quote.Input{Case: storedCase, Cause: "photo-0001", Facts: application.Facts, Estimate: &estimate.Estimate,
		ValuationDate: at, Time: at, ModelUse: "research",
		Inputs: casefile.Inputs{Application: casefile.ApplicationKey(storedCase, 1), Estimate: casefile.EstimateKey(storedCase, 1)},
		Hashes: casefile.Hashes{Photo: estimate.Photo, Model: estimate.Model, Code: "sha256:code"}}
	body, err := cases.Encode(application)
	in.Hashes.Application = keep(in.Inputs.Application, body, err)
	body, err = cases.Encode(estimate)
	in.Hashes.Estimate = keep(in.Inputs.Estimate, body, err)
	q, err := quote.ComputeOrRefer(book, in)
	if err != nil {
		t.Fatal(err)
	}
	body, err = q.Encode()
	keep(casefile.QuoteKey(storedCase, "photo-0001"), body, err)
	return dir
}

func runArgs(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	e := &env{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, getenv: func(string) string { return "" }, now: time.Now}
	status = exitStatus(e, run(t.Context(), e, args))
	return out.String(), errs.String(), status
}

// TestStoredCase replays a stored case, writes its letter and tries it again
// under the same rules, from the folder and from a file; then one digit of the
// quote is altered.
func TestStoredCase(t *testing.T) {
	dir := storedFolder(t)
	file := filepath.Join(t.TempDir(), "cases.jsonl")
	tests := []struct {
		name   string
		args   []string
		status int
		wants  []string // in standard output and error
	}{
		{"replay", []string{"replay", storedCase, "--cases", dir}, 0, []string{"photo-0001.json: the same bytes", "interval     unchecked", "code         noted"}},
		{"replay json", []string{"replay", storedCase, "--cases", dir, "--json"}, 0, []string{`"same":true`}},
		{"replay another", []string{"replay", "aaaaaaaaaaaaaaaa", "--cases", dir}, 1, []string{"something of it is not in"}},
		{"replay nowhere", []string{"replay", storedCase}, 2, []string{"no cases bucket"}},
		{"letter", []string{"letter", storedCase, "--cases", dir}, 0, []string{"Premium: ", "right that a person"}},
		{"letter in no language", []string{"letter", storedCase, "--cases", dir, "--language", "xx"}, 2, []string{"--language"}},
		{"letter of no quote", []string{"letter", storedCase, "--cases", dir, "--quote", "facts-0009"}, 1, []string{"no such quote"}},
		{"whatif", []string{"whatif", dir}, 0, []string{"1 cases, 0 decisions changed", "0 rose, 0 fell"}},
		{"pack", []string{"whatif", "--pack", file, dir}, 0, []string{"1 cases written"}},
		{"pack over a file", []string{"whatif", "--pack", file, dir}, 1, []string{"exists"}},
		{"whatif file", []string{"whatif", "--json", file}, 0, []string{`"cases":1,"decisions_changed":0`}},
		{"whatif of nothing", []string{"whatif", filepath.Join(dir, "none")}, 1, []string{"find cases"}},
		{"whatif without rules", []string{"whatif", "--rules", dir, file}, 1, []string{"load rules"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stdout, stderr, status := runArgs(t, tt.args...)
			if status != tt.status {
				t.Errorf("status %d, want %d", status, tt.status)
			}
			for _, want := range tt.wants {
				if !strings.Contains(stdout+stderr, want) {
					t.Errorf("no %q in\n%s%s", want, stdout, stderr)
				}
			}
		})
	}

	name := filepath.Join(dir, filepath.FromSlash(casefile.QuoteKey(storedCase, "photo-0001")))
	body, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	altered := bytes.Replace(body, []byte(`"term_years":20`), []byte(`"term_years":21`), 1)
	if err := os.WriteFile(name, altered, 0o644); err != nil {
		t.Fatal(err)
	}
	stdout, _, status := runArgs(t, "replay", storedCase, "--cases", dir)
	if status != 1 || !strings.Contains(stdout, `basis.term_years: stored "21", now "20"`) {
		t.Errorf("status %d after the quote was altered:\n%s", status, stdout)
	}
}
