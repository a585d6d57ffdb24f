// Package xlatest starts XLA for tests that need it.
package xlatest

import (
	"os"
	"testing"

	"github.com/gomlx/gomlx/backends"

	"github.com/agequote/agequote/training/xla"
)

// Backend starts XLA, or skips the test where its plugin is not installed. Under
// `make test`, which installs it, a skip is a failure.
func Backend(t testing.TB) backends.Backend {
	t.Helper()
	b, err := xla.Open()
	switch {
	case err == nil:
		t.Cleanup(b.Finalize)
		return b
	case os.Getenv("AGEQUOTE_REQUIRE") != "":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
	return nil
}
