package onnx

import (
	"os"
	"slices"
	"testing"
)

// TestNames reads the names of the two networks that the runtime loads by them.
func TestNames(t *testing.T) {
	for file, want := range map[string]struct {
		input   string
		outputs int
	}{
		"age.onnx":      {"pixels", 1},
		"detector.onnx": {"input", 12},
	} {
		b, err := os.ReadFile("../../models/" + file)
		if err != nil {
			t.Fatal(err)
		}
		inputs, outputs, err := names(b)
		if err != nil || !slices.Equal(inputs, []string{want.input}) || len(outputs) != want.outputs {
			t.Errorf("%s: inputs %q, outputs %q, %v", file, inputs, outputs, err)
		}
		for _, cut := range []int{1, len(b) / 2, len(b) - 1} {
			if _, _, err := names(b[:cut]); err == nil {
				t.Errorf("%s cut to %d bytes was read", file, cut)
			}
		}
	}
}

// TestNamesLeaveWeights has a graph whose one weight stands among its inputs,
// as in files before IR version 4.
func TestNamesLeaveWeights(t *testing.T) {
	field := func(number byte, value string) string { return string([]byte{number<<3 | 2, byte(len(value))}) + value }
	graph := field(5, field(8, "weight")) + field(11, field(1, "x")) + field(11, field(1, "weight")) + field(12, field(1, "y"))
	inputs, outputs, err := names([]byte(field(7, graph)))
	if err != nil || !slices.Equal(inputs, []string{"x"}) || !slices.Equal(outputs, []string{"y"}) {
		t.Errorf("inputs %q, outputs %q, %v", inputs, outputs, err)
	}
}

// FuzzNames looks for bytes that are not read to an end.
func FuzzNames(f *testing.F) {
	f.Add([]byte("\x3a\x05\x5a\x03\x0a\x01x"))
	f.Add([]byte("\x3a\xff\xff\xff\xff\x7f"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, _, err := names(b); err != nil && err != errNotModel {
			t.Error(err)
		}
	})
}
