package underwriting

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agequote/agequote/internal/premium"
)

// Facts are what the applicant declared. They come from the application form,
// a row of a batch manifest or the command line, never from the photo. Zero
// values mean "not stated".
type Facts struct {
	BirthDate string   `json:"birth_date,omitempty"` // ISO 8601 date, 1984-05-17
	Age       *float64 `json:"age,omitempty"`        // declared age in years, where no birth date is given
	Sex       string   `json:"sex,omitempty"`        // "female" or "male"; a pricing input only where the market allows it
	HeightCM  float64  `json:"height_cm"`
	WeightKG  float64  `json:"weight_kg"`
	Tobacco   string   `json:"tobacco"`   // never | former:YEARS | current[:KIND]
	SumCents  int64    `json:"sum_cents"` // sum assured in hundredths of the market's currency
	TermYears int      `json:"term_years"`
	Market    string   `json:"market"`            // "US" ...
	Product   string   `json:"product,omitempty"` // empty: the market's default product
	Mode      string   `json:"mode,omitempty"`    // one of Modes; empty: the product's default
	// Answers are those to the product's questions, by id; true is yes. A
	// question that is not answered counts as answered with no.
	Answers map[string]bool `json:"answers,omitempty"`
}

// Bounds of what can be a fact at all, wider than any product. They catch
// slips of the unit (metres for centimetres, cents for dollars).
const (
	maxHumanAge    = 130
	minHeightCM    = 100
	maxHeightCM    = 250
	minWeightKG    = 25
	maxWeightKG    = 400
	maxSumCents    = 1_000_000_000_000 // ten thousand million; keeps cents exact in every step
	maxTermYears   = 100
	isoDate        = time.DateOnly
	sentenceAge    = "give the age in years, 0 to 130"
	sentenceBirth  = "give the date of birth as YYYY-MM-DD, not after the valuation date and at most 130 years before it"
	sentenceSex    = "choose female or male"
	sentenceHeight = "give the height in centimetres, 100 to 250"
	sentenceWeight = "give the weight in kilograms, 25 to 400"
	sentenceTabac  = "choose never, former:YEARS (years since stopping) or current, with an optional kind such as current:cigar"
	sentenceSum    = "give a sum assured above 0 and at most 10 billion"
	sentenceTerm   = "give the term in whole years, 1 to 100"
	sentenceMarket = "name the market, for example US"
	sentenceUnisex = "leave the sex out: this market does not price on it"
	sentenceAnswer = "answer the product's questions alone, by their ids"
	sentenceMode   = "choose a mode of payment that the product has: annual, half-yearly, quarterly or monthly"
	sentenceDOB    = "give an age or a date of birth: this product takes no age from a photo"
)

// FieldError says in one sentence what is wrong with one field. The sentence
// tells what to give; it never repeats what was given.
type FieldError struct {
	Field    string `json:"field"` // the field's JSON name
	Sentence string `json:"sentence"`
}

// NoAge is the complaint where neither the facts nor a photo give an age.
func NoAge() FieldError {
	return FieldError{Field: "age", Sentence: "give an age or a date of birth, or send a photo"}
}

// FieldsError is every bad field of one set of facts, in the order of Facts.
type FieldsError struct {
	Fields []FieldError `json:"fields"`
}

// Error joins the sentences. It holds no personal data.
func (e *FieldsError) Error() string {
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = f.Field + ": " + f.Sentence
	}
	return strings.Join(parts, "; ")
}

// Add appends a bad field.
func (e *FieldsError) Add(field, sentence string) {
	e.Fields = append(e.Fields, FieldError{Field: field, Sentence: sentence})
}

// OrNil returns e as an error, a *FieldsError, or nil where no field is bad.
// It takes a value, so that facts in order cost no allocation.
func (e FieldsError) OrNil() error {
	if len(e.Fields) == 0 {
		return nil
	}
	return &FieldsError{Fields: e.Fields}
}

// Validate checks the form of every fact at the valuation date and returns a
// *FieldsError naming all bad fields at once, or nil. It asks for all that a
// class is found by in every market; an age is not asked for, because a photo
// may give it. What a product asks besides, Product.Validate checks.
func (f Facts) Validate(valuation time.Time) error { return f.validate(valuation, true).OrNil() }

// ValidateExact is Validate for a price on a stated table and multiple: sex,
// tobacco and build may be missing, but not malformed.
func (f Facts) ValidateExact(valuation time.Time) error {
	return f.validate(valuation, false).OrNil()
}

func (f Facts) validate(valuation time.Time, rated bool) (bad FieldsError) {
	f.validateAge(&bad, valuation)
	if f.Sex != "" && f.Sex != "female" && f.Sex != "male" {
		bad.Add("sex", sentenceSex)
	}
	if !between(f.HeightCM, minHeightCM, maxHeightCM) && (rated || f.HeightCM != 0) {
		bad.Add("height_cm", sentenceHeight)
	}
	if !between(f.WeightKG, minWeightKG, maxWeightKG) && (rated || f.WeightKG != 0) {
		bad.Add("weight_kg", sentenceWeight)
	}
	if _, err := ParseTobacco(f.Tobacco); err != nil && (rated || f.Tobacco != "") {
		bad.Add("tobacco", sentenceTabac)
	}
	if f.SumCents < 1 || f.SumCents > maxSumCents {
		bad.Add("sum_cents", sentenceSum)
	}
	if f.TermYears < 1 || f.TermYears > maxTermYears {
		bad.Add("term_years", sentenceTerm)
	}
	if f.Market == "" {
		bad.Add("market", sentenceMarket)
	}
	return bad
}

// Validate checks well-formed facts against what the product asks for, and
// returns every field that does not fit: a sex where it prices on it and none
// where it does not, an age where no photo may give one, its own questions, its
// modes. A product from OnTable asks for no sex.
func (p *Product) Validate(f Facts) (bad FieldsError) {
	if p.Photo.Role == CrossCheck && f.Age == nil && f.BirthDate == "" {
		bad.Add("age", sentenceDOB)
	}
	switch {
	case p.Unisex && f.Sex != "":
		bad.Add("sex", sentenceUnisex)
	case !p.Unisex && f.Sex == "" && p.onTable == 0:
		bad.Add("sex", sentenceSex)
	}
	if _, ok := p.ModalFactors[f.Mode]; !ok && f.Mode != "" {
		bad.Add("mode", sentenceMode)
	}
	for id := range f.Answers {
		if !slices.ContainsFunc(p.Questions, func(q Question) bool { return q.ID == id }) {
			bad.Add("answers", sentenceAnswer)
			break // the ids are the caller's words, and are not repeated
		}
	}
	return bad
}

func (f Facts) validateAge(bad *FieldsError, valuation time.Time) {
	if f.BirthDate != "" {
		born, err := time.Parse(isoDate, f.BirthDate)
		if err != nil || AgeLastBirthday(born, valuation) < 0 || AgeLastBirthday(born, valuation) > maxHumanAge {
			bad.Add("birth_date", sentenceBirth)
		}
	}
	if f.Age == nil {
		return
	}
	if !between(*f.Age, 0, maxHumanAge) {
		bad.Add("age", sentenceAge)
	}
	if f.BirthDate != "" {
		bad.Add("age", "give either the age or the date of birth, not both")
	}
}

// between is false for NaN, unlike the negation of two comparisons.
func between(x, low, high float64) bool { return low <= x && x <= high }

// StatedAge returns the age last birthday that the facts state at the
// valuation date, in whole years; ok is false where they state none.
func (f Facts) StatedAge(valuation time.Time) (age int, ok bool) {
	if f.BirthDate != "" {
		born, err := time.Parse(isoDate, f.BirthDate)
		if err != nil {
			return 0, false
		}
		return AgeLastBirthday(born, valuation), true
	}
	if f.Age == nil {
		return 0, false
	}
	return int(math.Floor(*f.Age)), true
}

// AgeLastBirthday returns the whole years lived at the valuation date,
// negative before birth. Somebody born on 29 February ages on 1 March in a
// common year: only then has the whole year passed.
func AgeLastBirthday(born, valuation time.Time) int {
	years := valuation.Year() - born.Year()
	if valuation.Month() < born.Month() || valuation.Month() == born.Month() && valuation.Day() < born.Day() {
		years--
	}
	return years
}

// ageOn returns the price age that the facts state: whole years on the basis.
// A date of birth gives it to the day. An age in years and decimals is rounded
// as the basis says, whole ages standing for themselves under ALB and ANB.
func (f Facts) ageOn(basis premium.AgeBasis, valuation time.Time) (age int, ok bool) {
	last, ok := f.StatedAge(valuation)
	if !ok {
		return 0, false
	}
	switch basis {
	case premium.AgeNextBirthday:
		return last + 1, true
	case premium.AgeNearestBirthday:
		if f.BirthDate != "" {
			born, _ := time.Parse(isoDate, f.BirthDate) // StatedAge has read it
			before, after := born.AddDate(last, 0, 0), born.AddDate(last+1, 0, 0)
			if after.Sub(valuation) <= valuation.Sub(before) {
				last++
			}
			return last, true
		}
		return nearest(*f.Age), true
	}
	return last, true
}

// BMI returns the body mass index in kg/m2, and 0 where the build is not stated.
func (f Facts) BMI() float64 {
	if f.HeightCM == 0 || f.WeightKG == 0 {
		return 0
	}
	metres := f.HeightCM / 100
	return f.WeightKG / (metres * metres)
}

// Tobacco is a parsed tobacco fact.
type Tobacco struct {
	Status string  // never, former or current
	Years  float64 // since stopping, of a former user
	Kind   string  // of a current user: cigarettes, cigar ...; empty: not said
}

// errTobacco has no detail on purpose: the text given is personal data.
var errTobacco = errors.New("tobacco is never, former:YEARS or current[:KIND]")

// ParseTobacco reads never | former:YEARS | current[:KIND]. YEARS is a decimal
// number, 0 to 130; KIND is at most 20 lower-case letters, digits, "-" or "_".
func ParseTobacco(s string) (Tobacco, error) {
	status, detail, has := strings.Cut(s, ":")
	switch {
	case status == "never" && !has:
		return Tobacco{Status: status}, nil
	case status == "former" && has:
		years, err := strconv.ParseFloat(detail, 64)
		if err != nil || !between(years, 0, maxHumanAge) {
			return Tobacco{}, fmt.Errorf("parse years since stopping: %w", errTobacco)
		}
		return Tobacco{Status: status, Years: years}, nil
	case status == "current" && (!has || kindOK(detail)):
		return Tobacco{Status: status, Kind: detail}, nil
	}
	return Tobacco{}, errTobacco
}

func kindOK(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-_"
	return s != "" && len(s) <= 20 && strings.Trim(s, letters) == ""
}

// Uses tells whether somebody counts as a user of tobacco: current ones, and
// former ones who stopped less than freeYears ago. Every kind counts.
func (t Tobacco) Uses(freeYears float64) bool {
	return t.Status == "current" || t.Status == "former" && t.Years < freeYears
}

// ParseCents reads an amount in units of the currency with at most two
// decimals. It does not go through floating point: 0.29 is 29 cents.
func ParseCents(s string) (int64, error) {
	whole, fraction, _ := strings.Cut(s, ".")
	if len(fraction) > 2 {
		return 0, errors.New("more than two decimals")
	}
	cents, err := strconv.ParseInt(whole+(fraction + "00")[:2], 10, 64)
	if err != nil {
		return 0, errors.New("not an amount") // the number is the customer's
	}
	return cents, nil
}
