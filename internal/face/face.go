// Package face turns the bytes of a photo into one aligned face: it checks the
// file before decoding it, decodes and uprights it, finds the one face, refuses
// what cannot be read with a code of package reason, and cuts the face out by a
// similarity transform. Serving and training use it alike, so that a model
// never meets a face prepared in another way than those that it learned from.
//
// It does not know who is on the photo, keeps nothing, and does not check that
// the face is a living one.
package face

import (
	"fmt"
	"image"

	"github.com/agequote/agequote/internal/reason"
)

// Version names the way from bytes to aligned crop. A model package states the
// version that it was calibrated with, and is refused by another: raise it with
// any change that moves a pixel of the golden crops.
const Version = "1"

// Size is the width and height of the aligned crop in pixels.
const Size = 224

// Face is the one face of a photo.
type Face struct {
	Crop    *image.RGBA // Size x Size, upright and aligned, opaque
	Small   *image.RGBA // the whole upright photo, reduced to at most 320 px a side; read only
	Box     Box         // where the face lies in the upright photo
	Width   int         // of the upright photo, in pixels
	Height  int
	Quality Quality
}

// Reader reads faces. It is safe for concurrent use if its Detector is.
type Reader struct {
	Detector Network // YuNet; see Detect for its inputs and outputs
	Limits   Limits  // zero: DefaultLimits
	Bounds   Bounds  // zero: DefaultBounds
}

// Read finds the one face in the photo's bytes, or refuses with a reason.Error
// of code too_large, not_image, unsupported, too_small, no_face, many_faces,
// turned, too_dark, too_bright or blurred. Any other error is the detector's.
func (r *Reader) Read(photo []byte) (*Face, error) {
	limits, bounds := r.Limits, r.Bounds
	if limits == (Limits{}) {
		limits = DefaultLimits
	}
	if bounds == (Bounds{}) {
		bounds = DefaultBounds
	}

	pic, err := Decode(photo, limits)
	if err != nil {
		return nil, err
	}
	return r.read(pic, bounds)
}

// read is Read from the decoded photo on.
func (r *Reader) read(pic *Picture, bounds Bounds) (*Face, error) {
	boxes, err := Detect(r.Detector, pic)
	if err != nil {
		return nil, err
	}
	box, err := bounds.only(boxes)
	if err != nil {
		return nil, err
	}

	crop := Align(pic, box.Landmarks)
	w, h := pic.Size()
	f := &Face{Crop: crop, Small: pic.Small(), Box: box, Width: w, Height: h, Quality: Measure(crop, box)}
	if err := bounds.check(f.Quality); err != nil {
		return nil, err
	}
	return f, nil
}

// only returns the one face among the boxes that can be the applicant.
func (b Bounds) only(boxes []Box) (Box, error) {
	if len(boxes) == 0 {
		return Box{}, reason.New(reason.NoFace, nil)
	}
	// Boxes come strongest first, but the applicant is the largest: a poster in
	// the background can be sharper than the person before it.
	largest := boxes[0]
	for _, box := range boxes[1:] {
		if box.area() > largest.area() {
			largest = box
		}
	}
	for _, box := range boxes {
		if box == largest || box.Score < b.SecondScore {
			continue
		}
		if box.area() >= b.SecondArea*largest.area() {
			return Box{}, reason.New(reason.ManyFaces, fmt.Errorf("%d faces", len(boxes)))
		}
	}
	return largest, nil
}
