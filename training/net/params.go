package net

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gomlx/gomlx/pkg/core/dtypes"
	"github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/shapes"
	"github.com/gomlx/gomlx/pkg/core/tensors"
	"github.com/gomlx/gomlx/pkg/ml/context"
	"github.com/gomlx/gomlx/pkg/ml/layers"
)

// Params are a network's weights in a GoMLX context, by name ("block_12/
// pointwise/kernel"). Average, if set, is where a graph reads the running mean of
// the weights instead of the weights.
type Params struct {
	Ctx      *context.Context
	Average  bool
	Training bool // dropout, and batch norm by the batch
}

// Drop sets a share of x to zero in training and scales the rest up.
func (p *Params) Drop(x *graph.Node, rate float64) *graph.Node {
	if !p.Training || rate == 0 {
		return x
	}
	p.Ctx.SetTraining(x.Graph(), true)
	return layers.DropoutStatic(p.Ctx.InAbsPath("/"), x, rate)
}

// Scopes of the context.
const (
	ModelScope   = "model"
	AverageScope = "average"
)

func (p *Params) scope(average bool, name string) (*context.Context, string) {
	root := ModelScope
	if average {
		root = AverageScope
	}
	ctx := p.Ctx.In(root).Checked(false)
	parts := strings.Split(name, "/")
	for _, part := range parts[:len(parts)-1] {
		ctx = ctx.In(part)
	}
	return ctx, parts[len(parts)-1]
}

// Set creates or replaces a weight, and its average.
func (p *Params) Set(name string, values []float32, dims ...int) {
	for _, average := range []bool{false, true} {
		ctx, base := p.scope(average, name)
		v := ctx.VariableWithValue(base, tensors.FromFlatDataAndDimensions(slices.Clone(values), dims...))
		// A variable that was there keeps its old value otherwise.
		if err := v.SetValue(tensors.FromFlatDataAndDimensions(slices.Clone(values), dims...)); err != nil {
			panic(err) // of another shape: a fault of the program
		}
		v.SetTrainable(!average && !IsStatistic(name))
	}
}

// Get is a weight in a graph. A weight that was not set, or has another shape, is
// a fault of the program: graph code panics, and training's edge recovers.
func (p *Params) Get(g *graph.Graph, name string, dims ...int) *graph.Node {
	v := p.variable(p.Average, name)
	want := shapes.Make(dtypes.Float32, dims...)
	if v == nil || !v.Shape().Equal(want) {
		panic(fmt.Sprintf("net: no weight %q of shape %s", name, want))
	}
	return v.ValueGraph(g)
}

func (p *Params) variable(average bool, name string) *context.Variable {
	ctx, base := p.scope(average, name)
	return ctx.GetVariable(base)
}

// AverageOf is the variable that holds the running mean of a weight, or nil.
func (p *Params) AverageOf(v *context.Variable) *context.Variable {
	name, ok := Name(v)
	if !ok {
		return nil
	}
	return p.variable(true, name)
}

// Name is the name of a weight's variable; false for a variable that is none.
func Name(v *context.Variable) (string, bool) {
	return strings.CutPrefix(v.ScopeAndName(), "/"+ModelScope+"/")
}

// Values returns a weight's values, or those of its average.
func (p *Params) Values(name string) ([]float32, []int, error) {
	v := p.variable(p.Average, name)
	if v == nil {
		return nil, nil, fmt.Errorf("no weight %q", name)
	}
	t, err := v.Value()
	if err != nil {
		return nil, nil, fmt.Errorf("read weight %q: %w", name, err)
	}
	values, err := tensors.CopyFlatData[float32](t)
	if err != nil {
		return nil, nil, fmt.Errorf("read weight %q: %w", name, err)
	}
	return values, t.Shape().Dimensions, nil
}

// Names returns the names of all weights, in order.
func (p *Params) Names() []string {
	var names []string
	for v := range p.Ctx.IterVariables() {
		if name, ok := Name(v); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// IsStatistic tells whether a weight is a running mean or variance of batch norm,
// which no gradient changes.
func IsStatistic(name string) bool { return strings.HasSuffix(name, "/statistic") }
