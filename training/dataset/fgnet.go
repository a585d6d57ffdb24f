package dataset

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// fgnetName is FG-NET's file name: subject, A, age, and a letter where a
// subject has several photos of one age.
var fgnetName = regexp.MustCompile(`(?i)^(\d{3})A(\d{2})[a-z]?\.jpg$`)

// keptApart tells the FG-NET subjects that no model is trained on: every sixth,
// from the first.
func keptApart(subject int) bool { return subject%6 == 1 }

// readFGNET reads the photos in FG-NET's folder.
func readFGNET(images string, s Source) ([]Sample, error) {
	entries, err := os.ReadDir(under(images, s.Dir))
	if err != nil {
		return nil, err
	}
	var samples []Sample
	for _, e := range entries {
		if !strings.EqualFold(filepath.Ext(e.Name()), ".jpg") {
			continue
		}
		p := Sample{File: s.inDir(e.Name()), Part: partOthers}
		m := fgnetName.FindStringSubmatch(e.Name())
		if m == nil {
			p.Drop = BadName
			samples = append(samples, p)
			continue
		}
		p.Person = m[1]
		p.Age, _ = strconv.ParseFloat(m[2], 64)
		if subject, _ := strconv.Atoi(m[1]); keptApart(subject) {
			p.Part = partKeptApart
		}
		samples = append(samples, p)
	}
	if len(samples) == 0 {
		return nil, fmt.Errorf("no photo in the folder")
	}
	return samples, nil
}
