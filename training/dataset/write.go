package dataset

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/reason"
)

// Files of a prepared run.
const (
	TrainFile      = "train.tsv"      // labels, and the column weight
	ValidationFile = "validation.tsv" // labels
	DroppedFile    = "dropped.json"   // the Report
	PhotosFile     = "photos.tsv"     // every photo that was read, and what became of it
)

const weightColumn = "weight"

var (
	writtenColumns = []string{"file", "age", "person", "dataset", "sex", "race"}
	photoColumns   = []string{"file", "dataset", "side", "reason", "sha256", "code", "reader"}
)

// Write writes the four files into the folder dir, which is made if need be.
// faces names what gave the codes, for ReadCodes.
func Write(dir string, samples []Sample, r Report, faces string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make folder of the run: %w", err)
	}
	train := [][]string{append(slices.Clone(writtenColumns), weightColumn)}
	validation := [][]string{writtenColumns}
	photos := [][]string{photoColumns}
	for _, p := range samples {
		label := []string{p.File, decimal(p.Age), p.Person, p.Dataset, p.Sex, p.Race}
		switch p.Side {
		case Train:
			train = append(train, append(label, decimal(p.Weight)))
		case Validation:
			validation = append(validation, label)
		}
		photo := []string{p.File, p.Dataset, string(p.Side), string(p.Drop), p.Hash, string(p.Code), ""}
		if p.Code != "" {
			photo[len(photo)-1] = faces
		}
		photos = append(photos, photo)
	}
	report, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return errors.Join(
		writeTSV(filepath.Join(dir, TrainFile), train),
		writeTSV(filepath.Join(dir, ValidationFile), validation),
		writeTSV(filepath.Join(dir, PhotosFile), photos),
		os.WriteFile(filepath.Join(dir, DroppedFile), append(report, '\n'), 0o644),
	)
}

func decimal(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func writeTSV(path string, records [][]string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := csv.NewWriter(f)
	w.Comma = '\t'
	return errors.Join(w.WriteAll(records), f.Close())
}

// ReadCodes reads what serving said of files, by hash, from an earlier run's
// folder, as far as the same faces said it. A folder without photos.tsv has
// nothing to say.
func ReadCodes(dir, faces string) (map[string]reason.Code, error) {
	f, err := os.Open(filepath.Join(dir, PhotosFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open photos of the earlier run: %w", err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma = '\t'
	records, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read photos of the earlier run: %w", err)
	}
	if len(records) == 0 || !slices.Equal(records[0], photoColumns) {
		return nil, nil // another version's
	}
	codes := map[string]reason.Code{}
	for _, record := range records[1:] {
		hash, code, reader := record[4], record[5], record[6]
		if reader == faces && slices.Contains(reason.Codes(), reason.Code(code)) {
			codes[hash] = reason.Code(code)
		}
	}
	return codes, nil
}

// Weighted is a line of train.tsv.
type Weighted struct {
	evaluation.Label
	Weight float64 // above 0; 1 for most
}

// ReadTrain reads train.tsv of a run's folder.
func ReadTrain(dir string) ([]Weighted, error) {
	labels, err := readLabelFile(filepath.Join(dir, TrainFile))
	if err != nil {
		return nil, err
	}
	weighted := make([]Weighted, len(labels))
	for i, l := range labels {
		w, err := strconv.ParseFloat(l.Groups[weightColumn], 64)
		if err != nil || !(w > 0) {
			return nil, fmt.Errorf("%s: a weight is missing or not above 0", TrainFile)
		}
		delete(l.Groups, weightColumn)
		weighted[i] = Weighted{Label: l, Weight: w}
	}
	return weighted, nil
}

// ReadValidation reads validation.tsv of a run's folder.
func ReadValidation(dir string) ([]evaluation.Label, error) {
	return readLabelFile(filepath.Join(dir, ValidationFile))
}

func readLabelFile(path string) ([]evaluation.Label, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open labels: %w", err)
	}
	defer f.Close()
	return evaluation.ReadLabels(f)
}
