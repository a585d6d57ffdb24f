package casefile_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/underwriting"
)

// TestSchema1 reads a quote as it was stored before schema 2: no field of it
// is lost.
func TestSchema1(t *testing.T) {
	raw, err := os.ReadFile("testdata/quote-schema-1.json")
	if err != nil {
		t.Fatal(err)
	}
	var q casefile.Quote
	if err := json.Unmarshal(raw, &q); err != nil {
		t.Fatal(err)
	}
	again, err := q.Encode()
	if err != nil {
		t.Fatal(err)
	}
	var want, got map[string]any
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(again, &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "principal") // null, for there is none
	delete(got["basis"].(map[string]any), "band_factor")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-stored +read)\n%s", diff)
	}
}

// TestPrincipalReasons has two reasons of one code, the stricter one second.
func TestPrincipalReasons(t *testing.T) {
	q := casefile.Quote{Schema: casefile.QuoteSchema,
		Reasons: []underwriting.Reason{
			{Code: underwriting.ClassBuild, Decision: underwriting.Quote, Rule: "BUILD-1"},
			{Code: underwriting.FlatExtra, Decision: underwriting.Quote, Rule: "Q-A"},
			{Code: underwriting.FlatExtra, Decision: underwriting.Quote, Rule: "Q-B"},
			{Code: underwriting.AnswerRefer, Decision: underwriting.Refer, Rule: "Q-C"},
		},
		Principal: []underwriting.Code{underwriting.AnswerRefer, underwriting.FlatExtra, underwriting.FlatExtra},
	}
	var rules []string
	for _, r := range q.PrincipalReasons() {
		rules = append(rules, r.Rule)
	}
	if diff := cmp.Diff([]string{"Q-C", "Q-A", "Q-B"}, rules); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	q.Schema, q.Principal = 1, nil
	if got := q.PrincipalReasons(); len(got) != 4 || got[0].Rule != "Q-C" {
		t.Errorf("of schema 1: %+v", got)
	}
}
