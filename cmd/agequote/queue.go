package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"

	"github.com/agequote/agequote/internal/review"
	"github.com/agequote/agequote/internal/sample"
)

func queueCommand() *command {
	return &command{
		name:    "queue",
		summary: "makes the queue anew from the cases",
		usage: `The queue is an index of markers: this reads every case, writes the markers that
are missing and removes those that stand for nothing. It may be done at any time
and again. Of the blind sample the markers stay that stand; where they are lost,
--sample-share and $SAMPLE_SEED, the secret of the deployment, draw them anew.

  agequote queue --rebuild
  agequote queue --rebuild --dry-run --json
`,
		flags: func(fs *flag.FlagSet) func(context.Context, *env, []string) error {
			name := fs.String("cases-bucket", "", "`NAME` of the cases bucket (default: $CASES_BUCKET)")
			rebuild := fs.Bool("rebuild", false, "make it anew")
			dryRun := fs.Bool("dry-run", false, "say what would be changed, and change nothing")
			share := fs.Float64("sample-share", 0, "`SHARE` of the blind sample, 0 to 1, to draw it anew; 0 leaves what stands")
			asJSON := fs.Bool("json", false, "print JSON")
			return func(ctx context.Context, e *env, args []string) error {
				if *name == "" {
					*name = e.getenv("CASES_BUCKET")
				}
				if len(args) > 0 || !*rebuild || *name == "" {
					return usagef("queue: --rebuild and a cases bucket are needed, and no more")
				}
				seed := e.getenv("SAMPLE_SEED")
				if *share != 0 && (seed == "" || !(*share > 0 && *share <= 1)) {
					return usagef("queue: --sample-share is from 0 to 1, and needs $SAMPLE_SEED")
				}
				limits, err := review.LoadLimits()
				if err != nil {
					return err
				}
				bucket, err := openS3(ctx, *name)
				if err != nil {
					return err
				}
				b := &review.Rebuilder{Cases: bucket, Limits: limits, DryRun: *dryRun, Now: e.now,
					Each: func(ctx context.Context, do func(string) error) error { return bucket.Each(ctx, "cases/", do) }}
				if *share > 0 {
					b.Sample = sample.Draw{Share: *share, Seed: seed}.Takes
				}
				r, err := b.Run(ctx)
				if err != nil {
					return err
				}
				if *asJSON {
					return json.NewEncoder(e.stdout).Encode(r)
				}
				_, err = fmt.Fprintf(e.stdout, "%d cases, %d wait for a person; %d markers written, %d removed; %d cases cannot be read\n",
					r.Cases, r.Waiting, r.Written, r.Removed, r.Unreadable)
				return err
			}
		},
	}
}
