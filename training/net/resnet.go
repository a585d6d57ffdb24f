package net

import (
	"fmt"
	"math"

	"github.com/gomlx/gomlx/pkg/core/dtypes"
	"github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/shapes"
	"github.com/gomlx/gomlx/pkg/core/tensors/images"

	"github.com/agequote/agequote/training/onnxfile"
)

// ResNet34 is the network of He et al. 2016 (Deep residual learning, table 1)
// with the head that the article puts on it, fastai's create_head with the widths
// 512 and 16: the maximum and the mean of the last map, then three times batch
// norm, dropout and a linear layer. Its one output is the age in years. Maps are
// [n, channels, height, width], which XLA on a CPU trains faster than channels
// last.
type ResNet34 struct {
	Dropout float64 // before the last layer; half of it before the others, as create_head has it
	Start   float64 // years that the output begins at
}

// layer is one of the four groups of residual blocks.
type layer struct{ blocks, channels int }

var layers34 = [4]layer{{3, 64}, {4, 128}, {6, 256}, {3, 512}}

// The head's layers: features of two poolings, and the widths after them.
var headWidths = [4]int{1024, 512, 16, 1}

// convolution is one layer of the body.
type convolution struct {
	name, norm        string // of the weights, and of the batch norm behind it
	weights, normName string // torchvision's names
	in, out, size     int
	stride            int
}

// convolutions are the body's layers, in torchvision's order.
func (ResNet34) convolutions() []convolution {
	cs := []convolution{{"conv1", "bn1", "conv1", "bn1", 3, 64, 7, 2}}
	in := 64
	for l, layer := range layers34 {
		for b := range layer.blocks {
			stride := 1
			if l > 0 && b == 0 {
				stride = 2
			}
			name, torch := fmt.Sprintf("layer%d/%d/", l+1, b), fmt.Sprintf("layer%d.%d.", l+1, b)
			cs = append(cs,
				convolution{name + "conv1", name + "bn1", torch + "conv1", torch + "bn1", in, layer.channels, 3, stride},
				convolution{name + "conv2", name + "bn2", torch + "conv2", torch + "bn2", layer.channels, layer.channels, 3, 1})
			if stride != 1 {
				cs = append(cs, convolution{name + "shortcut", name + "shortcut_bn", torch + "downsample.0", torch + "downsample.1", in, layer.channels, 1, stride})
			}
			in = layer.channels
		}
	}
	return cs
}

// Load sets the weights: those of the body from an ONNX file whose tensors are
// named as in torchvision's resnet34 (conv1.weight, layer1.0.bn1.running_mean,
// ...), if there are any, and else by He initialisation (He et al. 2015, by
// fan-in) from r, which draws from the standard normal distribution.
func (n ResNet34) Load(p *Params, tensors map[string]onnxfile.Tensor, r func() float64) error {
	for _, c := range n.convolutions() {
		if tensors == nil {
			fan := c.in * c.size * c.size
			p.Set(c.name+"/kernel", normal(r, fan*c.out, math.Sqrt(2/float64(fan))), c.out, c.in, c.size, c.size)
			p.setNorm(c.norm, c.out)
			continue
		}
		if err := n.loadTensors(p, tensors, c); err != nil {
			return err
		}
	}
	for i, in := range headWidths[:3] {
		out := headWidths[i+1]
		p.setNorm(fmt.Sprintf("head/%d/bn", i), in)
		p.Set(fmt.Sprintf("head/%d/kernel", i), normal(r, in*out, math.Sqrt(2/float64(in))), in, out)
		p.Set(fmt.Sprintf("head/%d/bias", i), make([]float32, out), out)
	}
	p.Set("head/2/bias", []float32{float32(n.Start)}, 1)
	return nil
}

func (ResNet34) loadTensors(p *Params, tensors map[string]onnxfile.Tensor, c convolution) error {
	kernel, err := lookup(tensors, c.weights+".weight", c.out*c.in*c.size*c.size)
	if err != nil {
		return err
	}
	p.Set(c.name+"/kernel", kernel, c.out, c.in, c.size, c.size)
	for _, part := range [][2]string{
		{"/scale", ".weight"}, {"/shift", ".bias"}, {"/mean/statistic", ".running_mean"}, {"/variance/statistic", ".running_var"},
	} {
		values, err := lookup(tensors, c.normName+part[1], c.out)
		if err != nil {
			return err
		}
		p.Set(c.norm+part[0], values, c.out)
	}
	return nil
}

// Pixels turns crops [n, h, w, 3] of bytes, red first, into planes [n, 3, h, w],
// less ImageNet's mean and by its standard deviation, which torchvision's weights
// expect.
func Pixels(x *graph.Node) *graph.Node {
	x = graph.TransposeAllAxes(graph.ConvertDType(x, dtypes.Float32), 0, 3, 1, 2)
	mean, deviation := [3]float32{0.485, 0.456, 0.406}, [3]float32{0.229, 0.224, 0.225}
	var factor, offset [3]float32
	for c := range 3 {
		factor[c], offset[c] = 1/(255*deviation[c]), -mean[c]/deviation[c]
	}
	g := x.Graph()
	return graph.Add(graph.Mul(x, alongChannels(graph.Const(g, factor[:]), x)), alongChannels(graph.Const(g, offset[:]), x))
}

// Graph goes from planes to ages [n, 1].
func (n ResNet34) Graph(p *Params, x *graph.Node) *graph.Node {
	x = n.hidden(p, n.body(p, x), 0)
	for i := 1; i < len(headWidths)-1; i++ {
		x = n.hidden(p, relu(x), i)
	}
	return x
}

// HiddenLayer goes from planes to the head's layer of 512 values, before its ReLU.
func (n ResNet34) HiddenLayer(p *Params, x *graph.Node) *graph.Node {
	return n.hidden(p, n.body(p, x), 0)
}

// body goes from planes to the maximum and the mean of the last map.
func (n ResNet34) body(p *Params, x *graph.Node) *graph.Node {
	cs := n.convolutions()
	x = relu(p.convolve(x, cs[0]))
	x = maxPool(x)
	cs = cs[1:]
	for l, layer := range layers34 {
		for b := range layer.blocks {
			y := relu(p.convolve(x, cs[0]))
			y = p.convolve(y, cs[1])
			cs = cs[2:]
			if l > 0 && b == 0 {
				x = p.convolve(x, cs[0])
				cs = cs[1:]
			}
			x = relu(graph.Add(x, y))
		}
	}
	return graph.Concatenate([]*graph.Node{graph.ReduceMax(x, 2, 3), graph.ReduceMean(x, 2, 3)}, 1)
}

// convolve is a convolution without bias and its batch norm. Sides are halved at
// stride 2, and kept at stride 1.
func (p *Params) convolve(x *graph.Node, c convolution) *graph.Node {
	kernel := p.Get(x.Graph(), c.name+"/kernel", c.out, c.in, c.size, c.size)
	if c.size == 1 && c.stride == 2 {
		x, c.stride = everyOther(x), 1
	}
	pad := [2]int{c.size / 2, c.size / 2}
	y := graph.Convolve(x, kernel).ChannelsAxis(images.ChannelsFirst).Strides(c.stride).PaddingPerDim([][2]int{pad, pad}).Done()
	return p.norm(y, c.norm)
}

// everyOther takes every other row and column.
func everyOther(x *graph.Node) *graph.Node {
	all, other := graph.AxisRange(), graph.AxisRange().Stride(2)
	return graph.Slice(x, all, all, other, other)
}

// maxPool takes the maximum of 3 x 3 values at stride 2, of values that are not
// negative: zeros are joined on before the first row and column. It is made of
// shifted maxima, columns first, since XLA's own gradient of a pooling scatters,
// by one thread on a CPU. Sides are even.
func maxPool(x *graph.Node) *graph.Node {
	for _, axis := range []int{3, 2} {
		dims := append([]int(nil), x.Shape().Dimensions...)
		n := dims[axis]
		dims[axis] = 1
		x = graph.Concatenate([]*graph.Node{graph.Zeros(x.Graph(), shapes.Make(x.DType(), dims...)), x}, axis)
		part := func(from int) *graph.Node {
			ranges := []graph.SliceAxisSpec{graph.AxisRange(), graph.AxisRange(), graph.AxisRange(), graph.AxisRange()}
			ranges[axis] = graph.AxisRange(from, from+n-1).Stride(2)
			return graph.Slice(x, ranges...)
		}
		x = graph.Max(graph.Max(part(0), part(1)), part(2))
	}
	return x
}

// hidden is layer i of the head, without the ReLU before or behind it.
func (n ResNet34) hidden(p *Params, x *graph.Node, i int) *graph.Node {
	name, rate := fmt.Sprintf("head/%d", i), n.Dropout
	if i < 2 {
		rate /= 2
	}
	in, out := headWidths[i], headWidths[i+1]
	return dense(p, x.Graph(), p.Drop(p.norm(x, name+"/bn"), rate), name, in, out)
}
