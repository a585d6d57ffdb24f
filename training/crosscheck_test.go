package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/rules"
	"github.com/agequote/agequote/training/crosscheck"
	"github.com/agequote/agequote/training/page"
)

const pricingDoc = "../docs/pricing.md"

func pricingDocument(t *testing.T) crosscheck.Document {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(crosscheck.PlotFolder(pricingDoc), "crosscheck.json"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := crosscheck.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestPricingDocument holds docs/pricing.md and its plots against the figures
// beside them, and those against the rule book and, where they are, the readings
// that they were measured on.
func TestPricingDocument(t *testing.T) {
	d := pricingDocument(t)
	text, err := os.ReadFile(pricingDoc)
	if err != nil {
		t.Fatal(err)
	}
	folder := crosscheck.PlotFolder(pricingDoc)
	_, part, _, err := crosscheck.Marked(string(text))
	if err != nil {
		t.Fatal(err)
	}
	const remedy = "; `make pricing-study` writes it anew"
	if diff := cmp.Diff(crosscheck.Markdown(d, filepath.Base(folder)), part); diff != "" {
		t.Errorf("docs/pricing.md (-want +got)%s:\n%s", remedy, diff)
	}
	files, err := crosscheckFiles(d)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		if got, err := os.ReadFile(filepath.Join(folder, name)); err != nil || !bytes.Equal(want, got) {
			t.Errorf("%s is not what the figures give, %v%s", name, err, remedy)
		}
	}
	html, err := page.RenderCrosscheck(d, "trial")
	if err != nil || !bytes.Contains(html, []byte(`<figure id="trade-off"`)) {
		t.Errorf("page of %d bytes, %v", len(html), err)
	}

	book, err := rulebook.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	date, err := time.Parse(time.DateOnly, d.Date)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range d.Products {
		now, err := book.Product(p.Market, p.ID, date)
		if err != nil {
			t.Fatal(err)
		}
		if now.Photo.Role != p.Role || now.Photo.Charge != p.Charge || now.Photo.SlackYears != p.Rule.Slack || now.MaxIntervalWidth != p.Rule.Width {
			t.Errorf("%s uses the photo otherwise than it was measured%s", p.ID, remedy)
		}
	}
}

// TestPricingFigures measures again, where the readings are. Rules that changed
// since give other figures, and then the document waits for a new study.
func TestPricingFigures(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a quarter of a minute")
	}
	const readings, dir = "../build/runs/transfer/readings.jsonl", "../build/runs/transfer/package"
	d := pricingDocument(t)
	raw, err := os.ReadFile(readings)
	if err != nil || digest.Of(raw) != d.Readings {
		t.Skip("no readings that the document was made of")
	}
	date, err := time.Parse(time.DateOnly, d.Date)
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := measureCrosscheck(readings, dir, d.Folds, date)
	if err != nil {
		t.Fatal(err)
	}
	again.Schema = d.Schema
	for i := range again.Products {
		if i < len(d.Products) && again.Products[i].Hash != d.Products[i].Hash {
			t.Skip("rules have changed since")
		}
	}
	if diff := cmp.Diff(d, again); diff != "" {
		t.Errorf("figures (-document +now):\n%s", diff)
	}
}

// TestPricingConclusions checks on the figures what docs/pricing.md concludes
// from them in words.
func TestPricingConclusions(t *testing.T) {
	d := pricingDocument(t)
	yield := func(slack float64, years int) float64 {
		for _, y := range d.Yields {
			if y.Slack == slack && y.Years == years && y.Honest != nil {
				return *y.Honest
			}
		}
		t.Fatalf("no yield of slack %g at %d years", slack, years)
		return 0
	}
	for _, years := range []int{10, 15} {
		if yield(2, years) >= yield(0, years) {
			t.Errorf("two years of slack do not make catches of %d years cheaper", years)
		}
	}
	far := func(v float64) float64 { return max(v, 1/v) }
	var own, lowest, highest crosscheck.Level
	for i, l := range d.Levels {
		if i == 0 {
			lowest = l
		}
		if l.Asked == d.Asked {
			own = l
		}
		highest = l
	}
	pooled := map[string]float64{}
	for _, c := range own.Charges {
		pooled[c.Charge] = c.Ratio.Pooled
	}
	if far(pooled["expected"]) >= far(pooled["estimated"]) || far(pooled["expected"]) >= far(pooled["high"]) || pooled["estimated"] >= 1 {
		t.Errorf("charged over true: %v; expected should be nearest, and estimated too little", pooled)
	}
	if a, b := lowest.Rules[1].Minors.Value, own.Rules[1].Minors.Value; a >= b {
		t.Errorf("minors stopped with slack: %g at the lowest level, %g at the model's", a, b)
	}
	if a, b := lowest.Rules[0].MinorsSilent.Value, own.Rules[0].MinorsSilent.Value; a >= b {
		t.Errorf("minors without an age stopped: %g at the lowest level, %g at the model's", a, b)
	}
	if highest.Rules[0].Quoted.Value >= own.Rules[0].Quoted.Value {
		t.Error("a level above the model's quotes no fewer")
	}
	byName := map[string]crosscheck.Group{}
	for _, g := range d.Groups {
		byName[g.Name] = g
	}
	if young, old := byName["age=18-29"].Charged.Ratio.Pooled, byName["age=70-75"].Charged.Ratio.Pooled; young <= 1 || old >= 1 {
		t.Errorf("expected over true: %g at 18-29, %g at 70-75", young, old)
	}
}
