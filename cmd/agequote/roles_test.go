package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
)

var updateRoles = flag.Bool("update-roles", false, "write the table of what roles may do")

// places are one object of each kind, by bucket.
var places = map[string][]string{
	"UploadsBucket": {"uploads/CASE/0001", "batch-uploads/CASE/0001", "other/x"},
	"CasesBucket": {
		"cases/CASE/application/0001.json", "cases/CASE/photos/0001/estimate.json", "cases/CASE/photos/0001/failure.json",
		"cases/CASE/photos/0001/duplicates.json", "cases/CASE/failures/facts-0002.json", "cases/CASE/quotes/photo-0001.json",
		"cases/CASE/decisions/0001.json", "cases/CASE/reservations/0001.json", "cases/CASE/openings/0001.json",
		"cases/CASE/complaints/0001.json", "cases/CASE/requests/person-0001.json", "cases/CASE/deleted.json",
		"holds/CASE/000001.json", "held/CASE/0001", "control/000001.json", "queue/waiting/refer/20261124T090000Z/CASE",
		"batches/BATCH/summary.json", "index/photo/HASH/CASE/0001", "second-looks/A/B/HASH", "other/x",
	},
	"ModelsBucket":   {"models/HASH/manifest.json", "live/000001.json", "other/x"},
	"AuditBucket":    {"heads/CASE/000001.json", "other/x"},
	"FailuresBucket": {"aws/lambda/async/agequote-predict/2026/11/24/record", "other/x"},
}

// TestRoles tries with the role of every function to read, write, delete and
// list one object of every kind in every bucket, on the local S3 server, which
// checks what the template grants. What succeeds is testdata/roles.txt, which is
// read when the template changes: whatever is not in it was refused with
// AccessDenied.
func TestRoles(t *testing.T) {
	file, err := filepath.Abs("testdata/roles.txt") // before the stack changes the folder
	if err != nil {
		t.Fatal(err)
	}
	c := startChain(t)
	ctx := t.Context()
	var rows []string
	for bucket, keys := range places {
		name := c.Resource(bucket)
		for _, key := range keys {
			if _, err := c.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &name, Key: &key, Body: strings.NewReader("{}")}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, role := range c.Roles() {
		client := s3.New(s3.Options{
			Region: c.Region(), BaseEndpoint: aws.String(c.S3Endpoint()), UsePathStyle: true,
			Credentials: credentials.StaticCredentialsProvider{Value: role.Credentials},
		})
		for bucket, keys := range places {
			name := c.Resource(bucket)
			for _, key := range keys {
				if may := tried(t, ctx, client, name, key); may != "" {
					rows = append(rows, fmt.Sprintf("%-18s %-15s %-50s %s", role.Name, strings.TrimSuffix(bucket, "Bucket"), key, may))
				}
			}
		}
	}
	slices.Sort(rows)
	got := strings.Join(rows, "\n") + "\n"
	if *updateRoles {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("what roles may do (-testdata/roles.txt +template):\n%s", diff)
	}
}

// tried returns what a caller may do with an object: get, put, delete, list.
func tried(t *testing.T, ctx context.Context, client *s3.Client, bucket, key string) string {
	t.Helper()
	// Another object of the same kind, which nothing else misses.
	other := strings.NewReplacer("CASE", "OTHER", "HASH", "OTHER", "BATCH", "OTHER", "000001", "000009", "other/x", "other/y", "record", "another").Replace(key)
	none := "*"
	folder := path.Dir(key) + "/"
	tests := []struct {
		name string
		do   func() error
	}{
		{"get", func() error {
			_, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
			return err
		}},
		{"list", func() error {
			_, err := client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &folder})
			return err
		}},
		{"put", func() error {
			_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &other, Body: bytes.NewReader([]byte("{}")), IfNoneMatch: &none})
			return err
		}},
		{"delete", func() error {
			_, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &other})
			return err
		}},
		{"delete-version", func() error {
			_, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &other, VersionId: aws.String("00000000000000000000000000")})
			return err
		}},
	}
	var may []string
	for _, tt := range tests {
		err := tt.do()
		var refused smithy.APIError
		if errors.As(err, &refused) && refused.ErrorCode() == "AccessDenied" {
			continue
		}
		if err != nil && (!errors.As(err, &refused) || refused.ErrorCode() != "PreconditionFailed" && refused.ErrorCode() != "NoSuchVersion" && refused.ErrorCode() != "InvalidArgument") {
			t.Errorf("%s %s: %v", tt.name, key, err)
		}
		may = append(may, tt.name)
	}
	return strings.Join(may, " ")
}
