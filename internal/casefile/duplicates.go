package casefile

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// DuplicateKind says in which way two photos are the same.
type DuplicateKind string

// The kinds.
const (
	SameFile    DuplicateKind = "file"    // byte for byte
	SamePicture DuplicateKind = "picture" // by their perceptual hashes
)

// Duplicates names the photos of other cases that are the same as photo N of
// this one. It is written once, and only where there are any.
type Duplicates struct {
	Schema  int         `json:"schema"`
	Case    string      `json:"case"`
	N       int         `json:"n"`
	Of      []Duplicate `json:"of"` // ordered by case and number
	Time    time.Time   `json:"time"`
	Version string      `json:"version"` // code that wrote it
}

// Duplicate is one photo of another case.
type Duplicate struct {
	Case     string        `json:"case"`
	N        int           `json:"n"`
	Kind     DuplicateKind `json:"kind"`
	Distance int           `json:"distance"` // bits that differ between the perceptual hashes; 0 for the same file
}

// Cases returns the other cases, each once, in order.
func (d Duplicates) Cases() []string {
	var ids []string
	for _, o := range d.Of {
		if len(ids) == 0 || ids[len(ids)-1] != o.Case {
			ids = append(ids, o.Case)
		}
	}
	return ids
}

// DuplicatesKey is the name of the duplicates of photo n.
func DuplicatesKey(id string, n int) string {
	return fmt.Sprintf("cases/%s/photos/%04d/duplicates.json", id, n)
}

// PhotoIndexPrefix is the folder of the index of all photos by their files.
const PhotoIndexPrefix = "index/photo/"

// PhotoIndexFolder is the folder of the index entries of one file, by its hash
// "sha256:...".
func PhotoIndexFolder(photo string) string {
	return PhotoIndexPrefix + strings.TrimPrefix(photo, "sha256:") + "/"
}

// PhotoIndexKey is the name of the empty object that says which photo of which
// case is this file.
func PhotoIndexKey(photo, id string, n int) string {
	return fmt.Sprintf("%s%s/%04d", PhotoIndexFolder(photo), id, n)
}

var indexPattern = regexp.MustCompile(`^index/photo/[0-9a-f]{64}/([A-Za-z0-9][A-Za-z0-9_-]{7,63})/([0-9]{4})$`)

// ParsePhotoIndexKey returns the photo that an index entry is of; ok is false
// for any other name.
func ParsePhotoIndexKey(key string) (id string, n int, ok bool) {
	m := indexPattern.FindStringSubmatch(key)
	if m == nil {
		return "", 0, false
	}
	n, err := strconv.Atoi(m[2])
	return m[1], n, err == nil && n > 0
}
