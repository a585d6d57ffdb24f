package net

import (
	"math"

	"github.com/gomlx/gomlx/pkg/core/dtypes"
	"github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/shapes"
)

// Loss is a weighted sum over a batch.
type Loss struct {
	Likelihood float64 `yaml:"likelihood"` // cross-entropy with the soft labels (Gao et al. 2017, label distribution learning)
	Mean       float64 `yaml:"mean"`       // smooth L1 of the distribution's mean and the age (Gao et al. 2018), a year's knee
	CRPS       float64 `yaml:"crps"`       // continuous ranked probability score (Gneiting and Raftery 2007)
	SmoothL1   float64 `yaml:"smooth_l1"`  // of a network with one output, in years
}

// Graph is the loss of logits [n, classes] against soft labels of the same shape
// and ages [n], each photo with its weight [n]. With one class the logit is the
// age itself.
func (l Loss) Graph(logits, soft, age, weight *graph.Node) *graph.Node {
	g := logits.Graph()
	classes := logits.Shape().Dimensions[1]
	var loss *graph.Node
	add := func(factor float64, each *graph.Node) {
		term := graph.MulScalar(each, factor)
		if loss == nil {
			loss = term
			return
		}
		loss = graph.Add(loss, term)
	}
	if l.SmoothL1 > 0 {
		add(l.SmoothL1, smoothL1(graph.Sub(graph.Reshape(logits, -1), age)))
	}
	if l.Likelihood > 0 {
		add(l.Likelihood, graph.Neg(graph.ReduceSum(graph.Mul(soft, graph.LogSoftmax(logits)), 1)))
	}
	if l.Mean > 0 || l.CRPS > 0 {
		p := graph.Softmax(logits)
		years := graph.Iota(g, shapes.Make(dtypes.Float32, 1, classes), 1)
		if l.Mean > 0 {
			add(l.Mean, smoothL1(graph.Sub(graph.ReduceSum(graph.Mul(p, years), 1), age)))
		}
		if l.CRPS > 0 {
			// Sums up to each age are products with a triangle of ones.
			rows := graph.Iota(g, shapes.Make(dtypes.Float32, classes, classes), 0)
			columns := graph.Iota(g, shapes.Make(dtypes.Float32, classes, classes), 1)
			below := graph.ConvertDType(graph.LessOrEqual(rows, columns), dtypes.Float32)
			add(l.CRPS, graph.ReduceSum(graph.Square(matMul(graph.Sub(p, soft), below)), 1))
		}
	}
	return graph.Div(graph.ReduceAllSum(graph.Mul(loss, weight)), graph.ReduceAllSum(weight))
}

// smoothL1 is half the square within a year, and linear beyond (Girshick 2015).
func smoothL1(d *graph.Node) *graph.Node {
	a := graph.Abs(d)
	return graph.Where(graph.LessThan(a, graph.OnesLike(a)), graph.MulScalar(graph.Square(a), 0.5), graph.AddScalar(a, -0.5))
}

// SoftLabel is a normal distribution about the age, of so many years, on the
// whole ages from 0, normalised. With sigma 0 it is the nearest whole age.
func SoftLabel(age, sigma float64, classes int, dst []float32) {
	if sigma == 0 {
		clear(dst)
		dst[min(max(int(math.Round(age)), 0), classes-1)] = 1
		return
	}
	age = min(age, float64(classes-1))
	sum := 0.0
	for k := range classes {
		z := (float64(k) - age) / sigma
		sum += math.Exp(-z * z / 2)
	}
	for k := range classes {
		z := (float64(k) - age) / sigma
		dst[k] = float32(math.Exp(-z*z/2) / sum)
	}
}
