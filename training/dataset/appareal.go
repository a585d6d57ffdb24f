package dataset

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"slices"
	"strconv"
)

// Labels of APPA-REAL: the age on the day of the photo, or the mean of what
// people guess.
const (
	ageReal     = "real"
	ageApparent = "apparent"
)

var appaParts = []string{partTrain, partValid, partTest}

// appaColumns are the columns of an age, and the one of the files.
var appaColumns = map[string]string{ageReal: "real_age", ageApparent: "apparent_age_avg"}

const appaFile = "file_name"

// readAPPAREAL reads APPA-REAL as it is published (Agustsson et al. 2017):
// photos in train/, valid/ and test/, and for each of these a table
// gt_avg_train.csv ... with one line a photo. Its subjects are not named, so
// that each photo is a person of its own.
func readAPPAREAL(images string, s Source) ([]Sample, error) {
	var samples []Sample
	for _, part := range appaParts {
		p, err := readAPPAPart(under(images, s.Dir), part, s)
		if errors.Is(err, fs.ErrNotExist) && !slices.Contains(s.Train, part) && !slices.Contains(s.Validate, part) {
			continue // nobody needs a part that is not used
		}
		if err != nil {
			return nil, fmt.Errorf("part %s: %w", part, err)
		}
		samples = append(samples, p...)
	}
	return samples, nil
}

// readAPPAPart reads one part's table: gt_avg_*.csv, or gt_*.csv where that has
// the means instead of the single guesses.
func readAPPAPart(dir, part string, s Source) ([]Sample, error) {
	f, err := os.Open(path.Join(dir, "gt_avg_"+part+".csv"))
	if errors.Is(err, fs.ErrNotExist) {
		f, err = os.Open(path.Join(dir, "gt_"+part+".csv"))
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := csv.NewReader(f)
	header, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("read header: %w", err)
	}
	file, years := slices.Index(header, appaFile), slices.Index(header, appaColumns[s.Age])
	if file < 0 || years < 0 {
		return nil, fmt.Errorf("no columns %s and %s", appaFile, appaColumns[s.Age])
	}

	var samples []Sample
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return samples, nil
		}
		if err != nil {
			return nil, err
		}
		name := record[file]
		if s.Faces {
			name += "_face.jpg"
		}
		p := Sample{File: s.inDir(path.Join(part, name)), Person: part + "/" + record[file], Part: part}
		if p.Age, err = strconv.ParseFloat(record[years], 64); err != nil {
			p.Age = math.NaN()
		}
		samples = append(samples, p)
	}
}
