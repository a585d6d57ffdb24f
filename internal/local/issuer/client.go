package issuer

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Settings are what a client signs in by: what the review API tells its page.
type Settings struct {
	Issuer      string
	ClientID    string
	RedirectURI string
	Scope       string // with blanks
}

// Tokens are what somebody gets who signed in.
type Tokens struct {
	Access  string
	ID      string
	Subject string // of the id token, checked
}

// SignIn goes the way of a page, over HTTP: discovery, authorization request,
// the sign-in form as if user had been chosen, and the code redeemed with its
// verifier. It works with an issuer of this package alone, since others ask for
// more than a name.
func SignIn(ctx context.Context, c Settings, user string) (Tokens, error) {
	provider, err := oidc.NewProvider(ctx, c.Issuer)
	if err != nil {
		return Tokens{}, fmt.Errorf("discover issuer: %w", err)
	}
	client := oauth2.Config{ClientID: c.ClientID, Endpoint: provider.Endpoint(), RedirectURL: c.RedirectURI, Scopes: strings.Fields(c.Scope)}
	client.Endpoint.AuthStyle = oauth2.AuthStyleInParams // there is no secret
	state, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	page, err := url.Parse(client.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)))
	if err != nil {
		return Tokens{}, fmt.Errorf("read the issuer's address: %w", err)
	}
	code, err := choose(ctx, page, user, state)
	if err != nil {
		return Tokens{}, err
	}
	token, err := client.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		return Tokens{}, fmt.Errorf("redeem code: %w", err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: c.ClientID}).Verify(ctx, raw)
	if err != nil {
		return Tokens{}, fmt.Errorf("check id token: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(nonce)) == 0 {
		return Tokens{}, errors.New("check id token: it answers another request")
	}
	if err := id.VerifyAccessToken(token.AccessToken); err != nil {
		return Tokens{}, fmt.Errorf("check access token: %w", err)
	}
	return Tokens{Access: token.AccessToken, ID: raw, Subject: id.Subject}, nil
}

// choose sends the sign-in form, and reads the code from the redirect that comes
// back.
func choose(ctx context.Context, page *url.URL, user, state string) (string, error) {
	form := page.Query()
	form.Set("user", user)
	to := *page
	to.RawQuery = ""
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return "", fmt.Errorf("sign in: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	if err != nil {
		return "", fmt.Errorf("sign in: %w", err)
	}
	response.Body.Close()
	where, err := response.Location()
	if err != nil {
		return "", fmt.Errorf("sign in as %q: the issuer answers with status %d", user, response.StatusCode)
	}
	answer := where.Query()
	switch {
	case answer.Get("state") != state:
		return "", errors.New("sign in: the answer is to another request")
	case answer.Get("code") == "":
		return "", fmt.Errorf("sign in: %s: %s", answer.Get("error"), answer.Get("error_description"))
	}
	return answer.Get("code"), nil
}
