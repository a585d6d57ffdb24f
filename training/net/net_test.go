package net

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/tensors"
	gomlx "github.com/gomlx/gomlx/pkg/ml/context"

	"github.com/agequote/agequote/training/xla/xlatest"
)

// tensor is a value with its shape, in row-major order.
type tensor struct {
	dims   []int
	values []float32
}

func random(r *rand.Rand, dims ...int) tensor {
	n := 1
	for _, d := range dims {
		n *= d
	}
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(r.NormFloat64())
	}
	return tensor{dims, values}
}

// evaluate runs a graph once and returns its outputs flat.
func evaluate(t *testing.T, b backends.Backend, ctx *gomlx.Context, f func(ctx *gomlx.Context, in []*graph.Node) []*graph.Node, inputs ...tensor) [][]float32 {
	t.Helper()
	e, err := gomlx.NewExec(b, ctx, f)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Finalize()
	args := make([]any, len(inputs))
	for i, in := range inputs {
		args[i] = tensors.FromFlatDataAndDimensions(in.values, in.dims...)
	}
	out, err := e.Exec(args...)
	if err != nil {
		t.Fatal(err)
	}
	flat := make([][]float32, len(out))
	for i, o := range out {
		flat[i] = tensors.MustCopyFlatData[float32](o)
	}
	return flat
}

// checkClose compares values, relative to the largest.
func checkClose(t *testing.T, what string, got, want []float32, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d values, want %d", what, len(got), len(want))
		return
	}
	largest, worst, at := 1.0, 0.0, 0
	for i := range want {
		largest = max(largest, math.Abs(float64(want[i])))
		if d := math.Abs(float64(got[i] - want[i])); !(d <= worst) {
			worst, at = d, i
		}
	}
	if !(worst <= tolerance*largest) {
		t.Errorf("%s[%d] = %v, want %v", what, at, got[at], want[at])
	}
}

// numeric is the gradient of a scalar by central differences.
func numeric(f func(x tensor) float64, x tensor) []float32 {
	const h = 1e-2
	gradient := make([]float32, len(x.values))
	for i, v := range x.values {
		x.values[i] = v + h
		up := f(x)
		x.values[i] = v - h
		gradient[i] = float32((up - f(x)) / (2 * h))
		x.values[i] = v
	}
	return gradient
}

// TestMatMulGradient compares the gradient of a product of matrices with GoMLX's
// own, and both with differences of plain Go.
func TestMatMulGradient(t *testing.T) {
	b := xlatest.Backend(t)
	r := rand.New(rand.NewPCG(1, 2))
	x, k, c := random(r, 3, 4), random(r, 4, 2), random(r, 3, 2)
	gradient := func(product func(x, k *graph.Node) *graph.Node) [][]float32 {
		return evaluate(t, b, gomlx.New(), func(_ *gomlx.Context, in []*graph.Node) []*graph.Node {
			y := product(in[0], in[1])
			loss := graph.ReduceAllSum(graph.Mul(graph.Square(y), in[2]))
			return append([]*graph.Node{y}, graph.Gradient(loss, in[0], in[1])...)
		}, x, k, c)
	}
	own, theirs := gradient(matMul), gradient(func(x, k *graph.Node) *graph.Node { return graph.Dot(x, k) })
	loss := func(x, k tensor) float64 {
		sum := 0.0
		for i := range 3 {
			for j := range 2 {
				y := 0.0
				for l := range 4 {
					y += float64(x.values[4*i+l]) * float64(k.values[2*l+j])
				}
				sum += y * y * float64(c.values[2*i+j])
			}
		}
		return sum
	}
	for i, what := range []string{"product", "gradient of x", "gradient of k"} {
		checkClose(t, what, own[i], theirs[i], 1e-5)
	}
	checkClose(t, "gradient of x", own[1], numeric(func(x tensor) float64 { return loss(x, k) }, x), 1e-3)
	checkClose(t, "gradient of k", own[2], numeric(func(k tensor) float64 { return loss(x, k) }, k), 1e-3)
}

// plainDepthwise is the 3 x 3 convolution of each channel by itself, with
// TensorFlow's padding "SAME", bias and ReLU6.
func plainDepthwise(x, kernel, bias tensor, stride int) tensor {
	n, h, w, c := x.dims[0], x.dims[1], x.dims[2], x.dims[3]
	rows, columns := (h+stride-1)/stride, (w+stride-1)/stride
	top, left := max((rows-1)*stride+3-h, 0)/2, max((columns-1)*stride+3-w, 0)/2
	y := tensor{[]int{n, rows, columns, c}, make([]float32, n*rows*columns*c)}
	for i := range y.values {
		ch, col, row, img := i%c, i/c%columns, i/c/columns%rows, i/c/columns/rows
		sum := float64(bias.values[ch])
		for ky := range 3 {
			for kx := range 3 {
				v, u := row*stride+ky-top, col*stride+kx-left
				if v >= 0 && v < h && u >= 0 && u < w {
					sum += float64(x.values[((img*h+v)*w+u)*c+ch]) * float64(kernel.values[(3*ky+kx)*c+ch])
				}
			}
		}
		y.values[i] = float32(min(max(sum, 0), 6))
	}
	return y
}

func TestDepthwise(t *testing.T) {
	b := xlatest.Backend(t)
	for _, block := range []int{1, 2} {
		stride := blockStride(block)
		t.Run(fmt.Sprintf("stride %d", stride), func(t *testing.T) {
			r := rand.New(rand.NewPCG(3, uint64(block)))
			const channels = 2
			x, kernel, bias := random(r, 2, 6, 4, channels), random(r, 3, 3, channels), random(r, channels)
			bias.values[0] += 2 // some values above 6, most within
			want := plainDepthwise(x, kernel, bias, stride)
			weight := random(r, want.dims...)
			p := &Params{Ctx: gomlx.New()}
			p.Set(blockName(block, "depthwise", "kernel"), kernel.values, kernel.dims...)
			p.Set(blockName(block, "depthwise", "bias"), bias.values, channels)
			got := evaluate(t, b, p.Ctx, func(ctx *gomlx.Context, in []*graph.Node) []*graph.Node {
				p := &Params{Ctx: ctx}
				y := depthwise(p, in[0], block)
				loss := graph.ReduceAllSum(graph.Mul(y, in[1]))
				k := p.Get(loss.Graph(), blockName(block, "depthwise", "kernel"), kernel.dims...)
				return append([]*graph.Node{y}, graph.Gradient(loss, in[0], k)...)
			}, x, weight)
			checkClose(t, "map", got[0], want.values, 1e-5)

			loss := func(x, kernel tensor) float64 {
				sum := 0.0
				for i, v := range plainDepthwise(x, kernel, bias, stride).values {
					sum += float64(v) * float64(weight.values[i])
				}
				return sum
			}
			checkClose(t, "gradient of the map", got[1], numeric(func(x tensor) float64 { return loss(x, kernel) }, x), 2e-2)
			checkClose(t, "gradient of the kernel", got[2], numeric(func(k tensor) float64 { return loss(x, k) }, kernel), 2e-2)
		})
	}
}

func TestSoftLabel(t *testing.T) {
	tests := []struct {
		age, sigma float64
		classes    int
		mean       float64 // NaN: cut off at an end, not the age
	}{
		{40, 2, 101, 40},
		{40.5, 2, 101, 40.5},
		{33.3, 1, 101, 33.3},
		{40.4, 0, 101, 40},
		{0, 2, 101, math.NaN()},
		{100, 2, 101, math.NaN()},
		{117, 2, 101, math.NaN()},
		{117, 0, 101, 100},
	}
	for _, tt := range tests {
		soft := make([]float32, tt.classes)
		SoftLabel(tt.age, tt.sigma, tt.classes, soft)
		sum, mean := 0.0, 0.0
		for k, v := range soft {
			sum += float64(v)
			mean += float64(k) * float64(v)
		}
		if math.Abs(sum-1) > 1e-5 || math.Abs(mean-tt.mean) > 1e-3 { // never true of NaN
			t.Errorf("SoftLabel(%v, %v): sum %v, mean %v, want 1 and %v", tt.age, tt.sigma, sum, mean, tt.mean)
		}
	}
}

// TestLoss compares each term with plain Go.
func TestLoss(t *testing.T) {
	b := xlatest.Backend(t)
	const n, classes = 3, 5
	r := rand.New(rand.NewPCG(5, 6))
	logits, age, weight := random(r, n, classes), tensor{[]int{n}, []float32{1, 3.5, 0}}, tensor{[]int{n}, []float32{1, 0.5, 2}}
	soft := tensor{[]int{n, classes}, make([]float32, n*classes)}
	for i := range n {
		SoftLabel(float64(age.values[i]), 1, classes, soft.values[i*classes:(i+1)*classes])
	}
	smooth := func(d float64) float64 {
		if d = math.Abs(d); d < 1 {
			return d * d / 2
		}
		return d - 0.5
	}
	probabilities := func(i int) []float64 {
		p, sum := make([]float64, classes), 0.0
		for k := range p {
			p[k] = math.Exp(float64(logits.values[i*classes+k]))
			sum += p[k]
		}
		for k := range p {
			p[k] /= sum
		}
		return p
	}
	terms := map[string]struct {
		loss Loss
		each func(i int) float64
	}{
		"likelihood": {Loss{Likelihood: 2}, func(i int) (sum float64) {
			for k, p := range probabilities(i) {
				sum -= 2 * float64(soft.values[i*classes+k]) * math.Log(p)
			}
			return sum
		}},
		"mean": {Loss{Mean: 0.5}, func(i int) float64 {
			mean := 0.0
			for k, p := range probabilities(i) {
				mean += float64(k) * p
			}
			return 0.5 * smooth(mean-float64(age.values[i]))
		}},
		"crps": {Loss{CRPS: 1}, func(i int) (sum float64) {
			up := 0.0
			for k, p := range probabilities(i) {
				up += p - float64(soft.values[i*classes+k])
				sum += up * up
			}
			return sum
		}},
	}
	check := func(name string, l Loss, logits tensor, each func(i int) float64) {
		t.Helper()
		got := evaluate(t, b, gomlx.New(), func(_ *gomlx.Context, in []*graph.Node) []*graph.Node {
			return []*graph.Node{l.Graph(in[0], in[1], in[2], in[3])}
		}, logits, soft, age, weight)
		sum, total := 0.0, 0.0
		for i, w := range weight.values {
			sum += float64(w) * each(i)
			total += float64(w)
		}
		checkClose(t, name, got[0], []float32{float32(sum / total)}, 1e-5)
	}
	for name, term := range terms {
		check(name, term.loss, logits, term.each)
	}
	check("all", Loss{Likelihood: 2, Mean: 0.5, CRPS: 1}, logits, func(i int) (sum float64) {
		for _, term := range terms {
			sum += term.each(i)
		}
		return sum
	})
	years := tensor{[]int{n, 1}, []float32{1.5, 9, -4}}
	check("smooth L1", Loss{SmoothL1: 1}, years, func(i int) float64 { return smooth(float64(years.values[i] - age.values[i])) })
}
