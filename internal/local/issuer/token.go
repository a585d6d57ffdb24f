package issuer

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// grant is what a code stands for.
type grant struct {
	client, redirect, challenge, nonce, scope string

	user     User
	signedIn time.Time
}

// keep makes a code for a grant. Codes whose time is over go, and where too many
// wait, all of them: nobody at one machine signs in so often.
func (s *Server) keep(g grant) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for code, old := range s.codes {
		if s.over(old) {
			delete(s.codes, code)
		}
	}
	if len(s.codes) >= maxCodes {
		clear(s.codes)
	}
	code := s.cfg.NewCode()
	s.codes[code] = g
	return code
}

func (s *Server) over(g grant) bool { return s.cfg.Now().Sub(g.signedIn) >= codeLife }

// redeem takes a code away, whatever comes of it: it works once.
func (s *Server) redeem(code string) (grant, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.codes[code]
	delete(s.codes, code)
	return g, ok && !s.over(g)
}

// verifier is a code verifier of RFC 7636, section 4.1.
var verifier = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// token is the token endpoint of RFC 6749, section 4.1.3, for public clients.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	refuse := func(code, description string) {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": code, "error_description": description})
	}
	if err := r.ParseForm(); err != nil {
		refuse("invalid_request", "the form cannot be read")
		return
	}
	for name, values := range r.PostForm {
		if len(values) > 1 {
			refuse("invalid_request", name+" is there twice")
			return
		}
	}
	if r.PostForm.Get("grant_type") != "authorization_code" {
		refuse("unsupported_grant_type", "grant_type is authorization_code")
		return
	}
	g, ok := s.redeem(r.PostForm.Get("code"))
	answers := verifier.MatchString(r.PostForm.Get("code_verifier")) &&
		subtle.ConstantTimeCompare([]byte(s256(r.PostForm.Get("code_verifier"))), []byte(g.challenge)) == 1
	// One answer to all, so that a stolen code tells nothing.
	if !ok || !answers || r.PostForm.Get("client_id") != g.client || r.PostForm.Get("redirect_uri") != g.redirect {
		refuse("invalid_grant", "the code is not good, or not yours")
		return
	}
	access, err := s.AccessToken(g.user, g.client, g.scope)
	if err != nil {
		http.Error(w, "no token", http.StatusInternalServerError)
		return
	}
	id, err := s.idToken(g, access)
	if err != nil {
		http.Error(w, "no token", http.StatusInternalServerError)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"access_token": access, "id_token": id, "token_type": "Bearer", "expires_in": int(tokenLife.Seconds()), "scope": g.scope,
	})
}

func s256(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// AccessToken makes an access token by RFC 9068.
func (s *Server) AccessToken(u User, client, scope string) (string, error) {
	now := s.cfg.Now().Unix()
	return s.Sign("at+jwt", map[string]any{
		"iss": s.URL, "sub": u.Subject, "aud": s.cfg.Audience, "client_id": client, "scope": scope,
		"iat": now, "nbf": now, "exp": now + int64(tokenLife.Seconds()), "jti": rand.Text(), s.cfg.RoleClaim: []string{u.Role},
	})
}

// idToken says who signed in, to the client alone. It has no role.
func (s *Server) idToken(g grant, access string) (string, error) {
	now := s.cfg.Now().Unix()
	half := sha256.Sum256([]byte(access))
	claims := map[string]any{
		"iss": s.URL, "sub": g.user.Subject, "aud": g.client, "name": g.user.Name, "auth_time": g.signedIn.Unix(),
		"iat": now, "exp": now + int64(tokenLife.Seconds()), "at_hash": base64.RawURLEncoding.EncodeToString(half[:len(half)/2]),
	}
	if g.nonce != "" {
		claims["nonce"] = g.nonce
	}
	return s.Sign("JWT", claims)
}

// signingKey is what tokens are signed with. API Gateway takes RSA alone.
type signingKey struct {
	private *rsa.PrivateKey
	public  jose.JSONWebKey
}

func newSigningKey() (*signingKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	public := jose.JSONWebKey{Key: &key.PublicKey, Use: "sig", Algorithm: string(jose.RS256)}
	print, err := public.Thumbprint(crypto.SHA256) // RFC 7638
	if err != nil {
		return nil, fmt.Errorf("name key: %w", err)
	}
	public.KeyID = base64.RawURLEncoding.EncodeToString(print)
	return &signingKey{key, public}, nil
}

// Sign signs any claims as a token of a type. Tests make tokens with it that the
// issuer would not give.
func (s *Server) Sign(kind string, claims map[string]any) (string, error) {
	key, err := s.key()
	if err != nil {
		return "", err
	}
	options := new(jose.SignerOptions).WithType(jose.ContentType(kind)).WithHeader("kid", key.public.KeyID)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key.private}, options)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return signed.CompactSerialize()
}
