// Package page holds the page by which a customer applies: its files, and the
// headers under which a browser must get them. It talks to the API of package
// onboard and to the uploads bucket, and to nobody else. The package knows no
// case and answers no request.
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
// uploadsOrigin is the origin, scheme://host[:port], of the presigned uploads.
func Headers(uploadsOrigin string) map[string]string {
	return webpage.Headers(webpage.Policy{Connect: []string{uploadsOrigin}, Camera: true})
}
