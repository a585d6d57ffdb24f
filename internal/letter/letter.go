// Package letter writes the decision on an application to the customer: plain
// text from a stored quote, with the principal reasons and the right to a
// person. It says nothing that is not in the record, and decides nothing. The
// words stand in one catalogue a language.
package letter

import (
	"errors"
	"fmt"
	"strings"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/underwriting"
)

// ErrLanguage says that there is no catalogue of the language.
var ErrLanguage = errors.New("letters are not written in this language")

// Write returns the letter for a quote in a language ("en", "de"), lines broken at
// paragraphs alone. It returns ErrLanguage.
func Write(q *casefile.Quote, language string) (string, error) {
	c, ok := catalogues[language]
	if !ok {
		return "", ErrLanguage
	}
	w := &writer{q: q, c: c}
	w.head()
	w.decision()
	w.reasons()
	w.age()
	w.rights()
	for _, n := range q.Notices {
		w.paragraph(n)
	}
	return w.text.String(), nil
}

// Languages returns the languages of letters.
func Languages() []string { return []string{"en", "de"} }

// writer writes one letter.
type writer struct {
	q    *casefile.Quote
	c    *catalogue
	text strings.Builder
}

// line writes a line of its own, paragraph one with an empty line after it.
func (w *writer) line(format string, args ...any) {
	fmt.Fprintf(&w.text, format, args...)
	w.text.WriteByte('\n')
}

func (w *writer) paragraph(text string) { w.line("%s\n", text) }

func (w *writer) head() {
	if w.q.Case != "" {
		w.line(w.c.caseLine, w.q.Case)
	}
	w.line(w.c.dateLine+"\n", w.q.ValuationDate)
	if b := w.q.Basis; b.SumCents > 0 {
		w.line(w.c.subject+"\n", w.amount(b.SumCents), b.TermYears)
	} else { // the facts could not be used
		w.paragraph(w.c.bareSubject)
	}
}

// amount prints cents with the currency.
func (w *writer) amount(cents int64) string { return w.c.money(cents) + " " + w.q.Currency }

func (w *writer) decision() {
	w.paragraph(w.c.decisions[w.q.Decision])
	// Premiums of referred cases are for the underwriter.
	if w.q.Decision != underwriting.Quote || w.q.GrossAnnualCents == nil {
		return
	}
	w.line(w.c.premium, w.amount(*w.q.GrossAnnualCents))
	if w.q.Mode != underwriting.Modes[0] {
		w.line(w.c.instalment, w.c.modes[w.q.Mode], w.amount(*w.q.ModalCents))
	}
	for _, s := range w.q.Schedule {
		if s.FromYear > 1 {
			w.line(w.c.later, s.FromYear, w.amount(s.GrossAnnualCents), w.amount(s.ModalCents))
		}
	}
	w.line(w.c.stands+"\n", w.q.Expires)
}

// reasons writes the principal ones, at most four, each once.
func (w *writer) reasons() {
	told := w.q.PrincipalReasons()
	if len(told) == 0 {
		return
	}
	w.line("%s", w.c.why)
	seen := map[string]bool{}
	for _, r := range told {
		text := w.reason(r)
		if seen[text] {
			continue
		}
		seen[text] = true
		w.line("- %s", text)
	}
	w.text.WriteByte('\n')
}

// reason writes one reason with its rule, by which a person finds it again.
func (w *writer) reason(r underwriting.Reason) string {
	text := w.c.sentence(r)
	if r.Code == underwriting.FactsInvalid && w.c.reasons == nil {
		text += " Please " + r.Limit + "."
	}
	if months := r.Months(); months > 0 {
		text += " " + fmt.Sprintf(w.c.months, months)
	}
	if r.Effect != "" && w.c.effect != "" {
		text += " " + fmt.Sprintf(w.c.effect, r.Effect)
	}
	return fmt.Sprintf("%s [%s]", text, r.Rule)
}

// age says what the photo was used for.
func (w *writer) age() {
	i := w.q.Interval
	if i == nil {
		return
	}
	text := fmt.Sprintf(w.c.photo, i.Age, i.Low, i.High)
	if how := w.c.charged[w.q.Basis.Charged]; how != "" && w.q.Decision == underwriting.Quote {
		text += " " + how
	}
	w.paragraph(text)
}

func (w *writer) rights() {
	if kind, _, _ := casefile.ParseCause(w.q.Cause); kind == "decision" {
		w.paragraph(w.c.decided)
	} else {
		w.paragraph(w.c.automatic)
	}
	w.paragraph(w.c.person)
}
