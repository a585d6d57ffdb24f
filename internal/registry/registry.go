// Package registry keeps model packages in a bucket, and which of them is live.
//
//	models/<sha256 of the manifest>/<file>   a package; its manifest.json was written last
//	models/<...>/published.json              who published it, and when
//	live/<n>.json                            what became live, who approved it and why
//
// Every object is written once. The highest live/<n>.json is the pointer, so
// moving it is one conditional write, going back is one more, and what was live
// when can be read for ever. The package knows packages by their hashes alone:
// what a model is, and which may go live, are others' affairs.
package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/store"
)

// The errors that callers act on. Any other is passing trouble.
var (
	ErrNotFound = errors.New("no such model in the registry")
	ErrChanged  = errors.New("the registry holds another content under this name")
	ErrMoved    = errors.New("somebody else has moved the live pointer")
	ErrBroken   = errors.New("what the registry holds cannot be used")

	ErrUnavailable = errors.New("the registry cannot be read now") // of Files: passing trouble
)

const (
	schema = 1

	manifestName  = "manifest.json"
	publishedName = "published.json"

	modelsPrefix = "models/"
	livePrefix   = "live/"

	maxManifest = 1 << 20   // bytes of a manifest or of a record
	maxFile     = 200 << 20 // bytes of any other file
	maxPackage  = 400 << 20 // bytes of all its files: predict holds them in memory
)

// Packaged stands in a Live record for the model that predict was deployed
// with.
const Packaged = "packaged"

// Objects is what the registry asks of a store.
type Objects interface {
	Get(ctx context.Context, key string, limit int64) ([]byte, error)
	PutIfAbsent(ctx context.Context, key string, body []byte) error
	List(ctx context.Context, prefix string) ([]string, error)
}

// Registry is the registry in a store.
type Registry struct{ Objects Objects }

// Published says who put a package into the registry. It lies beside the
// package's files and is not among those that the manifest names.
type Published struct {
	Schema  int       `json:"schema"`
	Model   string    `json:"model"`  // "sha256:..." of the manifest
	Name    string    `json:"name"`   // of the model, for people
	Use     string    `json:"use"`    // research or production
	Author  string    `json:"author"` // who published it, and so cannot approve it
	Time    time.Time `json:"time"`
	Version string    `json:"version"` // code that published it
}

// Action is what a Live record did.
type Action string

// The actions.
const (
	Approved   Action = "approve"
	RolledBack Action = "rollback"
)

// Live is one move of the pointer.
type Live struct {
	Schema     int       `json:"schema"`
	N          int       `json:"n"`
	Model      string    `json:"model"` // "sha256:..." of the manifest, or Packaged
	Name       string    `json:"name"`
	Use        string    `json:"use"` // research or production; empty where Model is Packaged
	Action     Action    `json:"action"`
	ApprovedBy string    `json:"approved_by"`
	Author     string    `json:"author,omitempty"`
	Why        string    `json:"why"`
	Time       time.Time `json:"time"`
	Restores   int       `json:"restores,omitempty"` // of a rollback: the record whose model is live again; 0 for Packaged
	Gate       *Verdict  `json:"gate,omitempty"`     // of an approval
	Previous   string    `json:"previous,omitempty"` // "sha256:..." of the record before: a changed history shows
	Version    string    `json:"version"`            // code that wrote it
}

// Verdict is what the gate found about a model at one moment.
type Verdict struct {
	Limits   string    `json:"limits"`  // "sha256:..." of the limits that were applied
	Against  string    `json:"against"` // the model that was live; empty: none, so that only absolute limits counted
	Findings []Finding `json:"findings"`
}

// Finding is one check of the gate.
type Finding struct {
	Check    string   `json:"check"`
	OK       bool     `json:"ok"`
	Value    *float64 `json:"value"` // null where it was not measured, or is no number
	Limit    *float64 `json:"limit"`
	Sentence string   `json:"sentence"`
}

// Passed tells whether nothing was found against the model.
func (v Verdict) Passed() bool { return len(v.Refusals()) == 0 && len(v.Findings) > 0 }

// Refusals are the checks that failed.
func (v Verdict) Refusals() []Finding {
	return slices.DeleteFunc(slices.Clone(v.Findings), func(f Finding) bool { return f.OK })
}

// Package is what Upload stores.
type Package struct {
	Manifest  []byte
	Files     map[string][]byte // every file that the manifest names
	Published                   // Schema and Model are filled in
}

var hashPattern = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// ValidHash tells whether a text can be a model's hash.
func ValidHash(model string) bool { return hashPattern.MatchString(model) }

// folder is where a model lies.
func folder(model string) string { return modelsPrefix + strings.TrimPrefix(model, "sha256:") + "/" }

// Upload stores a package, the manifest last, so that what has a manifest is
// whole. What stands already is left as it is; the answer is what stands. It
// returns ErrChanged where a file stands with another content, which nobody
// wrote through here.
func (r *Registry) Upload(ctx context.Context, p Package) (Published, error) {
	p.Schema, p.Model = schema, digest.Of(p.Manifest)
	if err := p.check(); err != nil {
		return Published{}, fmt.Errorf("upload package: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Files)) {
		if err := r.putSame(ctx, folder(p.Model)+name, p.Files[name]); err != nil {
			return Published{}, fmt.Errorf("upload %s: %w", name, err)
		}
	}
	standing, err := r.publish(ctx, p.Published)
	if err != nil {
		return Published{}, fmt.Errorf("upload %s: %w", publishedName, err)
	}
	if err := r.putSame(ctx, folder(p.Model)+manifestName, p.Manifest); err != nil {
		return Published{}, fmt.Errorf("upload %s: %w", manifestName, err)
	}
	return standing, nil
}

// check refuses what could not be read again.
func (p *Package) check() error {
	if len(p.Manifest) > maxManifest {
		return fmt.Errorf("manifest of %d bytes: %w", len(p.Manifest), store.ErrTooLarge)
	}
	total := 0
	for name, content := range p.Files {
		if name == manifestName || name == publishedName || path.Base(name) != name {
			return fmt.Errorf("file name %q is not for a package's file", name)
		}
		if total += len(content); len(content) > maxFile || total > maxPackage {
			return fmt.Errorf("file %s: %w", name, store.ErrTooLarge)
		}
	}
	return nil
}

// putSame writes an object, or finds the very same standing. It looks first: a
// server that refuses megabytes may hang up before it has read them, and its
// answer is lost.
func (r *Registry) putSame(ctx context.Context, key string, body []byte) error {
	standing, err := r.same(ctx, key, body)
	if standing || err != nil {
		return err
	}
	err = r.Objects.PutIfAbsent(ctx, key, body)
	if !errors.Is(err, store.ErrExists) {
		return err
	}
	// Since we looked, or we may not look.
	if standing, err = r.same(ctx, key, body); err == nil && !standing {
		err = store.ErrDenied
	}
	return err
}

// same tells whether an object stands, and returns ErrChanged where it is
// another.
func (r *Registry) same(ctx context.Context, key string, body []byte) (standing bool, err error) {
	b, err := r.Objects.Get(ctx, key, int64(len(body)))
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrDenied): // the write will tell
		return false, nil
	case errors.Is(err, store.ErrTooLarge), err == nil && digest.Of(b) != digest.Of(body):
		return true, ErrChanged
	}
	return err == nil, err
}

// publish writes who published, or returns who did before.
func (r *Registry) publish(ctx context.Context, p Published) (Published, error) {
	body, err := encode(p)
	if err != nil {
		return Published{}, err
	}
	err = r.Objects.PutIfAbsent(ctx, folder(p.Model)+publishedName, body)
	if errors.Is(err, store.ErrExists) {
		return r.Published(ctx, p.Model)
	}
	return p, err
}

// Published tells who published a model: ErrNotFound, ErrBroken.
func (r *Registry) Published(ctx context.Context, model string) (Published, error) {
	if !ValidHash(model) {
		return Published{}, ErrNotFound
	}
	body, err := r.Objects.Get(ctx, folder(model)+publishedName, maxManifest)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Published{}, ErrNotFound
	case err != nil:
		return Published{}, fmt.Errorf("read %s: %w", publishedName, err)
	}
	var p Published
	if err := json.Unmarshal(body, &p); err != nil || p.Schema != schema || p.Model != model {
		return Published{}, fmt.Errorf("read %s of %s: %w", publishedName, model, ErrBroken)
	}
	return p, nil
}

// Models returns the hashes of all models whose upload was finished.
func (r *Registry) Models(ctx context.Context) ([]string, error) {
	keys, err := r.Objects.List(ctx, modelsPrefix)
	if err != nil {
		return nil, fmt.Errorf("list models: %w", err)
	}
	var models []string
	for _, key := range keys {
		dir, file := path.Split(strings.TrimPrefix(key, modelsPrefix))
		if model := "sha256:" + strings.TrimSuffix(dir, "/"); file == manifestName && ValidHash(model) {
			models = append(models, model)
		}
	}
	return models, nil
}

// Files returns a model's folder for reading: a file that is missing or too
// large, or a manifest with another hash than the model's, is ErrBroken; what
// may succeed later is ErrUnavailable. The other files are the reader's to verify, against the manifest. ctx bounds
// every read.
func (r *Registry) Files(ctx context.Context, model string) fs.ReadFileFS {
	return &files{ctx: ctx, objects: r.Objects, model: model, left: maxPackage}
}

// files keeps a context because io/fs has none to give.
type files struct {
	ctx     context.Context
	objects Objects
	model   string
	left    int64
}

func (f *files) Open(string) (fs.File, error) { return nil, errors.ErrUnsupported }

func (f *files) ReadFile(name string) ([]byte, error) {
	if !ValidHash(f.model) || path.Base(name) != name {
		return nil, fmt.Errorf("read %s of model %q: %w", name, f.model, ErrBroken)
	}
	limit := min(maxFile, f.left)
	if name == manifestName {
		limit = maxManifest
	}
	body, err := f.objects.Get(f.ctx, folder(f.model)+name, limit)
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrTooLarge), errors.Is(err, store.ErrDenied):
		return nil, fmt.Errorf("read %s of %s: %w: %w", name, f.model, ErrBroken, err)
	case err != nil:
		return nil, fmt.Errorf("read %s of %s: %w: %w", name, f.model, ErrUnavailable, err)
	case name == manifestName && digest.Of(body) != f.model:
		return nil, fmt.Errorf("read %s of %s: it has hash %s: %w", name, f.model, digest.Of(body), ErrBroken)
	}
	f.left -= int64(len(body))
	return body, nil
}

// liveKey is the name of the n-th record.
func liveKey(n int) string { return fmt.Sprintf("%s%06d.json", livePrefix, n) }

// Numbers returns the numbers of all records, in order. The last is the
// pointer.
func (r *Registry) Numbers(ctx context.Context) ([]int, error) {
	keys, err := r.Objects.List(ctx, livePrefix)
	if err != nil {
		return nil, fmt.Errorf("list live records: %w", err)
	}
	var numbers []int
	for _, key := range keys {
		n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(key, livePrefix), ".json"))
		if err == nil && n > 0 && liveKey(n) == key {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// Record returns the n-th record and the hash of its bytes: ErrBroken, with the
// hash where there are bytes.
func (r *Registry) Record(ctx context.Context, n int) (Live, string, error) {
	body, err := r.Objects.Get(ctx, liveKey(n), maxManifest)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrTooLarge) || errors.Is(err, store.ErrDenied) {
		return Live{}, "", fmt.Errorf("read live record %d: %w: %w", n, ErrBroken, err)
	}
	if err != nil {
		return Live{}, "", fmt.Errorf("read live record %d: %w", n, err)
	}
	l, err := parseLive(body)
	if err == nil && l.N != n {
		err = fmt.Errorf("it says that it is number %d", l.N)
	}
	if err != nil {
		return Live{}, digest.Of(body), fmt.Errorf("read live record %d: %w: %w", n, ErrBroken, err)
	}
	return l, digest.Of(body), nil
}

func parseLive(body []byte) (Live, error) {
	var l Live
	if err := json.Unmarshal(body, &l); err != nil {
		return Live{}, err
	}
	if l.Schema != schema {
		return Live{}, fmt.Errorf("schema %d, this code reads %d", l.Schema, schema)
	}
	if l.Model != Packaged && !ValidHash(l.Model) {
		return Live{}, errors.New("it names no model")
	}
	return l, nil
}

// Line is a record with what is wrong with it.
type Line struct {
	Live
	Err error // it cannot be read, or the record before it was changed
}

// History returns every record, in order. A record that is broken, or does not
// hold the hash of the one before it, says so in its line.
func (r *Registry) History(ctx context.Context) ([]Line, error) {
	numbers, err := r.Numbers(ctx)
	if err != nil {
		return nil, err
	}
	var lines []Line
	before, last := "", 0
	for _, n := range numbers {
		l, hash, err := r.Record(ctx, n)
		if err != nil && !errors.Is(err, ErrBroken) {
			return nil, err
		}
		if err == nil && (l.Previous != before || n != last+1) {
			err = errors.New("it does not follow the record before it: one was changed or removed")
		}
		l.N, before, last = n, hash, n
		lines = append(lines, Line{Live: l, Err: err})
	}
	return lines, nil
}

// Append moves the pointer: it writes record l.N, which must be the next one.
// Of several that try at once one wins, the others get ErrMoved.
func (r *Registry) Append(ctx context.Context, l Live) error {
	l.Schema = schema
	body, err := encode(l)
	if err != nil {
		return err
	}
	if _, err := parseLive(body); err != nil {
		return fmt.Errorf("write live record %d: %w", l.N, err)
	}
	err = r.Objects.PutIfAbsent(ctx, liveKey(l.N), body)
	if errors.Is(err, store.ErrExists) {
		return fmt.Errorf("write live record %d: %w", l.N, ErrMoved)
	}
	if err != nil {
		return fmt.Errorf("write live record %d: %w", l.N, err)
	}
	return nil
}

// encode makes the bytes that are stored.
func encode(object any) ([]byte, error) {
	b, err := json.MarshalIndent(object, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", object, err)
	}
	return append(b, '\n'), nil
}
