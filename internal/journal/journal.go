// Package journal keeps short histories of who did what and why in a bucket:
// records under one prefix, numbered from 1, each written once and holding the
// hash of the one before, so that none can be changed or taken out unseen. The
// highest counts. What the actions mean is the affair of its users.
package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/store"
)

// The errors that callers act on. Any other is passing trouble.
var (
	// ErrMoved says that somebody else has written a record meanwhile.
	ErrMoved = errors.New("somebody else has just written a record")
	// ErrBroken says that a record cannot be read, or does not follow the one
	// before it.
	ErrBroken = errors.New("the journal is broken")
)

// schema of Record.
const schema = 1

// maxRecord bounds what is read of a record.
const maxRecord = 1 << 16

// Record is one action.
type Record struct {
	Schema   int       `json:"schema"`
	N        int       `json:"n"`
	Action   string    `json:"action"`
	By       string    `json:"by"`  // as typed; IAM and CloudTrail prove who it was
	Why      string    `json:"why"` // no personal data
	Time     time.Time `json:"time"`
	Previous string    `json:"previous,omitempty"` // "sha256:..." of the record before
	Version  string    `json:"version"`            // code that wrote it
}

// Objects is what a journal asks of a store.
type Objects interface {
	Get(ctx context.Context, key string, limit int64) ([]byte, error)
	PutIfAbsent(ctx context.Context, key string, body []byte) error
	List(ctx context.Context, prefix string) ([]string, error)
}

// Journal is the records under Prefix, which ends in a slash.
type Journal struct {
	Objects Objects
	Prefix  string
}

// Key is the name of the n-th record.
func (j *Journal) Key(n int) string { return fmt.Sprintf("%s%06d.json", j.Prefix, n) }

// numbers returns the numbers of all records, in order.
func (j *Journal) numbers(ctx context.Context) ([]int, error) {
	keys, err := j.Objects.List(ctx, j.Prefix)
	if err != nil {
		return nil, fmt.Errorf("list journal: %w", err)
	}
	var numbers []int
	for _, key := range keys {
		n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(key, j.Prefix), ".json"))
		if err == nil && n > 0 && j.Key(n) == key {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// Last returns the highest record; ok is false where there is none. A record
// that cannot be read is ErrBroken, with N and nothing else of it.
func (j *Journal) Last(ctx context.Context) (r Record, ok bool, err error) {
	numbers, err := j.numbers(ctx)
	if err != nil || len(numbers) == 0 {
		return Record{}, false, err
	}
	r, _, err = j.read(ctx, numbers[len(numbers)-1])
	return r, true, err
}

// read returns the n-th record and the hash of its bytes.
func (j *Journal) read(ctx context.Context, n int) (Record, string, error) {
	body, err := j.Objects.Get(ctx, j.Key(n), maxRecord)
	if errors.Is(err, store.ErrTooLarge) || errors.Is(err, store.ErrNotFound) {
		return Record{N: n}, "", fmt.Errorf("read record %d: %w: %w", n, ErrBroken, err)
	}
	if err != nil {
		return Record{N: n}, "", fmt.Errorf("read record %d: %w", n, err)
	}
	var r Record
	if json.Unmarshal(body, &r) != nil || r.Schema != schema || r.N != n || r.Action == "" {
		return Record{N: n}, digest.Of(body), fmt.Errorf("read record %d: %w", n, ErrBroken)
	}
	return r, digest.Of(body), nil
}

// Append writes the next record: N, Previous and Schema are filled in. Of
// several that try at once one wins, and the others get ErrMoved. After is what
// the caller took for the last record, so that nobody acts on what has changed:
// 0 for none.
func (j *Journal) Append(ctx context.Context, after int, r Record) (Record, error) {
	r.Schema, r.N = schema, after+1
	if after > 0 {
		_, hash, err := j.read(ctx, after)
		if err != nil && !errors.Is(err, ErrBroken) {
			return Record{}, err
		}
		r.Previous = hash // of a broken one too: the journal goes on, and shows it
	}
	body, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return Record{}, fmt.Errorf("encode record: %w", err)
	}
	err = j.Objects.PutIfAbsent(ctx, j.Key(r.N), append(body, '\n'))
	switch {
	case errors.Is(err, store.ErrExists):
		return Record{}, ErrMoved
	case err != nil:
		return Record{}, fmt.Errorf("write record %d: %w", r.N, err)
	}
	return r, nil
}

// Line is a record with what is wrong with it.
type Line struct {
	Record
	Err error
}

// History returns every record, in order. One that is broken, or does not hold
// the hash of the one before it, says so in its line.
func (j *Journal) History(ctx context.Context) ([]Line, error) {
	numbers, err := j.numbers(ctx)
	if err != nil {
		return nil, err
	}
	var lines []Line
	before, last := "", 0
	for _, n := range numbers {
		r, hash, err := j.read(ctx, n)
		if err != nil && !errors.Is(err, ErrBroken) {
			return nil, err
		}
		if err == nil && (r.Previous != before || n != last+1) {
			err = fmt.Errorf("record %d does not follow the one before it: %w", n, ErrBroken)
		}
		before, last = hash, n
		lines = append(lines, Line{Record: r, Err: err})
	}
	return lines, nil
}
