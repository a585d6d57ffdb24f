package fit

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/agequote/agequote/internal/age"
)

// Score measures the present weights on the validation photos, as serving would
// estimate them, with ages to one decimal.
func (r *Run) Score(data Data) (Scores, error) {
	views := 1
	if r.Settings.Mirror {
		views = 2
	}
	outputs, err := r.Predict(data, views)
	if err != nil {
		return Scores{}, err
	}
	return score(outputs, data.ValidationPhotos)
}

// score compares outputs [view][photo][class] with the ages.
func score(outputs [][][]float32, photos []Photo) (Scores, error) {
	type sum struct {
		error, square float64
		n             int
	}
	sums := map[string]sum{}
	for i, p := range photos {
		points, err := pointsOf(outputs, i)
		if err != nil {
			return Scores{}, err
		}
		for point, years := range points {
			s := sums[p.Source+"/"+point]
			d := years - p.Age
			s.error += math.Abs(d)
			s.square += d * d
			s.n++
			sums[p.Source+"/"+point] = s
		}
	}
	scores := Scores{MAE: map[string]float64{}, RMSE: map[string]float64{}, Score: math.Inf(1)}
	byPoint := map[string][]float64{}
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		mae := sums[name].error / float64(sums[name].n)
		scores.MAE[name] = mae
		scores.RMSE[name] = math.Sqrt(sums[name].square / float64(sums[name].n))
		_, point, _ := strings.Cut(name, "/")
		byPoint[point] = append(byPoint[point], mae)
	}
	for _, point := range slices.Sorted(maps.Keys(byPoint)) {
		total := 0.0
		for _, mae := range byPoint[point] {
			total += mae
		}
		if mean := total / float64(len(byPoint[point])); mean < scores.Score {
			scores.Score, scores.Point = mean, point
		}
	}
	return scores, nil
}

// pointsOf is a photo's point estimates, its views averaged.
func pointsOf(outputs [][][]float32, photo int) (map[string]float64, error) {
	mean := make([]float32, len(outputs[0][photo]))
	for _, view := range outputs {
		for k, v := range view[photo] {
			mean[k] += v / float32(len(outputs))
		}
	}
	if len(mean) == 1 {
		return map[string]float64{"output": age.Printed(float64(mean[0]))}, nil
	}
	d, err := age.NewDistribution(mean)
	if err != nil {
		return nil, err
	}
	return map[string]float64{
		string(age.PointMean):   age.Printed(d.Mean()),
		string(age.PointMedian): age.Printed(d.Quantile(0.5)),
	}, nil
}

// describe prints the errors of the chosen point.
func describe(s Scores) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(s.MAE)) {
		if source, point, _ := strings.Cut(name, "/"); point == s.Point {
			parts = append(parts, fmt.Sprintf("%s MAE %.3f RMSE %.3f", source, s.MAE[name], s.RMSE[name]))
		}
	}
	return strings.Join(parts, ", ")
}
