// Package s3store keeps objects in one S3 bucket, written once. It is the only
// place that knows S3's errors; where the endpoint is, is the SDK's affair.
package s3store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"github.com/agequote/agequote/internal/store"
)

// Bucket is a store in the bucket of this name.
type Bucket struct {
	Client *s3.Client
	Name   string
}

// ErrClock says that the clock of this process is wrong.
var ErrClock = errors.New("the clock is minutes off from S3's")

// maxSkew is how far it may be off.
const maxSkew = 5 * time.Minute

// checkClock returns ErrClock where S3's answer tells another time than ours.
// What several processes write of a case is put in order by its times, so one on
// a wrong clock may not act on what it reads. S3 alone does not keep it off: the
// SDK finds the difference, and signs by S3's clock.
func checkClock(m middleware.Metadata) error {
	theirs, ok := awsmiddleware.GetServerTime(m)
	ours, okOurs := awsmiddleware.GetResponseAt(m)
	if ok && okOurs && theirs.Sub(ours).Abs() > maxSkew {
		return ErrClock
	}
	return nil
}

// Get returns an object of at most limit bytes: store.ErrNotFound,
// store.ErrTooLarge, store.ErrDenied, ErrClock.
func (b *Bucket) Get(ctx context.Context, key string, limit int64) ([]byte, error) {
	return b.GetVersion(ctx, key, "", limit)
}

// GetVersion is Get of one version of an object; an empty version is the
// latest.
func (b *Bucket) GetVersion(ctx context.Context, key, version string, limit int64) ([]byte, error) {
	// The SDK holds the bytes against the checksum that S3 keeps, also where the
	// environment asks for less.
	in := &s3.GetObjectInput{Bucket: &b.Name, Key: &key, ChecksumMode: types.ChecksumModeEnabled}
	if version != "" {
		in.VersionId = &version
	}
	for try := 1; ; try++ {
		body, err := b.read(ctx, in, limit)
		var broken *brokenBody
		if !errors.As(err, &broken) || try == reads || ctx.Err() != nil {
			return body, err
		}
	}
}

// reads is how often an object is asked for whose bytes break off or have
// another checksum. The SDK tries again only what fails before the bytes.
const reads = 3

// brokenBody is such an answer.
type brokenBody struct{ error }

func (b *brokenBody) Unwrap() error { return b.error }

// read asks for an object once.
func (b *Bucket) read(ctx context.Context, in *s3.GetObjectInput, limit int64) ([]byte, error) {
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
	if err := checkClock(out.ResultMetadata); err != nil {
		return nil, err
	}
	// The header spares the transfer, the reader does not trust it.
	if out.ContentLength != nil && *out.ContentLength > limit {
		return nil, store.ErrTooLarge
	}
	body, err := io.ReadAll(io.LimitReader(out.Body, limit+1))
	if err != nil {
		return nil, &brokenBody{fmt.Errorf("read object: %w", err)}
	}
	if int64(len(body)) > limit {
		return nil, store.ErrTooLarge
	}
	return body, nil
}

// conflicts is how often a write that met another write is tried again.
const conflicts = 5

// PutIfAbsent writes an object that does not exist yet: store.ErrExists. One with
// the same bytes, of any but a marker, is taken for ours.
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
			if b.ours(ctx, key, body) {
				return nil
			}
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

// ours tells whether what stands under a name is what we were to write: the
// answer to the SDK's first try may have been lost, and its second meets the
// first. Without this a complaint would be stored twice, and a stop refused to
// whoever gave it.
func (b *Bucket) ours(ctx context.Context, key string, body []byte) bool {
	if len(body) == 0 {
		return false // a marker: whose it is makes no difference
	}
	standing, err := b.Get(ctx, key, int64(len(body)))
	return err == nil && bytes.Equal(standing, body)
}

// Overwrite writes an object whether it exists or not. In a bucket that keeps
// versions the one before it stays. Erasure alone may do so.
func (b *Bucket) Overwrite(ctx context.Context, key string, body []byte) error {
	_, err := b.Client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &b.Name, Key: &key, Body: bytes.NewReader(body), ContentType: aws.String(contentType(key)),
	})
	if err != nil {
		return fmt.Errorf("overwrite object: %w", err)
	}
	return nil
}

// contentType is for people who look into a bucket with a browser: every object
// is JSON, but for the files of a model package and a batch's tables.
func contentType(key string) string {
	switch path.Ext(key) {
	case ".csv":
		return "text/csv; charset=utf-8"
	case ".onnx", ".parquet":
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

// List returns the names that start with prefix, in order, each once, also where
// a page repeats some of another: ErrClock.
func (b *Bucket) List(ctx context.Context, prefix string) ([]string, error) {
	var keys []string
	pages := s3.NewListObjectsV2Paginator(b.Client, &s3.ListObjectsV2Input{Bucket: &b.Name, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list objects: %w", err)
		}
		if err := checkClock(page.ResultMetadata); err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			keys = append(keys, aws.ToString(o.Key))
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys), nil
}

// ListAfter returns at most limit names, 1 to 1000, that start with prefix and
// come after the name after in order: one request.
func (b *Bucket) ListAfter(ctx context.Context, prefix, after string, limit int) ([]string, error) {
	in := &s3.ListObjectsV2Input{Bucket: &b.Name, Prefix: &prefix, MaxKeys: aws.Int32(int32(limit))}
	if after != "" {
		in.StartAfter = &after
	}
	page, err := b.Client.ListObjectsV2(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("list objects: %w", err)
	}
	keys := make([]string, len(page.Contents))
	for i, o := range page.Contents {
		keys[i] = aws.ToString(o.Key)
	}
	return keys, nil
}

// Each calls do with the name of every folder directly under a prefix, which
// ends in a slash, in order, until do fails. It holds a thousand at a time.
func (b *Bucket) Each(ctx context.Context, prefix string, do func(name string) error) error {
	pages := s3.NewListObjectsV2Paginator(b.Client, &s3.ListObjectsV2Input{Bucket: &b.Name, Prefix: &prefix, Delimiter: aws.String("/")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list folders: %w", err)
		}
		for _, p := range page.CommonPrefixes {
			if err := do(path.Base(aws.ToString(p.Prefix))); err != nil {
				return err
			}
		}
	}
	return nil
}

// Delete removes an object; one that does not exist is no error.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	_, err := b.Client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.Name, Key: &key})
	if err != nil && status(err) != http.StatusNotFound {
		return fmt.Errorf("delete object: %w", err)
	}
	return nil
}

// Versions returns every version under prefix, by name and then from the
// newest to the oldest; the markers of deletions are among them.
func (b *Bucket) Versions(ctx context.Context, prefix string) ([]store.Version, error) {
	var out []store.Version
	pages := s3.NewListObjectVersionsPaginator(b.Client, &s3.ListObjectVersionsInput{Bucket: &b.Name, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list versions: %w", err)
		}
		for _, v := range page.Versions {
			out = append(out, store.Version{
				Key: aws.ToString(v.Key), ID: aws.ToString(v.VersionId), Latest: aws.ToBool(v.IsLatest), Modified: aws.ToTime(v.LastModified),
			})
		}
		for _, m := range page.DeleteMarkers {
			out = append(out, store.Version{
				Key: aws.ToString(m.Key), ID: aws.ToString(m.VersionId), Latest: aws.ToBool(m.IsLatest), Marker: true, Modified: aws.ToTime(m.LastModified),
			})
		}
	}
	slices.SortStableFunc(out, func(x, y store.Version) int {
		return cmp.Or(strings.Compare(x.Key, y.Key), latestFirst(x, y), y.Modified.Compare(x.Modified))
	})
	// The local S3 repeats the last version of a page on the next.
	return slices.CompactFunc(out, func(x, y store.Version) bool { return x.Key == y.Key && x.ID == y.ID }), nil
}

// latestFirst orders what was written within one second, which is all that S3
// tells of the time.
func latestFirst(x, y store.Version) int {
	switch {
	case x.Latest == y.Latest:
		return 0
	case x.Latest:
		return -1
	}
	return 1
}

// DeleteVersion removes one version for good; one that does not exist is no
// error.
func (b *Bucket) DeleteVersion(ctx context.Context, key, version string) error {
	_, err := b.Client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.Name, Key: &key, VersionId: &version})
	var refused smithy.APIError
	switch {
	case err == nil, status(err) == http.StatusNotFound:
		return nil
	case errors.As(err, &refused) && refused.ErrorCode() == "InvalidArgument":
		return nil // the local S3 says so of a version that is gone
	}
	return fmt.Errorf("delete version: %w", err)
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
