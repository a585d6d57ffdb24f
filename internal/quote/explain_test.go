package quote_test

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/agequote/agequote/internal/quote"
	"github.com/agequote/agequote/internal/underwriting"
)

// explained is an explanation as parsed back: lines by name, and the rows of
// its two tables.
type explained struct {
	figures map[string][]float64
	hows    map[string][]string
	years   [][]float64
	ages    [][]float64
}

var explainLine = regexp.MustCompile(`^(\S(?:.*?\S)?)\s{2,}([0-9.e+-]+)(?:   (.*))?$`)

func parseExplained(text string) explained {
	e := explained{figures: map[string][]float64{}, hows: map[string][]string{}}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if row := numbers(line); len(row) > 3 {
			e.years = append(e.years, row)
			continue
		} else if len(row) == 3 {
			e.ages = append(e.ages, row)
			continue
		}
		if m := explainLine.FindStringSubmatch(line); m != nil {
			v, err := strconv.ParseFloat(m[2], 64)
			if err == nil {
				e.figures[m[1]] = append(e.figures[m[1]], v)
				e.hows[m[1]] = append(e.hows[m[1]], m[3])
			}
		}
	}
	return e
}

// numbers returns the numbers of a line that holds nothing else.
func numbers(line string) []float64 {
	var row []float64
	for _, f := range strings.Fields(line) {
		v, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return nil
		}
		row = append(row, v)
	}
	return row
}

func (e explained) one(t *testing.T, name string) float64 {
	t.Helper()
	if len(e.figures[name]) != 1 {
		t.Fatalf("%d lines %q, want 1", len(e.figures[name]), name)
	}
	return e.figures[name][0]
}

// leading reads the number that a line's explanation holds after a word.
func leading(t *testing.T, how, after string) float64 {
	t.Helper()
	_, rest, ok := strings.Cut(how, after)
	if !ok {
		t.Fatalf("no %q in %q", after, how)
	}
	v, err := strconv.ParseFloat(strings.TrimRight(strings.Fields(rest)[0], ":,"), 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func close9(a, b float64) bool { return math.Abs(a-b) <= 1e-9*math.Max(1, math.Abs(b)) }

func halfUpUnits(x float64) float64 { return math.Floor(x*100+0.5+1e-6) / 100 }

// recompute checks that each line follows from those above it.
func (e explained) recompute(t *testing.T) {
	t.Helper()
	check := func(name string, want float64) {
		t.Helper()
		if got := e.one(t, name); !close9(got, want) {
			t.Errorf("%s = %v, from the lines above it %v", name, got, want)
		}
	}
	v, multiple, sum := e.one(t, "v"), e.one(t, "multiple"), e.one(t, "sum assured")
	check("v", 1/(1+e.one(t, "interest")))

	if float64(len(e.years)) != e.one(t, "term") {
		t.Fatalf("%d years, want the term's %v", len(e.years), e.one(t, "term"))
	}
	alive, discount, insurance, annuity := 1.0, 1.0, 0.0, 0.0
	for _, row := range e.years {
		q := 0.0
		for i, how := range e.hows["table"] {
			q += leading(t, how, "share ") * row[1+i]
		}
		rest := row[1+len(e.hows["table"]):] // q, q', alive, v^k
		for i, want := range []float64{q, min(1, multiple*q), alive, discount} {
			if !close9(rest[i], want) {
				t.Errorf("year %v: column %d is %v, from the lines above it %v", row[0], i, rest[i], want)
			}
		}
		insurance += discount * v * alive * rest[1]
		annuity += discount * alive
		alive *= 1 - rest[1]
		discount *= v
	}
	check("A", insurance)
	check("a-due", annuity)
	net := sum * e.one(t, "A") / e.one(t, "a-due")
	check("net premium", net)
	if len(e.ages) > 0 {
		mean, mass := 0.0, 0.0
		for _, row := range e.ages {
			mean += row[1] * row[2]
			mass += row[1]
		}
		net = mean / mass
		check("expected net", net)
	}
	for i, how := range e.hows["flat extra"] {
		extra := leading(t, how, "") * sum / 1000
		if !close9(e.figures["flat extra"][i], extra) {
			t.Errorf("flat extra %v, want %v", e.figures["flat extra"][i], extra)
		}
		net += extra
	}
	if len(e.hows["flat extra"]) > 0 {
		check("net and extras", net)
	}
	loaded := net / (1 - e.one(t, "loading"))
	check("loaded", loaded)
	factor := 1.0
	for i, part := range e.figures["part of the sum"] {
		factor -= part * leading(t, e.hows["part of the sum"][i], "discount of ") / sum
	}
	check("band factor", factor)
	check("discounted", loaded*e.one(t, "band factor"))
	unrounded := e.one(t, "discounted") + e.one(t, "policy fee")
	check("unrounded", unrounded)
	check("gross premium", halfUpUnits(unrounded))
	check("instalment", halfUpUnits(e.one(t, "gross premium")*e.one(t, "factor")))
}

// TestExplainRecomputes goes through the explanation of each kind of quote as a
// reader with a pocket calculator would, and ends at the quote's own cents.
func TestExplainRecomputes(t *testing.T) {
	rated := input()
	rated.Facts.SumCents = 120_000_000
	rated.Facts.Answers = map[string]bool{"cancer": true, "diabetes": true}
	prefill := input()
	prefill.Facts.Age = nil
	unisex := input()
	unisex.Facts.Market, unisex.Facts.Sex, unisex.Facts.SumCents = "EU", "", 60_000_000
	nearest := input()
	nearest.Facts.Market, nearest.Facts.Sex, nearest.Facts.SumCents = "IN", "", 1_000_000_000
	exact := input()
	exact.Exact = &quote.Exact{Table: ptr(3272), Interest: ptr(0.0), Multiple: ptr(60.0)}
	for name, in := range map[string]quote.Input{"declared": input(), "rated": rated, "prefill": prefill, "unisex": unisex, "nearest": nearest, "exact": exact} {
		t.Run(name, func(t *testing.T) {
			q, text, err := quote.Explain(mustBook(t), in)
			if err != nil {
				t.Fatal(err)
			}
			if q.GrossAnnualCents == nil {
				t.Fatalf("%s: %+v", q.Decision, q.Reasons)
			}
			e := parseExplained(text)
			e.recompute(t)
			if int64(math.Round(e.one(t, "gross premium")*100)) != *q.GrossAnnualCents || int64(math.Round(e.one(t, "instalment")*100)) != *q.ModalCents {
				t.Errorf("ends at %v and %v, the quote at %d and %d", e.one(t, "gross premium"), e.one(t, "instalment"), *q.GrossAnnualCents, *q.ModalCents)
			}
			if (q.Basis.Charged == underwriting.ChargeExpected) != (len(e.ages) > 0) {
				t.Errorf("charged %s, %d ages listed", q.Basis.Charged, len(e.ages))
			}
			if t.Failed() {
				t.Log(text)
			}
		})
	}
}

func TestExplainWithoutPrice(t *testing.T) {
	in := input()
	in.Facts.Age = ptr(17.0)
	q, text, err := quote.Explain(mustBook(t), in)
	if err != nil {
		t.Fatal(err)
	}
	if q.Decision != underwriting.Decline || !strings.Contains(text, "under_18") || strings.Contains(text, "gross") {
		t.Errorf("%s:\n%s", q.Decision, text)
	}
}
