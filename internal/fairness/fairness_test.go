package fairness_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/agequote/agequote/internal/batch"
	"github.com/agequote/agequote/internal/fairness"
)

var update = flag.Bool("update", false, "write the golden files")

// people makes n items of the same group that differ in nothing that is not
// said: the first quoted of them are quoted, the rest is referred.
func people(group, sex string, n, quoted int) []fairness.Item {
	var items []fairness.Item
	for i := range n {
		age, price := 40.0, int64(20000)
		r := batch.Row{Case: fmt.Sprintf("%s-%s-%04d", group, sex, i), Outcome: batch.Referred, Reasons: "age_uncertain", Sex: sex,
			DeclaredAge: &age, Groups: "race=" + group, SumCents: 100_000_00, TermYears: 20, Product: "us-term", Currency: "USD"}
		if i < quoted {
			r.Outcome, r.Reasons, r.GrossCents = batch.Quoted, "", &price
		}
		items = append(items, fairness.NewItem(r, nil))
	}
	return items
}

func find(t *testing.T, r fairness.Report, dimension, group string) fairness.Group {
	t.Helper()
	for _, d := range r.Dimensions {
		for _, g := range d.Groups {
			if d.Name == dimension && g.Name == group {
				return g
			}
		}
	}
	t.Fatalf("no group %s of %s", group, dimension)
	return fairness.Group{}
}

func rate(t *testing.T, g fairness.Group, measure string) fairness.Rate {
	t.Helper()
	i := slices.IndexFunc(g.Rates, func(r fairness.Rate) bool { return r.Measure == measure })
	if i < 0 {
		t.Fatalf("no rate %s", measure)
	}
	return g.Rates[i]
}

// TestImpact has one group inside four fifths, one outside and a small one, by
// figures that a reader can do in the head.
func TestImpact(t *testing.T) {
	items := slices.Concat(people("a", "female", 200, 180), people("b", "female", 200, 150), people("c", "male", 200, 130), people("d", "male", 10, 1))
	r := fairness.Measure(items, fairness.Options{})
	for _, tt := range []struct {
		group          string
		ratio          float64
		judged, inside bool
		says           string
	}{
		{"a", 1, true, true, "quoted most often"},
		{"b", 0.75 / 0.9, true, true, "inside four fifths"},
		{"c", 0.65 / 0.9, true, false, "OUTSIDE four fifths"},
		{"d", 0.1 / 0.9, false, false, "not judged"},
	} {
		i := find(t, r, "race", tt.group).Impact
		if math.Abs(i.Ratio-tt.ratio) > 1e-12 || i.Judged != tt.judged || i.Inside != tt.inside || !strings.Contains(i.Says, tt.says) {
			t.Errorf("%s: %+v, want %+v", tt.group, *i, tt)
		}
	}
	// Race c, and the men, who are those of c and d: 131 of 210 to 330 of 400.
	if r.Comparisons.Outside != 2 {
		t.Errorf("%d groups outside, want 2", r.Comparisons.Outside)
	}
	want := "Of 200 people of race b 50 were referred to a person (25.0 %), of the 410 others 99 (24.1 %): 0.9 points more"
	if says := rate(t, find(t, r, "race", "b"), "referred").Says; !strings.HasPrefix(says, want) {
		t.Errorf("says %q, want %q", says, want)
	}
	// A small group is no part of what is judged, and the two sexes are one
	// comparison.
	if test := rate(t, find(t, r, "race", "d"), "referred").Test; test.P != nil || test.Differs {
		t.Errorf("a group of 10 is judged: %+v", test)
	}
	f, m := rate(t, find(t, r, "sex", "female"), "quoted"), rate(t, find(t, r, "sex", "male"), "quoted")
	if *f.P != *m.P || *f.AdjustedP != *m.AdjustedP || *f.Gap != -*m.Gap || !f.Differs {
		t.Errorf("women %+v, men %+v", f, m)
	}
	// quoted and referred for a, b, c, and for the sexes once; each within age
	// bands too.
	if r.Comparisons.Judged != 16 {
		t.Errorf("%d comparisons judged, want 16", r.Comparisons.Judged)
	}
}

// TestAges leaves people outside the ages out of the groups and within the
// counts, and contradicted ages out of the known ones.
func TestAges(t *testing.T) {
	items := people("a", "female", 40, 40)
	for i, years := range []float64{17, 17.9, 75.9, 76} {
		items[i].Row.DeclaredAge, items[i].Known = &years, &years
	}
	young := 20.0
	contradicted := items[10].Row
	contradicted.Outcome, contradicted.Reasons, contradicted.Age = batch.Referred, "age_contradicts", &young
	items[10] = fairness.NewItem(contradicted, nil)
	items[11] = fairness.NewItem(contradicted, &fairness.Label{Age: 22, Groups: map[string]string{"race": "b"}})
	r := fairness.Measure(items, fairness.Options{})
	got := []any{r.N, r.OutsideAges, r.Contradicted, r.KnownAges[fairness.FromDeclared], r.KnownAges[fairness.FromLabels], find(t, r, "sex", "female").N, find(t, r, "race", "b").N}
	if diff := cmp.Diff([]any{40, 3, 1, 35, 1, 37, 1}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestOrder gives the same report whatever the order of the items.
func TestOrder(t *testing.T) {
	items := sample(500)
	want, err := fairness.Measure(items, fairness.Options{}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	got, err := fairness.Measure(items, fairness.Options{}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Error(cmp.Diff(string(want), string(got)))
	}
}

// sample draws people by a seed: two sexes, three groups of which one has its
// photos refused more often and is read too young.
func sample(n int) []fairness.Item {
	r := rand.New(rand.NewPCG(20261125, 8))
	var items []fairness.Item
	for i := range n {
		years := float64(18 + r.IntN(58))
		group := []string{"x", "x", "x", "y", "y", "z"}[r.IntN(6)]
		bias := map[string]float64{"x": 0, "y": 0.4, "z": -2.5}[group]
		estimate := math.Round((years+bias+5*r.NormFloat64())*10) / 10
		low, high := math.Floor(estimate-9), math.Ceil(estimate+9)
		row := batch.Row{Case: fmt.Sprintf("case-%05d", i), Outcome: batch.Quoted, Code: "ok", Sex: []string{"female", "male"}[r.IntN(2)],
			SumCents: []int64{100_000_00, 250_000_00}[r.IntN(2)], TermYears: 20, Market: "US", Product: "us-term", Currency: "USD",
			Age: &estimate, Low: &low, High: &high, Groups: "race=" + group, ModelHash: "sha256:m", RulesHash: "sha256:r", CodeVersion: "v1"}
		refused := 0.03
		if group == "z" {
			refused = 0.12
		}
		price := func(age float64) *int64 {
			cents := int64(float64(row.SumCents) / 1000 * 0.4 * math.Exp((age-18)/14))
			return &cents
		}
		if r.Float64() < refused {
			row.Outcome, row.Code, row.Age, row.Low, row.High = batch.Refused, []string{"blurred", "too_dark"}[r.IntN(2)], nil, nil, nil
		} else if r.Float64() < 0.1 {
			row.Outcome, row.Reasons = batch.Referred, "age_uncertain"
		} else {
			row.GrossCents = price(estimate)
		}
		it := fairness.NewItem(row, &fairness.Label{Age: years})
		it.AtKnown = price(years)
		items = append(items, it)
	}
	return items
}

// TestReport holds the report to its schema, and its page to a golden
// file. Look at the page before -update.
func TestReport(t *testing.T) {
	o := fairness.Options{Source: fairness.Source{Kind: "batch", Batch: "sample", Files: []fairness.SourceFile{{Name: "results.csv", Hash: "sha256:0"}}}}
	before := fairness.Measure(sample(3000)[2000:], o)
	r := fairness.Measure(sample(2000), o)
	r.Compare(before)
	raw, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	checkSchema(t, raw)
	total := 0
	for _, k := range r.Outcomes {
		total += k
	}
	if total != r.N {
		t.Errorf("outcomes add up to %d of %d", total, r.N)
	}
	z := find(t, r, "race", "z")
	if !rate(t, z, "refused").Differs {
		t.Errorf("refusals of z: %+v", rate(t, z, "refused"))
	}
	if len(r.Changes.Changed) != 0 {
		t.Errorf("two samples of the same people differ: %+v", r.Changes.Changed)
	}
	page, err := fairness.Page(r)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/report.html", page)
}

// TestCompare finds what changed, and what went out of four fifths.
func TestCompare(t *testing.T) {
	then := fairness.Measure(slices.Concat(people("a", "female", 400, 380), people("b", "male", 400, 372)), fairness.Options{})
	now := fairness.Measure(slices.Concat(people("a", "female", 400, 378), people("b", "male", 400, 280)), fairness.Options{})
	now.Compare(then)
	var changed []string
	for _, c := range now.Changes.Changed {
		changed = append(changed, c.Dimension+"="+c.Group+" "+c.Measure)
	}
	// All are of one age, so the age band moves too.
	want := []string{"sex=male quoted", "sex=male referred", "age=40-49 quoted", "age=40-49 referred", "race=b quoted", "race=b referred"}
	if diff := cmp.Diff(want, changed); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if len(now.Changes.FourFifths) != 2 {
		t.Errorf("four fifths: %v", now.Changes.FourFifths)
	}
}

// TestEscapes shows a group's name as text.
func TestEscapes(t *testing.T) {
	items := people("<script>alert(1)</script>", "female", 40, 30)
	page, err := fairness.Page(fairness.Measure(append(items, people("b", "male", 40, 30)...), fairness.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(page, []byte("<script")) || !bytes.Contains(page, []byte("&lt;script")) {
		t.Error("a group's name is markup")
	}
}

func checkSchema(t *testing.T, raw []byte) {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile("report.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Error(err)
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s differs; look, then run with -update\n%s", name, cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")))
	}
}

// TestReadRows reads what package batch writes, to the same row.
func TestReadRows(t *testing.T) {
	age, low, cents := 40.5, 33.0, int64(12345)
	want := []batch.Row{
		{Row: 2, Case: "case-0001", Photo: "a, b.jpg", Outcome: batch.Quoted, Code: "ok", Age: &age, Low: &low, GrossCents: &cents, SumCents: 100, TermYears: 20, Groups: "race=two words x=1", MS: 12},
		{Row: 3, Case: "case-0002", Outcome: batch.Failed, Code: "gave_up", Stage: "predict", Tries: 3, Message: "a \"quoted\" line"},
	}
	var csv bytes.Buffer
	table, err := batch.NewTable(&csv, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range want {
		if err := table.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	var got []batch.Row
	if err := fairness.ReadRows(bytes.NewReader(csv.Bytes()), func(r batch.Row) error { got = append(got, r); return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if groups := fairness.NewItem(got[0], nil).Groups; groups["race"] != "two words" || groups["x"] != "1" {
		t.Errorf("groups %v", groups)
	}
	for _, bad := range []string{"", "case\nx\n", "case,outcome\na,unheard\n", "case,outcome,age\na,quoted,old\n", "case,outcome,age\na,quoted,NaN\n"} {
		if err := fairness.ReadRows(strings.NewReader(bad), func(batch.Row) error { return nil }); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

func TestReadLabels(t *testing.T) {
	got, err := fairness.ReadLabels(strings.NewReader("case\tage\trace\nx\t41\tblue\ny\t30.5\t\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]fairness.Label{"x": {Age: 41, Groups: map[string]string{"race": "blue"}}, "y": {Age: 30.5}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, bad := range []string{"", "case\trace\n", "case\tage\nx\told\n", "case\tage\nx\t1\nx\t2\n", "case\tage\n\t3\n"} {
		if _, err := fairness.ReadLabels(strings.NewReader(bad)); err == nil {
			t.Errorf("%q is read", bad)
		} else if strings.Contains(err.Error(), "old") {
			t.Errorf("%v repeats the line", err)
		}
	}
}

func FuzzReadRows(f *testing.F) {
	f.Add([]byte("case,outcome,age\na,quoted,4\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var items []fairness.Item
		if fairness.ReadRows(bytes.NewReader(raw), func(r batch.Row) error { items = append(items, fairness.NewItem(r, nil)); return nil }) != nil {
			return
		}
		b, err := fairness.Measure(items, fairness.Options{}).Encode()
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(b) {
			t.Fatal("no JSON")
		}
	})
}

// TestHiddenByAge has women read three years younger than men of their age, and
// more of the men old, where everybody is read too young: over all ages both
// look alike.
func TestHiddenByAge(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var items []fairness.Item
	person := func(sex string, years, bias float64) {
		estimate := years + bias + 2*r.NormFloat64()
		row := batch.Row{Case: fmt.Sprintf("case-%04d", len(items)), Outcome: batch.Quoted, Sex: sex, Age: &estimate}
		items = append(items, fairness.NewItem(row, &fairness.Label{Age: years}))
	}
	for range 100 {
		person("female", 25, 0)
		person("male", 65, -6)
	}
	for range 50 {
		person("male", 25, 3)
		person("female", 65, -9)
	}
	report := fairness.Measure(items, fairness.Options{})
	g := find(t, report, "sex", "female")
	i := slices.IndexFunc(g.Means, func(m fairness.Mean) bool { return m.Measure == "age_bias" })
	m := g.Means[i]
	if m.Differs || m.SameAge == nil || !m.SameAge.Differs || math.Abs(m.SameAge.Gap+3) > 0.7 {
		t.Errorf("over all %+v, within age bands %+v", m.Test, m.SameAge)
	}
	if !slices.ContainsFunc(report.Findings, func(f fairness.Finding) bool { return f.Dimension == "sex" && f.Measure == "age_bias" }) {
		t.Errorf("findings: %+v", report.Findings)
	}
}
