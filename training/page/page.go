// Package page draws an evaluation as one HTML page that needs nothing else: no
// script, no font and no picture from elsewhere. It computes no figure of its
// own, apart from the counts of the scatter plot.
package page

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"

	"github.com/agequote/agequote/internal/evaluation"
)

// About names what was measured.
type About struct {
	Name  string // of the model
	Model string // hash of its package, empty where that is not known yet
	Use   string // research or production
	Point string // mean or median
}

//go:embed page.html.tmpl
var source string

//go:embed style.html.tmpl
var styleSource string // defines "style", the looks that pages share

// figure is one plot.
type figure struct {
	ID, Title, Caption string
	SVG                template.HTML // made by package plot from numbers and group names
}

// Render returns the page's bytes. The rows are those that the document was
// measured on.
func Render(d evaluation.Document, rows []evaluation.Row, about About) ([]byte, error) {
	figures, err := draw(d, rows)
	if err != nil {
		return nil, err
	}
	t, err := template.New("page").Funcs(template.FuncMap{
		"years":   func(v *float64) string { return number(v, 2, 1) },
		"percent": func(v *float64) string { return number(v, 1, 100) },
		"money":   func(v *float64) string { return number(v, 2, 1) },
		"share":   func(v float64) string { return number(&v, 1, 100) },
		"yearsCI": func(v *evaluation.Interval) string { return span(v, 2, 1) },
		"shareCI": func(v *evaluation.Interval) string { return span(v, 1, 100) },
		"label":   label,
		"failed":  func(group string) bool { return slices.Contains(d.Report.CoverageCheck.Failed, group) },
		"join":    func(names []string) string { return strings.Join(names, "; ") },
	}).Parse(source)
	if err == nil {
		_, err = t.New("looks").Parse(styleSource)
	}
	if err != nil {
		return nil, fmt.Errorf("parse page template: %w", err)
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{
		"D": d, "About": about, "Figures": figures,
		"Groups": groupNames(d.Report), "PremiumGroups": sortedNames(slices.Collect(maps.Keys(d.Premium.Groups))),
	})
	if err != nil {
		return nil, fmt.Errorf("write page: %w", err)
	}
	return b.Bytes(), nil
}

func number(v *float64, decimals int, factor float64) string {
	if v == nil {
		return "–"
	}
	// A minus that lines up with the digits.
	return strings.ReplaceAll(fmt.Sprintf("%.*f", decimals, *v*factor), "-", "−")
}

func span(v *evaluation.Interval, decimals int, factor float64) string {
	if v == nil {
		return ""
	}
	return number(&v[0], decimals, factor) + " to " + number(&v[1], decimals, factor)
}

// label is a group's name for a reader: "adults=18-75,sex=female" is "adults,
// sex female".
func label(group string) string {
	group = strings.ReplaceAll(group, evaluation.Adults, "adults")
	group = strings.ReplaceAll(group, ",", ", ")
	return strings.ReplaceAll(group, "=", " ")
}

// groupNames are the groups in the order of a reader's interest: the adults, who
// buy; the age bands; the columns; the columns within the adults.
func groupNames(r evaluation.Report) []string {
	return sortedNames(slices.Collect(maps.Keys(r.Groups)))
}

func sortedNames(names []string) []string {
	bands := evaluation.Bands()
	rank := func(name string) int {
		switch {
		case name == evaluation.Adults:
			return 0
		case slices.Contains(bands, name):
			return 1
		case strings.HasPrefix(name, evaluation.Adults):
			return 3
		}
		return 2
	}
	slices.SortFunc(names, func(a, b string) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return names
}
