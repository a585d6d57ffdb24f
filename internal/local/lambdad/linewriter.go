package lambdad

import (
	"bytes"
	"io"
	"sync"
)

// maxLine is where Lambda splits a line of a function's log, in bytes.
const maxLine = 256 << 10

// lineWriter passes whole lines on, each after a prefix. Several of them share
// one writer and its lock. One lineWriter has one user at a time.
type lineWriter struct {
	prefix string
	to     io.Writer
	lock   *sync.Mutex
	rest   []byte // of a line not yet ended
}

// Write never fails: a log that cannot be written must not stop a function.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		line, rest, ok := bytes.Cut(w.rest, []byte("\n"))
		if !ok {
			break
		}
		w.emit(line)
		w.rest = rest
	}
	if len(w.rest) > maxLine {
		w.flush()
	}
	return len(p), nil
}

// flush passes on what is left, as a line.
func (w *lineWriter) flush() {
	if len(w.rest) > 0 {
		w.emit(w.rest)
		w.rest = nil
	}
}

func (w *lineWriter) emit(line []byte) {
	whole := append(append([]byte(w.prefix), line...), '\n')
	w.lock.Lock()
	defer w.lock.Unlock()
	_, _ = w.to.Write(whole)
}
