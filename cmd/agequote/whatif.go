package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/agequote/agequote/internal/folder"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/whatif"
	"github.com/agequote/agequote/rules"
)

func whatifCommand() *command {
	return &command{
		name:    "whatif",
		summary: "decides past cases again under other rules, tables or estimates",
		usage: `Decides every case of a batch again, by its newest quote, and shows what would
have changed: decisions, and premiums by currency, sex and age band. Nothing is
stored.

  agequote whatif --rules my-rules build/demo          a local stack's folder, or a bucket's
  agequote whatif --rules my-rules cases.jsonl         a file, one case a line
  agequote whatif --estimates estimates.jsonl DIR      another model's estimates
  agequote whatif --pack cases.jsonl DIR               writes the file from the folder

--rules is a folder like rules/, which nobody need have approved; its tables count
too. The newest version of each product is tried, whenever it comes into force,
or that of --rules-date; ages are those at each quote's own valuation date.
--estimates is a file of {"case":...,"estimate":{"age","low","high","distribution",...}}
lines; a case that it does not have keeps its estimate.

A premium moves where a case has one before and after. Cases that cannot be read
are counted, named on standard error, and make the exit status 1.
`,
		flags: func(fs *flag.FlagSet) func(context.Context, *env, []string) error {
			var w whatifDesk
			fs.StringVar(&w.rules, "rules", "", "`FOLDER` of the rules to try (default: those of this program)")
			fs.StringVar(&w.date, "rules-date", "", "try the products in force at `YYYY-MM-DD` (default: the newest)")
			fs.StringVar(&w.estimates, "estimates", "", "`FILE` of other estimates, JSON lines")
			fs.StringVar(&w.pack, "pack", "", "write the cases to `FILE`, and try nothing")
			fs.IntVar(&w.trial.Most, "most", 10, "name the `N` cases that moved most")
			fs.BoolVar(&w.asJSON, "json", false, "print one JSON object")
			return func(ctx context.Context, e *env, args []string) error {
				if len(args) != 1 {
					return usagef("whatif: name the folder or the file of cases")
				}
				w.env = e
				return w.run(ctx, args[0])
			}
		},
	}
}

type whatifDesk struct {
	env                          *env
	rules, date, estimates, pack string
	asJSON                       bool
	trial                        whatif.Trial
}

func (w *whatifDesk) run(ctx context.Context, from string) (err error) {
	if w.trial.Most < 0 {
		return usagef("whatif: --most must not be negative")
	}
	info, err := os.Stat(from)
	if err != nil {
		return fmt.Errorf("find cases: %w", err)
	}
	if w.pack != "" {
		if !info.IsDir() {
			return usagef("whatif: --pack reads a folder")
		}
		return w.packFolder(ctx, from)
	}
	if err := w.load(); err != nil {
		return err
	}
	if w.estimates != "" {
		file, err := os.Open(w.estimates)
		if err != nil {
			return fmt.Errorf("open estimates: %w", err)
		}
		defer file.Close()
		size, err := file.Seek(0, io.SeekEnd)
		if err != nil {
			return fmt.Errorf("read estimates: %w", err)
		}
		others, err := whatif.IndexEstimates(file, size)
		if err != nil {
			return fmt.Errorf("read estimates: %s: %w", w.estimates, err)
		}
		w.trial.Estimates = others.Of
	}
	report, err := w.try(ctx, from, info.IsDir())
	if err != nil {
		return err
	}
	if w.asJSON {
		err = json.NewEncoder(w.env.stdout).Encode(report)
	} else {
		err = printWhatif(w.env.stdout, report)
	}
	if err != nil {
		return fmt.Errorf("print report: %w", err)
	}
	if report.Unreadable > 0 {
		return fmt.Errorf("%d cases could not be read", report.Unreadable)
	}
	return nil
}

// load loads the rules to try. Without a folder it is this program's own.
func (w *whatifDesk) load() (err error) {
	if w.date != "" {
		if w.trial.RulesDate, err = time.Parse(time.DateOnly, w.date); err != nil {
			return usagef("whatif: --rules-date: give a date as YYYY-MM-DD")
		}
	}
	if w.rules == "" {
		w.trial.Book, err = rulebook.Load(rules.FS)
	} else {
		w.trial.Book, err = rulebook.LoadDraft(os.DirFS(w.rules))
	}
	if err != nil {
		return fmt.Errorf("load rules: %w", err)
	}
	return nil
}

// told is how many cases that cannot be read are named.
const told = 10

func (w *whatifDesk) try(ctx context.Context, from string, isDir bool) (whatif.Report, error) {
	var n whatif.Counter
	say := func(format string, args ...any) {
		if n.Next() < told {
			fmt.Fprintf(w.env.stderr, "agequote: "+format+"\n", args...)
		}
	}
	if !isDir {
		file, err := os.Open(from)
		if err != nil {
			return whatif.Report{}, fmt.Errorf("open cases: %w", err)
		}
		defer file.Close()
		return w.trial.Lines(ctx, file, func(line int64) { say("%s: line %d is no case", from, line) })
	}
	bucket, err := folder.Open(from, "cases")
	if err != nil {
		return whatif.Report{}, err
	}
	defer bucket.Close()
	return w.trial.Names(ctx, func(do func(string) error) error { return bucket.Each("cases", do) },
		func(ctx context.Context, id string) (whatif.Case, bool, error) { return whatif.Stored(ctx, bucket, id) },
		func(id string, err error) { say("case %s: %v", id, err) })
}

// packFolder writes one line a case. A case that cannot be read is told, and
// the others are written.
func (w *whatifDesk) packFolder(ctx context.Context, from string) (err error) {
	bucket, err := folder.Open(from, "cases")
	if err != nil {
		return err
	}
	defer bucket.Close()
	out, err := os.OpenFile(w.pack, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // declared facts: for the owner alone
	if err != nil {
		return fmt.Errorf("create file of cases: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	buffer := bufio.NewWriter(out)
	encoder := json.NewEncoder(buffer)
	written, unread := 0, 0
	err = bucket.Each("cases", func(id string) error {
		c, ok, err := whatif.Stored(ctx, bucket, id)
		if err != nil {
			unread++
			fmt.Fprintf(w.env.stderr, "agequote: case %s: %v\n", id, err)
			return nil
		}
		if !ok {
			return nil
		}
		written++
		return encoder.Encode(c)
	})
	if err := errors.Join(err, buffer.Flush()); err != nil {
		return fmt.Errorf("write cases: %w", err)
	}
	fmt.Fprintf(w.env.stderr, "%d cases written to %s\n", written, w.pack)
	if unread > 0 {
		return fmt.Errorf("%d cases could not be read", unread)
	}
	return nil
}

func printWhatif(out io.Writer, r whatif.Report) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%d cases, %d decisions changed", r.Cases, r.Changed)
	if r.Unreadable > 0 {
		fmt.Fprintf(&text, ", %d more could not be read", r.Unreadable)
	}
	fmt.Fprint(&text, "\n\n")
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FROM\tTO\tCASES")
	for _, m := range r.Decisions {
		fmt.Fprintf(t, "%s\t%s\t%d\n", m.From, m.To, m.Cases)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, p := range r.Premiums {
		fmt.Fprintf(&text, "\n%s: %d cases with a premium before and after, %d rose, %d fell; %d have one now alone, %d had one then alone\n",
			p.Currency, p.Priced, p.Rose, p.Fell, p.Gained, p.Lost)
		fmt.Fprintf(&text, "  gross a year  %s -> %s (%+.2f %%), mean change %+.2f a case\n", money(p.StoredCents), money(p.NowCents), p.TotalChange*100, p.Mean/100)
		if len(p.Quantiles) > 0 {
			fmt.Fprint(&text, "  change of a case ")
		}
		for _, q := range p.Quantiles {
			fmt.Fprintf(&text, "  p%g %+.2f %%", q.Share*100, q.Change*100)
		}
		fmt.Fprintln(&text)
	}
	fmt.Fprintln(&text)
	t = tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "CURRENCY\tSEX\tAGES\tCASES\tDECISIONS CHANGED\tPREMIUMS\tGROSS THEN\tGROSS NOW\tCHANGE\tMEAN\t")
	for _, g := range r.Groups {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\t%+.2f %%\t%+.2f\t\n", g.Currency, g.Sex, g.Ages, g.Cases, g.Changed,
			g.Priced, money(g.StoredCents), money(g.NowCents), g.TotalChange*100, g.Mean/100)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(r.Most) > 0 {
		fmt.Fprint(&text, "\nMoved most:\n")
	}
	for _, m := range r.Most {
		fmt.Fprintf(&text, "  %s  %+.2f %%\n", m.Case, m.Change*100)
	}
	_, err := io.WriteString(out, text.String())
	return err
}
