package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// awsBatch answers as AWS Batch does, for a stack called agequote.
type awsBatch struct {
	*httptest.Server
	submitted map[string]any
}

func startBatch(t *testing.T) *awsBatch {
	t.Helper()
	b := &awsBatch{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in map[string]any
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(body, &in)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		const arn = "arn:aws:batch:eu-central-1:000000000000:job-definition/agequote-training"
		switch {
		case r.URL.Path == "/v1/describejobdefinitions" && in["jobDefinitionName"] == "agequote-training" && in["status"] == "ACTIVE":
			fmt.Fprintf(w, `{"jobDefinitions":[
				{"jobDefinitionArn":"%[1]s:9","revision":9,"parameters":{"runs":"s3://old/runs"}},
				{"jobDefinitionArn":"%[1]s:10","revision":10,"parameters":{"runs":"s3://bucket/runs"}}]}`, arn)
		case r.URL.Path == "/v1/describejobdefinitions":
			fmt.Fprint(w, `{"jobDefinitions":[]}`)
		case r.URL.Path == "/v1/listjobs" && in["jobQueue"] == "agequote-training":
			// The filter's answer comes in two pages, the ended job first.
			filter := fmt.Sprint(in["filters"])
			switch {
			case filter == "[map[name:JOB_NAME values:[busy]]]" && in["nextToken"] == nil:
				fmt.Fprint(w, `{"jobSummaryList":[{"jobId":"1","jobName":"busy","status":"FAILED"}],"nextToken":"2"}`)
			case filter == "[map[name:JOB_NAME values:[busy]]]":
				fmt.Fprint(w, `{"jobSummaryList":[{"jobId":"2","jobName":"busy","status":"RUNNABLE"}]}`)
			default:
				fmt.Fprint(w, `{"jobSummaryList":[{"jobId":"0","jobName":"transfer-2","status":"SUCCEEDED"}]}`)
			}
		case r.URL.Path == "/v1/submitjob":
			b.submitted = in
			fmt.Fprint(w, `{"jobId":"0123","jobName":"x"}`)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(b.Close)
	t.Setenv("AWS_ENDPOINT_URL_BATCH", b.URL)
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "a")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "b")
	return b
}

func TestSubmit(t *testing.T) {
	b := startBatch(t)
	var stdout, stderr bytes.Buffer
	if err := run(t.Context(), []string{"submit", "--recipe", "transfer", "--run", "transfer-2"}, &stdout, &stderr); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"jobName":       "transfer-2",
		"jobQueue":      "agequote-training",
		"jobDefinition": "arn:aws:batch:eu-central-1:000000000000:job-definition/agequote-training:10",
		"parameters": map[string]any{
			"command":    "fit",
			"recipe":     "training/recipes/transfer.yaml",
			"checkpoint": "s3://bucket/runs/transfer-2",
		},
	}
	if diff := cmp.Diff(want, b.submitted); diff != "" {
		t.Errorf("submitted (-want +got)\n%s", diff)
	}
	for _, part := range []string{"0123", "s3://bucket/runs/transfer-2", "/aws/batch/agequote-training"} {
		if !strings.Contains(stdout.String(), part) {
			t.Errorf("submit does not say %s:\n%s", part, stdout.String())
		}
	}

	// What is submitted are parameters that the template's job has.
	template, err := os.ReadFile("../infra/training.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name := range want["parameters"].(map[string]any) {
		if !strings.Contains(string(template), "Ref::"+name) {
			t.Errorf("infra/training.yaml's job has no parameter %s", name)
		}
	}
}

func TestSubmitRefuses(t *testing.T) {
	b := startBatch(t)
	tests := []struct {
		name  string
		args  []string
		usage bool
		want  string
	}{
		{"no recipe", nil, true, "--recipe"},
		{"a path", []string{"--recipe", "training/recipes/transfer.yaml"}, true, "--recipe"},
		{"a run elsewhere", []string{"--recipe", "transfer", "--run", "../data"}, true, "--run"},
		{"an argument", []string{"--recipe", "transfer", "now"}, true, "no arguments"},
		{"a run under way", []string{"--recipe", "transfer", "--run", "busy"}, false, "job 2 of run busy is RUNNABLE"},
		{"another stack", []string{"--recipe", "transfer", "--stack", "other"}, false, "Training=yes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := run(t.Context(), append([]string{"submit"}, tt.args...), io.Discard, io.Discard)
			if err == nil || errors.Is(err, errUsage) != tt.usage || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("submit = %v, want %q, wrong use %t", err, tt.want, tt.usage)
			}
		})
	}
	if b.submitted != nil {
		t.Errorf("submitted %v", b.submitted)
	}
}
