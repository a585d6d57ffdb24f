package openapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// MaxBody bounds the body of a request, in bytes. The largest is a text of a
// person.
const MaxBody = 32 << 10

// Answer is what an operation says; JSON but for a page's file and a letter.
type Answer struct {
	Status  int
	Body    any // []byte as it is, else JSON
	Media   string
	Headers map[string]string
}

// Response puts the answer into API Gateway's shape. Nothing but the page may
// be kept by a browser or anything on the way.
func (a Answer) Response() (Response, error) {
	out := Response{StatusCode: a.Status, Headers: map[string]string{
		"Cache-Control":          "no-store",
		"X-Content-Type-Options": "nosniff",
		"Referrer-Policy":        "no-referrer",
	}}
	media := a.Media
	switch b := a.Body.(type) {
	case nil:
	case []byte:
		out.Body = string(b)
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			return Response{}, fmt.Errorf("encode answer: %w", err)
		}
		out.Body = string(encoded)
		if media == "" {
			media = "application/json"
		}
	}
	if media != "" {
		out.Headers["Content-Type"] = media
	}
	for name, text := range a.Headers {
		out.Headers[name] = text
	}
	return out, nil
}

// Body returns the request's body where the operation takes one: a *Problem for
// one that is no JSON, or too large.
func (o *Operation) Body(e *Event) ([]byte, error) {
	if o.body == nil {
		return nil, nil
	}
	media, _, err := mime.ParseMediaType(e.Headers["content-type"])
	if err != nil || media != "application/json" {
		return nil, &Problem{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media", Detail: "Send the body as application/json."}
	}
	b := []byte(e.Body)
	if e.IsBase64Encoded {
		if len(b) > base64.StdEncoding.EncodedLen(MaxBody) {
			return nil, TooLarge()
		}
		if b, err = base64.StdEncoding.DecodeString(e.Body); err != nil {
			return nil, Malformed()
		}
	}
	if len(b) > MaxBody {
		return nil, TooLarge()
	}
	if !json.Valid(b) {
		return nil, Malformed()
	}
	return b, nil
}

// Decode reads a body that fits its schema into a type of ours. The schema
// takes 20.0 for a whole number, Go does not. Of a name that stands twice the
// last value counts, as it did when the body was checked.
func (o *Operation) Decode(b []byte, into any) error { return o.fields.Decode(b, into) }

// Decode is Operation.Decode.
func (f Fields) Decode(b []byte, into any) error {
	// encoding/json alone would merge the values of a name that stands twice,
	// and so read what the schema has not seen.
	checked, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		return Malformed()
	}
	if b, err = json.Marshal(checked); err != nil {
		return Malformed()
	}
	if err := json.Unmarshal(b, into); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return Invalid(f.Errors(wrong.Field, "write whole numbers without a point or an exponent"))
		}
		return Malformed()
	}
	return nil
}

// Asset is one file of a page.
type Asset struct {
	Body []byte
	Type string // media type
	ETag string // quoted
}

// Answer answers with the file, under the page's headers.
func (f Asset) Answer(e *Event, headers map[string]string) Answer {
	a := Answer{Status: http.StatusOK, Body: f.Body, Media: f.Type, Headers: maps.Clone(headers)}
	if a.Headers == nil {
		a.Headers = map[string]string{}
	}
	// Kept, but asked about each time: a file and the page that names it change
	// together.
	a.Headers["Cache-Control"], a.Headers["ETag"] = "no-cache", f.ETag
	if slices.Contains(strings.Split(e.Headers["if-none-match"], ", "), f.ETag) {
		a.Status, a.Body, a.Media = http.StatusNotModified, nil, ""
	}
	return a
}
