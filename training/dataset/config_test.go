package dataset_test

import (
	"math"
	"strings"
	"testing"

	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/training/dataset"
)

// TestParseNamesEveryProblem gives one file all that is checked.
func TestParseNamesEveryProblem(t *testing.T) {
	_, err := dataset.Parse([]byte(`
sources:
  - {kind: morph, train: [0], use: research}
  - {kind: utkface, dir: ../utk, train: ["07", 3, 3], validate: [3], weight: -1, use: maybe, salt: s}
  - {kind: fgnet, file: x, train: [kept_apart], validate: [even], age: real, use: production}
  - {kind: appa-real, train: [test], use: research}
  - {kind: labels, file: l, use: research, train: [10]}
  - {kind: labels, file: l, use: research, salt: s}
conflicts: {max_years: -1, rule: ignore}
`))
	if err == nil {
		t.Fatal("Parse found nothing")
	}
	for _, want := range []string{
		`sources[0].kind: "morph"`,
		`sources[1].dir: "../utk"`,
		`sources[1].file: missing`,
		`sources[1].train[0]: utkface has no part "07"`,
		`sources[1].train[2]: part "3" twice`,
		`sources[1].train[1]: part "3" validates too`,
		`sources[1].weight: -1`,
		`sources[1].use: "maybe"`,
		`sources[1].salt: utkface has`,
		`sources[2].file: `,
		`sources[2].train[0]: no model is trained on part "kept_apart"`,
		`sources[2].validate[0]: fgnet has no part "even"`,
		`sources[2]: age and faces`,
		`sources[2].terms: `,
		`sources[3].train[0]: no model is trained on part "test"`,
		`sources[3].age: ""`,
		`sources[4].train[0]: labels has no part "10"`,
		`sources[4].salt: missing`,
		`sources[5].name: a second "labels"`,
		`sources[5]: no part trains or validates`,
		`conflicts.max_years: -1`,
		`conflicts.rule: "ignore"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
	if got := strings.Count(err.Error(), "\n") + 1; got != 22 {
		t.Errorf("%d problems, want 22:\n%v", got, err)
	}
}

func TestParseRefuses(t *testing.T) {
	for config, want := range map[string]string{
		"":                                      "sources: none",
		"sources: []":                           "sources: none",
		"source: []":                            "line 1",
		"\nsources: [{kind: fgnet, folder: x}]": "line 2",
		"sources: [{kind: fgnet, train: [others], use: research}]\nconflicts: {rule: weight}": "conflicts.weight: 0",
		"sources: [{kind: fgnet, train: [others], use: research}]\nconflicts: {weight: 0.5}":  "conflicts.weight: needs",
		"# " + strings.Repeat("x", 64<<10):                                                    "bytes",
	} {
		if _, err := dataset.Parse([]byte(config)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%.60q) = %v, want %q in it", config, err, want)
		}
	}
}

func TestUse(t *testing.T) {
	const own = "{kind: labels, file: l, salt: s, train: [0], use: production, terms: consent 2026-3}"
	for sources, want := range map[string]model.Use{
		own: model.Production,
		own + ", {kind: fgnet, train: [others], use: research}": model.Research, // one is enough
	} {
		if got := parse(t, "sources: ["+sources+"]").Use(); got != want {
			t.Errorf("Use of %s = %s, want %s", sources, got, want)
		}
	}
}

func TestBounds(t *testing.T) {
	c := &dataset.Config{}
	if got := c.Bounds(); got != face.DefaultBounds {
		t.Errorf("Bounds = %+v, want serving's", got)
	}
	c.KeepRefused = true
	want := face.DefaultBounds
	want.Turn, want.Dark, want.Bright, want.Sharpness = math.Inf(1), 0, math.Inf(1), 0
	if got := c.Bounds(); got != want {
		t.Errorf("Bounds = %+v, want %+v", got, want)
	}
}
