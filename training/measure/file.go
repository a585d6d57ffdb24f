package measure

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/reason"
)

// line is a reading as it is kept in a file: one JSON object a line. The groups
// that the project's own labels have are fields of their own.
type line struct {
	File         string           `json:"file"`
	Age          float64          `json:"age"`
	Person       string           `json:"person"`
	Dataset      string           `json:"dataset,omitempty"`
	Sex          string           `json:"sex,omitempty"`
	Race         string           `json:"race,omitempty"`
	Code         reason.Code      `json:"code"`
	Distribution age.Distribution `json:"distribution"` // null where refused
}

// columns are the groups that a readings file keeps.
var columns = map[string]func(*line) *string{
	"dataset": func(l *line) *string { return &l.Dataset },
	"sex":     func(l *line) *string { return &l.Sex },
	"race":    func(l *line) *string { return &l.Race },
}

// Write keeps readings in a file of JSON lines, so that ways of calibrating can
// be compared without reading the photos again. Groups other than dataset, sex
// and race are left out.
func Write(w io.Writer, readings []Reading) error {
	b := bufio.NewWriter(w)
	e := json.NewEncoder(b)
	for _, r := range readings {
		l := line{File: r.Label.File, Age: r.Label.Age, Person: r.Label.Person, Code: r.Code, Distribution: r.Distribution}
		for name, field := range columns {
			*field(&l) = r.Label.Groups[name]
		}
		if err := e.Encode(l); err != nil {
			return fmt.Errorf("write readings: %w", err)
		}
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write readings: %w", err)
	}
	return nil
}

// ReadFile reads what Write wrote. A distribution is normalised and rounded as
// serving does, so that probabilities of any source may stand in the file.
func ReadFile(r io.Reader) ([]Reading, error) {
	var readings []Reading
	d := json.NewDecoder(r)
	for {
		var l line
		err := d.Decode(&l)
		if errors.Is(err, io.EOF) {
			return readings, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read readings, line %d: %w", len(readings)+1, err)
		}
		reading := Reading{Label: evaluation.Label{File: l.File, Age: l.Age, Person: l.Person, Groups: map[string]string{}}, Code: l.Code}
		for name, field := range columns {
			if value := *field(&l); value != "" {
				reading.Label.Groups[name] = value
			}
		}
		if l.Code == reason.OK {
			output := make([]float32, len(l.Distribution))
			for k, p := range l.Distribution {
				output[k] = float32(p)
			}
			if reading.Distribution, err = age.NewDistribution(output); err != nil {
				return nil, fmt.Errorf("read readings, line %d: %w", len(readings)+1, err)
			}
		}
		readings = append(readings, reading)
	}
}
