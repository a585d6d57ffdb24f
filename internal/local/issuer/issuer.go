// Package issuer is an OpenID Connect issuer on one machine, for the local
// stack: authorization code flow with PKCE for public clients, discovery, and
// tokens signed with a key that is made at the start and never written down. It
// stands where Cognito, Entra ID or Okta stand on AWS, so that everything else
// is the same: the page signs in as it does there, and signatures are checked.
//
// It proves nobody's identity. Its sign-in page lists demo users, and whoever is
// at this machine may be any of them; so it listens on 127.0.0.1 alone. Refresh
// tokens, sessions, consent, client secrets, userinfo and other flows are left
// out.
package issuer

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Lifetimes.
const (
	tokenLife = 15 * time.Minute
	codeLife  = time.Minute // RFC 6749, section 4.1.2, allows ten at most
)

// maxCodes bounds the codes that wait to be redeemed.
const maxCodes = 1000

// User is somebody who can sign in.
type User struct {
	Subject string // claim sub
	Name    string // for the page and the id token
	Role    string // the access token's role claim
}

// DemoUsers are the people of the local stack.
var DemoUsers = []User{
	{"anna", "Anna", "underwriter"},
	{"ben", "Ben", "underwriter"},
	{"sam", "Sam", "senior"},
	{"ada", "Ada", "auditor"},
}

// Client is a public client: a page, which can keep no secret.
type Client struct {
	ID string
	// RedirectURIs are where codes may be sent; a request names one of them, to
	// the letter.
	RedirectURIs []string
}

// Config says what to serve.
type Config struct {
	Listener  net.Listener // 127.0.0.1
	Clients   []Client
	Users     []User
	Audience  string   // of access tokens: the API
	Scopes    []string // of the API; openid comes on its own
	RoleClaim string   // of access tokens
	Now       func() time.Time
	NewCode   func() string // unguessable
	Log       *slog.Logger
}

// Server is a running issuer.
type Server struct {
	URL string // its name, and its address: http://127.0.0.1:port

	cfg    Config
	http   *http.Server
	served chan struct{}
	// key is made when it is first asked for: it takes a tenth of a second, which
	// a stack that nobody signs in to need not wait for.
	key func() (*signingKey, error)

	mu    sync.Mutex
	codes map[string]grant
}

//go:embed signin.html style.css
var files embed.FS

var signInPage = template.Must(template.ParseFS(files, "signin.html"))

// URL returns the name that an issuer on a listener has.
func URL(l net.Listener) string { return "http://" + l.Addr().String() }

// Serve serves the issuer on its listener, until Close.
func Serve(cfg Config) *Server {
	s := &Server{URL: URL(cfg.Listener), cfg: cfg, served: make(chan struct{}), key: sync.OnceValues(newSigningKey), codes: map[string]grant{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", s.discovery)
	mux.HandleFunc("GET /keys", s.keys)
	mux.HandleFunc("GET /authorize", s.authorize)
	mux.Handle("POST /authorize", http.NewCrossOriginProtection().Handler(http.HandlerFunc(s.signIn)))
	mux.HandleFunc("POST /token", s.token)
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, "style.css") })
	s.http = &http.Server{
		Handler:           s.guard(mux),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelWarn),
	}
	go func() {
		defer close(s.served)
		if err := s.http.Serve(cfg.Listener); !errors.Is(err, http.ErrServerClosed) {
			cfg.Log.Error("serve issuer", "err", err)
		}
	}()
	return s
}

// Close stops listening. Codes and the key are gone.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.served
	if err != nil {
		return fmt.Errorf("close issuer: %w", err)
	}
	return nil
}

// maxRequest bounds a form, in bytes.
const maxRequest = 16 << 10

// guard refuses requests by another name, which are those of a page elsewhere
// that has its name point here, and lets the clients' pages read answers.
func (s *Server) guard(next http.Handler) http.Handler {
	name := s.cfg.Listener.Addr().String()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != name {
			http.Error(w, "this issuer is at "+name, http.StatusMisdirectedRequest)
			return
		}
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		h.Add("Vary", "Origin")
		if origin := r.Header.Get("Origin"); s.isClients(origin) {
			h.Set("Access-Control-Allow-Origin", origin)
		}
		if r.Method == http.MethodOptions { // of a page that sends more than a form
			h.Set("Access-Control-Allow-Methods", "GET, POST")
			h.Set("Access-Control-Allow-Headers", "content-type")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		next.ServeHTTP(w, r)
	})
}

// isClients tells whether an origin is that of a client's page.
func (s *Server) isClients(origin string) bool {
	if origin == "" {
		return false
	}
	for _, c := range s.cfg.Clients {
		if slices.ContainsFunc(c.RedirectURIs, func(uri string) bool { return originOf(uri) == origin }) {
			return true
		}
	}
	return false
}

func originOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// discovery is OpenID Connect Discovery 1.0, section 3.
func (s *Server) discovery(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                         s.URL,
		"authorization_endpoint":                         s.URL + "/authorize",
		"token_endpoint":                                 s.URL + "/token",
		"jwks_uri":                                       s.URL + "/keys",
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          []string{"authorization_code"},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{string(jose.RS256)},
		"token_endpoint_auth_methods_supported":          []string{"none"},
		"code_challenge_methods_supported":               []string{"S256"},
		"scopes_supported":                               append([]string{"openid"}, s.cfg.Scopes...),
		"claims_supported":                               []string{"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "name"},
		"authorization_response_iss_parameter_supported": true,
		"request_uri_parameter_supported":                false,
	})
}

func (s *Server) keys(w http.ResponseWriter, _ *http.Request) {
	key, err := s.key()
	if err != nil {
		http.Error(w, "no key", http.StatusInternalServerError)
		return
	}
	writeJSON(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.public}})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // nobody is left to tell
}

// user finds somebody by their subject.
func (s *Server) user(subject string) (User, bool) {
	i := slices.IndexFunc(s.cfg.Users, func(u User) bool { return u.Subject == subject })
	if i < 0 {
		return User{}, false
	}
	return s.cfg.Users[i], true
}

// granted are the scopes of those asked for that there are, in the order asked.
func (s *Server) granted(scope string) string {
	var out []string
	for _, name := range strings.Fields(scope) {
		if (name == "openid" || slices.Contains(s.cfg.Scopes, name)) && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return strings.Join(out, " ")
}
