package crosscheck

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/underwriting"
)

// Table is a part of the report for a reader: text without markup.
type Table struct {
	Title string
	Notes []string
	Head  []string
	Rows  [][]string
	Plots []string // names of the plots that belong to it
}

// none stands where there was nobody to measure.
const none = "-"

func percent(s Share) string {
	if s.N == 0 {
		return none
	}
	return fmt.Sprintf("%.1f", s.Value*100)
}

func percentCI(s Share) string {
	if s.CI == nil {
		return percent(s)
	}
	return fmt.Sprintf("%s (%.1f to %.1f)", percent(s), s.CI[0]*100, s.CI[1]*100)
}

func number(n int, v float64, ci *evaluation.Interval) string {
	switch {
	case n == 0:
		return none
	case ci == nil:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f)", v, ci[0], ci[1])
}

// Tables tells the document in tables.
func Tables(d Document) []Table {
	return []Table{
		d.levelTable(), d.caughtTable(), d.minorTable(), d.slackTable(), d.ratioTable(), d.chargeTable(), d.productTable(), d.groupTable(),
	}
}

// ages are the headings for misstated ages.
func ages(side string) []string {
	var head []string
	for _, years := range Misstated {
		head = append(head, fmt.Sprintf("%d years %s", years, side))
	}
	return head
}

func shares(list []Caught, of func(Caught) Share) []string {
	var cells []string
	for _, c := range list {
		cells = append(cells, percent(of(c)))
	}
	return cells
}

func caughtShare(c Caught) Share  { return c.Caught }
func stoppedShare(c Caught) Share { return c.Stopped }

func level(v float64) string { return fmt.Sprintf("%.4g %%", v*100) }

func (d Document) levelTable() Table {
	t := Table{
		Title: "Honest applicants, by the interval's level",
		Notes: []string{
			fmt.Sprintf("%d photos of %d people of 18 to 75, of %d; refused with a code, so that another photo is asked for: %s. The true age is declared. In %% of the photos; causes overlap.",
				d.Photos.Accepted, d.Photos.People, d.Photos.Adults, refused(d.Photos.Refused)),
			"Width is the interval's mean in years. Outside is the false-alarm rate.",
		},
		Head:  []string{"level", "width", "quoted without a person", "outside", "touches 18", "too wide", "outside, slack 2", "outside, slack 5"},
		Plots: []string{"quoted", "false-alarm"},
	}
	for _, l := range d.Levels {
		r := l.Rules[0]
		t.Rows = append(t.Rows, []string{level(l.Asked), fmt.Sprintf("%.1f", l.Width), percentCI(r.Quoted), percentCI(r.FalseAlarm), percent(r.Touches18), percent(r.TooWide),
			percent(l.Rules[1].FalseAlarm), percent(l.Rules[2].FalseAlarm)})
	}
	return t
}

func refused(codes map[string]int) string {
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(codes)) {
		parts = append(parts, fmt.Sprintf("%s %d", code, codes[code]))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

func (d Document) caughtTable() Table {
	t := Table{
		Title: "Misstated ages that are caught, by level",
		Notes: []string{
			"In % of those whom the product insures at the true and at the declared age: the declared age lies outside the interval. No slack. A younger age is what pays.",
		},
		Head:  append(append([]string{"level"}, ages("younger")...), ages("older")...),
		Plots: []string{"caught-younger", "caught-older", "trade-off"},
	}
	for _, l := range d.Levels {
		t.Rows = append(t.Rows, slices.Concat([]string{level(l.Asked)}, shares(l.Rules[0].Younger, caughtShare), shares(l.Rules[0].Older, caughtShare)))
	}
	if len(d.Levels) > 0 {
		for _, side := range []struct {
			name string
			list []Caught
		}{{"younger", d.Levels[0].Rules[0].Younger}, {"older", d.Levels[0].Rules[0].Older}} {
			var n []string
			for _, c := range side.list {
				n = append(n, fmt.Sprintf("%d for %d years", c.Caught.N, c.Years))
			}
			t.Notes = append(t.Notes, fmt.Sprintf("Photos, %s: %s.", side.name, strings.Join(n, ", ")))
		}
	}
	return t
}

func (d Document) minorTable() Table {
	t := Table{
		Title: "People under 18 who are stopped, by level",
		Notes: []string{fmt.Sprintf("People of %d to 17, in %%. Declaring 18, and declaring no age where the photo may give it.", youngestMinor)},
		Head:  []string{"level", "photos", "declaring 18", "declaring 18, slack 2", "declaring 18, slack 5", "declaring no age"},
	}
	for _, l := range d.Levels {
		r := l.Rules[0]
		t.Rows = append(t.Rows, []string{level(l.Asked), fmt.Sprint(r.Minors.N), percentCI(r.Minors), percent(l.Rules[1].Minors), percent(l.Rules[2].Minors), percent(r.MinorsSilent)})
	}
	return t
}

func (d Document) slackTable() Table {
	t := Table{
		Title: fmt.Sprintf("Slack around the %s interval", level(d.Asked)),
		Notes: []string{
			"In %. Caught: the declared age lies outside. Stopped: sent to a person for whatever cause.",
			fmt.Sprintf("Per catch: honest applicants who are sent to a person because of their age for each younger one that is caught, if %g %% make themselves so much younger. That share is assumed; nothing here measures it.", prevalence*100),
		},
		Head: slices.Concat([]string{"slack, years", "quoted", "outside"}, prefixed("caught, ", ages("younger")), prefixed("stopped, ", ages("younger")), prefixed("per catch, ", ages("younger"))),
	}
	for _, r := range d.Slacks {
		row := slices.Concat([]string{fmt.Sprintf("%g", r.Slack), percent(r.Quoted), percentCI(r.FalseAlarm)}, shares(r.Younger, caughtShare), shares(r.Younger, stoppedShare))
		for _, y := range d.Yields {
			if y.Slack != r.Slack {
				continue
			}
			if y.Honest == nil {
				row = append(row, none)
				continue
			}
			row = append(row, fmt.Sprintf("%.1f", *y.Honest))
		}
		t.Rows = append(t.Rows, row)
	}
	var saves []string
	for _, s := range d.Saved {
		saves = append(saves, fmt.Sprintf("%d years %.0f %%", s.Years, s.Mean*100))
	}
	t.Notes = append(t.Notes, fmt.Sprintf("What a younger age saves of the premium, if it is not caught: %s.", strings.Join(saves, ", ")))
	return t
}

func prefixed(prefix string, list []string) []string {
	var out []string
	for _, s := range list {
		out = append(out, prefix+s)
	}
	return out
}

func (d Document) ratioTable() Table {
	t := Table{
		Title: "Premium at the high end to that at the low end, by level",
		Notes: []string{"Of those of whom both ends have a price; the others' interval passes an age limit of the product."},
		Head:  []string{"level", "photos", "without a price at an end, %", "10th percentile", "median", "90th percentile", "sum to sum"},
		Plots: []string{"high-low"},
	}
	for _, l := range d.Levels {
		r := l.HighToLow
		t.Rows = append(t.Rows, []string{level(l.Asked), fmt.Sprint(r.N), percent(l.Unpriced), number(r.N, r.P10, nil), number(r.N, r.Median, r.MedianCI), number(r.N, r.P90, nil), number(r.N, r.Pooled, r.PooledCI)})
	}
	return t
}

func (d Document) chargeTable() Table {
	t := Table{
		Title: fmt.Sprintf("Premium by the photo alone against the true one, %s interval", level(d.Asked)),
		Notes: []string{
			"No age is declared. Of those quoted without a person: what is charged over the premium at the true age, sum to sum and one by one. Short: charged less than nine tenths of it.",
			"Sum to sum hangs on the ages of the people measured, who are no portfolio; the groups below show how far.",
		},
		Head:  []string{"charge", "quoted without a person, %", "sum to sum", "10th percentile", "median", "90th percentile", "short, %"},
		Plots: []string{"charged"},
	}
	for _, l := range d.Levels {
		if l.Asked != d.Asked {
			continue
		}
		for _, c := range l.Charges {
			t.Rows = append(t.Rows, []string{c.Charge, percent(c.Quoted), number(c.Ratio.N, c.Ratio.Pooled, c.Ratio.PooledCI),
				number(c.Ratio.N, c.Ratio.P10, nil), number(c.Ratio.N, c.Ratio.Median, nil), number(c.Ratio.N, c.Ratio.P90, nil), percent(c.Short)})
		}
	}
	return t
}

func (d Document) productTable() Table {
	t := Table{
		Title: "The products as they stand",
		Notes: []string{fmt.Sprintf("At the model's level of %s, in %%, on the ages that the product insures for the term. The last column is for no declared age, sum to sum.", level(d.Asked))},
		Head:  slices.Concat([]string{"product", "role", "charge", "slack, years", "photos", "quoted", "outside", "touches 18", "too wide"}, ages("younger"), []string{"high to low, median", "charged / true"}),
	}
	for _, p := range d.Products {
		t.Notes = append(t.Notes, fmt.Sprintf("Priced: %s; ages to %d.", p.Applicant, p.MaxAge))
		r := p.Rule
		role, charge, ratio := p.Role, none, none
		if p.Role == underwriting.Prefill {
			charge = p.Charge
			for _, c := range p.Charges {
				if c.Charge == p.Charge {
					ratio = number(c.Ratio.N, c.Ratio.Pooled, c.Ratio.PooledCI)
				}
			}
		}
		t.Rows = append(t.Rows, slices.Concat([]string{p.ID, role, charge, fmt.Sprintf("%g", r.Slack), fmt.Sprint(r.Quoted.N), percentCI(r.Quoted), percentCI(r.FalseAlarm), percent(r.Touches18), percent(r.TooWide)},
			shares(r.Younger, caughtShare), []string{number(p.HighToLow.N, p.HighToLow.Median, p.HighToLow.MedianCI), ratio}))
	}
	return t
}

func (d Document) groupTable() Table {
	first := "the first product"
	if len(d.Products) > 0 {
		first = d.Products[0].ID
	}
	t := Table{
		Title: "By group",
		Notes: []string{fmt.Sprintf("%s as it stands, in %%; groups of %d people or more. Sex and race are the data sets' labels: they are measured, and nothing is decided by them. Charged / true: the expected premium where no age is declared, sum to sum.", first, leastGroup)},
		Head:  slices.Concat([]string{"group", "photos", "people", "quoted", "outside"}, ages("younger"), []string{"high to low, median", "charged / true"}),
		Plots: []string{"groups"},
	}
	for _, g := range d.Groups {
		row := []string{strings.ReplaceAll(g.Name, "=", " "), fmt.Sprint(g.Photos), fmt.Sprint(g.People), percentCI(g.Quoted), percentCI(g.FalseAlarm)}
		for _, s := range g.Younger {
			row = append(row, percent(s))
		}
		row = append(row, number(g.HighToLow.N, g.HighToLow.Median, g.HighToLow.MedianCI), number(g.Charged.Ratio.N, g.Charged.Ratio.Pooled, g.Charged.Ratio.PooledCI))
		t.Rows = append(t.Rows, row)
	}
	return t
}

// Markdown returns the report as it stands in a document whose plots lie in a
// folder.
func Markdown(d Document, plots string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Curves are for %s. Model `%s`, %s of the distribution; readings `%s`; products of %s.\n", d.Applicant, d.Model, d.Point, d.Readings, d.Date)
	for _, t := range Tables(d) {
		fmt.Fprintf(&b, "\n### %s\n", t.Title)
		for _, note := range t.Notes {
			fmt.Fprintf(&b, "%s\n", note)
		}
		fmt.Fprintf(&b, "\n| %s |\n|%s\n", strings.Join(t.Head, " | "), strings.Repeat("---|", len(t.Head)))
		for _, row := range t.Rows {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		}
		for i, p := range t.Plots {
			if i == 0 {
				b.WriteString("\n")
			}
			fmt.Fprintf(&b, "![%s](%s/%s.svg)\n", p, plots, p)
		}
	}
	return b.String()
}

// The marks in a Markdown file between which its part is written.
const (
	begin = "<!-- crosscheck: begin. Written by `go run ./training crosscheck --docs`; do not edit. -->\n"
	end   = "<!-- crosscheck: end -->\n"
)

// Marked returns the part of a Markdown text between the marks, and what stands
// before and after it, marks included.
func Marked(text string) (before, part, after string, err error) {
	head, rest, ok := strings.Cut(text, begin)
	part, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return "", "", "", fmt.Errorf("no part between the marks %q and %q", strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return head + begin, part, end + tail, nil
}

// PlotFolder is where the document and plots of a Markdown file lie: beside it,
// named like it.
func PlotFolder(file string) string { return strings.TrimSuffix(file, filepath.Ext(file)) }

// Include writes the report anew between the marks of a Markdown file.
func Include(file string, d Document) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read document: %w", err)
	}
	before, _, after, err := Marked(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := os.WriteFile(file, []byte(before+Markdown(d, filepath.Base(PlotFolder(file)))+after), 0o644); err != nil {
		return fmt.Errorf("write document: %w", err)
	}
	return nil
}
