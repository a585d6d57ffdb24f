package lambdad

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

const (
	// instancePath is where each instance finds its own Runtime API. The id
	// after it is random, so one function cannot take another's events.
	instancePath = "/instances/"

	// maxAnswer is Lambda's limit on what a function returns, in bytes.
	maxAnswer = 6 << 20
)

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2015-03-31/functions/{function}/invocations", s.serveInvoke)
	mux.HandleFunc("GET /2015-03-31/functions/{function}/configuration", s.serveSettings(func(f *function) map[string]any {
		return map[string]any{"FunctionName": f.Name, "FunctionArn": f.ARN, "MemorySize": f.MemoryMB, "Timeout": int(f.Timeout.Seconds())}
	}))
	mux.HandleFunc("GET /2019-09-30/functions/{function}/concurrency", s.serveSettings(func(f *function) map[string]any {
		return map[string]any{"ReservedConcurrentExecutions": f.Concurrency}
	}))

	runtime := instancePath + "{instance}/2018-06-01/runtime"
	mux.HandleFunc("GET "+runtime+"/invocation/next", s.forInstance((*instance).serveNext))
	mux.HandleFunc("POST "+runtime+"/invocation/{request}/response", s.forInstance((*instance).serveResponse))
	mux.HandleFunc("POST "+runtime+"/invocation/{request}/error", s.forInstance((*instance).serveError))
	mux.HandleFunc("POST "+runtime+"/init/error", s.forInstance((*instance).serveInitError))
	return mux
}

// forInstance answers 404 to a process that the server has given up.
func (s *Server) forInstance(serve func(*instance, http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		in := s.instances[r.PathValue("instance")]
		s.mu.Unlock()
		if in == nil {
			http.NotFound(w, r)
			return
		}
		serve(in, w, r)
	}
}

// serveNext tells that the process is ready and holds the call until there is
// an event.
func (in *instance) serveNext(w http.ResponseWriter, r *http.Request) {
	select {
	case in.ready <- struct{}{}:
	case <-r.Context().Done():
		return
	}
	select {
	case inv := <-in.events:
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", in.function.ARN)
		h.Set("Lambda-Runtime-Trace-Id", traceID(inv))
		_, _ = w.Write(inv.payload) // a process that went away is seen by its supervisor
	case <-r.Context().Done():
	}
}

// traceID is an X-Ray trace header of an unsampled trace.
func traceID(inv *invocation) string {
	hex := strings.ReplaceAll(inv.id, "-", "")
	hex += strings.Repeat("0", max(0, 24-len(hex)))
	return "Root=1-" + strconv.FormatInt(inv.deadline.Unix(), 16) + "-" + hex[:24] + ";Sampled=0"
}

func (in *instance) serveResponse(w http.ResponseWriter, r *http.Request) {
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAnswer))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		id := r.PathValue("request")
		in.take(id, failure("Function.ResponseSizeTooLarge", id,
			fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes)", maxAnswer)))
		http.Error(w, "response is too large", http.StatusRequestEntityTooLarge)
	case err != nil:
		http.Error(w, "truncated response", http.StatusBadRequest)
	default:
		in.answer(w, r, outcome{payload: payload})
	}
}

func (in *instance) serveError(w http.ResponseWriter, r *http.Request) {
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAnswer))
	if err != nil {
		http.Error(w, "truncated error", http.StatusBadRequest)
		return
	}
	in.answer(w, r, outcome{payload: payload, failure: errorType(payload)})
}

func (in *instance) answer(w http.ResponseWriter, r *http.Request, out outcome) {
	if !in.take(r.PathValue("request"), out) {
		http.Error(w, "not a request in progress", http.StatusBadRequest)
		return
	}
	accepted(w)
}

// take accepts the first answer to the event that the instance handles, and
// no other.
func (in *instance) take(requestID string, out outcome) bool {
	in.mu.Lock()
	inv := in.current
	in.mu.Unlock()
	if inv == nil || inv.id != requestID {
		return false
	}
	select {
	case inv.answer <- out:
		return true
	default:
		return false
	}
}

func (in *instance) serveInitError(w http.ResponseWriter, r *http.Request) {
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAnswer))
	if err != nil {
		http.Error(w, "truncated error", http.StatusBadRequest)
		return
	}
	in.mu.Lock()
	in.initError = payload
	in.mu.Unlock()
	accepted(w)
	in.kill() // it has nothing left to do, and may not know it
}

func accepted(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`) // the process that asked may be gone
}

// errorType is the name of the error in a function's own report. A report
// without one still has to count as a failure.
func errorType(report []byte) string {
	var e struct {
		Type string `json:"errorType"`
	}
	if err := json.Unmarshal(report, &e); err != nil || e.Type == "" {
		return "Unhandled"
	}
	return e.Type
}
