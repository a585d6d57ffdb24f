package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/protowire"
)

// message builds a protobuf message of length-delimited fields.
func message(fields ...any) []byte {
	var b []byte
	for i := 0; i < len(fields); i += 2 {
		b = protowire.AppendTag(b, protowire.Number(fields[i].(int)), protowire.BytesType)
		switch v := fields[i+1].(type) {
		case string:
			b = protowire.AppendString(b, v)
		case []byte:
			b = protowire.AppendBytes(b, v)
		}
	}
	return b
}

// twoHeads is a model whose one body feeds an age and a sex output.
func twoHeads() []byte {
	return message(modelGraph, message(
		graphNode, message(nodeInput, "input", nodeInput, "body.w", nodeOutput, "features"),
		graphNode, message(nodeInput, "features", nodeInput, "age.w", nodeOutput, "age"),
		graphNode, message(nodeInput, "features", nodeInput, "sex.w", nodeOutput, "sex"),
		graphInitializer, message(initializerName, "body.w"),
		graphInitializer, message(initializerName, "age.w"),
		graphInitializer, message(initializerName, "sex.w"),
		graphOutput, message(valueInfoName, "age"),
		graphOutput, message(valueInfoName, "sex"),
	))
}

func TestPrune(t *testing.T) {
	want := message(modelGraph, message(
		graphNode, message(nodeInput, "input", nodeInput, "body.w", nodeOutput, "features"),
		graphNode, message(nodeInput, "features", nodeInput, "age.w", nodeOutput, "age"),
		graphInitializer, message(initializerName, "body.w"),
		graphInitializer, message(initializerName, "age.w"),
		graphOutput, message(valueInfoName, "age"),
	))
	got, err := prune(twoHeads(), "age")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("prune = %q, %v, want %q", got, err, want)
	}
	if _, err := prune(twoHeads(), "weight"); err == nil {
		t.Error("prune found an output that is not there")
	}
}

// TestPruneShipped prunes the network that ships: it is pruned already.
func TestPruneShipped(t *testing.T) {
	network, err := os.ReadFile("../models/age.onnx")
	if err != nil {
		t.Fatal(err)
	}
	again, err := prune(network, "age_pred/Softmax")
	if err != nil || !bytes.Equal(network, again) {
		t.Errorf("prune changed the shipped network from %d to %d bytes: %v", len(network), len(again), err)
	}
}

func FuzzPrune(f *testing.F) {
	f.Add(twoHeads())
	f.Fuzz(func(t *testing.T, model []byte) {
		pruned, err := prune(model, "age")
		if err != nil {
			return
		}
		if again, err := prune(pruned, "age"); err != nil || !bytes.Equal(pruned, again) {
			t.Errorf("pruning again: %v", err)
		}
	})
}

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
	for _, args := range [][]string{nil, {"fit"}, {"prepare"}, {"export", "--network", "x"}, {"export", "--colour"}, {"calibrate"}, {"evaluate", "--package", "x"}, {"calibrate", "--readings", "x", "--package", "y"}} {
		if err := run(t.Context(), args, io.Discard, io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("run(%q) = %v, want errUsage", args, err)
		}
	}
	if err := run(t.Context(), []string{"-h"}, io.Discard, io.Discard); err != nil {
		t.Errorf("run(-h) = %v", err)
	}
}
