package onnxfile

import (
	"encoding/binary"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Builder writes a model node by node. Each method that adds a node returns the
// name of its output.
type Builder struct {
	Prefix string // of the names that it makes, for a model that includes another's

	graph []byte
	count int
}

// Batch is the name of the dimension that may have any size.
const Batch = "N"

// Input declares an input; a dimension of -1 is Batch.
func (b *Builder) Input(name string, elementType int, dims ...int) string {
	b.graph = appendMessage(b.graph, graphInput, valueInfo(name, elementType, dims))
	return name
}

// Output declares an output; a dimension of -1 is Batch.
func (b *Builder) Output(name string, elementType int, dims ...int) {
	b.graph = appendMessage(b.graph, graphOutput, valueInfo(name, elementType, dims))
}

// Floats adds a float32 weight.
func (b *Builder) Floats(name string, t Tensor) string {
	raw := make([]byte, 0, 4*len(t.Data))
	for _, v := range t.Data {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return b.initializer(name, Float32, t.Dims, raw)
}

// Ints adds a vector of int64, as shapes and slices want them.
func (b *Builder) Ints(values ...int) string {
	var raw []byte
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	return b.initializer(b.unique("ints"), Int64, []int{len(values)}, raw)
}

func (b *Builder) initializer(name string, elementType int, dims []int, raw []byte) string {
	var t []byte
	for _, d := range dims {
		t = appendVarint(t, tensorDims, uint64(d))
	}
	t = appendVarint(t, tensorDataType, uint64(elementType))
	t = appendMessage(t, tensorName, []byte(name))
	t = appendMessage(t, tensorRaw, raw)
	b.graph = appendMessage(b.graph, graphInitializer, t)
	return name
}

// Attribute is an attribute of a node: an int, a float32 or []int.
type Attribute struct {
	Name  string
	Value any
}

// Node adds a node with one output.
func (b *Builder) Node(op string, inputs []string, attributes ...Attribute) string {
	output := b.unique(op)
	b.NodeTo(output, op, inputs, attributes...)
	return output
}

// NodeTo adds a node whose output has the name given.
func (b *Builder) NodeTo(output, op string, inputs []string, attributes ...Attribute) {
	var n []byte
	for _, in := range inputs {
		n = appendMessage(n, nodeInput, []byte(in))
	}
	n = appendMessage(n, nodeOutput, []byte(output))
	n = appendMessage(n, nodeName, []byte(output))
	n = appendMessage(n, nodeOpType, []byte(op))
	for _, a := range attributes {
		n = appendMessage(n, nodeAttribute, attribute(a))
	}
	b.graph = appendMessage(b.graph, graphNode, n)
}

func attribute(a Attribute) []byte {
	m := appendMessage(nil, attributeName, []byte(a.Name))
	switch v := a.Value.(type) {
	case int:
		m = appendVarint(m, attributeInt, uint64(v))
		return appendVarint(m, attributeType, attributeTInt)
	case float32:
		m = protowire.AppendTag(m, attributeFloat, protowire.Fixed32Type)
		m = protowire.AppendFixed32(m, math.Float32bits(v))
		return appendVarint(m, attributeType, attributeTFloat)
	case []int:
		for _, i := range v {
			m = appendVarint(m, attributeInts, uint64(i))
		}
		return appendVarint(m, attributeType, attributeTInts)
	}
	panic(fmt.Sprintf("onnxfile: attribute %q of type %T", a.Name, a.Value))
}

// Include adds the nodes and weights of a model, whose one input is replaced by
// the tensor input. It returns the name of the model's output. Names must not
// meet those of the builder: a model that a Builder made needs another Prefix.
func (b *Builder) Include(model []byte, input string) (string, error) {
	graph, err := graphOf(model)
	if err != nil {
		return "", err
	}
	var modelInput, output string
	for _, f := range graph {
		switch f.number {
		case graphInput:
			modelInput = name(f.bytes, valueInfoName)
		case graphOutput:
			output = name(f.bytes, valueInfoName)
		}
	}
	for _, f := range graph {
		switch f.number {
		case graphInitializer:
			b.graph = append(b.graph, f.raw...)
		case graphNode:
			node, err := renameInput(f.bytes, modelInput, input)
			if err != nil {
				return "", err
			}
			b.graph = appendMessage(b.graph, graphNode, node)
		}
	}
	return output, nil
}

func renameInput(node []byte, from, to string) ([]byte, error) {
	fields, err := split(node)
	if err != nil {
		return nil, fmt.Errorf("read node: %w", err)
	}
	var out []byte
	for _, f := range fields {
		if f.number == nodeInput && string(f.bytes) == from {
			out = appendMessage(out, nodeInput, []byte(to))
			continue
		}
		out = append(out, f.raw...)
	}
	return out, nil
}

// Model returns the file.
func (b *Builder) Model() []byte {
	const irVersion, opset, opsetVersion = 8, 17, 2
	m := appendVarint(nil, modelIRVersion, irVersion)
	m = appendMessage(m, modelProducer, []byte("agequote"))
	m = appendMessage(m, modelGraph, appendMessage(append([]byte(nil), b.graph...), graphName, []byte("age")))
	return appendMessage(m, modelOpset, appendVarint(nil, opsetVersion, opset))
}

func (b *Builder) unique(what string) string {
	b.count++
	return fmt.Sprintf("%s%s:%d", b.Prefix, what, b.count)
}

// valueInfo is a ValueInfoProto; without dims its shape is left open.
func valueInfo(name string, elementType int, dims []int) []byte {
	const typeTensor, tensorElement, tensorShape, shapeDim, dimValue, dimParam = 1, 1, 2, 1, 1, 2
	tensor := appendVarint(nil, tensorElement, uint64(elementType))
	if dims != nil {
		var shape []byte
		for _, d := range dims {
			dim := appendVarint(nil, dimValue, uint64(d))
			if d < 0 {
				dim = appendMessage(nil, dimParam, []byte(Batch))
			}
			shape = appendMessage(shape, shapeDim, dim)
		}
		tensor = appendMessage(tensor, tensorShape, shape)
	}
	m := appendMessage(nil, valueInfoName, []byte(name))
	return appendMessage(m, valueInfoType, appendMessage(nil, typeTensor, tensor))
}

func appendMessage(b []byte, number protowire.Number, message []byte) []byte {
	b = protowire.AppendTag(b, number, protowire.BytesType)
	return protowire.AppendBytes(b, message)
}

func appendVarint(b []byte, number protowire.Number, v uint64) []byte {
	b = protowire.AppendTag(b, number, protowire.VarintType)
	return protowire.AppendVarint(b, v)
}
