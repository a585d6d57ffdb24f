// Package audit verifies the chain of a case: that none of its objects was
// changed, taken out, put in or exchanged since it was written. Objects name
// each other by their hashes, decisions and openings in one line each; a head,
// which is kept in a bucket that lets nobody change or delete it, names them all.
// docs/audit.md says what each stops, and what it does not. The package decides
// nothing on a case and repairs nothing.
package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/erasure"
	"github.com/agequote/agequote/internal/store"
)

// Schema is the version of Report and Head.
const Schema = 1

// maxObject bounds what is read of an object.
const maxObject = 1 << 20

// readers is how many objects are read at a time.
const readers = 8

// What we need of others, no more.
type (
	reader interface {
		Get(ctx context.Context, key string, limit int64) ([]byte, error)
		List(ctx context.Context, prefix string) ([]string, error)
	}
	headStore interface {
		reader
		PutIfAbsent(ctx context.Context, key string, body []byte) error
	}
)

// Line is one object of a chain.
type Line struct {
	Object   string     `json:"object"`
	Time     *time.Time `json:"time,omitempty"`
	What     string     `json:"what,omitempty"` // what it says: an action, a decision, a code
	By       string     `json:"by,omitempty"`
	Hash     string     `json:"hash,omitempty"`     // of what was written; after an erasure as the object states it
	Previous string     `json:"previous,omitempty"` // hash of the object before it, as this one states it
	Erased   bool       `json:"erased,omitempty"`
	Sealed   bool       `json:"sealed"` // a head names this very content
	OK       bool       `json:"ok"`
	Problem  string     `json:"problem,omitempty"`
}

// Report is what became of verifying one case.
type Report struct {
	Schema int        `json:"schema"`
	Case   string     `json:"case"`
	Lines  []Line     `json:"lines"`            // in the order of time
	Heads  int        `json:"heads"`            // that were verified against
	Sealed *time.Time `json:"sealed,omitempty"` // time of the newest
	OK     bool       `json:"ok"`
}

// object is one of a chain, as it is stored.
type object struct {
	key  string
	body []byte
	kind string // folder below the case
	n    int    // number in its name; 0 where it has none
	line Line
	// vacant objects take a name that an erased case must not give away again.
	vacant bool
	fields
}

// fields are those by which objects name each other.
type fields struct {
	Case        string    `json:"case"`
	N           int       `json:"n"`
	Cause       string    `json:"cause"`
	Time        time.Time `json:"time"`
	By          string    `json:"by"`
	Code        string    `json:"code"`
	Decision    string    `json:"decision"`
	Action      string    `json:"action"`
	Suggested   string    `json:"suggested"`
	Stage       string    `json:"stage"`
	Previous    string    `json:"previous"`
	Quote       string    `json:"quote"`
	Application string    `json:"application"`
	Replaces    string    `json:"replaces"`
	Inputs      struct {
		Application string `json:"application"`
		Estimate    string `json:"estimate"`
		Duplicates  string `json:"duplicates"`
		Decision    string `json:"decision"`
	} `json:"inputs"`
	Hashes struct {
		Application string `json:"application"`
		Estimate    string `json:"estimate"`
		Duplicates  string `json:"duplicates"`
		Decision    string `json:"decision"`
	} `json:"hashes"`
}

// Verify verifies a case against itself, and against its heads unless heads is
// nil: store.ErrNotFound where nothing of it is stored.
func Verify(ctx context.Context, cases, heads reader, id string) (Report, error) {
	objects, err := read(ctx, cases, id)
	if err != nil {
		return Report{}, err
	}
	v := &verifier{id: id, byKey: map[string]*object{}}
	for _, o := range objects {
		v.byKey[o.key] = o
	}
	for _, o := range objects {
		v.parse(o)
	}
	v.numbers(objects)
	for _, o := range objects {
		v.references(o)
	}
	v.quotes(objects)
	r := Report{Schema: Schema, Case: id}
	if heads != nil {
		if err := v.heads(ctx, heads, &r); err != nil {
			return Report{}, err
		}
	}
	if len(objects) == 0 && r.Heads == 0 {
		return Report{}, store.ErrNotFound
	}
	r.Lines = v.lines(objects)
	r.OK = !slices.ContainsFunc(r.Lines, func(l Line) bool { return !l.OK })
	return r, nil
}

// chained tells whether an object below a case's folder is part of its chain.
// Reservations come and go and decide nothing.
func chained(name string) bool {
	return !strings.HasPrefix(name, "reservations/")
}

// read reads every object of the chain, in the order of their names.
func read(ctx context.Context, s reader, id string) ([]*object, error) {
	keys, err := s.List(ctx, casefile.Prefix(id))
	if err != nil {
		return nil, fmt.Errorf("list case: %w", err)
	}
	keys = slices.DeleteFunc(keys, func(key string) bool { return !chained(strings.TrimPrefix(key, casefile.Prefix(id))) })
	objects := make([]*object, len(keys))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(readers)
	for i, key := range keys {
		g.Go(func() error {
			body, err := s.Get(gctx, key, maxObject)
			if err != nil {
				return fmt.Errorf("read object: %w", err)
			}
			objects[i] = &object{key: key, body: body}
			return nil
		})
	}
	return objects, g.Wait()
}

type verifier struct {
	id      string
	byKey   map[string]*object
	missing []Line
}

func (v *verifier) miss(key, why string) {
	if !slices.ContainsFunc(v.missing, func(l Line) bool { return l.Object == key }) {
		v.missing = append(v.missing, Line{Object: key, Problem: "missing: " + why})
	}
}

func (o *object) blame(problem string) {
	if o.line.Problem == "" {
		o.line.Problem = problem
	}
}

// parse reads an object, and holds what it says of itself against its name.
func (v *verifier) parse(o *object) {
	name := strings.TrimPrefix(o.key, casefile.Prefix(v.id))
	o.kind, _, _ = strings.Cut(name, "/")
	o.n, _ = strconv.Atoi(strings.TrimSuffix(path.Base(name), ".json"))
	o.line = Line{Object: o.key, Hash: erasure.OriginalHash(o.body)}
	var mark struct {
		Erased *casefile.Erased
		Vacant bool
	}
	if json.Unmarshal(o.body, &mark) != nil || json.Unmarshal(o.body, &o.fields) != nil {
		o.blame("changed: cannot be read")
		return
	}
	o.line.Erased = mark.Erased != nil
	if o.line.Erased && v.byKey[casefile.DeletedKey(v.id)] == nil {
		o.blame("changed: marked as erased, and the case is not")
	}
	o.line.By, o.line.Previous = o.By, o.fields.Previous
	o.line.What = cmp.Or(o.Action, o.fields.Decision, o.Code, o.Stage)
	if o.Suggested != "" {
		o.line.What += " (" + o.Suggested + ")"
	}
	if !o.Time.IsZero() {
		t := o.Time.UTC()
		o.line.Time = &t
	}
	if o.vacant = mark.Vacant && o.line.Erased; o.vacant {
		return
	}
	switch {
	case o.Case != v.id:
		o.blame("exchanged: it is of another case")
	case o.n > 0 && o.N != o.n:
		o.blame("exchanged: its number is not that of its name")
	case o.kind == "quotes" && o.Cause != strings.TrimSuffix(path.Base(name), ".json"):
		o.blame("exchanged: its cause is not that of its name")
	}
}

// numbers finds gaps in what is numbered from 1.
func (v *verifier) numbers(objects []*object) {
	last := map[string]int{}
	for _, o := range objects {
		dir := path.Dir(o.key) + "/"
		if o.n == 0 {
			continue
		}
		for n := last[dir] + 1; n < o.n; n++ {
			v.miss(fmt.Sprintf("%s%04d.json", dir, n), "a later one stands")
		}
		last[dir] = o.n
	}
}

// references follows what an object says of others.
func (v *verifier) references(o *object) {
	if o.vacant {
		return
	}
	if o.line.Erased {
		v.chain(o)
		return
	}
	switch o.kind {
	case "quotes":
		v.refer(o, o.Inputs.Application, o.Hashes.Application)
		v.refer(o, o.Inputs.Estimate, o.Hashes.Estimate)
		v.refer(o, o.Inputs.Duplicates, o.Hashes.Duplicates)
		v.refer(o, o.Inputs.Decision, o.Hashes.Decision)
		v.refer(o, o.Replaces, "")
	case "photos":
		v.refer(o, o.Application, "")
	case "decisions":
		v.refer(o, o.Quote, "")
		v.refer(o, o.Application, "")
		v.chain(o)
	case "openings":
		v.chain(o)
	}
}

// refer looks for an object that another names, with its hash where it says one.
func (v *verifier) refer(from *object, key, hash string) {
	if key == "" {
		return
	}
	o, ok := v.byKey[key]
	switch {
	case !ok:
		v.miss(key, path.Base(from.key)+" was made from it")
	case hash != "" && hash != o.line.Hash && !(o.line.Erased && o.line.Hash == digest.Of(o.body)):
		o.blame("changed: " + strings.TrimPrefix(from.key, casefile.Prefix(v.id)) + " was made from another content")
	}
}

// chain holds an object against the one before it in its line.
func (v *verifier) chain(o *object) {
	if o.kind != "decisions" && o.kind != "openings" || o.n == 0 {
		return
	}
	before := fmt.Sprintf("%s/%04d.json", path.Dir(o.key), o.n-1)
	if o.n == 1 {
		if o.kind == "openings" {
			if o.fields.Previous != "" {
				o.blame("changed: nothing can come before it")
			}
			return
		}
		if before = cmp.Or(o.Quote, o.Application); before == "" {
			return
		}
	}
	p, ok := v.byKey[before]
	if !ok {
		return // told as missing
	}
	if o.fields.Previous != p.line.Hash && !(p.line.Erased && p.line.Hash == digest.Of(p.body)) {
		o.blame("changed or exchanged: it does not follow " + strings.TrimPrefix(before, casefile.Prefix(v.id)))
	}
}

// quotes looks for the quotes that decisions must have.
func (v *verifier) quotes(objects []*object) {
	for _, o := range objects {
		if o.kind != "decisions" || o.line.Erased {
			continue
		}
		d := casefile.Decision{Action: casefile.Action(o.Action), Suggested: casefile.Action(o.Suggested)}
		cause := casefile.DecisionCause(o.n)
		if !d.MakesQuote() || v.byKey[casefile.FailureKey(v.id, cause)] != nil {
			continue
		}
		if key := casefile.QuoteKey(v.id, cause); v.byKey[key] == nil {
			v.miss(key, "it follows from the decision; or it is being made this moment")
		}
	}
}

// heads verifies the heads, and the objects against the newest of them.
func (v *verifier) heads(ctx context.Context, s reader, r *Report) error {
	all, err := readHeads(ctx, s, v.id)
	if err != nil {
		return err
	}
	before := ""
	for i, h := range all {
		if h.head.N != i+1 || h.head.Case != v.id || h.head.Previous != before {
			v.missing = append(v.missing, Line{Object: h.key, Hash: h.hash, Problem: "changed: the head does not follow the one before it"})
		}
		before = h.hash
		for _, s := range h.head.Objects {
			v.sealed(s)
		}
		t := h.head.Time.UTC()
		r.Heads, r.Sealed = i+1, &t
	}
	return nil
}

// sealed holds one object against what a head says of it.
func (v *verifier) sealed(s Sealed) {
	o, ok := v.byKey[s.Object]
	switch {
	case !ok && v.byKey[casefile.DeletedKey(v.id)] != nil && erasure.RemovedWhole(strings.TrimPrefix(s.Object, casefile.Prefix(v.id))):
	case !ok:
		v.miss(s.Object, "a head names it")
	case o.line.Hash == s.Hash:
		o.line.Sealed = true
	case o.line.Erased && o.line.Hash == digest.Of(o.body): // what was there is not told any more
	default:
		o.blame("changed: a head names another content")
	}
}

// lines returns all lines in the order of time; what has none comes last.
func (v *verifier) lines(objects []*object) []Line {
	out := []Line{}
	for _, o := range objects {
		if o.vacant && o.line.Problem == "" {
			continue // nothing was there
		}
		o.line.OK = o.line.Problem == ""
		out = append(out, o.line)
	}
	out = append(out, v.missing...)
	slices.SortStableFunc(out, func(x, y Line) int {
		switch {
		case x.Time == nil && y.Time == nil:
			return strings.Compare(x.Object, y.Object)
		case x.Time == nil:
			return 1
		case y.Time == nil:
			return -1
		}
		return cmp.Or(x.Time.Compare(*y.Time), strings.Compare(x.Object, y.Object))
	})
	return out
}

// Head names every object that stood in a case's chain at one time.
type Head struct {
	Schema   int       `json:"schema"`
	Case     string    `json:"case"`
	N        int       `json:"n"`
	Time     time.Time `json:"time"`
	Objects  []Sealed  `json:"objects"`            // in the order of their names
	Previous string    `json:"previous,omitempty"` // "sha256:..." of the head before
	Version  string    `json:"version"`            // code that wrote it
}

// Sealed is an object with the hash of its content.
type Sealed struct {
	Object string `json:"object"`
	Hash   string `json:"hash"`
}

// HeadPrefix is the folder of a case's heads in the audit bucket.
func HeadPrefix(id string) string { return "heads/" + id + "/" }

// HeadKey is the name of a case's n-th head.
func HeadKey(id string, n int) string { return fmt.Sprintf("%s%06d.json", HeadPrefix(id), n) }

type storedHead struct {
	key, hash string
	head      Head
}

// versioned is a bucket that keeps versions. Of a head the oldest counts: what
// was written over it, or hides it, came later and is not under its lock.
type versioned interface {
	Versions(ctx context.Context, prefix string) ([]store.Version, error)
	GetVersion(ctx context.Context, key, version string, limit int64) ([]byte, error)
}

func readHeads(ctx context.Context, s reader, id string) ([]storedHead, error) {
	names, err := headNames(ctx, s, id)
	if err != nil {
		return nil, fmt.Errorf("list heads: %w", err)
	}
	var out []storedHead
	for _, name := range names {
		var body []byte
		if v, ok := s.(versioned); ok && name.ID != "" {
			body, err = v.GetVersion(ctx, name.Key, name.ID, maxObject)
		} else {
			body, err = s.Get(ctx, name.Key, maxObject)
		}
		if err != nil {
			return nil, fmt.Errorf("read head: %w", err)
		}
		h := storedHead{key: name.Key, hash: digest.Of(body)}
		_ = json.Unmarshal(body, &h.head) // one that cannot be read follows nothing, and is told so
		out = append(out, h)
	}
	return out, nil
}

// headNames returns the heads by number, with the oldest version of each where
// the bucket keeps versions.
func headNames(ctx context.Context, s reader, id string) ([]store.Version, error) {
	v, ok := s.(versioned)
	if !ok {
		keys, err := s.List(ctx, HeadPrefix(id))
		out := make([]store.Version, len(keys))
		for i, key := range keys {
			out[i].Key = key
		}
		return out, err
	}
	all, err := v.Versions(ctx, HeadPrefix(id)) // by name, the newest first
	var out []store.Version
	for _, version := range all {
		switch n := len(out); {
		case version.Marker:
		case n > 0 && out[n-1].Key == version.Key:
			out[n-1] = version
		default:
			out = append(out, version)
		}
	}
	return out, err
}

// Sealer writes heads.
type Sealer struct {
	Cases   reader
	Heads   headStore // the audit bucket
	Version string
	Now     func() time.Time
}

// sealTries bounds how often a head meets another one's name.
const sealTries = 10

// Seal writes a head over all that stands in the case's chain, unless the newest
// head is one over the same.
func (s *Sealer) Seal(ctx context.Context, id string) error {
	for range sealTries {
		h, sealed, err := s.next(ctx, id)
		if err != nil || sealed {
			return err
		}
		body, err := json.Marshal(h)
		if err != nil {
			return fmt.Errorf("encode head: %w", err)
		}
		err = s.Heads.PutIfAbsent(ctx, HeadKey(id, h.N), append(body, '\n'))
		if err == nil {
			return nil
		}
		if !errors.Is(err, store.ErrExists) {
			return fmt.Errorf("write head: %w", err)
		}
		// Another one: it may have been made before what we have to seal.
	}
	return errors.New("too many heads at once")
}

// next is the head that comes next; sealed says that the one before it is over
// the same objects.
func (s *Sealer) next(ctx context.Context, id string) (_ Head, sealed bool, err error) {
	keys, err := s.Heads.List(ctx, HeadPrefix(id))
	if err != nil {
		return Head{}, false, fmt.Errorf("list heads: %w", err)
	}
	var last Head
	h := Head{Schema: Schema, Case: id, N: len(keys) + 1, Time: s.Now().UTC(), Objects: []Sealed{}, Version: s.Version}
	if len(keys) > 0 {
		body, err := s.Heads.Get(ctx, keys[len(keys)-1], maxObject)
		if err != nil {
			return Head{}, false, fmt.Errorf("read head: %w", err)
		}
		h.Previous = digest.Of(body)
		if json.Unmarshal(body, &last) != nil {
			last = Head{} // it seals nothing
		}
	}
	objects, err := read(ctx, s.Cases, id)
	if err != nil {
		return Head{}, false, err
	}
	for _, o := range objects {
		h.Objects = append(h.Objects, Sealed{o.key, erasure.OriginalHash(o.body)})
	}
	return h, slices.Equal(h.Objects, last.Objects), nil
}
