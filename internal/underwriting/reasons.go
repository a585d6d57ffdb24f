package underwriting

// Code names why a decision fell, or why an age has no price. The list is
// closed and append only: stored quotes carry these strings for years.
type Code string

// The codes, in the order in which the rules run.
const (
	Under18           Code = "under_18"            // the stated age is under 18
	PhotoUnder18      Code = "photo_under_18"      // the whole age interval of the photo lies under 18
	PhotoTouches18    Code = "photo_touches_18"    // the age interval of the photo starts under 18
	AgeUnderLimit     Code = "age_under_limit"     // under the product's, or the table's, lowest age
	AgeOverLimit      Code = "age_over_limit"      // over the highest age
	AgeAtExpiry       Code = "age_at_expiry"       // too old when the term ends
	AgeContradicts    Code = "age_contradicts"     // the stated age lies outside the photo's interval
	AgeUncertain      Code = "age_uncertain"       // the interval is wider than the product quotes on
	SumOutsideLimits  Code = "sum_outside_limits"  // the sum assured is outside the product's limits
	TermNotOffered    Code = "term_not_offered"    // the product has no such term
	BuildOutsideClass Code = "build_outside_class" // height and weight fit no class
	FactsInvalid      Code = "facts_invalid"       // a declared fact is missing or cannot be used
)

// sentences say each code in plain words. They hold no numbers: the value and
// the limit stand beside them in Reason.
var sentences = map[Code]string{
	Under18:           "The applicant is under 18.",
	PhotoUnder18:      "The photo looks like a person under 18; a person checks the age.",
	PhotoTouches18:    "The photo does not rule out an age under 18; a person checks the age.",
	AgeUnderLimit:     "The age is below the lowest age for this cover.",
	AgeOverLimit:      "The age is above the highest age for this cover.",
	AgeAtExpiry:       "The cover would run past the highest age at its end; a shorter term may fit.",
	AgeContradicts:    "The stated age does not agree with the photo; a person checks the age.",
	AgeUncertain:      "The photo gives the age too uncertainly; a person checks the age.",
	SumOutsideLimits:  "The sum assured is outside the limits of this product.",
	TermNotOffered:    "This product is not offered for this term.",
	BuildOutsideClass: "Height and weight are outside the classes of this product; a person looks at them.",
	FactsInvalid:      "A declared fact is missing or cannot be used; a person asks for it.",
}

// Codes returns every code, in the order of the documentation.
func Codes() []Code {
	return []Code{Under18, PhotoUnder18, PhotoTouches18, AgeUnderLimit, AgeOverLimit, AgeAtExpiry,
		AgeContradicts, AgeUncertain, SumOutsideLimits, TermNotOffered, BuildOutsideClass, FactsInvalid}
}

// Sentence returns the code in plain words, for the customer and the
// underwriter alike.
func (c Code) Sentence() string { return sentences[c] }

// Rule ids say which rule gave a reason, so that an audit can find it in the
// documentation after a code has come to serve several rules.
const (
	ruleMinor     = "AGE-1" // nobody under 18
	ruleAgeLimits = "AGE-2" // the product's ages at issue and at expiry
	ruleAgreement = "AGE-3" // the stated age agrees with the photo
	ruleWidth     = "AGE-4" // the photo's interval is narrow enough
	ruleSum       = "SUM-1"
	ruleTerm      = "TERM-1"
	ruleBuild     = "BUILD-1"
	ruleFacts     = "FACTS-1" // every fact that the product needs is there
)

// Reason is one finding of a rule. Value is what was found and Limit what it
// was held against, both as text in the unit of the rule (years, cents,
// kg/m2).
type Reason struct {
	Code     Code   `json:"code"`
	Sentence string `json:"sentence"`
	Rule     string `json:"rule"`
	Value    string `json:"value"`
	Limit    string `json:"limit"`
}

// FactsInvalidReason is the reason for one field that cannot be used. It names
// the field and what is wrong, never what was entered.
func FactsInvalidReason(f FieldError) Reason {
	return Reason{Code: FactsInvalid, Sentence: FactsInvalid.Sentence(), Rule: ruleFacts, Value: f.Field, Limit: f.Sentence}
}
