package measure

import (
	"fmt"
	"time"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/premiumerror"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/rules"
)

// Plan is how readings are measured.
type Plan struct {
	Labels string // "sha256:..." of the labels file
	// Folds by person, over which intervals are calibrated with Settings and
	// measured on who was left out. With 0 folds they are those of Calibration,
	// as they stand.
	Folds       int
	Settings    age.Settings
	Calibration age.Calibration
	Date        time.Time // premiums are those of the products in force then
	Parity      *evaluation.Parity
}

// asked are the coverages of the calibration curve, rising.
var asked = []float64{0.5, 0.6, 0.7, 0.8, 0.9, 0.95}

// Evaluate measures readings: errors, intervals, refusals and premiums. It
// returns the rows too, for who draws them.
func Evaluate(readings []Reading, p Plan) (evaluation.Document, []evaluation.Row, error) {
	rows, err := p.rows(readings)
	if err != nil {
		return evaluation.Document{}, nil, err
	}
	d := evaluation.Document{Labels: p.Labels, Folds: p.Folds, Report: evaluation.Measure("", rows), Parity: p.Parity, Levels: []evaluation.Level{}}
	if d.Premium, err = premiums(rows, p.Date); err != nil {
		return evaluation.Document{}, nil, err
	}
	if p.Folds > 0 {
		d.Levels = levels(readings, p)
	}
	return d, rows, nil
}

func (p Plan) rows(readings []Reading) ([]evaluation.Row, error) {
	if p.Folds == 0 {
		return Estimated(readings, p.Calibration, p.Settings.Point)
	}
	return CrossValidated(readings, p.Settings, p.Folds)
}

// premiums prices the README's example at the true and the estimated ages.
func premiums(rows []evaluation.Row, date time.Time) (evaluation.Premium, error) {
	book, err := rulebook.Load(rules.FS)
	if err != nil {
		return evaluation.Premium{}, fmt.Errorf("load rules: %w", err)
	}
	prices, err := premiumerror.New(book, premiumerror.Applicant(), date)
	if err != nil {
		return evaluation.Premium{}, err
	}
	return evaluation.MeasurePremium(rows, prices.Terms(), prices.At)
}

// levels measures other coverages than the one that the package asks for. One
// for which there are too few photos is left out. No photo is refused as unsure,
// for the widest intervals of one coverage are not those of another.
func levels(readings []Reading, p Plan) []evaluation.Level {
	list := []evaluation.Level{}
	for _, coverage := range asked {
		s := p.Settings
		s.Coverage, s.AbstainShare = coverage, 0
		rows, err := CrossValidated(readings, s, p.Folds)
		if err != nil {
			continue
		}
		for i := range rows {
			rows[i].Groups = nil // the age bands are enough, and quicker
		}
		r := evaluation.Measure("", rows)
		adults := r.Groups[evaluation.Adults]
		if r.Coverage == nil || adults.Width == nil {
			continue
		}
		list = append(list, evaluation.Level{Asked: coverage, Coverage: *r.Coverage, CI: r.CI.Coverage, Width: *adults.Width})
	}
	return list
}
