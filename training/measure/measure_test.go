package measure_test

import (
	"fmt"
	"testing"

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

func TestCrossValidatedNeedsFolds(t *testing.T) {
	if _, err := measure.CrossValidated(nil, age.Settings{}, 1); err == nil {
		t.Error("one fold leaves no photo to calibrate with, want an error")
	}
}
