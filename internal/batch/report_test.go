package batch_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/batch"
)

var update = flag.Bool("update", false, "rewrite the golden report")

// collect makes a batch of one row of each outcome, and a hundred quoted ones.
func collect() (*batch.Collector, batch.About) {
	c := batch.NewCollector()
	const hostile = `<script>alert(1)</script>"'&`
	add := func(r batch.Row, groups ...string) {
		c.Add(batch.Item{Row: r.Row, Case: r.Case, Groups: groups}, r)
	}
	for i := range 100 {
		years := float64(20 + i%60)
		r := batch.Row{Row: i + 2, Case: fmt.Sprintf("customer-%03d", i), Photo: hostile, Outcome: batch.Quoted, Code: "ok", Sex: []string{"female", "male"}[i%2],
			DeclaredAge: &years, Age: of(years + float64(i%7) - 3), Low: of(years - 9), High: of(years + float64(i%9)), Currency: "USD",
			GrossCents: of(int64(10000 + 700*i)), GrossLowCents: of(int64(8000)), GrossHighCents: of(int64(16000 + 100*i)), MS: int64(i)}
		if i%10 == 0 {
			r.Outcome, r.Reasons = batch.Referred, "age_contradicts class_build"
		}
		add(r, "race="+hostile, fmt.Sprintf("name=%d", i))
	}
	add(batch.Row{Row: 102, Case: "customer-100", Outcome: batch.Declined, Code: "ok", Reasons: "under_18", DeclaredAge: of(16.0), Age: of(15.0), Low: of(12.0), High: of(18.0)})
	add(batch.Row{Row: 103, Case: "customer-101", Outcome: batch.Postponed, Code: "ok", Reasons: "answer_postpone", Sex: "female", DeclaredAge: of(85.0)})
	add(batch.Row{Row: 104, Case: "customer-102", Outcome: batch.Refused, Code: "no_face", Photo: hostile, Message: "We found no face."})
	c.Add(batch.Item{Row: 105, Problem: &batch.Problem{Code: batch.BadRow}}, batch.Row{Row: 105, Outcome: batch.Failed, Code: "bad_row", Stage: "manifest", Message: hostile})
	return c, batch.About{ID: "20261125T080000Z-0a1b2c3d", Listed: 104, Manifest: "sha256:0", Model: "sha256:1", ModelUse: "research", Rules: "sha256:2", Code: "devel", ValuationDate: "2026-11-25", Started: began}
}

// TestReport holds the report's HTML to the golden one, but for the points of
// its plots.
func TestReport(t *testing.T) {
	c, about := collect()
	var out bytes.Buffer
	if err := c.WriteReport(&out, c.Summary(about)); err != nil {
		t.Fatal(err)
	}
	html := regexp.MustCompile(`<(circle|line|rect)[^>]*>`).ReplaceAllString(out.String(), "")
	const golden = "testdata/report.golden.html"
	if *update {
		if err := os.WriteFile(golden, []byte(html), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), html); diff != "" {
		t.Errorf("(-want +got; -update rewrites)\n%s", diff)
	}
	if n := strings.Count(out.String(), "<circle"); n != 101 {
		t.Errorf("%d points, want 101", n)
	}
	for _, bad := range []string{"<script", "http:", "https:", "NaN", "Inf"} {
		if strings.Contains(out.String(), bad) {
			t.Errorf("report holds %q", bad)
		}
	}
}

func TestSummary(t *testing.T) {
	c, about := collect()
	s := c.Summary(about)
	if err := s.Books.Check(); err != nil {
		t.Error(err)
	}
	want := batch.Books{Listed: 104, Quoted: 90, Referred: 10, Postponed: 1, Declined: 1, Refused: 1, Failed: 1}
	if diff := cmp.Diff(want, s.Books); diff != "" {
		t.Errorf("books (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"age_contradicts": 10, "under_18": 1, "answer_postpone": 1}, s.NotQuoted); diff != "" {
		t.Errorf("reasons of what is not quoted (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"name"}, s.Dropped); diff != "" {
		t.Errorf("columns with too many values (-want +got)\n%s", diff)
	}
	// 10,000 + 700 i cents, i from 0 to 99: the median is 44,650, told to 5 %.
	if p := s.Premiums[0]; p.N != 100 || p.GrossCents != 4_465_000 || p.MedianCents < 42_400 || p.MedianCents > 46_900 {
		t.Errorf("premiums %+v", p)
	}
	about.Listed++
	if err := c.Summary(about).Books.Check(); !errors.Is(err, batch.ErrUnbalanced) {
		t.Errorf("a line without an outcome: %v", err)
	}
}

// TestEmptyReport has no photo, premium or group to plot.
func TestEmptyReport(t *testing.T) {
	c := batch.NewCollector()
	var out bytes.Buffer
	if err := c.WriteReport(&out, c.Summary(batch.About{Started: began})); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "NaN") {
		t.Error("report holds NaN")
	}
}

func TestBand(t *testing.T) {
	for age, want := range map[float64]string{0: "0-17", 17.9: "0-17", 18: "18-29", 30: "30-39", 79.9: "70-79", 80: "80+", 120: "80+"} {
		if got := batch.Band(age); got != want {
			t.Errorf("Band(%g) = %s, want %s", age, got, want)
		}
	}
}
