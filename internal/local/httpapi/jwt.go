package httpapi

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/go-jose/go-jose/v4"
)

// What API Gateway's documentation states of JWT authorizers, and its quotas for
// HTTP APIs:
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
const (
	keysKept     = 2 * time.Hour // "can cache the public key for two hours"
	issuerWait   = 1500 * time.Millisecond
	issuerAnswer = 150_000 // bytes
	// pauseForKeys is how long an unknown key waits for the next look at the
	// issuer's; how API Gateway meets a rotation before the two hours are over is
	// not documented.
	pauseForKeys = 5 * time.Second
)

// rsaAlgorithms are all that API Gateway takes: "Currently, only RSA-based
// algorithms are supported." So a shared key (HS256) and none are out before
// any key is looked up.
var rsaAlgorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512}

// JWT is a JWT authorizer. It is used by one API; its keys are fetched from the
// issuer when the first token comes.
type JWT struct {
	Issuer   string
	Audience []string // one of them is the token's aud, or its client_id where it has no aud
	Source   string   // $request.header.NAME or $request.querystring.NAME; empty: the Authorization header

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetched time.Time
}

// refusal is an answer of the authorizer: why says it in the header alone, as
// API Gateway does.
type refusal struct {
	status int
	why    string // empty: no token
	scopes []string
}

func invalid(why string) *refusal { return &refusal{status: http.StatusUnauthorized, why: why} }

// answer writes the refusal. The documented words are those of a wrong
// audience; the others are ours.
func (r *refusal) answer(w http.ResponseWriter) {
	challenge := "Bearer"
	if r.why != "" {
		kind := map[int]string{http.StatusUnauthorized: "invalid_token", http.StatusForbidden: "insufficient_scope"}[r.status]
		challenge = fmt.Sprintf("Bearer scope=%q error=%q error_description=%q", strings.Join(r.scopes, " "), kind, r.why)
	}
	w.Header().Set("WWW-Authenticate", challenge)
	say(w, r.status, http.StatusText(r.status))
}

// authorize checks the request's token and returns what the function is told of
// it.
func (a *JWT) authorize(r *http.Request, scopes []string, now time.Time) (*events.APIGatewayV2HTTPRequestContextAuthorizerJWTDescription, *refusal) {
	token := a.token(r)
	if token == "" {
		return nil, &refusal{status: http.StatusUnauthorized}
	}
	claims, no := a.verify(r.Context(), token, now)
	if no != nil {
		return nil, no
	}
	if no := a.checkClaims(claims, now); no != nil {
		return nil, no
	}
	out := &events.APIGatewayV2HTTPRequestContextAuthorizerJWTDescription{Claims: claimTexts(claims)}
	if len(scopes) == 0 {
		return out, nil
	}
	held := held(claims)
	if !slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(held, s) }) {
		return nil, &refusal{http.StatusForbidden, "the token does not have a scope of the route", scopes}
	}
	out.Scopes = held
	return out, nil
}

// token reads the identity source, which "can include only the token, or the
// token prefixed with Bearer".
func (a *JWT) token(r *http.Request) string {
	source := a.Source
	if source == "" {
		source = "$request.header.Authorization"
	}
	var text string
	if name, ok := strings.CutPrefix(source, "$request.header."); ok {
		text = r.Header.Get(name)
	} else if name, ok := strings.CutPrefix(source, "$request.querystring."); ok {
		text = r.URL.Query().Get(name)
	}
	if scheme, token, ok := strings.Cut(text, " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return text
}

// verify checks algorithm and signature, and returns the claims.
func (a *JWT) verify(ctx context.Context, token string, now time.Time) (map[string]any, *refusal) {
	signed, err := jose.ParseSignedCompact(token, rsaAlgorithms)
	if err != nil {
		return nil, invalid("the token is not signed with an RSA-based algorithm, or is no token")
	}
	header := signed.Signatures[0].Protected
	if header.KeyID == "" {
		return nil, invalid("the token names no key")
	}
	key, no := a.key(ctx, header.KeyID, header.Algorithm, now)
	if no != nil {
		return nil, no
	}
	payload, err := signed.Verify(key)
	if err != nil {
		return nil, invalid("the signature is wrong")
	}
	var claims map[string]any
	d := json.NewDecoder(strings.NewReader(string(payload)))
	d.UseNumber()
	if err := d.Decode(&claims); err != nil || claims == nil {
		return nil, invalid("the token has no claims")
	}
	return claims, nil
}

// key finds the issuer's public key that a token names. One that is not there
// may be new, so the issuer is asked again, though not for each token.
func (a *JWT) key(ctx context.Context, id, algorithm string, now time.Time) (*rsa.PublicKey, *refusal) {
	a.mu.Lock()
	defer a.mu.Unlock()
	age := now.Sub(a.fetched)
	found := find(a.keys, id, algorithm)
	if a.fetched.IsZero() || age > keysKept || found == nil && age > pauseForKeys {
		keys, err := a.fetchKeys(ctx)
		if err != nil {
			return nil, invalid("the issuer's keys cannot be had")
		}
		a.keys, a.fetched = keys, now
		found = find(keys, id, algorithm)
	}
	if found == nil {
		return nil, invalid("the issuer has no such key")
	}
	return found, nil
}

// find returns the public RSA key with an id, for signatures by an algorithm.
func find(keys []jose.JSONWebKey, id, algorithm string) *rsa.PublicKey {
	for _, k := range keys {
		public, isRSA := k.Key.(*rsa.PublicKey)
		if isRSA && k.KeyID == id && (k.Use == "" || k.Use == "sig") && (k.Algorithm == "" || k.Algorithm == algorithm) {
			return public
		}
	}
	return nil
}

// fetchKeys finds the keys by OpenID Connect Discovery 1.0, section 4.
func (a *JWT) fetchKeys(ctx context.Context) ([]jose.JSONWebKey, error) {
	var discovered struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := fetch(ctx, strings.TrimSuffix(a.Issuer, "/")+"/.well-known/openid-configuration", &discovered); err != nil {
		return nil, fmt.Errorf("discover issuer: %w", err)
	}
	if discovered.Issuer != a.Issuer {
		return nil, errors.New("discover issuer: it calls itself otherwise")
	}
	var set jose.JSONWebKeySet
	if err := fetch(ctx, discovered.Keys, &set); err != nil {
		return nil, fmt.Errorf("get the issuer's keys: %w", err)
	}
	return set.Keys, nil
}

func fetch(ctx context.Context, url string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, issuerWait)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return json.NewDecoder(io.LimitReader(response.Body, issuerAnswer)).Decode(into)
}

// checkClaims goes through the claims in the order of API Gateway's
// documentation. It states no leeway for clocks, so there is none. A token that
// never expires is refused.
func (a *JWT) checkClaims(claims map[string]any, now time.Time) *refusal {
	if iss, _ := claims["iss"].(string); iss != a.Issuer {
		return invalid("the token does not have the issuer of the API")
	}
	if !a.hasAudience(claims) {
		return invalid("the token does not have a valid audience")
	}
	expires, ok := moment(claims["exp"])
	if !ok {
		return invalid("the token does not say when it expires")
	}
	if !now.Before(expires) {
		return invalid("the token has expired")
	}
	for _, name := range []string{"nbf", "iat"} {
		value, there := claims[name]
		if !there {
			continue
		}
		if from, ok := moment(value); !ok || now.Before(from) {
			return invalid("the token is not valid yet")
		}
	}
	return nil
}

// hasAudience looks at client_id "only if aud is not present".
func (a *JWT) hasAudience(claims map[string]any) bool {
	value, there := claims["aud"]
	if !there {
		value = claims["client_id"]
	}
	return slices.ContainsFunc(texts(value), func(s string) bool { return slices.Contains(a.Audience, s) })
}

// held returns the token's scopes: scope, or scp where there is none, as a text
// with blanks or a list.
func held(claims map[string]any) []string {
	value, there := claims["scope"]
	if !there {
		value = claims["scp"]
	}
	if text, ok := value.(string); ok {
		return strings.Fields(text)
	}
	return texts(value)
}

// texts returns a claim that is one text or a list of them.
func texts(value any) []string {
	switch value := value.(type) {
	case string:
		return []string{value}
	case []any:
		var out []string
		for _, item := range value {
			if text, ok := item.(string); ok {
				out = append(out, text)
			}
		}
		return out
	}
	return nil
}

// lastSecond bounds dates to the year 9999, so that none overflows.
const lastSecond = 253_402_300_799

// moment reads a NumericDate (RFC 7519, section 2): seconds, which may have a
// fraction.
func moment(value any) (time.Time, bool) {
	number, ok := value.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	seconds, err := strconv.ParseFloat(string(number), 64)
	if err != nil || seconds < 0 || seconds > lastSecond {
		return time.Time{}, false
	}
	return time.UnixMicro(int64(seconds * 1e6)), true
}

// claimTexts writes claims as API Gateway passes them on: all of them texts, a
// list as "[a b]", an object as its JSON, null not at all. It is not
// documented; these forms were measured on AWS for
// https://github.com/floci-io/floci/pull/2011.
func claimTexts(claims map[string]any) map[string]string {
	out := map[string]string{}
	for name, value := range claims {
		if value != nil {
			out[name] = claimText(value)
		}
	}
	return out
}

func claimText(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case []any:
		items := make([]string, len(value))
		for i, item := range value {
			items[i] = claimText(item)
		}
		return "[" + strings.Join(items, " ") + "]"
	}
	b, _ := json.Marshal(value) // it came as JSON
	return string(b)
}
