package review

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/store"
	"github.com/agequote/agequote/internal/underwriting"
)

// The orders of the queue.
const (
	byWaiting = "waiting"
	bySum     = "sum"
)

// states of markers, in the order of the answers' counts.
var states = []string{
	casefile.StateOverdue, casefile.StateRefer, casefile.StateFailed, casefile.StateAsked, casefile.StateComplained,
	casefile.StateSuggested, casefile.StateSample,
}

// marker is a place in the queue, with the names of the markers that stand there
// for one case.
type marker struct {
	sort, id string // sort is the time, or what the sum leaves of the largest
	keys     []string
}

func parseMarker(key string) (marker, bool) {
	parts := strings.Split(key, "/")
	if len(parts) != 5 || !casefile.ValidID(parts[4]) {
		return marker{}, false
	}
	return marker{sort: parts[3], id: parts[4], keys: []string{key}}, true
}

// markers returns the names of the markers that a case should have. The wait
// that is the longest is under overdue once its time is over; a failure stays
// where it is, since agequote redrive looks for it there.
func (c *Case) markers(l *Limits, now time.Time) []string {
	sum := c.sumCents()
	var out []string
	for i, w := range c.waits() {
		state := w.state
		if i == 0 && state != casefile.StateFailed && !now.Before(l.due(w)) {
			state = casefile.StateOverdue
		}
		out = append(out, casefile.Marker(c.ID, state, w.since, sum)...)
	}
	return out
}

// sampleMarkers are those of a case that may be in the blind sample: quoted by
// the rules, and by nobody looked at.
func (c *Case) sampleMarkers() []string {
	q := c.Quote()
	if q == nil || q.Object.Decision != underwriting.Quote || len(c.Decisions) > 0 || len(c.waits()) > 0 {
		return nil
	}
	return casefile.Marker(c.ID, casefile.StateSample, q.Object.Time, c.sumCents())
}

// everMarkers returns every name under which a marker of the case can stand, but
// those of the sample.
func (c *Case) everMarkers() []string {
	type at struct {
		state string
		time  time.Time
	}
	var all []at
	for _, q := range c.Quotes {
		if q.Object.Decision == underwriting.Refer {
			all = append(all, at{casefile.StateRefer, q.Object.Time})
		}
	}
	for _, f := range c.Failures {
		all = append(all, at{casefile.StateFailed, f.Time})
	}
	for _, r := range c.Requests {
		all = append(all, at{casefile.StateAsked, r.Time})
	}
	for _, r := range c.Complaints {
		all = append(all, at{casefile.StateComplained, r.Time})
	}
	for _, d := range c.Decisions {
		if d.Object.Action == casefile.Suggest {
			all = append(all, at{casefile.StateSuggested, d.Object.Time})
		}
	}
	sums := map[int64]bool{0: true}
	for _, a := range c.Applications {
		sums[a.Object.Facts.SumCents] = true
	}
	for _, q := range c.Quotes {
		sums[q.Object.Basis.SumCents] = true
	}
	var out []string
	for _, w := range all {
		for sum := range sums {
			for _, state := range []string{w.state, casefile.StateOverdue} {
				out = append(out, casefile.Marker(c.ID, state, w.time, sum)...)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

type markerStore interface {
	getter
	PutIfAbsent(ctx context.Context, key string, body []byte) error
	Versions(ctx context.Context, prefix string) ([]store.Version, error)
	DeleteVersion(ctx context.Context, key, version string) error
}

// settle brings the case's markers in line with its objects: those that should
// stand are written first, so that no waiting case is ever without one. Extra are
// names to remove besides those that follow from the objects. It may be done
// again.
func settle(ctx context.Context, s markerStore, c *Case, l *Limits, now time.Time, extra ...string) error {
	want := c.markers(l, now)
	if err := cases.Mark(ctx, s, want); err != nil {
		return err
	}
	old := slices.DeleteFunc(append(c.everMarkers(), extra...), func(key string) bool { return slices.Contains(want, key) })
	return cases.Unmark(ctx, s, old...)
}
