package fit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/graph"
	gomlx "github.com/gomlx/gomlx/pkg/ml/context"

	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/onnx"
	"github.com/agequote/agequote/internal/onnx/onnxtest"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/training/dataset"
	"github.com/agequote/agequote/training/features"
	"github.com/agequote/agequote/training/net"
	"github.com/agequote/agequote/training/xla"
	"github.com/agequote/agequote/training/xla/xlatest"
)

// childDir and childPhotos are set for the process that a test starts to kill.
const childDir, childPhotos = "AGEQUOTE_FIT_CHILD", "AGEQUOTE_FIT_PHOTOS"

func TestMain(m *testing.M) {
	dir := os.Getenv(childDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := child(dir, os.Getenv(childPhotos)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// child is a whole run in a process of its own.
func child(dir, photos string) error {
	b, err := xla.Open()
	if err != nil {
		return err
	}
	defer b.Finalize()
	library, err := onnx.Find("")
	if err == nil {
		err = onnx.Start(library)
	}
	if err != nil {
		return err
	}
	data, err := openData(photos)
	if err != nil {
		return err
	}
	defer closeData(data)
	_, err = newRun(b, dir, data).Fit(context.Background())
	return err
}

const side = 8 // pixels of the crops

// photosOf makes a folder of photos whose light and blur are to be learned.
func photosOf(t *testing.T) string {
	t.Helper()
	onnxtest.Require(t)
	dir := t.TempDir()
	if err := dataset.Synthetic(dir, "../../events/selfies", 40, 1); err != nil {
		t.Fatal(err)
	}
	return dir
}

// openData opens the caches of the photos, the last quarter for validation; the
// first time it fills them.
func openData(photos string) (d Data, err error) {
	f, err := os.Open(filepath.Join(photos, "labels.tsv"))
	if err != nil {
		return d, err
	}
	defer f.Close()
	labels, err := evaluation.ReadLabels(f)
	if err != nil {
		return d, err
	}
	network, err := os.ReadFile("../../models/detector.onnx")
	if err != nil {
		return d, err
	}
	detector, err := onnx.Open(network, face.DetectorInput, face.DetectorOutputs, onnx.Options{})
	if err != nil {
		return d, err
	}
	defer detector.Close()
	open := func(name string, labels []evaluation.Label) (*features.Cache, []Photo, error) {
		c, err := features.Open(context.Background(), filepath.Join(photos, name), features.Job{
			Images: photos, Labels: labels, Detector: detector, Key: "crops", Shape: [3]int{side, side, 3},
			Views: []features.View{{Name: "plain"}, {Name: "mirror", Mirror: true}},
		}, io.Discard)
		if err != nil {
			return nil, nil, err
		}
		var out []Photo
		for i, l := range labels {
			if c.Faces[i].Code == reason.OK {
				out = append(out, Photo{Index: i, Age: l.Age, Weight: 1, Repeat: 4, Source: "synthetic"})
			}
		}
		return c, out, nil
	}
	cut := len(labels) * 3 / 4
	if d.Train, d.TrainPhotos, err = open("train", labels[:cut]); err != nil {
		return d, err
	}
	d.Validation, d.ValidationPhotos, err = open("validation", labels[cut:])
	return d, err
}

func closeData(d Data) error { return errors.Join(d.Train.Close(), d.Validation.Close()) }

func dataOf(t *testing.T, photos string) Data {
	t.Helper()
	d, err := openData(photos)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = closeData(d) })
	return d
}

// newRun is a run that uses everything the loop can do, on a network of two
// layers.
func newRun(b backends.Backend, dir string, data Data) *Run {
	const classes, hidden, in = 101, 64, side * side * 3
	p := &net.Params{Ctx: gomlx.New()}
	r := rand.New(rand.NewPCG(1, 1))
	values := func(n int, sd float64) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(sd * r.NormFloat64())
		}
		return v
	}
	p.Set("lower/kernel", values(in*hidden, 0.05), in, hidden)
	p.Set("lower/bias", values(hidden, 0.05), hidden)
	p.Set("head/kernel", values(hidden*classes, 0.05), hidden, classes)
	p.Set("head/bias", values(classes, 0.05), classes)
	layer := func(p *net.Params, x *graph.Node, name string, in, out int) *graph.Node {
		g := x.Graph()
		return graph.Add(graph.Dot(x, p.Get(g, name+"/kernel", in, out)), graph.Reshape(p.Get(g, name+"/bias", out), 1, out))
	}
	data.Logits = func(p *net.Params, x *graph.Node) *graph.Node {
		x = graph.Reshape(x, -1, in)
		x = p.Drop(graph.Tanh(layer(p, x, "lower", in, hidden)), 0.2)
		return layer(p, x, "head", hidden, classes)
	}
	return &Run{
		Settings: Settings{
			Seed:   7,
			Groups: []Group{{Name: "lower", Scopes: []string{"lower"}, Decay: 0.01}, {Name: "head", Scopes: []string{"head"}, Decay: 0.05}},
			Stages: []Stage{
				{Name: "head", Epochs: 1, Batch: 8, Rates: map[string]float64{"head": 1e-2}},
				{Name: "all", Epochs: 2, Batch: 8, Rates: map[string]float64{"lower": 3e-3, "head": 1e-2}},
			},
			Loss: net.Loss{Likelihood: 1, Mean: 0.1}, Sigma: 2, Mixup: 0.2, Clip: 1, Average: 0.9, Checkpoint: 4, Mirror: true,
		},
		Model: Model{
			Classes: classes,
			Input:   func(x *graph.Node) *graph.Node { return net.Maps(x, 1.0/255) },
		},
		Params: p, Backend: b, Dir: dir, Identity: "test", Stderr: io.Discard,
		Data: func(Stage) (Data, error) { return data, nil },
	}
}

// end is what a run leaves, to be compared to the byte.
type end struct{ metrics, best []byte }

func endOf(t *testing.T, dir string) end {
	t.Helper()
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	return end{read("metrics.jsonl"), read("checkpoint/" + BestFile)}
}

func (e end) check(t *testing.T, want end) {
	t.Helper()
	if !bytes.Equal(e.metrics, want.metrics) {
		t.Errorf("metrics differ:\n%s\nwant\n%s", e.metrics, want.metrics)
	}
	if !bytes.Equal(e.best, want.best) {
		t.Error("best weights differ")
	}
}

func mustFit(t *testing.T, r *Run) *Scores {
	t.Helper()
	best, err := r.Fit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return best
}

func TestFit(t *testing.T) {
	backend := xlatest.Backend(t)
	photos := photosOf(t)
	data := dataOf(t, photos)
	dir := t.TempDir()
	r := newRun(backend, dir, data)
	best := mustFit(t, r)
	if first, last, err := Losses(dir); err != nil || !(last < first-0.3) {
		t.Errorf("the loss went from %.2f to %.2f: %v", first, last, err)
	}
	want := endOf(t, dir)

	t.Run("best weights", func(t *testing.T) {
		r := newRun(backend, dir, data)
		if err := readVariables(filepath.Join(dir, "checkpoint", BestFile), r.Params.Ctx); err != nil {
			t.Fatal(err)
		}
		data, err := r.Data(Stage{})
		if err != nil {
			t.Fatal(err)
		}
		scores, err := r.Score(data)
		if err != nil || scores.Score != best.Score {
			t.Errorf("the best weights score %v, %v, want %v", scores.Score, err, best.Score)
		}
	})

	t.Run("another recipe's checkpoint", func(t *testing.T) {
		r := newRun(backend, dir, data)
		r.Identity = "another"
		if _, err := r.Fit(t.Context()); err == nil || !strings.Contains(err.Error(), "another recipe") {
			t.Errorf("Fit = %v", err)
		}
	})

	t.Run("again, after the rate finder", func(t *testing.T) {
		dir := t.TempDir()
		r := newRun(backend, dir, data)
		before := mustSnapshot(t, r)
		found, err := r.FindRate(t.Context(), 1e-4, 1, 20)
		if err != nil {
			t.Fatal(err)
		}
		if last := found.Rates[len(found.Rates)-1]; !(found.Minimum < last && found.Steepest > 1e-4 && found.Steepest <= last) {
			t.Errorf("found %+v", found)
		}
		if !before.equal(mustSnapshot(t, r)) {
			t.Error("the rate finder changed a variable")
		}
		mustFit(t, r)
		endOf(t, dir).check(t, want)
	})

	// Told to stop in the middle of the first stage, which trains the head alone,
	// a run keeps its last step.
	t.Run("stopped", func(t *testing.T) {
		dir := t.TempDir()
		r := newRun(backend, dir, data)
		before := mustSnapshot(t, r)
		ctx, cancel := context.WithCancel(t.Context())
		saved := 0
		r.Saved = func() error {
			if saved++; saved == 2 {
				cancel()
			}
			return nil
		}
		if _, err := r.Fit(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("Fit = %v, want canceled", err)
		}
		if saved != 3 {
			t.Errorf("%d checkpoints, want two and that of the stop", saved)
		}
		after := mustSnapshot(t, r)
		for _, name := range []string{"lower/kernel", "lower/bias", "head/kernel", "head/bias"} {
			name = "/" + net.ModelScope + "/" + name
			same := variables{name: before[name]}.equal(variables{name: after[name]})
			if same != strings.Contains(name, "lower") {
				t.Errorf("%s stayed as it was: %v", name, same)
			}
		}
		mustFit(t, newRun(backend, dir, data))
		endOf(t, dir).check(t, want)
	})

	t.Run("killed", func(t *testing.T) { testKilled(t, photos, want) })

	t.Run("no number", func(t *testing.T) {
		r := newRun(backend, t.TempDir(), data)
		r.Settings.Clip = 0
		r.Settings.Stages[0].Rates["head"] = 1e38
		if _, err := r.Fit(t.Context()); err == nil || !strings.Contains(err.Error(), "the rate is too high") {
			t.Errorf("Fit = %v", err)
		}
	})
}

func mustSnapshot(t *testing.T, r *Run) variables {
	t.Helper()
	v, err := snapshot(r.Params.Ctx)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// testKilled kills runs at random steps, takes each up again in another process,
// and wants the end of the unbroken run. AGEQUOTE_KILLS is how many: `make
// train-kill` asks for five.
func testKilled(t *testing.T, photos string, want end) {
	runs := 1
	if s := os.Getenv("AGEQUOTE_KILLS"); s != "" {
		var err error
		if runs, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	for run := range runs {
		dir := t.TempDir()
		for !killAt(t, start(t, dir, photos), filepath.Join(dir, "metrics.jsonl"), rand.Int64N(int64(len(want.metrics)))) {
			t.Log("the run was through before it was killed; once more")
			dir = t.TempDir()
		}
		if err := start(t, dir, photos).Wait(); err != nil {
			t.Fatalf("run %d: %v", run+1, err)
		}
		endOf(t, dir).check(t, want)
	}
}

// killAt kills the run soon after its metrics are longer than at: between two
// steps, within one, or within a checkpoint. It tells whether it was in time.
func killAt(t *testing.T, c *exec.Cmd, metrics string, at int64) bool {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()
	defer func() { _ = c.Process.Kill() }()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("the run ended by itself: %v", err)
			}
			return false
		case <-time.After(time.Millisecond):
		}
		if f, err := os.Stat(metrics); err != nil || f.Size() < at {
			continue
		}
		time.Sleep(time.Duration(rand.Int64N(int64(20 * time.Millisecond))))
		_ = c.Process.Signal(syscall.SIGKILL)
		err := <-done
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			return false
		}
		if f, err := os.Stat(metrics); err == nil {
			t.Logf("killed at %d bytes of metrics", f.Size())
		}
		return true
	}
}

// start starts a run in a process of its own.
func start(t *testing.T, dir, photos string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe)
	c.Env = append(os.Environ(), childDir+"="+dir, childPhotos+"="+photos)
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}
