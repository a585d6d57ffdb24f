package examination

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/agequote/agequote/internal/audit"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/journal"
	"github.com/agequote/agequote/internal/store"
)

// errNotObject says that what stands is no JSON object.
var errNotObject = errors.New("it is no JSON object")

// object is one of a case.
type object struct {
	key, name string // name is below the case's folder
	body      []byte
	erased    bool
	vacant    bool      // it holds a name, and nothing else
	time      time.Time // zero: it has none
}

// cases writes the cases that have an object of the period, one at a time.
func (x *export) cases() error {
	for _, id := range x.IDs {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		objects, err := x.read(id)
		switch {
		case err != nil && (errors.Is(err, errNotObject) || errors.Is(err, store.ErrTooLarge)):
			x.index.Counts.Unreadable++
			x.problem("case %s: %v", id, err)
		case err != nil:
			return err
		default:
			if err := x.one(id, objects); err != nil {
				return err
			}
		}
		if x.Done != nil {
			x.Done()
		}
	}
	return nil
}

// read returns the objects of a case, in the order of their names.
func (x *export) read(id string) ([]object, error) {
	keys, err := x.Cases.List(x.ctx, casefile.Prefix(id))
	if err != nil {
		return nil, fmt.Errorf("list case: %w", err)
	}
	slices.Sort(keys)
	objects := make([]object, 0, len(keys))
	for _, key := range keys {
		body, err := x.Cases.Get(x.ctx, key, maxObject)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", key, err)
		}
		o := object{key: key, name: strings.TrimPrefix(key, casefile.Prefix(id)), body: body}
		var about struct {
			Time   time.Time        `json:"time"`
			Erased *casefile.Erased `json:"erased"`
			Vacant bool             `json:"vacant"`
		}
		if json.Unmarshal(body, &about) != nil {
			return nil, fmt.Errorf("read %s: %w", key, errNotObject)
		}
		o.time, o.erased, o.vacant = about.Time, about.Erased != nil, about.Vacant
		objects = append(objects, o)
	}
	return objects, nil
}

// one writes a case where the period has a part in it: what stood at the
// period's end.
func (x *export) one(id string, objects []object) error {
	counts := &x.index.Counts
	known, inside := false, false
	for _, o := range objects {
		known = known || !o.time.IsZero()
		inside = inside || !o.time.IsZero() && x.Period.Holds(o.time)
	}
	switch {
	case !known:
		counts.Empty++
		return nil
	case !inside:
		counts.Outside++
		return nil
	}
	counts.Archived++
	if slices.ContainsFunc(objects, func(o object) bool { return o.name == "deleted.json" }) {
		counts.Erased++
	}
	counts.Objects += len(objects)
	outcome := "none"
	var latest time.Time
	for _, o := range objects {
		k, ok := kindOf(o.name)
		switch {
		case !ok && !x.Personal, !fs.ValidPath(o.key): // no name may lead out of a folder
			counts.LeftOut++
			continue
		case !ok:
			k = kind{Name: "others", what: "of no kind that this program knows"}
		case o.vacant:
			k.Name, k.what = "placeholders", "holds a name of an erased case, so that nothing late is written under it"
		}
		// A tombstone stays: what it says is true of the objects as they stand.
		if !o.time.IsZero() && !o.time.Before(x.end()) && o.name != "deleted.json" {
			counts.Later++
			continue
		}
		if said := outcomeOf(k, o); said != "" && !o.time.Before(latest) {
			outcome, latest = said, o.time
		}
		if err := x.write(k, o); err != nil {
			return err
		}
	}
	counts.Outcomes[outcome]++
	return x.verify(id, slices.ContainsFunc(objects, func(o object) bool {
		k, _ := kindOf(o.name)
		return (k.Name == "decisions" || k.Name == "openings") && !o.vacant
	}))
}

// write puts an object into the archive.
func (x *export) write(k kind, o object) error {
	f := File{Path: o.key, What: k.what, Bucket: "cases", Key: o.key, Erased: o.erased}
	body := o.body
	if !x.Personal {
		left, less, err := k.redact(o.body)
		if err != nil {
			return err
		}
		if less {
			body, f.Redacted, f.SourceHash = left, true, digest.Of(o.body)
			x.index.Counts.Redacted++
		}
	}
	x.index.Counts.Written++
	x.index.Counts.Kinds[k.Name]++
	x.inUse(k, o)
	return x.archive.add(f, body)
}

// inUse notes models and rules that a case rests on, in the period.
func (x *export) inUse(k kind, o object) {
	if !o.time.IsZero() && !x.Period.Holds(o.time) {
		return
	}
	switch k.Name {
	case "estimates":
		var e struct{ Model string }
		if json.Unmarshal(o.body, &e) == nil && e.Model != "" {
			x.models[e.Model] = true
		}
	case "quotes":
		var q casefile.Quote
		if json.Unmarshal(o.body, &q) == nil {
			if q.Hashes.Model != "" {
				x.models[q.Hashes.Model] = true
			}
			for _, f := range q.Hashes.RuleFiles {
				x.ruleFiles[f.File+" "+f.Hash] = true
			}
		}
	}
}

// outcomeOf is what an object says became of the case by computer; "" where it
// says nothing.
func outcomeOf(k kind, o object) string {
	switch k.Name {
	case "quotes":
		var q struct{ Decision, Cause string }
		if json.Unmarshal(o.body, &q) == nil && !strings.HasPrefix(path.Base(o.name), "decision-") {
			return q.Decision
		}
	case "estimates":
		var e struct{ Code string }
		if json.Unmarshal(o.body, &e) == nil && e.Code != "" && e.Code != "ok" {
			return "refused"
		}
	case "failures":
		return "failed"
	}
	return ""
}

// verify checks the chain of a case as it stands, against its heads too where
// they are given, and writes what was found where people decided, or something
// is wrong.
func (x *export) verify(id string, decided bool) error {
	if x.Heads != nil {
		if err := x.heads(id); err != nil {
			return err
		}
	}
	report, err := audit.Verify(x.ctx, x.Cases, x.Heads, id)
	if err != nil {
		return fmt.Errorf("verify case: %w", err)
	}
	if report.OK {
		x.index.Counts.ChainsOK++
	}
	for _, l := range report.Lines {
		if !l.OK {
			x.problem("%s: %s", l.Object, l.Problem)
		}
	}
	if report.OK && !decided {
		return nil
	}
	body, err := json.MarshalIndent(report, "", " ")
	if err != nil {
		return fmt.Errorf("encode audit: %w", err)
	}
	return x.archive.add(File{Path: "audit/" + id + ".json", What: "the case's chain, object by object, as it was verified for this archive"}, append(body, '\n'))
}

// heads writes the heads of a case's chain, up to the period's end.
func (x *export) heads(id string) error {
	keys, err := x.Heads.List(x.ctx, audit.HeadPrefix(id))
	if err != nil {
		return fmt.Errorf("list heads: %w", err)
	}
	slices.Sort(keys)
	for _, key := range keys {
		body, err := x.Heads.Get(x.ctx, key, maxObject)
		if err != nil {
			return fmt.Errorf("read %s: %w", key, err)
		}
		var h audit.Head
		if json.Unmarshal(body, &h) != nil || !h.Time.Before(x.end()) {
			continue // one that cannot be read is told by the audit
		}
		if err := x.archive.add(File{Path: key, What: "hashes of the case's objects at one time, kept where nobody can change them", Bucket: "audit", Key: key}, body); err != nil {
			return err
		}
	}
	return nil
}

// journals writes stops and starts, and legal holds, up to the period's end.
func (x *export) journals() error {
	if err := x.journal("control/", "quoting by computer was stopped or started"); err != nil {
		return err
	}
	keys, err := x.Cases.List(x.ctx, "holds/")
	if err != nil {
		return fmt.Errorf("list holds: %w", err)
	}
	var prefixes []string
	for _, key := range keys {
		prefixes = append(prefixes, key[:strings.LastIndexByte(key, '/')+1])
	}
	slices.Sort(prefixes)
	for _, prefix := range slices.Compact(prefixes) {
		if err := x.journal(prefix, "a legal hold was set or released"); err != nil {
			return err
		}
	}
	return nil
}

func (x *export) journal(prefix, what string) error {
	j := journal.Journal{Objects: readOnly{x.Cases}, Prefix: prefix}
	lines, err := j.History(x.ctx)
	if err != nil {
		return err
	}
	for _, l := range lines {
		key := j.Key(l.N)
		if l.Err != nil {
			x.problem("%s: %v", key, l.Err)
		}
		if !l.Time.Before(x.end()) {
			continue
		}
		body, err := x.Cases.Get(x.ctx, key, maxObject)
		if err != nil {
			return fmt.Errorf("read %s: %w", key, err)
		}
		if err := x.archive.add(File{Path: "journals/" + key, What: what, Bucket: "cases", Key: key}, body); err != nil {
			return err
		}
	}
	return nil
}

// readOnly is a store that a journal cannot write to.
type readOnly struct{ Objects }

func (readOnly) PutIfAbsent(_ context.Context, _ string, _ []byte) error {
	return errors.ErrUnsupported
}

// fairness writes the report of the period.
func (x *export) fairness() error {
	names := []string{}
	for name := range x.Fairness {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := x.archive.add(File{Path: "fairness/" + name, What: "the fairness report of the period"}, x.Fairness[name]); err != nil {
			return err
		}
	}
	return nil
}
