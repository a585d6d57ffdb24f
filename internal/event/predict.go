// Package event reads the shapes of the events that start the functions: S3's,
// a batch of items, the record of a Lambda destination. It knows names of cases
// and photos, and touches neither.
package event

import (
	"encoding/json"
	"errors"

	"github.com/aws/aws-lambda-go/events"

	"github.com/agequote/agequote/internal/casefile"
)

// Predict is what predict accepts: an S3 event, S3's test event, or a batch of
// items. Photo is one of either.
type Predict struct{ Photos []Photo }

// Photo names one photo of a case.
type Photo struct {
	Case    string
	N       int
	Bucket  string
	Key     string
	Version string
	Batch   string
}

// item is a photo in a batch event.
type item struct {
	Case    string `json:"case"`
	N       int    `json:"n"` // zero: 1
	Bucket  string `json:"bucket"`
	Key     string `json:"key"`
	Version string `json:"version"`
}

// ErrShape says that an event has no shape that its function knows.
var ErrShape = errors.New("event has no known shape")

// ErrForeign says that an item is not a photo of a case in this deployment.
var ErrForeign = errors.New("event names a photo outside the uploads of a case")

// UnmarshalJSON reads an event's photos. Objects outside uploads/ are not
// photos of a case and are left out: the bucket's notification names the
// prefix, a batch item is refused with ErrForeign.
func (e *Predict) UnmarshalJSON(b []byte) error {
	var shape struct {
		Event   string                 // "s3:TestEvent": sent once, when the notification is set up
		Records []events.S3EventRecord `json:"Records"`
		Items   []item                 `json:"items"`
		Batch   struct {
			ID string `json:"id"`
		} `json:"batch"`
	}
	if err := json.Unmarshal(b, &shape); err != nil {
		return ErrShape
	}
	if shape.Records == nil && shape.Items == nil && shape.Event != "s3:TestEvent" {
		return ErrShape
	}

	e.Photos = nil
	for _, r := range shape.Records {
		id, n, ok := casefile.ParseUploadKey(r.S3.Object.URLDecodedKey)
		if !ok {
			continue
		}
		e.Photos = append(e.Photos, Photo{Case: id, N: n, Bucket: r.S3.Bucket.Name, Key: r.S3.Object.URLDecodedKey, Version: r.S3.Object.VersionID})
	}
	for _, i := range shape.Items {
		if !casefile.ValidID(i.Case) || i.N < 0 || i.Key == "" {
			return ErrForeign
		}
		if id, _, ok := casefile.ParseUploadKey(i.Key); ok && id != i.Case {
			return ErrForeign // another case's photo
		}
		e.Photos = append(e.Photos, Photo{Case: i.Case, N: max(i.N, 1), Bucket: i.Bucket, Key: i.Key, Version: i.Version, Batch: shape.Batch.ID})
	}
	return nil
}
