package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/agequote/agequote/internal/casefile"
)

// TestExamination exports a stored case, checks the archive, and then changes
// the archive and the store.
func TestExamination(t *testing.T) {
	dir, out := storedFolder(t), t.TempDir()
	archive := filepath.Join(out, "q4.zip")
	export := []string{"--cases", dir, "--from", "2026-10-01", "--to", "2026-12-31", "--out", archive}
	check := func(name string, status int, wants []string, args ...string) {
		t.Helper()
		stdout, stderr, got := runArgs(t, append([]string{"export-examination"}, args...)...)
		if got != status {
			t.Errorf("%s: status %d, want %d: %s", name, got, status, stderr)
		}
		for _, want := range wants {
			if !strings.Contains(stdout+stderr, want) {
				t.Errorf("%s: %q lacks %q", name, stdout+stderr, want)
			}
		}
	}
	// The case's model is of no package; that is told, and the archive is written.
	check("export", 1, []string{"1 cases = 1 in the archive", "1 of 1 chains verify", "missing: model sha256:model"}, export...)
	check("verify", 0, []string{"every file of 2026-10-01 to 2026-12-31 is as the index says; 0 problems and 1 missing things"}, "--verify", archive)
	check("no period", 2, []string{"give both days"}, "--cases", dir, "--out", archive)
	check("no file", 2, []string{"--out"}, "--cases", dir)
	check("no archive", 1, []string{"read archive"}, "--verify", filepath.Join(dir, casefile.ApplicationKey(storedCase, 1)))

	raw, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	raw[100] ^= 1 // within the first file
	if err := os.WriteFile(archive, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	check("tampered archive", 1, []string{"application/0001.json: "}, "--verify", archive)

	key := filepath.Join(dir, casefile.ApplicationKey(storedCase, 1))
	facts, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, []byte(strings.Replace(string(facts), "25000000", "35000000", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	check("tampered store", 1, []string{"problem: cases/" + storedCase + "/application/0001.json: changed: quotes/photo-0001.json was made from another content", "0 of 1 chains verify"}, export...)
}
