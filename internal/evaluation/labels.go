package evaluation

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/agequote/agequote/internal/age"
)

// Label is one line of a labels file.
type Label struct {
	File   string // relative to the folder of images
	Age    float64
	Person string // who is on the photo, where known; else the file
	Groups map[string]string
}

// ReadLabels reads a TSV with a header: columns file and age, optionally person
// (who must not stand on both sides of a split), every further column a group.
// It reports the line of a bad value.
func ReadLabels(r io.Reader) ([]Label, error) {
	c := csv.NewReader(r)
	c.Comma = '\t'
	c.LazyQuotes = true
	header, err := c.Read()
	if err != nil {
		return nil, fmt.Errorf("read labels' header: %w", err)
	}
	file, years, person := slices.Index(header, "file"), slices.Index(header, "age"), slices.Index(header, "person")
	if file < 0 || years < 0 {
		return nil, errors.New("labels need the columns file and age, separated by tabs")
	}

	var labels []Label
	for {
		record, err := c.Read()
		if errors.Is(err, io.EOF) {
			return labels, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read labels: %w", err)
		}
		line, _ := c.FieldPos(0)
		l := Label{File: record[file], Person: record[file], Groups: map[string]string{}}
		l.Age, err = strconv.ParseFloat(record[years], 64)
		if err != nil || !(l.Age >= 0 && l.Age <= age.Oldest) {
			return nil, fmt.Errorf("labels, line %d: age is not a number from 0 to %d", line, age.Oldest)
		}
		for i, value := range record {
			switch {
			case value == "" || i == file || i == years:
			case i == person:
				l.Person = value
			default:
				l.Groups[header[i]] = value
			}
		}
		labels = append(labels, l)
	}
}
