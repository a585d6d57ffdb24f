package main

import (
	"context"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/agequote/agequote/training/dataset"
	"github.com/agequote/agequote/training/recipe"
)

// Files that applicants writes.
const (
	statedManifest   = "stated.csv"
	unstatedManifest = "unstated.csv"
	trueAges         = "true-ages.tsv"
)

// applicants makes manifests for `agequote batch` of a data set's validation
// photos: the people are on them, what they declare is drawn by a seed. In one
// they state their age and the photo checks it, in the other the photo gives it.
// Race is a column that serves measuring alone.
func applicants(_ context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("applicants", flag.ContinueOnError)
	fs.SetOutput(stderr)
	file := fs.String("recipe", "", "recipe whose data part says what to read")
	source := fs.String("source", "utkface", "data set of the recipe whose validation photos are taken")
	images := fs.String("images", "", "folder of the images")
	out := fs.String("out", "", "folder to write to")
	seed := fs.Uint64("seed", 1, "of what is drawn")
	day := fs.String("consent", time.Now().UTC().Format(time.DateOnly), "day of the made-up consents, YYYY-MM-DD")
	if err := fs.Parse(args); err != nil {
		return flagError(err)
	}
	if *file == "" || *images == "" || *out == "" {
		return fmt.Errorf("%w: --recipe, --images and --out are needed", errUsage)
	}
	consented, err := time.Parse(time.DateOnly, *day)
	if err != nil {
		return fmt.Errorf("%w: --consent is a day, YYYY-MM-DD", errUsage)
	}
	r, err := recipe.Load(*file)
	if err != nil {
		return err
	}
	samples, err := dataset.Read(&r.Data, *images)
	if err != nil {
		return err
	}
	people := onePhotoEach(samples, *source)
	if len(people) == 0 {
		return fmt.Errorf("make applicants: no adult of %s validates by this recipe", *source)
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if err := writeApplicants(*out, people, *seed, consented); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%d people in %s\n", len(people), *out)
	return err
}

// onePhotoEach are adults of 18 to 75 with a sex, one photo each: copies of a
// picture would be referred as duplicates.
func onePhotoEach(samples []dataset.Sample, source string) []dataset.Sample {
	var people []dataset.Sample
	seen := map[string]bool{}
	for _, s := range samples {
		if s.Dataset != source || s.Side != dataset.Validation || s.Drop != "" || s.Age < 18 || s.Age > 75 || s.Sex == "" || seen[s.Person] {
			continue
		}
		seen[s.Person] = true
		people = append(people, s)
	}
	slices.SortFunc(people, func(a, b dataset.Sample) int {
		if a.File < b.File {
			return -1
		}
		return 1
	})
	return people
}

// writeApplicants draws the same facts for the same people and seed. Heights and
// weights are about those of adults; nothing drawn depends on the race.
func writeApplicants(dir string, people []dataset.Sample, seed uint64, consented time.Time) (err error) {
	tables := map[string]*csv.Writer{}
	for name, header := range map[string][]string{
		statedManifest:   manifestHeader,
		unstatedManifest: manifestHeader,
		trueAges:         {"case", "age"},
	} {
		f, createErr := os.Create(filepath.Join(dir, name))
		if createErr != nil {
			return fmt.Errorf("make applicants: %w", createErr)
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		tables[name] = csv.NewWriter(f)
		if name == trueAges {
			tables[name].Comma = '\t'
		}
		if err := tables[name].Write(header); err != nil {
			return fmt.Errorf("make applicants: %w", err)
		}
	}
	r := rand.New(rand.NewPCG(seed, 8))
	for i, p := range people {
		id := fmt.Sprintf("person-%05d", i+1)
		height, bmi := 163.0, 0.0
		if p.Sex == "male" {
			height = 176
		}
		height = math.Round(height + 7*r.NormFloat64())
		bmi = min(max(25+3.5*r.NormFloat64(), 18.5), 36)
		weight := math.Round(bmi * height * height / 1e4)
		tobacco := []string{"never", "never", "never", "never", "never", "never", "former:8", "former:3", "current", "current:cigarettes"}[r.IntN(10)]
		sum := []string{"100000", "250000", "500000"}[r.IntN(3)]
		term := "10"
		if young := r.IntN(2) == 0; young && p.Age <= 55 {
			term = "20"
		}
		years := strconv.FormatFloat(p.Age, 'f', -1, 64)
		line := func(age string) []string {
			return []string{id, p.File, age, p.Sex, fmt.Sprintf("%.0f", height), fmt.Sprintf("%.0f", weight), tobacco, sum, term, "US",
				consentVersion, consented.Format(time.RFC3339), "365", p.Race}
		}
		for name, record := range map[string][]string{statedManifest: line(years), unstatedManifest: line(""), trueAges: {id, years}} {
			if err := tables[name].Write(record); err != nil {
				return fmt.Errorf("make applicants: %w", err)
			}
		}
	}
	for _, t := range tables {
		t.Flush()
		if err := t.Error(); err != nil {
			return fmt.Errorf("make applicants: %w", err)
		}
	}
	return nil
}

// consentVersion is the text that the made-up people agreed to.
const consentVersion = "2026-11-25"

var manifestHeader = []string{"case", "photo", "age", "sex", "height_cm", "weight_kg", "tobacco", "sum", "term", "market",
	"consent_version", "consent_time", "consent_days", "race"}
