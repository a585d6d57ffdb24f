package lambdad

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"
)

// The conditions of an invocation record.
const (
	success          = "Success"
	retriesExhausted = "RetriesExhausted"
	eventAgeExceeded = "EventAgeExceeded"
)

// event is an asynchronous invocation on its way through its tries.
type event struct {
	id       string
	payload  []byte
	received time.Time
	tries    int
	last     outcome // of the last try
}

// record is what a destination receives, as Lambda's guide shows it under
// "Capturing records of Lambda asynchronous invocations".
type record struct {
	Version         string           `json:"version"`
	Timestamp       string           `json:"timestamp"`
	RequestContext  requestContext   `json:"requestContext"`
	RequestPayload  json.RawMessage  `json:"requestPayload"`
	ResponseContext *responseContext `json:"responseContext,omitempty"` // nil where the function never ran
	ResponsePayload json.RawMessage  `json:"responsePayload,omitempty"`
}

type requestContext struct {
	RequestID   string `json:"requestId"`
	FunctionARN string `json:"functionArn"`
	Condition   string `json:"condition"`
	InvokeCount int    `json:"approximateInvokeCount"`
}

type responseContext struct {
	StatusCode      int    `json:"statusCode"`
	ExecutedVersion string `json:"executedVersion"`
	FunctionError   string `json:"functionError,omitempty"`
}

// accept takes responsibility for an event until it is settled. It returns
// false where the server is closed.
func (s *Server) accept(f *function, id string, payload []byte) bool {
	s.mu.Lock()
	if s.events == 0 {
		s.quiet = make(chan struct{})
	}
	s.events++
	s.mu.Unlock()
	if !s.try(f, &event{id: id, payload: payload, received: s.cfg.Now()}) {
		s.settled()
		return false
	}
	return true
}

func (s *Server) settled() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events--
	if s.events == 0 {
		close(s.quiet)
	}
}

// try queues the event behind those that wait for the function. Waiting for a
// place is not a try.
func (s *Server) try(f *function, e *event) bool {
	return s.enqueue(f, &request{
		id:      e.id,
		payload: e.payload,
		expires: e.received.Add(f.MaxEventAge),
		done:    func(out outcome) { s.conclude(f, e, out) },
	})
}

// conclude decides what follows a try. It is the one place that does.
func (s *Server) conclude(f *function, e *event, out outcome) {
	if s.alive.Err() != nil {
		return // the try ended because the server did
	}
	if !out.expired {
		e.tries++
		e.last = out
	}
	wait := s.retryWait(e.tries)
	tooOld := s.cfg.Now().Add(wait).After(e.received.Add(f.MaxEventAge))
	switch {
	case out.expired:
		s.finish(f, e, eventAgeExceeded, f.OnFailure)
	case !out.failed():
		s.finish(f, e, success, f.OnSuccess)
	case e.tries > f.MaxRetries:
		s.finish(f, e, retriesExhausted, f.OnFailure)
	case tooOld: // at the time of the next try, so there is no point in waiting for it
		s.finish(f, e, eventAgeExceeded, f.OnFailure)
	default:
		s.cfg.Log.Warn("try failed", "function", f.Name, "request", e.id, "try", e.tries, "error", out.failure, "retry_in", wait)
		if s.sleep(wait) {
			s.try(f, e)
		}
	}
}

// retryWait is the wait after so many tries: Lambda's one minute, then two.
func (s *Server) retryWait(tries int) time.Duration {
	if s.cfg.RetryWait > 0 {
		return s.cfg.RetryWait
	}
	return time.Duration(tries) * time.Minute
}

// finish sends the event's record to the destination, if there is one, and
// settles the event after whatever the destination starts was accepted.
func (s *Server) finish(f *function, e *event, condition string, to *Destination) {
	defer s.settled()
	if condition != success {
		s.cfg.Log.Error("event given up", "function", f.Name, "request", e.id, "condition", condition,
			"tries", e.tries, "error", e.last.failure)
	}
	if to == nil {
		return
	}
	if err := s.deliver(f, e, condition, to); err != nil { // lost, as on Lambda, which counts it as DestinationDeliveryFailures
		s.cfg.Log.Error("deliver to destination", "function", f.Name, "request", e.id, "err", err)
	}
}

// deliver invokes the destination's function, or writes to its bucket with the
// role of f, as Lambda does. The right of f's role to invoke its destination is
// not checked: SAM grants it.
func (s *Server) deliver(f *function, e *event, condition string, to *Destination) error {
	now := s.cfg.Now().UTC()
	body, err := json.Marshal(newRecord(f, e, condition, now))
	if err != nil {
		return fmt.Errorf("encode invocation record: %w", err)
	}
	if to.Function != "" {
		return s.InvokeAsync(to.Function, body)
	}
	key := fmt.Sprintf("aws/lambda/async/%s/%s/%s-%s", f.Name,
		now.Format("2006/01/02"), now.Format("2006-01-02T15.04.05"), s.cfg.NewID())
	if err := s.cfg.PutObject(s.alive, to.Bucket, key, body, f.AccessKey); err != nil {
		return fmt.Errorf("put invocation record: %w", err)
	}
	return nil
}

func newRecord(f *function, e *event, condition string, now time.Time) record {
	r := record{
		Version:   "1.0",
		Timestamp: now.Format("2006-01-02T15:04:05.000Z"),
		RequestContext: requestContext{
			RequestID:   e.id,
			FunctionARN: f.ARN + ":" + latest,
			Condition:   condition,
			InvokeCount: e.tries,
		},
		RequestPayload: e.payload,
	}
	if e.tries == 0 {
		return r
	}
	r.ResponseContext = &responseContext{StatusCode: 200, ExecutedVersion: latest}
	if e.last.failed() {
		r.ResponseContext.FunctionError = "Unhandled"
	}
	r.ResponsePayload = e.last.payload
	if !json.Valid(r.ResponsePayload) { // a function may return anything
		r.ResponsePayload, _ = json.Marshal(string(e.last.payload)) // a string always marshals
	}
	return r
}

// newUUID returns a random UUID (RFC 9562, version 4), the form of Lambda's
// request ids.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails; it ends the process instead
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
