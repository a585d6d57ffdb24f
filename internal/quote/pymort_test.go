package quote_test

import (
	"cmp"
	"encoding/csv"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/quote"
	"github.com/agequote/agequote/internal/underwriting"
)

// TestExactAgainstPymort prices the cases of package premium's independent
// program the way the command line does, by a stated table, interest and
// multiple. Net premiums must be the program's to the cent; gross and modal
// follow from its exact net premium by the product's own loads, in fractions.
func TestExactAgainstPymort(t *testing.T) {
	book := mustBook(t)
	product, err := book.Product("US", "", input().ValuationDate)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, c := range exactCases(t) {
		c.in.Facts.Mode = []string{"annual", "monthly"}[n%2]
		n++
		q, err := quote.Compute(book, c.in)
		if err != nil {
			t.Errorf("%v: %v", c.line, err)
			continue
		}
		got, none := q.Amounts, casefile.Amounts{}
		if c.net == nil {
			if q.Decision != underwriting.Decline || got != none {
				t.Errorf("%v: %s, want a decline: outside the table", c.line, q.Decision)
			}
			continue
		}
		if q.Decision != underwriting.Quote || got == none {
			t.Errorf("%v: %s %+v", c.line, q.Decision, q.Reasons)
			continue
		}
		loaded := new(big.Rat).Quo(c.net, sub(big.NewRat(1, 1), decimal(product.Loads.Loading)))
		gross := halfUp(loaded.Add(loaded, big.NewRat(product.Loads.PolicyFeeCents, 1)))
		modal := halfUp(new(big.Rat).Mul(big.NewRat(gross, 1), decimal(product.ModalFactors[c.in.Facts.Mode])))
		if *got.NetAnnualCents != halfUp(c.net) || *got.GrossAnnualCents != gross || *got.ModalCents != modal {
			t.Errorf("%v: net %d, gross %d, modal %d, want %d, %d, %d", c.line,
				*got.NetAnnualCents, *got.GrossAnnualCents, *got.ModalCents, halfUp(c.net), gross, modal)
		}
	}
	if n < 50 {
		t.Errorf("%d cases, want the whole file's", n)
	}
	t.Logf("%d cases", n)
}

type exactCase struct {
	line map[string]string
	in   quote.Input
	net  *big.Rat // cents; nil: the table has no rates for it
}

// exactCases reads those cases that the command line can state: one table on
// its own age basis, an adult, an interest and a multiple within the flags'.
func exactCases(t *testing.T) (out []exactCase) {
	file, err := os.Open(filepath.Join(cmp.Or(os.Getenv("AGEQUOTE_ACTUARIAL"), "../premium/testdata"), "premiums.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r := csv.NewReader(file)
	r.Comma = '\t'
	lines, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, cells := range lines[1:] {
		line := map[string]string{}
		for i, column := range lines[0] {
			line[column] = cells[i]
		}
		c := exactCase{line: line, in: input()}
		number := func(column string) float64 {
			x, err := strconv.ParseFloat(line[column], 64)
			if err != nil {
				t.Fatal(err)
			}
			return x
		}
		own := "ALB"
		if line["table"] == "2694" { // the Indian table, age nearest birthday
			own = "ANB"
		}
		if line["female"] != "-" || line["basis"] != own || number("age") < 18 || number("term") > 100 {
			continue
		}
		c.in.Estimate = nil
		c.in.Facts = underwriting.Facts{Age: ptr(number("age")), Market: "US", TermYears: int(number("term")), SumCents: int64(number("sum_cents"))}
		c.in.Exact = &quote.Exact{Table: ptr(int(number("table"))), Interest: ptr(number("interest")), Multiple: ptr(number("multiple"))}
		if line["net"] != "-" {
			c.net, _ = new(big.Rat).SetString(line["net_exact"])
		}
		out = append(out, c)
	}
	return out
}

// decimal is the fraction that a float was written as, not the float's bits.
func decimal(x float64) *big.Rat {
	r, _ := new(big.Rat).SetString(strconv.FormatFloat(x, 'g', -1, 64))
	return r
}

func sub(a, b *big.Rat) *big.Rat { return new(big.Rat).Sub(a, b) }

func halfUp(x *big.Rat) int64 {
	x = new(big.Rat).Add(x, big.NewRat(1, 2))
	return new(big.Int).Div(x.Num(), x.Denom()).Int64() // rounds towards minus infinity: denominators are positive
}
