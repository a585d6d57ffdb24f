package underwriting

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agequote/agequote/internal/premium"
)

// adultAge is fixed by law, not by a product: no file can lower it.
const adultAge = 18

// challengeAge is the age up to which a looker is asked for proof of being
// adult although he says so, as shops do that sell what minors may not buy
// (Challenge 25). Who declares an adult age and looks older is not, however far
// down the photo's interval reaches.
const challengeAge = 25

// Evidence is the age that a photo gave, in years: the point estimate and the
// interval around it.
type Evidence struct {
	Age, Low, High float64
	// Duplicates are the other cases that the photo was sent with.
	Duplicates []string
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

	Class   string // empty where none was found or stated
	Tobacco bool   // priced as a user of tobacco
	// Rates are the mortality tables of the class, one or a blend: empty without
	// a class. They are read on AgeBasis, whatever their own. They are shared:
	// nobody may write to them.
	Rates    []TableShare
	AgeBasis premium.AgeBasis
	Multiple float64 // of the tables' mortality: 1, or more where rated; 0 without a class
	Rating   string  // table rating, "A" (+25 %) to "P" (+400 %); empty: none
	Extras   []premium.FlatExtra

	Price  PriceAge  // the age of the quoted premium
	Source AgeSource // of Price
	// Charge is which premium is quoted: AgeSource's "declared", or the
	// product's charge where the photo gives the age. With ChargeExpected,
	// Price is the point estimate, and the premium is the mean over the
	// distribution.
	Charge string

	// Interval is nil without a photo.
	Interval *PricedInterval

	// Blocked is the code of why no age whatever may be priced; empty where
	// single ages decide. PriceMin and PriceMax then bound the ages that may
	// be, both inclusive, in whole years on AgeBasis.
	Blocked            Code
	PriceMin, PriceMax int
}

// PricedInterval holds the price ages of the interval's ends and of its point.
type PricedInterval struct {
	Low, Estimated, High PriceAge
}

// Decide runs every rule over facts that Validate has passed, in the order of
// Rules. The strictest reason decides; all are reported. evidence is nil
// without a photo. It returns a *FieldsError where the facts give no age and
// neither does a photo, or none that the product takes.
//
//   - A stated age under 18, or outside the product's ages, and a sum or term
//     that is not offered decline. A decline and a postponement carry no price.
//   - A photo only refers. Where its whole interval is under 18 no age is
//     priced; where its lower end is, the ends under 18 are not.
//   - An end of the interval past a limit has no price; that alone refers
//     nobody, for an interval is wide and the applicant is one person. But
//     where that end is what the product charges, the case is referred.
func Decide(p *Product, f Facts, evidence *Evidence, valuation time.Time) (Assessment, error) {
	return DecideRated(p, f, nil, evidence, valuation)
}

// Stated is a class and a multiple of mortality that a caller states instead
// of having them found: for a price on an exact basis, and for a person's
// decision.
type Stated struct {
	// Class is the name of one of the product's. Empty: the one that the rules
	// find, or with OnTable none.
	Class    string
	Multiple float64
}

// DecideRated is Decide with the class, the multiple, or both stated. Then the
// rules of build, tobacco and answers do not run where they are not needed to
// find the class, and neither rate nor add a flat extra.
func DecideRated(p *Product, f Facts, stated *Stated, evidence *Evidence, valuation time.Time) (Assessment, error) {
	d := decider{product: p, facts: f, evidence: evidence}
	if err := d.run(stated, valuation); err != nil {
		return Assessment{}, err
	}
	return d.out, nil
}

// run runs every rule.
func (d *decider) run(stated *Stated, valuation time.Time) error {
	p, f := d.product, d.facts
	age, hasAge := f.StatedAge(valuation)
	switch {
	case !hasAge && d.evidence == nil:
		return &FieldsError{Fields: []FieldError{NoAge()}}
	case !hasAge && p.Photo.Role == CrossCheck:
		return &FieldsError{Fields: []FieldError{{Field: "age", Sentence: sentenceDOB}}}
	case hasAge:
		d.last, d.hasAge = age, true
		d.onBasis, _ = f.ageOn(p.AgeBasis, valuation)
		if p.onTable != 0 && f.BirthDate == "" {
			d.onBasis = age // read as it stands, see the contract of an exact price
		}
	}

	d.out.Decision = Quote
	d.out.AgeBasis = p.AgeBasis
	d.out.PriceMin = max(adultAge, p.MinAge)
	d.out.PriceMax = min(p.MaxAge, p.MaxExpiryAge-f.TermYears)
	if d.hasAge {
		d.stated()
	}
	if d.evidence != nil {
		d.photo()
	}
	d.cover()
	d.class(stated)
	d.priceAges()
	return nil
}

// decider carries one decision through the rules.
type decider struct {
	product  *Product
	facts    Facts
	evidence *Evidence

	hasAge  bool // the facts state an age
	last    int  // it, last birthday: what the law and the photo go by
	onBasis int  // it, on the product's basis: what is priced

	level int // best class that is still open
	steps int // table rating steps so far
	out   Assessment
}

// add notes a reason and lets the decision become stricter, never milder.
func (d *decider) add(decision Decision, code Code, rule, value, limit string) {
	d.note(Reason{Code: code, Decision: decision, Rule: rule, Value: value, Limit: limit})
}

func (d *decider) note(r Reason) {
	r.Sentence = r.Code.Sentence()
	if d.out.Reasons == nil {
		d.out.Reasons = make([]Reason, 0, 4) // most have no more: one allocation
	}
	d.out.Reasons = append(d.out.Reasons, r)
	if r.Decision.severity() > d.out.Decision.severity() {
		d.out.Decision = r.Decision
	}
	if r.Decision == Decline || r.Decision == Postpone {
		d.block(r.Code)
	}
}

// block forbids every price; the first cause is the one that is shown.
func (d *decider) block(code Code) {
	if d.out.Blocked == "" {
		d.out.Blocked = code
	}
}

func (d *decider) stated() {
	if d.last < adultAge {
		d.add(Decline, Under18, ruleMinor, strconv.Itoa(d.last), strconv.Itoa(adultAge))
		return
	}
	if code := d.pastLimit(d.onBasis); code != "" {
		d.add(Decline, code, ruleAgeLimits, strconv.Itoa(d.onBasis), d.limitOf(code))
	}
}

// photo runs the rules on the interval. Without a stated age the age that is
// charged is held against the product's limits.
func (d *decider) photo() {
	e, p := d.evidence, d.product
	switch {
	case e.High < adultAge:
		d.add(Refer, PhotoUnder18, ruleMinor, span(e.Low, e.High), strconv.Itoa(adultAge))
		d.block(PhotoUnder18)
	case e.Low < adultAge && !(d.hasAge && e.Age >= challengeAge):
		d.add(Refer, PhotoTouches18, ruleMinor, span(e.Low, e.High), strconv.Itoa(adultAge))
	}
	if charged := d.charged(); !d.hasAge && charged >= adultAge {
		whole := d.wholeAge(charged)
		if code := d.pastLimit(whole); code != "" {
			d.add(Refer, code, ruleAgeLimits, strconv.Itoa(whole), d.limitOf(code))
		}
	}
	if slack := p.Photo.SlackYears; d.hasAge && !between(float64(d.last), tenths(e.Low-slack), tenths(e.High+slack)) {
		d.add(Refer, AgeContradicts, ruleAgreement, strconv.Itoa(d.last), span(e.Low-slack, e.High+slack))
	}
	if width := tenths(e.High - e.Low); width > p.MaxIntervalWidth {
		d.add(Refer, AgeUncertain, ruleWidth, years(width), years(p.MaxIntervalWidth))
	}
	if len(e.Duplicates) > 0 && !p.Photo.IgnoreDuplicates {
		d.add(Refer, DuplicatePhoto, ruleDuplicate, strings.Join(e.Duplicates, " "), "no other case")
	}
}

// charged returns the age, as read from the photo, that the quoted premium is
// for; with ChargeExpected it stands for the distribution.
func (d *decider) charged() float64 {
	if d.product.Photo.Charge == ChargeHigh {
		return d.evidence.High
	}
	return d.evidence.Age
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

// class finds the class, its tables and what raises their mortality.
func (d *decider) class(stated *Stated) {
	p, f := d.product, d.facts
	// Validate has passed the tobacco fact; on an exact basis it may be empty,
	// and then the table says who smokes.
	tobacco, _ := ParseTobacco(f.Tobacco)
	d.out.Tobacco = tobacco.Uses(p.TobaccoFreeYears)
	if p.onTable != 0 {
		d.out.Rates = []TableShare{{Number: p.onTable, Share: 1}}
	}
	if stated != nil {
		d.out.Multiple = stated.Multiple
		if c, ok := p.Class(stated.Class, d.out.Tobacco); ok {
			d.settle(&c)
			return
		}
		if p.onTable != 0 {
			return
		}
	}
	found := d.build()
	d.tobacco(tobacco)
	d.answers()
	if d.steps > p.MaxSteps {
		d.add(Decline, RatingOverLimit, ruleRating, percent(d.steps), percent(p.MaxSteps))
	}
	if !found {
		return
	}
	d.settle(d.pick(p.classesFor(d.out.Tobacco)))
	switch {
	case stated != nil: // the multiple stands as stated, alone
		d.out.Extras = nil
	case d.steps > 0 && d.steps <= maxRating:
		d.out.Rating = Rating(d.steps)
		fallthrough
	default:
		d.out.Multiple = Multiple(d.steps)
	}
}

func (d *decider) settle(c *Class) {
	d.out.Class = c.Name
	if d.product.onTable == 0 {
		d.out.Rates = c.rates(d.product, d.facts.Sex)
	}
}

// pick returns the best class that is open: the worst one where rated.
func (d *decider) pick(classes []Class) *Class {
	worst := &classes[len(classes)-1]
	if d.steps > 0 {
		return worst
	}
	for i := range classes {
		c := &classes[i]
		if c.Level >= d.level {
			return c
		}
	}
	return worst
}

// build runs the chart. It returns false where it finds no class, and then
// there is nothing to price with.
func (d *decider) build() bool {
	p, f := d.product, d.facts
	age := d.onBasis
	if !d.hasAge {
		age = d.wholeAge(d.evidence.Age)
	}
	outcome, ok := p.Chart.At(f.Sex, age, f.HeightCM, f.WeightKG)
	if ok && outcome == (Outcome{}) {
		return true // most builds: the best class, and nothing to say
	}
	value, limit := buildText(f.HeightCM, f.WeightKG), p.Chart.limit(f.Sex, age, f.HeightCM)
	switch {
	case !ok || outcome.Decision == Refer:
		d.steps += outcome.Steps
		d.add(Refer, BuildOutsideClass, ruleBuild, value, limit)
		d.block(BuildOutsideClass)
		return false
	case outcome.Decision == Decline:
		d.add(Decline, BuildDecline, ruleBuild, value, limit)
		return false
	case outcome.Steps > 0:
		d.rate(RatedBuild, ruleBuild, value, limit, outcome.Steps)
	default:
		d.close(ClassBuild, ruleBuild, value, limit, outcome.Level)
	}
	return true
}

// rate adds table rating steps.
func (d *decider) rate(code Code, rule, value, limit string, steps int) {
	d.steps += steps
	d.note(Reason{Code: code, Decision: Quote, Rule: rule, Value: value, Limit: limit, Effect: mortalityText(steps)})
}

// close leaves no class open that is better than the level.
func (d *decider) close(code Code, rule, value, limit string, level int) {
	d.level = max(d.level, level)
	d.note(Reason{Code: code, Decision: Quote, Rule: rule, Value: value, Limit: limit, Effect: "class " + d.product.levelName(level) + " at best"})
}

// tobacco runs the rules of tobacco: its classes or its rating for users, and
// which classes are open to those who stopped.
func (d *decider) tobacco(t Tobacco) {
	p := d.product
	if !d.out.Tobacco && t.Status != "former" {
		return
	}
	value := t.Status
	if t.Status == "former" {
		value = "former, " + years(t.Years)
	}
	switch {
	case d.out.Tobacco && p.TobaccoDistinct():
		d.note(Reason{Code: TobaccoRates, Decision: Quote, Rule: ruleTobacco, Value: value, Limit: withoutText(p.TobaccoFreeYears), Effect: "rates for users of tobacco"})
		return
	case d.out.Tobacco:
		d.rate(RatedTobacco, ruleTobacco, value, withoutText(p.TobaccoFreeYears), p.TobaccoSteps)
		return
	}
	best := p.classesFor(false)
	for i := range best {
		if t.Years < best[i].TobaccoFreeYears && i < len(best)-1 {
			continue
		}
		if i > 0 {
			d.close(ClassTobacco, ruleFormer, value, withoutText(best[i-1].TobaccoFreeYears), best[i].Level)
		}
		return
	}
}

// answers runs the questions that were answered with yes.
func (d *decider) answers() {
	for i := range d.product.Questions {
		q := &d.product.Questions[i]
		if !d.facts.Answers[q.ID] {
			continue
		}
		const value, limit = "yes", "no"
		switch e := q.Yes; {
		case e.Decline:
			d.add(Decline, AnswerDecline, q.Rule, value, limit)
		case e.PostponeMonths > 0:
			d.add(Postpone, AnswerPostpone, q.Rule, value, fmt.Sprintf("%d months", e.PostponeMonths))
		case e.Refer:
			d.add(Refer, AnswerRefer, q.Rule, value, limit)
		case e.Steps > 0:
			d.rate(RatedAnswer, q.Rule, value, limit, e.Steps)
		case e.Level > 0:
			d.close(ClassAnswer, q.Rule, value, limit, e.Level)
		default:
			d.out.Extras = append(d.out.Extras, e.Extra)
			d.note(Reason{Code: FlatExtra, Decision: Quote, Rule: q.Rule, Value: value, Limit: limit, Effect: extraText(e.Extra)})
		}
	}
}

func (d *decider) priceAges() {
	if e := d.evidence; e != nil {
		d.out.Interval = &PricedInterval{Low: d.priced(e.Low), Estimated: d.priced(e.Age), High: d.priced(e.High)}
	}
	if d.hasAge {
		d.out.Source, d.out.Charge = Declared, string(Declared)
		d.out.Price = PriceAge{Age: d.onBasis, Refused: d.out.Blocked}
		return
	}
	d.out.Source, d.out.Charge = Estimated, d.product.Photo.Charge
	d.out.Price = d.priced(d.charged())
}

// priced returns the price age of an age read from the photo. The limit of 18
// holds for the age as read, not as rounded: 17.6 is under 18.
func (d *decider) priced(age float64) PriceAge {
	whole := d.wholeAge(age)
	switch {
	case d.out.Blocked != "":
		return PriceAge{Age: whole, Refused: d.out.Blocked}
	case age < adultAge:
		return PriceAge{Age: whole, Refused: Under18}
	}
	return PriceAge{Age: whole, Refused: d.pastLimit(whole)}
}

// wholeAge returns an age read from a photo in whole years on the product's
// basis: the nearest, and one more where the basis is the next birthday.
func (d *decider) wholeAge(age float64) int {
	whole := nearest(age)
	if d.product.AgeBasis == premium.AgeNextBirthday {
		whole++
	}
	return whole
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

// tenths rounds to one decimal, as ages are printed, lest 40.0 years come out
// as a hair more.
func tenths(x float64) float64 { return math.Round(x*10) / 10 }

func years(x float64) string { return strconv.FormatFloat(x, 'f', 1, 64) }

// span returns an age interval in words.
func span(low, high float64) string { return years(low) + "-" + years(high) }

// maxRating is the number of the last table rating, P.
const maxRating = 16

// Rating returns the letter of table rating steps, 1 to 16: A to P.
func Rating(steps int) string { return string(rune('A' + steps - 1)) }

// Multiple returns what table rating steps make of the table's mortality: 25 %
// more a step.
func Multiple(steps int) float64 { return 1 + 0.25*float64(steps) }

func percent(steps int) string { return "+" + strconv.Itoa(25*steps) + "%" }

func withoutText(free float64) string { return years(free) + " years without" }

func mortalityText(steps int) string { return "mortality +" + strconv.Itoa(25*steps) + "%" }

func extraText(e premium.FlatExtra) string {
	perMille := strconv.FormatFloat(e.PerMille, 'f', 2, 64)
	if e.Years == 0 {
		return perMille + " per 1,000 a year"
	}
	return perMille + " per 1,000 a year for " + strconv.Itoa(e.Years) + " years"
}
