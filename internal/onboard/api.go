package onboard

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/agequote/agequote/internal/underwriting"
)

//go:embed openapi.yaml
var openAPI []byte

// API is openapi.yaml, ready to check requests. The schemas of OpenAPI 3.1 are
// JSON Schema 2020-12, so a validator of that is all it needs.
type API struct{ operations map[string]*apiOperation }

// apiOperation is what one operation takes.
type apiOperation struct {
	secured    bool // a case's secret is needed
	body       *jsonschema.Schema
	parameters []apiParameter
}

// apiParameter is a query or header parameter; the path's are checked by what
// reads them.
type apiParameter struct {
	name, in string
	required bool
	schema   *jsonschema.Schema
}

const apiURL = "openapi.json" // of the parsed file, within the validator

// LoadAPI reads the embedded file.
func LoadAPI() (*API, error) {
	asJSON, err := yaml.YAMLToJSON(openAPI)
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
	api := &API{operations: map[string]*apiOperation{}}
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
			api.operations[strings.ToUpper(method)+" "+path] = read
		}
	}
	return api, nil
}

func readOperation(c *jsonschema.Compiler, path, method string, operation map[string]any) (*apiOperation, error) {
	at := apiURL + "#/paths/" + escape(path) + "/" + method
	security, own := operation["security"].([]any)
	out := &apiOperation{secured: !own || len(security) > 0}
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
		q := apiParameter{name: fields["name"].(string), in: in, required: required}
		if q.schema, err = c.Compile(fmt.Sprintf("%s/parameters/%d/schema", at, i)); err != nil {
			return nil, err
		}
		out.parameters = append(out.parameters, q)
	}
	return out, nil
}

// escape writes a path as one step of a JSON pointer in a URL.
func escape(path string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(path)
}

// operation finds the operation of API Gateway's route key. A greedy variable
// is none of OpenAPI's.
func (a *API) operation(routeKey string) *apiOperation {
	return a.operations[strings.Replace(routeKey, "+}", "}", 1)]
}

// check returns every field that does not fit the operation's schemas.
func (o *apiOperation) check(e *event, body []byte) []underwriting.FieldError {
	var bad []underwriting.FieldError
	for _, p := range o.parameters {
		text, given := e.QueryStringParameters[p.name]
		if p.in == "header" {
			text, given = e.Headers[strings.ToLower(p.name)]
		}
		if !given && !p.required {
			continue
		}
		if p.schema.Validate(text) != nil {
			bad = append(bad, underwriting.FieldError{Field: p.name, Sentence: "give it in the form that the interface's description states"})
		}
	}
	if o.body == nil {
		return bad
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return append(bad, fieldErrors("", "send one JSON object")...)
	}
	if err := o.body.Validate(parsed); err != nil {
		wrong, ok := err.(*jsonschema.ValidationError)
		if !ok {
			return append(bad, fieldErrors("", "send what the interface's description states")...)
		}
		bad = append(bad, leaves(wrong)...)
	}
	return bad
}

// leaves returns the fields at which a validation ended, each once, in order.
func leaves(e *jsonschema.ValidationError) []underwriting.FieldError {
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
				out = append(out, complaint(strings.TrimPrefix(path+"."+name, ".")))
			}
			return
		}
		if _, ok := e.ErrorKind.(*kind.AdditionalProperties); ok {
			out = append(out, fieldErrors(path, "leave out the fields that the interface does not know")...)
			return
		}
		out = append(out, complaint(path))
	}
	walk(e)
	slices.SortStableFunc(out, func(x, y underwriting.FieldError) int { return strings.Compare(x.Field, y.Field) })
	return slices.CompactFunc(out, func(x, y underwriting.FieldError) bool { return x.Field == y.Field })
}

func complaint(path string) underwriting.FieldError {
	f := fieldErrors(path, "give it in the form that the interface's description states")[0]
	if sentence, ok := sentences[f.Field]; ok {
		f.Sentence = sentence
	}
	return f
}

// sentences are underwriting's own, by field: what it says where all is wrong.
var sentences = func() map[string]string {
	below := -1.0
	wrong := underwriting.Facts{BirthDate: "x", Age: &below, Sex: "x", Tobacco: "x"}
	out := map[string]string{}
	err, _ := wrong.Validate(time.Time{}).(*underwriting.FieldsError)
	for _, f := range err.Fields {
		if out[f.Field] == "" {
			out[f.Field] = f.Sentence
		}
	}
	return out
}()
