package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"

	"github.com/agequote/agequote/internal/control"
	"github.com/agequote/agequote/internal/journal"
	"github.com/agequote/agequote/internal/version"
)

func stopCommand() *command {
	return switchCommand(control.Stop, "sends every new case to a person, until start",
		`Stops quoting by computer. Within a minute every case that is quoted goes to a
person with the reason "stopped", which names the record of who stopped it and
why; nothing is lost and nobody is declined meanwhile.

  agequote stop --by NAME --why "wrong table in production"
  agequote stop --status                  how it stands, and its history
`)
}

func startCommand() *command {
	return switchCommand(control.Start, "undoes stop",
		`Starts quoting by computer again. What went to a person meanwhile stays there.

  agequote start --by NAME --why "table mended"
`)
}

func switchCommand(action, summary, usage string) *command {
	return &command{name: action, summary: summary, usage: usage,
		flags: func(fs *flag.FlagSet) func(context.Context, *env, []string) error {
			bucket := fs.String("cases-bucket", "", "`NAME` of the cases bucket (default: $CASES_BUCKET)")
			by := fs.String("by", "", "`NAME` of who does it")
			why := fs.String("why", "", "`REASON`, for the record")
			status := fs.Bool("status", false, "print how it stands and its history, and change nothing")
			asJSON := fs.Bool("json", false, "print JSON")
			return func(ctx context.Context, e *env, args []string) error {
				if *bucket == "" {
					*bucket = e.getenv("CASES_BUCKET")
				}
				if len(args) > 0 || *bucket == "" {
					return usagef("%s: --cases-bucket is needed, and no more", action)
				}
				if !*status && (*by == "" || *why == "") {
					return usagef("%s: --by and --why are needed, or --status", action)
				}
				cases, err := openS3(ctx, *bucket)
				if err != nil {
					return err
				}
				s := control.New(cases)
				if *status {
					return printStatus(ctx, e, s, *asJSON)
				}
				state, err := s.Set(ctx, action, journal.Record{By: *by, Why: *why, Time: e.now().UTC(), Version: version.String()})
				if err != nil && !errors.Is(err, control.ErrAlready) {
					return err
				}
				return printState(e, state, *asJSON)
			}
		},
	}
}

func printState(e *env, s control.State, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(e.stdout).Encode(s)
	}
	word := "Quoting runs"
	if s.Stopped {
		word = "Quoting is stopped"
	}
	if s.Last == nil {
		_, err := fmt.Fprintf(e.stdout, "%s; it was never stopped.\n", word)
		return err
	}
	_, err := fmt.Fprintf(e.stdout, "%s since %s, by %s: %s (%s)\n", word, s.Last.Time.Format("2006-01-02 15:04:05 MST"), s.Last.By, s.Last.Why, s.Record)
	return err
}

// printStatus prints the state and the history behind it. A record that was
// changed makes the status 1.
func printStatus(ctx context.Context, e *env, s *control.Switch, asJSON bool) error {
	state, err := s.State(ctx)
	if err != nil {
		return err
	}
	if err := printState(e, state, asJSON); err != nil {
		return err
	}
	lines, err := s.History(ctx)
	if err != nil {
		return err
	}
	var broken error
	for _, l := range lines {
		broken = errors.Join(broken, l.Err)
		if asJSON {
			continue
		}
		fmt.Fprintf(e.stdout, "  %d  %s  %-5s  by %s: %s\n", l.N, l.Time.Format("2006-01-02 15:04:05 MST"), l.Action, l.By, l.Why)
	}
	return broken
}
