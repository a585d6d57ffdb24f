package rulebook_test

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/underwriting"
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

// overlay is the project's rule book with some files in place of its own.
type overlay struct {
	fs.FS
	files fstest.MapFS
}

func (o overlay) Open(name string) (fs.File, error) {
	if _, ok := o.files[name]; ok {
		return o.files.Open(name)
	}
	return o.FS.Open(name)
}

func (o overlay) ReadFile(name string) ([]byte, error) {
	if f, ok := o.files[name]; ok {
		return f.Data, nil
	}
	return fs.ReadFile(o.FS, name)
}

// ReadDir lists new files of the overlay too.
func (o overlay) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(o.FS, name)
	if err != nil {
		return nil, err
	}
	added, _ := o.files.ReadDir(name) // a folder without new files is none there
	for _, e := range added {
		if !slices.ContainsFunc(entries, func(have fs.DirEntry) bool { return have.Name() == e.Name() }) {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// with returns the project's rules with the files, name and content by turns.
func with(files ...string) fs.FS {
	o := overlay{FS: rules.FS, files: fstest.MapFS{}}
	for i := 0; i < len(files); i += 2 {
		o.files[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
	}
	return o
}

func date(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

// The project's own book is approved, and its tables are what tables.yaml says.
func TestOwnRules(t *testing.T) {
	b, err := rulebook.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.CheckTables(); err != nil {
		t.Error(err)
	}
}

func TestLoadRefuses(t *testing.T) {
	const (
		product, classes   = "products/us-term.yaml", "classes/vbt-relative-risk.yaml"
		chart, questions   = "charts/us-build.yaml", "questions/health.yaml"
		eu, tables, indian = "products/eu-term.yaml", "tables/tables.yaml", "classes/assured-lives.yaml"
	)
	tests := []struct {
		name, file, old, new string
		want                 string // part of the message; N stands for the line of old
	}{
		{"neither on nor off", product, "max_interval_years: 30", "duplicates: maybe\n  max_interval_years: 30", "photo.duplicates"},
		{"unknown field", product, "interest: 0.03", "intrest: 0.03", "line N: unknown field"},
		{"field twice", product, "interest: 0.03", "interest: 0.03\ninterest: 0.2", "mapping key"},
		{"not YAML", product, "terms: [10", "terms: [[10", "line "},
		{"wrong type", product, "interest: 0.03", "interest: three", "line N:"},
		{"NaN", product, "interest: 0.03", "interest: .nan", "line N: interest: must be 0 to 0.2"},
		{"another schema", product, "schema: 2", "schema: 1", "line N: schema: must be 2"},
		{"one pair of eyes", product, "approver: appointed actuary", "approver: Pricing Desk", "line N: approver: must be another person"},
		{"limits crossed", product, "  max: 75", "  max: 17", "line N: age.max"},
		{"minors", product, "  min: 18", "  min: 16", "line N: age.min: must be 18"},
		{"terms unordered", product, "[10, 15", "[15, 10", "line N: terms[1]: terms must rise"},
		{"a term nobody can have", product, "25, 30]", "25, 78]", "line N: terms[4]: nobody can have"},
		{"an age nobody can have", product, "  max: 75", "  max: 86", "line N: age.max: nobody of this age"},
		{"a date that is none", product, "2026-01-01", "2026-02-30", "line N: effective_from"},
		{"factor too fine", product, "monthly: 0.0875", "monthly: 0.08750001", "six decimals"},
		{"a mode missing", product, "  quarterly: 0.2575\n", "", "modal_factors.quarterly"},
		{"no default", product, "default: true", "default: false", "no product is marked default"},
		{"premium falls as cover rises", product, "{from: 1000000, discount: 0.10}", "{from: 1000000, discount: 1.10}", "line N: sum.bands[1].discount: must lie above 0, at most 0.9"},
		{"bands overlap", product, "{from: 1000000", "{from: 250000", "line N: sum.bands[1].from: bands must rise"},
		{"sex in a unisex market", eu, "sex: unisex", "sex: priced", "line N: sex: must be unisex in this market"},
		{"no mix", eu, "male_share: 0.55", "# none", "male_share: must be there"},
		{"a charge with a declared age", eu, "role: cross-check", "role: cross-check\n  charge: high", "photo.charge: must not be there"},
		{"no such chart", product, "chart: us-build", "chart: us-built", "line N: chart: leaves a gap: no version"},
		{"a chart by sex in a unisex product", eu, "chart: unisex-build", "chart: us-build", "a product that uses this chart is unisex"},
		{"one class for both in a product by sex", product, "classes: vbt-relative-risk", "classes: assured-lives", "do not tell the sexes apart"},

		{"shares off balance", classes, "male: {table: 3239, share: 0.25}", "male: {table: 3239, share: 0.20}", "shares of male must add up to 1, not 0.9500"},
		{"risks off balance", classes, "relative_risk: 125", "relative_risk: 130", "relative risks weighted by the shares of female must average 100, not 101"},
		{"classes unordered", classes, "relative_risk: 90", "relative_risk: 60", "must rise: classes go from best to worst"},
		{"years unordered", classes, "tobacco_free_years: 2", "tobacco_free_years: 4", "line N: without_tobacco[2].tobacco_free_years"},
		{"no such table", classes, "table: 3232", "table: 9999", "line N: with_tobacco[3].female.table: no such table"},
		{"the other sex's table", classes, "table: 3211", "table: 3239", "line N: without_tobacco[0].female.table: table 3239 is"},
		{"another risk's table", classes, "table: 3211", "table: 3210", "not RR70"},
		{"a smoker's table", classes, "table: 3213", "table: 3229", "does not fit without_tobacco"},
		{"a tobacco class of its own", classes, "class: Standard\n    relative_risk: 150\n    female: {table: 3232", "class: Worst\n    relative_risk: 150\n    female: {table: 3232", "must be a class without tobacco too"},
		{"no rating for tobacco", indian, "tobacco_rating_steps: 4", "tobacco_rating_steps: 0", "line N: tobacco_rating_steps: must be 1 to 16"},

		{"gap in height", chart, "{from: 145", "{from: 146", "line N: panels[0].rows[1].from: leaves a gap"},
		{"overlap in height", chart, "{from: 145", "{from: 144", "line N: panels[0].rows[1].from: overlaps"},
		{"gap in age", chart, "ages: {from: 60, to: 76}", "ages: {from: 61, to: 76}", "line N: panels[1].ages.from: leaves a gap"},
		{"overlap in age", chart, "ages: {from: 60, to: 76}", "ages: {from: 59, to: 76}", "line N: panels[1].ages.from: overlaps"},
		{"too few ages", chart, "ages: {from: 60, to: 76}", "ages: {from: 60, to: 75}", "line N: panels[1].ages.to: leaves a gap"},
		{"weights crossed", chart, "weights: [32, 35", "weights: [35, 32", "weights must rise"},
		{"a cell missing", chart, "weights: [32, 35", "weights: [35", "must be 14, one between each two outcomes, not 13"},
		{"unknown outcome", chart, "outcomes: [refer, B", "outcomes: [refer, Z", "is no class of the product"},
		{"no way to a class", chart, "Standard Plus, Standard, A", "Standard, A, B", "no build leads to class Standard Plus"},
		{"heavier and milder", chart, "C, D, E, H, decline]", "D, C, E, H, decline]", "outcomes must get stricter"},
		{"older and milder", chart, "weights: [35, 37, 40, 43", "weights: [30, 37, 40, 43", "a premium would fall with age"},

		{"two effects", questions, "{refer: true}", "{refer: true, decline: true}", "line N: questions[5].yes: must do one thing"},
		{"nothing done", questions, "{refer: true}", "{refer: false}", "must do one thing"},
		{"no question", questions, "have diabetes?", "have diabetes.", "line N: questions[2].text: must be a question"},
		{"question twice", questions, "id: diabetes", "id: cancer", "line N: questions[2].id: must be"},
		{"class unknown", questions, "class: Preferred}", "class: Best}", "line N: questions[4].yes.class"},

		{"another table's bytes", tables, "sha256:6", "sha256:0", "has another"},
		{"tables unordered", tables, "number: 3209", "number: 3210", "numbers must rise"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			real := read(t, tt.file)
			file := strings.Replace(real, tt.old, tt.new, 1)
			if file == real {
				t.Fatalf("%q is not in the file", tt.old)
			}
			before, _, _ := strings.Cut(real, tt.old)
			want := strings.Replace(tt.want, "line N:", fmt.Sprintf("line %d:", 1+strings.Count(before, "\n")), 1)
			_, err := rulebook.Load(with(tt.file, file))
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Fatalf("Load = %v, want an error with %q", err, want)
			}
			if errors.Is(err, rulebook.ErrNotApproved) {
				t.Error("what is wrong with a file must come before who approved it")
			}
			for _, line := range strings.Split(err.Error(), "\n") {
				if !where.MatchString(line) {
					t.Errorf("problem %q, want file, line and reason", line)
				}
			}
		})
	}
}

var where = regexp.MustCompile(`^[a-z]+/[a-z0-9-]+\.(yaml|xml): line [0-9]+: .+`)

func TestLoadRefusesTwoVersionsOfOneDay(t *testing.T) {
	_, err := rulebook.LoadDraft(with("products/us-term-2.yaml", read(t, "products/us-term.yaml")))
	if err == nil || !strings.Contains(err.Error(), "overlaps") {
		t.Errorf("LoadDraft = %v, want two versions from one day refused", err)
	}
}

// The version in force is found by the valuation date, and that of its parts
// with it.
func TestProductInForce(t *testing.T) {
	product := strings.NewReplacer("2026-01-01", "2026-07-01", "interest: 0.03", "interest: 0.04").Replace(read(t, "products/us-term.yaml"))
	questions := strings.NewReplacer("2026-01-01", "2026-09-01", "rating_steps: 4", "rating_steps: 5").Replace(read(t, "questions/health.yaml"))
	b, err := rulebook.LoadDraft(with("products/us-term-2.yaml", product, "questions/health-2.yaml", questions))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		market, id, at string
		want           string // effective from
		interest       float64
		steps          int
		err            error
	}{
		{"US", "", "2026-06-30", "2026-01-01", 0.03, 4, nil},
		{"US", "us-term", "2026-07-01", "2026-07-01", 0.04, 4, nil},
		{"US", "us-term", "2026-08-31", "2026-07-01", 0.04, 4, nil},
		{"US", "us-term", "2026-09-01", "2026-09-01", 0.04, 5, nil},
		{"IN", "", "2026-10-01", "2026-01-01", 0.06, 4, nil}, // has other questions
		{"US", "", "2025-12-31", "", 0, 0, rulebook.ErrNotYet},
		{"US", "us-whole-life", "2026-07-01", "", 0, 0, rulebook.ErrNoProduct},
		{"CH", "", "2026-07-01", "", 0, 0, rulebook.ErrNoMarket},
	}
	for _, tt := range tests {
		p, err := b.Product(tt.market, tt.id, date(tt.at))
		if !errors.Is(err, tt.err) {
			t.Errorf("Product(%q, %q, %s): %v, want %v", tt.market, tt.id, tt.at, err, tt.err)
			continue
		}
		if err != nil {
			continue
		}
		if !p.EffectiveFrom.Equal(date(tt.want)) || p.Interest != tt.interest || p.Questions[2].Yes.Steps != tt.steps {
			t.Errorf("Product(%q, %q, %s) is of %s with interest %g and %d steps, want %s, %g, %d", tt.market, tt.id, tt.at,
				p.EffectiveFrom, p.Interest, p.Questions[2].Yes.Steps, tt.want, tt.interest, tt.steps)
		}
	}
}

// BenchmarkLoad is what a cold function pays.
func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := rulebook.Load(rules.FS); err != nil {
			b.Fatal(err)
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

// TestLoadRefusesAliasBombs has a few lines stand for 10^10 values, where a file
// has room for them and where it has not.
func TestLoadRefusesAliasBombs(t *testing.T) {
	var bomb strings.Builder
	bomb.WriteString("a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n")
	for i := 1; i < 10; i++ {
		fmt.Fprintf(&bomb, "a%d: &a%d [%s*a%d]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), i-1)
	}
	const product = "products/us-term.yaml"
	own := read(t, product)
	for name, file := range map[string]string{
		"before the product": bomb.String() + own,
		"after it":           own + bomb.String(),
		"in a field":         bomb.String() + strings.Replace(own, "terms: [10", "terms: [*a9, 10", 1),
		"an alias of itself": "a: &a [*a]\n" + own,
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if _, err := rulebook.Load(with(product, file)); err == nil {
				t.Error("Load took it")
			}
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > 100<<20 {
				t.Errorf("Load allocated %d MB", used>>20)
			}
		})
	}
}

// FuzzLoad gives each kind of rule file in turn from outside.
func FuzzLoad(f *testing.F) {
	names := []string{"products/us-term.yaml", "products/eu-term.yaml", "classes/vbt-relative-risk.yaml", "classes/assured-lives.yaml",
		"charts/us-build.yaml", "charts/in-build.yaml", "questions/health.yaml", "tables/tables.yaml"}
	for i, name := range names {
		f.Add(i, []byte(read(f, name)))
	}
	load := rulebook.CachingLoader()
	if _, err := load(rules.FS); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, which int, file []byte) {
		if which < 0 || which >= len(names) {
			return
		}
		b, err := load(with(names[which], string(file)))
		if err != nil {
			for _, line := range strings.Split(err.Error(), "\n") {
				if !strings.HasPrefix(line, names[which]+": ") && !where.MatchString(line) {
					t.Errorf("problem %q, want file and line first", line)
				}
			}
			return
		}
		// What loads insures nobody under 18, and has a class for everybody.
		for _, p := range b.Versions() {
			if p.MinAge < 18 || len(p.Classes) == 0 || len(p.Chart.Panels) == 0 || len(p.Questions) > underwriting.MaxQuestions {
				t.Errorf("Load took %+v", p)
			}
		}
	})
}
