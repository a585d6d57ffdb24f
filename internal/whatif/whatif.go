// Package whatif decides past cases again under other rules, other mortality
// tables or another model's estimates, and tells what would have changed:
// decisions, and premiums by currency, sex and age band. The stored quote is
// what is compared with; package replay checks that it is right. It stores
// nothing, and its memory does not grow with the number of cases.
package whatif

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/quote"
	"github.com/agequote/agequote/internal/rulebook"
)

// Trial is a change to try.
type Trial struct {
	Book *rulebook.Book
	// RulesDate is the day whose products count; zero is the newest of each.
	// Ages are those at each case's valuation date.
	RulesDate time.Time
	// Estimates returns another estimate for a case, and false where there is
	// none: then the stored one counts. Nil: none are other.
	Estimates func(id string) (*age.Estimate, bool, error)
	Most      int // how many of the cases that moved most are named
	Workers   int // 0: one a processor
}

// newest is later than any product.
var newest = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// maxLine bounds a line: a case has some 2 kB.
const maxLine = 1 << 20

// batch is how many bytes of lines a worker takes at a time.
const batch = 256 << 10

// Lines tries cases from a file, one a line. A line that cannot be read is
// counted and told to bad by its number; the others go on. Any error ends the
// trial: a fault of reading, or of the rule book.
func (t Trial) Lines(ctx context.Context, in io.Reader, bad func(line int64)) (Report, error) {
	type part struct {
		first int64 // number of its first line
		lines []byte
	}
	parts := make(chan part)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(parts)
		r := bufio.NewReaderSize(in, maxLine)
		line := int64(1)
		for {
			p := part{first: line, lines: make([]byte, 0, batch+maxLine)}
			end := false
			for len(p.lines) < batch && !end {
				text, err := r.ReadSlice('\n')
				if errors.Is(err, bufio.ErrBufferFull) {
					return fmt.Errorf("read cases: line %d has more than %d bytes", line, maxLine)
				}
				if err != nil && !errors.Is(err, io.EOF) {
					return fmt.Errorf("read cases: %w", err)
				}
				end = err != nil
				if len(text) > 0 {
					p.lines = append(p.lines, text...)
					line++
				}
			}
			select {
			case parts <- p:
			case <-ctx.Done():
				return ctx.Err()
			}
			if end {
				return nil
			}
		}
	})
	return t.work(group, func(tally *tally) error {
		for p := range parts {
			n := p.first
			for line := range bytes.Lines(p.lines) {
				c, err := Decode(line)
				if err != nil {
					tally.unreadable++
					bad(n)
				} else if err := t.try(tally, &c); err != nil {
					return fmt.Errorf("line %d: %w", n, err)
				}
				n++
			}
		}
		return nil
	})
}

// Names tries the cases that each names, read by load: false where a case has
// no quote. A case that cannot be read is counted and told to bad.
func (t Trial) Names(ctx context.Context, each func(func(id string) error) error, load func(ctx context.Context, id string) (Case, bool, error), bad func(id string, err error)) (Report, error) {
	ids := make(chan string)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(ids)
		return each(func(id string) error {
			select {
			case ids <- id:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	return t.work(group, func(tally *tally) error {
		for id := range ids {
			c, ok, err := load(ctx, id)
			if err != nil {
				tally.unreadable++
				bad(id, err)
				continue
			}
			if !ok {
				continue
			}
			if err := t.try(tally, &c); err != nil {
				return fmt.Errorf("case %s: %w", id, err)
			}
		}
		return nil
	})
}

// work runs the workers beside the group's reader, each with its own tally.
func (t Trial) work(group *errgroup.Group, do func(*tally) error) (Report, error) {
	workers := t.Workers
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	tallies := make([]*tally, workers)
	for i := range tallies {
		tallies[i] = newTally(t.Most)
		group.Go(func() error { return do(tallies[i]) })
	}
	if err := group.Wait(); err != nil {
		return Report{}, err
	}
	for _, o := range tallies[1:] {
		tallies[0].merge(o)
	}
	return tallies[0].report(), nil
}

// try decides one case again.
func (t Trial) try(tally *tally, c *Case) error {
	in := quote.Input{Facts: c.Facts, Estimate: c.Estimate.age(), Duplicates: c.Duplicates, RulesDate: t.RulesDate}
	if in.RulesDate.IsZero() {
		in.RulesDate = newest
	}
	var err error
	if in.ValuationDate, err = time.Parse(time.DateOnly, c.Quote.ValuationDate); err != nil {
		return fmt.Errorf("read valuation date: %w", err)
	}
	if t.Estimates != nil {
		other, ok, err := t.Estimates(c.Case)
		if err != nil {
			return fmt.Errorf("find other estimate: %w", err)
		}
		if ok {
			in.Estimate = other
		}
	}
	now, err := quote.ComputeOrRefer(t.Book, in)
	if err != nil {
		return fmt.Errorf("decide again: %w", err)
	}
	tally.add(c, &now)
	return nil
}

// Counter counts what bad was told, for workers that tell it at once.
type Counter struct{ n atomic.Int64 }

// Next returns how many were told before.
func (c *Counter) Next() int64 { return c.n.Add(1) - 1 }
