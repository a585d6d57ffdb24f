package batch

import (
	"encoding/csv"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// rowGroup is how many rows of a Parquet file are held in memory before they
// are written.
const rowGroup = 5_000

// TimeColumns are those that differ between two runs of the same batch: the
// time taken, and the hashes of objects that hold a time or a salt. All others
// are the same to the byte.
var TimeColumns = []string{"ms", "application_hash", "estimate_hash"}

// Columns are the names of a row's columns in results.csv and results.parquet.
func Columns() []string {
	t := reflect.TypeFor[Row]()
	names := make([]string, t.NumField())
	for i := range names {
		names[i] = t.Field(i).Tag.Get("json")
	}
	return names
}

// Table writes results.csv and results.parquet, a row at a time.
type Table struct {
	csv     *csv.Writer
	parquet *parquet.GenericWriter[Row]
	record  []string
}

// NewTable begins both tables. Either writer may be nil, for none.
func NewTable(csvTo, parquetTo io.Writer) (*Table, error) {
	t := &Table{}
	if csvTo != nil {
		t.csv = csv.NewWriter(csvTo)
		if err := t.csv.Write(Columns()); err != nil {
			return nil, fmt.Errorf("write results: %w", err)
		}
	}
	if parquetTo != nil {
		t.parquet = parquet.NewGenericWriter[Row](parquetTo,
			parquet.Compression(&zstd.Codec{Level: zstd.SpeedDefault}),
			parquet.MaxRowsPerRowGroup(rowGroup),
			parquet.CreatedBy("agequote", "1", ""))
	}
	return t, nil
}

// Write adds a row. A number that does not exist is an empty field, and null.
func (t *Table) Write(r Row) error {
	if t.csv != nil {
		v := reflect.ValueOf(r)
		t.record = slices.Grow(t.record[:0], v.NumField())
		for i := range v.NumField() {
			t.record = append(t.record, field(v.Field(i)))
		}
		if err := t.csv.Write(t.record); err != nil {
			return fmt.Errorf("write results: %w", err)
		}
	}
	if t.parquet != nil {
		if _, err := t.parquet.Write([]Row{r}); err != nil {
			return fmt.Errorf("write results: %w", err)
		}
	}
	return nil
}

// field is a value as the CSV has it.
func field(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Int, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10)
	case reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'f', -1, 64)
	default:
		return withQuote(v.String())
	}
}

// Close ends the tables; it does not close what they write to.
func (t *Table) Close() error {
	if t.csv != nil {
		t.csv.Flush()
		if err := t.csv.Error(); err != nil {
			return fmt.Errorf("write results: %w", err)
		}
	}
	if t.parquet != nil {
		if err := t.parquet.Close(); err != nil {
			return fmt.Errorf("write results: %w", err)
		}
	}
	return nil
}

// formula tells whether a spreadsheet takes a field for one, and runs it. A
// number is none.
func formula(field string) bool {
	if field == "" || !strings.ContainsRune("=+-@\t", rune(field[0])) {
		return false
	}
	_, err := strconv.ParseFloat(field, 64)
	return err != nil
}

// withQuote keeps a spreadsheet from running what the manifest's line held, by a
// quote before it, which withoutQuote takes away when the table is run again.
func withQuote(field string) string {
	if formula(field) {
		return "'" + field
	}
	return field
}

func withoutQuote(field string) string {
	if rest, ok := strings.CutPrefix(field, "'"); ok && formula(rest) {
		return rest
	}
	return field
}

// Failures writes the failures table: the manifest's rows that failed, with
// code, stage, tries and message. It is itself a manifest for another run, and a
// field that a spreadsheet would run has a quote before it.
type Failures struct {
	csv    *csv.Writer
	header []string
	keep   []int // columns of the manifest that are no failure columns
}

// NewFailures begins the table for a manifest's header.
func NewFailures(to io.Writer, header []string) (*Failures, error) {
	f := &Failures{csv: csv.NewWriter(to)}
	for i, name := range header {
		if !slices.Contains(failureColumns, name) {
			f.keep = append(f.keep, i)
			f.header = append(f.header, name)
		}
	}
	if err := f.csv.Write(append(slices.Clone(f.header), failureColumns...)); err != nil {
		return nil, fmt.Errorf("write failures: %w", err)
	}
	return f, nil
}

// Write adds an item with its row, where it failed.
func (f *Failures) Write(item Item, r Row) error {
	if r.Outcome != Failed {
		return nil
	}
	record := make([]string, 0, len(f.keep)+len(failureColumns))
	for _, i := range f.keep {
		value := "" // of a line that could not be parted into fields
		if item.Fields != nil {
			value = withQuote(item.Fields[i])
		}
		record = append(record, value)
	}
	record = append(record, strconv.Itoa(r.Row), r.Code, r.Stage, strconv.Itoa(r.Tries), r.Message, withQuote(item.Raw))
	if err := f.csv.Write(record); err != nil {
		return fmt.Errorf("write failures: %w", err)
	}
	return nil
}

// Close ends the table; it does not close what it writes to.
func (f *Failures) Close() error {
	f.csv.Flush()
	if err := f.csv.Error(); err != nil {
		return fmt.Errorf("write failures: %w", err)
	}
	return nil
}
