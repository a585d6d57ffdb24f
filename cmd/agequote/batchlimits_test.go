package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/batch"
	"github.com/agequote/agequote/internal/report"
)

var updateBatchCost = flag.Bool("update-batch-cost", false, "rewrite the table of costs in docs/batch-aws.md")

// TestBatchLimits has a batch that is within every limit, and one past each.
func TestBatchLimits(t *testing.T) {
	good := func() (batch.About, int, int, *awsBatch, limits) {
		return batch.About{ID: "renewals", Listed: 10_000}, 2 << 20, 200,
			&awsBatch{itemsPerBatch: 20, concurrency: 50, tolerated: 20}, limits{timeout: time.Minute, concurrency: 100}
	}
	about, size, in, b, l := good()
	if problems := l.check(about, size, in, b); len(problems) > 0 {
		t.Errorf("a good batch: %q", problems)
	}
	tests := []struct {
		name   string
		change func(about *batch.About, size, in *int, b *awsBatch, l *limits)
		want   string
	}{
		{"name", func(a *batch.About, _, _ *int, _ *awsBatch, _ *limits) { a.ID = "../x" }, "--batch"},
		{"nothing", func(a *batch.About, _, _ *int, _ *awsBatch, _ *limits) { a.Listed = 0 }, "nothing is listed"},
		{"too many", func(a *batch.About, _, _ *int, _ *awsBatch, _ *limits) { a.Listed = report.MaxItems + 1 }, "divide the manifest"},
		{"manifest", func(_ *batch.About, size, _ *int, _ *awsBatch, _ *limits) { *size = report.MaxManifest + 1 }, "manifest"},
		{"input", func(_ *batch.About, _, in *int, _ *awsBatch, _ *limits) { *in = 256<<10 + 1 }, "input"},
		{"children", func(_ *batch.About, _, _ *int, b *awsBatch, l *limits) { b.concurrency, l.concurrency = 10_001, 0 }, "--concurrency"},
		{"account", func(_ *batch.About, _, _ *int, b *awsBatch, _ *limits) { b.concurrency = 101 }, "--concurrency"},
		{"timeout", func(_ *batch.About, _, _ *int, _ *awsBatch, l *limits) { l.timeout = 10 * time.Second }, "--items"},
		{"answer", func(_ *batch.About, _, _ *int, b *awsBatch, l *limits) { b.itemsPerBatch, l.timeout = 401, time.Hour }, "--items"},
		{"share", func(_ *batch.About, _, _ *int, b *awsBatch, _ *limits) { b.tolerated = 101 }, "--tolerated"},
	}
	for _, tt := range tests {
		about, size, in, b, l := good()
		tt.change(&about, &size, &in, b, &l)
		problems := l.check(about, size, in, b)
		if len(problems) != 1 || !strings.Contains(problems[0], tt.want) {
			t.Errorf("%s: problems %q, want one with %q", tt.name, problems, tt.want)
		}
	}
}

// TestBatchNames holds the command's rule of names to template.yaml's.
func TestBatchNames(t *testing.T) {
	var n batchNames
	n.fill(newDeployment("agequote", "000000000000", "eu-central-1", "arn:aws-cn:iam::000000000000:user/ann"))
	want := batchNames{
		cases: "agequote-cases-000000000000-eu-central-1", uploads: "agequote-uploads-000000000000-eu-central-1",
		machine: "arn:aws-cn:states:eu-central-1:000000000000:stateMachine:agequote-batch",
	}
	if n != want {
		t.Errorf("names %+v, want %+v", n, want)
	}
	text := readText(t, "../../template.yaml")
	for _, rule := range []string{`Name: !Sub "${AWS::StackName}-batch"`, `FunctionName: !Sub "${AWS::StackName}-predict"`,
		`BucketName: !Sub "${AWS::StackName}-cases-${AWS::AccountId}-${AWS::Region}"`, `BucketName: !Sub "${AWS::StackName}-uploads-${AWS::AccountId}-${AWS::Region}"`} {
		if !strings.Contains(text, rule) {
			t.Errorf("template.yaml does not say %s", rule)
		}
	}
}

const (
	costBegin = "<!-- cost: begin. Written by `go test ./cmd/agequote -run TestBatchCost -update-batch-cost`; do not edit. -->\n"
	costEnd   = "<!-- cost: end -->\n"
)

// TestBatchCost holds the table of docs/batch-aws.md to the formula that the
// command tells the cost by.
func TestBatchCost(t *testing.T) {
	var want strings.Builder
	want.WriteString("| items | items a call | transitions | predict | quote | duplicates and report | S3 | together |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, n := range []struct{ items, perCall int }{{1_000, 20}, {10_000, 20}, {100_000, 20}, {100_000, 70}} {
		c := costsOf(n.items, n.perCall)
		fmt.Fprintf(&want, "| %d | %d | %.3f | %.3f | %.3f | %.3f | %.3f | %.3f |\n", n.items, n.perCall, c.transitions, c.predict, c.quote, c.report, c.s3, c.sum())
	}
	const name = "../../docs/batch-aws.md"
	head, rest, ok := strings.Cut(readText(t, name), costBegin)
	got, tail, closed := strings.Cut(rest, costEnd)
	if !ok || !closed {
		t.Fatal("docs/batch-aws.md has no marks for the table")
	}
	if *updateBatchCost {
		if err := os.WriteFile(name, []byte(head+costBegin+want.String()+costEnd+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want.String(), got); diff != "" {
		t.Errorf("the table of costs (-want +got), -update-batch-cost writes it anew:\n%s", diff)
	}
}
