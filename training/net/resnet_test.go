package net

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/tensors"
	"github.com/gomlx/gomlx/pkg/ml/context"

	"github.com/agequote/agequote/training/onnxfile"
	"github.com/agequote/agequote/training/xla/xlatest"
)

func noise(r *rand.Rand, n int) []float32 { return normal(r.NormFloat64, n, 1) }

// TestGradients compares the gradients of layers, in training, with differences
// of their outputs.
func TestGradients(t *testing.T) {
	backend := xlatest.Backend(t)
	tests := []struct {
		name string
		dims []int
		c    convolution
		f    func(p *Params, x *graph.Node, c convolution) *graph.Node
	}{
		{"norm of maps", []int{3, 2, 4, 4}, convolution{norm: "bn", out: 2}, func(p *Params, x *graph.Node, _ convolution) *graph.Node { return p.norm(x, "bn") }},
		{"norm of features", []int{5, 3}, convolution{norm: "bn", out: 3}, func(p *Params, x *graph.Node, _ convolution) *graph.Node { return p.norm(x, "bn") }},
		{"largest", []int{2, 2, 6, 6}, convolution{}, func(_ *Params, x *graph.Node, _ convolution) *graph.Node { return maxPool(relu(x)) }},
		{"7 x 7, stride 2", []int{2, 3, 12, 12}, convolution{"conv", "bn", "", "", 3, 4, 7, 2}, (*Params).convolve},
		{"3 x 3, stride 2", []int{2, 2, 8, 8}, convolution{"conv", "bn", "", "", 2, 3, 3, 2}, (*Params).convolve},
		{"3 x 3, stride 1", []int{2, 2, 6, 6}, convolution{"conv", "bn", "", "", 2, 3, 3, 1}, (*Params).convolve},
		{"1 x 1, stride 2", []int{2, 2, 6, 6}, convolution{"conv", "bn", "", "", 2, 3, 1, 2}, (*Params).convolve},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			p := &Params{Ctx: context.New()}
			if c := tt.c; c.size > 0 {
				p.Set("conv/kernel", noise(r, c.out*c.in*c.size*c.size), c.out, c.in, c.size, c.size)
			}
			if tt.c.norm != "" {
				p.setNorm("bn", tt.c.out)
				p.Set("bn/scale", noise(r, tt.c.out), tt.c.out)
				p.Set("bn/shift", noise(r, tt.c.out), tt.c.out)
			}
			size := 1
			for _, d := range tt.dims {
				size *= d
			}
			// The input is a weight like the others.
			p.Set("x", noise(r, size), tt.dims...)
			compareGradients(t, backend, p, func(p *Params, g *graph.Graph) *graph.Node {
				return tt.f(p, p.Get(g, "x", tt.dims...), tt.c)
			})
		})
	}
}

// compareGradients compares those of a weighted sum of squares of f's values with
// respect to each weight in use.
func compareGradients(t *testing.T, backend backends.Backend, p *Params, f func(p *Params, g *graph.Graph) *graph.Node) {
	t.Helper()
	var names []string
	e := context.MustNewExec(backend, p.Ctx, func(ctx *context.Context, g *graph.Graph) []*graph.Node {
		q := &Params{Ctx: ctx, Training: true}
		y := f(q, g)
		weights := graph.AddScalar(graph.Cos(graph.IotaFull(g, y.Shape())), 2)
		loss := graph.ReduceAllSum(graph.Mul(graph.Square(y), weights))
		names = nil
		for v := range ctx.IterVariables() {
			if name, ok := Name(v); ok && v.Trainable && v.InUseByGraph(g) {
				names = append(names, name)
			}
		}
		return append([]*graph.Node{loss}, ctx.BuildTrainableVariablesGradientsGraph(loss)...)
	})
	loss := func() (float64, [][]float32) {
		out := e.MustExec()
		var grads [][]float32
		for _, g := range out[1:] {
			grads = append(grads, tensors.MustCopyFlatData[float32](g))
		}
		return float64(tensors.ToScalar[float32](out[0])), grads
	}
	_, grads := loss()
	for i, name := range names {
		values, dims, err := p.Values(name)
		if err != nil {
			t.Fatal(err)
		}
		scale := 0.0
		for _, g := range grads[i] {
			scale = max(scale, math.Abs(float64(g)))
		}
		for k := 0; k < len(values); k += 1 + len(values)/12 {
			const step = 1e-2
			at := func(d float32) float64 {
				moved := slices.Clone(values)
				moved[k] += d
				p.Set(name, moved, dims...)
				l, _ := loss()
				return l
			}
			want := (at(step) - at(-step)) / (2 * step)
			p.Set(name, values, dims...)
			if got := float64(grads[i][k]); math.Abs(got-want) > 0.02*scale {
				t.Errorf("gradient of %s[%d] = %v, want %v", name, k, got, want)
			}
		}
	}
	if len(names) == 0 || len(names) != len(grads) {
		t.Errorf("%d weights, %d gradients", len(names), len(grads))
	}
}

// TestNorm follows the running statistics of one step, and reads them outside
// training, through the average of the weights too.
func TestNorm(t *testing.T) {
	backend := xlatest.Backend(t)
	const n, channels = 4, 2
	x := []float32{1, 10, 2, 20, 3, 30, 6, 40} // [n, channels]
	p := &Params{Ctx: context.New()}
	p.setNorm("bn", channels)
	apply := func(p *Params) []float32 {
		e := context.MustNewExec(backend, p.Ctx, func(ctx *context.Context, x *graph.Node) *graph.Node {
			q := *p
			q.Ctx = ctx
			return q.norm(x, "bn")
		})
		return tensors.MustCopyFlatData[float32](e.MustExec(tensors.FromFlatDataAndDimensions(x, n, channels))[0])
	}
	var mean, variance [channels]float64
	for c := range channels {
		for i := range n {
			mean[c] += float64(x[i*channels+c]) / n
		}
		for i := range n {
			variance[c] += math.Pow(float64(x[i*channels+c])-mean[c], 2) / n
		}
	}
	check := func(what string, got []float32, mean, variance [channels]float64) {
		t.Helper()
		for i, v := range x {
			want := (float64(v) - mean[i%channels]) / math.Sqrt(variance[i%channels]+1e-5)
			if math.Abs(float64(got[i])-want) > 1e-4 {
				t.Errorf("%s: %v of %v, want %v", what, got[i], v, want)
			}
		}
	}
	check("training", apply(&Params{Ctx: p.Ctx, Training: true}), mean, variance)

	var runningMean, runningVariance [channels]float64
	for c := range channels {
		runningMean[c] = 0.1 * mean[c]
		runningVariance[c] = 0.9 + 0.1*variance[c]*n/(n-1)
	}
	check("serving", apply(&Params{Ctx: p.Ctx}), runningMean, runningVariance)
	check("serving the average", apply(&Params{Ctx: p.Ctx, Average: true}), runningMean, runningVariance)
}

// TestResNet34Load reads a file whose tensors have torchvision's names.
func TestResNet34Load(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var n ResNet34
	b := &onnxfile.Builder{}
	kernels := map[string][]float32{}
	for _, c := range n.convolutions() {
		dims := []int{c.out, c.in, c.size, c.size}
		values := make([]float32, c.out*c.in*c.size*c.size)
		for i := range values {
			values[i] = r.Float32()
		}
		kernels[c.name+"/kernel"] = values
		b.Floats(c.weights+".weight", onnxfile.Tensor{Dims: dims, Data: values})
		for _, part := range []string{".weight", ".bias", ".running_mean", ".running_var"} {
			b.Floats(c.normName+part, onnxfile.Tensor{Dims: []int{c.out}, Data: noise(r, c.out)})
		}
	}
	tensors, err := onnxfile.Tensors(b.Model())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tensors["layer4.2.bn2.running_var"].Dims, []int{512}; !slices.Equal(got, want) || len(kernels) != 36 {
		t.Fatalf("layer4.2.bn2.running_var has %v, %d convolutions", got, len(kernels))
	}
	p := &Params{Ctx: context.New()}
	if err := n.Load(p, tensors, r.NormFloat64); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"conv1/kernel", "layer2/0/shortcut/kernel", "layer4/2/conv2/kernel"} {
		got, _, err := p.Values(name)
		if err != nil || !slices.Equal(got, kernels[name]) {
			t.Errorf("%s is not the file's: %v", name, err)
		}
	}
	got, _, err := p.Values("layer3/5/bn2/variance/statistic")
	if err != nil || !slices.Equal(got, tensors["layer3.5.bn2.running_var"].Data) {
		t.Errorf("running variance is not the file's: %v", err)
	}

	delete(tensors, "layer3.0.downsample.1.bias")
	if err := n.Load(p, tensors, r.NormFloat64); err == nil {
		t.Error("Load took a file that lacks a tensor")
	}
}
