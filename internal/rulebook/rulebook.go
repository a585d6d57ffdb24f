// Package rulebook loads and checks the rule book: product files in YAML and
// mortality tables in XTbML. It is strict, so that a slip in a file is an error
// that names file, line and reason when the program starts, not a wrong
// premium later. It decides nothing; package underwriting does.
package rulebook

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
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

// Errors of a look-up that finds nothing.
var (
	ErrNoMarket  = errors.New("no product is sold in this market")
	ErrNoProduct = errors.New("no such product in this market")
	ErrNotYet    = errors.New("no version of the product is in force at the valuation date")
	ErrNoTable   = errors.New("no such mortality table")
)

// Book is a loaded rule book. It never changes, so goroutines may share it.
type Book struct {
	products map[string]map[string][]*underwriting.Product // market, id: versions, oldest first
	defaults map[string]string                             // market: id of the product when none is named
	tables   map[int]func() (parsedTable, error)           // parse on first use, once
}

type parsedTable struct {
	table *premium.Table
	hash  string // of the file's bytes
}

var tableFile = regexp.MustCompile(`^t([1-9][0-9]{0,8})\.xml$`)

// Load reads every products/*.yaml under fsys and notes every
// tables/t<number>.xml. All products are checked now; a table is parsed when
// first asked for. The error joins all problems found.
func Load(fsys fs.FS) (*Book, error) {
	b := &Book{
		products: map[string]map[string][]*underwriting.Product{},
		defaults: map[string]string{},
		tables:   map[int]func() (parsedTable, error){},
	}
	if err := b.findTables(fsys); err != nil {
		return nil, err
	}
	names, err := fs.Glob(fsys, "products/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list products: %w", err)
	}
	if len(names) == 0 {
		return nil, errors.New("load rule book: no products/*.yaml")
	}
	var problems []error
	for _, name := range names {
		problems = append(problems, b.addProduct(fsys, name))
	}
	problems = append(problems, b.checkDefaults())
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return b, nil
}

func (b *Book) findTables(fsys fs.FS) error {
	entries, err := fs.ReadDir(fsys, "tables")
	if err != nil {
		return fmt.Errorf("list mortality tables: %w", err)
	}
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
		// Fifty tables take a quarter of a second to parse and a quote needs
		// one, so a cold function would pay for what it never uses.
		b.tables[number] = sync.OnceValues(func() (parsedTable, error) { return readTable(fsys, name, number) })
	}
	return nil
}

func readTable(fsys fs.FS, name string, number int) (parsedTable, error) {
	raw, err := fs.ReadFile(fsys, name)
	if err != nil {
		return parsedTable{}, fmt.Errorf("read mortality table: %w", err)
	}
	t, err := premium.ParseXTbML(bytes.NewReader(raw))
	if err != nil {
		return parsedTable{}, fmt.Errorf("%s: %w", name, err)
	}
	if t.Number != number {
		return parsedTable{}, fmt.Errorf("%s: holds table %d", name, t.Number)
	}
	return parsedTable{table: t, hash: digest.Of(raw)}, nil
}

func (b *Book) addProduct(fsys fs.FS, name string) error {
	raw, err := fs.ReadFile(fsys, name)
	if err != nil {
		return fmt.Errorf("read product: %w", err)
	}
	f, err := parseProduct(raw, func(number int) bool { _, ok := b.tables[number]; return ok })
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	p := f.product(digest.Of(raw))

	versions := b.products[p.Market][p.ID]
	for _, v := range versions {
		if v.EffectiveFrom.Equal(p.EffectiveFrom) {
			return fmt.Errorf("%s: another version of %s is effective from the same day", name, p.ID)
		}
	}
	if b.products[p.Market] == nil {
		b.products[p.Market] = map[string][]*underwriting.Product{}
	}
	versions = append(versions, p)
	slices.SortFunc(versions, func(x, y *underwriting.Product) int { return x.EffectiveFrom.Compare(y.EffectiveFrom) })
	b.products[p.Market][p.ID] = versions
	if !f.Default {
		return nil
	}
	if other, ok := b.defaults[p.Market]; ok && other != p.ID {
		return fmt.Errorf("%s: market %s has another default product already", name, p.Market)
	}
	b.defaults[p.Market] = p.ID
	return nil
}

func (b *Book) checkDefaults() error {
	for market := range b.products {
		if b.defaults[market] == "" {
			return fmt.Errorf("market %s: no product is marked default", market)
		}
	}
	return nil
}

// Product returns the version of a market's product that is in force at the
// valuation date: the one with the latest effective date not after it. An
// empty id means the market's default product. It returns ErrNoMarket,
// ErrNoProduct or ErrNotYet.
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

// Table returns a mortality table by the Society of Actuaries' number, or
// ErrNoTable. It is parsed on first use; several goroutines may ask at once.
func (b *Book) Table(number int) (*premium.Table, error) {
	t, err := b.parsed(number)
	return t.table, err
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
