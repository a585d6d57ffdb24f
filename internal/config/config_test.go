package config_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/config"
	"github.com/agequote/agequote/internal/local/samtemplate"
)

// loaders are the functions of template.yaml and what reads their settings.
var loaders = map[string]func(getenv func(string) string) error{
	"PredictFunction": func(getenv func(string) string) error { _, err := config.LoadPredict(getenv); return err },
	"QuoteFunction":   func(getenv func(string) string) error { _, err := config.LoadQuote(getenv); return err },
	"FailedFunction":  func(getenv func(string) string) error { _, err := config.LoadFailed(getenv); return err },
	"ReviewFunction":  func(getenv func(string) string) error { _, err := config.LoadReview(getenv); return err },
	"OnboardFunction": func(getenv func(string) string) error { _, err := config.LoadOnboard(getenv); return err },
	"ReportFunction":  func(getenv func(string) string) error { _, err := config.LoadReport(getenv); return err },
}

// names returns the names that a loader asks for.
func names(load func(func(string) string) error) []string {
	asked := map[string]bool{}
	_ = load(func(name string) string {
		asked[name] = true
		return ""
	})
	return slices.Sorted(maps.Keys(asked))
}

// TestTemplateSetsExactlyTheseNames holds template.yaml and the code together:
// a name that is missing fails a function, one too many misleads a reader.
func TestTemplateSetsExactlyTheseNames(t *testing.T) {
	template, err := samtemplate.Read("../../template.yaml", samtemplate.Options{
		StackName: "agequote", Region: "eu-central-1", Account: "000000000000",
		Parameters: map[string]string{"ReviewIssuer": "https://issuer.example", "ReviewAudience": "review", "ReviewClientId": "page"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(template.Functions) != len(loaders) {
		t.Errorf("the template has %d functions, %d have settings", len(template.Functions), len(loaders))
	}
	for _, f := range template.Functions {
		load, ok := loaders[f.LogicalID]
		if !ok {
			t.Errorf("%s reads no settings", f.LogicalID)
			continue
		}
		if diff := cmp.Diff(names(load), slices.Sorted(maps.Keys(f.Environment))); diff != "" {
			t.Errorf("%s (-code +template)\n%s", f.LogicalID, diff)
		}
		if err := load(func(name string) string { return f.Environment[name] }); err != nil {
			t.Errorf("%s: %v", f.LogicalID, err)
		}
	}
}

func TestLoadReportsAllAtOnce(t *testing.T) {
	for id, load := range loaders {
		err := load(func(string) string { return "" })
		for _, name := range names(load) {
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s without settings = %v, want %s named", id, err, name)
			}
		}
	}
	_, err := config.LoadPredict(func(string) string { return "perhaps" })
	if _, err := config.LoadOnboard(func(string) string { return "perhaps" }); err == nil || !strings.Contains(err.Error(), "RETENTION_DAYS") {
		t.Errorf("RETENTION_DAYS %q = %v, want an error", "perhaps", err)
	}
	for _, name := range []string{"ALLOW_RESEARCH_MODEL", "MODEL_FOLLOW_SECONDS"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s %q = %v, want an error", name, "perhaps", err)
		}
	}
}
