package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/agequote/agequote/internal/batch"
	"github.com/agequote/agequote/internal/batch/runner"
	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/intake"
	"github.com/agequote/agequote/internal/progress"
	"github.com/agequote/agequote/internal/report"
	"github.com/agequote/agequote/internal/s3store"
	"github.com/agequote/agequote/internal/version"
)

// awsBatch is one call of batch --aws.
type awsBatch struct {
	env                   *env
	on                    bool
	stack, id, prefix     string
	images, out           string
	itemsPerBatch         int
	concurrency           int
	tolerated             int
	dryRun, leave, asJSON bool
	poll                  time.Duration

	names    batchNames
	cases    *s3store.Bucket
	uploads  *s3store.Bucket
	machines *sfn.Client
	lambda   *awslambda.Client
}

// batchNames are a deployment's names.
type batchNames struct{ cases, uploads, predict, machine string }

func (b *awsBatch) register(fs *flag.FlagSet) {
	fs.BoolVar(&b.on, "aws", false, "run the batch on AWS")
	fs.StringVar(&b.stack, "stack", "agequote", "with --aws: `NAME` of the stack that template.yaml was deployed as")
	fs.StringVar(&b.names.cases, "cases-bucket", "", "with --aws: `NAME` (default: $CASES_BUCKET, else by the stack)")
	fs.StringVar(&b.names.uploads, "uploads-bucket", "", "with --aws: `NAME` (default: $UPLOADS_BUCKET, else by the stack)")
	fs.StringVar(&b.names.predict, "predict-function", "", "with --aws: `NAME` (default: $PREDICT_FUNCTION, else by the stack)")
	fs.StringVar(&b.names.machine, "state-machine", "", "with --aws: `ARN` (default: $BATCH_STATE_MACHINE, else by the stack)")
	fs.StringVar(&b.id, "batch", "", "with --aws: `ID` of the batch (default: by the manifest's content, or for a listing by the time)")
	fs.StringVar(&b.prefix, "prefix", "", "with --aws: `PREFIX` of photos in the uploads bucket, instead of a manifest")
	fs.IntVar(&b.itemsPerBatch, "items", 20, "with --aws: `N` items for one call of a function")
	fs.IntVar(&b.concurrency, "concurrency", 50, "with --aws: `N` calls at a time")
	fs.IntVar(&b.tolerated, "tolerated", 20, "with --aws: `PERCENT` of items that may fail before the rest is not tried; a call counts with all its items")
	fs.BoolVar(&b.dryRun, "dry-run", false, "with --aws: check and tell the cost, bring and start nothing")
	fs.BoolVar(&b.leave, "leave", false, "with --aws: start the batch and do not wait for it")
	fs.DurationVar(&b.poll, "poll", 5*time.Second, "with --aws: `TIME` between two looks at the batch")
}

func (b *awsBatch) run(ctx context.Context, args []string) error {
	if (len(args) == 1) == (b.prefix != "") || len(args) > 1 {
		return usagef("batch: --aws takes one manifest, or --prefix and none")
	}
	if err := b.connect(ctx); err != nil {
		return err
	}
	about, manifest, uploads, err := b.asked(ctx, args)
	if err != nil {
		return err
	}
	if err := b.check(ctx, about, len(manifest)); err != nil {
		return err
	}
	fmt.Fprintf(b.env.stderr, "batch %s: %d listed; about %s at list prices\n", about.ID, about.Listed, b.cost(about.Listed))
	if b.dryRun {
		return nil
	}
	if err := b.bring(ctx, args, about, manifest, uploads); err != nil {
		return err
	}
	arn, err := b.start(ctx, about)
	if err != nil || b.leave {
		return err
	}
	if err := b.watch(ctx, arn); err != nil {
		return err
	}
	return b.tell(ctx, about.ID)
}

// connect finds the deployment by its own rule of names.
func (b *awsBatch) connect(ctx context.Context) error {
	cfg, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return fmt.Errorf("load AWS settings: %w", err)
	}
	for name, v := range map[string]*string{
		"CASES_BUCKET": &b.names.cases, "UPLOADS_BUCKET": &b.names.uploads,
		"PREDICT_FUNCTION": &b.names.predict, "BATCH_STATE_MACHINE": &b.names.machine,
	} {
		if *v == "" {
			*v = b.env.getenv(name)
		}
	}
	if b.names.cases == "" || b.names.uploads == "" || b.names.machine == "" {
		d, err := findDeployment(ctx, b.stack)
		if err != nil {
			return err
		}
		b.names.fill(d)
	}
	if b.names.predict == "" {
		b.names.predict = b.stack + "-predict"
	}
	client := s3.NewFromConfig(cfg)
	b.cases = &s3store.Bucket{Client: client, Name: b.names.cases}
	b.uploads = &s3store.Bucket{Client: client, Name: b.names.uploads}
	b.machines, b.lambda = sfn.NewFromConfig(cfg), awslambda.NewFromConfig(cfg)
	return nil
}

// fill sets the names that template.yaml gives, where none is set.
func (n *batchNames) fill(d deployment) {
	for v, name := range map[*string]string{&n.cases: d.bucket("cases"), &n.uploads: d.bucket("uploads"), &n.machine: d.machine()} {
		if *v == "" {
			*v = name
		}
	}
}

// asked reads what the batch is of: a manifest, or a listing.
func (b *awsBatch) asked(ctx context.Context, args []string) (about batch.About, manifest []byte, uploads []batch.Upload, err error) {
	now := b.env.now().UTC()
	about = batch.About{Schema: batch.SummarySchema, ID: b.id, Code: version.String(), Started: now, ValuationDate: now.Format(time.DateOnly)}
	if b.prefix != "" {
		if uploads, err = intake.Uploads(ctx, b.names.uploads, b.uploads, b.prefix); err != nil {
			return about, nil, nil, err
		}
		about.Listed = len(uploads)
		if about.ID == "" {
			about.ID = "listing-" + now.Format("20060102T150405Z")
		}
		return about, nil, uploads, nil
	}
	if manifest, err = os.ReadFile(args[0]); err != nil {
		return about, nil, nil, fmt.Errorf("open manifest: %w", err)
	}
	if about.Listed, err = countItems(manifest); err != nil {
		return about, nil, nil, err
	}
	about.Manifest = digest.Of(manifest)
	if about.ID == "" {
		about.ID = "manifest-" + strings.TrimPrefix(about.Manifest, "sha256:")[:16]
	}
	return about, manifest, nil, nil
}

func countItems(manifest []byte) (int, error) {
	r, err := batch.NewReader(bytes.NewReader(manifest))
	if err != nil {
		return 0, err
	}
	for n := 0; ; n++ {
		_, err := r.Next()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// input is what the state machine is started with.
type input struct {
	Schema        int    `json:"schema"`
	Batch         string `json:"batch"`
	Source        string `json:"source"` // manifest or listing
	Prefix        string `json:"prefix,omitempty"`
	ItemsPerBatch int    `json:"items_per_batch"`
	Concurrency   int    `json:"concurrency"`
	Tolerated     int    `json:"tolerated_percent"`
}

func (b *awsBatch) input(id string) ([]byte, error) {
	in := input{1, id, "manifest", b.prefix, b.itemsPerBatch, b.concurrency, b.tolerated}
	if b.prefix != "" {
		in.Source = "listing"
	}
	body, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("encode input: %w", err)
	}
	return body, nil
}

// check fails where the batch would meet a quota. All that is wrong is told at
// once.
func (b *awsBatch) check(ctx context.Context, about batch.About, size int) error {
	in, err := b.input(about.ID)
	if err != nil {
		return err
	}
	l := limits{timeout: defaultPredictTimeout}
	if err := l.ask(ctx, b.lambda, b.names.predict); err != nil {
		fmt.Fprintf(b.env.stderr, "The limits of %s were not looked at: %v\n", b.names.predict, err)
	}
	problems := l.check(about, size, len(in), b)
	if len(problems) == 0 {
		return nil
	}
	return usageError{"batch: " + strings.Join(problems, "\nbatch: ")}
}

// bring puts all into the buckets.
func (b *awsBatch) bring(ctx context.Context, args []string, about batch.About, manifest []byte, uploads []batch.Upload) error {
	in := &intake.Intake{Cases: b.cases, Uploads: b.uploads, UploadsBucket: b.names.uploads, Version: version.String(), Now: b.env.now}
	if b.prefix != "" {
		return in.Listing(ctx, about, uploads)
	}
	if b.images == "" {
		b.images = filepath.Dir(args[0])
	}
	images, err := runner.OpenImages(b.images)
	if err != nil {
		return err
	}
	defer images.Close()
	in.Images = images
	bar := progress.New(b.env.stderr, about.Listed, "bringing")
	defer bar.Finish()
	var mu sync.Mutex
	codes := map[string]int{}
	in.Brought = func(code batch.Code) {
		mu.Lock()
		defer mu.Unlock()
		if code != "" {
			codes[string(code)]++
		}
		bar.Done()
	}
	n, err := in.Manifest(ctx, about, manifest)
	if err != nil {
		return err
	}
	bar.Finish()
	fmt.Fprintf(b.env.stderr, "%d listed = %d to be read", about.Listed, n)
	for _, code := range sortedKeys(codes) {
		fmt.Fprintf(b.env.stderr, " + %d %s", codes[code], code)
	}
	fmt.Fprintln(b.env.stderr)
	return nil
}

func sortedKeys(m map[string]int) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// start starts the execution, or finds the one that was started before: a
// batch's name is its execution's.
func (b *awsBatch) start(ctx context.Context, about batch.About) (arn string, err error) {
	in, err := b.input(about.ID)
	if err != nil {
		return "", err
	}
	out, err := b.machines.StartExecution(ctx, &sfn.StartExecutionInput{
		StateMachineArn: &b.names.machine, Name: &about.ID, Input: aws.String(string(in)),
	})
	var ran *sfntypes.ExecutionAlreadyExists
	switch {
	case errors.As(err, &ran):
		fmt.Fprintf(b.env.stderr, "batch %s was started before\n", about.ID)
		return strings.Replace(b.names.machine, ":stateMachine:", ":execution:", 1) + ":" + about.ID, nil
	case err != nil:
		return "", fmt.Errorf("start batch: %w", err)
	}
	fmt.Fprintf(b.env.stderr, "started %s\n", aws.ToString(out.ExecutionArn))
	return aws.ToString(out.ExecutionArn), nil
}

// watch tells how far the batch is until it ends. Ctrl-C leaves it running.
func (b *awsBatch) watch(ctx context.Context, arn string) error {
	last := ""
	for {
		out, err := b.machines.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &arn})
		if err != nil {
			if ctx.Err() != nil {
				fmt.Fprintln(b.env.stderr, "The batch goes on; the same call watches it again.")
			}
			return fmt.Errorf("look at the batch: %w", err)
		}
		if line := b.runs(ctx, arn); line != last && line != "" {
			fmt.Fprintln(b.env.stderr, line)
			last = line
		}
		switch out.Status {
		case sfntypes.ExecutionStatusRunning, sfntypes.ExecutionStatusPendingRedrive:
		case sfntypes.ExecutionStatusSucceeded:
			return nil
		default:
			return fmt.Errorf("the batch ended as %s: %s", strings.ToLower(string(out.Status)), aws.ToString(out.Error))
		}
		select {
		case <-ctx.Done():
			fmt.Fprintln(b.env.stderr, "The batch goes on; the same call watches it again.")
			return ctx.Err()
		case <-time.After(b.poll):
		}
	}
}

// runs are the counts of every map so far, in a line; "" where there are none,
// or where they cannot be had, which is no reason to stop watching.
func (b *awsBatch) runs(ctx context.Context, arn string) string {
	list, err := b.machines.ListMapRuns(ctx, &sfn.ListMapRunsInput{ExecutionArn: &arn})
	if err != nil {
		return ""
	}
	var parts []string
	for _, run := range list.MapRuns {
		out, err := b.machines.DescribeMapRun(ctx, &sfn.DescribeMapRunInput{MapRunArn: run.MapRunArn})
		if err != nil || out.ItemCounts == nil {
			continue
		}
		parts = append(parts, mapName(aws.ToString(run.MapRunArn))+": "+counted(out.ItemCounts))
	}
	slices.Sort(parts) // predict before quote
	return strings.Join(parts, "; ")
}

// mapName is the map's label, in arn:...:mapRun:machine/label:id.
func mapName(arn string) string {
	_, rest, _ := strings.Cut(arn, "/")
	label, _, _ := strings.Cut(rest, ":")
	return strings.ToLower(label)
}

// counted are counts that add up to the total.
func counted(c *sfntypes.MapRunItemCounts) string {
	failed := c.Failed + c.TimedOut + c.Aborted
	return fmt.Sprintf("%d = %d pending + %d running + %d succeeded + %d failed",
		c.Pending+c.Running+c.Succeeded+failed, c.Pending, c.Running, c.Succeeded, failed)
}

// files are what report leaves, the summary last.
var batchFiles = []string{"results.csv", "results.parquet", "failures.csv", "report.html", "summary.json"}

// tell prints the books, and fetches the files where they are wanted.
func (b *awsBatch) tell(ctx context.Context, id string) error {
	var text []byte
	for _, name := range batchFiles {
		if b.out == "" && name != "summary.json" {
			continue
		}
		body, err := b.cases.Get(ctx, batch.Key(id, name), report.MaxManifest)
		if err != nil {
			return fmt.Errorf("fetch %s: %w", name, err)
		}
		if text = body; b.out == "" {
			continue
		}
		if err := os.MkdirAll(b.out, 0o700); err != nil {
			return fmt.Errorf("create folder: %w", err)
		}
		if err := os.WriteFile(filepath.Join(b.out, name), body, 0o600); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	var s batch.Summary
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("decode summary: %w", err)
	}
	if b.asJSON {
		if _, err := b.env.stdout.Write(text); err != nil {
			return fmt.Errorf("print summary: %w", err)
		}
		return s.Books.Check()
	}
	where := "s3://" + b.names.cases + "/" + batch.Prefix(id)
	if b.out != "" {
		where = b.out
	}
	s.Times = &batch.Times{}
	if err := printBatch(b.env.stdout, s, where); err != nil {
		return fmt.Errorf("print summary: %w", err)
	}
	return s.Books.Check()
}
