package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/erasure"
	"github.com/agequote/agequote/internal/journal"
)

func holdCommand() *command {
	return holdOrRelease("hold", "puts a case under legal hold, so that nothing of it is deleted",
		`Stops erasure and expiry of a case until it is released, whoever asks for them, and
says so. Its photos are copied beside the cases, since the uploads bucket's
lifecycle knows of no hold. --why is kept: write nothing of the person there.

  agequote hold CASE --by NAME --why "court order 7"
`, func(ctx context.Context, eraser *erasure.Eraser, b *caseBuckets, id string, r journal.Record) (journal.Record, error) {
			return eraser.Hold(ctx, b.uploads, id, r)
		})
}

func releaseHoldCommand() *command {
	return holdOrRelease("release-hold", "ends the legal hold of a case",
		`Ends a hold, and removes the copies of the photos: they follow the rule for all
others again, and go with the next expire where their days are over.

  agequote release-hold CASE --by NAME --why "order lifted"
`, func(ctx context.Context, eraser *erasure.Eraser, _ *caseBuckets, id string, r journal.Record) (journal.Record, error) {
			return eraser.Release(ctx, id, r)
		})
}

// holdOrRelease is what both commands share.
func holdOrRelease(name, summary, usage string,
	do func(context.Context, *erasure.Eraser, *caseBuckets, string, journal.Record) (journal.Record, error)) *command {
	return &command{name: name, summary: summary, usage: usage,
		flags: func(fs *flag.FlagSet) func(context.Context, *env, []string) error {
			var b caseBuckets
			b.register(fs)
			by := fs.String("by", "", "`NAME` of who does it")
			why := fs.String("why", "", "`REASON`, for the record")
			return func(ctx context.Context, e *env, args []string) error {
				if len(args) != 1 || !casefile.ValidID(args[0]) || *by == "" || *why == "" {
					return usagef("%s: one case, --by and --why are needed", name)
				}
				eraser, err := b.open(ctx, e, name)
				if err != nil {
					return err
				}
				r, err := do(ctx, eraser, &b, args[0], journal.Record{By: *by, Why: *why})
				switch {
				case errors.Is(err, erasure.ErrAlready) && r.N == 0:
					return errors.New("the case is under no hold")
				case errors.Is(err, erasure.ErrErased):
					return errors.New("the case is erased, or was being erased when the hold came: nothing is left to hold")
				case err != nil && !errors.Is(err, erasure.ErrAlready):
					return err
				}
				since := ""
				if errors.Is(err, erasure.ErrAlready) {
					since = "already: "
				}
				_, err = fmt.Fprintf(e.stdout, "%s%s since %s by %s: %s\n", since, r.Action, r.Time.Format("2006-01-02 15:04 MST"), r.By, r.Why)
				return err
			}
		},
	}
}
