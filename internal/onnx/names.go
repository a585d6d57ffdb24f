package onnx

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of onnx.proto.
const (
	modelGraph       = 7
	graphInitializer = 5
	graphInput       = 11
	graphOutput      = 12
	valueInfoName    = 1
	tensorName       = 8
)

var errNotModel = errors.New("not an ONNX model")

// names returns what a model asks for and answers, without loading it: the
// runtime tells as much only of a session, and to make one for that alone
// would double the time of a cold start. A weight that files before IR version
// 4 list among the inputs is none.
func names(model []byte) (inputs, outputs []string, err error) {
	graph, err := message(model, modelGraph)
	if err != nil {
		return nil, nil, err
	}
	if len(graph) != 1 {
		return nil, nil, errNotModel
	}
	weights := map[string]bool{}
	var asked []string
	for _, of := range []struct {
		field, name protowire.Number
		add         func(string)
	}{
		{graphInitializer, tensorName, func(s string) { weights[s] = true }},
		{graphInput, valueInfoName, func(s string) { asked = append(asked, s) }},
		{graphOutput, valueInfoName, func(s string) { outputs = append(outputs, s) }},
	} {
		values, err := message(graph[0], of.field)
		if err != nil {
			return nil, nil, err
		}
		for _, v := range values {
			name, err := message(v, of.name)
			if err != nil || len(name) != 1 {
				return nil, nil, errNotModel
			}
			of.add(string(name[0]))
		}
	}
	for _, name := range asked {
		if !weights[name] {
			inputs = append(inputs, name)
		}
	}
	return inputs, outputs, nil
}

// message returns the values of a message's length-delimited field.
func message(b []byte, field protowire.Number) (values [][]byte, err error) {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, errNotModel
		}
		b = b[n:]
		size := protowire.ConsumeFieldValue(number, kind, b)
		if size < 0 {
			return nil, errNotModel
		}
		if number == field && kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(b)
			values = append(values, value)
		}
		b = b[size:]
	}
	return values, nil
}
