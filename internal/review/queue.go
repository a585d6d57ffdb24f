package review

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/openapi"
	"github.com/agequote/agequote/internal/underwriting"
)

const (
	pageCases   = 50   // of a page, unless asked otherwise
	casesAtOnce = 16   // read at a time
	maxCounted  = 1000 // markers of a state, from here on it is "or more"
	maxRounds   = 8    // of reading for one page, where markers are out of date
)

// entry is a case in the queue.
type entry struct {
	Case     string                `json:"case"`
	Since    time.Time             `json:"since"`
	SumCents int64                 `json:"sum_cents"`
	Currency string                `json:"currency"`
	Reasons  []string              `json:"reasons"`
	Age      *float64              `json:"age"`
	Low      *float64              `json:"low"`
	High     *float64              `json:"high"`
	Decision underwriting.Decision `json:"decision"`
	State    string                `json:"state"`
	Overdue  bool                  `json:"overdue"`
	Taken    *takenBody            `json:"taken"`
}

type takenBody struct {
	By    string    `json:"by"`
	Until time.Time `json:"until"`
}

// cursor is where a page ended: the overdue come in a round of their own, before
// all others.
type cursor struct {
	Rest bool   `json:"r,omitempty"`
	Sort string `json:"s,omitempty"`
	Case string `json:"c,omitempty"`
}

func (c cursor) String() string {
	b, _ := json.Marshal(c) // of texts and a truth: cannot fail
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseCursor(text string) (c cursor, err error) {
	if text == "" {
		return c, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil || c.Case != "" && !casefile.ValidID(c.Case) {
		return cursor{}, openapi.Invalid([]underwriting.FieldError{{Field: "after", Sentence: "give the next of the page before, as it is"}})
	}
	return c, nil
}

// queueBody is one page of the queue.
type queueBody struct {
	Cases []entry        `json:"cases"`
	Next  *string        `json:"next"`
	Open  map[string]int `json:"open"` // null but on the first page
}

// queue answers with a page of the queue. Markers give the order, and a case's
// objects say where it stands: a marker that is out of date is put right.
func (h *Handler) queue(ctx context.Context, r *request) (answer, error) {
	q := r.event.QueryStringParameters
	order := cmp.Or(q["order"], byWaiting)
	at, err := parseCursor(q["after"])
	if err != nil {
		return answer{}, err
	}
	limit := pageCases
	if q["limit"] != "" {
		limit, _ = strconv.Atoi(q["limit"]) // the schema has seen a number
	}

	g, gctx := errgroup.WithContext(ctx)
	body := queueBody{Cases: []entry{}}
	if q["after"] == "" {
		g.Go(func() (err error) {
			body.Open, err = h.counts(gctx)
			return err
		})
	}
	g.Go(func() (err error) {
		body.Cases, body.Next, err = h.gather(gctx, order, at, limit)
		return err
	})
	if err := g.Wait(); err != nil {
		return answer{}, err
	}
	return answer{Status: http.StatusOK, Body: body}, nil
}

// counts counts the markers of each state, up to maxCounted. A sample counts as
// asked: it is a blind one.
func (h *Handler) counts(ctx context.Context) (map[string]int, error) {
	counts := make([]int, len(states))
	g, gctx := errgroup.WithContext(ctx)
	for i, state := range states {
		g.Go(func() error {
			keys, err := h.Cases.ListAfter(gctx, prefixOf(byWaiting, state), "", maxCounted)
			counts[i] = len(keys)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("count queue: %w", err)
	}
	out := map[string]int{}
	for i, state := range states {
		out[shown(state)] += counts[i]
	}
	return out, nil
}

func prefixOf(order, state string) string { return "queue/" + order + "/" + state + "/" }

// shown is the state that people see. They are not told which cases are a
// sample: it looks like a case whose customer wants a person.
func shown(state string) string {
	if state == casefile.StateSample {
		return casefile.StateAsked
	}
	return state
}

// gather gathers a page of at most limit cases after the cursor.
func (h *Handler) gather(ctx context.Context, order string, at cursor, limit int) ([]entry, *string, error) {
	out := []entry{}
	for range maxRounds {
		markers, err := h.markersAfter(ctx, order, at, limit+1)
		if err != nil {
			return nil, nil, err
		}
		found, err := h.entries(ctx, markers[:min(len(markers), limit)])
		if err != nil {
			return nil, nil, err
		}
		for i, e := range found {
			m := markers[i]
			at.Sort, at.Case = m.sort, m.id
			if e != nil {
				out = append(out, *e)
			}
			if len(out) == limit {
				next := at.String()
				return out, &next, nil
			}
		}
		if len(markers) > limit {
			continue
		}
		if at.Rest {
			return out, nil, nil
		}
		at = cursor{Rest: true}
	}
	next := at.String()
	return out, &next, nil
}

// markersAfter merges the markers of the round's states after the cursor.
func (h *Handler) markersAfter(ctx context.Context, order string, at cursor, limit int) ([]marker, error) {
	round := states[:1] // overdue
	if at.Rest {
		round = states[1:]
	}
	lists := make([][]string, len(round))
	g, gctx := errgroup.WithContext(ctx)
	for i, state := range round {
		g.Go(func() (err error) {
			prefix, after := prefixOf(order, state), ""
			if at.Case != "" {
				after = prefix + at.Sort + "/" + at.Case
			}
			lists[i], err = h.Cases.ListAfter(gctx, prefix, after, min(limit, 1000))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("list queue: %w", err)
	}
	var all []marker
	for _, key := range slices.Concat(lists...) {
		if m, ok := parseMarker(key); ok {
			all = append(all, m)
		}
	}
	slices.SortStableFunc(all, func(x, y marker) int {
		return cmp.Or(cmp.Compare(x.sort, y.sort), cmp.Compare(x.id, y.id))
	})
	// The cursor passes all markers of a case at one place together.
	merged := all[:0]
	for _, m := range all {
		if n := len(merged); n > 0 && merged[n-1].sort == m.sort && merged[n-1].id == m.id {
			merged[n-1].keys = append(merged[n-1].keys, m.keys...)
			continue
		}
		merged = append(merged, m)
	}
	return merged[:min(limit, len(merged))], nil
}

// entries reads the cases of markers, at the same time; nil where a marker shows
// nothing.
func (h *Handler) entries(ctx context.Context, markers []marker) ([]*entry, error) {
	out := make([]*entry, len(markers))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(casesAtOnce)
	for i, m := range markers {
		g.Go(func() (err error) {
			out[i], err = h.entry(gctx, m)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("read queue: %w", err)
	}
	return out, nil
}

// entry returns the case of a marker, nil where another marker stands for it, or
// where it is out of date. What is out of date is put right.
func (h *Handler) entry(ctx context.Context, m marker) (*entry, error) {
	c, err := Read(ctx, h.Cases, m.id, true)
	switch {
	case errors.Is(err, cases.ErrErased), errors.Is(err, ErrNoCase):
		return nil, cases.Unmark(ctx, h.Cases, m.keys...)
	case errors.Is(err, cases.ErrUnreadable):
		return h.unreadable(ctx, m), nil
	case err != nil:
		return nil, err
	}
	now := h.Now()
	valid := append(c.markers(h.Limits, now), c.sampleMarkers()...)
	if slices.ContainsFunc(m.keys, func(key string) bool { return !slices.Contains(valid, key) }) {
		err := h.repair(ctx, m)
		if errors.Is(err, cases.ErrUnreadable) { // something of it that its place does not depend on
			return h.unreadable(ctx, m), nil
		}
		if err != nil {
			return nil, err
		}
	}
	waits := c.waits()
	if len(waits) == 0 {
		if slices.ContainsFunc(m.keys, func(key string) bool { return slices.Contains(c.sampleMarkers(), key) }) {
			return h.entryOf(c, sampleWait(c, now), now), nil
		}
		return nil, nil
	}
	// The longest wait's marker stands for the case, also where it has just been
	// moved to those that are overdue.
	own := append(casefile.Marker(c.ID, waits[0].state, waits[0].since, c.sumCents()), c.markers(h.Limits, now)[:2]...)
	if !slices.ContainsFunc(m.keys, func(key string) bool { return slices.Contains(own, key) }) {
		return nil, nil
	}
	return h.entryOf(c, waits[0], now), nil
}

// unreadable is how a case shows that cannot be read: it must neither hide the
// others nor be hidden.
func (h *Handler) unreadable(ctx context.Context, m marker) *entry {
	h.Log.ErrorContext(ctx, "case in the queue cannot be read")
	return &entry{Case: m.id, Reasons: []string{"unreadable"}, State: casefile.StateFailed}
}

// sampleWait is how a case of the blind sample shows: as one whose customer
// wants a person, which an accepted case can be.
func sampleWait(c *Case, now time.Time) wait {
	return wait{casefile.StateAsked, sampleAsked(c, now), []string{casefile.StateAsked}}
}

// The time that a customer takes to want a person, for a sample that shows as if
// one did.
const (
	soonestAsked = 30 * time.Second
	latestAsked  = 10 * time.Minute
)

// sampleAsked is when the customer of a sampled case seems to have asked: some
// time after the quote, since one who asks has read it. It is the same each
// time, and never to come.
func sampleAsked(c *Case, now time.Time) time.Time {
	sum := sha256.Sum256([]byte("asked\n" + c.ID))
	after := soonestAsked + time.Duration(binary.BigEndian.Uint64(sum[:])%uint64(latestAsked-soonestAsked))
	at := c.Quote().Object.Time.Add(after)
	if at.After(now) {
		return now
	}
	return at
}

// repair brings the markers of a case in line with its objects, starts the quote
// again that a decision still waits for, and seals what is not sealed: whoever
// decided may have been stopped between the decision and what follows from it.
// While the audit bucket refuses, the markers stay and remind.
func (h *Handler) repair(ctx context.Context, m marker) error {
	c, err := Read(ctx, h.Cases, m.id, false)
	if errors.Is(err, cases.ErrErased) {
		return cases.Unmark(ctx, h.Cases, m.keys...)
	}
	if err != nil {
		return err
	}
	if err := h.startOwed(ctx, c); err != nil {
		return err
	}
	if err := h.seal(ctx, c); err != nil {
		h.Log.ErrorContext(ctx, "a decided case is not sealed", "err", err)
		return nil // nobody else's queue stops for it
	}
	return settle(ctx, h.Cases, c, h.Limits, h.Now(), slices.DeleteFunc(m.keys, func(key string) bool {
		return slices.Contains(c.sampleMarkers(), key)
	})...)
}

func (h *Handler) entryOf(c *Case, w wait, now time.Time) *entry {
	e := &entry{
		Case: c.ID, Since: w.since.UTC(), SumCents: c.sumCents(), Reasons: w.reasons,
		State: w.state, Overdue: !now.Before(h.Limits.due(w)),
	}
	if e.Reasons == nil {
		e.Reasons = []string{}
	}
	if w.state == casefile.StateSuggested {
		for _, o := range c.open() {
			e.Reasons = append(e.Reasons, o.reasons...)
		}
	}
	if q := c.Quote(); q != nil {
		e.Currency, e.Decision = q.Object.Currency, q.Object.Decision
		if i := q.Object.Interval; i != nil {
			e.Age, e.Low, e.High = &i.Age, &i.Low, &i.High
		}
	}
	if e.Currency == "" {
		e.Currency = h.currency(c.Application().Object.Facts)
	}
	if r := c.reserved(now); r != nil {
		e.Taken = &takenBody{r.By, r.Until.UTC()}
	}
	return e
}

// currency returns that of the product applied for, "" where there is none.
func (h *Handler) currency(f underwriting.Facts) string {
	p, err := h.Book.Product(f.Market, f.Product, h.Now())
	if err != nil {
		return ""
	}
	return p.Currency
}
