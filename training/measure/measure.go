// Package measure sends labelled photos through the serving path and estimates
// each with an interval that it did not help to calibrate. The commands export
// and evaluate share it, so that a package's card and its evaluation cannot
// differ. It computes no figures: package evaluation does.
package measure

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"runtime"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/onnx"
	"github.com/agequote/agequote/internal/progress"
	"github.com/agequote/agequote/internal/reason"
)

// Reading is what the serving path makes of one labelled photo, up to the
// distribution: it has no interval yet.
type Reading struct {
	Label        evaluation.Label
	Code         reason.Code
	Distribution age.Distribution // where Code is ok
}

// Photos names what is read.
type Photos struct {
	Labels      string // labels file, a TSV
	Images      string // folder that the labels' paths are relative to
	ONNXRuntime string // shared library, empty where it is found by itself
	Workers     int    // photos at a time; zero means one for each core
}

// Read sends the photos through the serving path of a package, whatever its
// use, with a progress bar on stderr. The package's calibration is not used.
func Read(ctx context.Context, pkg *model.Package, p Photos, stderr io.Writer) ([]Reading, error) {
	labels, err := readLabels(p.Labels)
	if err != nil {
		return nil, err
	}
	library, err := onnx.Find(p.ONNXRuntime)
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

	workers := p.Workers
	if workers == 0 {
		workers = runtime.NumCPU()
	}
	bar := progress.New(stderr, len(labels), "photos")
	defer bar.Finish()
	return evaluation.Photos(ctx, p.Images, labels, workers, func(l evaluation.Label, photo []byte) (Reading, error) {
		r, err := m.Read(photo)
		code := reason.Of(err)
		if code == reason.Internal {
			return Reading{}, err
		}
		return Reading{Label: l, Code: code, Distribution: r.Distribution}, nil
	}, bar.Done)
}

func readLabels(name string) ([]evaluation.Label, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open labels: %w", err)
	}
	defer file.Close()
	return evaluation.ReadLabels(file)
}

// Labelled returns the accepted photos that pass the filter, for calibration.
// A nil filter passes all.
func Labelled(readings []Reading, keep func(Reading) bool) []age.Labelled {
	var photos []age.Labelled
	for _, r := range readings {
		if r.Code == reason.OK && (keep == nil || keep(r)) {
			photos = append(photos, age.Labelled{Distribution: r.Distribution, Age: r.Label.Age, Source: r.Label.Groups["dataset"]})
		}
	}
	return photos
}

// Estimated gives every photo the estimate of a calibration. A photo that is
// too uncertain for an interval is refused as unsure.
func Estimated(readings []Reading, c age.Calibration, point age.Point) ([]evaluation.Row, error) {
	rows := make([]evaluation.Row, len(readings))
	for i, r := range readings {
		var err error
		if rows[i], err = estimate(r, c, point); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// CrossValidated estimates every photo with an interval that was calibrated
// without the photos of that person's fold, so that the coverage measured is
// not that of the calibration's own photos.
func CrossValidated(readings []Reading, s age.Settings, folds int) ([]evaluation.Row, error) {
	if folds < 2 {
		return nil, fmt.Errorf("cross-validate in %d folds", folds)
	}
	rows := make([]evaluation.Row, len(readings))
	for fold := range folds {
		in := func(r Reading) bool { return FoldOf(r.Label.Person, folds) == fold }
		c, err := age.Calibrate(Labelled(readings, func(r Reading) bool { return !in(r) }), s)
		if err != nil {
			return nil, err
		}
		for i, r := range readings {
			if !in(r) {
				continue
			}
			if rows[i], err = estimate(r, c, s.Point); err != nil {
				return nil, err
			}
		}
	}
	return rows, nil
}

func estimate(r Reading, c age.Calibration, point age.Point) (evaluation.Row, error) {
	row := evaluation.Row{Age: r.Label.Age, Person: r.Label.Person, Groups: r.Label.Groups, Code: r.Code}
	if r.Code != reason.OK {
		return row, nil
	}
	var err error
	row.Estimate, err = c.Estimate(r.Distribution, point)
	if errors.Is(err, age.ErrUnsure) {
		row.Code, err = reason.Unsure, nil
	}
	return row, err
}

// FoldOf is the fold of a person's photos, 0 to folds-1: the same on every
// machine and in every run.
func FoldOf(person string, folds int) int {
	h := fnv.New32a()
	h.Write([]byte(person))
	return int(h.Sum32() % uint32(folds))
}
