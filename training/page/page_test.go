package page_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/training/page"
)

// document measures made-up people; one group is covered badly, and one has a
// name that is no friend of HTML.
func document(t *testing.T, people int) (evaluation.Document, []evaluation.Row) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	var rows []evaluation.Row
	for i := range people {
		years := float64(r.IntN(90))
		estimate := age.Printed(max(0, years+5*r.NormFloat64()))
		low, high := max(0, estimate-10), estimate+10
		row := evaluation.Row{Age: years, Code: reason.OK, Groups: map[string]string{"dataset": "<b>own</b> & others"},
			Estimate: age.Estimate{Age: &estimate, Low: &low, High: &high}}
		if i%3 == 0 {
			row.Groups["light"] = "poor"
			low, high = estimate-1, estimate+1
		}
		if i%50 == 0 {
			row.Code = reason.Blurred
		}
		rows = append(rows, row)
	}
	premium, err := evaluation.MeasurePremium(rows, evaluation.Terms{Product: "made-up", Currency: "USD"},
		func(years, estimate float64, _ string) (float64, float64, bool, error) {
			return 5 + years, 5 + estimate, true, nil
		})
	if err != nil {
		t.Fatal(err)
	}
	return evaluation.Document{
		Labels: "sha256:labels", Folds: 10, Report: evaluation.Measure("", rows), Premium: premium,
		Levels: []evaluation.Level{{Asked: 0.5, Coverage: 0.55, CI: &evaluation.Interval{0.5, 0.6}}, {Asked: 0.9, Coverage: 0.91}},
		Parity: &evaluation.Parity{Photos: 200, MaxProbability: 2e-6, MaxYears: 0.003},
	}, rows
}

func TestRender(t *testing.T) {
	d, rows := document(t, 1000)
	html, err := page.Render(d, rows, page.About{Name: "trial", Model: "sha256:model", Use: "research", Point: "mean"})
	if err != nil {
		t.Fatal(err)
	}
	text := string(html)
	for _, want := range []string{
		"Evaluation of trial", "sha256:model", "sha256:labels",
		"Coverage check failed", "light=poor", `class="bad"`, "<td>light poor</td>",
		"&lt;b&gt;own&lt;/b&gt; &amp; others", "2.0e-06", "blurred 20,",
		fmt.Sprintf("<td>all</td><td>%d</td><td>%.2f</td>", d.Report.N, *d.Report.MAE),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, id := range []string{"scatter", "levels", "error", "premium", "coverage", "width", "refused"} {
		if !regexp.MustCompile(`<figure id="` + id + `"[^>]*>\s*<svg`).MatchString(text) {
			t.Errorf("no plot %s", id)
		}
	}
	if strings.Contains(text, "<b>own") {
		t.Error("a group's name got into the page as HTML")
	}
	if found := regexp.MustCompile(`(src|href)="[^#"]|<script|url\(|@import`).FindString(text); found != "" {
		t.Errorf("the page asks for something from elsewhere: %q", found)
	}
	for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(text, -1) {
		wellFormed(t, svg)
	}
}

func wellFormed(t *testing.T, svg string) {
	t.Helper()
	x := xml.NewDecoder(strings.NewReader(svg))
	for {
		_, err := x.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%.60s...: %v", svg, err)
		}
	}
}

// TestRenderLittle has figures that are null, and no photo at all.
func TestRenderLittle(t *testing.T) {
	for _, people := range []int{0, 1, 5} {
		d, rows := document(t, people)
		d.Levels, d.Parity, d.Folds = nil, nil, 0
		html, err := page.Render(d, rows, page.About{Name: "trial", Point: "median"})
		if err != nil {
			t.Errorf("%d people: %v", people, err)
		}
		if strings.Contains(string(html), "NaN") || strings.Contains(string(html), "Inf") {
			t.Errorf("%d people: NaN or Inf in the page", people)
		}
	}
}
