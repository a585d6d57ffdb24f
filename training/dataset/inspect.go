package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/reason"
)

// faces is what is needed of face.Reader.
type faces interface {
	Read(photo []byte) (*face.Face, error)
}

// Inspection is how photos are looked at.
type Inspection struct {
	Faces   faces                  // nil: refusals are not asked for
	Known   map[string]reason.Code // what serving says of files, by hash, from an earlier run with the same Faces
	Workers int                    // at once; less than 1 means 1
	Done    func()                 // called after each photo that is Open; nil: nothing
}

// Open counts the photos that Inspect will open.
func Open(samples []Sample) int {
	n := 0
	for i := range samples {
		if samples[i].linked() {
			n++
		}
	}
	return n
}

// Inspect reads every photo that may matter from the folder of images: all for
// their hash, those that train or validate for what serving says of them. A
// photo that is not there is left out.
func Inspect(ctx context.Context, samples []Sample, images string, in Inspection) error {
	root, err := os.OpenRoot(images)
	if err != nil {
		return fmt.Errorf("open folder of images: %w", err)
	}
	defer root.Close()

	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, in.Workers))
	for i := range samples {
		p := &samples[i]
		if !p.linked() {
			continue
		}
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := p.inspect(root, in); err != nil {
				return fmt.Errorf("%s: %w", p.File, err)
			}
			if in.Done != nil {
				in.Done()
			}
			return nil
		})
	}
	return g.Wait()
}

func (p *Sample) inspect(root *os.Root, in Inspection) error {
	photo, err := root.ReadFile(filepath.FromSlash(p.File))
	if errors.Is(err, fs.ErrNotExist) {
		p.leaveOut(Missing)
		return nil
	}
	if err != nil {
		return fmt.Errorf("read photo: %w", err)
	}
	p.Hash = digest.Of(photo)
	if in.Faces == nil || p.Side == "" {
		return nil
	}
	if code, ok := in.Known[p.Hash]; ok {
		p.Code = code
		return nil
	}
	_, err = in.Faces.Read(photo)
	p.Code = reason.Of(err)
	if p.Code == reason.Internal {
		return err // the detector's fault, not the photo's
	}
	return nil
}

// leaveOut takes the photo off its side.
func (p *Sample) leaveOut(why Reason) { p.Drop, p.Side = why, "" }
