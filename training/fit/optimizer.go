package fit

import (
	"fmt"
	"math"
	"strings"

	"github.com/gomlx/gomlx/pkg/core/dtypes"
	"github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/tensors"
	"github.com/gomlx/gomlx/pkg/ml/context"
	"github.com/gomlx/gomlx/pkg/ml/train/optimizers"

	"github.com/agequote/agequote/training/net"
)

// Group is a part of the weights with a rate and a decay of its own.
type Group struct {
	Name   string   `yaml:"name"`
	Scopes []string `yaml:"scopes"` // prefixes of the weights' names
	Decay  float64  `yaml:"decay"`  // of weights, decoupled from the gradient; biases and batch norm have none
}

// holds tells whether a weight is in the group.
func (g Group) holds(weight string) bool {
	for _, s := range g.Scopes {
		if strings.HasPrefix(weight, s) {
			return true
		}
	}
	return false
}

// groupOf is the first group that holds the weight, or -1.
func groupOf(groups []Group, weight string) int {
	for i, g := range groups {
		if g.holds(weight) {
			return i
		}
	}
	return -1
}

// adam is Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm
// 2), with a rate and a decay for each group, the gradient clipped by its norm
// over all weights (Pascanu et al. 2013), and a running mean of the weights
// (Polyak and Juditsky 1992). Rates and momentum change from step to step: they
// are a variable that the loop sets. GoMLX's own has one of each for all.
type adam struct {
	groups  []Group
	beta2   float64
	epsilon float64
	clip    float64 // 0: no clipping
	average float64 // of the running mean, 0: none
}

var _ optimizers.Interface = (*adam)(nil)

const (
	optimizerScope = "fit"
	scheduleName   = "schedule" // rate of each group, momentum, and the products of momenta and of beta2 so far
)

func (a *adam) scheduleVariable(ctx *context.Context) *context.Variable {
	ctx = ctx.InAbsPath("/" + optimizerScope).Checked(false)
	v := ctx.GetVariable(scheduleName)
	if v == nil {
		v = ctx.VariableWithValue(scheduleName, make([]float32, len(a.groups)+3))
	}
	return v.SetTrainable(false)
}

// set tells rates and momentum of the coming step, counted from 0 in its stage.
func (a *adam) set(ctx *context.Context, rates []float64, momentum, momenta float64, step int) error {
	values := make([]float32, 0, len(rates)+3)
	for _, r := range rates {
		values = append(values, float32(r))
	}
	values = append(values, float32(momentum), float32(1/(1-momenta)), float32(1/(1-math.Pow(a.beta2, float64(step+1)))))
	return a.scheduleVariable(ctx).SetValue(tensors.FromFlatDataAndDimensions(values, len(values)))
}

// UpdateGraph implements optimizers.Interface.
func (a *adam) UpdateGraph(ctx *context.Context, g *graph.Graph, loss *graph.Node) {
	grads := ctx.BuildTrainableVariablesGradientsGraph(loss)
	schedule := a.scheduleVariable(ctx).ValueGraph(g)
	at := func(i int) *graph.Node { return graph.Reshape(graph.Slice(schedule, graph.AxisElem(i))) }
	n := len(a.groups)
	momentum, unbias1, unbias2 := at(n), at(n+1), at(n+2)

	if a.clip > 0 {
		var sum *graph.Node
		for _, grad := range grads {
			square := graph.ReduceAllSum(graph.Square(grad))
			if sum == nil {
				sum = square
				continue
			}
			sum = graph.Add(sum, square)
		}
		scale := graph.MinScalar(graph.Div(graph.Scalar(g, dtypes.Float32, a.clip), graph.AddScalar(graph.Sqrt(sum), 1e-6)), 1.0)
		for i := range grads {
			grads[i] = graph.Mul(grads[i], scale)
		}
	}

	p := &net.Params{Ctx: ctx}
	i := 0
	for v := range ctx.IterVariables() {
		if !v.Trainable || !v.InUseByGraph(g) {
			continue
		}
		name, _ := net.Name(v)
		group := groupOf(a.groups, name)
		if group < 0 {
			panic(fmt.Sprintf("fit: weight %q is in no group", name))
		}
		a.step(ctx, g, p, v, grads[i], at(group), momentum, unbias1, unbias2, a.groups[group].Decay)
		i++
	}
}

// step updates one weight, its two moments and its running mean.
func (a *adam) step(ctx *context.Context, g *graph.Graph, p *net.Params, v *context.Variable, grad, rate, momentum, unbias1, unbias2 *graph.Node, decay float64) {
	first, second := a.moment(ctx, v, "first"), a.moment(ctx, v, "second")
	m := graph.Add(graph.Mul(first.ValueGraph(g), momentum), graph.Mul(grad, graph.OneMinus(momentum)))
	s := graph.Add(graph.MulScalar(second.ValueGraph(g), a.beta2), graph.MulScalar(graph.Square(grad), 1-a.beta2))
	first.SetValueGraph(m)
	second.SetValueGraph(s)

	w := v.ValueGraph(g)
	step := graph.Div(graph.Mul(m, unbias1), graph.AddScalar(graph.Sqrt(graph.Mul(s, unbias2)), a.epsilon))
	// Vectors are biases and batch norm: they are not decayed.
	if decay > 0 && v.Shape().Rank() > 1 {
		step = graph.Add(step, graph.MulScalar(w, decay))
	}
	w = graph.Sub(w, graph.Mul(step, rate))
	v.SetValueGraph(w)
	if average := p.AverageOf(v); average != nil {
		old := average.ValueGraph(g)
		average.SetValueGraph(graph.Add(graph.MulScalar(old, a.average), graph.MulScalar(w, 1-a.average)))
	}
}

func (a *adam) moment(ctx *context.Context, v *context.Variable, which string) *context.Variable {
	ctx = ctx.InAbsPath("/" + optimizerScope).In(which).Checked(false)
	for part := range strings.SplitSeq(strings.Trim(v.Scope(), "/"), "/") {
		ctx = ctx.In(part)
	}
	m := ctx.GetVariable(v.Name())
	if m == nil {
		m = ctx.VariableWithValue(v.Name(), tensors.FromShape(v.Shape()))
	}
	return m.SetTrainable(false)
}

// Clear implements optimizers.Interface: it forgets the moments.
func (a *adam) Clear(ctx *context.Context) error {
	for _, which := range []string{"first", "second"} {
		if err := ctx.InAbsPath("/" + optimizerScope).In(which).DeleteVariablesInScope(); err != nil {
			return fmt.Errorf("clear moments: %w", err)
		}
	}
	return nil
}
