package net

import (
	"fmt"
	"math"

	"github.com/gomlx/gomlx/pkg/core/dtypes"
	"github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/shapes"

	"github.com/agequote/agequote/training/onnxfile"
)

// Blocks is the number of MobileNetV1's depthwise separable blocks (Howard et
// al. 2017, table 1).
const Blocks = 13

// blockStride and blockChannels are those of block i, from 1.
func blockStride(i int) int {
	switch i {
	case 2, 4, 6, 12:
		return 2
	}
	return 1
}

func blockChannels(i int) int {
	switch {
	case i == 1:
		return 64
	case i <= 3:
		return 128
	case i <= 5:
		return 256
	case i <= 11:
		return 512
	}
	return 1024
}

// MapShape is height, width and channels of what block i makes of a crop of
// size pixels.
func MapShape(i, size int) [3]int {
	size /= 2
	for b := 1; b <= i; b++ {
		size /= blockStride(b)
	}
	return [3]int{size, size, blockChannels(i)}
}

// BlockTensor is the name in the ONNX file of what block i makes.
func BlockTensor(i int) string { return fmt.Sprintf("conv_pw_%d_relu/clip_by_value", i) }

// The tensors of the face backbone's own age head, and its hidden width.
const (
	ownWidth               = 256
	featsKernel, featsBias = "feats/kernel", "feats/bias"       // [1024, 256], [256]
	ageKernel, ageBias     = "age_pred/kernel", "age_pred/bias" // [256, 100], [100]
)

// Body is MobileNetV1 from block First on, with weights of the face backbone.
type Body struct {
	First int // 1 to Blocks; the blocks before are frozen and computed elsewhere
}

// Load sets the variables from the weights of the face backbone's ONNX file:
// kernels with the batch norm's scale folded in, since the file's batch norm is
// scale and shift by now.
func (b Body) Load(p *Params, tensors map[string]onnxfile.Tensor) error {
	for i := b.First; i <= Blocks; i++ {
		in, out := blockChannels(max(i-1, 1)), blockChannels(i)
		if i == 1 {
			in = stemChannels
		}
		depthwise, err := lookup(tensors, fmt.Sprintf("conv_dw_%d/depthwise_kernel", i), in*9)
		if err != nil {
			return err
		}
		scale, err := lookup(tensors, fmt.Sprintf("conv_dw_%d_bn/batchnorm_1/mul", i), in)
		if err != nil {
			return err
		}
		kernel := make([]float32, 9*in) // [in, 1, 3, 3] to [3, 3, in]
		for c := range in {
			for k := range 9 {
				kernel[k*in+c] = depthwise[9*c+k] * scale[c]
			}
		}
		bias, err := lookup(tensors, fmt.Sprintf("conv_dw_%d_bn/batchnorm_1/sub", i), in)
		if err != nil {
			return err
		}
		p.Set(blockName(i, "depthwise", "kernel"), kernel, 3, 3, in)
		p.Set(blockName(i, "depthwise", "bias"), bias, in)

		pointwise, err := lookup(tensors, fmt.Sprintf("conv_pw_%d/convolution/merged_input", i), in*out)
		if err != nil {
			return err
		}
		bias, err = lookup(tensors, fmt.Sprintf("conv_pw_%d_bn/batchnorm_1/sub", i), out)
		if err != nil {
			return err
		}
		p.Set(blockName(i, "pointwise", "kernel"), transposed(pointwise, out, in), in, out)
		p.Set(blockName(i, "pointwise", "bias"), bias, out)
	}
	return nil
}

func blockName(i int, part, name string) string {
	return fmt.Sprintf("block_%02d/%s/%s", i, part, name)
}

func lookup(tensors map[string]onnxfile.Tensor, name string, size int) ([]float32, error) {
	t, ok := tensors[name]
	if !ok || len(t.Data) != size {
		return nil, fmt.Errorf("backbone has no tensor %q of %d values", name, size)
	}
	return t.Data, nil
}

// transposed turns [rows, columns] into [columns, rows].
func transposed(m []float32, rows, columns int) []float32 {
	t := make([]float32, len(m))
	for r := range rows {
		for c := range columns {
			t[c*rows+r] = m[r*columns+c]
		}
	}
	return t
}

// Graph goes from the map of the block before First [n, h, w, channels] to the
// last map.
func (b Body) Graph(p *Params, x *graph.Node) *graph.Node {
	for i := b.First; i <= Blocks; i++ {
		x = depthwise(p, x, i)
		x = pointwise(p, x, i)
	}
	return x
}

func relu6(x *graph.Node) *graph.Node { return graph.ClipScalar(x, 0, 6) }

// depthwise is a 3 x 3 convolution of each channel by itself, as nine shifted
// products: XLA on a CPU fuses them, and GoMLX's own gradient of a grouped
// convolution makes a graph of one convolution a channel. Zeros are joined on
// since GoMLX has no gradient of Pad. At stride 2 they go to the end alone, as
// TensorFlow pads.
func depthwise(p *Params, x *graph.Node, i int) *graph.Node {
	g, d := x.Graph(), x.Shape().Dimensions
	n, h, w, c := d[0], d[1], d[2], d[3]
	kernel := p.Get(g, blockName(i, "depthwise", "kernel"), 3, 3, c)
	bias := p.Get(g, blockName(i, "depthwise", "bias"), c)

	stride, before := blockStride(i), 1
	if stride == 2 {
		before = 0
	}
	zeros := func(dims ...int) *graph.Node { return graph.Zeros(g, shapes.Make(x.DType(), dims...)) }
	join := func(x *graph.Node, axis int, edge *graph.Node) *graph.Node {
		if before == 0 {
			return graph.Concatenate([]*graph.Node{x, edge}, axis)
		}
		return graph.Concatenate([]*graph.Node{edge, x, edge}, axis)
	}
	padded := join(x, 1, zeros(n, 1, w, c))
	padded = join(padded, 2, zeros(n, h+1+before, 1, c))

	var sum *graph.Node
	rows, columns := h/stride, w/stride
	for ky := range 3 {
		for kx := range 3 {
			part := graph.Slice(padded, graph.AxisRange(),
				graph.AxisRange(ky, ky+(rows-1)*stride+1).Stride(stride),
				graph.AxisRange(kx, kx+(columns-1)*stride+1).Stride(stride), graph.AxisRange())
			weight := graph.Reshape(graph.Slice(kernel, graph.AxisElem(ky), graph.AxisElem(kx)), 1, 1, 1, c)
			product := graph.Mul(part, weight)
			if sum == nil {
				sum = product
				continue
			}
			sum = graph.Add(sum, product)
		}
	}
	return relu6(graph.Add(sum, graph.Reshape(bias, 1, 1, 1, c)))
}

// pointwise is a 1 x 1 convolution: a product of matrices.
func pointwise(p *Params, x *graph.Node, i int) *graph.Node {
	g, d := x.Graph(), x.Shape().Dimensions
	out := blockChannels(i)
	kernel := p.Get(g, blockName(i, "pointwise", "kernel"), d[3], out)
	bias := p.Get(g, blockName(i, "pointwise", "bias"), out)
	y := matMul(graph.Reshape(x, -1, d[3]), kernel)
	y = relu6(graph.Add(y, graph.Reshape(bias, 1, out)))
	return graph.Reshape(y, d[0], d[1], d[2], out)
}

// Head goes from the last map to a logit for each age from 0. It adds two
// branches: the backbone's own age head, trained on (0 to 99; further ages start
// improbable), and a new one on the mean and the maximum of the map, whose last
// layer starts at zero. So training begins with what the backbone knows.
type Head struct {
	Classes int
	Hidden  int     // width of the new branch
	Dropout float64 // of features and of the hidden layer
	Own     bool    // with the backbone's own head
}

// Load sets the variables: the backbone's head from its tensors, the new branch
// by He initialisation from the seed.
func (h Head) Load(p *Params, tensors map[string]onnxfile.Tensor, r func() float64) error {
	const channels = 1024
	p.Set("head/hidden/kernel", normal(r, 2*channels*h.Hidden, math.Sqrt(2.0/(2*channels))), 2*channels, h.Hidden)
	p.Set("head/hidden/bias", make([]float32, h.Hidden), h.Hidden)
	last := make([]float32, h.Hidden*h.Classes)
	if !h.Own {
		last = normal(r, len(last), math.Sqrt(1.0/float64(h.Hidden)))
	}
	p.Set("head/age/kernel", last, h.Hidden, h.Classes)
	p.Set("head/age/bias", make([]float32, h.Classes), h.Classes)
	if !h.Own {
		return nil
	}

	const width, classes = ownWidth, 100
	kernel, err := lookup(tensors, featsKernel, channels*width)
	if err != nil {
		return err
	}
	bias, err := lookup(tensors, featsBias, width)
	if err != nil {
		return err
	}
	p.Set("own/hidden/kernel", kernel, channels, width)
	p.Set("own/hidden/bias", bias, width)
	ages, err := lookup(tensors, ageKernel, width*classes)
	if err != nil {
		return err
	}
	agesBias, err := lookup(tensors, ageBias, classes)
	if err != nil {
		return err
	}
	const improbable = -6
	wide := make([]float32, width*h.Classes)
	wideBias := make([]float32, h.Classes)
	for k := range h.Classes {
		wideBias[k] = improbable
		if k < classes {
			wideBias[k] = agesBias[k]
		}
	}
	for i := range width {
		copy(wide[i*h.Classes:(i+1)*h.Classes], ages[i*classes:(i+1)*classes])
	}
	p.Set("own/age/kernel", wide, width, h.Classes)
	p.Set("own/age/bias", wideBias, h.Classes)
	return nil
}

func normal(r func() float64, n int, sd float64) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r() * sd)
	}
	return v
}

// Graph goes from the last map to logits [n, Classes].
func (h Head) Graph(p *Params, x *graph.Node) *graph.Node {
	g := x.Graph()
	logits := dense(p, g, p.Drop(relu(h.HiddenLayer(p, x)), h.Dropout), "head/age", h.Hidden, h.Classes)
	if h.Own {
		mean := graph.ReduceMean(x, 1, 2)
		own := relu(dense(p, g, mean, "own/hidden", mean.Shape().Dimensions[1], ownWidth))
		logits = graph.Add(logits, dense(p, g, own, "own/age", ownWidth, h.Classes))
	}
	return logits
}

// HiddenLayer goes from the last map to the new branch's hidden layer [n, Hidden],
// before its ReLU.
func (h Head) HiddenLayer(p *Params, x *graph.Node) *graph.Node {
	mean, maximum := graph.ReduceMean(x, 1, 2), graph.ReduceMax(x, 1, 2)
	channels := mean.Shape().Dimensions[1]
	features := p.Drop(standardised(graph.Concatenate([]*graph.Node{mean, maximum}, 1)), h.Dropout)
	return dense(p, x.Graph(), features, "head/hidden", 2*channels, h.Hidden)
}

// standardEpsilon keeps the deviation of a photo's features from zero.
const standardEpsilon = 1e-3

// standardised brings each photo's features to mean 0 and deviation 1, as layer
// norm without gain and bias does (Ba et al. 2016). What stands behind a ReLU6 is
// never negative: without it, one step moves all hidden units the same way, and
// most fall below their ReLU for good.
func standardised(x *graph.Node) *graph.Node {
	x = graph.Sub(x, graph.ReduceAndKeep(x, graph.ReduceMean, 1))
	variance := graph.ReduceAndKeep(graph.Square(x), graph.ReduceMean, 1)
	return graph.Div(x, graph.Sqrt(graph.AddScalar(variance, standardEpsilon)))
}

func relu(x *graph.Node) *graph.Node { return graph.Max(x, graph.ZerosLike(x)) }

func dense(p *Params, g *graph.Graph, x *graph.Node, name string, in, out int) *graph.Node {
	kernel := p.Get(g, name+"/kernel", in, out)
	bias := p.Get(g, name+"/bias", out)
	return graph.Add(matMul(x, kernel), graph.Reshape(bias, 1, out))
}

// Maps turns a batch of cached bytes into the values that they stand for.
func Maps(x *graph.Node, unit float64) *graph.Node {
	return graph.MulScalar(graph.ConvertDType(x, dtypes.Float32), unit)
}
