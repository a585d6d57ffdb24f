package main

import (
	"errors"
	"flag"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/tensors"
	gomlx "github.com/gomlx/gomlx/pkg/ml/context"

	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/onnx"
	"github.com/agequote/agequote/training/backbone"
	"github.com/agequote/agequote/training/features"
	"github.com/agequote/agequote/training/fit"
	"github.com/agequote/agequote/training/net"
	"github.com/agequote/agequote/training/onnxfile"
	"github.com/agequote/agequote/training/recipe"
	"github.com/agequote/agequote/training/xla"
)

// The features that faces can be compared by.
const (
	backboneFeatures = "backbone" // mean of the face backbone's last map, as it comes
	modelFeatures    = "model"    // hidden layer of the new head of a mobilenet run
	seedFeatures     = "seed"     // the 512-wide layer of a resnet34 run's head
)

// network turns an aligned crop into features, one crop at a time or several.
type network struct {
	name     string
	weights  string // hash of the file that holds them
	features func(crop *image.RGBA) ([]float32, error)
	close    func()
}

// featureFlags say which features are compared, and where they come from.
type featureFlags struct {
	names, backbone, run, recipe string
}

func (f *featureFlags) register(fs *flag.FlagSet) {
	fs.StringVar(&f.names, "features", backboneFeatures, "`names`, with commas: backbone, model or seed; the last two as NAME=RUN where a run lies elsewhere than in build/runs/transfer or build/runs/seed")
	fs.StringVar(&f.backbone, "backbone", "../shared/models/face-backbone.onnx", "ONNX file of the face backbone")
	fs.StringVar(&f.run, "run", "", "folder of the run, short for NAME=RUN where one run is asked for")
	fs.StringVar(&f.recipe, "recipe", "", "recipe of the run, if not the one in training/recipes that has the name of the run's folder")
}

// check returns what is wrong with the flags.
func (f *featureFlags) check() error {
	runs := 0
	for _, item := range strings.Split(f.names, ",") {
		switch name, _, _ := strings.Cut(item, "="); name {
		case backboneFeatures:
		case modelFeatures, seedFeatures:
			runs++
		default:
			return fmt.Errorf("no features %q", name)
		}
	}
	if runs != 1 && (f.run != "" || f.recipe != "") {
		return errors.New("--run and --recipe are for one run; write NAME=RUN")
	}
	return nil
}

// open loads each network. Those that were opened are returned beside an error.
func (f *featureFlags) open(detector, onnxruntime string) ([]*network, error) {
	library, err := onnx.Find(onnxruntime)
	if err != nil {
		return nil, err
	}
	if err := onnx.Start(library); err != nil {
		return nil, err
	}
	var networks []*network
	for _, item := range strings.Split(f.names, ",") {
		name, run, _ := strings.Cut(item, "=")
		var n *network
		if name == backboneFeatures {
			n, err = openBackbone(f.backbone)
		} else {
			n, err = f.openRun(name, run, detector, onnxruntime)
		}
		if err != nil {
			return networks, err
		}
		networks = append(networks, n)
	}
	return networks, nil
}

func openBackbone(file string) (*network, error) {
	weights, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read backbone: %w", err)
	}
	pruned, err := onnxfile.Prune(weights, backbone.Features)
	if err != nil {
		return nil, err
	}
	session, err := onnx.Open(pruned, backbone.Input, []string{backbone.Features}, onnx.Options{})
	if err != nil {
		return nil, err
	}
	return &network{
		name: backboneFeatures, weights: digest.Of(weights),
		features: func(crop *image.RGBA) ([]float32, error) {
			out, err := session.Run(features.Planes(crop, mean), 1, 3, face.Size, face.Size)
			if err != nil {
				return nil, fmt.Errorf("run backbone: %w", err)
			}
			return out[0], nil
		},
		close: func() { session.Close() },
	}, nil
}

// openRun loads the best weights of a run.
func (f *featureFlags) openRun(name, run, detector, onnxruntime string) (*network, error) {
	if run == "" {
		run = f.run
	}
	if run == "" {
		run = filepath.Join("build", "runs", map[string]string{modelFeatures: "transfer", seedFeatures: "seed"}[name])
	}
	file := f.recipe
	if file == "" {
		file = filepath.Join("training", "recipes", filepath.Base(run)+".yaml")
	}
	r, err := recipe.Load(file)
	if err != nil {
		return nil, err
	}
	want := map[string]string{modelFeatures: recipe.MobileNet, seedFeatures: recipe.ResNet34}[name]
	if r.Network.Kind != want {
		return nil, fmt.Errorf("%w: features %s are of a %s; %s has a %s", errUsage, name, want, file, r.Network.Kind)
	}
	j := &job{recipe: r, dir: run}
	if err := j.openNetworks(detector, onnxruntime); err != nil {
		return nil, errors.Join(err, j.Close())
	}
	defer j.Close()
	backend, err := xla.Open()
	if err != nil {
		return nil, err
	}
	params, err := j.bestParams()
	if err != nil {
		return nil, err
	}
	weights, err := os.ReadFile(filepath.Join(run, "checkpoint", fit.BestFile))
	if err != nil {
		return nil, fmt.Errorf("read weights: %w", err)
	}
	return j.hiddenLayer(name, digest.Of(weights), backend, params)
}

// bestParams are the weights of the run's best epoch.
func (j *job) bestParams() (*net.Params, error) {
	p := &net.Params{Ctx: gomlx.New(), Average: j.recipe.Fit.Average > 0}
	if j.recipe.Network.Kind == recipe.ResNet34 {
		_, err := fit.LoadBest(j.dir, p.Ctx)
		return p, err
	}
	if _, err := j.model(p); err != nil {
		return nil, err
	}
	if _, err := fit.LoadBest(j.dir, p.Ctx); err != nil {
		return nil, err
	}
	return j.wholeParams(p)
}

// hiddenLayer is the network from pixels to its head's hidden layer, in GoMLX.
func (j *job) hiddenLayer(name, weights string, backend backends.Backend, p *net.Params) (*network, error) {
	size, layer := face.Size, func(q *net.Params, x *graph.Node) *graph.Node {
		x = net.Body{First: 1}.Graph(q, net.Stem{Mean: mean}.Graph(q, x))
		return j.head().HiddenLayer(q, x)
	}
	if j.recipe.Network.Kind == recipe.ResNet34 {
		// As large as training saw the pictures last.
		stages := j.recipe.Fit.Stages
		size = stages[len(stages)-1].Size
		layer = func(q *net.Params, x *graph.Node) *graph.Node { return net.ResNet34{}.HiddenLayer(q, net.Pixels(x)) }
	}
	e, err := gomlx.NewExec(backend, p.Ctx, func(ctx *gomlx.Context, x *graph.Node) *graph.Node {
		return layer(&net.Params{Ctx: ctx, Average: p.Average}, x)
	})
	if err != nil {
		return nil, fmt.Errorf("compile network: %w", err)
	}
	var one sync.Mutex // XLA takes all cores for one crop
	return &network{
		name: name, weights: weights,
		features: func(crop *image.RGBA) ([]float32, error) {
			one.Lock()
			defer one.Unlock()
			x := tensors.FromFlatDataAndDimensions(features.Pixels(crop, size), 1, size, size, 3)
			defer x.MustFinalizeAll()
			out, err := e.Exec(x)
			if err != nil {
				return nil, fmt.Errorf("run network: %w", err)
			}
			defer out[0].MustFinalizeAll()
			values, err := tensors.CopyFlatData[float32](out[0])
			return slices.Clone(values), err
		},
		close: e.Finalize,
	}, nil
}
