// Package duplicate finds photos that were sent with more than one case: the
// same file by its SHA-256, and the same picture re-encoded, scaled, cropped a
// little or mirrored by a perceptual hash. It compares pictures, never faces:
// docs/duplicates.md has what it finds, how often it errs, and that two photos
// of one person are as far apart as those of two.
package duplicate

import (
	"cmp"
	"slices"

	"github.com/agequote/agequote/internal/casefile"
)

// Picture is one photo of a case, as its stored estimate has it.
type Picture struct {
	Case  string
	N     int
	Photo string // "sha256:..." of the bytes; empty: no file was read
	Hash  string // Hash.String of the picture; empty: refused before it was decoded
}

// Of returns the picture that an estimate was read from.
func Of(e casefile.Estimate) Picture {
	return Picture{Case: e.Case, N: e.N, Photo: e.Photo, Hash: e.Picture}
}

// Match says that two photos of different cases show the same picture.
type Match struct {
	A, B     Picture // A comes before B, by case and number
	Kind     casefile.DuplicateKind
	Distance int // bits that differ, 0 for the same file
}

// compare orders pictures by case and number.
func (p Picture) compare(o Picture) int {
	return cmp.Or(cmp.Compare(p.Case, o.Case), cmp.Compare(p.N, o.N))
}

// Find returns every pair of photos of different cases that are the same file
// or the same picture, ordered by case and number. The same pictures in another
// order give the same matches. A photo of the same case is a retake and no
// match.
func Find(pictures []Picture) []Match {
	sorted := slices.Clone(pictures)
	slices.SortFunc(sorted, Picture.compare)
	var out []Match
	for i, a := range sorted {
		for _, b := range sorted[i+1:] {
			if a.Case == b.Case {
				continue
			}
			if a.Photo != "" && a.Photo == b.Photo {
				out = append(out, Match{A: a, B: b, Kind: casefile.SameFile})
			}
		}
	}
	return out
}
