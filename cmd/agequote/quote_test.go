package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var updateQuote = flag.Bool("update-quote", false, "rewrite the golden output of agequote quote")

// The hashes of the rule files and the version of the code change with every
// edit; the rest of the output must not.
var changing = regexp.MustCompile(`"(rules|hash|code)":"(sha256:[0-9a-f]{64}|git:[0-9a-f]+|devel)"`)

// runQuote runs `agequote quote` on 24 November 2026.
func runQuote(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	e := &env{stdin: strings.NewReader(""), stdout: &out, stderr: &errs,
		getenv: func(string) string { return "" },
		now:    func() time.Time { return time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC) }}
	status = exitStatus(e, run(t.Context(), e, append([]string{"quote"}, args...)))
	return out.String(), errs.String(), status
}

func TestQuoteGolden(t *testing.T) {
	facts := []string{"--age", "42.5", "--sex", "female", "--smoker", "no", "--height-cm", "170", "--weight-kg", "65",
		"--sum", "250000", "--term", "20", "--market", "US"}
	with := func(more ...string) []string { return append(facts[:len(facts):len(facts)], more...) }
	tests := []struct {
		name string
		args []string
	}{
		{"help", []string{"-h"}},
		{"text", facts},
		{"json", with("--json")},
		{"interval", with("--low", "60", "--high", "80", "--mode", "monthly")},
		{"decline", with("--age", "17")},
		{"rated", with("--answer", "cancer=yes", "--answer", "diabetes=yes", "--answer", "tests-pending=no", "--mode", "quarterly", "--sum", "1200000")},
		{"explain", []string{"--age", "42.5", "--smoker", "no", "--height-cm", "170", "--weight-kg", "65", "--sum", "300000", "--term", "10", "--market", "EU", "--explain"}},
		{"refer", with("--weight-kg", "40")},
		{"exact", []string{"--age", "40", "--table", "3269", "--interest", "0.03", "--multiple", "1", "--sum", "250000.50", "--term", "20", "--json"}},
		{"birth-date", []string{"--birth-date", "1984-11-25", "--sex", "male", "--tobacco", "former:0.5", "--height-cm", "180", "--weight-kg", "90",
			"--sum", "100000", "--term", "10", "--valuation-date", "2026-11-25"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, stderr, status := runQuote(t, tt.args...)
			if status != 0 || stderr != "" {
				t.Fatalf("status %d, stderr %q, want 0 and nothing", status, stderr)
			}
			got = changing.ReplaceAllString(got, `"${1}":"..."`)
			golden := filepath.Join("testdata", "quote-"+tt.name+".golden")
			if *updateQuote {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
}

func TestQuoteTellsAllBadFlagsAtOnce(t *testing.T) {
	stdout, stderr, status := runQuote(t, "--low", "30", "--smoker", "maybe", "--sum", "1.234", "--valuation-date", "today", "--market", "CH", "--mode", "weekly")
	if status != 2 || stdout != "" {
		t.Errorf("status %d, stdout %q, want 2 and nothing", status, stdout)
	}
	for _, flag := range []string{"--low", "--smoker", "--sum", "--valuation-date", "--market", "--height-cm", "--weight-kg", "--term"} {
		if n := strings.Count(stderr, "\n  "+flag+" "); n != 1 {
			t.Errorf("%s is told %d times, want once, in:\n%s", flag, n, stderr)
		}
	}
}
