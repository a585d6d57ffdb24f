package fairness

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/agequote/agequote/internal/age"
)

// maxLabels bounds a file of labels.
const maxLabels = 5_000_000

// ReadLabels reads a TSV with a header: columns case and age, the true age in
// years, and every further column a group. It returns the labels by case. Its
// error names the line and holds nothing of it.
func ReadLabels(r io.Reader) (map[string]Label, error) {
	c := csv.NewReader(r)
	c.Comma = '\t'
	c.ReuseRecord = true
	first, err := c.Read()
	if err != nil {
		return nil, fmt.Errorf("read labels' header: %w", withoutText(err))
	}
	header := slices.Clone(first)
	id, years := slices.Index(header, "case"), slices.Index(header, "age")
	if id < 0 || years < 0 {
		return nil, errors.New("labels need the columns case and age, separated by tabs")
	}
	labels := map[string]Label{}
	for {
		record, err := c.Read()
		if errors.Is(err, io.EOF) {
			return labels, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read labels: %w", withoutText(err))
		}
		line, _ := c.FieldPos(0)
		l := Label{}
		if l.Age, err = strconv.ParseFloat(record[years], 64); err != nil || !(l.Age >= 0 && l.Age <= age.Oldest) {
			return nil, fmt.Errorf("labels, line %d: age is not a number from 0 to %d", line, age.Oldest)
		}
		if _, again := labels[record[id]]; again || record[id] == "" {
			return nil, fmt.Errorf("labels, line %d: the case is empty or was there before", line)
		}
		if len(labels) == maxLabels {
			return nil, fmt.Errorf("labels, line %d: more than %d lines", line, maxLabels)
		}
		for i, value := range record {
			if value != "" && i != id && i != years {
				if l.Groups == nil {
					l.Groups = map[string]string{}
				}
				l.Groups[header[i]] = value
			}
		}
		labels[record[id]] = l
	}
}

// withoutText keeps where a CSV error is, and drops what is there.
func withoutText(err error) error {
	var p *csv.ParseError
	if errors.As(err, &p) {
		return fmt.Errorf("line %d: %w", p.Line, p.Err)
	}
	return err
}
