package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/agequote/agequote/internal/onnx/onnxtest"
)

// call runs the program with these arguments and nothing in its environment.
func call(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, diagnostics bytes.Buffer
	e := &env{stdin: strings.NewReader(""), stdout: &out, stderr: &diagnostics,
		getenv: func(string) string { return "" },
		now:    func() time.Time { return time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC) }}
	status = exitStatus(e, run(t.Context(), e, args))
	return status, out.String(), diagnostics.String()
}

func TestCommandLine(t *testing.T) {
	tests := []struct {
		args   string
		status int
		stderr string // part of it
	}{
		{"", 2, "no command given"},
		{"fly", 2, `no command "fly"`},
		{"-h", 0, ""},
		{"estimate", 2, "at least one photo"},
		{"estimate --colour x.jpg", 2, "agequote estimate -h"},
		{"evaluate --labels x", 2, "--images"},
		{"demo extra", 2, "flags only"},
		{"dev extra", 2, "flags only"},
		{"dev --parameter Nothing", 2, "want NAME=VALUE"},
		{"token", 2, "--user and --review"},
		{"token --user eve --review http://127.0.0.1:1", 2, "anna (underwriter), ben (underwriter), sam (senior) and ada (auditor)"},
		{"token --user anna --review http://127.0.0.1:1", 1, "read settings"},
		{"redrive", 2, "--cases-bucket"},
		{"quote extra", 2, "flags only"},
		{"models", 2, "list, show, live"},
		{"models fly", 2, `no action "fly"`},
		{"models list", 2, "--bucket"},
		{"models approve --bucket b", 2, "takes 1 to 1 models"},
		{"models approve 0a1b2c --bucket b --by Bob", 2, "--by and --why"},
		{"models rollback --bucket b --why tired", 2, "--by and --why"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			status, _, stderr := call(t, strings.Fields(tt.args)...)
			if status != tt.status || !strings.Contains(stderr, tt.stderr) {
				t.Errorf("status %d, stderr %q, want %d and %q", status, stderr, tt.status, tt.stderr)
			}
		})
	}
}

// TestHelpTeaches asks every command for help: an example, and every flag.
func TestHelpTeaches(t *testing.T) {
	for _, c := range commands() {
		status, stdout, stderr := call(t, c.name, "-h")
		if status != 0 || stderr != "" || !strings.Contains(stdout, "  agequote "+c.name) || !strings.Contains(stdout, "\nFlags:\n  --") {
			t.Errorf("%s -h: status %d, stderr %q\n%s", c.name, status, stderr, stdout)
		}
	}
}

// TestEstimateCommand names a good photo, one that is none and one that is not
// there: each has its line, and the last makes the status 1.
func TestEstimateCommand(t *testing.T) {
	onnxtest.Require(t)
	text := filepath.Join(t.TempDir(), "photo.jpg")
	if err := os.WriteFile(text, []byte("not a picture"), 0o600); err != nil {
		t.Fatal(err)
	}
	const selfie = "../../events/selfies/grace_hopper.jpg"
	status, stdout, _ := call(t, "estimate", selfie, text, "missing.jpg", "--json", "--model", "../../models")
	if status != 1 {
		t.Errorf("status %d, want 1", status)
	}
	var codes []string
	for line := range strings.Lines(stdout) {
		var got map[string]any
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		for _, field := range []string{"file", "age", "low", "high", "coverage", "code", "model", "ms"} {
			if _, ok := got[field]; !ok {
				t.Errorf("no %s in %s", field, line)
			}
		}
		codes = append(codes, got["code"].(string))
	}
	if got := strings.Join(codes, " "); got != "ok not_image internal" {
		t.Errorf("codes %q", got)
	}
}

// TestEstimateNames gives photos names that would write lines of their own.
func TestEstimateNames(t *testing.T) {
	onnxtest.Require(t)
	const hostile = "missing\x1b[31m\npassport.jpg: 40.0 years\u202e.jpg"
	status, stdout, stderr := call(t, "estimate", hostile, "Zoë 1.jpg", "--model", "../../models")
	if status != 1 || strings.ContainsAny(stdout+stderr, "\x1b\u202e") || strings.Contains(stdout+stderr, "\npassport") {
		t.Errorf("status %d, printed %q and %q", status, stdout, stderr)
	}
	if !strings.Contains(stdout, "\nZoë 1.jpg: internal") {
		t.Errorf("printed %q", stdout)
	}
}

func TestEvaluateCommand(t *testing.T) {
	onnxtest.Require(t)
	labels := filepath.Join(t.TempDir(), "labels.tsv")
	if err := os.WriteFile(labels, []byte("file\tage\tsex\nastronaut.png\t42\tfemale\ngrace_hopper.jpg\t77\tfemale\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := call(t, "evaluate", "--labels", labels, "--images", "../../events/selfies", "--model", "../../models", "--json")
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	var report struct {
		N      int
		Groups map[string]struct{ N int }
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatal(err)
	}
	if report.N != 2 || report.Groups["sex=female"].N != 2 || report.Groups["age=70-79"].N != 1 {
		t.Errorf("report %s", stdout)
	}
}
