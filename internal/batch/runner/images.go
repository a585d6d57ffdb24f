package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/agequote/agequote/internal/batch"
	"github.com/agequote/agequote/internal/store"
)

// Images are the photos of a batch in a folder. No name leads out of it, by a
// symbolic link neither.
type Images struct{ root *os.Root }

// OpenImages opens the folder.
func OpenImages(dir string) (*Images, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open folder of images: %w", err)
	}
	return &Images{root}, nil
}

// Close closes the folder.
func (i *Images) Close() error { return i.root.Close() }

// Check returns why a photo cannot be read, "" where it can. What is no
// ordinary file is not opened: opening a pipe would wait for ever.
func (i *Images) Check(photo string) batch.Code {
	info, err := i.root.Stat(filepath.FromSlash(photo))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return batch.PhotoMissing
	case err != nil || !info.Mode().IsRegular():
		return batch.PhotoUnreadable
	}
	f, err := i.root.Open(filepath.FromSlash(photo))
	if err != nil {
		return batch.PhotoUnreadable
	}
	_ = f.Close() // nothing was written
	return ""
}

// GetVersion returns a photo of at most limit bytes: store.ErrNotFound,
// store.ErrTooLarge. Files have no versions.
func (i *Images) GetVersion(_ context.Context, photo, _ string, limit int64) ([]byte, error) {
	f, err := i.root.Open(filepath.FromSlash(photo))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("open photo: %w", err)
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read photo: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, store.ErrTooLarge
	}
	return body, nil
}
