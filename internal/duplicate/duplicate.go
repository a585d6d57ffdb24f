// Package duplicate finds photos that were sent with more than one case: the
// same file by its SHA-256, and the same picture re-encoded, scaled, cropped a
// little or mirrored by a perceptual hash. It compares pictures, never faces:
// docs/duplicates.md has what it finds, how often it errs, and how little it
// tells people apart.
package duplicate

import (
	"cmp"
	"slices"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/picturehash"
)

// Picture is one photo of a case, as its stored estimate has it.
type Picture struct {
	Case  string
	N     int
	Photo string // "sha256:..." of the bytes; empty: no file was read
	Hash  string // picturehash.Hash of the picture; empty: no face was read from it
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
// match. A hash that cannot be read counts as none.
func Find(pictures []Picture) []Match {
	sorted := slices.Clone(pictures)
	slices.SortFunc(sorted, Picture.compare)
	out := sameFiles(sorted)
	out = append(out, samePictures(sorted, picturehash.Threshold)...)
	slices.SortFunc(out, func(x, y Match) int {
		// The same file is the same picture too: it comes first, and stays.
		return cmp.Or(x.A.compare(y.A), x.B.compare(y.B), cmp.Compare(x.Kind, y.Kind))
	})
	return slices.CompactFunc(out, func(x, y Match) bool { return x.A.compare(y.A) == 0 && x.B.compare(y.B) == 0 })
}

// sameFiles returns the pairs of the same file.
func sameFiles(sorted []Picture) (out []Match) {
	byFile := map[string][]Picture{}
	for _, b := range sorted {
		if b.Photo == "" {
			continue
		}
		for _, a := range byFile[b.Photo] {
			if a.Case != b.Case {
				out = append(out, Match{A: a, B: b, Kind: casefile.SameFile})
			}
		}
		byFile[b.Photo] = append(byFile[b.Photo], b)
	}
	return out
}

// samePictures returns the pairs whose hashes lie within the threshold.
func samePictures(sorted []Picture, threshold int) (out []Match) {
	var hashes []picturehash.Hash
	var of []int // the picture of each hash
	for i, p := range sorted {
		if h, err := picturehash.Parse(p.Hash); err == nil {
			hashes, of = append(hashes, h), append(of, i)
		}
	}
	for _, pair := range near(hashes, threshold) {
		a, b := sorted[of[pair.a]], sorted[of[pair.b]]
		if a.Case != b.Case {
			out = append(out, Match{A: a, B: b, Kind: casefile.SamePicture, Distance: pair.distance})
		}
	}
	return out
}
