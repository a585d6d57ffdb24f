// Package backbonetest gives tests the face backbone.
package backbonetest

import (
	"os"
	"testing"

	"github.com/agequote/agequote/training/backbone"
	"github.com/agequote/agequote/training/onnxfile"
)

// Weights returns the weights of the face backbone, or skips the test where it
// was not fetched. Under `make test`, which fetches it, a skip is a failure.
func Weights(t testing.TB) map[string]onnxfile.Tensor {
	t.Helper()
	path, err := backbone.Find()
	switch {
	case err == nil:
	case os.Getenv("AGEQUOTE_REQUIRE") != "":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
	weights, err := backbone.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return weights
}
