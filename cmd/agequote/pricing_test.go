package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/rules"
)

var updatePricing = flag.Bool("update-pricing", false, "rewrite the worked example in docs/pricing.md")

const (
	exampleBegin = "<!-- example: begin. Written by `go test ./cmd/agequote -run TestPricingExample -update-pricing`; do not edit. -->\n"
	exampleEnd   = "<!-- example: end -->\n"
)

// TestPricingExample works the example of docs/pricing.md out by direct sums,
// and holds it against what the command prints, to the cent.
func TestPricingExample(t *testing.T) {
	want := example(t)
	const name = "../../docs/pricing.md"
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(b), exampleBegin)
	got, tail, closed := strings.Cut(rest, exampleEnd)
	if !ok || !closed {
		t.Fatal("docs/pricing.md has no marks for the example")
	}
	if *updatePricing {
		if err := os.WriteFile(name, []byte(head+exampleBegin+want+exampleEnd+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the example in docs/pricing.md (-want +got), -update-pricing writes it anew:\n%s", diff)
	}
}

// example returns the part of the document. It fails the test where the command
// prices otherwise.
func example(t *testing.T) string {
	t.Helper()
	args := []string{"--age", "42", "--sex", "female", "--tobacco", "never", "--height-cm", "170", "--weight-kg", "65",
		"--sum", "500000", "--term", "20", "--market", "US", "--mode", "monthly", "--valuation-date", "2026-11-25"}
	stdout, stderr, status := runQuote(t, append(args, "--json")...)
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	var q struct {
		Class string `json:"class"`
		Net   int64  `json:"net_annual_cents"`
		Gross int64  `json:"gross_annual_cents"`
		Modal int64  `json:"modal_cents"`
		Basis struct {
			Table    int     `json:"table"`
			Name     string  `json:"table_name"`
			Multiple float64 `json:"multiple"`
		} `json:"basis"`
	}
	if err := json.Unmarshal([]byte(stdout), &q); err != nil {
		t.Fatal(err)
	}
	book, err := rulebook.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	product, err := book.Product("US", "", time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	table, err := book.Table(q.Basis.Table)
	if err != nil {
		t.Fatal(err)
	}

	const age, term, sum = 42, 20, 500_000_00
	v := 1 / (1 + product.Interest)
	var b strings.Builder
	say := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	say("    agequote quote %s", strings.Join(args, " "))
	say("")
	say("%s, class %s: table %d, %s, issue age %d, interest %g, multiple %g.", product.ID, q.Class, q.Basis.Table, q.Basis.Name, age, product.Interest, q.Basis.Multiple)
	say("")
	say("| year | q | living at its start | v^(k+1) p(k) q | v^k p(k) |")
	say("|---|---|---|---|---|")
	living, insurance, annuity := 1.0, 0.0, 0.0
	for k := range term {
		rate, err := table.Q(age, k+1)
		if err != nil {
			t.Fatal(err)
		}
		rate = min(1, q.Basis.Multiple*rate)
		dies, pays := math.Pow(v, float64(k+1))*living*rate, math.Pow(v, float64(k))*living
		if k < 3 || k == term-1 {
			say("| %d | %.5f | %.7f | %.9f | %.7f |", k+1, rate, living, dies, pays)
		} else if k == 3 {
			say("| ... | | | | |")
		}
		insurance, annuity, living = insurance+dies, annuity+pays, living*(1-rate)
	}
	say("| sum | | | %.9f = A | %.7f = a-due |", insurance, annuity)
	net := sum * insurance / annuity
	bands, charged := product.Loads.Bands, 0.0
	var parts []string
	for from := int64(0); from < sum; {
		to, discount := int64(sum), 0.0
		for _, band := range bands {
			if band.FromCents <= from {
				discount = band.Discount
			} else {
				to = min(to, band.FromCents)
			}
		}
		charged += float64(to-from) * (1 - discount)
		parts = append(parts, fmt.Sprintf("%d * (1 - %g)", (to-from)/100, discount))
		from = to
	}
	factor := charged / sum
	gross := net/(1-product.Loads.Loading)*factor + float64(product.Loads.PolicyFeeCents)
	cents := func(v float64) int64 { return int64(math.Floor(v + 0.5)) }
	modal := float64(cents(gross)) * product.ModalFactors["monthly"]
	say("")
	say("    net          = %d * %.9f / %.7f = %.6f, shown as %.2f", sum/100, insurance, annuity, net/100, float64(cents(net))/100)
	say("    band factor  = (%s) / %d = %g", strings.Join(parts, " + "), sum/100, factor)
	say("    gross        = %.6f / (1 - %g) * %g + %.2f = %.6f, rounded %.2f", net/100, product.Loads.Loading, factor, float64(product.Loads.PolicyFeeCents)/100, gross/100, float64(cents(gross))/100)
	say("    monthly      = %.2f * %g = %.6f, rounded %.2f", float64(cents(gross))/100, product.ModalFactors["monthly"], modal/100, float64(cents(modal))/100)
	if got, want := [3]int64{q.Net, q.Gross, q.Modal}, [3]int64{cents(net), cents(gross), cents(modal)}; got != want {
		t.Errorf("the command gives %v cents, the sums %v", got, want)
	}
	return b.String()
}
