package journal_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/agequote/agequote/internal/journal"
	"github.com/agequote/agequote/internal/store"
)

// TestAppendOnce has 20 append after the same record at once: one wins.
func TestAppendOnce(t *testing.T) {
	j := &journal.Journal{Objects: new(store.Memory), Prefix: "control/"}
	var won, lost atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			switch _, err := j.Append(t.Context(), 0, journal.Record{Action: "stop"}); {
			case err == nil:
				won.Add(1)
			case errors.Is(err, journal.ErrMoved):
				lost.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || lost.Load() != 19 {
		t.Errorf("%d won and %d lost, want 1 and 19", won.Load(), lost.Load())
	}
}

// TestHistory changes and removes records: the line after each shows it.
func TestHistory(t *testing.T) {
	tests := []struct {
		name   string
		tamper func(t *testing.T, m *store.Memory, key string)
		want   string // a letter a record: good or broken
	}{
		{"untouched", func(*testing.T, *store.Memory, string) {}, "ggg"},
		{"changed", func(t *testing.T, m *store.Memory, key string) {
			b, err := m.Get(t.Context(), key, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Overwrite(t.Context(), key, []byte(strings.Replace(string(b), "Ann", "Bob", 1))); err != nil {
				t.Fatal(err)
			}
		}, "ggb"},
		{"garbled", func(t *testing.T, m *store.Memory, key string) {
			if err := m.Overwrite(t.Context(), key, []byte("{")); err != nil {
				t.Fatal(err)
			}
		}, "gbb"},
		{"removed", func(t *testing.T, m *store.Memory, key string) {
			if err := m.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}, "gb"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := new(store.Memory)
			j := &journal.Journal{Objects: m, Prefix: "control/"}
			for after := range 3 {
				if _, err := j.Append(t.Context(), after, journal.Record{Action: "stop", By: "Ann", Why: "a test"}); err != nil {
					t.Fatal(err)
				}
			}
			tt.tamper(t, m, j.Key(2))
			lines, err := j.History(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, l := range lines {
				if got += "g"; l.Err != nil {
					got = got[:len(got)-1] + "b"
				}
			}
			if got != tt.want {
				t.Errorf("history %q, want %q: %+v", got, tt.want, lines)
			}
		})
	}
}
