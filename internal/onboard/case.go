package onboard

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/underwriting"
)

// State is where a case stands, for the customer.
type State string

// The states. A case moves between them as often as the customer and the
// underwriters do something.
const (
	Waiting      State = "waiting"       // for a photo or an age
	Reading      State = "reading"       // something is on its way
	AnotherPhoto State = "another_photo" // the last one was refused
	Quoted       State = "quoted"
	WithAPerson  State = "with_a_person"
	Postponed    State = "postponed"
	Declined     State = "declined"
	ProofOfAge   State = "proof_of_age" // an underwriter asks for it
	Evidence     State = "evidence"     // an underwriter asks for medical evidence
)

// photo is what is stored about one photo.
type photo struct {
	n        int
	estimate *casefile.Estimate
	failure  *casefile.Failure
}

// caseView is a case as its stored objects tell it.
type caseView struct {
	id          string
	application casefile.Application // the highest
	photos      []photo              // by number
	quotes      map[string]casefile.Quote
	failures    map[string]casefile.Failure  // of corrected facts, by cause
	decisions   map[string]casefile.Decision // of underwriters, by cause
	asked       *casefile.PersonRequest      // the newest
	keys        []string                     // names of all objects of the case
}

// look reads a case. Names are listed once, and of each kind only what the
// state depends on is read.
func (h *Handler) look(ctx context.Context, id string) (*caseView, error) {
	return h.lookAfter(ctx, id, 0)
}

// lookAfter is look by a customer who says that a photo was sent, by its number:
// then S3 is not asked which were. 0 says nothing.
func (h *Handler) lookAfter(ctx context.Context, id string, sent int) (*caseView, error) {
	v := &caseView{id: id, quotes: map[string]casefile.Quote{}, failures: map[string]casefile.Failure{}, decisions: map[string]casefile.Decision{}}
	var uploads []string
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		v.keys, err = h.Cases.List(gctx, casefile.Prefix(id))
		return err
	})
	if sent > 0 {
		uploads = []string{casefile.UploadKey(id, sent)}
	} else {
		g.Go(func() (err error) {
			uploads, err = h.Photos.List(gctx, casefile.UploadPrefix(id))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("list case: %w", err)
	}
	if err := h.read(ctx, v); err != nil {
		return nil, fmt.Errorf("read case: %w", err)
	}
	for _, key := range uploads {
		if _, n, ok := casefile.ParseUploadKey(key); ok {
			v.photo(n)
		}
	}
	slices.SortFunc(v.photos, func(x, y photo) int { return x.n - y.n })
	return v, nil
}

func (h *Handler) read(ctx context.Context, v *caseView) error {
	jobs := cases.NewFetcher(ctx, h.Cases)
	// Where something was given up, an estimate or a quote that is damaged may be
	// why: it is left out, and the customer is told that a person has the case.
	var damaged []error
	if slices.ContainsFunc(v.keys, func(key string) bool {
		return path.Base(key) == "failure.json" || path.Base(path.Dir(key)) == "failures"
	}) {
		damaged = []error{cases.ErrUnreadable}
	}

	var application, asked string
	for _, key := range v.keys { // in order of their names
		rest := strings.TrimPrefix(key, casefile.Prefix(v.id))
		folder, name := path.Split(rest)
		base := strings.TrimSuffix(name, ".json")
		switch {
		case folder == "application/":
			application = key
		case folder == "requests/" && strings.HasPrefix(base, "person-"):
			asked = key
		case folder == "quotes/":
			cases.Fetch(jobs, key, func(q cases.Stored[casefile.Quote]) { v.quotes[base] = q.Object }, damaged...)
		case folder == "decisions/":
			cases.Fetch(jobs, key, func(d cases.Stored[casefile.Decision]) { v.decisions[casefile.DecisionCause(d.Object.N)] = d.Object })
		case folder == "failures/":
			cases.Fetch(jobs, key, func(f cases.Stored[casefile.Failure]) { v.failures[base] = f.Object })
		case strings.HasPrefix(folder, "photos/") && base == "estimate":
			cases.Fetch(jobs, key, func(e cases.Stored[casefile.Estimate]) { v.photo(e.Object.N).estimate = &e.Object }, damaged...)
		case strings.HasPrefix(folder, "photos/") && base == "failure":
			cases.Fetch(jobs, key, func(f cases.Stored[casefile.Failure]) { v.photo(f.Object.N).failure = &f.Object })
		}
	}
	if application == "" { // the secret was right, so the case stood once
		return fmt.Errorf("no application: %w", cases.ErrUnreadable)
	}
	cases.Fetch(jobs, application, func(a cases.Stored[casefile.Application]) { v.application = a.Object })
	if asked != "" {
		cases.Fetch(jobs, asked, func(r cases.Stored[casefile.PersonRequest]) { v.asked = &r.Object })
	}
	return jobs.Wait()
}

// photo returns the case's photo of that number, and makes room for it.
func (v *caseView) photo(n int) *photo {
	i := slices.IndexFunc(v.photos, func(p photo) bool { return p.n == n })
	if i < 0 {
		v.photos = append(v.photos, photo{n: n})
		i = len(v.photos) - 1
	}
	return &v.photos[i]
}

// nextPhoto is the number of the photo that comes next. A form that was not
// used has none.
func (v *caseView) nextPhoto() int {
	if len(v.photos) == 0 {
		return 1
	}
	return v.photos[len(v.photos)-1].n + 1
}

// outcome is what became of the case at one time.
type outcome struct {
	at    time.Time
	state State
	quote *casefile.Quote
}

// standing is the case's state, since when, and the quote that goes with it:
// what is on its way comes first, else the newest outcome counts.
func (v *caseView) standing(now time.Time) outcome {
	if at, pending := v.pending(now); pending {
		return outcome{at: at, state: Reading}
	}
	latest := outcome{at: v.application.Time, state: Waiting}
	newer := func(o outcome) {
		if latest.state == Waiting || o.at.After(latest.at) {
			latest = o
		}
	}
	for _, p := range v.photos {
		if p.estimate != nil && p.estimate.Code != reason.OK {
			newer(outcome{at: p.estimate.Time, state: AnotherPhoto})
		}
		if p.failure != nil {
			newer(outcome{at: p.failure.Time, state: WithAPerson})
		}
	}
	for _, f := range v.failures {
		newer(outcome{at: f.Time, state: WithAPerson})
	}
	for _, q := range v.quotes {
		newer(outcome{at: q.Time, state: decided(q.Decision), quote: &q})
	}
	for _, d := range v.decisions {
		if state, ok := askedFor[d.Effective()]; ok {
			newer(outcome{at: d.Time, state: state})
		}
		if v.asked != nil && d.Effective() != "" && d.Time.After(v.asked.Time) {
			v.asked = nil // a person has answered
		}
	}
	if v.asked != nil {
		latest.state, latest.at = WithAPerson, v.asked.Time
	}
	return latest
}

// askedFor is what the customer is asked for by a decision that makes no quote.
var askedFor = map[casefile.Action]State{
	casefile.AnotherPhoto: AnotherPhoto,
	casefile.ProofOfAge:   ProofOfAge,
	casefile.Evidence:     Evidence,
}

func decided(d underwriting.Decision) State {
	switch d {
	case underwriting.Quote:
		return Quoted
	case underwriting.Postpone:
		return Postponed
	case underwriting.Decline:
		return Declined
	}
	return WithAPerson // referred, or a decision that this code does not know
}

// pending tells whether something is on its way, and since when.
func (v *caseView) pending(now time.Time) (time.Time, bool) {
	for _, p := range v.photos {
		_, quoted := v.quotes[casefile.PhotoCause(p.n)]
		switch {
		case quoted, p.failure != nil:
		case p.estimate == nil:
			return v.application.Time, true // uploaded; S3's own time is not asked for
		case p.estimate.Code == reason.OK:
			return p.estimate.Time, true
		}
	}
	for cause, d := range v.decisions {
		_, quoted := v.quotes[cause]
		_, failed := v.failures[cause]
		if d.MakesQuote() && !quoted && !failed {
			return d.Time, true
		}
	}
	if v.owed(now) {
		return v.application.Time, true
	}
	return time.Time{}, false
}

// owed tells whether the newest application started a quote that does not stand
// yet.
func (v *caseView) owed(now time.Time) bool {
	a := v.application
	if _, failed := v.failures[casefile.FactsCause(a.N)]; failed {
		return false
	}
	key := casefile.ApplicationKey(v.id, a.N)
	for _, q := range v.quotes {
		if q.Inputs.Application >= key { // of this application, or of a later one
			return false
		}
	}
	return quotable(a, v.lastRead(), now)
}

// lastRead is the newest photo that gave an age, nil where none did.
func (v *caseView) lastRead() *casefile.Estimate {
	for _, p := range slices.Backward(v.photos) {
		if p.estimate != nil && p.estimate.Code == reason.OK {
			return p.estimate
		}
	}
	return nil
}

// quotable tells whether an application is quoted without waiting for a photo:
// a correction, where an age is known, and a first one that states the age and
// allows no photo. An estimate counts if the photo was read before.
func quotable(a casefile.Application, read *casefile.Estimate, now time.Time) bool {
	_, stated := a.Facts.StatedAge(now)
	if a.N == 1 {
		return stated && a.Consent == nil
	}
	return stated || read != nil && read.Time.Before(a.Time)
}
