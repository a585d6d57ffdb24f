package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/agequote/agequote/internal/audit"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/store"
)

func auditCommand() *command {
	return &command{
		name:    "audit",
		summary: "prints the chain of a case and verifies it",
		usage: `Prints every object of a case in the order of time, with its hash, and follows what
they say of each other: an object that was changed, taken out or exchanged is named,
and the exit status is 1. Against the heads in the audit bucket, which Object Lock
keeps, it finds a chain too that somebody made anew. docs/audit.md says what each
stops, and what it does not.

  agequote audit CASE --cases build/dev       a local stack's folder, which has both buckets
  agequote audit CASE --cases my-cases --audit my-audit
  agequote audit CASE --stack agequote        both buckets of that stack
`,
		flags: func(fs *flag.FlagSet) func(context.Context, *env, []string) error {
			var buckets casesFlag
			buckets.register(fs)
			heads := fs.String("audit", "", "audit `BUCKET` or folder (default: by --stack, else $AUDIT_BUCKET, or beside --cases)")
			asJSON := fs.Bool("json", false, "print JSON")
			return func(ctx context.Context, e *env, args []string) error {
				if len(args) != 1 || !casefile.ValidID(args[0]) {
					return usagef("audit: name one case")
				}
				if err := buckets.fill(ctx, e); err != nil {
					return err
				}
				kept, err := buckets.beside(ctx, e, *heads, "audit")
				if err != nil {
					return err
				}
				return auditCase(ctx, e, args[0], buckets.cases, kept, *asJSON)
			}
		},
	}
}

func auditCase(ctx context.Context, e *env, id, from, heads string, asJSON bool) error {
	stored, err := openBucket(ctx, from, "cases")
	if err != nil {
		return err
	}
	var r audit.Report
	if heads == "" {
		fmt.Fprintln(e.stderr, "No head is looked at: give --audit or --stack, or set AUDIT_BUCKET.")
		r, err = audit.Verify(ctx, stored, nil, id)
	} else {
		var kept bucket
		if kept, err = openBucket(ctx, heads, "audit"); err != nil {
			return err
		}
		r, err = audit.Verify(ctx, stored, kept, id)
	}
	if errors.Is(err, store.ErrNotFound) {
		return errors.New("there is no such case")
	}
	if err != nil {
		return err
	}
	if asJSON {
		err = json.NewEncoder(e.stdout).Encode(r)
	} else {
		err = printAudit(e.stdout, r)
	}
	if err != nil {
		return fmt.Errorf("print report: %w", err)
	}
	if !r.OK {
		return errors.New("the chain does not verify")
	}
	return nil
}

func printAudit(out io.Writer, r audit.Report) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "time\tobject\twhat\tby\thash\tfollows\t")
	for _, l := range r.Lines {
		at := ""
		if l.Time != nil {
			at = l.Time.Format("2006-01-02 15:04:05")
		}
		marks := l.Problem
		switch {
		case marks != "":
		case l.Erased:
			marks = "erased"
		case l.Sealed:
			marks = "sealed"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", at, strings.TrimPrefix(l.Object, casefile.Prefix(r.Case)),
			l.What, l.By, shorten(l.Hash), shorten(l.Previous), marks)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	verdict := "the chain verifies"
	if !r.OK {
		verdict = "THE CHAIN DOES NOT VERIFY"
	}
	against := "against itself alone"
	if r.Heads > 0 {
		against = fmt.Sprintf("against itself and %d heads, the newest of %s", r.Heads, r.Sealed.Format("2006-01-02 15:04:05"))
	}
	_, err := fmt.Fprintf(out, "%d objects: %s, %s\n", len(r.Lines), verdict, against)
	return err
}
