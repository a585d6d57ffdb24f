// Command agequote runs the whole of agequote from a terminal: on a laptop
// without AWS, or against a deployment. Results go to standard output, all else
// to standard error; the exit status is 0, 1 where something failed and 2 where
// the call was wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// env is what a command takes from the process.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	now            func() time.Time
}

// command is one subcommand.
type command struct {
	name, summary string // one line for the list
	usage         string // text of -h: what it does, with examples; the flags follow
	// flags declares the flags and returns the function that runs with them.
	flags func(*flag.FlagSet) func(ctx context.Context, e *env, args []string) error
}

// commands in the order of the list.
func commands() []*command {
	return []*command{
		demoCommand(), devCommand(), tokenCommand(), estimateCommand(), quoteCommand(), batchCommand(), evaluateCommand(), redriveCommand(),
		replayCommand(), whatifCommand(), letterCommand(), fairnessCommand(), examinationCommand(), modelsCommand(), rulesCommand(),
		auditCommand(), queueCommand(), expireCommand(), eraseCommand(), holdCommand(), releaseHoldCommand(), stopCommand(), startCommand(),
	}
}

// usageError is a wrong call, which ends with status 2.
type usageError struct{ msg string }

func (e usageError) Error() string { return e.msg }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	e := &env{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, now: time.Now}
	os.Exit(exitStatus(e, run(ctx, e, os.Args[1:])))
}

// exitStatus prints an error and maps it to the status of the process.
func exitStatus(e *env, err error) int {
	var wrong usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &wrong):
		fmt.Fprintf(e.stderr, "agequote: %v\n", err)
		return 2
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(e.stderr, "agequote: stopped")
		return 1
	default:
		fmt.Fprintf(e.stderr, "agequote: %v\n", err)
		return 1
	}
}

func run(ctx context.Context, e *env, args []string) error {
	if len(args) == 0 {
		printCommands(e.stderr)
		return usagef("no command given")
	}
	switch args[0] {
	case "-h", "-help", "--help", "help":
		printCommands(e.stdout)
		return nil
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(ctx, e, args[1:])
		}
	}
	return usagef("no command %q; `agequote -h` lists them", args[0])
}

func printCommands(w io.Writer) {
	fmt.Fprint(w, "agequote turns a selfie into an indicative life insurance premium.\n\nUsage:\n  agequote COMMAND [flags]\n\nCommands:\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-12s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "\n`agequote COMMAND -h` explains a command.\n")
}

// run parses the command's flags, which may stand before and after arguments,
// and runs it.
func (c *command) run(ctx context.Context, e *env, args []string) error {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	do := c.flags(fs)
	var rest []string
	for {
		if err := fs.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				c.printUsage(e.stdout, fs)
				return nil
			}
			return usagef("%s: %v; see `agequote %s -h`", c.name, err, c.name)
		}
		if fs.NArg() == 0 {
			return do(ctx, e, rest)
		}
		rest = append(rest, fs.Arg(0))
		args = fs.Args()[1:]
	}
}

func (c *command) printUsage(w io.Writer, fs *flag.FlagSet) {
	fmt.Fprintf(w, "agequote %s: %s\n\n%s\nFlags:\n", c.name, c.summary, c.usage)
	fs.VisitAll(func(f *flag.Flag) {
		kind, text := flag.UnquoteUsage(f)
		name := "--" + f.Name
		if kind != "" {
			name += " " + kind
		}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" {
			text += fmt.Sprintf(" (default %s)", f.DefValue)
		}
		fmt.Fprintf(w, "  %-28s %s\n", name, text)
	})
}
