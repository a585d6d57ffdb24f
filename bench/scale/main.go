// Command scale writes docs/scale.md: what a million photos a day and a hundred
// million in one batch would meet, from the figures of the last side-by-side run
// (bench/results.json). It simulates queue and executions photo by photo and
// calls nothing.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/agequote/agequote/bench/cost"
	"github.com/agequote/agequote/bench/prices"
	"github.com/agequote/agequote/bench/report"
)

func main() {
	root := flag.String("root", ".", "`DIR` of the project")
	flag.Parse()
	if err := run(*root); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func run(root string) error {
	results, err := cost.Read(filepath.Join(root, "bench", "results.json"))
	if err != nil {
		return err
	}
	list, err := prices.Read(filepath.Join(root, "bench", "prices.yaml"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, "docs", "scale.md"), []byte(page(results, list)), 0o644)
}

// S3's documented requests a second for one prefix, and Lambda's and Step
// Functions' documented default quotas.
const (
	getsPerSecond = 5500
	putsPerSecond = 3500
	concurrency   = 1000   // executions at once in a region, all functions; can be raised
	scalePer10s   = 1000   // of one function
	children      = 10_000 // of one distributed map at once; fixed
)

func page(r report.Results, list prices.List) string {
	m := Measured{PredictMS: []float64{r.Predict.WarmMS}, ColdMS: r.Predict.ColdMS, QuoteMS: r.Quote.WarmMS}
	var t strings.Builder
	fmt.Fprintf(&t, `# Scale on paper

Written by `+"`go run ./bench/scale`"+` from the last `+"`make bench-side-by-side`"+` (%s, %s): predict %.0f ms warm and %.0f ms cold,
quote %.1f ms, %.1f S3 reads and %.1f writes and listings a photo. Queue and executions are simulated photo by photo; nothing of it ran on AWS.

## A million photos a day
A tenth of them within the busiest hour, one in a hundred delivered twice; executions that wait go after ten minutes.

| executions allowed | most at work | most alive | cold starts | wait, half | wait, 99 %% | longest wait | busy, hours |
|---|---|---|---|---|---|---|---|
`, r.Date, r.Machine, m.PredictMS[0], m.ColdMS, m.QuoteMS, gets(r), puts(r))
	for _, limit := range []int{1, 2, 4, 8, concurrency} {
		d := simulateDay(m, Load{Photos: 1_000_000, PeakShare: 0.1, Retried: 0.01},
			Limits{Concurrency: limit, ScalePer10s: scalePer10s, Idle: 10 * time.Minute}, 1)
		fmt.Fprintf(&t, "| %d | %d | %d | %d | %s | %s | %s | %.1f |\n", limit, d.PeakBusy, d.PeakInstances, d.Cold,
			short(d.WaitP50), short(d.WaitP99), short(d.WaitMax), d.BusySeconds/3600)
	}
	fmt.Fprintf(&t, `
No quota is near: the account's default of %d executions is far above, and S3 takes some hundred times the requests. An event waits
for at most six hours, so that a row whose longest wait is above that loses photos to redrive.

## A hundred million in one batch
`+"`infra/batch.asl.json`"+`, 20 photos in a child. Children are started at 100 a second in one map, a guess where AWS documents nothing. S3
splits a bucket's names as its load grows; the rows say into how many parts.

| executions | S3 parts | bound by | photos a second | days | reads a second | writes a second |
|---|---|---|---|---|---|---|
`, concurrency)
	for _, tt := range []struct{ executions, prefixes int }{{concurrency, 1}, {concurrency, 8}, {3000, 8}, {3000, 32}, {10_000, 32}} {
		b := simulateBatch(m, 100_000_000, BatchLimits{
			Concurrency: tt.executions, Children: children, BatchSize: 20, StartsPerSecond: 100,
			GetsPerSecond: getsPerSecond, PutsPerSecond: putsPerSecond, Prefixes: tt.prefixes, Gets: gets(r), Puts: puts(r),
		}, 1)
		fmt.Fprintf(&t, "| %d | %d | %s | %.0f | %.2f | %.0f | %.0f |\n", tt.executions, tt.prefixes, b.Bound, b.PhotosASecond, b.Hours/24, b.GetsASecond, b.PutsASecond)
	}
	fmt.Fprintf(&t, `
What is met first is named in the third column. What to raise: S3's parts grow by themselves when a load rises over some minutes, or are
asked for; Lambda's executions are raised on request; a map's children cannot be, and several maps over parts of the manifest start more a
second. A map's state is bounded to 256 KiB and its result goes to S3, so neither grows with the batch. A hundred million rows of
results.csv are some 60 GB, more than the report function can write: split such a batch into ten.

## What it costs
A million photos: `+"`docs/cost.md`"+`. A hundred million cost a hundred times that; Step Functions beside it %.0f USD (six transitions for a child of 20).
`, 100e6/20*6*list.Steps.Transition)
	return t.String()
}

func gets(r report.Results) float64 { return r.Predict.Gets + r.Quote.Gets }

// puts counts listings too: S3 bounds them with the reads, and prices them with
// the writes; the stricter of the two bounds is taken.
func puts(r report.Results) float64 {
	return r.Predict.Puts + r.Quote.Puts + r.Predict.Lists + r.Quote.Lists
}

func short(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
