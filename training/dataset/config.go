package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/goccy/go-yaml"

	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/reason"
)

// Config is the data part of a recipe.
type Config struct {
	Images    string    `yaml:"images"` // folder that every path below is relative to; --images goes before it
	Sources   []Source  `yaml:"sources"`
	Conflicts Conflicts `yaml:"conflicts"`

	// KeepRefused trains on faces that serving refuses for being turned, too
	// dark, too bright or blurred; see Bounds. Other refusals have no face to
	// cut out. Validation keeps every refused photo, so that refusals are
	// measured.
	KeepRefused bool `yaml:"keep_refused"`
}

// Kind is the form of a data set's labels.
type Kind string

// The data sets that are read, with the parts that each has.
const (
	UTKFace  Kind = "utkface"   // parts: the folds of File (folds.tsv)
	FGNET    Kind = "fgnet"     // parts: kept_apart, others
	APPAREAL Kind = "appa-real" // parts: train, valid, test
	IMDB     Kind = "imdb"      // parts: 0 to 9 by a hash of the person; File is imdb.mat
	WIKI     Kind = "wiki"      // the same, with wiki.mat
	Labels   Kind = "labels"    // parts: 0 to 9 by a hash of the person; File is labels.tsv
)

// Parts of FG-NET and APPA-REAL.
const (
	partKeptApart = "kept_apart"
	partOthers    = "others"
	partTrain     = "train"
	partValid     = "valid"
	partTest      = "test"
)

// Source is one data set. Its photos fall into parts, by the data set's own
// split where it has one; the recipe says which parts train and which validate.
// The rest is read, counted and not used.
type Source struct {
	Kind     Kind     `yaml:"kind"`
	Name     string   `yaml:"name"` // in labels and reports; empty: the kind
	Dir      string   `yaml:"dir"`  // folder of the photos
	File     string   `yaml:"file"` // of the labels, where they are a file
	Train    []string `yaml:"train"`
	Validate []string `yaml:"validate"`
	Salt     string   `yaml:"salt"`   // of the hash that makes the parts; another salt, another split
	Weight   float64  `yaml:"weight"` // of each photo in training; 0 means 1
	Limit    int      `yaml:"limit"`  // of photos on each side, for a small run; 0 means none

	Age   string `yaml:"age"`   // APPA-REAL: real or apparent
	Faces bool   `yaml:"faces"` // APPA-REAL: the cut-out X.jpg_face.jpg instead of X.jpg

	Use   model.Use `yaml:"use"`   // what a model trained on it may be used for
	Terms string    `yaml:"terms"` // by what right: licence, contract or consent
}

// Conflicts say what becomes of pictures that are there twice with ages that
// cannot both be right, in training. Validation keeps them as they are.
type Conflicts struct {
	MaxYears float64      `yaml:"max_years"` // ages that differ by more conflict; 0 means 3
	Rule     ConflictRule `yaml:"rule"`      // empty means drop
	Weight   float64      `yaml:"weight"`    // under the rule weight: factor of the photo's weight, above 0 and below 1
}

// ConflictRule is what is done with conflicting ages.
type ConflictRule string

// The rules: leave all copies out, or let each count less.
const (
	DropConflicts   ConflictRule = "drop"
	WeightConflicts ConflictRule = "weight"
)

const (
	defaultMaxYears = 3
	maxConfigBytes  = 64 << 10
)

// Parse reads a configuration that stands alone in YAML, and checks it.
func Parse(raw []byte) (*Config, error) {
	if len(raw) > maxConfigBytes {
		return nil, fmt.Errorf("more than %d bytes", maxConfigBytes)
	}
	var c Config
	if err := yaml.NewDecoder(bytes.NewReader(raw), yaml.Strict()).Decode(&c); err != nil && !errors.Is(err, io.EOF) { // nothing at all
		var y yaml.Error
		if errors.As(err, &y) && y.GetToken() != nil {
			return nil, fmt.Errorf("line %d: %s", y.GetToken().Position.Line, y.GetMessage())
		}
		return nil, errors.New(yaml.FormatError(err, false, false))
	}
	return &c, c.Check()
}

// Use is the strictest use that a source allows.
func (c *Config) Use() model.Use {
	for _, s := range c.Sources {
		if s.Use != model.Production {
			return model.Research
		}
	}
	return model.Production
}

// Bounds are the limits of quality for cutting out the faces that train: with
// them, every photo of train.tsv gives a face. They are serving's, but for what
// KeepRefused lets in.
func (c *Config) Bounds() face.Bounds {
	b := face.DefaultBounds
	if c.KeepRefused {
		b.Turn, b.Dark, b.Bright, b.Sharpness = math.Inf(1), 0, math.Inf(1), 0
	}
	return b
}

// trains tells whether a photo of which serving says so can train.
func (c *Config) trains(code reason.Code) bool {
	switch code {
	case reason.OK:
		return true
	case reason.Turned, reason.TooDark, reason.TooBright, reason.Blurred:
		return c.KeepRefused
	}
	return false
}

func (s Source) name() string {
	if s.Name == "" {
		return string(s.Kind)
	}
	return s.Name
}

func (s Source) weight() float64 {
	if s.Weight == 0 {
		return 1
	}
	return s.Weight
}

func (c Conflicts) maxYears() float64 {
	if c.MaxYears == 0 {
		return defaultMaxYears
	}
	return c.MaxYears
}

// Check returns every problem of the configuration, each with the place that it
// is at.
func (c *Config) Check() error {
	var k checker
	if len(c.Sources) == 0 {
		k.add("sources", "none")
	}
	names := map[string]bool{}
	for i, s := range c.Sources {
		at := fmt.Sprintf("sources[%d]", i)
		if names[s.name()] {
			k.add(at+".name", "a second %q; give each source a name", s.name())
		}
		names[s.name()] = true
		k.source(at, s)
	}
	k.conflicts(c.Conflicts)
	return errors.Join(k.problems...)
}

type checker struct{ problems []error }

func (k *checker) add(at, format string, args ...any) {
	k.problems = append(k.problems, fmt.Errorf("%s: %s", at, fmt.Sprintf(format, args...)))
}

func (k *checker) source(at string, s Source) {
	if _, ok := readers[s.Kind]; !ok {
		k.add(at+".kind", "%q is not a data set that is read", s.Kind)
		return
	}
	k.paths(at, s)
	k.parts(at, s)
	if !(s.Weight >= 0) || math.IsInf(s.Weight, 0) {
		k.add(at+".weight", "%v is negative or no number", s.Weight)
	}
	if s.Limit < 0 {
		k.add(at+".limit", "%d is negative", s.Limit)
	}
	if s.Kind == APPAREAL && s.Age != ageReal && s.Age != ageApparent {
		k.add(at+".age", "%q is neither %s nor %s", s.Age, ageReal, ageApparent)
	}
	if s.Kind != APPAREAL && (s.Age != "" || s.Faces) {
		k.add(at, "age and faces are for %s", APPAREAL)
	}
	if s.Use != model.Research && s.Use != model.Production {
		k.add(at+".use", "%q is neither %s nor %s", s.Use, model.Research, model.Production)
	}
	if s.Use == model.Production && s.Terms == "" {
		k.add(at+".terms", "say by what right the photos may train a model for production")
	}
}

func (k *checker) paths(at string, s Source) {
	if s.Dir != "" && !filepath.IsLocal(filepath.FromSlash(s.Dir)) {
		k.add(at+".dir", "%q is not a folder under the folder of images", s.Dir)
	}
	switch {
	case s.hasFile() && s.File == "":
		k.add(at+".file", "missing")
	case !s.hasFile() && s.File != "":
		k.add(at+".file", "%s has no file of labels to name", s.Kind)
	}
}

// hasFile tells whether the labels of the source's kind are one file.
func (s Source) hasFile() bool { return s.Kind != FGNET && s.Kind != APPAREAL }

func (k *checker) parts(at string, s Source) {
	if len(s.Train)+len(s.Validate) == 0 {
		k.add(at, "no part trains or validates")
	}
	for _, side := range []struct {
		name  string
		parts []string
	}{{"train", s.Train}, {"validate", s.Validate}} {
		for i, part := range side.parts {
			at := fmt.Sprintf("%s.%s[%d]", at, side.name, i)
			if !s.hasPart(part) {
				k.add(at, "%s has no part %q", s.Kind, part)
			}
			if slices.Contains(side.parts[:i], part) {
				k.add(at, "part %q twice", part)
			}
		}
	}
	for i, part := range s.Train {
		at := fmt.Sprintf("%s.train[%d]", at, i)
		if slices.Contains(s.Validate, part) && !slices.Contains(s.Train[:i], part) {
			k.add(at, "part %q validates too", part)
		}
		// What others measure on, and what our own figures stand on, is never
		// learned, by whatever recipe.
		if s.Kind == FGNET && part == partKeptApart || s.Kind == APPAREAL && part == partTest {
			k.add(at, "no model is trained on part %q", part)
		}
	}
	switch {
	case s.hashed() && s.Salt == "":
		k.add(at+".salt", "missing; the parts are made by a hash with it")
	case !s.hashed() && s.Salt != "":
		k.add(at+".salt", "%s has parts of its own", s.Kind)
	}
}

// hashed tells whether the parts are made by a hash of the person.
func (s Source) hashed() bool { return s.Kind == IMDB || s.Kind == WIKI || s.Kind == Labels }

func (s Source) hasPart(part string) bool {
	switch s.Kind {
	case FGNET:
		return part == partKeptApart || part == partOthers
	case APPAREAL:
		return slices.Contains(appaParts, part)
	case UTKFace:
		n, err := strconv.ParseUint(part, 10, 16)
		return err == nil && strconv.FormatUint(n, 10) == part
	}
	n, err := strconv.ParseUint(part, 10, 16)
	return err == nil && n < hashedParts && strconv.FormatUint(n, 10) == part
}

func (k *checker) conflicts(c Conflicts) {
	if !(c.MaxYears >= 0) {
		k.add("conflicts.max_years", "%v is negative or no number", c.MaxYears)
	}
	switch c.Rule {
	case "", DropConflicts:
		if c.Weight != 0 {
			k.add("conflicts.weight", "needs rule: %s", WeightConflicts)
		}
	case WeightConflicts:
		if !(c.Weight > 0 && c.Weight < 1) {
			k.add("conflicts.weight", "%v is not between 0 and 1", c.Weight)
		}
	default:
		k.add("conflicts.rule", "%q is neither %s nor %s", c.Rule, DropConflicts, WeightConflicts)
	}
}
