package event

import (
	"encoding/json"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/reason"
)

// Quote is what quote accepts: the answer of predict bare, or under the
// responsePayload of a Lambda destination's record, one case and cause without a
// photo, or a batch of items. Cases is what is to be quoted of any.
type Quote struct{ Cases []Cause }

// Cause is why a case is quoted: "photo-0001", "facts-0002", "decision-0001".
type Cause struct {
	Case  string
	Cause string
	Code  reason.Code // the photo's; only ok is quoted. Empty: the stored estimate says
	// Source is where the photo lies, where predict's answer says so.
	Source casefile.Source
}

// UnmarshalJSON reads an event's cases.
func (e *Quote) UnmarshalJSON(b []byte) error {
	type answer struct {
		Results []struct {
			Case   string          `json:"case"`
			N      int             `json:"n"`
			Code   reason.Code     `json:"code"`
			Source casefile.Source `json:"source"`
		} `json:"results"`
	}
	var shape struct {
		answer
		Response *answer `json:"responsePayload"`
		Case     string  `json:"case"`
		Cause    string  `json:"cause"`
		Items    []item  `json:"items"`
	}
	if err := json.Unmarshal(b, &shape); err != nil {
		return ErrShape
	}
	if shape.Response != nil {
		shape.answer = *shape.Response
	}

	e.Cases = nil
	if shape.Case != "" {
		e.Cases = append(e.Cases, Cause{Case: shape.Case, Cause: shape.Cause, Code: reason.OK})
	} else if shape.Results == nil && shape.Items == nil {
		return ErrShape
	}
	for _, r := range shape.Results {
		e.Cases = append(e.Cases, Cause{Case: r.Case, Cause: casefile.PhotoCause(r.N), Code: r.Code, Source: r.Source})
	}
	for _, i := range shape.Items {
		e.Cases = append(e.Cases, Cause{Case: i.Case, Cause: casefile.PhotoCause(max(int(i.N), 1))})
	}
	for _, c := range e.Cases {
		_, _, ok := casefile.ParseCause(c.Cause)
		if !casefile.ValidID(c.Case) || !ok {
			return ErrShape
		}
	}
	return nil
}
