package fairness

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/agequote/agequote/internal/batch"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/underwriting"
)

//go:embed page.html.tmpl
var source string

var parsed = sync.OnceValues(func() (*template.Template, error) {
	return template.New("page").Funcs(template.FuncMap{
		"capital":  func(s any) string { return capital(fmt.Sprint(s)) },
		"outcomes": func() []batch.Outcome { return batch.Outcomes },
		"share":    func(k, n int) string { return shareOrDash(k, n) },
		"cell":     cell,
		"codes":    func(m map[string]int) []string { return slices.Sorted(maps.Keys(m)) },
		"means":    codeMeaning,
		"forests":  forests,
		"refused":  func(d Dimension) []string { return keysOf(d, func(g Group) map[string]int { return g.Codes }) },
		"reasons":  func(d Dimension) []string { return keysOf(d, func(g Group) map[string]int { return g.Reasons }) },
		"says":     rowsOf,
		"columns":  func() []column { return columns },
		"found":    foundBy,
		"total": func(g Group) string {
			if g.PremiumTotal == nil {
				return "–"
			}
			return share(*g.PremiumTotal)
		},
		"short": short,
	}).Parse(source)
})

// Page returns the report as one HTML page that needs nothing else: no script,
// no font and no picture from elsewhere.
func Page(r Report) ([]byte, error) {
	t, err := parsed()
	if err != nil {
		return nil, fmt.Errorf("parse page template: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, r); err != nil {
		return nil, fmt.Errorf("write page: %w", err)
	}
	// A number and its percent sign stay on one line.
	return bytes.ReplaceAll(b.Bytes(), []byte(" %"), []byte("\u00a0%")), nil
}

// found are the findings of one dimension.
type found struct {
	Dimension string
	Age       bool
	Findings  []Finding
}

// foundBy are the findings by dimension, in their order.
func foundBy(r Report) (out []found) {
	for _, f := range r.Findings {
		if len(out) == 0 || out[len(out)-1].Dimension != f.Dimension {
			out = append(out, found{Dimension: f.Dimension, Age: f.Dimension == ageDimension})
		}
		out[len(out)-1].Findings = append(out[len(out)-1].Findings, f)
	}
	return out
}

func shareOrDash(k, n int) string {
	if n == 0 {
		return "–"
	}
	return share(float64(k) / float64(n))
}

// short is a hash as people read it.
func short(hash string) string {
	if rest, ok := strings.CutPrefix(hash, "sha256:"); ok && len(rest) > 12 {
		return "sha256:" + rest[:12]
	}
	return hash
}

// codeMeaning is the sentence of a code of a refusal or a reason; "" where there
// is none.
func codeMeaning(code string) string {
	if s := underwriting.Code(code).Sentence(); s != "" {
		return s
	}
	if slices.Contains(reason.Codes(), reason.Code(code)) {
		return reason.Code(code).Sentence()
	}
	return ""
}

func keysOf(d Dimension, of func(Group) map[string]int) []string {
	all := map[string]bool{}
	for _, g := range d.Groups {
		for code := range of(g) {
			all[code] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// column is a measure in the table of a dimension.
type column struct {
	Measure, Head, Title string
	mean                 bool
	unit                 unit
}

var columns = []column{
	{"quoted", "quoted", "quoted by computer", false, percent},
	{"referred", "referred", "sent to a person", false, percent},
	{"not_offered", "not offered", "postponed or declined", false, percent},
	{"refused", "photo refused", "no age could be read from the photo", false, percent},
	{"failed", "failed", "processing gave up", false, percent},
	{"contradicted", "age contradicted", "of those who stated an age: the photo contradicts it", false, percent},
	{"age_error", "photo's error, years", "mean size of the difference between the photo's and the known age", true, years},
	{"age_bias", "bias, years", "mean of the photo's age less the known one; below 0 is read too young", true, signedYears},
	{"covered", "in interval", "the known age lies in the photo's interval", false, percent},
	{"premium_error", "premium's error", "premium less that at the known age, as a share of it", true, signedPercent},
	{"premium_per_1000", "per 1,000", "gross annual premium for 1,000 of sum assured", true, money},
	{"premium_index", "index", "premium for 1,000 against the mean of the same product, term and size of sum", true, percent},
}

// tableCell is a figure in the table of a dimension.
type tableCell struct {
	Text, Title string
	Differs     bool
}

func cell(g Group, c column) tableCell {
	if c.mean {
		i := slices.IndexFunc(g.Means, func(m Mean) bool { return m.Measure == c.Measure })
		if i < 0 || g.Means[i].Mean == nil {
			return tableCell{Text: "–"}
		}
		m := g.Means[i]
		text := strings.TrimSuffix(c.unit.show(*m.Mean), " years")
		return tableCell{text, m.Says, m.found()}
	}
	i := slices.IndexFunc(g.Rates, func(r Rate) bool { return r.Measure == c.Measure })
	if i < 0 || g.Rates[i].Rate == nil {
		return tableCell{Text: "–"}
	}
	r := g.Rates[i]
	return tableCell{share(*r.Rate), r.Says, r.found()}
}

// sentenceRow is a comparison in words.
type sentenceRow struct {
	Says    string
	Odds    string
	Differs bool
}

// rowsOf are the comparisons of a group in words, without those that nobody has
// a figure for.
func rowsOf(g Group) []sentenceRow {
	var rows []sentenceRow
	for _, r := range g.Rates {
		if r.N == 0 || r.Other.N == 0 || r.K+r.Other.K == 0 {
			continue
		}
		odds := fmt.Sprintf("odds ratio %.2f (%.2f to %.2f)", *r.Odds, r.OddsCI[0], r.OddsCI[1])
		if r.Corrected {
			odds += ", one half added to each cell"
		}
		if r.SameAge != nil {
			odds += fmt.Sprintf("; within age bands %.2f (%.2f to %.2f)", r.SameAge.Odds, r.SameAge.CI[0], r.SameAge.CI[1])
		}
		rows = append(rows, sentenceRow{r.Says, odds, r.found()})
	}
	for _, m := range g.Means {
		if m.N > 0 && m.OtherN > 0 {
			rows = append(rows, sentenceRow{Says: m.Says, Differs: m.found()})
		}
	}
	return rows
}

// forest is a plot of one figure by group, as points with their intervals.
type forest struct {
	Title, Caption string
	SVG            template.HTML // of numbers and of escaped names
}

// bar is a line of a forest.
type bar struct {
	name  string
	n     int
	value float64
	ci    *Interval
	bad   bool
	small bool
}

// forests are the plots of a dimension: only figures that some group has.
func forests(d Dimension) []forest {
	var out []forest
	add := func(title, caption string, mark *float64, u unit, bars []bar) {
		if len(bars) > 0 {
			out = append(out, forest{title, caption, draw(bars, mark, u)})
		}
	}
	var quoted []bar
	var line *float64
	for _, g := range d.Groups {
		s := Share{g.Outcomes[batch.Quoted], g.N}
		ci := s.wilson()
		quoted = append(quoted, bar{g.Name, g.N, s.Rate(), &ci, g.Impact != nil && g.Impact.Judged && !g.Impact.Inside, g.Small})
		if g.Impact != nil && g.Impact.Highest == g.Name {
			four := fourFifths * s.Rate()
			line = &four
		}
	}
	add("Quoted by computer", "Share of each group with its 95 % interval. Left of the dashed line is less than four fifths of the group that is quoted most often.", line, percent, quoted)
	rate := func(measure string) []bar {
		var bars []bar
		any := false
		for _, g := range d.Groups {
			for _, r := range g.Rates {
				if r.Measure == measure && r.Rate != nil {
					bars = append(bars, bar{g.Name, r.N, *r.Rate, r.CI, r.found(), g.Small})
					any = any || r.K > 0
				}
			}
		}
		if !any {
			return nil
		}
		return bars
	}
	add("Referred to a person", "Orange differs from the others by more than chance explains.", nil, percent, rate("referred"))
	add("Photo refused", "Orange differs from the others by more than chance explains.", nil, percent, rate("refused"))
	mean := func(measure string) []bar {
		var bars []bar
		for _, g := range d.Groups {
			for _, m := range g.Means {
				if m.Measure != measure || m.Mean == nil {
					continue
				}
				b := bar{name: g.Name, n: m.N, value: *m.Mean, bad: m.found(), small: m.N < leastJudged}
				if m.SD != nil {
					half := z * *m.SD / math.Sqrt(float64(m.N))
					b.ci = &Interval{*m.Mean - half, *m.Mean + half}
				}
				bars = append(bars, b)
			}
		}
		return bars
	}
	zero := 0.0
	add("Photo's age less known age, years", "Mean with its 95 % interval. Left of 0 people are read too young.", &zero, signedYears, mean("age_bias"))
	add("Premium less that at the known age", "Mean with its 95 % interval, as a share of the premium at the known age.", &zero, signedPercent, mean("premium_error"))
	return out
}

// The plot's measures, in its own units.
const (
	plotWidth = 560.0
	plotLeft  = 110.0
	plotRight = 64.0
	rowHeight = 26.0
	axisRoom  = 30.0
)

// draw makes the plot; a mark is a dashed line.
func draw(bars []bar, mark *float64, u unit) template.HTML {
	low, high := math.Inf(1), math.Inf(-1)
	reach := func(v float64) { low, high = min(low, v), max(high, v) }
	for _, b := range bars {
		reach(b.value)
		if b.ci != nil && !b.small { // a small group's interval may be wider than all else
			reach(b.ci[0])
			reach(b.ci[1])
		}
	}
	if mark != nil {
		reach(*mark)
	}
	room := max((high-low)*0.08, 0.01)
	low, high = low-room, high+room
	if u == percent {
		low, high = max(0, low), min(1, high)
	}
	x := func(v float64) float64 {
		v = min(max(v, low), high)
		return plotLeft + (v-low)/(high-low)*(plotWidth-plotLeft-plotRight)
	}
	height := float64(len(bars))*rowHeight + axisRoom
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %.0f %.0f" role="img">`, plotWidth, height)
	step := tick(high - low)
	for v := math.Ceil(low/step) * step; v <= high+1e-12; v += step {
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" x2="%.1f" y1="0" y2="%.0f"/><text class="tick" x="%.1f" y="%.0f">%s</text>`,
			x(v), x(v), height-axisRoom+4, x(v), height-10, template.HTMLEscapeString(tickText(u, v, step)))
	}
	if mark != nil {
		fmt.Fprintf(&b, `<line class="mark" x1="%.1f" x2="%.1f" y1="0" y2="%.0f"/>`, x(*mark), x(*mark), height-axisRoom+4)
	}
	for i, r := range bars {
		y := float64(i)*rowHeight + rowHeight/2
		class := "ok"
		switch {
		case r.small:
			class = "small"
		case r.bad:
			class = "bad"
		}
		fmt.Fprintf(&b, `<text class="name" x="%.0f" y="%.1f">%s</text>`, plotLeft-8, y+4, template.HTMLEscapeString(r.name))
		if r.ci != nil {
			fmt.Fprintf(&b, `<line class="ci %s" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, class, x(r.ci[0]), x(r.ci[1]), y, y)
		}
		fmt.Fprintf(&b, `<circle class="%s" cx="%.1f" cy="%.1f" r="4.5"/><text class="n" x="%.0f" y="%.1f">n %d</text>`, class, x(r.value), y, plotWidth, y+4, r.n)
	}
	b.WriteString("</svg>")
	return template.HTML(b.String())
}

// tick is the least of 1, 2 and 5 times a power of ten that gives few ticks.
func tick(span float64) float64 {
	step := math.Pow(10, math.Floor(math.Log10(span)))
	for _, factor := range []float64{0.1, 0.2, 0.5, 1, 2, 5} {
		if span/(step*factor) <= 6 {
			return step * factor
		}
	}
	return step * 10
}

func tickText(u unit, v, step float64) string {
	factor := 1.0
	if u == percent || u == signedPercent {
		factor = 100
	}
	decimals := max(0, int(math.Ceil(-math.Log10(step*factor)-1e-9)))
	text := fmt.Sprintf("%.*f", decimals, math.Abs(v*factor))
	if v < -step/2 {
		text = "−" + text
	}
	if factor == 100 {
		text += " %"
	}
	return text
}
