package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/graph"
	gomlx "github.com/gomlx/gomlx/pkg/ml/context"

	"github.com/agequote/agequote/training/fit"
	"github.com/agequote/agequote/training/net"
	"github.com/agequote/agequote/training/xla"
)

// speedFlags say what to measure.
type speedFlags struct {
	python, scripts      string
	batch, rounds, steps int
	channelsLast, asJSON bool
}

// speed measures whole training steps (forward, backward, update) of two networks
// in GoMLX and in PyTorch on the same cores, by turns, from the same weights on
// the same pictures. That both compute the same shows in the losses.
func speed(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var f speedFlags
	fs := flag.NewFlagSet("speed", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&f.python, "python", "", "Python that has training/bench/requirements.txt; empty: GoMLX alone")
	fs.StringVar(&f.scripts, "scripts", "training/bench", "folder of torch_speed.py")
	fs.IntVar(&f.batch, "batch", 32, "pictures a step")
	fs.IntVar(&f.rounds, "rounds", 5, "turns that each takes")
	fs.IntVar(&f.steps, "steps", 4, "steps a turn")
	fs.BoolVar(&f.channelsLast, "channels-last", false, "PyTorch with maps of that layout, instead of its default")
	fs.BoolVar(&f.asJSON, "json", false, "print JSON")
	if err := fs.Parse(args); err != nil {
		return flagError(err)
	}
	if f.batch < 2 || f.rounds < 1 || f.steps < 1 || fs.NArg() > 0 {
		return fmt.Errorf("%w: --batch from 2, --rounds and --steps from 1", errUsage)
	}
	backend, err := xla.Open()
	if err != nil {
		return err
	}
	r := speedReport{Schema: 1, Cores: runtime.NumCPU(), Batch: f.batch}
	for _, n := range speedNetworks {
		row, err := f.measure(ctx, backend, n, &r, stderr)
		if err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
		r.Networks = append(r.Networks, row)
	}
	if f.asJSON {
		return json.NewEncoder(stdout).Encode(r)
	}
	r.print(stdout)
	return nil
}

// speedReport is what is printed.
type speedReport struct {
	Schema   int        `json:"schema"`
	Cores    int        `json:"cores"`
	Batch    int        `json:"batch"`
	Torch    string     `json:"torch,omitempty"` // version
	Networks []speedRow `json:"networks"`
}

// speedRow are a network's rates in pictures a second: medians of the turns.
type speedRow struct {
	Network string  `json:"network"`
	Size    int     `json:"size"`
	GoMLX   float64 `json:"gomlx"`
	PyTorch float64 `json:"pytorch,omitempty"`
	Ratio   float64 `json:"ratio,omitempty"`    // of GoMLX to PyTorch
	MaxLoss float64 `json:"max_loss,omitempty"` // largest relative difference of the first steps' losses
}

func (r speedReport) print(w io.Writer) {
	fmt.Fprintf(w, "%d cores, batches of %d", r.Cores, r.Batch)
	if r.Torch != "" {
		fmt.Fprintf(w, ", PyTorch %s", r.Torch)
	}
	fmt.Fprintf(w, "; images/s in training\n%-12s %4s %8s %8s %6s  %s\n", "network", "px", "GoMLX", "PyTorch", "ratio", "losses differ by")
	for _, n := range r.Networks {
		if n.PyTorch == 0 {
			fmt.Fprintf(w, "%-12s %4d %8.1f\n", n.Network, n.Size, n.GoMLX)
			continue
		}
		fmt.Fprintf(w, "%-12s %4d %8.1f %8.1f %6.2f  %.1g\n", n.Network, n.Size, n.GoMLX, n.PyTorch, n.Ratio, n.MaxLoss)
	}
}

// graphOf builds a network.
type graphOf func(p *net.Params, x *graph.Node) *graph.Node

// speedNetwork is a network at a size.
type speedNetwork struct {
	name  string
	size  int
	loss  net.Loss
	model func(p *net.Params, r *rand.Rand) (fit.Model, graphOf)
}

var speedNetworks = []speedNetwork{
	{"resnet34", 128, net.Loss{SmoothL1: 1}, resnetForSpeed},
	{"mobilenet", 112, net.Loss{Likelihood: 1}, mobilenetForSpeed},
}

func resnetForSpeed(p *net.Params, r *rand.Rand) (fit.Model, graphOf) {
	n := net.ResNet34{}
	if err := n.Load(p, nil, r.NormFloat64); err != nil {
		panic(err) // only a file can lack a tensor
	}
	return fit.Model{Classes: 1, Input: net.Pixels}, n.Graph
}

// mobilenetForSpeed is the whole face backbone, batch norm folded in as the
// recipes train it, from chance.
func mobilenetForSpeed(p *net.Params, r *rand.Rand) (fit.Model, graphOf) {
	he := func(fan, n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(r.NormFloat64() * math.Sqrt(2/float64(fan)))
		}
		return v
	}
	const stem, size = 32, 224
	p.Set("stem/kernel", he(27, 27*stem), 3, 3, 3, stem)
	p.Set("stem/bias", make([]float32, stem), stem)
	in := stem
	for i := 1; i <= net.Blocks; i++ {
		out := net.MapShape(i, size)[2]
		name := fmt.Sprintf("block_%02d/", i)
		p.Set(name+"depthwise/kernel", he(9, 9*in), 3, 3, in)
		p.Set(name+"depthwise/bias", make([]float32, in), in)
		p.Set(name+"pointwise/kernel", he(in, in*out), in, out)
		p.Set(name+"pointwise/bias", make([]float32, out), out)
		in = out
	}
	head := net.Head{Classes: 101, Hidden: 512}
	if err := head.Load(p, nil, r.NormFloat64); err != nil {
		panic(err)
	}
	return fit.Model{Classes: head.Classes, Input: func(x *graph.Node) *graph.Node { return x }}, func(p *net.Params, x *graph.Node) *graph.Node {
		return head.Graph(p, net.Body{First: 1}.Graph(p, net.Stem{Mean: mean}.Graph(p, x)))
	}
}

// measure lets GoMLX and PyTorch take turns.
func (f *speedFlags) measure(ctx context.Context, backend backends.Backend, n speedNetwork, report *speedReport, stderr io.Writer) (row speedRow, err error) {
	dir, err := os.MkdirTemp("", "agequote-speed-")
	if err != nil {
		return row, fmt.Errorf("make folder: %w", err)
	}
	defer os.RemoveAll(dir)
	r := rand.New(rand.NewPCG(1, 1))
	p := &net.Params{Ctx: gomlx.New()}
	model, logits := n.model(p, r)
	run := &fit.Run{
		Settings: fit.Settings{
			Loss: n.loss, Sigma: 2, Beta2: 0.99, Epsilon: 1e-5,
			Groups: []fit.Group{{Name: "all", Scopes: []string{""}, Decay: 1e-2}},
		},
		Model: model, Params: p, Backend: backend, Stderr: stderr,
	}
	pixels, ages := make([]byte, f.batch*n.size*n.size*3), make([]float32, f.batch)
	for i := range pixels {
		pixels[i] = byte(r.IntN(256))
	}
	for i := range ages {
		ages[i] = float32(i) * 80 / float32(f.batch)
	}

	var torch *torchWorker
	if f.python != "" {
		if err := errors.Join(writeWeights(filepath.Join(dir, "weights"), p), os.WriteFile(filepath.Join(dir, "pixels"), pixels, 0o600)); err != nil {
			return row, err
		}
		torch, err = f.startTorch(ctx, dir, n, stderr)
		if err != nil {
			return row, err
		}
		defer func() { err = errors.Join(err, torch.Close()) }()
		report.Torch = torch.version
	}
	stepper, err := run.Stepper(logits, 1e-4)
	if err != nil {
		return row, err
	}
	defer stepper.Close()
	ours := func(steps int) (turn, error) {
		var t turn
		began := time.Now()
		for range steps {
			loss, err := stepper.Step(slices.Clone(pixels), n.size, slices.Clone(ages))
			if err != nil {
				return t, err
			}
			t.Losses = append(t.Losses, loss)
		}
		t.Seconds = time.Since(began).Seconds()
		return t, ctx.Err()
	}

	row = speedRow{Network: n.name, Size: n.size}
	const warm = 2 // steps, which compile, and whose losses are compared
	first, err := ours(warm)
	if err != nil {
		return row, err
	}
	if torch != nil {
		theirs, err := torch.steps(warm)
		if err != nil {
			return row, err
		}
		for i, loss := range theirs.Losses {
			row.MaxLoss = max(row.MaxLoss, math.Abs(first.Losses[i]-loss)/loss)
		}
	}
	var gomlxRates, torchRates []float64
	for round := range f.rounds {
		t, err := ours(f.steps)
		if err != nil {
			return row, err
		}
		gomlxRates = append(gomlxRates, float64(f.steps*f.batch)/t.Seconds)
		if torch != nil {
			if t, err = torch.steps(f.steps); err != nil {
				return row, err
			}
			torchRates = append(torchRates, float64(f.steps*f.batch)/t.Seconds)
		}
		fmt.Fprintf(stderr, "%s, turn %d of %d: GoMLX %.1f, PyTorch %.1f images/s\n", n.name, round+1, f.rounds, gomlxRates[round], at(torchRates, round))
	}
	row.GoMLX = median(gomlxRates)
	if torch != nil {
		row.PyTorch = median(torchRates)
		row.Ratio = row.GoMLX / row.PyTorch
	}
	return row, nil
}

func at(v []float64, i int) float64 {
	if i < len(v) {
		return v[i]
	}
	return 0
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// turn is what a number of steps took.
type turn struct {
	Seconds float64   `json:"seconds"`
	Losses  []float64 `json:"losses"`
}

// torchWorker is torch_speed.py, which steps when told to.
type torchWorker struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
	version string
}

func (f *speedFlags) startTorch(ctx context.Context, dir string, n speedNetwork, stderr io.Writer) (*torchWorker, error) {
	args := []string{
		filepath.Join(f.scripts, "torch_speed.py"), "--network", n.name, "--batch", strconv.Itoa(f.batch), "--size", strconv.Itoa(n.size),
		"--weights", filepath.Join(dir, "weights"), "--pixels", filepath.Join(dir, "pixels"), "--threads", strconv.Itoa(runtime.NumCPU()),
	}
	if f.channelsLast {
		args = append(args, "--channels-last")
	}
	w := &torchWorker{cmd: exec.CommandContext(ctx, f.python, args...)}
	w.cmd.Stderr = stderr
	var err error
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start PyTorch: %w", err)
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start PyTorch: %w", err)
	}
	w.out = bufio.NewScanner(out)
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start PyTorch: %w", err)
	}
	var hello struct {
		Torch string `json:"torch"`
	}
	if err := w.read(&hello); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	w.version = hello.Torch
	return w, nil
}

func (w *torchWorker) read(v any) error {
	if !w.out.Scan() {
		return errors.Join(errors.New("PyTorch ended"), w.out.Err())
	}
	if err := json.Unmarshal(w.out.Bytes(), v); err != nil {
		return fmt.Errorf("read what PyTorch says: %w", err)
	}
	return nil
}

func (w *torchWorker) steps(n int) (turn, error) {
	var t turn
	if _, err := fmt.Fprintln(w.in, n); err != nil {
		return t, fmt.Errorf("tell PyTorch: %w", err)
	}
	return t, w.read(&t)
}

func (w *torchWorker) Close() error {
	return errors.Join(w.in.Close(), w.cmd.Wait())
}

// writeWeights writes all weights for the scripts in training/bench: a line of
// JSON with names and shapes, then the values as little-endian float32.
func writeWeights(path string, p *net.Params) error {
	type entry struct {
		Name  string `json:"name"`
		Shape []int  `json:"shape"`
	}
	var index []entry
	var raw []byte
	for _, name := range p.Names() {
		values, dims, err := p.Values(name)
		if err != nil {
			return err
		}
		index = append(index, entry{name, dims})
		for _, v := range values {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
		}
	}
	head, err := json.Marshal(index)
	if err != nil {
		return fmt.Errorf("encode index: %w", err)
	}
	if err := os.WriteFile(path, append(append(head, '\n'), raw...), 0o600); err != nil {
		return fmt.Errorf("write weights: %w", err)
	}
	return nil
}
