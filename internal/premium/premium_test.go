package premium_test

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"os"
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

func TestNetAnnualProperties(t *testing.T) {
	for _, number := range []string{"3269", "3272", "3298", "2694"} {
		table := mustTable(t, number)
		for _, multiple := range []float64{0.75, 1, 3} {
			b := premium.Basis{Rates: table, Interest: 0.03, Multiple: multiple}
			for age := 18; age <= 80; age++ {
				for _, term := range []int{1, 10, 30} {
					net := mustNet(t, b, age, term, 25_000_000)
					if plain := plainNet(t, b, age, term, 25_000_000); !near(net, plain) {
						t.Errorf("table %s age %d term %d: %v by recursion, %v by sums", number, age, term, net, plain)
					}
					if twice := mustNet(t, b, age, term, 50_000_000); !near(twice, 2*net) {
						t.Errorf("table %s age %d term %d: not linear in the sum", number, age, term)
					}
					if risesWithAge(t, b, age, term) && mustNet(t, b, age+1, term, 25_000_000) < net {
						t.Errorf("table %s age %d term %d: cheaper a year later though every rate is higher", number, age, term)
					}
				}
				oneYear := b.Multiple * rate(t, premium.Basis{Rates: table, Multiple: 1}, age, 1) * 25_000_000 / 1.03
				if net := mustNet(t, b, age, 1, 25_000_000); !near(net, oneYear) {
					t.Errorf("table %s age %d: one year costs %v, want v*q*sum = %v", number, age, net, oneYear)
				}
			}
		}
	}
}

// risesWithAge tells whether every rate of the term is at least as high one
// issue age later, and whether rates rise within the term: only then must the
// level premium rise.
func risesWithAge(t *testing.T, b premium.Basis, age, term int) bool {
	t.Helper()
	for d := 1; d <= term; d++ {
		if rate(t, b, age+1, d) < rate(t, b, age, d) {
			return false
		}
		if d > 1 && rate(t, b, age+1, d) < rate(t, b, age+1, d-1) {
			return false
		}
	}
	return true
}

// TestAgainstPymort compares with testdata/premiums.tsv, made by an
// independent program with an independent reader: testdata/premiums.py.
func TestAgainstPymort(t *testing.T) {
	file, err := os.Open("testdata/premiums.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Scan() // header
	n := 0
	for ; lines.Scan(); n++ {
		var table string
		var age, term int
		var interest, multiple, factor float64
		var sum, wantNet, wantGross, wantModal int64
		var loads premium.Loads
		if _, err := fmt.Sscan(lines.Text(), &table, &age, &term, &interest, &multiple, &sum,
			&loads.Loading, &loads.PolicyFeeCents, &factor, &wantNet, &wantGross, &wantModal); err != nil {
			t.Fatal(err)
		}
		net := mustNet(t, premium.Basis{Rates: mustTable(t, table), Interest: interest, Multiple: multiple}, age, term, sum)
		gross := loads.Gross(net, sum, nil, 1)
		got := [3]int64{premium.RoundCents(net), gross, premium.Modal(gross, factor)}
		if want := [3]int64{wantNet, wantGross, wantModal}; got != want {
			t.Errorf("%s: net, gross, modal = %v, want %v", lines.Text(), got, want)
		}
	}
	if n < 30 {
		t.Errorf("%d cases, want the whole file", n)
	}
}

func TestRounding(t *testing.T) {
	for _, tt := range []struct {
		gross  int64
		factor float64
		want   int64
	}{
		{40, 0.0875, 4}, // 3.5 exactly, up
		{39, 0.0875, 3},
		{1, 0.5, 1},
		{45_023, 0.0875, 3940}, // 3939.5125
		{1_000_000_000_000, 1, 1_000_000_000_000},
	} {
		if got := premium.Modal(tt.gross, tt.factor); got != tt.want {
			t.Errorf("Modal(%d, %v) = %d, want %d", tt.gross, tt.factor, got, tt.want)
		}
	}
	loads := premium.Loads{Loading: 0.2, PolicyFeeCents: 50}
	if got := loads.Gross(300.4, 100_000, []premium.FlatExtra{{PerMille: 1}}, 1); got != 551 { // 400.4/.8 + 50 = 550.5
		t.Errorf("Gross = %d, want 551", got)
	}
}

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
