package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/progress"
	"github.com/agequote/agequote/internal/reason"
)

func evaluateCommand() *command {
	return &command{
		name:    "evaluate",
		summary: "measures a model on photos of people whose age is known",
		usage: `Sends each photo through the whole serving path and measures errors, interval
coverage and refusals, over all photos and by group, each with a 95 % bootstrap
interval that draws people, and checks that no group of 100 photos or more is
covered too rarely for it to be chance. The labels are a TSV with a header:
columns file (relative to --images) and age; person is optional; every further
column is a group.

  agequote evaluate --labels labels.tsv --images photos
  agequote evaluate --labels labels.tsv --images photos --json --model other
`,
		flags: func(fs *flag.FlagSet) func(context.Context, *env, []string) error {
			var m modelFlags
			m.register(fs)
			labels := fs.String("labels", "", "`FILE` of labels, a TSV")
			images := fs.String("images", "", "`DIR` of the photos")
			workers := fs.Int("workers", runtime.NumCPU(), "photos at a time")
			asJSON := fs.Bool("json", false, "print the report as JSON")
			return func(ctx context.Context, e *env, args []string) error {
				if *labels == "" || *images == "" || len(args) > 0 {
					return usagef("evaluate: --labels and --images are needed, and no more")
				}
				report, err := evaluate(ctx, e, &m, *labels, *images, *workers)
				if err != nil {
					return err
				}
				if *asJSON {
					return json.NewEncoder(e.stdout).Encode(report)
				}
				return printReport(e.stdout, report)
			}
		},
	}
}

func evaluate(ctx context.Context, e *env, flags *modelFlags, labelsFile, images string, workers int) (evaluation.Report, error) {
	f, err := os.Open(labelsFile)
	if err != nil {
		return evaluation.Report{}, fmt.Errorf("open labels: %w", err)
	}
	defer f.Close()
	labels, err := evaluation.ReadLabels(f)
	if err != nil {
		return evaluation.Report{}, err
	}
	m, err := flags.open()
	if err != nil {
		return evaluation.Report{}, err
	}
	defer m.Close()

	bar := progress.New(e.stderr, len(labels), "photos")
	defer bar.Finish()
	rows, err := evaluation.Photos(ctx, images, labels, workers, func(l evaluation.Label, photo []byte) (evaluation.Row, error) {
		return evaluateOne(m, l, photo)
	}, bar.Done)
	if err != nil {
		return evaluation.Report{}, err
	}
	return evaluation.Measure(m.Hash(), rows), nil
}

func evaluateOne(m *model.Model, l evaluation.Label, photo []byte) (evaluation.Row, error) {
	estimate, err := m.Estimate(photo)
	code := reason.Of(err)
	if code == reason.Internal {
		return evaluation.Row{}, err
	}
	return evaluation.Row{Age: l.Age, Person: l.Person, Groups: l.Groups, Code: code, Estimate: estimate}, nil
}

func printReport(w io.Writer, r evaluation.Report) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "group\tphotos\trefused\tMAE\t95% interval\tRMSE\twithin 5\tbias\tcoverage\t95% interval\tat best\twidth\t")
	line := func(name string, f evaluation.Figures) {
		fmt.Fprintf(t, "%s\t%d\t%.1f%%\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", name, f.N, f.Rejected.Share*100,
			years(f.MAE), interval(f.CI.MAE, 1, "%.2f"), years(f.RMSE), percent(f.CS5), years(f.Bias),
			percent(f.Coverage), interval(f.CI.Coverage, 100, "%.1f"), percent(f.CoverageUpper), years(f.Width))
	}
	line("all", r.Figures)
	for _, name := range slices.Sorted(maps.Keys(r.Groups)) {
		line(name, r.Groups[name])
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print report: %w", err)
	}
	for _, code := range slices.Sorted(maps.Keys(r.Rejected.Codes)) {
		fmt.Fprintf(w, "refused as %s: %d\n", code, r.Rejected.Codes[code])
	}
	_, err := fmt.Fprintf(w, "%s\nmodel %s\n", verdict(r.CoverageCheck), r.Model)
	return err
}

// verdict says whether the intervals hold what they promise in every group.
func verdict(c evaluation.CoverageCheck) string {
	if c.Groups == 0 {
		return fmt.Sprintf("coverage not checked: no group has %d photos", c.LeastPhotos)
	}
	checked := fmt.Sprintf("of %d groups of %d photos or more, at a confidence of %g%% over all", c.Groups, c.LeastPhotos, c.Confidence*100)
	if c.Passed {
		return fmt.Sprintf("coverage check passed: none %s, is under %g%%", checked, c.Level*100)
	}
	return fmt.Sprintf("coverage check FAILED: under %g%% are %s; %s", c.Level*100, strings.Join(c.Failed, ", "), checked)
}

func interval(v *evaluation.Interval, factor float64, format string) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf(format+" to "+format, v[0]*factor, v[1]*factor)
}

func years(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f", *v)
}

func percent(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", *v*100)
}
