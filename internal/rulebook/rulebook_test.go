package rulebook_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/rules"
)

func read(tb testing.TB, name string) string {
	tb.Helper()
	b, err := fs.ReadFile(rules.FS, name)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

// book returns a rule book's files with the given products and real tables.
func book(tb testing.TB, products ...string) fstest.MapFS {
	tb.Helper()
	files := fstest.MapFS{}
	for _, n := range []string{"3269", "3270", "3271", "3272"} {
		files["tables/t"+n+".xml"] = &fstest.MapFile{Data: []byte(read(tb, "tables/t"+n+".xml"))}
	}
	for i, p := range products {
		files["products/"+string(rune('a'+i))+".yaml"] = &fstest.MapFile{Data: []byte(p)}
	}
	return files
}

func date(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

// The project's own book: all products load, every table that a product names
// is on the product's age basis.
func TestOwnRules(t *testing.T) {
	b, err := rulebook.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.Product("US", "", date("2026-11-24"))
	if err != nil {
		t.Fatal(err)
	}
	for segment, number := range p.Tables {
		table, err := b.Table(number)
		if err != nil {
			t.Errorf("%+v: %v", segment, err)
			continue
		}
		if table.AgeBasis != p.AgeBasis {
			t.Errorf("%+v: table %d is %s, the product %s", segment, number, table.AgeBasis, p.AgeBasis)
		}
		sex := strings.ToUpper(segment.Sex[:1]) + segment.Sex[1:]
		if !strings.Contains(table.Name, " "+sex+" ") || strings.Contains(table.Name, "Non-Smoker") == segment.Smoker {
			t.Errorf("%+v: priced on %q", segment, table.Name)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	real := read(t, "products/us-term.yaml")
	tests := []struct {
		name, old, new string
		want           string // part of the message; N stands for the line of old
	}{
		{"unknown field", "loading: 0.15", "lading: 0.15", "line N: unknown field"},
		{"field twice", "loading: 0.15", "loading: 0.15\nloading: 0.2", "mapping key"},
		{"not YAML", "terms: [10", "terms: [[10", "line "},
		{"wrong type", "interest: 0.03", "interest: three", "line N:"},
		{"NaN", "interest: 0.03", "interest: .nan", "line N: interest: must be 0 to 0.2"},
		{"one pair of eyes", "approver: appointed actuary", "approver: pricing desk", "line N: approver: must be another person"},
		{"gap", "from: 20.0", "from: 20.5", "leaves a gap"},
		{"overlap", "from: 20.0", "from: 19.5", "overlaps"},
		{"unknown class", "to: 25.0, class: Preferred Plus", "to: 25.0, class: Best", "is no class"},
		{"multiples off balance", "multiple: 1.40", "multiple: 1.45", "must average 1"},
		{"shares off balance", "share: 0.20", "share: 0.10", "shares must add up to 1"},
		{"limits crossed", "  max: 75", "  max: 17", "line N: age.max"},
		{"minors", "  min: 18", "  min: 16", "line N: age.min: must be 18"},
		{"no such table", "smoker: 3272", "smoker: 9999", "no such table"},
		{"terms unordered", "[10, 15", "[15, 10", "terms must rise"},
		{"a date that is none", "2026-01-01", "2026-02-30", "line N: effective_from"},
		{"factor too fine", "monthly: 0.0875", "monthly: 0.08750001", "six decimals"},
		{"no default", "default: true", "default: false", "no product is marked default"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := strings.Replace(real, tt.old, tt.new, 1)
			if file == real {
				t.Fatalf("%q is not in the file", tt.old)
			}
			before, _, _ := strings.Cut(real, tt.old)
			want := strings.Replace(tt.want, "N:", fmt.Sprintf("%d:", 1+strings.Count(before, "\n")), 1)
			_, err := rulebook.Load(book(t, file))
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Fatalf("Load = %v, want an error with %q", err, want)
			}
			if tt.name != "no default" && !strings.HasPrefix(err.Error(), "products/a.yaml: line ") {
				t.Errorf("Load = %q, want file and line first", err)
			}
		})
	}
	if _, err := rulebook.Load(book(t, real, real)); err == nil {
		t.Error("Load took two versions effective from the same day")
	}
}

func TestProductInForce(t *testing.T) {
	first := read(t, "products/us-term.yaml")
	second := strings.Replace(first, "2026-01-01", "2026-07-01", 1)
	b, err := rulebook.Load(book(t, second, first))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		market, id, at string
		want           string // effective from
		err            error
	}{
		{"US", "", "2026-06-30", "2026-01-01", nil},
		{"US", "us-term", "2026-07-01", "2026-07-01", nil},
		{"US", "", "2025-12-31", "", rulebook.ErrNotYet},
		{"US", "us-whole-life", "2026-07-01", "", rulebook.ErrNoProduct},
		{"CH", "", "2026-07-01", "", rulebook.ErrNoMarket},
	}
	for _, tt := range tests {
		p, err := b.Product(tt.market, tt.id, date(tt.at))
		if !errors.Is(err, tt.err) {
			t.Errorf("Product(%q, %q, %s): %v, want %v", tt.market, tt.id, tt.at, err, tt.err)
			continue
		}
		if err == nil && !p.EffectiveFrom.Equal(date(tt.want)) {
			t.Errorf("Product(%q, %q, %s) is of %s, want %s", tt.market, tt.id, tt.at, p.EffectiveFrom, tt.want)
		}
	}
}

func TestTablesAreSharedAndHashed(t *testing.T) {
	b, err := rulebook.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := b.Table(3269); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	x, _ := b.Table(3269)
	y, _ := b.Table(3269)
	if x != y {
		t.Error("Table parsed twice")
	}
	ab, err := b.TablesHash(3269, 3270)
	ba, _ := b.TablesHash(3270, 3269)
	one, _ := b.TablesHash(3269)
	if err != nil || ab != ba || ab == one {
		t.Errorf("TablesHash: %v; both %s, turned round %s, one %s", err, ab, ba, one)
	}
	if _, err := b.Table(1); !errors.Is(err, rulebook.ErrNoTable) {
		t.Errorf("Table(1): %v, want ErrNoTable", err)
	}
}

func FuzzLoadProduct(f *testing.F) {
	f.Add([]byte(read(f, "products/us-term.yaml")))
	tables := book(f)
	f.Fuzz(func(t *testing.T, product []byte) {
		files := fstest.MapFS{"products/a.yaml": {Data: product}}
		for name, file := range tables {
			files[name] = file
		}
		b, err := rulebook.Load(files)
		if err != nil {
			return
		}
		// What loads must be in force some day, and nobody under 18 insured.
		p, err := b.Product("US", "", date("9999-12-31"))
		if err == nil && (p.MinAge < 18 || len(p.Classes) == 0 || len(p.Bands) == 0) {
			t.Errorf("Load took %+v", p)
		}
	})
}
