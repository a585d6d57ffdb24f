package httpapi

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"
)

// Tokens and key sets are made here by hand, so that the library that checks
// them is not asked about itself.

var segment = base64.RawURLEncoding

type object = map[string]any

func encoded(v any) string {
	b, _ := json.Marshal(v) // only values of JSON's own
	return segment.EncodeToString(b)
}

// signRS256 signs as RFC 7518, section 3.3, says.
func signRS256(t testing.TB, header, claims object, key *rsa.PrivateKey) string {
	t.Helper()
	text := encoded(header) + "." + encoded(claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + segment.EncodeToString(signature)
}

func signHS256(header, claims object, key []byte) string {
	text := encoded(header) + "." + encoded(claims)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return text + "." + segment.EncodeToString(mac.Sum(nil))
}

func publicJWK(id string, key *rsa.PublicKey) object {
	return object{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": id,
		"n": segment.EncodeToString(key.N.Bytes()), "e": segment.EncodeToString(big.NewInt(int64(key.E)).Bytes())}
}

func newKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// testIssuer publishes keys; calls counts how often they were fetched.
type testIssuer struct {
	*httptest.Server
	keys  atomic.Value // []object
	calls atomic.Int32
}

func startIssuer(t testing.TB, keys ...object) *testIssuer {
	t.Helper()
	i := &testIssuer{}
	i.keys.Store(keys)
	mux := http.NewServeMux()
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	write := func(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		write(w, object{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
	})
	mux.HandleFunc("/other/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		write(w, object{"issuer": i.URL, "jwks_uri": i.URL + "/keys"}) // of another name than it is asked by
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		i.calls.Add(1)
		write(w, object{"keys": i.keys.Load()})
	})
	return i
}

var jwtNow = time.Date(2026, 11, 25, 1, 2, 3, 0, time.UTC) // the clock of start

// with returns claims with some changed; nil takes one away.
func with(claims object, changes ...any) object {
	out := maps.Clone(claims)
	for i := 0; i < len(changes); i += 2 {
		name := changes[i].(string)
		if out[name] = changes[i+1]; changes[i+1] == nil {
			delete(out, name)
		}
	}
	return out
}

// TestJWT is the conformance table: each row names the sentence of
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
// that it tries, or the attack.
func TestJWT(t *testing.T) {
	key, other := newKey(t), newKey(t)
	idp := startIssuer(t, publicJWK("k1", &key.PublicKey))
	s := start(t, Config{Routes: []Route{
		{Method: "GET", Path: "/open", Function: "f"},
		{Method: "GET", Path: "/a", Function: "f", Authorizer: &JWT{Issuer: idp.URL, Audience: []string{"api", "second"}}, Scopes: []string{"review", "more"}},
		{Method: "GET", Path: "/noscope", Function: "f", Authorizer: &JWT{Issuer: idp.URL, Audience: []string{"api"}}},
		{Method: "GET", Path: "/query", Function: "f", Authorizer: &JWT{Issuer: idp.URL, Audience: []string{"api"}, Source: "$request.querystring.token"}},
		{Method: "GET", Path: "/strange", Function: "f", Authorizer: &JWT{Issuer: idp.URL + "/other", Audience: []string{"api"}}},
		{Method: "GET", Path: "/nobody", Function: "f", Authorizer: &JWT{Issuer: "http://127.0.0.1:1", Audience: []string{"api"}}},
	}, CORS: &CORS{Origins: []string{"https://page"}, Methods: []string{"GET"}, Headers: []string{"authorization"}}},
		func(events.APIGatewayV2HTTPRequest) string { return `{"statusCode":204}` })

	head := object{"alg": "RS256", "kid": "k1", "typ": "at+jwt"}
	now := jwtNow.Unix()
	claims := object{"iss": idp.URL, "aud": "api", "sub": "anna", "exp": now + 60, "nbf": now, "iat": now, "scope": "openid review"}
	signed := func(header, claims object) string { return "Bearer " + signRS256(t, header, claims, key) }
	good := signed(head, claims)
	parts := strings.Split(strings.TrimPrefix(good, "Bearer "), ".")
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: mustPKIX(t, &key.PublicKey)})
	ownKey := with(head, "jwk", publicJWK("k1", &other.PublicKey), "jku", idp.URL+"/keys")

	tests := []struct {
		name, path, token string
		status            int
		why               string // part of the header
	}{
		{"no authorizer on the route", "/open", "", 204, ""},
		{"prefixed with Bearer", "/a", good, 204, ""},
		{"only the token", "/a", strings.TrimPrefix(good, "Bearer "), 204, ""},
		{"bearer in small letters", "/a", "bearer" + strings.TrimPrefix(good, "Bearer"), 204, ""},
		{"another source", "/query?token=" + strings.TrimPrefix(good, "Bearer "), "", 204, ""},
		{"the header where the source is another", "/query", good, 401, "Bearer"},
		{"no token", "/a", "", 401, "Bearer"},
		{"no JWT", "/a", "Bearer abc", 401, "no token"},
		{"another scheme", "/a", "Basic YTpi", 401, "no token"},

		{"alg none", "/a", "Bearer " + encoded(object{"alg": "none", "kid": "k1"}) + "." + parts[1] + ".", 401, "RSA-based"},
		{"alg none, the signature kept", "/a", "Bearer " + encoded(object{"alg": "none", "kid": "k1"}) + "." + parts[1] + "." + parts[2], 401, "RSA-based"},
		{"HS256 with the public key's PEM", "/a", "Bearer " + signHS256(object{"alg": "HS256", "kid": "k1"}, claims, publicPEM), 401, "RSA-based"},
		{"HS256 with the modulus", "/a", "Bearer " + signHS256(object{"alg": "HS256", "kid": "k1"}, claims, key.N.Bytes()), 401, "RSA-based"},
		{"ES256, which API Gateway does not take", "/a", signed(with(head, "alg", "ES256"), claims), 401, "RSA-based"},
		{"RS512 where the key is for RS256", "/a", signed(with(head, "alg", "RS512"), claims), 401, "no such key"},
		{"another key under the same kid", "/a", "Bearer " + signRS256(t, head, claims, other), 401, "signature"},
		{"its own key in the header", "/a", "Bearer " + signRS256(t, ownKey, claims, other), 401, "signature"},
		{"a changed payload", "/a", "Bearer " + parts[0] + "." + encoded(with(claims, "sub", "sam")) + "." + parts[2], 401, "signature"},
		{"a changed signature", "/a", "Bearer " + parts[0] + "." + parts[1] + "." + flip(parts[2]), 401, "signature"},
		{"no signature", "/a", "Bearer " + parts[0] + "." + parts[1] + ".", 401, "signature"},
		{"an unknown kid", "/a", signed(with(head, "kid", "k2"), claims), 401, "no such key"},
		{"a kid that is a path", "/a", signed(with(head, "kid", "../../../../dev/null"), claims), 401, "no such key"},
		{"a kid that is an address", "/a", signed(with(head, "kid", idp.URL+"/keys"), claims), 401, "no such key"},
		{"no kid", "/a", signed(with(head, "kid", nil), claims), 401, "names no key"},
		{"a critical header that nobody knows", "/a", signed(with(head, "crit", []string{"x"}, "x", 1), claims), 401, "signature"},

		{"iss: another", "/a", signed(head, with(claims, "iss", "https://other.example")), 401, "issuer"},
		{"iss: with a slash more", "/a", signed(head, with(claims, "iss", idp.URL+"/")), 401, "issuer"},
		{"iss: missing", "/a", signed(head, with(claims, "iss", nil)), 401, "issuer"},
		{"iss: calls itself otherwise when discovered", "/strange", signed(head, with(claims, "iss", idp.URL+"/other")), 401, "keys"},
		{"iss: cannot be reached", "/nobody", signed(head, with(claims, "iss", "http://127.0.0.1:1")), 401, "keys"},

		{"aud: one of the authorizer's", "/a", signed(head, with(claims, "aud", "second")), 204, ""},
		{"aud: a list with one", "/a", signed(head, with(claims, "aud", []string{"x", "api"})), 204, ""},
		{"aud: another", "/a", signed(head, with(claims, "aud", "page")), 401, `scope="" error="invalid_token" error_description="the token does not have a valid audience"`},
		{"aud: missing", "/a", signed(head, with(claims, "aud", nil)), 401, "audience"},
		{"client_id where there is no aud", "/a", signed(head, with(claims, "aud", nil, "client_id", "api")), 204, ""},
		{"client_id beside a wrong aud", "/a", signed(head, with(claims, "aud", "x", "client_id", "api")), 401, "audience"},

		{"exp: now", "/a", signed(head, with(claims, "exp", now)), 401, "expired"},
		{"exp: past", "/a", signed(head, with(claims, "exp", now-1)), 401, "expired"},
		{"exp: missing", "/a", signed(head, with(claims, "exp", nil)), 401, "expires"},
		{"exp: a text", "/a", signed(head, with(claims, "exp", "9999999999")), 401, "expires"},
		{"exp: beyond any clock", "/a", signed(head, with(claims, "exp", 1e300)), 401, "expires"},
		{"nbf: to come", "/a", signed(head, with(claims, "nbf", now+1)), 401, "not valid yet"},
		{"nbf: missing", "/a", signed(head, with(claims, "nbf", nil)), 204, ""},
		{"nbf: a text", "/a", signed(head, with(claims, "nbf", "0")), 401, "not valid yet"},
		{"iat: to come", "/a", signed(head, with(claims, "iat", now+1)), 401, "not valid yet"},

		{"scope: at least one of the route's", "/a", signed(head, with(claims, "scope", "more")), 204, ""},
		{"scope: none of the route's", "/a", signed(head, with(claims, "scope", "openid reviews")), 403, `scope="review more" error="insufficient_scope"`},
		{"scope: missing, as in an id token", "/a", signed(head, with(claims, "scope", nil, "nonce", "n", "at_hash", "h")), 403, "insufficient_scope"},
		{"scp: a list", "/a", signed(head, with(claims, "scope", nil, "scp", []string{"review"})), 204, ""},
		{"scp: a text", "/a", signed(head, with(claims, "scope", nil, "scp", "x review")), 204, ""},
		{"no scope asked for", "/noscope", signed(head, with(claims, "scope", nil)), 204, ""},
		// There is "no standard mechanism to differentiate JWT access tokens from"
		// id tokens: a route without scopes takes one whose audience fits.
		{"an id token where no scope is asked for", "/noscope", signed(head, with(claims, "scope", nil, "nonce", "n")), 204, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			headers := []string{"Origin", "https://page"}
			if tt.token != "" {
				headers = append(headers, "Authorization", tt.token)
			}
			response, body := send(t, "GET", s.Endpoint+tt.path, "", headers...)
			if response.StatusCode != tt.status {
				t.Fatalf("status %d (%s), want %d", response.StatusCode, response.Header.Get("WWW-Authenticate"), tt.status)
			}
			if want := map[int]string{204: "", 401: `{"message":"Unauthorized"}`, 403: `{"message":"Forbidden"}`}[tt.status]; body != want {
				t.Errorf("body %s, want %s", body, want)
			}
			if challenge := response.Header.Get("WWW-Authenticate"); !strings.Contains(challenge, tt.why) || (tt.status == 204) != (challenge == "") {
				t.Errorf("WWW-Authenticate: %q, want %q in it", challenge, tt.why)
			}
			if response.Header.Get("Access-Control-Allow-Origin") != "https://page" {
				t.Error("the page may not read the answer")
			}
		})
	}
	t.Run("a token of more than 10 KB", func(t *testing.T) {
		response, _ := send(t, "GET", s.Endpoint+"/a", "", "Authorization", signed(head, with(claims, "pad", strings.Repeat("x", 15<<10))))
		if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("status %d", response.StatusCode)
		}
	})
	t.Run("a preflight needs no token", func(t *testing.T) {
		if response, _ := send(t, "OPTIONS", s.Endpoint+"/a", "", "Origin", "https://page", "Access-Control-Request-Method", "GET"); response.StatusCode != 204 {
			t.Errorf("status %d", response.StatusCode)
		}
	})
}

// FuzzJWT changes a good token: whatever is let in says what that one says.
func FuzzJWT(f *testing.F) {
	key := newKey(f)
	idp := startIssuer(f, publicJWK("k1", &key.PublicKey))
	a := &JWT{Issuer: idp.URL, Audience: []string{"api"}}
	claims := object{"iss": idp.URL, "aud": "api", "sub": "anna", "exp": jwtNow.Unix() + 60}
	good := signRS256(f, object{"alg": "RS256", "kid": "k1"}, claims, key)
	parts := strings.Split(good, ".")
	f.Add(good)
	f.Add("Bearer " + good)
	f.Add(encoded(object{"alg": "none", "kid": "k1"}) + "." + parts[1] + ".")
	f.Add(parts[0] + "." + encoded(with(claims, "sub", "sam")) + "." + parts[2])
	f.Add(`{"payload":"` + parts[1] + `","signatures":[{"protected":"` + parts[0] + `","signature":"` + parts[2] + `"}]}`)
	f.Fuzz(func(t *testing.T, token string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", token)
		if told, no := a.authorize(r, nil, jwtNow); no == nil && told.Claims["sub"] != "anna" {
			t.Errorf("let in as %q", told.Claims["sub"])
		}
	})
}

func mustPKIX(t *testing.T, key *rsa.PublicKey) []byte {
	t.Helper()
	b, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// flip changes the first letter of a segment.
func flip(s string) string {
	if s[0] == 'A' {
		return "B" + s[1:]
	}
	return "A" + s[1:]
}

// TestJWTClaims is what the function is told, in API Gateway's own forms.
func TestJWTClaims(t *testing.T) {
	key := newKey(t)
	idp := startIssuer(t, publicJWK("k1", &key.PublicKey))
	var got events.APIGatewayV2HTTPRequest
	authorizer := &JWT{Issuer: idp.URL, Audience: []string{"api"}}
	s := start(t, Config{Routes: []Route{
		{Method: "GET", Path: "/a", Function: "f", Authorizer: authorizer, Scopes: []string{"review"}},
		{Method: "GET", Path: "/b", Function: "f", Authorizer: authorizer},
		{Method: "GET", Path: "/open", Function: "f"},
	}}, func(e events.APIGatewayV2HTTPRequest) string { got = e; return `{"statusCode":204}` })
	token := "Bearer " + signRS256(t, object{"alg": "RS256", "kid": "k1"}, object{
		"iss": idp.URL, "aud": []string{"api", "x"}, "exp": jwtNow.Unix() + 1, "scope": "review openid", "sub": "anna",
		"roles": []string{"underwriter", "two words"}, "flag": true, "nothing": nil, "none": []string{}, "nested": object{"a": 1},
	}, key)

	for path, scopes := range map[string][]string{"/a": {"review", "openid"}, "/b": nil} {
		send(t, "GET", s.Endpoint+path, "", "Authorization", token)
		want := &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{JWT: &events.APIGatewayV2HTTPRequestContextAuthorizerJWTDescription{
			Claims: map[string]string{
				"iss": idp.URL, "aud": "[api x]", "exp": "1795568524", "scope": "review openid", "sub": "anna",
				"roles": "[underwriter two words]", "flag": "true", "none": "[]", "nested": `{"a":1}`,
			},
			Scopes: scopes,
		}}
		if diff := cmp.Diff(want, got.RequestContext.Authorizer); diff != "" {
			t.Errorf("%s: authorizer (-want +got)\n%s", path, diff)
		}
	}
	send(t, "GET", s.Endpoint+"/open", "", "Authorization", token)
	if got.RequestContext.Authorizer != nil {
		t.Errorf("claims that nobody checked are passed on: %+v", got.RequestContext.Authorizer)
	}
}

// TestJWTKeys rotates the issuer's key.
func TestJWTKeys(t *testing.T) {
	first, second := newKey(t), newKey(t)
	idp := startIssuer(t, publicJWK("k1", &first.PublicKey))
	a := &JWT{Issuer: idp.URL, Audience: []string{"api"}}
	try := func(at time.Duration, kid string, key *rsa.PrivateKey, let bool, calls int32) {
		t.Helper()
		now := jwtNow.Add(at)
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", signRS256(t, object{"alg": "RS256", "kid": kid}, object{"iss": idp.URL, "aud": "api", "exp": now.Unix() + 60}, key))
		if _, no := a.authorize(r, nil, now); (no == nil) != let {
			t.Errorf("after %s with %s: %+v, want it let in: %v", at, kid, no, let)
		}
		if got := idp.calls.Load(); got != calls {
			t.Errorf("after %s with %s: the keys were fetched %d times, want %d", at, kid, got, calls)
		}
	}
	try(0, "k1", first, true, 1)
	try(time.Minute, "k1", first, true, 1)
	idp.keys.Store([]object{publicJWK("k2", &second.PublicKey)})
	try(2*time.Minute, "k1", first, true, 1) // the key is kept
	try(3*time.Minute, "k2", second, true, 2)
	try(3*time.Minute+time.Second, "k3", first, false, 2) // not again for each unknown key
	try(3*time.Minute+time.Second, "k1", first, false, 2) // gone
	idp.keys.Store([]object{})
	try(3*time.Minute+2*time.Hour, "k2", second, true, 2)
	try(3*time.Minute+2*time.Hour+time.Second, "k2", second, false, 3)
}
