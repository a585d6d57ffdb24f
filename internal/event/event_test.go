package event_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/event"
	"github.com/agequote/agequote/internal/reason"
)

const bucket = "agequote-uploads-000000000000"

func TestPredict(t *testing.T) {
	const id = "3f0c9a5be27d4d0a8f61c2b7e4d95a10"
	tests := []struct {
		file string
		want []event.Photo
	}{
		{"s3-object-created.json", []event.Photo{{
			Case: id, N: 1, Bucket: bucket, Key: "uploads/" + id + "/0001", Version: "096fKKXTRTtl3on89fVO.nfljtsv6qko",
		}}},
		{"s3-test-event.json", nil},
		{"batch-items.json", []event.Photo{
			{Case: "policy-2019-000417", N: 1, Bucket: bucket, Key: "uploads/policy-2019-000417/0001", Batch: "2026-11-24-renewals"},
			{Case: "policy-2019-000418", N: 2, Bucket: bucket, Key: "uploads/policy-2019-000418/0002", Batch: "2026-11-24-renewals"},
		}},
		// As Step Functions makes them of the lines of items.csv, and of S3's listing.
		{"batch-csv.json", []event.Photo{
			{Case: "policy-2019-000417", N: 1, Bucket: bucket, Key: "batch-uploads/policy-2019-000417/0001", Version: "096fKKXTRTtl3on89fVO.nfljtsv6qko", Batch: "2026-11-24-renewals"},
		}},
		{"batch-listing.json", []event.Photo{
			{Case: id, N: 12, Bucket: bucket, Key: "uploads/" + id + "/0012", Batch: "last-night"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			b, err := os.ReadFile("../../events/" + tt.file)
			if err != nil {
				t.Fatal(err)
			}
			var got event.Predict
			if err := json.Unmarshal(b, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.Photos); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestPredictRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                         `{}`,
		"another service":                 `{"source":"aws.events","detail":{}}`,
		"no case":                         `{"items":[{"key":"uploads/x/0001"}]}`,
		"path for a case":                 `{"items":[{"case":"../../../etc","key":"uploads/x/0001"}]}`,
		"another case's photo":            `{"items":[{"case":"customer0","key":"uploads/customer1/0001"}]}`,
		"a word for a number":             `{"items":[{"case":"customer0","n":"one","key":"uploads/customer0/0001"}]}`,
		"another case's photo of a batch": `{"items":[{"case":"customer0","key":"batch-uploads/customer1/0001"}]}`,
		"negative number":                 `{"items":[{"case":"customer0","n":-1,"key":"uploads/customer0/0001"}]}`,
		"another number of the case":      `{"items":[{"case":"customer0","n":2,"key":"uploads/customer0/0001"}]}`,
		"what is no photo":                `{"items":[{"case":"customer0","key":"cases/customer0/application/0001.json"}]}`,
		"a path out of the folder":        `{"items":[{"case":"customer0","key":"uploads/customer0/../customer1/0001"}]}`,
		"a path in escapes":               `{"items":[{"case":"customer0","key":"uploads/customer0/%2e%2e/customer1/0001"}]}`,
		"digits of another script":        `{"items":[{"case":"customer0","key":"uploads/customer0/\u0660\u0660\u0660\u0661"}]}`,
		"a line break":                    `{"items":[{"case":"customer0","key":"uploads/customer0/0001\n"}]}`,
		"a very long key":                 `{"items":[{"case":"customer0","key":"uploads/` + strings.Repeat("x", 1<<20) + `/0001"}]}`,
		"one forged among good ones":      `{"items":[{"case":"customer0","key":"uploads/customer0/0001"},{"case":"customer0","key":"uploads/customer1/0001"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			var e event.Predict
			if err := json.Unmarshal([]byte(text), &e); err == nil {
				t.Errorf("took %s as %+v", text, e)
			}
		})
	}
}

// TestPredictLeavesOut has S3 report objects that are no photo of a case.
func TestPredictLeavesOut(t *testing.T) {
	for name, key := range map[string]string{
		"a path":               "uploads/customer0/../customer1/0001",
		"a path in escapes":    "uploads/%252e%252e/customer1/0001",
		"an escaped line":      "uploads/customer0/0001%0a",
		"no number":            "uploads/customer0/0000",
		"another's folder":     "other/customer0/0001",
		"escapes that are bad": "uploads/customer0/%zz",
	} {
		t.Run(name, func(t *testing.T) {
			var e event.Predict
			text := `{"Records":[{"eventName":"ObjectCreated:Post","s3":{"bucket":{"name":"b"},"object":{"key":"` + key + `"}}}]}`
			if err := json.Unmarshal([]byte(text), &e); err == nil && len(e.Photos) > 0 {
				t.Errorf("took %+v", e.Photos)
			}
		})
	}
}

// FuzzPredict looks for events that crash or name a photo outside a case.
func FuzzPredict(f *testing.F) {
	for _, name := range []string{"s3-object-created.json", "s3-test-event.json", "batch-items.json", "batch-csv.json", "batch-listing.json"} {
		b, err := os.ReadFile("../../events/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var e event.Predict
		if json.Unmarshal(b, &e) != nil {
			return
		}
		for _, p := range e.Photos {
			if id, n, ok := casefile.ParseUploadKey(p.Key); !ok || id != p.Case || n != p.N {
				t.Errorf("photo %+v", p)
			}
		}
	})
}

func TestQuote(t *testing.T) {
	const id, other = "3f0c9a5be27d4d0a8f61c2b7e4d95a10", "9d41c2b7e4d95a103f0c9a5be27d4d0a"
	tests := []struct {
		file string
		want []event.Cause
	}{
		{"destination-success.json", []event.Cause{
			{Case: id, Cause: "photo-0001", Code: reason.OK},
			{Case: other, Cause: "photo-0002", Code: reason.NoFace},
		}},
		{"batch-csv.json", []event.Cause{{Case: "policy-2019-000417", Cause: "photo-0001"}}},
		{"facts-corrected.json", []event.Cause{{Case: id, Cause: "facts-0002", Code: reason.OK}}},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			b, err := os.ReadFile("../../events/" + tt.file)
			if err != nil {
				t.Fatal(err)
			}
			var got event.Quote
			if err := json.Unmarshal(b, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.Cases); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestQuoteRefuses(t *testing.T) {
	for name, e := range map[string]string{
		"nothing":                `{}`,
		"an upload":              `{"Records":[]}`,
		"no cause":               `{"schema":1,"case":"customer0"}`,
		"path for a case":        `{"schema":1,"case":"../customer0","cause":"facts-0001"}`,
		"no kind of cause":       `{"schema":1,"case":"customer0","cause":"wish-0001"}`,
		"an item without a case": `{"items":[{"n":"1"}],"batch":{"id":"x"}}`,
		"photo without a number": `{"schema":1,"results":[{"case":"customer0","code":"ok"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			var got event.Quote
			if err := json.Unmarshal([]byte(e), &got); err == nil {
				t.Errorf("took %s as %+v", e, got)
			}
		})
	}
}

// FuzzQuote looks for events that crash or name no case.
func FuzzQuote(f *testing.F) {
	for _, name := range []string{"destination-success.json", "facts-corrected.json", "batch-csv.json"} {
		b, err := os.ReadFile("../../events/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var e event.Quote
		if json.Unmarshal(b, &e) != nil {
			return
		}
		for _, c := range e.Cases {
			if _, _, ok := casefile.ParseCause(c.Cause); !ok || !casefile.ValidID(c.Case) {
				t.Errorf("cause %+v", c)
			}
		}
	})
}
