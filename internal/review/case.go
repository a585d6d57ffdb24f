package review

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/underwriting"
)

// ErrNoCase says that there is no case of this id.
var ErrNoCase = errors.New("there is no such case")

type (
	getter interface {
		Get(ctx context.Context, key string, limit int64) ([]byte, error)
	}
	reader interface {
		getter
		List(ctx context.Context, prefix string) ([]string, error)
	}
)

// Case is a case as its stored objects tell it.
type Case struct {
	ID           string
	Applications []cases.Stored[casefile.Application] // by number; in brief the newest alone
	Estimates    map[int]cases.Stored[casefile.Estimate]
	Quotes       []cases.Stored[casefile.Quote]    // by time
	Failures     map[string]casefile.Failure       // by cause
	Decisions    []cases.Stored[casefile.Decision] // by number
	Requests     []casefile.PersonRequest
	Complaints   []casefile.Complaint
	Openings     []cases.Stored[casefile.Opening]
	Reservation  *casefile.Reservation // the newest
	Duplicates   []json.RawMessage
	keys         []string
}

// Read reads a case: ErrNoCase, cases.ErrErased. Brief is enough to tell where
// it stands.
func Read(ctx context.Context, s reader, id string, brief bool) (*Case, error) {
	keys, err := s.List(ctx, casefile.Prefix(id))
	if err != nil {
		return nil, fmt.Errorf("list case: %w", err)
	}
	if slices.Contains(keys, casefile.DeletedKey(id)) {
		return nil, cases.ErrErased
	}
	if len(keys) == 0 {
		return nil, ErrNoCase
	}
	c := &Case{ID: id, keys: keys, Estimates: map[int]cases.Stored[casefile.Estimate]{}, Failures: map[string]casefile.Failure{}}
	jobs := cases.NewFetcher(ctx, s)
	c.fetch(jobs, brief)
	if err := jobs.Wait(); err != nil {
		return nil, fmt.Errorf("read case: %w", err)
	}
	c.sort()
	return c, nil
}

func (c *Case) fetch(jobs *cases.Fetcher, brief bool) {
	var application, reservation string
	for _, key := range c.keys { // in order of their names
		folder, name := path.Split(strings.TrimPrefix(key, casefile.Prefix(c.ID)))
		base := strings.TrimSuffix(name, ".json")
		switch {
		case folder == "application/":
			application = key
			if !brief {
				cases.Fetch(jobs, key, func(a cases.Stored[casefile.Application]) { c.Applications = append(c.Applications, a) })
			}
		case folder == "quotes/":
			cases.Fetch(jobs, key, func(q cases.Stored[casefile.Quote]) { c.Quotes = append(c.Quotes, q) })
		case folder == "failures/":
			cases.Fetch(jobs, key, func(f cases.Stored[casefile.Failure]) { c.Failures[base] = f.Object })
		case strings.HasPrefix(folder, "photos/") && base == "failure":
			cases.Fetch(jobs, key, func(f cases.Stored[casefile.Failure]) { c.Failures[casefile.PhotoCause(f.Object.N)] = f.Object })
		case folder == "decisions/":
			cases.Fetch(jobs, key, func(d cases.Stored[casefile.Decision]) { c.Decisions = append(c.Decisions, d) })
		case folder == "requests/" && strings.HasPrefix(base, "person-"):
			cases.Fetch(jobs, key, func(r cases.Stored[casefile.PersonRequest]) { c.Requests = append(c.Requests, r.Object) })
		case folder == "complaints/":
			cases.Fetch(jobs, key, func(r cases.Stored[casefile.Complaint]) { c.Complaints = append(c.Complaints, r.Object) })
		case folder == "reservations/":
			reservation = key
		case brief && !slices.Contains(c.keys, casefile.Prefix(c.ID)+folder+"failure.json"):
			// Where photo or quote failed, the estimate may be why.
		case strings.HasPrefix(folder, "photos/") && base == "estimate":
			cases.Fetch(jobs, key, func(e cases.Stored[casefile.Estimate]) { c.Estimates[e.Object.N] = e })
		case strings.HasPrefix(folder, "photos/") && base == "duplicates":
			cases.Fetch(jobs, key, func(d cases.Stored[json.RawMessage]) { c.Duplicates = append(c.Duplicates, d.Object) })
		case folder == "openings/":
			cases.Fetch(jobs, key, func(o cases.Stored[casefile.Opening]) { c.Openings = append(c.Openings, o) })
		}
	}
	if brief && application != "" {
		cases.Fetch(jobs, application, func(a cases.Stored[casefile.Application]) { c.Applications = append(c.Applications, a) })
	}
	if reservation != "" {
		cases.Fetch(jobs, reservation, func(r cases.Stored[casefile.Reservation]) { c.Reservation = &r.Object })
	}
}

// sort puts in order what was read in any.
func (c *Case) sort() {
	slices.SortFunc(c.Applications, func(x, y cases.Stored[casefile.Application]) int { return x.Object.N - y.Object.N })
	slices.SortFunc(c.Quotes, func(x, y cases.Stored[casefile.Quote]) int {
		return cmp.Or(x.Object.Time.Compare(y.Object.Time), strings.Compare(x.Key, y.Key))
	})
	slices.SortFunc(c.Decisions, func(x, y cases.Stored[casefile.Decision]) int { return strings.Compare(x.Key, y.Key) })
	slices.SortFunc(c.Requests, func(x, y casefile.PersonRequest) int { return x.N - y.N })
	slices.SortFunc(c.Complaints, func(x, y casefile.Complaint) int { return x.N - y.N })
	slices.SortFunc(c.Openings, func(x, y cases.Stored[casefile.Opening]) int { return strings.Compare(x.Key, y.Key) })
	slices.SortFunc(c.Duplicates, func(x, y json.RawMessage) int { return strings.Compare(string(x), string(y)) })
}

// Application returns the newest application, an empty one where none stands:
// what broke the case must not keep it from a person.
func (c *Case) Application() cases.Stored[casefile.Application] {
	if len(c.Applications) == 0 {
		return cases.Stored[casefile.Application]{}
	}
	return c.Applications[len(c.Applications)-1]
}

func (c *Case) sumCents() int64 { return c.Application().Object.Facts.SumCents }

// Quote returns the newest quote, nil where there is none.
func (c *Case) Quote() *cases.Stored[casefile.Quote] {
	if len(c.Quotes) == 0 {
		return nil
	}
	return &c.Quotes[len(c.Quotes)-1]
}

// wait is one thing for which a case waits for a person.
type wait struct {
	state   string
	since   time.Time
	reasons []string
}

// Where a case stands that no marker is for.
const (
	stateCustomer = "customer" // the customer was asked for something
	stateClosed   = "closed"   // nothing waits
)

// answered returns when a person last gave the customer an answer.
func (c *Case) answered() (last *casefile.Decision) {
	for i := range c.Decisions {
		if d := &c.Decisions[i].Object; d.Effective() != "" {
			last = d
		}
	}
	return last
}

// suggestion returns the suggestion that waits for a senior, nil where none
// does.
func (c *Case) suggestion() *casefile.Decision {
	for i := len(c.Decisions) - 1; i >= 0; i-- {
		switch d := &c.Decisions[i].Object; d.Action {
		case casefile.SecondLook:
		case casefile.Suggest:
			return d
		default:
			return nil
		}
	}
	return nil
}

// waits returns all for which the case waits for a person, the longest first. A
// suggestion stands for all others: it answers them once it is confirmed.
func (c *Case) waits() []wait {
	if s := c.suggestion(); s != nil {
		return []wait{{casefile.StateSuggested, s.Time, nil}}
	}
	return c.open()
}

// open is waits without suggestions. Of the rules' outcomes the newest counts,
// as for the customer: a case that was referred, and then quoted on corrected
// facts, waits no more.
func (c *Case) open() []wait {
	var after time.Time
	if d := c.answered(); d != nil {
		after = d.Time
	}
	var out []wait
	var newest time.Time
	if q := c.Quote(); q != nil {
		newest = q.Object.Time
		if q.Object.Decision == underwriting.Refer && newest.After(after) {
			out = append(out, wait{casefile.StateRefer, newest, referReasons(&q.Object)})
		}
	}
	for cause, f := range c.Failures {
		if f.Time.After(after) && f.Time.After(newest) && !c.has(cause, f) {
			out = append(out, wait{casefile.StateFailed, f.Time, []string{"failed_" + f.Stage}})
		}
	}
	for _, r := range c.Requests {
		if r.Time.After(after) {
			out = append(out, wait{casefile.StateAsked, r.Time, []string{"asked"}})
			break
		}
	}
	for _, r := range c.Complaints {
		if r.Time.After(after) {
			out = append(out, wait{casefile.StateComplained, r.Time, []string{"complained"}})
			break
		}
	}
	slices.SortStableFunc(out, func(x, y wait) int {
		return cmp.Or(x.since.Compare(y.since), strings.Compare(x.state, y.state))
	})
	return out
}

// has tells whether the effect that was given up has come all the same.
func (c *Case) has(cause string, f casefile.Failure) bool {
	if f.Stage == "predict" {
		return slices.Contains(c.keys, casefile.EstimateKey(c.ID, f.N))
	}
	return slices.Contains(c.keys, casefile.QuoteKey(c.ID, cause))
}

// referReasons are the codes that sent a case to a person.
func referReasons(q *casefile.Quote) []string {
	var out []string
	for _, r := range q.Reasons {
		if r.Decision == underwriting.Refer && !slices.Contains(out, string(r.Code)) {
			out = append(out, string(r.Code))
		}
	}
	return out
}

// resting is where a case stands for which nobody waits.
func (c *Case) resting() string {
	last := c.answered()
	if last == nil {
		return stateClosed
	}
	switch last.Effective() {
	case casefile.AnotherPhoto, casefile.ProofOfAge, casefile.Evidence:
		if q := c.Quote(); q == nil || !q.Object.Time.After(last.Time) {
			return stateCustomer
		}
	}
	return stateClosed
}

// reserved returns the reservation that holds, nil where the case is free.
func (c *Case) reserved(now time.Time) *casefile.Reservation {
	r := c.held()
	if r == nil || !now.Before(r.Until) {
		return nil
	}
	return r
}

// held returns the newest reservation, also past its time, unless it was given
// back or a decision came after it. Who had it last may decide until another
// takes the case.
func (c *Case) held() *casefile.Reservation {
	r := c.Reservation
	if r == nil || r.Released || r.Decisions != len(c.Decisions) {
		return nil
	}
	return r
}

// number reads the number of an object's name, 0 for none.
func number(key string) int {
	n, err := strconv.Atoi(strings.TrimSuffix(path.Base(key), ".json"))
	if err != nil {
		return 0
	}
	return n
}

// last returns the highest number under a prefix.
func (c *Case) last(prefix string) int {
	highest := 0
	for _, key := range c.keys {
		if strings.HasPrefix(key, prefix) {
			highest = max(highest, number(key))
		}
	}
	return highest
}
