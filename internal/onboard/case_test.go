package onboard

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/store"
	"github.com/agequote/agequote/internal/underwriting"
)

// TestStanding goes through what can be stored of a case. Minutes are those
// since the application.
func TestStanding(t *testing.T) {
	start := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	at := func(minute int) time.Time { return start.Add(time.Duration(minute) * time.Minute) }
	age := 40.0
	read := func(n, minute int, code reason.Code) photo {
		return photo{n: n, estimate: &casefile.Estimate{N: n, Code: code, Time: at(minute)}}
	}
	quote := func(d underwriting.Decision, minute, application int) casefile.Quote {
		return casefile.Quote{Decision: d, Time: at(minute), Inputs: casefile.Inputs{Application: casefile.ApplicationKey("c", application)}}
	}
	decision := func(a casefile.Action, minute int) casefile.Decision {
		return casefile.Decision{Action: a, Suggested: casefile.Decline, Time: at(minute)}
	}
	type quotes = map[string]casefile.Quote
	type decisions = map[string]casefile.Decision
	consent := &casefile.Consent{Version: "v"}
	first := casefile.Application{N: 1, Time: at(0), Consent: consent}
	second := casefile.Application{N: 2, Time: at(10), Consent: consent}
	tests := []struct {
		name  string
		view  caseView
		want  State
		since int
	}{
		{"nothing yet", caseView{application: first}, Waiting, 0},
		{"uploaded", caseView{application: first, photos: []photo{{n: 1}}}, Reading, 0},
		{"read, not quoted", caseView{application: first, photos: []photo{read(1, 1, reason.OK)}}, Reading, 1},
		{"refused", caseView{application: first, photos: []photo{read(1, 1, reason.Blurred)}}, AnotherPhoto, 1},
		{"given up", caseView{application: first, photos: []photo{{n: 1, failure: &casefile.Failure{Time: at(2)}}}}, WithAPerson, 2},
		{"given up, then quoted", caseView{application: first, photos: []photo{{n: 1, failure: &casefile.Failure{Time: at(2)}}},
			quotes: quotes{"photo-0001": quote(underwriting.Quote, 3, 1)}}, Quoted, 3},
		{"declined", caseView{application: first, photos: []photo{read(1, 1, reason.OK)}, quotes: quotes{"photo-0001": quote(underwriting.Decline, 2, 1)}}, Declined, 2},
		{"postponed", caseView{application: first, photos: []photo{read(1, 1, reason.OK)}, quotes: quotes{"photo-0001": quote(underwriting.Postpone, 2, 1)}}, Postponed, 2},
		{"retake after a quote", caseView{application: first, photos: []photo{read(1, 1, reason.OK), read(2, 5, reason.NoFace)},
			quotes: quotes{"photo-0001": quote(underwriting.Quote, 2, 1)}}, AnotherPhoto, 5},
		{"corrected after a photo", caseView{application: second, photos: []photo{read(1, 1, reason.OK)},
			quotes: quotes{"photo-0001": quote(underwriting.Quote, 2, 1)}}, Reading, 10},
		{"corrected, and quoted again", caseView{application: second, photos: []photo{read(1, 1, reason.OK)},
			quotes: quotes{"photo-0001": quote(underwriting.Quote, 2, 1), "facts-0002": quote(underwriting.Refer, 11, 2)}}, WithAPerson, 11},
		{"corrected before the photo", caseView{application: second, photos: []photo{read(1, 12, reason.OK)},
			quotes: quotes{"photo-0001": quote(underwriting.Quote, 13, 2)}}, Quoted, 13},
		{"corrected before the photo, whose quote was given up", caseView{application: second,
			photos: []photo{{n: 1, estimate: read(1, 12, reason.OK).estimate, failure: &casefile.Failure{Time: at(14)}}}}, WithAPerson, 14},
		{"corrected without an age", caseView{application: second}, Waiting, 10},
		{"age stated at once, no consent", caseView{application: casefile.Application{N: 1, Time: at(0), Facts: underwriting.Facts{Age: &age}}}, Reading, 0},
		{"age stated at once, with consent", caseView{application: casefile.Application{N: 1, Time: at(0), Facts: underwriting.Facts{Age: &age}, Consent: consent}}, Waiting, 0},
		{"correction given up", caseView{application: casefile.Application{N: 2, Time: at(10), Facts: underwriting.Facts{Age: &age}},
			failures: map[string]casefile.Failure{"facts-0002": {Time: at(11)}}}, WithAPerson, 11},
		{"asked for a person", caseView{application: first, asked: &casefile.PersonRequest{Time: at(4)},
			quotes: quotes{"photo-0001": quote(underwriting.Quote, 2, 1)}}, WithAPerson, 4},
		{"a person has answered", caseView{application: first, asked: &casefile.PersonRequest{Time: at(4)},
			quotes: quotes{"decision-0001": quote(underwriting.Quote, 6, 1)}, decisions: decisions{"decision-0001": decision(casefile.Accept, 5)}}, Quoted, 6},
		{"a decision is being priced", caseView{application: first, asked: &casefile.PersonRequest{Time: at(4)},
			quotes: quotes{"photo-0001": quote(underwriting.Refer, 2, 1)}, decisions: decisions{"decision-0001": decision(casefile.Change, 5)}}, Reading, 5},
		{"asked for another photo", caseView{application: first, photos: []photo{read(1, 1, reason.OK)},
			quotes: quotes{"photo-0001": quote(underwriting.Refer, 2, 1)}, decisions: decisions{"decision-0001": decision(casefile.AnotherPhoto, 5)}}, AnotherPhoto, 5},
		{"and sent it", caseView{application: first, photos: []photo{read(1, 1, reason.OK), read(2, 7, reason.OK)}, quotes: quotes{
			"photo-0001": quote(underwriting.Refer, 2, 1), "photo-0002": quote(underwriting.Quote, 8, 1)},
			decisions: decisions{"decision-0001": decision(casefile.AnotherPhoto, 5)}}, Quoted, 8},
		{"asked to prove the age", caseView{application: first, asked: &casefile.PersonRequest{Time: at(4)},
			quotes: quotes{"photo-0001": quote(underwriting.Refer, 2, 1)}, decisions: decisions{"decision-0001": decision(casefile.ProofOfAge, 5)}}, ProofOfAge, 5},
		{"asked for evidence", caseView{application: first,
			quotes: quotes{"photo-0001": quote(underwriting.Refer, 2, 1)}, decisions: decisions{"decision-0001": decision(casefile.Evidence, 5)}}, Evidence, 5},
		{"only suggested", caseView{application: first,
			quotes: quotes{"photo-0001": quote(underwriting.Refer, 2, 1)}, decisions: decisions{"decision-0001": decision(casefile.Suggest, 5)}}, WithAPerson, 2},
		{"looked at blindly", caseView{application: first,
			quotes: quotes{"photo-0001": quote(underwriting.Quote, 2, 1)}, decisions: decisions{"decision-0001": decision(casefile.SecondLook, 5)}}, Quoted, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.view.id = "c"
			got := tt.view.standing(at(60))
			if got.state != tt.want || !got.at.Equal(at(tt.since)) {
				t.Errorf("%s since %v, want %s since %v", got.state, got.at, tt.want, at(tt.since))
			}
		})
	}
}

// TestStandingDamaged reads a case whose estimate or quote is damaged: once it
// was given up, the customer is told that a person has it.
func TestStandingDamaged(t *testing.T) {
	for _, damaged := range []string{casefile.EstimateKey("case-0001", 1), casefile.QuoteKey("case-0001", "photo-0001")} {
		s := new(store.Memory)
		put := func(key, body string) {
			if err := s.PutIfAbsent(t.Context(), key, []byte(body)); err != nil {
				t.Fatal(err)
			}
		}
		put(casefile.ApplicationKey("case-0001", 1), `{"schema":1,"case":"case-0001","n":1,"time":"2026-11-25T00:00:00Z","consent":{"version":"v"}}`)
		put(casefile.UploadKey("case-0001", 1), "photo")
		put(damaged, `{"age":4`)
		h := &Handler{Cases: s, Photos: s}
		if _, err := h.look(t.Context(), "case-0001"); !errors.Is(err, cases.ErrUnreadable) {
			t.Errorf("%s: look = %v before anything was given up", damaged, err)
		}
		put(casefile.FailureKey("case-0001", "photo-0001"), `{"schema":1,"case":"case-0001","n":1,"stage":"quote","time":"2026-11-25T00:01:00Z"}`)
		v, err := h.look(t.Context(), "case-0001")
		if err != nil {
			t.Fatal(err)
		}
		if got := v.standing(time.Date(2026, 11, 25, 0, 2, 0, 0, time.UTC)); got.state != WithAPerson {
			t.Errorf("%s: state %s", damaged, got.state)
		}
	}
}

// noUploads cannot be asked which photos were sent.
type noUploads struct{}

func (noUploads) List(context.Context, string) ([]string, error) { return nil, errors.New("asked") }

// TestLookAfter waits for a photo that the customer says was sent: nobody asks
// which were, and it is on its way until something came of it.
func TestLookAfter(t *testing.T) {
	s := new(store.Memory)
	put := func(key, body string) {
		if err := s.PutIfAbsent(t.Context(), key, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	put(casefile.ApplicationKey("case-0001", 1), `{"schema":1,"case":"case-0001","n":1,"time":"2026-11-25T00:00:00Z","consent":{"version":"v"}}`)
	h := &Handler{Cases: s, Photos: noUploads{}}
	state := func() State {
		v, err := h.lookAfter(t.Context(), "case-0001", 1)
		if err != nil {
			t.Fatal(err)
		}
		return v.standing(time.Date(2026, 11, 25, 0, 2, 0, 0, time.UTC)).state
	}
	if got := state(); got != Reading {
		t.Errorf("a photo that was sent: %s", got)
	}
	put(casefile.EstimateKey("case-0001", 1), `{"schema":1,"case":"case-0001","n":1,"code":"blurred","time":"2026-11-25T00:01:00Z"}`)
	if got := state(); got != AnotherPhoto {
		t.Errorf("a refused photo: %s", got)
	}
}

// TestKeys: what follows from the service key, and what does not open a case.
func TestKeys(t *testing.T) {
	if _, err := NewKeys("short"); err == nil {
		t.Error("a short service key is taken")
	}
	k, err := NewKeys("0123456789abcdef0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	id := k.Case("some key of a customer's")
	if !caseForm(id) || id == k.Case("another") || !k.Allows(id, k.Secret(id)) {
		t.Errorf("the case %q is not reached with its secret", id)
	}
	for _, wrong := range []struct{ id, secret string }{{id, ""}, {id, k.Secret(id) + "x"}, {id, id}, {"", k.Secret("")},
		{"not a case", k.Secret("not a case")}, {"not a case", k.Secret(strings.Repeat("0", 32))}, {"case\nsome key of a customer's", k.Secret("case\nsome key of a customer's")}} {
		if k.Allows(wrong.id, wrong.secret) {
			t.Errorf("%q opens %q", wrong.secret, wrong.id)
		}
	}
}
