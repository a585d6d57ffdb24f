package rulebook

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"regexp"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/agequote/agequote/internal/premium"
	"github.com/agequote/agequote/internal/underwriting"
)

// maxProductBytes bounds a product file; the present one has 3 kB.
const maxProductBytes = 64 << 10

// productFile is the YAML of one version of a product. Its comments stand in
// rules/products/us-term.yaml.
type productFile struct {
	Schema        int    `yaml:"schema"`
	ID            string `yaml:"id"`
	Market        string `yaml:"market"`
	Default       bool   `yaml:"default"`
	Currency      string `yaml:"currency"`
	EffectiveFrom string `yaml:"effective_from"`
	Author        string `yaml:"author"`
	Approver      string `yaml:"approver"`
	Reason        string `yaml:"reason"`

	Terms []int `yaml:"terms"`
	Age   struct {
		Basis       string `yaml:"basis"`
		Min         int    `yaml:"min"`
		Max         int    `yaml:"max"`
		MaxAtExpiry int    `yaml:"max_at_expiry"`
	} `yaml:"age"`
	Sum struct {
		Min int64 `yaml:"min"`
		Max int64 `yaml:"max"`
	} `yaml:"sum"`

	Interest       float64            `yaml:"interest"`
	Loading        float64            `yaml:"loading"`
	PolicyFeeCents int64              `yaml:"policy_fee_cents"`
	ModalFactors   map[string]float64 `yaml:"modal_factors"`
	DefaultMode    string             `yaml:"default_mode"`
	QuoteDays      int                `yaml:"quote_days"`

	Tables             map[string]smokerTables `yaml:"tables"`
	FormerSmokerMonths int                     `yaml:"former_smoker_months"`
	Classes            []class                 `yaml:"classes"`
	Build              []band                  `yaml:"build"`
	MaxIntervalWidth   float64                 `yaml:"max_interval_width_years"`
	Notices            []string                `yaml:"notices"`
}

type smokerTables struct {
	Nonsmoker int `yaml:"nonsmoker"`
	Smoker    int `yaml:"smoker"`
}

type class struct {
	Name     string  `yaml:"name"`
	Multiple float64 `yaml:"multiple"`
	Share    float64 `yaml:"share"`
}

type band struct {
	From  float64 `yaml:"from"`
	To    float64 `yaml:"to"`
	Class string  `yaml:"class"`
}

// parseProduct reads and checks one product file. hasTable tells which
// mortality tables exist. The error joins all problems, each with its line.
func parseProduct(raw []byte, hasTable func(int) bool) (*productFile, error) {
	if len(raw) > maxProductBytes {
		return nil, fmt.Errorf("more than %d bytes", maxProductBytes)
	}
	tree, err := parser.ParseBytes(raw, 0)
	if err != nil {
		return nil, yamlError(err)
	}
	if len(tree.Docs) != 1 {
		return nil, fmt.Errorf("%d YAML documents, want 1", len(tree.Docs))
	}
	var f productFile
	if err := yaml.NewDecoder(bytes.NewReader(raw), yaml.Strict()).Decode(&f); err != nil {
		return nil, yamlError(err)
	}
	c := checker{tree: tree}
	c.head(&f)
	c.limits(&f)
	c.money(&f)
	c.tables(&f, hasTable)
	c.classes(&f)
	c.build(&f)
	if err := errors.Join(c.problems...); err != nil {
		return nil, err
	}
	return &f, nil
}

// yamlError brings the YAML library's errors to the form of ours: line, then
// reason, without the library's excerpt of the file.
func yamlError(err error) error {
	var y yaml.Error
	if errors.As(err, &y) && y.GetToken() != nil {
		return fmt.Errorf("line %d: %s", y.GetToken().Position.Line, y.GetMessage())
	}
	return errors.New(yaml.FormatError(err, false, false))
}

// product returns the checked file as package underwriting takes it.
func (f *productFile) product(hash string) *underwriting.Product {
	effective, _ := time.Parse(time.DateOnly, f.EffectiveFrom) // checked
	p := &underwriting.Product{
		ID: f.ID, Market: f.Market, Currency: f.Currency, EffectiveFrom: effective,
		AgeBasis: premium.AgeBasis(f.Age.Basis),
		Terms:    f.Terms, MinAge: f.Age.Min, MaxAge: f.Age.Max, MaxExpiryAge: f.Age.MaxAtExpiry,
		MinSumCents: f.Sum.Min * 100, MaxSumCents: f.Sum.Max * 100,
		MaxIntervalWidth:   f.MaxIntervalWidth,
		FormerSmokerMonths: f.FormerSmokerMonths,
		Tables:             map[underwriting.Segment]int{},
		Interest:           f.Interest,
		Loads:              premium.Loads{Loading: f.Loading, PolicyFeeCents: f.PolicyFeeCents},
		DefaultMode:        f.DefaultMode, ModalFactors: f.ModalFactors,
		QuoteDays: f.QuoteDays, Notices: f.Notices, Hash: hash,
	}
	for sex, t := range f.Tables {
		p.Tables[underwriting.Segment{Sex: sex}] = t.Nonsmoker
		p.Tables[underwriting.Segment{Sex: sex, Smoker: true}] = t.Smoker
	}
	for _, c := range f.Classes {
		p.Classes = append(p.Classes, underwriting.Class(c))
	}
	for _, b := range f.Build {
		p.Bands = append(p.Bands, underwriting.Band(b))
	}
	return p
}

// checker collects the problems of one file.
type checker struct {
	tree     *ast.File
	problems []error
}

// require notes the problem unless ok. at is the YAML path of the culprit,
// from which the line is found. NaN fails every comparison, so conditions are
// written as what must hold.
func (c *checker) require(ok bool, at, format string, args ...any) {
	if ok {
		return
	}
	c.problems = append(c.problems, fmt.Errorf("line %d: %s: %s", c.line(at), at, fmt.Sprintf(format, args...)))
}

// line returns where the path stands, or 1 where the file lacks it.
func (c *checker) line(at string) int {
	p, err := yaml.PathString("$." + at)
	if err != nil {
		return 1
	}
	node, err := p.FilterFile(c.tree)
	if err != nil || node == nil || node.GetToken() == nil {
		return 1
	}
	return node.GetToken().Position.Line
}

var (
	idPattern       = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	marketPattern   = regexp.MustCompile(`^[A-Z]{2}$`)
	currencyPattern = regexp.MustCompile(`^[A-Z]{3}$`)
)

func (c *checker) head(f *productFile) {
	c.require(f.Schema == 1, "schema", "must be 1")
	c.require(idPattern.MatchString(f.ID), "id", "must be lower-case words joined by hyphens")
	c.require(marketPattern.MatchString(f.Market), "market", "must be two capital letters")
	c.require(currencyPattern.MatchString(f.Currency), "currency", "must be an ISO 4217 code")
	_, err := time.Parse(time.DateOnly, f.EffectiveFrom)
	c.require(err == nil, "effective_from", "must be a date, YYYY-MM-DD")
	c.require(f.Author != "", "author", "must be named")
	c.require(f.Approver != "", "approver", "must be named")
	// Four eyes: nobody puts a price in force alone.
	c.require(f.Author != f.Approver, "approver", "must be another person than the author")
	c.require(f.Reason != "", "reason", "must say why the version exists")
	c.require(len(f.Notices) > 0, "notices", "must hold at least one")
}

func (c *checker) limits(f *productFile) {
	c.require(len(f.Terms) > 0, "terms", "must list at least one")
	for i, t := range f.Terms {
		c.require(t >= 1 && t <= 100, fmt.Sprintf("terms[%d]", i), "must be 1 to 100 years")
		c.require(i == 0 || t > f.Terms[i-1], fmt.Sprintf("terms[%d]", i), "terms must rise")
	}
	basis := premium.AgeBasis(f.Age.Basis)
	c.require(basis == premium.AgeLastBirthday || basis == premium.AgeNearestBirthday, "age.basis", "must be ALB or ANB")
	c.require(f.Age.Min >= 18, "age.min", "must be 18 or more: nobody under 18 is insured")
	c.require(f.Age.Max >= f.Age.Min, "age.max", "must not lie below age.min")
	c.require(f.Age.MaxAtExpiry > f.Age.Min && f.Age.MaxAtExpiry <= 120, "age.max_at_expiry", "must lie above age.min, at most 120")
	c.require(f.Sum.Min >= 1, "sum.min", "must be at least 1")
	c.require(f.Sum.Max >= f.Sum.Min && f.Sum.Max <= 1_000_000_000, "sum.max", "must not lie below sum.min, at most 10^9")
	c.require(f.QuoteDays >= 1 && f.QuoteDays <= 366, "quote_days", "must be 1 to 366")
	c.require(f.MaxIntervalWidth > 0 && f.MaxIntervalWidth <= 120, "max_interval_width_years", "must lie above 0, at most 120")
}

func (c *checker) money(f *productFile) {
	c.require(f.Interest >= 0 && f.Interest <= 0.2, "interest", "must be 0 to 0.2 a year")
	c.require(f.Loading >= 0 && f.Loading < 0.9, "loading", "must be 0 to below 0.9")
	c.require(f.PolicyFeeCents >= 0 && f.PolicyFeeCents <= 1_000_000, "policy_fee_cents", "must be 0 to 1000000")
	_, ok := f.ModalFactors[f.DefaultMode]
	c.require(ok, "default_mode", "must be one of modal_factors")
	for mode, factor := range f.ModalFactors {
		at := "modal_factors." + mode
		c.require(mode == "annual" || mode == "monthly", "modal_factors", "modes are annual and monthly")
		c.require(factor > 0 && factor <= 1, at, "must lie above 0, at most 1")
		// premium.Modal counts factors in millionths.
		c.require(math.Abs(factor*1e6-math.Round(factor*1e6)) < 1e-6, at, "must have at most six decimals")
	}
}

func (c *checker) tables(f *productFile, hasTable func(int) bool) {
	c.require(len(f.Tables) == 2, "tables", "must have female and male")
	for _, sex := range []string{"female", "male"} {
		t, ok := f.Tables[sex]
		c.require(ok, "tables", "must have %s", sex)
		c.require(!ok || hasTable(t.Nonsmoker), "tables."+sex+".nonsmoker", "no such table in tables/")
		c.require(!ok || hasTable(t.Smoker), "tables."+sex+".smoker", "no such table in tables/")
	}
	c.require(f.FormerSmokerMonths >= 0 && f.FormerSmokerMonths <= 600, "former_smoker_months", "must be 0 to 600")
}

// shareTolerance is how far the share-weighted mean multiple may lie from 1.
// Beyond it the classes would raise or lower mortality as a whole, which is
// the table's business.
const shareTolerance = 0.005

func (c *checker) classes(f *productFile) {
	c.require(len(f.Classes) > 0, "classes", "must list at least one")
	var share, mean float64
	names := map[string]bool{}
	for i, k := range f.Classes {
		at := fmt.Sprintf("classes[%d]", i)
		c.require(k.Name != "" && !names[k.Name], at+".name", "must be given, and once only")
		c.require(k.Multiple > 0 && k.Multiple <= 10, at+".multiple", "must lie above 0, at most 10")
		c.require(k.Share > 0 && k.Share <= 1, at+".share", "must lie above 0, at most 1")
		c.require(i == 0 || k.Multiple > f.Classes[i-1].Multiple, at+".multiple", "classes must go from best to worst")
		names[k.Name] = true
		share += k.Share
		mean += k.Share * k.Multiple
	}
	c.require(math.Abs(share-1) < 1e-9, "classes", "shares must add up to 1, not %.4f", share)
	c.require(math.Abs(mean-1) <= shareTolerance, "classes", "multiples weighted by share must average 1 within %g, not %.4f", shareTolerance, mean)
}

func (c *checker) build(f *productFile) {
	c.require(len(f.Build) > 0, "build", "must list at least one band")
	used := map[string]bool{}
	for i, b := range f.Build {
		at := fmt.Sprintf("build[%d]", i)
		c.require(b.From > 0 && b.To > b.From && b.To <= 100, at, "must rise from above 0 to at most 100 kg/m2")
		if i > 0 {
			last := f.Build[i-1].To
			c.require(b.From >= last, at, "overlaps the band before it, which ends at %g", last)
			c.require(b.From <= last, at, "leaves a gap after the band before it, which ends at %g", last)
		}
		known := false
		for _, k := range f.Classes {
			known = known || k.Name == b.Class
		}
		c.require(known, at+".class", "is no class of this product")
		used[b.Class] = true
	}
	for i, k := range f.Classes {
		c.require(used[k.Name], fmt.Sprintf("classes[%d]", i), "no build leads to this class")
	}
}
