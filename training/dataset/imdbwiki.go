package dataset

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/agequote/agequote/training/matfile"
)

// maxMatBytes bounds the variable in imdb.mat, which has 460,723 photos of some
// 700 bytes each.
const maxMatBytes = 2 << 30

// minFaceScore is the least score of IMDB-WIKI's own detector that is taken.
const minFaceScore = 3.5

// oldestIMDB is the greatest age that IMDB-WIKI is believed: its errors lie at
// the ends.
const oldestIMDB = 100

// readIMDBWIKI reads imdb.mat or wiki.mat (Rothe, Timofte and Van Gool 2015):
// one struct of the file's name, each field with a value a photo.
func readIMDBWIKI(images string, s Source) ([]Sample, error) {
	f, err := os.Open(under(images, s.File))
	if err != nil {
		return nil, fmt.Errorf("open labels: %w", err)
	}
	defer f.Close()
	v, err := matfile.Read(f, string(s.Kind), maxMatBytes)
	if err != nil {
		return nil, err
	}
	if len(v.Structs) != 1 {
		return nil, fmt.Errorf("%s is %d structs, want 1", s.Kind, len(v.Structs))
	}
	t, err := newIMDBTable(v.Structs[0], s.Kind == IMDB)
	if err != nil {
		return nil, err
	}
	samples := make([]Sample, len(t.path))
	for i := range samples {
		samples[i] = t.sample(i)
		samples[i].File = s.inDir(samples[i].File)
	}
	return samples, nil
}

// imdbTable has a column a field.
type imdbTable struct {
	path                            []matfile.Array
	born, taken, sex, score, second []float64
	celebrity                       []float64 // IMDB alone
}

func newIMDBTable(fields map[string]matfile.Array, celebrities bool) (*imdbTable, error) {
	t := &imdbTable{path: fields["full_path"].Cells}
	columns := map[string]*[]float64{
		"dob": &t.born, "photo_taken": &t.taken, "gender": &t.sex,
		"face_score": &t.score, "second_face_score": &t.second,
	}
	if celebrities {
		columns["celeb_id"] = &t.celebrity
	}
	var problems []error
	for name, column := range columns {
		*column = fields[name].Numbers
		if len(*column) != len(t.path) {
			problems = append(problems, fmt.Errorf("field %s has %d values for %d photos", name, len(*column), len(t.path)))
		}
	}
	return t, errors.Join(problems...)
}

func (t *imdbTable) sample(i int) Sample {
	p := Sample{File: t.path[i].Text}
	if t.celebrity != nil {
		p.Person = strconv.FormatFloat(t.celebrity[i], 'f', -1, 64)
	}
	switch t.sex[i] {
	case 0:
		p.Sex = "female"
	case 1:
		p.Sex = "male"
	}
	p.Age = ageInJuly(t.born[i], t.taken[i])
	switch {
	case p.File == "":
		p.Drop = BadName
	case !(t.score[i] >= minFaceScore): // -Inf where it found no face
		p.Drop = LowScore
	case !math.IsNaN(t.second[i]):
		p.Drop = SecondFace
	case !(p.Age > 0 && p.Age <= oldestIMDB):
		p.Drop = BadAge
	}
	return p
}

// datenumEpoch is MATLAB's datenum of 1970-01-01.
const datenumEpoch = 719529

// ageInJuly returns the age in whole years at the middle of the year of the
// photo, whose day is not known, of a person born at a MATLAB datenum; NaN
// where one of the two cannot be a date.
func ageInJuly(born, year float64) float64 {
	const firstYear, lastYear = 1800, 2100
	days := math.Floor(born) - datenumEpoch
	if !(year >= firstYear && year <= lastYear && math.Abs(days) < 1e6) {
		return math.NaN()
	}
	birth := time.Unix(0, 0).UTC().AddDate(0, 0, int(days))
	age := int(year) - birth.Year()
	if birth.Month() > time.July || birth.Month() == time.July && birth.Day() > 1 {
		age-- // the birthday is still to come
	}
	return float64(age)
}
