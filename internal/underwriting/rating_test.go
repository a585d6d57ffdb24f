package underwriting_test

import (
	"encoding/json"
	"errors"
	"testing"
	"testing/quick"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/premium"
	"github.com/agequote/agequote/internal/underwriting"
)

// What build, tobacco and answers make of the class, its table, the rating and
// the extras.
func TestDecideClass(t *testing.T) {
	type found struct {
		Decision underwriting.Decision
		Class    string
		Table    int
		Multiple float64
		Rating   string
		Extras   []premium.FlatExtra
		Effects  []string // code and effect of each reason
	}
	yes := func(ids ...string) map[string]bool {
		answers := map[string]bool{"refer": false}
		for _, id := range ids {
			answers[id] = true
		}
		return answers
	}
	tests := []struct {
		name    string
		weight  float64 // 65: best
		tobacco string
		sex     string
		answers map[string]bool
		want    found
	}{
		{"best", 65, "never", "female", nil, found{"quote", "Preferred", 1, 1, "", nil, nil}},
		{"a man", 65, "never", "male", yes(), found{"quote", "Preferred", 11, 1, "", nil, nil}},
		{"build closes a class", 80, "never", "female", nil, found{"quote", "Standard", 2, 1, "", nil, []string{"class_build: class Standard at best"}}},
		{"build rates", 100, "never", "female", nil, found{"quote", "Standard", 2, 1.75, "C", nil, []string{"rated_build: mortality +75%"}}},
		{"build declines", 110, "never", "female", nil, found{"decline", "", 0, 0, "", nil, []string{"build_decline: "}}},
		{"build refers", 49, "never", "female", nil, found{"refer", "", 0, 0, "", nil, []string{"build_outside_class: "}}},
		{"smokes", 65, "current:cigar", "female", nil, found{"quote", "Preferred Tobacco", 3, 1, "", nil, []string{"tobacco_rates: rates for users of tobacco"}}},
		{"stopped too lately", 65, "former:0.9", "female", nil, found{"quote", "Preferred Tobacco", 3, 1, "", nil, []string{"tobacco_rates: rates for users of tobacco"}}},
		{"stopped a year ago", 65, "former:1", "female", nil, found{"quote", "Standard", 2, 1, "", nil, []string{"class_tobacco: class Standard at best"}}},
		{"stopped three years ago", 65, "former:3", "female", nil, found{"quote", "Preferred", 1, 1, "", nil, nil}},
		{"an answer closes a class", 65, "current", "male", yes("class"), found{"quote", "Standard Tobacco", 14, 1, "", nil,
			[]string{"tobacco_rates: rates for users of tobacco", "class_answer: class Standard at best"}}},
		{"an answer rates", 65, "never", "female", yes("steps"), found{"quote", "Standard", 2, 2, "D", nil, []string{"rated_answer: mortality +100%"}}},
		{"ratings together", 100, "never", "female", yes("steps"), found{"decline", "Standard", 2, 2.75, "G", nil,
			[]string{"rated_build: mortality +75%", "rated_answer: mortality +100%", "rating_over_limit: "}}},
		{"flat extras", 65, "never", "female", yes("permanent", "temporary"), found{"quote", "Preferred", 1, 1, "", []premium.FlatExtra{{PerMille: 2.5}, {PerMille: 5, Years: 3}},
			[]string{"flat_extra: 2.50 per 1,000 a year", "flat_extra: 5.00 per 1,000 a year for 3 years"}}},
		{"an answer refers", 65, "never", "female", yes("refer"), found{"refer", "Preferred", 1, 1, "", nil, []string{"answer_refer: "}}},
		{"an answer postpones", 65, "never", "female", yes("postpone", "refer"), found{"postpone", "Preferred", 1, 1, "", nil, []string{"answer_refer: ", "answer_postpone: "}}},
		{"an answer declines", 65, "never", "female", yes("decline", "postpone"), found{"decline", "Preferred", 1, 1, "", nil, []string{"answer_postpone: ", "answer_decline: "}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := valid()
			f.Sex, f.WeightKG, f.Tobacco, f.Answers = tt.sex, tt.weight, tt.tobacco, tt.answers
			a, err := underwriting.Decide(product(), f, nil, date("2026-11-24"))
			if err != nil {
				t.Fatal(err)
			}
			got := found{a.Decision, a.Class, 0, a.Multiple, a.Rating, a.Extras, nil}
			if len(a.Rates) > 0 {
				got.Table = a.Rates[0].Number
			}
			for _, r := range a.Reasons {
				got.Effects = append(got.Effects, string(r.Code)+": "+r.Effect)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("assessment (-want +got):\n%s", diff)
			}
			if stops := a.Decision == "postpone" || a.Decision == "decline"; (stops || a.Class == "") != (a.Price.Refused != "") {
				t.Errorf("%s with class %q and price refused for %q", a.Decision, a.Class, a.Price.Refused)
			}
		})
	}
}

// A stated multiple or class takes the place of what the rules find.
func TestDecideRated(t *testing.T) {
	f := valid()
	f.WeightKG, f.Answers = 100, map[string]bool{"permanent": true}
	onTable := product().OnTable(&premium.Table{Number: 77, AgeBasis: premium.AgeNearestBirthday})
	tests := []struct {
		name    string
		product *underwriting.Product
		stated  underwriting.Stated
		class   string
		table   int
	}{
		{"multiple", product(), underwriting.Stated{Multiple: 3}, "Standard", 2},
		{"class", product(), underwriting.Stated{Class: "Preferred", Multiple: 1}, "Preferred", 1},
		{"tobacco class", product(), underwriting.Stated{Class: "Preferred Tobacco", Multiple: 1}, "Preferred Tobacco", 3},
		{"table", onTable, underwriting.Stated{Multiple: 2}, "", 77},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := underwriting.DecideRated(tt.product, f, &tt.stated, nil, date("2026-11-24"))
			if err != nil {
				t.Fatal(err)
			}
			if a.Class != tt.class || a.Rates[0].Number != tt.table || a.Multiple != tt.stated.Multiple || a.Rating != "" || a.Extras != nil {
				t.Errorf("class %q, table %d, multiple %g, rating %q, extras %v", a.Class, a.Rates[0].Number, a.Multiple, a.Rating, a.Extras)
			}
		})
	}
}

func TestPhotoRole(t *testing.T) {
	e := &underwriting.Evidence{Age: 44.4, Low: 38.2, High: 50.6}
	twice := &underwriting.Evidence{Age: e.Age, Low: e.Low, High: e.High, Duplicates: []string{"another case"}}
	at := date("2026-11-24")
	tests := []struct {
		name     string
		photo    underwriting.Photo
		age      float64 // 0: not declared
		evidence *underwriting.Evidence
		decision underwriting.Decision // empty: facts are missing
		charge   string
		price    int
	}{
		{"prefill, estimated", underwriting.Photo{Role: "prefill", Charge: "estimated"}, 0, e, "quote", "estimated", 44},
		{"prefill, high", underwriting.Photo{Role: "prefill", Charge: "high"}, 0, e, "quote", "high", 51},
		{"prefill, expected", underwriting.Photo{Role: "prefill", Charge: "expected"}, 0, e, "quote", "expected", 44},
		{"prefill, high end past the limit is what is charged", underwriting.Photo{Role: "prefill", Charge: "high"}, 0, &underwriting.Evidence{Age: 50, Low: 45, High: 55.5}, "refer", "high", 56},
		{"prefill with a declared age", underwriting.Photo{Role: "prefill", Charge: "high"}, 40, e, "quote", "declared", 40},
		{"cross-check agrees", underwriting.Photo{Role: "cross-check"}, 50.9, e, "quote", "declared", 50},
		{"cross-check contradicts", underwriting.Photo{Role: "cross-check"}, 51, e, "refer", "declared", 51},
		{"cross-check within the slack", underwriting.Photo{Role: "cross-check", SlackYears: 2}, 52, e, "quote", "declared", 52},
		{"cross-check past the slack", underwriting.Photo{Role: "cross-check", SlackYears: 2}, 53, e, "refer", "declared", 53},
		{"cross-check under the slack", underwriting.Photo{Role: "cross-check", SlackYears: 2}, 36.9, e, "refer", "declared", 36},
		{"sent with another case too", underwriting.Photo{Role: "cross-check"}, 40, twice, "refer", "declared", 40},
		{"the same, switched off", underwriting.Photo{Role: "cross-check", IgnoreDuplicates: true}, 40, twice, "quote", "declared", 40},
		{"cross-check without an age", underwriting.Photo{Role: "cross-check"}, 0, e, "", "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, f := product(), valid()
			p.Photo, f.Age = tt.photo, nil
			if tt.age != 0 {
				f.Age = &tt.age
			}
			a, err := underwriting.Decide(p, f, tt.evidence, at)
			var bad *underwriting.FieldsError
			if tt.decision == "" {
				if !errors.As(err, &bad) || p.Validate(f).OrNil() == nil {
					t.Fatalf("Decide = %v, Validate = %v, want a FieldsError of both", err, p.Validate(f).OrNil())
				}
				return
			}
			if err != nil || a.Decision != tt.decision || a.Charge != tt.charge || a.Price.Age != tt.price {
				t.Errorf("Decide = %s, %s charged at %d, %v, want %s, %s at %d", a.Decision, a.Charge, a.Price.Age, err, tt.decision, tt.charge, tt.price)
			}
		})
	}
}

// A photo alone never declines, whatever it shows.
func TestPhotoNeverDeclines(t *testing.T) {
	p, f := product(), valid()
	f.Age = nil
	never := func(age, below, above uint8) bool {
		e := &underwriting.Evidence{Age: float64(age % 120), Low: float64(age%120) - float64(below%40), High: float64(age%120) + float64(above%40)}
		a, err := underwriting.Decide(p, f, e, date("2026-11-24"))
		return err == nil && a.Decision != underwriting.Decline && (e.Age >= 18 || a.Interval.Estimated.Refused != "")
	}
	if err := quick.Check(never, &quick.Config{MaxCount: 5000}); err != nil {
		t.Error(err)
	}
}

func TestPriceAgeOnTheBasis(t *testing.T) {
	at := date("2026-11-24")
	tests := []struct {
		born  string
		age   float64
		basis premium.AgeBasis
		want  int
	}{
		{"1986-05-25", 0, "ALB", 40},
		{"1986-05-25", 0, "ANB", 41}, // 183 days since the birthday, 182 to the next
		{"1986-05-26", 0, "ANB", 40},
		{"1986-11-24", 0, "ANB", 40},
		{"1986-05-25", 0, "ANX", 41},
		{"", 40.5, "ALB", 40},
		{"", 40.5, "ANB", 41},
		{"", 40.49, "ANB", 40},
		{"", 40, "ANX", 41},
	}
	for _, tt := range tests {
		p, f := product(), valid()
		p.AgeBasis = tt.basis
		f.Age, f.BirthDate = nil, tt.born
		if tt.born == "" {
			f.Age = &tt.age
		}
		a, err := underwriting.Decide(p, f, nil, at)
		if err != nil || a.Price.Age != tt.want {
			t.Errorf("born %q, aged %g, %s: priced at %d, %v, want %d", tt.born, tt.age, tt.basis, a.Price.Age, err, tt.want)
		}
	}
}

func TestProductValidate(t *testing.T) {
	unisex := product()
	unisex.Unisex = true
	tests := []struct {
		name    string
		product *underwriting.Product
		spoil   func(*underwriting.Facts)
		want    []string
	}{
		{"all is well", product(), func(*underwriting.Facts) {}, nil},
		{"no sex where it is priced", product(), func(f *underwriting.Facts) { f.Sex = "" }, []string{"sex"}},
		{"a sex where it is not", unisex, func(*underwriting.Facts) {}, []string{"sex"}},
		{"no sex where it is not", unisex, func(f *underwriting.Facts) { f.Sex = "" }, nil},
		{"all at once", unisex, func(f *underwriting.Facts) {
			f.Mode, f.Answers = "weekly", map[string]bool{"x": true, "y": false}
		}, []string{"sex", "mode", "answers"}},
	}
	for _, tt := range tests {
		f := valid()
		tt.spoil(&f)
		var got []string
		for _, field := range tt.product.Validate(f).Fields {
			got = append(got, field.Field)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: bad fields (-want +got):\n%s", tt.name, diff)
		}
	}
}

// The customer is told at most four reasons, strictest first, also of a quote
// that was stored and read again.
func TestPrincipal(t *testing.T) {
	f := valid()
	f.Age, f.WeightKG, f.Tobacco = ptr(61.0), 80, "current"
	f.Answers = map[string]bool{"class": true, "refer": true, "postpone": true, "temporary": true}
	a, err := underwriting.Decide(product(), f, nil, date("2026-11-24"))
	if err != nil {
		t.Fatal(err)
	}
	stored, err := json.Marshal(a.Reasons)
	if err != nil {
		t.Fatal(err)
	}
	var reasons []underwriting.Reason
	if err := json.Unmarshal(stored, &reasons); err != nil {
		t.Fatal(err)
	}
	var got []underwriting.Code
	for _, r := range underwriting.Principal(reasons) {
		got = append(got, r.Code)
	}
	if diff := cmp.Diff([]underwriting.Code{"age_over_limit", "answer_postpone", "answer_refer", "tobacco_rates"}, got); diff != "" {
		t.Errorf("principal reasons (-want +got):\n%s", diff)
	}
	if len(a.Reasons) != 7 {
		t.Errorf("%d reasons for the underwriter, want all 7", len(a.Reasons))
	}
}
