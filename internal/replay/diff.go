package replay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Difference is one field that is not the same. A value that is not there is
// empty.
type Difference struct {
	Field  string `json:"field"` // path, as "basis.multiple" or "reasons[BUILD-1].limit"
	Stored string `json:"stored"`
	Now    string `json:"now"`
}

// differences compares two JSON objects field by field. Elements of a list are
// matched by what names them (a reason by its rule, a file by its path) where
// something does: a reason more must not shift all that follow.
func differences(stored, now []byte) ([]Difference, error) {
	a, err := flatten(stored)
	if err != nil {
		return nil, fmt.Errorf("read stored quote: %w", err)
	}
	b, err := flatten(now)
	if err != nil {
		return nil, fmt.Errorf("read new quote: %w", err)
	}
	fields := maps.Clone(a)
	maps.Copy(fields, b)
	out := []Difference{}
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		if a[field] != b[field] {
			out = append(out, Difference{Field: field, Stored: a[field], Now: b[field]})
		}
	}
	return out, nil
}

// flatten returns every leaf of a JSON document by its path.
func flatten(raw []byte) (map[string]string, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // 0.1 stays the text that it is
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	leaves := map[string]string{}
	walk(leaves, "", v)
	return leaves, nil
}

func walk(leaves map[string]string, at string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, field := range v {
			walk(leaves, strings.TrimPrefix(at+"."+name, "."), field)
		}
	case []any:
		seen := map[string]int{}
		for i, element := range v {
			name := nameOf(element, i)
			if seen[name]++; seen[name] > 1 {
				name = fmt.Sprintf("%s#%d", name, seen[name])
			}
			walk(leaves, at+"["+name+"]", element)
		}
	case nil:
		leaves[at] = "null"
	default:
		leaves[at] = fmt.Sprint(v)
	}
}

// nameOf returns what names an element of a list: its rule, file or table, else
// its place.
func nameOf(element any, i int) string {
	if fields, ok := element.(map[string]any); ok {
		for _, name := range []string{"rule", "file", "table", "from_year"} {
			if v, ok := fields[name]; ok {
				return fmt.Sprint(v)
			}
		}
	}
	return fmt.Sprint(i)
}
