package batch

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"

	"github.com/agequote/agequote/internal/casefile"
)

// Names of a batch's objects on AWS, in the cases bucket below Prefix. What came
// of the batch has the names that it has in a folder: results.csv ...
const (
	ManifestName = "manifest.csv"  // as it was given; a listing has none
	ItemsName    = "items.csv"     // what the state machine reads: a line for each photo
	ExcludedName = "excluded.json" // lines of the manifest that are no items, and why
	AboutName    = "batch.json"
)

var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,79}$`)

// ValidID tells whether id can name a batch. It names the execution too, so
// Step Functions' rules hold.
func ValidID(id string) bool { return idPattern.MatchString(id) }

// Prefix is the folder of a batch in the cases bucket.
func Prefix(id string) string { return "batches/" + id + "/" }

// Key is the name of one of a batch's objects in the cases bucket.
func Key(id, name string) string { return Prefix(id) + name }

// Excluded are the lines of a manifest that never became items, by their number.
type Excluded map[int]Problem

// itemColumns are those of items.csv, the fields of a batch event's items.
var itemColumns = []string{"case", "n", "bucket", "key", "version"}

// Upload is one photo that a batch on AWS reads: a line of items.csv.
type Upload struct {
	Case    string
	N       int
	Bucket  string
	Key     string
	Version string
}

// WriteUploads writes items.csv.
func WriteUploads(w io.Writer, uploads []Upload) error {
	c := csv.NewWriter(w)
	if err := c.Write(itemColumns); err != nil {
		return fmt.Errorf("write items: %w", err)
	}
	for _, u := range uploads {
		if err := c.Write([]string{u.Case, strconv.Itoa(u.N), u.Bucket, u.Key, u.Version}); err != nil {
			return fmt.Errorf("write items: %w", err)
		}
	}
	if c.Flush(); c.Error() != nil {
		return fmt.Errorf("write items: %w", c.Error())
	}
	return nil
}

// ReadUploads reads items.csv, and calls each with the number of the line.
func ReadUploads(r io.Reader, each func(line int, u Upload) error) error {
	c := csv.NewReader(r)
	c.FieldsPerRecord = len(itemColumns)
	for line := 1; ; line++ {
		record, err := c.Read()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return errors.New("read items: a line cannot be read") // the reader's text holds the line's
		case line == 1:
			continue
		}
		n, err := strconv.Atoi(record[1])
		if err != nil || n < 1 || !casefile.ValidID(record[0]) {
			return fmt.Errorf("read items: line %d names no photo of a case", line)
		}
		if err := each(line, Upload{record[0], n, record[2], record[3], record[4]}); err != nil {
			return err
		}
	}
}
