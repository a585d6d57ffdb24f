package agequote_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/local/samtemplate"
	"github.com/agequote/agequote/internal/report"
)

// state is a state of the States language as far as the tests look.
type state struct {
	Type            string
	Next, Default   string
	End             bool
	Choices, Catch  []struct{ Next string }
	Retry           []retrier
	ItemReader      map[string]any
	ItemBatcher     map[string]any
	ItemProcessor   *machine
	ResultWriter    map[string]any
	Parameters      map[string]any
	MaxConcurrency  string `json:"MaxConcurrencyPath"`
	Tolerated       string `json:"ToleratedFailurePercentagePath"`
	TimeoutSeconds  int
	ProcessorConfig map[string]string
}

type retrier struct {
	ErrorEquals    []string
	MaxAttempts    int
	JitterStrategy string
}

type machine struct {
	StartAt string
	States  map[string]state
}

func readMachine(t *testing.T) (machine, map[string]any) {
	t.Helper()
	text, err := os.ReadFile("infra/batch.asl.json")
	if err != nil {
		t.Fatal(err)
	}
	var m machine
	var raw map[string]any
	for _, v := range []any{&m, &raw} {
		if err := json.Unmarshal(text, v); err != nil {
			t.Fatal(err)
		}
	}
	return m, raw
}

// check looks at what cfn-lint does not: that every state that is named is
// there and is reached, and that every task is tried again with jitter.
func (m machine) check(t *testing.T, at string) {
	t.Helper()
	reached := map[string]bool{m.StartAt: true}
	for name, s := range m.States {
		where := at + "/" + name
		next := []string{s.Next, s.Default}
		for _, c := range append(s.Choices, s.Catch...) {
			next = append(next, c.Next)
		}
		for _, n := range next {
			if n == "" {
				continue
			}
			if reached[n] = true; m.States[n].Type == "" {
				t.Errorf("%s goes to %q, which is not there", where, n)
			}
		}
		if s.Type == "Task" {
			if len(s.Retry) == 0 || s.TimeoutSeconds == 0 {
				t.Errorf("%s has no retries or no timeout", where)
			}
			for _, r := range s.Retry {
				if r.JitterStrategy != "FULL" {
					t.Errorf("%s: retries of %q have no jitter", where, r.ErrorEquals)
				}
			}
		}
		if s.ItemProcessor != nil {
			s.ItemProcessor.check(t, where)
		}
	}
	for name := range m.States {
		if !reached[name] {
			t.Errorf("%s/%s is reached from nowhere", at, name)
		}
	}
}

func TestBatchMachine(t *testing.T) {
	m, raw := readMachine(t)
	m.check(t, "")
	for _, name := range []string{"Predict", "Predict a listing", "Quote"} {
		s := m.States[name]
		if s.ItemReader == nil || s.ItemBatcher["MaxItemsPerBatchPath"] == nil || s.ResultWriter == nil || s.MaxConcurrency == "" || s.Tolerated == "" || len(s.Catch) == 0 {
			t.Errorf("%s lacks a part: %+v", name, s)
		}
	}
	// The three maps differ in what they read and call, and in nothing else.
	states := raw["States"].(map[string]any)
	text := func(name string, replacements ...string) string {
		fields := states[name].(map[string]any)
		for _, own := range []string{"Comment", "Label", "ItemReader", "Next", "Catch"} {
			delete(fields, own)
		}
		b, err := json.MarshalIndent(fields, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		return strings.NewReplacer(replacements...).Replace(string(b))
	}
	predict := text("Predict")
	if diff := cmp.Diff(predict, text("Predict a listing", "objects.$", "items.$")); diff != "" {
		t.Errorf("manifest and listing differ (-manifest +listing)\n%s", diff)
	}
	quote := text("Quote", "QuoteFunction", "PredictFunction", "map/quote", "map/predict")
	if diff := cmp.Diff(predict, quote); diff != "" {
		t.Errorf("predict and quote differ (-predict +quote)\n%s", diff)
	}
}

// TestBatchTries holds package report to the retries of the definition.
func TestBatchTries(t *testing.T) {
	m, _ := readMachine(t)
	tries := 0
	child := m.States["Predict"].ItemProcessor.States
	for _, s := range []state{child["Together"], child["One by one"].ItemProcessor.States["Alone"]} {
		for _, r := range s.Retry {
			for _, name := range r.ErrorEquals {
				if name == "Failed" { // predict.Failed, quote.Failed
					tries += 1 + r.MaxAttempts
				}
			}
		}
	}
	if tries != report.Tries {
		t.Errorf("an item is tried %d times, package report says %d", tries, report.Tries)
	}
}

// TestBatchPrivileges holds the roles of a batch to what they need.
func TestBatchPrivileges(t *testing.T) {
	template, err := samtemplate.Read("template.yaml", samtemplate.Options{StackName: "agequote", Region: "eu-central-1", Account: "000000000000"})
	if err != nil {
		t.Fatal(err)
	}
	if len(template.Machines) != 1 || template.Machines[0].Definition != "infra/batch.asl.json" {
		t.Fatalf("state machines %+v", template.Machines)
	}
	roles := map[string][]samtemplate.Statement{"machine": template.Machines[0].Statements}
	for _, f := range template.Functions {
		if f.LogicalID == "ReportFunction" {
			roles["report"] = f.Statements
		}
	}
	for role, statements := range roles {
		if len(statements) < 3 {
			t.Fatalf("%s has %d statements, so the test reads the template wrongly", role, len(statements))
		}
		for _, s := range statements {
			for _, action := range s.Actions {
				for _, resource := range s.Resources {
					service, verb, _ := strings.Cut(action, ":")
					switch {
					case s.Effect != "Allow" || strings.Contains(action, "*"):
						t.Errorf("%s: %s %s", role, s.Effect, action)
					case resource == "*" && service != "logs" && service != "xray":
						t.Errorf("%s: %s on any resource", role, action)
					case role == "machine" && service == "s3" && strings.Contains(resource, "/cases/"):
						t.Errorf("the state machine may %s on %s: cases are its functions' affair", action, resource)
					case service == "s3" && strings.HasPrefix(verb, "Delete"):
						t.Errorf("%s: %s on %s", role, action, resource)
					case role == "report" && strings.Contains(resource, "-uploads-"):
						t.Errorf("report may %s on %s: it reads no photos", action, resource)
					}
				}
			}
		}
	}
	definition, err := os.ReadFile("infra/batch.asl.json")
	if err != nil {
		t.Fatal(err)
	}
	for name := range template.Machines[0].Substitutions {
		if !strings.Contains(string(definition), "${"+name+"}") {
			t.Errorf("the definition has no ${%s}", name)
		}
	}
	if n := strings.Count(string(definition), "${"); n == 0 || len(template.Machines[0].Substitutions) != 5 {
		t.Errorf("%d substitutions for %d names", len(template.Machines[0].Substitutions), n)
	}
}
