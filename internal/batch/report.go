package batch

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/underwriting"
)

//go:embed report.html
var reportText string

var reportPage = template.Must(template.New("report").Funcs(template.FuncMap{
	"number": func(n int) string { return number(float64(n)) },
	"money":  moneyText,
	"words":  words,
	"share":  func(n, of int) string { return fmt.Sprintf("%.1f %%", share(n, of)) },
	"years":  func(v *float64) string { return orDash(v, "%.1f") },
	"signed": func(v *float64) string { return orDash(v, "%+.1f") },
	"part":   func(v *float64) string { return orDash(scaled(v), "%.1f %%") },
	"whole":  func(v float64) string { return fmt.Sprintf("%.0f", v) },
	"tenth":  func(v float64) string { return fmt.Sprintf("%.1f", v) },
	"times":  func(v float64) float64 { return v * 100 },
}).Parse(reportText))

func scaled(v *float64) *float64 {
	if v == nil {
		return nil
	}
	w := *v * 100
	return &w
}

func orDash(v *float64, format string) string {
	if v == nil {
		return "–"
	}
	return fmt.Sprintf(format, *v)
}

// moneyText writes cents as 1,234.50.
func moneyText(cents int64) string {
	return fmt.Sprintf("%s.%02d", number(float64(cents/100)), cents%100)
}

// count is a code with how often it came.
type count struct {
	Name, Sentence string
	N              int
	colour         string
}

// ranked puts counts in order, the largest first, and at most so many.
func ranked(of map[string]int, most int, sentence func(string) string, colour string) []count {
	var out []count
	for name, n := range of {
		out = append(out, count{name, sentence(name), n, colour})
	}
	slices.SortFunc(out, func(a, b count) int {
		return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Name, b.Name))
	})
	return out[:min(most, len(out))]
}

// codeSentence is the sentence of a photo's refusal or a failure.
func codeSentence(code string) string {
	switch s := Code(code).Sentence(); {
	case s != "":
		return s
	case Code(code) == BadRow:
		return "The line of the manifest cannot be read."
	}
	return reason.Code(code).Sentence()
}

// outcomeWords say what an outcome means.
var outcomeWords = map[Outcome]string{
	Quoted:    "an indicative premium by the rules",
	Referred:  "an underwriter has to look",
	Postponed: "ask again later",
	Declined:  "not on these terms",
	Refused:   "the photo could not be used; a new one is needed",
	Failed:    "not processed; listed in failures.csv",
}

type outcomeLine struct {
	Outcome Outcome
	Words   string
	N       int
	Colour  template.CSS
}

// WriteReport writes the report: one HTML file that loads nothing and runs no
// script. Whatever came from the manifest is escaped.
func (c *Collector) WriteReport(w io.Writer, s Summary) error {
	most := 12
	reasons := ranked(s.NotQuoted, most, func(code string) string { return underwriting.Code(code).Sentence() }, "#8a5a00")
	codes := ranked(s.Codes, most, codeSentence, colours[Refused])
	var plotted []Group
	for _, g := range s.Groups {
		if strings.HasPrefix(g.Name, "sex=") || strings.HasPrefix(g.Name, "age=") {
			plotted = append(plotted, g)
		}
	}
	var outcomes []outcomeLine
	for _, o := range Outcomes {
		outcomes = append(outcomes, outcomeLine{o, outcomeWords[o], s.Books.Count(o), template.CSS(colours[o])})
	}
	c.trim()
	err := reportPage.Execute(w, map[string]any{
		"S": s, "Outcomes": outcomes, "Balanced": s.Books.Check() == nil,
		"OutcomePlot": outcomePlot(plotted),
		"Reasons":     reasons, "ReasonPlot": countPlot("Reasons of cases that are not quoted", reasons, s.Books.Listed),
		"Codes": codes, "CodePlot": countPlot("Refused photos and failures", codes, s.Books.Listed),
		"Scatter": c.scatter(), "Points": len(c.points), "WidthPlot": c.widthPlot(), "PremiumPlot": c.premiumPlot(), "SpreadPlot": c.spreadPlot(),
		"Slowest": c.slowest, "Unhappy": c.unhappy, "NotNamed": s.Books.Refused + s.Books.Failed - len(c.unhappy),
	})
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
