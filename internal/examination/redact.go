package examination

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// kind is a kind of object in a case's folder.
type kind struct {
	Name string // in counts
	what string // in the index
	name *regexp.Regexp
	// keeps are the paths that stay where personal data are left out; all others
	// go, those too that nobody had thought of. "a.*" is all below a.
	keeps []string
}

var kinds = []kind{
	{"applications", "what was declared, and the consent", regexp.MustCompile(`^application/\d{4}\.json$`),
		[]string{"facts.age", "facts.sex", "facts.sum_cents", "facts.term_years", "facts.market", "facts.product", "facts.mode", "consent.*"}},
	{"estimates", "the age that the photo gave, or why it was refused", regexp.MustCompile(`^photos/\d{4}/estimate\.json$`),
		[]string{"code", "message", "age", "mean", "low", "high", "coverage", "photo", "model", "model_use", "application", "batch", "ms"}},
	{"duplicates", "other cases with the same photo", regexp.MustCompile(`^photos/\d{4}/duplicates\.json$`), []string{"of.*"}},
	{"failures", "processing gave up", regexp.MustCompile(`^(photos/\d{4}/failure|failures/[a-z]+-\d{4})\.json$`),
		[]string{"stage", "condition", "tries", "record"}},
	{"quotes", "decision, reasons and premium, with the hashes of all that shaped them", regexp.MustCompile(`^quotes/[a-z]+-\d{4}\.json$`),
		[]string{"cause", "code", "decision", "class", "reasons.code", "reasons.decision", "reasons.rule", "reasons.sentence", "principal", "net_annual_cents", "gross_annual_cents", "modal_cents",
			"mode", "schedule.*", "at.*", "expected_gross_annual_cents", "expected_mass", "basis.*", "interval.*", "currency", "valuation_date", "expires", "notices",
			"model_use", "replaces", "inputs.*", "hashes.*"}},
	{"decisions", "a person's decision, chained to what stood before", regexp.MustCompile(`^decisions/\d{4}\.json$`),
		[]string{"by", "role", "action", "suggested", "change.*", "postpone_months", "reason", "before.*", "after.*", "quote", "application", "opened", "seconds", "previous"}},
	{"complaints", "a complaint of the customer", regexp.MustCompile(`^complaints/\d{4}\.json$`), nil},
	{"requests", "the customer asked for a person", regexp.MustCompile(`^requests/[a-z]+-\d{4}\.json$`), nil},
	{"openings", "who opened the photo", regexp.MustCompile(`^openings/\d{4}\.json$`), []string{"photo", "by", "role", "previous"}},
	{"reservations", "who took the case to decide it", regexp.MustCompile(`^reservations/\d{4}\.json$`), []string{"by", "role", "since", "until", "released", "decisions"}},
	{"tombstones", "the case was erased", regexp.MustCompile(`^deleted\.json$`), []string{"receipt", "by", "why", "removed"}},
}

// always stay, whatever the kind.
var always = []string{"schema", "case", "n", "time", "version", "vacant", "erased.*"}

// kindOf returns the kind of an object by its name below the case's folder.
func kindOf(name string) (kind, bool) {
	for _, k := range kinds {
		if k.name.MatchString(name) {
			return k, true
		}
	}
	return kind{}, false
}

// redact returns an object without what is personal, and whether that is less
// than the whole.
func (k kind) redact(body []byte) (left []byte, less bool, err error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var object map[string]any
	if err := d.Decode(&object); err != nil {
		return nil, false, fmt.Errorf("redact: %w", errNotObject) // the decoder's text can hold the object's
	}
	allowed := map[string]bool{}
	for _, path := range append(k.keeps[:len(k.keeps):len(k.keeps)], always...) {
		allowed[path] = true
	}
	kept, whole := keep(object, "", allowed)
	if whole {
		return body, false, nil
	}
	left, err = json.Marshal(kept)
	if err != nil {
		return nil, false, fmt.Errorf("redact: %w", err)
	}
	return append(left, '\n'), true, nil
}

// keep returns what is allowed of a value below a path; whole is false where
// something went.
func keep(v any, path string, allowed map[string]bool) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		out, whole := map[string]any{}, true
		for name, field := range v {
			at := strings.TrimPrefix(path+"."+name, ".")
			switch {
			case allowed[at+".*"]:
				out[name] = field
			case allowed[at] && plain(field):
				out[name] = field
			case below(at, allowed):
				part, all := keep(field, at, allowed)
				out[name], whole = part, whole && all
			default:
				whole = false
			}
		}
		return out, whole
	case []any:
		out, whole := make([]any, len(v)), true
		for i, item := range v {
			part, all := keep(item, path, allowed)
			out[i], whole = part, whole && all
		}
		return out, whole
	}
	return nil, v == nil
}

// below tells whether something under the path is allowed.
func below(path string, allowed map[string]bool) bool {
	for name := range allowed {
		if strings.HasPrefix(name, path+".") {
			return true
		}
	}
	return false
}

// plain tells whether a value is a text, a number, a truth, null, or a list of
// such.
func plain(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return false
	case []any:
		for _, item := range v {
			if !plain(item) {
				return false
			}
		}
	}
	return true
}
