package casefile

import (
	"fmt"
	"time"
)

// Complaint is what a customer complains about. It is personal.
type Complaint struct {
	Schema  int       `json:"schema"`
	Case    string    `json:"case"`
	N       int       `json:"n"`
	Time    time.Time `json:"time"`
	Text    string    `json:"text"`
	Version string    `json:"version"` // code that wrote it
}

// PersonRequest records that the customer asked for a person.
type PersonRequest struct {
	Schema  int       `json:"schema"`
	Case    string    `json:"case"`
	N       int       `json:"n"`
	Time    time.Time `json:"time"`
	Version string    `json:"version"`
}

// States of the markers that a customer's own word makes.
const (
	StateAsked      = "asked"      // the customer wants a person
	StateComplained = "complained" // the customer complained
)

// Prefix is the folder of a case in the cases bucket.
func Prefix(id string) string { return "cases/" + id + "/" }

// UploadPrefix is the folder of the photos in the uploads bucket that a customer
// sent.
func UploadPrefix(id string) string { return "uploads/" + id + "/" }

// BatchUploadPrefix is the folder of the photos in the uploads bucket that a
// batch brought.
func BatchUploadPrefix(id string) string { return "batch-uploads/" + id + "/" }

// UploadPrefixes are the folders of all of a case's photos.
func UploadPrefixes(id string) []string { return []string{UploadPrefix(id), BatchUploadPrefix(id)} }

// ComplaintsPrefix is the folder of a case's complaints.
func ComplaintsPrefix(id string) string { return Prefix(id) + "complaints/" }

// ComplaintKey is the name of a case's n-th complaint.
func ComplaintKey(id string, n int) string {
	return fmt.Sprintf("%s%04d.json", ComplaintsPrefix(id), n)
}

// PersonKey is the name of the n-th time that the customer asked for a person.
func PersonKey(id string, n int) string {
	return fmt.Sprintf("%srequests/person-%04d.json", Prefix(id), n)
}

// DeletedKey is the name of the tombstone of a deleted case.
func DeletedKey(id string) string { return Prefix(id) + "deleted.json" }

// FactsCause is the cause of the quote that follows from application n.
func FactsCause(n int) string { return fmt.Sprintf("facts-%04d", n) }

// PhotosPrefix is the folder of what became of a case's photos.
func PhotosPrefix(id string) string { return Prefix(id) + "photos/" }
