package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// jobWord is what a recipe, a run and a command may be called: all three become
// part of names in AWS.
var jobWord = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,40}$`)

// batchJob says what to train on AWS.
type batchJob struct {
	stack   string // that template.yaml was deployed as
	recipe  string // name of a recipe in the image
	run     string // the folder of the run in the training bucket
	command string // of this program
}

// submit puts a job into the queue that infra/training.yaml makes.
func submit(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var j batchJob
	flags := flag.NewFlagSet("training submit", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&j.stack, "stack", "agequote", "`name` of the stack that template.yaml was deployed as")
	flags.StringVar(&j.recipe, "recipe", "", "`name` of the recipe, as in training/recipes/NAME.yaml")
	flags.StringVar(&j.run, "run", "", "`name` of the run; one that is there is gone on with (default: the recipe's)")
	flags.StringVar(&j.command, "command", "fit", "`command` of training that the job runs")
	if err := flags.Parse(args); err != nil {
		return flagError(err)
	}
	if j.run == "" {
		j.run = j.recipe
	}
	for _, word := range []struct{ flag, text string }{{"recipe", j.recipe}, {"run", j.run}, {"command", j.command}} {
		if !jobWord.MatchString(word.text) {
			return fmt.Errorf("%w: --%s takes a name of small letters, digits and hyphens, not %q", errUsage, word.flag, word.text)
		}
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%w: submit takes no arguments besides its flags", errUsage)
	}
	c, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return fmt.Errorf("configure AWS: %w", err)
	}
	return j.submit(ctx, batch.NewFromConfig(c), stdout)
}

// submit asks the job definition where runs are kept, so that what was deployed
// alone says so.
func (j batchJob) submit(ctx context.Context, client *batch.Client, stdout io.Writer) error {
	name := j.stack + "-training" // JobQueueName and JobDefinitionName of infra/training.yaml
	found, err := client.DescribeJobDefinitions(ctx, &batch.DescribeJobDefinitionsInput{
		JobDefinitionName: &name, Status: aws.String("ACTIVE"),
	})
	if err != nil {
		return fmt.Errorf("find job definition %s: %w", name, err)
	}
	if len(found.JobDefinitions) == 0 {
		return fmt.Errorf("there is no job definition %s: deploy stack %s with Training=yes", name, j.stack)
	}
	newest := found.JobDefinitions[0]
	for _, d := range found.JobDefinitions {
		if aws.ToInt32(d.Revision) > aws.ToInt32(newest.Revision) {
			newest = d
		}
	}
	runs := newest.Parameters["runs"]
	if runs == "" {
		return fmt.Errorf("job definition %s does not say where runs are kept; is it of infra/training.yaml?", name)
	}
	run := runs + "/" + j.run
	if err := j.alone(ctx, client, name); err != nil {
		return err
	}
	out, err := client.SubmitJob(ctx, &batch.SubmitJobInput{
		JobName:       &j.run, // by which alone finds it
		JobQueue:      &name,
		JobDefinition: newest.JobDefinitionArn, // this revision, whatever is deployed meanwhile
		Parameters: map[string]string{
			"command":    j.command,
			"recipe":     "training/recipes/" + j.recipe + ".yaml",
			"checkpoint": run,
		},
	})
	if err != nil {
		return fmt.Errorf("submit job: %w", err)
	}
	fmt.Fprintf(stdout, `job    %s
run    %s
state  aws batch describe-jobs --jobs %[1]s --query 'jobs[0].[status,statusReason]'
log    aws logs tail /aws/batch/%[3]s --follow
files  go run ./training pull --from %[2]s --to build/runs/%[4]s
`, aws.ToString(out.JobId), run, name, j.run)
	return nil
}

// alone fails where a job of the same run has not ended: two would overwrite
// each other's checkpoints.
func (j batchJob) alone(ctx context.Context, client *batch.Client, queue string) error {
	pages := batch.NewListJobsPaginator(client, &batch.ListJobsInput{
		JobQueue: &queue,
		Filters:  []types.KeyValuesPair{{Name: aws.String("JOB_NAME"), Values: []string{j.run}}},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list jobs: %w", err)
		}
		for _, other := range page.JobSummaryList {
			if other.Status != types.JobStatusSucceeded && other.Status != types.JobStatusFailed {
				return fmt.Errorf("job %s of run %s is %s: wait for it, end it, or choose another --run",
					aws.ToString(other.JobId), j.run, other.Status)
			}
		}
	}
	return nil
}
