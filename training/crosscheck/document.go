package crosscheck

import (
	"encoding/json"
	"fmt"

	"github.com/agequote/agequote/internal/evaluation"
)

// documentSchema of a Document.
const documentSchema = 1

// Document is all that was measured. Pages, plots and tables are made from it
// alone.
type Document struct {
	Schema    int        `json:"schema"`
	Readings  string     `json:"readings"` // hash of the readings file
	Model     string     `json:"model"`    // hash of the model package
	Point     string     `json:"point"`    // mean or median, the package's
	Asked     float64    `json:"asked"`    // the package's own coverage
	Folds     int        `json:"folds"`
	Date      string     `json:"date"` // whose products are priced, YYYY-MM-DD
	Photos    Photos     `json:"photos"`
	Applicant string     `json:"applicant"` // of the curves, in words
	Currency  string     `json:"currency"`
	Levels    []Level    `json:"levels"`   // of the first product, rising
	Slacks    []Rule     `json:"slacks"`   // the first product's rule at the package's coverage, by slack
	Products  []Product  `json:"products"` // as they stand, at the package's coverage
	Groups    []Group    `json:"groups"`   // of the first product as it stands
	Saved     []Saved    `json:"saved"`    // by a younger age, of the first product
	Yields    []Referred `json:"yields"`   // of the rules in Slacks
}

// Photos counts what was measured on.
type Photos struct {
	Read     int            `json:"read"`
	Adults   int            `json:"adults"`   // of them of 18 to 75 by their true age
	Accepted int            `json:"accepted"` // of the adults
	People   int            `json:"people"`   // of the accepted
	Refused  map[string]int `json:"refused"`  // adults by code: no estimate, another photo is asked for
}

// Share is a part of N photos, 0 to 1, with a 95 % bootstrap interval that
// draws people. Value is 0 where N is.
type Share struct {
	N     int                  `json:"n"`
	Value float64              `json:"value"`
	CI    *evaluation.Interval `json:"ci"`
}

// Ratio tells of N ratios of two premiums. Pooled is the sum of the upper ones
// over the sum of the lower ones, which is what a book of policies feels.
type Ratio struct {
	N        int                  `json:"n"`
	P10      float64              `json:"p10"`
	Median   float64              `json:"median"`
	MedianCI *evaluation.Interval `json:"median_ci"`
	P90      float64              `json:"p90"`
	Pooled   float64              `json:"pooled"`
	PooledCI *evaluation.Interval `json:"pooled_ci"`
}

// Caught is what becomes of ages misstated by Years.
type Caught struct {
	Years   int   `json:"years"`
	Caught  Share `json:"caught"`  // outside the interval and its slack
	Stopped Share `json:"stopped"` // sent to a person for any cause
}

// Rule is what a rule does that holds a declared age against the interval.
type Rule struct {
	Level float64 `json:"level"` // coverage asked for
	Slack float64 `json:"slack"` // years
	Width float64 `json:"width"` // widest interval in years that is quoted

	Quoted     Share `json:"quoted"`      // honest applicants without a person
	FalseAlarm Share `json:"false_alarm"` // honest, and outside
	TooWide    Share `json:"too_wide"`
	Touches18  Share `json:"touches_18"` // the interval begins under 18, or lies there

	// Only tells the causes apart where there is but one.
	OnlyFalseAlarm Share `json:"only_false_alarm"`
	OnlyTooWide    Share `json:"only_too_wide"`
	OnlyTouches18  Share `json:"only_touches_18"`
	Several        Share `json:"several"`

	Younger []Caught `json:"younger"`
	Older   []Caught `json:"older"`

	// Minors of 14 to 17 who are stopped when they declare 18, and when they
	// declare no age to a product that lets the photo give it.
	Minors       Share `json:"minors"`
	MinorsSilent Share `json:"minors_silent"`
}

// Charged is a premium that a photo alone gave, of those that are quoted
// without a person, against the premium at the true age.
type Charged struct {
	Charge string `json:"charge"`
	Quoted Share  `json:"quoted"`
	Ratio  Ratio  `json:"ratio"`
	Short  Share  `json:"short"` // charged less than nine tenths of the true premium
}

// Level is a coverage of the interval and what comes of it.
type Level struct {
	Asked     float64              `json:"asked"`
	Width     float64              `json:"width"` // mean, years
	WidthCI   *evaluation.Interval `json:"width_ci"`
	Rules     []Rule               `json:"rules"`    // by slack, rising from 0
	HighToLow Ratio                `json:"high_low"` // where both ends have a price
	Unpriced  Share                `json:"unpriced"` // an end has none: it passes an age limit
	Charges   []Charged            `json:"charges"`  // without a declared age
}

// Product is a product's rule as it stands.
type Product struct {
	ID        string    `json:"id"`
	Market    string    `json:"market"`
	Currency  string    `json:"currency"`
	Hash      string    `json:"hash"` // of its rules
	Applicant string    `json:"applicant"`
	Role      string    `json:"role"`
	Charge    string    `json:"charge"` // empty: an age must be declared
	MaxAge    int       `json:"max_age"`
	Rule      Rule      `json:"rule"`
	HighToLow Ratio     `json:"high_low"`
	Unpriced  Share     `json:"unpriced"`
	Charges   []Charged `json:"charges"` // what each charge would do
}

// Group is what one group of people meets. Groups are measured, and nothing is
// decided by them.
type Group struct {
	Name       string  `json:"name"`
	Photos     int     `json:"photos"`
	People     int     `json:"people"`
	Quoted     Share   `json:"quoted"`
	FalseAlarm Share   `json:"false_alarm"`
	Younger    []Share `json:"younger"` // caught, by Misstated
	HighToLow  Ratio   `json:"high_low"`
	Charged    Charged `json:"charged"` // the expected premium
}

// Saved is what a younger age saves, as a share of the true premium.
type Saved struct {
	Years int                  `json:"years"`
	N     int                  `json:"n"`
	Mean  float64              `json:"mean"` // of the summed premiums
	CI    *evaluation.Interval `json:"ci"`
}

// Referred is how many honest applicants a rule sends to a person because of
// their age for each one that it catches, where a share Prevalence of all make
// themselves Years younger. Nil where none is caught.
type Referred struct {
	Slack      float64  `json:"slack"`
	Years      int      `json:"years"`
	Prevalence float64  `json:"prevalence"`
	Honest     *float64 `json:"honest"`
}

// Encode returns the document's bytes.
func (d Document) Encode() ([]byte, error) {
	d.Schema = documentSchema
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode crosscheck: %w", err)
	}
	return append(b, '\n'), nil
}

// Parse reads what Encode wrote.
func Parse(b []byte) (Document, error) {
	var d Document
	if err := json.Unmarshal(b, &d); err != nil {
		return Document{}, fmt.Errorf("read crosscheck: %w", err)
	}
	if d.Schema != documentSchema {
		return Document{}, fmt.Errorf("read crosscheck: schema %d, want %d", d.Schema, documentSchema)
	}
	return d, nil
}
