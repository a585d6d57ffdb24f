package premium_test

import (
	"cmp"
	"encoding/csv"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/agequote/agequote/internal/premium"
)

// The files that testdata/premiums.py makes of pymort's own tables: a few cases
// and rates stand in testdata, `make test-actuarial` makes new and more ones.
func pymortFile(tb testing.TB, name string) []row {
	tb.Helper()
	file, err := os.Open(filepath.Join(cmp.Or(os.Getenv("AGEQUOTE_ACTUARIAL"), "testdata"), name))
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	r := csv.NewReader(file)
	r.Comma = '\t'
	lines, err := r.ReadAll()
	if err != nil || len(lines) < 2 {
		tb.Fatalf("%s: %d lines, %v", name, len(lines), err)
	}
	rows := make([]row, 0, len(lines)-1)
	for _, line := range lines[1:] {
		cells := map[string]string{}
		for i, column := range lines[0] {
			cells[column] = line[i]
		}
		rows = append(rows, row{tb, cells})
	}
	return rows
}

// row is one line of a file, its cells by column.
type row struct {
	tb    testing.TB
	cells map[string]string
}

func (r row) number(column string) float64 { return r.parse(r.cells[column]) }
func (r row) int(column string) int        { return int(r.number(column)) }

func (r row) parse(s string) float64 {
	r.tb.Helper()
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		r.tb.Fatal(err)
	}
	return x
}

// pairs reads "a:b;c:d"; "-" is none.
func (r row) pairs(column string) (out [][2]float64) {
	if r.cells[column] == "-" {
		return nil
	}
	for pair := range strings.SplitSeq(r.cells[column], ";") {
		a, b, _ := strings.Cut(pair, ":")
		out = append(out, [2]float64{r.parse(a), r.parse(b)})
	}
	return out
}

func (r row) loads() (l premium.Loads, extras []premium.FlatExtra) {
	l.Loading, l.PolicyFeeCents = r.number("loading"), int64(r.number("fee_cents"))
	for _, p := range r.pairs("bands") {
		l.Bands = append(l.Bands, premium.SumBand{FromCents: int64(p[0]), Discount: p[1]})
	}
	for _, p := range r.pairs("extras") {
		extras = append(extras, premium.FlatExtra{PerMille: p[0], Years: int(p[1])})
	}
	return l, extras
}

// tables parses each table once.
type tables map[string]*premium.Table

func (ts tables) get(tb testing.TB, number string) *premium.Table {
	if ts[number] == nil {
		ts[number] = mustTable(tb, number)
	}
	return ts[number]
}

func (ts tables) basis(r row) premium.Basis {
	on := func(number string) premium.Rates {
		rates, err := ts.get(r.tb, number).On(premium.AgeBasis(r.cells["basis"]))
		if err != nil {
			r.tb.Fatal(err)
		}
		return rates
	}
	b := premium.Basis{Rates: on(r.cells["table"]), Interest: r.number("interest"), Multiple: r.number("multiple")}
	if female := r.cells["female"]; female != "-" {
		b.Rates = premium.Blend(b.Rates, on(female), r.number("share"))
	}
	return b
}

// TestAgainstPymort compares present values, net, gross and modal premiums with
// an independent program on independently read tables. Sums of 1 within 1e-12,
// money to the cent: a tenth of the cases lie on a half cent exactly.
func TestAgainstPymort(t *testing.T) {
	rows, ts := pymortFile(t, "premiums.tsv"), tables{}
	outside := 0
	for _, r := range rows {
		b, age, term, sum := ts.basis(r), r.int("age"), r.int("term"), int64(r.number("sum_cents"))
		values, err := b.Values(age, term)
		if r.cells["net"] == "-" {
			outside++
			if !errors.Is(err, premium.ErrOutsideTable) {
				t.Errorf("%v: %v, want ErrOutsideTable", r.cells, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v: %v", r.cells, err)
			continue
		}
		if !close12(values.Insurance, r.number("insurance")) || !close12(values.Annuity, r.number("annuity")) {
			t.Errorf("%v: values %+v", r.cells, values)
		}
		net := mustNet(t, b, age, term, sum)
		loads, extras := r.loads()
		gross := loads.Gross(net, sum, extras, r.int("year"))
		got := [3]int64{premium.RoundCents(net), gross, premium.Modal(gross, r.number("factor"))}
		if want := [3]int64{int64(r.number("net")), int64(r.number("gross")), int64(r.number("modal"))}; got != want {
			t.Errorf("%v: net, gross, modal = %v, want %v", r.cells, got, want)
		}
	}
	if outside == 0 || outside > len(rows)/10 {
		t.Errorf("%d of %d cases outside their tables, want a few", outside, len(rows))
	}
	t.Logf("%d cases, %d of them outside their tables", len(rows), outside)
}

func close12(a, b float64) bool { return math.Abs(a-b) <= 1e-12*math.Max(1e-6, math.Abs(b)) }

// TestRatesAgainstPymort compares the reader with pymort's, rate by rate, and
// the ages and years at which the rates begin and end.
func TestRatesAgainstPymort(t *testing.T) {
	type span struct{ min, max, period int }
	ts, spans := tables{}, map[string]span{}
	rows := pymortFile(t, "rates.tsv")
	for _, r := range rows {
		number, age, year := r.cells["table"], r.int("age"), r.int("year")
		table := ts.get(t, number)
		s, seen := spans[number]
		if !seen {
			s.min = age
		}
		spans[number] = span{min(s.min, age), max(s.max, age), max(s.period, year)}

		var q float64
		var err error
		if year == 0 { // an ultimate rate, by attained age
			q = table.Ultimate(age)
		} else {
			q, err = table.Q(age, year)
		}
		if err != nil || q != r.number("q") {
			t.Errorf("%v: q = %v, %v", r.cells, q, err)
		}
	}
	for number, want := range spans {
		table := ts[number]
		if got := (span{table.MinAge(), table.MaxAge(), table.SelectPeriod()}); got != want {
			t.Errorf("table %s: ages and select period %v, want %v", number, got, want)
		}
	}
	if len(ts) != len(tableNames(t)) {
		t.Errorf("%d tables, want all %d", len(ts), len(tableNames(t)))
	}
	t.Logf("%d rates of %d tables", len(rows), len(ts))
}
