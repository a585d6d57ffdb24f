package net_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/tensors"
	gomlx "github.com/gomlx/gomlx/pkg/ml/context"

	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/onnx"
	"github.com/agequote/agequote/internal/onnx/onnxtest"
	"github.com/agequote/agequote/training/backbone"
	"github.com/agequote/agequote/training/backbone/backbonetest"
	"github.com/agequote/agequote/training/net"
	"github.com/agequote/agequote/training/onnxfile"
	"github.com/agequote/agequote/training/xla/xlatest"
)

// TestBackboneParity runs the face backbone in ONNX Runtime, and from block 12
// on, over both strides, as a GoMLX graph with weights loaded from it: the same
// ages come out.
func TestBackboneParity(t *testing.T) {
	onnxtest.Require(t)
	backend := xlatest.Backend(t)
	model, err := backbone.ONNX(backbonetest.Weights(t))
	if err != nil {
		t.Fatal(err)
	}
	const first = 12
	lower, err := onnxfile.Prune(model, net.BlockTensor(first-1))
	if err != nil {
		t.Fatal(err)
	}
	// Noise is all that is needed: a face is not what parity hangs on.
	r := rand.New(rand.NewPCG(1, 1))
	input := make([]float32, 3*face.Size*face.Size)
	for i := range input {
		input[i] = float32(r.NormFloat64() * 60)
	}
	runs := func(model []byte, output string) []float32 {
		t.Helper()
		s, err := onnx.Open(model, backbone.Input, []string{output}, onnx.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		out, err := s.Run(input, 1, 3, face.Size, face.Size)
		if err != nil {
			t.Fatal(err)
		}
		return out[0]
	}
	shape := net.MapShape(first-1, face.Size)
	area, channels := shape[0]*shape[1], shape[2]
	planes := runs(lower, net.BlockTensor(first-1))
	items := make([]float32, len(planes))
	for c := range channels {
		for i := range area {
			items[i*channels+c] = planes[c*area+i]
		}
	}

	weights, err := onnxfile.Tensors(model)
	if err != nil {
		t.Fatal(err)
	}
	p := &net.Params{Ctx: gomlx.New()}
	body, head := net.Body{First: first}, net.Head{Classes: 101, Hidden: 8, Own: true}
	if err := body.Load(p, weights); err != nil {
		t.Fatal(err)
	}
	if err := head.Load(p, weights, r.NormFloat64); err != nil {
		t.Fatal(err)
	}
	e, err := gomlx.NewExec(backend, p.Ctx, func(ctx *gomlx.Context, x *graph.Node) *graph.Node {
		p := &net.Params{Ctx: ctx}
		logits := head.Graph(p, body.Graph(p, x))
		return graph.Softmax(graph.Slice(logits, graph.AxisRange(), graph.AxisRange(0, 100))) // the backbone's ages
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Finalize()
	out, err := e.Exec(tensors.FromFlatDataAndDimensions(items, 1, shape[0], shape[1], channels))
	if err != nil {
		t.Fatal(err)
	}
	got := tensors.MustCopyFlatData[float32](out[0])
	for k, want := range runs(model, backbone.Output) {
		if math.Abs(float64(got[k]-want)) > 1e-4 {
			t.Errorf("probability of age %d is %v, want %v", k, got[k], want)
		}
	}
}
