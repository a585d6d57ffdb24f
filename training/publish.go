package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/agequote/agequote/internal/gate"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/registry"
	"github.com/agequote/agequote/internal/release"
	"github.com/agequote/agequote/internal/s3store"
	"github.com/agequote/agequote/internal/version"
)

// publish puts a package into the models bucket and says what the gate finds
// against the model that is live. It moves no pointer: that takes another
// person and `agequote models approve`.
func publish(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("publish", flag.ContinueOnError)
	fs.SetOutput(stderr)
	dir := fs.String("package", "", "folder of the model package")
	bucket := fs.String("bucket", os.Getenv("MODELS_BUCKET"), "models bucket; its default is $MODELS_BUCKET")
	author := fs.String("author", "", "who made the model and answers for it; somebody else approves it")
	asJSON := fs.Bool("json", false, "print one JSON object")
	if err := fs.Parse(args); err != nil {
		return flagError(err)
	}
	if *dir == "" || *bucket == "" || *author == "" || fs.NArg() > 0 {
		return fmt.Errorf("%w: --package, --bucket and --author are needed, and no more", errUsage)
	}
	limits, err := gate.Default()
	if err != nil {
		return err
	}
	aws, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return fmt.Errorf("load AWS settings: %w", err)
	}
	desk := &release.Desk{
		Registry: &registry.Registry{Objects: &s3store.Bucket{Client: s3.NewFromConfig(aws), Name: *bucket}},
		Limits:   limits,
		Now:      time.Now,
		Version:  version.String(),
	}
	published, verdict, err := desk.Publish(ctx, os.DirFS(*dir), *author)
	if err != nil {
		return err
	}
	if *asJSON {
		err = json.NewEncoder(stdout).Encode(struct {
			registry.Published
			Gate   registry.Verdict `json:"gate"`
			Passed bool             `json:"passed"`
		}{published, verdict, verdict.Passed()})
	} else {
		fmt.Fprintf(stdout, "%s (%s, for %s use) lies in s3://%s\n", published.Model, published.Name, published.Use, *bucket)
		err = release.PrintVerdict(stdout, verdict)
	}
	if err == nil && !verdict.Passed() {
		err = &release.RefusedError{Verdict: verdict}
	}
	if err == nil && !*asJSON {
		research := ""
		if published.Use == string(model.Research) {
			research = " --allow-research"
		}
		_, err = fmt.Fprintf(stdout, "\nTo make it live, somebody other than %s runs:\n  agequote models approve %s --by NAME --why REASON%s\n", published.Author, published.Model, research)
	}
	return err
}
