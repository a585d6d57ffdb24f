package review

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"
)

// asked is a request with these claims, as name and text by turns.
func asked(claims ...string) *events.APIGatewayV2HTTPRequest {
	m := map[string]string{}
	for i := 0; i < len(claims); i += 2 {
		m[claims[i]] = claims[i+1]
	}
	e := &events.APIGatewayV2HTTPRequest{}
	e.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
		JWT: &events.APIGatewayV2HTTPRequestContextAuthorizerJWTDescription{Claims: m},
	}
	return e
}

func TestIdentityOf(t *testing.T) {
	tests := []struct {
		name  string
		event *events.APIGatewayV2HTTPRequest
		want  Identity
		code  string
	}{
		{"a text", asked("sub", "anna", "roles", "underwriter"), Identity{"anna", Underwriter}, ""},
		{"a list of one", asked("sub", "sam", "roles", "[senior]"), Identity{"sam", Senior}, ""},
		{"an auditor", asked("sub", "ada", "roles", "auditor"), Identity{"ada", Auditor}, ""},

		{"no authorizer", &events.APIGatewayV2HTTPRequest{}, Identity{}, CodeUnauthenticated},
		{"no claims", asked(), Identity{}, CodeUnauthenticated},
		{"no role", asked("sub", "x"), Identity{}, CodeNoRole},
		{"an empty list", asked("sub", "x", "roles", "[]"), Identity{}, CodeNoRole},
		{"the role in another claim", asked("sub", "x", "groups", "senior"), Identity{}, CodeNoRole},
		{"unknown", asked("sub", "x", "roles", "admin"), Identity{}, CodeUnknownRole},
		{"other letters", asked("sub", "x", "roles", "Senior"), Identity{}, CodeUnknownRole},
		{"unknown beside known", asked("sub", "x", "roles", "[everyone senior]"), Identity{}, CodeUnknownRole},
		{"a name with a blank", asked("sub", "x", "roles", "x senior"), Identity{}, CodeUnknownRole},
		{"two", asked("sub", "x", "roles", "[underwriter auditor]"), Identity{}, CodeSeveralRoles},
		{"the same twice", asked("sub", "x", "roles", "[senior senior]"), Identity{}, CodeSeveralRoles},
		{"a list in a list", asked("sub", "x", "roles", "[[senior]]"), Identity{}, CodeUnknownRole},
		{"half a list", asked("sub", "x", "roles", "[senior"), Identity{}, CodeUnknownRole},
		{"commas", asked("sub", "x", "roles", "senior,auditor"), Identity{}, CodeUnknownRole},
		{"a blank at the end", asked("sub", "x", "roles", "senior "), Identity{}, CodeUnknownRole},
		{"no subject", asked("roles", "senior"), Identity{}, CodeNoSubject},
		{"a subject of two lines", asked("sub", "a\nb", "roles", "senior"), Identity{}, CodeNoSubject},
		{"a long subject", asked("sub", strings.Repeat("a", 256), "roles", "senior"), Identity{}, CodeNoSubject},
		{"Cognito's id token", asked("sub", "x", "roles", "senior", "token_use", "id"), Identity{}, CodeIDToken},
		{"an id token", asked("sub", "x", "roles", "senior", "at_hash", "x"), Identity{}, CodeIDToken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := IdentityOf(tt.event, "roles")
			if got != tt.want {
				t.Errorf("IdentityOf = %+v, want %+v", got, tt.want)
			}
			var no *NoEntry
			code := ""
			if errors.As(err, &no) {
				code = no.Code
				if wantStatus := map[bool]int{true: 401, false: 403}[code == CodeUnauthenticated]; no.Status != wantStatus || no.Message == "" {
					t.Errorf("status %d, want %d; message %q", no.Status, wantStatus, no.Message)
				}
			}
			if code != tt.code {
				t.Errorf("error %v, want code %q", err, tt.code)
			}
		})
	}
}

// TestPermissions writes the table out: a change to it is a decision.
func TestPermissions(t *testing.T) {
	got := map[Role]string{}
	for _, r := range append(Roles(), "admin", "") {
		var may []string
		for _, p := range []Permission{ReadCases, Verify, OpenPhoto, Take, Decide, Confirm} {
			if r.May(p) {
				may = append(may, string(p))
			}
		}
		got[r] = strings.Join(may, " ")
	}
	want := map[Role]string{
		Underwriter: "read audit open take decide",
		Senior:      "read audit open take decide confirm",
		Auditor:     "read audit",
		"admin":     "", "": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("who may do what (-want +got)\n%s", diff)
	}
}
