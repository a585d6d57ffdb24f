package gate

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"

	"github.com/agequote/agequote/internal/digest"
)

// Limit is one threshold and why it is what it is.
type Limit struct {
	Value  float64 `yaml:"value"`
	Reason string  `yaml:"reason"`
}

// Limits are all thresholds of the gate. Shares and probabilities are fractions
// of 1, errors in years.
type Limits struct {
	AdultsPhotos Limit `yaml:"adults_photos"` // at least, refused ones included
	GroupPhotos  Limit `yaml:"group_photos"`  // at least, for a group to be judged

	MAE           Limit `yaml:"mae_years"`                  // of adults, at most
	MAEAboveLive  Limit `yaml:"mae_above_live_years"`       // at most this above the live model's
	GroupMAE      Limit `yaml:"group_mae_years"`            // of each group of adults, at most
	GroupMAEAbove Limit `yaml:"group_mae_above_live_years"` // above the live model's in the same group

	CoverageFrom  Limit `yaml:"coverage_from"` // of adults
	CoverageTo    Limit `yaml:"coverage_to"`
	CoverageUpper Limit `yaml:"group_coverage_upper"` // upper bound of each group, at least

	Refused          Limit `yaml:"refused_share"` // of adults, at most
	RefusedAboveLive Limit `yaml:"refused_above_live_share"`

	ParityPhotos      Limit `yaml:"parity_photos"`      // at least
	ParityProbability Limit `yaml:"parity_probability"` // at most
	ParityYears       Limit `yaml:"parity_years"`       // at most

	PremiumRelative  Limit `yaml:"premium_median_relative_error"` // at most
	PremiumAboveLive Limit `yaml:"premium_error_above_live"`      // times the live model's, at most

	Hash string `yaml:"-"` // "sha256:..." of the file
}

//go:embed gate.yaml
var limitsFile []byte

// Default returns the limits in gate.yaml.
var Default = sync.OnceValues(func() (Limits, error) { return ParseLimits(limitsFile) })

// ParseLimits reads a limits file. An unknown name, a name that is missing, a
// value that is no positive number and a value without a reason are errors.
func ParseLimits(b []byte) (Limits, error) {
	l := Limits{Hash: digest.Of(b)}
	if err := yaml.NewDecoder(bytes.NewReader(b), yaml.Strict()).Decode(&l); err != nil {
		return Limits{}, fmt.Errorf("read gate's limits: %w", err)
	}
	var problems []error
	for name, limit := range l.byName() {
		if !(limit.Value > 0) || math.IsInf(limit.Value, 1) {
			problems = append(problems, fmt.Errorf("%s is %v", name, limit.Value))
		}
		if strings.TrimSpace(limit.Reason) == "" {
			problems = append(problems, fmt.Errorf("%s gives no reason", name))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return Limits{}, fmt.Errorf("read gate's limits: %w", err)
	}
	return l, nil
}

// byName lists the limits by their names in the file.
func (l Limits) byName() map[string]Limit {
	return map[string]Limit{
		"adults_photos": l.AdultsPhotos, "group_photos": l.GroupPhotos,
		"mae_years": l.MAE, "mae_above_live_years": l.MAEAboveLive,
		"group_mae_years": l.GroupMAE, "group_mae_above_live_years": l.GroupMAEAbove,
		"coverage_from": l.CoverageFrom, "coverage_to": l.CoverageTo, "group_coverage_upper": l.CoverageUpper,
		"refused_share": l.Refused, "refused_above_live_share": l.RefusedAboveLive,
		"parity_photos": l.ParityPhotos, "parity_probability": l.ParityProbability, "parity_years": l.ParityYears,
		"premium_median_relative_error": l.PremiumRelative, "premium_error_above_live": l.PremiumAboveLive,
	}
}
