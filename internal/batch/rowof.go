package batch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/store"
	"github.com/agequote/agequote/internal/underwriting"
)

// caseStore is what reading a row asks of the cases bucket.
type caseStore interface {
	Get(ctx context.Context, key string, limit int64) ([]byte, error)
}

// ErrUnfinished says that an item has neither outcome nor failure yet.
var ErrUnfinished = errors.New("item is not finished")

// RowOf returns what became of an item, from stored objects alone but what the
// item's own line says. A run that was broken off and taken up again so gives
// the rows of an unbroken one. It returns ErrUnfinished for an item that still
// has work before it.
func RowOf(ctx context.Context, s caseStore, item Item) (Row, error) {
	row := Row{Row: item.Row, Case: item.Case, Photo: item.Photo, Groups: strings.Join(item.Groups, " ")}
	if item.Problem != nil {
		row.fail(item.Problem.Code, StageManifest, item.Problem.Sentence)
		return row, nil
	}
	row.declare(item.Facts, time.Time{})
	err := cases.Alive(ctx, s, item.Case)
	if errors.Is(err, cases.ErrErased) {
		row.fail(Erased, "", Erased.Sentence())
		return row, nil
	}
	if err != nil {
		return Row{}, err
	}

	application, err := cases.Read[casefile.Application](ctx, s, casefile.ApplicationKey(item.Case, 1))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Row{}, fmt.Errorf("read application: %w", err)
	}
	row.ApplicationHash = application.Hash
	estimate, err := cases.Read[casefile.Estimate](ctx, s, casefile.EstimateKey(item.Case, item.N))
	if errors.Is(err, store.ErrNotFound) {
		return failure(ctx, s, item, row)
	}
	if err != nil {
		return Row{}, fmt.Errorf("read estimate: %w", err)
	}
	row.read(estimate)
	if estimate.Object.Code != reason.OK {
		row.Outcome, row.Message = Refused, estimate.Object.Code.Sentence()
		return row, nil
	}
	if row.Duplicates, err = duplicates(ctx, s, item); err != nil {
		return Row{}, err
	}
	quote, err := cases.Read[casefile.Quote](ctx, s, casefile.QuoteKey(item.Case, casefile.PhotoCause(item.N)))
	if errors.Is(err, store.ErrNotFound) {
		return failure(ctx, s, item, row)
	}
	if err != nil {
		return Row{}, fmt.Errorf("read quote: %w", err)
	}
	return row, row.price(item.Facts, &quote.Object)
}

// failure finds why there is no more to an item.
func failure(ctx context.Context, s caseStore, item Item, row Row) (Row, error) {
	f, err := cases.Read[casefile.Failure](ctx, s, casefile.FailureKey(item.Case, casefile.PhotoCause(item.N)))
	if errors.Is(err, store.ErrNotFound) {
		return Row{}, ErrUnfinished
	}
	if err != nil {
		return Row{}, fmt.Errorf("read failure: %w", err)
	}
	// The condition is a code of ours where the command line gave up, and
	// Lambda's word, or the state machine's, where AWS did.
	code := Code(f.Object.Condition)
	if code.Sentence() == "" {
		code = GaveUp
	}
	row.Tries = f.Object.Tries
	row.fail(code, f.Object.Stage, code.Sentence())
	return row, nil
}

func (r *Row) fail(code Code, stage, sentence string) {
	r.Outcome, r.Code, r.Stage, r.Message = Failed, string(code), stage, sentence
}

// declare writes down the declared facts; the age is that at the valuation
// date, where there is one.
func (r *Row) declare(f underwriting.Facts, valuation time.Time) {
	r.DeclaredAge = f.Age
	if !valuation.IsZero() && f.BirthDate != "" {
		if years, ok := f.StatedAge(valuation); ok {
			age := float64(years)
			r.DeclaredAge = &age
		}
	}
	r.Sex, r.Tobacco, r.Market = f.Sex, f.Tobacco, f.Market
	r.HeightCM, r.WeightKG = stated(f.HeightCM), stated(f.WeightKG)
	r.SumCents, r.TermYears = f.SumCents, f.TermYears
}

// stated is nil for a number that was not.
func stated(v float64) *float64 {
	if v == 0 {
		return nil
	}
	return &v
}

func (r *Row) read(e cases.Stored[casefile.Estimate]) {
	r.Code = string(e.Object.Code)
	r.Age, r.Low, r.High, r.Coverage = e.Object.Age, e.Object.Low, e.Object.High, e.Object.Coverage
	r.PhotoHash, r.ModelHash, r.EstimateHash = e.Object.Photo, e.Object.Model, e.Hash
	r.CodeVersion, r.MS = e.Object.Version, e.Object.MS
}

// outcomes of a quote by its decision.
var outcomes = map[underwriting.Decision]Outcome{
	underwriting.Quote: Quoted, underwriting.Refer: Referred, underwriting.Postpone: Postponed, underwriting.Decline: Declined,
}

// price writes down the quote.
func (r *Row) price(f underwriting.Facts, q *casefile.Quote) error {
	outcome, ok := outcomes[q.Decision]
	if !ok {
		return fmt.Errorf("read quote: no decision %q is known: %w", q.Decision, cases.ErrUnreadable)
	}
	r.Outcome = outcome
	if valuation, err := time.Parse(time.DateOnly, q.ValuationDate); err == nil {
		r.declare(f, valuation)
	}
	codes := make([]string, len(q.Reasons))
	for i, reason := range q.Reasons {
		codes[i] = string(reason.Code)
	}
	r.Reasons = strings.Join(codes, " ")
	if principal := q.PrincipalReasons(); outcome != Quoted && len(principal) > 0 {
		r.Message = principal[0].Sentence
	}
	r.Product, r.Class, r.Rating, r.Currency = q.Basis.Product, q.Class, q.Basis.Rating, q.Currency
	if q.Basis.PriceAgeSource != "" {
		age := q.Basis.PriceAge
		r.PriceAge = &age
	}
	r.GrossCents, r.ExpectedCents = q.GrossAnnualCents, q.ExpectedGrossCents
	if q.At != nil {
		r.GrossLowCents, r.GrossEstimateCents, r.GrossHighCents = q.At.Low.GrossAnnualCents, q.At.Estimated.GrossAnnualCents, q.At.High.GrossAnnualCents
	}
	r.RulesHash, r.TablesHash = q.Hashes.Rules, q.Hashes.Tables
	return nil
}

// duplicates names the other cases that have this photo.
func duplicates(ctx context.Context, s caseStore, item Item) (string, error) {
	found, err := cases.Read[casefile.Duplicates](ctx, s, casefile.DuplicatesKey(item.Case, item.N))
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read duplicates: %w", err)
	}
	return strings.Join(found.Object.Cases(), " "), nil
}

// chunk is how many items EachRow holds.
const chunk = 512

// EachRow calls do with every item that walk gives and its row, in walk's order.
// Rows are read so many at a time; what is held does not grow with their number.
func EachRow(ctx context.Context, s caseStore, walk func(do func(Item) error) error, workers int, do func(Item, Row) error) error {
	items := make([]Item, 0, chunk)
	rows := make([]Row, chunk)
	flush := func() error {
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(max(1, workers))
		for i, item := range items {
			group.Go(func() (err error) {
				if err := ctx.Err(); err != nil {
					return err
				}
				if rows[i], err = RowOf(ctx, s, item); err != nil {
					return fmt.Errorf("line %d of the manifest: %w", item.Row, err)
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		for i, item := range items {
			if err := do(item, rows[i]); err != nil {
				return err
			}
		}
		items = items[:0]
		return nil
	}
	err := walk(func(item Item) error {
		if items = append(items, item); len(items) < chunk {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}
