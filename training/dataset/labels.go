package dataset

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

// labelColumns are the columns of labels.tsv; the first two are needed.
var labelColumns = []string{"file", "age", "person", "sex", "race", "dataset", "same_photo"}

// readLabels reads an insurer's own labels.tsv. A column that it does not know
// ends the reading: a misspelt "person" would let people stand on both sides
// of the split and make every figure too good.
func readLabels(images string, s Source) ([]Sample, error) {
	f, err := os.Open(under(images, s.File))
	if err != nil {
		return nil, fmt.Errorf("open labels: %w", err)
	}
	defer f.Close()
	return parseLabels(f, s)
}

func parseLabels(r io.Reader, s Source) ([]Sample, error) {
	c := csv.NewReader(r)
	c.Comma = '\t'
	c.LazyQuotes = true
	header, err := c.Read()
	if err != nil {
		return nil, fmt.Errorf("read labels' header: %w", err)
	}
	if err := checkHeader(header); err != nil {
		return nil, err
	}

	var samples []Sample
	for {
		record, err := c.Read()
		if errors.Is(err, io.EOF) {
			return samples, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read labels: %w", err)
		}
		value := func(column string) string {
			if i := slices.Index(header, column); i >= 0 {
				return record[i]
			}
			return ""
		}
		p := Sample{
			File: s.inDir(value("file")), Person: value("person"), Photo: value("same_photo"),
			Sex: value("sex"), Race: value("race"), Dataset: value("dataset"),
		}
		if p.Age, err = strconv.ParseFloat(value("age"), 64); err != nil {
			p.Age = math.NaN()
		}
		if value("file") == "" {
			p.Drop = BadName
		}
		samples = append(samples, p)
	}
}

func checkHeader(header []string) error {
	var problems []error
	for i, column := range header {
		if !slices.Contains(labelColumns, column) {
			problems = append(problems, fmt.Errorf("labels: unknown column %q; the columns are %s", column, strings.Join(labelColumns, ", ")))
		}
		if slices.Contains(header[:i], column) {
			problems = append(problems, fmt.Errorf("labels: column %q twice", column))
		}
	}
	for _, column := range labelColumns[:2] {
		if !slices.Contains(header, column) {
			problems = append(problems, fmt.Errorf("labels: no column %q, separated by tabs", column))
		}
	}
	return errors.Join(problems...)
}
