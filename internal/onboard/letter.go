package onboard

import (
	"fmt"
	"strings"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/underwriting"
)

// openings begin the letter, by decision.
var openings = map[underwriting.Decision]string{
	underwriting.Quote:    "We can offer you an indication of your premium.",
	underwriting.Refer:    "A person will look at your application before it is decided.",
	underwriting.Postpone: "We cannot decide on your application yet. Please apply again later.",
	underwriting.Decline:  "We cannot offer you this cover on these terms.",
}

// PlainLetter tells a decision, its reasons and the right to a person. It says
// nothing that is not in the stored quote.
func PlainLetter(q casefile.Quote) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", q.ValuationDate)
	opening, ok := openings[q.Decision]
	if !ok {
		return "", fmt.Errorf("letter on the unknown decision %q", q.Decision)
	}
	fmt.Fprintf(&b, "%s\n", opening)
	if q.Decision == underwriting.Quote && q.GrossAnnualCents != nil {
		fmt.Fprintf(&b, "\nPremium: %d.%02d %s a year. It stands until %s.\n", *q.GrossAnnualCents/100, *q.GrossAnnualCents%100, q.Currency, q.Expires)
	}
	if reasons := q.PrincipalReasons(); len(reasons) > 0 {
		b.WriteString("\nThe reasons:\n")
		for _, r := range reasons {
			fmt.Fprintf(&b, "- %s\n", r.Sentence)
		}
	}
	b.WriteString("\nYou may ask that a person looks at this decision, at any time.\n")
	for _, notice := range q.Notices {
		fmt.Fprintf(&b, "\n%s\n", notice)
	}
	return b.String(), nil
}
