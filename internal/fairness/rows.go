package fairness

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strconv"

	"github.com/agequote/agequote/internal/batch"
)

// ReadRows calls do with every row of a batch's results.csv until do fails. A
// column that it does not know is passed over, one that is missing is empty, so
// that results of other versions can be read; case and outcome must be there.
// Its error names the line and holds nothing of it.
func ReadRows(r io.Reader, do func(batch.Row) error) error {
	c := csv.NewReader(r)
	c.ReuseRecord = true
	first, err := c.Read()
	if err != nil {
		return fmt.Errorf("read results' header: %w", withoutText(err))
	}
	header := slices.Clone(first)
	for _, name := range []string{"case", "outcome"} {
		if !slices.Contains(header, name) {
			return fmt.Errorf("read results: no column %s", name)
		}
	}
	fields := make([]int, len(header)) // of batch.Row by column; -1: passed over
	t := reflect.TypeFor[batch.Row]()
	for i, name := range header {
		fields[i] = -1
		for k := range t.NumField() {
			if t.Field(k).Tag.Get("json") == name {
				fields[i] = k
			}
		}
	}
	for {
		record, err := c.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read results: %w", withoutText(err))
		}
		var row batch.Row
		for i, text := range record {
			if fields[i] < 0 {
				continue
			}
			if !set(reflect.ValueOf(&row).Elem().Field(fields[i]), text) {
				line, _ := c.FieldPos(i)
				return fmt.Errorf("read results: line %d: column %s holds no such value", line, header[i])
			}
		}
		if !slices.Contains(batch.Outcomes, row.Outcome) {
			line, _ := c.FieldPos(0)
			return fmt.Errorf("read results: line %d: no such outcome", line)
		}
		if err := do(row); err != nil {
			return err
		}
	}
}

// set puts the text of a field into a value, as package batch writes it.
func set(v reflect.Value, text string) bool {
	if v.Kind() == reflect.Pointer {
		if text == "" {
			return true
		}
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Int, reflect.Int64:
		if text == "" {
			return true
		}
		n, err := strconv.ParseInt(text, 10, 64)
		v.SetInt(n)
		return err == nil
	case reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		v.SetFloat(n)
		return err == nil && math.Abs(n) <= 1e6 // no such age or size; false for NaN
	}
	v.SetString(text)
	return true
}
