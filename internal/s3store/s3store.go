// Package s3store keeps objects in one S3 bucket, written once. It is the only
// place that knows S3's errors; where the endpoint is, is the SDK's affair.
package s3store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/agequote/agequote/internal/store"
)

// Bucket is a store in the bucket of this name.
type Bucket struct {
	Client *s3.Client
	Name   string
}

// Get returns an object of at most limit bytes: store.ErrNotFound,
// store.ErrTooLarge, store.ErrDenied.
func (b *Bucket) Get(ctx context.Context, key string, limit int64) ([]byte, error) {
	return b.GetVersion(ctx, key, "", limit)
}

// GetVersion is Get of one version of an object; an empty version is the
// latest.
func (b *Bucket) GetVersion(ctx context.Context, key, version string, limit int64) ([]byte, error) {
	in := &s3.GetObjectInput{Bucket: &b.Name, Key: &key}
	if version != "" {
		in.VersionId = &version
	}
	out, err := b.Client.GetObject(ctx, in)
	if err != nil {
		switch status(err) {
		case http.StatusNotFound:
			return nil, store.ErrNotFound
		case http.StatusForbidden:
			return nil, fmt.Errorf("get object: %w: %w", store.ErrDenied, err)
		}
		return nil, fmt.Errorf("get object: %w", err)
	}
	defer out.Body.Close()
	// The header spares the transfer, the reader does not trust it.
	if out.ContentLength != nil && *out.ContentLength > limit {
		return nil, store.ErrTooLarge
	}
	body, err := io.ReadAll(io.LimitReader(out.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read object: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, store.ErrTooLarge
	}
	return body, nil
}

// conflicts is how often a write that met another write is tried again.
const conflicts = 5

// PutIfAbsent writes an object that does not exist yet: store.ErrExists.
func (b *Bucket) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	for try := 1; ; try++ {
		_, err := b.Client.PutObject(ctx, &s3.PutObjectInput{
			Bucket:      &b.Name,
			Key:         &key,
			Body:        bytes.NewReader(body),
			ContentType: aws.String(contentType(key)),
			IfNoneMatch: aws.String("*"),
		})
		switch status(err) {
		case http.StatusOK:
			return nil
		case http.StatusPreconditionFailed:
			return store.ErrExists
		case http.StatusConflict: // another write is under way and may yet fail
			if try < conflicts {
				if err := wait(ctx, time.Duration(try)*20*time.Millisecond); err != nil {
					return err
				}
				continue
			}
		}
		return fmt.Errorf("put object: %w", err)
	}
}

// contentType is for people who look into a bucket with a browser: every object
// is JSON, but for the files of a model package.
func contentType(key string) string {
	switch path.Ext(key) {
	case ".onnx":
		return "application/octet-stream"
	case ".md":
		return "text/markdown; charset=utf-8"
	case ".html":
		return "text/html; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "application/json"
}

// List returns the names that start with prefix, in order.
func (b *Bucket) List(ctx context.Context, prefix string) ([]string, error) {
	var keys []string
	pages := s3.NewListObjectsV2Paginator(b.Client, &s3.ListObjectsV2Input{Bucket: &b.Name, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list objects: %w", err)
		}
		for _, o := range page.Contents {
			keys = append(keys, aws.ToString(o.Key))
		}
	}
	return keys, nil
}

// Delete removes an object; one that does not exist is no error.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	_, err := b.Client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.Name, Key: &key})
	if err != nil && status(err) != http.StatusNotFound {
		return fmt.Errorf("delete object: %w", err)
	}
	return nil
}

// status is the HTTP status of an answer: 200 without an error, 0 without an
// answer.
func status(err error) int {
	if err == nil {
		return http.StatusOK
	}
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
