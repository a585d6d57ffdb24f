// Package reason holds the closed list of codes by which agequote says what
// became of a photo, and the error that carries one. A code is for machines,
// its sentence is for the customer, and the wrapped error is for the log: the
// three never mix. It does not hold the reasons of an underwriting decision;
// those belong to package underwriting.
package reason

import "errors"

// Code says what became of one photo. The list is closed and append only:
// stored objects carry these strings for years.
type Code string

// The codes of an estimate, in the order in which a photo can meet them.
const (
	OK          Code = "ok"          // an age was estimated
	NoConsent   Code = "no_consent"  // nobody recorded consent before the photo
	TooLarge    Code = "too_large"   // more bytes or pixels than are decoded
	NotImage    Code = "not_image"   // not a picture, or a damaged one
	Unsupported Code = "unsupported" // a picture in a format that is not read
	TooSmall    Code = "too_small"   // the picture or the face has too few pixels
	NoFace      Code = "no_face"     // no face was found
	ManyFaces   Code = "many_faces"  // more than one face could be the applicant
	Turned      Code = "turned"      // the face looks away from the camera
	TooDark     Code = "too_dark"    // the face is under-exposed
	TooBright   Code = "too_bright"  // the face is over-exposed
	Blurred     Code = "blurred"     // the face is out of focus or moved
	Unsure      Code = "unsure"      // the model's ages are spread too widely to mean anything
	Internal    Code = "internal"    // our fault; a person takes over
)

// sentences tell the customer what happened and what to do about it.
var sentences = map[Code]string{
	OK:          "The photo was read.",
	NoConsent:   "We have no consent on record to read this photo. Please give your consent first, then send the photo again.",
	TooLarge:    "This picture is too large. Please send a JPEG of at most 10 MB and 40 megapixels.",
	NotImage:    "This file is not a complete picture. Please send a photo as JPEG, PNG or WebP.",
	Unsupported: "This picture's format is not supported. Please send a JPEG instead; on an iPhone choose Settings, Camera, Formats, Most Compatible.",
	TooSmall:    "The face in this picture is too small to read. Please come closer, or send the original photo.",
	NoFace:      "We found no face in this picture. Please face the camera in good light, with nothing covering your face.",
	ManyFaces:   "There is more than one face in this picture. Please send a photo of yourself alone.",
	Turned:      "Your face is turned too far away. Please look straight into the camera.",
	TooDark:     "Your face is too dark in this picture. Please turn towards a window or a lamp.",
	TooBright:   "Your face is too bright in this picture. Please avoid direct sun or a flash.",
	Blurred:     "This picture is blurred. Please hold the camera still and wipe its lens.",
	Unsure:      "We could not read an age from this picture with enough certainty. Please send another photo, or state your date of birth.",
	Internal:    "Something went wrong on our side. A person will look at your application; you need not do anything.",
}

// Codes returns every code, in the order of the documentation.
func Codes() []Code {
	return []Code{OK, NoConsent, TooLarge, NotImage, Unsupported, TooSmall, NoFace, ManyFaces,
		Turned, TooDark, TooBright, Blurred, Unsure, Internal}
}

// Sentence returns the code's plain sentence for the customer. A code that is
// not on the list reads as Internal.
func (c Code) Sentence() string {
	if s, ok := sentences[c]; ok {
		return s
	}
	return sentences[Internal]
}

// Error is a refusal, or a failure, with its code. Err is for the log alone
// and is never shown to a customer.
type Error struct {
	Code Code
	Err  error
}

// Error returns the code and, for the log, the cause. It holds no personal
// data as long as the cause holds none.
func (e *Error) Error() string {
	if e.Err == nil {
		return string(e.Code)
	}
	return string(e.Code) + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New returns an Error of the code, wrapping err (which may be nil).
func New(code Code, err error) *Error { return &Error{Code: code, Err: err} }

// Of returns the code of the first Error in err's chain, OK for nil, and
// Internal for an error that nobody classified.
func Of(err error) Code {
	if err == nil {
		return OK
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}
