package underwriting

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// adultAge is fixed by law, not by a product: no file can lower it.
const adultAge = 18

// Evidence is the age that a photo gave, in years: the point estimate and the
// interval around it.
type Evidence struct {
	Age, Low, High float64
}

// AgeSource says where the age that is priced came from.
type AgeSource string

// The sources of the price age.
const (
	Declared  AgeSource = "declared"
	Estimated AgeSource = "estimate"
)

// PriceAge is an age to price, in whole years, or the code of why it has no
// price.
type PriceAge struct {
	Age     int
	Refused Code // empty: priced
}

// Assessment is the outcome of Decide.
type Assessment struct {
	Decision Decision
	Reasons  []Reason // in the order in which the rules run; empty for a plain quote

	Class   string  // empty where the build fits none
	Rating  float64 // the class's multiple of the table's mortality; 0 without a class
	Smoker  bool
	Segment Segment

	Price  PriceAge  // the age of the quoted premium: the stated one, else the estimate
	Source AgeSource // of Price

	// Interval is nil without a photo.
	Interval *PricedInterval

	// Blocked is the code of why no age whatever may be priced; empty where
	// single ages decide. PriceMin and PriceMax then bound the ages that may
	// be, both inclusive, in whole years.
	Blocked            Code
	PriceMin, PriceMax int
}

// PricedInterval holds the price ages of the interval's ends and of its point.
type PricedInterval struct {
	Low, Estimated, High PriceAge
}

// Decide runs every rule over facts that Validate has passed, in this order:
// under 18, age limits, agreement with the photo, width, sum, term, build. The
// strictest reason decides; all are reported. evidence is nil without a photo.
// It returns a *FieldsError where neither the facts nor a photo give an age.
//
//   - A stated age under 18, or outside the product's ages, and a sum or term
//     that is not offered decline, and a decline carries no price.
//   - A photo only refers. Where its whole interval is under 18 no age is
//     priced; where its lower end is, the ends under 18 are not.
//   - An end of the interval past a limit has no price; that alone refers
//     nobody, for an interval is wide and the applicant is one person.
func Decide(p *Product, f Facts, evidence *Evidence, valuation time.Time) (Assessment, error) {
	return DecideRated(p, f, nil, evidence, valuation)
}

// DecideRated is Decide with the class, and so the multiple, stated by the
// caller instead of found by build; nil means by build.
func DecideRated(p *Product, f Facts, rated *Class, evidence *Evidence, valuation time.Time) (Assessment, error) {
	stated, hasStated := f.StatedAge(valuation)
	if !hasStated && evidence == nil {
		return Assessment{}, &FieldsError{Fields: []FieldError{NoAge()}}
	}

	d := decider{product: p, facts: f, evidence: evidence}
	d.out.Decision = Quote
	d.out.PriceMin = max(adultAge, p.MinAge)
	d.out.PriceMax = min(p.MaxAge, p.MaxExpiryAge-f.TermYears)
	if hasStated {
		d.stated(stated)
	}
	if evidence != nil {
		d.photo(stated, hasStated)
	}
	d.cover()
	d.class(rated)
	d.priceAges(stated, hasStated)
	return d.out, nil
}

// decider carries one decision through the rules.
type decider struct {
	product  *Product
	facts    Facts
	evidence *Evidence
	out      Assessment
}

// add notes a reason and lets the decision become stricter, never milder.
func (d *decider) add(decision Decision, code Code, rule, value, limit string) {
	d.out.Reasons = append(d.out.Reasons, Reason{Code: code, Sentence: code.Sentence(), Rule: rule, Value: value, Limit: limit})
	if decision.severity() > d.out.Decision.severity() {
		d.out.Decision = decision
	}
	if decision == Decline {
		d.block(code)
	}
}

// block forbids every price; the first cause is the one that is shown.
func (d *decider) block(code Code) {
	if d.out.Blocked == "" {
		d.out.Blocked = code
	}
}

func (d *decider) stated(age int) {
	if age < adultAge {
		d.add(Decline, Under18, ruleMinor, strconv.Itoa(age), strconv.Itoa(adultAge))
		return
	}
	if code := d.pastLimit(age); code != "" {
		d.add(Decline, code, ruleAgeLimits, strconv.Itoa(age), d.limitOf(code))
	}
}

// photo runs the rules on the interval. Without a stated age the estimate
// itself is held against the product's limits.
func (d *decider) photo(stated int, hasStated bool) {
	e := d.evidence
	interval := years(e.Low) + "-" + years(e.High)
	switch {
	case e.High < adultAge:
		d.add(Refer, PhotoUnder18, ruleMinor, interval, strconv.Itoa(adultAge))
		d.block(PhotoUnder18)
	case e.Low < adultAge:
		d.add(Refer, PhotoTouches18, ruleMinor, interval, strconv.Itoa(adultAge))
	}
	if !hasStated && e.Age >= adultAge {
		if code := d.pastLimit(nearest(e.Age)); code != "" {
			d.add(Refer, code, ruleAgeLimits, strconv.Itoa(nearest(e.Age)), d.limitOf(code))
		}
	}
	if hasStated && !between(float64(stated), e.Low, e.High) {
		d.add(Refer, AgeContradicts, ruleAgreement, strconv.Itoa(stated), interval)
	}
	// Ends are printed to one decimal; so is their difference, lest 40.0 years
	// come out as a hair more.
	if width := math.Round((e.High-e.Low)*10) / 10; width > d.product.MaxIntervalWidth {
		d.add(Refer, AgeUncertain, ruleWidth, years(width), years(d.product.MaxIntervalWidth))
	}
}

func (d *decider) cover() {
	p, f := d.product, d.facts
	if f.SumCents < p.MinSumCents || f.SumCents > p.MaxSumCents {
		d.add(Decline, SumOutsideLimits, ruleSum, strconv.FormatInt(f.SumCents, 10), fmt.Sprintf("%d-%d", p.MinSumCents, p.MaxSumCents))
	}
	if p.Terms != nil && !slices.Contains(p.Terms, f.TermYears) {
		d.add(Decline, TermNotOffered, ruleTerm, strconv.Itoa(f.TermYears), fmt.Sprint(p.Terms))
	}
}

func (d *decider) class(rated *Class) {
	p, f := d.product, d.facts
	// Validate has passed the tobacco fact; on an exact basis it may be empty,
	// and then the table says who smokes.
	tobacco, _ := ParseTobacco(f.Tobacco)
	d.out.Smoker = tobacco.Smoker(p.FormerSmokerMonths)
	d.out.Segment = Segment{Sex: f.Sex, Smoker: d.out.Smoker}
	if rated != nil {
		d.out.Class, d.out.Rating = rated.Name, rated.Multiple
		return
	}
	c, ok := p.classByBuild(f.BMI())
	if !ok {
		d.add(Refer, BuildOutsideClass, ruleBuild, fmt.Sprintf("%.1f", f.BMI()),
			fmt.Sprintf("%.1f-%.1f", p.Bands[0].From, p.Bands[len(p.Bands)-1].To))
		d.block(BuildOutsideClass) // without a class there is no multiple to price with
		return
	}
	d.out.Class, d.out.Rating = c.Name, c.Multiple
}

func (d *decider) priceAges(stated int, hasStated bool) {
	if e := d.evidence; e != nil {
		d.out.Interval = &PricedInterval{Low: d.priced(e.Low), Estimated: d.priced(e.Age), High: d.priced(e.High)}
	}
	if hasStated {
		d.out.Source = Declared
		d.out.Price = PriceAge{Age: stated, Refused: d.out.Blocked}
		return
	}
	d.out.Source = Estimated
	d.out.Price = d.out.Interval.Estimated
}

// priced returns the price age of an age read from the photo. The limit of 18
// holds for the age as read, not as rounded: 17.6 is under 18.
func (d *decider) priced(age float64) PriceAge {
	whole := nearest(age)
	switch {
	case d.out.Blocked != "":
		return PriceAge{Age: whole, Refused: d.out.Blocked}
	case age < adultAge:
		return PriceAge{Age: whole, Refused: Under18}
	}
	return PriceAge{Age: whole, Refused: d.pastLimit(whole)}
}

// pastLimit returns the code of the product's age limit that the age passes,
// or nothing.
func (d *decider) pastLimit(age int) Code {
	switch p := d.product; {
	case age < p.MinAge:
		return AgeUnderLimit
	case age > p.MaxAge:
		return AgeOverLimit
	case age+d.facts.TermYears > p.MaxExpiryAge:
		return AgeAtExpiry
	}
	return ""
}

// limitOf returns the limit that pastLimit's code speaks of, in years.
func (d *decider) limitOf(code Code) string {
	switch code {
	case AgeUnderLimit:
		return strconv.Itoa(d.product.MinAge)
	case AgeAtExpiry:
		return fmt.Sprintf("%d at expiry", d.product.MaxExpiryAge)
	}
	return strconv.Itoa(d.product.MaxAge)
}

// nearest rounds an estimated age half up to whole years.
func nearest(age float64) int { return int(math.Floor(age + 0.5)) }

func years(x float64) string { return strconv.FormatFloat(x, 'f', 1, 64) }
