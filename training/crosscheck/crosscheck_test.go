package crosscheck

import (
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/premiumerror"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/rules"
	"github.com/agequote/agequote/training/measure"
)

var day = time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)

func options(t *testing.T) Options {
	t.Helper()
	book, err := rulebook.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	return Options{Settings: age.DefaultSettings(age.PointMedian), Folds: 10, Book: book, Date: day}
}

// someone has an interval; the distribution is certain of the estimate.
func someone(id, years int, low, estimate, high float64) person {
	d := make(age.Distribution, 101)
	d[age.PriceAge(estimate)] = 1
	return person{id: id, age: years, sex: "female", estimate: age.Estimate{Age: &estimate, Low: &low, High: &high, Distribution: d}}
}

// TestRule counts five people by hand.
func TestRule(t *testing.T) {
	s, err := newStudy(options(t), sampler{}, premiumerror.Applicant())
	if err != nil {
		t.Fatal(err)
	}
	at := []person{
		someone(0, 40, 36, 40, 44), // agrees
		someone(1, 40, 42, 45, 48), // outside by 2 years
		someone(2, 19, 16, 20, 24), // touches 18
		someone(3, 50, 40, 55, 71), // wider than 30 years
		someone(4, 17, 18, 20, 23), // a minor who looks 20
	}
	for _, tt := range []struct {
		slack                                   float64
		quoted, outside, minors, younger3, old3 float64
	}{
		// 3 years younger: 37 is inside, 37 outside, 16 not insured, 47 inside;
		// older: 43 inside, 43 inside, 22 inside, 53 inside
		{0, 0.25, 0.25, 0, 1. / 3, 0},
		// and 37 is 5 years below 42
		{2, 0.5, 0, 0, 1. / 3, 0},
		{5, 0.5, 0, 0, 0, 0},
	} {
		r, err := s.rule(at, 0.9, tt.slack)
		if err != nil {
			t.Fatal(err)
		}
		got := []float64{r.Quoted.Value, r.FalseAlarm.Value, r.Minors.Value, r.Younger[0].Caught.Value, r.Older[0].Caught.Value}
		want := []float64{tt.quoted, tt.outside, tt.minors, round(tt.younger3), tt.old3}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("slack %g: quoted, outside, minors, younger, older (-want +got)\n%s", tt.slack, diff)
		}
		if r.Quoted.N != 4 || r.Younger[0].Caught.N != 3 || r.Minors.N != 1 || r.TooWide.Value != 0.25 || r.Touches18.Value != 0.25 {
			t.Errorf("slack %g: %+v", tt.slack, r)
		}
		if sum := r.Quoted.Value + r.OnlyFalseAlarm.Value + r.OnlyTooWide.Value + r.OnlyTouches18.Value + r.Several.Value; math.Abs(sum-1) > 1e-3 {
			t.Errorf("slack %g: the parts sum to %g", tt.slack, sum)
		}
	}
}

// TestCharged compares charges with premiums of single ages.
func TestCharged(t *testing.T) {
	s, err := newStudy(options(t), sampler{}, premiumerror.Applicant())
	if err != nil {
		t.Fatal(err)
	}
	premium := func(years int) float64 {
		p, err := s.declaredPrice(years, "female")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	list, who, err := s.priced([]person{
		someone(0, 40, 36, 42, 44),
		someone(1, 60, 55, 70, 76), // the high end has no price
		someone(2, 90, 30, 31, 33), // is not insured
	})
	if err != nil {
		t.Fatal(err)
	}
	for charge, want := range map[string]float64{
		"estimated": (premium(42) + premium(70)) / (premium(40) + premium(60)),
		"expected":  (premium(42) + premium(70)) / (premium(40) + premium(60)),
		"high":      premium(44) / premium(40),
	} {
		c, err := s.charged(charge, list, who)
		if err != nil {
			t.Fatal(err)
		}
		if c.Ratio.Pooled != round(want) {
			t.Errorf("charge %s: %v, want %v", charge, c.Ratio.Pooled, round(want))
		}
		if full := map[bool]float64{true: 0.5, false: 1}[charge == "high"]; c.Quoted.N != 2 || c.Quoted.Value != full {
			t.Errorf("charge %s: quoted %+v, want %g of 2", charge, c.Quoted, full)
		}
	}
	ratio, unpriced := s.highToLow(list)
	if ratio.N != 1 || ratio.Median != round(premium(44)/premium(36)) || unpriced.Value != 0.5 {
		t.Errorf("high to low %+v, without a price %+v", ratio, unpriced)
	}
}

func TestRatioOf(t *testing.T) {
	// Three photos of one person and one of another.
	got := sampler{}.ratioOf([]observed[pair]{{7, pair{1, 1}}, {7, pair{4, 2}}, {7, pair{9, 3}}, {9, pair{40, 10}}})
	want := Ratio{N: 4, P10: 1, Median: 2, P90: 4, Pooled: 54. / 16, MedianCI: &evaluation.Interval{2, 4}, PooledCI: &evaluation.Interval{round(14. / 6), 4}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// readings are people whom a made-up network reads with an error of 6 years.
func readings(t *testing.T, n int) []measure.Reading {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	var list []measure.Reading
	for i := range n {
		years := 14 + r.IntN(62)
		at := float64(years) + 6*r.NormFloat64()
		output := make([]float32, 101)
		for k := range output {
			output[k] = float32(math.Exp(-(float64(k) - at) * (float64(k) - at) / 72))
		}
		d, err := age.NewDistribution(output)
		if err != nil {
			t.Fatal(err)
		}
		one := measure.Reading{Code: reason.OK, Distribution: d, Label: evaluation.Label{
			File: "x", Age: float64(years), Groups: map[string]string{"sex": []string{"female", "male", ""}[i%3], "dataset": "made-up"},
		}}
		one.Label.Person = "p" + string(rune('a'+i%26)) + string(rune('a'+i/26))
		if i%40 == 0 {
			one.Code = reason.Blurred
		}
		list = append(list, one)
	}
	return list
}

// TestMeasure checks what holds for any model: wider intervals and more slack
// alarm and catch less, a larger misstatement is caught more often, and the
// false-alarm rate is about what the level leaves.
func TestMeasure(t *testing.T) {
	if testing.Short() {
		t.Skip("draws a thousand times for each of hundreds of figures")
	}
	people := readings(t, 400)
	d, err := Measure(people, options(t))
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range d.Levels {
		r := l.Rules[0]
		if gap := math.Abs(r.FalseAlarm.Value - (1 - l.Asked)); gap > 0.08 {
			t.Errorf("level %g: false alarms %g", l.Asked, r.FalseAlarm.Value)
		}
		if i > 0 && (l.Width < d.Levels[i-1].Width || r.FalseAlarm.Value > d.Levels[i-1].Rules[0].FalseAlarm.Value) {
			t.Errorf("level %g is no wider than the one before, or alarms more", l.Asked)
		}
		for s := range l.Rules {
			if s > 0 && l.Rules[s].FalseAlarm.Value > l.Rules[s-1].FalseAlarm.Value {
				t.Errorf("level %g: more slack alarms more", l.Asked)
			}
		}
		if r.Younger[0].Caught.Value > r.Younger[3].Caught.Value {
			t.Errorf("level %g: 3 years are caught more often than 15", l.Asked)
		}
	}
	if len(d.Products) != 3 || d.Photos.Refused["blurred"] == 0 || len(d.Groups) == 0 {
		t.Errorf("%d products, %v refused, %d groups", len(d.Products), d.Photos.Refused, len(d.Groups))
	}
	b, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(b)
	again.Schema = 0
	if err != nil || !reflect.DeepEqual(d, again) {
		t.Errorf("read again: %v\n%s", err, cmp.Diff(d, again))
	}
	if text := Markdown(d, "plots"); strings.Contains(text, "NaN") || strings.Contains(text, "| |") {
		t.Errorf("gaps in the tables:\n%s", text)
	}
}

func TestMarked(t *testing.T) {
	before, part, after, err := Marked("head\n" + begin + "old\n" + end + "tail\n")
	if err != nil || before != "head\n"+begin || part != "old\n" || after != end+"tail\n" {
		t.Errorf("Marked = %q, %q, %q, %v", before, part, after, err)
	}
	if _, _, _, err := Marked("head\n" + begin); err == nil {
		t.Error("Marked takes a text without an end, want an error")
	}
}
