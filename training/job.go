package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/graph"
	gomlx "github.com/gomlx/gomlx/pkg/ml/context"

	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/onnx"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/training/backbone"
	"github.com/agequote/agequote/training/dataset"
	"github.com/agequote/agequote/training/features"
	"github.com/agequote/agequote/training/fit"
	"github.com/agequote/agequote/training/net"
	"github.com/agequote/agequote/training/onnxfile"
	"github.com/agequote/agequote/training/recipe"
	"github.com/agequote/agequote/training/remote"
	"github.com/agequote/agequote/training/xla"
)

// runFlags are what the commands of a run share.
type runFlags struct {
	recipe, images, out, cache string
	checkpoint                 string
	detector, onnxruntime      string
}

func (f *runFlags) register(fs *flag.FlagSet) {
	fs.StringVar(&f.recipe, "recipe", "", "recipe, a YAML file")
	fs.StringVar(&f.images, "images", "", "folder of the images, or s3://BUCKET/PREFIX to bring here, if not the recipe's")
	fs.StringVar(&f.out, "out", "", "folder of the run; default build/runs/<name of the recipe>")
	fs.StringVar(&f.checkpoint, "checkpoint", "", "s3://BUCKET/PREFIX where the run is kept: what is there is gone on with, each checkpoint goes there")
	fs.StringVar(&f.cache, "cache", "", "folder for what the frozen part computes; default <out>/cache")
	fs.StringVar(&f.detector, "detector", "models/detector.onnx", "ONNX file of the YuNet face detector")
	fs.StringVar(&f.onnxruntime, "onnxruntime", "", "ONNX Runtime's shared library, where it is not found by itself")
}

// job is a recipe with all that running it needs.
type job struct {
	recipe   *recipe.Recipe
	images   string
	dir      string
	cache    string
	detector *onnx.Session
	lower    map[int]*onnx.Session // the frozen part before each block that a stage begins with
	weights  []byte                // ONNX file of the body
	tensors  map[string]onnxfile.Tensor
	run      *fit.Run
	caches   []*features.Cache
	bucket   *remote.Bucket // where the run is kept; nil: here alone
	prefix   string
}

// newJob loads the recipe and its networks.
func (f *runFlags) newJob(ctx context.Context, stderr io.Writer) (*job, error) {
	if f.recipe == "" {
		return nil, fmt.Errorf("%w: --recipe is needed", errUsage)
	}
	r, err := recipe.Load(f.recipe)
	if err != nil {
		return nil, err
	}
	return f.newJobOf(ctx, r, stderr)
}

func (f *runFlags) newJobOf(ctx context.Context, r *recipe.Recipe, stderr io.Writer) (*job, error) {
	var err error
	j := &job{recipe: r, images: f.images, dir: f.out, cache: f.cache}
	if j.images == "" {
		j.images = r.Data.Images
	}
	if j.dir == "" {
		j.dir = filepath.Join("build", "runs", r.Name)
	}
	if j.cache == "" {
		j.cache = filepath.Join(j.dir, "cache")
	}
	if j.images == "" {
		return nil, fmt.Errorf("%w: --images is needed, or images in the recipe", errUsage)
	}
	if err := j.bring(ctx, f.checkpoint); err != nil {
		return nil, err
	}
	if err := f.prepareMissing(ctx, j, stderr); err != nil {
		return nil, err
	}
	if err = j.openNetworks(f.detector, f.onnxruntime); err != nil {
		return nil, err
	}
	backend, err := xla.Open()
	if err != nil {
		return nil, err
	}
	if err := j.prepareRun(ctx, backend, stderr); err != nil {
		return nil, err
	}
	j.run.Saved = func() error { return j.push(ctx) }
	return j, nil
}

// bring fetches what lies in S3: the images, and the run as it was left.
func (j *job) bring(ctx context.Context, checkpoint string) (err error) {
	if j.images, err = remote.LocalPath(ctx, j.images, filepath.Join("build", "data")); err != nil {
		return fmt.Errorf("bring images: %w", err)
	}
	if checkpoint == "" {
		return nil
	}
	if j.bucket, j.prefix, err = remote.Open(ctx, checkpoint); err != nil {
		return fmt.Errorf("%w: --checkpoint: %w", errUsage, err)
	}
	if err := os.MkdirAll(j.dir, 0o755); err != nil {
		return fmt.Errorf("make folder of the run: %w", err)
	}
	if err := remote.Pull(ctx, j.bucket, j.prefix, j.dir); err != nil && !errors.Is(err, remote.ErrNoSet) {
		return fmt.Errorf("bring run: %w", err)
	}
	return nil
}

// kept is what S3 keeps of a run: all but what can be computed again.
var kept = []string{
	dataset.TrainFile, dataset.ValidationFile, dataset.DroppedFile, dataset.PhotosFile,
	"checkpoint", "metrics.jsonl", "loss.svg", "loss.html", "lr-find.svg",
}

// push sends the run to S3, where it has a place there. A job that was told to
// stop still does so: its last checkpoint is what the next one goes on from.
func (j *job) push(ctx context.Context) error {
	if j.bucket == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Minute)
	defer cancel()
	return remote.Push(ctx, j.bucket, j.prefix, j.dir, kept...)
}

// prepareMissing prepares a run that has no labels yet, as prepare does.
func (f *runFlags) prepareMissing(ctx context.Context, j *job, stderr io.Writer) error {
	if _, err := os.Stat(filepath.Join(j.dir, dataset.TrainFile)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	c := j.recipe.Data
	c.Images = j.images
	p := prepareFlags{out: j.dir, detector: f.detector, onnxruntime: f.onnxruntime, faces: true}
	return p.prepare(ctx, &c, stderr, stderr)
}

// mean is what the face backbone has subtracted from blue, green and red.
var mean = [3]float32{103.939, 116.779, 123.68}

func (j *job) openNetworks(detector, onnxruntime string) error {
	library, err := onnx.Find(onnxruntime)
	if err != nil {
		return err
	}
	if err := onnx.Start(library); err != nil {
		return err
	}
	b, err := os.ReadFile(detector)
	if err != nil {
		return fmt.Errorf("read detector: %w", err)
	}
	if j.detector, err = onnx.Open(b, face.DetectorInput, face.DetectorOutputs, onnx.Options{}); err != nil {
		return err
	}
	n := j.recipe.Network
	if n.Weights == "" {
		return nil
	}
	if j.weights, err = readWeights(n.Weights); err != nil {
		return err
	}
	if j.tensors, err = onnxfile.Tensors(j.weights); err != nil {
		return err
	}
	return nil
}

// frozen is the part of the body before a block, as a network of its own.
func (j *job) frozen(first int) (*onnx.Session, error) {
	if s, ok := j.lower[first]; ok {
		return s, nil
	}
	cut := net.BlockTensor(first - 1)
	lower, err := onnxfile.Prune(j.weights, cut)
	if err != nil {
		return nil, err
	}
	s, err := onnx.Open(lower, backbone.Input, []string{cut}, onnx.Options{})
	if err != nil {
		return nil, err
	}
	if j.lower == nil {
		j.lower = map[int]*onnx.Session{}
	}
	j.lower[first] = s
	return s, nil
}

// readWeights returns the ONNX file that a recipe's body begins with.
func readWeights(weights string) ([]byte, error) {
	if weights != recipe.FaceBackbone {
		b, err := os.ReadFile(weights)
		if err != nil {
			return nil, fmt.Errorf("read weights: %w", err)
		}
		return b, nil
	}
	path, err := backbone.Find()
	if err != nil {
		return nil, err
	}
	tensors, err := backbone.Read(path)
	if err != nil {
		return nil, err
	}
	return backbone.ONNX(tensors)
}

// prepareRun sets the weights and puts the run together.
func (j *job) prepareRun(ctx context.Context, backend backends.Backend, stderr io.Writer) error {
	train, err := dataset.ReadTrain(j.dir)
	if err != nil {
		return err
	}
	validation, err := dataset.ReadValidation(j.dir)
	if err != nil {
		return err
	}
	params := &net.Params{Ctx: gomlx.New()}
	m, err := j.model(params)
	if err != nil {
		return err
	}
	identity := digest.Of(fmt.Appendf(nil, "%s %v %v %s", j.recipe.Hash, train, validation, digest.Of(j.weights)))
	j.run = &fit.Run{
		Settings: j.recipe.Fit, Model: m, Params: params, Backend: backend, Dir: j.dir, Identity: identity, Stderr: stderr,
		Data: func(s fit.Stage) (fit.Data, error) { return j.data(ctx, s, train, validation, stderr) },
	}
	return nil
}

// model builds the recipe's network and sets its weights.
func (j *job) model(p *net.Params) (fit.Model, error) {
	if j.recipe.Network.Kind == recipe.ResNet34 {
		return j.seedModel(p)
	}
	n := j.recipe.Network
	normal := rand.New(rand.NewPCG(j.recipe.Seed, 1)).NormFloat64
	body := net.Body{First: n.First}
	head := j.head()
	if err := body.Load(p, j.tensors); err != nil {
		return fit.Model{}, err
	}
	if err := head.Load(p, j.tensors, normal); err != nil {
		return fit.Model{}, err
	}
	return fit.Model{
		Classes: n.Classes,
		Input:   func(x *graph.Node) *graph.Node { return net.Maps(x, features.MapUnit) },
	}, nil
}

func (j *job) head() net.Head {
	n := j.recipe.Network
	return net.Head{Classes: n.Classes, Hidden: n.Hidden, Dropout: n.Dropout, Own: n.Own}
}

// logits is the network that a stage trains.
func (j *job) logits(s fit.Stage) func(p *net.Params, x *graph.Node) *graph.Node {
	if j.recipe.Network.Kind == recipe.ResNet34 {
		return j.resnet34().Graph
	}
	body, head := net.Body{First: j.first(s)}, j.head()
	return func(p *net.Params, x *graph.Node) *graph.Node { return head.Graph(p, body.Graph(p, x)) }
}

// first is the block that a stage begins with.
func (j *job) first(s fit.Stage) int {
	if s.First > 0 {
		return s.First
	}
	return j.recipe.Network.First
}

// Close closes networks and caches.
func (j *job) Close() error {
	errs := []error{j.detector.Close()}
	for _, c := range j.caches {
		errs = append(errs, c.Close())
	}
	for _, s := range j.lower {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// data opens the caches of a stage, computing what is not there yet.
func (j *job) data(ctx context.Context, s fit.Stage, train []dataset.Weighted, validation []evaluation.Label, stderr io.Writer) (fit.Data, error) {
	labels := make([]evaluation.Label, len(train))
	weights := make([]float64, len(train))
	for i, t := range train {
		labels[i], weights[i] = t.Label, t.Weight
	}
	d := fit.Data{Logits: j.logits(s)}
	var err error
	if d.Validation, err = j.open(ctx, validationCache, validation, []features.View{{Name: "plain"}, {Name: "mirror", Mirror: true}}, s, stderr); err != nil {
		return d, err
	}
	if d.Train, err = j.open(ctx, trainCache, labels, j.views(), s, stderr); err != nil {
		return d, err
	}
	d.ValidationPhotos = photos(d.Validation, validation, nil, nil)
	d.TrainPhotos = photos(d.Train, labels, weights, j.recipe.Repeat)
	return d, nil
}

func (j *job) views() []features.View {
	var views []features.View
	for _, v := range j.recipe.Views {
		for i := range max(v.Count, 1) {
			name := v.Name
			if v.Count > 0 {
				name = fmt.Sprintf("%s-%d", v.Name, i+1)
			}
			views = append(views, features.View{Name: name, Augment: v.Augment, Mirror: v.Mirror})
		}
	}
	return views
}

// The caches, which are folders.
const trainCache, validationCache = "train", "validation"

func (j *job) open(ctx context.Context, which string, labels []evaluation.Label, views []features.View, s fit.Stage, stderr io.Writer) (*features.Cache, error) {
	fj := features.Job{
		Images: j.images, Labels: labels, Detector: j.detector, Views: views, Look: j.recipe.Look, Seed: j.recipe.Seed,
		Shape: [3]int{s.Size, s.Size, 3}, Key: "crops",
	}
	if which == trainCache {
		fj.Bounds = j.recipe.Data.Bounds()
	}
	if first := j.first(s); j.recipe.Network.Kind == recipe.MobileNet {
		lower, err := j.frozen(first)
		if err != nil {
			return nil, err
		}
		fj.Network, fj.Mean, fj.Shape = lower, mean, net.MapShape(first-1, face.Size)
		fj.Key = digest.Of(j.weights) + " " + net.BlockTensor(first-1)
	}
	c, err := features.Open(ctx, filepath.Join(j.cache, which), fj, stderr)
	if err == nil {
		j.caches = append(j.caches, c)
	}
	return c, err
}

// photos are those of a cache that have a face.
func photos(c *features.Cache, labels []evaluation.Label, weights []float64, repeat map[string]int) []fit.Photo {
	var photos []fit.Photo
	for i, l := range labels {
		if c.Faces[i].Code != reason.OK {
			continue
		}
		p := fit.Photo{Index: i, Age: l.Age, Weight: 1, Repeat: 1, Source: l.Groups["dataset"]}
		if weights != nil {
			p.Weight = weights[i]
		}
		if n, ok := repeat[p.Source]; ok {
			p.Repeat = n
		}
		photos = append(photos, p)
	}
	return photos
}

// fitCommand trains.
func fitCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var f runFlags
	fs := flag.NewFlagSet("fit", flag.ContinueOnError)
	fs.SetOutput(stderr)
	f.register(fs)
	falling := fs.Bool("falling", false, "fail where the loss has not fallen, for smoke tests")
	if err := fs.Parse(args); err != nil {
		return flagError(err)
	}
	j, err := f.newJob(ctx, stderr)
	if err != nil {
		return err
	}
	defer j.Close()
	best, err := j.run.Fit(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "best: stage %s, epoch %d, %.3f years by the %s\n", best.Stage, best.Epoch, best.Score, best.Point)
	first, last, err := fit.Losses(j.dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "loss: from %.3f to %.3f, running means\n", first, last)
	if *falling && !(last < first) {
		return errors.New("the loss has not fallen")
	}
	return nil
}

// lrFind looks for a rate.
func lrFind(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var f runFlags
	fs := flag.NewFlagSet("lr-find", flag.ContinueOnError)
	fs.SetOutput(stderr)
	f.register(fs)
	low := fs.Float64("low", 1e-6, "lowest rate")
	high := fs.Float64("high", 1, "highest rate")
	steps := fs.Int("steps", 100, "steps from one to the other")
	if err := fs.Parse(args); err != nil {
		return flagError(err)
	}
	j, err := f.newJob(ctx, stderr)
	if err != nil {
		return err
	}
	defer j.Close()
	found, err := j.run.FindRate(ctx, *low, *high, *steps)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "a tenth of the rate with the least loss: %.2g; steepest: %.2g; plot: %s\n", found.Minimum, found.Steepest, filepath.Join(j.dir, "lr-find.svg"))
	return j.push(ctx)
}
