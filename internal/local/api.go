package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/agequote/agequote/internal/local/httpapi"
	"github.com/agequote/agequote/internal/local/samtemplate"
)

// api is an HTTP API of the template. It listens before all else, because
// others name its address.
type api struct {
	listener net.Listener
	server   *httpapi.Server
}

// listenAPIs gives each API an address, and writes it wherever the template
// names the one that the API would have on AWS.
func (s *Stack) listenAPIs(ctx context.Context) error {
	for i, a := range s.template.APIs {
		port, flag := 0, ""
		switch {
		case a.LogicalID == reviewAPI:
			port, flag = s.options.ReviewPort, "--review-port"
		case i == 0:
			port, flag = s.options.APIPort, "--page-port"
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if errors.Is(err, syscall.EADDRINUSE) {
			return &hint{fmt.Sprintf("port %d is in use; choose another with %s", port, flag), err}
		}
		if err != nil {
			return fmt.Errorf("listen for %s: %w", a.LogicalID, err)
		}
		s.apis[a.LogicalID] = &api{listener: l}
		s.readdress(a.Endpoint, "http://"+l.Addr().String())
	}
	return nil
}

// readdress puts one address in another's place in all that others are told.
func (s *Stack) readdress(from, to string) {
	for _, f := range s.template.Functions {
		for name, text := range f.Environment {
			f.Environment[name] = strings.ReplaceAll(text, from, to)
		}
	}
	replace := func(c samtemplate.CORS) {
		for i := range c.Origins {
			c.Origins[i] = strings.ReplaceAll(c.Origins[i], from, to)
		}
	}
	for _, b := range s.template.Buckets {
		for _, c := range b.CORS {
			replace(c)
		}
	}
	for _, a := range s.template.APIs {
		if a.CORS != nil {
			replace(*a.CORS)
		}
	}
}

func (s *Stack) serveAPIs() {
	for _, a := range s.template.APIs {
		cfg := httpapi.Config{
			Listener: s.apis[a.LogicalID].listener,
			ID:       a.Name,
			Rate:     a.RateLimit,
			Burst:    a.BurstLimit,
			Invoke:   s.lambda.Invoke,
			Account:  s.options.Account,
			Now:      time.Now,
			NewID:    rand.Text,
			Log:      s.options.Log,
		}
		if c := a.CORS; c != nil {
			cfg.CORS = &httpapi.CORS{Origins: c.Origins, Methods: c.Methods, Headers: c.Headers, Expose: c.Expose, MaxAge: c.MaxAge}
		}
		by := authorizers(a)
		for _, f := range s.template.Functions {
			for _, e := range f.HTTPEvents {
				if e.API == a.LogicalID {
					cfg.Routes = append(cfg.Routes, httpapi.Route{
						Method: e.Method, Path: e.Path, Function: f.ARN, Authorizer: by[e.Authorizer], Scopes: e.Scopes,
					})
				}
			}
		}
		s.apis[a.LogicalID].server = httpapi.Serve(cfg)
	}
}

func (s *Stack) closeAPIs() error {
	var err error
	for _, a := range s.apis {
		if a.server != nil {
			err = errors.Join(err, a.server.Close())
			continue
		}
		err = errors.Join(err, a.listener.Close())
	}
	return err
}

// APIEndpoint returns the URL of the HTTP API with a logical id, without a
// slash at the end, and an empty one where the template has none.
func (s *Stack) APIEndpoint(logicalID string) string {
	a, ok := s.apis[logicalID]
	if !ok {
		return ""
	}
	return "http://" + a.listener.Addr().String()
}

// secretReference is what CloudFormation replaces by a secret's text.
var secretReference = regexp.MustCompile(`\{\{resolve:secretsmanager:([A-Za-z0-9/_+=.@-]+)\}\}`)

// makeSecrets puts a secret of our own in each place where a function is handed
// one. A kept folder keeps it, so that what follows from it still holds.
func (s *Stack) makeSecrets(dir string) error {
	for _, f := range s.template.Functions {
		for name, text := range f.Environment {
			m := secretReference.FindStringSubmatch(text)
			if m == nil {
				continue
			}
			secret, err := keptSecret(filepath.Join(dir, "secrets"), m[1])
			if err != nil {
				return fmt.Errorf("make secret %s: %w", m[1], err)
			}
			f.Environment[name] = strings.ReplaceAll(text, m[0], secret)
		}
	}
	return nil
}

// keptSecret returns the secret that a folder keeps, and makes it first.
func keptSecret(dir, name string) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	file := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		b = []byte(rand.Text() + rand.Text()) // 256 bits
		err = os.WriteFile(file, b, 0o600)
	}
	return string(b), err
}
