package agequote_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/local/samtemplate"
)

// policyStatement is one of IAM's, with functions such as !Sub left as they are
// written.
type policyStatement struct{ Sid, Effect, Action, Resource string }

// trainingStatements returns what the roles of infra/training.yaml may do, and
// AWS's own policies that they have beside it.
func trainingStatements(t *testing.T) (statements []policyStatement, managed []string) {
	t.Helper()
	text, err := os.ReadFile("infra/training.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Resources map[string]struct {
			Properties struct {
				ManagedPolicyArns []string `yaml:"ManagedPolicyArns"`
				Policies          []struct {
					PolicyDocument struct {
						Statement []struct {
							Sid      string `yaml:"Sid"`
							Effect   string `yaml:"Effect"`
							Action   any    `yaml:"Action"`
							Resource any    `yaml:"Resource"`
						} `yaml:"Statement"`
					} `yaml:"PolicyDocument"`
				} `yaml:"Policies"`
			} `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	for _, r := range template.Resources {
		managed = append(managed, r.Properties.ManagedPolicyArns...)
		for _, p := range r.Properties.Policies {
			for _, s := range p.PolicyDocument.Statement {
				for _, action := range texts(s.Action) {
					for _, resource := range texts(s.Resource) {
						statements = append(statements, policyStatement{s.Sid, s.Effect, action, resource})
					}
				}
			}
		}
	}
	return statements, managed
}

// texts returns the texts in a value, whatever functions are around them.
func texts(v any) []string {
	list, ok := v.([]any)
	if !ok {
		return []string{fmt.Sprint(v)}
	}
	var out []string
	for _, item := range list {
		out = append(out, texts(item)...)
	}
	return out
}

// TestTrainingPrivileges holds infra/training.yaml to what it says of its roles.
func TestTrainingPrivileges(t *testing.T) {
	statements, managed := trainingStatements(t)
	if len(statements) < 20 {
		t.Fatalf("read %d permissions alone, so the test reads the file wrongly", len(statements))
	}
	denied := map[string]bool{}
	for _, s := range statements {
		name := fmt.Sprintf("%s: %s on %s", s.Sid, s.Action, s.Resource)
		live := strings.HasSuffix(s.Resource, "/live/*")
		if s.Effect == "Deny" {
			if live {
				denied[s.Action] = true
			}
			continue
		}
		if strings.Contains(s.Action, "*") {
			t.Errorf("%s: an action with a star", name)
		}
		if s.Resource == "*" && s.Action != "ecr:GetAuthorizationToken" {
			t.Errorf("%s: any resource", name)
		}
		service, verb, _ := strings.Cut(s.Action, ":")
		if service != "s3" {
			continue
		}
		if live && verb != "GetObject" {
			t.Errorf("%s: what is live is not a job's to say", name)
		}
		writes := !strings.HasPrefix(verb, "Get") && !strings.HasPrefix(verb, "List")
		if writes && !strings.HasSuffix(s.Resource, "/runs/*") && !strings.HasSuffix(s.Resource, "${ModelsBucketName}/models/*") {
			t.Errorf("%s: a job writes runs and packages alone", name)
		}
	}
	for _, action := range []string{"s3:PutObject", "s3:DeleteObject"} {
		if !denied[action] {
			t.Errorf("%s on live/* is not denied", action)
		}
	}
	managed = slices.DeleteFunc(managed, func(arn string) bool {
		return strings.HasSuffix(arn, ":aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role")
	})
	if len(managed) > 0 {
		t.Errorf("managed policies that nobody looked at: %q", managed)
	}
}

// TestTrainingIsNoPartOfTheLocalStack reads template.yaml with and without it.
func TestTrainingIsNoPartOfTheLocalStack(t *testing.T) {
	read := func(training string) *samtemplate.Template {
		template, err := samtemplate.Read("template.yaml", samtemplate.Options{
			StackName: "agequote", Region: "eu-central-1", Account: "000000000000",
			Parameters: map[string]string{"Training": training},
		})
		if err != nil {
			t.Fatal(err)
		}
		return template
	}
	if diff := cmp.Diff(read("no"), read("yes")); diff != "" {
		t.Errorf("Training=yes changes the local stack (-no +yes)\n%s", diff)
	}
}

// TestOnboardDeletes holds the role of onboard, which anybody on the internet
// talks to, to what a deletion needs.
func TestOnboardDeletes(t *testing.T) {
	template, err := samtemplate.Read("template.yaml", samtemplate.Options{StackName: "agequote", Region: "eu-central-1", Account: "000000000000"})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, f := range template.Functions {
		for _, s := range f.Statements {
			for _, action := range s.Actions {
				if strings.Contains(action, "*") {
					t.Errorf("%s: an action with a star: %s", f.LogicalID, action)
				}
				if strings.HasPrefix(action, "s3:Delete") {
					for _, resource := range s.Resources {
						_, key, _ := strings.Cut(resource, "-eu-central-1/")
						bucket, _, _ := strings.Cut(strings.TrimPrefix(resource, "arn:aws:s3:::agequote-"), "-")
						got[f.LogicalID] = append(got[f.LogicalID], action+" "+bucket+" "+key)
					}
				}
				if writes := action == "s3:PutObject"; writes {
					for _, resource := range s.Resources {
						if strings.Contains(resource, "/control/") || strings.Contains(resource, "/holds/") {
							t.Errorf("%s may write %s", f.LogicalID, resource)
						}
					}
				}
			}
		}
	}
	want := map[string][]string{"OnboardFunction": {
		"s3:DeleteObjectVersion uploads uploads/*", "s3:DeleteObjectVersion uploads batch-uploads/*",
		"s3:DeleteObjectVersion cases cases/*", "s3:DeleteObjectVersion cases queue/*", "s3:DeleteObjectVersion cases index/photo/*",
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("who may delete what (-want +got)\n%s", diff)
	}
}
