package rulebook

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/agequote/agequote/internal/underwriting"
)

// maxSteps is the number of table ratings, A to P.
const maxSteps = 16

// chartFile is the YAML of one version of a build chart. Its comments stand in
// rules/charts/us-build.yaml.
type chartFile struct {
	Head   `yaml:",inline"`
	Panels []panelLines `yaml:"panels"`

	file *file
}

type panelLines struct {
	Sex      string    `yaml:"sex"`
	Ages     ageRange  `yaml:"ages"`
	Outcomes []string  `yaml:"outcomes"`
	Rows     []rowLine `yaml:"rows"`
}

type ageRange struct {
	From int `yaml:"from"`
	To   int `yaml:"to"`
}

type rowLine struct {
	From    float64   `yaml:"from"`
	To      float64   `yaml:"to"`
	Weights []float64 `yaml:"weights"`
}

// Bounds of a chart, those of the facts.
const (
	minHeight, maxHeight = 100, 250
	minWeight, maxWeight = 25, 400
	maxPanels, maxRows   = 16, 60
	maxColumns           = 30
)

func parseChart(name string, raw []byte) (*chartFile, error) {
	f := &chartFile{}
	var err error
	f.file, err = parse(name, raw, f, &f.Head, func(c *checker) {
		c.schema(&f.Head, 1)
		c.require(len(f.Panels) >= 1 && len(f.Panels) <= maxPanels, "panels", "must be 1 to %d", maxPanels)
		for i := range f.Panels {
			c.panel(fmt.Sprintf("panels[%d]", i), &f.Panels[i])
		}
		c.panelAges(f.Panels)
	})
	return f, err
}

func (c *checker) panel(at string, p *panelLines) {
	c.require(p.Sex == "" || p.Sex == "female" || p.Sex == "male", at+".sex", "must be female or male, or left out")
	n := len(p.Outcomes)
	c.require(n >= 1 && n <= maxColumns, at+".outcomes", "must be 1 to %d", maxColumns)
	c.require(len(p.Rows) >= 1 && len(p.Rows) <= maxRows, at+".rows", "must be 1 to %d", maxRows)
	for i, r := range p.Rows {
		row := fmt.Sprintf("%s.rows[%d]", at, i)
		c.require(r.From >= minHeight && r.To > r.From && r.To <= maxHeight, row, "heights must rise from %d to at most %d cm", minHeight, maxHeight)
		if i > 0 {
			end := p.Rows[i-1].To
			c.require(r.From >= end, row+".from", "overlaps the row before it, which ends at %g cm", end)
			c.require(r.From <= end, row+".from", "leaves a gap after the row before it, which ends at %g cm", end)
		}
		c.require(len(r.Weights) == n-1, row+".weights", "must be %d, one between each two outcomes, not %d", n-1, len(r.Weights))
		for j, w := range r.Weights {
			weight := fmt.Sprintf("%s.weights[%d]", row, j)
			c.require(w > minWeight && w < maxWeight, weight, "must lie between %d and %d kg", minWeight, maxWeight)
			c.require(j == 0 || w > r.Weights[j-1], weight, "weights must rise: no cell is empty, and none stands twice")
		}
	}
}

// panelAges checks that the panels of each sex follow each other without a gap
// or an overlap.
func (c *checker) panelAges(panels []panelLines) {
	last := map[string]int{}
	for i, p := range panels {
		at := fmt.Sprintf("panels[%d].ages", i)
		c.require(p.Ages.From >= 0 && p.Ages.To > p.Ages.From && p.Ages.To <= 131, at, "must rise, from 0 to at most 131")
		if end, ok := last[p.Sex]; ok {
			c.require(p.Ages.From >= end, at+".from", "overlaps the panel before it, which ends at %d", end)
			c.require(p.Ages.From <= end, at+".from", "leaves a gap after the panel before it, which ends at %d", end)
		}
		last[p.Sex] = p.Ages.To
	}
	_, both := last[""]
	c.require(both == (len(last) == 1) && (both || len(last) == 2), "panels", "must be for both sexes together, or for female and male")
}

// build returns the chart as package underwriting takes it, its outcomes read
// against the classes of a product that is sold from minAge to maxAge.
func (f *chartFile) build(levels []string, unisex bool, minAge, maxAge int) (underwriting.Chart, error) {
	c := &checker{file: f.file}
	var chart underwriting.Chart
	for i, p := range f.Panels {
		at := fmt.Sprintf("panels[%d]", i)
		c.require(!unisex || p.Sex == "", at+".sex", "must not be there: a product that uses this chart is unisex")
		panel := underwriting.Panel{Sex: p.Sex, FromAge: p.Ages.From, ToAge: p.Ages.To}
		for j, name := range p.Outcomes {
			o, err := outcome(name, levels)
			c.require(err == nil, fmt.Sprintf("%s.outcomes[%d]", at, j), "%v", err)
			panel.Outcomes = append(panel.Outcomes, o)
		}
		for level, name := range levels {
			reached := slices.ContainsFunc(panel.Outcomes, func(o underwriting.Outcome) bool { return o == underwriting.Outcome{Level: level} })
			c.require(reached, at+".outcomes", "no build leads to class %s", name)
		}
		for _, r := range p.Rows {
			panel.Rows = append(panel.Rows, underwriting.Row(r))
		}
		chart.Panels = append(chart.Panels, panel)
	}
	for i := range chart.Panels {
		c.shape(fmt.Sprintf("panels[%d]", i), &chart.Panels[i])
	}
	if len(c.problems) == 0 {
		c.covers(f.Panels, minAge, maxAge)
		c.neverMilder(chart.Panels)
	}
	return chart, c.err()
}

// outcome reads a cell: a class, a table rating A to P, refer or decline.
func outcome(name string, levels []string) (underwriting.Outcome, error) {
	if level := slices.Index(levels, name); level >= 0 {
		return underwriting.Outcome{Level: level}, nil
	}
	switch {
	case name == "refer":
		return underwriting.Outcome{Decision: underwriting.Refer}, nil
	case name == "decline":
		return underwriting.Outcome{Decision: underwriting.Decline}, nil
	case len(name) == 1 && name >= "A" && name <= "P":
		return underwriting.Outcome{Level: len(levels) - 1, Steps: int(name[0]-'A') + 1}, nil
	}
	return underwriting.Outcome{}, fmt.Errorf("%q is no class of the product, no table rating A to P, and neither refer nor decline", name)
}

// shape checks that outcomes get stricter away from the best one, on both
// sides: more overweight, or more underweight, is never better.
func (c *checker) shape(at string, p *underwriting.Panel) {
	best := 0
	for i, o := range p.Outcomes {
		if p.Outcomes[best].Stricter(o) {
			best = i
		}
	}
	for i := 1; i < len(p.Outcomes); i++ {
		milder, stricter := p.Outcomes[i-1], p.Outcomes[i]
		if i <= best {
			milder, stricter = stricter, milder
		}
		c.require(stricter.Stricter(milder), fmt.Sprintf("%s.outcomes[%d]", at, i), "outcomes must get stricter away from the best one")
	}
}

// covers checks that each sex's panels reach over the product's ages.
func (c *checker) covers(panels []panelLines, minAge, maxAge int) {
	first, last := map[string]int{}, map[string]int{}
	for i, p := range panels {
		if _, ok := first[p.Sex]; !ok {
			first[p.Sex] = i
		}
		last[p.Sex] = i
	}
	for sex, i := range first {
		c.require(panels[i].Ages.From <= minAge, fmt.Sprintf("panels[%d].ages.from", i), "leaves a gap: a product with this chart takes people from %d", minAge)
		c.require(panels[last[sex]].Ages.To > maxAge, fmt.Sprintf("panels[%d].ages.to", last[sex]), "leaves a gap: a product with this chart takes people up to %d", maxAge)
	}
}

// neverMilder checks that no build has a milder outcome in an older panel:
// else a premium would fall with age.
func (c *checker) neverMilder(panels []underwriting.Panel) {
	for i := range panels {
		for j := range i {
			young, old := &panels[j], &panels[i]
			if young.Sex != old.Sex || old.FromAge != young.ToAge {
				continue
			}
			c.milderAt(fmt.Sprintf("panels[%d]", i), young, old)
		}
	}
}

// milderAt compares two panels wherever one of them begins a cell.
func (c *checker) milderAt(at string, young, old *underwriting.Panel) {
	pair := underwriting.Chart{Panels: []underwriting.Panel{*young, *old}}
	var heights []float64
	for _, p := range pair.Panels {
		for _, r := range p.Rows {
			heights = append(heights, r.From)
		}
	}
	for k, r := range old.Rows {
		for _, h := range heights {
			if h < r.From || h >= r.To {
				continue
			}
			weights := append([]float64{minWeight}, r.Weights...)
			for _, y := range young.Rows {
				if y.From <= h && h < y.To {
					weights = append(weights, y.Weights...)
				}
			}
			for _, w := range weights {
				before, ok := pair.At(young.Sex, young.FromAge, h, w)
				after, _ := pair.At(old.Sex, old.FromAge, h, w)
				if ok && before.Stricter(after) {
					c.require(false, fmt.Sprintf("%s.rows[%d]", at, k), "at %g cm and %g kg the outcome is milder than for younger people: a premium would fall with age", h, w)
					return
				}
			}
		}
	}
}

// questionsFile is the YAML of one version of a set of questions. Its comments
// stand in rules/questions/us-health.yaml.
type questionsFile struct {
	Head      `yaml:",inline"`
	Questions []questionLine `yaml:"questions"`

	file *file
}

type questionLine struct {
	ID   string   `yaml:"id"`
	Text string   `yaml:"text"`
	Yes  yesLines `yaml:"yes"`
}

type yesLines struct {
	Class          string  `yaml:"class"`
	RatingSteps    int     `yaml:"rating_steps"`
	FlatExtra      float64 `yaml:"flat_extra_per_mille"`
	Years          int     `yaml:"years"`
	Refer          bool    `yaml:"refer"`
	PostponeMonths int     `yaml:"postpone_months"`
	Decline        bool    `yaml:"decline"`
}

func parseQuestions(name string, raw []byte) (*questionsFile, error) {
	f := &questionsFile{}
	var err error
	f.file, err = parse(name, raw, f, &f.Head, func(c *checker) {
		c.schema(&f.Head, 1)
		n := underwriting.MaxQuestions
		c.require(len(f.Questions) <= n, "questions", "must be at most %d", n)
		seen := map[string]bool{}
		for i, q := range f.Questions {
			at := fmt.Sprintf("questions[%d]", i)
			c.require(idPattern.MatchString(q.ID) && len(q.ID) <= 40 && !seen[q.ID], at+".id", "must be lower-case words joined by hyphens, once only")
			seen[q.ID] = true
			c.require(strings.HasSuffix(q.Text, "?") && len(q.Text) <= 400, at+".text", "must be a question, at most 400 bytes")
			c.yes(at+".yes", q.Yes)
		}
	})
	return f, err
}

func (c *checker) yes(at string, y yesLines) {
	set := 0
	for _, is := range []bool{y.Class != "", y.RatingSteps != 0, y.FlatExtra != 0, y.Refer, y.PostponeMonths != 0, y.Decline} {
		if is {
			set++
		}
	}
	c.require(set == 1, at, "must do one thing: class, rating_steps, flat_extra_per_mille, refer, postpone_months or decline")
	c.require(y.RatingSteps >= 0 && y.RatingSteps <= maxSteps, at+".rating_steps", "must be 1 to %d", maxSteps)
	c.require(y.FlatExtra >= 0 && y.FlatExtra <= 100, at+".flat_extra_per_mille", "must lie above 0, at most 100")
	c.require(y.Years >= 0 && y.Years <= 30 && (y.Years == 0 || y.FlatExtra > 0), at+".years", "must be 1 to 30, with a flat extra alone")
	c.require(y.PostponeMonths >= 0 && y.PostponeMonths <= 120, at+".postpone_months", "must be 1 to 120")
}

// build returns the questions as package underwriting takes them.
func (f *questionsFile) build(levels []string) ([]underwriting.Question, error) {
	c := &checker{file: f.file}
	var out []underwriting.Question
	for i, q := range f.Questions {
		yes := underwriting.Effect{Steps: q.Yes.RatingSteps, Refer: q.Yes.Refer, PostponeMonths: q.Yes.PostponeMonths, Decline: q.Yes.Decline}
		yes.Extra.PerMille, yes.Extra.Years = q.Yes.FlatExtra, q.Yes.Years
		if q.Yes.Class != "" {
			yes.Level = slices.Index(levels, q.Yes.Class)
			c.require(yes.Level > 0, fmt.Sprintf("questions[%d].yes.class", i), "must be a class of the product below the best")
		}
		out = append(out, underwriting.Question{ID: q.ID, Rule: "Q-" + strings.ToUpper(q.ID), Text: q.Text, Yes: yes})
	}
	return out, c.err()
}

// tableIndex is rules/tables/tables.yaml: which mortality tables there are, by
// the hash of their files.
type tableIndex struct {
	Head   `yaml:",inline"`
	Tables []tableEntry `yaml:"tables"`

	file     *file
	byNumber map[int]tableEntry
}

type tableEntry struct {
	Number int    `yaml:"number"`
	Name   string `yaml:"name"`
	Hash   string `yaml:"hash"`
	MinAge int    `yaml:"min_age"`
	MaxAge int    `yaml:"max_age"`
}

func parseTables(name string, raw []byte) (*tableIndex, error) {
	x := &tableIndex{byNumber: map[int]tableEntry{}}
	var err error
	x.file, err = parse(name, raw, x, &x.Head, func(c *checker) {
		c.schema(&x.Head, 1)
		c.require(len(x.Tables) > 0, "tables", "must list at least one")
		for i, t := range x.Tables {
			at := fmt.Sprintf("tables[%d]", i)
			c.require(t.Number > 0 && (i == 0 || t.Number > x.Tables[i-1].Number), at+".number", "numbers must rise")
			c.require(t.Name != "", at+".name", "must be given")
			c.require(t.MinAge >= 0 && t.MaxAge > t.MinAge && t.MaxAge <= 130, at+".max_age", "ages must rise, 0 to 130")
			x.byNumber[t.Number] = t
		}
	})
	return x, err
}

// checkFiles holds the index against the files: hashes by table number.
func (x *tableIndex) checkFiles(hashes map[int]string) error {
	c := &checker{file: x.file}
	for i, t := range x.Tables {
		at := fmt.Sprintf("tables[%d]", i)
		hash, ok := hashes[t.Number]
		if c.require(ok, at+".number", "there is no file t%d.xml", t.Number) {
			c.require(hash == t.Hash, at+".hash", "t%d.xml has another: %s", t.Number, hash)
		}
	}
	var problems []error
	for number := range hashes {
		if _, ok := x.byNumber[number]; !ok {
			problems = append(problems, fmt.Errorf("tables/t%d.xml: line 1: is not in tables/tables.yaml", number))
		}
	}
	return errors.Join(c.err(), errors.Join(problems...))
}
