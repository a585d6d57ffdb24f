package whatif

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/underwriting"
)

// Report is what a change would have done to past cases. It depends on the
// cases alone, not on their order.
type Report struct {
	Schema     int    `json:"schema"`
	Cases      int64  `json:"cases"`
	Changed    int64  `json:"decisions_changed"`
	Unreadable int64  `json:"unreadable"` // lines or cases that could not be read, and are not counted
	Decisions  []Move `json:"decisions"`
	// Premiums are of the cases with a premium before and after, by currency;
	// those of referred cases, which an underwriter sees, are among them.
	Premiums []Premium `json:"premiums"`
	Groups   []Group   `json:"groups"`
	Most     []Moved   `json:"moved_most"`
}

// Move counts the cases that went from one decision to another, or stayed.
type Move struct {
	From  underwriting.Decision `json:"from"`
	To    underwriting.Decision `json:"to"`
	Cases int64                 `json:"cases"`
}

// Sums are gross annual premiums of cases that have one before and after, in
// cents.
type Sums struct {
	Priced      int64 `json:"priced"` // such cases
	StoredCents int64 `json:"stored_cents"`
	NowCents    int64 `json:"now_cents"`
}

func (s *Sums) add(stored, now int64) {
	s.Priced++
	s.StoredCents += stored
	s.NowCents += now
}

func (s *Sums) merge(o Sums) {
	s.Priced += o.Priced
	s.StoredCents += o.StoredCents
	s.NowCents += o.NowCents
}

// Change is the relative change of the total, 0.1 for 10 % more.
func (s Sums) Change() float64 {
	if s.StoredCents == 0 {
		return 0
	}
	return float64(s.NowCents)/float64(s.StoredCents) - 1
}

// MeanCents is the mean change of a premium in cents.
func (s Sums) MeanCents() float64 {
	if s.Priced == 0 {
		return 0
	}
	return float64(s.NowCents-s.StoredCents) / float64(s.Priced)
}

// Premium is how premiums in one currency moved.
type Premium struct {
	Currency string `json:"currency"`
	Sums
	TotalChange float64 `json:"total_change"` // relative, of the total
	Mean        float64 `json:"mean_change_cents"`
	Rose        int64   `json:"rose"`
	Fell        int64   `json:"fell"`
	Gained      int64   `json:"gained"` // cases that have a premium now alone
	Lost        int64   `json:"lost"`   // cases that had one then alone
	// Quantiles of the relative change of a case, to 0.0001; changes above 10
	// count as 10.
	Quantiles []Quantile `json:"quantiles"`
}

// Quantile is the relative change that a share of the cases does not pass.
type Quantile struct {
	Share  float64 `json:"share"`
	Change float64 `json:"change"`
}

// quantileShares are reported.
var quantileShares = []float64{0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1}

// Group is the cases of one currency, stated sex and age band. The age is that
// of the stored quote.
type Group struct {
	Currency string `json:"currency"`
	Sex      string `json:"sex"`
	Ages     string `json:"ages"`
	Cases    int64  `json:"cases"`
	Changed  int64  `json:"decisions_changed"`
	Sums
	TotalChange float64 `json:"total_change"`
	Mean        float64 `json:"mean_change_cents"`
}

// Moved is a case by its id, with its premium then and now.
type Moved struct {
	Case        string  `json:"case"`
	Currency    string  `json:"currency"`
	StoredCents int64   `json:"stored_cents"`
	NowCents    int64   `json:"now_cents"`
	Change      float64 `json:"change"` // relative
}

// before orders by the size of the change, and ids where that is equal, so that
// the order of the cases does not matter.
func (m Moved) before(o Moved) int {
	if c := cmp.Compare(math.Abs(o.Change), math.Abs(m.Change)); c != 0 {
		return c
	}
	return cmp.Compare(m.Case, o.Case)
}

// The histogram of relative changes: a bin is 0.0001, from -1 to 10.
const (
	perUnit = 10_000
	bins    = 11*perUnit + 1
)

type moveKey struct{ from, to underwriting.Decision }

type groupKey struct{ currency, sex, ages string }

type premiums struct {
	Sums
	rose, fell, gained, lost int64
	bins                     []int64
}

// tally counts cases. Each worker has one, and they are merged at the end: its
// size does not grow with the number of cases.
type tally struct {
	cases, changed, unreadable int64
	moves                      map[moveKey]int64
	premiums                   map[string]*premiums
	groups                     map[groupKey]*Group
	most                       []Moved // in order
	mostN                      int
}

func newTally(mostN int) *tally {
	return &tally{moves: map[moveKey]int64{}, premiums: map[string]*premiums{}, groups: map[groupKey]*Group{}, mostN: mostN}
}

func (t *tally) premium(currency string) *premiums {
	p := t.premiums[currency]
	if p == nil {
		p = &premiums{bins: make([]int64, bins)}
		t.premiums[currency] = p
	}
	return p
}

func (t *tally) group(key groupKey) *Group {
	g := t.groups[key]
	if g == nil {
		g = &Group{Currency: key.currency, Sex: key.sex, Ages: key.ages}
		t.groups[key] = g
	}
	return g
}

// add counts one case with its new quote.
func (t *tally) add(c *Case, now *casefile.Quote) {
	t.cases++
	t.moves[moveKey{c.Quote.Decision, now.Decision}]++
	g := t.group(groupKey{c.Quote.Currency, sexOf(c), band(c.Quote.Basis.PriceAge)})
	g.Cases++
	if c.Quote.Decision != now.Decision {
		t.changed++
		g.Changed++
	}
	was, is := c.Quote.GrossAnnualCents, now.GrossAnnualCents
	switch {
	case was == nil && is == nil:
	case is == nil:
		t.premium(c.Quote.Currency).lost++
	case was == nil:
		t.premium(now.Currency).gained++
	default:
		t.moved(c, g, *was, *is)
	}
}

func (t *tally) moved(c *Case, g *Group, was, is int64) {
	p := t.premium(c.Quote.Currency)
	p.add(was, is)
	g.add(was, is)
	switch {
	case is > was:
		p.rose++
	case is < was:
		p.fell++
	}
	if was <= 0 { // no insurer's premium, but a file may say so
		return
	}
	change := float64(is)/float64(was) - 1
	bin := int(math.Round((min(change, 10) + 1) * perUnit))
	p.bins[max(0, min(bin, bins-1))]++
	if is != was {
		t.rank(Moved{Case: c.Case, Currency: c.Quote.Currency, StoredCents: was, NowCents: is, Change: change})
	}
}

// rank keeps the mostN first of the order.
func (t *tally) rank(m Moved) {
	if len(t.most) == t.mostN && (t.mostN == 0 || m.before(t.most[len(t.most)-1]) >= 0) {
		return
	}
	at, _ := slices.BinarySearchFunc(t.most, m, Moved.before)
	t.most = slices.Insert(t.most, at, m)
	t.most = t.most[:min(len(t.most), t.mostN)]
}

func sexOf(c *Case) string {
	if c.Facts.Sex == "" {
		return "not stated"
	}
	return c.Facts.Sex
}

// band names the age band as evaluation does.
func band(years int) string {
	switch {
	case years <= 0:
		return "none"
	case years < 18:
		return "0-17"
	case years < 30:
		return "18-29"
	case years >= 80:
		return "80+"
	}
	names := [...]string{"30-39", "40-49", "50-59", "60-69", "70-79"}
	return names[years/10-3]
}

// merge adds another tally's counts.
func (t *tally) merge(o *tally) {
	t.cases += o.cases
	t.changed += o.changed
	t.unreadable += o.unreadable
	for k, n := range o.moves {
		t.moves[k] += n
	}
	for currency, p := range o.premiums {
		to := t.premium(currency)
		to.merge(p.Sums)
		to.rose += p.rose
		to.fell += p.fell
		to.gained += p.gained
		to.lost += p.lost
		for i, n := range p.bins {
			to.bins[i] += n
		}
	}
	for key, g := range o.groups {
		to := t.group(key)
		to.Cases += g.Cases
		to.Changed += g.Changed
		to.merge(g.Sums)
	}
	for _, m := range o.most {
		t.rank(m)
	}
}

func (t *tally) report() Report {
	r := Report{Schema: Schema, Cases: t.cases, Changed: t.changed, Unreadable: t.unreadable,
		Decisions: []Move{}, Premiums: []Premium{}, Groups: []Group{}, Most: []Moved{}}
	for k, n := range t.moves {
		r.Decisions = append(r.Decisions, Move{From: k.from, To: k.to, Cases: n})
	}
	order := []underwriting.Decision{underwriting.Quote, underwriting.Refer, underwriting.Postpone, underwriting.Decline}
	slices.SortFunc(r.Decisions, func(a, b Move) int {
		return cmp.Or(slices.Index(order, a.From)-slices.Index(order, b.From), slices.Index(order, a.To)-slices.Index(order, b.To),
			cmp.Compare(a.From+a.To, b.From+b.To))
	})
	for _, currency := range slices.Sorted(maps.Keys(t.premiums)) {
		p := t.premiums[currency]
		r.Premiums = append(r.Premiums, Premium{Currency: currency, Sums: p.Sums, TotalChange: p.Change(), Mean: p.MeanCents(),
			Rose: p.rose, Fell: p.fell, Gained: p.gained, Lost: p.lost, Quantiles: p.quantiles()})
	}
	for _, g := range t.groups {
		g.TotalChange, g.Mean = g.Change(), g.MeanCents()
		r.Groups = append(r.Groups, *g)
	}
	slices.SortFunc(r.Groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(a.Currency, b.Currency), cmp.Compare(a.Sex, b.Sex), cmp.Compare(a.Ages, b.Ages))
	})
	r.Most = append(r.Most, t.most...)
	return r
}

// quantiles are nearest ranks.
func (p *premiums) quantiles() []Quantile {
	var n int64
	for _, k := range p.bins {
		n += k
	}
	out := []Quantile{}
	if n == 0 {
		return out
	}
	var below int64
	bin := 0
	for _, share := range quantileShares {
		rank := max(1, int64(math.Ceil(share*float64(n))))
		for below+p.bins[bin] < rank {
			below += p.bins[bin]
			bin++
		}
		out = append(out, Quantile{Share: share, Change: float64(bin-perUnit) / perUnit})
	}
	return out
}
