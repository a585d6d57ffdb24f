// Package event reads the shapes of the events that start the functions: S3's,
// a batch of items, the record of a Lambda destination. It knows names of cases
// and photos, and touches neither.
package event

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/aws/aws-lambda-go/events"

	"github.com/agequote/agequote/internal/casefile"
)

// Predict is what predict accepts: an S3 event, S3's test event, a batch of
// items, or a batch of objects as S3 lists them. Photo is one of any.
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
	N       number `json:"n"` // zero: 1
	Bucket  string `json:"bucket"`
	Key     string `json:"key"`
	Version string `json:"version"`
}

// number is a number that a CSV reader may have made a text.
type number int

func (n *number) UnmarshalJSON(b []byte) error {
	v, err := strconv.Atoi(strings.Trim(string(b), `"`))
	if err != nil {
		return ErrShape // the decoder's error would hold the text
	}
	*n = number(v)
	return nil
}

// object is a line of S3's listing, as Step Functions reads it.
type object struct{ Key string }

// ErrShape says that an event has no shape that its function knows.
var ErrShape = errors.New("event has no known shape")

// ErrForeign says that an item is not a photo of a case in this deployment.
var ErrForeign = errors.New("event names a photo outside the uploads of a case")

// UnmarshalJSON reads an event's photos. Objects whose names are not those of a
// case's photos are left out: a notification or a listing names no more than
// their prefix. An item names its case, and the whole event is refused with
// ErrForeign where its photo is not that case's.
func (e *Predict) UnmarshalJSON(b []byte) error {
	var shape struct {
		Event   string                 // "s3:TestEvent": sent once, when the notification is set up
		Records []events.S3EventRecord `json:"Records"`
		Items   []item                 `json:"items"`
		Objects []object               `json:"objects"`
		Batch   struct {
			ID     string `json:"id"`
			Bucket string `json:"bucket"` // of the objects
		} `json:"batch"`
	}
	if err := json.Unmarshal(b, &shape); err != nil {
		return ErrShape
	}
	if shape.Records == nil && shape.Items == nil && shape.Objects == nil && shape.Event != "s3:TestEvent" {
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
		id, n, ok := casefile.ParseUploadKey(i.Key)
		if !ok || id != i.Case || i.N < 0 || max(int(i.N), 1) != n {
			return ErrForeign // another case's photo, or under another number
		}
		e.Photos = append(e.Photos, Photo{Case: id, N: n, Bucket: i.Bucket, Key: i.Key, Version: i.Version, Batch: shape.Batch.ID})
	}
	for _, o := range shape.Objects {
		if id, n, ok := casefile.ParseUploadKey(o.Key); ok {
			e.Photos = append(e.Photos, Photo{Case: id, N: n, Bucket: shape.Batch.Bucket, Key: o.Key, Batch: shape.Batch.ID})
		}
	}
	return nil
}
