package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"github.com/agequote/agequote/internal/store"
)

// Writing is the folder, in a Store's, of what is being written. Create empties
// it.
const Writing = ".writing"

// Store is a bucket in a folder that objects are written to, each once. What
// stands under a name is whole, whenever the process was killed or the power
// went: content is written to a file of its own, handed to the disk (fsync),
// and only then linked to its name, which fails where the name is taken. The
// name itself is not waited for: after a power cut it may be gone, and the
// object is made again. The file system must know hard links.
type Store struct {
	Bucket
	written atomic.Int64
}

// Create opens a folder for writing, and makes it where there is none. One
// process may write to it: what another one was writing when it died is removed.
func Create(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil { // facts of people: for the owner alone
		return nil, fmt.Errorf("create folder: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	if err := errors.Join(root.RemoveAll(Writing), root.Mkdir(Writing, 0o700)); err != nil {
		return nil, errors.Join(fmt.Errorf("make room for new objects: %w", err), root.Close())
	}
	return &Store{Bucket: Bucket{root: root}}, nil
}

// Exists tells whether an object stands.
func (s *Store) Exists(_ context.Context, key string) (bool, error) {
	_, err := s.root.Lstat(filepath.FromSlash(key))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for object: %w", err)
	}
	return true, nil
}

// PutIfAbsent writes an object that does not exist yet: store.ErrExists.
func (s *Store) PutIfAbsent(ctx context.Context, key string, body []byte) (err error) {
	if exists, err := s.Exists(ctx, key); err != nil {
		return err
	} else if exists {
		return store.ErrExists
	}
	name := filepath.FromSlash(key)
	if len(body) == 0 {
		return s.mark(name)
	}
	temp := filepath.Join(Writing, strconv.FormatInt(s.written.Add(1), 36))
	if err := s.writeFile(temp, body); err != nil {
		return fmt.Errorf("write object: %w", err)
	}
	defer func() { err = errors.Join(err, s.root.Remove(temp)) }()
	err = s.root.Link(temp, name)
	if errors.Is(err, fs.ErrNotExist) { // its folder is new
		if err := s.root.MkdirAll(path.Dir(name), 0o700); err != nil {
			return fmt.Errorf("create folder of object: %w", err)
		}
		err = s.root.Link(temp, name)
	}
	return named(err)
}

// mark writes an empty object, which needs no link to be whole.
func (s *Store) mark(name string) error {
	if err := s.root.MkdirAll(path.Dir(name), 0o700); err != nil {
		return fmt.Errorf("create folder of object: %w", err)
	}
	f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return named(err)
	}
	return f.Close()
}

func named(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		return store.ErrExists
	}
	return fmt.Errorf("name object: %w", err)
}

func (s *Store) writeFile(name string, body []byte) (err error) {
	f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(body); err != nil {
		return err
	}
	return f.Sync()
}
