// Package rulebook loads and checks the rule book: products, classes, build
// charts and questions in YAML, mortality tables in XTbML, and the history of
// their approval. It is strict, so that a slip in a file is an error that names
// file, line and reason when the program starts, not a wrong premium later. It
// decides nothing; package underwriting does.
package rulebook

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/premium"
	"github.com/agequote/agequote/internal/underwriting"
)

// Errors of a look-up that finds nothing, and of a book that is not approved.
var (
	ErrNoMarket    = errors.New("no product is sold in this market")
	ErrNoProduct   = errors.New("no such product in this market")
	ErrNotYet      = errors.New("no version of the product is in force at the valuation date")
	ErrNoTable     = errors.New("no such mortality table")
	ErrNotApproved = errors.New("not approved")
)

// Book is a loaded rule book. It never changes, so goroutines may share it.
type Book struct {
	products map[string]map[string][]*underwriting.Product // market, id: as in force from a day on, oldest first
	defaults map[string]string                             // market: id of the product when none is named
	tables   map[int]func() (parsedTable, error)           // parse on first use, once
	index    *tableIndex
	files    []File
	history  []Record
	rates    sync.Map // ratesKey: premium.Rates
}

type parsedTable struct {
	table *premium.Table
	hash  string // of the file's bytes
}

// File is one rule file of a loaded book.
type File struct {
	Kind          string // products, classes, charts, questions or tables
	ID            string
	Name          string // path in the rule book
	Hash          string
	EffectiveFrom string // YYYY-MM-DD
	Author        string
	Approver      string
	Reason        string
}

// Load reads every rule file under fsys: products, classes, charts and
// questions, each in its folder as *.yaml, and tables/tables.yaml with the
// tables/t<number>.xml that it lists. All are checked now, but a table is
// parsed when first asked for. The error joins all problems found, each with
// its file, line and reason. A book without problems is refused with
// ErrNotApproved where history.jsonl does not hold the bytes of each file.
func Load(fsys fs.FS) (*Book, error) {
	b, err := LoadDraft(fsys)
	if err != nil {
		return nil, err
	}
	if b.history, err = readHistory(fsys); err != nil {
		return nil, err
	}
	if err := Unapproved(b.files, b.history); err != nil {
		return nil, err
	}
	return b, nil
}

// LoadDraft is Load for rules that nobody has approved yet: to try what they
// would change. It checks all that Load does but the history.
func LoadDraft(fsys fs.FS) (*Book, error) { return (&loader{}).load(fsys) }

// loader loads one book. Files that it has read before, told by name and hash,
// it takes from cache where there is one: the tests load the book thousands of
// times with one file changed.
type loader struct {
	cache map[string]any

	products  []*productFile
	classes   []*classesFile
	charts    []*chartFile
	questions []*questionsFile
	book      *Book
}

// parsed is a file's content or the error of reading it.
type parsed struct {
	content any
	err     error
}

func (l *loader) load(fsys fs.FS) (*Book, error) {
	l.products, l.classes, l.charts, l.questions = nil, nil, nil, nil
	l.book = &Book{
		products: map[string]map[string][]*underwriting.Product{},
		defaults: map[string]string{},
		tables:   map[int]func() (parsedTable, error){},
	}
	err := errors.Join(
		l.readTables(fsys),
		readAll(l, fsys, "classes", parseClasses, func(f *classesFile) { l.classes = append(l.classes, f); l.add("classes", f.file) }),
		readAll(l, fsys, "charts", parseChart, func(f *chartFile) { l.charts = append(l.charts, f); l.add("charts", f.file) }),
		readAll(l, fsys, "questions", parseQuestions, func(f *questionsFile) { l.questions = append(l.questions, f); l.add("questions", f.file) }),
		readAll(l, fsys, "products", parseProduct, func(f *productFile) { l.products = append(l.products, f); l.add("products", f.file) }),
	)
	if err != nil {
		return nil, err
	}
	if err := l.join(); err != nil {
		return nil, err
	}
	return l.book, nil
}

func (l *loader) add(kind string, f *file) {
	l.book.files = append(l.book.files, File{Kind: kind, ID: f.head.ID, Name: f.name, Hash: f.hash,
		EffectiveFrom: f.head.EffectiveFrom, Author: f.head.Author, Approver: f.head.Approver, Reason: f.head.Reason})
}

// readAll reads every file of one kind.
func readAll[T any](l *loader, fsys fs.FS, kind string, parse func(name string, raw []byte) (T, error), add func(T)) error {
	names, err := fs.Glob(fsys, kind+"/*.yaml")
	if err != nil {
		return fmt.Errorf("list %s: %w", kind, err)
	}
	if len(names) == 0 {
		return fmt.Errorf("load rule book: no %s/*.yaml", kind)
	}
	var problems []error
	for _, name := range names {
		content, err := readOne(l, fsys, name, parse)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		add(content)
	}
	return errors.Join(problems...)
}

func readOne[T any](l *loader, fsys fs.FS, name string, parse func(name string, raw []byte) (T, error)) (T, error) {
	raw, err := fs.ReadFile(fsys, name)
	if err != nil {
		var none T
		return none, fmt.Errorf("read rules: %w", err)
	}
	key := name + " " + digest.Of(raw)
	if known, ok := l.cache[key].(parsed); ok {
		return known.content.(T), known.err
	}
	content, err := parse(name, raw)
	if l.cache != nil {
		l.cache[key] = parsed{content, err}
	}
	return content, err
}

var tableFile = regexp.MustCompile(`^t([1-9][0-9]{0,8})\.xml$`)

// readTables reads the index of the tables and holds it against their files.
func (l *loader) readTables(fsys fs.FS) error {
	index, err := readOne(l, fsys, "tables/tables.yaml", parseTables)
	if err != nil {
		return err
	}
	l.book.index = index
	l.add("tables", index.file)
	entries, err := fs.ReadDir(fsys, "tables")
	if err != nil {
		return fmt.Errorf("list mortality tables: %w", err)
	}
	hashes := map[int]string{}
	for _, e := range entries {
		m := tableFile.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		number, err := strconv.Atoi(m[1])
		if err != nil {
			return fmt.Errorf("list mortality tables: %w", err)
		}
		name := path.Join("tables", e.Name())
		raw, err := fs.ReadFile(fsys, name)
		if err != nil {
			return fmt.Errorf("read mortality table: %w", err)
		}
		hash := l.hash(name, raw)
		hashes[number] = hash
		// Fifty tables take a quarter of a second to parse and a quote needs
		// one or two, so a cold function would pay for what it never uses.
		entry := index.byNumber[number]
		l.book.tables[number] = sync.OnceValues(func() (parsedTable, error) { return l.parseTable(name, raw, hash, entry) })
	}
	return index.checkFiles(hashes)
}

// hashed is what the cache, which only tests have, knows a table's file by:
// they change none to another of the same size.
type hashed struct {
	size int
	hash string
}

// hash returns the hash of a table's file.
func (l *loader) hash(name string, raw []byte) string {
	if known, ok := l.cache["hash "+name].(hashed); ok && len(raw) == known.size {
		return known.hash
	}
	h := digest.Of(raw)
	if l.cache != nil {
		l.cache["hash "+name] = hashed{len(raw), h}
	}
	return h
}

func (l *loader) parseTable(name string, raw []byte, hash string, entry tableEntry) (parsedTable, error) {
	key := name + " " + hash
	known, ok := l.cache[key].(parsedTable)
	if !ok {
		t, err := premium.ParseXTbML(bytes.NewReader(raw))
		if err != nil {
			return parsedTable{}, fmt.Errorf("%s: %w", name, err)
		}
		known = parsedTable{table: t, hash: hash}
		if l.cache != nil {
			l.cache[key] = known
		}
	}
	t := known.table
	if t.Number != entry.Number || t.Name != entry.Name || t.MinAge() != entry.MinAge || t.MaxAge() != entry.MaxAge {
		return parsedTable{}, fmt.Errorf("%s: line 1: is table %d, %q, ages %d to %d, which is not what tables/tables.yaml says", name, t.Number, t.Name, t.MinAge(), t.MaxAge())
	}
	return known, nil
}

// join puts products and their parts together for each day on which one of
// them changes.
func (l *loader) join() error {
	b := l.book
	var problems []error
	for _, f := range l.classes {
		problems = append(problems, f.checkTables(b.index))
	}
	problems = append(problems, l.unique())
	if err := errors.Join(problems...); err != nil {
		return err
	}
	for _, name := range l.productIDs() {
		problems = append(problems, l.joinProduct(name))
	}
	problems = append(problems, l.used(), l.checkDefaults())
	return errors.Join(problems...)
}

// unique refuses two versions of one thing from the same day.
func (l *loader) unique() error {
	seen := map[[3]string]string{}
	var problems []error
	for _, f := range l.book.files {
		key := [3]string{f.Kind, f.ID, f.EffectiveFrom}
		if other, ok := seen[key]; ok {
			problems = append(problems, fmt.Errorf("%s: line 1: overlaps %s: two versions of %s from the same day", f.Name, other, f.ID))
		}
		seen[key] = f.Name
	}
	return errors.Join(problems...)
}

// used refuses parts that no product names: a slip in an id would hide there.
func (l *loader) used() error {
	named := map[string]bool{}
	for _, p := range l.products {
		named["classes "+p.Classes], named["charts "+p.Chart], named["questions "+p.Questions] = true, true, true
	}
	var problems []error
	for _, f := range l.book.files {
		if f.Kind != "products" && f.Kind != "tables" && !named[f.Kind+" "+f.ID] {
			problems = append(problems, fmt.Errorf("%s: line 1: no product names %s", f.Name, f.ID))
		}
	}
	return errors.Join(problems...)
}

func (l *loader) productIDs() []string {
	ids := map[string]bool{}
	for _, p := range l.products {
		ids[p.ID] = true
	}
	return slices.Sorted(maps.Keys(ids))
}

// inForce returns the newest of the versions with the id that is effective at
// the day, nil where none is.
func inForce[T any](versions []T, of func(T) *file, id string, day time.Time) (found T, ok bool) {
	for _, v := range versions {
		f := of(v)
		if f.head.ID != id || f.from.After(day) {
			continue
		}
		if !ok || f.from.After(of(found).from) {
			found, ok = v, true
		}
	}
	return found, ok
}

// joinProduct adds a product as it stands from each day on which it or one of
// its parts changes.
func (l *loader) joinProduct(id string) error {
	productOf := func(f *productFile) *file { return f.file }
	var days []time.Time
	var first *productFile
	for _, p := range l.products {
		if p.ID != id {
			continue
		}
		days = append(days, p.file.from)
		if first == nil || p.file.from.Before(first.file.from) {
			first = p
		}
	}
	for _, f := range l.book.files {
		from, _ := time.Parse(time.DateOnly, f.EffectiveFrom) // checked
		if f.Kind != "products" && f.Kind != "tables" && from.After(first.file.from) {
			days = append(days, from)
		}
	}
	slices.SortFunc(days, time.Time.Compare)
	days = slices.CompactFunc(days, time.Time.Equal)

	var problems []error
	var last *underwriting.Product
	for _, day := range days {
		f, _ := inForce(l.products, productOf, id, day) // days begin with the first version's
		if f.Market != first.Market {
			problems = append(problems, fmt.Errorf("%s: line 1: market: %s is sold in %s in another version", f.file.name, id, first.Market))
			continue
		}
		p, err := l.version(f, day)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if last == nil || last.Hash != p.Hash { // else a part of other products changed
			if l.book.products[p.Market] == nil {
				l.book.products[p.Market] = map[string][]*underwriting.Product{}
			}
			l.book.products[p.Market][id] = append(l.book.products[p.Market][id], p)
		}
		last = p
	}
	return errors.Join(problems...)
}

// version builds a product with the parts that are in force at the day.
func (l *loader) version(f *productFile, day time.Time) (*underwriting.Product, error) {
	c := &checker{file: f.file}
	on := day.Format(time.DateOnly)
	var with parts
	var ok bool
	with.classes, ok = inForce(l.classes, func(f *classesFile) *file { return f.file }, f.Classes, day)
	c.require(ok, "classes", "leaves a gap: no version of %q is in force on %s", f.Classes, on)
	with.chart, ok = inForce(l.charts, func(f *chartFile) *file { return f.file }, f.Chart, day)
	c.require(ok, "chart", "leaves a gap: no version of %q is in force on %s", f.Chart, on)
	with.questions, ok = inForce(l.questions, func(f *questionsFile) *file { return f.file }, f.Questions, day)
	c.require(ok, "questions", "leaves a gap: no version of %q is in force on %s", f.Questions, on)
	c.require(!l.book.index.file.from.After(day), "effective_from", "leaves a gap: tables/tables.yaml is in force from %s only", l.book.index.EffectiveFrom)
	if err := c.err(); err != nil {
		return nil, err
	}
	return f.build(with, l.book.index, day)
}

// checkDefaults finds each market's one default product.
func (l *loader) checkDefaults() error {
	var problems []error
	for _, f := range l.products {
		if !f.Default {
			continue
		}
		if other, ok := l.book.defaults[f.Market]; ok && other != f.ID {
			c := &checker{file: f.file}
			c.require(false, "default", "market %s has another default product already", f.Market)
			problems = append(problems, c.err())
		}
		l.book.defaults[f.Market] = f.ID
	}
	for _, f := range l.products {
		if l.book.defaults[f.Market] == "" {
			c := &checker{file: f.file}
			c.require(false, "default", "market %s: no product is marked default", f.Market)
			problems = append(problems, c.err())
		}
	}
	return errors.Join(problems...)
}

// Product returns the version of a market's product that is in force at the
// valuation date: the one with the latest effective date not after it, with the
// classes, chart and questions in force then. An empty id means the market's
// default product. It returns ErrNoMarket, ErrNoProduct or ErrNotYet.
func (b *Book) Product(market, id string, valuation time.Time) (*underwriting.Product, error) {
	products, ok := b.products[market]
	if !ok {
		return nil, ErrNoMarket
	}
	if id == "" {
		id = b.defaults[market]
	}
	versions, ok := products[id]
	if !ok {
		return nil, ErrNoProduct
	}
	for _, v := range slices.Backward(versions) {
		if !v.EffectiveFrom.After(valuation) {
			return v, nil
		}
	}
	return nil, ErrNotYet
}

// Versions returns every product as it stands from a day on, by market, id and
// day.
func (b *Book) Versions() []*underwriting.Product {
	var out []*underwriting.Product
	for _, market := range slices.Sorted(maps.Keys(b.products)) {
		for _, id := range slices.Sorted(maps.Keys(b.products[market])) {
			out = append(out, b.products[market][id]...)
		}
	}
	return out
}

// Files returns the rule files, by kind and name. The tables' XML files stand
// in tables/tables.yaml.
func (b *Book) Files() []File {
	files := slices.Clone(b.files)
	slices.SortFunc(files, func(x, y File) int { return strings.Compare(x.Name, y.Name) })
	return files
}

// Table returns a mortality table by the Society of Actuaries' number, or
// ErrNoTable. It is parsed on first use; several goroutines may ask at once.
func (b *Book) Table(number int) (*premium.Table, error) {
	t, err := b.parsed(number)
	return t.table, err
}

// CheckTables parses every table and holds it against tables/tables.yaml, which
// Load leaves until a table is used.
func (b *Book) CheckTables() error {
	var problems []error
	for _, number := range slices.Sorted(maps.Keys(b.tables)) {
		_, err := b.parsed(number)
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// TablesHash returns the hash of the table files used. One table's is the
// SHA-256 of its file's bytes; that of several is the hash of their hashes,
// sorted and joined by newlines.
func (b *Book) TablesHash(numbers ...int) (string, error) {
	hashes := make([]string, 0, len(numbers))
	for _, n := range numbers {
		t, err := b.parsed(n)
		if err != nil {
			return "", err
		}
		hashes = append(hashes, t.hash)
	}
	if len(hashes) == 1 {
		return hashes[0], nil
	}
	slices.Sort(hashes)
	return digest.Of([]byte(strings.Join(hashes, "\n"))), nil
}

func (b *Book) parsed(number int) (parsedTable, error) {
	parse, ok := b.tables[number]
	if !ok {
		return parsedTable{}, ErrNoTable
	}
	return parse()
}

// ratesKey names one set of rates: a table, or two blended, on an age basis.
type ratesKey struct {
	first, second int
	share         float64
	basis         premium.AgeBasis
}

// Rates returns the death probabilities that an assessment is priced on: its
// table, or the blend of its two, read on its age basis. The same assessment
// gets the same Rates, which several goroutines may share. It returns
// ErrNoTable, also where the assessment has no class.
func (b *Book) Rates(a underwriting.Assessment) (premium.Rates, error) {
	var key ratesKey
	switch len(a.Rates) {
	case 1:
		key = ratesKey{first: a.Rates[0].Number, basis: a.AgeBasis}
	case 2:
		key = ratesKey{first: a.Rates[0].Number, second: a.Rates[1].Number, share: a.Rates[0].Share, basis: a.AgeBasis}
	default:
		return nil, fmt.Errorf("find rates of %d tables: %w", len(a.Rates), ErrNoTable)
	}
	if known, ok := b.rates.Load(key); ok {
		return known.(premium.Rates), nil
	}
	rates, err := b.on(key.first, key.basis)
	if err != nil {
		return nil, err
	}
	if key.second != 0 {
		second, err := b.on(key.second, key.basis)
		if err != nil {
			return nil, err
		}
		rates = premium.Blend(rates, second, key.share)
	}
	known, _ := b.rates.LoadOrStore(key, rates)
	return known.(premium.Rates), nil
}

func (b *Book) on(number int, basis premium.AgeBasis) (premium.Rates, error) {
	t, err := b.Table(number)
	if err != nil {
		return nil, fmt.Errorf("read table %d: %w", number, err)
	}
	rates, err := t.On(basis)
	if err != nil {
		return nil, fmt.Errorf("read table %d as %s: %w", number, basis, err)
	}
	return rates, nil
}
