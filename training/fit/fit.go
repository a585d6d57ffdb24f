// Package fit is the training loop: stages of freezing and unfreezing, one-cycle
// rates by group, mixup, a running mean of the weights, checkpoints from which a
// killed run goes on to the same numbers, and a rate finder. It takes what it
// trains on from package features, and what it trains from package net.
package fit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/dtypes"
	"github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/tensors"
	gomlx "github.com/gomlx/gomlx/pkg/ml/context"

	"github.com/agequote/agequote/internal/progress"
	"github.com/agequote/agequote/training/features"
	"github.com/agequote/agequote/training/net"
)

// Stage is a part of a run in which the same weights train at the same rates.
type Stage struct {
	Name     string             `yaml:"name"`
	Epochs   int                `yaml:"epochs"`
	Steps    int                `yaml:"steps"`    // at most so many in an epoch; 0: all
	Batch    int                `yaml:"batch"`    // photos a step
	Size     int                `yaml:"size"`     // of the picture in pixels, where the network takes pictures
	First    int                `yaml:"first"`    // mobilenet: the first block that may train in this stage; 0: the network's
	Rates    map[string]float64 `yaml:"rates"`    // peak rate of each group; a group without one is frozen
	Spread   *Spread            `yaml:"spread"`   // rates of the groups that Rates leaves out
	OneCycle OneCycle           `yaml:"onecycle"` // of rates and momentum
}

// Spread gives the groups between the first and the last rates in geometric
// progression, as fastai's slices do: from First for the first group to Share of
// the last group's rate for the one before it.
type Spread struct {
	First float64 `yaml:"first"`
	Share float64 `yaml:"share"`
}

// Settings are the hyperparameters of a run, as its recipe has them.
type Settings struct {
	Seed       uint64   `yaml:"-"`
	Groups     []Group  `yaml:"groups"`
	Stages     []Stage  `yaml:"stages"`
	Loss       net.Loss `yaml:"loss"`
	Sigma      float64  `yaml:"sigma"`      // years, of the soft labels
	Mixup      float64  `yaml:"mixup"`      // alpha; 0: none
	Beta2      float64  `yaml:"beta2"`      // 0 means 0.999
	Epsilon    float64  `yaml:"epsilon"`    // 0 means 1e-8
	Clip       float64  `yaml:"clip"`       // of the gradient's norm; 0: none
	Average    float64  `yaml:"average"`    // decay of the running mean of the weights; 0: the weights themselves
	Checkpoint int      `yaml:"checkpoint"` // steps from one to the next; 0 means 200
	Mirror     bool     `yaml:"mirror"`     // validation averages photo and mirror image: the first two views
}

// rates are those of the groups in a stage; 0 is frozen.
func (s Stage) rates(groups []Group) []float64 {
	rates := make([]float64, len(groups))
	last := len(groups) - 1
	for i, g := range groups {
		rates[i] = s.Rates[g.Name]
	}
	if s.Spread == nil {
		return rates
	}
	top := s.Spread.Share * rates[last]
	for i := range last {
		f := 0.0
		if last > 1 {
			f = float64(i) / float64(last-1)
		}
		rates[i] = s.Spread.First * math.Pow(top/s.Spread.First, f)
	}
	return rates
}

// Model is what is trained.
type Model struct {
	Classes int // 1: the output is the age itself
	// Input turns cached bytes into values, before mixup.
	Input func(x *graph.Node) *graph.Node
}

// Data is what a stage trains and validates on.
type Data struct {
	Train, Validation             *features.Cache
	TrainPhotos, ValidationPhotos []Photo
	// Logits is the network from the caches' values to [n, Classes].
	Logits func(p *net.Params, x *graph.Node) *graph.Node
}

// Run is one training run.
type Run struct {
	Settings Settings
	Model    Model
	Params   *net.Params
	Backend  backends.Backend
	Data     func(stage Stage) (Data, error) // called once a stage
	Dir      string                          // of the run: metrics, plots, checkpoint/
	Identity string                          // of recipe and data
	Saved    func() error                    // after a checkpoint; may be nil
	Stderr   io.Writer

	metrics *os.File
	state   state
}

// Scores of a validation.
type Scores struct {
	Stage string             `json:"stage"`
	Epoch int                `json:"epoch"`
	Score float64            `json:"score"` // what the best is chosen by: the mean of the data sets' mean absolute errors
	Point string             `json:"point"` // mean or median, whichever is better
	MAE   map[string]float64 `json:"mae"`   // by data set and point: "utkface/median"
	RMSE  map[string]float64 `json:"rmse"`  // the same, root of the mean square error
}

// Fit trains, from the checkpoint if there is one. It returns the best scores.
// The best weights lie in Dir then, see LoadBest.
func (r *Run) Fit(ctx context.Context) (best *Scores, err error) {
	defer recoverGraph(&err)
	if err := os.MkdirAll(filepath.Join(r.Dir, "checkpoint"), 0o755); err != nil {
		return nil, fmt.Errorf("make folder of the run: %w", err)
	}
	if err := r.open(); err != nil {
		return nil, err
	}
	defer r.metrics.Close()
	if err := r.start(); err != nil {
		return nil, err
	}
	for r.state.Stage < len(r.Settings.Stages) {
		if err := r.stage(ctx); err != nil {
			return nil, err
		}
		r.state.Stage, r.state.Step, r.state.Momenta = r.state.Stage+1, 0, 1
	}
	return r.state.Best, errors.Join(r.checkpoint(), r.plot())
}

// start measures what the run begins with, so that training that makes nothing
// better shows.
func (r *Run) start() error {
	if r.state.Best != nil {
		return nil
	}
	s := r.Settings.Stages[0]
	data, err := r.Data(s)
	if err != nil {
		return err
	}
	return r.validate(data, Stage{Name: "start"}, -1)
}

// recoverGraph turns a panic of GoMLX, which is how its graph building reports
// errors, into one.
func recoverGraph(err *error) {
	if v := recover(); v != nil {
		if e, ok := v.(error); ok {
			*err = fmt.Errorf("build or run graph: %w", e)
			return
		}
		*err = fmt.Errorf("build or run graph: %v", v)
	}
}

// open takes up the checkpoint, and cuts the metrics to where it stands.
func (r *Run) open() error {
	s, err := resume(filepath.Join(r.Dir, "checkpoint"), r.Params.Ctx)
	switch {
	case errors.Is(err, os.ErrNotExist):
		s = state{Schema: 1, Recipe: r.Identity, Momenta: 1}
		if err := r.Params.Ctx.SetRNGStateFromSeed(int64(r.Settings.Seed)); err != nil {
			return fmt.Errorf("seed: %w", err)
		}
	case err != nil:
		return err
	case s.Recipe != r.Identity:
		return errors.New("the checkpoint is of another recipe or other data; remove the run's folder to begin anew")
	default:
		fmt.Fprintf(r.Stderr, "going on from stage %d, step %d\n", s.Stage+1, s.Step)
	}
	r.state = s
	r.metrics, err = os.OpenFile(filepath.Join(r.Dir, "metrics.jsonl"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("open metrics: %w", err)
	}
	if info, err := r.metrics.Stat(); err != nil || info.Size() < s.Metrics {
		return errors.Join(fmt.Errorf("metrics.jsonl has not the %d bytes that the checkpoint counts on", s.Metrics), err, r.metrics.Close())
	}
	if err := r.metrics.Truncate(s.Metrics); err != nil {
		return fmt.Errorf("cut metrics: %w", err)
	}
	_, err = r.metrics.Seek(s.Metrics, io.SeekStart)
	return err
}

// stage trains one stage from where the state stands.
func (r *Run) stage(ctx context.Context) error {
	s, number := r.Settings.Stages[r.state.Stage], r.state.Stage
	data, err := r.Data(s)
	if err != nil {
		return err
	}
	b := r.batcher(data, s)
	perEpoch := b.steps()
	if s.Steps > 0 {
		perEpoch = min(perEpoch, s.Steps)
	}
	if perEpoch == 0 {
		return fmt.Errorf("stage %s: fewer photos than one batch of %d", s.Name, s.Batch)
	}
	total := perEpoch * s.Epochs
	rates := s.rates(r.Settings.Groups)
	r.freeze(rates)
	a := r.optimizer()
	if r.state.Step == 0 {
		if err := a.Clear(r.Params.Ctx); err != nil {
			return err
		}
	}
	step, err := r.trainStep(a, data)
	if err != nil {
		return err
	}
	defer step.Finalize()

	bar := progress.New(r.Stderr, total, "stage "+s.Name)
	bar.Skip(r.state.Step)
	defer bar.Finish()
	for r.state.Step < total {
		epoch := r.state.Step / perEpoch
		if err := r.epoch(ctx, b, a, step, s, number, epoch, perEpoch, total, rates, bar); err != nil {
			return err
		}
		if err := r.validate(data, s, epoch); err != nil {
			return err
		}
		if err := errors.Join(r.checkpoint(), r.plot()); err != nil {
			return err
		}
	}
	return nil
}

func (r *Run) batcher(data Data, s Stage) *batcher {
	return &batcher{
		cache: data.Train, photos: data.TrainPhotos, size: s.Batch, classes: r.Model.Classes,
		sigma: r.Settings.Sigma, mixup: r.Settings.Mixup, seed: r.Settings.Seed, views: data.Train.Views(),
	}
}

func (r *Run) optimizer() *adam {
	s := r.Settings
	return &adam{groups: s.Groups, beta2: orDefault(s.Beta2, 0.999), epsilon: orDefault(s.Epsilon, 1e-8), clip: s.Clip, average: s.Average}
}

// freeze lets the groups with a rate train, and no others.
func (r *Run) freeze(rates []float64) {
	for v := range r.Params.Ctx.IterVariables() {
		name, ok := net.Name(v)
		if !ok || net.IsStatistic(name) {
			continue
		}
		group := groupOf(r.Settings.Groups, name)
		v.SetTrainable(group >= 0 && rates[group] > 0)
	}
}

// epoch trains to the end of an epoch.
func (r *Run) epoch(ctx context.Context, b *batcher, a *adam, step *gomlx.Exec, s Stage, number, epoch, perEpoch, total int, rates []float64, bar *progress.Bar) error {
	done := make(chan struct{})
	defer close(done)
	every := r.Settings.Checkpoint
	if every == 0 {
		every = 200
	}
	from := r.state.Step - epoch*perEpoch
	n := from
	for m := range b.stream(number, epoch, from, done) {
		if n == perEpoch {
			return nil
		}
		if m.err != nil {
			return m.err
		}
		if err := ctx.Err(); err != nil {
			// Told to stop, as a spot instance is: what was done is kept.
			return errors.Join(err, r.checkpoint())
		}
		factor, momentum := s.OneCycle.At(r.state.Step, total)
		r.state.Momenta *= momentum
		loss, err := r.step(a, step, m.batch, scaled(rates, factor), momentum)
		if err != nil {
			return err
		}
		r.state.Step++
		n++
		bar.Done()
		const smooth = 0.98
		if r.state.Loss == 0 {
			r.state.Loss = loss
		}
		r.state.Loss = smooth*r.state.Loss + (1-smooth)*loss
		const shown = 10 // steps between lines
		if r.state.Step%shown == 0 {
			r.log(map[string]any{"kind": "step", "stage": s.Name, "step": r.state.Step, "of": total, "loss": loss,
				"smooth": r.state.Loss, "rate": factor * slices.Max(rates), "momentum": momentum})
		}
		if r.state.Step%every == 0 && n < perEpoch {
			if err := r.checkpoint(); err != nil {
				return err
			}
		}
	}
	return nil
}

func scaled(rates []float64, factor float64) []float64 {
	out := make([]float64, len(rates))
	for i, r := range rates {
		out[i] = r * factor
	}
	return out
}

// step takes one step and returns its loss.
func (r *Run) step(a *adam, step *gomlx.Exec, b *batch, rates []float64, momentum float64) (float64, error) {
	if err := a.set(r.Params.Ctx, rates, momentum, r.state.Momenta, r.state.Step); err != nil {
		return 0, fmt.Errorf("set rates: %w", err)
	}
	out, err := step.Exec(b.arguments()...)
	if err != nil {
		return 0, fmt.Errorf("train step: %w", err)
	}
	loss := float64(tensors.ToScalar[float32](out[0]))
	for _, t := range []*tensors.Tensor{b.items, b.soft, b.age, b.weight, b.lambda, out[0]} {
		t.MustFinalizeAll()
	}
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return 0, fmt.Errorf("the loss is %v: the rate is too high", loss)
	}
	return loss, nil
}

// trainStep compiles a step: mixup of each item with its opposite in the batch,
// loss, gradient, update.
func (r *Run) trainStep(a *adam, data Data) (*gomlx.Exec, error) {
	e, err := gomlx.NewExec(r.Backend, r.Params.Ctx, func(ctx *gomlx.Context, args []*graph.Node) *graph.Node {
		x, soft, age, weight, lambda := r.Model.Input(args[0]), args[1], args[2], args[3], args[4]
		if r.Settings.Mixup > 0 {
			mix := func(x *graph.Node) *graph.Node {
				dims := make([]int, x.Rank())
				for i := range dims {
					dims[i] = 1
				}
				dims[0] = x.Shape().Dimensions[0]
				l := graph.Reshape(lambda, dims...)
				return graph.Add(graph.Mul(x, l), graph.Mul(graph.Reverse(x, 0), graph.OneMinus(l)))
			}
			x, soft, age, weight = mix(x), mix(soft), mix(age), mix(weight)
		}
		p := &net.Params{Ctx: ctx, Training: true}
		ctx.SetTraining(x.Graph(), true)
		loss := r.Settings.Loss.Graph(data.Logits(p, x), soft, age, weight)
		a.UpdateGraph(ctx, x.Graph(), loss)
		return loss
	})
	if err != nil {
		return nil, fmt.Errorf("compile train step: %w", err)
	}
	return e, nil
}

// log writes a line of metrics.
func (r *Run) log(line map[string]any) {
	b, err := json.Marshal(line)
	if err != nil {
		return // a loss that is no number ends the run by itself
	}
	_, _ = r.metrics.Write(append(b, '\n'))
}

// checkpoint saves all that the run needs to go on.
func (r *Run) checkpoint() error {
	at, err := r.metrics.Seek(0, io.SeekCurrent)
	if err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	if err := r.metrics.Sync(); err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	r.state.Metrics = at
	if err := save(filepath.Join(r.Dir, "checkpoint"), r.Params.Ctx, r.state); err != nil {
		return err
	}
	if r.Saved != nil {
		return r.Saved()
	}
	return nil
}

// BestFile holds the best weights, in the folder checkpoint of a run.
const BestFile = "best.gob"

// validate measures on the validation photos and keeps the best weights.
func (r *Run) validate(data Data, s Stage, epoch int) error {
	started := time.Now()
	scores, err := r.Score(data)
	if err != nil {
		return err
	}
	scores.Stage, scores.Epoch = s.Name, epoch+1
	r.log(map[string]any{"kind": "epoch", "stage": s.Name, "epoch": epoch + 1, "step": r.state.Step, "smooth": r.state.Loss, "validation": scores})
	fmt.Fprintf(r.Stderr, "%s  stage %s, epoch %d of %d: loss %.4f, %s (%s), validated in %.0f s\n", time.Now().Format("15:04:05"),
		s.Name, epoch+1, s.Epochs, r.state.Loss, describe(scores), scores.Point, time.Since(started).Seconds())
	if r.state.Best != nil && scores.Score >= r.state.Best.Score {
		return nil
	}
	r.state.Best = &scores
	root := "/" + net.ModelScope + "/"
	if r.Settings.Average > 0 {
		root = "/" + net.AverageScope + "/"
	}
	path := filepath.Join(r.Dir, "checkpoint", BestFile)
	if err := writeVariables(path+".next", r.Params.Ctx, func(v *gomlx.Variable) bool {
		name, ok := net.Name(v)
		statistic := ok && net.IsStatistic(name)
		return statistic || len(v.ScopeAndName()) > len(root) && v.ScopeAndName()[:len(root)] == root
	}); err != nil {
		return err
	}
	b, err := json.Marshal(scores)
	if err != nil {
		return fmt.Errorf("write best weights: %w", err)
	}
	return errors.Join(os.Rename(path+".next", path), os.WriteFile(path+".json", b, 0o644))
}

// LoadBest sets the weights of the best epoch of the run in dir, and returns its
// scores.
func LoadBest(dir string, ctx *gomlx.Context) (*Scores, error) {
	b, err := os.ReadFile(filepath.Join(dir, "checkpoint", BestFile+".json"))
	if err != nil {
		return nil, fmt.Errorf("read best weights: %w", err)
	}
	var s Scores
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("read best weights: %w", err)
	}
	return &s, readVariables(filepath.Join(dir, "checkpoint", BestFile), ctx)
}

// Predict returns the outputs of the network for every validation photo and view:
// with classes, probabilities; else the age. They are [view][photo][class].
func (r *Run) Predict(data Data, views int) (out [][][]float32, err error) {
	defer recoverGraph(&err)
	const size = 64
	cache, photos := data.Validation, data.ValidationPhotos
	e, err := gomlx.NewExec(r.Backend, r.Params.Ctx, func(ctx *gomlx.Context, x *graph.Node) *graph.Node {
		p := &net.Params{Ctx: ctx, Average: r.Settings.Average > 0}
		logits := data.Logits(p, r.Model.Input(x))
		if r.Model.Classes > 1 {
			logits = graph.Softmax(logits)
		}
		return graph.ConvertDType(logits, dtypes.Float32)
	})
	if err != nil {
		return nil, fmt.Errorf("compile prediction: %w", err)
	}
	defer e.Finalize()
	s := cache.Shape
	for v := range views {
		var view [][]float32
		for from := 0; from < len(photos); from += size {
			items := make([]uint8, size*cache.Size()) // the last batch is filled up: one shape, one compilation
			n := min(size, len(photos)-from)
			for i := range n {
				if err := cache.Read(v, photos[from+i].Index, items[i*cache.Size():(i+1)*cache.Size()]); err != nil {
					return nil, err
				}
			}
			x := tensors.FromFlatDataAndDimensions(items, size, s[0], s[1], s[2])
			y, err := e.Exec(x)
			if err != nil {
				return nil, fmt.Errorf("predict: %w", err)
			}
			values := tensors.MustCopyFlatData[float32](y[0])
			x.MustFinalizeAll()
			y[0].MustFinalizeAll()
			for i := range n {
				view = append(view, values[i*r.Model.Classes:(i+1)*r.Model.Classes])
			}
		}
		out = append(out, view)
	}
	return out, nil
}
