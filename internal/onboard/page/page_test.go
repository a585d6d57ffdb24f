package page

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/erasure"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/underwriting"
	"github.com/agequote/agequote/rules"
)

func catalogue(t *testing.T, language string) map[string]string {
	t.Helper()
	f, ok := Asset("texts/" + language + ".json")
	if !ok {
		t.Fatalf("no catalogue of %s", language)
	}
	var texts map[string]string
	if err := json.Unmarshal(f.Body, &texts); err != nil {
		t.Fatalf("catalogue of %s: %v", language, err)
	}
	return texts
}

var placeholder = regexp.MustCompile(`\{\w+\}`)

func TestCataloguesHaveTheSameKeys(t *testing.T) {
	en, de := catalogue(t, "en"), catalogue(t, "de")
	for key, text := range en {
		german, ok := de[key]
		if !ok {
			t.Errorf("German lacks %s", key)
			continue
		}
		want, got := placeholder.FindAllString(text, -1), placeholder.FindAllString(german, -1)
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("placeholders of %s (-en +de):\n%s", key, diff)
		}
		if text == "" || german == "" {
			t.Errorf("%s is empty", key)
		}
	}
	for key := range de {
		// The rules' questions are English; the catalogue only translates them.
		if _, ok := en[key]; !ok && !strings.HasPrefix(key, "question.") {
			t.Errorf("English lacks %s", key)
		}
	}
}

// TestEveryCodeHasWords holds the catalogue to the closed lists of codes: a
// code without words would show as English of the service's, or as its name.
func TestEveryCodeHasWords(t *testing.T) {
	en := catalogue(t, "en")
	for _, code := range reason.Codes() {
		if _, ok := en["photo."+string(code)]; !ok {
			t.Errorf("photo code %s has no words", code)
		}
	}
	for _, charge := range []string{string(underwriting.Declared), underwriting.ChargeEstimated, underwriting.ChargeHigh, underwriting.ChargeExpected, string(underwriting.Underwriter)} {
		if _, ok := en["quote.price."+charge]; !ok {
			t.Errorf("a price that is %s has no words", charge)
		}
	}
	for _, code := range underwriting.Codes() {
		if _, ok := en["reason."+string(code)]; !ok {
			t.Errorf("reason %s has no words", code)
		}
	}
}

func TestEveryWordOfAReceiptIsTranslated(t *testing.T) {
	de := catalogue(t, "de")
	for _, word := range []string{erasure.Photos, erasure.PhotoHashes, erasure.Facts, erasure.Estimates, erasure.Premiums,
		erasure.ComplaintTexts, erasure.Notes, erasure.QueueEntries, erasure.Others} {
		if _, ok := de["receipt.removed."+word]; !ok {
			t.Errorf("%s has no words", word)
		}
	}
}

// TestEveryQuestionIsTranslated holds the German catalogue to the questions of
// today's products: one without words would be asked in English.
func TestEveryQuestionIsTranslated(t *testing.T) {
	book, err := rulebook.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	de, n := catalogue(t, "de"), 0
	for _, market := range []string{"US", "EU", "IN"} {
		p, err := book.Product(market, "", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range p.Questions {
			n++
			if _, ok := de["question."+q.ID]; !ok {
				t.Errorf("question %s of %s has no German", q.ID, market)
			}
		}
	}
	if n == 0 {
		t.Error("no product asks a question")
	}
}

// TestEveryProblemHasWords holds the catalogue to the codes of the API.
func TestEveryProblemHasWords(t *testing.T) {
	en := catalogue(t, "en")
	spec, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var api struct {
		Components struct {
			Schemas struct {
				Problem struct {
					Properties struct {
						Code struct {
							Enum []string `yaml:"enum"`
						} `yaml:"code"`
					} `yaml:"properties"`
				} `yaml:"Problem"`
			} `yaml:"schemas"`
		} `yaml:"components"`
	}
	if err := yaml.Unmarshal(spec, &api); err != nil {
		t.Fatal(err)
	}
	codes := api.Components.Schemas.Problem.Properties.Code.Enum
	if len(codes) == 0 {
		t.Fatal("no codes found in openapi.yaml")
	}
	for _, code := range codes {
		if _, ok := en["problem."+code]; !ok {
			t.Errorf("problem %s has no words", code)
		}
	}
}

// literal finds the keys that the scripts ask for by name. Those put together
// from a code are TestEveryCodeHasWords's affair.
var literal = regexp.MustCompile(`\bt\('([a-z0-9_.-]+)'`)

func TestScriptsAskForKeysThatExist(t *testing.T) {
	en := catalogue(t, "en")
	n := 0
	for name, f := range assets {
		if !strings.HasSuffix(name, ".js") {
			continue
		}
		for _, m := range literal.FindAllSubmatch(f.Body, -1) {
			n++
			if _, ok := en[string(m[1])]; !ok {
				t.Errorf("%s asks for %s, which no catalogue has", name, m[1])
			}
		}
	}
	if n == 0 {
		t.Error("no key found in any script")
	}
}

// TestPageIsSelfContained looks for what the policy forbids, or for another
// site, in what is served.
func TestPageIsSelfContained(t *testing.T) {
	for name, f := range assets {
		if f.Type == "" || f.ETag == "" {
			t.Errorf("%s: type %q, etag %q", name, f.Type, f.ETag)
		}
		body := strings.ReplaceAll(string(f.Body), "http://www.w3.org/2000/svg", "")
		for _, bad := range []string{"http://", "https://", "//cdn", "innerHTML", "eval(", "localStorage", " style=", " onclick="} {
			if strings.Contains(body, bad) {
				t.Errorf("%s contains %q", name, bad)
			}
		}
	}
	policy := Headers("https://uploads.example")["Content-Security-Policy"]
	if !strings.Contains(policy, "connect-src 'self' https://uploads.example;") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy is %s", policy)
	}
	if _, ok := Asset("index.html"); ok {
		t.Error("index.html is served under two names")
	}
}
