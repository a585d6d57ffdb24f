// Package onnxfile reads, prunes and writes ONNX model files with protowire:
// what training needs of the format and no more. GoMLX has no exporter.
//
// Field numbers are those of onnx.proto (ONNX IR version 8, opset 17).
package onnxfile

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/x448/float16"
	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of onnx.proto.
const (
	modelIRVersion = 1
	modelProducer  = 2
	modelGraph     = 7
	modelOpset     = 8

	graphNode        = 1
	graphName        = 2
	graphInitializer = 5
	graphInput       = 11
	graphOutput      = 12
	graphValueInfo   = 13

	nodeInput     = 1
	nodeOutput    = 2
	nodeName      = 3
	nodeOpType    = 4
	nodeAttribute = 5

	attributeName   = 1
	attributeFloat  = 2
	attributeInt    = 3
	attributeInts   = 8
	attributeType   = 20
	attributeTFloat = 1
	attributeTInt   = 2
	attributeTInts  = 7

	tensorDims     = 1
	tensorDataType = 2
	tensorFloats   = 4
	tensorInt64s   = 7
	tensorName     = 8
	tensorRaw      = 9

	valueInfoName = 1
	valueInfoType = 2
)

// Element types of TensorProto.
const (
	Float32 = 1
	Uint8   = 2
	Int64   = 7
)

// Tensor is a tensor of floats.
type Tensor struct {
	Dims []int
	Data []float32 // row-major
}

// Tensors returns the initializers of a model that are floats of 32 or 16 bits:
// its weights, by name. Those of other types are left out.
func Tensors(model []byte) (map[string]Tensor, error) {
	graph, err := graphOf(model)
	if err != nil {
		return nil, err
	}
	tensors := map[string]Tensor{}
	for _, f := range graph {
		if f.number != graphInitializer {
			continue
		}
		t, isFloat, err := parseTensor(f.bytes)
		if err != nil {
			return nil, fmt.Errorf("read tensor %q: %w", name(f.bytes, tensorName), err)
		}
		if isFloat {
			tensors[strings.TrimSuffix(name(f.bytes, tensorName), halfSuffix)] = t
		}
	}
	return tensors, nil
}

// graphOf returns the fields of a model's graph.
func graphOf(model []byte) ([]field, error) {
	fields, err := split(model)
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	for _, f := range fields {
		if f.number == modelGraph {
			graph, err := split(f.bytes)
			if err != nil {
				return nil, fmt.Errorf("read model's graph: %w", err)
			}
			return graph, nil
		}
	}
	return nil, fmt.Errorf("read model: no graph")
}

func parseTensor(message []byte) (t Tensor, isFloat bool, err error) {
	fields, err := split(message)
	if err != nil {
		return t, false, err
	}
	size, width := 1, 4
	for _, f := range fields {
		switch f.number {
		case tensorDims:
			for _, d := range f.varints() {
				if d > math.MaxInt32 || size > 0 && d > uint64(math.MaxInt32/size) {
					return t, false, fmt.Errorf("dimension %d is too large", d)
				}
				t.Dims = append(t.Dims, int(d))
				size *= int(d)
			}
		case tensorDataType:
			isFloat = f.varint() == Float32 || f.varint() == Float16
			if f.varint() == Float16 {
				width = 2
			}
		}
	}
	if !isFloat {
		return t, false, nil
	}
	for _, f := range fields {
		if f.number == tensorRaw || f.number == tensorFloats && f.bytes != nil {
			for b := f.bytes; len(b) >= width; b = b[width:] {
				if width == 2 {
					t.Data = append(t.Data, float16.Frombits(binary.LittleEndian.Uint16(b)).Float32())
				} else {
					t.Data = append(t.Data, math.Float32frombits(binary.LittleEndian.Uint32(b)))
				}
			}
		}
	}
	if len(t.Data) != size {
		return t, false, fmt.Errorf("%d values for dimensions %v", len(t.Data), t.Dims)
	}
	return t, true, nil
}

// field is one field of a protobuf message; bytes is set for length-delimited
// ones.
type field struct {
	number     protowire.Number
	typ        protowire.Type
	raw, bytes []byte
}

// varint is the field's value, or 0 if it is none.
func (f field) varint() uint64 {
	if v := f.varints(); len(v) == 1 {
		return v[0]
	}
	return 0
}

// varints are the field's values, packed or not.
func (f field) varints() []uint64 {
	b := f.bytes
	if f.typ == protowire.VarintType {
		_, _, n := protowire.ConsumeTag(f.raw)
		b = f.raw[n:]
	}
	var values []uint64
	for len(b) > 0 {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return values
		}
		values = append(values, v)
		b = b[n:]
	}
	return values
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
		f := field{number: number, typ: typ, raw: message[:tag+n]}
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
