package rulebook_test

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/premium"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/underwriting"
	"github.com/agequote/agequote/rules"
)

var severity = map[underwriting.Decision]int{"quote": 0, "refer": 1, "postpone": 2, "decline": 3}

// gross returns the premium of the first year; ok is false where there is none.
func gross(t *testing.T, b *rulebook.Book, a *applicant, j judge) (cents int64, ok bool) {
	t.Helper()
	if j.err != nil || j.assessment.Price.Refused != "" {
		return 0, false
	}
	rates, err := b.Rates(j.assessment)
	if err != nil {
		t.Fatal(err)
	}
	net, err := premium.Basis{Rates: rates, Interest: j.product.Interest, Multiple: j.assessment.Multiple}.NetAnnual(j.assessment.Price.Age, a.facts.TermYears, a.facts.SumCents)
	if err != nil {
		t.Fatal(err)
	}
	return j.product.Loads.Gross(net, a.facts.SumCents, j.assessment.Extras, 1), true
}

// TestWorseIsNeverBetter makes one risk factor of a random applicant worse. The
// decision must not get milder, nor the premium lower. Of tobacco only the
// decision is held: below about 28 the published tables have smokers of low
// relative risk under non-smokers of high one.
func TestWorseIsNeverBetter(t *testing.T) {
	b, err := rulebook.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(5, 2026))
	uses := []string{"never", "former:9", "former:4.5", "former:2.5", "former:1.5", "former:0.5", "current"}
	for n := range 20_000 {
		a, p := someone(t, b, r, uses)
		worse, priced := a, true
		switch factor := n % 5; factor {
		case 0: // heavier than the middle of the best class, or lighter
			ideal := 22.5 * a.facts.HeightCM * a.facts.HeightCM / 10_000
			if by := 1 + 30*r.Float64(); a.facts.WeightKG >= ideal {
				worse.facts.WeightKG += by
			} else {
				worse.facts.WeightKG = max(26, worse.facts.WeightKG-by)
			}
		case 1:
			at := r.IntN(len(uses))
			a.facts.Tobacco, worse.facts.Tobacco = uses[at], uses[min(at+1+r.IntN(3), len(uses)-1)]
			priced = worse.facts.Tobacco != "current" && worse.facts.Tobacco != "former:0.5"
		case 2:
			worse.facts.Answers = map[string]bool{p.Questions[r.IntN(len(p.Questions))].ID: true}
			for id := range a.facts.Answers {
				worse.facts.Answers[id] = true
			}
		case 3: // past the limits the sum declines
			worse.facts.SumCents = a.facts.SumCents * int64(1+r.IntN(50))
			if a.facts.SumCents < p.MinSumCents {
				continue
			}
		case 4:
			older := *a.facts.Age + float64(1+r.IntN(40))
			worse.facts.Age = &older
			if *a.facts.Age < 30 { // the rates fall with age somewhere under 30, and too young declines
				continue
			}
		}
		before, after := decide(b, &a), decide(b, &worse)
		if before.err != nil || after.err != nil {
			t.Fatalf("%s: %v; %s: %v", a, before.err, worse, after.err)
		}
		if severity[after.assessment.Decision] < severity[before.assessment.Decision] {
			t.Errorf("%s: %s\nworse %s: %s", a, before.decision(), worse, after.decision())
		}
		first, ok := gross(t, b, &a, before)
		second, still := gross(t, b, &worse, after)
		if priced && ok && still && second < first {
			t.Errorf("%s: %s %d\nworse %s: %s %d", a, before.decision(), first, worse, after.decision(), second)
		}
	}
}

// someone is a random applicant of a random product, inside and outside its
// limits.
func someone(t *testing.T, b *rulebook.Book, r *rand.Rand, uses []string) (applicant, *underwriting.Product) {
	t.Helper()
	a := applicant{date: "2026-11-24"}
	a.facts.Market = []string{"US", "EU", "IN"}[r.IntN(3)]
	p, err := b.Product(a.facts.Market, "", date(a.date))
	if err != nil {
		t.Fatal(err)
	}
	if !p.Unisex {
		a.facts.Sex = []string{"female", "male"}[r.IntN(2)]
	}
	age := float64(16 + r.IntN(70))
	a.facts.Age = &age
	a.facts.HeightCM, a.facts.WeightKG = 135+75*r.Float64(), 35+100*r.Float64()
	a.facts.Tobacco = uses[r.IntN(len(uses))]
	a.facts.SumCents = p.MinSumCents/2 + r.Int64N(p.MaxSumCents)
	a.facts.TermYears = p.Terms[r.IntN(len(p.Terms))]
	a.facts.Answers = map[string]bool{}
	for range r.IntN(3) {
		a.facts.Answers[p.Questions[r.IntN(len(p.Questions))].ID] = true
	}
	return a, p
}

// Rates are those of the class: a blend of both sexes where a product is
// unisex, and the same value for the same assessment.
func TestRates(t *testing.T) {
	b, err := rulebook.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	a := underwriting.Assessment{AgeBasis: premium.AgeLastBirthday, Rates: []underwriting.TableShare{{Number: 3239, Share: 0.55}, {Number: 3211, Share: 0.45}}}
	blend, err := b.Rates(a)
	if err != nil {
		t.Fatal(err)
	}
	male, _ := b.Table(3239)
	female, _ := b.Table(3211)
	m, _ := male.Q(40, 3)
	f, _ := female.Q(40, 3)
	w := 0.55 // as a variable: constants would be exact
	if q, err := blend.Q(40, 3); err != nil || q != w*m+(1-w)*f {
		t.Errorf("blended q = %v, %v, want %v", q, err, w*m+(1-w)*f)
	}
	if again, _ := b.Rates(a); again != blend {
		t.Error("the same assessment got other rates")
	}
	a.AgeBasis, a.Rates = premium.AgeNearestBirthday, a.Rates[:1]
	nearest, err := b.Rates(a)
	if err != nil {
		t.Fatal(err)
	}
	younger, _ := male.Q(39, 3)
	if q, _ := nearest.Q(40, 3); q != (younger+m)/2 {
		t.Errorf("q at 40 nearest birthday = %v, want %v", q, (younger+m)/2)
	}
	if _, err := b.Rates(underwriting.Assessment{}); err == nil {
		t.Error("rates without a class, want an error")
	}
}

// docs/rules.md is what the rule files say.
func TestDoc(t *testing.T) {
	b, err := rulebook.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := b.WriteDoc(&text); err != nil {
		t.Fatal(err)
	}
	const name = "../../docs/rules.md"
	if *update {
		if err := os.WriteFile(name, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text.String()); diff != "" {
		t.Errorf("docs/rules.md is not what `agequote rules doc` prints (-want +got):\n%s", diff)
	}
}
