// Package crosscheck measures what a photo is good for in pricing: how many
// honest applicants a rule sends to a person, how many misstated ages it
// catches, how far apart the premiums at the interval's ends lie, and what a
// premium from the photo alone is worth. It measures on people of known age
// with intervals that they did not help to calibrate, and it decides and prices
// the way that every quote goes. It assumes that a person who misstates an age
// sends a photo like everybody else's; it knows nothing of portfolios, and the
// people are those of the data sets, not an insurer's.
package crosscheck

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/premiumerror"
	"github.com/agequote/agequote/internal/quote"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/underwriting"
	"github.com/agequote/agequote/training/measure"
)

// What is tried. The levels end where the calibration's neighbours leave too
// few photos in a tail.
var (
	asked = []float64{0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95}
	// Misstated are the years by which ages are misstated.
	Misstated = []int{3, 5, 10, 15}
	// Slacks widen the interval at each end, in years.
	Slacks = []float64{0, 2, 5}

	charges = []string{underwriting.ChargeEstimated, underwriting.ChargeExpected, underwriting.ChargeHigh}
)

// Minors are tried from 14 on: a person under 18 who declares 18, or no age.
const (
	youngestMinor = 14
	adultAge      = 18
)

// prevalence of misstated ages that Referred assumes; nothing here measures it.
const prevalence = 0.05

// short is the part of the true premium under which a charge counts as short.
const short = 0.9

// Options of a measurement.
type Options struct {
	Readings string // hash of the readings file
	Model    string // hash of the package
	Settings age.Settings
	Folds    int // by person, over which intervals are calibrated
	Book     *rulebook.Book
	Date     time.Time // whose products are priced
}

// Measure measures readings of photos that the model was not trained on. The
// same readings and options give the same document.
func Measure(readings []measure.Reading, o Options) (Document, error) {
	d := Document{
		Readings: o.Readings, Model: o.Model, Point: string(o.Settings.Point), Asked: o.Settings.Coverage,
		Folds: o.Folds, Date: o.Date.Format(time.DateOnly), Photos: count(readings),
	}
	atLevel := func(level float64) ([]person, error) { return people(readings, o, level) }
	own, err := atLevel(o.Settings.Coverage)
	if err != nil {
		return Document{}, err
	}
	var first *study
	draws := sampler{}
	for _, facts := range applicants() {
		s, err := newStudy(o, draws, facts)
		if err != nil {
			return Document{}, err
		}
		if first == nil {
			first = s
			d.Applicant, d.Currency = s.applicant(), s.product.Currency
		}
		p, err := s.asItStands(own, o.Settings.Coverage)
		if err != nil {
			return Document{}, err
		}
		d.Products = append(d.Products, p)
	}
	for _, level := range asked {
		at, err := atLevel(level)
		if err != nil {
			return Document{}, err
		}
		l, err := first.level(at, level)
		if err != nil {
			return Document{}, err
		}
		d.Levels = append(d.Levels, l)
	}
	for _, slack := range Slacks {
		r, err := first.rule(own, o.Settings.Coverage, slack)
		if err != nil {
			return Document{}, err
		}
		d.Slacks = append(d.Slacks, r)
		d.Yields = append(d.Yields, yields(r)...)
	}
	if d.Groups, err = first.groups(own, o.Settings.Coverage); err != nil {
		return Document{}, err
	}
	d.Saved, err = first.saved(own)
	return d, err
}

// applicants are who is priced in each market, age and sex left open: the
// README's, and the same person with a sum usual in India.
func applicants() []underwriting.Facts {
	us := premiumerror.Applicant()
	eu, in := us, us
	eu.Market, in.Market = "EU", "IN"
	in.SumCents = 5_000_000_00
	return []underwriting.Facts{us, eu, in}
}

func count(readings []measure.Reading) Photos {
	c := Photos{Read: len(readings), Refused: map[string]int{}}
	seen := map[string]bool{}
	for i, r := range readings {
		if !adult(r) {
			continue
		}
		c.Adults++
		if r.Code != reason.OK {
			c.Refused[string(r.Code)]++
			continue
		}
		c.Accepted++
		seen[key(r, i)] = true
	}
	c.People = len(seen)
	return c
}

func adult(r measure.Reading) bool {
	return slices.Contains(evaluation.AgeGroups(r.Label.Age), evaluation.Adults)
}

// key names a person; one without a name is alone.
func key(r measure.Reading, i int) string {
	if r.Label.Person == "" {
		return fmt.Sprintf("photo %d", i)
	}
	return "person " + r.Label.Person
}

// person is one accepted photo of an adult. Photos of one person share id.
type person struct {
	id       int // 0 to n-1
	age      int // true age, whole years
	sex      string
	groups   []string
	estimate age.Estimate
}

// people estimates the adults and the older minors at a coverage. No photo is refused as unsure: the
// widest intervals of one coverage are not those of another, and the product's
// limit on the width is what is tried here.
func people(readings []measure.Reading, o Options, level float64) ([]person, error) {
	s := o.Settings
	s.Coverage, s.AbstainShare = level, 0
	rows, err := measure.CrossValidated(readings, s, o.Folds)
	if err != nil {
		return nil, fmt.Errorf("calibrate at %g: %w", level, err)
	}
	ids := map[string]int{}
	var list []person
	for i, r := range readings {
		minor := youngestMinor <= r.Label.Age && r.Label.Age < adultAge
		if !adult(r) && !minor || rows[i].Code != reason.OK {
			continue
		}
		k := key(r, i)
		if _, ok := ids[k]; !ok {
			ids[k] = len(ids)
		}
		list = append(list, person{id: ids[k], age: int(math.Floor(r.Label.Age)), sex: r.Label.Groups["sex"], groups: groupsOf(r), estimate: rows[i].Estimate})
	}
	return list, nil
}

func groupsOf(r measure.Reading) []string {
	var names []string
	for _, g := range evaluation.AgeGroups(r.Label.Age) {
		if g == "age=70-79" {
			g = "age=70-75" // of the adults
		}
		if g != evaluation.Adults {
			names = append(names, g)
		}
	}
	for _, column := range []string{"sex", "race", "dataset"} {
		if v := r.Label.Groups[column]; v != "" {
			names = append(names, column+"="+v)
		}
	}
	return names
}

// study is one product and one applicant, whose age and sex are left open.
type study struct {
	o       Options
	sampler sampler
	facts   underwriting.Facts
	product *underwriting.Product
	// insurable ages get a quote when they are declared without a photo.
	insurable map[int]bool
}

func newStudy(o Options, draws sampler, facts underwriting.Facts) (*study, error) {
	product, err := o.Book.Product(facts.Market, facts.Product, o.Date)
	if err != nil {
		return nil, fmt.Errorf("find product of %s: %w", facts.Market, err)
	}
	s := &study{o: o, sampler: draws, facts: facts, product: product, insurable: map[int]bool{}}
	for years := range age.Oldest {
		a, err := underwriting.Decide(product, s.declare(years, ""), nil, o.Date)
		if err != nil {
			return nil, fmt.Errorf("decide on an applicant of %d: %w", years, err)
		}
		s.insurable[years] = a.Decision == underwriting.Quote
	}
	if !s.insurable[40] {
		return nil, fmt.Errorf("product %s gives an applicant of 40 no quote", product.ID)
	}
	return s, nil
}

// sexes are those to price for a label: one, both where it is not known, and
// none where the product takes none.
func (s *study) sexes(label string) []string {
	switch {
	case s.product.Unisex:
		return []string{""}
	case label == "female" || label == "male":
		return []string{label}
	}
	return []string{"female", "male"}
}

func (s *study) declare(years int, sex string) underwriting.Facts {
	f := s.facts
	declared := float64(years)
	f.Age, f.Sex = &declared, s.sexes(sex)[0]
	return f
}

func (s *study) applicant() string {
	f := s.facts
	sex := "sex as labelled (the mean of both where it is not)"
	if s.product.Unisex {
		sex = "unisex"
	}
	return fmt.Sprintf("%s, gross annual premium for %d %s over %d years, %g cm, %g kg, tobacco %s, %s",
		s.product.ID, f.SumCents/100, s.product.Currency, f.TermYears, f.HeightCM, f.WeightKG, f.Tobacco, sex)
}

// outcome is what a rule makes of one declared age.
type outcome struct {
	quoted, outside, wide, under18 bool
}

func (o outcome) causes() int {
	n := 0
	for _, c := range []bool{o.outside, o.wide, o.under18} {
		if c {
			n++
		}
	}
	return n
}

// decide holds a declared age against a photo.
func (s *study) decide(p *underwriting.Product, who person, declared int) (outcome, error) {
	return s.outcome(p, s.declare(declared, who.sex), who)
}

func (s *study) outcome(p *underwriting.Product, facts underwriting.Facts, who person) (outcome, error) {
	e := who.estimate
	a, err := underwriting.Decide(p, facts, &underwriting.Evidence{Age: *e.Age, Low: *e.Low, High: *e.High}, s.o.Date)
	if err != nil {
		return outcome{}, fmt.Errorf("decide: %w", err)
	}
	out := outcome{quoted: a.Decision == underwriting.Quote}
	for _, r := range a.Reasons {
		switch r.Code {
		case underwriting.AgeContradicts:
			out.outside = true
		case underwriting.AgeUncertain:
			out.wide = true
		case underwriting.PhotoTouches18, underwriting.PhotoUnder18:
			out.under18 = true
		}
	}
	return out, nil
}

// withPhoto is a copy of the product with another use of the photo.
func (s *study) withPhoto(photo underwriting.Photo) *underwriting.Product {
	p := *s.product
	p.Photo = photo
	return &p
}

// rule measures the cross-check at a slack, with the product's limit on the
// width.
func (s *study) rule(at []person, level, slack float64) (Rule, error) {
	p := s.withPhoto(underwriting.Photo{Role: underwriting.CrossCheck, SlackYears: slack})
	r := Rule{Level: level, Slack: slack, Width: p.MaxIntervalWidth}
	honest, err := s.misstate(p, at, 0)
	if err != nil {
		return Rule{}, err
	}
	share := func(hit func(outcome) bool) Share { return shareOf(s.sampler, honest, hit) }
	r.Quoted = share(func(o outcome) bool { return o.quoted })
	r.FalseAlarm = share(func(o outcome) bool { return o.outside })
	r.TooWide = share(func(o outcome) bool { return o.wide })
	r.Touches18 = share(func(o outcome) bool { return o.under18 })
	r.OnlyFalseAlarm = share(func(o outcome) bool { return o.outside && o.causes() == 1 })
	r.OnlyTooWide = share(func(o outcome) bool { return o.wide && o.causes() == 1 })
	r.OnlyTouches18 = share(func(o outcome) bool { return o.under18 && o.causes() == 1 })
	r.Several = share(func(o outcome) bool { return o.causes() > 1 })
	if r.Minors, r.MinorsSilent, err = s.minors(p, at); err != nil {
		return Rule{}, err
	}
	for _, years := range Misstated {
		younger, err := s.misstate(p, at, -years)
		if err != nil {
			return Rule{}, err
		}
		older, err := s.misstate(p, at, years)
		if err != nil {
			return Rule{}, err
		}
		r.Younger = append(r.Younger, s.caught(years, younger))
		r.Older = append(r.Older, s.caught(years, older))
	}
	return r, nil
}

func (s *study) caught(years int, list []observed[outcome]) Caught {
	return Caught{
		Years:   years,
		Caught:  shareOf(s.sampler, list, func(o outcome) bool { return o.outside }),
		Stopped: shareOf(s.sampler, list, func(o outcome) bool { return !o.quoted }),
	}
}

// minors measures those under 18 who declare 18, and those who declare nothing.
func (s *study) minors(p *underwriting.Product, at []person) (declaring, silent Share, err error) {
	photo := p.Photo
	photo.Role, photo.Charge = underwriting.Prefill, underwriting.ChargeExpected
	var eighteen, none []observed[outcome]
	for _, who := range at {
		if who.age >= adultAge {
			continue
		}
		facts := s.declare(adultAge, who.sex)
		o, err := s.outcome(p, facts, who)
		if err != nil {
			return Share{}, Share{}, err
		}
		eighteen = append(eighteen, observed[outcome]{who.id, o})
		facts.Age = nil
		if o, err = s.outcome(s.withPhoto(photo), facts, who); err != nil {
			return Share{}, Share{}, err
		}
		none = append(none, observed[outcome]{who.id, o})
	}
	stopped := func(o outcome) bool { return !o.quoted }
	return shareOf(s.sampler, eighteen, stopped), shareOf(s.sampler, none, stopped), nil
}

// misstate decides on everybody whose true age and whose declared age, so many
// years more, the product insures.
func (s *study) misstate(p *underwriting.Product, at []person, years int) ([]observed[outcome], error) {
	var list []observed[outcome]
	for _, who := range at {
		declared := who.age + years
		if !s.insurable[who.age] || !s.insurable[declared] {
			continue
		}
		o, err := s.decide(p, who, declared)
		if err != nil {
			return nil, err
		}
		list = append(list, observed[outcome]{who.id, o})
	}
	return list, nil
}

// prices are gross annual premiums of one person in whole units; NaN where
// there is none.
type prices struct {
	declared, low, estimated, high, expected float64
}

func (p prices) charge(charge string) float64 {
	switch charge {
	case underwriting.ChargeHigh:
		return p.high
	case underwriting.ChargeExpected:
		return p.expected
	}
	return p.estimated
}

// price quotes a person at the true age and along the interval, with both sexes
// where the label tells none.
func (s *study) price(who person) (prices, error) {
	var sum prices
	of := s.sexes(who.sex)
	for _, sex := range of {
		q, err := s.quote(who.age, sex, &who.estimate)
		if err != nil {
			return prices{}, err
		}
		add := func(to *float64, cents *int64) {
			if cents == nil {
				*to = math.NaN()
				return
			}
			*to += float64(*cents) / 100 / float64(len(of))
		}
		add(&sum.declared, q.GrossAnnualCents)
		add(&sum.low, q.At.Low.GrossAnnualCents)
		add(&sum.estimated, q.At.Estimated.GrossAnnualCents)
		add(&sum.high, q.At.High.GrossAnnualCents)
		add(&sum.expected, q.ExpectedGrossCents)
	}
	return sum, nil
}

func (s *study) quote(declared int, sex string, estimate *age.Estimate) (casefile.Quote, error) {
	q, err := quote.Compute(s.o.Book, quote.Input{Facts: s.declare(declared, sex), Estimate: estimate, ValuationDate: s.o.Date, Time: s.o.Date})
	if err != nil {
		return casefile.Quote{}, fmt.Errorf("quote: %w", err)
	}
	return q, nil
}

// declaredPrice is the gross annual premium of an insurable declared age without
// a photo, the mean of both sexes where the label tells none.
func (s *study) declaredPrice(declared int, label string) (float64, error) {
	sum := 0.0
	of := s.sexes(label)
	for _, sex := range of {
		q, err := s.quote(declared, sex, nil)
		if err != nil {
			return 0, err
		}
		sum += float64(*q.GrossAnnualCents) / 100 / float64(len(of))
	}
	return sum, nil
}

// priced are the prices of everybody whom the product insures.
func (s *study) priced(at []person) (list []observed[prices], who []person, err error) {
	for _, p := range at {
		if !s.insurable[p.age] {
			continue
		}
		one, err := s.price(p)
		if err != nil {
			return nil, nil, err
		}
		list, who = append(list, observed[prices]{p.id, one}), append(who, p)
	}
	return list, who, nil
}

// highToLow is the ratio of the premiums at the interval's ends.
func (s *study) highToLow(list []observed[prices]) (Ratio, Share) {
	var both []observed[pair]
	for _, p := range list {
		if !math.IsNaN(p.value.high) && !math.IsNaN(p.value.low) {
			both = append(both, observed[pair]{p.id, pair{p.value.high, p.value.low}})
		}
	}
	missing := shareOf(s.sampler, list, func(p prices) bool { return math.IsNaN(p.high) || math.IsNaN(p.low) })
	return s.sampler.ratioOf(both), missing
}

// charged holds what a photo alone would charge against the true premium.
func (s *study) charged(charge string, list []observed[prices], who []person) (Charged, error) {
	p := s.withPhoto(underwriting.Photo{Role: underwriting.Prefill, Charge: charge})
	var quoted []observed[outcome]
	var pairs []observed[pair]
	for i, one := range list {
		facts := s.declare(0, who[i].sex)
		facts.Age = nil
		o, err := s.outcome(p, facts, who[i])
		if err != nil {
			return Charged{}, err
		}
		v := one.value.charge(charge)
		if o.quoted = o.quoted && !math.IsNaN(v); o.quoted {
			pairs = append(pairs, observed[pair]{one.id, pair{v, one.value.declared}})
		}
		quoted = append(quoted, observed[outcome]{one.id, o})
	}
	return Charged{
		Charge: charge,
		Quoted: shareOf(s.sampler, quoted, func(o outcome) bool { return o.quoted }),
		Ratio:  s.sampler.ratioOf(pairs),
		Short:  shareOf(s.sampler, pairs, func(v pair) bool { return v[0] < short*v[1] }),
	}, nil
}

func (s *study) charges(list []observed[prices], who []person) ([]Charged, error) {
	var all []Charged
	for _, charge := range charges {
		c, err := s.charged(charge, list, who)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

func (s *study) level(at []person, level float64) (Level, error) {
	l := Level{Asked: level}
	for _, slack := range Slacks {
		r, err := s.rule(at, level, slack)
		if err != nil {
			return Level{}, err
		}
		l.Rules = append(l.Rules, r)
	}
	list, who, err := s.priced(at)
	if err != nil {
		return Level{}, err
	}
	l.HighToLow, l.Unpriced = s.highToLow(list)
	if l.Charges, err = s.charges(list, who); err != nil {
		return Level{}, err
	}
	var widths []observed[pair]
	for _, p := range who {
		widths = append(widths, observed[pair]{p.id, pair{*p.estimate.High - *p.estimate.Low, 1}})
	}
	l.Width, l.WidthCI = s.sampler.pooled(widths)
	return l, nil
}

// asItStands measures a product with its own slack.
func (s *study) asItStands(at []person, level float64) (Product, error) {
	p := s.product
	out := Product{ID: p.ID, Market: p.Market, Currency: p.Currency, Hash: p.Hash, Applicant: s.applicant(), Role: p.Photo.Role, Charge: p.Photo.Charge}
	for years, ok := range s.insurable {
		if ok {
			out.MaxAge = max(out.MaxAge, years)
		}
	}
	var err error
	if out.Rule, err = s.rule(at, level, p.Photo.SlackYears); err != nil {
		return Product{}, err
	}
	list, who, err := s.priced(at)
	if err != nil {
		return Product{}, err
	}
	out.HighToLow, out.Unpriced = s.highToLow(list)
	out.Charges, err = s.charges(list, who)
	return out, err
}

// leastGroup is how many people a group needs to be measured.
const leastGroup = 20

// groups measures the product as it stands by group.
func (s *study) groups(at []person, level float64) ([]Group, error) {
	of := map[string][]person{}
	for _, p := range at {
		if !s.insurable[p.age] {
			continue
		}
		for _, g := range p.groups {
			of[g] = append(of[g], p)
		}
	}
	var names []string
	for name := range of {
		names = append(names, name)
	}
	slices.Sort(names)
	var groups []Group
	for _, name := range names {
		g, err := s.group(name, of[name], level)
		if err != nil {
			return nil, err
		}
		if g.People >= leastGroup {
			groups = append(groups, g)
		}
	}
	return groups, nil
}

func (s *study) group(name string, at []person, level float64) (Group, error) {
	// People are numbered anew, so that only the group's are drawn.
	ids := map[int]int{}
	at = slices.Clone(at)
	for i, p := range at {
		if _, ok := ids[p.id]; !ok {
			ids[p.id] = len(ids)
		}
		at[i].id = ids[p.id]
	}
	r, err := s.rule(at, level, s.product.Photo.SlackYears)
	if err != nil {
		return Group{}, err
	}
	g := Group{Name: name, Photos: len(at), People: len(ids), Quoted: r.Quoted, FalseAlarm: r.FalseAlarm}
	for _, c := range r.Younger {
		g.Younger = append(g.Younger, c.Caught)
	}
	list, who, err := s.priced(at)
	if err != nil {
		return Group{}, err
	}
	g.HighToLow, _ = s.highToLow(list)
	g.Charged, err = s.charged(underwriting.ChargeExpected, list, who)
	return g, err
}

// saved prices everybody at the true and at a younger declared age.
func (s *study) saved(at []person) ([]Saved, error) {
	var all []Saved
	for _, years := range Misstated {
		var pairs []observed[pair]
		for _, who := range at {
			if !s.insurable[who.age] || !s.insurable[who.age-years] {
				continue
			}
			atTrue, err := s.declaredPrice(who.age, who.sex)
			if err != nil {
				return nil, err
			}
			younger, err := s.declaredPrice(who.age-years, who.sex)
			if err != nil {
				return nil, err
			}
			pairs = append(pairs, observed[pair]{who.id, pair{atTrue - younger, atTrue}})
		}
		one := Saved{Years: years, N: len(pairs)}
		one.Mean, one.CI = s.sampler.pooled(pairs)
		all = append(all, one)
	}
	return all, nil
}

// yields are the referrals that each catch of a rule costs.
func yields(r Rule) []Referred {
	var list []Referred
	for _, c := range r.Younger {
		one := Referred{Slack: r.Slack, Years: c.Years, Prevalence: prevalence}
		if c.Caught.Value > 0 {
			honest := round((1 - prevalence) * r.FalseAlarm.Value / (prevalence * c.Caught.Value))
			one.Honest = &honest
		}
		list = append(list, one)
	}
	return list
}
