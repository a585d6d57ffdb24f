package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/rules"
	"github.com/agequote/agequote/training/crosscheck"
	"github.com/agequote/agequote/training/measure"
	"github.com/agequote/agequote/training/page"
)

// crosscheckCommand measures what a photo is good for in pricing, and writes
// figures, plots and a page, and where asked the part of docs/pricing.md.
func crosscheckCommand(_ context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("crosscheck", flag.ContinueOnError)
	fs.SetOutput(stderr)
	readingsFile := fs.String("readings", "", "file of a package's readings of photos that the model was not trained on, as calibrate, evaluate and export write it")
	dir := fs.String("package", "", "folder of the model package")
	out := fs.String("out", "", "folder to write crosscheck.json, its plots and crosscheck.html to")
	docs := fs.String("docs", "", "Markdown file whose marked part is written anew; figures and plots then lie in a folder beside it, named like the file")
	folds := fs.Int("cross-folds", 10, "folds by person, over which intervals are calibrated; at least 2")
	date := fs.String("valuation-date", "", "date whose products are priced, YYYY-MM-DD (default today)")
	if err := fs.Parse(args); err != nil {
		return flagError(err)
	}
	if *readingsFile == "" || *dir == "" || *out == "" || *folds < 2 {
		return fmt.Errorf("%w: --readings, --package and --out are needed; --cross-folds is at least 2", errUsage)
	}
	day := time.Now()
	if *date != "" {
		var err error
		if day, err = time.Parse(time.DateOnly, *date); err != nil {
			return fmt.Errorf("%w: --valuation-date is YYYY-MM-DD", errUsage)
		}
	}
	document, name, err := measureCrosscheck(*readingsFile, *dir, *folds, day)
	if err != nil {
		return err
	}
	html, err := page.RenderCrosscheck(document, name)
	if err != nil {
		return err
	}
	if err := writeCrosscheck(*out, document, map[string][]byte{"crosscheck.html": html}); err != nil {
		return err
	}
	if *docs != "" {
		if err := crosscheck.Include(*docs, document); err != nil {
			return err
		}
		if err := writeCrosscheck(crosscheck.PlotFolder(*docs), document, nil); err != nil {
			return err
		}
	}
	fmt.Fprintf(stdout, "what the photo of %s is good for, in %s\n", document.Model, *out)
	return nil
}

// measureCrosscheck also returns the model's name.
func measureCrosscheck(readingsFile, dir string, folds int, day time.Time) (d crosscheck.Document, name string, err error) {
	pkg, err := model.ReadPackage(os.DirFS(dir))
	if err != nil {
		return d, "", err
	}
	book, err := rulebook.Load(rules.FS)
	if err != nil {
		return d, "", fmt.Errorf("load rules: %w", err)
	}
	raw, err := os.ReadFile(readingsFile)
	if err != nil {
		return d, "", fmt.Errorf("read readings: %w", err)
	}
	readings, err := measure.ReadFile(bytes.NewReader(raw))
	if err != nil {
		return d, "", err
	}
	settings := age.DefaultSettings(pkg.Manifest.Point)
	settings.Coverage = pkg.Manifest.Calibration.Coverage
	d, err = crosscheck.Measure(readings, crosscheck.Options{
		Readings: digest.Of(raw), Model: pkg.Hash, Settings: settings, Folds: folds, Book: book, Date: day,
	})
	return d, pkg.Manifest.Name, err
}

// writeCrosscheck writes the document, its plots and further files.
func writeCrosscheck(dir string, d crosscheck.Document, files map[string][]byte) error {
	all, err := crosscheckFiles(d)
	if err != nil {
		return err
	}
	maps.Copy(all, files)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write crosscheck: %w", err)
	}
	for name, content := range all {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return fmt.Errorf("write crosscheck: %w", err)
		}
	}
	return nil
}

// crosscheckFiles are the document and its plots, by name.
func crosscheckFiles(d crosscheck.Document) (map[string][]byte, error) {
	encoded, err := d.Encode()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{"crosscheck.json": encoded}
	plots, err := page.CrosscheckPlots(d)
	if err != nil {
		return nil, err
	}
	for _, p := range plots {
		files[p.Name+".svg"] = p.File()
	}
	return files, nil
}
