// Package onnxtest starts ONNX Runtime for tests that need it.
package onnxtest

import (
	"os"
	"testing"

	"github.com/agequote/agequote/internal/onnx"
)

// Require starts ONNX Runtime, or skips the test where it is not installed.
// Under `make test`, which installs it, a skip is a failure.
func Require(t testing.TB) {
	t.Helper()
	path, err := onnx.Find("")
	if err == nil {
		err = onnx.Start(path)
	}
	switch {
	case err == nil:
	case os.Getenv("AGEQUOTE_REQUIRE") != "":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
}
