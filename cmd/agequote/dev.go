package main

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
)

func devCommand() *command {
	return &command{
		name:    "dev",
		summary: "runs the deployed system on this machine, until Ctrl-C",
		usage: `Starts everything in template.yaml: a real S3 server with a user and policy for
each function's role, and the functions as processes behind Lambda's Runtime API,
with memory, timeouts, retries and destinations as the template sets them. It
prints the address of the page by which a customer applies, and the settings
with which the aws command, or any SDK, reaches the rest.

  agequote dev
  agequote dev --page-port 8080 --verbose
`,
		flags: func(fs *flag.FlagSet) func(context.Context, *env, []string) error {
			var f stackFlags
			f.register(fs, filepath.Join("build", "dev"))
			return func(ctx context.Context, e *env, args []string) error {
				if len(args) > 0 {
					return usagef("dev: takes flags only, not %q", args[0])
				}
				return dev(ctx, e, &f)
			}
		},
	}
}

func dev(ctx context.Context, e *env, f *stackFlags) error {
	s, err := f.start(ctx, e)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stderr, "The stack runs. S3 is at %s, Lambda at %s; Ctrl-C ends it.\n", s.S3Endpoint(), s.LambdaEndpoint())
	fmt.Fprintf(e.stderr, "The customers' page and API are at %s\n", s.APIEndpoint("OnboardApi"))
	if f.dir != "" {
		fmt.Fprintf(e.stderr, "Its buckets are folders in %s.\n", f.dir)
	}
	fmt.Fprint(e.stderr, "To reach it from another terminal:\n\n")
	for _, line := range append(s.Env(),
		"UPLOADS_BUCKET="+s.Resource("UploadsBucket"),
		"CASES_BUCKET="+s.Resource("CasesBucket"),
		"MODELS_BUCKET="+s.Resource("ModelsBucket"),
		"PREDICT_FUNCTION="+s.Resource("PredictFunction"),
		"QUOTE_FUNCTION="+s.Resource("QuoteFunction"),
		"ONBOARD_API="+s.APIEndpoint("OnboardApi"),
	) {
		fmt.Fprintf(e.stdout, "export %s\n", line)
	}
	<-ctx.Done()
	fmt.Fprintln(e.stderr, "\nStopping.")
	return s.Close()
}
