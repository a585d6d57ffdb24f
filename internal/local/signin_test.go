package local_test

import (
	"io"
	"net/http"
	"testing"
	"time"
)

// who asks the test's API.
func who(t *testing.T, url, token string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(b)
}

// TestSignIn goes from the sign-in page through the authorizer to a function.
func TestSignIn(t *testing.T) {
	s := start(t, options())
	api := s.APIEndpoint("ReviewApi")
	for user, want := range map[string]string{"anna": `"anna [underwriter]"`, "ada": `"ada [auditor]"`} {
		token, err := s.Token(t.Context(), user)
		if err != nil {
			t.Fatal(err)
		}
		if status, body := who(t, api+"/who", token); status != 200 || body != want {
			t.Errorf("%s: %d %s, want %s", user, status, body, want)
		}
	}
	if _, err := s.Token(t.Context(), "eve"); err == nil {
		t.Error("eve signed in")
	}
	if status, body := who(t, api+"/who", ""); status != 401 || body != `{"message":"Unauthorized"}` {
		t.Errorf("without a token: %d %s", status, body)
	}
	if status, body := who(t, api+"/open", ""); status != 200 || body != `"anybody, of `+s.Issuer().URL+`"` {
		t.Errorf("an open route: %d %s", status, body)
	}
	old, err := s.Issuer().Sign("at+jwt", map[string]any{"iss": s.Issuer().URL, "aud": "agequote-review", "sub": "anna",
		"scope": "review", "exp": time.Now().Add(-time.Second).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	if status, _ := who(t, api+"/who", old); status != 401 {
		t.Errorf("an expired token: %d", status)
	}
}

// TestNoIssuer starts the stack as it is deployed without review, and with
// another issuer, which the stack leaves alone.
func TestNoIssuer(t *testing.T) {
	for name, want := range map[string]bool{"": false, "http://127.0.0.1:1": true} {
		o := options()
		o.Parameters = map[string]string{"ReviewIssuer": name, "ReviewAudience": "api"}
		s := start(t, o)
		if got := s.APIEndpoint("ReviewApi") != ""; got != want {
			t.Errorf("issuer %q: an API is there: %v, want %v", name, got, want)
		}
		if _, err := s.Token(t.Context(), "anna"); err == nil || s.Issuer() != nil {
			t.Errorf("issuer %q: the stack has one of its own", name)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
