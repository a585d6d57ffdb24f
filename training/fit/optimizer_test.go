package fit

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/gomlx/gomlx/pkg/core/graph"
	gomlx "github.com/gomlx/gomlx/pkg/ml/context"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/agequote/agequote/training/net"
	"github.com/agequote/agequote/training/xla/xlatest"
)

func TestOneCycleAt(t *testing.T) {
	const total = 101
	tests := []struct {
		name             string
		cycle            OneCycle
		step             int
		factor, momentum float64
	}{
		{"start", OneCycle{}, 0, 1.0 / 25, 0.95},
		{"half way up", OneCycle{Warm: 0.5}, 25, (1 + 1.0/25) / 2, 0.9},
		{"top", OneCycle{}, 25, 1, 0.85},
		{"end", OneCycle{}, 100, 1e-5, 0.95},
		{"own end", OneCycle{Div: 10, FinalDiv: 100, Momentum: [2]float64{0.8, 0.7}}, 100, 0.01, 0.8},
		{"off", OneCycle{Off: true}, 50, 1, 0.95},
	}
	for _, tt := range tests {
		factor, momentum := tt.cycle.At(tt.step, total)
		if math.Abs(factor-tt.factor) > 1e-12 || math.Abs(momentum-tt.momentum) > 1e-12 {
			t.Errorf("%s: At(%d, %d) = %v, %v, want %v, %v", tt.name, tt.step, total, factor, momentum, tt.factor, tt.momentum)
		}
	}
	if factor, _ := (OneCycle{}).At(0, 1); math.Abs(factor-1.0/25) > 1e-12 {
		t.Errorf("a run of one step has the factor %v", factor)
	}
}

func TestSpread(t *testing.T) {
	groups := []Group{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "head"}}
	got := Stage{Rates: map[string]float64{"head": 5e-2}, Spread: &Spread{First: 1e-6, Share: 0.2}}.rates(groups)
	want := []float64{1e-6, 1e-4, 1e-2, 5e-2}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(1e-9, 0)); diff != "" {
		t.Errorf("rates (-want +got)\n%s", diff)
	}
}

// plainAdam is Adam in plain Go, for one weight of one group.
type plainAdam struct{ w, m, v, average float64 }

func (p *plainAdam) step(gradient, rate, momentum, momenta, decay float64, a *adam, step int) {
	p.m = momentum*p.m + (1-momentum)*gradient
	p.v = a.beta2*p.v + (1-a.beta2)*gradient*gradient
	m, v := p.m/(1-momenta), p.v/(1-math.Pow(a.beta2, float64(step+1)))
	p.w -= rate * (m/(math.Sqrt(v)+a.epsilon) + decay*p.w)
	p.average = a.average*p.average + (1-a.average)*p.w
}

// TestAdam compares some steps on a loss whose gradient is known, half the sum of
// curve*w*w, with plain Go: rates and decay by group, momentum that changes,
// clipping, and the running mean.
func TestAdam(t *testing.T) {
	backend := xlatest.Backend(t)
	for _, clip := range []float64{0, 0.5} {
		a := &adam{
			groups: []Group{
				{Name: "slow", Scopes: []string{"slow"}, Decay: 0.1},
				{Name: "still", Scopes: []string{"still"}, Decay: 0.1},
				{Name: "fast", Scopes: []string{"fast"}, Decay: 0.2},
			},
			beta2: 0.99, epsilon: 1e-5, clip: clip, average: 0.9,
		}
		weights := []struct {
			name  string
			dims  []int
			curve float64
			decay float64 // a vector has none
			group int
			start []float32
		}{
			{"slow/kernel", []int{1, 2}, 1, 0.1, 0, []float32{1, -2}},
			{"slow/bias", []int{1}, 2, 0, 0, []float32{0.5}},
			{"still/kernel", []int{1, 1}, 0.5, 0.1, 1, []float32{3}},
			{"fast/kernel", []int{2, 1}, 3, 0.2, 2, []float32{-1, 4}},
		}
		p := &net.Params{Ctx: gomlx.New()}
		plain := map[string][]plainAdam{}
		for _, w := range weights {
			p.Set(w.name, w.start, w.dims...)
			for _, v := range w.start {
				plain[w.name] = append(plain[w.name], plainAdam{w: float64(v), average: float64(v)})
			}
		}
		e, err := gomlx.NewExec(backend, p.Ctx, func(ctx *gomlx.Context, one *graph.Node) *graph.Node {
			q := &net.Params{Ctx: ctx}
			loss := graph.ZerosLike(one)
			for _, w := range weights {
				squares := graph.ReduceAllSum(graph.Square(q.Get(one.Graph(), w.name, w.dims...)))
				loss = graph.Add(loss, graph.MulScalar(squares, w.curve/2))
			}
			a.UpdateGraph(ctx, loss.Graph(), loss)
			return loss
		})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Finalize()

		momenta := 1.0
		for step, momentum := range []float64{0.95, 0.9, 0.85} {
			rates := []float64{0.01, 0, 0.1}
			momenta *= momentum
			if err := a.set(p.Ctx, rates, momentum, momenta, step); err != nil {
				t.Fatal(err)
			}
			if _, err := e.Exec(float32(1)); err != nil {
				t.Fatal(err)
			}
			norm := 0.0
			for _, w := range weights {
				for _, one := range plain[w.name] {
					norm += w.curve * w.curve * one.w * one.w
				}
			}
			scale := 1.0
			if clip > 0 {
				scale = min(1, clip/math.Sqrt(norm))
			}
			for _, w := range weights {
				for i := range plain[w.name] {
					one := &plain[w.name][i]
					one.step(w.curve*one.w*scale, rates[w.group], momentum, momenta, w.decay, a, step)
				}
			}
		}
		for _, w := range weights {
			got, _, err := p.Values(w.name)
			if err != nil {
				t.Fatal(err)
			}
			mean, _, err := (&net.Params{Ctx: p.Ctx, Average: true}).Values(w.name)
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range plain[w.name] {
				if math.Abs(float64(got[i])-want.w) > 1e-5 || math.Abs(float64(mean[i])-want.average) > 1e-5 {
					t.Errorf("clip %v: %s[%d] = %v, its mean %v, want %v and %v", clip, w.name, i, got[i], mean[i], want.w, want.average)
				}
			}
			if w.group == 1 && got[0] != w.start[0] {
				t.Errorf("clip %v: a rate of 0 moved a weight from %v to %v", clip, w.start[0], got[0])
			}
		}
	}
}

// TestCheckpointSurvives looks at what is there after a kill between the two
// renames of save, and after the next save: one whole checkpoint at all times.
func TestCheckpointSurvives(t *testing.T) {
	dir := t.TempDir()
	ctx := gomlx.New()
	(&net.Params{Ctx: ctx}).Set("head/bias", []float32{1, 2}, 2)
	mustSave := func(step int) {
		t.Helper()
		if err := save(dir, ctx, state{Schema: 1, Step: step}); err != nil {
			t.Fatal(err)
		}
	}
	resumed := func() int {
		t.Helper()
		empty := gomlx.New()
		s, err := resume(dir, empty)
		if err != nil {
			t.Fatal(err)
		}
		if values, _, err := (&net.Params{Ctx: empty}).Values("head/bias"); err != nil || !cmp.Equal(values, []float32{1, 2}) {
			t.Errorf("resumed to %v, %v", values, err)
		}
		return s.Step
	}
	if _, err := resume(dir, ctx); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("resume of nothing = %v", err)
	}
	mustSave(1)
	mustSave(2)
	if err := os.RemoveAll(filepath.Join(dir, checkpointDir)); err != nil {
		t.Fatal(err)
	}
	if step := resumed(); step != 1 {
		t.Errorf("resumed from step %d, want the one before", step)
	}
	mustSave(3)
	if _, err := os.Stat(filepath.Join(dir, "previous", stateFile)); err != nil {
		t.Errorf("the only checkpoint was removed before the next one stood: %v", err)
	}
	if step := resumed(); step != 3 {
		t.Errorf("resumed from step %d, want 3", step)
	}
}
