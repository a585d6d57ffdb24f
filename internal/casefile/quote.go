package casefile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/underwriting"
)

// Quote is the stored outcome of one application at one valuation date: an
// indicative premium, or the coded reasons why not. Amounts are whole cents of
// Currency; an amount that does not exist is null, never 0.
type Quote struct {
	Schema   int                   `json:"schema"`
	Case     string                `json:"case,omitempty"`  // empty on the command line
	Cause    string                `json:"cause,omitempty"` // "photo-0001" ..., as in the object's name
	Code     reason.Code           `json:"code"`
	Decision underwriting.Decision `json:"decision"`
	Class    string                `json:"class"` // empty where the build fits none
	Reasons  []underwriting.Reason `json:"reasons"`

	Amounts                      // at the price age: the declared one, else the estimate
	Mode               string    `json:"mode"`
	At                 *QuoteAt  `json:"at,omitempty"` // absent without a photo's interval
	ExpectedGrossCents *int64    `json:"expected_gross_annual_cents"`
	ExpectedMass       *float64  `json:"expected_mass"` // share of the distribution that could be priced, 0 to 1
	Basis              Basis     `json:"basis"`
	Interval           *Band     `json:"interval,omitempty"`
	Currency           string    `json:"currency"`
	ValuationDate      string    `json:"valuation_date"` // YYYY-MM-DD
	Expires            string    `json:"expires"`        // last day on which the quote stands, YYYY-MM-DD
	Notices            []string  `json:"notices"`
	ModelUse           string    `json:"model_use,omitempty"` // allowed use of the model that read the photo
	Replaces           *string   `json:"replaces"`            // name of the quote that this one replaces
	Inputs             Inputs    `json:"inputs"`
	Hashes             Hashes    `json:"hashes"`
	Time               time.Time `json:"time"`
}

// Amounts are one premium: net and gross a year, and one instalment.
type Amounts struct {
	NetAnnualCents   *int64 `json:"net_annual_cents"`
	GrossAnnualCents *int64 `json:"gross_annual_cents"`
	ModalCents       *int64 `json:"modal_cents"`
}

// QuoteAt holds the premiums along the age interval.
type QuoteAt struct {
	Low       QuoteAge `json:"low"`
	Estimated QuoteAge `json:"estimated"`
	High      QuoteAge `json:"high"`
}

// QuoteAge is the premium at one age of the interval, rounded half up to whole
// years. Reason says why its amounts are null.
type QuoteAge struct {
	Age int `json:"age"`
	Amounts
	Reason underwriting.Code `json:"reason,omitempty"`
}

// Basis is what the premium rests on. Table, Interest and Multiple are enough
// to compute the net premium again.
type Basis struct {
	Table          int                    `json:"table"` // the SOA's number; 0 where no table applies
	TableName      string                 `json:"table_name,omitempty"`
	Interest       float64                `json:"interest"`
	Multiple       float64                `json:"multiple"` // 0 where the build fits no class
	Loading        float64                `json:"loading"`
	PolicyFeeCents int64                  `json:"policy_fee_cents"`
	ModalFactor    float64                `json:"modal_factor"`
	AgeBasis       string                 `json:"age_basis"` // ALB or ANB
	PriceAge       int                    `json:"price_age"` // whole years
	PriceAgeSource underwriting.AgeSource `json:"price_age_source"`
	SumCents       int64                  `json:"sum_cents"`
	TermYears      int                    `json:"term_years"`
	Product        string                 `json:"product"`
}

// Band is the age interval as used, in years.
type Band struct {
	Age      float64  `json:"age"`
	Low      float64  `json:"low"`
	High     float64  `json:"high"`
	Coverage *float64 `json:"coverage"` // null where the caller gave the interval
}

// Inputs are the names of the stored objects that the quote was made from.
type Inputs struct {
	Application string `json:"application,omitempty"`
	Estimate    string `json:"estimate,omitempty"`
}

// Hashes name the content of everything that shaped the quote, so that a
// replay can prove that it had the same. Photo, model, estimate and application
// are absent where there was none.
type Hashes struct {
	Photo       string `json:"photo,omitempty"`
	Model       string `json:"model,omitempty"`
	Estimate    string `json:"estimate,omitempty"`
	Application string `json:"application,omitempty"`
	Rules       string `json:"rules"`            // the product file's bytes
	Tables      string `json:"tables,omitempty"` // the table file's bytes, see rulebook.Book.TablesHash
	Code        string `json:"code"`             // version of the code
}

// Encode returns the bytes under which the quote is stored: one line of JSON,
// fields in the order of the type, no HTML escapes, and a newline at the end,
// so that quotes put one after another are JSON Lines. Every writer uses it:
// a replay compares bytes.
func (q Quote) Encode() ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(q); err != nil {
		return nil, fmt.Errorf("encode quote: %w", err)
	}
	return buf.Bytes(), nil
}
