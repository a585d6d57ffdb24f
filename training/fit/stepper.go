package fit

import (
	"github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/tensors"
	gomlx "github.com/gomlx/gomlx/pkg/ml/context"

	"github.com/agequote/agequote/training/net"
)

// Stepper takes training steps by themselves, without data, stages and files:
// what a measurement of speed wants.
type Stepper struct {
	run   *Run
	adam  *adam
	step  *gomlx.Exec
	rates []float64
}

// Stepper compiles a step of the network logits in which every group trains at
// the rate.
func (r *Run) Stepper(logits func(p *net.Params, x *graph.Node) *graph.Node, rate float64) (s *Stepper, err error) {
	defer recoverGraph(&err)
	s = &Stepper{run: r, adam: r.optimizer()}
	for range r.Settings.Groups {
		s.rates = append(s.rates, rate)
	}
	r.freeze(s.rates)
	r.state = state{Momenta: 1}
	s.step, err = r.trainStep(s.adam, Data{Logits: logits})
	return s, err
}

// Step trains on crops of so many pixels a side, each with an age, and returns
// the loss.
func (s *Stepper) Step(pixels []byte, size int, ages []float32) (loss float64, err error) {
	defer recoverGraph(&err)
	n, classes := len(ages), s.run.Model.Classes
	soft, ones := make([]float32, n*classes), make([]float32, n)
	for i, a := range ages {
		net.SoftLabel(float64(a), s.run.Settings.Sigma, classes, soft[i*classes:(i+1)*classes])
		ones[i] = 1
	}
	b := &batch{
		items:  tensors.FromFlatDataAndDimensions(pixels, n, size, size, 3),
		soft:   tensors.FromFlatDataAndDimensions(soft, n, classes),
		age:    tensors.FromFlatDataAndDimensions(ages, n),
		weight: tensors.FromFlatDataAndDimensions(ones, n),
		lambda: tensors.FromFlatDataAndDimensions(ones, n),
	}
	const momentum = 0.9
	s.run.state.Momenta *= momentum
	loss, err = s.run.step(s.adam, s.step, b, s.rates, momentum)
	s.run.state.Step++
	return loss, err
}

// Close frees the compiled step.
func (s *Stepper) Close() { s.step.Finalize() }
