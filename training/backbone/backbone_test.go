package backbone_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/onnx"
	"github.com/agequote/agequote/internal/onnx/onnxtest"
	"github.com/agequote/agequote/training/backbone"
	"github.com/agequote/agequote/training/backbone/backbonetest"
	"github.com/agequote/agequote/training/features"
	"github.com/agequote/agequote/training/onnxfile"
)

// reference is the same network as others converted it. It is no part of the
// project, so what it says is checked where it is there.
const reference = "../../../shared/models/face-backbone.onnx"

// TestONNX runs the network that is written on a selfie, against the reference.
func TestONNX(t *testing.T) {
	onnxtest.Require(t)
	model, err := backbone.ONNX(backbonetest.Weights(t))
	if err != nil {
		t.Fatal(err)
	}
	got := agesOf(t, model)
	sum := 0.0
	for _, p := range got {
		sum += float64(p)
	}
	if len(got) != 100 || math.Abs(sum-1) > 1e-5 {
		t.Errorf("%d probabilities of sum %v", len(got), sum)
	}
	if strings.Contains(string(model), "gender") {
		t.Error("the model holds weights that tell sex")
	}

	theirs, err := os.ReadFile(reference)
	if err != nil {
		t.Skipf("no reference to compare with: %v", err)
	}
	for k, want := range agesOf(t, theirs) {
		if math.Abs(float64(got[k]-want)) > 1e-5 {
			t.Errorf("probability of age %d is %v, want %v", k, got[k], want)
		}
	}
	want, err := onnxfile.Tensors(theirs)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := onnxfile.Tensors(model)
	if err != nil {
		t.Fatal(err)
	}
	for name, tensor := range ours {
		if !strings.Contains(name, ":") && !cmp.Equal(tensor.Data, want[name].Data) {
			t.Errorf("weight %s is not the reference's", name)
		}
	}
}

// agesOf runs the network on a sample selfie.
func agesOf(t *testing.T, model []byte) []float32 {
	t.Helper()
	network, err := os.ReadFile("../../models/detector.onnx")
	if err != nil {
		t.Fatal(err)
	}
	detector, err := onnx.Open(network, face.DetectorInput, face.DetectorOutputs, onnx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer detector.Close()
	photo, err := os.ReadFile("../../events/selfies/astronaut.png")
	if err != nil {
		t.Fatal(err)
	}
	f, err := (&face.Reader{Detector: detector}).Read(photo)
	if err != nil {
		t.Fatal(err)
	}
	session, err := onnx.Open(model, backbone.Input, []string{backbone.Output}, onnx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	out, err := session.Run(features.Planes(f.Crop, [3]float32{103.939, 116.779, 123.68}), 1, 3, face.Size, face.Size)
	if err != nil {
		t.Fatal(err)
	}
	return out[0]
}

func TestRead(t *testing.T) {
	type weight = map[string]any
	tests := []struct {
		name    string
		weights []weight
		paths   []string
		want    string // in the error; empty: none
	}{
		{"sound", []weight{{"name": "i", "shape": []int{1}, "dtype": "int32"}, {"name": "w", "shape": []int{2, 1}, "dtype": "float32"}}, []string{"a.bin"}, ""},
		{"too little", []weight{{"name": "w", "shape": []int{4}, "dtype": "float32"}}, []string{"a.bin"}, "more than there is"},
		{"overflow", []weight{{"name": "w", "shape": []int{1 << 40, 1 << 40}, "dtype": "float32"}}, []string{"a.bin"}, "more than there is"},
		{"left over", []weight{{"name": "w", "shape": []int{2}, "dtype": "float32"}}, []string{"a.bin"}, "left over"},
		{"quantized", []weight{{"name": "w", "shape": []int{3}, "dtype": "float32", "quantization": weight{"scale": 1}}}, []string{"a.bin"}, "quantized"},
		{"other file", nil, []string{"../a.bin"}, "no file beside"},
	}
	for _, tt := range tests {
		dir := t.TempDir()
		raw, err := json.Marshal(map[string]any{"weightsManifest": []any{map[string]any{"paths": tt.paths, "weights": tt.weights}}})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "model.json")
		for name, content := range map[string][]byte{path: raw, filepath.Join(dir, "a.bin"): {9, 0, 0, 0, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40}} {
			if err := os.WriteFile(name, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := backbone.Read(path)
		if tt.want != "" {
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: Read = %v, want %q", tt.name, err, tt.want)
			}
			continue
		}
		if diff := cmp.Diff(map[string]onnxfile.Tensor{"w": {Dims: []int{2, 1}, Data: []float32{1, 2}}}, got); err != nil || diff != "" {
			t.Errorf("%s: Read: %v (-want +got)\n%s", tt.name, err, diff)
		}
	}
}
