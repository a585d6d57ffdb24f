// Package page holds the page by which underwriters review cases: its files,
// and the headers under which a browser must get them. It talks to the API of
// package review and to the issuer that signs people in, shows photos from the
// uploads bucket, and asks nobody else. The package knows no case and answers
// no request.
package page

import (
	"embed"

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
// uploadsOrigin is the origin, scheme://host[:port], of the photos; issuers are
// the origins at which the page discovers the issuer and gets its tokens. These
// are two with an issuer such as Amazon Cognito, whose discovery document lies
// elsewhere than its token endpoint.
func Headers(uploadsOrigin string, issuers ...string) map[string]string {
	return webpage.Headers(webpage.Policy{Connect: issuers, Images: []string{uploadsOrigin}})
}
