package lambdad

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
)

// Lambda's limits on what a function is given, in bytes.
const (
	maxSyncPayload  = 6 << 20
	maxAsyncPayload = 1 << 20
)

// serveInvoke is Lambda's Invoke, for the invocation types Event,
// RequestResponse and DryRun.
func (s *Server) serveInvoke(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("function")
	id := s.cfg.NewID()
	w.Header().Set("X-Amzn-Requestid", id)

	// Lambda, too, asks for permission before it tells what exists.
	f := s.function(name)
	key, ok := callerKey(r)
	if !ok {
		refuse(w, http.StatusForbidden, "MissingAuthenticationTokenException", "the request is not signed")
		return
	}
	if !s.mayInvoke(key, f) {
		refuse(w, http.StatusForbidden, "AccessDeniedException", "the caller may not perform lambda:InvokeFunction on this function")
		return
	}
	if f == nil {
		refuse(w, http.StatusNotFound, "ResourceNotFoundException", "function not found: "+name)
		return
	}

	kind, limit := r.Header.Get("X-Amz-Invocation-Type"), int64(maxSyncPayload)
	if kind == "Event" {
		limit = maxAsyncPayload
	}
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		refuse(w, http.StatusRequestEntityTooLarge, "RequestTooLargeException", "the payload is larger than Lambda takes")
		return
	case err != nil:
		refuse(w, http.StatusBadRequest, "InvalidRequestContentException", "the payload ended early")
		return
	}
	if len(payload) == 0 {
		payload = []byte("{}")
	}
	if !json.Valid(payload) {
		refuse(w, http.StatusBadRequest, "InvalidRequestContentException", "the payload is not JSON")
		return
	}

	switch kind {
	case "", "RequestResponse":
		s.answerSync(w, r, f, id, payload)
	case "Event":
		if !s.accept(f, id, payload) {
			refuse(w, http.StatusServiceUnavailable, "ServiceException", "the server is closing")
			return
		}
		w.WriteHeader(http.StatusAccepted)
	case "DryRun":
		w.WriteHeader(http.StatusNoContent)
	default:
		refuse(w, http.StatusBadRequest, "InvalidParameterValueException", "unknown invocation type")
	}
}

// serveSettings is Lambda's GetFunctionConfiguration and GetFunctionConcurrency,
// for the operator: what one who sends a function many items wants to know.
func (s *Server) serveSettings(of func(*function) map[string]any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if key, ok := callerKey(r); !ok || key != s.cfg.Operator {
			refuse(w, http.StatusForbidden, "AccessDeniedException", "the caller may not look at this function")
			return
		}
		f := s.function(r.PathValue("function"))
		if f == nil {
			refuse(w, http.StatusNotFound, "ResourceNotFoundException", "function not found: "+r.PathValue("function"))
			return
		}
		body, _ := json.Marshal(of(f)) // texts and numbers always marshal
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body) // nobody is left to tell
	}
}

// answerSync runs one request and answers with what the function says. A
// caller that goes away does not stop the function.
func (s *Server) answerSync(w http.ResponseWriter, r *http.Request, f *function, id string, payload []byte) {
	outcomes := make(chan outcome, 1)
	if !s.enqueue(f, &request{id: id, payload: payload, done: func(o outcome) { outcomes <- o }}) {
		refuse(w, http.StatusServiceUnavailable, "ServiceException", "the server is closing")
		return
	}
	select {
	case out := <-outcomes:
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("X-Amz-Executed-Version", latest)
		if out.failed() {
			h.Set("X-Amz-Function-Error", "Unhandled")
		}
		_, _ = w.Write(out.payload) // nobody is left to tell
	case <-r.Context().Done():
	case <-s.alive.Done():
		refuse(w, http.StatusServiceUnavailable, "ServiceException", "the server is closing")
	}
}

// Invoke runs a request of the platform itself, such as one of an HTTP API, and
// waits for it. failed is true where the function did not answer; the payload
// is then Lambda's description of the failure.
func (s *Server) Invoke(ctx context.Context, nameOrARN string, payload []byte) (answer []byte, failed bool, err error) {
	f := s.function(nameOrARN)
	if f == nil {
		return nil, false, fmt.Errorf("invoke %s: no such function", nameOrARN)
	}
	outcomes := make(chan outcome, 1)
	if !s.enqueue(f, &request{id: s.cfg.NewID(), payload: payload, done: func(o outcome) { outcomes <- o }}) {
		return nil, false, fmt.Errorf("invoke %s: %w", f.Name, net.ErrClosed)
	}
	select {
	case out := <-outcomes:
		return out.payload, out.failed(), nil
	case <-ctx.Done():
		return nil, false, fmt.Errorf("invoke %s: %w", f.Name, ctx.Err())
	case <-s.alive.Done():
		return nil, false, fmt.Errorf("invoke %s: %w", f.Name, net.ErrClosed)
	}
}

// callerKey is the access key that signed the request. The signature itself is
// not verified: the server listens on 127.0.0.1 only, and what is tried here
// is the template's permissions, not its keys.
func callerKey(r *http.Request) (string, bool) {
	_, rest, ok := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	if !ok {
		return "", false
	}
	key, _, ok := strings.Cut(rest, "/")
	return key, ok && key != ""
}

// mayInvoke tells whether the key's owner may invoke f, which is nil for a
// function that does not exist.
func (s *Server) mayInvoke(key string, f *function) bool {
	if key == s.cfg.Operator {
		return true
	}
	may := s.cfg.Callers[key]
	if role := s.roles[key]; role != nil {
		may = role.MayInvoke
	}
	return f != nil && slices.ContainsFunc(may, func(allowed string) bool { return s.function(allowed) == f })
}

// refuse answers with an error in the shape of the REST-JSON protocol.
func refuse(w http.ResponseWriter, status int, kind, message string) {
	body, _ := json.Marshal(map[string]string{"Type": "User", "message": message}) // strings always marshal
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Errortype", kind)
	w.WriteHeader(status)
	_, _ = w.Write(body) // nobody is left to tell
}
