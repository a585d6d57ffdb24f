package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/agequote/agequote/internal/erasure"
	"github.com/agequote/agequote/internal/expiry"
	"github.com/agequote/agequote/internal/s3store"
	"github.com/agequote/agequote/internal/version"
)

func expireCommand() *command {
	return &command{
		name:    "expire",
		summary: "deletes photos whose days are over, and says why",
		usage: `Deletes every version of each photo that is older than the days consented to, or
than the deployment's RetentionDays where those are fewer; a case that waits for a
person keeps its photo for the days consented to, one under a legal hold keeps it.
It also finishes deletions of cases that were broken off. Run it once a day: the
uploads bucket's lifecycle, which knows RetentionDays alone, is the net below it.

  agequote expire --dry-run
  agequote expire --json                  one JSON line a photo, then the report
`,
		flags: func(fs *flag.FlagSet) func(context.Context, *env, []string) error {
			var b caseBuckets
			b.register(fs)
			failures := fs.String("failures-bucket", "", "`NAME` of the failures bucket (default: $FAILURES_BUCKET; with neither, Lambda's records are left alone)")
			days := fs.Int("days", 0, "the deployment's RetentionDays, `N` (default: $RETENTION_DAYS)")
			dryRun := fs.Bool("dry-run", false, "say what would be deleted, and delete nothing")
			asJSON := fs.Bool("json", false, "print JSON")
			return func(ctx context.Context, e *env, args []string) error {
				if len(args) > 0 {
					return usagef("expire: takes flags only, not %q", args[0])
				}
				if *days == 0 {
					*days, _ = strconv.Atoi(e.getenv("RETENTION_DAYS"))
				}
				if *days == 0 {
					return usagef("expire: --days or $RETENTION_DAYS is needed")
				}
				if *failures == "" {
					*failures = e.getenv("FAILURES_BUCKET")
				}
				eraser, err := b.open(ctx, e, "expire")
				if err != nil {
					return err
				}
				s := &expiry.Sweeper{Photos: b.uploads, Cases: b.cases, Eraser: eraser, Days: *days, DryRun: *dryRun, Now: e.now,
					Each: func(i expiry.Item) error { return printExpired(e, i, *asJSON, *dryRun) }}
				if *failures != "" {
					s.Failures = &s3store.Bucket{Client: b.cases.Client, Name: *failures}
				}
				report, err := s.Run(ctx)
				if err != nil {
					return err
				}
				return printExpiry(e, report, *asJSON)
			}
		},
	}
}

// caseBuckets are the flags of the commands that work on cases and photos.
type caseBuckets struct {
	casesName, uploadsName string
	cases, uploads         *s3store.Bucket // once opened
}

func (b *caseBuckets) register(fs *flag.FlagSet) {
	fs.StringVar(&b.casesName, "cases-bucket", "", "`NAME` of the cases bucket (default: $CASES_BUCKET)")
	fs.StringVar(&b.uploadsName, "uploads-bucket", "", "`NAME` of the uploads bucket (default: $UPLOADS_BUCKET)")
}

// open connects to the buckets and returns an eraser for them.
func (b *caseBuckets) open(ctx context.Context, e *env, command string) (*erasure.Eraser, error) {
	for name, v := range map[string]*string{"CASES_BUCKET": &b.casesName, "UPLOADS_BUCKET": &b.uploadsName} {
		if *v == "" {
			*v = e.getenv(name)
		}
	}
	if b.casesName == "" || b.uploadsName == "" {
		return nil, usagef("%s: --cases-bucket and --uploads-bucket are needed", command)
	}
	cases, err := openS3(ctx, b.casesName)
	if err != nil {
		return nil, err
	}
	b.cases = cases
	b.uploads = &s3store.Bucket{Client: cases.Client, Name: b.uploadsName}
	return &erasure.Eraser{Photos: b.uploads, Cases: b.cases, Version: version.String(), Now: e.now}, nil
}

// printExpired prints a photo: all of them as JSON, the deleted ones as text.
func printExpired(e *env, i expiry.Item, asJSON, dryRun bool) error {
	if asJSON {
		return json.NewEncoder(e.stdout).Encode(i)
	}
	if !i.Deleted {
		return nil
	}
	verb := "deleted"
	if dryRun {
		verb = "would be deleted"
	}
	_, err := fmt.Fprintf(e.stdout, "%s photo %d of %s %s: %s\n", i.Case, i.N, i.Uploaded.Format(time.DateOnly), verb, i.Why)
	return err
}

func printExpiry(e *env, r expiry.Report, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(e.stdout).Encode(r)
	}
	verb := "deleted"
	if r.DryRun {
		verb = "to be deleted"
	}
	fmt.Fprintf(e.stdout, "%d photos seen, %d %s, %d kept\n", r.Seen, r.Deleted, verb, r.Kept)
	for _, why := range slices.Sorted(maps.Keys(r.Whys)) {
		fmt.Fprintf(e.stdout, "  %-11s %d\n", why, r.Whys[why])
	}
	_, err := fmt.Fprintf(e.stdout, "erased cases: %d finished, %d queue markers, %d index entries and %d failure records that named one\n",
		r.ErasuresFinished, r.StrayMarkers, r.StrayEntries, r.FailureRecords)
	return err
}
