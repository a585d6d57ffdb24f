package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/agequote/agequote/internal/fairness"
)

// TestFairness counts one stored case by its period, and a batch's table with
// labels, twice: the second report is held against the first.
func TestFairness(t *testing.T) {
	dir, out := storedFolder(t), t.TempDir()
	results, labels := filepath.Join(out, "results.csv"), filepath.Join(out, "ages.tsv")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(results, "case,outcome,code,sex,height_cm,weight_kg,tobacco,sum_cents,term_years,market,age,low,high,gross_annual_cents,groups\n"+
		"case-0001,quoted,ok,female,170,65,never,25000000,20,US,44,36,52,30000,race=x\n"+
		"case-0002,refused,blurred,male,170,65,never,25000000,20,US,,,,,race=y\n"+
		"case-0003,failed,erased,male,170,65,never,25000000,20,US,,,,,race=y\n")
	write(labels, "case\tage\ncase-0001\t41\n")
	previous := filepath.Join(out, fairnessJSON)
	tests := []struct {
		name   string
		args   []string
		status int
		wants  []string
	}{
		{"period", []string{"--cases", dir, "--from", "2026-11-24", "--to", "2026-11-24"}, 0, []string{"1 applications", "none is judged"}},
		{"next day", []string{"--cases", dir, "--from", "2026-11-25", "--to", "2026-11-30"}, 0, []string{"0 applications"}},
		{"batch", []string{"--batch", results, "--labels", labels, "--valuation-date", "2026-11-25"}, 0, []string{"2 applications"}},
		{"again", []string{"--batch", results, "--labels", labels, "--previous", previous, "--valuation-date", "2026-11-25"}, 0, []string{"since the last report", "None of 0 figures"}},
		{"neither", nil, 2, []string{"give --batch, or --cases"}},
		{"both", []string{"--batch", results, "--from", "2026-11-25", "--to", "2026-11-30"}, 2, []string{"give --batch, or --cases"}},
		{"no period", []string{"--cases", dir, "--from", "2026-11-25", "--to", "2026-11-24"}, 2, []string{"ends before it begins"}},
		{"no ages", []string{"--batch", results, "--ages", "old"}, 2, []string{"--ages"}},
		{"no reference", []string{"--batch", results, "--reference", "race"}, 2, []string{"want DIMENSION=GROUP"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stdout, stderr, status := runArgs(t, append([]string{"fairness", "--out", out}, tt.args...)...)
			if status != tt.status {
				t.Errorf("status %d, want %d: %s", status, tt.status, stderr)
			}
			for _, want := range tt.wants {
				if !strings.Contains(stdout+stderr, want) {
					t.Errorf("%q lacks %q", stdout+stderr, want)
				}
			}
		})
	}

	raw, err := os.ReadFile(previous)
	if err != nil {
		t.Fatal(err)
	}
	report, err := fairness.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	// The premium at the true age of 41 is what the quote command says of it.
	stdout, _, _ := runArgs(t, "quote", "--age", "41", "--sex", "female", "--smoker", "no", "--height-cm", "170", "--weight-kg", "65",
		"--sum", "250000", "--term", "20", "--market", "US", "--valuation-date", "2026-11-25", "--json")
	var quoted struct {
		Gross float64 `json:"gross_annual_cents"`
	}
	if err := json.Unmarshal([]byte(stdout), &quoted); err != nil {
		t.Fatal(err)
	}
	for _, m := range report.Dimensions[0].Groups[0].Means {
		if m.Measure == "premium_error" && (m.Mean == nil || *m.Mean != 30000/quoted.Gross-1) {
			t.Errorf("premium error %v, want that against %v cents", m.Mean, quoted.Gross)
		}
	}
	if report.Erased != 1 {
		t.Errorf("%d erased, want 1", report.Erased)
	}
}
