package gate_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/gate"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/registry"
)

// read returns the evaluation of a model that passes.
func read(t testing.TB) *gate.Evaluation {
	t.Helper()
	b, err := os.ReadFile("testdata/evaluation.json")
	if err != nil {
		t.Fatal(err)
	}
	e, err := gate.ParseEvaluation(b)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func limits(t testing.TB) gate.Limits {
	t.Helper()
	l, err := gate.Default()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func number(v float64) *float64 { return &v }

// group changes one group of an evaluation.
func group(e *gate.Evaluation, name string, change func(*gate.Group)) {
	g := e.Report.Groups[name]
	change(&g)
	e.Report.Groups[name] = g
}

// TestJudge changes one figure at a time of a candidate that equals the live
// model, and expects just the checks that the figure is about to refuse.
func TestJudge(t *testing.T) {
	const women = gate.Adults + ",sex=female"
	tests := []struct {
		name   string
		change func(candidate, live *gate.Evaluation)
		want   []string // refusals of a candidate with a live model
		first  []string // refusals where nothing is live
	}{
		{name: "nothing", change: func(c, l *gate.Evaluation) {}},
		{name: "better", change: func(c, l *gate.Evaluation) {
			group(c, gate.Adults, func(g *gate.Group) { g.MAE = number(3.9) })
		}},
		{
			name: "adults worse than live",
			change: func(c, l *gate.Evaluation) {
				group(c, gate.Adults, func(g *gate.Group) { g.MAE = number(*g.MAE + 0.15) })
			},
			want: []string{"adults.mae.live"},
		},
		{
			name: "just within the margin",
			change: func(c, l *gate.Evaluation) {
				group(c, gate.Adults, func(g *gate.Group) { g.MAE = number(4.7) }) // of 4.6
			},
		},
		{
			name: "bad, as the live model is",
			change: func(c, l *gate.Evaluation) {
				group(c, gate.Adults, func(g *gate.Group) { g.MAE = number(7) })
				group(l, gate.Adults, func(g *gate.Group) { g.MAE = number(7) })
			},
			want: []string{"adults.mae"}, first: []string{"adults.mae"},
		},
		{
			name: "one group worse than live",
			change: func(c, l *gate.Evaluation) {
				group(c, women, func(g *gate.Group) { g.MAE = number(*g.MAE + 1) })
			},
			want: []string{"group.mae.live"},
		},
		{
			name: "two groups beyond the limit",
			change: func(c, l *gate.Evaluation) {
				for _, e := range []*gate.Evaluation{c, l} {
					group(e, women, func(g *gate.Group) { g.MAE = number(9.5) })
					group(e, gate.Adults+",age=50-59", func(g *gate.Group) { g.MAE = number(10) })
				}
			},
			want: []string{"group.mae", "group.mae"}, first: []string{"group.mae", "group.mae"},
		},
		{
			name:   "a group is surely not covered",
			change: func(c, l *gate.Evaluation) { group(c, women, func(g *gate.Group) { g.CoverageUpper = number(0.899) }) },
			want:   []string{"group.coverage"}, first: []string{"group.coverage"},
		},
		{
			name:   "coverage of a group without its bound",
			change: func(c, l *gate.Evaluation) { group(c, women, func(g *gate.Group) { g.CoverageUpper = nil }) },
			want:   []string{"group.coverage"}, first: []string{"group.coverage"},
		},
		{
			name: "no groups within adults",
			change: func(c, l *gate.Evaluation) {
				c.Report.Groups = map[string]gate.Group{gate.Adults: c.Report.Groups[gate.Adults]}
			},
			want: []string{"groups"}, first: []string{"groups"},
		},
		{
			name:   "intervals too narrow",
			change: func(c, l *gate.Evaluation) { group(c, gate.Adults, func(g *gate.Group) { g.Coverage = number(0.87) }) },
			want:   []string{"adults.coverage.from"}, first: []string{"adults.coverage.from"},
		},
		{
			name:   "intervals too wide",
			change: func(c, l *gate.Evaluation) { group(c, gate.Adults, func(g *gate.Group) { g.Coverage = number(0.97) }) },
			want:   []string{"adults.coverage.to"}, first: []string{"adults.coverage.to"},
		},
		{
			name: "refuses more",
			change: func(c, l *gate.Evaluation) {
				group(c, gate.Adults, func(g *gate.Group) { g.Rejected.Share = number(0.02) })
			},
			want: []string{"adults.refused.live"},
		},
		{
			name: "refuses far too many",
			change: func(c, l *gate.Evaluation) {
				group(c, gate.Adults, func(g *gate.Group) { g.Rejected.Share = number(0.04) })
			},
			want: []string{"adults.refused", "adults.refused.live"}, first: []string{"adults.refused"},
		},
		{
			name:   "measured on few",
			change: func(c, l *gate.Evaluation) { group(c, gate.Adults, func(g *gate.Group) { g.N = 400 }) },
			want:   []string{"adults.photos"}, first: []string{"adults.photos"},
		},
		{
			name:   "file is another network",
			change: func(c, l *gate.Evaluation) { c.Parity.MaxProbability, c.Parity.MaxYears = number(2e-4), number(0.06) },
			want:   []string{"parity.probability", "parity.years"}, first: []string{"parity.probability", "parity.years"},
		},
		{
			name:   "parity on few",
			change: func(c, l *gate.Evaluation) { c.Parity.Photos = 20 },
			want:   []string{"parity.photos"}, first: []string{"parity.photos"},
		},
		{
			name:   "premiums worse than live",
			change: func(c, l *gate.Evaluation) { c.Premium.MeanAbsError = number(85) },
			want:   []string{"premium.live"},
		},
		{
			name:   "premiums far off",
			change: func(c, l *gate.Evaluation) { c.Premium.MedianRelativeError = number(0.5) },
			want:   []string{"premium.relative"}, first: []string{"premium.relative"},
		},
		{
			name:   "another product was priced",
			change: func(c, l *gate.Evaluation) { c.Premium.Product = "uk-term" },
			want:   []string{"premium.live"},
		},
		{
			name:   "on another basis",
			change: func(c, l *gate.Evaluation) { c.Premium.Basis = "250,000 over 30 years" },
			want:   []string{"premium.live"},
		},
		{
			name:   "other labels",
			change: func(c, l *gate.Evaluation) { c.Labels = "sha256:bb" },
			want:   []string{"labels"},
		},
		{
			name:   "labels unknown on both sides",
			change: func(c, l *gate.Evaluation) { c.Labels, l.Labels = "", "" },
			want:   []string{"labels"},
		},
		{
			name:   "nothing measured",
			change: func(c, l *gate.Evaluation) { *c = gate.Evaluation{Labels: c.Labels} },
			want: []string{"adults.photos", "adults.mae", "adults.coverage.from", "adults.coverage.to", "adults.refused",
				"adults.mae.live", "adults.refused.live", "groups",
				"parity.photos", "parity.probability", "parity.years", "premium.relative", "premium.live"},
			first: []string{"adults.photos", "adults.mae", "adults.coverage.from", "adults.coverage.to", "adults.refused", "groups",
				"parity.photos", "parity.probability", "parity.years", "premium.relative"},
		},
		{
			name: "live model without figures",
			change: func(c, l *gate.Evaluation) {
				group(l, gate.Adults, func(g *gate.Group) { g.MAE = nil })
				l.Premium.MeanAbsError = nil
			},
			want: []string{"adults.mae.live", "premium.live"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			candidate, live := read(t), read(t)
			tt.change(candidate, live)
			for _, against := range []struct {
				live *gate.Evaluation
				want []string
			}{{live, tt.want}, {nil, tt.first}} {
				got := registry.Verdict{Findings: gate.Judge(limits(t), candidate, against.live)}
				var refused []string
				for _, f := range got.Refusals() {
					refused = append(refused, f.Check)
					if f.Sentence == "" {
						t.Errorf("%s is refused without a sentence", f.Check)
					}
				}
				if diff := cmp.Diff(against.want, refused); diff != "" {
					t.Errorf("with a live model: %v (-want +got)\n%s", against.live != nil, diff)
				}
				if got.Passed() != (len(against.want) == 0) {
					t.Errorf("passed: %v", got.Passed())
				}
			}
		})
	}
}

// TestReadsWhatEvaluateWrites holds the gate's reading of evaluation.json and
// the type that writes it together.
func TestReadsWhatEvaluateWrites(t *testing.T) {
	one := func(years, estimate float64) evaluation.Row {
		low, high := estimate-10, estimate+10
		return evaluation.Row{Age: years, Code: reason.OK, Groups: map[string]string{"sex": "female"},
			Estimate: age.Estimate{Age: &estimate, Low: &low, High: &high}}
	}
	var rows []evaluation.Row
	for i := range 200 {
		rows = append(rows, one(40, 37+float64(i%2)))
	}
	document := evaluation.Document{
		Schema: 1, Labels: "sha256:labels", Report: evaluation.Measure("", rows),
		Premium: evaluation.Premium{
			Terms:          evaluation.Terms{Product: "us-term", Basis: "10 years"},
			PremiumFigures: evaluation.PremiumFigures{MeanAbsError: number(80), MedianRelativeError: number(0.2)},
		},
		Parity: &evaluation.Parity{Photos: 200, MaxProbability: 1e-5, MaxYears: 0.001},
	}
	b, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	got, err := gate.ParseEvaluation(b)
	if err != nil {
		t.Fatal(err)
	}
	figures := document.Report.Groups[gate.Adults+",sex=female"]
	group := got.Report.Groups[gate.Adults+",sex=female"]
	want := gate.Group{N: 200, MAE: number(2.5), Coverage: number(1), CoverageUpper: figures.CoverageUpper}
	want.Rejected.Share = number(0)
	if diff := cmp.Diff(want, group); diff != "" || group.CoverageUpper == nil {
		t.Errorf("women (-want +got)\n%s", diff)
	}
	if got.Labels != document.Labels || got.Premium.Product != "us-term" || got.Premium.Basis != "10 years" ||
		*got.Premium.MeanAbsError != 80 || *got.Premium.MedianRelativeError != 0.2 ||
		got.Parity.Photos != 200 || *got.Parity.MaxProbability != 1e-5 || *got.Parity.MaxYears != 0.001 {
		t.Errorf("read %+v of\n%s", got, b)
	}
	if gate.Adults != evaluation.Adults || gate.EvaluationName != evaluation.DocumentName {
		t.Error("the two packages name the group or the file differently")
	}
}

// TestJudgeTellsTheWayOut reads the sentence about other labels.
func TestJudgeTellsTheWayOut(t *testing.T) {
	candidate, live := read(t), read(t)
	candidate.Labels = "sha256:bb"
	findings := gate.Judge(limits(t), candidate, live)
	for _, want := range []string{live.Labels, candidate.Labels, "go run ./training evaluate"} {
		if !strings.Contains(findings[0].Sentence, want) {
			t.Errorf("%q does not name %q", findings[0].Sentence, want)
		}
	}
}

func TestParseLimitsRefuses(t *testing.T) {
	file, err := os.ReadFile("gate.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"misspelt": {"\nmae_years:", "\nmea_years:"},
		"infinite": {"value: 6.0", "value: .inf"},
		"NaN":      {"value: 6.0", "value: .nan"},
		"negative": {"value: 6.0", "value: -6.0"},
		"unreasoned": {"reason: A third of the error's own 95% interval on 2,000 photos. Two runs of one recipe differ by less.",
			"reason: ''"},
	} {
		changed := strings.Replace(string(file), change[0], change[1], 1)
		if changed == string(file) {
			t.Fatalf("%s changes nothing", name)
		}
		if _, err := gate.ParseLimits([]byte(changed)); err == nil {
			t.Errorf("%s limits were taken", name)
		}
	}
}

// FuzzJudge looks for an evaluation that crashes the gate, or passes without
// figures that the limits allow.
func FuzzJudge(f *testing.F) {
	b, err := os.ReadFile("testdata/evaluation.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"schema":1,"report":{"groups":{"adults=18-75":null}}}`))
	l := limits(f)
	live := read(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := gate.ParseEvaluation(b)
		if err != nil {
			return
		}
		for _, against := range []*gate.Evaluation{nil, live, e} {
			if !(registry.Verdict{Findings: gate.Judge(l, e, against)}).Passed() {
				continue
			}
			adults := e.Report.Groups[gate.Adults]
			if adults.MAE == nil || *adults.MAE > l.MAE.Value || adults.Coverage == nil || e.Parity.MaxYears == nil {
				t.Errorf("passed: %s", b)
			}
		}
	})
}
