package onnxfile

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/x448/float16"
)

// Float16 is an element type of TensorProto.
const Float16 = 10

// halfSuffix follows the name of a weight that is kept in 16 bits; without it
// the name is that of the weight in 32 bits, which a Cast makes of it.
const halfSuffix = "/half"

// halved tells whether a weight is kept in 16 bits: small ones are biases and
// constants, which save nothing, and values above 65504 have no place there.
func halved(t Tensor) bool {
	return len(t.Data) >= 1024 && !slices.ContainsFunc(t.Data, func(v float32) bool { return v != v || max(v, -v) > 65504 })
}

// Halve returns a model whose large weights are kept in 16-bit floats (IEEE 754
// binary16, rounded to nearest even) and cast when it is loaded: half the file,
// and the same work in each run.
func Halve(model []byte) ([]byte, error) {
	fields, err := split(model)
	if err != nil {
		return nil, fmt.Errorf("halve model: %w", err)
	}
	var out []byte
	for _, f := range fields {
		if f.number != modelGraph {
			out = append(out, f.raw...)
			continue
		}
		graph, err := halveGraph(f.bytes)
		if err != nil {
			return nil, fmt.Errorf("halve model: %w", err)
		}
		out = appendMessage(out, modelGraph, graph)
	}
	return out, nil
}

func halveGraph(graph []byte) ([]byte, error) {
	fields, err := split(graph)
	if err != nil {
		return nil, err
	}
	var casts Builder // before all nodes: a graph is in the order of its work
	var rest []byte
	for _, f := range fields {
		if f.number != graphInitializer {
			rest = append(rest, f.raw...)
			continue
		}
		t, isFloat, err := parseTensor(f.bytes)
		if err != nil {
			return nil, err
		}
		if !isFloat || !halved(t) {
			rest = append(rest, f.raw...)
			continue
		}
		raw := make([]byte, 0, 2*len(t.Data))
		for _, v := range t.Data {
			raw = binary.LittleEndian.AppendUint16(raw, float16.Fromfloat32(v).Bits())
		}
		whole := name(f.bytes, tensorName)
		half := casts.initializer(whole+halfSuffix, Float16, t.Dims, raw)
		casts.NodeTo(whole, "Cast", []string{half}, Attribute{Name: "to", Value: Float32})
	}
	return append(casts.graph, rest...), nil
}

// Rounded returns a weight as a model that Halve made has it.
func (t Tensor) Rounded() Tensor {
	if !halved(t) {
		return t
	}
	rounded := Tensor{Dims: t.Dims, Data: make([]float32, len(t.Data))}
	for i, v := range t.Data {
		rounded.Data[i] = float16.Fromfloat32(v).Float32()
	}
	return rounded
}
