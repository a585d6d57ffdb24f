package whatif

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/cases"
)

// Estimates is a file of estimates by another model: JSON lines of case and
// estimate. It keeps where each line is, some 30 bytes a case, and reads it when
// asked for. Several goroutines may ask.
type Estimates struct {
	file io.ReaderAt
	seed maphash.Seed
	at   map[uint64]place
}

type place struct {
	offset int64
	length int32
}

type estimateLine struct {
	Case     string    `json:"case"`
	Estimate *Estimate `json:"estimate"`
}

// errAgain is as unlikely by chance as a shared 64-bit hash.
var errAgain = errors.New("the case has an estimate already")

// IndexEstimates reads the file once, checking every line. The error names the
// line.
func IndexEstimates(file io.ReaderAt, size int64) (*Estimates, error) {
	e := &Estimates{file: file, seed: maphash.MakeSeed(), at: map[uint64]place{}}
	r := bufio.NewReaderSize(io.NewSectionReader(file, 0, size), maxLine)
	var offset int64
	for n := 1; ; n++ {
		text, err := r.ReadSlice('\n')
		if len(text) > 0 {
			l, decodeErr := decodeEstimate(text)
			if decodeErr != nil {
				return nil, fmt.Errorf("line %d: %w", n, decodeErr)
			}
			key := maphash.String(e.seed, l.Case)
			if _, again := e.at[key]; again {
				return nil, fmt.Errorf("line %d: %w", n, errAgain)
			}
			e.at[key] = place{offset, int32(len(text))}
			offset += int64(len(text))
		}
		if errors.Is(err, io.EOF) {
			return e, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read line %d: %w", n, err)
		}
	}
}

func decodeEstimate(line []byte) (estimateLine, error) {
	var l estimateLine
	if err := json.Unmarshal(line, &l); err != nil || l.Case == "" || l.Estimate == nil {
		return estimateLine{}, fmt.Errorf("want an object of case and estimate: %w", cases.ErrUnreadable)
	}
	return l, nil
}

// Of returns the estimate of a case, false where the file has none.
func (e *Estimates) Of(id string) (*age.Estimate, bool, error) {
	p, ok := e.at[maphash.String(e.seed, id)]
	if !ok {
		return nil, false, nil
	}
	line := make([]byte, p.length)
	if _, err := e.file.ReadAt(line, p.offset); err != nil {
		return nil, false, fmt.Errorf("read estimate: %w", err)
	}
	l, err := decodeEstimate(line)
	if err != nil {
		return nil, false, err
	}
	if l.Case != id { // two ids of one hash
		return nil, false, nil
	}
	return l.Estimate.age(), true, nil
}
