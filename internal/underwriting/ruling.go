package underwriting

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Underwriter is the source of a price age that a person set.
const Underwriter AgeSource = "underwriter"

// Ruling is what a person puts in the place of what the rules found. What is
// left empty stays as the rules found it.
type Ruling struct {
	Class string // name of one of the product's
	Steps *int   // table rating steps, 0 for none
	Age   *int   // whole years on the product's basis
}

// DecideRuled is Decide with a person's ruling in place of what the rules found.
// The law's 18 years and the product's limits of age, sum and term bind a person
// too. It returns a *FieldsError where the ruling leaves nothing to price: a
// class that the product has not, an age past a limit, or a part not ruled on
// that the rules had refused. The reasons of the rules stay as they were.
func DecideRuled(p *Product, f Facts, r Ruling, evidence *Evidence, valuation time.Time) (Assessment, error) {
	if r.Age != nil && f.Age == nil && f.BirthDate == "" && (evidence == nil || p.Photo.Role == CrossCheck) {
		age := float64(*r.Age) // the rules have to run on some age
		f.Age = &age
	}
	d := decider{product: p, facts: f, evidence: evidence}
	if err := d.run(nil, valuation); err != nil {
		return Assessment{}, err
	}
	var bad FieldsError
	d.rule(r, &bad)
	if err := bad.OrNil(); err != nil {
		return Assessment{}, err
	}
	d.out.Decision = Quote
	return d.out, nil
}

// rule puts the ruling over what was found.
func (d *decider) rule(r Ruling, bad *FieldsError) {
	if r.Class != "" {
		c, ok := d.product.Class(r.Class, d.out.Tobacco)
		if !ok {
			bad.Add("class", "choose one of the product's classes for this use of tobacco")
			return
		}
		if d.out.Class == "" && r.Steps == nil {
			bad.Add("rating", "the rules found no rating: give one, or none")
			return
		}
		d.settle(&c)
	}
	if r.Steps != nil {
		if *r.Steps < 0 || *r.Steps > d.product.MaxSteps {
			bad.Add("rating", "the product has no such rating")
			return
		}
		d.out.Rating, d.out.Multiple = "", Multiple(*r.Steps)
		if *r.Steps > 0 {
			d.out.Rating = Rating(*r.Steps)
		}
	}
	if d.out.Class == "" {
		bad.Add("class", "the rules found no class: give one")
		return
	}
	d.unblock(r, bad)
	if r.Age != nil {
		d.out.Source, d.out.Charge = Underwriter, string(Underwriter)
		d.out.Price = PriceAge{Age: *r.Age, Refused: d.pastLimit(*r.Age)}
		if *r.Age < adultAge {
			d.out.Price.Refused = Under18
		}
		if d.out.Price.Refused != "" {
			bad.Add("price_age", "this age is past a limit of the product")
		}
		return
	}
	if d.out.Price.Refused != "" {
		bad.Add("price_age", "the age that would be charged is past a limit of the product: give one")
	}
}

// unblock lifts what the rules refused and the ruling answers, and prices the
// ages again.
func (d *decider) unblock(r Ruling, bad *FieldsError) {
	d.out.Blocked = ""
	for _, reason := range d.out.Reasons {
		switch reason.Code {
		case SumOutsideLimits:
			bad.Add("sum_cents", "the sum is outside the product's limits, which bind an underwriter too")
		case TermNotOffered:
			bad.Add("term_years", "the product has no such term")
		case Under18, AgeUnderLimit, AgeOverLimit, AgeAtExpiry, PhotoUnder18:
			if r.Age == nil && (reason.Decision == Decline || reason.Code == PhotoUnder18) {
				d.block(reason.Code)
			}
		default:
			if strict := reason.Decision == Decline || reason.Decision == Postpone; strict && (r.Class == "" || r.Steps == nil) {
				bad.Add("class", "the rules refuse this case: give a class and a rating of your own")
			}
		}
	}
	d.priceAges()
}

// RatingSteps returns the table rating steps of a letter, "A" to "P", and 0 for
// "none"; ok is false for anything else.
func RatingSteps(rating string) (steps int, ok bool) {
	if rating == "none" {
		return 0, true
	}
	if len(rating) != 1 || rating[0] < 'A' || rating[0] >= 'A'+maxRating {
		return 0, false
	}
	return int(rating[0]-'A') + 1, true
}

// PersonReason is the reason that a person's decision adds: code says what was
// decided, or why, record is the name of the decision. Months is of a
// postponement, else 0.
func PersonReason(code Code, decision Decision, record string, months int) Reason {
	r := Reason{Code: code, Decision: decision, Sentence: code.Sentence(), Rule: rulePerson, Value: record}
	if months > 0 {
		r.Limit = fmt.Sprintf("%d months", months)
	}
	return r
}

// Months returns for how long a person postponed, 0 where none did.
func (r Reason) Months() int {
	if r.Code != UnderwriterPostponed {
		return 0
	}
	months, err := strconv.Atoi(strings.TrimSuffix(r.Limit, " months"))
	if err != nil {
		return 0
	}
	return months
}

// DecidedPrincipal returns the reasons that the customer is told of a case that
// a person decided: the person's own first, then those of the rules that still
// hold, at most four. What the rules only referred has been answered.
func DecidedPrincipal(reasons []Reason, decided Decision) []Reason {
	var own, rest []Reason
	for _, r := range reasons {
		switch {
		case r.Rule == rulePerson:
			own = append(own, r)
		case r.Decision == decided:
			rest = append(rest, r)
		}
	}
	all := append(own, Principal(rest)...)
	return all[:min(len(all), maxPrincipal)]
}

// PersonCodes are the reasons that an underwriter may give, by what is decided:
// quote stands for a change, and for an acceptance that gives one.
func PersonCodes(decided Decision) []Code {
	switch decided {
	case Quote:
		return []Code{AgeProven, EvidenceReviewed, BuildReviewed, TobaccoReviewed, HazardReviewed, CustomerAsked, RuleUnfit}
	case Postpone:
		return []Code{AgeUnproven, EvidenceMissing, EvidenceReviewed, BuildReviewed, HazardReviewed, FactsInconsistent, CustomerAsked}
	case Decline:
		return []Code{AgeUnproven, EvidenceMissing, EvidenceReviewed, BuildReviewed, TobaccoReviewed, HazardReviewed, FactsInconsistent, CustomerAsked}
	}
	return nil
}

// ByPerson tells whether a code comes from a person's decision alone, never from
// a rule.
func ByPerson(c Code) bool {
	switch c {
	case UnderwriterAccepted, UnderwriterChanged, UnderwriterPostponed, UnderwriterDeclined:
		return true
	}
	for _, decided := range []Decision{Quote, Postpone, Decline} {
		if slices.Contains(PersonCodes(decided), c) {
			return true
		}
	}
	return false
}

// Refused returns the assessment with every price taken out, for a person who
// offers nothing; code says why.
func (a Assessment) Refused(code Code) Assessment {
	a.Blocked = code
	refuse := func(p *PriceAge) {
		if p.Refused == "" {
			p.Refused = code
		}
	}
	refuse(&a.Price)
	if a.Interval != nil {
		interval := *a.Interval
		refuse(&interval.Low)
		refuse(&interval.Estimated)
		refuse(&interval.High)
		a.Interval = &interval
	}
	return a
}
