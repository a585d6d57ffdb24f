package erasure

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/digest"
)

// shape names the fields of an object that stay when its case is erased. All
// others go, those too that nobody had thought of yet. A field whose shape is
// nil stays where it is a text, a number or a truth, or a list of such.
type shape map[string]shape

// kind is a kind of object in a case's folder.
type kind struct {
	name    *regexp.Regexp // below the folder
	removes []string       // what its redaction takes away, in the receipt's words
	keeps   shape
	chained bool // others refer to it by its hash, which stays then
}

// Words of a receipt.
const (
	Photos         = "photos"
	PhotoHashes    = "photo_hashes"
	Facts          = "facts"
	Estimates      = "estimates"
	Premiums       = "premiums"
	ComplaintTexts = "complaint_texts"
	Notes          = "notes" // what people wrote about the case
	QueueEntries   = "queue_entries"
	Others         = "other_objects"
)

var about = shape{"schema": nil, "case": nil, "cause": nil, "n": nil, "time": nil, "version": nil}

// kinds of objects of which something stays. An object of no kind goes whole.
var kinds = []kind{
	{
		// What was agreed to, and when: that a photo was read by right has to
		// be shown.
		name: regexp.MustCompile(`^application/\d{4}\.json$`), removes: []string{Facts},
		keeps: about.and(shape{"consent": {"version": nil, "hash": nil, "time": nil, "purpose": nil, "days": nil, "withdrawn": nil}}),
	},
	{
		// Which model read a photo, and under which consent.
		name: regexp.MustCompile(`^photos/\d{4}/estimate\.json$`), removes: []string{Estimates, PhotoHashes},
		keeps: about.and(shape{"code": nil, "model": nil, "model_use": nil, "application": nil}),
	},
	{
		// That a photo was sent elsewhere too is why a person looked at the case.
		name: regexp.MustCompile(`^photos/\d{4}/duplicates\.json$`), removes: []string{PhotoHashes},
		keeps: about,
	},
	{
		name:  regexp.MustCompile(`^(photos/\d{4}/failure|failures/[a-z]+-\d{4})\.json$`),
		keeps: about.and(shape{"stage": nil, "condition": nil, "tries": nil, "record": nil}),
	},
	{
		// What was decided, by which rules, for which reasons: not at which age,
		// for which sum or price, nor the value that met a limit.
		name: regexp.MustCompile(`^quotes/[a-z]+-\d{4}\.json$`), removes: []string{Premiums},
		keeps: about.and(shape{
			"code": nil, "decision": nil, "reasons": {"code": nil, "rule": nil, "decision": nil}, "principal": nil,
			"basis": {"product": nil}, "currency": nil, "valuation_date": nil, "expires": nil, "model_use": nil, "replaces": nil, "previous": nil,
			"hashes": {"model": nil, "rules": nil, "rule_files": {"file": nil, "hash": nil}, "tables": nil, "code": nil},
		}),
		chained: true,
	},
	{
		// A person's decision: who, what and on which grounds, without the words.
		name: regexp.MustCompile(`^decisions/\d{4}\.json$`), removes: []string{Notes},
		keeps: about.and(shape{
			"code": nil, "decision": nil, "reasons": {"code": nil, "rule": nil, "decision": nil},
			"by": nil, "role": nil, "action": nil, "suggested": nil, "reason": nil, "quote": nil, "application": nil,
			"opened": nil, "replaces": nil, "previous": nil,
		}),
		chained: true,
	},
	// Who had the case, and when. It is kept so that a decision which began
	// before the erasure finds its name taken.
	{name: regexp.MustCompile(`^reservations/\d{4}\.json$`), keeps: about.and(shape{"by": nil, "role": nil, "until": nil})},
	{
		// Who looked at the photo, and when.
		name:    regexp.MustCompile(`^openings/\d{4}\.json$`),
		keeps:   about.and(shape{"photo": nil, "by": nil, "role": nil, "previous": nil}),
		chained: true,
	},
	{name: regexp.MustCompile(`^complaints/\d{4}\.json$`), removes: []string{ComplaintTexts}, keeps: about},
	{name: regexp.MustCompile(`^requests/[a-z]+-\d{4}\.json$`), keeps: about},
}

func (s shape) and(more shape) shape {
	both := shape{}
	for _, part := range []shape{s, more} {
		for name, inner := range part {
			both[name] = inner
		}
	}
	return both
}

// kindOf returns the kind of an object by its name below the case's folder.
func kindOf(name string) (kind, bool) {
	for _, k := range kinds {
		if k.name.MatchString(name) {
			return k, true
		}
	}
	return kind{}, false
}

// RemovedWhole tells whether nothing stays of an object, named below its case's
// folder, when the case is erased.
func RemovedWhole(name string) bool {
	_, known := kindOf(name)
	return !known
}

// isErased tells whether an object's personal data were removed already.
func isErased(body []byte) bool {
	var mark struct{ Erased *casefile.Erased }
	return json.Unmarshal(body, &mark) == nil && mark.Erased != nil
}

// redact returns what stays of an object: always the same bytes for the same
// object and tombstone, so that a second try makes no other. Of an object that
// cannot be read nothing stays but whose it was.
func (k kind) redact(body []byte, t casefile.Tombstone) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var object map[string]any
	if d.Decode(&object) != nil || object == nil {
		object = map[string]any{"schema": casefile.Schema, "case": t.Case}
	}
	left, _ := k.keeps.of(object).(map[string]any)
	erased := casefile.Erased{Time: t.Time}
	if k.chained {
		erased.Hash = digest.Of(body)
	}
	left["erased"] = erased
	return encode(left)
}

// of returns the part of a value that has the shape; nil where nothing has.
func (s shape) of(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, inner := range s {
			if field, ok := v[name]; ok && (inner == nil) == plain(field) {
				out[name] = inner.of(field)
			}
		}
		return out
	case []any:
		out := []any{}
		for _, item := range v {
			out = append(out, s.of(item))
		}
		return out
	}
	return v
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

// vacant is what takes a name under which something late could else be written.
func vacant(t casefile.Tombstone) ([]byte, error) {
	return encode(map[string]any{
		"schema": casefile.Schema, "case": t.Case, "vacant": true, "erased": casefile.Erased{Time: t.Time},
	})
}

func encode(object any) ([]byte, error) {
	b, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("encode what stays: %w", err)
	}
	return append(b, '\n'), nil
}

// OriginalHash returns the hash by which others know an object: its own, or
// that of the content which it had before it was erased.
func OriginalHash(body []byte) string {
	var mark struct{ Erased *casefile.Erased }
	if json.Unmarshal(body, &mark) == nil && mark.Erased != nil && mark.Erased.Hash != "" {
		return mark.Erased.Hash
	}
	return digest.Of(body)
}
