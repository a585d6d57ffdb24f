package rulebook

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/agequote/agequote/internal/premium"
	"github.com/agequote/agequote/internal/underwriting"
)

// WriteDoc writes the rule book as Markdown, for an actuary or an underwriter:
// every product as it stands from each day, its classes, build chart and
// questions, then the rules and codes. docs/rules.md is its output for the
// built-in rules.
func (b *Book) WriteDoc(w io.Writer) error {
	d := &doc{book: b}
	d.line("# The rule book\n")
	d.line("<!-- Generated from rules/ by `agequote rules doc > docs/rules.md`; a test compares. -->\n")
	d.line("Every rule and rate is a file in `rules/`, with an author, another person who approved it, a reason and a day from which it counts.")
	d.line("Limits, loadings, class shares, charts, ratings and questions are illustrative: they are made up, and no company's.")
	d.line("The mortality is published (`rules/tables/NOTICE.md`). `docs/pricing.md` has the formulae.\n")
	d.files()
	for _, p := range b.Versions() {
		d.product(p)
	}
	d.rules()
	d.codes()
	_, err := io.WriteString(w, d.text.String())
	return err
}

type doc struct {
	book *Book
	text strings.Builder
}

func (d *doc) line(format string, args ...any) { fmt.Fprintf(&d.text, format+"\n", args...) }

// row writes a line of a table; the first of a table is its head.
func (d *doc) row(head bool, cells ...string) {
	d.line("| %s |", strings.Join(cells, " | "))
	if head {
		d.line("|%s", strings.Repeat("---|", len(cells)))
	}
}

func (d *doc) files() {
	d.line("## Files\n")
	d.row(true, "file", "from", "author", "approver", "reason")
	for _, f := range d.book.Files() {
		d.row(false, "`"+f.Name+"`", f.EffectiveFrom, f.Author, f.Approver, f.Reason)
	}
	d.line("\n`rules/history.jsonl` records each approval; `agequote rules verify` checks it.\n")
}

func (d *doc) product(p *underwriting.Product) {
	d.line("## %s: %s, from %s\n", p.ID, p.Name, p.EffectiveFrom.Format(time.DateOnly))
	d.line("Market %s, in %s, made of\n", p.Market, p.Currency)
	for _, s := range p.Sources {
		d.line("- %s from `%s`", s.Kind, s.File)
	}
	d.line("")
	d.terms(p)
	d.classes(p)
	d.questions(p)
	d.chart(p)
}

func (d *doc) terms(p *underwriting.Product) {
	d.row(true, "what", "rule")
	var terms, bands, modes []string
	for _, t := range p.Terms {
		terms = append(terms, fmt.Sprint(t))
	}
	for _, b := range p.Loads.Bands {
		bands = append(bands, fmt.Sprintf("%s off the part from %s", share(b.Discount), units(b.FromCents)))
	}
	for _, m := range underwriting.Modes {
		modes = append(modes, fmt.Sprintf("%s %g", m, p.ModalFactors[m]))
	}
	sex := "priced: female and male have rates of their own"
	if p.Unisex {
		sex = "unisex: not asked for, and refused where given"
		if p.MaleShare > 0 {
			sex += fmt.Sprintf("; rates blended with %s of men", share(p.MaleShare))
		}
	}
	d.row(false, "terms (TERM-1)", strings.Join(terms, ", ")+" years")
	d.row(false, "ages (AGE-2)", fmt.Sprintf("%d to %d at issue, at most %d when the term ends; age %s", p.MinAge, p.MaxAge, p.MaxExpiryAge, basisName[p.AgeBasis]))
	d.row(false, "sum assured (SUM-1)", units(p.MinSumCents)+" to "+units(p.MaxSumCents))
	d.row(false, "bands", strings.Join(bands, "; "))
	d.row(false, "sex", sex)
	d.row(false, "interest", share(p.Interest)+" a year")
	d.row(false, "loading", fmt.Sprintf("%s expense and %s profit, of the gross premium before the fee", share(p.ExpenseLoading), share(p.ProfitLoading)))
	d.row(false, "policy fee", fmt.Sprintf("%d.%02d a year", p.Loads.PolicyFeeCents/100, p.Loads.PolicyFeeCents%100))
	d.row(false, "instalments", strings.Join(modes, ", ")+"; default "+p.DefaultMode)
	d.row(false, "rounding", halfUp)
	d.row(false, "quote stands", fmt.Sprintf("%d days", p.QuoteDays))
	d.row(false, "photo", photoText(p))
	d.row(false, "widest interval (AGE-4)", fmt.Sprintf("%g years", p.MaxIntervalWidth))
	d.row(false, "ratings (RATING-1)", fmt.Sprintf("25%% of the worst class's mortality a step, at most %d steps (%s)", p.MaxSteps, rating(p.MaxSteps)))
	d.line("\nNotices:\n")
	for _, n := range p.Notices {
		d.line("- %s", n)
	}
	d.line("")
}

var basisName = map[premium.AgeBasis]string{
	premium.AgeLastBirthday:    "last birthday (ALB)",
	premium.AgeNearestBirthday: "nearest birthday (ANB)",
	premium.AgeNextBirthday:    "next birthday (ANX)",
}

func photoText(p *underwriting.Product) string {
	slack := fmt.Sprintf("a declared age must lie in the photo's interval, %g years wider at each end (AGE-3); a photo that was sent with another case too refers (PHOTO-1)", p.Photo.SlackYears)
	if p.Photo.IgnoreDuplicates {
		slack = strings.Replace(slack, "refers (PHOTO-1)", "counts like any other (no PHOTO-1)", 1)
	}
	if p.Photo.Role == underwriting.CrossCheck {
		return "cross-check: an age must be declared; " + slack
	}
	return fmt.Sprintf("prefill: no age need be declared, and then the %s premium is charged; %s", p.Photo.Charge, slack)
}

func rating(steps int) string {
	if steps == 0 {
		return "none"
	}
	return underwriting.Rating(steps)
}

// share writes a fraction in per cent.
func share(x float64) string { return fmt.Sprintf("%.4g%%", x*100) }

// units writes whole units of the currency, thousands apart.
func units(cents int64) string {
	text := fmt.Sprint(cents / 100)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func yearsText(years float64) string {
	if years == 1 {
		return "1 year"
	}
	return fmt.Sprintf("%g years", years)
}

func (d *doc) classes(p *underwriting.Product) {
	d.line("### Classes of %s\n", p.ID)
	if p.TobaccoDistinct() {
		d.line("Users of tobacco, and those who stopped less than %s ago, have classes of their own (TOBACCO-1).", yearsText(p.TobaccoFreeYears))
		d.line("Weighted by the shares, the relative risks average 100 for each sex, with tobacco and without.\n")
	} else {
		d.line("Users of tobacco, and those who stopped less than %s ago, are rated by %d steps (TOBACCO-1).\n", yearsText(p.TobaccoFreeYears), p.TobaccoSteps)
	}
	d.row(true, "class", "years without tobacco (TOBACCO-2)", "relative risk", "tables", "share, female / male")
	for _, c := range p.Classes {
		years, risk := "", ""
		if !c.Tobacco {
			years = fmt.Sprintf("%g", c.TobaccoFreeYears)
		}
		if c.RelativeRisk > 0 {
			risk = fmt.Sprintf("RR%d", c.RelativeRisk)
		}
		d.row(false, c.Name, years, risk, d.tables(p, c), share(c.FemaleShare)+" / "+share(c.MaleShare))
	}
	d.line("")
}

func (d *doc) tables(p *underwriting.Product, c underwriting.Class) string {
	shares := append(append([]underwriting.TableShare{}, c.Female...), c.Male...)
	if p.Unisex {
		shares = c.Both
	}
	var out []string
	for _, s := range shares {
		text := fmt.Sprintf("%d %s", s.Number, d.book.index.byNumber[s.Number].Name)
		if s.Share < 1 {
			text = share(s.Share) + " of " + text
		}
		out = append(out, text)
	}
	return strings.Join(out, "<br>")
}

func (d *doc) questions(p *underwriting.Product) {
	d.line("### Questions of %s\n", p.ID)
	d.line("A no, and no answer, does nothing.\n")
	d.row(true, "rule", "id", "question", "a yes")
	for _, q := range p.Questions {
		d.row(false, q.Rule, "`"+q.ID+"`", q.Text, p.YesText(q.Yes))
	}
	d.line("")
}

func (d *doc) chart(p *underwriting.Product) {
	d.line("### Build chart of %s (BUILD-1)\n", p.ID)
	d.line("Weights in kg by height in cm. A build has the outcome of the first column whose weight it stays below, and the last where it")
	d.line("reaches all weights. Heights outside the chart are referred.\n")
	for _, panel := range p.Chart.Panels {
		who := "Both sexes"
		if panel.Sex != "" {
			who = strings.ToUpper(panel.Sex[:1]) + panel.Sex[1:]
		}
		d.line("%s, aged %d to %d:\n", who, panel.FromAge, panel.ToAge-1)
		head := []string{"height"}
		for i, o := range panel.Outcomes {
			if i < len(panel.Outcomes)-1 {
				head = append(head, p.OutcomeText(o)+" below")
			} else {
				head = append(head, "else")
			}
		}
		d.row(true, head...)
		for _, r := range panel.Rows {
			cells := []string{fmt.Sprintf("%g to below %g", r.From, r.To)}
			for _, w := range r.Weights {
				cells = append(cells, fmt.Sprintf("%g", w))
			}
			d.row(false, append(cells, p.OutcomeText(panel.Outcomes[len(panel.Outcomes)-1]))...)
		}
		d.line("")
	}
}

func (d *doc) rules() {
	d.line("## Rules\n")
	d.line("All run, in this order; the strictest reason decides. Questions, whose ids begin with Q-, run before RATING-1.\n")
	d.row(true, "rule", "what it says")
	for _, r := range underwriting.Rules() {
		d.row(false, r[0], r[1])
	}
	d.line("")
}

func (d *doc) codes() {
	d.line("## Codes\n")
	d.line("The list is closed; codes are added at its end, and none is taken out. A customer is told at most four reasons, strictest first.\n")
	d.row(true, "code", "sentence")
	for _, c := range underwriting.Codes() {
		d.row(false, "`"+string(c)+"`", c.Sentence())
	}
}
