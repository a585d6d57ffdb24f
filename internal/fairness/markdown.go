package fairness

import (
	"fmt"
	"strings"
)

// markdownColumns are those of the page's table that a document has.
var markdownColumns = []string{"referred", "refused", "contradicted", "age_error", "age_bias", "covered", "premium_error"}

// Markdown returns what a document says of the report: its summary, findings
// that are not by age, and a table for each dimension.
func Markdown(r Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d applications", r.N)
	for _, outcome := range []string{"quoted", "referred", "postponed", "declined", "refused", "failed"} {
		for o, n := range r.Outcomes {
			if string(o) == outcome && n > 0 {
				fmt.Fprintf(&b, ", %d %s", n, o)
			}
		}
	}
	fmt.Fprint(&b, ".\n")
	for _, s := range r.Summary {
		fmt.Fprintf(&b, "%s\n", s)
	}
	fmt.Fprintln(&b)
	for _, f := range r.Findings {
		if f.Dimension != ageDimension {
			fmt.Fprintf(&b, "- %s\n", cleaned(f.Says))
		}
	}
	for _, d := range r.Dimensions {
		b.WriteString(markdownTable(d))
	}
	return b.String()
}

func markdownTable(d Dimension) string {
	var used []column
	for _, c := range columns {
		for _, name := range markdownColumns {
			if c.Measure == name && has(d, c) {
				used = append(used, c)
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n| %s | people | quoted | four fifths |", cleaned(d.Name))
	for _, c := range used {
		fmt.Fprintf(&b, " %s |", c.Head)
	}
	fmt.Fprintf(&b, " all premiums |\n|---|--:|--:|--:|%s--:|\n", strings.Repeat("--:|", len(used)))
	for _, g := range d.Groups {
		fmt.Fprintf(&b, "| %s | %d | %s | %s |", cleaned(g.Name), g.N, rateOfQuotes(g), g.Impact.short())
		for _, c := range used {
			v := cell(g, c)
			if v.Differs {
				v.Text = "**" + v.Text + "**"
			}
			fmt.Fprintf(&b, " %s |", v.Text)
		}
		total := "–"
		if g.PremiumTotal != nil {
			total = share(*g.PremiumTotal)
		}
		fmt.Fprintf(&b, " %s |\n", total)
	}
	return b.String()
}

// has tells whether a group of the dimension has the figure.
func has(d Dimension, c column) bool {
	for _, g := range d.Groups {
		if cell(g, c).Text != "–" {
			return true
		}
	}
	return false
}

// short is the ratio with its interval.
func (i *Impact) short() string {
	switch {
	case i == nil:
		return "–"
	case i.CI == nil:
		return fmt.Sprintf("%.2f", i.Ratio)
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f)", i.Ratio, i.CI[0], i.CI[1])
}

// cleaned keeps a name from the outside from being markup.
func cleaned(s string) string {
	return strings.NewReplacer("|", "/", "<", "&lt;", "\n", " ", "`", "'", "*", "").Replace(s)
}
