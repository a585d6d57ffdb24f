package quote_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/premium"
	"github.com/agequote/agequote/internal/quote"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/underwriting"
	"github.com/agequote/agequote/rules"
)

var updateQuotes = flag.Bool("update-quotes", false, "rewrite the golden quotes of Compute")

func ptr[T any](v T) *T { return &v }

// The book never changes, so the tests share one.
var loadBook = sync.OnceValues(func() (*rulebook.Book, error) { return rulebook.Load(rules.FS) })

func mustBook(tb testing.TB) *rulebook.Book {
	tb.Helper()
	b, err := loadBook()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// estimate is a flat distribution over low..high, as a wide one from a photo.
func estimate(point, low, high float64) *age.Estimate {
	distribution := make([]float64, 101)
	for k := int(low); k <= int(high); k++ {
		distribution[k] = 1 / float64(int(high)-int(low)+1)
	}
	return &age.Estimate{Age: &point, Mean: &point, Low: &low, High: &high, Coverage: ptr(0.9), Distribution: distribution}
}

func input() quote.Input {
	return quote.Input{
		Case: "3f0c9a", Cause: "photo-0001",
		Facts: underwriting.Facts{Age: ptr(42.5), Sex: "female", HeightCM: 170, WeightKG: 65,
			Tobacco: "never", SumCents: 25_000_000, TermYears: 20, Market: "US", Mode: "monthly"},
		Estimate:      estimate(44.2, 32.1, 56.3),
		ValuationDate: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC),
		Time:          time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC),
		ModelUse:      "research",
		Inputs:        casefile.Inputs{Application: "cases/3f0c9a/application/0001.json", Estimate: "cases/3f0c9a/photos/0001/estimate.json"},
		Hashes:        casefile.Hashes{Photo: "sha256:p", Model: "sha256:m", Estimate: "sha256:e", Application: "sha256:a", Code: "test"},
	}
}

func mustCompute(tb testing.TB, in quote.Input) casefile.Quote {
	tb.Helper()
	q, err := quote.Compute(mustBook(tb), in)
	if err != nil {
		tb.Fatal(err)
	}
	return q
}

func mustEncode(tb testing.TB, q casefile.Quote) []byte {
	tb.Helper()
	b, err := q.Encode()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestComputeGolden(t *testing.T) {
	declined := input()
	declined.Facts.Age = ptr(17.0)
	stated := input()
	stated.Estimate = nil
	stated.Replaces = "cases/3f0c9a/quotes/photo-0001.json"
	ends := input()
	ends.Facts.Age, ends.Estimate = nil, estimate(64.2, 50, 78.4)
	for name, in := range map[string]quote.Input{"quote": input(), "decline": declined, "stated": stated, "end-over-limit": ends} {
		t.Run(name, func(t *testing.T) {
			if first, again := mustEncode(t, mustCompute(t, in)), mustEncode(t, mustCompute(t, in)); !bytes.Equal(first, again) {
				t.Error("the same input gave other bytes")
			}
			q := mustCompute(t, in)
			// The hash of the product file would change the golden files with
			// every comment in it.
			if len(q.Hashes.Rules) != len("sha256:")+64 {
				t.Errorf("hash of the rules is %q", q.Hashes.Rules)
			}
			q.Hashes.Rules = "sha256:rules"
			for i := range q.Hashes.RuleFiles {
				q.Hashes.RuleFiles[i].Hash = "sha256:file"
			}
			line := mustEncode(t, q)
			var got bytes.Buffer // indented, for the reader of a diff
			if err := json.Indent(&got, line, "", "  "); err != nil {
				t.Fatal(err)
			}
			golden := "testdata/compute-" + name + ".json"
			if *updateQuotes {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("quote (-want +got):\n%s", diff)
			}
		})
	}
}

// What is stored must be enough to compute the net premium again.
func TestComputeOnItsOwnBasis(t *testing.T) {
	q := mustCompute(t, input())
	table, err := mustBook(t).Table(q.Basis.Table)
	if err != nil {
		t.Fatal(err)
	}
	basis := premium.Basis{Rates: table, Interest: q.Basis.Interest, Multiple: q.Basis.Multiple}
	net, err := basis.NetAnnual(q.Basis.PriceAge, q.Basis.TermYears, q.Basis.SumCents)
	if err != nil || premium.RoundCents(net) != *q.NetAnnualCents {
		t.Errorf("net premium again = %v, %v, stored %d", net, err, *q.NetAnnualCents)
	}

	exact := input()
	exact.Exact = &quote.Exact{Table: &q.Basis.Table, Interest: &q.Basis.Interest, Multiple: &q.Basis.Multiple}
	if again := mustCompute(t, exact); *again.GrossAnnualCents != *q.GrossAnnualCents {
		t.Errorf("gross on the exact basis = %d, want %d", *again.GrossAnnualCents, *q.GrossAnnualCents)
	}
}

func TestComputeExactLiftsTheProductsLimits(t *testing.T) {
	in := input()
	in.Estimate = nil
	in.Facts = underwriting.Facts{Age: ptr(90.0), SumCents: 100, TermYears: 3, Market: "US"}
	in.Exact = &quote.Exact{Table: ptr(3271)}
	if q := mustCompute(t, in); q.Decision != underwriting.Quote || q.Basis.Multiple != 1 {
		t.Errorf("decision %s, multiple %v, want a quote on the bare table", q.Decision, q.Basis.Multiple)
	}
	in.Facts.Age, in.Exact.Table = ptr(17.0), ptr(3275) // this table starts at age 0
	if q := mustCompute(t, in); q.Decision != underwriting.Decline || q.GrossAnnualCents != nil {
		t.Errorf("at 17: %s with a price %v, want a decline without", q.Decision, q.GrossAnnualCents != nil)
	}
	in.Facts.Age, in.Facts.TermYears = ptr(119.0), 3 // the table ends at 120
	if q := mustCompute(t, in); q.Decision != underwriting.Decline {
		t.Errorf("past the table's end: %s, want a decline", q.Decision)
	}
}

// A decline carries no price, whatever the photo says.
func TestComputeDeclineCarriesNoPrice(t *testing.T) {
	for name, spoil := range map[string]func(*quote.Input){
		"minor":     func(in *quote.Input) { in.Facts.Age = ptr(17.5) },
		"too old":   func(in *quote.Input) { in.Facts.Age = ptr(76.0) },
		"sum":       func(in *quote.Input) { in.Facts.SumCents = 1 },
		"term":      func(in *quote.Input) { in.Facts.TermYears = 7 },
		"at expiry": func(in *quote.Input) { in.Facts.Age, in.Facts.TermYears = ptr(70.0), 30 },
	} {
		in := input()
		spoil(&in)
		q := mustCompute(t, in)
		if q.Decision != underwriting.Decline {
			t.Errorf("%s: %s, want a decline", name, q.Decision)
		}
		none := casefile.Amounts{}
		if q.Amounts != none || q.At.Low.Amounts != none || q.At.Estimated.Amounts != none || q.At.High.Amounts != none || q.ExpectedGrossCents != nil {
			t.Errorf("%s: a decline carries a price: %s", name, mustEncode(t, q))
		}
	}
}

func TestComputeNamesEveryBadField(t *testing.T) {
	in := input()
	in.Facts.Market, in.Facts.Sex, in.Facts.Age, in.Estimate = "CH", "", nil, nil
	in.Exact = &quote.Exact{Interest: ptr(-1.0), Multiple: ptr(0.0)}
	_, err := quote.Compute(mustBook(t), in)
	var bad *underwriting.FieldsError
	if !errors.As(err, &bad) {
		t.Fatalf("Compute = %v, want a FieldsError", err)
	}
	var got []string
	for _, f := range bad.Fields {
		got = append(got, f.Field)
	}
	if diff := cmp.Diff([]string{"age", "market", "interest", "multiple"}, got); diff != "" {
		t.Errorf("bad fields (-want +got):\n%s", diff)
	}
}

// BenchmarkCompute is a whole quote: decision, premium at four ages and the
// expectation over a distribution, with and without its bytes.
func BenchmarkCompute(b *testing.B) {
	book, in := mustBook(b), input()
	if _, err := quote.Compute(book, in); err != nil { // parses the table
		b.Fatal(err)
	}
	b.Run("compute", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := quote.Compute(book, in); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("compute and encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			q, err := quote.Compute(book, in)
			if err != nil {
				b.Fatal(err)
			}
			mustEncode(b, q)
		}
	})
}
