package rulebook_test

import (
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/rules"
)

// harmless are the mutants that nothing can tell from the original, by file,
// path and new value, with the reason.
var harmless = []struct{ leaf, reason string }{
	{`^charts/.* \$\.panels\[\d+\]\.ages\.from: 1[79]$`, "an age below the lowest that the product takes"},
	{`^charts/.* \$\.panels\[\d+\]\.ages\.to: (77|72|67)$`, "an age above the highest that the product takes"},
	{`^(classes|charts|questions|tables)/.* \$\.effective_from: 2025-12-31$`, "a part that is in force before every product"},
}

// leaf is a limit in a rule file: a number, a table rating or a date.
type leaf struct {
	file, path string
	offset     int // of its text in the file, in bytes
	text       string
}

// neighbours are the leaf's texts when it is one unit of its kind less and
// more: the last decimal of a number, a letter, a day.
func (l leaf) neighbours() []string {
	if day, err := time.Parse(time.DateOnly, l.text); err == nil {
		return []string{day.AddDate(0, 0, -1).Format(time.DateOnly), day.AddDate(0, 0, 1).Format(time.DateOnly)}
	}
	if len(l.text) == 1 && l.text >= "A" && l.text <= "P" {
		return []string{string(rune(l.text[0] - 1)), string(rune(l.text[0] + 1))}
	}
	_, decimals, _ := strings.Cut(l.text, ".")
	v, err := strconv.ParseFloat(l.text, 64)
	if err != nil {
		panic(err)
	}
	unit := 1.0
	for range decimals {
		unit /= 10
	}
	write := func(v float64) string { return strconv.FormatFloat(v, 'f', len(decimals), 64) }
	return []string{write(v - unit), write(v + unit)}
}

// leaves finds every limit of a file.
func leaves(t *testing.T, name, text string) []leaf {
	t.Helper()
	tree, err := parser.ParseBytes([]byte(text), 0)
	if err != nil {
		t.Fatal(err)
	}
	v := &leafVisitor{file: name, lines: lineOffsets(text)}
	for _, doc := range tree.Docs {
		ast.Walk(v, doc)
	}
	for _, l := range v.found {
		if text[l.offset:l.offset+len(l.text)] != l.text {
			t.Fatalf("%s %s: %q is not at offset %d", name, l.path, l.text, l.offset)
		}
	}
	return v.found
}

func lineOffsets(text string) []int {
	offsets := []int{0}
	for i, r := range text {
		if r == '\n' {
			offsets = append(offsets, i+1)
		}
	}
	return offsets
}

type leafVisitor struct {
	file  string
	lines []int
	found []leaf
}

var limitText = regexp.MustCompile(`^([A-P]|\d{4}-\d\d-\d\d)$`)

func (v *leafVisitor) Visit(n ast.Node) ast.Visitor {
	tok := n.GetToken()
	var is bool
	switch n.Type() {
	case ast.IntegerType, ast.FloatType:
		is = true
	case ast.StringType:
		is = limitText.MatchString(tok.Value) && tok.Type == token.StringType
	}
	if is {
		v.found = append(v.found, leaf{v.file, n.GetPath(), v.lines[tok.Position.Line-1] + tok.Position.Column - 1, tok.Value})
	}
	return v
}

// TestEveryLimitIsTested changes every limit of every rule file by one unit,
// down and up. Each change must be refused on loading, or change a decision or
// a premium of a golden case.
func TestEveryLimitIsTested(t *testing.T) {
	load := rulebook.CachingLoader()
	original, err := load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	n := &noticer{original: original, cases: readCorpus(t, original)}
	allowed := make([]*regexp.Regexp, len(harmless))
	used := make([]bool, len(harmless))
	for i, h := range harmless {
		allowed[i] = regexp.MustCompile(h.leaf)
	}

	every := 1
	if testing.Short() {
		every = 20 // the whole takes a minute under the race detector
	}
	mutants, refused := 0, 0
	for _, f := range original.Files() {
		text := read(t, f.Name)
		for i, l := range leaves(t, f.Name, text) {
			if i%every != 0 {
				continue
			}
			for _, value := range l.neighbours() {
				mutants++
				b, err := load(with(f.Name, text[:l.offset]+value+text[l.offset+len(l.text):]))
				if err != nil {
					refused++
					continue
				}
				name := fmt.Sprintf("%s %s: %s", l.file, l.path, value)
				caught := f.Kind == "tables" && b.CheckTables() != nil || n.notices(b)
				for i, a := range allowed {
					if !caught && a.MatchString(name) {
						caught, used[i] = true, true
					}
				}
				if !caught {
					t.Errorf("%s, was %s: nobody notices", name, l.text)
				}
			}
		}
	}
	for i, h := range harmless {
		if !used[i] && every == 1 {
			t.Errorf("%s is listed as harmless (%s) but is not", h.leaf, h.reason)
		}
	}
	t.Logf("%d changes, of which loading refused %d", mutants, refused)
}

// noticer looks for a golden case of which a book says something else than
// what is stored. It begins where it found the last one: limits that stand
// beside each other are met by cases that do.
type noticer struct {
	original *rulebook.Book
	cases    []said
	last     int
}

func (n *noticer) notices(b *rulebook.Book) bool {
	changed := map[string]bool{}
	for _, market := range []string{"US", "EU", "IN"} {
		before, _ := n.original.Product(market, "", date("2026-11-24"))
		after, err := b.Product(market, "", date("2026-11-24"))
		changed[market] = err != nil || before.Hash != after.Hash
	}
	return n.find(changed, func(c *said) bool { return decide(b, &c.applicant).decision() != c.decision }) || // fast
		n.find(changed, func(c *said) bool {
			money, err := decide(b, &c.applicant).money(b, &c.applicant)
			return err != nil || money != c.money
		})
}

func (n *noticer) find(changed map[string]bool, differs func(*said) bool) bool {
	for k := range n.cases {
		i := (n.last + k) % len(n.cases)
		if c := &n.cases[i]; changed[c.facts.Market] && differs(c) {
			n.last = max(0, i-20)
			return true
		}
	}
	return false
}

var _ fs.ReadFileFS = overlay{}
