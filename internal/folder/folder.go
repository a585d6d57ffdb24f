// Package folder keeps a bucket in a folder, as the local stack and a batch on a
// laptop do: each object is a file under its key. It knows no versions of an
// object but the newest, and deletes nothing.
package folder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/agequote/agequote/internal/store"
)

// Bucket is a store in a folder. Keys cannot lead out of it.
type Bucket struct{ root *os.Root }

// Open opens the folder of a bucket. kind is cases, uploads or models: where
// dir is the folder of a local stack, or the one in it that holds all buckets,
// that bucket of it is meant.
func Open(dir, kind string) (*Bucket, error) {
	found, err := find(dir, kind)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(found)
	if err != nil {
		return nil, fmt.Errorf("open bucket's folder: %w", err)
	}
	return &Bucket{root: root}, nil
}

func find(dir, kind string) (string, error) {
	for _, pattern := range []string{"objects/*-" + kind + "-*", "*-" + kind + "-*"} {
		// Glob knows one error, a bad pattern, which a folder's name can make.
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return "", fmt.Errorf("find bucket in folder: %w", err)
		}
		if len(found) > 1 {
			return "", fmt.Errorf("find bucket in folder: %d of them are for %s; name one", len(found), kind)
		}
		if len(found) == 1 {
			return found[0], nil
		}
	}
	return dir, nil
}

// Close closes the folder.
func (b *Bucket) Close() error { return b.root.Close() }

// Get returns an object of at most limit bytes: store.ErrNotFound,
// store.ErrTooLarge.
func (b *Bucket) Get(_ context.Context, key string, limit int64) ([]byte, error) {
	f, err := b.root.Open(filepath.FromSlash(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("open object: %w", err)
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read object: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, store.ErrTooLarge
	}
	return body, nil
}

// GetVersion returns the newest version, whichever is asked for: whoever must
// know compares the hash.
func (b *Bucket) GetVersion(ctx context.Context, key, _ string, limit int64) ([]byte, error) {
	return b.Get(ctx, key, limit)
}

// List returns the keys that start with prefix, in order.
func (b *Bucket) List(_ context.Context, prefix string) ([]string, error) {
	var keys []string
	start := path.Dir(prefix + "x")
	err := fs.WalkDir(b.root.FS(), start, func(key string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() && strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list objects: %w", err)
	}
	slices.Sort(keys)
	return keys, nil
}

// Each calls do with the name of every folder directly under a folder of keys,
// in no order, until do fails. It holds a thousand names at a time.
func (b *Bucket) Each(prefix string, do func(name string) error) error {
	dir, err := b.root.Open(filepath.FromSlash(strings.TrimSuffix(prefix, "/")))
	if err != nil {
		return fmt.Errorf("open folder: %w", err)
	}
	defer dir.Close()
	for {
		entries, err := dir.ReadDir(1000)
		for _, e := range entries {
			if !e.IsDir() {
				continue
			}
			if err := do(e.Name()); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read folder: %w", err)
		}
	}
}
