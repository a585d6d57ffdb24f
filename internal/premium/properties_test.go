package premium_test

import (
	"flag"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/agequote/agequote/internal/premium"
)

var seed = flag.Uint64("seed", 1, "seed of the random cases of the properties")

func source() *rand.Rand { return rand.New(rand.NewPCG(*seed, 5)) }

// aboveRounding tells whether a is above b by more than roundings explain.
func aboveRounding(a, b float64) bool { return a > b*(1+1e-13) }

// eachBasis calls f with random bases over every kind of rates, an age and a
// term within them.
func eachBasis(t *testing.T, n int, f func(rng *rand.Rand, name string, b premium.Basis, age, term int)) {
	rng, all := source(), allRates(t)
	names := slices.Sorted(maps.Keys(all))
	for range n {
		name := names[rng.IntN(len(names))]
		b := premium.Basis{Rates: all[name], Interest: float64(rng.IntN(1500)) / 1e4, Multiple: 0.25 + 4*rng.Float64()}
		age := b.Rates.MinAge() + rng.IntN(b.Rates.MaxAge()-b.Rates.MinAge()+1)
		term := 1 + rng.IntN(min(40, b.Rates.MaxAge()-age+1))
		f(rng, name, b, age, term)
	}
}

// risesWithAge tells whether every rate of the term is at least as high one
// issue age later. Then the level premium may not be lower: at an interest of
// 0 or more a policy's reserve never exceeds the sum, so that a higher rate in
// any year costs.
func risesWithAge(t *testing.T, b premium.Basis, age, term int) bool {
	t.Helper()
	for year := 1; year <= term; year++ {
		if rate(t, b, age+1, year) < rate(t, b, age, year) {
			return false
		}
	}
	return true
}

func TestNeverFallsWithAge(t *testing.T) {
	held := 0
	eachBasis(t, 3000, func(_ *rand.Rand, name string, b premium.Basis, age, term int) {
		if age+term > b.Rates.MaxAge() || !risesWithAge(t, b, age, term) {
			return
		}
		held++
		if now, later := mustNet(t, b, age, term, 25_000_000), mustNet(t, b, age+1, term, 25_000_000); aboveRounding(now, later) {
			t.Errorf("%s, %+v, term %d: %v at %d, %v a year older though no rate is lower", name, b, term, now, age, later)
		}
	})
	if held < 1000 {
		t.Errorf("the rates rose in %d cases only", held)
	}
}

func TestRisesWithTheMultiple(t *testing.T) {
	eachBasis(t, 3000, func(rng *rand.Rand, name string, b premium.Basis, age, term int) {
		more := b
		more.Multiple += 3 * rng.Float64()
		if x, y := mustNet(t, b, age, term, 25_000_000), mustNet(t, more, age, term, 25_000_000); aboveRounding(x, y) {
			t.Errorf("%s at %d for %d: %v with %v times the mortality, %v with %v", name, age, term, x, b.Multiple, y, more.Multiple)
		}
	})
}

// With rates that rise over the term, interest makes cover cheaper: it weighs
// early years, the cheap ones, more.
func TestFallsWithInterest(t *testing.T) {
	held := 0
	eachBasis(t, 3000, func(rng *rand.Rand, name string, b premium.Basis, age, term int) {
		for year := 2; year <= term; year++ {
			if rate(t, b, age, year) < rate(t, b, age, year-1) {
				return
			}
		}
		held++
		more := b
		more.Interest += rng.Float64() / 10
		if x, y := mustNet(t, b, age, term, 25_000_000), mustNet(t, more, age, term, 25_000_000); aboveRounding(y, x) {
			t.Errorf("%s at %d for %d: %v at %v interest, %v at %v", name, age, term, x, b.Interest, y, more.Interest)
		}
	})
	if held < 1000 {
		t.Errorf("the rates rose in %d cases only", held)
	}
}

// The unisex premium lies between those of the sexes where one sex has the
// lower rates throughout, moves towards the men's with their share, and is
// theirs and the women's at the ends.
func TestUnisexLiesBetween(t *testing.T) {
	male, female := mustTable(t, "3269"), mustTable(t, "3270")
	rng, held := source(), 0
	for range 2000 {
		age, term := 18+rng.IntN(60), 1+rng.IntN(30)
		on := func(r premium.Rates) float64 {
			return mustNet(t, premium.Basis{Rates: r, Interest: 0.03, Multiple: 1}, age, term, 25_000_000)
		}
		m, f := on(male), on(female)
		if on(premium.Blend(male, female, 1)) != m || on(premium.Blend(male, female, 0)) != f {
			t.Errorf("at %d for %d: a mix of one sex is not that sex", age, term)
		}
		if !lower(t, female, male, age, term) {
			continue
		}
		held++
		less := rng.Float64()
		more := less + (1-less)*rng.Float64()
		x, y := on(premium.Blend(male, female, less)), on(premium.Blend(male, female, more))
		if aboveRounding(f, x) || aboveRounding(x, y) || aboveRounding(y, m) {
			t.Errorf("at %d for %d: women %v, shares of men %v and %v: %v, %v, men %v", age, term, f, less, more, x, y, m)
		}
	}
	if held < 1000 {
		t.Errorf("women had the lower rates in %d cases only", held)
	}
}

func lower(t *testing.T, a, b premium.Rates, age, term int) bool {
	t.Helper()
	for year := 1; year <= term; year++ {
		if rate(t, premium.Basis{Rates: a, Multiple: 1}, age, year) > rate(t, premium.Basis{Rates: b, Multiple: 1}, age, year) {
			return false
		}
	}
	return true
}

// Never a cent less for more cover, whatever bands and extras, across every
// edge by a cent; and never a cent more when a temporary extra ends.
func TestGrossNeverFallsWithCover(t *testing.T) {
	eachBasis(t, 3000, func(rng *rand.Rand, name string, b premium.Basis, age, term int) {
		loads := premium.Loads{Loading: rng.Float64() * 0.8, PolicyFeeCents: rng.Int64N(20_000)}
		edge := int64(0)
		for range rng.IntN(4) {
			edge += 1 + rng.Int64N(50_000_000)
			loads.Bands = append(loads.Bands, premium.SumBand{FromCents: edge, Discount: rng.Float64() * 0.99})
		}
		var extras []premium.FlatExtra
		for range rng.IntN(3) {
			extras = append(extras, premium.FlatExtra{PerMille: 20 * rng.Float64(), Years: rng.IntN(term + 1)})
		}
		sums := []int64{1 + rng.Int64N(200_000_000), 1 + rng.Int64N(200_000_000), 1}
		for _, band := range loads.Bands {
			sums = append(sums, band.FromCents, band.FromCents+1, band.FromCents+100)
		}
		slices.Sort(sums)
		year, last := 1+rng.IntN(term), int64(0)
		for _, sum := range sums {
			net := mustNet(t, b, age, term, sum)
			gross := loads.Gross(net, sum, extras, year)
			if gross < last {
				t.Errorf("%s at %d for %d, %+v, %v: %d for %d, less than for less cover", name, age, term, loads, extras, gross, sum)
			}
			if year < term && loads.Gross(net, sum, extras, year+1) > gross {
				t.Errorf("%v: dearer in year %d than in the one before", extras, year+1)
			}
			last = gross
		}
	})
}

// The expected premium is a mean: within the premiums of the ages that have
// mass, the premium itself where there is one age, and the same for a
// distribution that is not normalised.
func TestExpectedIsAMean(t *testing.T) {
	eachBasis(t, 1000, func(rng *rand.Rand, name string, b premium.Basis, age, term int) {
		lowest, highest := b.Rates.MinAge(), b.Rates.MaxAge()-term+1
		one, many := make([]float64, 131), make([]float64, 131)
		one[age] = 1
		var least, most float64
		for range 1 + rng.IntN(20) {
			k := max(0, lowest) + rng.IntN(highest-max(0, lowest)+1)
			many[k] = rng.Float64()
			net := mustNet(t, b, k, term, 25_000_000)
			if least == 0 || net < least {
				least = net
			}
			most = max(most, net)
		}
		got, _, err := b.Expected(one, lowest, highest, term, 25_000_000)
		if want := mustNet(t, b, age, term, 25_000_000); err != nil || got != want {
			t.Errorf("%s: expected over one age %v, %v, want the premium %v", name, got, err, want)
		}
		got, _, err = b.Expected(many, lowest, highest, term, 25_000_000)
		if err != nil || aboveRounding(least, got) || aboveRounding(got, most) {
			t.Errorf("%s: expected %v, %v, outside %v to %v", name, got, err, least, most)
		}
		for k := range many {
			many[k] *= 0.25
		}
		if again, _, _ := b.Expected(many, lowest, highest, term, 25_000_000); again != got {
			t.Errorf("%s: expected %v, %v with a quarter of every mass", name, got, again)
		}
	})
}

// An instalment never falls as the premium or the factor rises, and is within
// half a cent of their product.
func TestModalInstalments(t *testing.T) {
	rng := source()
	for range 10_000 {
		gross, micros := rng.Int64N(1e9), 1+rng.Int64N(1e6)
		got := premium.Modal(gross, float64(micros)/1e6)
		if twice := 2 * (got*1e6 - gross*micros); twice > 1e6 || twice <= -1e6 {
			t.Errorf("Modal(%d, %d millionths) = %d", gross, micros, got)
		}
		if premium.Modal(gross+1, float64(micros)/1e6) < got || premium.Modal(gross, float64(micros+1)/1e6) < got {
			t.Errorf("Modal(%d, %d millionths) = %d, less for more", gross, micros, got)
		}
		if premium.Modal(gross, 1) != gross {
			t.Errorf("a yearly instalment of %d is not the premium", gross)
		}
	}
}

// The recursion and the written-out sums agree; one year's premium is v*q'*sum.
func TestRecursionIsTheSum(t *testing.T) {
	eachBasis(t, 1500, func(_ *rand.Rand, name string, b premium.Basis, age, term int) {
		net := mustNet(t, b, age, term, 25_000_000)
		if plain := plainNet(t, b, age, term, 25_000_000); !near(net, plain) {
			t.Errorf("%s at %d for %d: %v by recursion, %v by sums", name, age, term, net, plain)
		}
		year := mustNet(t, b, age, 1, 25_000_000)
		if want := rate(t, b, age, 1) * 25_000_000 / (1 + b.Interest); !near(year, want) {
			t.Errorf("%s at %d: one year costs %v, want v*q*sum = %v", name, age, year, want)
		}
	})
}
