package evaluation

import (
	"encoding/json"
	"fmt"
)

// DocumentName is the file of a model package that holds its Document.
const DocumentName = "evaluation.json"

// documentSchema of a Document.
const documentSchema = 1

// Document is evaluation.json, one of a model package's files: all that was
// measured of the model, for the card, for the publishing gate and for whoever
// asks later. Its report names no model, since the package's hash covers it.
type Document struct {
	Schema int    `json:"schema"`
	Labels string `json:"labels"` // "sha256:..." of the labels file
	// Folds by person over which the intervals were cross-validated; 0 where the
	// photos are others than those that the package was calibrated with, and its
	// intervals were measured as they stand.
	Folds   int     `json:"folds"`
	Report  Report  `json:"report"`
	Premium Premium `json:"premium"`
	Levels  []Level `json:"levels"` // rising; empty where Folds is 0
	Parity  *Parity `json:"parity"` // null where it was not measured
}

// Level is a coverage that was asked for, and what it gave.
type Level struct {
	Asked    float64   `json:"asked"`
	Coverage float64   `json:"coverage"`
	CI       *Interval `json:"ci"`
	Width    float64   `json:"width"` // mean, of adults of 18 to 75
}

// Parity is how far the exported network is from the trained one, at most, over
// so many photos.
type Parity struct {
	Photos         int     `json:"photos"`
	MaxProbability float64 `json:"max_probability"`
	MaxYears       float64 `json:"max_years"` // of the point estimate
}

// Encode returns the document's bytes, as they are stored.
func (d Document) Encode() ([]byte, error) {
	d.Schema = documentSchema
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode evaluation: %w", err)
	}
	return append(b, '\n'), nil
}

// ParseDocument reads what Encode wrote. Fields that it does not know are let
// pass: a reader asks for some figures, not for all.
func ParseDocument(b []byte) (Document, error) {
	var d Document
	if err := json.Unmarshal(b, &d); err != nil {
		return Document{}, fmt.Errorf("parse evaluation: %w", err)
	}
	if d.Schema != documentSchema {
		return Document{}, fmt.Errorf("parse evaluation: schema %d, this code reads %d", d.Schema, documentSchema)
	}
	return d, nil
}
