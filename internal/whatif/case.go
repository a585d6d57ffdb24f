package whatif

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/underwriting"
)

// Schema is the version of Case and Report.
const Schema = 1

// Case is a past case: what it was quoted on, and what came of it. One a line
// makes a file of cases.
type Case struct {
	Schema   int                `json:"schema"`
	Case     string             `json:"case"`
	Facts    underwriting.Facts `json:"facts"`
	Estimate *Estimate          `json:"estimate,omitempty"` // nil: quoted without a photo
	// Duplicates are the other cases that the photo was sent with.
	Duplicates []string `json:"duplicates,omitempty"`
	Quote      Quote    `json:"quote"`
}

// Estimate is the part of a stored estimate that a quote depends on.
type Estimate struct {
	Age          *float64      `json:"age"`
	Mean         *float64      `json:"mean"`
	Low          *float64      `json:"low"`
	High         *float64      `json:"high"`
	Coverage     *float64      `json:"coverage"`
	Distribution Probabilities `json:"distribution"`
}

func (e *Estimate) age() *age.Estimate {
	if e == nil {
		return nil
	}
	return &age.Estimate{Age: e.Age, Mean: e.Mean, Low: e.Low, High: e.High, Coverage: e.Coverage, Distribution: e.Distribution}
}

// Quote is the part of a stored quote that is compared. A whole stored quote
// decodes into it.
type Quote struct {
	Decision         underwriting.Decision `json:"decision"`
	GrossAnnualCents *int64                `json:"gross_annual_cents"`
	Currency         string                `json:"currency"`
	ValuationDate    string                `json:"valuation_date"`
	Basis            Basis                 `json:"basis"`
}

// Basis is the part of a quote's basis that groups are made by.
type Basis struct {
	PriceAge int `json:"price_age"`
}

// Probabilities is a distribution that decodes faster than encoding/json does
// it: a hundred numbers a case are most of a line. Values are the same.
type Probabilities []float64

var errProbabilities = errors.New("a distribution is a list of numbers")

// UnmarshalJSON reads plain decimals, as they are stored, in integers; any
// other number goes the long way.
func (p *Probabilities) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*p = nil
		return nil
	}
	if len(b) < 2 || b[0] != '[' {
		return errProbabilities
	}
	out := (*p)[:0]
	if cap(out) == 0 {
		out = make([]float64, 0, 104)
	}
	for i := 1; i < len(b); {
		switch b[i] {
		case ' ', '\n', '\t', '\r', ',':
			i++
			continue
		case ']':
			*p = out
			return nil
		}
		v, n, err := number(b[i:])
		if err != nil {
			return err
		}
		out = append(out, v)
		i += n
	}
	return errProbabilities
}

// powers of ten that are exact in a float64, as are integers below 2^53: their
// quotient is rounded once, and so equals strconv's.
var powers = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// number reads the number that b begins with, and returns how long it is. The
// JSON around it has been checked.
func number(b []byte) (v float64, n int, err error) {
	var mantissa uint64
	digits, decimals, point := 0, 0, false
	for ; n < len(b); n++ {
		c := b[n]
		switch {
		case '0' <= c && c <= '9':
			mantissa = mantissa*10 + uint64(c-'0')
			digits++
			if point {
				decimals++
			}
			if digits > 15 {
				return long(b)
			}
			continue
		case c == '.' && !point:
			point = true
			continue
		case c == ',' || c == ']' || c == ' ' || c == '\n' || c == '\t' || c == '\r':
		default: // a sign or an exponent
			return long(b)
		}
		break
	}
	if digits == 0 {
		return 0, 0, errProbabilities
	}
	return float64(mantissa) / powers[decimals], n, nil
}

func long(b []byte) (float64, int, error) {
	n := 0
	for n < len(b) && b[n] != ',' && b[n] != ']' && b[n] > ' ' {
		n++
	}
	v, err := strconv.ParseFloat(string(b[:n]), 64)
	if err != nil {
		return 0, 0, errProbabilities // its text would hold the number
	}
	return v, n, nil
}

// Decode reads one line. Its error holds nothing of the line.
func Decode(line []byte) (Case, error) {
	var c Case
	if err := json.Unmarshal(line, &c); err != nil {
		return Case{}, fmt.Errorf("decode case: %w", cases.ErrUnreadable)
	}
	if c.Schema != Schema || c.Case == "" || c.Quote.Decision == "" {
		return Case{}, fmt.Errorf("decode case: no case of schema %d: %w", Schema, cases.ErrUnreadable)
	}
	if _, err := time.Parse(time.DateOnly, c.Quote.ValuationDate); err != nil {
		return Case{}, fmt.Errorf("decode case: no valuation date: %w", cases.ErrUnreadable)
	}
	return c, nil
}

// objects is what Stored asks of a store.
type objects interface {
	Get(ctx context.Context, key string, limit int64) ([]byte, error)
	List(ctx context.Context, prefix string) ([]string, error)
}

// Stored reads a case by its newest quote; ok is false where it has none.
func Stored(ctx context.Context, s objects, id string) (c Case, ok bool, err error) {
	keys, err := s.List(ctx, casefile.QuotesPrefix(id))
	if err != nil {
		return Case{}, false, fmt.Errorf("list quotes: %w", err)
	}
	var newest casefile.Quote
	for _, key := range keys {
		q, err := cases.Read[casefile.Quote](ctx, s, key)
		if err != nil {
			return Case{}, false, fmt.Errorf("read quote: %w", err)
		}
		if q.Object.Inputs.Decision != "" {
			continue // a person's, which no rule can be held against
		}
		if !ok || q.Object.Time.After(newest.Time) {
			newest, ok = q.Object, true
		}
	}
	if !ok {
		return Case{}, false, nil
	}
	application, err := cases.Read[casefile.Application](ctx, s, newest.Inputs.Application)
	if err != nil {
		return Case{}, false, fmt.Errorf("read application: %w", err)
	}
	c = Case{Schema: Schema, Case: id, Facts: application.Object.Facts, Quote: Quote{
		Decision: newest.Decision, GrossAnnualCents: newest.GrossAnnualCents, Currency: newest.Currency,
		ValuationDate: newest.ValuationDate, Basis: Basis{PriceAge: newest.Basis.PriceAge},
	}}
	if newest.Inputs.Estimate != "" {
		e, err := cases.Read[casefile.Estimate](ctx, s, newest.Inputs.Estimate)
		if err != nil {
			return Case{}, false, fmt.Errorf("read estimate: %w", err)
		}
		c.Estimate = &Estimate{Age: e.Object.Age, Mean: e.Object.Mean, Low: e.Object.Low, High: e.Object.High,
			Coverage: e.Object.Coverage, Distribution: Probabilities(e.Object.Distribution)}
	}
	if newest.Inputs.Duplicates != "" {
		d, err := cases.Read[casefile.Duplicates](ctx, s, newest.Inputs.Duplicates)
		if err != nil {
			return Case{}, false, fmt.Errorf("read duplicates: %w", err)
		}
		c.Duplicates = d.Object.Cases()
	}
	return c, true, nil
}
