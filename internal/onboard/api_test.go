package onboard

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/local/samtemplate"
	"github.com/agequote/agequote/internal/openapi"
	"github.com/agequote/agequote/internal/underwriting"
)

func loadAPI(t testing.TB) *openapi.API {
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
		{"number out of reach", "POST /applications/{case}/age", `{"age":1e99977777}`, nil, nil, []string{"body"}},
		{"number of a million digits", "POST /applications/{case}/age", `{"age":1e-999999}`, nil, nil, []string{"body"}},
		{"photo", "GET /applications/{case}", "", nil, map[string]string{"photo": "12"}, nil},
		{"photo out of reach", "GET /applications/{case}", "", nil, map[string]string{"photo": "1e99977777"}, []string{"photo"}},
		{"no photo", "GET /applications/{case}", "", nil, map[string]string{"photo": "0"}, []string{"photo"}},
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

// TestBodyRefuses is what never comes to be checked.
func TestBodyRefuses(t *testing.T) {
	const media = "application/json"
	long := `{"text":"` + strings.Repeat("x", openapi.MaxBody) + `"}`
	base64Of := base64.StdEncoding.EncodeToString
	for _, tt := range []struct {
		name, media, body string
		encoded           bool
		want              int
	}{
		{"too long", media, long, false, 413},
		{"too long in base64", media, base64Of([]byte(long)), true, 413},
		{"no base64", media, "{}", true, 400},
		{"no JSON", media, "{", false, 400},
		{"deeper than can be read", media, strings.Repeat("[", openapi.MaxBody/2) + strings.Repeat("]", openapi.MaxBody/2), false, 400},
		{"a form", "application/x-www-form-urlencoded", "{}", false, 415},
		{"no media", "", "{}", false, 415},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := event{Headers: map[string]string{"content-type": tt.media}, Body: tt.body, IsBase64Encoded: tt.encoded}
			_, err := loadAPI(t).Operation("POST /applications").Body(&e)
			var problem *openapi.Problem
			if !errors.As(err, &problem) || problem.Status != tt.want {
				t.Errorf("Body = %v, want status %d", err, tt.want)
			}
		})
	}
}

// TestDecodeReadsWhatWasChecked: of a name that stands twice the schema sees the
// last value alone, and so must we.
func TestDecodeReadsWhatWasChecked(t *testing.T) {
	const body = `{"facts":{"age":17,"height_cm":170,"weight_kg":65,"tobacco":"never","sum_cents":100,"term_years":20,"market":"US","answers":{"a":true}},` +
		`"facts":{"height_cm":170,"weight_kg":65,"tobacco":"never","sum_cents":100,"sum_cents":200,"term_years":20,"market":"US","answers":{"b":true}}}`
	operation := loadAPI(t).Operation("POST /applications/{case}/facts")
	if bad := operation.Check(&event{}, []byte(body)); len(bad) > 0 {
		t.Fatal(bad)
	}
	var got declared
	if err := operation.Decode([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	want := underwriting.Facts{HeightCM: 170, WeightKG: 65, Tobacco: "never", SumCents: 200, TermYears: 20, Market: "US", Answers: map[string]bool{"b": true}}
	if diff := cmp.Diff(want, got.Facts); diff != "" {
		t.Errorf("facts (-want +got)\n%s", diff)
	}
}

// FuzzBody sends bodies to every operation. What passes the schema is decoded or
// refused, has no facts that the schema forbids, and no complaint repeats what
// was sent.
func FuzzBody(f *testing.F) {
	api := loadAPI(f)
	routes := slices.DeleteFunc(api.Routes(), func(r string) bool { return !api.Operation(r).HasBody() })
	const facts = `{"facts":{"height_cm":170,"weight_kg":65,"tobacco":"never","sum_cents":100,"term_years":20,"market":"US","answers":{"q":true}},` +
		`"consent":{"version":"2026-11-25","days":30}}`
	for i := range routes {
		f.Add(uint8(i), facts)
		f.Add(uint8(i), `{"age":40}`)
		f.Add(uint8(i), `{"text":"a person, please"}`)
		f.Add(uint8(i), `{"type":"image/jpeg","size":10}`)
		f.Add(uint8(i), strings.Repeat(`{"facts":`, 5000))
		f.Add(uint8(i), `{"facts":{"age":1e999},"facts":{}}`)
	}
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		operation := api.Operation(routes[int(which)%len(routes)])
		e := event{Headers: map[string]string{"content-type": "application/json", "idempotency-key": "0123456789012345678901"}, Body: body}
		b, err := operation.Body(&e)
		if err != nil {
			return
		}
		bad := operation.Check(&e, b)
		for _, complaint := range bad {
			if !knownSentence(complaint.Sentence) {
				t.Errorf("sentence %q", complaint.Sentence)
			}
		}
		var d declared
		if len(bad) > 0 || operation.Decode(b, &d) != nil {
			return
		}
		if f := d.Facts; f.SumCents < 0 || f.HeightCM < 0 || f.WeightKG < 0 || f.Age != nil && *f.Age < 0 {
			t.Errorf("facts %+v", f)
		}
		_ = d.Facts.Validate(time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC))
	})
}

// knownSentence tells whether a complaint is one of ours, whole.
func knownSentence(s string) bool {
	for _, own := range sentences {
		if s == own {
			return true
		}
	}
	return slices.Contains([]string{
		"give it in the form that the interface's description states", "send one JSON object",
		"send what the interface's description states", "leave out the fields that the interface does not know",
	}, s)
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
