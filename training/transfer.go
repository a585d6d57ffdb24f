package main

import (
	"context"
	"flag"
	"fmt"
	"io"

	"github.com/agequote/agequote/training/remote"
)

// push makes a set in S3 what a folder holds.
func push(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	from, to, err := endpoints("push", args, "`folder` to push, all of it but names that start with a dot", "set in S3, s3://BUCKET/PREFIX", stderr)
	if err != nil || from == "" {
		return err
	}
	b, prefix, err := remote.Open(ctx, to)
	if err != nil {
		return fmt.Errorf("%w: --to: %w", errUsage, err)
	}
	if err := remote.Push(ctx, b, prefix, from); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s holds what %s does\n", to, from)
	return nil
}

// pull brings a set from S3 into a folder.
func pull(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	from, to, err := endpoints("pull", args, "set in S3, s3://BUCKET/PREFIX", "`folder` to bring it into", stderr)
	if err != nil || from == "" {
		return err
	}
	b, prefix, err := remote.Open(ctx, from)
	if err != nil {
		return fmt.Errorf("%w: --from: %w", errUsage, err)
	}
	if err := remote.Pull(ctx, b, prefix, to); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s holds what %s does\n", to, from)
	return nil
}

// endpoints reads --from and --to; both are empty after -h.
func endpoints(name string, args []string, fromHelp, toHelp string, stderr io.Writer) (from, to string, err error) {
	flags := flag.NewFlagSet("training "+name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&from, "from", "", fromHelp)
	flags.StringVar(&to, "to", "", toHelp)
	if err := flags.Parse(args); err != nil {
		return "", "", flagError(err)
	}
	if from == "" || to == "" || flags.NArg() > 0 {
		return "", "", fmt.Errorf("%w: %s needs --from and --to, and nothing else", errUsage, name)
	}
	return from, to, nil
}
