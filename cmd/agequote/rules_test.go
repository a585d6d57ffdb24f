package main

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/agequote/agequote/rules"
)

func runRules(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, problems bytes.Buffer
	e := &env{stdin: strings.NewReader(""), stdout: &out, stderr: &problems, getenv: func(string) string { return "" },
		now: func() time.Time { return time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC) }}
	status = exitStatus(e, run(context.Background(), e, append([]string{"rules"}, args...)))
	return out.String(), problems.String(), status
}

// A new version of a file is refused until its approver, and nobody else, has
// approved it; then it is in the history.
func TestRulesApprove(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "rules")
	if err := os.CopyFS(folder, rules.FS); err != nil {
		t.Fatal(err)
	}
	questions, err := fs.ReadFile(rules.FS, "questions/health.yaml")
	if err != nil {
		t.Fatal(err)
	}
	next := strings.NewReplacer("2026-01-01", "2027-01-01", "rating_steps: 4", "rating_steps: 5").Replace(string(questions))
	if err := os.WriteFile(filepath.Join(folder, "questions", "health-2027.yaml"), []byte(next), 0o644); err != nil {
		t.Fatal(err)
	}
	approve := func(by string) []string {
		return []string{"approve", "questions/health-2027.yaml", "--rules", folder, "--by", by}
	}
	steps := []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"verify", "--rules", folder}, 1, "questions/health-2027.yaml: line 1: not approved"},
		{[]string{"list", "--rules", folder}, 0, "questions/health-2027.yaml      2027-01-01  not approved"},
		{approve("medical underwriting"), 1, "its author may not approve it"},
		{approve("somebody"), 1, "names another approver"},
		{approve("chief underwriter"), 0, `"approved":"2026-11-25"`},
		{approve("chief underwriter"), 1, "approved already"},
		{[]string{"verify", "--rules", folder}, 0, "all is well"},
		{[]string{"history", "--rules", folder}, 0, "questions/health-2027.yaml"},
		{[]string{"history", "--rules", folder, "--json"}, 0, `"file":"questions/health-2027.yaml"`},
		{[]string{"doc", "--rules", folder}, 0, "## us-term: Term life, from 2027-01-01"},
		{[]string{"approve", "questions/none.yaml", "--rules", folder, "--by", "x"}, 2, "is no rule file"},
		{[]string{"approve", "questions/health.yaml"}, 2, "--by is needed"},
		{[]string{"change"}, 2, "no action"},
		{nil, 2, "is needed"},
	}
	for _, s := range steps {
		stdout, stderr, status := runRules(t, s.args...)
		if status != s.status || !strings.Contains(stdout+stderr, s.says) {
			t.Errorf("rules %q: status %d, want %d with %q, in:\n%s%s", s.args, status, s.status, s.says, stdout, stderr)
		}
	}
}
