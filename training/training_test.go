package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestReadUTKFace(t *testing.T) {
	folds := filepath.Join(t.TempDir(), "folds.tsv")
	content := "file\tgroup\tfold\tnote\n" +
		"42_1_3_2017.jpg.chip.jpg\tg1\t8\t\n" + // taken
		"7_0_2017.jpg.chip.jpg\tg2\t8\tage-conflict\n" + // stays in measuring, and lacks the race
		"9_0_0_2017.jpg.chip.jpg\tg3\t8\tunusable\n" + // left out everywhere
		"30_0_0_2017.jpg.chip.jpg\tg4\t7\t\n" // trained on
	if err := os.WriteFile(folds, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readUTKFace("utk", folds, 8)
	want := []sample{
		{path: "utk/42_1_3_2017.jpg.chip.jpg", age: 42, dataset: "utkface", sex: "female", race: "indian", person: "utkface-g1"},
		{path: "utk/7_0_2017.jpg.chip.jpg", age: 7, dataset: "utkface", sex: "male", person: "utkface-g2"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(sample{})); err != nil || diff != "" {
		t.Errorf("readUTKFace: %v (-want +got)\n%s", err, diff)
	}
}

func TestReadFGNET(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"001A02.JPG", "003A35.JPG", "007A11b.JPG", "notes.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := readFGNET(dir)
	want := []sample{ // subject 3 is not kept apart
		{path: filepath.Join(dir, "001A02.JPG"), age: 2, dataset: "fgnet", person: "fgnet-001"},
		{path: filepath.Join(dir, "007A11b.JPG"), age: 11, dataset: "fgnet", person: "fgnet-007"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(sample{}), cmpopts.EquateEmpty()); err != nil || diff != "" {
		t.Errorf("readFGNET: %v (-want +got)\n%s", err, diff)
	}
}

func TestRunWrongUse(t *testing.T) {
	for _, args := range [][]string{nil, {"fit"}, {"prepare"}, {"export", "--network", "x"}, {"export", "--colour"}} {
		if err := run(t.Context(), args, io.Discard, io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("run(%q) = %v, want errUsage", args, err)
		}
	}
	if err := run(t.Context(), []string{"-h"}, io.Discard, io.Discard); err != nil {
		t.Errorf("run(-h) = %v", err)
	}
}
