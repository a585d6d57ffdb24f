package recipe

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/goccy/go-yaml"
)

// Ablation is a recipe and changes to it, each to be run by itself: what each
// part of the recipe is worth.
type Ablation struct {
	Base   string `yaml:"base"`   // recipe, beside this file
	Common Change `yaml:"common"` // made to all rows, the unchanged one too: fewer steps, say
	Rows   []Row  `yaml:"rows"`
}

// Row is one change.
type Row struct {
	Name   string `yaml:"name"`   // of the run's folder
	What   string `yaml:"what"`   // a few words for the table
	Change Change `yaml:"change"` // nothing: the base itself
}

// Change is a part of a recipe that replaces the recipe's own. Lists are replaced
// whole.
type Change []byte

// UnmarshalYAML keeps the text.
func (c *Change) UnmarshalYAML(b []byte) error {
	*c = bytes.Clone(b)
	return nil
}

// LoadAblation reads the file and returns the recipe of each of its rows.
func LoadAblation(path string) (*Ablation, []*Recipe, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read ablation: %w", err)
	}
	var a Ablation
	if err := yaml.NewDecoder(bytes.NewReader(raw), yaml.Strict()).Decode(&a); err != nil {
		return nil, nil, fmt.Errorf("%s: %s", path, yaml.FormatError(err, false, false))
	}
	base, err := os.ReadFile(filepath.Join(filepath.Dir(path), a.Base))
	if err != nil {
		return nil, nil, fmt.Errorf("read recipe: %w", err)
	}
	var recipes []*Recipe
	for _, row := range a.Rows {
		r, err := Parse(base, a.Common, row.Change)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: row %s: %w", path, row.Name, err)
		}
		if !nameForm.MatchString(row.Name) {
			return nil, nil, errors.New("ablation: name " + row.Name)
		}
		recipes = append(recipes, r)
	}
	return &a, recipes, nil
}
