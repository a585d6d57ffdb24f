// Package consent holds the texts by which a customer agrees that a photo is
// read, and judges a consent on record. A text is data: a folder for each
// version, a file for each language. A version that anybody was shown is never
// changed; a change is a new version. The package does no I/O and knows no
// case.
package consent

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/digest"
)

//go:embed texts
var files embed.FS

// Languages of every text.
var Languages = []string{"de", "en"}

// MaxDays bounds the days that a text may promise; it is the bound of the
// parameter RetentionDays too.
const MaxDays = 365

// Terms are what a customer is shown: one version of the text, with the days
// filled in. Its JSON is the part "consent" of the API's /terms.
type Terms struct {
	Version string            `json:"version"` // a date, YYYY-MM-DD, of the text
	Hash    string            `json:"hash"`    // of everything else in Terms, see Find
	Purpose string            `json:"purpose"`
	Days    int               `json:"days"` // after which a photo is deleted
	Text    map[string]string `json:"text"` // by language; paragraphs parted by a blank line
}

// The errors of Accept and Check.
var (
	ErrNone      = errors.New("no consent is on record")
	ErrUnknown   = errors.New("the consent names a text that is not known")
	ErrOutdated  = errors.New("the consent is to another text than the one in force")
	ErrWithdrawn = errors.New("the consent was withdrawn")
	ErrOver      = errors.New("the days consented to are over")
)

// Current returns the newest version. Days is the deployment's RetentionDays,
// from 1 to MaxDays.
func Current(days int) (Terms, error) {
	versions, err := Versions()
	if err != nil {
		return Terms{}, err
	}
	return Find(versions[len(versions)-1], days)
}

// Versions returns every version that there is, the oldest first.
func Versions() ([]string, error) {
	folders, err := fs.ReadDir(files, "texts")
	if err != nil {
		return nil, fmt.Errorf("read consent texts: %w", err)
	}
	var versions []string
	for _, f := range folders {
		versions = append(versions, f.Name())
	}
	slices.Sort(versions)
	return versions, nil
}

// Find returns one version for these days: ErrUnknown. Its hash is that of
// version, purpose, days and the text in every language, so that it names what
// was shown whatever the language was.
func Find(version string, days int) (Terms, error) {
	if days < 1 || days > MaxDays || version != path.Base(version) {
		return Terms{}, ErrUnknown
	}
	purpose, err := read(version, "purpose")
	if err != nil {
		return Terms{}, err
	}
	t := Terms{Version: version, Purpose: purpose, Days: days, Text: map[string]string{}}
	for _, language := range Languages {
		text, err := read(version, language)
		if err != nil {
			return Terms{}, err
		}
		t.Text[language] = strings.ReplaceAll(text, "{days}", strconv.Itoa(days))
	}
	b, err := json.Marshal(t) // keys of a map are in order
	if err != nil {
		return Terms{}, fmt.Errorf("encode consent text: %w", err)
	}
	t.Hash = digest.Of(b)
	return t, nil
}

func read(version, name string) (string, error) {
	b, err := files.ReadFile(path.Join("texts", version, name+".txt"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return "", ErrUnknown
	}
	if err != nil {
		return "", fmt.Errorf("read consent text: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// Record is what is stored of a customer who agreed to the terms at now.
func (t Terms) Record(now time.Time) *casefile.Consent {
	return &casefile.Consent{Version: t.Version, Hash: t.Hash, Time: now.UTC(), Purpose: t.Purpose, Days: t.Days}
}

// Given is what a customer's browser says that was agreed to.
type Given struct {
	Version string `json:"version"`
	Hash    string `json:"hash"`
	Purpose string `json:"purpose"`
	Days    int    `json:"days"`
}

// Accept returns the consent to store, for terms in force. ErrUnknown says that
// no such text was ever shown, ErrOutdated that the text or its days have
// changed since, so that the customer has to read it again.
func (t Terms) Accept(g Given, now time.Time) (*casefile.Consent, error) {
	shown, err := Find(g.Version, g.Days)
	if err != nil {
		return nil, err
	}
	if shown.Hash != g.Hash || shown.Purpose != g.Purpose {
		return nil, ErrUnknown
	}
	if shown.Hash != t.Hash {
		return nil, ErrOutdated
	}
	return t.Record(now), nil
}

// Check returns why a photo may not be read at now under a consent on record,
// nil if it may: ErrNone, ErrUnknown, ErrWithdrawn, ErrOver.
func Check(c *casefile.Consent, now time.Time) error {
	if c == nil || c.Time.IsZero() {
		return ErrNone
	}
	shown, err := Find(c.Version, c.Days)
	switch {
	case err != nil:
		return err
	case shown.Hash != c.Hash:
		return ErrUnknown
	case c.Withdrawn != nil:
		return ErrWithdrawn
	case !now.Before(c.Time.Add(Period(c.Days))):
		return ErrOver
	}
	return nil
}

// Period is so many days of 24 hours.
func Period(days int) time.Duration { return time.Duration(days) * 24 * time.Hour }
