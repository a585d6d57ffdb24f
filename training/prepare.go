package main

import (
	"cmp"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// sample is one photo of a person whose age is known.
type sample struct {
	path    string // of the picture
	age     int    // in whole years
	dataset string
	sex     string // as the data set states it, for measuring only
	race    string // as the data set states it, for measuring only
	person  string // photos of one person never stand on both sides of a split
}

// prepare writes a labels file over photos that no model is trained on.
func prepare(args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("prepare", flag.ContinueOnError)
	fs.SetOutput(stderr)
	utkface := fs.String("utkface", "", "folder of UTKFace chips")
	folds := fs.String("folds", "", "folds.tsv of UTKFace: file, group, fold, note")
	fold := fs.Int("fold", 8, "fold of UTKFace to take")
	fgnet := fs.String("fgnet", "", "folder of FG-NET; the subjects kept apart are taken")
	out := fs.String("out", "", "labels file to write, relative paths from its --images folder")
	images := fs.String("images", "", "folder that the labels' paths are relative to")
	if err := fs.Parse(args); err != nil {
		return flagError(err)
	}
	if *out == "" || *images == "" || *utkface == "" && *fgnet == "" {
		return fmt.Errorf("%w: --out, --images and one data set are needed", errUsage)
	}

	var samples []sample
	if *utkface != "" {
		s, err := readUTKFace(*utkface, *folds, *fold)
		if err != nil {
			return err
		}
		samples = append(samples, s...)
	}
	if *fgnet != "" {
		s, err := readFGNET(*fgnet)
		if err != nil {
			return err
		}
		samples = append(samples, s...)
	}
	if err := writeLabels(*out, *images, samples); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%d photos in %s\n", len(samples), *out)
	return nil
}

func flagError(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	return fmt.Errorf("%w: %w", errUsage, err)
}

// utkName is UTKFace's file name: age_sex_race_date.jpg.chip.jpg. A few files
// lack the race.
var utkName = regexp.MustCompile(`^(\d+)_([01])(?:_([0-4]))?_`)

var (
	utkSexes = []string{"male", "female"}
	utkRaces = []string{"white", "black", "asian", "indian", "other"}
)

// readUTKFace takes the photos of one fold. Those marked unusable are left out
// everywhere; those whose ages conflict stay in measuring.
func readUTKFace(dir, folds string, fold int) ([]sample, error) {
	f, err := os.Open(folds)
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

	var samples []sample
	for _, record := range records[1:] {
		name, group, note := record[0], record[1], record[3]
		if record[2] != strconv.Itoa(fold) || note == "unusable" {
			continue
		}
		m := utkName.FindStringSubmatch(name)
		if m == nil {
			return nil, fmt.Errorf("UTKFace name %q", name)
		}
		s := sample{path: filepath.Join(dir, name), dataset: "utkface", person: "utkface-" + group}
		s.age, _ = strconv.Atoi(m[1])
		sex, _ := strconv.Atoi(m[2])
		s.sex = utkSexes[sex]
		if m[3] != "" {
			race, _ := strconv.Atoi(m[3])
			s.race = utkRaces[race]
		}
		samples = append(samples, s)
	}
	return samples, nil
}

// fgnetName is FG-NET's file name: subject, A, age, and a letter where a
// subject has several photos of one age.
var fgnetName = regexp.MustCompile(`(?i)^(\d{3})A(\d{2})[a-z]?\.jpg$`)

// keptApart tells the FG-NET subjects that no model is trained on: every sixth,
// from the first.
func keptApart(subject int) bool { return subject%6 == 1 }

// readFGNET takes the photos of the subjects that are kept apart.
func readFGNET(dir string) ([]sample, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read FG-NET: %w", err)
	}
	var samples []sample
	for _, e := range entries {
		m := fgnetName.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		subject, _ := strconv.Atoi(m[1])
		if !keptApart(subject) {
			continue
		}
		s := sample{path: filepath.Join(dir, e.Name()), dataset: "fgnet", person: "fgnet-" + m[1]}
		s.age, _ = strconv.Atoi(m[2])
		samples = append(samples, s)
	}
	return samples, nil
}

// writeLabels writes the samples as the TSV that evaluation reads.
func writeLabels(path, images string, samples []sample) error {
	slices.SortFunc(samples, func(a, b sample) int { return cmp.Compare(a.path, b.path) })
	var b strings.Builder
	b.WriteString("file\tage\tperson\tdataset\tsex\trace\n")
	for _, s := range samples {
		file, err := filepath.Rel(images, s.path)
		if err != nil {
			return fmt.Errorf("name a photo relative to --images: %w", err)
		}
		fmt.Fprintf(&b, "%s\t%d\t%s\t%s\t%s\t%s\n", filepath.ToSlash(file), s.age, s.person, s.dataset, s.sex, s.race)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("write labels: %w", err)
	}
	return nil
}
