package onnx_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/agequote/agequote/internal/onnx"
	"github.com/agequote/agequote/internal/onnx/onnxtest"
)

// message is a field that holds another message, or a text; varint is a number.
// Numbers are those of onnx.proto.
func message(number protowire.Number, parts ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), bytes.Join(parts, nil))
}

func varint(number protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), v)
}

// adds is a model that adds a weight of four floats to its input, where the
// weight's own fields are given.
func adds(weight ...[]byte) []byte {
	text := func(number protowire.Number, s string) []byte { return message(number, []byte(s)) }
	value := func(name string) []byte {
		const float32s = 1
		four := message(1, varint(1, 4))
		return append(text(1, name), message(2, message(1, varint(1, float32s), message(2, four)))...)
	}
	tensor := append([][]byte{varint(1, 4), varint(2, 1), text(8, "w")}, weight...)
	graph := [][]byte{
		message(1, text(1, "x"), text(1, "w"), text(2, "y"), text(3, "node"), text(4, "Add")),
		text(2, "graph"), message(5, tensor...), message(11, value("x")), message(12, value("y")),
	}
	return bytes.Join([][]byte{varint(1, 8), message(7, graph...), message(8, varint(2, 17))}, nil)
}

// TestOpenReadsNoOtherFile has a model name a file for its weights, as ONNX
// allows: one that could read any file of the function would tell it in its
// output. A model is its own bytes, which the package's manifest names by hash.
func TestOpenReadsNoOtherFile(t *testing.T) {
	onnxtest.Require(t)
	inside := make([]byte, 16)
	s, err := onnx.Open(adds(message(9, inside)), "x", []string{"y"}, onnx.Options{})
	if err != nil {
		t.Fatalf("a model with its weights inside: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}

	t.Chdir(t.TempDir())
	if err := os.WriteFile("weights", inside, 0o600); err != nil {
		t.Fatal(err)
	}
	whole, err := filepath.Abs("weights")
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"weights", "./weights", "../" + filepath.Base(filepath.Dir(whole)) + "/weights", whole, "file://" + whole} {
		const external = 1
		weight := [][]byte{varint(14, external), message(13, message(1, []byte("location")), message(2, []byte(at)))}
		s, err := onnx.Open(adds(weight...), "x", []string{"y"}, onnx.Options{})
		if err == nil {
			t.Errorf("a model took its weights from %q", at)
			s.Close()
		}
	}
}
