// Package report is the part of a batch on AWS that looks at all of its items:
// it finds duplicates once every photo is read, and tells at the end what came
// of each. It reads what stands in the cases bucket, never what a state of the
// state machine returned, so that each step can be tried again. What a row and a
// summary are is package batch's affair.
package report

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/agequote/agequote/internal/batch"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/duplicate"
	"github.com/agequote/agequote/internal/metrics"
	"github.com/agequote/agequote/internal/store"
)

// What we need of others, no more.
type (
	caseStore interface {
		Get(ctx context.Context, key string, limit int64) ([]byte, error)
		List(ctx context.Context, prefix string) ([]string, error)
		PutIfAbsent(ctx context.Context, key string, body []byte) error
	}
	recorder interface {
		Record(dimensions map[string]string, values ...metrics.Value)
	}
)

// Tries is how often the state machine tries an item: together with others, then
// alone. A test holds it to infra/batch.asl.json.
const Tries = 5

// MaxManifest bounds a manifest and items.csv, in bytes; agequote batch looks
// before it starts one.
const MaxManifest = 512 << 20

// MaxItems bounds a batch: so many rows are read and held within the function's
// time and memory. docs/batch-aws.md has the sum.
const MaxItems = 200_000

// readers is how many items are looked at at a time; each waits for S3.
const readers = 64

// Steps of a batch.
const (
	Duplicates = "duplicates"
	Report     = "report"
)

// Event is what the state machine sends.
type Event struct {
	Step  string `json:"step"`
	Batch string `json:"batch"`
	// Stopped is the error that ended a map before all its items were done.
	Stopped struct {
		Error string `json:"Error"`
	} `json:"stopped"`
}

// Answer is what a step returns, and at last the whole execution.
type Answer struct {
	Schema     int          `json:"schema"`
	Step       string       `json:"step"`
	Batch      string       `json:"batch"`
	Duplicates int          `json:"duplicates,omitempty"` // photos that have any
	Books      *batch.Books `json:"books,omitempty"`
	Summary    string       `json:"summary,omitempty"` // name of the object
}

// ErrEvent says that an event names no step or batch.
var ErrEvent = errors.New("event names no step of a batch")

// Handler handles the steps. Its fields are set by functions/report/main.go or a
// test.
type Handler struct {
	Cases   caseStore
	Metrics recorder
	Version string // code version, for the stored objects
	Now     func() time.Time
	Log     *slog.Logger
}

// Handle does one step.
func (h *Handler) Handle(ctx context.Context, e Event) (Answer, error) {
	if !batch.ValidID(e.Batch) {
		return Answer{}, ErrEvent
	}
	switch e.Step {
	case Duplicates:
		return h.duplicates(ctx, e)
	case Report:
		return h.report(ctx, e)
	}
	return Answer{}, ErrEvent
}

// duplicates compares the photos of the whole batch.
func (h *Handler) duplicates(ctx context.Context, e Event) (Answer, error) {
	list, err := h.list(ctx, e.Batch)
	if err != nil {
		return Answer{}, err
	}
	var pictures []duplicate.Picture
	err = inOrder(ctx, list.walk, h.picture, func(_ batch.Item, p duplicate.Picture) error {
		if p.Photo != "" {
			pictures = append(pictures, p)
		}
		return nil
	})
	if err != nil {
		return Answer{}, err
	}
	marker := &duplicate.Marker{Cases: h.Cases, Version: h.Version, Now: h.Now}
	n, err := marker.Batch(ctx, pictures)
	if err != nil {
		return Answer{}, fmt.Errorf("find duplicates: %w", err)
	}
	h.Log.InfoContext(ctx, "duplicates", "batch", e.Batch, "photos", len(pictures), "with_duplicates", n)
	return Answer{Schema: casefile.Schema, Step: e.Step, Batch: e.Batch, Duplicates: n}, nil
}

// picture is an item's photo, the zero value where none was read.
func (h *Handler) picture(ctx context.Context, item batch.Item) (duplicate.Picture, error) {
	if item.Problem != nil {
		return duplicate.Picture{}, nil
	}
	e, err := cases.Read[casefile.Estimate](ctx, h.Cases, casefile.EstimateKey(item.Case, item.N))
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && e.Erased:
		return duplicate.Picture{}, nil
	case err != nil:
		return duplicate.Picture{}, fmt.Errorf("read estimate: %w", err)
	}
	return duplicate.Of(e.Object), nil
}

// report tells what came of every item.
func (h *Handler) report(ctx context.Context, e Event) (Answer, error) {
	about, err := cases.Read[batch.About](ctx, h.Cases, batch.Key(e.Batch, batch.AboutName))
	if err != nil {
		return Answer{}, fmt.Errorf("read what the batch was asked for: %w", err)
	}
	list, err := h.list(ctx, e.Batch)
	if err != nil {
		return Answer{}, err
	}
	var results, columns, failed, page bytes.Buffer
	table, err := batch.NewTable(&results, &columns)
	if err != nil {
		return Answer{}, err
	}
	failures, err := batch.NewFailures(&failed, list.header)
	if err != nil {
		return Answer{}, err
	}
	collected := batch.NewCollector()
	row := func(ctx context.Context, item batch.Item) (batch.Row, error) { return h.row(ctx, e, item) }
	err = inOrder(ctx, list.walk, row, func(item batch.Item, r batch.Row) error {
		collected.Add(item, r)
		if err := h.describe(ctx, &about.Object, item, r); err != nil {
			return err
		}
		return errors.Join(table.Write(r), failures.Write(item, r))
	})
	if err := errors.Join(err, table.Close(), failures.Close()); err != nil {
		return Answer{}, err
	}

	summary := collected.Summary(about.Object)
	if err := collected.WriteReport(&page, summary); err != nil {
		return Answer{}, err
	}
	text, err := json.MarshalIndent(summary, "", "  ")
	if err != nil {
		return Answer{}, fmt.Errorf("encode summary: %w", err)
	}
	// The summary comes last: where it stands, all others do.
	for _, file := range []struct {
		name string
		body []byte
	}{
		{"results.csv", results.Bytes()}, {"results.parquet", columns.Bytes()}, {"failures.csv", failed.Bytes()},
		{"report.html", page.Bytes()}, {"summary.json", append(text, '\n')},
	} {
		if err := h.Cases.PutIfAbsent(ctx, batch.Key(e.Batch, file.name), file.body); err != nil && !errors.Is(err, store.ErrExists) {
			return Answer{}, fmt.Errorf("write %s: %w", file.name, err)
		}
	}
	h.Metrics.Record(nil, metrics.Value{Name: "BatchItemsFailed", Unit: metrics.Count, V: float64(summary.Books.Failed)})
	h.Log.InfoContext(ctx, "report", "batch", e.Batch, "books", summary.Books, "stopped", e.Stopped.Error)
	answer := Answer{Schema: casefile.Schema, Step: e.Step, Batch: e.Batch, Books: &summary.Books, Summary: batch.Key(e.Batch, "summary.json")}
	return answer, summary.Books.Check()
}

// describe names the model and rules of the first item that has any: the batch
// began under those, whatever was deployed while it ran. Each row has its own.
func (h *Handler) describe(ctx context.Context, about *batch.About, item batch.Item, r batch.Row) error {
	if about.Rules == "" {
		about.Rules = r.RulesHash
	}
	if about.Model != "" || r.ModelHash == "" {
		return nil
	}
	e, err := cases.Read[casefile.Estimate](ctx, h.Cases, casefile.EstimateKey(item.Case, item.N))
	if err != nil {
		return fmt.Errorf("read estimate: %w", err)
	}
	about.Model, about.ModelUse = r.ModelHash, e.Object.ModelUse
	return nil
}

// row is what became of an item. One of which nothing came has failed, and that
// is written down: the case waits for a person.
func (h *Handler) row(ctx context.Context, e Event, item batch.Item) (batch.Row, error) {
	row, err := batch.RowOf(ctx, h.Cases, item)
	if !errors.Is(err, batch.ErrUnfinished) {
		return row, err
	}
	stage, code, tries := batch.StagePredict, batch.GaveUp, Tries
	read, err := cases.Exists(ctx, h.Cases, casefile.EstimateKey(item.Case, item.N))
	if err != nil {
		return batch.Row{}, fmt.Errorf("look for the estimate: %w", err)
	}
	if read {
		stage = batch.StageQuote
	}
	if e.Stopped.Error != "" {
		code, tries = batch.Stopped, 0
	}
	body, err := cases.Encode(casefile.Failure{
		Schema: casefile.Schema, Case: item.Case, N: item.N, Stage: stage, Condition: string(code), Tries: tries,
		Source: casefile.Source{Bucket: item.Upload.Bucket, Key: item.Upload.Key, Version: item.Upload.Version}, Version: h.Version, Time: h.Now().UTC(),
	})
	if err != nil {
		return batch.Row{}, err
	}
	stored, err := cases.WriteOnce[casefile.Failure](ctx, h.Cases, casefile.FailureKey(item.Case, casefile.PhotoCause(item.N)), body)
	if err != nil {
		return batch.Row{}, fmt.Errorf("write failure: %w", err)
	}
	markers := casefile.Marker(item.Case, casefile.StateFailed, stored.Object.Time, item.Facts.SumCents)
	if err := cases.Mark(ctx, h.Cases, markers); err != nil {
		return batch.Row{}, err
	}
	return batch.RowOf(ctx, h.Cases, item)
}
