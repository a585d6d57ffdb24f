// Package cases reads and writes the objects of a case in a store. It knows how
// an object that already stands is met; what the objects mean is package
// casefile's affair.
package cases

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/store"
)

// ErrUnreadable says that an object stands but is not what its name promises.
var ErrUnreadable = errors.New("object cannot be read")

// ErrErased says that a case is erased, or is being erased: nothing may be
// written to it any more.
var ErrErased = errors.New("case is erased")

// maxObject bounds what is read of an object of ours.
const maxObject = 1 << 20

// What the functions here ask of a store.
type (
	getter interface {
		Get(ctx context.Context, key string, limit int64) ([]byte, error)
	}
	putter interface {
		PutIfAbsent(ctx context.Context, key string, body []byte) error
	}
	lister interface {
		List(ctx context.Context, prefix string) ([]string, error)
	}
	remover interface {
		Versions(ctx context.Context, prefix string) ([]store.Version, error)
		DeleteVersion(ctx context.Context, key, version string) error
	}
)

// Stored is an object with the name and the hash under which it stands.
type Stored[T any] struct {
	Object T
	Key    string
	Hash   string // "sha256:..." of its bytes
	Erased bool   // its personal data were removed
}

// Alive returns ErrErased for a case that has a tombstone. Whoever starts work
// on a case asks first. One who asked before the tombstone stood, and writes
// after it, finds the name of what it would write taken: see package erasure.
func Alive(ctx context.Context, s getter, id string) error {
	_, err := s.Get(ctx, casefile.DeletedKey(id), maxObject)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err == nil, errors.Is(err, store.ErrTooLarge):
		return ErrErased
	}
	return fmt.Errorf("look for the tombstone: %w", err)
}

// LatestApplication returns the application with the highest number, or
// store.ErrNotFound.
func LatestApplication(ctx context.Context, s reader, id string) (Stored[casefile.Application], error) {
	folder, err := Look(ctx, s, id)
	if err != nil {
		return Stored[casefile.Application]{}, err
	}
	return folder.LatestApplication(ctx)
}

// Read returns the object of this name: store.ErrNotFound, ErrUnreadable.
func Read[T any](ctx context.Context, s getter, key string) (Stored[T], error) {
	b, err := s.Get(ctx, key, maxObject)
	if errors.Is(err, store.ErrTooLarge) {
		return Stored[T]{}, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	if err != nil {
		return Stored[T]{}, err
	}
	return decode[T](key, b)
}

// WriteOnce writes an object, or returns the one that already stands under its
// name: a second delivery of a cause finds the first one's effect.
func WriteOnce[T any](ctx context.Context, s interface {
	getter
	putter
}, key string, body []byte) (Stored[T], error) {
	err := s.PutIfAbsent(ctx, key, body)
	switch {
	case err == nil:
		return decode[T](key, body)
	case errors.Is(err, store.ErrExists):
		return Read[T](ctx, s, key)
	}
	return Stored[T]{}, err
}

// Exists tells whether an object of this name stands, whatever is in it.
func Exists(ctx context.Context, s getter, key string) (bool, error) {
	_, err := s.Get(ctx, key, maxObject)
	switch {
	case err == nil, errors.Is(err, store.ErrTooLarge):
		return true, nil
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	}
	return false, err
}

func decode[T any](key string, b []byte) (Stored[T], error) {
	o := Stored[T]{Key: key, Hash: digest.Of(b)}
	if err := json.Unmarshal(b, &o.Object); err != nil {
		// The decoder's text can hold the object's content, which is personal.
		return Stored[T]{}, fmt.Errorf("decode stored %T: %w", o.Object, ErrUnreadable)
	}
	var mark struct {
		Case   string
		Erased *casefile.Erased
	}
	if err := json.Unmarshal(b, &mark); err != nil {
		return Stored[T]{}, fmt.Errorf("decode mark of erasure: %w", ErrUnreadable)
	}
	if rest, ok := strings.CutPrefix(key, "cases/"); ok && mark.Case != "" && !strings.HasPrefix(rest, mark.Case+"/") {
		return Stored[T]{}, fmt.Errorf("stored %T of another case: %w", o.Object, ErrUnreadable)
	}
	o.Erased = mark.Erased != nil
	return o, nil
}

// Encode returns the bytes under which an object is stored: one line of JSON.
func Encode(object any) ([]byte, error) {
	b, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", object, err)
	}
	return append(b, '\n'), nil
}

// Mark writes queue markers; those that stand stay.
func Mark(ctx context.Context, s putter, markers []string) error {
	for _, key := range markers {
		if err := s.PutIfAbsent(ctx, key, nil); err != nil && !errors.Is(err, store.ErrExists) {
			return fmt.Errorf("write queue marker: %w", err)
		}
	}
	return nil
}

// Unmark removes queue markers with all their versions; one that is not there is
// no error. A marker's name tells a case and a sum, and it may have to be written
// again: when a case fails again, or a senior returns a suggestion. The local S3
// takes a name that a deletion only hides for one that stands.
func Unmark(ctx context.Context, s remover, markers ...string) error {
	for _, key := range markers {
		versions, err := s.Versions(ctx, key)
		if err != nil {
			return fmt.Errorf("look for queue marker: %w", err)
		}
		for _, v := range slices.Backward(versions) { // the oldest first, so that none comes to light again
			if v.Key != key {
				continue
			}
			if err := s.DeleteVersion(ctx, v.Key, v.ID); err != nil {
				return fmt.Errorf("remove queue marker: %w", err)
			}
		}
	}
	return nil
}
