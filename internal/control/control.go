// Package control is the switch by which people stop quoting by computer: while
// it is off every new case goes to a person. Its records lie under control/ in
// the cases bucket (package journal); quote follows them.
package control

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/agequote/agequote/internal/journal"
)

// Prefix of the records in the cases bucket.
const Prefix = "control/"

// Every is how often an instance looks at the records. A stop is heard of
// within that time, and a quote takes less than the rest of a minute.
const Every = 30 * time.Second

// The actions.
const (
	Stop  = "stop"
	Start = "start"
)

// ErrAlready says that the switch stands where it is to be put.
var ErrAlready = errors.New("nothing to do")

// Switch is the switch in a store.
type Switch struct{ journal.Journal }

// New returns the switch that these objects hold.
func New(objects journal.Objects) *Switch {
	return &Switch{journal.Journal{Objects: objects, Prefix: Prefix}}
}

// State is where the switch stands.
type State struct {
	Stopped bool            `json:"stopped"`
	Last    *journal.Record `json:"last"`   // who put it there; null where nobody ever did
	Record  string          `json:"record"` // the record's name
}

// State returns where the switch stands. A last record that cannot be read
// counts as a stop: nobody can tell what it wanted, and a person does no harm.
func (s *Switch) State(ctx context.Context) (State, error) {
	last, ok, err := s.Last(ctx)
	if err != nil && !errors.Is(err, journal.ErrBroken) {
		return State{}, err
	}
	if !ok {
		return State{}, nil
	}
	return State{Stopped: err != nil || last.Action != Start, Last: &last, Record: s.Key(last.N)}, nil
}

// Set puts the switch to Stop or Start. ErrAlready comes with the state that
// stands, journal.ErrMoved where somebody else put it meanwhile.
func (s *Switch) Set(ctx context.Context, action string, r journal.Record) (State, error) {
	now, err := s.State(ctx)
	if err != nil {
		return State{}, err
	}
	if now.Stopped == (action == Stop) {
		return now, ErrAlready
	}
	after := 0
	if now.Last != nil {
		after = now.Last.N
	}
	r.Action = action
	written, err := s.Append(ctx, after, r)
	if err != nil {
		return State{}, fmt.Errorf("write %s: %w", action, err)
	}
	return State{Stopped: action == Stop, Last: &written, Record: s.Key(written.N)}, nil
}

// Follower knows the switch without asking the store each time. It may be used
// by many goroutines.
type Follower struct {
	Switch *Switch
	Now    func() time.Time

	mu     sync.Mutex
	looked time.Time // zero: never
	record string
}

// Stopped returns the name of the record that stopped quoting, "" while it is
// not stopped, as it was at most Every ago. Where it cannot look it returns an
// error: what it knew before may be wrong by now.
func (f *Follower) Stopped(ctx context.Context) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.Now()
	if age := now.Sub(f.looked); !f.looked.IsZero() && age >= 0 && age < Every {
		return f.record, nil
	}
	state, err := f.Switch.State(ctx)
	if err != nil {
		return "", err
	}
	f.looked, f.record = now, ""
	if state.Stopped {
		f.record = state.Record
	}
	return f.record, nil
}
