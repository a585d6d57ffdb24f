package premium

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Limits on what is read. The largest file in the project is 88 kB, and no
// human life table runs past 130.
const (
	maxXTbMLBytes = 1 << 20
	maxTableAge   = 130
)

// ParseXTbML reads one mortality table in the Society of Actuaries' XTbML
// format (ACORD's XML for tables): either a single ultimate table by Age, or a
// select table by Age and Duration followed by its ultimate table. Anything
// else, and any gap, repetition or rate outside 0..1, is refused with an error
// that names the line. It reads at most 1 MiB.
//
// A ScalingFactor other than 0 is refused as well: all 4,483 tables that the
// Society had published by 2026 have 0, and a guess at the meaning of another
// would misprice by powers of ten.
func ParseXTbML(r io.Reader) (*Table, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxXTbMLBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read XTbML: %w", err)
	}
	if len(b) > maxXTbMLBytes {
		return nil, fmt.Errorf("read XTbML: more than %d bytes", maxXTbMLBytes)
	}
	doc, err := decodeXTbML(b)
	if err != nil {
		return nil, fmt.Errorf("read XTbML: %w", err)
	}
	t, err := doc.table()
	if err != nil {
		return nil, fmt.Errorf("read XTbML: %w", err)
	}
	return t, nil
}

type xtbml struct {
	XMLName xml.Name   `xml:"XTbML"`
	Number  string     `xml:"ContentClassification>TableIdentity"`
	Name    string     `xml:"ContentClassification>TableName"`
	Tables  []xmlTable `xml:"Table"`
}

type xmlTable struct {
	line    int
	Scaling string       `xml:"MetaData>ScalingFactor"`
	Axes    []xmlAxisDef `xml:"MetaData>AxisDef"`
	Values  []xmlAxis    `xml:"Values>Axis"`
}

type xmlAxisDef struct {
	line      int
	Name      string `xml:"AxisName"`
	Min       string `xml:"MinScaleValue"`
	Max       string `xml:"MaxScaleValue"`
	Increment string `xml:"Increment"`
}

// xmlAxis is one level of the values: rows of the first axis hold an Axis of
// the second, and the last level holds the rates.
type xmlAxis struct {
	line  int
	T     string     `xml:"t,attr"`
	Axes  []xmlAxis  `xml:"Axis"`
	Cells []xmlCell  `xml:"Y"`
	Other []struct{} `xml:",any"`
}

type xmlCell struct {
	line  int
	T     string     `xml:"t,attr"`
	Text  string     `xml:",chardata"`
	Other []struct{} `xml:",any"` // would be left out of Text, and its parts joined
}

// The UnmarshalXML methods exist to note the line, which encoding/xml forgets.

func (t *xmlTable) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	type plain xmlTable
	t.line, _ = d.InputPos()
	return d.DecodeElement((*plain)(t), &start)
}

func (a *xmlAxisDef) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	type plain xmlAxisDef
	a.line, _ = d.InputPos()
	return d.DecodeElement((*plain)(a), &start)
}

func (a *xmlAxis) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	type plain xmlAxis
	a.line, _ = d.InputPos()
	return d.DecodeElement((*plain)(a), &start)
}

func (c *xmlCell) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	type plain xmlCell
	c.line, _ = d.InputPos()
	return d.DecodeElement((*plain)(c), &start)
}

func decodeXTbML(b []byte) (*xtbml, error) {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")) // the Society's files start with a byte order mark
	d := xml.NewDecoder(bytes.NewReader(b))
	var doc xtbml
	if err := d.Decode(&doc); err != nil {
		return nil, lineError(d, err)
	}
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return &doc, nil
		}
		if err != nil {
			return nil, lineError(d, err)
		}
		if _, ok := tok.(xml.StartElement); ok {
			return nil, lineError(d, errors.New("a second document follows the first"))
		}
	}
}

// lineError adds the decoder's line to err, unless err tells it already.
func lineError(d *xml.Decoder, err error) error {
	var syntax *xml.SyntaxError
	if errors.As(err, &syntax) {
		return err // "XML syntax error on line 3: ..."
	}
	line, _ := d.InputPos()
	return fmt.Errorf("line %d: %w", line, err)
}

func (x *xtbml) table() (*Table, error) {
	number, err := strconv.Atoi(strings.TrimSpace(x.Number))
	if err != nil || number < 1 {
		return nil, errors.New("TableIdentity is not a table number")
	}
	name := strings.TrimSpace(x.Name)
	t := &Table{Number: number, Name: name, AgeBasis: ageBasisOf(name)}
	switch len(x.Tables) {
	case 1:
	case 2:
		if err := t.readSelect(&x.Tables[0]); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%d tables: want one ultimate table, or a select table and its ultimate table", len(x.Tables))
	}
	last := &x.Tables[len(x.Tables)-1]
	if err := t.readUltimate(last); err != nil {
		return nil, err
	}
	return t, t.checkJoin(last.line)
}

// ageBasisOf finds the age basis in a table's name; the format has no field
// for it, and the Society writes it at the end of the name.
func ageBasisOf(name string) AgeBasis {
	words := strings.FieldsFunc(name, func(r rune) bool { return r == ' ' || r == ',' })
	for i := len(words) - 1; i >= 0; i-- {
		switch b := AgeBasis(words[i]); b {
		case AgeLastBirthday, AgeNearestBirthday:
			return b
		}
	}
	return ""
}

func (t *Table) readSelect(x *xmlTable) error {
	if err := x.check("Age", "Duration"); err != nil {
		return err
	}
	minAge, maxAge, err := x.Axes[0].limits(0)
	if err != nil {
		return err
	}
	first, period, err := x.Axes[1].limits(1)
	if err != nil {
		return err
	}
	if first != 1 {
		return fmt.Errorf("line %d: durations must start at 1", x.Axes[1].line)
	}
	if len(x.Values) != maxAge-minAge+1 {
		return fmt.Errorf("line %d: %d rows for ages %d to %d", x.line, len(x.Values), minAge, maxAge)
	}
	t.selectMin, t.period = minAge, period
	for i := range x.Values {
		row := &x.Values[i]
		if strings.TrimSpace(row.T) != strconv.Itoa(minAge+i) || len(row.Axes) != 1 || len(row.Cells) != 0 || len(row.Other) != 0 {
			return fmt.Errorf("line %d: want the one row of age %d here", row.line, minAge+i)
		}
		q, err := row.Axes[0].rates(1, period)
		if err != nil {
			return err
		}
		t.selected = append(t.selected, q...)
	}
	return nil
}

func (t *Table) readUltimate(x *xmlTable) error {
	if err := x.check("Age"); err != nil {
		return err
	}
	minAge, maxAge, err := x.Axes[0].limits(0)
	if err != nil {
		return err
	}
	if len(x.Values) != 1 {
		return fmt.Errorf("line %d: an ultimate table has one row of rates, not %d", x.line, len(x.Values))
	}
	t.ultimateMin = minAge
	t.ultimate, err = x.Values[0].rates(minAge, maxAge)
	return err
}

// checkJoin refuses a hole between the end of selection and the first ultimate
// rate, or between the last select issue age and the first that has ultimate
// rates alone, and select rates for issue ages past the ultimate ones.
func (t *Table) checkJoin(line int) error {
	if t.period == 0 {
		return nil
	}
	lastIssue := t.selectMin + len(t.selected)/t.period - 1
	if t.ultimateMin > min(t.selectMin+t.period, lastIssue+1) || t.MaxAge() < lastIssue {
		return fmt.Errorf("line %d: the ultimate ages do not follow on the select table", line)
	}
	return nil
}

// check refuses other axes than the named ones, and a scaling.
func (x *xmlTable) check(names ...string) error {
	if s := strings.TrimSpace(x.Scaling); s != "0" {
		return fmt.Errorf("line %d: ScalingFactor must be 0", x.line)
	}
	if len(x.Axes) != len(names) {
		return fmt.Errorf("line %d: %d axes, want %s", x.line, len(x.Axes), strings.Join(names, " by "))
	}
	for i, name := range names {
		if got := strings.TrimSpace(x.Axes[i].Name); got != name {
			return fmt.Errorf("line %d: axis %q where %s is wanted", x.Axes[i].line, got, name)
		}
	}
	return nil
}

// limits returns the first and last value of an axis of whole steps.
func (a *xmlAxisDef) limits(least int) (first, last int, err error) {
	first, err1 := strconv.Atoi(strings.TrimSpace(a.Min))
	last, err2 := strconv.Atoi(strings.TrimSpace(a.Max))
	if err1 != nil || err2 != nil || strings.TrimSpace(a.Increment) != "1" {
		return 0, 0, fmt.Errorf("line %d: an axis needs whole limits and increment 1", a.line)
	}
	if first < least || last < first || last > maxTableAge {
		return 0, 0, fmt.Errorf("line %d: axis limits must rise within %d to %d", a.line, least, maxTableAge)
	}
	return first, last, nil
}

// rates returns the q of each step first..last, in order and without a gap.
func (a *xmlAxis) rates(first, last int) ([]float64, error) {
	if len(a.Axes) != 0 || len(a.Other) != 0 || len(a.Cells) != last-first+1 {
		return nil, fmt.Errorf("line %d: %d rates for %d to %d", a.line, len(a.Cells), first, last)
	}
	out := make([]float64, len(a.Cells))
	for i, c := range a.Cells {
		if strings.TrimSpace(c.T) != strconv.Itoa(first+i) {
			return nil, fmt.Errorf("line %d: rate for %q where %d is wanted", c.line, c.T, first+i)
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(c.Text), 64)
		if err != nil || len(c.Other) != 0 || !(q >= 0 && q <= 1) { // NaN compares false
			return nil, fmt.Errorf("line %d: rate is not a probability", c.line)
		}
		out[i] = q
	}
	return out, nil
}
