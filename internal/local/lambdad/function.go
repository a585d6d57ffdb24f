package lambdad

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// latest is the only version that a function has here.
const latest = "$LATEST"

// A bootstrap that fails to start is started again after firstBackOff, then
// twice as long each time up to maxBackOff, so that a broken one does not spin.
const (
	firstBackOff = 50 * time.Millisecond
	maxBackOff   = 5 * time.Second
)

// function is a Function and what runs of it. The changing part is guarded by
// Server.mu.
type function struct {
	Function

	waiting      []*request // first come, first served
	running      int        // requests that hold one of Concurrency places
	idle         []*instance
	initFailures int // in a row
}

// request is one try to run a function.
type request struct {
	id      string
	payload []byte
	expires time.Time     // not run after that; zero: never expires
	done    func(outcome) // called once, unless the server closes first
}

// outcome is what became of a request.
type outcome struct {
	payload []byte // JSON: the function's answer, or the description of the failure
	failure string // type of the error; empty: success
	expired bool   // the request was too old to be run
}

func (o outcome) failed() bool { return o.failure != "" }

// failure describes, as Lambda words it, a try that the function did not end
// itself.
func failure(kind, requestID, message string) outcome {
	payload, _ := json.Marshal(map[string]string{ // strings always marshal
		"errorType":    kind,
		"errorMessage": fmt.Sprintf("RequestId: %s Error: %s", requestID, message),
	})
	return outcome{payload: payload, failure: kind}
}

// enqueue gives the request a place as soon as the function has one free. It
// returns false where the server is closed.
func (s *Server) enqueue(f *function, r *request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	f.waiting = append(f.waiting, r)
	s.dispatch(f)
	return true
}

// dispatch runs waiting requests while places are free. The caller holds s.mu.
//
// Synchronous requests wait with the others, where Lambda answers 429: the
// limit here is mostly the machine's, not the template's.
func (s *Server) dispatch(f *function) {
	for !s.closed && f.running < f.Concurrency && len(f.waiting) > 0 {
		r := f.waiting[0]
		f.waiting = f.waiting[1:]
		f.running++
		s.work.Go(func() {
			out := s.run(f, r)
			s.mu.Lock()
			f.running--
			s.dispatch(f)
			s.mu.Unlock()
			r.done(out)
		})
	}
}

// run runs one request on an instance, and keeps the instance if it lives.
func (s *Server) run(f *function, r *request) outcome {
	if !r.expires.IsZero() && s.cfg.Now().After(r.expires) {
		return outcome{expired: true}
	}
	in, failed := s.acquire(f, r.id)
	if in == nil {
		return failed
	}
	started := s.cfg.Now()
	out, alive := in.invoke(r)
	s.cfg.Log.Debug("invocation", "function", f.Name, "request", r.id, "instance", in.id,
		"error", out.failure, "ms", s.cfg.Now().Sub(started).Milliseconds())
	if alive {
		s.park(in)
	}
	return out
}

// acquire returns an instance that waits for an event: an idle one, or a new
// one. Where none comes up the instance is nil and the outcome says why.
func (s *Server) acquire(f *function, requestID string) (*instance, outcome) {
	s.mu.Lock()
	if n := len(f.idle); n > 0 {
		in := f.idle[n-1]
		f.idle = f.idle[:n-1]
		s.mu.Unlock()
		return in, outcome{}
	}
	wait := backOff(f.initFailures)
	s.mu.Unlock()
	s.sleep(wait)

	in, out := s.startInstance(f, requestID)
	s.mu.Lock()
	defer s.mu.Unlock()
	if out.failed() {
		f.initFailures++
		return nil, out
	}
	f.initFailures = 0
	return in, outcome{}
}

// park keeps a live instance for the next request. One that ended, or was
// killed, in this moment is no longer registered and is not kept.
func (s *Server) park(in *instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.instances[in.id] == in {
		in.function.idle = append(in.function.idle, in)
	}
}

// forget removes an instance that has ended.
func (s *Server) forget(in *instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.instances, in.id)
	in.function.idle = slices.DeleteFunc(in.function.idle, func(other *instance) bool { return other == in })
}

// backOff is the wait before an instance is started after so many failures in
// a row.
func backOff(failures int) time.Duration {
	if failures == 0 {
		return 0
	}
	const doublings = 16 // beyond maxBackOff, and far from overflow
	return min(firstBackOff<<min(failures-1, doublings), maxBackOff)
}

// sleep waits for d and returns false where the server ends before.
func (s *Server) sleep(d time.Duration) bool {
	if d <= 0 {
		return s.alive.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.alive.Done():
		return false
	}
}
