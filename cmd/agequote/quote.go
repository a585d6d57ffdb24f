package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/quote"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/underwriting"
	"github.com/agequote/agequote/internal/version"
	"github.com/agequote/agequote/rules"
)

func quoteCommand() *command {
	return &command{
		name:    "quote",
		summary: "prices term insurance from declared facts",
		usage: `Prices level term insurance as the quote function does, without a photo: it
prints the decision, the class, the premium, and the reasons where there is no
plain quote. A declined or referred application is a result, not a failure.

  agequote quote --age 42.5 --sex female --smoker no --height-cm 170 \
    --weight-kg 65 --sum 250000 --term 20
  agequote quote --age 40 --table 3269 --interest 0.03 --multiple 1 \
    --sum 250000 --term 20 --json          the bare 2015 VBT, male non-smoker

--low and --high give an age interval as a photo would: premiums are shown at
its ends and at its middle, and the stated age is held against it. Without
--age the middle of the interval is priced.

--answer answers a question of the product with yes or no, once for each; a
question that is not answered counts as answered with no. docs/rules.md has the
questions.

--explain tells how the premium came about, line by line.

--table, --interest, --class and --multiple price on exactly that basis: the
multiple is 1 unless given, and no rating, flat extra or discount for large sums
counts. On a stated table ages are read on the table's own age basis, and the
product's limits of age, sum and term give way to the table's. Expenses and
modes stay the product's. rules/tables/tables.yaml lists the tables.
`,
		flags: func(fs *flag.FlagSet) func(context.Context, *env, []string) error {
			q := registerQuoteFlags(fs)
			return func(_ context.Context, e *env, args []string) error {
				if len(args) > 0 {
					return usagef("quote: takes flags only, not %q", args[0])
				}
				return q.run(e)
			}
		},
	}
}

// quoteFlags are the command line's facts. Pointers are nil where a flag was
// not given and 0 would mean something.
type quoteFlags struct {
	facts     underwriting.Facts
	smoker    string
	sum       string
	low, high *float64
	valuation string
	exact     quote.Exact
	bad       underwriting.FieldsError
	asJSON    bool
	explain   bool
}

func registerQuoteFlags(fs *flag.FlagSet) *quoteFlags {
	q := &quoteFlags{}
	f := &q.facts
	optionalFloat(fs, &f.Age, "age", "declared age in `years`, decimals allowed")
	fs.StringVar(&f.BirthDate, "birth-date", "", "date of birth, `YYYY-MM-DD`, instead of --age")
	optionalFloat(fs, &q.low, "low", "lower end of an age interval, in `years`")
	optionalFloat(fs, &q.high, "high", "upper end of the age interval, in `years`")
	fs.StringVar(&f.Sex, "sex", "", "`female|male`")
	fs.StringVar(&f.Tobacco, "tobacco", "", "`USE` of tobacco: never, former:YEARS since stopping, or current[:KIND]")
	fs.StringVar(&q.smoker, "smoker", "", "`yes|no`, short for --tobacco current and never")
	fs.Float64Var(&f.HeightCM, "height-cm", 0, "height in `centimetres`")
	fs.Float64Var(&f.WeightKG, "weight-kg", 0, "weight in `kilograms`")
	fs.StringVar(&q.sum, "sum", "", "sum assured, an `AMOUNT` in units of the currency with up to two decimals")
	fs.IntVar(&f.TermYears, "term", 0, "term in whole `years`")
	fs.StringVar(&f.Market, "market", "US", "two-letter code of the `market`")
	fs.StringVar(&f.Product, "product", "", "product `id`; the market's default where not given")
	fs.StringVar(&f.Mode, "mode", "", "`MODE` of payment: "+strings.Join(underwriting.Modes, ", ")+"; the product's default where not given")
	fs.Func("answer", "`ID=yes|no` to a question of the product; may be repeated", q.answer)
	fs.StringVar(&q.valuation, "valuation-date", "", "date of valuation, `YYYY-MM-DD`; today where not given")
	fs.Func("table", "`number` of a Society of Actuaries' table to price on", func(s string) error {
		n, err := strconv.Atoi(s)
		q.exact.Table = &n
		return err
	})
	optionalFloat(fs, &q.exact.Interest, "interest", "annual interest `rate` as a fraction, 0.03 for 3%")
	fs.StringVar(&q.exact.Class, "class", "", "`class` to price in, such as \"Preferred Plus\"")
	optionalFloat(fs, &q.exact.Multiple, "multiple", "`multiple` of the table's mortality, 1.5 for 150%")
	fs.BoolVar(&q.asJSON, "json", false, "print the quote as one JSON line")
	fs.BoolVar(&q.explain, "explain", false, "tell how the premium came about, line by line")
	return q
}

// answer notes one answer. The product says which questions there are.
func (q *quoteFlags) answer(s string) error {
	id, answer, _ := strings.Cut(s, "=")
	if id == "" || answer != "yes" && answer != "no" {
		return errors.New("want ID=yes or ID=no")
	}
	if _, again := q.facts.Answers[id]; again {
		return fmt.Errorf("%s is answered twice", id)
	}
	if q.facts.Answers == nil {
		q.facts.Answers = map[string]bool{}
	}
	q.facts.Answers[id] = answer == "yes"
	return nil
}

func optionalFloat(fs *flag.FlagSet, to **float64, name, usage string) {
	fs.Func(name, usage, func(s string) error {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return errors.New("not a number")
		}
		*to = &v
		return nil
	})
}

func (q *quoteFlags) run(e *env) error {
	book, err := rulebook.Load(rules.FS)
	if err != nil {
		return fmt.Errorf("load rules: %w", err)
	}
	if q.explain && q.asJSON {
		return usagef("quote: give either --explain or --json, not both")
	}
	in := q.input(e.now())
	result, explanation, err := quote.Explain(book, in)
	var facts *underwriting.FieldsError
	if errors.As(err, &facts) {
		q.bad.Fields = append(q.bad.Fields, facts.Fields...)
		err = nil
	}
	if len(q.bad.Fields) > 0 {
		return badQuoteFlags(q.bad)
	}
	if err != nil {
		return err
	}
	if q.asJSON {
		line, err := result.Encode()
		if err != nil {
			return err
		}
		_, err = e.stdout.Write(line)
		return err
	}
	if err := printQuote(e.stdout, result); err != nil || !q.explain {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "\nHow the premium came about\n\n%s", explanation)
	return err
}

// badQuoteFlags tells all bad flags at once. A flag that could not be read is
// told once, not again as a missing fact.
func badQuoteFlags(bad underwriting.FieldsError) error {
	var text strings.Builder
	seen := map[string]bool{}
	for _, f := range bad.Fields {
		name := strings.TrimSuffix(strings.TrimSuffix(f.Field, "_cents"), "_years")
		name = "--" + strings.ReplaceAll(name, "_", "-")
		if seen[name] {
			continue
		}
		seen[name] = true
		fmt.Fprintf(&text, "\n  %-17s %s", name, f.Sentence)
	}
	return usagef("quote: these flags need a look:%s", text.String())
}

// input brings the flags to Compute's form and notes in q.bad what it cannot.
func (q *quoteFlags) input(now time.Time) quote.Input {
	in := quote.Input{ValuationDate: now, Time: now.UTC(), Hashes: casefile.Hashes{Code: version.String()}}
	if q.valuation != "" {
		date, err := time.Parse(time.DateOnly, q.valuation)
		if err != nil {
			q.bad.Add("valuation_date", "give a date as YYYY-MM-DD")
		} else {
			in.ValuationDate = date
		}
	}
	switch q.smoker {
	case "":
	case "yes", "no":
		if q.facts.Tobacco != "" {
			q.bad.Add("smoker", "give either --smoker or --tobacco, not both")
		}
		q.facts.Tobacco = map[string]string{"yes": "current", "no": "never"}[q.smoker]
	default:
		q.bad.Add("smoker", "choose yes or no")
	}
	if q.sum != "" {
		cents, err := underwriting.ParseCents(q.sum)
		if err != nil {
			q.bad.Add("sum_cents", "give an amount such as 250000 or 250000.50")
		}
		q.facts.SumCents = cents
	}
	in.Estimate = q.interval()
	in.Facts = q.facts
	if q.exact != (quote.Exact{}) {
		in.Exact = &q.exact
	}
	return in
}

// interval returns the stated age interval with its middle as the point, nil
// where none was stated or it is none.
func (q *quoteFlags) interval() *age.Estimate {
	if q.low == nil && q.high == nil {
		return nil
	}
	if q.low == nil || q.high == nil {
		q.bad.Add("low", "give both --low and --high")
		return nil
	}
	if !(0 <= *q.low && *q.low <= *q.high && *q.high <= 130) { // so written that NaN fails
		q.bad.Add("low", "give --low and --high in years, rising, 0 to 130")
		return nil
	}
	middle := math.Round((*q.low+*q.high)/2*10) / 10
	return &age.Estimate{Age: &middle, Low: q.low, High: q.high}
}

// printQuote prints a quote for a person.
func printQuote(out io.Writer, q casefile.Quote) error {
	var text strings.Builder
	fmt.Fprintf(&text, "Decision:  %s\n", q.Decision)
	if q.Class != "" {
		fmt.Fprintf(&text, "Class:     %s\n", ratedClass(q))
	}
	if q.Basis.SumCents != 0 { // facts that cannot be used have no basis
		fmt.Fprintf(&text, "Cover:     %s %s for %d years, product %s\n", money(q.Basis.SumCents), q.Currency, q.Basis.TermYears, q.Basis.Product)
	}
	printBasis(&text, q.Basis)
	if q.Expires != "" {
		fmt.Fprintf(&text, "Stands:    %s to %s\n", q.ValuationDate, q.Expires)
	}
	fmt.Fprintln(&text)
	if err := printPremiums(&text, q); err != nil {
		return fmt.Errorf("print premiums: %w", err)
	}
	for _, s := range q.Schedule {
		fmt.Fprintf(&text, "From year %d: %s gross a year, %s %s\n", s.FromYear, money(s.GrossAnnualCents), money(s.ModalCents), q.Mode)
	}
	if len(q.Reasons) > 0 {
		fmt.Fprint(&text, "\nReasons:\n")
	}
	for _, r := range q.Reasons {
		fmt.Fprintf(&text, "  %s: %s (%s: %s, limit %s)", r.Code, r.Sentence, r.Rule, r.Value, r.Limit)
		if r.Effect != "" {
			fmt.Fprintf(&text, " Effect: %s.", r.Effect)
		}
		fmt.Fprintln(&text)
	}
	if len(q.Principal) > 0 && len(q.Principal) < len(q.Reasons) {
		fmt.Fprint(&text, "The customer is told: ")
		for i, code := range q.Principal {
			if i > 0 {
				fmt.Fprint(&text, ", ")
			}
			fmt.Fprint(&text, code)
		}
		fmt.Fprintln(&text)
	}
	if len(q.Notices) > 0 {
		fmt.Fprintln(&text)
	}
	for _, n := range q.Notices {
		fmt.Fprintln(&text, n)
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// ratedClass is the class with its rating and flat extras.
func ratedClass(q casefile.Quote) string {
	class := q.Class
	if q.Basis.Rating != "" {
		class += ", table rating " + q.Basis.Rating
	}
	for _, e := range q.Basis.FlatExtras {
		class += fmt.Sprintf(", flat extra %g per 1,000", e.PerMille)
		if e.Years > 0 {
			class += fmt.Sprintf(" for %d years", e.Years)
		}
	}
	return class
}

func printBasis(text *strings.Builder, b casefile.Basis) {
	if b.Table == 0 {
		return // no class, and so no table
	}
	tables := []string{strconv.Itoa(b.Table)}
	if len(b.Tables) > 1 {
		tables = nil
		for _, t := range b.Tables {
			tables = append(tables, fmt.Sprintf("%d (share %g)", t.Table, t.Share))
		}
	}
	fmt.Fprintf(text, "Basis:     table %s, interest %g, multiple %g, %s", strings.Join(tables, " and "), b.Interest, b.Multiple, b.AgeBasis)
	if b.BandFactor != 0 && b.BandFactor != 1 { // 0: a quote of schema 1
		fmt.Fprintf(text, ", %.4f of the charge after discounts for large sums", b.BandFactor)
	}
	fmt.Fprintln(text)
}

func printPremiums(text *strings.Builder, q casefile.Quote) error {
	if q.Mode == "" {
		return nil
	}
	w := tabwriter.NewWriter(text, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "Premium (%s)\tage\tnet a year\tgross a year\t%s\t\n", q.Currency, q.Mode)
	row := func(name string, age int, a casefile.Amounts, reason underwriting.Code) {
		if a.GrossAnnualCents == nil {
			cause := ""
			if reason != "" {
				cause = " " + string(reason)
			}
			fmt.Fprintf(w, "%s\t%d\t-\t-\t-\t%s\n", name, age, cause)
			return
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t\n", name, age, money(*a.NetAnnualCents), money(*a.GrossAnnualCents), money(*a.ModalCents))
	}
	charged := q.Basis.Charged
	if charged == "" {
		charged = string(q.Basis.PriceAgeSource)
	}
	row("charged: "+charged, q.Basis.PriceAge, q.Amounts, "")
	if q.At != nil {
		row("low end", q.At.Low.Age, q.At.Low.Amounts, q.At.Low.Reason)
		row("estimated", q.At.Estimated.Age, q.At.Estimated.Amounts, q.At.Estimated.Reason)
		row("high end", q.At.High.Age, q.At.High.Amounts, q.At.High.Reason)
	}
	if q.ExpectedGrossCents != nil {
		fmt.Fprintf(w, "expected\t\t\t%s\t\t over the ages that the photo gives\n", money(*q.ExpectedGrossCents))
	}
	return w.Flush()
}

// money prints cents as an amount with thousands apart: 250,000.00.
func money(cents int64) string {
	whole := strconv.FormatInt(cents/100, 10)
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return fmt.Sprintf("%s.%02d", whole, cents%100)
}
