package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agequote/agequote/internal/batch"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/fairness"
	"github.com/agequote/agequote/internal/folder"
	"github.com/agequote/agequote/internal/progress"
	"github.com/agequote/agequote/internal/quote"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/s3store"
	"github.com/agequote/agequote/internal/store"
	"github.com/agequote/agequote/internal/underwriting"
	"github.com/agequote/agequote/rules"
)

// Names of the files that the command writes.
const (
	fairnessJSON = "fairness.json"
	fairnessHTML = "fairness.html"
)

func fairnessCommand() *command {
	return &command{
		name:    "fairness",
		summary: "compares what becomes of groups of people, in a batch or a period",
		usage: `Counts outcomes, referrals, refusals, premiums and the photo's errors by sex, by age
band, and by every group that a manifest or --labels brings along for testing only:
adverse impact ratios (four fifths), odds ratios, gaps with intervals, what is more
than chance, and what changed since --previous. Writes fairness.json and
fairness.html, one page that needs nothing else, to --out. Nothing else is changed.

  agequote fairness --batch build/batch --out build/fairness
  agequote fairness --batch a/results.csv --batch b/results.csv --out both
  agequote fairness --cases build/demo --from 2026-10-01 --to 2026-12-31 --out q4 --previous q3/fairness.json

A period counts cases by the day (UTC) of the computer's last outcome. --labels is a
TSV of case and age (the true one, where it came later); further columns are groups.
Without it a declared age counts as true where the photo does not contradict it.
`,
		flags: func(fs *flag.FlagSet) func(context.Context, *env, []string) error {
			d := fairnessDesk{ages: "18-75", reference: map[string]string{}}
			fs.Func("batch", "`DIR` of a batch, or its results.csv; may be given again", func(s string) error {
				d.batches = append(d.batches, s)
				return nil
			})
			d.cases.register(fs)
			fs.StringVar(&d.from, "from", "", "first `DAY` of a period, YYYY-MM-DD")
			fs.StringVar(&d.to, "to", "", "last `DAY` of a period")
			fs.StringVar(&d.labels, "labels", "", "`FILE` of true ages and groups, a TSV")
			fs.StringVar(&d.previous, "previous", "", "`FILE` of the report before, fairness.json")
			fs.StringVar(&d.ages, "ages", d.ages, "`FROM-TO` years, among whom groups are compared")
			fs.StringVar(&d.valuation, "valuation-date", "", "`YYYY-MM-DD` of a batch, for premiums at known ages (default: what the batch says, else today)")
			fs.Func("reference", "`DIMENSION=GROUP` that the others are held against, such as race=white; may be given again (default: all others)", func(s string) error {
				dimension, group, ok := strings.Cut(s, "=")
				if !ok || dimension == "" || group == "" {
					return errors.New("want DIMENSION=GROUP")
				}
				d.reference[dimension] = group
				return nil
			})
			fs.StringVar(&d.out, "out", "", "`DIR` to write to")
			docs := fs.String("docs", "", "`FILE:SECTION` of a document that gets the tables too")
			asJSON := fs.Bool("json", false, "print the report as JSON")
			return func(ctx context.Context, e *env, args []string) error {
				if len(args) > 0 || d.out == "" {
					return usagef("fairness: --out is needed, and flags only")
				}
				d.env = e
				report, err := d.run(ctx)
				if err != nil {
					return err
				}
				if *docs != "" {
					if err := writeDocs(*docs, report); err != nil {
						return err
					}
				}
				return d.write(report, *asJSON)
			}
		},
	}
}

// fairnessDesk is one run of the command.
type fairnessDesk struct {
	env        *env
	batches    []string
	cases      casesFlag
	from, to   string
	labels     string
	previous   string
	ages       string
	valuation  string
	reference  map[string]string
	out        string
	known      map[string]fairness.Label
	premiums   knownPremiums
	items      []fairness.Item
	source     fairness.Source
	erased     int
	unreadable int
}

var agesPattern = regexp.MustCompile(`^([0-9]{1,3})-([0-9]{1,3})$`)

func (d *fairnessDesk) run(ctx context.Context) (fairness.Report, error) {
	m := agesPattern.FindStringSubmatch(d.ages)
	if m == nil {
		return fairness.Report{}, usagef("fairness: --ages is two ages such as 18-75")
	}
	var ages [2]int
	ages[0], _ = strconv.Atoi(m[1]) // three digits
	ages[1], _ = strconv.Atoi(m[2])
	if err := d.prepare(); err != nil {
		return fairness.Report{}, err
	}
	switch {
	case len(d.batches) > 0 && d.from == "" && d.to == "" && d.cases == casesFlag{}:
		d.source.Kind = "batch"
		for _, name := range d.batches {
			if err := d.batch(ctx, name); err != nil {
				return fairness.Report{}, err
			}
		}
	case len(d.batches) == 0 && d.from != "" && d.to != "":
		if err := d.cases.fill(ctx, d.env); err != nil {
			return fairness.Report{}, err
		}
		if err := d.period(ctx); err != nil {
			return fairness.Report{}, err
		}
	default:
		return fairness.Report{}, usagef("fairness: give --batch, or --cases with --from and --to")
	}
	report := fairness.Measure(d.items, fairness.Options{Source: d.source, Erased: d.erased, Ages: ages, Reference: d.reference})
	if d.previous == "" {
		return report, nil
	}
	raw, err := os.ReadFile(d.previous)
	if err != nil {
		return fairness.Report{}, fmt.Errorf("read previous report: %w", err)
	}
	before, err := fairness.Parse(raw)
	if err != nil {
		return fairness.Report{}, fmt.Errorf("read previous report: %w", err)
	}
	report.Compare(before)
	return report, nil
}

// prepare reads rules and labels.
func (d *fairnessDesk) prepare() error {
	book, err := rulebook.Load(rules.FS)
	if err != nil {
		return fmt.Errorf("load rules: %w", err)
	}
	d.premiums.book = book
	if d.labels == "" {
		return nil
	}
	raw, err := os.ReadFile(d.labels)
	if err != nil {
		return fmt.Errorf("read labels: %w", err)
	}
	if d.known, err = fairness.ReadLabels(bytes.NewReader(raw)); err != nil {
		return err
	}
	d.source.Files = append(d.source.Files, fairness.SourceFile{Name: filepath.Base(d.labels), Hash: digest.Of(raw)})
	return nil
}

func (d *fairnessDesk) label(id string) *fairness.Label {
	if l, ok := d.known[id]; ok {
		return &l
	}
	return nil
}

// batch adds the rows of one batch.
func (d *fairnessDesk) batch(ctx context.Context, name string) error {
	dir, results := "", name
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		dir, results = name, filepath.Join(name, "results.csv")
	}
	raw, err := os.ReadFile(results)
	if err != nil {
		return fmt.Errorf("read results: %w", err)
	}
	d.source.Files = append(d.source.Files, fairness.SourceFile{Name: filepath.Base(results), Hash: digest.Of(raw)})
	if base := filepath.Base(filepath.Dir(results)); len(d.batches) == 1 && base != "." {
		d.source.Batch = base
	}
	valuation, err := d.valuationDate(dir)
	if err != nil {
		return err
	}
	var stored bucket
	if dir != "" {
		opened, err := folder.Open(dir, "cases")
		if err != nil {
			return err
		}
		defer opened.Close()
		stored = opened
	}
	seen := map[string]bool{}
	return fairness.ReadRows(bytes.NewReader(raw), func(row batch.Row) error {
		if row.Case != "" && seen[row.Case] && row.Outcome != batch.Failed {
			return fmt.Errorf("read results: case %s stands twice", row.Case)
		}
		seen[row.Case] = true
		if row.Code == string(batch.Erased) {
			d.erased++
			return nil
		}
		facts, err := declared(ctx, stored, row)
		if err != nil {
			return err
		}
		return d.add(fairness.NewItem(row, d.label(row.Case)), facts, valuation)
	})
}

// valuationDate is that of the flag, else of the batch, else today.
func (d *fairnessDesk) valuationDate(dir string) (time.Time, error) {
	if d.valuation != "" {
		day, err := time.Parse(time.DateOnly, d.valuation)
		if err != nil {
			return time.Time{}, usagef("fairness: --valuation-date: give a date as YYYY-MM-DD")
		}
		return day, nil
	}
	raw, err := os.ReadFile(filepath.Join(dir, "batch.json"))
	if dir == "" || errors.Is(err, fs.ErrNotExist) {
		return d.env.now(), nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read batch.json: %w", err)
	}
	var said struct {
		ValuationDate string `json:"valuation_date"`
	}
	if err := json.Unmarshal(raw, &said); err != nil {
		return time.Time{}, fmt.Errorf("read batch.json: %w", err)
	}
	if day, err := time.Parse(time.DateOnly, said.ValuationDate); err == nil {
		return day, nil
	}
	return d.env.now(), nil
}

// declared are a row's facts: those of its application where the batch's folder
// is there, else what the row has, which has no answers to questions.
func declared(ctx context.Context, stored bucket, row batch.Row) (underwriting.Facts, error) {
	if stored != nil && casefile.ValidID(row.Case) {
		a, err := cases.Read[casefile.Application](ctx, stored, casefile.ApplicationKey(row.Case, 1))
		if err == nil && !a.Erased {
			return a.Object.Facts, nil
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return underwriting.Facts{}, fmt.Errorf("read application: %w", err)
		}
	}
	f := underwriting.Facts{Sex: row.Sex, Tobacco: row.Tobacco, SumCents: row.SumCents, TermYears: row.TermYears,
		Market: row.Market, Product: row.Product, Age: row.DeclaredAge}
	if row.HeightCM != nil && row.WeightKG != nil {
		f.HeightCM, f.WeightKG = *row.HeightCM, *row.WeightKG
	}
	return f, nil
}

// add keeps an item, with the premium at its known age.
func (d *fairnessDesk) add(it fairness.Item, facts underwriting.Facts, valuation time.Time) error {
	if it.Known != nil && it.Row.GrossCents != nil {
		var err error
		if it.AtKnown, err = d.premiums.at(facts, *it.Known, valuation); err != nil {
			return err
		}
	}
	d.items = append(d.items, it)
	return nil
}

// period adds the cases whose outcome lies in the period.
func (d *fairnessDesk) period(ctx context.Context) error {
	period, err := fairness.ParsePeriod(d.from, d.to)
	if err != nil {
		return usagef("fairness: --from, --to: %v", err)
	}
	d.source.Kind, d.source.From, d.source.To = "period", d.from, d.to
	stored, err := openBucket(ctx, d.cases.cases, "cases")
	if err != nil {
		return err
	}
	ids, err := caseIDs(ctx, stored)
	if err != nil {
		return err
	}
	bar := progress.New(d.env.stderr, len(ids), "cases")
	defer bar.Finish()
	for _, id := range ids {
		c, ok, err := fairness.Stored(ctx, stored, id)
		switch {
		case err != nil && ctx.Err() != nil:
			return err
		case err != nil:
			d.unreadable++
			fmt.Fprintf(d.env.stderr, "agequote: case %s: %v\n", id, err)
		case ok && period.Holds(c.Time) && c.Erased:
			d.erased++
		case ok && period.Holds(c.Time):
			it := fairness.NewItem(c.Row, d.label(id))
			it.Final = c.Final
			if err := d.add(it, c.Facts, c.Valuation); err != nil {
				return err
			}
		}
		bar.Done()
	}
	return nil
}

// caseIDs are the ids of all cases, in order.
func caseIDs(ctx context.Context, b bucket) ([]string, error) {
	var ids []string
	add := func(id string) error {
		if casefile.ValidID(id) {
			ids = append(ids, id)
		}
		return nil
	}
	var err error
	switch b := b.(type) {
	case *folder.Bucket:
		if err = b.Each("cases", add); errors.Is(err, fs.ErrNotExist) {
			err = nil // no case yet
		}
	case *s3store.Bucket:
		err = b.Each(ctx, "cases/", add)
	default:
		err = fmt.Errorf("list cases of a %T: %w", b, errors.ErrUnsupported)
	}
	slices.Sort(ids)
	return ids, err
}

// write puts both files into the folder.
func (d *fairnessDesk) write(r fairness.Report, asJSON bool) error {
	raw, err := r.Encode()
	if err != nil {
		return err
	}
	page, err := fairness.Page(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(d.out, 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	for name, body := range map[string][]byte{fairnessJSON: raw, fairnessHTML: page} {
		if err := os.WriteFile(filepath.Join(d.out, name), body, 0o644); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	if asJSON {
		_, err = d.env.stdout.Write(raw)
	} else {
		fmt.Fprintf(d.env.stdout, "%d applications\n", r.N)
		for _, s := range r.Summary {
			fmt.Fprintln(d.env.stdout, s)
		}
		for _, f := range r.Findings {
			fmt.Fprintf(d.env.stdout, "- by %s: %s\n", f.Dimension, f.Says)
		}
		if r.Changes != nil {
			fmt.Fprintln(d.env.stdout, "since the last report:")
			for _, s := range r.Changes.Says {
				fmt.Fprintf(d.env.stdout, "- %s\n", s)
			}
		}
		_, err = fmt.Fprintf(d.env.stdout, "%s\n", filepath.Join(d.out, fairnessHTML))
	}
	if err == nil && d.unreadable > 0 {
		return fmt.Errorf("%d cases could not be read, and are not counted", d.unreadable)
	}
	return err
}

// knownPremiums prices people at the age that is known of them.
type knownPremiums struct{ book *rulebook.Book }

// at is the gross annual premium at an age in place of the declared and the
// estimated one; nil where there is none at that age.
func (p *knownPremiums) at(f underwriting.Facts, age float64, valuation time.Time) (*int64, error) {
	f.BirthDate, f.Age = "", &age
	q, err := quote.ComputeOrRefer(p.book, quote.Input{Facts: f, ValuationDate: valuation, Time: valuation})
	if err != nil {
		return nil, fmt.Errorf("price at the known age: %w", err)
	}
	return q.GrossAnnualCents, nil
}

// writeDocs puts the report's tables into a document, between the two marks of a
// section: docs is FILE:SECTION.
func writeDocs(docs string, r fairness.Report) error {
	i := strings.LastIndexByte(docs, ':')
	if i < 1 {
		return usagef("fairness: --docs is FILE:SECTION")
	}
	file, section := docs[:i], docs[i+1:]
	raw, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read document: %w", err)
	}
	begin := fmt.Sprintf("<!-- %s: begin. Written by `make fairness`; do not edit. -->\n", section)
	end := fmt.Sprintf("<!-- %s: end -->", section)
	before, rest, ok := strings.Cut(string(raw), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return fmt.Errorf("write document: %s has no section %s", file, section)
	}
	if err := os.WriteFile(file, []byte(before+begin+fairness.Markdown(r)+end+after), 0o644); err != nil {
		return fmt.Errorf("write document: %w", err)
	}
	return nil
}
