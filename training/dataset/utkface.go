package dataset

import (
	"encoding/csv"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
)

// utkName is UTKFace's file name: age_sex_race_date.jpg.chip.jpg. A few files
// lack the race.
var utkName = regexp.MustCompile(`^(\d{1,3})_([01])(?:_([0-4]))?_`)

var (
	utkSexes = []string{"male", "female"}
	utkRaces = []string{"white", "black", "asian", "indian", "other"}
)

// Notes of folds.tsv.
const (
	noteUnusable = "unusable"
	noteConflict = "age-conflict"
)

// readUTKFace reads the photos that folds.tsv lists. Its columns are file,
// group (files of one group show the same photo, and so the same person), fold
// and note.
func readUTKFace(images string, s Source) ([]Sample, error) {
	f, err := os.Open(under(images, s.File))
	if err != nil {
		return nil, fmt.Errorf("open folds: %w", err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma = '\t'
	records, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read folds: %w", err)
	}
	if want := []string{"file", "group", "fold", "note"}; len(records) == 0 || !slices.Equal(records[0], want) {
		return nil, fmt.Errorf("folds need the columns %q, separated by tabs", want)
	}

	samples := make([]Sample, 0, len(records)-1)
	for _, record := range records[1:] {
		file, group, fold, note := record[0], record[1], record[2], record[3]
		p := Sample{File: s.inDir(file), Person: group, Photo: group, Part: fold, conflict: note == noteConflict}
		p.readUTKName(file)
		if note == noteUnusable {
			p.Drop = Unusable
		}
		samples = append(samples, p)
	}
	return samples, nil
}

func (p *Sample) readUTKName(file string) {
	m := utkName.FindStringSubmatch(file)
	if m == nil {
		p.Drop = BadName
		return
	}
	p.Age, _ = strconv.ParseFloat(m[1], 64)
	sex, _ := strconv.Atoi(m[2])
	p.Sex = utkSexes[sex]
	if m[3] != "" {
		race, _ := strconv.Atoi(m[3])
		p.Race = utkRaces[race]
	}
}
