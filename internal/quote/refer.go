package quote

import (
	"errors"
	"time"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/underwriting"
)

// ComputeOrRefer is Compute for facts that nobody can correct on the spot:
// facts that cannot be used send the case to a person, one reason a field,
// instead of failing. Any error is a fault of the rule book.
func ComputeOrRefer(book *rulebook.Book, in Input) (casefile.Quote, error) {
	q, err := Compute(book, in)
	var bad *underwriting.FieldsError
	if !errors.As(err, &bad) {
		return q, err
	}

	q = casefile.Quote{
		Schema: casefile.QuoteSchema, Case: in.Case, Cause: in.Cause, Code: reason.OK,
		Decision:      underwriting.Refer,
		ValuationDate: in.ValuationDate.Format(time.DateOnly),
		Notices:       []string{},
		ModelUse:      in.ModelUse,
		Inputs:        in.Inputs, Hashes: in.Hashes, Time: in.Time,
	}
	if in.Replaces != "" {
		q.Replaces = &in.Replaces
	}
	for _, f := range bad.Fields {
		q.Reasons = append(q.Reasons, underwriting.FactsInvalidReason(f))
	}
	q.Principal = principal(q.Reasons)
	if in.Decided == nil {
		return q, nil
	}
	if !in.Decided.refuses() {
		return casefile.Quote{}, err // nothing can be priced, whoever decides
	}
	q.Reasons = append(q.Reasons, in.Decided.reasons()...)
	in.Decided.mark(&q, nil)
	return q, nil
}

// ReferStopped sends a quote to a person because quoting is stopped, whatever
// the rules say; what they said stays beside it. Record names who stopped it
// and why; with none the quote is returned as it is. A replay finds the record
// as the value of the reason.
func ReferStopped(q casefile.Quote, record string) casefile.Quote {
	if record == "" {
		return q
	}
	q.Decision = underwriting.Refer
	q.Reasons = append([]underwriting.Reason{underwriting.StoppedReason(record)}, q.Reasons...)
	// The customer is told this alone: what the rules said is not decided yet.
	q.Principal = []underwriting.Code{underwriting.Stopped}
	return q
}
