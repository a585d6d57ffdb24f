// Package openapi is the shell of an HTTP API behind API Gateway: it checks
// requests against an OpenAPI 3.1 file, since HTTP APIs do not, and puts answers
// and problems (RFC 9457) into the shape of an HTTP API's response, payload
// format 2.0. What the operations do is the affair of its users.
package openapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/agequote/agequote/internal/underwriting"
)

// The shapes of an HTTP API's event and answer, payload format 2.0.
type (
	Event    = events.APIGatewayV2HTTPRequest
	Response = events.APIGatewayV2HTTPResponse
)

// API is an OpenAPI file, ready to check requests. The schemas of OpenAPI 3.1
// are JSON Schema 2020-12, so a validator of that is all it needs.
type API struct {
	operations map[string]*Operation
	fields     Fields
}

// Fields says how fields are named and complained about.
type Fields struct {
	Trim      string            // beginning of a field's path that is left out of its name
	Sentences map[string]string // what is said of a field, by its name; the others get a general sentence
}

// Operation is what one operation takes.
type Operation struct {
	Secured    bool // the file's security applies
	fields     Fields
	body       *jsonschema.Schema
	parameters []parameter
}

// parameter is a query or header parameter; the path's are checked by what
// reads them.
type parameter struct {
	name, in string
	required bool
	number   bool
	schema   *jsonschema.Schema
}

const apiURL = "openapi.json" // of the parsed file, within the validator

// Load reads an OpenAPI file.
func Load(file []byte, fields Fields) (*API, error) {
	asJSON, err := yaml.YAMLToJSON(file)
	if err != nil {
		return nil, fmt.Errorf("parse openapi.yaml: %w", err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		return nil, fmt.Errorf("parse openapi.yaml: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource(apiURL, doc); err != nil {
		return nil, fmt.Errorf("read openapi.yaml: %w", err)
	}
	api := &API{operations: map[string]*Operation{}, fields: fields}
	paths, _ := doc.(map[string]any)["paths"].(map[string]any)
	for path, item := range paths {
		for method, o := range item.(map[string]any) {
			operation, ok := o.(map[string]any)
			if !ok { // parameters of the path
				continue
			}
			read, err := readOperation(c, path, method, operation)
			if err != nil {
				return nil, fmt.Errorf("read openapi.yaml: %s %s: %w", method, path, err)
			}
			read.fields = fields
			api.operations[strings.ToUpper(method)+" "+path] = read
		}
	}
	return api, nil
}

func readOperation(c *jsonschema.Compiler, path, method string, operation map[string]any) (*Operation, error) {
	at := apiURL + "#/paths/" + escape(path) + "/" + method
	security, own := operation["security"].([]any)
	out := &Operation{Secured: !own || len(security) > 0}
	var err error
	if _, ok := operation["requestBody"]; ok {
		if out.body, err = c.Compile(at + "/requestBody/content/application~1json/schema"); err != nil {
			return nil, err
		}
	}
	parameters, _ := operation["parameters"].([]any)
	for i, p := range parameters {
		fields := p.(map[string]any)
		in := fields["in"].(string)
		if in == "path" {
			continue
		}
		required, _ := fields["required"].(bool)
		q := parameter{name: fields["name"].(string), in: in, required: required}
		if q.schema, err = c.Compile(fmt.Sprintf("%s/parameters/%d/schema", at, i)); err != nil {
			return nil, err
		}
		schema, _ := fields["schema"].(map[string]any)
		q.number = schema["type"] == "integer"
		out.parameters = append(out.parameters, q)
	}
	return out, nil
}

// escape writes a path as one step of a JSON pointer in a URL.
func escape(path string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(path)
}

// Routes returns every operation, "GET /path", in order.
func (a *API) Routes() []string { return slices.Sorted(maps.Keys(a.operations)) }

// Operation finds the operation of API Gateway's route key, nil where the file
// has none. A greedy variable is none of OpenAPI's.
func (a *API) Operation(routeKey string) *Operation {
	return a.operations[strings.Replace(routeKey, "+}", "}", 1)]
}

// HasBody tells whether the operation takes one.
func (o *Operation) HasBody() bool { return o.body != nil }

const generalSentence = "give it in the form that the interface's description states"

// Check returns every field that does not fit the operation's schemas.
func (o *Operation) Check(e *Event, body []byte) []underwriting.FieldError {
	var bad []underwriting.FieldError
	for _, p := range o.parameters {
		text, given := e.QueryStringParameters[p.name]
		if p.in == "header" {
			text, given = e.Headers[strings.ToLower(p.name)]
		}
		if !given && !p.required {
			continue
		}
		if p.validate(text) != nil {
			bad = append(bad, underwriting.FieldError{Field: p.name, Sentence: generalSentence})
		}
	}
	if o.body == nil {
		return bad
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return append(bad, o.fields.Errors("", "send one JSON object")...)
	}
	if !boundedNumbers(parsed) {
		return append(bad, o.fields.Errors("", "send what the interface's description states")...)
	}
	if err := o.body.Validate(parsed); err != nil {
		var wrong *jsonschema.ValidationError
		if !errors.As(err, &wrong) {
			return append(bad, o.fields.Errors("", "send what the interface's description states")...)
		}
		bad = append(bad, o.fields.leaves(wrong)...)
	}
	return bad
}

// validate checks a parameter's text; a number's is read first.
func (p *parameter) validate(text string) error {
	if !p.number {
		return p.schema.Validate(text)
	}
	number, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	if !boundedNumbers(number) {
		return errors.New("a number without a place")
	}
	return p.schema.Validate(number)
}

// boundedNumbers tells whether a schema can compare every number of a JSON value.
// math/big, which does, takes no exponent above a million, whereupon the schema
// panics, and long for a large one.
func boundedNumbers(value any) bool {
	switch v := value.(type) {
	case json.Number:
		const digits, exponent = 40, len("e+308")
		at := strings.IndexAny(string(v), "eE")
		return len(v) <= digits && (at < 0 || len(v)-at <= exponent)
	case []any:
		return !slices.ContainsFunc(v, func(e any) bool { return !boundedNumbers(e) })
	case map[string]any:
		for _, e := range v {
			if !boundedNumbers(e) {
				return false
			}
		}
	}
	return true
}

// leaves returns the fields at which a validation ended, each once, in order.
func (f Fields) leaves(e *jsonschema.ValidationError) []underwriting.FieldError {
	var out []underwriting.FieldError
	var walk func(e *jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		if len(e.Causes) > 0 {
			for _, c := range e.Causes {
				walk(c)
			}
			return
		}
		path := strings.Join(e.InstanceLocation, ".")
		if missing, ok := e.ErrorKind.(*kind.Required); ok {
			for _, name := range missing.Missing {
				out = append(out, f.complaint(strings.TrimPrefix(path+"."+name, ".")))
			}
			return
		}
		if _, ok := e.ErrorKind.(*kind.AdditionalProperties); ok {
			out = append(out, f.Errors(path, "leave out the fields that the interface does not know")...)
			return
		}
		out = append(out, f.complaint(path))
	}
	walk(e)
	slices.SortStableFunc(out, func(x, y underwriting.FieldError) int { return strings.Compare(x.Field, y.Field) })
	return slices.CompactFunc(out, func(x, y underwriting.FieldError) bool { return x.Field == y.Field })
}

func (f Fields) complaint(path string) underwriting.FieldError {
	bad := f.Errors(path, generalSentence)[0]
	if sentence, ok := f.Sentences[bad.Field]; ok {
		bad.Sentence = sentence
	}
	return bad
}

// Errors is the complaint about one field, named by its JSON path.
func (f Fields) Errors(path, sentence string) []underwriting.FieldError {
	name := strings.TrimPrefix(path, f.Trim)
	if name == "" {
		name = "body"
	}
	return []underwriting.FieldError{{Field: name, Sentence: sentence}}
}
