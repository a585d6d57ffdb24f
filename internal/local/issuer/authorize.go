package issuer

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// parameters are those of an authorization request that mean something here.
var parameters = []string{
	"client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce",
	"code_challenge", "code_challenge_method", "prompt", "request", "request_uri",
}

// request is an authorization request whose client and redirect URI are right.
type request struct {
	values url.Values
	client Client
}

func (r *request) get(name string) string { return r.values.Get(name) }

// problem is an error of RFC 6749, section 4.1.2.1, or OpenID Connect Core 1.0,
// section 3.1.2.6. Clients get it at their redirect URI.
type problem struct{ code, description string }

// challenge is a code challenge of method S256: a SHA-256 in base64url (RFC
// 7636, section 4.2).
var challenge = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// check is what a request's parameters must say. Without PKCE there is no code.
func (r *request) check() *problem {
	switch {
	case slices.ContainsFunc(parameters, func(name string) bool { return len(r.values[name]) > 1 }):
		return &problem{"invalid_request", "a parameter is there twice"}
	case r.get("request") != "":
		return &problem{"request_not_supported", "send the parameters themselves"}
	case r.get("request_uri") != "":
		return &problem{"request_uri_not_supported", "send the parameters themselves"}
	case r.get("response_type") != "code":
		return &problem{"unsupported_response_type", "response_type is code"}
	case r.get("response_mode") != "" && r.get("response_mode") != "query":
		return &problem{"invalid_request", "response_mode is query"}
	case !slices.Contains(strings.Fields(r.get("scope")), "openid"):
		return &problem{"invalid_scope", "scope needs openid"}
	case r.get("code_challenge_method") != "S256" || !challenge.MatchString(r.get("code_challenge")):
		return &problem{"invalid_request", "a code_challenge by S256 is needed (PKCE)"}
	case r.get("prompt") == "none":
		return &problem{"login_required", "nobody stays signed in here"}
	}
	return nil
}

// readRequest finds the client. Where client or redirect URI are wrong, the
// answer stays here: a redirect would go where a stranger says.
func (s *Server) readRequest(w http.ResponseWriter, values url.Values) (*request, bool) {
	i := slices.IndexFunc(s.cfg.Clients, func(c Client) bool { return c.ID == values.Get("client_id") })
	if i < 0 || len(values["client_id"]) != 1 {
		s.page(w, http.StatusBadRequest, "", view{Problem: "There is no such client."})
		return nil, false
	}
	client := s.cfg.Clients[i]
	if len(values["redirect_uri"]) != 1 || !slices.Contains(client.RedirectURIs, values.Get("redirect_uri")) {
		s.page(w, http.StatusBadRequest, "", view{Problem: "The client may not have codes sent there."})
		return nil, false
	}
	return &request{values, client}, true
}

// authorize shows the sign-in page, or sends the client what is wrong.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	request, ok := s.readRequest(w, r.URL.Query())
	if !ok {
		return
	}
	if p := request.check(); p != nil {
		s.sendProblem(w, r, request, p)
		return
	}
	v := view{Users: s.cfg.Users}
	for _, name := range parameters {
		if value := request.get(name); value != "" {
			v.Parameters = append(v.Parameters, parameter{name, value})
		}
	}
	s.page(w, http.StatusOK, originOf(request.get("redirect_uri")), v)
}

// signIn is what the page's form sends: the request again, and who it is. All is
// checked again, so the form is trusted with nothing.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		s.page(w, http.StatusBadRequest, "", view{Problem: "The form cannot be read."})
		return
	}
	request, ok := s.readRequest(w, r.PostForm)
	if !ok {
		return
	}
	if p := request.check(); p != nil {
		s.sendProblem(w, r, request, p)
		return
	}
	user, ok := s.user(r.PostForm.Get("user"))
	if !ok {
		s.page(w, http.StatusBadRequest, "", view{Problem: "There is no such person."})
		return
	}
	code := s.keep(grant{
		client:    request.client.ID,
		redirect:  request.get("redirect_uri"),
		challenge: request.get("code_challenge"),
		nonce:     request.get("nonce"),
		scope:     s.granted(request.get("scope")),
		user:      user,
		signedIn:  s.cfg.Now(),
	})
	s.send(w, r, request, url.Values{"code": {code}})
}

func (s *Server) sendProblem(w http.ResponseWriter, r *http.Request, q *request, p *problem) {
	s.send(w, r, q, url.Values{"error": {p.code}, "error_description": {p.description}})
}

// send redirects to the request's own redirect URI, which readRequest has found
// among the client's, and names the issuer there (RFC 9207).
func (s *Server) send(w http.ResponseWriter, r *http.Request, q *request, answer url.Values) {
	to, err := url.Parse(q.get("redirect_uri"))
	if err != nil { // it is in our own configuration
		s.page(w, http.StatusInternalServerError, "", view{Problem: "The client's address cannot be read."})
		return
	}
	values := to.Query()
	for name := range answer {
		values.Set(name, answer.Get(name))
	}
	values.Set("iss", s.URL)
	if state := q.get("state"); state != "" {
		values.Set("state", state)
	}
	to.RawQuery = values.Encode()
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
}

// view is what signin.html shows.
type view struct {
	Problem    string
	Users      []User
	Parameters []parameter
}

type parameter struct{ Name, Value string }

// page writes the sign-in page. Its form may lead to the client's origin and
// nowhere else: browsers hold redirects to form-action too.
func (s *Server) page(w http.ResponseWriter, status int, client string, v view) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", strings.TrimSpace("default-src 'none'; img-src data:; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' "+client))
	w.WriteHeader(status)
	if err := signInPage.Execute(w, v); err != nil {
		s.cfg.Log.Warn("write sign-in page", "err", err)
	}
}
