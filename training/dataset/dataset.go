// Package dataset turns folders of photos of people whose age is known into the
// labels of a training run: it reads the data sets, looks at every photo as
// serving would, keeps people and pictures on one side of the split, and counts
// what it left out and why.
//
// Nothing here is random: the same configuration over the same files gives the
// same labels. It does not read pictures into a network; package fit does.
package dataset

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/reason"
)

// Side is where a photo stands.
type Side string

// The sides of a split.
const (
	Train      Side = "train"      // the network learns from it
	Validation Side = "validation" // epochs are compared, intervals calibrated and figures taken on it
)

// Reason says why a photo is on neither side. A photo that serving would refuse
// has the refusal's code (package reason) for its reason.
type Reason string

// The reasons, in the order in which they are looked for.
const (
	BadName     Reason = "bad_name"       // the file's name does not say what the data set promises, or leads out of its folder
	BadAge      Reason = "bad_age"        // no age, or none that a person can have
	Unusable    Reason = "unusable"       // the data set's notes say so
	LowScore    Reason = "low_face_score" // IMDB-WIKI: its detector found no face, or hardly one
	SecondFace  Reason = "second_face"    // IMDB-WIKI: it cannot be known whose age is stated
	Missing     Reason = "missing_file"   // in the labels, not in the folder
	NotUsed     Reason = "not_used"       // in a part that the configuration neither trains nor validates on
	BeyondLimit Reason = "limit"          // the configuration takes fewer photos of the data set
	KeptApart   Reason = "kept_apart"     // the person or the picture stands in validation or in a part that is not used
	AgeConflict Reason = "age_conflict"   // the same picture has another age elsewhere
	Duplicate   Reason = "duplicate"      // the same file is in training already
)

// Sample is one photo of a person whose age is known, and what became of it.
type Sample struct {
	File    string  // relative to the folder of images, with slashes
	Age     float64 // in years
	Dataset string
	Sex     string // as the data set states it, for measuring only
	Race    string // as the data set states it, for measuring only
	Person  string // photos of one person never stand on both sides
	Photo   string // files of one value show the same photo; empty where the data set does not say
	Part    string // of the data set; see Source

	Side   Side    // empty where Drop is not
	Weight float64 // in training
	Drop   Reason
	Hash   string      // sha256:... of the file
	Code   reason.Code // what serving says of the photo; empty where it was not asked

	conflict bool // the data set's notes say that copies of this photo differ in age
}

// reader reads the photos of a source whose files lie under the folder images.
type reader func(images string, s Source) ([]Sample, error)

var readers = map[Kind]reader{
	UTKFace:  readUTKFace,
	FGNET:    readFGNET,
	APPAREAL: readAPPAREAL,
	IMDB:     readIMDBWIKI,
	WIKI:     readIMDBWIKI,
	Labels:   readLabels,
}

// Read reads every source's labels and gives each photo the side of its part,
// in the order of the files' names. Photos that are left out stay in the list,
// with their reason.
func Read(c *Config, images string) ([]Sample, error) {
	var all []Sample
	for _, s := range c.Sources {
		samples, err := readers[s.Kind](images, s)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", s.name(), err)
		}
		for i := range samples {
			samples[i].place(s)
		}
		limit(samples, s.Limit)
		all = append(all, samples...)
	}
	slices.SortStableFunc(all, func(a, b Sample) int { return cmp.Compare(a.File, b.File) })
	return all, nil
}

// limit leaves on each side at most n photos, chosen by a hash of their names; 0
// leaves all.
func limit(samples []Sample, n int) {
	if n == 0 {
		return
	}
	for _, side := range []Side{Train, Validation} {
		var of []*Sample
		for i := range samples {
			if samples[i].Side == side {
				of = append(of, &samples[i])
			}
		}
		order := func(p *Sample) string {
			sum := sha256.Sum256([]byte(p.File))
			return string(sum[:])
		}
		slices.SortFunc(of, func(a, b *Sample) int { return cmp.Compare(order(a), order(b)) })
		for _, p := range of[min(n, len(of)):] {
			p.leaveOut(BeyondLimit)
		}
	}
}

// place checks what a reader found, and gives the photo the side of its part.
func (p *Sample) place(s Source) {
	p.Weight = s.weight()
	if p.Dataset == "" {
		p.Dataset = s.name()
	}
	if p.Person == "" {
		p.Person = p.File
	}
	p.Person = s.name() + "-" + p.Person
	if p.Photo != "" {
		p.Photo = s.name() + "-" + p.Photo
	}
	if p.Part == "" {
		p.Part = hashedPart(s.Salt, p.Person)
	}

	switch {
	case p.Drop != "":
	case !filepath.IsLocal(filepath.FromSlash(p.File)):
		p.Drop = BadName
	case !(p.Age >= 0 && p.Age <= age.Oldest): // NaN too
		p.Drop = BadAge
	case slices.Contains(s.Validate, p.Part):
		p.Side = Validation
	case slices.Contains(s.Train, p.Part):
		p.Side = Train
	default:
		p.Drop = NotUsed
	}
}

// linked tells whether the photo, used or not, speaks for its person and its
// picture when sides are compared.
func (p *Sample) linked() bool { return p.Drop == "" || p.Drop == NotUsed }

// hashedParts is the number of parts into which people fall whose data set has
// no parts of its own.
const hashedParts = 10

// hashedPart returns a person's part, "0" to "9". It depends on nothing but the
// person and the salt, so that more photos move nobody to the other side.
func hashedPart(salt, person string) string {
	sum := sha256.Sum256([]byte(salt + "\x00" + person))
	return strconv.FormatUint(binary.BigEndian.Uint64(sum[:])%hashedParts, 10)
}

// under returns where a file of a source lies: under the folder of images, if
// its path is not absolute.
func under(images, file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(images, filepath.FromSlash(file))
}

// inDir names a file of the source relative to the folder of images.
func (s Source) inDir(file string) string { return path.Join(s.Dir, filepath.ToSlash(file)) }
