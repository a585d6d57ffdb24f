// Package version tells which code is running, so that every stored object
// can name it.
package version

import "runtime/debug"

// Code is "sha256:" and the hash of the Go sources and go.sum that the binary
// was built from, set by the Makefile with -ldflags -X. A hash of the content
// is the same in a clone, in sam's copy without .git and in CI.
var Code = ""

// String returns Code, else the VCS revision that the Go tool recorded, else
// "devel".
func String() string {
	if Code != "" {
		return Code
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return "git:" + s.Value
			}
		}
	}
	return "devel"
}
