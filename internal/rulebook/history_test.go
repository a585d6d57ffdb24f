package rulebook_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/rules"
)

func TestLoadRefusesWhatNobodyApproved(t *testing.T) {
	file := read(t, "products/us-term.yaml")
	history := read(t, "history.jsonl")
	lines := strings.SplitAfter(history, "\n")
	tests := []struct {
		name  string
		files []string
		want  string
	}{
		{"another byte", []string{"products/us-term.yaml", file + "\n"}, "products/us-term.yaml: line 1: not approved"},
		{"a file of its own", []string{"questions/health-2.yaml", strings.Replace(read(t, "questions/health.yaml"), "2026-01-01", "2027-01-01", 1)}, "questions/health-2.yaml: line 1: not approved"},
		{"no history", []string{"history.jsonl", ""}, "not approved"},
		{"a line changed", []string{"history.jsonl", strings.Replace(history, "First", "Other", 1)}, "history.jsonl: line 3: does not follow"},
		{"a line taken out", []string{"history.jsonl", strings.Join(append(append([]string{}, lines[:2]...), lines[3:]...), "")}, "history.jsonl: line 3: does not follow"},
		{"the last line cut", []string{"history.jsonl", history[:len(history)-1]}, "does not end"},
		{"the author approved", []string{"history.jsonl", strings.Replace(lines[0], `"approver":"appointed actuary"`, `"approver":"pricing desk"`, 1)}, "line 1: the author approved it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := rulebook.Load(with(tt.files...))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Load = %v, want an error with %q", err, tt.want)
			}
			if tt.want == "not approved" && !errors.Is(err, rulebook.ErrNotApproved) {
				t.Errorf("Load = %v, want ErrNotApproved", err)
			}
			if _, err := rulebook.LoadDraft(with(tt.files...)); err != nil {
				t.Errorf("LoadDraft = %v: a draft needs no approval", err)
			}
		})
	}
}

func TestApprove(t *testing.T) {
	b, err := rulebook.LoadDraft(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	f := b.Files()[0]
	line, err := rulebook.Approve(nil, f, f.Approver, date("2026-11-25"), false)
	if err != nil {
		t.Fatal(err)
	}
	changed := f
	changed.Hash = "sha256:other"
	later := changed
	later.Name = "charts/another.yaml"
	tests := []struct {
		name    string
		file    rulebook.File
		by      string
		correct bool
		want    string // part of the error, empty for none
	}{
		{"again", f, f.Approver, false, "approved already"},
		{"by its author", later, f.Author, false, "its author may not"},
		{"by a third", later, "somebody", false, "names another approver"},
		{"changed in force", changed, f.Approver, false, "is in force since"},
		{"changed in force, to correct", changed, f.Approver, true, ""},
		{"a file of its own", later, f.Approver, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			more, err := rulebook.Approve(line, tt.file, tt.by, date("2026-11-26"), tt.correct)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("Approve = %v, want an error with %q", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			records, err := rulebook.ParseHistory(append(append([]byte{}, line...), more...))
			if err != nil || len(records) != 2 || rulebook.Unapproved([]rulebook.File{tt.file}, records) != nil {
				t.Errorf("history of %d lines, %v, want both lines and the file approved", len(records), err)
			}
		})
	}
}

func FuzzParseHistory(f *testing.F) {
	f.Add([]byte(read(f, "history.jsonl")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		records, err := rulebook.ParseHistory(raw)
		if err == nil && len(records) != strings.Count(string(raw), "\n") {
			t.Errorf("%d records in %d lines", len(records), strings.Count(string(raw), "\n"))
		}
	})
}
