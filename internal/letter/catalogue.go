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
	decided              string                       // in place of automatic, where a person decided
	months               string                       // until the customer may ask again
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

var catalogues = map[string]*catalogue{"en": english, "de": german}

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

		string(underwriting.Underwriter): "The price is for the age that an underwriter set.",
	},
	automatic: "This answer was made by a computer program, by fixed rules, from what you declared and where you sent one from your photo. The photo alone never leads to a refusal.",
	months:    "Please ask again in %d months.",
	decided:   "An underwriter, a person, decided this, from what you declared, what was computed by fixed rules, and where you sent one your photo.",
	person: "You have the right that a person looks at it again: tell us if you want this, say why you disagree, and add what we should know. " +
		"You can also ask which of your data we used, and have them corrected.",
	thousands: ",", decimal: ".",
}

// german shows reasons by code: the stored sentences, and what they do to the
// premium, are in English. The page's catalogue has the same words.
var german = &catalogue{
	caseLine:    "Fall: %s",
	dateLine:    "Datum: %s",
	subject:     "Ihr Antrag auf eine Lebensversicherung: %s für %d Jahre",
	bareSubject: "Ihr Antrag auf eine Lebensversicherung",
	decisions: map[underwriting.Decision]string{
		underwriting.Quote:    "Wir können Ihnen einen Beitrag für diesen Schutz nennen.",
		underwriting.Refer:    "Ein Mensch sieht sich Ihren Antrag an, bevor wir antworten. Das ist keine Ablehnung. Sie brauchen nichts zu tun; wir schreiben Ihnen.",
		underwriting.Postpone: "Wir können jetzt nicht über Ihren Antrag entscheiden. Das ist keine Ablehnung für immer: bitte fragen Sie später wieder an.",
		underwriting.Decline:  "Wir können Ihnen diesen Schutz, so wie Sie ihn beantragt haben, nicht anbieten.",
	},
	premium:    "Beitrag: %s im Jahr.",
	instalment: "Zahlung %s: je %s.",
	later:      "Ab dem Versicherungsjahr %d: %s im Jahr, je Zahlung %s.",
	stands:     "Dieser Beitrag gilt bis zum %s.",
	modes: map[string]string{
		"annual": "einmal im Jahr", "half-yearly": "zweimal im Jahr", "quarterly": "vierteljährlich", "monthly": "monatlich",
	},
	why:   "Die wichtigsten Gründe:",
	photo: "Ein Computerprogramm hat Ihr Alter nach Ihrem Foto geschätzt: %.1f Jahre, und wahrscheinlich zwischen %.1f und %.1f.",
	charged: map[string]string{
		string(underwriting.Declared): "Der Beitrag ist der für das Alter, das Sie angegeben haben.",
		underwriting.ChargeEstimated:  "Der Beitrag ist der für das geschätzte Alter.",
		underwriting.ChargeHigh:       "Der Beitrag ist der für das obere Ende dieser Spanne.",
		underwriting.ChargeExpected:   "Der Beitrag ist der Mittelwert über die Alter, die das Foto wahrscheinlich macht.",

		string(underwriting.Underwriter): "Der Beitrag ist der für das Alter, das ein Mensch festgelegt hat.",
	},
	automatic: "Diese Antwort hat ein Computerprogramm nach festen Regeln gegeben, aus Ihren Angaben und, wenn Sie eines geschickt haben, Ihrem Foto. Das Foto allein führt nie zu einer Ablehnung.",
	months:    "Bitte fragen Sie in %d Monaten wieder an.",
	decided:   "Das hat ein Mensch entschieden: nach Ihren Angaben, nach dem, was nach festen Regeln berechnet wurde, und, wenn Sie eines geschickt haben, nach Ihrem Foto.",
	person: "Sie haben das Recht, dass ein Mensch die Antwort prüft: sagen Sie uns, wenn Sie das möchten, warum Sie nicht einverstanden sind und was wir wissen sollten. " +
		"Sie können auch fragen, welche Ihrer Daten wir genutzt haben, und sie berichtigen lassen.",
	reasons: map[underwriting.Code]string{
		underwriting.Under18:              "Sie sind unter 18. Wir versichern nur Erwachsene.",
		underwriting.PhotoUnder18:         "Das Foto sieht nach einem Menschen unter 18 aus; ein Mensch prüft das Alter.",
		underwriting.PhotoTouches18:       "Das Foto schließt ein Alter unter 18 nicht aus; ein Mensch prüft das Alter.",
		underwriting.AgeUnderLimit:        "Das Alter liegt unter dem niedrigsten für diesen Schutz.",
		underwriting.AgeOverLimit:         "Das Alter liegt über dem höchsten für diesen Schutz.",
		underwriting.AgeAtExpiry:          "Der Schutz würde an seinem Ende über das höchste Alter hinausgehen; eine kürzere Dauer könnte passen.",
		underwriting.AgeContradicts:       "Das angegebene Alter passt nicht zum Foto; ein Mensch prüft das Alter.",
		underwriting.AgeUncertain:         "Das Foto gibt das Alter zu ungenau her; ein Mensch prüft das Alter.",
		underwriting.SumOutsideLimits:     "Die Summe liegt außerhalb der Grenzen dieses Produkts.",
		underwriting.TermNotOffered:       "Dieses Produkt gibt es nicht für diese Dauer.",
		underwriting.BuildOutsideClass:    "Größe und Gewicht liegen außerhalb der Klassen dieses Produkts; ein Mensch sieht sie sich an.",
		underwriting.FactsInvalid:         "Eine Angabe fehlt oder lässt sich nicht verwenden; ein Mensch fragt danach.",
		underwriting.BuildDecline:         "Größe und Gewicht liegen jenseits der Grenzen für diesen Schutz.",
		underwriting.ClassBuild:           "Größe und Gewicht schließen die besten Klassen aus.",
		underwriting.RatedBuild:           "Größe und Gewicht erhöhen den Beitrag.",
		underwriting.TobaccoRates:         "Der Beitrag ist der für Menschen, die Tabak nutzen.",
		underwriting.ClassTobacco:         "Der Tabak wurde zu spät aufgegeben für die besten Klassen.",
		underwriting.RatedTobacco:         "Tabak erhöht den Beitrag.",
		underwriting.ClassAnswer:          "Die Antwort auf eine Frage schließt die besten Klassen aus.",
		underwriting.RatedAnswer:          "Die Antwort auf eine Frage erhöht den Beitrag.",
		underwriting.FlatExtra:            "Die Antwort auf eine Frage führt zu einem Zuschlag auf den Beitrag.",
		underwriting.AnswerRefer:          "Die Antwort auf eine Frage muss genauer angesehen werden; ein Mensch entscheidet.",
		underwriting.AnswerPostpone:       "Die Antwort auf eine Frage bedeutet, dass wir erst später entscheiden können; bitte fragen Sie dann wieder an.",
		underwriting.AnswerDecline:        "Die Antwort auf eine Frage bedeutet, dass wir diesen Schutz nicht anbieten können.",
		underwriting.RatingOverLimit:      "Die Risiken zusammen liegen jenseits der Grenze für diesen Schutz.",
		underwriting.Stopped:              "Beiträge per Computer sind zurzeit angehalten; ein Mensch sieht sich jeden Antrag an.",
		underwriting.UnderwriterAccepted:  "Ein Mensch hat sich den Antrag angesehen und ihn angenommen.",
		underwriting.UnderwriterChanged:   "Ein Mensch hat sich den Antrag angesehen und festgelegt, worauf der Beitrag beruht.",
		underwriting.UnderwriterPostponed: "Ein Mensch hat sich den Antrag angesehen und kann noch nicht entscheiden.",
		underwriting.UnderwriterDeclined:  "Ein Mensch hat sich den Antrag angesehen und kann diesen Schutz nicht anbieten.",
		underwriting.AgeProven:            "Das Alter wurde durch ein Dokument nachgewiesen.",
		underwriting.AgeUnproven:          "Das Alter wurde nicht nachgewiesen, als wir darum baten.",
		underwriting.EvidenceReviewed:     "Die ärztlichen Unterlagen wurden angesehen.",
		underwriting.EvidenceMissing:      "Die ärztlichen Unterlagen, um die wir baten, sind nicht gekommen.",
		underwriting.BuildReviewed:        "Ein Mensch hat sich Größe und Gewicht angesehen.",
		underwriting.TobaccoReviewed:      "Ein Mensch hat sich den Tabakkonsum angesehen.",
		underwriting.HazardReviewed:       "Ein Mensch hat sich Beruf oder Freizeit angesehen.",
		underwriting.FactsInconsistent:    "Die Angaben passen nicht zusammen.",
		underwriting.CustomerAsked:        "Sie haben darum gebeten.",
		underwriting.RuleUnfit:            "Eine feste Regel passte nicht zu diesem Antrag.",
		underwriting.DuplicatePhoto:       "Das Foto wurde auch mit einem anderen Antrag geschickt; ein Mensch sieht es sich an.",
	},
	thousands: ".", decimal: ",",
}
