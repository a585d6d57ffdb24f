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

// TestExport runs the exported file, whose head has been drawn anew so that every
// weight counts, and beside it the frozen blocks in ONNX Runtime and the rest as
// a GoMLX graph with the file's weights: the same ages come out. Both round large
// weights to 16 bits.
func TestExport(t *testing.T) {
	onnxtest.Require(t)
	backend := xlatest.Backend(t)
	frozen, err := backbone.ONNX(backbonetest.Weights(t))
	if err != nil {
		t.Fatal(err)
	}
	weights, err := onnxfile.Tensors(frozen)
	if err != nil {
		t.Fatal(err)
	}
	const first, classes, size = 12, 101, face.Size
	r := rand.New(rand.NewPCG(2, 2))
	p := &net.Params{Ctx: gomlx.New()}
	body, head := net.Body{First: first}, net.Head{Classes: classes, Hidden: 8, Own: true}
	if err := body.Load(p, weights); err != nil {
		t.Fatal(err)
	}
	if err := head.Load(p, weights, r.NormFloat64); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"head/hidden/bias", "head/age/kernel", "head/age/bias"} {
		values, dims, err := p.Values(name)
		if err != nil {
			t.Fatal(err)
		}
		for i := range values {
			values[i] += float32(r.NormFloat64())
		}
		p.Set(name, values, dims...)
	}
	mean := [3]float32{103.939, 116.779, 123.68}
	exported, err := net.Export(p, frozen, mean, body, head, size)
	if err != nil {
		t.Fatal(err)
	}
	pixels := make([]byte, size*size*3)
	for i := range pixels {
		pixels[i] = byte(r.IntN(256))
	}
	whole, err := onnx.Open(exported, net.ExportInput, []string{net.ExportOutput}, onnx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	got, err := whole.RunBytes(pixels, 1, size, size, 3)
	if err != nil {
		t.Fatal(err)
	}

	if err := net.Import(p, exported); err != nil {
		t.Fatal(err)
	}
	lower, err := onnxfile.Prune(frozen, net.BlockTensor(first-1))
	if err != nil {
		t.Fatal(err)
	}
	if lower, err = onnxfile.Halve(lower); err != nil {
		t.Fatal(err)
	}
	maps, err := onnx.Open(lower, backbone.Input, []string{net.BlockTensor(first - 1)}, onnx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	planes := make([]float32, 3*size*size)
	for y := range size {
		for x := range size {
			for c := range 3 { // the network takes blue first
				v := float32(pixels[(y*size+x)*3+2-c]) - mean[c]
				planes[(c*size+y)*size+x] = v
			}
		}
	}
	out, err := maps.Run(planes, 1, 3, size, size)
	if err != nil {
		t.Fatal(err)
	}
	shape := net.MapShape(first-1, size)
	e, err := gomlx.NewExec(backend, p.Ctx, func(ctx *gomlx.Context, x *graph.Node) *graph.Node {
		p := &net.Params{Ctx: ctx}
		x = graph.TransposeAllAxes(x, 0, 2, 3, 1)
		return graph.Softmax(head.Graph(p, body.Graph(p, x)))
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Finalize()
	want, err := e.Exec(tensors.FromFlatDataAndDimensions(out[0], 1, shape[2], shape[0], shape[1]))
	if err != nil {
		t.Fatal(err)
	}
	for k, w := range tensors.MustCopyFlatData[float32](want[0]) {
		if math.Abs(float64(got[0][k]-w)) > 1e-4 {
			t.Errorf("probability of age %d is %v, want %v", k, got[0][k], w)
		}
	}
}
