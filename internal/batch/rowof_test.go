package batch_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/batch"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/store"
	"github.com/agequote/agequote/internal/underwriting"
)

func of[T any](v T) *T { return &v }

// put stores an object.
func put(t *testing.T, s *store.Memory, key string, object any) {
	t.Helper()
	body, err := cases.Encode(object)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutIfAbsent(t.Context(), key, body); err != nil {
		t.Fatal(err)
	}
}

func TestRowOf(t *testing.T) {
	const id = "customer0"
	item := batch.Item{Row: 7, Case: id, N: 1, Photo: "a.jpg", Groups: []string{"race=asian", "site=b"},
		Facts: underwriting.Facts{BirthDate: "1984-05-17", Sex: "female", HeightCM: 170, Tobacco: "never", SumCents: 100, TermYears: 20, Market: "US"}}
	read := casefile.Estimate{Schema: 1, Case: id, N: 1, Code: reason.OK, Photo: "sha256:a", Model: "sha256:b", Version: "devel", MS: 31,
		Estimate: age.Estimate{Age: of(41.5), Low: of(33.0), High: of(50.0), Coverage: of(.9)}}
	refused := read
	refused.Code, refused.Estimate = reason.NoFace, age.Estimate{}
	quoted := casefile.Quote{Schema: casefile.QuoteSchema, Case: id, Code: reason.OK, Decision: underwriting.Refer, Class: "Preferred",
		Reasons:   []underwriting.Reason{{Code: underwriting.ClassBuild, Sentence: "build"}, {Code: underwriting.AgeContradicts, Sentence: "The stated age does not agree with the photo."}},
		Principal: []underwriting.Code{underwriting.AgeContradicts},
		Amounts:   casefile.Amounts{GrossAnnualCents: of(int64(5000))}, Currency: "USD", ValuationDate: "2026-11-25",
		At:    &casefile.QuoteAt{Low: casefile.QuoteAge{Age: 33, Amounts: casefile.Amounts{GrossAnnualCents: of(int64(4000))}}, High: casefile.QuoteAge{Age: 50, Reason: "x"}},
		Basis: casefile.Basis{PriceAge: 42, PriceAgeSource: "declared", Product: "us-term"}, Hashes: casefile.Hashes{Rules: "sha256:c", Tables: "sha256:d"}}
	failed := casefile.Failure{Schema: 1, Case: id, N: 1, Stage: batch.StageQuote, Condition: "RetriesExhausted", Tries: 3}
	missing := failed
	missing.Stage, missing.Condition, missing.Tries = batch.StagePredict, string(batch.PhotoMissing), 1
	type objects = map[string]any
	keys := struct{ estimate, quote, failure string }{casefile.EstimateKey(id, 1), casefile.QuoteKey(id, "photo-0001"), casefile.FailureKey(id, "photo-0001")}
	type want struct {
		Outcome             batch.Outcome
		Code, Stage         string
		Tries               int
		Message, Duplicates string
		Declared, Age       *float64
		Gross, Low, High    *int64
	}
	tests := []struct {
		name    string
		objects objects
		want    want
		err     error
	}{
		{"nothing yet", nil, want{}, batch.ErrUnfinished},
		{"read, not quoted yet", objects{keys.estimate: read}, want{}, batch.ErrUnfinished},
		{"refused", objects{keys.estimate: refused}, want{Outcome: batch.Refused, Code: "no_face", Message: reason.NoFace.Sentence()}, nil},
		{"referred", objects{keys.estimate: read, keys.quote: quoted}, want{Outcome: batch.Referred, Code: "ok",
			Message: "The stated age does not agree with the photo.", Declared: of(42.0), Age: of(41.5), Gross: of(int64(5000)), Low: of(int64(4000))}, nil},
		{"quote gave up", objects{keys.estimate: read, keys.failure: failed}, want{Outcome: batch.Failed, Code: "gave_up", Stage: "quote", Tries: 3,
			Message: batch.GaveUp.Sentence(), Age: of(41.5)}, nil},
		{"gave up, and done by another delivery", objects{keys.estimate: read, keys.failure: failed, keys.quote: quoted}, want{Outcome: batch.Referred, Code: "ok",
			Message: "The stated age does not agree with the photo.", Declared: of(42.0), Age: of(41.5), Gross: of(int64(5000)), Low: of(int64(4000))}, nil},
		{"no photo", objects{keys.failure: missing}, want{Outcome: batch.Failed, Code: "photo_missing", Stage: "predict", Tries: 1, Message: batch.PhotoMissing.Sentence()}, nil},
		{"erased", objects{keys.estimate: read, casefile.DeletedKey(id): casefile.Tombstone{}}, want{Outcome: batch.Failed, Code: "erased", Message: batch.Erased.Sentence()}, nil},
		{"duplicates", objects{keys.estimate: read, keys.quote: quoted,
			casefile.DuplicatesKey(id, 1): casefile.Duplicates{Of: []casefile.Duplicate{{Case: "customer1", N: 1}, {Case: "customer1", N: 2}, {Case: "customer2", N: 1}}}},
			want{Outcome: batch.Referred, Code: "ok", Duplicates: "customer1 customer2",
				Message: "The stated age does not agree with the photo.", Declared: of(42.0), Age: of(41.5), Gross: of(int64(5000)), Low: of(int64(4000))}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s store.Memory
			for key, object := range tt.objects {
				put(t, &s, key, object)
			}
			row, err := batch.RowOf(t.Context(), &s, item)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			got := want{row.Outcome, row.Code, row.Stage, row.Tries, row.Message, row.Duplicates, row.DeclaredAge, row.Age, row.GrossCents, row.GrossLowCents, row.GrossHighCents}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if err == nil && (row.Row != 7 || row.Groups != "race=asian site=b" || row.Sex != "female" || row.WeightKG != nil) {
				t.Errorf("row %+v", row)
			}
		})
	}
}

// TestRowOfBroken finds an object that is not what its name promises.
func TestRowOfBroken(t *testing.T) {
	var s store.Memory
	if err := s.PutIfAbsent(t.Context(), casefile.EstimateKey("customer0", 1), []byte("{")); err != nil {
		t.Fatal(err)
	}
	if _, err := batch.RowOf(t.Context(), &s, batch.Item{Case: "customer0", N: 1}); !errors.Is(err, cases.ErrUnreadable) {
		t.Errorf("error %v, want ErrUnreadable", err)
	}
}

// TestEachRow keeps the order of more rows than are held.
func TestEachRow(t *testing.T) {
	var s store.Memory
	const n = 1300
	walk := func(do func(batch.Item) error) error {
		for i := range n {
			if err := do(batch.Item{Row: i, Problem: &batch.Problem{Code: batch.BadRow}}); err != nil {
				return err
			}
		}
		return nil
	}
	next := 0
	err := batch.EachRow(t.Context(), &s, walk, 4, func(item batch.Item, row batch.Row) error {
		if item.Row != next || row.Row != next {
			t.Fatalf("line %d, row %d, want %d", item.Row, row.Row, next)
		}
		next++
		return nil
	})
	if err != nil || next != n {
		t.Errorf("%d rows, %v, want %d", next, err, n)
	}
	gone := errors.New("gone")
	if err := batch.EachRow(t.Context(), &s, walk, 4, func(batch.Item, batch.Row) error { return gone }); !errors.Is(err, gone) {
		t.Errorf("error %v", err)
	}
}

var began = time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)
