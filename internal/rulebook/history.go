package rulebook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/agequote/agequote/internal/digest"
)

// HistoryName is the file in the rule book that holds its history.
const HistoryName = "history.jsonl"

// maxHistory bounds it: some ten thousand approvals.
const maxHistory = 8 << 20

// Record is one line of the history: that a rule file with these bytes was
// approved, by whom and why. Lines are only ever added, and each holds the hash
// of the line before it, so that none can be changed or taken out unseen.
type Record struct {
	Schema        int    `json:"schema"`
	File          string `json:"file"` // path in the rule book
	Hash          string `json:"hash"` // of its bytes
	EffectiveFrom string `json:"effective_from"`
	Author        string `json:"author"`
	Approver      string `json:"approver"`
	Reason        string `json:"reason"`
	Approved      string `json:"approved"` // day of approval, YYYY-MM-DD
	Previous      string `json:"previous"` // hash of the line before, without its newline; empty in the first
}

func readHistory(fsys fs.FS) ([]Record, error) {
	raw, err := fs.ReadFile(fsys, HistoryName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read history of the rules: %w", err)
	}
	return ParseHistory(raw)
}

// ParseHistory reads the bytes of history.jsonl and checks the chain. The error
// names the line.
func ParseHistory(raw []byte) ([]Record, error) {
	if len(raw) > maxHistory {
		return nil, fmt.Errorf("%s: more than %d bytes", HistoryName, maxHistory)
	}
	var records []Record
	before := ""
	for n := 1; len(raw) > 0; n++ {
		line, rest, ended := bytes.Cut(raw, []byte("\n"))
		if !ended {
			return nil, fmt.Errorf("%s: line %d: does not end", HistoryName, n)
		}
		raw = rest
		var r Record
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&r); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", HistoryName, n, err)
		}
		if err := r.check(before); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", HistoryName, n, err)
		}
		records = append(records, r)
		before = digest.Of(line)
	}
	return records, nil
}

func (r Record) check(before string) error {
	_, err := time.Parse(time.DateOnly, r.Approved)
	switch {
	case r.Schema != 1:
		return errors.New("schema must be 1")
	case r.Previous != before:
		return errors.New("does not follow the line before it: one was changed or taken out")
	case err != nil:
		return errors.New("approved must be a date, YYYY-MM-DD")
	case r.File == "" || r.Hash == "" || r.Author == "" || r.Approver == "" || r.Reason == "":
		return errors.New("a field is empty")
	case samePerson(r.Author, r.Approver):
		return errors.New("the author approved it")
	}
	return nil
}

// Unapproved returns an error, ErrNotApproved, that names each file whose bytes
// are not those of its last record; nil where all are.
func Unapproved(files []File, history []Record) error {
	last := map[string]Record{}
	for _, r := range history {
		last[r.File] = r
	}
	var problems []error
	for _, f := range files {
		if r, ok := last[f.Name]; !ok || !r.of(f) {
			problems = append(problems, fmt.Errorf("%s: line 1: %w: history.jsonl does not hold these bytes", f.Name, ErrNotApproved))
		}
	}
	return errors.Join(problems...)
}

// of tells whether the record is that of the file as it stands.
func (r Record) of(f File) bool {
	return r.Hash == f.Hash && r.EffectiveFrom == f.EffectiveFrom && r.Author == f.Author && r.Approver == f.Approver && r.Reason == f.Reason
}

// History returns the records of the book's approval, oldest first. A draft has
// none.
func (b *Book) History() []Record { return b.history }

// Approve returns the line that records the approval of a file, newline and
// all, to be added to the history whose bytes are given. by must be the
// approver that the file names. Bytes that changed since they were recorded are
// refused where the recorded version was in force already: what was in force
// must stay readable, and a change is a version of its own, in a file of its
// own; correct lifts that for a slip.
func Approve(history []byte, f File, by string, day time.Time, correct bool) ([]byte, error) {
	records, err := ParseHistory(history)
	if err != nil {
		return nil, err
	}
	today := day.Format(time.DateOnly)
	for i := len(records) - 1; i >= 0; i-- {
		r := records[i]
		if r.File != f.Name {
			continue
		}
		if r.of(f) {
			return nil, fmt.Errorf("approve %s: its bytes are approved already, on %s", f.Name, r.Approved)
		}
		if r.EffectiveFrom <= today && !correct {
			return nil, fmt.Errorf("approve %s: the recorded version is in force since %s; write the change to a file of its own, with a later date", f.Name, r.EffectiveFrom)
		}
		break
	}
	switch {
	case samePerson(by, f.Author):
		return nil, fmt.Errorf("approve %s: its author may not approve it", f.Name)
	case by != f.Approver:
		return nil, fmt.Errorf("approve %s: the file names another approver, %s", f.Name, f.Approver)
	}
	r := Record{Schema: 1, File: f.Name, Hash: f.Hash, EffectiveFrom: f.EffectiveFrom,
		Author: f.Author, Approver: f.Approver, Reason: f.Reason, Approved: today}
	if len(records) > 0 {
		lines := bytes.Split(bytes.TrimSuffix(history, []byte("\n")), []byte("\n"))
		r.Previous = digest.Of(lines[len(lines)-1])
	}
	line, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("approve %s: %w", f.Name, err)
	}
	return append(line, '\n'), nil
}
