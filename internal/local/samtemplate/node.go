package samtemplate

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// node is a part of the template as it is written, unresolved. Which of text,
// list and fields it has depends on what was written there.
type node struct {
	line   int
	tag    string // "!Sub"; empty: none
	text   string
	null   bool
	isList bool
	list   []node
	keys   []string // of a mapping, in the template's order
	fields map[string]node
}

// parseYAML reads one YAML document. Anchors, aliases and merge keys are
// refused: CloudFormation does not take them either.
func parseYAML(data []byte) (node, error) {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return node{}, fmt.Errorf("parse template: %w", err)
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		return node{}, errorAt(1, "want one YAML document")
	}
	return convert(file.Docs[0].Body)
}

func convert(n ast.Node) (node, error) {
	out := node{line: n.GetToken().Position.Line}
	switch n := n.(type) {
	case *ast.TagNode:
		inner, err := convert(n.Value)
		inner.tag, inner.line = n.Start.Value, out.line
		return inner, err
	case *ast.MappingNode:
		if len(n.Values) > 0 {
			out.line = n.Values[0].Key.GetToken().Position.Line
		}
		return convertMapping(out.line, n.Values)
	case *ast.MappingValueNode:
		return convertMapping(n.Key.GetToken().Position.Line, []*ast.MappingValueNode{n})
	case *ast.SequenceNode:
		out.isList = true
		for _, item := range n.Values {
			v, err := convert(item)
			if err != nil {
				return node{}, err
			}
			out.list = append(out.list, v)
		}
	case *ast.NullNode:
		out.null = true
	case *ast.LiteralNode:
		out.text = n.Value.Value
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		return node{}, errorAt(out.line, "anchors and aliases are not read")
	default:
		// A number keeps its spelling: an account id may start with 0.
		out.text = n.GetToken().Value
	}
	return out, nil
}

func convertMapping(line int, values []*ast.MappingValueNode) (node, error) {
	out := node{line: line, fields: map[string]node{}}
	for _, v := range values {
		key := v.Key.GetToken().Value
		if _, twice := out.fields[key]; twice {
			return node{}, errorAt(v.Key.GetToken().Position.Line, "%s is there twice", key)
		}
		field, err := convert(v.Value)
		if err != nil {
			return node{}, err
		}
		out.keys = append(out.keys, key)
		out.fields[key] = field
	}
	return out, nil
}
