package main

import (
	"bytes"
	"context"
	_ "embed"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math"
	"os"
	"runtime"
	"slices"
	"text/template"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/onnx"
	"github.com/agequote/agequote/internal/progress"
	"github.com/agequote/agequote/internal/reason"
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
	fs.Float64Var(&f.calibration.Coverage, "coverage", 0.9, "share of people whose age the interval shall hold")
	fs.Float64Var(&f.calibration.SpreadFloor, "spread-floor", 5, "years added to the distribution's standard deviation")
	fs.IntVar(&f.calibration.Bins, "bins", 2, "bins of the predicted age")
	fs.Float64Var(&f.calibration.AbstainShare, "abstain-share", 0.0025, "share of calibration photos that are too uncertain to use")
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

// reading is what the serving path makes of one labelled photo.
type reading struct {
	label        evaluation.Label
	code         reason.Code
	distribution age.Distribution
}

// readPhotos sends the labelled photos through the serving path, up to the
// distribution. The interval does not exist yet: the manifest has a stand-in.
func (f *exportFlags) readPhotos(ctx context.Context, files map[string][]byte, stderr io.Writer) ([]reading, error) {
	file, err := os.Open(f.labels)
	if err != nil {
		return nil, fmt.Errorf("open labels: %w", err)
	}
	defer file.Close()
	labels, err := evaluation.ReadLabels(file)
	if err != nil {
		return nil, err
	}

	manifest := f.manifest
	manifest.Calibration = age.Calibration{Method: age.Method, Coverage: f.calibration.Coverage, AbstainWidth: age.Oldest, Bins: []age.Bin{{}}}
	pkg, err := model.NewPackage(manifest, files)
	if err != nil {
		return nil, err
	}
	library, err := onnx.Find(f.onnxruntime)
	if err != nil {
		return nil, err
	}
	if err := onnx.Start(library); err != nil {
		return nil, err
	}
	m, err := model.Open(pkg, model.Options{AllowResearch: true})
	if err != nil {
		return nil, err
	}
	defer m.Close()

	bar := progress.New(stderr, len(labels), "calibration photos")
	defer bar.Finish()
	return evaluation.Photos(ctx, f.images, labels, runtime.NumCPU(), func(l evaluation.Label, photo []byte) (reading, error) {
		r, err := m.Read(photo)
		code := reason.Of(err)
		if code == reason.Internal {
			return reading{}, err
		}
		return reading{label: l, code: code, distribution: r.Distribution}, nil
	}, bar.Done)
}

// assemble calibrates, measures and describes the package.
func (f *exportFlags) assemble(files map[string][]byte, readings []reading) (*model.Package, error) {
	manifest := f.manifest
	var err error
	manifest.Calibration, err = age.Calibrate(labelled(readings, func(reading) bool { return true }), f.calibration)
	if err != nil {
		return nil, err
	}
	rows, err := f.crossValidated(readings)
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

// labelled returns the accepted photos that pass the filter, for calibration.
func labelled(readings []reading, keep func(reading) bool) []age.Labelled {
	var photos []age.Labelled
	for _, r := range readings {
		if r.code == reason.OK && keep(r) {
			photos = append(photos, age.Labelled{Distribution: r.distribution, Age: r.label.Age, Source: r.label.Groups["dataset"]})
		}
	}
	return photos
}

// crossValidated estimates every photo with an interval that was calibrated
// without the photos of that person's fold, so that the coverage on the card is
// not that of the calibration's own photos.
func (f *exportFlags) crossValidated(readings []reading) ([]evaluation.Row, error) {
	rows := make([]evaluation.Row, len(readings))
	for fold := range f.folds {
		in := func(r reading) bool { return foldOf(r.label.Person, f.folds) == fold }
		c, err := age.Calibrate(labelled(readings, func(r reading) bool { return !in(r) }), f.calibration)
		if err != nil {
			return nil, err
		}
		for i, r := range readings {
			if !in(r) {
				continue
			}
			rows[i] = evaluation.Row{Age: r.label.Age, Groups: r.label.Groups, Code: r.code}
			if r.code != reason.OK {
				continue
			}
			rows[i].Estimate, err = c.Estimate(r.distribution, f.manifest.Point)
			if err != nil {
				rows[i].Code = reason.Unsure
			}
		}
	}
	return rows, nil
}

func foldOf(person string, folds int) int {
	h := fnv.New32a()
	h.Write([]byte(person))
	return int(h.Sum32() % uint32(folds))
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
