package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/erasure"
	"github.com/agequote/agequote/internal/store"
)

func eraseCommand() *command {
	return &command{
		name:    "erase",
		summary: "removes what is personal of a case, and prints a receipt",
		usage: `Removes photos, facts, estimates, hashes of photos, prices and queue markers of a
case, in all versions. What was decided, by which rules and when, stays behind a
tombstone. A legal hold stops it. Done again, or after a crash, it goes on and
gives the same receipt. --why is kept: write nothing of the person there.

  agequote erase CASE --by NAME --why "letter of the customer"
  agequote erase CASE --verify            follows the hashes within the case, and changes nothing
`,
		flags: func(fs *flag.FlagSet) func(context.Context, *env, []string) error {
			var b caseBuckets
			b.register(fs)
			by := fs.String("by", "", "`NAME` of who erases")
			why := fs.String("why", "", "`REASON`, for the tombstone")
			verify := fs.Bool("verify", false, "follow the hashes within the case, and change nothing")
			asJSON := fs.Bool("json", false, "print JSON")
			return func(ctx context.Context, e *env, args []string) error {
				if len(args) != 1 || !casefile.ValidID(args[0]) {
					return usagef("erase: one case is needed")
				}
				if !*verify && (*by == "" || *why == "") {
					return usagef("erase: --by and --why are needed")
				}
				eraser, err := b.open(ctx, e, "erase")
				if err != nil {
					return err
				}
				if *verify {
					return verifyCase(ctx, e, &b, args[0])
				}
				r, err := eraser.Erase(ctx, args[0], *by, *why)
				if errors.Is(err, store.ErrNotFound) {
					return errors.New("there is no such case")
				}
				if err != nil {
					return err
				}
				return printReceipt(e, r, *asJSON)
			}
		},
	}
}

func verifyCase(ctx context.Context, e *env, b *caseBuckets, id string) error {
	problems, err := erasure.Verify(ctx, b.cases, id)
	if err != nil {
		return err
	}
	for _, p := range problems {
		fmt.Fprintln(e.stdout, p)
	}
	if len(problems) > 0 {
		return fmt.Errorf("%d links do not verify", len(problems))
	}
	_, err = fmt.Fprintln(e.stdout, "every link within the case verifies")
	return err
}

func printReceipt(e *env, r erasure.Receipt, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(e.stdout).Encode(r)
	}
	fmt.Fprintf(e.stdout, "receipt %s of %s\n", r.Receipt, r.Time.Format("2006-01-02 15:04 MST"))
	for _, what := range r.Removed {
		fmt.Fprintf(e.stdout, "removed  %s\n", what)
	}
	for _, k := range r.Kept {
		fmt.Fprintf(e.stdout, "kept     %s: %s\n", k.What, k.Why)
	}
	return nil
}
