package fairness

import (
	"fmt"
	"slices"
)

// Changes is what differs from a report before. Both stand for themselves: that
// their cases are others is the caller's affair.
type Changes struct {
	Previous Source `json:"previous"`
	// Versions that are in one of the reports alone.
	Came Versions `json:"came"`
	Went Versions `json:"went"`
	// Compared counts the figures that both reports have of groups that are not
	// small in either; Changed those that differ by more than chance explains,
	// adjusted by Holm's method for all of them.
	Compared int      `json:"compared"`
	Changed  []Change `json:"changed"`
	// FourFifths are the groups that went in or out.
	FourFifths []string `json:"four_fifths"`
	Says       []string `json:"sentences"`
}

// Change is a figure of a group then and now.
type Change struct {
	Dimension string   `json:"dimension"`
	Group     string   `json:"group"`
	Measure   string   `json:"measure"`
	Then      float64  `json:"then"`
	Now       float64  `json:"now"`
	Gap       float64  `json:"gap"` // now less then
	GapCI     Interval `json:"gap_ci"`
	AdjustedP float64  `json:"adjusted_p"`
	Says      string   `json:"sentence"`
}

// Compare fills in what changed since a report before.
func (r *Report) Compare(before Report) {
	c := &Changes{Previous: before.Source, Changed: []Change{}, FourFifths: []string{},
		Came: r.Versions.without(before.Versions), Went: before.Versions.without(r.Versions)}
	var all []Change
	var p []float64
	for _, d := range r.Dimensions {
		for _, g := range d.Groups {
			old, ok := before.group(d.Name, g.Name)
			if !ok {
				continue
			}
			if g.Impact != nil && old.Impact != nil && g.Impact.Judged && old.Impact.Judged && g.Impact.Inside != old.Impact.Inside {
				c.FourFifths = append(c.FourFifths, fmt.Sprintf("%s went from %.2f to %.2f: %s four fifths now.", capital(g.Who), old.Impact.Ratio, g.Impact.Ratio, inOrOut(g.Impact.Inside)))
			}
			if g.Small || old.Small {
				continue
			}
			changes, ps := changesOf(d.Name, g, old)
			all, p = append(all, changes...), append(p, ps...)
		}
	}
	c.Compared = len(all)
	for i, adjusted := range holm(p) {
		if adjusted < level {
			all[i].AdjustedP = adjusted
			c.Changed = append(c.Changed, all[i])
		}
	}
	c.Says = c.sentences()
	r.Changes = c
}

func inOrOut(inside bool) string {
	if inside {
		return "inside"
	}
	return "OUTSIDE"
}

// group finds a group by its names.
func (r *Report) group(dimension, name string) (Group, bool) {
	for _, d := range r.Dimensions {
		if d.Name != dimension {
			continue
		}
		for _, g := range d.Groups {
			if g.Name == name {
				return g, true
			}
		}
	}
	return Group{}, false
}

func changesOf(dimension string, now, then Group) (changes []Change, p []float64) {
	for _, r := range now.Rates {
		i := slices.IndexFunc(then.Rates, func(o Rate) bool { return o.Measure == r.Measure })
		if i < 0 || !judgeable(r.Share, then.Rates[i].Share) {
			continue
		}
		o := then.Rates[i].Share
		d, ci := gap(r.Share, o)
		changes = append(changes, Change{Dimension: dimension, Group: now.Name, Measure: r.Measure, Then: o.Rate(), Now: r.Share.Rate(), Gap: d, GapCI: ci,
			Says: fmt.Sprintf("%s, %s: %s of %d then, %s of %d now (95 %% interval of the change %s to %s points).", capital(now.Who), r.Measure,
				share(o.Rate()), o.N, share(r.Share.Rate()), r.N, percent.gap(ci[0]), percent.gap(ci[1]))})
		p = append(p, fisher(r.Share, o))
	}
	units := map[string]meanMeasure{}
	for _, m := range meanMeasures(nil) {
		units[m.name] = m
	}
	for _, m := range now.Means {
		i := slices.IndexFunc(then.Means, func(o Mean) bool { return o.Measure == m.Measure })
		if i < 0 || !units[m.Measure].judged {
			continue
		}
		o := then.Means[i]
		if m.N < leastJudged || o.N < leastJudged || m.SD == nil || o.SD == nil {
			continue
		}
		a, b := m.moments(), o.moments()
		half := z * se(a, b)
		d, u := *m.Mean-*o.Mean, units[m.Measure].unit
		changes = append(changes, Change{Dimension: dimension, Group: now.Name, Measure: m.Measure, Then: *o.Mean, Now: *m.Mean, Gap: d, GapCI: Interval{d - half, d + half},
			Says: fmt.Sprintf("%s, %s: %s then, %s now (95 %% interval of the change %s to %s%s).", capital(now.Who), units[m.Measure].what,
				u.show(*o.Mean), u.show(*m.Mean), u.gap(d-half), u.gap(d+half), u.of())})
		p = append(p, welch(a, b))
	}
	return changes, p
}

// moments are those that the mean and the deviation were computed from.
func (m Mean) moments() moments {
	n := float64(m.N)
	return moments{n: n, sum: *m.Mean * n, squares: *m.SD**m.SD*(n-1) + *m.Mean**m.Mean*n}
}

func (v Versions) without(o Versions) Versions {
	less := func(a, b []string) []string {
		out := []string{}
		for _, s := range a {
			if !slices.Contains(b, s) {
				out = append(out, s)
			}
		}
		return out
	}
	return Versions{less(v.Models, o.Models), less(v.Rules, o.Rules), less(v.Tables, o.Tables), less(v.Code, o.Code)}
}

func (c *Changes) sentences() []string {
	var out []string
	if len(c.Changed) == 0 {
		out = append(out, fmt.Sprintf("None of %d figures changed by more than chance explains.", c.Compared))
	} else {
		out = append(out, fmt.Sprintf("%d of %d figures changed by more than chance explains.", len(c.Changed), c.Compared))
	}
	for _, x := range []struct {
		what string
		came []string
		went []string
	}{
		{"model", c.Came.Models, c.Went.Models}, {"rules", c.Came.Rules, c.Went.Rules},
		{"mortality tables", c.Came.Tables, c.Went.Tables}, {"code", c.Came.Code, c.Went.Code},
	} {
		if len(x.came) > 0 || len(x.went) > 0 {
			out = append(out, fmt.Sprintf("Versions of the %s: %d came, %d went.", x.what, len(x.came), len(x.went)))
		}
	}
	out = append(out, c.FourFifths...)
	for _, change := range c.Changed {
		out = append(out, change.Says)
	}
	return out
}
