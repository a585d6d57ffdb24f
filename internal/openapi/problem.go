package openapi

import (
	"errors"
	"net/http"

	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/underwriting"
)

// Problem is an error for whoever asked, in the shape of RFC 9457. Detail is
// plain and says what to do; Code is of the list in the API's file. It never
// repeats what was sent.
type Problem struct {
	Type   string                    `json:"type"` // about:blank: Code says more than a page would
	Title  string                    `json:"title"`
	Status int                       `json:"status"`
	Detail string                    `json:"detail"`
	Code   string                    `json:"code"`
	Fields []underwriting.FieldError `json:"fields,omitempty"`
	// Conflict is what stands in the way, where that may be told.
	Conflict any `json:"conflict,omitempty"`
}

// Error returns the code. It holds no personal data.
func (p *Problem) Error() string { return p.Code }

// Answer returns the problem as an answer.
func (p *Problem) Answer() Answer {
	q := *p
	q.Type, q.Title = "about:blank", http.StatusText(q.Status)
	a := Answer{Status: q.Status, Body: q, Media: "application/problem+json"}
	if q.Status == http.StatusServiceUnavailable {
		a.Headers = map[string]string{"Retry-After": "1"}
	}
	return a
}

// ErrPanic is wrapped by the error of an operation that panicked.
var ErrPanic = errors.New("panic")

// ProblemOf returns what is told of an error.
func ProblemOf(err error) *Problem {
	var p *Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, ErrPanic), errors.Is(err, cases.ErrUnreadable):
		return Internal()
	}
	return &Problem{Status: http.StatusServiceUnavailable, Code: "try_again", Detail: "Something did not answer in time. Please try again."}
}

// Internal is the problem of a fault of ours.
func Internal() *Problem {
	return &Problem{Status: http.StatusInternalServerError, Code: "internal", Detail: "Something went wrong on our side."}
}

// NotFound is the one answer to all who may not know whether there is a case.
func NotFound() *Problem {
	return &Problem{Status: http.StatusNotFound, Code: "not_found", Detail: "There is nothing here, or the link is not complete."}
}

// Malformed is the problem of a body that is no JSON.
func Malformed() *Problem {
	return &Problem{Status: http.StatusBadRequest, Code: "malformed", Detail: "The body is not JSON."}
}

// TooLarge is the problem of a body that is too large.
func TooLarge() *Problem {
	return &Problem{Status: http.StatusRequestEntityTooLarge, Code: "too_large", Detail: "The body is too large."}
}

// Conflict is the problem of a request that what stands does not allow.
func Conflict(code, detail string) *Problem {
	return &Problem{Status: http.StatusConflict, Code: code, Detail: detail}
}

// Invalid is the problem of fields that cannot be used.
func Invalid(fields []underwriting.FieldError) *Problem {
	return &Problem{Status: http.StatusUnprocessableEntity, Code: "invalid", Detail: "Some fields cannot be used as they are.", Fields: fields}
}
