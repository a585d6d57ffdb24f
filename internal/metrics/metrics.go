// Package metrics writes CloudWatch metrics in the embedded metric format: one
// line of JSON on standard output, which Lambda's log carries to CloudWatch
// without a call. No case, key, name or exact age is ever among them.
package metrics

import (
	"encoding/json"
	"io"
	"maps"
	"math"
	"slices"
	"sync"
	"time"
)

// Units of CloudWatch that are in use.
const (
	Count        = "Count"
	Milliseconds = "Milliseconds"
	None         = "None"
)

// Recorder writes the metrics of one function.
type Recorder struct {
	Out       io.Writer
	Namespace string
	Now       func() time.Time

	mu sync.Mutex
}

// Value is one measurement.
type Value struct {
	Name string
	Unit string
	V    float64
}

// metricDefinition and directive are the "_aws" member of the format.
type metricDefinition struct {
	Name string `json:"Name"`
	Unit string `json:"Unit"`
}

type directive struct {
	Namespace  string             `json:"Namespace"`
	Dimensions [][]string         `json:"Dimensions"`
	Metrics    []metricDefinition `json:"Metrics"`
}

// Record writes the values under the dimensions. Metrics must not fail a
// photo: an unwritable line is dropped.
func (r *Recorder) Record(dimensions map[string]string, values ...Value) {
	// No dimension is an empty list; the format knows no null.
	names := slices.AppendSeq([]string{}, maps.Keys(dimensions))
	slices.Sort(names)
	d := directive{Namespace: r.Namespace, Dimensions: [][]string{names}}
	line := map[string]any{}
	for name, v := range dimensions {
		line[name] = v
	}
	for _, v := range values {
		d.Metrics = append(d.Metrics, metricDefinition{v.Name, v.Unit})
		line[v.Name] = v.V
	}
	line["_aws"] = map[string]any{"Timestamp": r.Now().UnixMilli(), "CloudWatchMetrics": []directive{d}}
	b, err := json.Marshal(line)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = r.Out.Write(append(b, '\n'))
}

// Bin returns the middle of the bin of this width that holds v: a histogram
// needs no more, and an exact age is personal.
func Bin(v, width float64) float64 { return (math.Floor(v/width) + 0.5) * width }
