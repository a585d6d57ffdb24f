// Package casefile names and shapes the objects of a case. A case is a folder
// of immutable objects in the cases bucket, each written once under a name
// that its cause fixes; its state is what the objects say. The package does no
// I/O: handlers read and write through their own stores.
package casefile

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/underwriting"
)

// Schema is the version of every object and event shape in this package.
const Schema = 1

// NewID returns an unguessable case id: 128 random bits in hexadecimal.
func NewID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails; it ends the process instead
	return hex.EncodeToString(b[:])
}

var (
	idPattern     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{7,63}$`)
	uploadPattern = regexp.MustCompile(`^(?:batch-)?uploads/([A-Za-z0-9][A-Za-z0-9_-]{7,63})/([0-9]{4})$`)
)

// ValidID tells whether id can name a case. Batch manifests bring ids of
// their own, so more than NewID's form is allowed.
func ValidID(id string) bool { return idPattern.MatchString(id) }

// UploadKey is the name of a case's n-th photo in the uploads bucket.
func UploadKey(id string, n int) string { return fmt.Sprintf("uploads/%s/%04d", id, n) }

// BatchUploadKey is the name in the uploads bucket of a case's n-th photo where
// a batch's manifest brought it. No event starts predict there: the batch does.
func BatchUploadKey(id string, n int) string { return fmt.Sprintf("batch-uploads/%s/%04d", id, n) }

// ParseUploadKey is the inverse of UploadKey and BatchUploadKey; ok is false for
// any other name.
func ParseUploadKey(key string) (id string, n int, ok bool) {
	m := uploadPattern.FindStringSubmatch(key)
	if m == nil {
		return "", 0, false
	}
	n, err := strconv.Atoi(m[2])
	return m[1], n, err == nil && n > 0
}

// ApplicationPrefix is the folder of a case's applications; the highest
// number in it is the one that counts.
func ApplicationPrefix(id string) string { return "cases/" + id + "/application/" }

// ApplicationKey is the name of a case's n-th application.
func ApplicationKey(id string, n int) string {
	return fmt.Sprintf("%s%04d.json", ApplicationPrefix(id), n)
}

// EstimateKey is the name of the estimate, or coded refusal, of photo n.
func EstimateKey(id string, n int) string {
	return fmt.Sprintf("cases/%s/photos/%04d/estimate.json", id, n)
}

// FailureKey is the name under which the processing of a cause gave up: beside
// the estimate for a photo, in a folder of its own for a corrected fact.
func FailureKey(id, cause string) string {
	if kind, n, ok := ParseCause(cause); ok && kind == "photo" {
		return fmt.Sprintf("cases/%s/photos/%04d/failure.json", id, n)
	}
	return fmt.Sprintf("cases/%s/failures/%s.json", id, cause)
}

// QuotesPrefix is the folder of a case's quotes.
func QuotesPrefix(id string) string { return "cases/" + id + "/quotes/" }

// QuoteKey is the name of the quote that cause made: "photo-0001",
// "facts-0002" or "decision-0001".
func QuoteKey(id, cause string) string { return QuotesPrefix(id) + cause + ".json" }

var causePattern = regexp.MustCompile(`^(photo|facts|decision)-([0-9]{4})$`)

// PhotoCause is the cause of the quote that follows from photo n.
func PhotoCause(n int) string { return fmt.Sprintf("photo-%04d", n) }

// ParseCause splits a cause into its kind and number.
func ParseCause(cause string) (kind string, n int, ok bool) {
	m := causePattern.FindStringSubmatch(cause)
	if m == nil {
		return "", 0, false
	}
	n, err := strconv.Atoi(m[2])
	return m[1], n, err == nil && n > 0
}

// Application is what the customer declared and agreed to. A correction is a
// further application of the same case.
type Application struct {
	Schema  int                `json:"schema"`
	Case    string             `json:"case"`
	N       int                `json:"n"`
	Time    time.Time          `json:"time"`
	Facts   underwriting.Facts `json:"facts"`
	Consent *Consent           `json:"consent,omitempty"`
	Version string             `json:"version"` // code that wrote it
	// Salt is 128 random bits, from NewSalt. The hash of an application goes
	// into its quotes, whose hashes stay when the case is erased; without a salt
	// that goes with the facts, the facts could be guessed and tried.
	Salt string `json:"salt,omitempty"`
	// Request names the body of the HTTP request that began the case, keyed so
	// that it tells nothing: the same request again finds its own case.
	Request string `json:"request,omitempty"`
}

// NewSalt returns the salt of a new application.
func NewSalt() string { return NewID() }

// Consent records what the customer agreed to before a photo was read.
type Consent struct {
	Version string    `json:"version"` // of the text
	Hash    string    `json:"hash"`    // of the text shown
	Time    time.Time `json:"time"`
	Purpose string    `json:"purpose"`
	Days    int       `json:"days"` // the photo is kept at most so long
	// Withdrawn is when the customer took the consent back; nothing is read
	// after that.
	Withdrawn *time.Time `json:"withdrawn,omitempty"`
}

// Source is the photo that an estimate was read from.
type Source struct {
	Bucket  string `json:"bucket"`
	Key     string `json:"key"`
	Version string `json:"version,omitempty"`
}

// Estimate is the stored outcome of one photo: an age with its interval, or a
// coded refusal whose ages are null.
type Estimate struct {
	Schema  int         `json:"schema"`
	Case    string      `json:"case"`
	N       int         `json:"n"`
	Code    reason.Code `json:"code"`
	Message string      `json:"message"` // the code's sentence for the customer
	// Estimate's fields: age, mean, low, high, coverage, distribution.
	age.Estimate
	Photo       string    `json:"photo"`           // hash of the bytes
	Picture     string    `json:"picture"`         // perceptual hash of the whole upright picture, see package duplicate; empty where it was refused before it was decoded
	Model       string    `json:"model"`           // hash of the package's manifest
	ModelUse    string    `json:"model_use"`       // allowed use of the model: research, production
	Application string    `json:"application"`     // name of the application whose consent allowed the reading
	Source      Source    `json:"source"`          // bucket, key and version of the photo
	Version     string    `json:"version"`         // code that made the estimate
	Batch       string    `json:"batch,omitempty"` // the batch it was part of
	Time        time.Time `json:"time"`
	MS          int64     `json:"ms"` // milliseconds from bytes to estimate
}

// Result is one photo's line in the answer of predict; it carries the stored
// estimate, a refusal being a result too.
type Result = Estimate

// Answer is what predict returns, and so what quote receives.
type Answer struct {
	Schema  int      `json:"schema"`
	Results []Result `json:"results"`
}

// Failure records that the platform gave up processing a photo. It names no
// error text: that is in the log, under the request id.
type Failure struct {
	Schema    int       `json:"schema"`
	Case      string    `json:"case"`
	N         int       `json:"n,omitempty"` // of the photo, where there is one
	Stage     string    `json:"stage"`       // the function that gave up: predict or quote
	Condition string    `json:"condition"`   // Lambda's word: RetriesExhausted, EventAgeExceeded ...
	Tries     int       `json:"tries"`
	RequestID string    `json:"request_id"`
	Source    Source    `json:"source"` // what to send again
	Record    string    `json:"record"` // name of Lambda's record in the failures bucket
	Version   string    `json:"version"`
	Time      time.Time `json:"time"`
}

// States of a queue marker.
const (
	StateFailed = "failed" // processing gave up; redrive or decide
	StateRefer  = "refer"  // the rules want a person
)

// Marker names the two queue entries of a case that waits for a person: by
// waiting time (oldest first) and by sum assured (largest first). Markers are
// an index; they can be rebuilt from the cases.
func Marker(id, state string, since time.Time, sumCents int64) []string {
	return []string{
		fmt.Sprintf("queue/waiting/%s/%s/%s", state, since.UTC().Format("20060102T150405Z"), id),
		fmt.Sprintf("queue/sum/%s/%015d/%s", state, 999_999_999_999_999-sumCents, id),
	}
}
