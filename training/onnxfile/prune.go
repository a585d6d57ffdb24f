package onnxfile

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Prune returns an ONNX model that has the one output, any tensor of its graph,
// and nothing that the output does not need. A face network often tells sex
// too: what must never be read from a face is not shipped.
func Prune(model []byte, output string) ([]byte, error) {
	fields, err := split(model)
	if err != nil {
		return nil, fmt.Errorf("prune model: %w", err)
	}
	var out []byte
	for _, f := range fields {
		if f.number == modelGraph {
			graph, err := pruneGraph(f.bytes, output)
			if err != nil {
				return nil, fmt.Errorf("prune model: %w", err)
			}
			out = protowire.AppendTag(out, modelGraph, protowire.BytesType)
			out = protowire.AppendBytes(out, graph)
			continue
		}
		out = append(out, f.raw...)
	}
	return out, nil
}

func pruneGraph(graph []byte, output string) ([]byte, error) {
	fields, err := split(graph)
	if err != nil {
		return nil, err
	}

	// Nodes stand in topological order: walking back from the end meets every
	// user of a tensor before its maker.
	needed := map[string]bool{output: true}
	keep := make([]bool, len(fields))
	found := false
	for i := len(fields) - 1; i >= 0; i-- {
		if fields[i].number != graphNode {
			continue
		}
		node, err := split(fields[i].bytes)
		if err != nil {
			return nil, err
		}
		for _, f := range node {
			if f.number == nodeOutput && needed[string(f.bytes)] {
				keep[i] = true
				found = found || string(f.bytes) == output
			}
		}
		for _, f := range node {
			if keep[i] && f.number == nodeInput {
				needed[string(f.bytes)] = true
			}
		}
	}
	if !found {
		return nil, fmt.Errorf("no output %q", output)
	}

	for i, f := range fields {
		switch f.number {
		case graphNode:
		case graphInitializer:
			keep[i] = needed[name(f.bytes, tensorName)]
		case graphOutput:
			keep[i] = name(f.bytes, valueInfoName) == output
		case graphValueInfo:
			keep[i] = needed[name(f.bytes, valueInfoName)]
		default:
			keep[i] = true
		}
	}
	declared := false
	var out []byte
	for i, f := range fields {
		if keep[i] {
			out = append(out, f.raw...)
			declared = declared || f.number == graphOutput
		}
	}
	if !declared {
		out = appendMessage(out, graphOutput, valueInfo(output, Float32, nil))
	}
	return out, nil
}
