package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/agequote/agequote/training/dataset"
	"github.com/agequote/agequote/training/fit"
	"github.com/agequote/agequote/training/recipe"
)

// ablated is a row's result.
type ablated struct {
	Name    string             `json:"name"`
	What    string             `json:"what"`
	Point   string             `json:"point"`
	MAE     map[string]float64 `json:"mae"`    // at the end of the row's run, with the mirror image if the recipe says so
	Single  map[string]float64 `json:"single"` // the same without the mirror image
	Seconds float64            `json:"seconds"`
	Recipe  string             `json:"recipe"` // hash
}

// ablation runs a recipe and changes to it, one after another, and prints the
// table. A row that is finished is not run again.
func ablation(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := runFlags{}
	fs := flag.NewFlagSet("ablation", flag.ContinueOnError)
	fs.SetOutput(stderr)
	rows := fs.String("rows", "", "file of rows, see training/recipes/ablation/transfer.yaml")
	data := fs.String("prepared", "", "folder of a prepared run, with train.tsv and validation.tsv")
	f.register(fs)
	if err := fs.Parse(args); err != nil {
		return flagError(err)
	}
	if *rows == "" || *data == "" || f.out == "" || f.cache == "" {
		return fmt.Errorf("%w: --rows, --prepared, --out and --cache are needed", errUsage)
	}
	a, recipes, err := recipe.LoadAblation(*rows)
	if err != nil {
		return err
	}
	var results []ablated
	for i, row := range a.Rows {
		fmt.Fprintf(stderr, "%s: %s\n", row.Name, row.What)
		result, err := f.ablate(ctx, row, recipes[i], *data, filepath.Join(f.out, row.Name), stderr)
		if err != nil {
			return fmt.Errorf("row %s: %w", row.Name, err)
		}
		results = append(results, result)
	}
	printAblation(stdout, results)
	return nil
}

const resultFile = "result.json"

func (f runFlags) ablate(ctx context.Context, row recipe.Row, r *recipe.Recipe, data, dir string, stderr io.Writer) (result ablated, err error) {
	if b, err := os.ReadFile(filepath.Join(dir, resultFile)); err == nil {
		if err := json.Unmarshal(b, &result); err != nil || result.Recipe == r.Hash {
			return result, err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return result, fmt.Errorf("make folder of the row: %w", err)
	}
	for _, name := range []string{dataset.TrainFile, dataset.ValidationFile} {
		b, err := os.ReadFile(filepath.Join(data, name))
		if err != nil {
			return result, fmt.Errorf("read prepared labels: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return result, fmt.Errorf("write labels: %w", err)
		}
	}
	f.out = dir
	j, err := f.newJobOf(ctx, r, stderr)
	if err != nil {
		return result, err
	}
	defer j.Close()
	started := time.Now()
	if _, err := j.run.Fit(ctx); err != nil {
		return result, err
	}
	result = ablated{Name: row.Name, What: row.What, Seconds: time.Since(started).Seconds(), Recipe: r.Hash}
	both, single, err := j.final()
	if err != nil {
		return result, err
	}
	result.Point, result.MAE, result.Single = both.Point, both.MAE, single.MAE
	b, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return result, fmt.Errorf("encode result: %w", err)
	}
	return result, os.WriteFile(filepath.Join(dir, resultFile), b, 0o644)
}

// final measures the last weights with and without the mirror image.
func (j *job) final() (both, single fit.Scores, err error) {
	stages := j.recipe.Fit.Stages
	data, err := j.run.Data(stages[len(stages)-1])
	if err != nil {
		return both, single, err
	}
	if both, err = j.run.Score(data); err != nil {
		return both, single, err
	}
	alone := *j.run
	alone.Settings.Mirror = false
	single, err = alone.Score(data)
	return both, single, err
}

// printAblation prints a table in Markdown, the first row being what the others
// are compared with.
func printAblation(w io.Writer, results []ablated) {
	fmt.Fprintln(w, "| row | change | UTKFace MAE | FG-NET MAE | UTKFace, no mirror image | training, s |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|")
	for _, r := range results {
		fmt.Fprintf(w, "| %s | %s | %.2f | %.2f | %.2f | %.0f |\n", r.Name, r.What,
			lesser(r.MAE, "utkface"), lesser(r.MAE, "fgnet"), lesser(r.Single, "utkface"), r.Seconds)
	}
}

// lesser is the error by the better point estimate.
func lesser(mae map[string]float64, source string) float64 {
	best := -1.0
	for _, point := range []string{"mean", "median", "output"} {
		if v, ok := mae[source+"/"+point]; ok && (best < 0 || v < best) {
			best = v
		}
	}
	return best
}
