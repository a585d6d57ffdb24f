package underwriting_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/premium"
	"github.com/agequote/agequote/internal/underwriting"
)

// product is small enough to see every limit beside the tests that meet it.
func product() *underwriting.Product {
	table := func(n int) []underwriting.TableShare { return []underwriting.TableShare{{Number: n, Share: 1}} }
	p := &underwriting.Product{
		ID: "term", Market: "US", AgeBasis: premium.AgeLastBirthday,
		Terms: []int{10, 20}, MinAge: 20, MaxAge: 60, MaxExpiryAge: 75,
		MinSumCents: 1_000_000, MaxSumCents: 100_000_000,
		Photo:            underwriting.Photo{Role: underwriting.Prefill, Charge: underwriting.ChargeEstimated},
		MaxIntervalWidth: 30, TobaccoFreeYears: 1, MaxSteps: 6,
		Classes: []underwriting.Class{
			{Name: "Preferred", TobaccoFreeYears: 3, Female: table(1), Male: table(11)},
			{Name: "Standard", Level: 1, TobaccoFreeYears: 1, Female: table(2), Male: table(12)},
			{Name: "Preferred Tobacco", Tobacco: true, Female: table(3), Male: table(13)},
			{Name: "Standard Tobacco", Level: 1, Tobacco: true, Female: table(4), Male: table(14)},
		},
		ModalFactors: map[string]float64{"annual": 1, "quarterly": 0.26},
		Questions: []underwriting.Question{
			{ID: "class", Rule: "Q-CLASS", Yes: underwriting.Effect{Level: 1}},
			{ID: "steps", Rule: "Q-STEPS", Yes: underwriting.Effect{Steps: 4}},
			{ID: "permanent", Rule: "Q-PERMANENT", Yes: underwriting.Effect{Extra: premium.FlatExtra{PerMille: 2.5}}},
			{ID: "temporary", Rule: "Q-TEMPORARY", Yes: underwriting.Effect{Extra: premium.FlatExtra{PerMille: 5, Years: 3}}},
			{ID: "refer", Rule: "Q-REFER", Yes: underwriting.Effect{Refer: true}},
			{ID: "postpone", Rule: "Q-POSTPONE", Yes: underwriting.Effect{PostponeMonths: 12}},
			{ID: "decline", Rule: "Q-DECLINE", Yes: underwriting.Effect{Decline: true}},
		},
	}
	outcomes := []underwriting.Outcome{{Decision: underwriting.Refer}, {}, {Level: 1}, {Level: 1, Steps: 3}, {Decision: underwriting.Decline}}
	for _, sex := range []string{"female", "male"} {
		p.Chart.Panels = append(p.Chart.Panels,
			underwriting.Panel{Sex: sex, FromAge: 20, ToAge: 50, Outcomes: outcomes, Rows: []underwriting.Row{{From: 150, To: 200, Weights: []float64{50, 70, 90, 110}}}},
			underwriting.Panel{Sex: sex, FromAge: 50, ToAge: 61, Outcomes: outcomes, Rows: []underwriting.Row{{From: 150, To: 200, Weights: []float64{50, 66, 90, 110}}}})
	}
	return p
}

func TestDecide(t *testing.T) {
	type ages = [4]underwriting.Code // refusals of: price age, low, estimated, high
	const (
		minor, photoMinor = underwriting.Under18, underwriting.PhotoUnder18
		under, over, late = underwriting.AgeUnderLimit, underwriting.AgeOverLimit, underwriting.AgeAtExpiry
		build             = underwriting.BuildOutsideClass
	)
	tests := []struct {
		name     string
		age      float64 // 0: not stated
		photo    []float64
		spoil    func(*underwriting.Facts)
		decision underwriting.Decision
		codes    []underwriting.Code
		refused  ages
	}{
		{name: "stated only", age: 42.9, decision: "quote"},
		{name: "photo only", photo: []float64{42, 30, 54}, decision: "quote"},
		{name: "both agree, at the very end", age: 54.9, photo: []float64{42, 30, 54}, decision: "quote"},
		{name: "stated above the interval", age: 55, photo: []float64{42, 30, 54}, decision: "refer", codes: []underwriting.Code{"age_contradicts"}},
		{name: "stated below the interval", age: 29.9, photo: []float64{42, 30, 54}, decision: "refer", codes: []underwriting.Code{"age_contradicts"}},
		{name: "interval as wide as allowed", photo: []float64{40, 25.1, 55.1}, decision: "quote"},
		{name: "interval too wide", photo: []float64{40, 25, 55.1}, decision: "refer", codes: []underwriting.Code{"age_uncertain"}},

		{name: "stated 17", age: 17.99, decision: "decline", codes: []underwriting.Code{minor}, refused: ages{minor}},
		{name: "stated 17, adult photo", age: 17, photo: []float64{30, 25, 35}, decision: "decline",
			codes: []underwriting.Code{minor, "age_contradicts"}, refused: ages{minor, minor, minor, minor}},
		{name: "photo wholly under 18 refers, no price", photo: []float64{14, 10, 17.9}, decision: "refer",
			codes: []underwriting.Code{photoMinor}, refused: ages{photoMinor, photoMinor, photoMinor, photoMinor}},
		{name: "photo wholly under 18 beats the stated age", age: 30, photo: []float64{14, 10, 17.9}, decision: "refer",
			codes: []underwriting.Code{photoMinor, "age_contradicts"}, refused: ages{photoMinor, photoMinor, photoMinor, photoMinor}},
		{name: "photo touches 18", photo: []float64{24, 17.9, 30}, decision: "refer",
			codes: []underwriting.Code{"photo_touches_18"}, refused: ages{"", minor, "", ""}},
		{name: "photo estimate under 18", photo: []float64{17.6, 12, 24}, decision: "refer",
			codes: []underwriting.Code{"photo_touches_18"}, refused: ages{minor, minor, minor, ""}},

		{name: "stated over the limit", age: 61, decision: "decline", codes: []underwriting.Code{over}, refused: ages{over}},
		{name: "stated under the product's limit", age: 19, decision: "decline", codes: []underwriting.Code{under}, refused: ages{under}},
		{name: "stated too old at expiry", age: 56, decision: "decline", codes: []underwriting.Code{late}, refused: ages{late}},
		{name: "estimate over the limit refers", photo: []float64{61, 50, 72}, decision: "refer",
			codes: []underwriting.Code{over}, refused: ages{over, "", over, over}},
		{name: "an end over the limit is only not priced", age: 50, photo: []float64{50, 40, 62}, decision: "quote",
			refused: ages{"", "", "", over}},
		{name: "an end too old at expiry, and rounding half up", photo: []float64{45, 35, 55.5}, decision: "quote",
			refused: ages{"", "", "", late}},

		{name: "sum too small", age: 42, spoil: func(f *underwriting.Facts) { f.SumCents = 999_999 }, decision: "decline",
			codes: []underwriting.Code{"sum_outside_limits"}, refused: ages{"sum_outside_limits"}},
		{name: "term not offered", age: 42, spoil: func(f *underwriting.Facts) { f.TermYears = 15 }, decision: "decline",
			codes: []underwriting.Code{"term_not_offered"}, refused: ages{"term_not_offered"}},
		{name: "build beyond the classes", age: 42, spoil: func(f *underwriting.Facts) { f.HeightCM = 210 }, decision: "refer",
			codes: []underwriting.Code{build}, refused: ages{build}},
		{name: "all reasons are told, in order, and the strictest decides", age: 17, photo: []float64{40, 20, 60},
			spoil: func(f *underwriting.Facts) { f.SumCents, f.TermYears, f.HeightCM = 1, 11, 210 }, decision: "decline",
			codes:   []underwriting.Code{minor, "age_contradicts", "age_uncertain", "sum_outside_limits", "term_not_offered", build},
			refused: ages{minor, minor, minor, minor}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := valid()
			f.Age = nil
			if tt.age != 0 {
				f.Age = &tt.age
			}
			if tt.spoil != nil {
				tt.spoil(&f)
			}
			var evidence *underwriting.Evidence
			if tt.photo != nil {
				evidence = &underwriting.Evidence{Age: tt.photo[0], Low: tt.photo[1], High: tt.photo[2]}
			}
			got, err := underwriting.Decide(product(), f, evidence, date("2026-11-24"))
			if err != nil {
				t.Fatal(err)
			}
			var codes []underwriting.Code
			for _, r := range got.Reasons {
				codes = append(codes, r.Code)
				if r.Sentence == "" || r.Rule == "" || r.Value == "" || r.Limit == "" {
					t.Errorf("incomplete reason %+v", r)
				}
			}
			refused := ages{got.Price.Refused}
			if got.Interval != nil {
				refused = ages{got.Price.Refused, got.Interval.Low.Refused, got.Interval.Estimated.Refused, got.Interval.High.Refused}
			}
			if got.Decision != tt.decision {
				t.Errorf("decision %s, want %s", got.Decision, tt.decision)
			}
			if diff := cmp.Diff(tt.codes, codes); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.refused, refused); diff != "" {
				t.Errorf("refused prices (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecidePriceAges(t *testing.T) {
	f := valid()
	f.Age = ptr(42.99)
	got, err := underwriting.Decide(product(), f, &underwriting.Evidence{Age: 44.5, Low: 30.4, High: 54.5}, date("2026-11-24"))
	if err != nil {
		t.Fatal(err)
	}
	ages := []int{got.Price.Age, got.Interval.Low.Age, got.Interval.Estimated.Age, got.Interval.High.Age}
	if diff := cmp.Diff([]int{42, 30, 45, 55}, ages); diff != "" {
		t.Errorf("price, low, estimated, high age (-want +got):\n%s", diff)
	}
	if got.PriceMin != 20 || got.PriceMax != 55 { // 20 years later the product's 75 are reached
		t.Errorf("ages %d to %d may be priced, want 20 to 55", got.PriceMin, got.PriceMax)
	}
	if got.Source != underwriting.Declared {
		t.Errorf("price age from %s, want declared", got.Source)
	}
}

func TestDecideWithoutAnAge(t *testing.T) {
	f := valid()
	f.Age = nil
	var bad *underwriting.FieldsError
	if _, err := underwriting.Decide(product(), f, nil, date("2026-11-24")); !errors.As(err, &bad) {
		t.Errorf("Decide = %v, want a FieldsError", err)
	}
}

func TestEveryCodeHasASentence(t *testing.T) {
	for _, c := range underwriting.Codes() {
		if c.Sentence() == "" {
			t.Errorf("%s has no sentence", c)
		}
	}
}
