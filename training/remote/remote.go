// Package remote keeps folders of files in S3 as whole sets, so that a training
// job that lost its machine goes on on another one: checkpoints, metrics and
// data sets.
//
// Below a set's prefix lie
//
//	files/<sha256>   one object for each content
//	latest.json      the set: paths, sizes and hashes; written last
//
// A content's object never changes, and latest.json is replaced by one write,
// conditional on the one that was read. So a push that breaks off leaves the
// old set whole, and of two pushes that overlap one fails. Two jobs that take
// turns are not found out: each replaces the other's set. What a broken push
// left behind is for a lifecycle rule of the bucket to remove.
//
// It is for files of which a set has at most some ten thousand; it knows no
// empty folders, links, modes or times.
package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// The errors that callers act on.
var (
	// ErrNoSet says that no push to the prefix was ever completed.
	ErrNoSet = errors.New("no complete set there")
	// ErrChanged says that somebody else pushed to the prefix meanwhile.
	ErrChanged = errors.New("another job pushes there")
)

// Bucket is the bucket of this name.
type Bucket struct {
	Client *s3.Client
	Name   string
}

// Open returns the bucket of a URI, s3://BUCKET/PREFIX, and the prefix, without
// a slash at its end. Credentials, region and endpoint are the SDK's affair.
func Open(ctx context.Context, uri string) (*Bucket, string, error) {
	name, prefix, err := parse(uri)
	if err != nil {
		return nil, "", err
	}
	c, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, "", fmt.Errorf("configure S3: %w", err)
	}
	return &Bucket{Client: s3.NewFromConfig(c), Name: name}, prefix, nil
}

// scheme starts a URI that names a place in S3.
const scheme = "s3://"

// IsURI tells whether a place is one in S3, and not a folder.
func IsURI(place string) bool { return strings.HasPrefix(place, scheme) }

func parse(uri string) (bucket, prefix string, err error) {
	rest, ok := strings.CutPrefix(uri, scheme)
	bucket, prefix, _ = strings.Cut(rest, "/")
	prefix = strings.TrimSuffix(prefix, "/")
	if !ok || bucket == "" || prefix == "." || !fs.ValidPath(prefix) {
		return "", "", fmt.Errorf("%q is not of the form s3://BUCKET/PREFIX", uri)
	}
	return bucket, prefix, nil
}

// LocalPath returns a folder that holds what place names: place itself where it
// is a folder, else a folder under cache that a set in S3 was pulled into. Files
// that the cache holds already are not fetched again. ErrNoSet.
func LocalPath(ctx context.Context, place, cache string) (string, error) {
	if !IsURI(place) {
		return place, nil
	}
	b, prefix, err := Open(ctx, place)
	if err != nil {
		return "", err
	}
	return b.localPath(ctx, prefix, cache)
}

func (b *Bucket) localPath(ctx context.Context, prefix, cache string) (string, error) {
	dir := filepath.Join(cache, b.Name, filepath.FromSlash(prefix))
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", fmt.Errorf("make cache: %w", err)
	}
	return dir, Pull(ctx, b, prefix, dir)
}

// status is the HTTP status of an answer that is an error; 0 without an answer.
func status(err error) int {
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}

// exists tells whether there is an object, by listing: to one who may not list
// the whole bucket, reading a missing object is forbidden, not missing.
func (b *Bucket) exists(ctx context.Context, key string) (bool, error) {
	out, err := b.Client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &b.Name, Prefix: &key, MaxKeys: aws.Int32(1)})
	if err != nil {
		return false, fmt.Errorf("list objects: %w", err)
	}
	return len(out.Contents) == 1 && aws.ToString(out.Contents[0].Key) == key, nil
}

// remove deletes an object; one that is gone is no error.
func (b *Bucket) remove(ctx context.Context, key string) error {
	_, err := b.Client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.Name, Key: &key})
	if err != nil && status(err) != http.StatusNotFound {
		return fmt.Errorf("delete object: %w", err)
	}
	return nil
}
