package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"text/template"
	"time"

	"github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/tensors"
	gomlx "github.com/gomlx/gomlx/pkg/ml/context"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/onnx"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/training/dataset"
	"github.com/agequote/agequote/training/features"
	"github.com/agequote/agequote/training/fit"
	"github.com/agequote/agequote/training/measure"
	"github.com/agequote/agequote/training/net"
	"github.com/agequote/agequote/training/onnxfile"
	"github.com/agequote/agequote/training/recipe"
)

// Names of the files in a package.
const (
	detectorFile = "detector.onnx"
	networkFile  = "age.onnx"
	cardFile     = "card.md"
)

// exportFlags say how a trained network becomes a package.
type exportFlags struct {
	runFlags
	from   string
	folds  int
	parity int
	date   string
}

// export makes a model package of a run's best weights, or of those of an
// earlier package: the network as one ONNX file, compared with GoMLX's graph; its
// interval, calibrated through the whole serving path; the figures and the model
// card.
func export(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var f exportFlags
	fs := flag.NewFlagSet("export", flag.ContinueOnError)
	fs.SetOutput(stderr)
	f.register(fs)
	fs.StringVar(&f.from, "from", "", "`DIR` of an earlier package of this recipe, whose weights are exported anew (default: the run's best)")
	fs.IntVar(&f.folds, "cross-folds", 10, "folds by person for the cross-validated coverage on the card")
	fs.IntVar(&f.parity, "parity", 200, "photos on which the file is compared with GoMLX's graph")
	fs.StringVar(&f.date, "valuation-date", "", "date whose products are priced, YYYY-MM-DD (default today)")
	if err := fs.Parse(args); err != nil {
		return flagError(err)
	}
	if f.folds < 2 || f.parity < 1 {
		return fmt.Errorf("%w: --cross-folds is at least 2, --parity at least 1", errUsage)
	}
	date := time.Now()
	if f.date != "" {
		var err error
		if date, err = time.Parse(time.DateOnly, f.date); err != nil {
			return fmt.Errorf("%w: --valuation-date is YYYY-MM-DD", errUsage)
		}
	}
	j, err := f.newJob(ctx, stderr)
	if err != nil {
		return err
	}
	defer j.Close()
	if j.recipe.Network.Kind != recipe.MobileNet {
		return fmt.Errorf("%w: a %s tells one age and no distribution; it has no package", errUsage, j.recipe.Network.Kind)
	}
	if j.recipe.Look != (features.Look{}) {
		return fmt.Errorf("%w: the recipe looks at other crops than serving makes; it has no package", errUsage)
	}
	pkg, err := f.export(ctx, j, date, stderr)
	if err != nil {
		return err
	}
	dir := filepath.Join(j.dir, "package")
	if err := pkg.Write(dir); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "package %s in %s\n", pkg.Hash, dir)
	return nil
}

func (f *exportFlags) export(ctx context.Context, j *job, date time.Time, stderr io.Writer) (*model.Package, error) {
	n := j.recipe.Network
	params := &net.Params{Ctx: j.run.Params.Ctx, Average: j.recipe.Fit.Average > 0}
	from, err := f.load(j, params)
	if err != nil {
		return nil, err
	}
	network, err := net.Export(params, j.weights, mean, net.Body{First: n.First}, j.head(), face.Size)
	if err != nil {
		return nil, err
	}
	detector, err := os.ReadFile(f.detector)
	if err != nil {
		return nil, fmt.Errorf("read detector: %w", err)
	}
	manifest := model.Manifest{
		Schema: model.Schema, Name: j.recipe.Name, Use: j.recipe.Use(), Point: from.Point,
		Detector: model.Detector{File: detectorFile},
		Network: model.Network{
			File: networkFile, Input: net.ExportInput, Output: net.ExportOutput, Classes: n.Classes, Size: face.Size, Face: face.Version,
		},
	}
	files := map[string][]byte{detectorFile: detector, networkFile: network}

	parity, err := j.parity(ctx, params, network, f.parity, manifest.Point, stderr)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(stderr, "parity on %d photos: %.2g in probability, %.2g years\n", parity.Photos, parity.MaxProbability, parity.MaxYears)

	labels := filepath.Join(j.dir, dataset.ValidationFile)
	raw, err := os.ReadFile(labels)
	if err != nil {
		return nil, fmt.Errorf("read labels: %w", err)
	}
	settings := age.DefaultSettings(manifest.Point)
	readings, err := readPhotos(ctx, manifest, settings, files, measure.Photos{Labels: labels, Images: j.images, ONNXRuntime: f.onnxruntime}, stderr)
	if err != nil {
		return nil, err
	}
	if err := saveReadings(filepath.Join(j.dir, "readings.jsonl"), readings); err != nil {
		return nil, err
	}
	if manifest.Calibration, err = age.Calibrate(measure.Labelled(readings, nil), settings); err != nil {
		return nil, err
	}
	plan := measure.Plan{Labels: digest.Of(raw), Folds: f.folds, Settings: settings, Date: date, Parity: parity}
	document, rows, err := measure.Evaluate(readings, plan)
	if err != nil {
		return nil, err
	}
	manifest.Range = estimateRange(rows)
	if files[evaluation.DocumentName], err = document.Encode(); err != nil {
		return nil, err
	}
	if files[cardFile], err = j.card(manifest, from, document, rows); err != nil {
		return nil, err
	}
	return model.NewPackage(manifest, files)
}

// origin is where a package's weights come from.
type origin struct {
	Point   age.Point
	Best    *fit.Scores // of the run, or nil
	Package string      // else: the hash of the earlier package
}

// load sets the weights that are exported.
func (f *exportFlags) load(j *job, p *net.Params) (origin, error) {
	if f.from == "" {
		best, err := fit.LoadBest(j.dir, p.Ctx)
		if err != nil {
			return origin{}, err
		}
		return origin{Point: age.Point(best.Point), Best: best}, nil
	}
	pkg, err := model.ReadPackage(os.DirFS(f.from))
	if err != nil {
		return origin{}, err
	}
	network, err := os.ReadFile(filepath.Join(f.from, pkg.Manifest.Network.File))
	if err != nil {
		return origin{}, fmt.Errorf("read network: %w", err)
	}
	return origin{Point: pkg.Manifest.Point, Package: pkg.Hash}, net.Import(p, network)
}

// readPhotos sends the labelled photos through the serving path. The interval
// does not exist yet: the manifest has a stand-in.
func readPhotos(ctx context.Context, manifest model.Manifest, s age.Settings, files map[string][]byte, photos measure.Photos, stderr io.Writer) ([]measure.Reading, error) {
	manifest.Calibration = age.Calibration{Method: age.Method, Coverage: s.Coverage, Score: s.Score, AbstainWidth: age.Oldest, Knots: []age.Knot{{}}}
	pkg, err := model.NewPackage(manifest, files)
	if err != nil {
		return nil, err
	}
	return measure.Read(ctx, pkg, photos, stderr)
}

// parity compares the exported file in ONNX Runtime with the same network whole
// in GoMLX, with weights rounded as the file's are, from the pixels of the first n
// validation photos, in batches: the largest difference of a probability, and of
// the point estimate. What the rounding does is in the figures of the evaluation.
func (j *job) parity(ctx context.Context, trained *net.Params, network []byte, n int, point age.Point, stderr io.Writer) (*evaluation.Parity, error) {
	labels, err := dataset.ReadValidation(j.dir)
	if err != nil {
		return nil, err
	}
	const spare = 20 // for every photo that is refused there is another
	labels = labels[:min(n+n/spare+1, len(labels))]
	crops, err := features.Open(ctx, filepath.Join(j.cache, "parity"), features.Job{
		Images: j.images, Labels: labels, Detector: j.detector, Shape: [3]int{face.Size, face.Size, 3}, Views: []features.View{{Name: "plain"}}, Key: "crops",
	}, stderr)
	if err != nil {
		return nil, err
	}
	defer crops.Close()
	session, err := onnx.Open(network, net.ExportInput, []string{net.ExportOutput}, onnx.Options{})
	if err != nil {
		return nil, err
	}
	defer session.Close()
	predict, err := j.wholeNetwork(trained)
	if err != nil {
		return nil, err
	}

	const batch = 8
	classes := j.recipe.Network.Classes
	p := &evaluation.Parity{}
	var wanted []int
	for i := range labels {
		if crops.Faces[i].Code == reason.OK && len(wanted) < n {
			wanted = append(wanted, i)
		}
	}
	for part := range slices.Chunk(wanted, batch) {
		pixels := make([]byte, batch*crops.Size())
		for k, i := range part {
			if err := crops.Read(0, i, pixels[k*crops.Size():(k+1)*crops.Size()]); err != nil {
				return nil, err
			}
		}
		want, err := predict(pixels, batch)
		if err != nil {
			return nil, err
		}
		got, err := session.RunBytes(pixels, batch, face.Size, face.Size, 3)
		if err != nil {
			return nil, err
		}
		for k := range part {
			if err := addParity(p, got[0][k*classes:(k+1)*classes], want[k*classes:(k+1)*classes], point); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

// addParity adds a photo to the parity.
func addParity(p *evaluation.Parity, got, want []float32, point age.Point) error {
	p.Photos++
	for k := range got {
		p.MaxProbability = max(p.MaxProbability, math.Abs(float64(got[k])-float64(want[k])))
	}
	a, err := age.NewDistribution(got)
	if err != nil {
		return err
	}
	b, err := age.NewDistribution(want)
	if err != nil {
		return err
	}
	// Not rounded to a decimal: that can make a tenth of a rounding error.
	years := func(d age.Distribution) float64 {
		if point == age.PointMedian {
			return d.Quantile(0.5)
		}
		return d.Mean()
	}
	p.MaxYears = max(p.MaxYears, math.Abs(years(a)-years(b)))
	return nil
}

// wholeNetwork is the network in GoMLX from pixels to probabilities, the frozen
// part too.
func (j *job) wholeNetwork(trained *net.Params) (func(pixels []byte, n int) ([]float32, error), error) {
	stem, body, head := net.Stem{Mean: mean}, net.Body{First: 1}, j.head()
	p, err := j.wholeParams(trained)
	if err != nil {
		return nil, err
	}
	e, err := gomlx.NewExec(j.run.Backend, p.Ctx, func(ctx *gomlx.Context, x *graph.Node) *graph.Node {
		q := &net.Params{Ctx: ctx}
		return graph.Softmax(head.Graph(q, body.Graph(q, stem.Graph(q, x))))
	})
	if err != nil {
		return nil, fmt.Errorf("compile network: %w", err)
	}
	return func(pixels []byte, n int) ([]float32, error) {
		out, err := e.Exec(tensors.FromFlatDataAndDimensions(pixels, n, face.Size, face.Size, 3))
		if err != nil {
			return nil, fmt.Errorf("run network: %w", err)
		}
		return tensors.CopyFlatData[float32](out[0])
	}, nil
}

// wholeParams are the trained weights with those of the frozen part, rounded as
// net.Export rounds them.
func (j *job) wholeParams(trained *net.Params) (*net.Params, error) {
	p := &net.Params{Ctx: gomlx.New()}
	frozen := map[string]onnxfile.Tensor{}
	for name, t := range j.tensors {
		frozen[name] = t.Rounded()
	}
	if err := errors.Join(net.Stem{Mean: mean}.Load(p, frozen), net.Body{First: 1}.Load(p, frozen)); err != nil {
		return nil, err
	}
	for _, name := range trained.Names() {
		values, dims, err := trained.Values(name)
		if err != nil {
			return nil, err
		}
		p.Set(name, onnxfile.Tensor{Dims: dims, Data: values}.Rounded().Data, dims...)
	}
	return p, nil
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

// card renders the model card.
func (j *job) card(m model.Manifest, from origin, d evaluation.Document, rows []evaluation.Row) ([]byte, error) {
	var adults []float64
	for _, r := range rows {
		if r.Code == reason.OK && r.Age >= 18 && r.Age <= 75 {
			adults = append(adults, *r.Estimate.High-*r.Estimate.Low)
		}
	}
	var widths []widthLine
	for limit := 10.0; limit <= 45; limit += 2.5 {
		wider := 0
		for _, w := range adults {
			if w > limit {
				wider++
			}
		}
		widths = append(widths, widthLine{limit, float64(wider) / float64(max(len(adults), 1))})
	}
	train, err := dataset.ReadTrain(j.dir)
	if err != nil {
		return nil, err
	}
	trained := map[string]int{}
	for _, t := range train {
		trained[t.Groups["dataset"]]++
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
		"Manifest": m, "Recipe": j.recipe, "From": from, "Trained": trained, "Document": d, "Report": d.Report,
		"Groups": slices.Sorted(maps.Keys(d.Report.Groups)), "Widths": widths, "Adults": len(adults),
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
