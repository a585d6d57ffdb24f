package fairness_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/agequote/agequote/internal/batch"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/fairness"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/store"
	"github.com/agequote/agequote/internal/underwriting"
)

// put stores objects by name as JSON.
func put(t *testing.T, objects map[string]any) *store.Memory {
	t.Helper()
	s := &store.Memory{}
	for key, object := range objects {
		body, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.PutIfAbsent(t.Context(), key, body); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestStored has a photo refused, a second one referred, and a person who
// offered cover after all: the computer's outcome is the referral.
func TestStored(t *testing.T) {
	const id = "case-0001"
	at := func(hour int) time.Time { return time.Date(2026, 11, 30, hour, 0, 0, 0, time.UTC) }
	quote := func(cause string, hour int, d underwriting.Decision) casefile.Quote {
		return casefile.Quote{Schema: 2, Case: id, Cause: cause, Code: reason.OK, Decision: d, Time: at(hour), ValuationDate: "2026-11-30",
			Reasons: []underwriting.Reason{{Code: underwriting.AgeUncertain}},
			Inputs:  casefile.Inputs{Application: casefile.ApplicationKey(id, 1)}}
	}
	objects := map[string]any{
		casefile.ApplicationKey(id, 1): casefile.Application{Case: id, N: 1, Facts: underwriting.Facts{BirthDate: "1986-12-01", Sex: "female", SumCents: 100, TermYears: 20, Market: "US"}},
		casefile.EstimateKey(id, 1):    casefile.Estimate{Case: id, N: 1, Code: reason.Blurred, Time: at(9)},
	}
	check := func(name string, want batch.Outcome, final batch.Outcome, erased bool) fairness.Case {
		t.Helper()
		c, ok, err := fairness.Stored(t.Context(), put(t, objects), id)
		if err != nil || !ok || c.Row.Outcome != want || c.Final != final || c.Erased != erased {
			t.Fatalf("%s: %+v, %v, %v", name, c, ok, err)
		}
		return c
	}
	if c := check("refused", batch.Refused, "", false); c.Row.Code != "blurred" || c.Row.Sex != "female" {
		t.Errorf("refused: %+v", c.Row)
	}
	objects[casefile.QuoteKey(id, "photo-0002")] = quote("photo-0002", 10, underwriting.Refer)
	c := check("referred", batch.Referred, "", false)
	// A birthday is on the next day.
	if *c.Row.DeclaredAge != 39 || c.Row.Reasons != "age_uncertain" {
		t.Errorf("referred: %+v", c.Row)
	}
	objects[casefile.QuoteKey(id, "decision-0001")] = quote("decision-0001", 11, underwriting.Quote)
	c = check("decided", batch.Referred, batch.Quoted, false)

	for day, want := range map[string]bool{"2026-11-29": false, "2026-11-30": true, "2026-12-01": false} {
		p, err := fairness.ParsePeriod(day, day)
		if err != nil || p.Holds(c.Time) != want {
			t.Errorf("period of %s: %v, %v", day, p.Holds(c.Time), err)
		}
	}
	objects[casefile.DeletedKey(id)] = casefile.Tombstone{Case: id}
	check("erased", batch.Referred, batch.Quoted, true)
	if _, ok, err := fairness.Stored(t.Context(), put(t, nil), id); ok || err != nil {
		t.Errorf("of nothing: %v, %v", ok, err)
	}
}

func TestPeriodEdges(t *testing.T) {
	p, err := fairness.ParsePeriod("2026-10-01", "2026-12-31")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"2026-09-30T23:59:59.999Z": false, "2026-10-01T00:00:00Z": true, "2026-12-31T23:59:59.999Z": true, "2027-01-01T00:00:00Z": false,
	} {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		if p.Holds(at) != want {
			t.Errorf("%s: %v, want %v", text, !want, want)
		}
	}
	for _, bad := range [][2]string{{"", ""}, {"2026-10-01", "2026-09-30"}, {"1.10.2026", "2026-12-31"}} {
		if _, err := fairness.ParsePeriod(bad[0], bad[1]); err == nil {
			t.Errorf("%v is a period", bad)
		}
	}
}
