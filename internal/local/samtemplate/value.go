package samtemplate

import (
	"fmt"
	"strconv"
	"strings"
)

// value is a resolved part of a template. CloudFormation knows only strings,
// lists and maps once a template is resolved, so numbers and booleans are text
// here. The zero value stands for a property that is absent.
type value struct {
	kind   kind
	line   int
	text   string
	list   []value
	keys   []string // of a map, in the template's order
	fields map[string]value
}

type kind int

const (
	absent kind = iota // null, AWS::NoValue, or not there
	scalar
	list
	mapping
)

// errorAt is a problem of the template with its line.
func errorAt(line int, format string, args ...any) error {
	return fmt.Errorf("line %d: %w", line, fmt.Errorf(format, args...))
}

// get returns a map's field; of anything else it returns an absent value.
func (v value) get(path ...string) value {
	for _, key := range path {
		line := v.line
		if v = v.fields[key]; v.kind == absent {
			return value{line: line}
		}
	}
	return v
}

// str returns a scalar's text, "" where absent.
func (v value) str() (string, error) {
	if v.kind == absent || v.kind == scalar {
		return v.text, nil
	}
	return "", errorAt(v.line, "want a single value")
}

// strs returns a list of scalars; a single scalar counts as a list of one, as
// IAM and S3 events allow.
func (v value) strs() ([]string, error) {
	var out []string
	for _, item := range v.items() {
		if item.kind != scalar {
			return nil, errorAt(item.line, "want a single value")
		}
		out = append(out, item.text)
	}
	return out, nil
}

// items returns a list's items; anything else counts as a list of one.
func (v value) items() []value {
	switch v.kind {
	case absent:
		return nil
	case list:
		return v.list
	}
	return []value{v}
}

// integer returns a whole number, or fallback where absent.
func (v value) integer(fallback int) (int, error) {
	if v.kind == absent {
		return fallback, nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(v.text))
	if err != nil {
		return 0, errorAt(v.line, "want a whole number")
	}
	return n, nil
}

// merge puts own over global as SAM merges Globals: maps field by field, lists
// one after the other, anything else replaced.
func merge(global, own value) value {
	switch {
	case own.kind == absent:
		return global
	case global.kind == list && own.kind == list:
		own.list = append(append([]value(nil), global.list...), own.list...)
	case global.kind == mapping && own.kind == mapping:
		merged := value{kind: mapping, line: own.line, fields: map[string]value{}}
		for _, key := range append(append([]string(nil), global.keys...), own.keys...) {
			if _, done := merged.fields[key]; done {
				continue
			}
			merged.keys = append(merged.keys, key)
			merged.fields[key] = merge(global.fields[key], own.fields[key])
		}
		return merged
	}
	return own
}
