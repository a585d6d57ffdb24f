package issuer_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/local/issuer"
)

const (
	redirect  = "http://127.0.0.1:1/"
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636, appendix B
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// clock is the issuer's, which a test can move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func start(t *testing.T) (*issuer.Server, *clock) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{now: time.Now()}
	s := issuer.Serve(issuer.Config{
		Listener: l, Users: issuer.DemoUsers, Audience: "api", Scopes: []string{"review"}, RoleClaim: "roles",
		Clients: []issuer.Client{{ID: "page", RedirectURIs: []string{redirect}}, {ID: "other", RedirectURIs: []string{redirect, "http://127.0.0.1:2/x?y=1"}}},
		Now:     c.Now, NewCode: rand.Text, Log: slog.New(slog.DiscardHandler),
	})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, c
}

// claimsOf reads a token without checking it.
func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(b, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// TestSignIn goes the whole way with go-oidc, a client that is not ours.
func TestSignIn(t *testing.T) {
	s, _ := start(t)
	settings := issuer.Settings{Issuer: s.URL, ClientID: "page", RedirectURI: redirect, Scope: "openid review unknown"}
	tokens, err := issuer.SignIn(t.Context(), settings, "anna")
	if err != nil {
		t.Fatal(err)
	}
	provider, err := oidc.NewProvider(t.Context(), s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.Verifier(&oidc.Config{ClientID: "api"}).Verify(t.Context(), tokens.Access); err != nil {
		t.Errorf("access token: %v", err)
	}
	access := claimsOf(t, tokens.Access)
	if life := access["exp"].(float64) - access["iat"].(float64); life != 900 || access["jti"] == "" {
		t.Errorf("lives %v seconds, jti %v", life, access["jti"])
	}
	for _, name := range []string{"exp", "iat", "nbf", "jti"} {
		delete(access, name)
	}
	want := map[string]any{"iss": s.URL, "sub": "anna", "aud": "api", "client_id": "page", "scope": "openid review", "roles": []any{"underwriter"}}
	if diff := cmp.Diff(want, access); diff != "" {
		t.Errorf("access token (-want +got)\n%s", diff)
	}
	id := claimsOf(t, tokens.ID)
	if id["aud"] != "page" || id["roles"] != nil || id["scope"] != nil || id["name"] != "Anna" || tokens.Subject != "anna" {
		t.Errorf("id token %v of %q", id, tokens.Subject)
	}

	for name, change := range map[string]func(*issuer.Settings, *string){
		"nobody":           func(_ *issuer.Settings, user *string) { *user = "eve" },
		"another client":   func(c *issuer.Settings, _ *string) { c.ClientID = "nobody" },
		"another redirect": func(c *issuer.Settings, _ *string) { c.RedirectURI = "http://127.0.0.1:1/x" },
		"no openid":        func(c *issuer.Settings, _ *string) { c.Scope = "review" },
	} {
		c, user := settings, "anna"
		change(&c, &user)
		if tokens, err := issuer.SignIn(t.Context(), c, user); err == nil {
			t.Errorf("%s: signed in, %+v", name, tokens)
		}
	}
}

// ask sends a request and follows no redirect.
func ask(t *testing.T, method, url string, form url.Values, headers ...string) (status int, location *url.URL, body string, header http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		if r.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	location, _ = response.Location()
	return response.StatusCode, location, string(b), response.Header
}

// values are a good authorization request with some parameters changed; an empty
// one goes.
func values(changes ...string) url.Values {
	v := url.Values{"client_id": {"page"}, "redirect_uri": {redirect}, "response_type": {"code"}, "scope": {"openid review"},
		"state": {"s&t"}, "nonce": {"n"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"}}
	for i := 0; i < len(changes); i += 2 {
		if v.Set(changes[i], changes[i+1]); changes[i+1] == "" {
			v.Del(changes[i])
		}
	}
	return v
}

func twice(name string) url.Values {
	v := values()
	v.Add(name, v.Get(name))
	return v
}

func TestAuthorize(t *testing.T) {
	s, _ := start(t)
	tests := []struct {
		name   string
		values url.Values
		want   string // the error at the redirect URI; "stays" for none and no redirect
	}{
		{"an unknown client", values("client_id", "x"), "stays"},
		{"no client", values("client_id", ""), "stays"},
		{"two clients", twice("client_id"), "stays"},
		{"another redirect URI", values("redirect_uri", "https://evil.example/"), "stays"},
		{"a longer redirect URI", values("redirect_uri", redirect+"x"), "stays"},
		{"a query more", values("redirect_uri", redirect+"?x=1"), "stays"},
		{"a redirect URI within", values("redirect_uri", "http://127.0.0.1:1@evil.example/"), "stays"},
		{"another client's redirect URI", values("redirect_uri", "http://127.0.0.1:2/x?y=1"), "stays"},
		{"no redirect URI", values("redirect_uri", ""), "stays"},
		{"two redirect URIs", twice("redirect_uri"), "stays"},

		{"no PKCE", values("code_challenge", "", "code_challenge_method", ""), "invalid_request"},
		{"PKCE in plain text", values("code_challenge_method", "plain", "code_challenge", verifier), "invalid_request"},
		{"PKCE without a method, which means plain", values("code_challenge_method", ""), "invalid_request"},
		{"a short challenge", values("code_challenge", "abc"), "invalid_request"},
		{"the implicit flow", values("response_type", "token"), "unsupported_response_type"},
		{"the hybrid flow", values("response_type", "code id_token"), "unsupported_response_type"},
		{"another response mode", values("response_mode", "fragment"), "invalid_request"},
		{"no openid", values("scope", "review"), "invalid_scope"},
		{"without asking", values("prompt", "none"), "login_required"},
		{"a request object", values("request", "x"), "request_not_supported"},
		{"a parameter twice", twice("state"), "invalid_request"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			form := tt.values
			form.Set("user", "anna")
			for _, method := range []string{"GET", "POST"} {
				address := s.URL + "/authorize"
				if method == "GET" {
					address += "?" + form.Encode()
				}
				status, to, body, _ := ask(t, method, address, form)
				if tt.want == "stays" {
					if to != nil || status != http.StatusBadRequest || strings.Contains(body, "evil.example") {
						t.Errorf("%s: %d to %v\n%s", method, status, to, body)
					}
					continue
				}
				if to == nil || !strings.HasPrefix(to.String(), redirect+"?") {
					t.Fatalf("%s: %d to %v", method, status, to)
				}
				if q := to.Query(); q.Get("error") != tt.want || q.Get("code") != "" || q.Get("iss") != s.URL || q.Get("state") != "s&t" {
					t.Errorf("%s: sent %s, want error %s", method, to.RawQuery, tt.want)
				}
			}
		})
	}
}

func TestSignInPage(t *testing.T) {
	s, _ := start(t)
	address := s.URL + "/authorize?" + values("state", `"><script>alert(1)</script>`).Encode()
	status, _, body, header := ask(t, "GET", address, nil)
	if status != http.StatusOK || strings.Contains(body, "<script>") || !strings.Contains(body, "&lt;script&gt;") {
		t.Errorf("status %d\n%s", status, body)
	}
	for _, u := range issuer.DemoUsers {
		if !strings.Contains(body, `value="`+u.Subject+`"><b>`+u.Name+`</b> `+u.Role) {
			t.Errorf("%s is not listed", u.Name)
		}
	}
	want := "default-src 'none'; img-src data:; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' http://127.0.0.1:1"
	if got := header.Get("Content-Security-Policy"); got != want {
		t.Errorf("policy %q", got)
	}

	form := values()
	form.Set("user", "anna")
	for name, headers := range map[string][]string{
		"another site's form": {"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"},
		"another name for us": {"Host", "evil.example"},
	} {
		status, to, _, _ := ask(t, "POST", s.URL+"/authorize", form, headers...)
		if to != nil || status != map[string]int{"another site's form": 403, "another name for us": 421}[name] {
			t.Errorf("%s: %d to %v", name, status, to)
		}
	}
}

// code signs anna in and returns the code.
func code(t *testing.T, s *issuer.Server, changes ...string) string {
	t.Helper()
	form := values(changes...)
	form.Set("user", "anna")
	_, to, body, _ := ask(t, "POST", s.URL+"/authorize", form)
	if to == nil || to.Query().Get("code") == "" {
		t.Fatalf("no code: %v %s", to, body)
	}
	return to.Query().Get("code")
}

func TestToken(t *testing.T) {
	s, c := start(t)
	good := func(code string) url.Values {
		return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect}, "client_id": {"page"}, "code_verifier": {verifier}}
	}
	redeem := func(form url.Values) (string, string) {
		t.Helper()
		status, _, body, header := ask(t, "POST", s.URL+"/token", form, "Origin", "http://127.0.0.1:1")
		if header.Get("Access-Control-Allow-Origin") != "http://127.0.0.1:1" || header.Get("Cache-Control") != "no-store" {
			t.Errorf("headers %v", header)
		}
		var answer struct {
			Error  string
			Access string `json:"access_token"`
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Fatal(err)
		}
		if (status == http.StatusOK) != (answer.Access != "") || (status == http.StatusOK) != (answer.Error == "") {
			t.Errorf("%d %s", status, body)
		}
		return answer.Access, answer.Error
	}
	first := good(code(t, s))
	if token, _ := redeem(first); token == "" {
		t.Fatal("a good code gives no token")
	}
	if _, err := redeem(first); err != "invalid_grant" {
		t.Errorf("the same code again: %q", err)
	}
	for name, change := range map[string]func(url.Values){
		"another verifier":     func(v url.Values) { v.Set("code_verifier", strings.Repeat("a", 43)) },
		"no verifier":          func(v url.Values) { v.Del("code_verifier") },
		"the challenge itself": func(v url.Values) { v.Set("code_verifier", challenge) },
		"another client":       func(v url.Values) { v.Set("client_id", "other") },
		"another redirect URI": func(v url.Values) { v.Set("redirect_uri", redirect+"x") },
		"another code":         func(v url.Values) { v.Set("code", "x") },
	} {
		form := good(code(t, s))
		change(form)
		if _, err := redeem(form); err != "invalid_grant" {
			t.Errorf("%s: %q", name, err)
		}
		if name == "another code" {
			continue
		}
		if _, err := redeem(good(form.Get("code"))); err != "invalid_grant" {
			t.Errorf("%s: the code still works afterwards: %q", name, err)
		}
	}
	late := good(code(t, s))
	c.add(time.Minute)
	if _, err := redeem(late); err != "invalid_grant" {
		t.Errorf("after a minute: %q", err)
	}
	form := good(code(t, s))
	form.Set("grant_type", "password")
	if _, err := redeem(form); err != "unsupported_grant_type" {
		t.Errorf("another grant: %q", err)
	}
	if _, _, _, header := ask(t, "POST", s.URL+"/token", form, "Origin", "https://evil.example"); header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("another site may read tokens")
	}
}

// TestKeys shows that no two issuers share a key, and none publishes its private
// half.
func TestKeys(t *testing.T) {
	a, _ := start(t)
	b, _ := start(t)
	_, _, first, _ := ask(t, "GET", a.URL+"/keys", nil)
	_, _, second, _ := ask(t, "GET", b.URL+"/keys", nil)
	if first == second || strings.Contains(first, `"d":`) || !strings.Contains(first, `"alg":"RS256"`) {
		t.Errorf("keys\n%s%s", first, second)
	}
}
