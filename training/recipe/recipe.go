// Package recipe reads the YAML files that hold every hyperparameter of a
// training run, and checks them, so that a mistake shows before the first photo
// is read.
package recipe

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"

	"github.com/goccy/go-yaml"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/training/augment"
	"github.com/agequote/agequote/training/dataset"
	"github.com/agequote/agequote/training/features"
	"github.com/agequote/agequote/training/fit"
	"github.com/agequote/agequote/training/net"
)

// Recipe is one way to make a model.
type Recipe struct {
	Name    string         `yaml:"name"` // of the run's folder and of the model
	Seed    uint64         `yaml:"seed"`
	Data    dataset.Config `yaml:"data"`
	Repeat  map[string]int `yaml:"repeat"` // how often an epoch shows the photos of a data set; 1 where it is not named, 0 leaves it out
	Views   []View         `yaml:"views"`  // under which training sees each photo
	Look    features.Look  `yaml:"look"`   // another crop than serving's, for an ablation: such a model is not exported
	Network Network        `yaml:"network"`
	Fit     fit.Settings   `yaml:"fit"`

	Hash string `yaml:"-"` // sha256:... of the file
}

// View is one way, or Count ways, to look at each photo.
type View struct {
	Name    string           `yaml:"name"`
	Mirror  bool             `yaml:"mirror"`
	Count   int              `yaml:"count"` // 0 means 1
	Augment augment.Settings `yaml:"augment"`
}

// The networks.
const (
	MobileNet = "mobilenet" // the face backbone, from a block on
	ResNet34  = "resnet34"  // He et al. 2016, with the article's head
)

// FaceBackbone as weights is the face network that infra/backbone.sh fetches.
const FaceBackbone = "face-backbone"

// Network says what is trained.
type Network struct {
	Kind    string    `yaml:"kind"`
	Weights string    `yaml:"weights"` // ONNX file that the body begins with, or FaceBackbone; empty: from scratch, for resnet34
	Use     model.Use `yaml:"use"`     // what the weights' own licence and data allow; empty means research
	First   int       `yaml:"first"`   // mobilenet: the first block that may train; those before are frozen, their maps kept in files
	Classes int       `yaml:"classes"` // ages from 0; 1: the output is the age itself
	Hidden  int       `yaml:"hidden"`  // mobilenet: width of the head's new branch
	Own     bool      `yaml:"own"`     // mobilenet: begin with the backbone's own age head
	Dropout float64   `yaml:"dropout"` // resnet34: before the last layer, and half of it before the others
	Start   float64   `yaml:"start"`   // resnet34: years that the output begins at
}

// Use is what a model of the recipe may be used for: the strictest that its data
// and the weights that it begins with allow.
func (r *Recipe) Use() model.Use {
	if r.Network.Weights != "" && r.Network.Use != model.Production {
		return model.Research
	}
	return r.Data.Use()
}

const maxBytes = 256 << 10

// Load reads and checks a recipe.
func Load(path string) (*Recipe, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read recipe: %w", err)
	}
	r, err := Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// Parse reads and checks a recipe with changes to it. Every problem is named.
func Parse(raw []byte, changes ...Change) (*Recipe, error) {
	var r Recipe
	var all []byte
	for _, part := range append([]Change{raw}, changes...) {
		if len(part) > maxBytes {
			return nil, fmt.Errorf("recipe of more than %d bytes", maxBytes)
		}
		if len(bytes.TrimSpace(part)) == 0 {
			continue
		}
		if err := yaml.NewDecoder(bytes.NewReader(part), yaml.Strict()).Decode(&r); err != nil {
			return nil, errors.New(yaml.FormatError(err, false, false))
		}
		all = append(all, part...)
	}
	r.Hash = digest.Of(all)
	r.Fit.Seed = r.Seed
	return &r, r.check()
}

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,40}$`)

func (r *Recipe) check() error {
	var problems []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	bad(!nameForm.MatchString(r.Name), "name %q is not lower-case letters, digits and hyphens", r.Name)
	if err := r.Data.Check(); err != nil {
		problems = append(problems, fmt.Errorf("data: %w", err))
	}
	for name, n := range r.Repeat {
		bad(n < 0 || n > 100, "repeat: %s %d times", name, n)
	}
	bad(len(r.Views) == 0, "views: none")
	for _, v := range r.Views {
		bad(v.Name == "" || v.Count < 0 || v.Count > 50, "views: one without name, or a count out of range")
		if err := v.Augment.Check(); err != nil {
			problems = append(problems, fmt.Errorf("view %s: %w", v.Name, err))
		}
	}
	bad(r.Look.Size < 0 || r.Look.Size > face.Size, "look: size of %d pixels", r.Look.Size)
	problems = append(problems, r.checkNetwork(), r.checkFit())
	return errors.Join(problems...)
}

func (r *Recipe) checkNetwork() error {
	n := r.Network
	switch {
	case n.Kind != MobileNet && n.Kind != ResNet34:
		return fmt.Errorf("network: kind %q", n.Kind)
	case n.Classes < 1 || n.Classes > age.Oldest+1:
		return fmt.Errorf("network: %d classes", n.Classes)
	case n.Use != "" && n.Use != model.Research && n.Use != model.Production:
		return fmt.Errorf("network: use %q is neither research nor production", n.Use)
	case !(n.Dropout >= 0 && n.Dropout < 1):
		return fmt.Errorf("network: dropout %v", n.Dropout)
	case n.Kind == MobileNet && (n.First < 2 || n.First > net.Blocks+1):
		return fmt.Errorf("network: first block %d", n.First)
	case n.Kind == MobileNet && (n.Weights == "" || n.Hidden < 1 || n.Classes < 100):
		return errors.New("network: mobilenet needs weights, hidden and at least 100 classes")
	case n.Kind == ResNet34 && n.Classes != 1:
		return errors.New("network: resnet34 has one output, the age")
	case n.Kind == ResNet34 && (n.First != 0 || n.Hidden != 0 || n.Own):
		return errors.New("network: first, hidden and own are of mobilenet")
	case n.Kind == MobileNet && n.Start != 0 || !(n.Start >= 0 && n.Start <= age.Oldest):
		return fmt.Errorf("network: start %v, want 0 to %d, of resnet34", n.Start, age.Oldest)
	}
	return nil
}

func (r *Recipe) checkFit() error {
	f := r.Fit
	groups := map[string]bool{}
	for _, g := range f.Groups {
		if g.Name == "" || groups[g.Name] || len(g.Scopes) == 0 || g.Decay < 0 {
			return fmt.Errorf("fit: group %q has no scopes, a negative decay, or is there twice", g.Name)
		}
		groups[g.Name] = true
	}
	switch {
	case len(f.Groups) == 0 || len(f.Stages) == 0:
		return errors.New("fit: no groups or no stages")
	case f.Sigma < 0 || f.Mixup < 0 || f.Clip < 0 || f.Average < 0 || f.Average >= 1 || f.Checkpoint < 0:
		return errors.New("fit: sigma, mixup, clip, average or checkpoint is out of range")
	case f.Loss == (net.Loss{}):
		return errors.New("fit: no loss")
	case (f.Loss.SmoothL1 > 0) != (r.Network.Classes == 1) || f.Loss.Likelihood < 0 || f.Loss.Mean < 0 || f.Loss.CRPS < 0:
		return errors.New("fit: smooth_l1 is the loss of a network with one output, and of no other")
	}
	for _, s := range f.Stages {
		rate := 0.0
		for name, v := range s.Rates {
			if !groups[name] || v < 0 {
				return fmt.Errorf("fit: stage %s: rate of %q", s.Name, name)
			}
			rate = max(rate, v)
		}
		last := f.Groups[len(f.Groups)-1].Name
		switch {
		case s.Epochs < 1 || s.Batch < 2 || s.Batch%2 != 0 || s.Steps < 0 || rate == 0:
			return fmt.Errorf("fit: stage %s: epochs, batch (an even number), steps or rates", s.Name)
		case r.Network.Kind == ResNet34 && (s.Size < 32 || s.Size > 512 || s.Size%32 != 0):
			return fmt.Errorf("fit: stage %s: pictures of %d pixels, want a multiple of 32", s.Name, s.Size)
		case s.First != 0 && (s.First < r.Network.First || s.First > net.Blocks+1 || r.Network.Kind != MobileNet):
			return fmt.Errorf("fit: stage %s: first block %d", s.Name, s.First)
		case s.Spread != nil && (s.Spread.First <= 0 || s.Spread.Share <= 0 || s.Rates[last] == 0):
			return fmt.Errorf("fit: stage %s: spread needs first, share and the rate of %s", s.Name, last)
		}
	}
	return nil
}
