package erasure

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/journal"
	"github.com/agequote/agequote/internal/store"
)

// Actions of a case's hold records.
const (
	Hold    = "hold"
	Release = "release"
)

// HeldError says that a legal hold stops the erasure of a case.
type HeldError struct{ By, Why, Since string }

func (e *HeldError) Error() string {
	return fmt.Sprintf("a legal hold stands since %s, by %s: %s", e.Since, e.By, e.Why)
}

// The errors of Hold and Release.
var (
	ErrErased  = errors.New("the case is erased")
	ErrAlready = errors.New("nothing to do")
)

func (e *Eraser) holds(id string) *journal.Journal {
	return &journal.Journal{Objects: e.Cases, Prefix: casefile.HoldPrefix(id)}
}

// Held returns the record of the hold that stands on a case; ok is false where
// none does. A record that cannot be read counts as a hold.
func (e *Eraser) Held(ctx context.Context, id string) (r journal.Record, ok bool, err error) {
	r, ok, err = e.holds(id).Last(ctx)
	if errors.Is(err, journal.ErrBroken) {
		return r, true, nil
	}
	return r, ok && r.Action != Release, err
}

func (e *Eraser) refuseHeld(ctx context.Context, id string) error {
	r, held, err := e.Held(ctx, id)
	if err != nil {
		return fmt.Errorf("look for a hold: %w", err)
	}
	if held {
		return &HeldError{By: r.By, Why: r.Why, Since: r.Time.Format(time.RFC3339)}
	}
	return nil
}

// Hold puts a case under legal hold: neither erased nor expired until released.
// Its photos are copied out of reach of the uploads bucket's lifecycle, which
// knows of no hold. ErrAlready comes with a hold that stands, and copies what
// came since; ErrErased where there is nothing left to hold.
func (e *Eraser) Hold(ctx context.Context, photos photoReader, id string, r journal.Record) (journal.Record, error) {
	last, held, err := e.Held(ctx, id)
	if err != nil {
		return journal.Record{}, err
	}
	if held {
		return last, errors.Join(ErrAlready, e.Preserve(ctx, photos, id))
	}
	r.Action, r.Time, r.Version = Hold, e.Now().UTC(), e.Version
	written, err := e.holds(id).Append(ctx, last.N, r)
	if err != nil {
		return journal.Record{}, fmt.Errorf("write hold: %w", err)
	}
	// An erasure that looked before our record stood has written its tombstone
	// by now, or finds the record when it looks again.
	switch _, err := e.tombstone(ctx, id); {
	case err == nil:
		return written, ErrErased
	case !errors.Is(err, store.ErrNotFound):
		return written, err
	}
	return written, e.Preserve(ctx, photos, id)
}

// photoReader is what Preserve asks of the uploads bucket.
type photoReader interface {
	Versions(ctx context.Context, prefix string) ([]store.Version, error)
	GetVersion(ctx context.Context, key, version string, limit int64) ([]byte, error)
}

// maxPhoto bounds what is copied: the presigned form allows 10 MiB.
const maxPhoto = 16 << 20

// Preserve copies a held case's photos that are not copied yet, each version
// under its own name.
func (e *Eraser) Preserve(ctx context.Context, photos photoReader, id string) error {
	versions, err := photosOf(ctx, photos, id)
	if err != nil {
		return err
	}
	for _, v := range versions {
		if v.Marker {
			continue
		}
		name := strings.Replace(strings.TrimPrefix(v.Key, casefile.UploadPrefix(id)), casefile.BatchUploadPrefix(id), "batch/", 1)
		copied := casefile.HeldPhotoPrefix(id) + name + "/" + v.ID
		if have, err := e.Cases.List(ctx, copied); err != nil || len(have) > 0 {
			if err != nil {
				return fmt.Errorf("look for the copy: %w", err)
			}
			continue
		}
		body, err := photos.GetVersion(ctx, v.Key, v.ID, maxPhoto)
		if err != nil {
			return fmt.Errorf("read photo: %w", err)
		}
		if err := e.Cases.PutIfAbsent(ctx, copied, body); err != nil && !errors.Is(err, store.ErrExists) {
			return fmt.Errorf("copy photo: %w", err)
		}
	}
	return nil
}

// Release ends a hold, and removes the copies of its photos: the photos
// themselves follow the rule for all others again. ErrAlready where no hold
// stands.
func (e *Eraser) Release(ctx context.Context, id string, r journal.Record) (journal.Record, error) {
	last, held, err := e.Held(ctx, id)
	if err != nil {
		return journal.Record{}, err
	}
	written := last
	if held {
		r.Action, r.Time, r.Version = Release, e.Now().UTC(), e.Version
		if written, err = e.holds(id).Append(ctx, last.N, r); err != nil {
			return journal.Record{}, fmt.Errorf("write release: %w", err)
		}
	}
	if err := e.removeAll(ctx, e.Cases, casefile.HeldPhotoPrefix(id)); err != nil {
		return written, fmt.Errorf("remove copies: %w", err)
	}
	if !held {
		return written, ErrAlready
	}
	return written, nil
}
