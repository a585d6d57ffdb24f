package samtemplate_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/local/samtemplate"
)

func options(parameters map[string]string) samtemplate.Options {
	return samtemplate.Options{StackName: "agequote", Region: "eu-central-1", Account: "000000000001", Parameters: parameters}
}

func TestRead(t *testing.T) {
	got, err := samtemplate.Read("testdata/template.yaml", options(nil))
	if err != nil {
		t.Fatal(err)
	}
	const lambda = "arn:aws:lambda:eu-central-1:000000000001:function:"
	toQuote := &samtemplate.Destination{Type: samtemplate.ToLambda, ARN: lambda + "agequote-quote"}
	toFailures := &samtemplate.Destination{Type: samtemplate.ToS3Bucket, ARN: "arn:aws:s3:::agequote-failuresbucket"}
	want := &samtemplate.Template{
		Buckets: []samtemplate.Bucket{
			{LogicalID: "UploadsBucket", Name: "agequote-uploads-000000000001", ARN: "arn:aws:s3:::agequote-uploads-000000000001", Versioned: true},
			{LogicalID: "CasesBucket", Name: "agequote-cases-000000000001", ARN: "arn:aws:s3:::agequote-cases-000000000001"},
			{LogicalID: "FailuresBucket", Name: "agequote-failuresbucket", ARN: "arn:aws:s3:::agequote-failuresbucket"},
		},
		Functions: []samtemplate.Function{
			{
				LogicalID: "PredictFunction",
				Name:      "agequote-PredictFunction",
				ARN:       lambda + "agequote-PredictFunction",
				MemoryMB:  1024,
				Timeout:   30 * time.Second,
				Environment: map[string]string{
					"STAGE":    "dev",
					"LEVEL":    "debug",
					"CASES":    "agequote-cases-000000000001",
					"LITERAL":  "${Stage} is dev",
					"FUNCTION": lambda + "agequote-quote",
					"ROLE":     "arn:aws:iam::000000000001:role/agequote-PredictFunctionRole",
					"LOGS":     "/aws/lambda/agequote-predict",
					"PICKED":   "b",
				},
				Retries:     1,
				MaxEventAge: 10 * time.Minute,
				OnSuccess:   toQuote,
				OnFailure:   toFailures,
				S3Events:    []samtemplate.S3Event{{Bucket: "UploadsBucket", Events: []string{"s3:ObjectCreated:*"}, Prefix: "uploads/", Suffix: "1"}},
				Statements: []samtemplate.Statement{
					{
						Effect:    "Allow",
						Actions:   []string{"s3:GetObject", "s3:GetObjectVersion"},
						Resources: []string{"arn:aws:s3:::agequote-uploads-000000000001/uploads/*"},
					},
					{
						Effect:     "Allow",
						Actions:    []string{"s3:ListBucket"},
						Resources:  []string{"arn:aws:s3:::agequote-cases-000000000001"},
						Conditions: map[string]map[string][]string{"StringLike": {"s3:prefix": {"cases/*"}}},
					},
					{Effect: "Allow", Actions: []string{"lambda:InvokeFunction"}, Resources: []string{toQuote.ARN}},
					{Effect: "Allow", Actions: []string{"s3:PutObject"}, Resources: []string{toFailures.ARN + "/*"}},
					{Effect: "Allow", Actions: []string{"s3:ListBucket"}, Resources: []string{toFailures.ARN}},
				},
			},
			{
				LogicalID:   "QuoteFunction",
				Name:        "agequote-quote",
				ARN:         lambda + "agequote-quote",
				MemoryMB:    128,
				Timeout:     10 * time.Second,
				Environment: map[string]string{"STAGE": "dev", "LEVEL": "info"},
				Retries:     2,
				MaxEventAge: 6 * time.Hour,
			},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Read (-want +got):\n%s", diff)
	}
}

func TestReadParameters(t *testing.T) {
	got, err := samtemplate.Read("testdata/template.yaml", options(map[string]string{
		"Stage": "prod", "PredictConcurrency": "7", "FailuresName": "given-up",
	}))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, b := range got.Buckets {
		names = append(names, b.Name)
	}
	for _, f := range got.Functions {
		names = append(names, f.Name)
	}
	want := []string{
		"agequote-uploads-000000000001", "agequote-cases-000000000001", "given-up", "agequote-archivebucket",
		"agequote-PredictFunction", "agequote-quote", "agequote-ArchiveFunction",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
	if r := got.Functions[0].Reserved; r == nil || *r != 7 {
		t.Errorf("reserved concurrency = %v, want 7", r)
	}
}

// TestParseErrors changes one line of a template that is right, and wants the
// problem named with its line.
func TestParseErrors(t *testing.T) {
	data, err := os.ReadFile("testdata/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name       string
		old, new   string
		parameters map[string]string
		want       string
	}{
		{name: "missing resource", old: "!Ref PredictLogs", new: "!Ref Nobody", want: "there is no parameter or resource Nobody"},
		{name: "missing resource in Sub", old: "/aws/lambda/${AWS::StackName}", new: "/aws/lambda/${Nobody}", want: "there is no parameter or resource Nobody"},
		{name: "unknown attribute", old: "!GetAtt PredictFunctionRole.Arn", new: "!GetAtt PredictLogs.Arn", want: "PredictLogs.Arn is not known here"},
		{name: "unknown function", old: "!Select [1, [a, b]]", new: "!Split [a, b]", want: "!Split is not known here"},
		{name: "unknown long function", old: "!Select [1, [a, b]]", new: `{"Fn::Base64": a}`, want: "Fn::Base64 is not known here"},
		{name: "unknown condition", old: "Condition: ReserveInProd", new: "Condition: Sometimes", want: "there is no condition Sometimes"},
		{name: "condition in a circle", old: "Prod: !Equals [!Ref Stage, prod]", new: "Prod: !Not [!Condition Prod]", want: "condition Prod refers to itself"},
		{name: "name in a circle", old: "!Sub ${AWS::StackName}-quote", new: "!Ref QuoteFunction", want: "the name of QuoteFunction refers to itself"},
		{name: "too few arguments", old: "!If [Named, !Ref FailuresName, !Ref AWS::NoValue]", new: "!If [Named, a]", want: "!If has the wrong number of arguments"},
		{name: "number", old: `Timeout: "30"`, new: "Timeout: soon", want: "want a whole number"},
		{name: "destination type", old: "Type: Lambda,", new: "Type: SQS,", want: `a destination of type "SQS" does not run locally`},
		{name: "policy template", old: "- AWSXRayDaemonWriteAccess", new: "- S3ReadPolicy: {BucketName: x}", want: "SAM's policy templates are not read"},
		{name: "anchor", old: "Tags: {team: pricing}", new: "Tags: &t {team: pricing}", want: "anchors and aliases are not read"},
		{name: "forbidden value", parameters: map[string]string{"Stage": "test"}, want: `parameter Stage does not allow "test"`},
		{name: "unknown parameter", parameters: map[string]string{"Size": "1"}, want: "the template has no parameter Size"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before, after, found := strings.Cut(string(data), tt.old)
			if !found {
				t.Fatalf("the template has no %q", tt.old)
			}
			text := before + tt.new + after
			line := fmt.Sprintf("line %d: ", 1+strings.Count(before, "\n"))
			if tt.old == "" {
				line = "line " // of the declaration, which nothing changed
			}
			_, err := samtemplate.Parse([]byte(text), options(tt.parameters))
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), line) {
				t.Errorf("Parse = %v, want %q after a line number", err, tt.want)
			}
		})
	}
}
