package main

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/local/issuer"
	"github.com/agequote/agequote/internal/review"
)

// reviewRoute is a route of the review API that needs a token.
type reviewRoute struct {
	method, path, body string
	need               review.Permission
}

// reviewRoutes are all of them, for one case. The bodies fit their schemas, so
// that nothing but who asks can be wrong.
func reviewRoutes(id string) []reviewRoute {
	at := "/cases/" + id
	return []reviewRoute{
		{"GET", "/me", "", review.ReadCases},
		{"GET", "/reasons", "", review.ReadCases},
		{"GET", "/queue", "", review.ReadCases},
		{"GET", "/agreement", "", review.ReadCases},
		{"GET", at, "", review.ReadCases},
		{"GET", at + "/audit", "", review.Verify},
		{"POST", at + "/reservation", "{}", review.Take},
		{"DELETE", at + "/reservation", "", review.Take},
		{"POST", at + "/photo", `{"n":1}`, review.OpenPhoto},
		{"POST", at + "/decisions", `{"action":"accept","quote":"","n":1}`, review.Decide},
	}
}

// script is what somebody may put where a text goes.
const script = `<script>alert("Quintessa")</script><img src=x onerror=alert(1)>`

// TestReviewAccess tries on the running stack what must be refused: other
// people's tokens, tokens of no use, roles that may not, other people's cases.
func TestReviewAccess(t *testing.T) {
	c := startChain(t, "SampleShare=0", "ReviewRate=1000", "ReviewBurst=1000")
	ctx := t.Context()
	api := c.APIEndpoint("ReviewApi")
	me, err := apply(ctx, c.APIEndpoint("OnboardApi"), key(20))
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%v\n%s", err, c.log)
		}
	}
	must(me.get(ctx, http.StatusOK, nil, "POST", me.path("/age"), `{"birth_date":"1981-03-29"}`))
	_, err = me.until(ctx, 50*time.Millisecond, "waiting", "reading")
	must(err)
	must(me.get(ctx, http.StatusCreated, nil, "POST", me.path("/complaints"), map[string]string{"text": script}))
	before, err := c.cases.List(ctx, casefile.Prefix(me.id))
	must(err)

	t.Run("every route is tried", func(t *testing.T) { testAllRoutes(t, c, me.id) })
	t.Run("tokens", func(t *testing.T) { testBadTokens(t, c, api, me) })
	t.Run("roles", func(t *testing.T) { testRoles(t, c, api, me.id) })
	after, err := c.cases.List(ctx, casefile.Prefix(me.id))
	must(err)
	if !slices.Equal(before, after) {
		t.Errorf("what was refused left something: %q, before %q", after, before)
	}
	t.Run("another's case", func(t *testing.T) { testAnothersCase(t, c, api, me) })
	t.Run("the command line's token", func(t *testing.T) {
		for user, want := range map[string]int{"anna": 0, "ada": 0} {
			status, token, stderr := call(t, "token", "--user", user, "--review", api)
			who := &customer{api: api, secret: strings.TrimSpace(token)}
			if err := who.get(ctx, http.StatusOK, nil, "GET", "/me", nil); status != want || err != nil {
				t.Errorf("%s: status %d %s, %v", user, status, stderr, err)
			}
		}
	})

	c.settle(t, time.Minute)
	log := c.log.String()
	if !strings.Contains(log, "POST /cases/{case}/decisions") {
		t.Error("the log holds no requests, so looking through it shows nothing")
	}
	for _, personal := range []string{me.id, me.secret, "Quintessa", "1981-03-29", "eyJ", "anna", "mallory"} {
		if i := strings.Index(log, personal); i >= 0 {
			t.Errorf("the log tells %q: %s", personal, log[max(0, i-200):min(len(log), i+100)])
		}
	}
}

// testAllRoutes holds the list here to the routes of the template.
func testAllRoutes(t *testing.T, c *chain, id string) {
	for _, r := range reviewRoutes(id) {
		a, err := (&customer{api: c.APIEndpoint("ReviewApi")}).call(t.Context(), r.method, r.path, r.body)
		if err != nil {
			t.Fatal(err)
		}
		if a.status != http.StatusUnauthorized {
			t.Errorf("%s %s without a token: %d", r.method, r.path, a.status)
		}
	}
	loaded, err := review.LoadAPI()
	if err != nil {
		t.Fatal(err)
	}
	secured := 0
	for _, route := range loaded.Routes() {
		if loaded.Operation(route).Secured {
			secured++
		}
	}
	if n := len(reviewRoutes(id)); n != secured {
		t.Errorf("%d routes are tried here, and %d of openapi.yaml need a token", n, secured)
	}
}

// testBadTokens sends tokens that are nobody's, or of no use, to every route.
func testBadTokens(t *testing.T, c *chain, api string, me *customer) {
	ctx := t.Context()
	good, err := c.Token(ctx, "anna")
	if err != nil {
		t.Fatal(err)
	}
	claims := claimsOf(t, good)
	sign := func(changes ...any) string {
		t.Helper()
		changed := maps.Clone(claims)
		for i := 0; i < len(changes); i += 2 {
			name := changes[i].(string)
			if changed[name] = changes[i+1]; changes[i+1] == nil {
				delete(changed, name)
			}
		}
		token, err := c.Issuer().Sign("at+jwt", changed)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	parts := strings.Split(good, ".")
	payload := maps.Clone(claims)
	payload["roles"] = []string{"senior"}
	now := time.Now().Unix()
	id := idToken(t, c, "anna")

	tests := []struct {
		name, token string
		status      int
	}{
		{"expired", sign("exp", now-1), 401},
		{"not valid yet", sign("nbf", now+3600), 401},
		{"made in the future", sign("iat", now+3600), 401},
		{"never expires", sign("exp", nil), 401},
		{"another audience", sign("aud", "agequote-page"), 401},
		{"another issuer", sign("iss", "https://idp.example"), 401},
		{"no scope of ours", sign("scope", "openid"), 403},
		{"a role changed in it", parts[0] + "." + encoded(payload) + "." + parts[2], 401},
		{"no signature", encoded(map[string]any{"alg": "none"}) + "." + parts[1] + ".", 401},
		{"a signature of nobody", parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])), 401},
		{"the id token", id, 401}, // of the page's audience
		{"the customer's own secret", me.secret, 401},
		{"no token at all", "anna", 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, r := range reviewRoutes(me.id) {
				a, err := (&customer{api: api, secret: tt.token}).call(ctx, r.method, r.path, r.body)
				if err != nil {
					t.Fatal(err)
				}
				if a.status != tt.status || strings.Contains(string(a.body), me.id) {
					t.Errorf("%s %s = %d %s, want %d", r.method, r.path, a.status, a.body, tt.status)
				}
			}
		})
	}
	t.Run("as it is, to the customers' API", func(t *testing.T) {
		if a, err := (&customer{api: me.api, secret: good}).call(ctx, "GET", me.path(""), nil); err != nil || a.status != http.StatusNotFound {
			t.Errorf("an underwriter's token opens a customer's page: %d, %v", a.status, err)
		}
	})
}

// testRoles sends each route the token of each role, and of none.
func testRoles(t *testing.T, c *chain, api, id string) {
	ctx := t.Context()
	good, err := c.Token(ctx, "anna")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		roles any
		role  review.Role // empty: none
		code  string
	}{
		{"auditor", []string{"auditor"}, review.Auditor, "role"},
		{"none", nil, "", review.CodeNoRole},
		{"an empty list", []string{}, "", review.CodeNoRole},
		{"unknown", []string{"admin"}, "", review.CodeUnknownRole},
		{"two", []string{"auditor", "senior"}, "", review.CodeSeveralRoles},
		{"a name with a role in it", []string{"x senior"}, "", review.CodeUnknownRole},
		{"a script", script, "", review.CodeUnknownRole},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			claims := claimsOf(t, good)
			claims["sub"], claims["roles"] = "mallory", tt.roles
			token, err := c.Issuer().Sign("at+jwt", claims)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range reviewRoutes(id) {
				a, err := (&customer{api: api, secret: token}).call(ctx, r.method, r.path, r.body)
				if err != nil {
					t.Fatal(err)
				}
				if tt.role.May(r.need) {
					if a.status != http.StatusOK {
						t.Errorf("%s %s = %d %s, want 200", r.method, r.path, a.status, a.body)
					}
					continue
				}
				var problem struct{ Code string }
				if err := json.Unmarshal(a.body, &problem); err != nil || a.status != http.StatusForbidden || problem.Code != tt.code {
					t.Errorf("%s %s = %d %s, want 403 %s", r.method, r.path, a.status, a.body, tt.code)
				}
				if strings.Contains(string(a.body), "script") {
					t.Errorf("%s %s repeats what was sent: %s", r.method, r.path, a.body)
				}
			}
		})
	}
}

// testAnothersCase has one person take a case, and another try to work on it;
// what people write comes back as text.
func testAnothersCase(t *testing.T, c *chain, api string, me *customer) {
	ctx := t.Context()
	person := func(name string) *customer {
		token, err := c.Token(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		return &customer{api: api, secret: token}
	}
	anna, ben := person("anna"), person("ben")
	at := "/cases/" + me.id
	var seen struct {
		Quote string `json:"quote_name"`
		Next  int
	}
	a, err := anna.call(ctx, "GET", at, nil)
	if err != nil {
		t.Fatal(err)
	}
	asText(t, a)
	if err := json.Unmarshal(a.body, &seen); err != nil {
		t.Fatal(err)
	}
	decision := map[string]any{"action": "decline", "reason": "hazard_reviewed", "text": script, "quote": seen.Quote, "n": seen.Next}
	// status sends a request and wants a status and a problem's code.
	status := func(who *customer, method, path string, body any, want int, code string) {
		t.Helper()
		a, err := who.call(ctx, method, path, body)
		if err != nil {
			t.Fatal(err)
		}
		var problem struct{ Code string }
		_ = json.Unmarshal(a.body, &problem) // an answer without one has no code
		if a.status != want || problem.Code != code {
			t.Errorf("%s %s = %d %s, want %d %s", method, path, a.status, a.body, want, code)
		}
	}
	status(ben, "POST", at+"/decisions", decision, 409, "not_taken")
	if err := anna.get(ctx, http.StatusOK, nil, "POST", at+"/reservation", nil); err != nil {
		t.Fatal(err)
	}
	status(ben, "POST", at+"/reservation", nil, 409, "taken")
	status(ben, "DELETE", at+"/reservation", nil, 204, "") // gives back nothing
	status(ben, "POST", at+"/decisions", decision, 409, "taken")

	other := casefile.NewID()
	for _, id := range []string{other, "x", strings.ToUpper(me.id), me.id + "x", me.id + "%00", "%2e%2e"} {
		status(anna, "GET", "/cases/"+id, nil, 404, "not_found")
	}
	for _, id := range []string{"..%2f" + me.id, me.id + "%2fdecisions"} {
		status(anna, "GET", "/cases/"+id, nil, 404, "") // no route
	}
	status(anna, "POST", "/cases/"+other+"/decisions", decision, 404, "not_found")

	a, err = anna.call(ctx, "POST", at+"/decisions", decision)
	if err != nil || a.status != http.StatusCreated {
		t.Fatalf("anna decides: %d %s, %v", a.status, a.body, err)
	}
	asText(t, a)
	status(ben, "POST", at+"/decisions", decision, 409, "decided")
	a, err = ben.call(ctx, "GET", at, nil)
	if err != nil {
		t.Fatal(err)
	}
	asText(t, a)
}

// asText wants a script that came with a text to be whole, in JSON that no
// browser takes for a page, and with no letter by which one could.
func asText(t *testing.T, a answer) {
	t.Helper()
	var whole any
	if err := json.Unmarshal(a.body, &whole); err != nil {
		t.Fatal(err)
	}
	if !holds(whole, script) {
		t.Errorf("the text is not there as it was written: %s", a.body)
	}
	if strings.ContainsAny(string(a.body), "<>") || a.header.Get("Content-Type") != "application/json" ||
		a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v\n%s", a.header, a.body)
	}
}

// holds tells whether a text is among the values of JSON.
func holds(v any, text string) bool {
	switch v := v.(type) {
	case string:
		return v == text
	case []any:
		return slices.ContainsFunc(v, func(item any) bool { return holds(item, text) })
	case map[string]any:
		for _, item := range v {
			if holds(item, text) {
				return true
			}
		}
	}
	return false
}

func encoded(v any) string {
	b, _ := json.Marshal(v) // maps of texts and numbers
	return base64.RawURLEncoding.EncodeToString(b)
}

// claimsOf reads a token without checking it.
func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	if err := d.Decode(&claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// idToken signs somebody in, and returns the token that is for the page alone.
func idToken(t *testing.T, c *chain, user string) string {
	t.Helper()
	var settings struct {
		Issuer   string
		ClientID string `json:"client_id"`
		Scope    string
	}
	api := c.APIEndpoint("ReviewApi")
	if err := (&customer{api: api}).get(t.Context(), http.StatusOK, &settings, "GET", "/settings", nil); err != nil {
		t.Fatal(err)
	}
	tokens, err := issuer.SignIn(t.Context(), issuer.Settings{Issuer: settings.Issuer, ClientID: settings.ClientID, RedirectURI: api + "/", Scope: settings.Scope}, user)
	if err != nil {
		t.Fatal(err)
	}
	return tokens.ID
}
