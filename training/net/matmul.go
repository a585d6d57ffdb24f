// Package net builds the networks as GoMLX graphs: the MobileNetV1 body that
// was trained on faces, the ResNet34 of the article, heads over ages, and the
// losses. It knows no files and no training loop.
package net

import (
	"github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/shapes"
)

// withGradient is y with respect to whose inputs the gradient is what vjp says:
// given the adjoint of y it returns those of the inputs. GoMLX lets a gradient
// be replaced for a node of one input and the same shape only. So each input is
// laid beside as many zeros as y has values, the gradient of that pair is
// replaced, and y plus the zeros goes on: XLA folds the zeros away.
func withGradient(y *graph.Node, inputs []*graph.Node, vjp func(v *graph.Node) []*graph.Node) *graph.Node {
	g := y.Graph()
	out := graph.StopGradient(y)
	for i, x := range inputs {
		n := x.Shape().Size()
		zeros := graph.Zeros(g, shapes.Make(x.DType(), y.Shape().Size()))
		pair := graph.Concatenate([]*graph.Node{graph.Reshape(x, n), zeros}, 0)
		pair = graph.IdentityWithCustomGradient(pair, func(_, v *graph.Node) *graph.Node {
			v = graph.Reshape(graph.Slice(v, graph.AxisRange(n)), y.Shape().Dimensions...)
			return graph.Concatenate([]*graph.Node{graph.Reshape(vjp(v)[i], n), zeros}, 0)
		})
		out = graph.Add(out, graph.Reshape(graph.Slice(pair, graph.AxisRange(n)), y.Shape().Dimensions...))
	}
	return out
}

// matMul is x [n, in] times k [in, out]. GoMLX expands the gradient of a product
// of matrices to a broadcast of [n, in, out] (v0.26.0), which neither fits in
// memory nor is fast; these are two further products.
func matMul(x, k *graph.Node) *graph.Node {
	x0, k0 := graph.StopGradient(x), graph.StopGradient(k)
	return withGradient(graph.Dot(x0, k0), []*graph.Node{x, k}, func(v *graph.Node) []*graph.Node {
		return []*graph.Node{
			graph.DotGeneral(v, []int{1}, nil, k0, []int{1}, nil),
			graph.DotGeneral(x0, []int{0}, nil, v, []int{0}, nil),
		}
	})
}
