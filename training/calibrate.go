package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/training/measure"
)

// calibrate compares ways of giving an estimate its interval, on the readings of
// a model, and prints a Markdown table. docs/calibration.md holds one.
func calibrate(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("calibrate", flag.ContinueOnError)
	fs.SetOutput(stderr)
	readingsFile := fs.String("readings", "", "file of readings, JSON lines; written first where --package is given")
	dir := fs.String("package", "", "folder of a model package whose readings are to be written")
	var photos measure.Photos
	fs.StringVar(&photos.Labels, "labels", "", "labels file of photos that the model was not trained on; for --package")
	fs.StringVar(&photos.Images, "images", "", "folder that the labels' paths are relative to; for --package")
	fs.StringVar(&photos.ONNXRuntime, "onnxruntime", "", "ONNX Runtime's shared library, where it is not found by itself")
	point := fs.String("point", "", "mean or median; empty compares both")
	folds := fs.Int("cross-folds", 10, "folds by person")
	if err := fs.Parse(args); err != nil {
		return flagError(err)
	}
	if *readingsFile == "" || *dir != "" && (photos.Labels == "" || photos.Images == "") {
		return fmt.Errorf("%w: --readings is needed, and --labels and --images with --package", errUsage)
	}
	if *dir != "" {
		if err := writeReadings(ctx, *readingsFile, *dir, photos, stderr); err != nil {
			return err
		}
	}
	readings, err := openReadings(*readingsFile)
	if err != nil {
		return err
	}
	points := []age.Point{age.PointMean, age.PointMedian}
	if *point != "" {
		points = []age.Point{age.Point(*point)}
	}
	return compare(readings, points, *folds, stdout)
}

func openReadings(name string) ([]measure.Reading, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open readings: %w", err)
	}
	defer file.Close()
	return measure.ReadFile(file)
}

func writeReadings(ctx context.Context, name, dir string, photos measure.Photos, stderr io.Writer) error {
	pkg, err := model.ReadPackage(os.DirFS(dir))
	if err != nil {
		return err
	}
	readings, err := measure.Read(ctx, pkg, photos, stderr)
	if err != nil {
		return err
	}
	return saveReadings(name, readings)
}

func saveReadings(name string, readings []measure.Reading) error {
	file, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("write readings: %w", err)
	}
	defer file.Close()
	if err := measure.Write(file, readings); err != nil {
		return err
	}
	return file.Close()
}

// way is one way of calibrating, by name.
type way struct {
	name     string
	settings age.Settings
}

// ways are what is compared: the chosen settings, and what changes with each.
func ways(point age.Point) []way {
	chosen := age.DefaultSettings(point)
	list := []way{{"**chosen**", chosen}}
	add := func(name string, change func(*age.Settings)) {
		s := chosen
		change(&s)
		list = append(list, way{name, s})
	}
	for _, bins := range []int{2, 5} {
		add(fmt.Sprintf("%d bins", bins), func(s *age.Settings) { s.Bins = bins })
	}
	for _, floor := range []float64{1, 3, 8} {
		add(fmt.Sprintf("spread + %g", floor), func(s *age.Settings) { s.SpreadFloor = floor })
	}
	for _, q := range []float64{0.05, 0.1, 0.2} {
		add(fmt.Sprintf("quantiles %g and %g", q, 1-q), func(s *age.Settings) { s.Score, s.Quantile = age.ScoreQuantile, q })
	}
	for _, n := range []int{100, 150, 300, 400} {
		add(fmt.Sprintf("%d neighbours", n), func(s *age.Settings) { s.Neighbours = n })
	}
	for _, weight := range []float64{1, 2, 8} {
		add(fmt.Sprintf("weight up to %g", weight), func(s *age.Settings) { s.MostWeight = weight })
	}
	return list
}

// compare prints a row for each way: coverage, cross-validated, over all
// accepted photos, by data set and at the old end; the adults' mean width; and
// the group that is furthest from what it may have by chance.
func compare(readings []measure.Reading, points []age.Point, folds int, stdout io.Writer) error {
	columns := []struct{ title, group string }{
		{"UTKFace", "dataset=utkface"}, {"FG-NET", "dataset=fgnet"}, {"adults", evaluation.Adults},
		{"40-49", "age=40-49"}, {"50-59", "age=50-59"}, {"60-69", "age=60-69"}, {"70-79", "age=70-79"}, {"80+", "age=80+"},
	}
	fmt.Fprint(stdout, "| point | interval | all |")
	for _, c := range columns {
		fmt.Fprintf(stdout, " %s |", c.title)
	}
	fmt.Fprint(stdout, " width, adults | lowest bound | |\n|---|---|---|")
	for range columns {
		fmt.Fprint(stdout, "---|")
	}
	fmt.Fprint(stdout, "---|---|---|\n")
	for _, point := range points {
		for _, w := range ways(point) {
			rows, err := measure.CrossValidated(readings, w.settings, folds)
			if err != nil {
				fmt.Fprintf(stdout, "| %s | %s | %v |\n", point, w.name, err)
				continue
			}
			r := evaluation.Measure("", rows)
			fmt.Fprintf(stdout, "| %s | %s | %s |", point, w.name, decimals(r.Coverage, 1, 100))
			for _, c := range columns {
				fmt.Fprintf(stdout, " %s |", decimals(r.Groups[c.group].Coverage, 1, 100))
			}
			name, bound := lowestBound(r)
			verdict := "passes"
			if !r.CoverageCheck.Passed {
				verdict = "fails"
			}
			fmt.Fprintf(stdout, " %s | %s %.1f | %s |\n", decimals(r.Groups[evaluation.Adults].Width, 2, 1), name, bound*100, verdict)
		}
	}
	return nil
}

// lowestBound is the checked group whose coverage is at best lowest.
func lowestBound(r evaluation.Report) (name string, bound float64) {
	bound = math.Inf(1)
	for group, f := range r.Groups {
		if f.CoverageUpper != nil && (*f.CoverageUpper < bound || *f.CoverageUpper == bound && group < name) {
			name, bound = group, *f.CoverageUpper
		}
	}
	return name, bound
}
