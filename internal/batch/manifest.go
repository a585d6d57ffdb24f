package batch

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/consent"
	"github.com/agequote/agequote/internal/underwriting"
)

// Code says why an item failed. The list is closed and append only.
type Code string

// The codes of failures. What became of a photo that was read has a code of
// package reason.
const (
	BadRow          Code = "bad_row"          // the manifest's line cannot be read
	DuplicateCase   Code = "duplicate_case"   // an earlier line has this case id
	PhotoMissing    Code = "photo_missing"    // there is no such file
	PhotoUnreadable Code = "photo_unreadable" // the file cannot be opened, or is no file
	Erased          Code = "erased"           // the case was erased, before or while the batch ran
	GaveUp          Code = "gave_up"          // every try ended in an error; the log has it
	CaseExists      Code = "case_exists"      // with other facts, or another consent
	Stopped         Code = "stopped"          // the batch was, before the item was done
)

// sentences tell what happened, to whoever runs the batch.
var sentences = map[Code]string{
	DuplicateCase:   "An earlier line of the manifest has this case id; a case has one photo in a manifest.",
	PhotoMissing:    "There is no such photo in the folder of images.",
	PhotoUnreadable: "The photo cannot be opened, or is no ordinary file.",
	Erased:          "The case was erased.",
	GaveUp:          "Processing gave up after several tries; the log tells why.",
	CaseExists:      "The case exists with other facts or another consent; give this line an id of its own.",
	Stopped:         "The batch was stopped before this item was done, by a person or because too many others failed.",
}

// Sentence returns the code's plain sentence. BadRow has none of its own: the
// row's Problem tells what is wrong.
func (c Code) Sentence() string { return sentences[c] }

// Stages of a failure.
const (
	StageManifest = "manifest"
	StagePredict  = "predict"
	StageQuote    = "quote"
)

// Problem is what keeps a line of the manifest from being an item. Its sentence
// repeats nothing of the line.
type Problem struct {
	Code     Code
	Sentence string
}

// Item is one line of a manifest. With a Problem it is listed and failed, and
// the other fields are what could be read.
type Item struct {
	Row     int    // line of the manifest; the header is line 1
	Case    string // casefile.ValidID
	N       int    // of the photo within the case: 1
	Photo   string // path below the folder of images, slashes
	Facts   underwriting.Facts
	Consent *casefile.Consent // nil: none, or one to a text that is not known
	Groups  []string          // "race=asian" ..., in the order of the columns
	Fields  []string          // of the line as it stood, in the order of the header
	Raw     string            // the line itself where it has no fields
	Problem *Problem
	Upload  Upload // where the photo lies on AWS; zero in a batch without AWS
}

// Limits of a manifest.
const (
	MaxLine    = 64 << 10 // bytes of a line
	MaxColumns = 200
	maxPath    = 1024
	maxField   = 1024
	// DefaultConsentDays is for how long a consent of a manifest without the
	// column consent_days allows a photo to be read.
	DefaultConsentDays = 30
)

// The columns of a manifest. Each may stand anywhere.
var (
	required = []string{"case", "photo", "sum", "term", "market"}
	optional = []string{"age", "birth_date", "sex", "height_cm", "weight_kg", "tobacco", "product", "mode", "answers",
		"consent_version", "consent_time", "consent_days"}
	// failureColumns are those that a failures table adds. A reader passes over
	// them, so that the table is a manifest.
	failureColumns = []string{"row", "code", "stage", "tries", "message", "raw"}
)

// Reader reads a manifest line by line, and holds one line and the hashes of
// the case ids so far. A line is a record: a field holds no line break, so that
// a quote left open spoils its own line alone.
type Reader struct {
	in      *bufio.Reader
	header  []string
	line    int
	seen    map[[16]byte]struct{}
	texts   map[textKey]consent.Terms
	groups  []int // columns that are groups
	columns map[string]int
}

type textKey struct {
	version string
	days    int
}

// NewReader reads the header. Its errors tell what to mend.
func NewReader(r io.Reader) (*Reader, error) {
	m := &Reader{in: bufio.NewReaderSize(r, 32<<10), seen: map[[16]byte]struct{}{}, texts: map[textKey]consent.Terms{}, columns: map[string]int{}}
	line, tooLong, err := m.next()
	switch {
	case errors.Is(err, io.EOF):
		return nil, errors.New("read manifest: it is empty")
	case err != nil:
		return nil, fmt.Errorf("read manifest: %w", err)
	case tooLong:
		return nil, fmt.Errorf("read manifest: the header is longer than %d bytes", MaxLine)
	}
	line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	fields, problem := split(line)
	if problem != "" {
		return nil, fmt.Errorf("read manifest: header: %s", problem)
	}
	return m, m.setHeader(fields)
}

func (m *Reader) setHeader(fields []string) error {
	if len(fields) > MaxColumns {
		return fmt.Errorf("read manifest: %d columns; %d are allowed", len(fields), MaxColumns)
	}
	known := slices.Concat(required, optional, failureColumns)
	for i, f := range fields {
		name := strings.TrimSpace(f)
		if _, again := m.columns[name]; again {
			return fmt.Errorf("read manifest: column %q stands twice", name)
		}
		if name == "" {
			return fmt.Errorf("read manifest: column %d has no name", i+1)
		}
		if formula(name) {
			return fmt.Errorf("read manifest: column %q begins as a formula does", name)
		}
		m.columns[name] = i
		m.header = append(m.header, name)
		if !slices.Contains(known, name) {
			m.groups = append(m.groups, i)
		}
	}
	var missing []string
	for _, name := range required {
		if _, ok := m.columns[name]; !ok {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	hint := ""
	if len(fields) == 1 && strings.ContainsAny(fields[0], ";\t") {
		hint = "; the columns must be parted by commas"
	}
	return fmt.Errorf("read manifest: no column %s%s", strings.Join(missing, ", "), hint)
}

// Header is the names of the columns, in their order.
func (m *Reader) Header() []string { return m.header }

// Next returns the next item, or io.EOF. Any other error is the underlying
// reader's: what is wrong with a line is its item's Problem.
func (m *Reader) Next() (Item, error) {
	for {
		line, tooLong, err := m.next()
		if err != nil {
			return Item{}, err
		}
		if len(line) == 0 && !tooLong {
			continue // an empty line lists nothing
		}
		item := Item{Row: m.line, N: 1}
		m.fill(&item, line, tooLong)
		return item, nil
	}
}

// next returns the next line without its end. It holds at most MaxLine bytes of
// a longer one, and skips the rest.
func (m *Reader) next() (line []byte, tooLong bool, err error) {
	m.line++
	for {
		part, err := m.in.ReadSlice('\n')
		if room := MaxLine + 2 - len(line); len(part) > room {
			part, tooLong = part[:room], true
		}
		line = append(line, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return nil, false, fmt.Errorf("read manifest: %w", err)
		case err != nil && len(line) == 0:
			return nil, false, io.EOF
		}
		line = bytes.TrimSuffix(line, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) > MaxLine {
			line, tooLong = line[:MaxLine], true
		}
		return line, tooLong, nil
	}
}

// split parts a line into its fields; problem is a sentence.
func split(line []byte) (fields []string, problem string) {
	if !utf8.Valid(line) {
		return nil, "The line is not UTF-8 text."
	}
	if bytes.ContainsAny(line, "\x00\r") {
		return nil, "The line holds a control character."
	}
	r := csv.NewReader(bytes.NewReader(line))
	r.FieldsPerRecord = -1
	fields, err := r.Read()
	if err != nil {
		return nil, "The line's quotes do not match; a field may not hold a line break."
	}
	return fields, ""
}

func (m *Reader) fill(item *Item, line []byte, tooLong bool) {
	fail := func(code Code, format string, args ...any) {
		if item.Problem == nil {
			item.Problem = &Problem{Code: code, Sentence: fmt.Sprintf(format, args...)}
		}
	}
	if tooLong {
		item.Raw = strings.ToValidUTF8(string(line[:maxField]), "?")
		fail(BadRow, "The line is longer than %d bytes.", MaxLine)
		return
	}
	fields, problem := split(line)
	if problem != "" {
		item.Raw = strings.ToValidUTF8(string(line), "?")
		fail(BadRow, "%s", problem)
		return
	}
	item.Fields = fields
	if len(fields) != len(m.header) {
		item.Raw, item.Fields = string(line), nil
		fail(BadRow, "The line has %d fields, the header %d.", len(fields), len(m.header))
		return
	}
	p := &parser{m: m, fields: fields}
	item.Case, item.Photo = p.text("case"), p.text("photo")
	item.Facts, item.Consent = p.facts(), p.consent()
	for _, i := range m.groups {
		if words := strings.Fields(withoutQuote(fields[i])); len(words) > 0 { // a row joins groups by spaces
			item.Groups = append(item.Groups, strings.ReplaceAll(m.header[i], " ", "_")+"="+strings.Join(words, "_"))
		}
	}
	switch {
	case !casefile.ValidID(item.Case):
		item.Case = ""
		fail(BadRow, "case: give an id of 8 to 64 letters, digits, - and _, beginning with a letter or digit.")
	case !m.first(item.Case):
		fail(DuplicateCase, "%s", DuplicateCase.Sentence())
	case !validPath(item.Photo):
		fail(BadRow, "photo: give a path below the folder of images, parted by slashes, without ..")
	case p.problem != "":
		fail(BadRow, "%s", p.problem)
	}
}

// first tells whether no line before had this case. It keeps half of each
// hash: two of 10^9 ids meet in one with probability 10^-21.
func (m *Reader) first(id string) bool {
	sum := sha256.Sum256([]byte(id))
	key := [16]byte(sum[:16])
	_, again := m.seen[key]
	m.seen[key] = struct{}{}
	return !again
}

// validPath tells whether a path stays below its folder on every system.
func validPath(p string) bool {
	return p != "" && len(p) <= maxPath && path.Clean(p) == p && !path.IsAbs(p) && p != ".." && p != "." &&
		!strings.HasPrefix(p, "../") && !strings.ContainsAny(p, `\:`) && !strings.ContainsFunc(p, unicode.IsControl)
}

// parser reads the fields of one line, and keeps the first problem.
type parser struct {
	m       *Reader
	fields  []string
	problem string
}

func (p *parser) text(column string) string {
	i, ok := p.m.columns[column]
	if !ok {
		return ""
	}
	value := strings.TrimSpace(withoutQuote(p.fields[i]))
	if len(value) > maxField {
		p.bad(column, "give at most %d bytes", maxField)
		return ""
	}
	return value
}

func (p *parser) bad(column, format string, args ...any) {
	if p.problem == "" {
		p.problem = column + ": " + fmt.Sprintf(format, args...) + "."
	}
}

func (p *parser) number(column string) float64 {
	text := p.text(column)
	if text == "" {
		return 0
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || v-v != 0 { // not a number, or infinite
		p.bad(column, "give a number")
		return 0
	}
	return v
}

func (p *parser) whole(column string) int {
	text := p.text(column)
	if text == "" {
		return 0
	}
	v, err := strconv.Atoi(text)
	if err != nil {
		p.bad(column, "give a whole number")
	}
	return v
}

// facts reads what was declared. Whether it can be insured is quote's affair:
// here a field has to be what its column holds.
func (p *parser) facts() underwriting.Facts {
	f := underwriting.Facts{
		BirthDate: p.text("birth_date"), Sex: p.text("sex"), Tobacco: p.text("tobacco"),
		HeightCM: p.number("height_cm"), WeightKG: p.number("weight_kg"), TermYears: p.whole("term"),
		Market: p.text("market"), Product: p.text("product"), Mode: p.text("mode"),
	}
	if p.text("age") != "" {
		age := p.number("age")
		f.Age = &age
	}
	if sum := p.text("sum"); sum != "" {
		cents, err := underwriting.ParseCents(sum)
		if err != nil {
			p.bad("sum", "give an amount such as 250000 or 250000.50")
		}
		f.SumCents = cents
	}
	if answers := p.text("answers"); answers != "" {
		f.Answers = p.answers(answers)
	}
	return f
}

// answers reads "diabetes=yes; stroke=no".
func (p *parser) answers(text string) map[string]bool {
	out := map[string]bool{}
	for one := range strings.SplitSeq(text, ";") {
		if one = strings.TrimSpace(one); one == "" {
			continue
		}
		id, answer, _ := strings.Cut(one, "=")
		if _, again := out[id]; again || id == "" || answer != "yes" && answer != "no" {
			p.bad("answers", "give question=yes or question=no, parted by semicolons, each question once")
			return nil
		}
		out[id] = answer == "yes"
	}
	return out
}

// consent reads what the customer agreed to. Missing, or to a text that is not
// known, is none: the photo is then refused as no_consent. A time that cannot
// be read is a slip to be mended.
func (p *parser) consent() *casefile.Consent {
	version, at := p.text("consent_version"), p.text("consent_time")
	days := DefaultConsentDays
	if p.text("consent_days") != "" {
		days = p.whole("consent_days")
	}
	if version == "" || at == "" {
		return nil
	}
	given, err := time.Parse(time.RFC3339, at)
	if err != nil {
		p.bad("consent_time", "give a time such as 2026-11-25T09:30:00Z")
		return nil
	}
	terms, ok := p.m.text(version, days)
	if !ok {
		return nil
	}
	return terms.Record(given)
}

// text finds a consent text once for all lines that name it. Versions are few;
// what is not known is not kept.
func (m *Reader) text(version string, days int) (consent.Terms, bool) {
	key := textKey{version, days}
	if t, ok := m.texts[key]; ok {
		return t, true
	}
	t, err := consent.Find(version, days)
	if err != nil {
		return consent.Terms{}, false
	}
	m.texts[key] = t
	return t, true
}
