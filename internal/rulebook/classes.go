package rulebook

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/agequote/agequote/internal/underwriting"
)

// classesFile is the YAML of one version of a ladder of classes. Its comments
// stand in rules/classes/vbt-relative-risk.yaml.
type classesFile struct {
	Head           `yaml:",inline"`
	TobaccoSteps   int         `yaml:"tobacco_rating_steps"`
	WithoutTobacco []classLine `yaml:"without_tobacco"`
	WithTobacco    []classLine `yaml:"with_tobacco"`
	All            []classLine `yaml:"all"`

	file *file
}

type classLine struct {
	Class            string      `yaml:"class"`
	TobaccoFreeYears float64     `yaml:"tobacco_free_years"`
	RelativeRisk     int         `yaml:"relative_risk"`
	Female           *classTable `yaml:"female"`
	Male             *classTable `yaml:"male"`
	Both             *classTable `yaml:"both"`
}

type classTable struct {
	Table int     `yaml:"table"`
	Share float64 `yaml:"share"`
}

func parseClasses(name string, raw []byte) (*classesFile, error) {
	f := &classesFile{}
	var err error
	f.file, err = parse(name, raw, f, &f.Head, func(c *checker) {
		c.schema(&f.Head, 1)
		distinct := len(f.WithoutTobacco) > 0 && len(f.WithTobacco) > 0 && len(f.All) == 0
		aggregate := len(f.WithoutTobacco) == 0 && len(f.WithTobacco) == 0 && len(f.All) > 0
		if !c.require(distinct || aggregate, "id", "the file needs without_tobacco and with_tobacco, or all in their place") {
			return
		}
		if distinct {
			c.require(f.TobaccoSteps == 0, "tobacco_rating_steps", "must not be there: the tables tell users of tobacco apart")
			c.classes("without_tobacco", f.WithoutTobacco)
			c.classes("with_tobacco", f.WithTobacco)
			c.ladder(f)
			return
		}
		c.require(f.TobaccoSteps >= 1 && f.TobaccoSteps <= maxSteps, "tobacco_rating_steps", "must be 1 to %d: the tables do not tell users of tobacco apart", maxSteps)
		c.classes("all", f.All)
	})
	return f, err
}

// levels are the class names, best first.
func (f *classesFile) levels() []string {
	var names []string
	for _, l := range append(f.WithoutTobacco, f.All...) {
		names = append(names, l.Class)
	}
	return names
}

var classPattern = regexp.MustCompile(`^[A-Z][a-z]+( [A-Z][a-z]+)*$`)

// classes checks one list: order, criteria, and that the classes redistribute
// the tables' mortality without changing it.
func (c *checker) classes(list string, lines []classLine) {
	c.require(len(lines) <= 8, list, "must be at most 8 classes")
	for i, l := range lines {
		at := fmt.Sprintf("%s[%d]", list, i)
		c.require(classPattern.MatchString(l.Class) && !strings.HasSuffix(l.Class, underwriting.TobaccoSuffix), at+".class", "must be capitalised words, without %q", underwriting.TobaccoSuffix[1:])
		for _, earlier := range lines[:i] {
			c.require(earlier.Class != l.Class, at+".class", "must stand once only")
		}
		c.require(l.TobaccoFreeYears >= 0 && l.TobaccoFreeYears <= 50, at+".tobacco_free_years", "must be 0 to 50")
		c.require(list != "with_tobacco" || l.TobaccoFreeYears == 0, at+".tobacco_free_years", "must not be there")
		if i > 0 {
			c.require(l.TobaccoFreeYears <= lines[i-1].TobaccoFreeYears, at+".tobacco_free_years", "must not rise from a better class to a worse one")
			c.require(l.RelativeRisk > lines[i-1].RelativeRisk, at+".relative_risk", "must rise: classes go from best to worst")
		}
		sexes := l.Female != nil && l.Male != nil && l.Both == nil
		both := l.Female == nil && l.Male == nil && l.Both != nil
		c.require(sexes || both, at, "needs tables for female and male, or for both")
		c.require(l.RelativeRisk >= 1 && l.RelativeRisk <= 1000 || l.RelativeRisk == 0 && len(lines) == 1, at+".relative_risk", "must be 1 to 1000, in percent")
	}
	for _, sex := range []string{"female", "male", "both"} {
		c.average(list, sex, lines)
	}
}

// average checks that the shares add up to 1, and that the relative risks
// weighted by them average 100: else the classes would raise or lower
// mortality as a whole, which is the tables' business.
func (c *checker) average(list, sex string, lines []classLine) {
	var share, mean float64
	for i, l := range lines {
		t := l.table(sex)
		if t == nil {
			return
		}
		at := fmt.Sprintf("%s[%d].%s.share", list, i, sex)
		c.require(t.Share > 0 && t.Share <= 1, at, "must lie above 0, at most 1")
		share += t.Share
		mean += t.Share * float64(l.RelativeRisk)
	}
	c.require(math.Abs(share-1) < 1e-9, list, "shares of %s must add up to 1, not %.4f", sex, share)
	if lines[0].RelativeRisk > 0 {
		c.require(math.Abs(mean-100) < 1e-6, list, "relative risks weighted by the shares of %s must average 100, not %.4f", sex, mean)
	}
}

func (l *classLine) table(sex string) *classTable {
	switch sex {
	case "female":
		return l.Female
	case "male":
		return l.Male
	}
	return l.Both
}

// ladder checks that the classes with tobacco are some of those without, in
// their order, and end where they end.
func (c *checker) ladder(f *classesFile) {
	levels := f.levels()
	last := -1
	for i, l := range f.WithTobacco {
		at := fmt.Sprintf("with_tobacco[%d].class", i)
		level := slices.Index(levels, l.Class)
		c.require(level > last, at, "must be a class without tobacco too, in the same order")
		last = level
	}
	c.require(last == len(levels)-1, "with_tobacco", "must end with the worst class, %s", levels[len(levels)-1])
}

// checkTables holds the tables that the classes name against the index: there,
// and by their names what the line says that they are.
func (f *classesFile) checkTables(x *tableIndex) error {
	c := &checker{file: f.file}
	for list, lines := range map[string][]classLine{"without_tobacco": f.WithoutTobacco, "with_tobacco": f.WithTobacco, "all": f.All} {
		for i, l := range lines {
			for _, sex := range []string{"female", "male", "both"} {
				t := l.table(sex)
				if t == nil {
					continue
				}
				at := fmt.Sprintf("%s[%d].%s.table", list, i, sex)
				entry, ok := x.byNumber[t.Table]
				if !c.require(ok, at, "no such table in tables/tables.yaml") {
					continue
				}
				words := strings.Fields(strings.ToLower(strings.ReplaceAll(entry.Name, "-", "")))
				has := func(w string) bool { return slices.Contains(words, w) }
				c.require(sex == "both" && !has("female") && !has("male") || has(sex), at, "table %d is %q, not for %s", t.Table, entry.Name, sex)
				c.require(l.RelativeRisk == 0 || has("rr"+strconv.Itoa(l.RelativeRisk)), at, "table %d is %q, not RR%d", t.Table, entry.Name, l.RelativeRisk)
				wrong := list == "without_tobacco" && !has("nonsmoker") || list == "with_tobacco" && (!has("smoker") || has("nonsmoker")) || list == "all" && (has("smoker") || has("nonsmoker"))
				c.require(!wrong, at, "table %d is %q, which does not fit %s", t.Table, entry.Name, list)
			}
		}
	}
	slices.SortFunc(c.problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return c.err()
}

// build returns the classes as package underwriting takes them.
func (f *classesFile) build(maleShare float64) []underwriting.Class {
	var out []underwriting.Class
	levels := f.levels()
	add := func(lines []classLine, tobacco bool) {
		for _, l := range lines {
			k := underwriting.Class{Name: l.Class, Level: slices.Index(levels, l.Class), Tobacco: tobacco,
				TobaccoFreeYears: l.TobaccoFreeYears, RelativeRisk: l.RelativeRisk}
			if tobacco {
				k.Name += underwriting.TobaccoSuffix
			}
			if l.Both != nil {
				k.Both = []underwriting.TableShare{{Number: l.Both.Table, Share: 1}}
				k.FemaleShare, k.MaleShare = l.Both.Share, l.Both.Share
			} else {
				k.Female = []underwriting.TableShare{{Number: l.Female.Table, Share: 1}}
				k.Male = []underwriting.TableShare{{Number: l.Male.Table, Share: 1}}
				k.Both = []underwriting.TableShare{{Number: l.Male.Table, Share: maleShare}, {Number: l.Female.Table, Share: 1 - maleShare}}
				k.FemaleShare, k.MaleShare = l.Female.Share, l.Male.Share
			}
			out = append(out, k)
		}
	}
	add(f.WithoutTobacco, false)
	add(f.WithTobacco, true)
	add(f.All, false)
	return out
}
