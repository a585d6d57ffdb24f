package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/training/measure"
	"github.com/agequote/agequote/training/page"
)

// pageFile is the page beside evaluation.json.
const pageFile = "evaluation.html"

// evaluate measures a model package on labelled photos and writes the figures
// and a page of them.
func evaluate(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("evaluate", flag.ContinueOnError)
	fs.SetOutput(stderr)
	dir := fs.String("package", "", "folder of the model package")
	var photos measure.Photos
	fs.StringVar(&photos.Labels, "labels", "", "labels file of photos that the model was not trained on")
	fs.StringVar(&photos.Images, "images", "", "folder that the labels' paths are relative to")
	fs.StringVar(&photos.ONNXRuntime, "onnxruntime", "", "ONNX Runtime's shared library, where it is not found by itself")
	readingsFile := fs.String("readings", "", "file of the package's readings of these labels, by calibrate; without it the photos are read")
	out := fs.String("out", "", "folder to write evaluation.json and evaluation.html to")
	folds := fs.Int("cross-folds", 10, "folds by person, over which the interval is calibrated anew; 0 measures the package's own, on photos that it was not calibrated with")
	parityFile := fs.String("parity", "", "file of the export's parity, as in evaluation.json; without it the package's own figures stay")
	date := fs.String("valuation-date", "", "date whose products are priced, YYYY-MM-DD (default today)")
	if err := fs.Parse(args); err != nil {
		return flagError(err)
	}
	if *dir == "" || photos.Labels == "" || photos.Images == "" && *readingsFile == "" || *out == "" || *folds == 1 || *folds < 0 {
		return fmt.Errorf("%w: --package, --labels, --images (or --readings) and --out are needed; --cross-folds is 0 or at least 2", errUsage)
	}
	plan := measure.Plan{Folds: *folds, Date: time.Now()}
	var err error
	if *date != "" {
		if plan.Date, err = time.Parse(time.DateOnly, *date); err != nil {
			return fmt.Errorf("%w: --valuation-date is YYYY-MM-DD", errUsage)
		}
	}

	pkg, err := model.ReadPackage(os.DirFS(*dir))
	if err != nil {
		return err
	}
	labels, err := os.ReadFile(photos.Labels)
	if err != nil {
		return fmt.Errorf("read labels: %w", err)
	}
	plan.Labels = digest.Of(labels)
	plan.Calibration = pkg.Manifest.Calibration
	plan.Settings = age.DefaultSettings(pkg.Manifest.Point)
	plan.Settings.Coverage = plan.Calibration.Coverage
	if plan.Parity, err = readParity(*parityFile, *dir); err != nil {
		return err
	}
	var readings []measure.Reading
	if *readingsFile == "" {
		readings, err = measure.Read(ctx, pkg, photos, stderr)
	} else {
		readings, err = openReadings(*readingsFile)
	}
	if err != nil {
		return err
	}
	document, rows, err := measure.Evaluate(readings, plan)
	if err != nil {
		return err
	}
	about := page.About{Name: pkg.Manifest.Name, Model: pkg.Hash, Use: string(pkg.Manifest.Use), Point: string(pkg.Manifest.Point)}
	if err := writeEvaluation(*out, document, rows, about); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "evaluation of %s in %s\n", pkg.Hash, *out)
	return nil
}

// readParity reads the parity from its own file, else from the package's
// evaluation; nil where neither has it.
func readParity(name, dir string) (*evaluation.Parity, error) {
	if name == "" {
		b, err := os.ReadFile(filepath.Join(dir, evaluation.DocumentName))
		if os.IsNotExist(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read parity: %w", err)
		}
		d, err := evaluation.ParseDocument(b)
		return d.Parity, err
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read parity: %w", err)
	}
	var p evaluation.Parity
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, fmt.Errorf("read parity: %w", err)
	}
	return &p, nil
}

func writeEvaluation(dir string, d evaluation.Document, rows []evaluation.Row, about page.About) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write evaluation: %w", err)
	}
	b, err := d.Encode()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, evaluation.DocumentName), b, 0o644); err != nil {
		return fmt.Errorf("write evaluation: %w", err)
	}
	html, err := page.Render(d, rows, about)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, pageFile), html, 0o644); err != nil {
		return fmt.Errorf("write evaluation: %w", err)
	}
	return nil
}
