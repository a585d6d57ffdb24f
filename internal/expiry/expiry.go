// Package expiry enforces retention: photos go after the days that were
// consented to, and what came to an erased case after all goes too. It does what
// the lifecycle of the uploads bucket does, and what that cannot do, since it
// knows neither consent nor holds nor who waits for a decision.
package expiry

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/consent"
	"github.com/agequote/agequote/internal/erasure"
	"github.com/agequote/agequote/internal/store"
)

const (
	// NoncurrentDays is how long an older version of a photo stays, as in the
	// lifecycle of template.yaml.
	NoncurrentDays = 1
	// graceDays is how long a photo without consent waits for it: a batch may
	// bring its photos first.
	graceDays = 1
)

// Why a photo goes or stays. The list is closed.
type Why string

// Photos that go.
const (
	Over       Why = "over"       // its days are over
	NoConsent  Why = "no_consent" // nobody agreed to it
	Withdrawn  Why = "withdrawn"  // the consent was taken back
	Erased     Why = "erased"     // it came to a case that was erased
	Superseded Why = "superseded" // an older version, or hidden by a deletion
)

// Photos that stay.
const (
	Within  Why = "within"  // its days are not over
	Waits   Why = "waits"   // a person has still to decide, and the days consented to are not over
	Held    Why = "held"    // a legal hold
	Recent  Why = "recent"  // without consent so far
	Foreign Why = "foreign" // no photo of a case by its name; the lifecycle takes it
)

// Item is what becomes of one version of a photo.
type Item struct {
	Schema   int       `json:"schema"`
	Case     string    `json:"case"`
	N        int       `json:"n"`
	Version  string    `json:"version"`
	Uploaded time.Time `json:"uploaded"`
	Deleted  bool      `json:"deleted"` // in a dry run: would be
	Why      Why       `json:"why"`
}

// Report adds the items up: Seen is Deleted and Kept, and each is the sum of
// its reasons.
type Report struct {
	Schema  int         `json:"schema"`
	Time    time.Time   `json:"time"`
	DryRun  bool        `json:"dry_run"`
	Days    int         `json:"days"` // RetentionDays
	Seen    int         `json:"seen"`
	Deleted int         `json:"deleted"`
	Kept    int         `json:"kept"`
	Whys    map[Why]int `json:"whys"`
	// What was left of erased cases, or came to them late.
	ErasuresFinished int `json:"erasures_finished"`
	StrayMarkers     int `json:"stray_markers"`
	StrayEntries     int `json:"stray_entries"` // of the index of photos
	FailureRecords   int `json:"failure_records"`
}

// recordStore is what a sweep asks of the failures bucket.
type recordStore interface {
	Get(ctx context.Context, key string, limit int64) ([]byte, error)
	List(ctx context.Context, prefix string) ([]string, error)
	Delete(ctx context.Context, key string) error
}

// bucket is what it asks of the other two.
type bucket interface {
	Get(ctx context.Context, key string, limit int64) ([]byte, error)
	GetVersion(ctx context.Context, key, version string, limit int64) ([]byte, error)
	List(ctx context.Context, prefix string) ([]string, error)
	Versions(ctx context.Context, prefix string) ([]store.Version, error)
	DeleteVersion(ctx context.Context, key, version string) error
}

// Sweeper is one run.
type Sweeper struct {
	Photos   bucket      // uploads
	Cases    bucket      //
	Failures recordStore // nil: Lambda's records are left to their own lifecycle
	Eraser   *erasure.Eraser
	Days     int // RetentionDays of the deployment
	DryRun   bool
	Now      func() time.Time
	Each     func(Item) error // is told of every item
}

// caseState is what matters of a case to its photos.
type caseState struct {
	held, erased, waits bool
	consent             *casefile.Consent
	unreadable          bool // its application: then the deployment's days count
}

// Run sweeps once.
func (s *Sweeper) Run(ctx context.Context) (Report, error) {
	r := Report{Schema: 1, Time: s.Now().UTC(), DryRun: s.DryRun, Days: s.Days, Whys: map[Why]int{}}
	if s.Days < 1 || s.Days > consent.MaxDays {
		return r, fmt.Errorf("retention of %d days: want 1 to %d", s.Days, consent.MaxDays)
	}
	// An erasure takes what it finds with it, so the markers are counted before
	// and the photos after.
	if err := s.strayMarkers(ctx, &r); err != nil {
		return r, err
	}
	if err := s.finishErasures(ctx, &r); err != nil {
		return r, err
	}
	// After the erasures, which take most entries with them.
	if err := s.strayEntries(ctx, &r); err != nil {
		return r, err
	}
	if err := s.photos(ctx, &r); err != nil {
		return r, err
	}
	return r, s.failureRecords(ctx, &r)
}

// photos judges every version of every photo.
func (s *Sweeper) photos(ctx context.Context, r *Report) error {
	versions, err := s.Photos.Versions(ctx, "")
	if err != nil {
		return fmt.Errorf("list photos: %w", err)
	}
	waiting, err := s.waiting(ctx)
	if err != nil {
		return err
	}
	states := map[string]caseState{}
	for i, v := range versions {
		if v.Marker {
			continue // goes with the last photo under it
		}
		id, n, ok := casefile.ParseUploadKey(v.Key)
		item := Item{Schema: 1, Case: id, N: n, Version: v.ID, Uploaded: v.Modified.UTC(), Why: Foreign}
		if ok {
			if _, known := states[id]; !known {
				if states[id], err = s.state(ctx, id, waiting[id]); err != nil {
					return err
				}
			}
			var since time.Time // when a newer version came
			if i > 0 && versions[i-1].Key == v.Key {
				since = versions[i-1].Modified
			}
			item.Deleted, item.Why = s.judge(v.Modified, since, states[id])
		}
		if err := s.carryOut(ctx, r, v, item); err != nil {
			return err
		}
	}
	return s.bareMarkers(ctx)
}

// judge decides on a photo of a case. Replaced is when a newer version or a
// deletion came over it; zero where none did.
func (s *Sweeper) judge(uploaded, replaced time.Time, c caseState) (deleted bool, why Why) {
	past := func(from time.Time, days int) bool { return !s.Now().Before(from.Add(consent.Period(days))) }
	switch {
	case c.held:
		return false, Held
	case c.erased:
		return true, Erased
	case !replaced.IsZero() && past(replaced, NoncurrentDays):
		return true, Superseded
	case c.unreadable:
		if past(uploaded, s.Days) {
			return true, Over
		}
		return false, Within
	case c.consent == nil:
		if past(uploaded, graceDays) {
			return true, NoConsent
		}
		return false, Recent
	case c.consent.Withdrawn != nil:
		return true, Withdrawn
	case past(uploaded, c.consent.Days):
		return true, Over
	case !past(uploaded, s.Days):
		return false, Within
	case c.waits:
		return false, Waits
	}
	return true, Over
}

func (s *Sweeper) carryOut(ctx context.Context, r *Report, v store.Version, item Item) error {
	if item.Deleted && !s.DryRun {
		if err := s.Photos.DeleteVersion(ctx, v.Key, v.ID); err != nil {
			return err
		}
	}
	r.Seen++
	r.Whys[item.Why]++
	if item.Deleted {
		r.Deleted++
	} else {
		r.Kept++
	}
	return s.Each(item)
}

// bareMarkers removes markers of deletions under which no photo is left.
func (s *Sweeper) bareMarkers(ctx context.Context) error {
	if s.DryRun {
		return nil
	}
	versions, err := s.Photos.Versions(ctx, "")
	if err != nil {
		return fmt.Errorf("list photos: %w", err)
	}
	content := map[string]bool{}
	for _, v := range versions {
		content[v.Key] = content[v.Key] || !v.Marker
	}
	for _, v := range slices.Backward(versions) {
		if content[v.Key] {
			continue
		}
		if err := s.Photos.DeleteVersion(ctx, v.Key, v.ID); err != nil {
			return err
		}
	}
	return nil
}

// waiting returns the cases that wait for a person. The queue is what people
// work from, so it says who waits.
func (s *Sweeper) waiting(ctx context.Context) (map[string]bool, error) {
	keys, err := s.Cases.List(ctx, "queue/waiting/")
	if err != nil {
		return nil, fmt.Errorf("list queue: %w", err)
	}
	waiting := map[string]bool{}
	for _, key := range keys {
		waiting[path.Base(key)] = true
	}
	return waiting, nil
}

func (s *Sweeper) state(ctx context.Context, id string, waits bool) (caseState, error) {
	folder, err := cases.Look(ctx, s.Cases, id)
	if err != nil {
		return caseState{}, err
	}
	c := caseState{waits: waits, erased: folder.Erased()}
	if _, c.held, err = s.Eraser.Held(ctx, id); err != nil {
		return c, fmt.Errorf("look for a hold: %w", err)
	}
	if c.held && !s.DryRun {
		// The lifecycle would take what came since the hold.
		if err := s.Eraser.Preserve(ctx, s.Photos, id); err != nil {
			return c, err
		}
	}
	application, err := folder.ConsentingApplication(ctx)
	switch {
	case errors.Is(err, store.ErrNotFound):
	case errors.Is(err, cases.ErrUnreadable):
		c.unreadable = true
	case err != nil:
		return c, fmt.Errorf("read application: %w", err)
	default:
		c.consent = application.Object.Consent
	}
	return c, nil
}

// recentDays is how long an erasure is looked after that may have been broken
// off.
const recentDays = 30

// finishErasures goes on with erasures that were broken off.
func (s *Sweeper) finishErasures(ctx context.Context, r *Report) error {
	if s.DryRun {
		return nil
	}
	keys, err := s.Cases.Versions(ctx, "cases/")
	if err != nil {
		return fmt.Errorf("list cases: %w", err)
	}
	since := s.Now().Add(-consent.Period(recentDays))
	for _, v := range keys {
		if path.Base(v.Key) != "deleted.json" || !v.Latest || v.Marker || v.Modified.Before(since) {
			continue
		}
		id := path.Base(path.Dir(v.Key))
		changed, err := s.Eraser.Finish(ctx, id)
		if err != nil {
			return fmt.Errorf("finish an erasure: %w", err)
		}
		if changed {
			r.ErasuresFinished++
		}
	}
	return nil
}

// strayMarkers removes queue markers of erased cases: one can come in the
// moment between a function's look for the tombstone and its write.
func (s *Sweeper) strayMarkers(ctx context.Context, r *Report) error {
	versions, err := s.Cases.Versions(ctx, "queue/")
	if err != nil {
		return fmt.Errorf("list queue: %w", err)
	}
	for _, v := range slices.Backward(versions) {
		err := cases.Alive(ctx, s.Cases, path.Base(v.Key))
		if err == nil {
			continue
		}
		if !errors.Is(err, cases.ErrErased) {
			return err
		}
		r.StrayMarkers++
		if s.DryRun {
			continue
		}
		if err := s.Cases.DeleteVersion(ctx, v.Key, v.ID); err != nil {
			return err
		}
	}
	return nil
}

// strayEntries removes the entries of erased cases from the index of photos:
// predict may have written one before it met the tombstone.
func (s *Sweeper) strayEntries(ctx context.Context, r *Report) error {
	versions, err := s.Cases.Versions(ctx, casefile.PhotoIndexPrefix)
	if err != nil {
		return fmt.Errorf("list index: %w", err)
	}
	for _, v := range slices.Backward(versions) {
		id, _, ok := casefile.ParsePhotoIndexKey(v.Key)
		if !ok {
			continue
		}
		switch err := cases.Alive(ctx, s.Cases, id); {
		case err == nil:
			continue
		case !errors.Is(err, cases.ErrErased):
			return err
		}
		r.StrayEntries++
		if s.DryRun {
			continue
		}
		if err := s.Cases.DeleteVersion(ctx, v.Key, v.ID); err != nil {
			return err
		}
	}
	return nil
}

// maxRecord bounds a failure record, which can hold a request and a response of
// 1 MB each.
const maxRecord = 4 << 20

// caseIDs finds the cases that a failure record names.
var caseIDs = regexp.MustCompile(`"case":\s*"([A-Za-z0-9_-]{8,64})"|uploads/([A-Za-z0-9_-]{8,64})/`) // of batch-uploads/ too

// failureRecords removes Lambda's records that name an erased case: one of
// quote holds the estimate.
func (s *Sweeper) failureRecords(ctx context.Context, r *Report) error {
	if s.Failures == nil {
		return nil
	}
	keys, err := s.Failures.List(ctx, "")
	if err != nil {
		return fmt.Errorf("list failure records: %w", err)
	}
	for _, key := range keys {
		body, err := s.Failures.Get(ctx, key, maxRecord)
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrTooLarge) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read failure record: %w", err)
		}
		erased, err := s.namesErased(ctx, string(body))
		if err != nil {
			return err
		}
		if !erased {
			continue
		}
		r.FailureRecords++
		if s.DryRun {
			continue
		}
		if err := s.Failures.Delete(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sweeper) namesErased(ctx context.Context, record string) (bool, error) {
	for _, match := range caseIDs.FindAllStringSubmatch(record, -1) {
		err := cases.Alive(ctx, s.Cases, strings.Join(match[1:], ""))
		if errors.Is(err, cases.ErrErased) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}
