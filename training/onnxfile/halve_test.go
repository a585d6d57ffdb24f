package onnxfile_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/agequote/agequote/internal/onnx"
	"github.com/agequote/agequote/internal/onnx/onnxtest"
	"github.com/agequote/agequote/training/onnxfile"
)

// TestHalve runs a product with its weight whole, halved, and whole but rounded:
// the last two are the same, and a weight too small to pay is left.
func TestHalve(t *testing.T) {
	onnxtest.Require(t)
	const side = 32
	weight := onnxfile.Tensor{Dims: []int{side, side}}
	for range side * side {
		weight.Data = append(weight.Data, float32(rand.NormFloat64()*math.Exp(2*rand.NormFloat64())))
	}
	small := onnxfile.Tensor{Dims: []int{1}, Data: []float32{1.0 / 3}}
	build := func(weight onnxfile.Tensor) []byte {
		var b onnxfile.Builder
		x := b.Node("MatMul", []string{b.Input("x", onnxfile.Float32, -1, side), b.Floats("weight", weight)})
		b.NodeTo("y", "Add", []string{x, b.Floats("small", small)})
		b.Output("y", onnxfile.Float32, -1, side)
		return b.Model()
	}
	x := make([]float32, side)
	for i := range x {
		x[i] = rand.Float32()
	}
	run := func(model []byte) []float32 {
		s, err := onnx.Open(model, "x", []string{"y"}, onnx.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		out, err := s.Run(x, 1, side)
		if err != nil {
			t.Fatal(err)
		}
		return out[0]
	}

	whole := build(weight)
	halved, err := onnxfile.Halve(whole)
	if err != nil {
		t.Fatal(err)
	}
	if len(halved) > len(whole)*6/10 {
		t.Errorf("%d bytes became %d", len(whole), len(halved))
	}
	a, b, c := run(halved), run(build(weight.Rounded())), run(whole)
	equal := true
	for i := range a {
		if a[i] != b[i] {
			t.Errorf("output %d is %v, with rounded weights %v", i, a[i], b[i])
		}
		equal = equal && a[i] == c[i]
	}
	if equal {
		t.Error("nothing was rounded")
	}

	read, err := onnxfile.Tensors(halved)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range weight.Rounded().Data {
		if read["weight"].Data[i] != v {
			t.Fatalf("weight %d is read as %v, want %v", i, read["weight"].Data[i], v)
		}
	}
	if read["small"].Data[0] != small.Data[0] {
		t.Errorf("small weight is %v, want %v", read["small"].Data[0], small.Data[0])
	}
}
