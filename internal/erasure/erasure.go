// Package erasure removes what is personal of a case: photos with all their
// versions, facts, estimates, hashes of photos, prices, complaints' words and
// queue markers. What an examiner needs stays, without personal data, behind a
// tombstone: that there was consent, what was decided, by which rules and model.
//
// Elsewhere objects are written once. Here an object gets a successor under its
// own name that holds only what stays, and then all its older versions go: at no
// moment is the name free. The successor carries the hash of what was there
// where others refer to it, so that a chain of hashes still verifies.
//
// The tombstone comes first. Whoever starts work on the case after it (predict,
// quote, failed, onboard) finds it and writes nothing. Whoever started before it
// works on a photo or an application that stands already; the names under which
// that work would be written are taken before anything is removed, so its
// conditional write finds them taken. A queue marker alone can come after all,
// within the moment between the look and the write; expiry sweeps it.
//
// Each step may be done again, so that a call after a crash finishes the work.
package erasure

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/store"
)

// maxObject bounds what is read of an object of ours.
const maxObject = 1 << 20

// passes bounds how often an erasure looks whether anything came meanwhile.
const passes = 5

// ErrRestless says that a case was written to all the while. Calling again goes
// on.
var ErrRestless = errors.New("the case does not come to rest")

// What we need of others, no more.
type (
	photoStore interface {
		Versions(ctx context.Context, prefix string) ([]store.Version, error)
		DeleteVersion(ctx context.Context, key, version string) error
	}
	caseStore interface {
		photoStore
		Get(ctx context.Context, key string, limit int64) ([]byte, error)
		GetVersion(ctx context.Context, key, version string, limit int64) ([]byte, error)
		PutIfAbsent(ctx context.Context, key string, body []byte) error
		Overwrite(ctx context.Context, key string, body []byte) error
		List(ctx context.Context, prefix string) ([]string, error)
	}
)

// Eraser erases cases in a deployment's buckets.
type Eraser struct {
	Photos  photoStore
	Cases   caseStore
	Version string // code version, for the tombstone
	Now     func() time.Time
}

// Kept is something that stays of an erased case.
type Kept struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// Receipt tells what an erasure did. It shows nothing of the person.
type Receipt struct {
	Schema  int       `json:"schema"`
	Receipt string    `json:"receipt"` // its number
	Time    time.Time `json:"time"`
	Removed []string  `json:"removed"` // kinds, see the words of this package
	Kept    []Kept    `json:"kept"`
}

// Erase erases a case: *HeldError, store.ErrNotFound for a case of which there
// is nothing, ErrRestless. By and why are for the tombstone and must not tell
// anything of the person. A case that is erased already gives the same receipt
// again.
func (e *Eraser) Erase(ctx context.Context, id, by, why string) (Receipt, error) {
	if !casefile.ValidID(id) {
		return Receipt{}, store.ErrNotFound
	}
	t, err := e.bury(ctx, id, by, why)
	if err != nil {
		return Receipt{}, err
	}
	if _, err := e.finish(ctx, t); err != nil {
		return Receipt{}, err
	}
	return receipt(t), nil
}

// Finish goes on with the erasure of a case that has a tombstone, and tells
// whether anything was left to do: store.ErrNotFound without one, ErrRestless.
func (e *Eraser) Finish(ctx context.Context, id string) (changed bool, err error) {
	t, err := e.tombstone(ctx, id)
	if err != nil {
		return false, err
	}
	return e.finish(ctx, t)
}

// finish does every step until there is nothing to do.
func (e *Eraser) finish(ctx context.Context, t casefile.Tombstone) (changed bool, err error) {
	for range passes {
		did, err := e.pass(ctx, t)
		if err != nil {
			return changed, err
		}
		if !did {
			return changed, nil
		}
		changed = true
	}
	return changed, ErrRestless
}

// bury writes the tombstone, or returns the one that stands. A hold that came
// between the look and the write wins: the tombstone goes again, and nothing
// was removed.
func (e *Eraser) bury(ctx context.Context, id, by, why string) (casefile.Tombstone, error) {
	standing, err := e.tombstone(ctx, id)
	if err == nil || !errors.Is(err, store.ErrNotFound) {
		return standing, err
	}
	if err := e.refuseHeld(ctx, id); err != nil {
		return casefile.Tombstone{}, err
	}
	removed, err := e.survey(ctx, id)
	if err != nil {
		return casefile.Tombstone{}, err
	}
	if len(removed) == 0 {
		return casefile.Tombstone{}, store.ErrNotFound
	}
	t := casefile.Tombstone{
		Schema: casefile.Schema, Case: id, Receipt: rand.Text(), Time: e.Now().UTC(),
		By: by, Why: why, Removed: removed, Version: e.Version,
	}
	body, err := encode(t)
	if err != nil {
		return casefile.Tombstone{}, err
	}
	err = e.Cases.PutIfAbsent(ctx, casefile.DeletedKey(id), body)
	if errors.Is(err, store.ErrExists) {
		return e.tombstone(ctx, id) // another call's
	}
	if err != nil {
		return casefile.Tombstone{}, fmt.Errorf("write tombstone: %w", err)
	}
	if err := e.refuseHeld(ctx, id); err != nil {
		return casefile.Tombstone{}, errors.Join(err, e.removeAll(ctx, e.Cases, casefile.DeletedKey(id)))
	}
	return t, nil
}

func (e *Eraser) tombstone(ctx context.Context, id string) (casefile.Tombstone, error) {
	body, err := e.Cases.Get(ctx, casefile.DeletedKey(id), maxObject)
	if err != nil {
		return casefile.Tombstone{}, fmt.Errorf("read tombstone: %w", err)
	}
	var t casefile.Tombstone
	if err := json.Unmarshal(body, &t); err != nil {
		return casefile.Tombstone{}, fmt.Errorf("decode tombstone: %w", err)
	}
	return t, nil
}

// survey returns which kinds of things are there to be removed.
func (e *Eraser) survey(ctx context.Context, id string) ([]string, error) {
	found := map[string]bool{}
	photos, err := photosOf(ctx, e.Photos, id)
	if err != nil {
		return nil, err
	}
	if len(photos) > 0 {
		found[Photos] = true
	}
	objects, err := e.Cases.Versions(ctx, casefile.Prefix(id))
	if err != nil {
		return nil, fmt.Errorf("list objects: %w", err)
	}
	for _, v := range objects {
		k, known := kindOf(strings.TrimPrefix(v.Key, casefile.Prefix(id)))
		if !known && v.Key != casefile.DeletedKey(id) {
			k.removes = []string{Others}
		}
		for _, word := range k.removes {
			found[word] = true
		}
	}
	markers, err := e.markers(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(markers) > 0 {
		found[QueueEntries] = true
	}
	words := []string{}
	for _, word := range []string{Photos, PhotoHashes, Facts, Estimates, Premiums, ComplaintTexts, Notes, QueueEntries, Others} {
		if found[word] {
			words = append(words, word)
		}
	}
	return words, nil
}

// receipt returns the receipt of a tombstone. What stays follows from what was
// there.
func receipt(t casefile.Tombstone) Receipt {
	r := Receipt{Schema: casefile.Schema, Receipt: t.Receipt, Time: t.Time, Removed: t.Removed, Kept: []Kept{
		{"deletion_record", "It shows that the application was deleted, and when."},
	}}
	for _, k := range []struct{ removed, what, why string }{
		{Facts, "consent_record", "We have to be able to show that we were allowed to read a photo, and when that ended. It holds no facts of yours."},
		{Premiums, "decision_record", "The law makes us keep what was decided, and by which rules. It holds no facts, age, price or photo of yours."},
		{Notes, "review_record", "The law makes us keep who decided. The words are gone."},
		{ComplaintTexts, "complaint_record", "We have to be able to show that there was a complaint, and when. Its words are gone."},
	} {
		if slices.Contains(t.Removed, k.removed) {
			r.Kept = append(r.Kept, Kept{k.what, k.why})
		}
	}
	return r
}

// photosOf returns every version of a case's photos, those too that a batch
// brought.
func photosOf(ctx context.Context, s interface {
	Versions(ctx context.Context, prefix string) ([]store.Version, error)
}, id string) ([]store.Version, error) {
	var all []store.Version
	for _, prefix := range casefile.UploadPrefixes(id) {
		versions, err := s.Versions(ctx, prefix)
		if err != nil {
			return nil, fmt.Errorf("list photos: %w", err)
		}
		all = append(all, versions...)
	}
	return all, nil
}

// pass does every step once, and tells whether there was anything to do.
func (e *Eraser) pass(ctx context.Context, t casefile.Tombstone) (changed bool, err error) {
	steps := []func(context.Context, casefile.Tombstone) (bool, error){
		e.takeNames, e.removeIndex, e.redactObjects, e.removePhotos, e.removeMarkers,
	}
	for _, step := range steps {
		did, err := step(ctx, t)
		if err != nil {
			return false, err
		}
		changed = changed || did
	}
	return changed, nil
}

// takeNames takes every name under which work that began before the tombstone
// could still be written.
func (e *Eraser) takeNames(ctx context.Context, t casefile.Tombstone) (changed bool, err error) {
	photos, err := photosOf(ctx, e.Photos, t.Case)
	if err != nil {
		return false, err
	}
	objects, err := e.Cases.List(ctx, casefile.Prefix(t.Case))
	if err != nil {
		return false, fmt.Errorf("list objects: %w", err)
	}
	lastPhoto, lastApplication, lastComplaint, lastDecision, taken := 0, 0, 0, 0, false
	for _, v := range photos {
		lastPhoto = max(lastPhoto, number(path.Base(v.Key)))
	}
	for _, key := range objects {
		folder, name, _ := strings.Cut(strings.TrimPrefix(key, casefile.Prefix(t.Case)), "/")
		switch folder {
		case "photos":
			n, _, _ := strings.Cut(name, "/")
			lastPhoto = max(lastPhoto, number(n))
		case "application":
			lastApplication = max(lastApplication, number(name))
		case "complaints":
			lastComplaint = max(lastComplaint, number(name))
		case "decisions":
			lastDecision = max(lastDecision, number(name))
		case "reservations":
			taken = true
		}
	}

	var names []string
	for n := 1; n <= lastPhoto; n++ {
		names = append(names, casefile.EstimateKey(t.Case, n), casefile.DuplicatesKey(t.Case, n), casefile.QuoteKey(t.Case, casefile.PhotoCause(n)))
	}
	for n := 1; n <= lastApplication; n++ {
		names = append(names, casefile.QuoteKey(t.Case, casefile.FactsCause(n)))
	}
	for n := 1; n <= lastDecision; n++ {
		names = append(names, casefile.QuoteKey(t.Case, casefile.DecisionCause(n)))
	}
	for _, key := range names {
		if slices.Contains(objects, key) {
			continue
		}
		took, err := e.take(ctx, t, key)
		if err != nil {
			return false, err
		}
		changed = changed || took
	}
	// A customer's request may be about to write the next of these, and an
	// underwriter a decision, on a case that was taken.
	next := []struct {
		key  func(id string, n int) string
		last int
	}{{casefile.ApplicationKey, lastApplication}, {casefile.ComplaintKey, lastComplaint}}
	if taken || lastDecision > 0 {
		next = append(next, next[0])
		next[2].key, next[2].last = casefile.DecisionKey, lastDecision
	}
	for _, next := range next {
		took, err := e.takeNext(ctx, t, next.key, next.last)
		if err != nil {
			return false, err
		}
		changed = changed || took
	}
	return changed, nil
}

// take writes a vacant object unless something stands there.
func (e *Eraser) take(ctx context.Context, t casefile.Tombstone, key string) (bool, error) {
	body, err := vacant(t)
	if err != nil {
		return false, err
	}
	err = e.Cases.PutIfAbsent(ctx, key, body)
	if err != nil && !errors.Is(err, store.ErrExists) {
		return false, fmt.Errorf("take name: %w", err)
	}
	return err == nil, nil
}

// takeNext takes the number after the last, unless the last is a vacant one of
// ours already.
func (e *Eraser) takeNext(ctx context.Context, t casefile.Tombstone, key func(string, int) string, last int) (bool, error) {
	if last > 0 {
		body, err := e.Cases.Get(ctx, key(t.Case, last), maxObject)
		if err != nil && !errors.Is(err, store.ErrTooLarge) {
			return false, fmt.Errorf("read last object: %w", err)
		}
		if err == nil && isVacant(body) {
			return false, nil
		}
	}
	return e.take(ctx, t, key(t.Case, last+1))
}

func isVacant(body []byte) bool {
	var v struct{ Vacant bool }
	return json.Unmarshal(body, &v) == nil && v.Vacant
}

// redactObjects puts what stays of each object over it, and removes its older
// versions. An object of which nothing stays goes whole.
func (e *Eraser) redactObjects(ctx context.Context, t casefile.Tombstone) (changed bool, err error) {
	versions, err := e.Cases.Versions(ctx, casefile.Prefix(t.Case))
	if err != nil {
		return false, fmt.Errorf("list objects: %w", err)
	}
	for len(versions) > 0 {
		key := versions[0].Key
		n := 1
		for n < len(versions) && versions[n].Key == key {
			n++
		}
		did, err := e.redactObject(ctx, t, versions[:n])
		if err != nil {
			return false, err
		}
		changed, versions = changed || did, versions[n:]
	}
	return changed, nil
}

// redactObject handles the versions of one object, the newest first.
func (e *Eraser) redactObject(ctx context.Context, t casefile.Tombstone, versions []store.Version) (bool, error) {
	key := versions[0].Key
	if key == casefile.DeletedKey(t.Case) {
		return false, nil
	}
	k, known := kindOf(strings.TrimPrefix(key, casefile.Prefix(t.Case)))
	content := slices.IndexFunc(versions, func(v store.Version) bool { return !v.Marker })
	if !known || content < 0 {
		return true, e.removeVersions(ctx, e.Cases, versions)
	}
	body, err := e.Cases.GetVersion(ctx, key, versions[content].ID, maxObject)
	if err != nil && !errors.Is(err, store.ErrTooLarge) { // of too large a one nothing stays
		return false, fmt.Errorf("read object: %w", err)
	}
	if content == 0 && isErased(body) {
		return len(versions) > 1, e.removeVersions(ctx, e.Cases, versions[1:])
	}
	left, err := k.redact(body, t)
	if err != nil {
		return false, err
	}
	if isErased(body) {
		left = body // under a marker that somebody put on it
	}
	if err := e.Cases.Overwrite(ctx, key, left); err != nil {
		return false, err
	}
	return true, e.removeVersions(ctx, e.Cases, versions)
}

func (e *Eraser) removePhotos(ctx context.Context, t casefile.Tombstone) (bool, error) {
	versions, err := photosOf(ctx, e.Photos, t.Case)
	if err != nil {
		return false, err
	}
	return len(versions) > 0, e.removeVersions(ctx, e.Photos, versions)
}

// removeIndex removes the case's entries in the index of all photos: those that
// its estimates name, which are redacted after that. One that was written by
// work that began before the tombstone and never came to an estimate is left to
// expiry, which goes through the whole index.
func (e *Eraser) removeIndex(ctx context.Context, t casefile.Tombstone) (changed bool, err error) {
	versions, err := e.Cases.Versions(ctx, casefile.PhotosPrefix(t.Case))
	if err != nil {
		return false, fmt.Errorf("list estimates: %w", err)
	}
	for _, v := range versions {
		if v.Marker || path.Base(v.Key) != "estimate.json" {
			continue
		}
		body, err := e.Cases.GetVersion(ctx, v.Key, v.ID, maxObject)
		if errors.Is(err, store.ErrTooLarge) || errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("read estimate: %w", err)
		}
		var read struct{ Photo string }
		if json.Unmarshal(body, &read) != nil || read.Photo == "" {
			continue // redacted, or none of ours
		}
		entry := casefile.PhotoIndexKey(read.Photo, t.Case, number(path.Base(path.Dir(v.Key))))
		if _, _, ok := casefile.ParsePhotoIndexKey(entry); !ok {
			continue
		}
		entries, err := e.Cases.Versions(ctx, entry)
		if err != nil {
			return false, fmt.Errorf("list index: %w", err)
		}
		if err := e.removeVersions(ctx, e.Cases, entries); err != nil {
			return false, err
		}
		changed = changed || len(entries) > 0
	}
	return changed, nil
}

func (e *Eraser) removeMarkers(ctx context.Context, t casefile.Tombstone) (bool, error) {
	markers, err := e.markers(ctx, t.Case)
	if err != nil {
		return false, err
	}
	return len(markers) > 0, e.removeVersions(ctx, e.Cases, markers)
}

// markers returns every version of the case's queue markers. Their names hold
// what they are sorted by, so the whole queue is looked through.
func (e *Eraser) markers(ctx context.Context, id string) ([]store.Version, error) {
	versions, err := e.Cases.Versions(ctx, "queue/")
	if err != nil {
		return nil, fmt.Errorf("list queue: %w", err)
	}
	return slices.DeleteFunc(versions, func(v store.Version) bool { return path.Base(v.Key) != id }), nil
}

// removeVersions removes versions for good, the oldest first, so that none
// comes to light again.
func (e *Eraser) removeVersions(ctx context.Context, s photoStore, versions []store.Version) error {
	for _, v := range slices.Backward(versions) {
		if err := s.DeleteVersion(ctx, v.Key, v.ID); err != nil {
			return err
		}
	}
	return nil
}

// removeAll removes every version under a name or prefix.
func (e *Eraser) removeAll(ctx context.Context, s photoStore, prefix string) error {
	versions, err := s.Versions(ctx, prefix)
	if err != nil {
		return err
	}
	return e.removeVersions(ctx, s, versions)
}

// number reads "0003" and "0003.json"; 0 for anything else.
func number(name string) int {
	n, err := strconv.Atoi(strings.TrimSuffix(name, ".json"))
	if err != nil {
		return 0
	}
	return n
}
