package rulebook

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/premium"
	"github.com/agequote/agequote/internal/underwriting"
)

// productFile is the YAML of one version of a product. Its comments stand in
// rules/products/us-term.yaml.
type productFile struct {
	Head     `yaml:",inline"`
	Name     string `yaml:"name"`
	Market   string `yaml:"market"`
	Default  bool   `yaml:"default"`
	Currency string `yaml:"currency"`

	Classes        string   `yaml:"classes"`
	Chart          string   `yaml:"chart"`
	Questions      string   `yaml:"questions"`
	Sex            string   `yaml:"sex"`
	MaleShare      *float64 `yaml:"male_share"`
	MaxRatingSteps int      `yaml:"max_rating_steps"`

	Terms []int `yaml:"terms"`
	Age   struct {
		Basis       string `yaml:"basis"`
		Min         int    `yaml:"min"`
		Max         int    `yaml:"max"`
		MaxAtExpiry int    `yaml:"max_at_expiry"`
	} `yaml:"age"`
	Sum struct {
		Min   int64     `yaml:"min"`
		Max   int64     `yaml:"max"`
		Bands []sumBand `yaml:"bands"`
	} `yaml:"sum"`

	Interest float64 `yaml:"interest"`
	Loading  struct {
		Expense float64 `yaml:"expense"`
		Profit  float64 `yaml:"profit"`
	} `yaml:"loading"`
	PolicyFeeCents int64              `yaml:"policy_fee_cents"`
	ModalFactors   map[string]float64 `yaml:"modal_factors"`
	DefaultMode    string             `yaml:"default_mode"`
	Rounding       string             `yaml:"rounding"`
	QuoteDays      int                `yaml:"quote_days"`

	Photo struct {
		Role             string  `yaml:"role"`
		Charge           string  `yaml:"charge"`
		SlackYears       float64 `yaml:"slack_years"`
		MaxIntervalYears float64 `yaml:"max_interval_years"`
		Duplicates       string  `yaml:"duplicates"`
	} `yaml:"photo"`
	Notices []string `yaml:"notices"`

	file *file
}

type sumBand struct {
	From     int64   `yaml:"from"`
	Discount float64 `yaml:"discount"`
}

// Sexes of a product.
const (
	sexPriced = "priced"
	sexUnisex = "unisex"
)

// What a product does with a photo that was sent with another case too.
const (
	duplicatesOn  = "on" // refers; also where nothing is said
	duplicatesOff = "off"
)

// halfUp is the one rounding that package premium has.
const halfUp = "half up to the cent"

// markets tell what the law allows: where unisex, no product may price on sex.
var markets = map[string]struct{ unisex bool }{"US": {false}, "EU": {true}, "IN": {true}}

func parseProduct(name string, raw []byte) (*productFile, error) {
	f := &productFile{}
	var err error
	f.file, err = parse(name, raw, f, &f.Head, func(c *checker) {
		c.schema(&f.Head, 2)
		c.market(f)
		c.limits(f)
		c.money(f)
		c.photo(f)
	})
	return f, err
}

func (c *checker) market(f *productFile) {
	m, ok := markets[f.Market]
	c.require(ok, "market", "must be US, EU or IN")
	c.require(f.Name != "", "name", "must be given")
	c.require(currencyPattern.MatchString(f.Currency), "currency", "must be an ISO 4217 code")
	c.require(f.Sex == sexPriced || f.Sex == sexUnisex, "sex", "must be %s or %s", sexPriced, sexUnisex)
	c.require(!m.unisex || f.Sex == sexUnisex, "sex", "must be %s in this market", sexUnisex)
	c.require(f.MaleShare == nil || f.Sex == sexUnisex && *f.MaleShare > 0 && *f.MaleShare < 1, "male_share", "must lie between 0 and 1, in a unisex product alone")
	c.require(len(f.Notices) > 0, "notices", "must hold at least one")
}

func (c *checker) limits(f *productFile) {
	c.require(len(f.Terms) > 0, "terms", "must list at least one")
	for i, t := range f.Terms {
		c.require(t >= 1 && t <= 100, fmt.Sprintf("terms[%d]", i), "must be 1 to 100 years")
		c.require(i == 0 || t > f.Terms[i-1], fmt.Sprintf("terms[%d]", i), "terms must rise")
	}
	basis := premium.AgeBasis(f.Age.Basis)
	c.require(basis == premium.AgeLastBirthday || basis == premium.AgeNearestBirthday || basis == premium.AgeNextBirthday, "age.basis", "must be ALB, ANB or ANX")
	c.require(f.Age.Min >= 18, "age.min", "must be 18 or more: nobody under 18 is insured")
	c.require(f.Age.Max >= f.Age.Min, "age.max", "must not lie below age.min")
	c.require(f.Age.MaxAtExpiry > f.Age.Min && f.Age.MaxAtExpiry <= 120, "age.max_at_expiry", "must lie above age.min, at most 120")
	for i, t := range f.Terms {
		c.require(f.Age.Min+t <= f.Age.MaxAtExpiry, fmt.Sprintf("terms[%d]", i), "nobody can have this term: age.min and it pass age.max_at_expiry")
	}
	if len(f.Terms) > 0 {
		c.require(f.Age.Max+f.Terms[0] <= f.Age.MaxAtExpiry, "age.max", "nobody of this age can have a term: it and the shortest pass age.max_at_expiry")
	}
	c.require(f.Sum.Min >= 1, "sum.min", "must be at least 1")
	c.require(f.Sum.Max >= f.Sum.Min && f.Sum.Max <= 1_000_000_000, "sum.max", "must not lie below sum.min, at most 10^9")
	c.require(f.MaxRatingSteps >= 0 && f.MaxRatingSteps <= maxSteps, "max_rating_steps", "must be 0 to %d", maxSteps)
	c.require(f.QuoteDays >= 1 && f.QuoteDays <= 366, "quote_days", "must be 1 to 366")
}

func (c *checker) money(f *productFile) {
	c.require(f.Interest >= 0 && f.Interest <= 0.2, "interest", "must be 0 to 0.2 a year")
	c.require(f.Loading.Expense >= 0 && f.Loading.Expense < 0.9, "loading.expense", "must be 0 to below 0.9")
	c.require(f.Loading.Profit >= 0 && f.Loading.Profit < 0.9, "loading.profit", "must be 0 to below 0.9")
	c.require(f.loading() < 0.9, "loading", "expense and profit must stay below 0.9 together")
	c.require(f.PolicyFeeCents >= 0 && f.PolicyFeeCents <= 10_000_000, "policy_fee_cents", "must be 0 to 10000000")
	c.require(f.Rounding == halfUp, "rounding", "must be %q", halfUp)
	c.bands(f)
	for _, mode := range underwriting.Modes {
		factor, ok := f.ModalFactors[mode]
		at := "modal_factors." + mode
		c.require(ok && factor > 0 && factor <= 1, at, "must lie above 0, at most 1")
		// premium.Modal counts factors in millionths.
		c.require(math.Abs(factor*1e6-math.Round(factor*1e6)) < 1e-6, at, "must have at most six decimals")
	}
	c.require(len(f.ModalFactors) == len(underwriting.Modes), "modal_factors", "modes are %v", underwriting.Modes)
	c.require(slices.Contains(underwriting.Modes, f.DefaultMode), "default_mode", "must be one of %v", underwriting.Modes)
}

// bands checks that the discounts are taken off parts of the sum, so that a
// premium never falls as cover rises.
func (c *checker) bands(f *productFile) {
	c.require(len(f.Sum.Bands) <= 20, "sum.bands", "must be at most 20")
	for i, b := range f.Sum.Bands {
		at := fmt.Sprintf("sum.bands[%d]", i)
		c.require(b.From > f.Sum.Min && b.From < f.Sum.Max, at+".from", "must lie between sum.min and sum.max")
		c.require(i == 0 || b.From > f.Sum.Bands[i-1].From, at+".from", "bands must rise, none overlaps another")
		c.require(b.Discount > 0 && b.Discount <= 0.9, at+".discount", "must lie above 0, at most 0.9: at 1 and more the premium would stand or fall as cover rises")
		c.require(i == 0 || b.Discount > f.Sum.Bands[i-1].Discount, at+".discount", "must rise from band to band")
	}
}

func (c *checker) photo(f *productFile) {
	p := f.Photo
	c.require(p.Role == underwriting.CrossCheck || p.Role == underwriting.Prefill, "photo.role", "must be %s or %s", underwriting.CrossCheck, underwriting.Prefill)
	charges := []string{underwriting.ChargeEstimated, underwriting.ChargeHigh, underwriting.ChargeExpected}
	c.require(p.Role != underwriting.Prefill || slices.Contains(charges, p.Charge), "photo.charge", "must be one of %v", charges)
	c.require(p.Role != underwriting.CrossCheck || p.Charge == "", "photo.charge", "must not be there: the declared age is charged")
	c.require(p.Duplicates == "" || p.Duplicates == duplicatesOn || p.Duplicates == duplicatesOff, "photo.duplicates", "must be %s or %s", duplicatesOn, duplicatesOff)
	c.require(p.SlackYears >= 0 && p.SlackYears <= 30, "photo.slack_years", "must be 0 to 30")
	c.require(p.MaxIntervalYears > 0 && p.MaxIntervalYears <= 120, "photo.max_interval_years", "must lie above 0, at most 120")
}

// loading is both loadings, in millionths so that 0.1 and 0.2 make 0.3.
func (f *productFile) loading() float64 {
	return math.Round((f.Loading.Expense+f.Loading.Profit)*1e6) / 1e6
}

// parts are the versions in force with a product.
type parts struct {
	classes   *classesFile
	chart     *chartFile
	questions *questionsFile
}

// build returns the product as package underwriting takes it, with the parts
// in force with it from the day from.
func (f *productFile) build(with parts, x *tableIndex, from time.Time) (*underwriting.Product, error) {
	c := &checker{file: f.file}
	unisex := f.Sex == sexUnisex
	p := &underwriting.Product{
		ID: f.ID, Name: f.Name, Market: f.Market, Currency: f.Currency, EffectiveFrom: from,
		AgeBasis: premium.AgeBasis(f.Age.Basis), Unisex: unisex,
		Terms: f.Terms, MinAge: f.Age.Min, MaxAge: f.Age.Max, MaxExpiryAge: f.Age.MaxAtExpiry,
		MinSumCents: f.Sum.Min * 100, MaxSumCents: f.Sum.Max * 100,
		Photo:            underwriting.Photo{Role: f.Photo.Role, Charge: f.Photo.Charge, SlackYears: f.Photo.SlackYears, IgnoreDuplicates: f.Photo.Duplicates == duplicatesOff},
		MaxIntervalWidth: f.Photo.MaxIntervalYears,
		TobaccoSteps:     with.classes.TobaccoSteps,
		MaxSteps:         f.MaxRatingSteps,
		Interest:         f.Interest,
		ExpenseLoading:   f.Loading.Expense, ProfitLoading: f.Loading.Profit,
		Loads:       f.loads(),
		DefaultMode: f.DefaultMode, ModalFactors: f.ModalFactors,
		QuoteDays: f.QuoteDays, Notices: f.Notices,
	}
	if f.MaleShare != nil {
		p.MaleShare = *f.MaleShare
	}
	p.Classes = with.classes.build(p.MaleShare)
	levels := with.classes.levels()
	for _, k := range p.Classes {
		if !k.Tobacco {
			p.TobaccoFreeYears = k.TobaccoFreeYears // of the worst class in the end
		}
	}
	bySex := len(p.Classes[0].Female) > 0
	c.require(unisex || bySex, "classes", "these classes do not tell the sexes apart, and the product does")
	c.require(!unisex || bySex == (f.MaleShare != nil), "male_share", "must be there for tables by sex, and not for tables of both")
	c.tableAges(f, p, x)

	var err error
	if p.Chart, err = with.chart.build(levels, unisex, f.Age.Min, f.Age.Max); err != nil {
		c.problems = append(c.problems, err)
	}
	if p.Questions, err = with.questions.build(levels); err != nil {
		c.problems = append(c.problems, err)
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	var all []byte
	for _, s := range []struct {
		kind string
		file *file
	}{{"product", f.file}, {"classes", with.classes.file}, {"chart", with.chart.file}, {"questions", with.questions.file}} {
		p.Sources = append(p.Sources, underwriting.Source{Kind: s.kind, ID: s.file.head.ID, File: s.file.name, Hash: s.file.hash})
		all = fmt.Appendf(all, "%s %s\n", s.kind, s.file.hash)
	}
	p.Hash = digest.Of(all)
	return p, nil
}

func (f *productFile) loads() premium.Loads {
	l := premium.Loads{Loading: f.loading(), PolicyFeeCents: f.PolicyFeeCents}
	for _, b := range f.Sum.Bands {
		l.Bands = append(l.Bands, premium.SumBand{FromCents: b.From * 100, Discount: b.Discount})
	}
	return l
}

// tableAges checks that the tables reach over the product's ages; a table on
// another age basis needs a year more at each end.
func (c *checker) tableAges(f *productFile, p *underwriting.Product, x *tableIndex) {
	for _, k := range p.Classes {
		for _, shares := range [][]underwriting.TableShare{k.Female, k.Male, k.Both} {
			for _, s := range shares {
				t, margin := x.byNumber[s.Number], 1
				if slices.Contains(strings.Fields(t.Name), f.Age.Basis) {
					margin = 0
				}
				c.require(t.MinAge+margin <= f.Age.Min, "age.min", "table %d begins at %d", s.Number, t.MinAge)
				c.require(t.MaxAge+1-margin >= f.Age.MaxAtExpiry, "age.max_at_expiry", "table %d ends at %d", s.Number, t.MaxAge)
			}
		}
	}
}
