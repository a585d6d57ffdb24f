package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/agequote/agequote/internal/local/httpapi"
	"github.com/agequote/agequote/internal/local/issuer"
	"github.com/agequote/agequote/internal/local/samtemplate"
)

// The parameters by which a template names its issuer. Where it has the first,
// and nobody sets it, the stack has an issuer of its own and sets all of them
// that nobody sets.
const (
	issuerParameter    = "ReviewIssuer"
	audienceParameter  = "ReviewAudience"
	clientParameter    = "ReviewClientId"
	roleClaimParameter = "ReviewRoleClaim"
)

// reviewAPI is the API whose port can be chosen, so that its page can be
// registered with another issuer.
const reviewAPI = "ReviewApi"

// signIn is the stack's own issuer.
type signIn struct {
	listener  net.Listener
	server    *issuer.Server
	client    string
	audience  string
	roleClaim string
	redirect  string // the first page that may sign in; empty: none
	scope     string // that a page asks for
}

// listenIssuer gives the issuer an address before the template is read, since
// that names it. o gets parameters of its own.
func (s *Stack) listenIssuer(ctx context.Context, o *Options) error {
	wanted, err := samtemplate.HasParameter(o.Template, issuerParameter)
	if err != nil {
		return err
	}
	if _, set := o.Parameters[issuerParameter]; set || !wanted {
		return nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the issuer: %w", err)
	}
	s.signIn = &signIn{listener: l}
	parameters := maps.Clone(o.Parameters)
	if parameters == nil {
		parameters = map[string]string{}
	}
	parameters[issuerParameter] = issuer.URL(l)
	for name, text := range map[string]string{clientParameter: "agequote-page", audienceParameter: "agequote-review", roleClaimParameter: "roles"} {
		if _, set := parameters[name]; !set {
			parameters[name] = text
		}
	}
	s.signIn.client, s.signIn.audience, s.signIn.roleClaim = parameters[clientParameter], parameters[audienceParameter], parameters[roleClaimParameter]
	o.Parameters = parameters
	return nil
}

// serveIssuer starts the issuer for the pages of all APIs that name it.
func (s *Stack) serveIssuer() {
	if s.signIn == nil {
		return
	}
	own := issuer.URL(s.signIn.listener)
	client := issuer.Client{ID: s.signIn.client}
	var scopes []string
	for _, a := range s.template.APIs {
		for _, authorizer := range a.Authorizers {
			if authorizer.Issuer == own {
				client.RedirectURIs = append(client.RedirectURIs, s.APIEndpoint(a.LogicalID)+"/")
				scopes = append(scopes, authorizer.Scopes...)
			}
		}
	}
	slices.Sort(scopes)
	scopes = slices.Compact(scopes)
	if len(client.RedirectURIs) > 0 {
		s.signIn.redirect = client.RedirectURIs[0]
	}
	s.signIn.scope = strings.Join(append([]string{"openid"}, scopes...), " ")
	s.signIn.server = issuer.Serve(issuer.Config{
		Listener: s.signIn.listener, Clients: []issuer.Client{client}, Users: issuer.DemoUsers, Audience: s.signIn.audience,
		Scopes: scopes, RoleClaim: s.signIn.roleClaim, Now: time.Now, NewCode: rand.Text, Log: s.options.Log,
	})
}

func (s *Stack) closeIssuer() error {
	switch {
	case s.signIn == nil:
		return nil
	case s.signIn.server == nil:
		return s.signIn.listener.Close()
	}
	return s.signIn.server.Close()
}

// Issuer returns the stack's own issuer, nil where it has none.
func (s *Stack) Issuer() *issuer.Server {
	if s.signIn == nil {
		return nil
	}
	return s.signIn.server
}

// Token returns an access token of a demo user, who signs in over HTTP as on the
// page. It lives 15 minutes.
func (s *Stack) Token(ctx context.Context, user string) (string, error) {
	if s.signIn == nil {
		return "", errors.New("the stack has no issuer of its own")
	}
	tokens, err := issuer.SignIn(ctx, issuer.Settings{
		Issuer: s.signIn.server.URL, ClientID: s.signIn.client, RedirectURI: s.signIn.redirect, Scope: s.signIn.scope,
	}, user)
	return tokens.Access, err
}

// authorizers are those of an API, by their names.
func authorizers(a samtemplate.API) map[string]*httpapi.JWT {
	out := map[string]*httpapi.JWT{}
	for _, j := range a.Authorizers {
		out[j.Name] = &httpapi.JWT{Issuer: j.Issuer, Audience: j.Audience, Source: j.Source}
	}
	return out
}
