package review

import (
	_ "embed"
	"fmt"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/underwriting"
)

//go:embed limits.yaml
var limitsFile []byte

// Limits are limits.yaml: how far an authority goes, and how long a case may
// wait.
type Limits struct {
	authority map[Role]authority
	states    map[string]time.Duration
	reasons   map[string]time.Duration
}

type authority struct {
	cents map[string]int64 // sum assured by currency
	steps int              // of the table rating
}

// LoadLimits reads the embedded file.
func LoadLimits() (*Limits, error) { return parseLimits(limitsFile) }

func parseLimits(file []byte) (*Limits, error) {
	var read struct {
		Authority map[Role]struct {
			Sum    map[string]int64 `yaml:"sum"`
			Rating string           `yaml:"rating"`
		} `yaml:"authority"`
		Overdue struct {
			State  map[string]int `yaml:"state"`
			Reason map[string]int `yaml:"reason"`
		} `yaml:"overdue_hours"`
	}
	if err := yaml.UnmarshalWithOptions(file, &read, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("parse limits.yaml: %w", err)
	}
	l := &Limits{authority: map[Role]authority{}, states: map[string]time.Duration{}, reasons: map[string]time.Duration{}}
	for role, a := range read.Authority {
		steps, ok := underwriting.RatingSteps(a.Rating)
		if !ok || !role.May(Decide) {
			return nil, fmt.Errorf("read limits.yaml: authority of %q: no such role or rating", role)
		}
		cents := map[string]int64{}
		for currency, units := range a.Sum {
			cents[currency] = units * 100
		}
		l.authority[role] = authority{cents, steps}
	}
	for state, hours := range read.Overdue.State {
		l.states[state] = time.Duration(hours) * time.Hour
	}
	for reason, hours := range read.Overdue.Reason {
		l.reasons[reason] = time.Duration(hours) * time.Hour
	}
	for _, state := range []string{casefile.StateRefer, casefile.StateFailed, casefile.StateAsked, casefile.StateComplained, casefile.StateSuggested} {
		if l.states[state] <= 0 {
			return nil, fmt.Errorf("read limits.yaml: no hours for %s", state)
		}
	}
	return l, nil
}

// Authority returns a role's largest sums assured, in cents by currency.
func (l *Limits) Authority(r Role) map[string]int64 {
	out := map[string]int64{}
	for currency, cents := range l.authority[r].cents {
		out[currency] = cents
	}
	return out
}

// Within tells whether a role alone may give a price for this sum and rating
// ("" for none).
func (l *Limits) Within(r Role, currency string, sumCents int64, rating string) bool {
	a := l.authority[r]
	steps := 0
	if rating != "" {
		var ok bool
		if steps, ok = underwriting.RatingSteps(rating); !ok {
			return false
		}
	}
	return sumCents <= a.cents[currency] && steps <= a.steps
}

// due returns when a wait is overdue.
func (l *Limits) due(w wait) time.Time {
	limit := l.states[w.state]
	for _, reason := range w.reasons {
		if own, ok := l.reasons[reason]; ok {
			limit = min(limit, own)
		}
	}
	return w.since.Add(limit)
}
