package underwriting_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/underwriting"
)

func date(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

func ptr[T any](v T) *T { return &v }

// valid returns facts that pass, for a test to spoil.
func valid() underwriting.Facts {
	return underwriting.Facts{Age: ptr(42.5), Sex: "female", HeightCM: 170, WeightKG: 65,
		Tobacco: "never", SumCents: 25_000_000, TermYears: 20, Market: "US"}
}

func TestAgeLastBirthday(t *testing.T) {
	tests := []struct {
		name, born, at string
		want           int
	}{
		{"day before the birthday", "1984-05-17", "2026-05-16", 41},
		{"on the birthday", "1984-05-17", "2026-05-17", 42},
		{"later month, earlier day", "1984-05-17", "2026-06-01", 42},
		{"29 February, 28 in a common year", "2008-02-29", "2026-02-28", 17},
		{"29 February, 1 March in a common year", "2008-02-29", "2026-03-01", 18},
		{"29 February in a leap year", "2008-02-29", "2028-02-29", 20},
		{"birth itself", "2026-01-01", "2026-01-01", 0},
		{"before birth", "2026-01-02", "2026-01-01", -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := underwriting.AgeLastBirthday(date(tt.born), date(tt.at)); got != tt.want {
				t.Errorf("AgeLastBirthday(%s, %s) = %d, want %d", tt.born, tt.at, got, tt.want)
			}
		})
	}
}

func TestValidateNamesEveryBadField(t *testing.T) {
	at := date("2026-11-24")
	if err := valid().Validate(at); err != nil {
		t.Fatalf("valid facts: %v", err)
	}
	tests := []struct {
		name  string
		facts underwriting.Facts
		want  []string
	}{
		{"nothing", underwriting.Facts{},
			[]string{"height_cm", "weight_kg", "tobacco", "sum_cents", "term_years", "market"}},
		{"everything wrong", underwriting.Facts{BirthDate: "17.5.1984", Age: ptr(math.NaN()), Sex: "f", HeightCM: 1.7,
			WeightKG: math.Inf(1), Tobacco: "no", SumCents: -1, TermYears: 1000},
			[]string{"birth_date", "age", "age", "sex", "height_cm", "weight_kg", "tobacco", "sum_cents", "term_years", "market"}},
		{"born tomorrow", func() underwriting.Facts { f := valid(); f.Age, f.BirthDate = nil, "2026-11-25"; return f }(),
			[]string{"birth_date"}},
		{"two ages", func() underwriting.Facts { f := valid(); f.BirthDate = "1984-05-17"; return f }(),
			[]string{"age"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var bad *underwriting.FieldsError
			if err := tt.facts.Validate(at); !errors.As(err, &bad) {
				t.Fatalf("Validate = %v, want a FieldsError", err)
			}
			var got []string
			for _, f := range bad.Fields {
				got = append(got, f.Field)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("bad fields (-want +got):\n%s", diff)
			}
		})
	}
	exact := underwriting.Facts{Age: ptr(40.0), SumCents: 1, TermYears: 1, Market: "US"}
	if err := exact.ValidateExact(at); err != nil {
		t.Errorf("ValidateExact = %v, want nil without sex, tobacco and build", err)
	}
}

func TestParseTobacco(t *testing.T) {
	const freeYears = 1
	tests := []struct {
		in     string
		smoker bool
		ok     bool
	}{
		{"never", false, true},
		{"current", true, true},
		{"current:cigar", true, true},
		{"former:0.99", true, true},
		{"former:1", false, true},
		{"former:30", false, true},
		{"", false, false},
		{"no", false, false},
		{"never:", false, false},
		{"former", false, false},
		{"former:-1", false, false},
		{"former:NaN", false, false},
		{"current:", false, false},
		{"current:A B", false, false},
	}
	for _, tt := range tests {
		got, err := underwriting.ParseTobacco(tt.in)
		if (err == nil) != tt.ok || tt.ok && got.Uses(freeYears) != tt.smoker {
			t.Errorf("ParseTobacco(%q) = %+v, %v, want ok %v, smoker %v", tt.in, got, err, tt.ok, tt.smoker)
		}
	}
}

func TestParseCents(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want int64
		ok   bool
	}{
		{"250000", 25_000_000, true},
		{"0.29", 29, true}, // 0.29*100 is 28.999... in floating point
		{"1.5", 150, true},
		{".05", 5, true},
		{"1.234", 0, false},
		{"1e6", 0, false},
		{"250,000", 0, false},
		{"1.-5", 0, false},
		{"99999999999999999999", 0, false},
	} {
		got, err := underwriting.ParseCents(tt.in)
		if (err == nil) != tt.ok || tt.ok && got != tt.want {
			t.Errorf("ParseCents(%q) = %d, %v, want %d, ok %v", tt.in, got, err, tt.want, tt.ok)
		}
	}
}
