package quote

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/premium"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/underwriting"
)

// Explain is Compute that also tells, line by line, how the premium came about:
// ages and rates, present values, net, extras, loading, discounts, fee and
// mode. Every figure follows from the ones above it, by the formula beside it.
// Amounts are in units of the currency. A quote without a price says why
// instead.
func Explain(book *rulebook.Book, in Input) (casefile.Quote, string, error) {
	q, w, err := compute(book, in)
	if err != nil {
		return casefile.Quote{}, "", err
	}
	x := &explainer{q: q, working: w, estimate: in.Estimate}
	if err := x.all(book); err != nil {
		return casefile.Quote{}, "", fmt.Errorf("explain: %w", err)
	}
	return q, x.text.String(), nil
}

// explainer writes the lines. A line is a name, a figure, and what it is or
// how it follows.
type explainer struct {
	q casefile.Quote
	working
	estimate *age.Estimate
	text     strings.Builder
}

func (x *explainer) all(book *rulebook.Book) error {
	x.ages()
	if x.q.GrossAnnualCents == nil {
		code := x.assessment.Price.Refused
		x.line("premium", "none", string(code)+": "+code.Sentence())
		return nil
	}
	x.mortality()
	net, err := x.net(book)
	if err != nil {
		return err
	}
	if x.q.Basis.Charged == underwriting.ChargeExpected {
		if net, err = x.expected(); err != nil {
			return err
		}
	}
	x.gross(net)
	x.instalments()
	return nil
}

func (x *explainer) line(name, figure, how string) {
	fmt.Fprintf(&x.text, "%s\n", strings.TrimRight(fmt.Sprintf("%-20s %20s   %s", name, figure, how), " "))
}

// bases say what a whole age means.
var bases = map[string]string{
	string(premium.AgeLastBirthday):    "age last birthday",
	string(premium.AgeNearestBirthday): "age nearest birthday",
	string(premium.AgeNextBirthday):    "age next birthday",
}

// sources say where the age comes from, or what is charged.
var sources = map[string]string{
	string(underwriting.Declared):  "as declared",
	underwriting.ChargeEstimated:   "the photo's point estimate",
	underwriting.ChargeHigh:        "the upper end of the photo's interval",
	underwriting.ChargeExpected:    "the photo's point estimate; the mean premium over its ages is charged",
	string(underwriting.Estimated): "the photo's point estimate",

	string(underwriting.Underwriter): "as an underwriter set it",
}

func (x *explainer) ages() {
	b := x.q.Basis
	x.line("age", strconv.Itoa(b.PriceAge), bases[b.AgeBasis]+", "+sources[b.Charged])
	x.line("term", strconv.Itoa(b.TermYears), "years")
	x.line("sum assured", units(float64(b.SumCents)), x.q.Currency)
	if x.q.Class != "" {
		x.line("class", x.q.Class, "")
	}
}

func (x *explainer) mortality() {
	b := x.q.Basis
	for _, t := range b.Tables {
		x.line("table", strconv.Itoa(t.Table), fmt.Sprintf("share %s: %s", figure(t.Share), t.Name))
	}
	how := "of the tables' mortality"
	if b.Rating != "" {
		how += ", rating " + b.Rating
	}
	x.line("multiple", figure(b.Multiple), how)
	x.line("interest", figure(b.Interest), "a year")
	x.line("v", figure(1/(1+b.Interest)), "1 / (1 + interest)")
}

// net lists the rates of every year and what they come to.
func (x *explainer) net(book *rulebook.Book) (float64, error) {
	a, b := x.assessment, x.q.Basis
	parts := make([]premium.Rates, len(a.Rates))
	head := "year"
	for i, t := range a.Rates {
		single := a
		single.Rates = []underwriting.TableShare{{Number: t.Number, Share: 1}}
		var err error
		if parts[i], err = book.Rates(single); err != nil {
			return 0, fmt.Errorf("find rates: %w", err)
		}
		head += fmt.Sprintf("\tq of %d", t.Number)
	}
	fmt.Fprint(&x.text, "\nq: probability to die within the year, the tables' by their shares; q' = min(1, multiple * q);\n"+
		"alive: probability to be alive when the year begins; v^k: discount from its beginning\n\n")
	w := tabwriter.NewWriter(&x.text, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, head, "\tq\tq'\talive\tv^k\t\n")
	alive, discount := 1.0, 1.0
	for year := 1; year <= b.TermYears; year++ {
		fmt.Fprint(w, year)
		for _, p := range parts {
			q, err := p.Q(b.PriceAge, year)
			if err != nil {
				return 0, fmt.Errorf("read rate: %w", err)
			}
			fmt.Fprint(w, "\t", figure(q))
		}
		q, err := x.pricer.basis.Rates.Q(b.PriceAge, year)
		if err != nil {
			return 0, fmt.Errorf("read rate: %w", err)
		}
		rated := min(1, b.Multiple*q)
		fmt.Fprintf(w, "\t%s\t%s\t%s\t%s\t\n", figure(q), figure(rated), figure(alive), figure(discount))
		alive *= 1 - rated
		discount /= 1 + b.Interest
	}
	if err := w.Flush(); err != nil {
		return 0, err
	}
	values, err := x.pricer.basis.Values(b.PriceAge, b.TermYears)
	if err != nil {
		return 0, err
	}
	net, err := x.pricer.basis.NetAnnual(b.PriceAge, b.TermYears, b.SumCents)
	if err != nil {
		return 0, err
	}
	fmt.Fprintln(&x.text)
	x.line("A", figure(values.Insurance), "sum over the years of v^k * v * alive * q'")
	x.line("a-due", figure(values.Annuity), "sum over the years of v^k * alive")
	x.line("net premium", units(net), "sum assured * A / a-due, a year")
	return net, nil
}

// expected lists the ages that the photo gives with their net premiums, each
// made like the one above.
func (x *explainer) expected() (float64, error) {
	a, b := x.assessment, x.q.Basis
	fmt.Fprintf(&x.text, "\nAges that can be insured, %d to %d, as the photo gives them; net: made as above at that age\n\n", a.PriceMin, a.PriceMax)
	w := tabwriter.NewWriter(&x.text, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "age\tprobability\tnet\t\n")
	for k, p := range x.estimate.Distribution {
		if p == 0 || k < a.PriceMin || k > a.PriceMax {
			continue
		}
		net, err := x.pricer.basis.NetAnnual(k, b.TermYears, b.SumCents)
		if err != nil {
			return 0, err
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t\n", k, figure(p), units(net))
	}
	if err := w.Flush(); err != nil {
		return 0, err
	}
	net, _, err := x.pricer.basis.Expected(x.estimate.Distribution, a.PriceMin, a.PriceMax, b.TermYears, b.SumCents)
	if err != nil {
		return 0, err
	}
	fmt.Fprintln(&x.text)
	x.line("expected net", units(net), "sum of probability * net / sum of probability")
	return net, nil
}

// gross goes from a net premium in cents to the gross one of the first year.
func (x *explainer) gross(net float64) {
	b := x.q.Basis
	charge := net
	for _, e := range x.pricer.extras {
		extra := e.PerMille * float64(b.SumCents) / 1000
		charge += extra
		how := figure(e.PerMille) + " per 1,000 of sum assured a year"
		if e.Years > 0 {
			how += fmt.Sprintf(", in the first %d years", e.Years)
		}
		x.line("flat extra", units(extra), how)
	}
	if len(x.pricer.extras) > 0 {
		x.line("net and extras", units(charge), "net premium + flat extras")
	}
	loaded := charge / (1 - b.Loading)
	x.line("loading", figure(b.Loading), "share of the premium for expenses and profit")
	x.line("loaded", units(loaded), "net and extras / (1 - loading)")
	x.bands()
	banded := loaded * b.BandFactor
	x.line("discounted", units(banded), "loaded * band factor")
	x.line("policy fee", units(float64(b.PolicyFeeCents)), "a year")
	x.line("unrounded", units(banded+float64(b.PolicyFeeCents)), "discounted + policy fee")
	x.line("gross premium", cents(*x.q.GrossAnnualCents), "rounded half up to the cent")
}

// bands lists the parts of the sum and their discounts.
func (x *explainer) bands() {
	b := x.q.Basis
	bands := x.pricer.loads.Bands
	for i, band := range bands {
		if b.SumCents <= band.FromCents {
			break
		}
		to := b.SumCents
		if i+1 < len(bands) {
			to = min(to, bands[i+1].FromCents)
		}
		x.line("part of the sum", units(float64(to-band.FromCents)), fmt.Sprintf("above %s, at a discount of %s", units(float64(band.FromCents)), figure(band.Discount)))
	}
	x.line("band factor", figure(b.BandFactor), "1 - sum over the parts of part * discount / sum assured")
}

func (x *explainer) instalments() {
	x.line("factor", figure(x.q.Basis.ModalFactor), x.q.Mode)
	x.line("instalment", cents(*x.q.ModalCents), "gross premium * factor, rounded half up to the cent")
	for _, s := range x.q.Schedule {
		x.line(fmt.Sprintf("from year %d", s.FromYear), cents(s.GrossAnnualCents), "gross premium with the extras that are charged then; instalment "+cents(s.ModalCents))
	}
}

// figure prints enough digits to compute on with.
func figure(x float64) string { return strconv.FormatFloat(x, 'g', 12, 64) }

// units prints an amount in cents, unrounded, in units of the currency.
func units(cents float64) string { return strconv.FormatFloat(cents/100, 'f', 8, 64) }

// cents prints whole cents in units of the currency.
func cents(c int64) string { return fmt.Sprintf("%d.%02d", c/100, c%100) }
