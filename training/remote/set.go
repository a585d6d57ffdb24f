package remote

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// schema is the version of latest.json.
const schema = 1

// latest is the name of the object that holds the set, below the prefix.
const latest = "latest.json"

// maxSet is the most bytes of a latest.json that are read: some 100,000 files.
const maxSet = 32 << 20

// set is what latest.json holds.
type set struct {
	Schema int    `json:"schema"`
	Files  []file `json:"files"` // in the order of their paths
}

// file is one file of a set.
type file struct {
	Path   string `json:"path"` // below the folder, with slashes
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // 64 hexadecimal digits
}

// key is where a file's content lies.
func (f file) key(prefix string) string { return prefix + "/files/" + f.SHA256 }

// parseSet reads a latest.json. What it returns names only files inside the
// folder, each once, so that nothing in the bucket can write elsewhere.
func parseSet(body []byte) (set, error) {
	var s set
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return set{}, fmt.Errorf("read set: %w", err)
	}
	if s.Schema != schema {
		return set{}, fmt.Errorf("read set: its schema is %d, not %d", s.Schema, schema)
	}
	before := ""
	for _, f := range s.Files {
		if err := f.check(); err != nil {
			return set{}, fmt.Errorf("read set: %w", err)
		}
		if f.Path <= before {
			return set{}, fmt.Errorf("read set: %q is out of order", f.Path)
		}
		before = f.Path
	}
	return s, nil
}

func (f file) check() error {
	sum, err := hex.DecodeString(f.SHA256)
	switch {
	case !fs.ValidPath(f.Path) || f.Path == "." || !filepath.IsLocal(filepath.FromSlash(f.Path)) || strings.Contains(f.Path, `\`):
		return fmt.Errorf("%q is no path inside the folder", f.Path)
	case err != nil || len(sum) != 32 || strings.ToLower(f.SHA256) != f.SHA256:
		return fmt.Errorf("%q has no SHA-256", f.Path)
	case f.Bytes < 0:
		return fmt.Errorf("%q has a negative size", f.Path)
	}
	return nil
}

// readSet returns the set at a prefix, and the tag that tells this latest.json
// from the next. ErrNoSet.
func (b *Bucket) readSet(ctx context.Context, prefix string) (set, string, error) {
	key := prefix + "/" + latest
	there, err := b.exists(ctx, key)
	if err != nil {
		return set{}, "", err
	}
	if !there {
		return set{}, "", ErrNoSet
	}
	out, err := b.Client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.Name, Key: &key})
	if err != nil {
		return set{}, "", fmt.Errorf("get set: %w", err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(io.LimitReader(out.Body, maxSet+1))
	if err != nil {
		return set{}, "", fmt.Errorf("get set: %w", err)
	}
	if len(body) > maxSet {
		return set{}, "", fmt.Errorf("get set: it is larger than %d bytes", maxSet)
	}
	s, err := parseSet(body)
	return s, aws.ToString(out.ETag), err
}

// writeSet makes s the set at a prefix, if that one's tag is still before; empty
// means that there was none. ErrChanged.
func (b *Bucket) writeSet(ctx context.Context, prefix string, s set, before string) error {
	body, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write set: %w", err)
	}
	in := &s3.PutObjectInput{
		Bucket:      &b.Name,
		Key:         aws.String(prefix + "/" + latest),
		Body:        bytes.NewReader(body),
		ContentType: aws.String("application/json"),
	}
	if before == "" {
		in.IfNoneMatch = aws.String("*")
	} else {
		in.IfMatch = &before
	}
	_, err = b.Client.PutObject(ctx, in)
	switch {
	case err == nil:
		return nil
	case status(err) == http.StatusPreconditionFailed, status(err) == http.StatusConflict, status(err) == http.StatusNotFound:
		return ErrChanged
	}
	return fmt.Errorf("write set: %w", err)
}
