package onnxfile

import (
	"bytes"
	"os"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// message builds a protobuf message of length-delimited fields.
func message(fields ...any) []byte {
	var b []byte
	for i := 0; i < len(fields); i += 2 {
		b = protowire.AppendTag(b, protowire.Number(fields[i].(int)), protowire.BytesType)
		switch v := fields[i+1].(type) {
		case string:
			b = protowire.AppendString(b, v)
		case []byte:
			b = protowire.AppendBytes(b, v)
		}
	}
	return b
}

// twoHeads is a model whose one body feeds an age and a sex output.
func twoHeads() []byte {
	return message(modelGraph, message(
		graphNode, message(nodeInput, "input", nodeInput, "body.w", nodeOutput, "features"),
		graphNode, message(nodeInput, "features", nodeInput, "age.w", nodeOutput, "age"),
		graphNode, message(nodeInput, "features", nodeInput, "sex.w", nodeOutput, "sex"),
		graphInitializer, message(tensorName, "body.w"),
		graphInitializer, message(tensorName, "age.w"),
		graphInitializer, message(tensorName, "sex.w"),
		graphOutput, message(valueInfoName, "age"),
		graphOutput, message(valueInfoName, "sex"),
	))
}

func TestPrune(t *testing.T) {
	want := message(modelGraph, message(
		graphNode, message(nodeInput, "input", nodeInput, "body.w", nodeOutput, "features"),
		graphNode, message(nodeInput, "features", nodeInput, "age.w", nodeOutput, "age"),
		graphInitializer, message(tensorName, "body.w"),
		graphInitializer, message(tensorName, "age.w"),
		graphOutput, message(valueInfoName, "age"),
	))
	got, err := Prune(twoHeads(), "age")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("Prune = %q, %v, want %q", got, err, want)
	}
	if _, err := Prune(twoHeads(), "weight"); err == nil {
		t.Error("Prune found an output that is not there")
	}
}

// TestPruneShipped prunes the network that ships: it is pruned already.
func TestPruneShipped(t *testing.T) {
	network, err := os.ReadFile("../../models/age.onnx")
	if err != nil {
		t.Fatal(err)
	}
	again, err := Prune(network, "probabilities")
	if err != nil || !bytes.Equal(network, again) {
		t.Errorf("Prune changed the shipped network from %d to %d bytes: %v", len(network), len(again), err)
	}
}

func FuzzPrune(f *testing.F) {
	f.Add(twoHeads())
	f.Fuzz(func(t *testing.T, model []byte) {
		pruned, err := Prune(model, "age")
		if err != nil {
			return
		}
		if again, err := Prune(pruned, "age"); err != nil || !bytes.Equal(pruned, again) {
			t.Errorf("pruning again: %v", err)
		}
	})
}
