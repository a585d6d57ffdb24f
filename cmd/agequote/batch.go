package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/agequote/agequote/internal/batch"
	"github.com/agequote/agequote/internal/batch/runner"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/duplicate"
	"github.com/agequote/agequote/internal/folder"
	"github.com/agequote/agequote/internal/metrics"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/predict"
	"github.com/agequote/agequote/internal/progress"
	"github.com/agequote/agequote/internal/quote"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/version"
	"github.com/agequote/agequote/rules"
)

func batchCommand() *command {
	return &command{
		name:    "batch",
		summary: "reads and quotes every application of a manifest",
		usage: `Reads the photo of every line of a manifest and quotes it, by the same code as
the Lambda functions, on all cores. A run that was stopped or killed is taken up
by the same command: nothing is done twice.

  agequote batch events/manifest.csv --out build/batch
  agequote batch applications.csv --images photos --out batch-2026-11
  agequote batch applications.csv --images photos --aws --stack agequote
  agequote batch --aws --stack agequote --prefix uploads/

The manifest is a CSV with a header: case,photo,age,sex,height_cm,weight_kg,tobacco,
sum,term,market,consent_version,consent_time, and where wanted birth_date, product,
mode, answers (question=yes;...) and consent_days. Any other column, such as race,
is a group that is measured and never part of an application. docs/batch.md has
more.

DIR gets results.csv and results.parquet (a row an item), failures.csv (itself a
manifest, for another run into another DIR), summary.json, report.html, log.jsonl,
and the cases, which replay, letter and whatif read. It holds what applicants
declared, and is for its owner alone.

With --aws the photos and applications go to the buckets of a deployment, and its
state machine runs the batch: nothing is computed here. --prefix takes photos that
are there already, of cases that exist. What is brought is found again, so a call
that was broken off is taken up by the same call; the batch goes on meanwhile.
docs/batch-aws.md has more.

Items that are refused, or failed with a code, are results. The exit status is 1
where an item has no outcome.
`,
		flags: func(fs *flag.FlagSet) func(context.Context, *env, []string) error {
			var b batchDesk
			b.model.register(fs)
			fs.StringVar(&b.out, "out", "", "`DIR` of the results")
			fs.StringVar(&b.images, "images", "", "`DIR` of the photos (default: that of the manifest)")
			fs.IntVar(&b.workers, "workers", runtime.NumCPU(), "photos at a time")
			fs.StringVar(&b.valuation, "valuation-date", "", "date of valuation of every quote, `YYYY-MM-DD` (default: the day on which the batch begins)")
			fs.BoolVar(&b.asJSON, "json", false, "print the summary as JSON")
			var cloud awsBatch
			cloud.register(fs)
			return func(ctx context.Context, e *env, args []string) error {
				if cloud.on {
					cloud.env, cloud.images, cloud.out, cloud.asJSON = e, b.images, b.out, b.asJSON
					return cloud.run(ctx, args)
				}
				if len(args) != 1 || b.out == "" || b.workers < 1 {
					return usagef("batch: name one manifest, --out, and at least one worker")
				}
				b.env, b.manifest = e, args[0]
				return b.run(ctx)
			}
		},
	}
}

// batchDesk is one call of the command.
type batchDesk struct {
	env                              *env
	model                            modelFlags
	manifest, out, images, valuation string
	workers                          int
	asJSON                           bool

	about batch.About
	times batch.Times
	date  time.Time
	store *folder.Store
	work  *runner.Runner
}

// unmeasured takes the place of CloudWatch.
type unmeasured struct{}

func (unmeasured) Record(map[string]string, ...metrics.Value) {}

func (b *batchDesk) run(ctx context.Context) (err error) {
	b.about = batch.About{Schema: batch.SummarySchema, Code: version.String(), Started: b.env.now().UTC()}
	if b.about.ValuationDate = b.valuation; b.valuation != "" {
		if _, err := time.Parse(time.DateOnly, b.valuation); err != nil {
			return usagef("batch: --valuation-date: give a date as YYYY-MM-DD")
		}
	}
	if err := b.readManifest(); err != nil {
		return err
	}
	m, err := b.model.open()
	if err != nil {
		return err
	}
	defer m.Close()
	b.about.Model, b.about.ModelUse = m.Hash(), string(m.Manifest().Use)
	book, err := rulebook.Load(rules.FS)
	if err != nil {
		return fmt.Errorf("load rules: %w", err)
	}
	b.about.Rules = hashOf(book)

	unlock, err := lock(b.out)
	if err != nil {
		return err
	}
	defer unlock()
	if b.store, err = folder.Create(b.out); err != nil {
		return err
	}
	defer b.store.Close()
	if err := b.begin(ctx); err != nil {
		return err
	}
	if b.images == "" {
		b.images = filepath.Dir(b.manifest)
	}
	images, err := runner.OpenImages(b.images)
	if err != nil {
		return err
	}
	defer images.Close()
	log, err := os.OpenFile(filepath.Join(b.out, "log.jsonl"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer log.Close()

	b.wire(m, book, images, slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err := b.phases(ctx, m); err != nil {
		if errors.Is(err, context.Canceled) {
			fmt.Fprintf(b.env.stderr, "Stopped. Nothing is lost: the same command goes on where this one ended.\n")
		}
		return err
	}
	return nil
}

// readManifest counts the manifest's items and takes its hash, in one pass that
// finds a manifest which cannot be read before any work.
func (b *batchDesk) readManifest() error {
	f, err := os.Open(b.manifest)
	if err != nil {
		return fmt.Errorf("open manifest: %w", err)
	}
	defer f.Close()
	hash := sha256.New()
	r, err := batch.NewReader(io.TeeReader(f, hash))
	if err != nil {
		return err
	}
	for {
		_, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		b.about.Listed++
	}
	b.about.Manifest = "sha256:" + hex.EncodeToString(hash.Sum(nil))
	return nil
}

// hashOf names all rule files together.
func hashOf(book *rulebook.Book) string {
	var text strings.Builder
	for _, f := range book.Files() {
		fmt.Fprintf(&text, "%s %s\n", f.Hash, f.Name)
	}
	return digest.Of([]byte(text.String()))
}

// lock keeps a second process out of the folder. The system lets go of it when
// the process dies, however it does.
func lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s is in use by another run of agequote batch", dir)
		}
		return nil, fmt.Errorf("lock folder: %w", err)
	}
	return func() { f.Close() }, nil
}

// begin writes down what is asked for, or finds that this very batch was begun
// before.
func (b *batchDesk) begin(ctx context.Context) error {
	asked := b.about
	if asked.ValuationDate == "" {
		asked.ValuationDate = b.env.now().Format(time.DateOnly)
	}
	asked.ID = asked.Started.Format("20060102T150405Z") + "-" + strings.TrimPrefix(asked.Manifest, "sha256:")[:8]
	body, err := cases.Encode(asked)
	if err != nil {
		return err
	}
	standing, err := cases.WriteOnce[batch.About](ctx, b.store, "batch.json", body)
	if err != nil {
		return fmt.Errorf("read what %s was begun with: %w", b.out, err)
	}
	if asked = standing.Object; b.valuation != "" {
		asked.ValuationDate = b.valuation
	}
	b.about.ValuationDate = asked.ValuationDate
	if differs := standing.Object.Differs(b.about); differs != "" {
		return fmt.Errorf("%s holds another batch: this one has %s; choose another --out", b.out, differs)
	}
	b.about = standing.Object
	if b.date, err = time.Parse(time.DateOnly, b.about.ValuationDate); err != nil {
		return fmt.Errorf("read what %s was begun with: %w", b.out, err)
	}
	return nil
}

// wire puts the handlers together as functions/*/main.go do, over folders.
func (b *batchDesk) wire(m *model.Model, book *rulebook.Book, images *runner.Images, log *slog.Logger) {
	b.work = &runner.Runner{
		Cases:  b.store,
		Photos: images,
		Predict: &predict.Handler{
			Photos: images, UploadsBucket: runner.Bucket, Cases: b.store,
			Model:   func(context.Context) (predict.Estimator, func()) { return m, func() {} },
			Room:    make(chan struct{}, b.workers),
			Metrics: unmeasured{}, Version: b.about.Code, Now: b.env.now, Log: log,
		},
		Quote: &quote.Handler{
			Cases: b.store, Book: book, ValuationDate: b.date,
			Metrics: unmeasured{}, Version: b.about.Code, Now: b.env.now, Log: log,
		},
		Duplicates: &duplicate.Marker{Cases: b.store, Version: b.about.Code, Now: b.env.now},
		Manifest:   func() (io.ReadCloser, error) { return os.Open(b.manifest) },
		ID:         b.about.ID, Started: b.about.Started, Version: b.about.Code,
		Workers: 2*b.workers + 2, Now: b.env.now, Log: log,
	}
}

// phases reads all photos, looks for duplicates among all, quotes all, and
// tells what came of it.
func (b *batchDesk) phases(ctx context.Context, m *model.Model) error {
	started := time.Now()
	cpuBefore, _ := used()
	b.times = batch.Times{Run: b.env.now().UTC(), Workers: b.workers}
	read, before, err := b.phase(ctx, "photos", b.work.PredictAll)
	if err != nil {
		return err
	}
	b.times.Read, b.times.Before = read, before
	b.times.PredictSeconds = time.Since(started).Seconds()

	quoting := time.Now()
	if _, err := b.work.FindDuplicates(ctx); err != nil {
		return err
	}
	if _, _, err := b.phase(ctx, "quotes", b.work.QuoteAll); err != nil {
		return err
	}
	b.times.QuoteSeconds = time.Since(quoting).Seconds()

	reporting := time.Now()
	c, err := b.tables(ctx)
	if err != nil {
		return err
	}
	b.times.ReportSeconds = time.Since(reporting).Seconds()
	all := time.Since(started).Seconds()
	detector, network := m.Busy()
	b.times.PhotosPerS = float64(read) / all
	b.times.DetectorShare = detector.Seconds() / all / float64(b.workers)
	b.times.AgeShare = network.Seconds() / all / float64(b.workers)
	b.times.NetworksShare = b.times.DetectorShare + b.times.AgeShare
	cpu, peakMB := used()
	b.times.CPUSeconds, b.times.PeakMB = (cpu - cpuBefore).Seconds(), peakMB
	return b.tell(c)
}

// used returns the processor time that this process has taken, and the most
// memory that it has held, in MB.
func used() (cpu time.Duration, peakMB float64) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, 0
	}
	unit := 1024.0 // Linux counts KiB
	if runtime.GOOS == "darwin" {
		unit = 1
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), float64(u.Maxrss) * unit / 1e6
}

// phase runs one phase under a bar, or with a line a minute where there is no
// terminal.
func (b *batchDesk) phase(ctx context.Context, what string, do func(context.Context) error) (done, before int, err error) {
	bar := progress.New(b.env.stderr, b.about.Listed, what)
	defer bar.Finish()
	var tally runner.Tally
	var mu sync.Mutex
	started := time.Now()
	next := started.Add(time.Minute)
	b.work.Done = func(s runner.Step) {
		n := tally.Add(s)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case bar.Visible():
			if n%10 == 0 {
				bar.Describe(what + " " + counts(&tally))
			}
			bar.Done()
		case time.Now().After(next):
			next = time.Now().Add(time.Minute)
			b.line(what, &tally, started)
		}
	}
	err = do(ctx)
	bar.Finish()
	b.line(what, &tally, started)
	of, all, before := tally.Counts()
	unread := of[string(batch.BadRow)] + of[string(batch.DuplicateCase)]
	return all - before - unread, before, err
}

// line tells how far a phase is, in counts that add up.
func (b *batchDesk) line(what string, t *runner.Tally, started time.Time) {
	_, all, before := t.Counts()
	took := time.Since(started)
	fmt.Fprintf(b.env.stderr, "%s: %d of %d in %s", what, all, b.about.Listed, took.Round(100*time.Millisecond))
	if before > 0 {
		fmt.Fprintf(b.env.stderr, " (%d were finished before)", before)
	}
	if rate := float64(all-before) / took.Seconds(); all > before && all < b.about.Listed {
		fmt.Fprintf(b.env.stderr, ", %.1f a second, %s left", rate, (time.Duration(float64(b.about.Listed-all) / rate * float64(time.Second))).Round(time.Second))
	}
	fmt.Fprintf(b.env.stderr, ": %s\n", counts(t))
}

// counts are "ok 12, no_face 3", most first.
func counts(t *runner.Tally) string {
	of, _, _ := t.Counts()
	names := slices.Collect(maps.Keys(of))
	slices.SortFunc(names, func(a, b string) int {
		if of[a] != of[b] {
			return of[b] - of[a]
		}
		return strings.Compare(a, b)
	})
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = fmt.Sprintf("%s %d", name, of[name])
	}
	return strings.Join(parts, ", ")
}

// tables writes results and failures. Each file appears under its name when it
// is whole.
func (b *batchDesk) tables(ctx context.Context) (c *batch.Collector, err error) {
	var out [3]*result
	for i, name := range []string{"results.csv", "results.parquet", "failures.csv"} {
		if out[i], err = newResult(b.out, name); err != nil {
			return nil, err
		}
		defer out[i].discard()
	}
	header, err := b.header()
	if err != nil {
		return nil, err
	}
	table, err := batch.NewTable(out[0], out[1])
	if err != nil {
		return nil, err
	}
	failures, err := batch.NewFailures(out[2], header)
	if err != nil {
		return nil, err
	}
	c = batch.NewCollector()
	err = batch.EachRow(ctx, b.store, b.work.Walk, 2*b.workers, func(item batch.Item, row batch.Row) error {
		c.Add(item, row)
		return errors.Join(table.Write(row), failures.Write(item, row))
	})
	if err := errors.Join(err, table.Close(), failures.Close()); err != nil {
		return nil, err
	}
	for _, r := range out {
		if err := r.keep(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (b *batchDesk) header() ([]string, error) {
	f, err := os.Open(b.manifest)
	if err != nil {
		return nil, fmt.Errorf("open manifest: %w", err)
	}
	defer f.Close()
	r, err := batch.NewReader(f)
	if err != nil {
		return nil, err
	}
	return r.Header(), nil
}

// tell writes the summary and the report, prints the books, and checks them.
func (b *batchDesk) tell(c *batch.Collector) error {
	s := c.Summary(b.about)
	s.Times = &b.times
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode summary: %w", err)
	}
	for name, write := range map[string]func(io.Writer) error{
		"summary.json": func(w io.Writer) error { _, err := w.Write(append(text, '\n')); return err },
		"report.html":  func(w io.Writer) error { return c.WriteReport(w, s) },
	} {
		r, err := newResult(b.out, name)
		if err != nil {
			return err
		}
		defer r.discard()
		if err := write(r); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		if err := r.keep(); err != nil {
			return err
		}
	}
	if b.asJSON {
		_, err = fmt.Fprintf(b.env.stdout, "%s\n", text)
	} else {
		err = printBatch(b.env.stdout, s, b.out)
	}
	if err != nil {
		return fmt.Errorf("print summary: %w", err)
	}
	return s.Books.Check()
}

func printBatch(out io.Writer, s batch.Summary, dir string) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%d listed =", s.Books.Listed)
	for i, o := range batch.Outcomes {
		if i > 0 {
			fmt.Fprint(&text, " +")
		}
		fmt.Fprintf(&text, " %d %s", s.Books.Count(o), o)
	}
	fmt.Fprintln(&text)
	for _, p := range s.Premiums {
		fmt.Fprintf(&text, "%d premiums in %s: %s gross a year together, median %s\n", p.N, p.Currency, money(p.GrossCents), money(p.MedianCents))
	}
	if t := s.Times; t.Read > 0 {
		fmt.Fprintf(&text, "%.1f photos a second with %d at a time; the networks take %.0f%% of the time; at most %.0f MB\n",
			t.PhotosPerS, t.Workers, t.NetworksShare*100, t.PeakMB)
	}
	fmt.Fprintf(&text, "%s\n", filepath.Join(dir, "report.html"))
	_, err := io.WriteString(out, text.String())
	return err
}

// result is a file that appears under its name when it is whole.
type result struct {
	*bufio.Writer
	file *os.File
	name string
}

func newResult(dir, name string) (*result, error) {
	f, err := os.CreateTemp(filepath.Join(dir, folder.Writing), name)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", name, err)
	}
	return &result{bufio.NewWriter(f), f, filepath.Join(dir, name)}, nil
}

func (r *result) keep() error {
	err := errors.Join(r.Flush(), r.file.Sync(), r.file.Close())
	if err == nil {
		err = os.Rename(r.file.Name(), r.name)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(r.name), err)
	}
	return nil
}

// discard removes what was not kept.
func (r *result) discard() {
	r.file.Close()
	os.Remove(r.file.Name())
}
