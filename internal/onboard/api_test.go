package onboard

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/local/samtemplate"
	"github.com/agequote/agequote/internal/openapi"
	"github.com/agequote/agequote/internal/underwriting"
)

func loadAPI(t *testing.T) *openapi.API {
	t.Helper()
	api, err := LoadAPI()
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// TestOperationsAreDescribed holds the routes to openapi.yaml, both ways.
func TestOperationsAreDescribed(t *testing.T) {
	served := map[string]bool{}
	for key := range operations {
		served[strings.Replace(key, "+}", "}", 1)] = true
	}
	want := loadAPI(t).Routes()
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(served))); diff != "" {
		t.Errorf("routes (-openapi.yaml +served)\n%s", diff)
	}
}

// TestOperationsAreDeployed holds the routes to template.yaml, both ways.
func TestOperationsAreDeployed(t *testing.T) {
	template, err := samtemplate.Read("../../template.yaml", samtemplate.Options{StackName: "agequote", Region: "eu-central-1", Account: "000000000000"})
	if err != nil {
		t.Fatal(err)
	}
	var deployed []string
	for _, f := range template.Functions {
		for _, e := range f.HTTPEvents {
			if e.API != "OnboardApi" {
				continue
			}
			deployed = append(deployed, e.Method+" "+e.Path)
		}
	}
	slices.Sort(deployed)
	if diff := cmp.Diff(deployed, slices.Sorted(maps.Keys(operations))); diff != "" {
		t.Errorf("routes (-template.yaml +served)\n%s", diff)
	}
}

// TestPhotosAreWhatPredictReads: no form is given for a photo that is refused
// by its size.
func TestPhotosAreWhatPredictReads(t *testing.T) {
	if int64(maxPhotoBytes) != int64(face.DefaultLimits.Bytes) {
		t.Errorf("photos of %d bytes are let in, and %d are read", maxPhotoBytes, face.DefaultLimits.Bytes)
	}
	for size, want := range map[int]int{maxPhotoBytes: 0, maxPhotoBytes + 1: 1} {
		body := fmt.Appendf(nil, `{"type":"image/png","size":%d}`, size)
		if got := loadAPI(t).Operation("POST /applications/{case}/photos").Check(&event{}, body); len(got) != want {
			t.Errorf("a photo of %d bytes: %v", size, got)
		}
	}
}

func TestCheck(t *testing.T) {
	const good = `"height_cm":170,"weight_kg":65,"tobacco":"never","sum_cents":100,"term_years":20,"market":"US"`
	key := map[string]string{"idempotency-key": "0123456789012345678901"}
	tests := []struct {
		name, route, body string
		headers, query    map[string]string
		want              []string // fields
	}{
		{"least", "POST /applications", `{"facts":{` + good + `}}`, key, nil, nil},
		{"all of one kind", "POST /applications", `{"facts":{` + good + `,"sex":"male","age":42.5,"mode":"monthly","product":"us-term","answers":{"q":true}}}`, key, nil, nil},
		{"nothing", "POST /applications", `{}`, nil, nil, []string{"Idempotency-Key", "facts"}},
		{"short key", "POST /applications", `{"facts":{` + good + `}}`, map[string]string{"idempotency-key": "1"}, nil, []string{"Idempotency-Key"}},
		{"several fields", "POST /applications", `{"facts":{"height_cm":1.7,"weight_kg":"65","tobacco":"no","sum_cents":1.5,"term_years":20,"market":"US"}}`, key, nil,
			[]string{"height_cm", "sum_cents", "tobacco", "weight_kg"}},
		{"unknown field", "POST /applications", `{"facts":{` + good + `,"race":"x"}}`, key, nil, []string{"facts"}},
		{"no object", "POST /applications", `[]`, key, nil, []string{"body"}},
		{"two ages", "POST /applications/{case}/age", `{"age":40,"birth_date":"1980-01-01"}`, nil, nil, []string{"body"}},
		{"no such day", "POST /applications/{case}/age", `{"birth_date":"1980-02-30"}`, nil, nil, []string{"birth_date"}},
		{"HEIC", "POST /applications/{case}/photos", `{"type":"image/heic","size":10}`, nil, nil, []string{"type"}},
		{"large photo", "POST /applications/{case}/photos", `{"type":"image/jpeg","size":10485761}`, nil, nil, []string{"size"}},
		{"language", "GET /applications/{case}/letter", "", nil, map[string]string{"lang": "fr"}, []string{"lang"}},
	}
	api := loadAPI(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, f := range api.Operation(tt.route).Check(&event{Headers: tt.headers, QueryStringParameters: tt.query}, []byte(tt.body)) {
				got = append(got, f.Field)
			}
			slices.Sort(got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("fields (-want +got)\n%s", diff)
			}
		})
	}
}

// TestSentencesAreUnderwritings: a field says the same, whoever finds it wrong.
func TestSentencesAreUnderwritings(t *testing.T) {
	got := loadAPI(t).Operation("POST /applications/{case}/facts").Check(&event{}, []byte(`{"facts":{"height_cm":1}}`))
	for _, want := range []string{"height_cm", "market", "sum_cents", "term_years", "tobacco", "weight_kg"} {
		i := slices.IndexFunc(got, func(f underwriting.FieldError) bool { return f.Field == want })
		if i < 0 || got[i].Sentence != sentences[want] || sentences[want] == "" {
			t.Errorf("%s is not told in underwriting's words: %v", want, got)
		}
	}
}
