package main

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of onnx.proto (ONNX IR).
const (
	modelGraph       = 7
	graphNode        = 1
	graphInitializer = 5
	graphOutput      = 12
	graphValueInfo   = 13
	nodeInput        = 1
	nodeOutput       = 2
	initializerName  = 8
	valueInfoName    = 1
)

// prune returns an ONNX model that has the one output and nothing that the
// output does not need. A face network often tells sex too: what must never be
// read from a face is not shipped.
func prune(model []byte, output string) ([]byte, error) {
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
			keep[i] = needed[name(f.bytes, initializerName)]
		case graphOutput:
			keep[i] = name(f.bytes, valueInfoName) == output
		case graphValueInfo:
			keep[i] = needed[name(f.bytes, valueInfoName)]
		default:
			keep[i] = true
		}
	}
	var out []byte
	for i, f := range fields {
		if keep[i] {
			out = append(out, f.raw...)
		}
	}
	return out, nil
}

// field is one field of a protobuf message; bytes is set for length-delimited
// ones.
type field struct {
	number     protowire.Number
	raw, bytes []byte
}

// split takes a message apart.
func split(message []byte) ([]field, error) {
	var fields []field
	for len(message) > 0 {
		number, typ, tag := protowire.ConsumeTag(message)
		if tag < 0 {
			return nil, protowire.ParseError(tag)
		}
		n := protowire.ConsumeFieldValue(number, typ, message[tag:])
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		f := field{number: number, raw: message[:tag+n]}
		if typ == protowire.BytesType {
			f.bytes, _ = protowire.ConsumeBytes(message[tag:])
		}
		fields = append(fields, f)
		message = message[tag+n:]
	}
	return fields, nil
}

// name returns a message's string field, or "".
func name(message []byte, number protowire.Number) string {
	fields, err := split(message)
	if err != nil {
		return ""
	}
	for _, f := range fields {
		if f.number == number {
			return string(f.bytes)
		}
	}
	return ""
}
