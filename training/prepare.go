package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/onnx"
	"github.com/agequote/agequote/internal/progress"
	"github.com/agequote/agequote/training/dataset"
	"github.com/agequote/agequote/training/recipe"
)

// prepareFlags say what is prepared, and where to.
type prepareFlags struct {
	recipe, data, labels  string
	images, out           string
	detector, onnxruntime string
	faces                 bool
	known                 string
	synthetic, selfies    string
	photos                int
	seed                  uint64
}

// prepare reads the data sets, settles what trains and what validates, and
// writes the labels of a run with the report of what was left out.
func prepare(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var f prepareFlags
	fs := flag.NewFlagSet("prepare", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&f.recipe, "recipe", "", "recipe whose data part says what to read")
	fs.StringVar(&f.data, "data", "", "file with nothing but the data part, instead of a recipe")
	fs.StringVar(&f.labels, "labels", "", "labels.tsv to read instead of the one in the recipe; alone, nine tenths of the people train")
	fs.StringVar(&f.images, "images", "", "folder of the images, if not the recipe's")
	fs.StringVar(&f.out, "out", "", "folder of the run, to write to")
	fs.StringVar(&f.detector, "detector", "models/detector.onnx", "ONNX file of the YuNet face detector")
	fs.StringVar(&f.onnxruntime, "onnxruntime", "", "ONNX Runtime's shared library, where it is not found by itself")
	fs.BoolVar(&f.faces, "faces", true, "ask of every photo whether serving would refuse it")
	fs.StringVar(&f.known, "known", "", "folder of an earlier run, to take over what it says of the same files; empty: --out")
	fs.StringVar(&f.synthetic, "synthetic", "", "make a set for smoke tests in this folder, and nothing else")
	fs.StringVar(&f.selfies, "selfies", "events/selfies", "folder of the portraits for --synthetic")
	fs.IntVar(&f.photos, "photos", 400, "number of photos for --synthetic")
	fs.Uint64Var(&f.seed, "seed", 1, "seed for --synthetic")
	if err := fs.Parse(args); err != nil {
		return flagError(err)
	}
	if f.synthetic != "" {
		return f.makeSynthetic(stdout)
	}
	if f.out == "" || f.recipe == "" && f.data == "" && f.labels == "" {
		return fmt.Errorf("%w: --out and one of --recipe, --data, --labels are needed", errUsage)
	}
	if f.recipe != "" && f.data != "" {
		return fmt.Errorf("%w: --recipe and --data are the same in two places", errUsage)
	}

	c, err := f.config()
	if err != nil {
		return err
	}
	return f.prepare(ctx, c, stdout, stderr)
}

func (f *prepareFlags) makeSynthetic(stdout io.Writer) error {
	if err := dataset.Synthetic(f.synthetic, f.selfies, f.photos, f.seed); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%d photos and labels.tsv in %s\n", f.photos, f.synthetic)
	return nil
}

// config returns the data part, with what the flags change in it.
func (f *prepareFlags) config() (*dataset.Config, error) {
	c, err := f.loadData()
	if err != nil {
		return nil, err
	}
	if f.images != "" {
		c.Images = f.images
	}
	if c.Images == "" {
		return nil, fmt.Errorf("%w: --images is needed, or images in the recipe", errUsage)
	}
	if f.labels == "" {
		return c, nil
	}
	if len(c.Sources) != 1 || c.Sources[0].Kind != dataset.Labels {
		return nil, fmt.Errorf("%w: --labels needs a recipe with one source, of kind %s", errUsage, dataset.Labels)
	}
	c.Sources[0].File, err = filepath.Abs(f.labels)
	return c, err
}

func (f *prepareFlags) loadData() (*dataset.Config, error) {
	switch {
	case f.recipe != "":
		r, err := recipe.Load(f.recipe)
		if err != nil {
			return nil, err
		}
		return &r.Data, nil
	case f.data != "":
		raw, err := os.ReadFile(f.data)
		if err != nil {
			return nil, fmt.Errorf("read data part: %w", err)
		}
		c, err := dataset.Parse(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.data, err)
		}
		return c, nil
	}
	return &dataset.Config{Sources: []dataset.Source{{
		Kind: dataset.Labels, File: f.labels, Salt: "agequote", Use: model.Research,
		Train: []string{"0", "1", "2", "3", "4", "5", "6", "7", "8"}, Validate: []string{"9"},
	}}}, nil
}

// prepare does the work.
func (f *prepareFlags) prepare(ctx context.Context, c *dataset.Config, stdout, stderr io.Writer) error {
	samples, err := dataset.Read(c, c.Images)
	if err != nil {
		return err
	}
	bar := progress.New(stderr, dataset.Open(samples), "photos")
	defer bar.Finish()
	in := dataset.Inspection{Workers: runtime.NumCPU(), Done: bar.Done}
	var reader string
	if f.faces {
		detector, name, err := f.openDetector()
		if err != nil {
			return err
		}
		defer detector.Close()
		reader = name
		in.Faces = &face.Reader{Detector: detector}
		if in.Known, err = dataset.ReadCodes(cmp.Or(f.known, f.out), reader); err != nil {
			return err
		}
	}
	if err := dataset.Inspect(ctx, samples, c.Images, in); err != nil {
		return err
	}
	bar.Finish()

	c.Split(samples)
	report := c.Report(samples)
	if err := dataset.Write(f.out, samples, report, reader); err != nil {
		return fmt.Errorf("write run: %w", err)
	}
	if err := report.Print(stdout); err != nil {
		return fmt.Errorf("print report: %w", err)
	}
	if report.Train+report.Validation == 0 {
		return fmt.Errorf("no photo of %d is left; %s says why", report.Read, filepath.Join(f.out, dataset.DroppedFile))
	}
	fmt.Fprintf(stdout, "%d photos train and %d validate, in %s; a model of them is for %s\n",
		report.Train, report.Validation, f.out, report.Use)
	return nil
}

// openDetector loads serving's face detector, and names what decides about a
// photo: the version of package face and the detector's file.
func (f *prepareFlags) openDetector() (*onnx.Session, string, error) {
	network, err := os.ReadFile(f.detector)
	if err != nil {
		return nil, "", fmt.Errorf("read detector: %w", err)
	}
	library, err := onnx.Find(f.onnxruntime)
	if err != nil {
		return nil, "", err
	}
	if err := onnx.Start(library); err != nil {
		return nil, "", err
	}
	session, err := onnx.Open(network, face.DetectorInput, face.DetectorOutputs, onnx.Options{})
	if err != nil {
		return nil, "", fmt.Errorf("open face detector: %w", err)
	}
	return session, fmt.Sprintf("face %s, %s", face.Version, digest.Of(network)), nil
}

func flagError(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	return fmt.Errorf("%w: %w", errUsage, err)
}
