package measure_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/training/measure"
)

// distribution is certain of two ages, k and k+4.
func distribution(t *testing.T, k int) age.Distribution {
	t.Helper()
	output := make([]float32, 100)
	output[k], output[k+4] = 1, 1
	d, err := age.NewDistribution(output)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestCrossValidated has people whose ages the network meets within a year, and one
// person with many photos who is read 30 years too young. An interval that this
// person helped to calibrate would hold the true age.
func TestCrossValidated(t *testing.T) {
	var readings []measure.Reading
	add := func(person string, years float64, k int) {
		readings = append(readings, measure.Reading{
			Label: evaluation.Label{Age: years, Person: person, Groups: map[string]string{"dataset": "a"}},
			Code:  reason.OK, Distribution: distribution(t, k),
		})
	}
	for i := range 400 {
		add(fmt.Sprint("person ", i), 41+float64(i%3), 40)
	}
	for range 100 {
		add("outlier", 72, 40)
	}
	readings = append(readings, measure.Reading{Label: evaluation.Label{Age: 9, Person: "refused"}, Code: reason.NoFace})

	rows, err := measure.CrossValidated(readings, age.Settings{Coverage: 0.9, Point: age.PointMean, Score: age.ScoreSpread, SpreadFloor: 1, Bins: 1}, 5)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(readings) || rows[500].Code != reason.NoFace {
		t.Fatalf("%d rows of %d readings, the last %q", len(rows), len(readings), rows[len(rows)-1].Code)
	}
	for i, r := range rows[:500] {
		if r.Age != readings[i].Label.Age || r.Code != reason.OK {
			t.Fatalf("row %d: %+v", i, r)
		}
		if held := *r.Estimate.High >= r.Age; held != (r.Age < 72) {
			t.Fatalf("row %d: age %v, interval up to %v", i, r.Age, *r.Estimate.High)
		}
	}
}

// TestEvaluate has people whose ages scatter about what the network says.
func TestEvaluate(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var readings []measure.Reading
	for i := range 900 {
		k := 18 + r.IntN(50)
		readings = append(readings, measure.Reading{
			Label: evaluation.Label{Age: float64(k) + math.Round(6*r.NormFloat64()), Person: fmt.Sprint(i), Groups: map[string]string{"dataset": "a"}},
			Code:  reason.OK, Distribution: distribution(t, k),
		})
	}
	plan := measure.Plan{Labels: "sha256:labels", Folds: 5, Settings: age.DefaultSettings(age.PointMean), Date: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)}
	d, rows, err := measure.Evaluate(readings, plan)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(readings) || d.Report.N != len(readings) || d.Premium.N == 0 {
		t.Errorf("%d rows, %d measured, %d priced, of %d", len(rows), d.Report.N, d.Premium.N, len(readings))
	}
	if len(d.Levels) < 5 {
		t.Fatalf("levels %+v", d.Levels)
	}
	for i, l := range d.Levels {
		// Whole ages make short intervals hold more than was asked for.
		if l.Coverage < l.Asked-0.03 || l.Coverage > l.Asked+0.12 {
			t.Errorf("asked %v, got %v", l.Asked, l.Coverage)
		}
		if i > 0 && !(l.Width > d.Levels[i-1].Width) {
			t.Errorf("%v is no wider than %v", l, d.Levels[i-1])
		}
	}

	// Another's interval is measured as it stands.
	plan.Folds = 0
	plan.Calibration = age.Calibration{Method: age.Method, Coverage: 0.9, Score: age.ScoreSpread, AbstainWidth: 50, Knots: []age.Knot{{}}}
	d, _, err = measure.Evaluate(readings, plan)
	if err != nil {
		t.Fatal(err)
	}
	if *d.Report.Width != 0 || len(d.Levels) != 0 || d.Report.CoverageCheck.Passed {
		t.Errorf("an interval without tails: width %v, %d levels, %+v", *d.Report.Width, len(d.Levels), d.Report.CoverageCheck)
	}
}

func TestCrossValidatedNeedsFolds(t *testing.T) {
	if _, err := measure.CrossValidated(nil, age.Settings{}, 1); err == nil {
		t.Error("one fold leaves no photo to calibrate with, want an error")
	}
}
