package net

import (
	"fmt"

	"github.com/gomlx/gomlx/pkg/core/dtypes"
	"github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/shapes"
)

// Of batch norm (Ioffe and Szegedy 2015), as PyTorch has them.
const (
	normEpsilon = 1e-5
	normKeep    = 0.9 // of the running statistics, each step
)

// setNorm makes a batch norm that changes nothing yet.
func (p *Params) setNorm(name string, channels int) {
	ones := make([]float32, channels)
	for i := range ones {
		ones[i] = 1
	}
	zeros := make([]float32, channels)
	p.Set(name+"/scale", ones, channels)
	p.Set(name+"/shift", zeros, channels)
	p.Set(name+"/mean/statistic", zeros, channels)
	p.Set(name+"/variance/statistic", ones, channels)
}

// norm is batch norm of x [n, channels, ...]: by the batch in training, which
// moves the running statistics, and by those otherwise. The layers of a frozen
// part do the same, as in fastai. GoMLX's own batch norm gives wrong gradients
// off the backends that have the operator (v0.26.0).
func (p *Params) norm(x *graph.Node, name string) *graph.Node {
	g, channels := x.Graph(), x.Shape().Dimensions[1]
	scale, shift := p.Get(g, name+"/scale", channels), p.Get(g, name+"/shift", channels)
	if !p.Training {
		factor := graph.Div(scale, graph.Sqrt(graph.AddScalar(p.statistic(g, name+"/variance/statistic", channels), normEpsilon)))
		offset := graph.Sub(shift, graph.Mul(p.statistic(g, name+"/mean/statistic", channels), factor))
		return graph.Add(graph.Mul(x, alongChannels(factor, x)), alongChannels(offset, x))
	}

	axes := allBut1(x)
	fixed := graph.StopGradient(x)
	mean := graph.ReduceMean(fixed, axes...)
	centred := graph.Sub(fixed, alongChannels(mean, x))
	variance := graph.ReduceMean(graph.Square(centred), axes...)
	inverse := graph.Reciprocal(graph.Sqrt(graph.AddScalar(variance, normEpsilon)))
	n := float64(x.Shape().Size() / channels)
	p.moveStatistic(g, name+"/mean/statistic", mean)
	p.moveStatistic(g, name+"/variance/statistic", graph.MulScalar(variance, n/max(n-1, 1))) // the unbiased one

	// The gradient in its closed form: v arrives multiplied by the inverse
	// deviation, and loses what moves the batch's mean and variance.
	x = graph.IdentityWithCustomGradient(x, func(_, v *graph.Node) *graph.Node {
		unit := graph.Mul(centred, alongChannels(inverse, x))
		along := graph.ReduceMean(graph.Mul(v, unit), axes...)
		return graph.Sub(graph.Sub(v, alongChannels(graph.ReduceMean(v, axes...), x)), graph.Mul(unit, alongChannels(along, x)))
	})
	unit := graph.Mul(graph.Sub(x, alongChannels(mean, x)), alongChannels(inverse, x))
	return graph.Add(graph.Mul(unit, alongChannels(scale, x)), alongChannels(shift, x))
}

// statistic is a running statistic in a graph. It has no running mean of its own:
// the weights' average reads the same.
func (p *Params) statistic(g *graph.Graph, name string, channels int) *graph.Node {
	v := p.variable(false, name)
	if v == nil || !v.Shape().Equal(shapes.Make(dtypes.Float32, channels)) {
		panic(fmt.Sprintf("net: no statistic %q of %d channels", name, channels))
	}
	return v.ValueGraph(g)
}

func (p *Params) moveStatistic(g *graph.Graph, name string, batch *graph.Node) {
	old := p.statistic(g, name, batch.Shape().Dimensions[0])
	p.variable(false, name).SetValueGraph(graph.Add(graph.MulScalar(old, normKeep), graph.MulScalar(batch, 1-normKeep)))
}

// allBut1 are x's axes but that of the channels.
func allBut1(x *graph.Node) []int {
	axes := []int{0}
	for a := 2; a < x.Rank(); a++ {
		axes = append(axes, a)
	}
	return axes
}

// alongChannels brings a vector to x's rank.
func alongChannels(v, x *graph.Node) *graph.Node {
	dims := make([]int, x.Rank())
	for i := range dims {
		dims[i] = 1
	}
	dims[1] = v.Shape().Dimensions[0]
	return graph.Reshape(v, dims...)
}
