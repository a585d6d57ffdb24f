package evaluation_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/reason"
)

func row(years, estimate, low, high float64, sex string) evaluation.Row {
	return evaluation.Row{Age: years, Code: reason.OK, Groups: map[string]string{"sex": sex},
		Estimate: age.Estimate{Age: &estimate, Low: &low, High: &high}}
}

// TestMeasure compares with figures worked out by hand.
func TestMeasure(t *testing.T) {
	r := evaluation.Measure("sha256:model", []evaluation.Row{
		row(20, 23, 15, 30, "female"), // error 3, held
		row(40, 34, 30, 39, "male"),   // error -6, not held
		row(75, 75, 75, 95, "female"), // error 0, held at its edge
		{Age: 5, Code: reason.NoFace, Groups: map[string]string{"sex": "male"}},
	})
	f := func(v float64) *float64 { return &v }
	want := evaluation.Figures{
		N: 4, Rejected: evaluation.Rejected{N: 1, Share: 0.25, Codes: map[reason.Code]int{reason.NoFace: 1}},
		MAE: f(3), RMSE: f(3.873), CS5: f(0.6667), Bias: f(-1), Coverage: f(0.6667), Width: f(14.6667),
	}
	if diff := cmp.Diff(want, r.Figures, cmpopts.IgnoreFields(evaluation.Figures{}, "CI")); diff != "" {
		t.Errorf("all (-want +got)\n%s", diff)
	}
	if got := r.Groups["sex=female"]; got.N != 2 || *got.MAE != 1.5 || *got.Coverage != 1 {
		t.Errorf("women: %+v", got)
	}
	if got := r.Groups["adults=18-75"]; got.N != 3 {
		t.Errorf("adults: %d, want 3", got.N)
	}
	if got := r.Groups["adults=18-75,sex=female"]; got.N != 2 || *got.Width != 17.5 {
		t.Errorf("adult women: %+v", got)
	}
	if got := r.Groups["adults=18-75,age=70-79"]; got.N != 1 {
		t.Errorf("adults of 70 to 75: %d, want 1", got.N)
	}
	if _, ok := r.Groups["adults=18-75,age=0-17"]; ok {
		t.Error("children are among the adults")
	}
	if got := r.Groups["age=0-17"]; got.N != 1 || got.MAE != nil || got.Rejected.Share != 1 {
		t.Errorf("children, all refused: %+v", got)
	}
	for _, band := range []string{"18-29", "30-39", "40-49", "50-59", "60-69", "70-79", "80+"} {
		if _, ok := r.Groups["age="+band]; !ok {
			t.Errorf("no group age=%s", band)
		}
	}
}

// scattered are photos of people whose errors are normal with a standard
// deviation of 6 years, each person on so many photos that are all alike.
func scattered(people, photos int) []evaluation.Row {
	r := rand.New(rand.NewPCG(1, 2))
	var rows []evaluation.Row
	for k := range people {
		one := row(40, 40+6*r.NormFloat64(), 30, 50, "male")
		one.Person = fmt.Sprint("person ", k)
		rows = append(rows, slices.Repeat([]evaluation.Row{one}, photos)...)
	}
	return rows
}

// TestIntervals compares with the standard error of a mean. A person's further
// photos, all alike, must not make the figures seem surer.
func TestIntervals(t *testing.T) {
	for _, photos := range []int{1, 5} {
		f := evaluation.Measure("", scattered(400, photos)).Figures
		half := 1.96 * *f.RMSE / math.Sqrt(400)
		for end, want := range map[float64]float64{f.CI.Bias[0]: *f.Bias - half, f.CI.Bias[1]: *f.Bias + half} {
			if math.Abs(end-want) > 0.08 {
				t.Errorf("%d photos a person: bias %v in %v, want an end near %.2f", photos, *f.Bias, *f.CI.Bias, want)
			}
		}
		if !(f.CI.MAE[0] < *f.MAE && *f.MAE < f.CI.MAE[1]) {
			t.Errorf("MAE %v is not in %v", *f.MAE, *f.CI.MAE)
		}
	}
	rows := scattered(50, 2)
	if diff := cmp.Diff(evaluation.Measure("", rows), evaluation.Measure("", rows)); diff != "" {
		t.Errorf("measured twice:\n%s", diff)
	}
}

// TestCoverageCheck counts covered photos of 200 women; 1200 men are covered well.
func TestCoverageCheck(t *testing.T) {
	tests := []struct {
		name           string
		women, covered int
		photos         int // of each person
		failed         bool
	}{
		{"as asked", 200, 180, 1, false},
		{"too few, which may be chance", 200, 172, 1, false},
		{"too few", 200, 140, 1, true},
		{"much too few in a small group", 99, 0, 1, false},
		{"too few, but of few people", 200, 160, 20, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var rows []evaluation.Row
			for i := range tt.women {
				one := row(40, 40, 30, 50, "female")
				if i >= tt.covered {
					one = row(40, 60, 50, 70, "female")
				}
				one.Person = fmt.Sprint("woman ", i/tt.photos)
				rows = append(rows, one)
			}
			for range 1200 {
				rows = append(rows, row(25, 25, 20, 30, "male"))
			}
			r := evaluation.Measure("", rows)
			women, checked := r.Groups["sex=female"], tt.women >= 100
			if (women.CoverageUpper != nil) != checked {
				t.Fatalf("upper bound %v, checked should be %v", women.CoverageUpper, checked)
			}
			if got := slices.Contains(r.CoverageCheck.Failed, "sex=female"); got != tt.failed || r.CoverageCheck.Passed == tt.failed {
				t.Errorf("coverage %v, at best %v: %+v", *women.Coverage, women.CoverageUpper, r.CoverageCheck)
			}
		})
	}
}

// TestMeasurePremium compares with figures worked out by hand: a premium of ten
// a year of age, which ends at 70.
func TestMeasurePremium(t *testing.T) {
	price := func(years, estimate float64, _ string) (float64, float64, bool, error) {
		return 10 * years, 10 * estimate, years <= 70 && estimate <= 70, nil
	}
	rows := []evaluation.Row{
		row(20, 21, 0, 0, "female"), // 10, of 200: 5 %
		row(40, 32, 0, 0, "male"),   // -80, of 400: 20 %
		row(50, 70, 0, 0, "male"),   // 200, of 500: 40 %
		row(60, 71, 0, 0, "male"),   // past the limit
		row(17, 40, 0, 0, "male"),   // no adult
		{Age: 30, Code: reason.NoFace, Groups: map[string]string{"sex": "male"}},
	}
	got, err := evaluation.MeasurePremium(rows, evaluation.Terms{Product: "ten", Currency: "USD"}, price)
	if err != nil {
		t.Fatal(err)
	}
	f := func(v float64) *float64 { return &v }
	want := evaluation.PremiumFigures{N: 3, Unpriced: 1, MeanAbsError: f(96.6667), MeanError: f(43.3333), MedianRelativeError: f(0.2), Within10: f(0.3333), Within25: f(0.6667)}
	if diff := cmp.Diff(want, got.PremiumFigures, cmpopts.IgnoreFields(evaluation.PremiumFigures{}, "CI")); diff != "" {
		t.Errorf("all (-want +got)\n%s", diff)
	}
	if want := (evaluation.Interval{10, 200}); got.CI.MeanAbsError == nil || *got.CI.MeanAbsError != want {
		t.Errorf("interval of the mean absolute error = %v, want %v: of three photos any may be drawn three times", got.CI.MeanAbsError, want)
	}
	men := got.Groups["sex=male"]
	if men.N != 2 || men.Unpriced != 1 || *men.MeanError != 60 {
		t.Errorf("men: %+v", men)
	}
	broken := errors.New("broken")
	fail := func(float64, float64, string) (float64, float64, bool, error) { return 0, 0, false, broken }
	if _, err := evaluation.MeasurePremium(rows, evaluation.Terms{}, fail); !errors.Is(err, broken) {
		t.Errorf("MeasurePremium = %v, want the pricer's error", err)
	}
}

func TestReadLabels(t *testing.T) {
	got, err := evaluation.ReadLabels(strings.NewReader("sex\tfile\tage\tperson\nmale\ta.jpg\t42\tp1\n\tb.jpg\t7\t\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []evaluation.Label{
		{File: "a.jpg", Age: 42, Person: "p1", Groups: map[string]string{"sex": "male"}},
		{File: "b.jpg", Age: 7, Person: "b.jpg", Groups: map[string]string{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// FuzzReadLabels looks for labels that crash, or have an age that nobody has.
func FuzzReadLabels(f *testing.F) {
	f.Add("sex\tfile\tage\tperson\nmale\ta.jpg\t42\tp1\n\tb.jpg\t7\t\n")
	f.Add("file\tage\nx\tNaN\n")
	f.Add("file\tage\tage\n\"x\n\t1\t2\n")
	f.Fuzz(func(t *testing.T, text string) {
		labels, err := evaluation.ReadLabels(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, l := range labels {
			if !(l.Age >= 0 && l.Age <= age.Oldest) || l.Groups == nil {
				t.Errorf("label %+v", l)
			}
		}
	})
}

func TestReadLabelsRefuses(t *testing.T) {
	for labels, want := range map[string]string{
		"":                              "header",
		"file\tsex\n":                   "columns file and age",
		"file\tage\na\t4\nb\tforty\n":   "line 3",
		"file\tage\na\t-1\n":            "line 2",
		"file\tage\na\tNaN\n":           "line 2",
		"file\tage\na\t4\textra\n":      "line 2",
		"file\tage\nphoto.jpg\t999\n\n": "line 2",
	} {
		if _, err := evaluation.ReadLabels(strings.NewReader(labels)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ReadLabels(%q) = %v, want %q in it", labels, err, want)
		}
	}
}

func TestPhotos(t *testing.T) {
	dir := t.TempDir()
	var labels []evaluation.Label
	for _, name := range []string{"c", "a", "b"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("photo "+name), 0o600); err != nil {
			t.Fatal(err)
		}
		labels = append(labels, evaluation.Label{File: name})
	}
	read := func(_ evaluation.Label, photo []byte) (string, error) { return string(photo), nil }
	got, err := evaluation.Photos(t.Context(), dir, labels, 3, read, func() {})
	if diff := cmp.Diff([]string{"photo c", "photo a", "photo b"}, got); err != nil || diff != "" {
		t.Errorf("Photos: %v (-want +got)\n%s", err, diff)
	}

	if err := os.WriteFile(filepath.Join(filepath.Dir(dir), "secret"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	outside := []evaluation.Label{{File: "../secret"}}
	if _, err := evaluation.Photos(t.Context(), dir, outside, 1, read, func() {}); err == nil {
		t.Error("Photos read a file outside its folder")
	}
	broken := errors.New("broken")
	fail := func(evaluation.Label, []byte) (string, error) { return "", broken }
	if _, err := evaluation.Photos(t.Context(), dir, labels, 1, fail, func() {}); !errors.Is(err, broken) {
		t.Errorf("Photos = %v, want the reader's error", err)
	}
}
