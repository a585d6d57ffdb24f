// Package gate judges whether a model may go live: what its package's
// evaluation.json measured, against fixed limits and against the live model's,
// measured on the same photos. It is pure, and knows no way round a refusal.
// What it judges on was written by whoever made the package; that the figures
// are true is what a second person's approval is for.
package gate

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/agequote/agequote/internal/registry"
)

// EvaluationName is the file of a package that the gate reads.
const EvaluationName = "evaluation.json"

// Adults is the group that is judged; the groups within it are named
// "adults=18-75,sex=female".
const Adults = "adults=18-75"

// Evaluation is what the gate reads of an evaluation.json. Package evaluation
// says what the figures are. What was not measured is nil.
type Evaluation struct {
	Schema int    `json:"schema"`
	Labels string `json:"labels"` // "sha256:..." of the labels file measured on
	Report struct {
		Groups map[string]Group `json:"groups"`
	} `json:"report"`
	Premium struct {
		Product             string   `json:"product"`
		Basis               string   `json:"basis"` // what else fixes the premium
		MeanAbsError        *float64 `json:"mean_abs_error"`
		MedianRelativeError *float64 `json:"median_relative_error"`
	} `json:"premium"`
	Parity struct {
		Photos         int      `json:"photos"`
		MaxProbability *float64 `json:"max_probability"`
		MaxYears       *float64 `json:"max_years"`
	} `json:"parity"`
}

// Group is what was measured over one group of photos.
type Group struct {
	N        int `json:"n"` // refused ones included
	Rejected struct {
		Share *float64 `json:"share"`
	} `json:"rejected"`
	MAE           *float64 `json:"mae"`
	Coverage      *float64 `json:"coverage"`
	CoverageUpper *float64 `json:"coverage_upper"` // 95%, Bonferroni over the groups
}

// ParseEvaluation reads an evaluation.json. Fields that the gate does not know
// are left to others.
func ParseEvaluation(b []byte) (*Evaluation, error) {
	var e Evaluation
	if err := json.Unmarshal(b, &e); err != nil {
		return nil, fmt.Errorf("read %s: %w", EvaluationName, err)
	}
	if e.Schema != 1 {
		return nil, fmt.Errorf("read %s: schema %d, this code reads 1", EvaluationName, e.Schema)
	}
	return &e, nil
}

// Judge holds a candidate against the limits, and against the live model's
// evaluation where there is one. It reports every check; each that the
// candidate fails is a refusal. What was not measured fails.
func Judge(l Limits, candidate, live *Evaluation) []registry.Finding {
	j := judge{limits: l, candidate: candidate, live: live}
	if live != nil && !j.sameLabels() {
		return j.findings // figures from other photos say nothing about each other
	}
	j.adults()
	j.groups()
	j.parity()
	j.premium()
	return j.findings
}

// Missing is the finding about a package that was never evaluated.
func Missing(model string) registry.Finding {
	return registry.Finding{
		Check: "evaluation",
		Sentence: fmt.Sprintf("%s has no %s: measure it with `go run ./training evaluate --package DIR --labels FILE --images DIR --out DIR`, put the file into the package with `training export`, and publish that.",
			model, EvaluationName),
	}
}

// judge collects findings.
type judge struct {
	limits          Limits
	candidate, live *Evaluation
	findings        []registry.Finding
}

// atMost and atLeast are the two kinds of check. A nil value was not measured.
func atMost(check string, value *float64, limit float64, sentence string) registry.Finding {
	return finding(check, value, limit, value != nil && *value <= limit, sentence)
}

func atLeast(check string, value *float64, limit float64, sentence string) registry.Finding {
	return finding(check, value, limit, value != nil && *value >= limit, sentence)
}

func finding(check string, value *float64, limit float64, ok bool, sentence string) registry.Finding {
	if value == nil {
		sentence += " It was not measured."
	}
	return registry.Finding{Check: check, OK: ok, Value: value, Limit: &limit, Sentence: sentence}
}

func (j *judge) add(f ...registry.Finding) { j.findings = append(j.findings, f...) }

// sameLabels tells whether both were measured on one labels file, and one
// product was priced.
func (j *judge) sameLabels() bool {
	same := j.candidate.Labels != "" && j.candidate.Labels == j.live.Labels
	sentence := "Both models were measured on the same photos."
	if !same {
		sentence = fmt.Sprintf("The live model was measured on labels %s, this one on %s: run `go run ./training evaluate` again with the labels of the live model; "+
			"or, to move on to new labels, measure the live model on them and publish and approve it first, which changes its figures alone.",
			orNone(j.live.Labels), orNone(j.candidate.Labels))
	}
	j.add(registry.Finding{Check: "labels", OK: same, Sentence: sentence})
	return same
}

func (j *judge) adults() {
	a := j.candidate.Report.Groups[Adults]
	l := j.limits
	photos := float64(a.N)
	j.add(
		atLeast("adults.photos", &photos, l.AdultsPhotos.Value, "Photos of adults of 18 to 75 that it was measured on."),
		atMost("adults.mae", a.MAE, l.MAE.Value, "Mean error of adults in years."),
		atLeast("adults.coverage.from", a.Coverage, l.CoverageFrom.Value, "Share of adults whose age the interval holds."),
		atMost("adults.coverage.to", a.Coverage, l.CoverageTo.Value, "Share of adults whose age the interval holds: above the limit it is needlessly wide."),
		atMost("adults.refused", a.Rejected.Share, l.Refused.Value, "Share of adults whose photo is refused."),
	)
	if j.live == nil {
		return
	}
	b := j.live.Report.Groups[Adults]
	j.add(
		j.aboveLive("adults.mae.live", a.MAE, b.MAE, l.MAEAboveLive.Value, "Mean error of adults in years, against the live model's and a margin."),
		j.aboveLive("adults.refused.live", a.Rejected.Share, b.Rejected.Share, l.RefusedAboveLive.Value, "Share of adults whose photo is refused, against the live model's and a margin."),
	)
}

// aboveLive allows the live model's value and a margin.
func (j *judge) aboveLive(check string, value, live *float64, margin float64, sentence string) registry.Finding {
	if live == nil {
		return registry.Finding{Check: check, Value: value, Sentence: sentence + " The live model's was not measured: roll back to a model that was, with `agequote models rollback`."}
	}
	return atMost(check, value, tidy(*live+margin), sentence)
}

// groups judges every group of adults that is large enough. Of a check that all
// groups pass, only the group nearest to its limit is told.
func (j *judge) groups() {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(j.candidate.Report.Groups)), func(name string) bool {
		g := j.candidate.Report.Groups[name]
		return name != Adults && !strings.HasPrefix(name, Adults+",") || float64(g.N) < j.limits.GroupPhotos.Value
	})
	if !slices.ContainsFunc(names, func(name string) bool { return name != Adults }) {
		j.add(registry.Finding{Check: "groups", Sentence: "No group within adults is measured: label sex, race or another group, and evaluate again."})
		return
	}
	var mae, upper, above []registry.Finding
	for _, name := range names {
		g := j.candidate.Report.Groups[name]
		upper = append(upper, atLeast("group.coverage", g.CoverageUpper, j.limits.CoverageUpper.Value,
			fmt.Sprintf("%s (%d photos): upper bound of the share whose age the interval holds.", name, g.N)))
		if name == Adults {
			continue
		}
		mae = append(mae, atMost("group.mae", g.MAE, j.limits.GroupMAE.Value, fmt.Sprintf("%s (%d photos): mean error in years.", name, g.N)))
		if j.live == nil {
			continue
		}
		above = append(above, j.aboveLive("group.mae.live", g.MAE, j.live.Report.Groups[name].MAE, j.limits.GroupMAEAbove.Value,
			fmt.Sprintf("%s (%d photos): mean error in years, against the live model's and a margin.", name, g.N)))
	}
	j.add(worst(mae)...)
	j.add(worst(above)...)
	j.add(worst(upper)...)
}

// worst keeps the refusals, or the one that is nearest to its limit.
func worst(all []registry.Finding) []registry.Finding {
	refused := slices.DeleteFunc(slices.Clone(all), func(f registry.Finding) bool { return f.OK })
	if len(refused) > 0 || len(all) == 0 {
		return refused
	}
	distance := func(f registry.Finding) float64 { return max(*f.Value-*f.Limit, *f.Limit-*f.Value) }
	return []registry.Finding{slices.MinFunc(all, func(a, b registry.Finding) int {
		if distance(a) < distance(b) {
			return -1
		}
		return 1
	})}
}

func (j *judge) parity() {
	p, l := j.candidate.Parity, j.limits
	photos := float64(p.Photos)
	j.add(
		atLeast("parity.photos", &photos, l.ParityPhotos.Value, "Photos on which the exported file was held against the trained network."),
		atMost("parity.probability", p.MaxProbability, l.ParityProbability.Value, "Largest difference of a probability between the exported file and the trained network."),
		atMost("parity.years", p.MaxYears, l.ParityYears.Value, "Largest difference of an estimate in years between the exported file and the trained network."),
	)
}

func (j *judge) premium() {
	p := j.candidate.Premium
	j.add(atMost("premium.relative", p.MedianRelativeError, j.limits.PremiumRelative.Value, "Median relative error of the premium."))
	if j.live == nil {
		return
	}
	live := j.live.Premium
	const check, sentence = "premium.live", "Mean error of the premium, against the live model's and a margin."
	switch {
	case p.Product != live.Product || p.Basis != live.Basis:
		j.add(registry.Finding{Check: check, Value: p.MeanAbsError,
			Sentence: fmt.Sprintf("%s The live model priced %q (%s), this one %q (%s): evaluate again with the code that measured the live model, or measure the live model anew first.", sentence, live.Product, live.Basis, p.Product, p.Basis)})
	case live.MeanAbsError == nil:
		j.add(j.aboveLive(check, p.MeanAbsError, nil, 0, sentence))
	default:
		j.add(atMost(check, p.MeanAbsError, tidy(*live.MeanAbsError*j.limits.PremiumAboveLive.Value), sentence))
	}
}

// tidy drops what binary arithmetic adds to a decimal: 4.6 + 0.1 is 4.7, and a
// model that has 4.7 keeps to it.
func tidy(v float64) float64 { return math.Round(v*1e9) / 1e9 }

func orNone(hash string) string {
	if hash == "" {
		return "without a hash"
	}
	return hash
}
