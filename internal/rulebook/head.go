package rulebook

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/agequote/agequote/internal/digest"
)

// maxRuleBytes bounds a rule file; the largest present one has 30 kB.
const maxRuleBytes = 256 << 10

// Head is what every rule file begins with: what it is, from when it counts,
// and who answers for it.
type Head struct {
	Schema        int    `yaml:"schema"`
	ID            string `yaml:"id"`
	EffectiveFrom string `yaml:"effective_from"`
	Author        string `yaml:"author"`
	Approver      string `yaml:"approver"`
	Reason        string `yaml:"reason"`
}

// file is a rule file as read, with what finds lines in it.
type file struct {
	name string // path in the rule book
	hash string
	head *Head
	from time.Time // effective_from
	tree *ast.File
}

// parse decodes one rule file strictly into content, which holds the head h,
// and checks the head. The error joins all problems, each with its line.
func parse(name string, raw []byte, content any, h *Head, check func(*checker)) (*file, error) {
	if len(raw) > maxRuleBytes {
		return nil, fmt.Errorf("%s: more than %d bytes", name, maxRuleBytes)
	}
	tree, err := parser.ParseBytes(raw, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, yamlError(err))
	}
	if len(tree.Docs) != 1 {
		return nil, fmt.Errorf("%s: line 1: %d YAML documents, want 1", name, len(tree.Docs))
	}
	if tree.Docs[0].Body == nil {
		return nil, fmt.Errorf("%s: line 1: is empty", name)
	}
	if err := yaml.NodeToValue(tree.Docs[0].Body, content, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("%s: %w", name, yamlError(err))
	}
	f := &file{name: name, hash: digest.Of(raw), head: h, tree: tree}
	f.from, _ = time.Parse(time.DateOnly, h.EffectiveFrom) // checked below
	c := &checker{file: f}
	c.head(h)
	check(c)
	return f, c.err()
}

// yamlError brings the YAML library's errors to the form of ours: line, then
// reason, without the library's excerpt of the file.
func yamlError(err error) error {
	var y yaml.Error
	if errors.As(err, &y) && y.GetToken() != nil {
		return fmt.Errorf("line %d: %s", y.GetToken().Position.Line, y.GetMessage())
	}
	return fmt.Errorf("line 1: %s", strings.TrimSpace(yaml.FormatError(err, false, false)))
}

// checker collects the problems of one file.
type checker struct {
	file     *file
	problems []error
}

func (c *checker) err() error { return errors.Join(c.problems...) }

// require notes the problem unless ok. at is the YAML path of the culprit,
// from which the line is found. NaN fails every comparison, so conditions are
// written as what must hold.
func (c *checker) require(ok bool, at, format string, args ...any) bool {
	if !ok {
		c.problems = append(c.problems, fmt.Errorf("%s: line %d: %s: %s", c.file.name, c.line(at), at, fmt.Sprintf(format, args...)))
	}
	return ok
}

// line returns where the path, or as much of it as the file has, stands.
func (c *checker) line(at string) int {
	for at != "" {
		if p, err := yaml.PathString("$." + at); err == nil {
			if node, err := p.FilterFile(c.file.tree); err == nil && node != nil && node.GetToken() != nil {
				return node.GetToken().Position.Line
			}
		}
		at = at[:max(0, strings.LastIndexAny(at, ".["))]
	}
	return 1
}

var (
	idPattern       = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	currencyPattern = regexp.MustCompile(`^[A-Z]{3}$`)
)

func (c *checker) head(h *Head) {
	c.require(idPattern.MatchString(h.ID), "id", "must be lower-case words joined by hyphens")
	_, err := time.Parse(time.DateOnly, h.EffectiveFrom)
	c.require(err == nil, "effective_from", "must be a date, YYYY-MM-DD")
	c.require(h.Author != "", "author", "must be named")
	c.require(h.Approver != "", "approver", "must be named")
	// Four eyes: nobody puts a price in force alone.
	c.require(!samePerson(h.Author, h.Approver), "approver", "must be another person than the author")
	c.require(h.Reason != "", "reason", "must say why the version exists")
}

// samePerson compares names as typed, but for case and blanks around them.
func samePerson(a, b string) bool {
	return strings.EqualFold(strings.TrimSpace(a), strings.TrimSpace(b))
}

func (c *checker) schema(h *Head, want int) {
	c.require(h.Schema == want, "schema", "must be %d", want)
}
