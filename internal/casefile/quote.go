package casefile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/underwriting"
)

// QuoteSchema is the version of Quote as it is written now. Schema 1 had one
// table, no rating, no flat extras, and no principal reasons; a multiple of the
// table stood for the class. Its quotes decode into Quote, with those fields
// empty.
const QuoteSchema = 2

// Quote is the stored outcome of one application at one valuation date: an
// indicative premium, or the coded reasons why not. Amounts are whole cents of
// Currency; an amount that does not exist is null, never 0. A premium is that
// of the first policy year; Schedule has the later ones where it changes.
type Quote struct {
	Schema   int                   `json:"schema"`
	Case     string                `json:"case,omitempty"`  // empty on the command line
	Cause    string                `json:"cause,omitempty"` // "photo-0001" ..., as in the object's name
	Code     reason.Code           `json:"code"`
	Decision underwriting.Decision `json:"decision"`
	Class    string                `json:"class"` // empty where the build fits none
	Reasons  []underwriting.Reason `json:"reasons"`
	// Principal are the codes of the reasons that the customer is told, see
	// PrincipalReasons.
	Principal []underwriting.Code `json:"principal"`

	Amounts                      // what is charged, see Basis.Charged
	Mode               string    `json:"mode"`
	Schedule           []Step    `json:"schedule,omitempty"` // absent where the premium is the same in every year
	At                 *QuoteAt  `json:"at,omitempty"`       // absent without a photo's interval
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

// Step is the premium from a policy year on, counted from 1.
type Step struct {
	FromYear         int   `json:"from_year"`
	GrossAnnualCents int64 `json:"gross_annual_cents"`
	ModalCents       int64 `json:"modal_cents"`
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

// Basis is what the premium rests on. Tables, Interest and Multiple are enough
// to compute the net premium at a price age again, and the rest to make the
// gross one of it.
type Basis struct {
	Table     int          `json:"table"` // the SOA's number of the only table, or of the male one of a blend; 0 where none applies
	TableName string       `json:"table_name,omitempty"`
	Tables    []TableShare `json:"tables,omitempty"`
	Interest  float64      `json:"interest"`
	Multiple  float64      `json:"multiple"` // of the tables' mortality; 0 where there is no class
	// Rating is the table rating behind the multiple, "A" (+25 %) to "P"
	// (+400 %); empty: none.
	Rating         string      `json:"rating,omitempty"`
	FlatExtras     []FlatExtra `json:"flat_extras,omitempty"`
	Loading        float64     `json:"loading"`
	PolicyFeeCents int64       `json:"policy_fee_cents"`
	BandFactor     float64     `json:"band_factor"` // what the discounts for large sums leave of the charge; 1: all
	ModalFactor    float64     `json:"modal_factor"`
	AgeBasis       string      `json:"age_basis"` // ALB, ANB or ANX
	PriceAge       int         `json:"price_age"` // whole years; the point estimate's where the expected premium is charged

	PriceAgeSource underwriting.AgeSource `json:"price_age_source"`
	// Charged says which premium the quote's amounts are: that at the declared,
	// the estimated or the high age, or the expected one.
	Charged string `json:"charged,omitempty"`

	SumCents  int64  `json:"sum_cents"`
	TermYears int    `json:"term_years"`
	Product   string `json:"product"`
}

// TableShare is a mortality table with its share of a blend, 0 to 1.
type TableShare struct {
	Table int     `json:"table"` // the SOA's number
	Name  string  `json:"name"`
	Share float64 `json:"share"`
}

// FlatExtra is a charge of PerMille a year for each 1,000 of sum assured, for
// the first Years policy years; 0 is the whole term.
type FlatExtra struct {
	PerMille float64 `json:"per_mille"`
	Years    int     `json:"years,omitempty"`
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
	Duplicates  string `json:"duplicates,omitempty"` // of the photo; absent where it has none
	Decision    string `json:"decision,omitempty"`   // a person's, where the cause is one
}

// Hashes name the content of everything that shaped the quote, so that a
// replay can prove that it had the same. Photo, model, estimate, duplicates and
// application are absent where there was none.
type Hashes struct {
	Photo       string `json:"photo,omitempty"`
	Model       string `json:"model,omitempty"`
	Estimate    string `json:"estimate,omitempty"`
	Duplicates  string `json:"duplicates,omitempty"`
	Application string `json:"application,omitempty"`
	Decision    string `json:"decision,omitempty"`
	Rules       string `json:"rules"` // of the product and its parts together, see underwriting.Product.Hash
	// RuleFiles are the files behind Rules, so that a replay can tell which of
	// them is another one now.
	RuleFiles []RuleFile `json:"rule_files,omitempty"`
	Tables    string     `json:"tables,omitempty"` // the table files' bytes, see rulebook.Book.TablesHash
	Code      string     `json:"code"`             // version of the code
}

// RuleFile is a file of the rule book that took part in a quote.
type RuleFile struct {
	File string `json:"file"` // path in the rule book
	Hash string `json:"hash"` // of its bytes
}

// PrincipalReasons returns the reasons that the customer is told, at most four,
// strictest first: those that the quote names, or for a quote of schema 1 those
// that it would name now.
func (q *Quote) PrincipalReasons() []underwriting.Reason {
	if q.Schema < QuoteSchema {
		return underwriting.Principal(q.Reasons)
	}
	// A code stands as often as it is meant: its reasons come in their order.
	used := make([]bool, len(q.Reasons))
	var out []underwriting.Reason
	for _, code := range q.Principal {
		for i, r := range q.Reasons {
			if r.Code == code && !used[i] {
				used[i] = true
				out = append(out, r)
				break
			}
		}
	}
	return out
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
