package onboard

import (
	"errors"
	"net/http"
	"strings"

	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/underwriting"
)

// Problem is an error for the customer, in the shape of RFC 9457. Detail is
// plain and says what to do; Code is of the list in openapi.yaml. It never
// repeats what was sent.
type Problem struct {
	Type   string                    `json:"type"` // about:blank: Code says more than a page would
	Title  string                    `json:"title"`
	Status int                       `json:"status"`
	Detail string                    `json:"detail"`
	Code   string                    `json:"code"`
	Fields []underwriting.FieldError `json:"fields,omitempty"`
}

// Error returns the code. It holds no personal data.
func (p *Problem) Error() string { return p.Code }

func (p *Problem) answer() answer {
	q := *p
	q.Type, q.Title = "about:blank", http.StatusText(q.Status)
	a := answer{status: q.Status, body: q, media: "application/problem+json"}
	if q.Status == http.StatusServiceUnavailable {
		a.headers = map[string]string{"Retry-After": "1"}
	}
	return a
}

var errPanic = errors.New("panic")

// problemOf returns what a customer is told of an error.
func problemOf(err error) *Problem {
	var p *Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, errPanic), errors.Is(err, cases.ErrUnreadable):
		return internalError()
	}
	return &Problem{Status: http.StatusServiceUnavailable, Code: "try_again", Detail: "Something did not answer in time. Please try again."}
}

func internalError() *Problem {
	return &Problem{Status: http.StatusInternalServerError, Code: "internal", Detail: "Something went wrong on our side."}
}

// notFound is the one answer to all who may not know whether there is a case.
func notFound() *Problem {
	return &Problem{Status: http.StatusNotFound, Code: "not_found", Detail: "There is nothing here, or the link is not complete."}
}

func malformed() *Problem {
	return &Problem{Status: http.StatusBadRequest, Code: "malformed", Detail: "The body is not JSON."}
}

func tooLarge() *Problem {
	return &Problem{Status: http.StatusRequestEntityTooLarge, Code: "too_large", Detail: "The body is too large."}
}

func conflict(code, detail string) *Problem {
	return &Problem{Status: http.StatusConflict, Code: code, Detail: detail}
}

func invalid(fields []underwriting.FieldError) *Problem {
	return &Problem{Status: http.StatusUnprocessableEntity, Code: "invalid", Detail: "Some fields cannot be used as they are.", Fields: fields}
}

// fieldErrors is the complaint about one field, named by its JSON path. Facts
// are named as underwriting names them, without what holds them.
func fieldErrors(path, sentence string) []underwriting.FieldError {
	name := strings.TrimPrefix(path, "facts.")
	if name == "" {
		name = "body"
	}
	return []underwriting.FieldError{{Field: name, Sentence: sentence}}
}
