package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/lambdaclient"
	"github.com/agequote/agequote/internal/s3store"
)

func redriveCommand() *command {
	return &command{
		name:    "redrive",
		summary: "sends again what gave up",
		usage: `Sends each case with a failed marker once more to the function that gave it up,
and takes the marker away. A case that fails again gets its marker back. What is
done already is found and not done twice. AWS settings come from the
environment, as for the aws command; for the local stack, from the lines that
` + "`agequote dev`" + ` prints.

With --lost it looks through the photos instead, for those that have neither an
estimate nor a quote nor a failure in the queue some time after they came: their
event, or what was to tell of its failure, was lost on its way.

  agequote redrive --cases-bucket B --predict-function P --quote-function Q
  agequote redrive --dry-run              lists the cases and sends nothing
  agequote redrive --lost --uploads-bucket U
`,
		flags: func(fs *flag.FlagSet) func(context.Context, *env, []string) error {
			bucket := fs.String("cases-bucket", "", "`NAME` of the cases bucket (default: $CASES_BUCKET)")
			predictName := fs.String("predict-function", "", "`NAME` of the predict function (default: $PREDICT_FUNCTION)")
			quoteName := fs.String("quote-function", "", "`NAME` of the quote function (default: $QUOTE_FUNCTION)")
			lost := fs.Bool("lost", false, "send photos of which nothing came, not what gave up")
			uploads := fs.String("uploads-bucket", "", "`NAME` of the uploads bucket, for --lost (default: $UPLOADS_BUCKET)")
			age := fs.Duration("age", 7*time.Hour, "with --lost, leave out photos younger than this `TIME`: an event is tried for six hours")
			dryRun := fs.Bool("dry-run", false, "list the cases and send nothing")
			asJSON := fs.Bool("json", false, "print one JSON line a case")
			return func(ctx context.Context, e *env, args []string) error {
				fill := func(v *string, name string) {
					if *v == "" {
						*v = e.getenv(name)
					}
				}
				fill(bucket, "CASES_BUCKET")
				fill(uploads, "UPLOADS_BUCKET")
				fill(predictName, "PREDICT_FUNCTION")
				fill(quoteName, "QUOTE_FUNCTION")
				if *bucket == "" || *predictName == "" || *quoteName == "" || len(args) > 0 {
					return usagef("redrive: --cases-bucket, --predict-function and --quote-function are needed, and no more")
				}
				if *lost && *uploads == "" {
					return usagef("redrive: --lost needs --uploads-bucket")
				}
				aws, err := awsconfig.LoadDefaultConfig(ctx)
				if err != nil {
					return fmt.Errorf("load AWS settings: %w", err)
				}
				client := s3.NewFromConfig(aws)
				r := redriver{
					env: e, predict: *predictName, quote: *quoteName, dryRun: *dryRun, json: *asJSON,
					cases:  &s3store.Bucket{Client: client, Name: *bucket},
					lambda: &lambdaclient.Client{Lambda: awslambda.NewFromConfig(aws)},
				}
				if *lost {
					return r.runLost(ctx, &s3store.Bucket{Client: client, Name: *uploads}, e.now().Add(-*age))
				}
				return r.run(ctx)
			}
		},
	}
}

type redriver struct {
	env            *env
	cases          *s3store.Bucket
	lambda         *lambdaclient.Client
	predict, quote string
	dryRun, json   bool
}

// redriven is the JSON line of one failure.
type redriven struct {
	Schema int    `json:"schema"`
	Case   string `json:"case"`
	Stage  string `json:"stage"`
	Sent   bool   `json:"sent"`
}

func (r *redriver) run(ctx context.Context) error {
	waiting, err := r.cases.List(ctx, "queue/waiting/"+casefile.StateFailed+"/")
	if err != nil {
		return err
	}
	bySum, err := r.cases.List(ctx, "queue/sum/"+casefile.StateFailed+"/")
	if err != nil {
		return err
	}
	markers := map[string][]string{}
	for _, key := range append(waiting, bySum...) {
		markers[path.Base(key)] = append(markers[path.Base(key)], key)
	}

	sent := 0
	var failures error
	for _, key := range waiting {
		id := path.Base(key)
		if markers[id] == nil {
			continue // a second marker of the same case
		}
		n, err := r.redriveCase(ctx, id, markers[id])
		markers[id] = nil
		sent += n
		if err != nil {
			failures = errors.Join(failures, fmt.Errorf("case %s: %w", id, err))
		}
	}
	fmt.Fprintf(r.env.stderr, "%d failures in %d cases sent again\n", sent, len(waiting))
	return failures
}

// redriveCase sends the failures of one case. The marker goes last: a crash
// before sends the case twice, which does no harm, and never loses it. What was
// sent takes minutes to give up again, so it cannot meet the old marker.
func (r *redriver) redriveCase(ctx context.Context, id string, markers []string) (int, error) {
	keys, err := r.cases.List(ctx, "cases/"+id+"/")
	if err != nil {
		return 0, err
	}
	sent := 0
	for _, key := range keys {
		cause, ok := failureCause(key)
		if !ok {
			continue
		}
		f, err := cases.Read[casefile.Failure](ctx, r.cases, key)
		if err != nil {
			return sent, err
		}
		if err := r.send(ctx, f.Object, cause); err != nil {
			return sent, err
		}
		if !r.dryRun {
			sent++
		}
		if err := r.print(redriven{Schema: 1, Case: id, Stage: f.Object.Stage, Sent: !r.dryRun}); err != nil {
			return sent, err
		}
	}
	if r.dryRun {
		return sent, nil
	}
	return sent, cases.Unmark(ctx, r.cases, markers...)
}

// failureCause tells which cause the failure object of this name is about; ok
// is false for any other object.
func failureCause(key string) (cause string, ok bool) {
	dir, file := path.Split(key)
	if file == "failure.json" {
		return "photo-" + path.Base(dir), true
	}
	if path.Base(dir) == "failures" {
		return strings.TrimSuffix(file, ".json"), true
	}
	return "", false
}

// send starts the chain at its beginning: predict finds a standing estimate and
// passes it on to quote. Where the failure does not say where its photo is, quote
// alone can go on.
func (r *redriver) send(ctx context.Context, f casefile.Failure, cause string) error {
	if r.dryRun {
		return nil
	}
	function := r.predict
	var event any = photoEvent(f.Source)
	if kind, _, _ := casefile.ParseCause(cause); kind != "photo" || f.Source.Key == "" {
		function = r.quote
		event = map[string]any{"schema": casefile.Schema, "case": f.Case, "cause": cause}
	}
	b, err := json.Marshal(event)
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	return r.lambda.InvokeAsync(ctx, function, b)
}

// photoEvent is the S3 event of one photo.
func photoEvent(s casefile.Source) events.S3Event {
	r := events.S3EventRecord{EventVersion: "2.1", EventSource: "aws:s3", EventName: "ObjectCreated:Redrive"}
	r.S3.Bucket.Name = s.Bucket
	r.S3.Object.Key = url.QueryEscape(s.Key)
	r.S3.Object.VersionID = s.Version
	return events.S3Event{Records: []events.S3EventRecord{r}}
}

func (r *redriver) print(line redriven) error {
	if r.json {
		return json.NewEncoder(r.env.stdout).Encode(line)
	}
	verb := "sent again"
	if r.dryRun {
		verb = "would be sent again"
	}
	_, err := fmt.Fprintf(r.env.stdout, "%s (%s) %s\n", line.Case, line.Stage, verb)
	return err
}
