// Package webpage holds what the project's pages have in common: how their
// embedded files are served, the headers under which a browser must get them,
// and the scripts that all of them use. A page is plain HTML, CSS and JavaScript
// modules without a build step. The package knows no case and answers no
// request.
package webpage

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Scripts are the shared modules: elements without markup from strings, forms
// with their errors, and the message catalogue.
//
//go:embed *.js
var Scripts embed.FS

// File is one file of a page.
type File struct {
	Body []byte
	Type string // media type, with charset
	ETag string // strong, quoted; of the body
}

// Files are a page's files by their path; "" is index.html.
type Files map[string]File

// types are the media types of the pages' files. The list is written out
// because mime.TypeByExtension asks the machine.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".json": "application/json; charset=utf-8",
	".svg":  "image/svg+xml",
}

// MustLoad reads embedded files. It panics where one cannot be read, or where
// two have the same path: the program is broken.
func MustLoad(folders ...fs.FS) Files {
	all := Files{}
	for _, folder := range folders {
		err := fs.WalkDir(folder, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			body, err := fs.ReadFile(folder, name)
			if err != nil {
				return err
			}
			if _, ok := all[name]; ok {
				return fmt.Errorf("two files are called %s", name)
			}
			sum := sha256.Sum256(body)
			all[name] = File{Body: body, Type: types[path.Ext(name)], ETag: `"` + hex.EncodeToString(sum[:16]) + `"`}
			return nil
		})
		if err != nil {
			panic(err)
		}
	}
	all[""] = all["index.html"]
	delete(all, "index.html")
	return all
}

// Policy is what a page may do beyond loading its own files.
type Policy struct {
	Connect []string // other origins, scheme://host[:port], that its scripts may ask
	Images  []string // other origins that its pictures may come from
	Camera  bool
}

// Headers returns the headers of every answer that carries a file of a page.
//
// blob: is for pictures that the page makes itself. A page's address may hold
// what is nobody else's affair, so no other site is told it, and no other site
// may frame the page.
func Headers(p Policy) map[string]string {
	policy := []string{
		"default-src 'none'",
		"script-src 'self'",
		"style-src 'self'",
		"img-src " + strings.Join(append([]string{"'self'", "blob:"}, p.Images...), " "),
		"connect-src " + strings.Join(append([]string{"'self'"}, p.Connect...), " "),
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
		"require-trusted-types-for 'script'",
	}
	camera := "()"
	if p.Camera {
		camera = "(self)"
	}
	return map[string]string{
		"Cache-Control":                "no-cache",
		"Content-Security-Policy":      strings.Join(policy, "; "),
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Permissions-Policy":           "camera=" + camera + ", microphone=(), geolocation=()",
		"Referrer-Policy":              "no-referrer",
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
	}
}
