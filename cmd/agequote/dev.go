package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"

	"github.com/agequote/agequote/internal/local"
)

func devCommand() *command {
	return &command{
		name:    "dev",
		summary: "runs the deployed system on this machine, until Ctrl-C",
		usage: `Starts everything in template.yaml: a real S3 server with a user and policy for
each function's role, and the functions as processes behind Lambda's Runtime API,
with memory, timeouts, retries and destinations as the template sets them. It
prints the addresses of the page by which a customer applies and of the page where
underwriters review, and the settings with which the aws command, or any SDK,
reaches the rest. Underwriters sign in as one of the demo users, at an issuer of
the stack's own; --token prints an access token for one of them too.

  agequote dev
  agequote dev --page-port 8080 --verbose
  agequote dev --token anna
`,
		flags: func(fs *flag.FlagSet) func(context.Context, *env, []string) error {
			var f stackFlags
			f.register(fs, filepath.Join("build", "dev"))
			user := fs.String("token", "", "`NAME` of a demo user, whose access token is printed")
			return func(ctx context.Context, e *env, args []string) error {
				if len(args) > 0 {
					return usagef("dev: takes flags only, not %q", args[0])
				}
				return dev(ctx, e, &f, *user)
			}
		},
	}
}

func dev(ctx context.Context, e *env, f *stackFlags, user string) error {
	s, err := f.start(ctx, e)
	if err != nil {
		return err
	}
	signIn, err := signInLines(ctx, s, user)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	fmt.Fprintf(e.stderr, "The stack runs. S3 is at %s, Lambda at %s; Ctrl-C ends it.\n", s.S3Endpoint(), s.LambdaEndpoint())
	fmt.Fprintf(e.stderr, "The customers' page and API are at %s\n", s.APIEndpoint("OnboardApi"))
	if page := s.APIEndpoint("ReviewApi"); page != "" {
		fmt.Fprintf(e.stderr, "The underwriters' page and API are at %s\n", page)
	}
	if s.Issuer() != nil {
		fmt.Fprintf(e.stderr, "Sign in there as %s.\n", demoUsers())
	}
	if f.dir != "" {
		fmt.Fprintf(e.stderr, "Its buckets are folders in %s.\n", f.dir)
	}
	fmt.Fprint(e.stderr, "To reach it from another terminal:\n\n")
	for _, line := range append(append(s.Env(), signIn...),
		"UPLOADS_BUCKET="+s.Resource("UploadsBucket"),
		"CASES_BUCKET="+s.Resource("CasesBucket"),
		"AUDIT_BUCKET="+s.Resource("AuditBucket"),
		"MODELS_BUCKET="+s.Resource("ModelsBucket"),
		"FAILURES_BUCKET="+s.Resource("FailuresBucket"),
		fmt.Sprintf("RETENTION_DAYS=%d", s.RetentionDays("UploadsBucket")),
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

// signInLines are the settings of the review API; the token is there where a
// user is named.
func signInLines(ctx context.Context, s *local.Stack, user string) ([]string, error) {
	var out []string
	if api := s.APIEndpoint("ReviewApi"); api != "" {
		out = append(out, "REVIEW_API="+api)
	}
	if user == "" {
		return out, nil
	}
	token, err := s.Token(ctx, user)
	if err != nil {
		return nil, fmt.Errorf("make a token: %w", err)
	}
	return append(out, "REVIEW_TOKEN="+token), nil
}
