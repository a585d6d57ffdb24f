package net

import (
	"github.com/gomlx/gomlx/pkg/core/dtypes"
	"github.com/gomlx/gomlx/pkg/core/graph"

	"github.com/agequote/agequote/training/onnxfile"
)

// Stem is what comes before the first block: blue, green and red less their
// means, and a 3 x 3 convolution to 32 channels at stride 2.
type Stem struct{ Mean [3]float32 }

const stemChannels = 32

// Load sets the variables from the face backbone's ONNX file.
func (s Stem) Load(p *Params, tensors map[string]onnxfile.Tensor) error {
	const in, area = 3, 9
	kernel, err := lookup(tensors, "conv1/convolution/merged_input", stemChannels*in*area)
	if err != nil {
		return err
	}
	bias, err := lookup(tensors, "conv1_bn/batchnorm_1/sub", stemChannels)
	if err != nil {
		return err
	}
	// [out, in, 3, 3] to [3, 3, in, out].
	turned := make([]float32, len(kernel))
	for o := range stemChannels {
		for i := range in {
			for k := range area {
				turned[(k*in+i)*stemChannels+o] = kernel[(o*in+i)*area+k]
			}
		}
	}
	p.Set("stem/kernel", turned, 3, 3, in, stemChannels)
	p.Set("stem/bias", bias, stemChannels)
	return nil
}

// Graph goes from pixels [n, h, w, 3], red first, of 0 to 255 to the first map.
func (s Stem) Graph(p *Params, pixels *graph.Node) *graph.Node {
	g := pixels.Graph()
	x := graph.Reverse(graph.ConvertDType(pixels, dtypes.Float32), 3)
	x = graph.Sub(x, graph.Const(g, [][][][]float32{{{s.Mean[:]}}}))
	kernel := p.Get(g, "stem/kernel", 3, 3, 3, stemChannels)
	bias := p.Get(g, "stem/bias", stemChannels)
	x = graph.Convolve(x, kernel).Strides(2).PaddingPerDim([][2]int{{0, 1}, {0, 1}}).Done()
	return relu6(graph.Add(x, graph.Reshape(bias, 1, 1, 1, stemChannels)))
}
