package age_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/age"
)

// uniform is a distribution that is flat from low to high, both included.
func uniform(low, high int) age.Distribution {
	output := make([]float32, 100)
	for k := low; k <= high; k++ {
		output[k] = 1
	}
	d, err := age.NewDistribution(output)
	if err != nil {
		panic(err)
	}
	return d
}

func TestDistribution(t *testing.T) {
	tests := []struct {
		name             string
		d                age.Distribution
		mean, median, sd float64
	}{
		{"one age", uniform(42, 42), 42, 42, 0},
		{"two ages", uniform(40, 41), 40.5, 40.5, 0.5},
		{"a decade", uniform(30, 39), 34.5, 34.5, math.Sqrt((100 - 1) / 12.0)},
		{"newborn", uniform(0, 0), 0, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, v := range []struct {
				name      string
				got, want float64
			}{
				{"Mean", tt.d.Mean(), tt.mean},
				{"median", tt.d.Quantile(0.5), tt.median},
				{"SD", tt.d.SD(), tt.sd},
			} {
				if math.Abs(v.got-v.want) > 1e-4 {
					t.Errorf("%s = %v, want %v", v.name, v.got, v.want)
				}
			}
		})
	}
}

func TestNewDistributionRefuses(t *testing.T) {
	nan := float32(math.NaN())
	for _, output := range [][]float32{nil, {0, 0}, {-0.1, 1.1}, {nan, 1}, {float32(math.Inf(1)), 1}} {
		if d, err := age.NewDistribution(output); err == nil {
			t.Errorf("NewDistribution(%v) = %v, want an error", output, d)
		}
	}
}

// people draws photos whose true ages scatter about what a network says, with a
// bias that the intervals must find.
func people(r *rand.Rand, n int, source string, bias float64) []age.Labelled {
	photos := make([]age.Labelled, n)
	for i := range photos {
		low := 5 + r.IntN(60)
		width := 4 + r.IntN(20)
		d := uniform(low, low+width)
		years := math.Round(d.Mean() + bias + r.NormFloat64()*d.SD())
		photos[i] = age.Labelled{Distribution: d, Age: max(0, years), Source: source}
	}
	return photos
}

var settings = age.Settings{
	Coverage: 0.9, Point: age.PointMean, Score: age.ScoreSpread, SpreadFloor: 2,
	Knots: []float64{5, 20, 35, 50, 65}, Neighbours: 600, MostWeight: 4, AbstainShare: 0.01,
}

// variants are the ways of calibrating.
func variants() map[string]age.Settings {
	quantile, binned := settings, settings
	quantile.Score, quantile.Quantile = age.ScoreQuantile, 0.1
	binned.Bins = 3
	return map[string]age.Settings{"spread": settings, "quantile": quantile, "bins": binned}
}

// coverage is the share of photos whose age lies in its interval.
func coverage(t *testing.T, c age.Calibration, photos []age.Labelled) float64 {
	t.Helper()
	held, n := 0, 0
	for _, p := range photos {
		e, err := c.Estimate(p.Distribution, age.PointMean)
		if errors.Is(err, age.ErrUnsure) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		n++
		if *e.Low <= p.Age && p.Age <= *e.High {
			held++
		}
	}
	return float64(held) / float64(n)
}

// TestCalibrateCovers measures on new photos of two kinds, one of which is read
// six years too young.
func TestCalibrateCovers(t *testing.T) {
	for name, s := range variants() {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			c, err := age.Calibrate(append(people(r, 3000, "a", 0), people(r, 3000, "b", 6)...), s)
			if err != nil {
				t.Fatal(err)
			}
			if got := coverage(t, c, append(people(r, 5000, "a", 0), people(r, 5000, "b", 6)...)); got < 0.89 || got > 0.92 {
				t.Errorf("coverage of both kinds = %.3f, want about 0.9", got)
			}
		})
	}
}

// TestCalibrateWeighsSources has one photo in nine of a kind that is read six
// years too young. Weights bring the interval towards what that kind needs.
func TestCalibrateWeighsSources(t *testing.T) {
	covers := func(weight float64) (small, large float64) {
		r := rand.New(rand.NewPCG(1, 2))
		s := settings
		s.MostWeight = weight
		c, err := age.Calibrate(append(people(r, 4000, "large", 0), people(r, 500, "small", 6)...), s)
		if err != nil {
			t.Fatal(err)
		}
		return coverage(t, c, people(r, 5000, "small", 6)), coverage(t, c, people(r, 5000, "large", 0))
	}
	plainSmall, plainLarge := covers(1)
	evenSmall, evenLarge := covers(8)
	// A little under 0.9 is no fault: a new photo of the small source weighs more
	// than the mean that the quantile allows for it.
	if mean := (evenSmall + evenLarge) / 2; mean < 0.87 || mean > 0.92 {
		t.Errorf("coverage of the even mixture = %.3f, want about 0.9", mean)
	}
	if evenSmall < plainSmall+0.05 || evenLarge > 0.98 {
		t.Errorf("weights took the small source from %.3f to %.3f, the large one from %.3f to %.3f", plainSmall, evenSmall, plainLarge, evenLarge)
	}
}

// TestCalibrateIsLocal has people whom the network reads right up to 40, and
// from there on half a year too young for each year of age. Tails that are the
// same for all would hold too many of the young and too few of the old.
func TestCalibrateIsLocal(t *testing.T) {
	ageing := func(r *rand.Rand, n int) []age.Labelled {
		photos := people(r, n, "a", 0)
		for i, p := range photos {
			photos[i].Age = math.Round(p.Age + max(0, (p.Distribution.Mean()-40)/2))
		}
		return photos
	}
	r := rand.New(rand.NewPCG(7, 8))
	c, err := age.Calibrate(ageing(r, 6000), settings)
	if err != nil {
		t.Fatal(err)
	}
	young, old := []age.Labelled{}, []age.Labelled{}
	for _, p := range ageing(r, 20000) {
		switch mean := p.Distribution.Mean(); {
		case mean < 35:
			young = append(young, p)
		case mean > 55:
			old = append(old, p)
		}
	}
	for name, photos := range map[string][]age.Labelled{"young": young, "old": old} {
		if got := coverage(t, c, photos); got < 0.87 || got > 0.93 {
			t.Errorf("coverage of those read as %s = %.3f, want about 0.9", name, got)
		}
	}
}

// TestCalibrateTails compares with tails worked out by hand: 100 photos whose
// ages are 1 to 100 tenths of a spread over the estimate.
func TestCalibrateTails(t *testing.T) {
	var photos []age.Labelled
	for i := range 100 {
		photos = append(photos, age.Labelled{Distribution: uniform(40, 40), Age: 40 + float64(i+1)/10, Source: "a"})
	}
	s := settings
	s.Knots, s.Neighbours, s.SpreadFloor = []float64{40}, 100, 1
	tails := func() age.Knot {
		c, err := age.Calibrate(photos, s)
		if err != nil {
			t.Fatal(err)
		}
		return c.Knots[0]
	}
	// ceil(101*0.95) = 96 of 100; below the estimate it is the fifth from the bottom
	if k := tails(); math.Abs(k.High-9.6) > 1e-9 || math.Abs(k.Low+0.5) > 1e-9 {
		t.Errorf("tails %v and %v, want -0.5 and 9.6", k.Low, k.High)
	}
	// Ten photos of another source, of scores 100 to 109, each count 4 times: of a
	// weight of 140, and 140/110 more for the new photo, 0.95 is 134.2, so all of
	// the first source and 34.2 of the second one's 40, which is the ninth photo.
	for i := range 10 {
		photos = append(photos, age.Labelled{Distribution: uniform(40, 40), Age: 140 + float64(i), Source: "b"})
	}
	s.Neighbours = 110
	if k := tails(); math.Abs(k.High-108) > 1e-9 {
		t.Errorf("upper tail with a second source %v, want 108", k.High)
	}
}

// TestCalibrateNeighbours has 50 photos of a source at each whole age, and 90 of
// another one at 30 alone.
func TestCalibrateNeighbours(t *testing.T) {
	var photos []age.Labelled
	for years := 10; years < 60; years++ {
		for range 50 {
			photos = append(photos, age.Labelled{Distribution: uniform(years, years), Age: float64(years), Source: "all"})
		}
	}
	for range 90 {
		photos = append(photos, age.Labelled{Distribution: uniform(30, 30), Age: 30, Source: "thirty"})
	}
	tests := []struct {
		name       string
		at         float64
		neighbours int
		want       map[string]int
	}{
		{"on both sides", 30.4, 240, map[string]int{"all": 150, "thirty": 90}}, // 29, 30 and 31
		{"at an end", 90, 200, map[string]int{"all": 200}},
		{"at the other end", 0, 200, map[string]int{"all": 200}},
		{"more than there are", 30, 10000, map[string]int{"all": 2500, "thirty": 90}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := settings
			s.Knots, s.Neighbours = []float64{tt.at}, tt.neighbours
			c, err := age.Calibrate(photos, s)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, c.Knots[0].N); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestCalibrateNeedsPhotos(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	if c, err := age.Calibrate(people(r, 20, "a", 0), settings); err == nil {
		t.Errorf("Calibrate on 20 photos = %+v, want an error: they have no tail of 5%%", c)
	}
}

// TestEstimateProperties holds for every distribution: the interval holds the
// estimate, ends at 0 and Oldest, and what is stored gives the same again.
func TestEstimateProperties(t *testing.T) {
	for name, s := range variants() {
		t.Run(name, func(t *testing.T) { testProperties(t, s) })
	}
}

func testProperties(t *testing.T, s age.Settings) {
	r := rand.New(rand.NewPCG(3, 4))
	c, err := age.Calibrate(people(r, 2000, "a", 3), s)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		output := make([]float32, 100)
		for range 1 + r.IntN(5) {
			output[r.IntN(100)] += r.Float32()
		}
		d, err := age.NewDistribution(output)
		if err != nil {
			continue // all zero
		}
		e, err := c.Estimate(d, age.PointMedian)
		if errors.Is(err, age.ErrUnsure) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if !(0 <= *e.Low && *e.Low <= *e.Age && *e.Age <= *e.High && *e.High <= age.Oldest) {
			t.Fatalf("distribution %d: low %v, age %v, high %v", i, *e.Low, *e.Age, *e.High)
		}
		whole := func(end float64) bool { return end == math.Trunc(end) || end == *e.Age }
		if !whole(*e.Low) || !whole(*e.High) {
			t.Fatalf("distribution %d: ends %v and %v are neither whole ages nor the estimate %v", i, *e.Low, *e.High, *e.Age)
		}
		if *e.High-*e.Low > c.AbstainWidth {
			t.Fatalf("distribution %d: %v years wide, unsure from %v", i, *e.High-*e.Low, c.AbstainWidth)
		}
		again, err := c.Estimate(e.Distribution, age.PointMedian)
		if err != nil || *again.Age != *e.Age || *again.Low != *e.Low || *again.High != *e.High {
			t.Fatalf("distribution %d: stored gives %v to %v, was %v to %v", i, *again.Low, *again.High, *e.Low, *e.High)
		}
	}
}

func TestPriceAge(t *testing.T) {
	for years, want := range map[float64]int{42: 42, 42.4: 42, 42.5: 43, 0: 0} {
		if got := age.PriceAge(years); got != want {
			t.Errorf("PriceAge(%v) = %d, want %d", years, got, want)
		}
	}
}

func ExampleCalibration_Estimate() {
	c := age.Calibration{
		Method: age.Method, Coverage: 0.9, Score: age.ScoreSpread, SpreadFloor: 5, AbstainWidth: 50,
		Knots: []age.Knot{{At: 40, Low: 1, High: 1.4}, {At: 50, Low: 1, High: 1.9}}, // 1.5 at 42
	}
	output := make([]float32, 100)
	output[40], output[44] = 1, 1 // mean 42, standard deviation 2
	d, _ := age.NewDistribution(output)

	e, err := c.Estimate(d, age.PointMean)
	fmt.Println(*e.Age, *e.Low, *e.High, *e.Coverage, err)
	// Output: 42 35 52 0.9 <nil>
}

// With the score quantile the tails start at the distribution's own quantiles.
func ExampleCalibration_Estimate_quantile() {
	c := age.Calibration{
		Method: age.Method, Coverage: 0.9, Score: age.ScoreQuantile, Quantile: 0.1, AbstainWidth: 50,
		Knots: []age.Knot{{At: 0, Low: 2, High: 3}},
	}
	output := make([]float32, 100)
	for k := 30; k < 50; k++ {
		output[k] = 1 // quantiles 31.5 and 47.5, mean 39.5
	}
	d, _ := age.NewDistribution(output)

	e, err := c.Estimate(d, age.PointMean)
	fmt.Println(*e.Age, *e.Low, *e.High, err)
	// Output: 39.5 30 50 <nil>
}
