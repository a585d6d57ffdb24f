package fairness

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// reference is what scipy and statsmodels say, see testdata/reference.py.
type reference struct {
	Tables []struct {
		A, B      [2]int
		Wilson    Interval
		Gap       float64
		Newcombe  Interval
		Odds      float64
		OddsCI    Interval `json:"odds_ci"`
		Corrected bool
		Ratio     *float64
		RatioCI   *Interval `json:"ratio_ci"`
		Fisher    float64
	}
	Means struct {
		A, B      []float64
		Gap       float64
		PNormal   float64 `json:"p_normal"`
		Bootstrap Interval
	}
	Common struct {
		Strata [][4]int
		Odds   float64
		CI     Interval
		P      float64
		Bands  [][2][]float64
		Gap    float64
	}
	Holm struct{ P, Adjusted []float64 }
}

func readReference(t *testing.T) (r reference) {
	t.Helper()
	raw, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// near fails unless got is want to nine digits.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-9*max(1, math.Abs(want))) {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func TestShares(t *testing.T) {
	for _, r := range readReference(t).Tables {
		a, b := Share{r.A[0], r.A[1]}, Share{r.B[0], r.B[1]}
		t.Logf("%v against %v", a, b)
		w := a.wilson()
		near(t, "wilson low", w[0], r.Wilson[0])
		near(t, "wilson high", w[1], r.Wilson[1])
		d, ci := gap(a, b)
		near(t, "gap", d, r.Gap)
		near(t, "newcombe low", ci[0], r.Newcombe[0])
		near(t, "newcombe high", ci[1], r.Newcombe[1])
		ratio, ci, corrected := odds(a, b)
		near(t, "odds ratio", ratio, r.Odds)
		near(t, "odds ratio low", ci[0], r.OddsCI[0])
		near(t, "odds ratio high", ci[1], r.OddsCI[1])
		if corrected != r.Corrected {
			t.Errorf("corrected = %v, want %v", corrected, r.Corrected)
		}
		near(t, "fisher", fisher(a, b), r.Fisher)
		ratio, rci, ok := rateRatio(a, b)
		if ok != (r.Ratio != nil) || (rci != nil) != (r.RatioCI != nil) {
			t.Fatalf("rateRatio: ok %v, interval %v; want %v, %v", ok, rci, r.Ratio, r.RatioCI)
		}
		if ok {
			near(t, "ratio", ratio, *r.Ratio)
		}
		if rci != nil {
			near(t, "ratio low", rci[0], r.RatioCI[0])
			near(t, "ratio high", rci[1], r.RatioCI[1])
		}
	}
}

// TestNewcombePaper holds the interval against the paper's own table II, method
// 10, to the four digits printed there.
func TestNewcombePaper(t *testing.T) {
	for _, tt := range []struct {
		a, b Share
		want Interval
	}{
		{Share{56, 70}, Share{48, 80}, Interval{0.0524, 0.3339}},
		{Share{9, 10}, Share{3, 10}, Interval{0.1705, 0.8090}},
		{Share{6, 7}, Share{2, 7}, Interval{0.0582, 0.8062}},
		{Share{5, 56}, Share{0, 29}, Interval{-0.0381, 0.1926}},
		{Share{0, 10}, Share{0, 20}, Interval{-0.1611, 0.2775}},
		{Share{10, 10}, Share{0, 20}, Interval{0.6791, 1}},
	} {
		_, ci := gap(tt.a, tt.b)
		for i := range ci {
			if math.Abs(ci[i]-tt.want[i]) > 0.00005001 {
				t.Errorf("gap(%v, %v) = %.5f, want %v", tt.a, tt.b, ci, tt.want)
			}
		}
	}
}

func TestMeans(t *testing.T) {
	r := readReference(t).Means
	near(t, "welch", welch(momentsOf(r.A), momentsOf(r.B)), r.PNormal)
	d, ci := meanGap("test", r.A, r.B)
	near(t, "gap", d, r.Gap)
	// Two bootstraps differ by chance: here by some hundredths of the width.
	for i := range ci {
		if math.Abs(ci[i]-r.Bootstrap[i]) > 0.05*(r.Bootstrap[1]-r.Bootstrap[0]) {
			t.Errorf("bootstrap interval = %v, want about %v", ci, r.Bootstrap)
		}
	}
	// The way of large groups gives nearly the same.
	many := make([]float64, bootstrapMost)
	for i := range many {
		many[i] = r.B[i%len(r.B)]
	}
	half := z * math.Sqrt(momentsOf(r.A).variance()/float64(len(r.A))+momentsOf(many).variance()/bootstrapMost)
	d, ci = meanGap("test", r.A, many)
	near(t, "large low", ci[0], d-half)
}

func TestHolm(t *testing.T) {
	r := readReference(t).Holm
	for i, v := range holm(r.P) {
		near(t, "holm", v, r.Adjusted[i])
	}
}

func TestWithinStrata(t *testing.T) {
	r := readReference(t).Common
	var strata []stratum
	for _, s := range r.Strata {
		strata = append(strata, stratum{Share{s[0], s[1]}, Share{s[2], s[3]}})
	}
	ratio, ci, p, ok := commonOdds(strata)
	if !ok {
		t.Fatal("no common odds ratio")
	}
	near(t, "p", p, r.P)
	near(t, "common odds ratio", ratio, r.Odds)
	near(t, "low", ci[0], r.CI[0])
	near(t, "high", ci[1], r.CI[1])
	var a, b []moments
	for _, band := range r.Bands {
		a, b = append(a, momentsOf(band[0])), append(b, momentsOf(band[1]))
	}
	d, ci, _, ok := commonGap(a, b)
	if !ok || !ci.holds(d) {
		t.Fatalf("common gap %v, %v, %v", d, ci, ok)
	}
	near(t, "common gap", d, r.Gap)
	if _, _, _, ok := commonOdds([]stratum{{Share{0, 5}, Share{1, 5}}}); ok {
		t.Error("an odds ratio of 0 has an interval")
	}
}
