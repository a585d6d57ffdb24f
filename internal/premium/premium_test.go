package premium_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/agequote/agequote/internal/premium"
)

// plainNet is the slow way: both sums written out, each survival probability
// multiplied up from the start.
func plainNet(t testing.TB, b premium.Basis, age, term int, sumCents int64) float64 {
	t.Helper()
	var insurance, annuity float64
	for k := range term {
		alive := 1.0
		for d := 1; d <= k; d++ {
			alive *= 1 - rate(t, b, age, d)
		}
		annuity += math.Pow(1+b.Interest, -float64(k)) * alive
		insurance += math.Pow(1+b.Interest, -float64(k+1)) * alive * rate(t, b, age, k+1)
	}
	return float64(sumCents) * insurance / annuity
}

func rate(t testing.TB, b premium.Basis, age, duration int) float64 {
	t.Helper()
	q, err := b.Rates.Q(age, duration)
	if err != nil {
		t.Fatal(err)
	}
	return min(1, b.Multiple*q)
}

func mustNet(tb testing.TB, b premium.Basis, age, term int, sumCents int64) float64 {
	tb.Helper()
	net, err := b.NetAnnual(age, term, sumCents)
	if err != nil {
		tb.Fatal(err)
	}
	return net
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*math.Max(1, math.Abs(b)) }

func TestExpected(t *testing.T) {
	b := premium.Basis{Rates: mustTable(t, "3269"), Interest: 0.03, Multiple: 1}
	distribution := make([]float64, 101)
	distribution[10], distribution[40], distribution[50], distribution[90] = 0.1, 0.4, 0.4, 0.1

	got, mass, err := b.Expected(distribution, 18, 75, 20, 25_000_000)
	want := (mustNet(t, b, 40, 20, 25_000_000) + mustNet(t, b, 50, 20, 25_000_000)) / 2
	if err != nil || !near(got, want) || !near(mass, 0.8) {
		t.Errorf("Expected = %v, %v, %v, want %v and mass 0.8", got, mass, err, want)
	}
	if middle := mustNet(t, b, 45, 20, 25_000_000); got <= middle {
		t.Errorf("Expected = %v, not above %v at the mean age: the premium is convex in age", got, middle)
	}
	if _, mass, err := b.Expected(distribution, 91, 75, 20, 1); err != nil || mass != 0 {
		t.Errorf("Expected over no ages: mass %v, %v, want 0", mass, err)
	}
	if _, _, err := b.Expected([]float64{math.NaN()}, 18, 75, 20, 1); err == nil {
		t.Error("Expected took NaN for a probability")
	}
}

// With q' capped at 1 the insured dies in the first year for certain, and the
// premium is the discounted sum, whatever the term.
func TestNetAnnualCapsMortality(t *testing.T) {
	b := premium.Basis{Rates: mustTable(t, "3269"), Interest: 0.03, Multiple: 3}
	if got, want := mustNet(t, b, 115, 3, 1_000_000), 1_000_000/1.03; !near(got, want) {
		t.Errorf("NetAnnual = %v, want %v", got, want)
	}
}

func TestNetAnnualRefuses(t *testing.T) {
	table := mustTable(t, "3269")
	for name, b := range map[string]premium.Basis{
		"no table":      {Interest: 0.03, Multiple: 1},
		"NaN interest":  {Rates: table, Interest: math.NaN(), Multiple: 1},
		"zero multiple": {Rates: table, Interest: 0.03},
	} {
		if net, err := b.NetAnnual(40, 20, 1); err == nil {
			t.Errorf("%s: NetAnnual = %v, want an error", name, net)
		}
	}
	b := premium.Basis{Rates: table, Interest: 0.03, Multiple: 1}
	if _, err := b.NetAnnual(110, 12, 1); !errors.Is(err, premium.ErrOutsideTable) {
		t.Errorf("a term past the table's end: %v, want ErrOutsideTable", err)
	}
}

// BenchmarkNetAnnual takes turns with the plain way, so that x-plain, the time
// over the plain way's, means the same on a busy machine.
func BenchmarkNetAnnual(b *testing.B) {
	basis := premium.Basis{Rates: mustTable(b, "3269"), Interest: 0.03, Multiple: 1}
	b.ReportAllocs()
	var own, plain time.Duration
	for b.Loop() {
		t0 := time.Now()
		for range 100 {
			mustNet(b, basis, 40, 20, 25_000_000)
		}
		t1 := time.Now()
		for range 100 {
			plainNet(b, basis, 40, 20, 25_000_000)
		}
		own, plain = own+t1.Sub(t0), plain+time.Since(t1)
	}
	b.ReportMetric(float64(own.Nanoseconds())/float64(b.N)/100, "ns/premium")
	b.ReportMetric(own.Seconds()/plain.Seconds(), "x-plain")
}
