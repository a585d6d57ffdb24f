// Package batch runs predict and quote over many applications at once, and
// tells what became of each: rows, counts that add up, and a report. It has no
// rules of its own: the handlers are those that Lambda runs.
package batch

// Outcome is what became of one item. Every item has exactly one.
type Outcome string

// The outcomes. Listed items are the sum of all of them.
const (
	Quoted    Outcome = "quoted"
	Referred  Outcome = "referred"
	Postponed Outcome = "postponed"
	Declined  Outcome = "declined"
	Refused   Outcome = "refused" // the photo was, with its code
	Failed    Outcome = "failed"  // processing gave up
)

// Outcomes in the order of reports.
var Outcomes = []Outcome{Quoted, Referred, Postponed, Declined, Refused, Failed}

// Row is one item of a batch: what was declared, what was read and what came of
// it, all from stored objects but the item's own line and the times. A number
// that does not exist is null. The tags are the columns of results.csv and
// results.parquet, in this order.
type Row struct {
	Row     int     `parquet:"row" json:"row"` // line of the manifest, whose header is line 1
	Case    string  `parquet:"case" json:"case"`
	Photo   string  `parquet:"photo" json:"photo"` // as the manifest names it
	Outcome Outcome `parquet:"outcome" json:"outcome"`
	Code    string  `parquet:"code" json:"code"`       // ok, or the photo's refusal, or the failure's
	Stage   string  `parquet:"stage" json:"stage"`     // of a failure: manifest, predict or quote
	Tries   int     `parquet:"tries" json:"tries"`     // of a failure, before it was given up
	Reasons string  `parquet:"reasons" json:"reasons"` // codes of the quote's reasons, joined by spaces
	Message string  `parquet:"message" json:"message"` // one plain sentence for what is not quoted

	DeclaredAge *float64 `parquet:"declared_age,optional" json:"declared_age"` // at the valuation date
	Sex         string   `parquet:"sex" json:"sex"`
	HeightCM    *float64 `parquet:"height_cm,optional" json:"height_cm"`
	WeightKG    *float64 `parquet:"weight_kg,optional" json:"weight_kg"`
	Tobacco     string   `parquet:"tobacco" json:"tobacco"`
	SumCents    int64    `parquet:"sum_cents" json:"sum_cents"`
	TermYears   int      `parquet:"term_years" json:"term_years"`
	Market      string   `parquet:"market" json:"market"`

	Age      *float64 `parquet:"age,optional" json:"age"`
	Low      *float64 `parquet:"low,optional" json:"low"`
	High     *float64 `parquet:"high,optional" json:"high"`
	Coverage *float64 `parquet:"coverage,optional" json:"coverage"`

	Product            string `parquet:"product" json:"product"`
	Class              string `parquet:"class" json:"class"`
	Rating             string `parquet:"rating" json:"rating"`
	PriceAge           *int   `parquet:"price_age,optional" json:"price_age"`
	Currency           string `parquet:"currency" json:"currency"`
	GrossCents         *int64 `parquet:"gross_annual_cents,optional" json:"gross_annual_cents"`
	GrossLowCents      *int64 `parquet:"gross_low_cents,optional" json:"gross_low_cents"`
	GrossEstimateCents *int64 `parquet:"gross_estimated_cents,optional" json:"gross_estimated_cents"`
	GrossHighCents     *int64 `parquet:"gross_high_cents,optional" json:"gross_high_cents"`
	ExpectedCents      *int64 `parquet:"expected_gross_annual_cents,optional" json:"expected_gross_annual_cents"`
	Duplicates         string `parquet:"duplicates" json:"duplicates"` // other cases with this photo, joined by spaces

	PhotoHash       string `parquet:"photo_hash" json:"photo_hash"`
	ModelHash       string `parquet:"model_hash" json:"model_hash"`
	RulesHash       string `parquet:"rules_hash" json:"rules_hash"`
	TablesHash      string `parquet:"tables_hash" json:"tables_hash"`
	ApplicationHash string `parquet:"application_hash" json:"application_hash"`
	EstimateHash    string `parquet:"estimate_hash" json:"estimate_hash"`
	CodeVersion     string `parquet:"code_version" json:"code_version"`

	// Groups are columns of the manifest that serve measuring alone, such as
	// race=asian: never part of an application. Joined by spaces.
	Groups string `parquet:"groups" json:"groups"`
	MS     int64  `parquet:"ms" json:"ms"` // milliseconds from bytes to estimate
}
