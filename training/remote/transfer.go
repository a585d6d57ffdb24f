package remote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"golang.org/x/sync/errgroup"
)

// files is how many files are on their way at once. A large one has parts of
// its own on their way.
const files = 16

// removing is how long a finished push may go on to delete what it replaced.
const removing = time.Minute

// Push makes the set at a prefix what dir holds: all of it, or, where names are
// given, only those files and folders of dir (with slashes, without "..";
// one that is not there is left out). Names that start with a dot are left out.
//
// The set changes at the very end and in one step, so the error of a push that
// broke off leaves the set that was. Only content that the old set lacks is
// sent; content that the new set lacks is deleted, at last. A file that changes
// while it is pushed is an error. ErrChanged where another job came between.
func Push(ctx context.Context, b *Bucket, prefix, dir string, names ...string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("push: %w", err)
	}
	defer root.Close()
	paths, err := walk(root.FS(), names)
	if err != nil {
		return fmt.Errorf("push: %w", err)
	}
	old, tag, err := b.readSet(ctx, prefix)
	if err != nil && !errors.Is(err, ErrNoSet) {
		return fmt.Errorf("push: %w", err)
	}
	kept := map[string]bool{}
	for _, f := range old.Files {
		kept[f.SHA256] = true
	}

	s := set{Schema: schema, Files: make([]file, len(paths))}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(files)
	for i, p := range paths {
		group.Go(func() (err error) {
			if s.Files[i], err = b.pushFile(groupCtx, prefix, root, p, kept); err != nil {
				return fmt.Errorf("push %s: %w", p, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := b.writeSet(ctx, prefix, s, tag); err != nil {
		return fmt.Errorf("push: %w", err)
	}
	return b.removeReplaced(ctx, prefix, old, s)
}

// walk lists the regular files below names, or below the whole folder, in order.
func walk(fsys fs.FS, names []string) ([]string, error) {
	if len(names) == 0 {
		names = []string{"."}
	}
	var out []string
	for _, name := range names {
		err := fs.WalkDir(fsys, path.Clean(name), func(p string, e fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist) && p == path.Clean(name):
				return nil
			case err != nil:
				return err
			case strings.HasPrefix(e.Name(), ".") && p != ".":
				if e.IsDir() {
					return fs.SkipDir
				}
				return nil
			case e.IsDir():
				return nil
			case !e.Type().IsRegular():
				return fmt.Errorf("%s is neither a file nor a folder", p)
			}
			out = append(out, p)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// pushFile sends a file's content, unless it is kept already.
func (b *Bucket) pushFile(ctx context.Context, prefix string, root *os.Root, name string, kept map[string]bool) (file, error) {
	in, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return file{}, err
	}
	defer in.Close()
	sum, n, err := hash(ctx, in)
	if err != nil {
		return file{}, err
	}
	f := file{Path: name, Bytes: n, SHA256: sum}
	if kept[sum] {
		return f, nil
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return file{}, err
	}
	// A reader that cannot seek is read once, in order, so what the hash sees is what is sent.
	again := sha256.New()
	key := f.key(prefix)
	_, err = b.manager().UploadObject(ctx, &transfermanager.UploadObjectInput{
		Bucket: &b.Name,
		Key:    &key,
		Body:   io.TeeReader(in, again),
	})
	if err != nil {
		return file{}, fmt.Errorf("put object: %w", err)
	}
	if hex.EncodeToString(again.Sum(nil)) == sum {
		return f, nil
	}
	// The name must not go on promising what the object does not hold.
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), removing)
	defer cancel()
	return file{}, errors.Join(errors.New("the file changed meanwhile"), b.remove(after, key))
}

// removeReplaced deletes the contents of the old set that the new one lacks.
func (b *Bucket) removeReplaced(ctx context.Context, prefix string, old, s set) error {
	stays := map[string]bool{}
	for _, f := range s.Files {
		stays[f.SHA256] = true
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(files)
	for _, f := range old.Files {
		if stays[f.SHA256] {
			continue
		}
		stays[f.SHA256] = true // two paths may share a content
		group.Go(func() error { return b.remove(ctx, f.key(prefix)) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("remove what was replaced: %w", err)
	}
	return nil
}

// Pull brings the set at a prefix into dir, which it makes if need be. Each file
// is checked by its hash before it takes its name; one that is there and right
// is not fetched. Files of dir that are not in the set stay. ErrNoSet.
func Pull(ctx context.Context, b *Bucket, prefix, dir string) error {
	s, _, err := b.readSet(ctx, prefix)
	if err != nil {
		return fmt.Errorf("pull: %w", err)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("pull: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("pull: %w", err)
	}
	defer root.Close()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(files)
	for _, f := range s.Files {
		group.Go(func() error {
			if err := b.pullFile(ctx, prefix, root, f); err != nil {
				return fmt.Errorf("pull %s: %w", f.Path, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// pullFile brings one file, under a name with a dot until it is whole.
func (b *Bucket) pullFile(ctx context.Context, prefix string, root *os.Root, f file) (err error) {
	name := filepath.FromSlash(f.Path)
	if right(ctx, root, name, f) {
		return nil
	}
	if err := root.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	part := filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+".part")
	out, err := root.Create(part)
	if err != nil {
		return err
	}
	defer func() {
		out.Close()
		if err != nil {
			err = errors.Join(err, root.Remove(part))
		}
	}()
	key := f.key(prefix)
	if _, err := b.manager().DownloadObject(ctx, &transfermanager.DownloadObjectInput{
		Bucket: &b.Name, Key: &key, WriterAt: out,
	}); err != nil {
		return fmt.Errorf("get object: %w", err)
	}
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		return err
	}
	sum, n, err := hash(ctx, out)
	if err != nil {
		return err
	}
	if sum != f.SHA256 || n != f.Bytes {
		return errors.New("the object is not what its set says, by its SHA-256")
	}
	if err := out.Close(); err != nil {
		return err
	}
	return root.Rename(part, name)
}

// right tells whether a file is there and holds what the set says.
func right(ctx context.Context, root *os.Root, name string, f file) bool {
	info, err := root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() != f.Bytes {
		return false
	}
	in, err := root.Open(name)
	if err != nil {
		return false
	}
	defer in.Close()
	sum, _, err := hash(ctx, in)
	return err == nil && sum == f.SHA256
}

// manager sends and fetches large objects in parts. When it gives up an upload
// it gives back the parts that were sent.
func (b *Bucket) manager() *transfermanager.Client {
	return transfermanager.New(b.Client, func(o *transfermanager.Options) { o.FailTimeout = removing })
}

// hash reads r to its end and returns the digits of its SHA-256, and its size.
func hash(ctx context.Context, r io.Reader) (string, int64, error) {
	h := sha256.New()
	n, err := io.Copy(h, untilDone{ctx, r})
	return hex.EncodeToString(h.Sum(nil)), n, err
}

// untilDone reads until its context ends.
type untilDone struct {
	ctx context.Context
	io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.Reader.Read(p)
}
