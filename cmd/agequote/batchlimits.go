package main

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/agequote/agequote/internal/batch"
	"github.com/agequote/agequote/internal/report"
)

// Quotas of Step Functions, as its documentation states them (service quotas,
// 2026-11).
const (
	maxInput    = 256 << 10 // bytes of a state's input
	maxChildren = 10_000    // child executions of a map at a time
)

// What a batch is planned with.
const (
	// A slow photo: 12 megapixels, decoded and read on one processor. Most take a
	// tenth of it. docs/batch-aws.md says what is assumed.
	slowPhoto = 700 * time.Millisecond
	coldStart = 5 * time.Second
	// maxItemsPerBatch keeps an answer of predict, at most 600 bytes an item,
	// within maxInput.
	maxItemsPerBatch = 400
	// defaultPredictTimeout is template.yaml's.
	defaultPredictTimeout = 60 * time.Second
)

// limits are those of the account and of predict; 0: not known.
type limits struct {
	timeout     time.Duration
	concurrency int // executions of predict at a time
}

// ask looks at the deployment.
func (l *limits) ask(ctx context.Context, client *awslambda.Client, function string) error {
	c, err := client.GetFunctionConfiguration(ctx, &awslambda.GetFunctionConfigurationInput{FunctionName: &function})
	if err != nil {
		return err
	}
	l.timeout = time.Duration(aws.ToInt32(c.Timeout)) * time.Second
	reserved, err := client.GetFunctionConcurrency(ctx, &awslambda.GetFunctionConcurrencyInput{FunctionName: &function})
	if err != nil {
		return err
	}
	if reserved.ReservedConcurrentExecutions != nil {
		l.concurrency = int(*reserved.ReservedConcurrentExecutions)
		return nil
	}
	account, err := client.GetAccountSettings(ctx, nil)
	if err != nil {
		return err
	}
	if account.AccountLimit != nil {
		l.concurrency = int(aws.ToInt32(account.AccountLimit.UnreservedConcurrentExecutions))
	}
	return nil
}

// check returns what is wrong with a batch, a sentence each.
func (l limits) check(about batch.About, manifestBytes, inputBytes int, b *awsBatch) (problems []string) {
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if !batch.ValidID(about.ID) {
		wrong("--batch: give 1 to 80 letters, digits, - and _")
	}
	if about.Listed == 0 {
		wrong("nothing is listed")
	}
	if about.Listed > report.MaxItems {
		wrong("%d items are listed; a batch has at most %d: divide the manifest", about.Listed, report.MaxItems)
	}
	if manifestBytes > report.MaxManifest {
		wrong("the manifest has %d bytes; at most %d are read", manifestBytes, report.MaxManifest)
	}
	if inputBytes > maxInput {
		wrong("the input has %d bytes; Step Functions takes %d", inputBytes, maxInput)
	}
	if b.tolerated < 0 || b.tolerated > 100 {
		wrong("--tolerated: give a percentage from 0 to 100")
	}
	most := maxChildren
	if l.concurrency > 0 {
		most = min(most, l.concurrency)
	}
	if b.concurrency < 1 || b.concurrency > most {
		wrong("--concurrency %d: predict has 1 to %d at a time here, and Step Functions at most %d", b.concurrency, most, maxChildren)
	}
	fits := min(maxItemsPerBatch, int((l.timeout-coldStart)/slowPhoto))
	if b.itemsPerBatch < 1 || b.itemsPerBatch > fits {
		wrong("--items %d: predict has %s a call, enough for 1 to %d photos that are slow", b.itemsPerBatch, l.timeout, fits)
	}
	return problems
}

// List prices in US dollars, us-east-1, as published on 2026-11-24: Step
// Functions' state transitions; Lambda's GB-seconds on x86 and requests; S3's
// requests that write or list, and that read.
const (
	perTransition = 25e-6
	perGBSecond   = 16.6667e-6
	perRequest    = 0.2e-6
	perS3Write    = 5e-6
	perS3Read     = 0.4e-6
)

// What a batch is made of where nothing fails.
const (
	transitionsPerCall = 3 // of a child execution: its start, its state, its end
	transitionsOnce    = 8
	predictGB          = 1769.0 / 1024
	quoteGB            = 0.5
	reportGB           = 3008.0 / 1024
	usualPhoto         = 70 * time.Millisecond
	usualQuote         = 15 * time.Millisecond // it waits for S3
	usualRow           = 3 * time.Millisecond  // of report, and as long for duplicates

	// Requests to S3 for an item that is quoted, counted from the code: intake 3
	// writes and lists and 1 read, predict 3 and 2, duplicates 1 and 1, quote 2
	// and 3, report 0 and 5.
	writesOfItem = 3 + 3 + 1 + 2 + 0
	readsOfItem  = 1 + 2 + 1 + 3 + 5
)

// costs are those of a batch, in US dollars.
type costs struct{ transitions, predict, quote, report, s3 float64 }

func (c costs) sum() float64 { return c.transitions + c.predict + c.quote + c.report + c.s3 }

// costsOf adds a batch up.
func costsOf(items, perCall int) costs {
	calls := float64((items + perCall - 1) / perCall)
	n := float64(items)
	return costs{
		transitions: (2*calls*transitionsPerCall + transitionsOnce) * perTransition,
		predict:     n*usualPhoto.Seconds()*predictGB*perGBSecond + calls*perRequest,
		quote:       n*usualQuote.Seconds()*quoteGB*perGBSecond + calls*perRequest,
		s3:          n * (writesOfItem*perS3Write + readsOfItem*perS3Read),
		report:      2 * n * usualRow.Seconds() * reportGB * perGBSecond,
	}
}

func (b *awsBatch) cost(items int) string {
	return fmt.Sprintf("%.2f USD", costsOf(items, max(1, b.itemsPerBatch)).sum())
}
