package review

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-lambda-go/events"
)

// Role is what a person may do here. The identity provider gives it, in the
// claim that the deployment names; docs/review-signin.md tells how.
type Role string

// The roles. A person has one: who decides does not examine, and who examines
// does not decide.
const (
	Underwriter Role = "underwriter" // decides up to an authority
	Senior      Role = "senior"      // decides up to a higher one, and confirms what others suggest
	Auditor     Role = "auditor"     // reads
)

// Permission is one thing that a role may do.
type Permission string

// The permissions. ReadCases and Verify change nothing; OpenPhoto is recorded.
const (
	ReadCases Permission = "read"    // queue, cases, reasons, agreement
	Verify    Permission = "audit"   // the chain of a case's records
	OpenPhoto Permission = "open"    // the picture itself
	Take      Permission = "take"    // reserve a case, and release it
	Decide    Permission = "decide"  // and suggest
	Confirm   Permission = "confirm" // or return what another person suggested
)

// permissions are what each role may do, in the order of the page. How far an
// underwriter's authority goes is in the authority table, not here.
var permissions = map[Role][]Permission{
	Underwriter: {ReadCases, Verify, OpenPhoto, Take, Decide},
	Senior:      {ReadCases, Verify, OpenPhoto, Take, Decide, Confirm},
	Auditor:     {ReadCases, Verify},
}

// May tells whether the role has a permission. A role that is not in the table
// has none.
func (r Role) May(p Permission) bool { return slices.Contains(permissions[r], p) }

// Permissions returns what the role may do. The slice is the caller's.
func (r Role) Permissions() []Permission { return slices.Clone(permissions[r]) }

// Roles returns every role, sorted.
func Roles() []Role { return slices.Sorted(maps.Keys(permissions)) }

// Identity is who asks, as the token says whose signature the API's authorizer
// checked.
type Identity struct {
	Subject string // the claim sub; the issuer never gives it to anybody else
	Role    Role
}

// The codes of NoEntry.
const (
	CodeUnauthenticated = "unauthenticated" // no token was checked: the route has no authorizer
	CodeIDToken         = "id_token"        // a token that says who signed in, not what they may do
	CodeNoSubject       = "no_subject"
	CodeNoRole          = "no_role"
	CodeUnknownRole     = "unknown_role"
	CodeSeveralRoles    = "several_roles"
)

// NoEntry is the error of a person who is not let in. Message is for them.
type NoEntry struct {
	Code    string
	Message string
	Status  int // of HTTP
}

func (e *NoEntry) Error() string { return e.Code }

func noEntry(code, message string) error { return &NoEntry{code, message, http.StatusForbidden} }

// maxSubject is the longest sub that OpenID Connect Core 1.0 allows (section 2),
// in ASCII characters.
const maxSubject = 255

// IdentityOf reads who asks from the claims that API Gateway's JWT authorizer
// passes on. roleClaim names the claim that holds the role: a text, or a list,
// which API Gateway writes as "[a b]".
//
// Anything in that claim which is not one role of ours is refused, since a list
// so written cannot be told from a name with blanks in it: a group "x senior"
// must make nobody a senior. The error is a *NoEntry.
func IdentityOf(e *events.APIGatewayV2HTTPRequest, roleClaim string) (Identity, error) {
	a := e.RequestContext.Authorizer
	if a == nil || a.JWT == nil || len(a.JWT.Claims) == 0 {
		return Identity{}, &NoEntry{CodeUnauthenticated, "Sign in first.", http.StatusUnauthorized}
	}
	claims := a.JWT.Claims
	// The authorizer asks for a scope, which an id token has not. These claims
	// are in none but id tokens: Cognito's own, and OpenID Connect Core 3.1.3.6.
	if claims["token_use"] == "id" || claims["at_hash"] != "" {
		return Identity{}, noEntry(CodeIDToken, "This is an id token. Send the access token.")
	}
	subject := claims["sub"]
	if !validSubject(subject) {
		return Identity{}, noEntry(CodeNoSubject, "The token does not say who you are.")
	}
	role, err := roleOf(claims[roleClaim])
	if err != nil {
		return Identity{}, err
	}
	return Identity{Subject: subject, Role: role}, nil
}

// validSubject wants printable ASCII: the subject is stored with each decision
// and shown to others.
func validSubject(s string) bool {
	return s != "" && len(s) <= maxSubject && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

func roleOf(claim string) (Role, error) {
	inner, opened := strings.CutPrefix(claim, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	if opened != closed {
		return "", noEntry(CodeUnknownRole, "Your role is not known here. Ask whoever manages your account.")
	}
	names := strings.Split(inner, " ")
	if inner == "" {
		return "", noEntry(CodeNoRole, "You have no role here. Ask whoever manages your account.")
	}
	for _, name := range names {
		if _, known := permissions[Role(name)]; !known {
			return "", noEntry(CodeUnknownRole, "Your role is not known here. Ask whoever manages your account.")
		}
	}
	if len(names) > 1 {
		return "", noEntry(CodeSeveralRoles, "You have several roles here, and may have one. Ask whoever manages your account.")
	}
	return Role(names[0]), nil
}
