package letter_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/letter"
	"github.com/agequote/agequote/internal/quote"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/underwriting"
	"github.com/agequote/agequote/rules"
)

var update = flag.Bool("update", false, "rewrite the golden letters")

func ptr[T any](v T) *T { return &v }

func input() quote.Input {
	d := make([]float64, 101)
	d[40], d[48] = 0.5, 0.5
	return quote.Input{
		Case: "3f0c9a5be27d4d0a", Cause: "photo-0001",
		Facts: underwriting.Facts{Age: ptr(42.5), Sex: "female", HeightCM: 170, WeightKG: 65, Tobacco: "never",
			SumCents: 25_000_000, TermYears: 20, Market: "US", Mode: "monthly"},
		Estimate:      &age.Estimate{Age: ptr(44.2), Mean: ptr(44.0), Low: ptr(36.0), High: ptr(53.0), Coverage: ptr(0.9), Distribution: d},
		ValuationDate: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC),
	}
}

func with(change func(*quote.Input)) quote.Input {
	in := input()
	change(&in)
	return in
}

// inputs are one of each decision, and one whose facts cannot be used.
func inputs() map[string]quote.Input {
	return map[string]quote.Input{
		"quote": with(func(in *quote.Input) {
			in.Facts.Age, in.Facts.Answers = nil, map[string]bool{"cancer": true, "diabetes": true}
		}),
		"refer":    with(func(in *quote.Input) { in.Facts.Age = ptr(60.0) }),
		"postpone": with(func(in *quote.Input) { in.Facts.Answers = map[string]bool{"heart-stroke": true} }),
		"decline": with(func(in *quote.Input) {
			in.Facts.Age, in.Facts.TermYears, in.Facts.SumCents, in.Facts.WeightKG = ptr(17.0), 11, 100, 300
			in.Facts.Answers = map[string]bool{"incurable": true, "tests-pending": true}
		}),
		"invalid": with(func(in *quote.Input) { in.Facts = underwriting.Facts{Market: "US"} }),
	}
}

func mustLoad(t *testing.T) *rulebook.Book {
	t.Helper()
	b, err := rulebook.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustWrite(t *testing.T, q casefile.Quote) string {
	t.Helper()
	text, err := letter.Write(&q, "en")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestWriteGolden(t *testing.T) {
	book := mustLoad(t)
	for name, in := range inputs() {
		t.Run(name, func(t *testing.T) {
			q, err := quote.ComputeOrRefer(book, in)
			if err != nil {
				t.Fatal(err)
			}
			if want := underwriting.Decision(strings.Replace(name, "invalid", "refer", 1)); q.Decision != want {
				t.Fatalf("decision %s: %+v", q.Decision, q.Reasons)
			}
			got := mustWrite(t, q)
			golden := "testdata/" + name + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("letter (-want +got):\n%s", diff)
			}
		})
	}
}

var figure = regexp.MustCompile(`[0-9][0-9,]*(\.[0-9]+)?`)

// TestFigures draws applications at random: every figure of a letter stands in
// the stored quote, as it is or as an amount in cents; a letter without a price
// has no amount but the cover; reasons are at most four; and the right to a
// person is always told.
func TestFigures(t *testing.T) {
	book := mustLoad(t)
	decisions := map[underwriting.Decision]int{}
	r := rand.New(rand.NewPCG(3, 3))
	questions := []string{"heart-stroke", "cancer", "diabetes", "blood-pressure", "family-history", "tests-pending", "incurable", "dangerous-work"}
	for range 150 {
		in := input()
		in.Facts.WeightKG = float64(45 + r.IntN(100))
		in.Facts.SumCents = int64(1+r.IntN(600)) * 1_000_000
		in.Facts.Mode = underwriting.Modes[r.IntN(4)]
		in.Facts.Answers = map[string]bool{}
		for range r.IntN(4) {
			in.Facts.Answers[questions[r.IntN(len(questions))]] = true
		}
		if r.IntN(2) == 0 {
			in.Facts.Age = nil
		}
		q, err := quote.ComputeOrRefer(book, in)
		if err != nil {
			t.Fatal(err)
		}
		decisions[q.Decision]++
		line, err := q.Encode()
		if err != nil {
			t.Fatal(err)
		}
		text := mustWrite(t, q)
		for _, f := range figure.FindAllString(text, -1) {
			f = strings.TrimRight(f, ",")
			if !stands(string(line), f) && !stands(string(line), strings.ReplaceAll(f, ",", "")) {
				t.Errorf("%q is not in the quote\n%s\n%s", f, text, line)
			}
		}
		if n := strings.Count(text, "\n- "); n > 4 || n == 0 && len(q.Reasons) > 0 {
			t.Errorf("%d reasons of %d", n, len(q.Reasons))
		}
		if !strings.Contains(text, "the right that a person looks at it") {
			t.Errorf("no right to a person:\n%s", text)
		}
		if strings.Contains(text, "Premium:") != (q.Decision == underwriting.Quote) {
			t.Errorf("%s:\n%s", q.Decision, text)
		}
	}
	if len(decisions) != 4 {
		t.Errorf("drew the decisions %v, want all four", decisions)
	}
}

// stands tells whether a figure is in the quote's JSON as a number of its own.
func stands(line, plain string) bool {
	candidates := []string{plain, strings.TrimSuffix(plain, ".0")}
	if whole, decimals, ok := strings.Cut(plain, "."); ok && len(decimals) == 2 {
		candidates = append(candidates, strings.TrimLeft(whole+decimals, "0"))
	}
	for _, c := range candidates {
		if regexp.MustCompile(fmt.Sprintf(`(^|[^0-9.])%s($|[^0-9])`, regexp.QuoteMeta(c))).MatchString(line) {
			return true
		}
	}
	return false
}

func TestWriteLanguage(t *testing.T) {
	if _, err := letter.Write(&casefile.Quote{}, "xx"); !errors.Is(err, letter.ErrLanguage) {
		t.Errorf("Write = %v, want ErrLanguage", err)
	}
	for _, language := range letter.Languages() {
		if _, err := letter.Write(&casefile.Quote{}, language); err != nil {
			t.Errorf("%s: %v", language, err)
		}
	}
}

// TestGerman holds the letter to the words of the page, for every reason.
func TestGerman(t *testing.T) {
	raw, err := os.ReadFile("../onboard/page/texts/de.json")
	if err != nil {
		t.Fatal(err)
	}
	var page map[string]string
	if err := json.Unmarshal(raw, &page); err != nil {
		t.Fatal(err)
	}
	for _, code := range underwriting.Codes() {
		q := casefile.Quote{Decision: underwriting.Refer, Principal: []underwriting.Code{code}, Reasons: []underwriting.Reason{{Code: code, Sentence: code.Sentence(), Rule: "R-1", Effect: "mortality +50%"}}}
		text, err := letter.Write(&q, "de")
		if err != nil {
			t.Fatal(err)
		}
		if want := "- " + page["reason."+string(code)] + " [R-1]\n"; !strings.Contains(text, want) {
			t.Errorf("no line %q in\n%s", want, text)
		}
	}
}

// TestDecided: a letter on a person's decision says that a person decided, and
// for how long.
func TestDecided(t *testing.T) {
	q := casefile.Quote{
		Cause: "decision-0001", Decision: underwriting.Postpone,
		Principal: []underwriting.Code{underwriting.UnderwriterPostponed, underwriting.EvidenceMissing},
		Reasons: []underwriting.Reason{
			underwriting.PersonReason(underwriting.UnderwriterPostponed, underwriting.Postpone, "decision-0001", 6),
			underwriting.PersonReason(underwriting.EvidenceMissing, underwriting.Postpone, "decision-0001", 0),
		},
	}
	for language, want := range map[string][]string{
		"en": {"cannot decide on it yet. Please ask again in 6 months. [PERSON-1]", "did not come. [PERSON-1]", "An underwriter, a person, decided this"},
		"de": {"Bitte fragen Sie in 6 Monaten wieder an. [PERSON-1]", "Das hat ein Mensch entschieden"},
	} {
		text, err := letter.Write(&q, language)
		if err != nil {
			t.Fatal(err)
		}
		for _, words := range want {
			if !strings.Contains(text, words) {
				t.Errorf("no %q in\n%s", words, text)
			}
		}
		if strings.Contains(text, "computer program, by fixed") || strings.Contains(text, "Computerprogramm nach festen") {
			t.Errorf("says that a computer decided:\n%s", text)
		}
	}
}
