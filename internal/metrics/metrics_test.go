package metrics_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/metrics"
)

// TestRecord compares with CloudWatch's specification of the embedded metric
// format: dimensions and metrics are named in _aws and given beside it.
func TestRecord(t *testing.T) {
	tests := []struct {
		name       string
		dimensions map[string]string
		want       string
	}{
		{"two dimensions", map[string]string{"Function": "predict", "Code": "ok"},
			`{"Code":"ok","Function":"predict","Photos":1,"_aws":{"CloudWatchMetrics":[{"Namespace":"agequote","Dimensions":[["Code","Function"]],"Metrics":[{"Name":"Photos","Unit":"Count"}]}],"Timestamp":1795511400000}}`},
		{"none", nil,
			`{"Photos":1,"_aws":{"CloudWatchMetrics":[{"Namespace":"agequote","Dimensions":[[]],"Metrics":[{"Name":"Photos","Unit":"Count"}]}],"Timestamp":1795511400000}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			r := &metrics.Recorder{Out: &out, Namespace: "agequote", Now: func() time.Time { return time.UnixMilli(1795511400000) }}
			r.Record(tt.dimensions, metrics.Value{Name: "Photos", Unit: metrics.Count, V: 1})
			var got, want any
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(tt.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestBin(t *testing.T) {
	for v, want := range map[float64]float64{0: 2.5, 4.9: 2.5, 5: 7.5, 42.3: 42.5} {
		if got := metrics.Bin(v, 5); got != want {
			t.Errorf("Bin(%v, 5) = %v, want %v", v, got, want)
		}
	}
}
