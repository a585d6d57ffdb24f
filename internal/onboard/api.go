package onboard

import (
	_ "embed"
	"time"

	"github.com/agequote/agequote/internal/openapi"
	"github.com/agequote/agequote/internal/underwriting"
)

//go:embed openapi.yaml
var openAPI []byte

// LoadAPI reads the embedded openapi.yaml.
func LoadAPI() (*openapi.API, error) { return openapi.Load(openAPI, fieldNames) }

// fieldNames names facts as underwriting names them, without what holds them.
var fieldNames = openapi.Fields{Trim: "facts.", Sentences: sentences}

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
