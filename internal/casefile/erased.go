package casefile

import "time"

// HoldPrefix is the folder of a case's legal holds and releases, which are
// journal records. It lies outside the case, and outlives it.
func HoldPrefix(id string) string { return "holds/" + id + "/" }

// HeldPhotoPrefix is the folder of the copies of a held case's photos, out of
// reach of the uploads bucket's lifecycle, which knows of no hold.
func HeldPhotoPrefix(id string) string { return "held/" + id + "/" }

// Tombstone says that a case is erased, or is being erased: from the moment
// when it stands nobody writes to the case any more. It holds nothing of the
// person.
type Tombstone struct {
	Schema  int       `json:"schema"`
	Case    string    `json:"case"`
	Receipt string    `json:"receipt"` // its number, random
	Time    time.Time `json:"time"`
	By      string    `json:"by"`  // who had it erased: "customer", or an operator's name
	Why     string    `json:"why"` // for the record; no personal data
	Removed []string  `json:"removed"`
	Version string    `json:"version"` // code that wrote it
}

// Erased marks an object from which the personal data were removed. Hash names
// the content that was there, where other objects refer to it by its hash, so
// that a chain of hashes can be followed through it.
type Erased struct {
	Time time.Time `json:"time"`
	Hash string    `json:"hash,omitempty"`
}
