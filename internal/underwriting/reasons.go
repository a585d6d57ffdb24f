package underwriting

import "slices"

// Code names why a decision fell, or why an age has no price. The list is
// closed and append only: stored quotes carry these strings for years.
type Code string

// The codes, in the order in which the rules run.
const (
	Under18           Code = "under_18"            // the stated age is under 18
	PhotoUnder18      Code = "photo_under_18"      // the whole age interval of the photo lies under 18
	PhotoTouches18    Code = "photo_touches_18"    // the age interval of the photo starts under 18, and no adult age is stated or the photo looks under 25
	AgeUnderLimit     Code = "age_under_limit"     // under the product's, or the table's, lowest age
	AgeOverLimit      Code = "age_over_limit"      // over the highest age
	AgeAtExpiry       Code = "age_at_expiry"       // too old when the term ends
	AgeContradicts    Code = "age_contradicts"     // the stated age lies outside the photo's interval
	AgeUncertain      Code = "age_uncertain"       // the interval is wider than the product quotes on
	SumOutsideLimits  Code = "sum_outside_limits"  // the sum assured is outside the product's limits
	TermNotOffered    Code = "term_not_offered"    // the product has no such term
	BuildOutsideClass Code = "build_outside_class" // height and weight fit no class
	FactsInvalid      Code = "facts_invalid"       // a declared fact is missing or cannot be used

	BuildDecline    Code = "build_decline"     // height and weight are past the chart's limits
	ClassBuild      Code = "class_build"       // height and weight close the better classes
	RatedBuild      Code = "rated_build"       // height and weight raise the mortality that is priced
	TobaccoRates    Code = "tobacco_rates"     // tobacco is in use, or was until lately
	ClassTobacco    Code = "class_tobacco"     // tobacco given up too lately for the better classes
	RatedTobacco    Code = "rated_tobacco"     // tobacco raises the mortality that is priced
	ClassAnswer     Code = "class_answer"      // an answer closes the better classes
	RatedAnswer     Code = "rated_answer"      // an answer raises the mortality that is priced
	FlatExtra       Code = "flat_extra"        // an answer adds a charge by the sum assured
	AnswerRefer     Code = "answer_refer"      // an answer needs a person
	AnswerPostpone  Code = "answer_postpone"   // an answer means waiting
	AnswerDecline   Code = "answer_decline"    // an answer rules the cover out
	RatingOverLimit Code = "rating_over_limit" // the ratings together pass the product's limit

	Stopped Code = "stopped" // quoting is stopped, so that a person looks at every case

	DuplicatePhoto Code = "duplicate_photo" // the photo was sent with another case too

	// What a person decided.
	UnderwriterAccepted  Code = "underwriter_accepted"
	UnderwriterChanged   Code = "underwriter_changed"
	UnderwriterPostponed Code = "underwriter_postponed"
	UnderwriterDeclined  Code = "underwriter_declined"

	// Why, see PersonCodes.
	AgeProven         Code = "age_proven"
	AgeUnproven       Code = "age_unproven"
	EvidenceReviewed  Code = "evidence_reviewed"
	EvidenceMissing   Code = "evidence_missing"
	BuildReviewed     Code = "build_reviewed"
	TobaccoReviewed   Code = "tobacco_reviewed"
	HazardReviewed    Code = "hazard_reviewed"
	FactsInconsistent Code = "facts_inconsistent"
	CustomerAsked     Code = "customer_asked"
	RuleUnfit         Code = "rule_unfit"
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
	BuildDecline:      "Height and weight are past the limits for this cover.",
	ClassBuild:        "Height and weight close the best classes.",
	RatedBuild:        "Height and weight raise the premium.",
	TobaccoRates:      "The premium is that for users of tobacco.",
	ClassTobacco:      "Tobacco was given up too lately for the best classes.",
	RatedTobacco:      "The use of tobacco raises the premium.",
	ClassAnswer:       "The answer to a question closes the best classes.",
	RatedAnswer:       "The answer to a question raises the premium.",
	FlatExtra:         "The answer to a question adds a charge to the premium.",
	AnswerRefer:       "The answer to a question needs a closer look; a person decides.",
	AnswerPostpone:    "The answer to a question means that we can decide later only; please ask again then.",
	AnswerDecline:     "The answer to a question means that we cannot offer this cover.",
	RatingOverLimit:   "The risks together are past the limit for this cover.",
	Stopped:           "Quoting by computer is stopped at the moment; a person looks at the application.",
	DuplicatePhoto:    "The photo was sent with another application too; a person looks at it.",

	UnderwriterAccepted:  "An underwriter has looked at the application and accepted it.",
	UnderwriterChanged:   "An underwriter has looked at the application and set what the price rests on.",
	UnderwriterPostponed: "An underwriter has looked at the application and cannot decide on it yet.",
	UnderwriterDeclined:  "An underwriter has looked at the application and cannot offer this cover.",
	AgeProven:            "The age was proven by a document.",
	AgeUnproven:          "The age was not proven when we asked for it.",
	EvidenceReviewed:     "The medical evidence was looked at.",
	EvidenceMissing:      "The medical evidence that we asked for did not come.",
	BuildReviewed:        "Height and weight were looked at by an underwriter.",
	TobaccoReviewed:      "The use of tobacco was looked at by an underwriter.",
	HazardReviewed:       "Occupation or pastimes were looked at by an underwriter.",
	FactsInconsistent:    "What was declared does not fit together.",
	CustomerAsked:        "The applicant asked for this.",
	RuleUnfit:            "A fixed rule did not fit this application.",
}

// Codes returns every code, in the order of the documentation.
func Codes() []Code {
	return []Code{Under18, PhotoUnder18, PhotoTouches18, AgeUnderLimit, AgeOverLimit, AgeAtExpiry,
		AgeContradicts, AgeUncertain, SumOutsideLimits, TermNotOffered, BuildOutsideClass, FactsInvalid,
		BuildDecline, ClassBuild, RatedBuild, TobaccoRates, ClassTobacco, RatedTobacco,
		ClassAnswer, RatedAnswer, FlatExtra, AnswerRefer, AnswerPostpone, AnswerDecline, RatingOverLimit, Stopped, DuplicatePhoto,
		UnderwriterAccepted, UnderwriterChanged, UnderwriterPostponed, UnderwriterDeclined, AgeProven, AgeUnproven, EvidenceReviewed,
		EvidenceMissing, BuildReviewed, TobaccoReviewed, HazardReviewed, FactsInconsistent, CustomerAsked, RuleUnfit}
}

// Sentence returns the code in plain words, for the customer and the
// underwriter alike.
func (c Code) Sentence() string { return sentences[c] }

// Rule ids say which rule gave a reason, so that an audit can find it in the
// documentation after a code has come to serve several rules. Questions bring
// ids of their own.
const (
	ruleMinor     = "AGE-1"   // nobody under 18
	ruleAgeLimits = "AGE-2"   // the product's ages at issue and at expiry
	ruleAgreement = "AGE-3"   // the stated age agrees with the photo
	ruleWidth     = "AGE-4"   // the photo's interval is narrow enough
	ruleDuplicate = "PHOTO-1" // the photo is this case's alone
	ruleSum       = "SUM-1"
	ruleTerm      = "TERM-1"
	ruleBuild     = "BUILD-1"   // the build chart
	ruleTobacco   = "TOBACCO-1" // who pays for tobacco
	ruleFormer    = "TOBACCO-2" // which classes are open to former users
	ruleRating    = "RATING-1"  // the limit of ratings
	ruleFacts     = "FACTS-1"   // every fact that the product needs is there
	ruleStop      = "STOP-1"    // quoting is not stopped
	rulePerson    = "PERSON-1"  // a person decided
)

// Rules returns what each rule of this package is about, by id, in the order
// in which they run. Questions come between TOBACCO-2 and RATING-1.
func Rules() [][2]string {
	return [][2]string{
		{ruleFacts, "Every fact that the product needs is there and can be used; else a person asks for it."},
		{ruleMinor, "Nobody under 18 is insured. A stated age under 18 declines; a photo under 18 refers, and ages under 18 have no price. So does one that does not rule out an age under 18, unless an adult age is stated and the photo looks 25 or older."},
		{ruleAgeLimits, "The age at issue, and the age when the term ends, lie within the product's limits. A stated age past them declines, one from a photo refers."},
		{ruleAgreement, "The stated age lies within the photo's age interval, widened by the product's slack; else a person checks it."},
		{ruleWidth, "The photo's age interval is at most as wide as the product quotes on; else a person checks the age."},
		{ruleDuplicate, "The photo was sent with no other case, neither as the same file nor, within a batch, as the same picture; else a person looks at it. A product can switch this off."},
		{ruleSum, "The sum assured lies within the product's limits; else declined."},
		{ruleTerm, "The term is on offer; else declined."},
		{ruleBuild, "The build chart: height and weight, by age and where the market prices on it by sex, open the classes, or rate, refer or decline."},
		{ruleTobacco, "Who uses tobacco, or stopped too lately, pays its rates or its rating."},
		{ruleFormer, "A former user must have stopped long enough ago for each class."},
		{ruleRating, "The table rating steps of build, tobacco and answers together are at most the product's; else declined."},
		{ruleStop, "Quoting is not stopped; else a person looks at every case, whatever the other rules say."},
		{rulePerson, "A person has decided the case. The limits of age, sum and term hold all the same."},
	}
}

// Reason is one finding of a rule. Value is what was found and Limit what it
// was held against, both as text in the unit of the rule (years, cents, cm and
// kg). Decision is what the reason alone leads to, and Effect what it does to
// the premium; it is empty where there is no premium, or none is changed.
type Reason struct {
	Code     Code     `json:"code"`
	Decision Decision `json:"decision,omitempty"` // absent from quotes of schema 1
	Sentence string   `json:"sentence"`
	Rule     string   `json:"rule"`
	Value    string   `json:"value"`
	Limit    string   `json:"limit"`
	Effect   string   `json:"effect,omitempty"`
}

// maxPrincipal is how many reasons the customer is told.
const maxPrincipal = 4

// Principal returns the reasons that the customer is told: at most four,
// strictest first, and in the order of the rules where equally strict. Charges
// and ratings come before closed classes.
func Principal(reasons []Reason) []Reason {
	principal := slices.Clone(reasons)
	slices.SortStableFunc(principal, func(a, b Reason) int { return b.weight() - a.weight() })
	return principal[:min(len(principal), maxPrincipal)]
}

func (r Reason) weight() int {
	w := r.Decision.severity() * 10
	switch r.Code {
	case RatedBuild, RatedTobacco, RatedAnswer, FlatExtra, TobaccoRates:
		w++
	}
	return w
}

// FactsInvalidReason is the reason for one field that cannot be used. It names
// the field and what is wrong, never what was entered.
func FactsInvalidReason(f FieldError) Reason {
	return Reason{Code: FactsInvalid, Decision: Refer, Sentence: FactsInvalid.Sentence(), Rule: ruleFacts, Value: f.Field, Limit: f.Sentence}
}

// StoppedReason is the reason of a quote that was made while quoting was
// stopped. Record names who stopped it, when and why.
func StoppedReason(record string) Reason {
	return Reason{Code: Stopped, Decision: Refer, Sentence: Stopped.Sentence(), Rule: ruleStop, Value: record}
}
