package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/agequote/agequote/internal/local/issuer"
)

func tokenCommand() *command {
	return &command{
		name:    "token",
		summary: "signs a demo user in to the local stack's review API",
		usage: `Prints an access token for the review API of a stack that ` + "`agequote dev`" + ` runs. It
goes the page's own way: settings, authorization code with PKCE, token. The demo
users are ` + demoUsers() + `. A token lives 15 minutes.

A deployed API takes tokens of your own identity provider, which this command
does not ask.

  agequote token --user anna --review http://127.0.0.1:40001
  curl -H "Authorization: Bearer $(agequote token --user anna)" $REVIEW_API/queue
`,
		flags: func(fs *flag.FlagSet) func(context.Context, *env, []string) error {
			user := fs.String("user", "", "`NAME` of a demo user")
			api := fs.String("review", "", "`URL` of the review API (default: $REVIEW_API)")
			return func(ctx context.Context, e *env, args []string) error {
				if len(args) > 0 {
					return usagef("token: takes flags only, not %q", args[0])
				}
				if *api == "" {
					*api = e.getenv("REVIEW_API")
				}
				if *user == "" || *api == "" {
					return usagef("token: needs --user and --review")
				}
				token, err := fetchToken(ctx, strings.TrimSuffix(*api, "/"), *user)
				if err != nil {
					return err
				}
				fmt.Fprintln(e.stdout, token)
				return nil
			}
		},
	}
}

// demoUsers lists them for people.
func demoUsers() string {
	var out []string
	for _, u := range issuer.DemoUsers {
		out = append(out, fmt.Sprintf("%s (%s)", u.Subject, u.Role))
	}
	return strings.Join(out[:len(out)-1], ", ") + " and " + out[len(out)-1]
}

// fetchToken asks the API how to sign in, and does.
func fetchToken(ctx context.Context, api, user string) (string, error) {
	if !slices.ContainsFunc(issuer.DemoUsers, func(u issuer.User) bool { return u.Subject == user }) {
		return "", usagef("token: no demo user %q; there are %s", user, demoUsers())
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, api+"/settings", nil)
	if err != nil {
		return "", fmt.Errorf("read settings: %w", err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", fmt.Errorf("read settings: %w", err)
	}
	defer response.Body.Close()
	var settings struct {
		Issuer   string `json:"issuer"`
		ClientID string `json:"client_id"`
		Scope    string `json:"scope"`
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("read settings: %s answers with status %d", api, response.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&settings); err != nil {
		return "", fmt.Errorf("read settings: %w", err)
	}
	tokens, err := issuer.SignIn(ctx, issuer.Settings{Issuer: settings.Issuer, ClientID: settings.ClientID, RedirectURI: api + "/", Scope: settings.Scope}, user)
	return tokens.Access, err
}
