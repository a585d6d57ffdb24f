package main

import (
	"bytes"
	"context"
	_ "embed"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"text/template"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/training/measure"
	"github.com/agequote/agequote/training/onnxfile"
)

// Names of the files in a package.
const (
	detectorFile = "detector.onnx"
	networkFile  = "age.onnx"
	cardFile     = "card.md"
)

// exportFlags are what a package is made of.
type exportFlags struct {
	network, detector, labels, images, out string
	manifest                               model.Manifest
	calibration                            age.Settings
	folds                                  int
	onnxruntime                            string
}

// export makes a model package: it prunes the network to its age output,
// calibrates the interval through the whole serving path, measures, and writes
// the manifest and the model card.
func export(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := exportFlags{manifest: model.Manifest{
		Schema:   1,
		Detector: model.Detector{File: detectorFile},
		Network: model.Network{
			File:    networkFile,
			Prepare: model.Preprocessing{Face: face.Version, Size: face.Size, Channels: "bgr", Mean: [3]float32{103.939, 116.779, 123.68}, Scale: 1},
		},
	}}
	fs := flag.NewFlagSet("export", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&f.network, "network", "", "ONNX file of the age network")
	fs.StringVar(&f.manifest.Network.Input, "input", "input_1", "the network's input")
	fs.StringVar(&f.manifest.Network.Output, "output", "age_pred/Softmax", "the network's output over ages; all others are cut off")
	fs.IntVar(&f.manifest.Network.Classes, "classes", 100, "number of ages, from 0")
	fs.BoolVar(&f.manifest.Network.Prepare.Mirror, "mirror", false, "average with the mirrored face")
	fs.StringVar(&f.detector, "detector", "", "ONNX file of the YuNet face detector")
	fs.StringVar(&f.labels, "labels", "", "labels file of the calibration photos, by prepare")
	fs.StringVar(&f.images, "images", "", "folder that the labels' paths are relative to")
	fs.StringVar(&f.out, "out", "", "folder to write the package to")
	fs.StringVar(&f.manifest.Name, "name", "face-backbone", "name of the model")
	fs.StringVar((*string)(&f.manifest.Use), "use", string(model.Research), "allowed use: research or production")
	fs.StringVar((*string)(&f.manifest.Point), "point", string(age.PointMean), "point estimate: mean or median")
	f.calibration = age.DefaultSettings("")
	fs.Float64Var(&f.calibration.Coverage, "coverage", f.calibration.Coverage, "share of people whose age the interval shall hold")
	fs.Float64Var(&f.calibration.AbstainShare, "abstain-share", f.calibration.AbstainShare, "share of calibration photos that are too uncertain to use")
	fs.IntVar(&f.folds, "cross-folds", 10, "folds by person for the cross-validated coverage on the card")
	fs.StringVar(&f.onnxruntime, "onnxruntime", "", "ONNX Runtime's shared library, where it is not found by itself")
	if err := fs.Parse(args); err != nil {
		return flagError(err)
	}
	if f.network == "" || f.detector == "" || f.labels == "" || f.images == "" || f.out == "" {
		return fmt.Errorf("%w: --network, --detector, --labels, --images and --out are needed", errUsage)
	}
	f.calibration.Point = f.manifest.Point

	files, err := f.read()
	if err != nil {
		return err
	}
	readings, err := f.readPhotos(ctx, files, stderr)
	if err != nil {
		return err
	}
	pkg, err := f.assemble(files, readings)
	if err != nil {
		return err
	}
	if err := pkg.Write(f.out); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "package %s in %s\n", pkg.Hash, f.out)
	return nil
}

// read returns the networks as they are shipped.
func (f *exportFlags) read() (map[string][]byte, error) {
	detector, err := os.ReadFile(f.detector)
	if err != nil {
		return nil, fmt.Errorf("read detector: %w", err)
	}
	network, err := os.ReadFile(f.network)
	if err != nil {
		return nil, fmt.Errorf("read network: %w", err)
	}
	network, err = onnxfile.Prune(network, f.manifest.Network.Output)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{detectorFile: detector, networkFile: network, cardFile: nil}, nil
}

// readPhotos sends the labelled photos through the serving path. The interval
// does not exist yet: the manifest has a stand-in.
func (f *exportFlags) readPhotos(ctx context.Context, files map[string][]byte, stderr io.Writer) ([]measure.Reading, error) {
	manifest := f.manifest
	manifest.Calibration = age.Calibration{
		Method: age.Method, Coverage: f.calibration.Coverage, Score: f.calibration.Score, AbstainWidth: age.Oldest, Knots: []age.Knot{{}},
	}
	pkg, err := model.NewPackage(manifest, files)
	if err != nil {
		return nil, err
	}
	return measure.Read(ctx, pkg, measure.Photos{Labels: f.labels, Images: f.images, ONNXRuntime: f.onnxruntime}, stderr)
}

// assemble calibrates, measures and describes the package.
func (f *exportFlags) assemble(files map[string][]byte, readings []measure.Reading) (*model.Package, error) {
	manifest := f.manifest
	var err error
	manifest.Calibration, err = age.Calibrate(measure.Labelled(readings, nil), f.calibration)
	if err != nil {
		return nil, err
	}
	rows, err := measure.CrossValidated(readings, f.calibration, f.folds)
	if err != nil {
		return nil, err
	}
	manifest.Range = estimateRange(rows)

	card, err := writeCard(manifest, f.calibration, f.folds, rows)
	if err != nil {
		return nil, err
	}
	files = maps.Clone(files)
	files[cardFile] = card
	return model.NewPackage(manifest, files)
}

// estimateRange is where nearly all accepted estimates lie.
func estimateRange(rows []evaluation.Row) model.Range {
	var ages, widths []float64
	for _, r := range rows {
		if r.Code == reason.OK {
			ages = append(ages, *r.Estimate.Age)
			widths = append(widths, *r.Estimate.High-*r.Estimate.Low)
		}
	}
	return model.Range{
		Age:   [2]float64{percentile(ages, 0.5), percentile(ages, 99.5)},
		Width: [2]float64{percentile(widths, 0.5), percentile(widths, 99.5)},
	}
}

// percentile is the smallest value with at least p percent at or below it, to
// one decimal.
func percentile(values []float64, p float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	i := int(math.Ceil(p/100*float64(len(sorted)))) - 1
	return age.Printed(sorted[max(i, 0)])
}

//go:embed card.md.tmpl
var cardTemplate string

// widthLine is a limit on the interval's width and who it refers.
type widthLine struct {
	Limit    float64
	Referred float64 // share of adults of 18 to 75
}

// writeCard renders the model card.
func writeCard(m model.Manifest, s age.Settings, folds int, rows []evaluation.Row) ([]byte, error) {
	report := evaluation.Measure("", rows)
	var adults []float64
	for _, r := range rows {
		if r.Code == reason.OK && r.Age >= 18 && r.Age <= 75 {
			adults = append(adults, *r.Estimate.High-*r.Estimate.Low)
		}
	}
	var widths []widthLine
	for limit := 20.0; limit <= 45; limit += 2.5 {
		wider := 0
		for _, w := range adults {
			if w > limit {
				wider++
			}
		}
		widths = append(widths, widthLine{limit, float64(wider) / float64(len(adults))})
	}

	t, err := template.New("card").Funcs(template.FuncMap{
		"years":   func(v *float64) string { return decimals(v, 2, 1) },
		"percent": func(v *float64) string { return decimals(v, 1, 100) },
		"share":   func(v float64) string { return decimals(&v, 1, 100) },
	}).Parse(cardTemplate)
	if err != nil {
		return nil, fmt.Errorf("parse card template: %w", err)
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{
		"Manifest": m, "Settings": s, "Folds": folds, "Report": report,
		"Groups": slices.Sorted(maps.Keys(report.Groups)), "Widths": widths, "Adults": len(adults),
	})
	if err != nil {
		return nil, fmt.Errorf("write card: %w", err)
	}
	return b.Bytes(), nil
}

func decimals(v *float64, n int, factor float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.*f", n, *v*factor)
}
