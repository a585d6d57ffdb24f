package consent_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/consent"
)

// published are the hashes, at 30 days, of every version that was ever shown.
// A line is added with each new version, and none is ever changed: consents on
// record name these texts.
var published = map[string]string{
	"2026-11-25": "sha256:f39543e0b93ba7c10d16cf17cde7ffb9b13869ee1d7982de4594b25680d4803e",
}

func TestPublishedTextsStay(t *testing.T) {
	versions, err := consent.Versions()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, v := range versions {
		terms, err := consent.Find(v, 30)
		if err != nil {
			t.Fatal(err)
		}
		got[v] = terms.Hash
		for language, text := range terms.Text {
			if !strings.Contains(text, "30 ") || strings.ContainsAny(text, "{}") {
				t.Errorf("%s %s does not tell the days:\n%s", v, language, text)
			}
		}
		if !strings.Contains(terms.Text["en"], "underwriter may") {
			t.Errorf("%s does not say that an underwriter may look at the photo", v)
		}
	}
	if diff := cmp.Diff(published, got); diff != "" {
		t.Errorf("texts (-published +now); make a new version instead\n%s", diff)
	}
}

func TestAccept(t *testing.T) {
	now := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	terms := current(t, 30)
	given := consent.Given{Version: terms.Version, Hash: terms.Hash, Purpose: terms.Purpose, Days: terms.Days}
	earlier := current(t, 14)
	tests := []struct {
		name   string
		change func(*consent.Given)
		want   error
	}{
		{"as shown", func(*consent.Given) {}, nil},
		{"as shown before the days changed", func(g *consent.Given) { g.Hash, g.Days = earlier.Hash, earlier.Days }, consent.ErrOutdated},
		{"other days than in the text", func(g *consent.Given) { g.Days = 14 }, consent.ErrUnknown},
		{"another hash", func(g *consent.Given) { g.Hash = "sha256:0" }, consent.ErrUnknown},
		{"another purpose", func(g *consent.Given) { g.Purpose = "training" }, consent.ErrUnknown},
		{"a version that never was", func(g *consent.Given) { g.Version = "2020-01-01" }, consent.ErrUnknown},
		{"a path for a version", func(g *consent.Given) { g.Version = "../texts/" + terms.Version }, consent.ErrUnknown},
		{"nothing", func(g *consent.Given) { *g = consent.Given{} }, consent.ErrUnknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := given
			tt.change(&g)
			got, err := terms.Accept(g, now)
			if !errors.Is(err, tt.want) || (got == nil) != (tt.want != nil) {
				t.Errorf("Accept = %+v, %v, want %v", got, err, tt.want)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	given := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	over := given.Add(consent.Period(30))
	tests := []struct {
		name   string
		now    time.Time
		change func(*casefile.Consent)
		want   error
	}{
		{"given", over.Add(-1), func(*casefile.Consent) {}, nil},
		{"over", over, func(*casefile.Consent) {}, consent.ErrOver},
		{"withdrawn", given.Add(1), func(c *casefile.Consent) { c.Withdrawn = &given }, consent.ErrWithdrawn},
		{"no time", given, func(c *casefile.Consent) { c.Time = time.Time{} }, consent.ErrNone},
		{"days made longer", given, func(c *casefile.Consent) { c.Days = 60 }, consent.ErrUnknown},
		{"another text", given, func(c *casefile.Consent) { c.Hash = "sha256:0" }, consent.ErrUnknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := current(t, 30).Record(given)
			tt.change(c)
			if err := consent.Check(c, tt.now); !errors.Is(err, tt.want) {
				t.Errorf("Check = %v, want %v", err, tt.want)
			}
		})
	}
	if err := consent.Check(nil, given); !errors.Is(err, consent.ErrNone) {
		t.Errorf("Check(nil) = %v", err)
	}
}

func current(t *testing.T, days int) consent.Terms {
	t.Helper()
	terms, err := consent.Current(days)
	if err != nil {
		t.Fatal(err)
	}
	return terms
}
