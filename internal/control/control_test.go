package control_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/agequote/agequote/internal/control"
	"github.com/agequote/agequote/internal/journal"
	"github.com/agequote/agequote/internal/store"
)

func TestSet(t *testing.T) {
	s := control.New(new(store.Memory))
	steps := []struct {
		action  string
		want    error
		stopped bool
		n       int // of the record that counts
	}{
		{control.Start, control.ErrAlready, false, 0},
		{control.Stop, nil, true, 1},
		{control.Stop, control.ErrAlready, true, 1},
		{control.Start, nil, false, 2},
		{control.Stop, nil, true, 3},
	}
	for _, tt := range steps {
		got, err := s.Set(t.Context(), tt.action, journal.Record{By: "Ann", Why: "a test"})
		if !errors.Is(err, tt.want) || got.Stopped != tt.stopped {
			t.Fatalf("Set(%s) = %+v, %v, want stopped %v, %v", tt.action, got, err, tt.stopped, tt.want)
		}
		if tt.n > 0 && got.Last.N != tt.n {
			t.Errorf("record %d counts after %s, want %d", got.Last.N, tt.action, tt.n)
		}
	}
}

// TestStateOfABrokenRecord counts as a stop what nobody can read.
func TestStateOfABrokenRecord(t *testing.T) {
	m := new(store.Memory)
	if err := m.PutIfAbsent(t.Context(), "control/000001.json", []byte("{")); err != nil {
		t.Fatal(err)
	}
	s := control.New(m)
	if got, err := s.State(t.Context()); err != nil || !got.Stopped {
		t.Errorf("State = %+v, %v, want stopped", got, err)
	}
	if got, err := s.Set(t.Context(), control.Start, journal.Record{By: "Ann"}); err != nil || got.Stopped {
		t.Errorf("Start = %+v, %v", got, err)
	}
}

// deaf is a store that cannot be reached.
type deaf struct{ journal.Objects }

func (deaf) List(context.Context, string) ([]string, error) { return nil, errors.New("no answer") }

func TestFollower(t *testing.T) {
	m := new(store.Memory)
	s := control.New(m)
	clock := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	f := &control.Follower{Switch: s, Now: func() time.Time { return clock }}
	look := func(want string) {
		t.Helper()
		if got, err := f.Stopped(t.Context()); err != nil || got != want {
			t.Errorf("Stopped = %q, %v, want %q", got, err, want)
		}
	}
	look("")
	if _, err := s.Set(t.Context(), control.Stop, journal.Record{By: "Ann"}); err != nil {
		t.Fatal(err)
	}
	clock = clock.Add(control.Every - 1)
	look("") // not asked yet
	clock = clock.Add(1)
	look("control/000001.json")
	// What it knew may be wrong by now, so it says that it does not know.
	f.Switch = control.New(deaf{m})
	look("control/000001.json")
	clock = clock.Add(control.Every)
	if got, err := f.Stopped(t.Context()); err == nil {
		t.Errorf("Stopped = %q from a store that cannot be reached", got)
	}
	if control.Every >= time.Minute/2+1 {
		t.Errorf("looks every %v, so a stop may take longer than a minute", control.Every)
	}
}
