package letter

import (
	"fmt"
	"strconv"

	"github.com/agequote/agequote/internal/underwriting"
)

// catalogue is the words of one language. Texts with verbs (%s) are filled from
// the stored quote; none holds a figure of its own.
type catalogue struct {
	caseLine, dateLine   string // id; date
	subject, bareSubject string // sum, years
	decisions            map[underwriting.Decision]string
	premium, instalment  string // amount a year; mode, amount
	later                string // year, amount a year, instalment
	stands               string // last day
	modes                map[string]string
	why, effect          string // effect on the premium; empty: left out
	photo                string // age, low, high
	charged              map[string]string
	automatic, person    string
	reasons              map[underwriting.Code]string // nil: the sentences as stored, which are English
	thousands, decimal   string
}

// sentence returns the reason in words.
func (c *catalogue) sentence(r underwriting.Reason) string {
	if text, ok := c.reasons[r.Code]; ok {
		return text
	}
	return r.Sentence
}

// money prints cents with thousands apart.
func (c *catalogue) money(cents int64) string {
	whole := strconv.FormatInt(cents/100, 10)
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + c.thousands + whole[i:]
	}
	return fmt.Sprintf("%s%s%02d", whole, c.decimal, cents%100)
}

var catalogues = map[string]*catalogue{"en": english}

var english = &catalogue{
	caseLine:    "Case: %s",
	dateLine:    "Date: %s",
	subject:     "Your application for life insurance: %s for %d years",
	bareSubject: "Your application for life insurance",
	decisions: map[underwriting.Decision]string{
		underwriting.Quote:    "We can give you a price for this cover.",
		underwriting.Refer:    "A person looks at your application before we answer it. This is no refusal. You need not do anything; we will write to you.",
		underwriting.Postpone: "We cannot decide on your application now. This is no refusal for ever: please ask again later.",
		underwriting.Decline:  "We cannot offer you this cover as you applied for it.",
	},
	premium:    "Premium: %s a year.",
	instalment: "Paid %s: %s each time.",
	later:      "From policy year %d: %s a year, %s each time.",
	stands:     "This price stands until %s.",
	modes: map[string]string{
		"annual": "once a year", "half-yearly": "twice a year", "quarterly": "every quarter", "monthly": "every month",
	},
	why:    "The main reasons:",
	effect: "In the calculation: %s.",
	photo:  "A computer program estimated your age from your photo: %.1f years, and probably between %.1f and %.1f.",
	charged: map[string]string{
		string(underwriting.Declared): "The price is for the age that you declared.",
		underwriting.ChargeEstimated:  "The price is for the estimated age.",
		underwriting.ChargeHigh:       "The price is for the upper of these ages.",
		underwriting.ChargeExpected:   "The price is the mean over the ages that the photo makes likely.",
	},
	automatic: "This answer was made by a computer program, by fixed rules, from what you declared and where you sent one from your photo. The photo alone never leads to a refusal.",
	person: "You have the right that a person looks at it again: tell us if you want this, say why you disagree, and add what we should know. " +
		"You can also ask which of your data we used, and have them corrected.",
	thousands: ",", decimal: ".",
}
