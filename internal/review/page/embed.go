// Package page holds the page by which underwriters review cases: its files,
// and the headers under which a browser must get them. It talks to the API of
// package review and to the issuer that signs people in, shows photos from the
// uploads bucket, and asks nobody else. The package knows no case and answers
// no request.
package page

import (
	"embed"
	"fmt"
	"net/url"
	"slices"

	"github.com/agequote/agequote/internal/webpage"
)

//go:embed index.html favicon.svg *.css *.js texts/*.json
var files embed.FS

// Prefix is the path under which all files but index.html are served.
const Prefix = "/page/"

// assets are all files by their path below Prefix; "" is index.html.
var assets = webpage.MustLoad(files, webpage.Scripts)

// Asset returns a file by its path below Prefix, and index.html for "".
func Asset(name string) (webpage.File, bool) {
	f, ok := assets[name]
	return f, ok
}

// Headers returns the headers of every answer that carries a file of the page.
// uploadsOrigin is the origin, scheme://host[:port], of the photos; signIn are
// addresses of the issuer and of its token endpoint, whose origins the page may
// ask. These are two with an issuer such as Amazon Cognito, whose tokens come from
// a domain of their own.
func Headers(uploadsOrigin string, signIn ...string) (map[string]string, error) {
	p := webpage.Policy{Images: []string{uploadsOrigin}}
	for _, address := range signIn {
		u, err := url.Parse(address)
		if err != nil || u.Scheme == "" || u.Host == "" {
			return nil, fmt.Errorf("read the issuer's address: %q is none", address)
		}
		p.Connect = append(p.Connect, u.Scheme+"://"+u.Host)
	}
	slices.Sort(p.Connect)
	p.Connect = slices.Compact(p.Connect)
	return webpage.Headers(p), nil
}
