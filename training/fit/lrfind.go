package fit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/gomlx/gomlx/pkg/core/tensors"
	gomlx "github.com/gomlx/gomlx/pkg/ml/context"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"

	"github.com/agequote/agequote/internal/progress"
)

// Found is what the rate finder saw.
type Found struct {
	Rates    []float64 `json:"rates"`
	Losses   []float64 `json:"losses"`   // running mean
	Minimum  float64   `json:"minimum"`  // a tenth of the rate with the least loss
	Steepest float64   `json:"steepest"` // where the loss falls fastest
}

// FindRate raises the rate from low to high by equal factors, a step each, until
// the loss is four times its least (Smith 2017, Cyclical learning rates). It
// takes the first stage's groups, and leaves all variables as they were. The
// plot is written to the run's folder.
func (r *Run) FindRate(ctx context.Context, low, high float64, steps int) (found *Found, err error) {
	defer recoverGraph(&err)
	if !(low > 0 && high > low && steps > 1) {
		return nil, errors.New("find rate: want 0 < low < high and several steps")
	}
	before, err := snapshot(r.Params.Ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, before.restore(r.Params.Ctx)) }()
	if err := r.Params.Ctx.SetRNGStateFromSeed(int64(r.Settings.Seed)); err != nil {
		return nil, fmt.Errorf("seed: %w", err)
	}

	s := r.Settings.Stages[0]
	data, err := r.Data(s)
	if err != nil {
		return nil, err
	}
	b := r.batcher(data, s)
	if b.steps() == 0 {
		return nil, fmt.Errorf("stage %s: fewer photos than one batch of %d", s.Name, s.Batch)
	}
	peak := s.rates(r.Settings.Groups)
	r.freeze(peak)
	highest := 0.0
	for _, p := range peak {
		highest = max(highest, p)
	}
	a := r.optimizer()
	step, err := r.trainStep(a, data)
	if err != nil {
		return nil, err
	}
	defer step.Finalize()

	found = &Found{}
	bar := progress.New(r.Stderr, steps, "rates")
	defer bar.Finish()
	r.state = state{Momenta: 1}
	order := b.order(0, 0)
	smooth, least := 0.0, math.Inf(1)
	for i := range steps {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		epoch := i / b.steps()
		if i > 0 && i%b.steps() == 0 {
			order = b.order(0, epoch)
		}
		m, err := b.make(order, 0, epoch, i%b.steps())
		if err != nil {
			return nil, err
		}
		rate := low * math.Pow(high/low, float64(i)/float64(steps-1))
		const momentum, keep = 0.9, 0.95
		r.state.Momenta *= momentum
		loss, err := r.step(a, step, m, scaled(peak, rate/highest), momentum)
		if err != nil {
			break // the loss is no number any more: the end of the search
		}
		r.state.Step++
		smooth = keep*smooth + (1-keep)*loss
		mean := smooth / (1 - math.Pow(keep, float64(i+1)))
		found.Rates, found.Losses = append(found.Rates, rate), append(found.Losses, mean)
		least = min(least, mean)
		bar.Done()
		if mean > 4*least {
			break
		}
	}
	if len(found.Rates) < 2 {
		return nil, errors.New("find rate: the loss is no number at the lowest rate")
	}
	found.suggest()
	return found, found.plot(filepath.Join(r.Dir, "lr-find.svg"))
}

// suggest finds the two rates that people take from such a plot.
func (f *Found) suggest() {
	least, steepest := 0, 1
	slope := func(i int) float64 { return f.Losses[i] - f.Losses[i-1] }
	for i := range f.Losses {
		if f.Losses[i] < f.Losses[least] {
			least = i
		}
	}
	for i := 1; i <= max(least, 1); i++ {
		if slope(i) < slope(steepest) {
			steepest = i
		}
	}
	f.Minimum, f.Steepest = f.Rates[least]/10, f.Rates[steepest]
}

func (f *Found) plot(path string) error {
	p := newPlot("Rate finder", "rate (of the group with the highest)", "loss, running mean")
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	points := make(plotter.XYs, len(f.Rates))
	for i := range points {
		points[i] = plotter.XY{X: f.Rates[i], Y: f.Losses[i]}
	}
	if err := plotutil.AddLines(p, points); err != nil {
		return fmt.Errorf("plot rates: %w", err)
	}
	drawn, err := svg(p)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write plot: %w", err)
	}
	if err := os.WriteFile(path, drawn, 0o644); err != nil {
		return fmt.Errorf("write plot: %w", err)
	}
	return nil
}

// variables are copies of all variables of a context.
type variables map[string]*tensors.Tensor

func snapshot(ctx *gomlx.Context) (variables, error) {
	vs := variables{}
	for v := range ctx.IterVariables() {
		t, err := v.Value()
		if err != nil {
			return nil, fmt.Errorf("copy variable: %w", err)
		}
		if vs[v.ScopeAndName()], err = t.LocalClone(); err != nil {
			return nil, fmt.Errorf("copy variable: %w", err)
		}
	}
	return vs, nil
}

// restore sets the variables again and removes those that came since.
func (vs variables) restore(ctx *gomlx.Context) error {
	var later []*gomlx.Variable
	for v := range ctx.IterVariables() {
		t, ok := vs[v.ScopeAndName()]
		if !ok {
			later = append(later, v)
			continue
		}
		if err := v.SetValue(t); err != nil {
			return fmt.Errorf("restore variable: %w", err)
		}
	}
	for _, v := range later {
		if err := ctx.DeleteVariable(v.Scope(), v.Name()); err != nil {
			return fmt.Errorf("remove variable: %w", err)
		}
	}
	return nil
}

// equal tells whether two copies are the same to the bit.
func (vs variables) equal(other variables) bool {
	if len(vs) != len(other) {
		return false
	}
	for name, t := range vs {
		o, ok := other[name]
		if !ok {
			return false
		}
		var a, b []byte
		t.ConstBytes(func(d []byte) { a = bytes.Clone(d) })
		o.ConstBytes(func(d []byte) { b = bytes.Clone(d) })
		if !bytes.Equal(a, b) {
			return false
		}
	}
	return true
}
