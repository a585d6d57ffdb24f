package page

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/underwriting"
)

func catalogue(t *testing.T) map[string]string {
	t.Helper()
	f, ok := Asset("texts/en.json")
	if !ok {
		t.Fatal("no catalogue")
	}
	var texts map[string]string
	if err := json.Unmarshal(f.Body, &texts); err != nil {
		t.Fatal(err)
	}
	return texts
}

// TestEveryCodeHasWords holds the catalogue to the closed lists of codes.
func TestEveryCodeHasWords(t *testing.T) {
	words := catalogue(t)
	need := func(kind, code string) {
		if words[kind+"."+code] == "" {
			t.Errorf("%s %s has no words", kind, code)
		}
	}
	for _, code := range reason.Codes() {
		need("photo", string(code))
	}
	for _, code := range underwriting.Codes() {
		need("reason", string(code))
	}
	for _, d := range []underwriting.Decision{underwriting.Quote, underwriting.Refer, underwriting.Postpone, underwriting.Decline} {
		need("decision", string(d))
		need("history", "quote_"+string(d))
	}
	for _, mode := range underwriting.Modes {
		need("mode", string(mode))
	}
	for _, state := range []string{casefile.StateRefer, casefile.StateFailed, casefile.StateAsked, casefile.StateComplained, casefile.StateSuggested} {
		need("state", state)
	}
	for _, a := range []casefile.Action{casefile.Accept, casefile.Change, casefile.Postpone, casefile.Decline,
		casefile.AnotherPhoto, casefile.ProofOfAge, casefile.Evidence, casefile.Confirm, casefile.Return} {
		for _, kind := range []string{"action", "send", "effect"} {
			need(kind, string(a))
		}
	}
	for _, a := range []casefile.Action{casefile.Accept, casefile.Change, casefile.Postpone, casefile.Decline, casefile.AnotherPhoto, casefile.ProofOfAge,
		casefile.Evidence, casefile.Suggest, casefile.Confirm, casefile.Return, casefile.SecondLook} {
		need("done", string(a))
		need("history", "decided_"+string(a))
	}
}

// TestEveryProblemHasWords holds the catalogue to the codes of the API.
func TestEveryProblemHasWords(t *testing.T) {
	words := catalogue(t)
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
		if words["problem."+code] == "" {
			t.Errorf("problem %s has no words", code)
		}
	}
}

// literal finds the keys that the scripts ask for by name.
var literal = regexp.MustCompile(`\bt\('([a-z0-9_.-]+)'|'(key\.[a-z.]+)'`)

func TestScriptsAskForKeysThatExist(t *testing.T) {
	words, n := catalogue(t), 0
	for name, f := range assets {
		if !strings.HasSuffix(name, ".js") {
			continue
		}
		for _, m := range literal.FindAllStringSubmatch(string(f.Body), -1) {
			n++
			if key := m[1] + m[2]; words[key] == "" {
				t.Errorf("%s asks for %s, which is not in the catalogue", name, key)
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
	headers, err := Headers("https://uploads.example", "https://tokens.example/token", "https://issuer.example/pool", "https://issuer.example")
	if err != nil {
		t.Fatal(err)
	}
	policy := headers["Content-Security-Policy"]
	for _, part := range []string{"img-src 'self' blob: https://uploads.example;", "connect-src 'self' https://issuer.example https://tokens.example;"} {
		if !strings.Contains(policy, part) || strings.Contains(policy, "unsafe") {
			t.Errorf("policy is %s, want %s in it", policy, part)
		}
	}
}
