package casefile

import (
	"fmt"
	"time"

	"github.com/agequote/agequote/internal/underwriting"
)

// DecisionSchema is the version of Decision.
const DecisionSchema = 1

// Action is what an underwriter does with a case.
type Action string

// The actions. Those from Accept to Decline make a quote of their own, whose
// cause is decision-<n>; the others leave the quote that stands.
const (
	Accept       Action = "accept"        // as the rules priced it
	Change       Action = "change"        // another class, rating or age; priced again
	Postpone     Action = "postpone"      // ask again later
	Decline      Action = "decline"       // not on any terms
	AnotherPhoto Action = "another_photo" // the customer is asked for another photo
	ProofOfAge   Action = "proof_of_age"  // the customer is asked to prove the age
	Evidence     Action = "evidence"      // the customer is asked for medical evidence
	Suggest      Action = "suggest"       // past the author's authority: Suggested waits for a confirmation
	Confirm      Action = "confirm"       // of the suggestion before it, which takes effect
	Return       Action = "return"        // of the suggestion before it, which does not; the case waits again
	SecondLook   Action = "second_look"   // a blind look at a case that is quoted; changes nothing
)

// DecisionsPrefix is the folder of a case's decisions.
func DecisionsPrefix(id string) string { return Prefix(id) + "decisions/" }

// DecisionKey is the name of a case's n-th decision. Names are taken one after
// another, so that of two people who decide at once one meets the other's.
func DecisionKey(id string, n int) string { return fmt.Sprintf("%s%04d.json", DecisionsPrefix(id), n) }

// DecisionCause is the cause of the quote that follows from decision n.
func DecisionCause(n int) string { return fmt.Sprintf("decision-%04d", n) }

// Decision is what a person decided on a case. It is written once. Previous
// chains it to what stood before: the decision before it, or for the first one
// the quote that it was made on, or the application where there is no quote.
type Decision struct {
	Schema int       `json:"schema"`
	Case   string    `json:"case"`
	N      int       `json:"n"`
	Time   time.Time `json:"time"`
	By     string    `json:"by"`   // subject of the token, as the issuer states it
	Role   string    `json:"role"` // underwriter or senior
	Action Action    `json:"action"`
	// Suggested is the action that waits for a confirmation, with Suggest, the
	// one that takes effect, with Confirm, and the one that would have been
	// taken, with SecondLook.
	Suggested Action `json:"suggested,omitempty"`
	Change    *Terms `json:"change,omitempty"` // with Change, or Suggested Change
	// PostponeMonths is how long to wait, with Postpone.
	PostponeMonths int    `json:"postpone_months,omitempty"`
	Reason         string `json:"reason,omitempty"` // code of a closed list, see package review; needed where the rules are overridden
	Text           string `json:"text,omitempty"`   // in the underwriter's words, for colleagues and examiners; personal
	Before         Terms  `json:"before"`           // what stood
	After          Terms  `json:"after"`            // what stands now
	Quote          string `json:"quote"`            // name of the quote that it was made on; empty: none stood
	Application    string `json:"application"`      // name of the application that it was made on
	Opened         bool   `json:"opened"`           // the photo had been opened by this person
	Seconds        int    `json:"seconds"`          // from taking the case to deciding
	Previous       string `json:"previous"`         // "sha256:..." of the object before it
	Version        string `json:"version"`          // code that wrote it
}

// Terms are what a case is, or would be, quoted on. In Decision.Change a field
// that is empty stays as it is.
type Terms struct {
	Decision underwriting.Decision `json:"decision,omitempty"`
	Class    string                `json:"class,omitempty"`
	Rating   string                `json:"rating,omitempty"`    // "A" to "P", or "none" in a change
	PriceAge *int                  `json:"price_age,omitempty"` // whole years, on the product's age basis
	// GrossAnnualCents is the premium on these terms; never in Decision.Change.
	GrossAnnualCents *int64 `json:"gross_annual_cents,omitempty"`
}

// Effective is the action that a decision takes effect by: the suggested one of
// a confirmation, "" of what changes nothing by itself.
func (d *Decision) Effective() Action {
	switch d.Action {
	case Confirm:
		return d.Suggested
	case Suggest, Return, SecondLook:
		return ""
	}
	return d.Action
}

// MakesQuote tells whether a quote follows from the decision.
func (d *Decision) MakesQuote() bool {
	switch d.Effective() {
	case Accept, Change, Postpone, Decline:
		return true
	}
	return false
}

// Reservation says who works on a case. The highest number counts, until its
// time is over or a later decision stands.
type Reservation struct {
	Schema   int       `json:"schema"`
	Case     string    `json:"case"`
	N        int       `json:"n"`
	By       string    `json:"by"`
	Role     string    `json:"role"`
	Time     time.Time `json:"time"`
	Since    time.Time `json:"since"` // when this person took it, where it was taken again
	Until    time.Time `json:"until"`
	Released bool      `json:"released,omitempty"`
	// Decisions is how many decisions stood: one more, and the reservation is over.
	Decisions int    `json:"decisions"`
	Version   string `json:"version"`
}

// ReservationsPrefix is the folder of a case's reservations.
func ReservationsPrefix(id string) string { return Prefix(id) + "reservations/" }

// ReservationKey is the name of a case's n-th reservation.
func ReservationKey(id string, n int) string {
	return fmt.Sprintf("%s%04d.json", ReservationsPrefix(id), n)
}

// Opening records that a person looked at a photo. Openings of a case are
// chained like its decisions.
type Opening struct {
	Schema   int       `json:"schema"`
	Case     string    `json:"case"`
	N        int       `json:"n"`
	Photo    int       `json:"photo"` // its number
	By       string    `json:"by"`
	Role     string    `json:"role"`
	Time     time.Time `json:"time"`
	Previous string    `json:"previous,omitempty"` // "sha256:..." of the opening before it
	Version  string    `json:"version"`
}

// OpeningsPrefix is the folder of a case's openings.
func OpeningsPrefix(id string) string { return Prefix(id) + "openings/" }

// OpeningKey is the name of a case's n-th opening.
func OpeningKey(id string, n int) string { return fmt.Sprintf("%s%04d.json", OpeningsPrefix(id), n) }

// Further states of a queue marker.
const (
	StateSuggested = "suggested" // past an underwriter's authority; a senior confirms
	StateOverdue   = "overdue"   // waited past its limit; comes first
	StateSample    = "sample"    // accepted, and drawn for a blind second look
)
