package fairness

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// unit is what a mean is counted in.
type unit int

const (
	years unit = iota
	signedYears
	percent
	signedPercent
	money
)

// show prints a value of the unit.
func (u unit) show(v float64) string {
	switch u {
	case years:
		return fmt.Sprintf("%.2f years", v)
	case signedYears:
		return signed(v, "%.2f", v) + " years"
	case percent:
		return share(v)
	case signedPercent:
		return signed(v, "%.1f", v*100) + " %"
	}
	return fmt.Sprintf("%.2f", v)
}

// gap prints a difference of two values, without what it is counted in.
func (u unit) gap(v float64) string {
	switch u {
	case percent, signedPercent:
		return signed(v, "%.1f", v*100)
	}
	return signed(v, "%.2f", v)
}

// of says what a gap is counted in.
func (u unit) of() string {
	switch u {
	case years, signedYears:
		return " years"
	case percent, signedPercent:
		return " points"
	}
	return ""
}

// signed prints with a sign, and a minus as wide as a plus.
func signed(sign float64, format string, v float64) string {
	text := fmt.Sprintf(format, math.Abs(v))
	switch {
	case strings.Trim(text, "0.") == "":
		return text
	case sign < 0:
		return "−" + text
	}
	return "+" + text
}

func share(v float64) string { return fmt.Sprintf("%.1f %%", v*100) }

// who is a group in words, in the plural.
func who(dimension, name string) string {
	switch {
	case dimension == "sex" && name == "female":
		return "women"
	case dimension == "sex" && name == "male":
		return "men"
	case dimension == "age" && strings.HasSuffix(name, "+"):
		return "people of " + strings.TrimSuffix(name, "+") + " or older"
	case dimension == "age":
		low, high, _ := strings.Cut(name, "-")
		return "people of " + low + " to " + high
	}
	return fmt.Sprintf("people of %s %s", dimension, name)
}

// capital makes the first letter one.
func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// verdict says what a test comes to.
func (t Test) verdict(n, other, comparisons int) string {
	switch {
	case t.AdjustedP == nil && (n < leastJudged || other < leastJudged):
		return fmt.Sprintf("Too few to judge: it takes %d on either side.", leastJudged)
	case t.AdjustedP == nil:
		return "Shown, not judged."
	case t.Differs:
		return fmt.Sprintf("That is more than chance explains (p %s, adjusted for %d comparisons).", pValue(*t.AdjustedP), comparisons)
	}
	return fmt.Sprintf("Chance alone may explain that (p %s, adjusted for %d comparisons).", pValue(*t.AdjustedP), comparisons)
}

func pValue(p float64) string {
	switch {
	case p < 0.001:
		return "below 0.001"
	case p > 0.995:
		return "1"
	}
	return fmt.Sprintf("%.2g", p)
}

func rateSentence(g Group, m rateMeasure, r Rate, comparisons int) string {
	if r.N == 0 {
		return "This could happen to nobody among " + g.Who + "."
	}
	says := fmt.Sprintf("Of %s %d %s (%s)", count(r.N, g.Who), r.K, m.did, share(*r.Rate))
	if r.Other.N == 0 {
		return says + "; there is nobody to hold that against."
	}
	return fmt.Sprintf("%s, of %s %d (%s): %s (95 %% interval %s to %s). %s", says, count(r.Other.N, r.Against), r.Other.K, share(*r.OtherRate),
		moreOrLess(*r.Gap), signed(r.GapCI[0], "%.1f", r.GapCI[0]*100), signed(r.GapCI[1], "%.1f", r.GapCI[1]*100),
		r.nothing(comparisons)) + r.sameAge(comparisons)
}

// mainReason names the reason that most of a difference in referrals is due to;
// "" where there is none.
func mainReason(g Group, r Rate, others map[string]int) string {
	if !r.Differs || r.Measure != "referred" {
		return ""
	}
	most, code := 0.0, ""
	for _, c := range slices.Sorted(maps.Keys(g.Reasons)) {
		own, other := Share{g.Reasons[c], r.N}.Rate(), Share{others[c], r.Other.N}.Rate()
		if d := (own - other) * math.Copysign(1, *r.Gap); d > most {
			most, code = d, c
		}
	}
	for _, c := range slices.Sorted(maps.Keys(others)) {
		own, other := Share{g.Reasons[c], r.N}.Rate(), Share{others[c], r.Other.N}.Rate()
		if d := (own - other) * math.Copysign(1, *r.Gap); d > most {
			most, code = d, c
		}
	}
	if code == "" {
		return ""
	}
	meaning := strings.TrimSuffix(codeMeaning(code), ".")
	return fmt.Sprintf(" Most of it is %s (%q), %s of them against %s.", code, meaning, share(Share{g.Reasons[code], r.N}.Rate()), share(Share{others[code], r.Other.N}.Rate()))
}

// found tells whether a comparison differs, over all or within age bands.
func (r Rate) found() bool { return r.Differs || r.SameAge != nil && r.SameAge.Differs }

func (r Mean) found() bool { return r.Differs || r.SameAge != nil && r.SameAge.Differs }

// sameAge says what is left of a difference within age bands.
func (r Rate) sameAge(comparisons int) string {
	if r.SameAge == nil || !r.found() {
		return ""
	}
	return fmt.Sprintf(" Among people of the same age band the odds are %.2f times those of %s (%.2f to %.2f): %s", r.SameAge.Odds, others(r.Against),
		r.SameAge.CI[0], r.SameAge.CI[1], explained(r.Test, r.SameAge.Test, r.SameAge.CI.holds(1), comparisons))
}

// sameAge says what is left of a gap within age bands.
func (r Mean) sameAge(u unit, comparisons int) string {
	if r.SameAge == nil || !r.found() {
		return ""
	}
	return fmt.Sprintf(" Among people of the same age band the gap is %s%s (%s to %s): %s", u.gap(r.SameAge.Gap), u.of(),
		u.gap(r.SameAge.CI[0]), u.gap(r.SameAge.CI[1]), explained(r.Test, r.SameAge.Test, r.SameAge.CI.holds(0), comparisons))
}

// explained says whether age explains a difference. One of both differs; nothing
// says that the interval within age bands holds no difference.
func explained(all, sameAge Test, nothing bool, comparisons int) string {
	switch {
	case !sameAge.Differs && nothing:
		return "age may explain it."
	case !sameAge.Differs:
		return "what is left may be chance, among so many comparisons."
	case all.Differs:
		return "age does not explain it all."
	}
	return fmt.Sprintf("more than chance explains (p %s, adjusted for %d comparisons), and hidden by the groups' ages.", pValue(*sameAge.AdjustedP), comparisons)
}

// others is whom a group is held against, after "those of".
func others(who string) string {
	if who == "all others" {
		return "the others"
	}
	return who
}

// nothing says so where there is nothing to test.
func (r Rate) nothing(comparisons int) string {
	if all := r.N + r.Other.N; r.AdjustedP == nil && r.N >= leastJudged && r.Other.N >= leastJudged && (r.K+r.Other.K == 0 || r.K+r.Other.K == all) {
		return "There is nothing to compare."
	}
	return r.verdict(r.N, r.Other.N, comparisons)
}

// count puts a number before a group: "412 women", "6,100 of all others".
func count(n int, who string) string {
	if who == "all others" {
		return fmt.Sprintf("the %d others", n)
	}
	return fmt.Sprintf("%d %s", n, who)
}

// moreOrLess is a gap of shares in words.
func moreOrLess(d float64) string {
	points := math.Abs(d * 100)
	switch {
	case points < 0.05:
		return "no gap"
	case d > 0:
		return fmt.Sprintf("%.1f points more", points)
	}
	return fmt.Sprintf("%.1f points fewer", points)
}

func meanSentence(g Group, m meanMeasure, r Mean, comparisons int) string {
	if r.N == 0 {
		return "Nobody among " + g.Who + " has one."
	}
	says := fmt.Sprintf("%s: %s on average over %s", capital(m.what), m.unit.show(*r.Mean), count(r.N, g.Who))
	if r.OtherN == 0 {
		return says + "; there is nobody to hold that against."
	}
	verdict := r.verdict(r.N, r.OtherN, comparisons)
	if !m.judged {
		verdict = "Shown, not judged: the tariff prices by age, and by sex where the market lets it."
	}
	return fmt.Sprintf("%s, %s over %s: a gap of %s%s (95 %% interval %s to %s). %s", says, m.unit.show(*r.OtherMean), count(r.OtherN, r.Against),
		m.unit.gap(*r.Gap), m.unit.of(), m.unit.gap(r.GapCI[0]), m.unit.gap(r.GapCI[1]), verdict) + r.sameAge(m.unit, comparisons)
}

// rateOfQuotes is a group's share of quoted.
func rateOfQuotes(g Group) string { return share(Share{g.Outcomes["quoted"], g.N}.Rate()) }

func impactSentence(dimension string, g, best Group) string {
	i := g.Impact
	if g.Name == best.Name {
		return fmt.Sprintf("%s are quoted most often, %s of %d: the other groups are held against them.", capital(g.Who), rateOfQuotes(g), g.N)
	}
	says := fmt.Sprintf("%s are quoted at %.2f of the rate of %s (%s of %d against %s of %d", capital(g.Who), i.Ratio, best.Who,
		rateOfQuotes(g), g.N, rateOfQuotes(best), best.N)
	if i.CI != nil {
		says += fmt.Sprintf("; 95 %% interval of the ratio %.2f to %.2f", i.CI[0], i.CI[1])
	}
	switch {
	case !i.Judged:
		return says + fmt.Sprintf("). Fewer than %d people: shown, not judged.", leastJudged)
	case !i.Inside:
		if dimension == ageDimension {
			return says + "). That is outside four fifths; the rule itself speaks of race, sex and ethnic groups, not of age."
		}
		return says + "). That is OUTSIDE four fifths, which 29 CFR 1607.4(D) takes as evidence of adverse impact."
	case i.CI != nil && i.CI[0] < fourFifths:
		return says + "). That is inside four fifths, but the interval reaches below: more people would tell."
	}
	return says + "). That is inside four fifths."
}

// summary is what the report comes to.
func summary(r *Report) []string {
	judged, outside := 0, []string{}
	for _, d := range r.Dimensions {
		for _, g := range d.Groups {
			if g.Impact != nil && g.Impact.Judged {
				judged++
				if !g.Impact.Inside {
					outside = append(outside, fmt.Sprintf("%s (%.2f)", g.Who, g.Impact.Ratio))
				}
			}
		}
	}
	var out []string
	switch {
	case judged == 0:
		out = append(out, fmt.Sprintf("No group has %d people or more, so none is judged.", leastJudged))
	case r.Comparisons.Outside == 0:
		out = append(out, fmt.Sprintf("All %d groups of %d people or more are quoted at four fifths or more of the rate of the group that is quoted most often.", judged, leastJudged))
	default:
		out = append(out, fmt.Sprintf("Of %d groups of %d people or more, less than four fifths of the rate of the group that is quoted most often: %s.", judged, leastJudged, strings.Join(outside, ", ")))
	}
	if r.Comparisons.Judged > 0 {
		out = append(out, fmt.Sprintf("Of %d comparisons, over all ages and within age bands, %d differ by more than chance explains, at a chance of 5 %% of being wrong once in all of them.", r.Comparisons.Judged, r.Comparisons.Differ))
	}
	return out
}

// findings are what to look into: by sex and by the groups for testing first, by
// age last, since age is what the rules and the price go by.
func findings(r *Report) []Finding {
	out := []Finding{}
	var byAge []Finding
	for _, d := range r.Dimensions {
		for _, g := range d.Groups {
			of := d.findings(g)
			if d.Name == ageDimension {
				byAge = append(byAge, of...)
			} else {
				out = append(out, of...)
			}
		}
	}
	return append(out, byAge...)
}

// findings are those of one group. Of two groups the second would say the
// first's over again.
func (d Dimension) findings(g Group) (out []Finding) {
	if g.Impact != nil && g.Impact.Judged && !g.Impact.Inside {
		out = append(out, Finding{d.Name, g.Name, "four_fifths", g.Impact.Says})
	}
	if len(d.Groups) == 2 && d.Reference == "" && g.Name == d.Groups[1].Name {
		return out
	}
	for _, r := range g.Rates {
		if r.found() {
			out = append(out, Finding{d.Name, g.Name, r.Measure, r.Says})
		}
	}
	for _, m := range g.Means {
		if m.found() {
			out = append(out, Finding{d.Name, g.Name, m.Measure, m.Says})
		}
	}
	return out
}

// notices say what the figures do not.
func notices(r *Report) []string {
	out := []string{
		"A difference says that something happens more often to a group, not why. Age, sum, build and health differ between groups too. What is left of a difference among people of the same age band is said beside it; sums, build and health are not taken out.",
		"The four-fifths rule is one of thumb, made for employment; no insurance law that is known to this program adopts it. It says nothing of premiums.",
	}
	if r.OutsideAges > 0 {
		out = append(out, fmt.Sprintf("%d of %d are left out of the groups: they are not %d to %d years old, and what becomes of them is set by the limits of age.", r.OutsideAges, r.N, r.Ages[0], r.Ages[1]))
	}
	if r.KnownAges[FromDeclared] > 0 {
		out = append(out, fmt.Sprintf("%d ages are known from what was declared and the photo does not contradict; %d contradicted ones are left out. The photo's errors are therefore larger than they seem here.", r.KnownAges[FromDeclared], r.Contradicted))
	}
	for _, d := range r.Dimensions {
		if d.TestingOnly {
			out = append(out, fmt.Sprintf("%s was supplied for testing only; nothing that decides or prices reads it.", capital(d.Name)))
		}
		if d.Unknown > 0 {
			out = append(out, fmt.Sprintf("Of %d the %s is not known.", d.Unknown, d.Name))
		}
	}
	if r.Erased > 0 {
		out = append(out, fmt.Sprintf("%d cases of the period are erased and cannot be counted.", r.Erased))
	}
	return out
}

// Method is a method of the report, and where it is from.
type Method struct {
	What   string `json:"what"`
	How    string `json:"how"`
	Source string `json:"source"`
}

var methods = []Method{
	{"Adverse impact ratio", "a group's rate of being quoted over that of the group with the highest rate; four fifths or more is inside", "Uniform Guidelines on Employee Selection Procedures, 29 CFR 1607.4(D)"},
	{"Interval of the adverse impact ratio", "log interval of a ratio of shares", "Katz, Baptista, Azen and Pike, Biometrics 34 (1978)"},
	{"Interval of a share", "score interval", "Wilson, Journal of the American Statistical Association 22 (1927)"},
	{"Gap of two shares", "difference with Newcombe's hybrid score interval, method 10", "Newcombe, Statistics in Medicine 17 (1998) 873-890"},
	{"Odds ratio", "Woolf's interval; where a cell is 0, one half is added to each", "Woolf, Annals of Human Genetics 19 (1955); Haldane, ibid. 20 (1956); Anscombe, Biometrika 43 (1956)"},
	{"Test of two shares", "Fisher's exact test, two-sided", "Fisher, Statistical Methods for Research Workers, section 21.02"},
	{"Odds ratio within age bands", "Mantel-Haenszel, with the interval of Robins, Breslow and Greenland", "Mantel and Haenszel, Journal of the National Cancer Institute 22 (1959); Robins, Breslow and Greenland, Biometrics 42 (1986)"},
	{"Gap of means within age bands", "each band's gap weighted by n*m/(n+m) of its two sides: least squares with a constant for each band", "Greene, Econometric Analysis, on fixed effects"},
	{"Gap of two means", "bootstrap percentile interval, each group drawn by itself; past 20,000 values the normal one", "Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3"},
	{"Test of two means", "Welch's statistic against the normal distribution", "Welch, Biometrika 34 (1947)"},
	{"Many comparisons", "all p-values of the report together, by Holm's method at 5 %", "Holm, Scandinavian Journal of Statistics 6 (1979) 65-70"},
	{"Small groups", "groups of fewer than 30 people are shown, not judged", "a choice of this program"},
}
