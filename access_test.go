package agequote_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/local/samtemplate"
)

// withReview reads template.yaml as it is deployed where underwriters sign in.
func withReview(t *testing.T) *samtemplate.Template {
	t.Helper()
	template, err := samtemplate.Read("template.yaml", samtemplate.Options{
		StackName: "agequote", Region: "eu-central-1", Account: "000000000000",
		Parameters: map[string]string{"ReviewIssuer": "https://idp.example", "ReviewAudience": "api", "ReviewClientId": "page"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return template
}

// TestReviewRoutesAskForTokens holds every route of the review API, those to
// come too, to a token with a scope, but those that the page needs first.
func TestReviewRoutesAskForTokens(t *testing.T) {
	open := []string{"GET /", "GET /page/{file+}", "GET /settings"}
	var found []string
	guarded := 0
	for _, f := range withReview(t).Functions {
		for _, e := range f.HTTPEvents {
			route := e.Method + " " + e.Path
			switch {
			case e.API != "ReviewApi":
				if e.Authorizer != "" {
					t.Errorf("%s of %s has an authorizer, and customers have no tokens", route, e.API)
				}
			case e.Authorizer == "":
				found = append(found, route)
			case e.Authorizer != "Underwriters" || !slices.Equal(e.Scopes, []string{"review"}):
				t.Errorf("%s: authorizer %q, scopes %q", route, e.Authorizer, e.Scopes)
			default:
				guarded++
			}
		}
	}
	slices.Sort(found)
	if diff := cmp.Diff(open, found); diff != "" {
		t.Errorf("routes for anybody (-want +got)\n%s", diff)
	}
	if guarded == 0 {
		t.Error("no route of the review API was found, so the test reads the template wrongly")
	}
}

// TestNoReviewWithoutIssuer reads the template as it is deployed by default.
func TestNoReviewWithoutIssuer(t *testing.T) {
	template, err := samtemplate.Read("template.yaml", samtemplate.Options{StackName: "agequote", Region: "eu-central-1", Account: "000000000000"})
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(template.APIs, func(a samtemplate.API) bool { return a.LogicalID == "ReviewApi" }) ||
		slices.ContainsFunc(template.Functions, func(f samtemplate.Function) bool { return f.LogicalID == "ReviewFunction" }) {
		t.Error("the review API is there, and nobody signs people in")
	}
}

// TestReviewPrivileges writes out what the role behind the underwriters' page may
// change: not the facts, estimates and quotes that they judge, nor any photo.
func TestReviewPrivileges(t *testing.T) {
	var got []string
	for _, f := range withReview(t).Functions {
		if f.LogicalID != "ReviewFunction" {
			continue
		}
		for _, s := range f.Statements {
			for _, action := range s.Actions {
				if strings.HasPrefix(action, "s3:Get") || strings.HasPrefix(action, "s3:List") {
					continue
				}
				for _, resource := range s.Resources {
					// The audit bucket's own policy lets nobody write over a head.
					once := slices.Equal(s.Conditions["Null"]["s3:if-none-match"], []string{"false"})
					if action == "s3:PutObject" && !once && !strings.Contains(resource, "-audit-") {
						t.Errorf("review may write over %s", resource)
					}
					resource = strings.TrimPrefix(strings.TrimPrefix(resource, "arn:aws:s3:::agequote-"), "arn:aws:lambda:eu-central-1:000000000000:function:")
					got = append(got, action+" "+strings.Replace(resource, "-000000000000-eu-central-1", "", 1))
				}
			}
		}
	}
	slices.Sort(got)
	want := []string{
		"lambda:InvokeFunction agequote-quote",
		"s3:DeleteObjectVersion cases/queue/*",
		"s3:PutObject audit/heads/*",
		"s3:PutObject cases/cases/*/decisions/*",
		"s3:PutObject cases/cases/*/openings/*",
		"s3:PutObject cases/cases/*/reservations/*",
		"s3:PutObject cases/queue/*",
		"s3:PutObject cases/second-looks/*",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what review may change (-want +got)\n%s", diff)
	}
}

// TestReviewParametersAreDocumented wants each parameter of the sign-in in
// docs/review-signin.md.
func TestReviewParametersAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("docs/review-signin.md")
	if err != nil {
		t.Fatal(err)
	}
	template, err := os.ReadFile("template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(template)) {
		name, isKey := strings.CutSuffix(strings.TrimSpace(line), ":")
		if !isKey || !strings.HasPrefix(line, "  Review") || strings.HasPrefix(line, "   ") {
			continue
		}
		exists, err := samtemplate.HasParameter("template.yaml", name)
		if err != nil {
			t.Fatal(err)
		}
		if !exists {
			continue
		}
		if n++; !strings.Contains(string(doc), "`"+name+"`") {
			t.Errorf("docs/review-signin.md does not tell of %s", name)
		}
	}
	if n < 9 {
		t.Errorf("found %d parameters alone", n)
	}
}
