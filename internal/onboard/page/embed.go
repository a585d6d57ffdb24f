// Package page holds the page by which a customer applies: its files, and the
// headers under which a browser must get them. The page is plain HTML, CSS and
// JavaScript modules without a build step; it talks to the API of package
// onboard and to the uploads bucket, and to nobody else. The package knows no
// case and answers no request.
package page

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"path"
	"strings"
)

//go:embed index.html favicon.svg *.css *.js texts/*.json
var files embed.FS

// Prefix is the path under which all files but index.html are served.
const Prefix = "/page/"

// File is one file of the page.
type File struct {
	Body []byte
	Type string // media type, with charset
	ETag string // strong, quoted; of the body
}

// types are the media types of the page's files. The list is written out
// because mime.TypeByExtension asks the machine.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".json": "application/json; charset=utf-8",
	".svg":  "image/svg+xml",
}

// assets are all files by their path below Prefix; "" is index.html.
var assets = load()

func load() map[string]File {
	all := map[string]File{}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		all[name] = File{Body: body, Type: types[path.Ext(name)], ETag: `"` + hex.EncodeToString(sum[:16]) + `"`}
		return nil
	})
	if err != nil {
		panic(err) // an embedded file that cannot be read: the program is broken
	}
	all[""] = all["index.html"]
	delete(all, "index.html")
	return all
}

// Asset returns a file by its path below Prefix, and index.html for "".
func Asset(name string) (File, bool) {
	f, ok := assets[name]
	return f, ok
}

// Headers returns the headers of every answer that carries a file of the page.
// uploadsOrigin is the origin, scheme://host[:port], of the presigned uploads.
//
// The policy names the page's own origin and that one. blob: is for a picture
// that the browser shows before it is sent. The page's address holds the case's
// secret, so no other site is told it, and no other site may frame the page.
func Headers(uploadsOrigin string) map[string]string {
	policy := []string{
		"default-src 'none'",
		"script-src 'self'",
		"style-src 'self'",
		"img-src 'self' blob:",
		"connect-src 'self' " + uploadsOrigin,
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
		"require-trusted-types-for 'script'",
	}
	return map[string]string{
		"Cache-Control":                "no-cache",
		"Content-Security-Policy":      strings.Join(policy, "; "),
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Permissions-Policy":           "camera=(self), microphone=(), geolocation=()",
		"Referrer-Policy":              "no-referrer",
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
	}
}
