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
coverage and refusals, over all photos and by group. The labels are a TSV with a
header: columns file (relative to --images) and age; person is optional; every
further column is a group.

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
	return evaluation.Row{Age: l.Age, Groups: l.Groups, Code: code, Estimate: estimate}, nil
}

func printReport(w io.Writer, r evaluation.Report) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "group\tphotos\trefused\tMAE\tRMSE\twithin 5\tbias\tcoverage\twidth\t")
	line := func(name string, f evaluation.Figures) {
		fmt.Fprintf(t, "%s\t%d\t%.1f%%\t%s\t%s\t%s\t%s\t%s\t%s\t\n", name, f.N, f.Rejected.Share*100,
			years(f.MAE), years(f.RMSE), percent(f.CS5), years(f.Bias), percent(f.Coverage), years(f.Width))
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
	_, err := fmt.Fprintf(w, "model %s\n", r.Model)
	return err
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
