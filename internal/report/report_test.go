package report_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/batch"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/metrics"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/report"
	"github.com/agequote/agequote/internal/store"
	"github.com/agequote/agequote/internal/underwriting"
)

const (
	id     = "renewals"
	header = "case,photo,age,sex,height_cm,weight_kg,tobacco,sum,term,market\n"
)

var now = time.Date(2026, 11, 25, 5, 0, 0, 0, time.UTC)

type world struct {
	*report.Handler
	store        *store.Memory
	log, metrics *bytes.Buffer
}

func newWorld() *world {
	w := &world{store: new(store.Memory), log: new(bytes.Buffer), metrics: new(bytes.Buffer)}
	w.Handler = &report.Handler{
		Cases: w.store, Version: "sha256:code", Now: func() time.Time { return now },
		Metrics: &metrics.Recorder{Out: w.metrics, Namespace: "test", Now: func() time.Time { return now }},
		Log:     slog.New(slog.NewJSONHandler(w.log, nil)),
	}
	return w
}

func (w *world) put(t *testing.T, key string, object any) {
	t.Helper()
	body, ok := object.(string)
	if !ok {
		b, err := cases.Encode(object)
		if err != nil {
			t.Fatal(err)
		}
		body = string(b)
	}
	if err := w.store.PutIfAbsent(t.Context(), key, []byte(body)); err != nil {
		t.Fatal(err)
	}
}

func (w *world) get(t *testing.T, name string) string {
	t.Helper()
	b, err := w.store.Get(t.Context(), batch.Key(id, name), 1<<24)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return string(b)
}

// estimate stores a photo that was read, and its quote where there is a
// decision.
func (w *world) estimate(t *testing.T, customer, photo string, code reason.Code, decision underwriting.Decision) {
	t.Helper()
	e := casefile.Estimate{Schema: 1, Case: customer, N: 1, Code: code, Photo: photo, Model: "sha256:model", ModelUse: "research", MS: 40}
	if code == reason.OK {
		years, low, high, coverage := 42.0, 35.0, 50.0, 0.9
		e.Estimate = age.Estimate{Age: &years, Mean: &years, Low: &low, High: &high, Coverage: &coverage}
	}
	w.put(t, casefile.EstimateKey(customer, 1), e)
	if decision != "" {
		w.put(t, casefile.QuoteKey(customer, "photo-0001"), casefile.Quote{Schema: 1, Case: customer, Decision: decision,
			Hashes: casefile.Hashes{Rules: "sha256:rules"}})
	}
}

// batch stores what intake would of a manifest.
func (w *world) batch(t *testing.T, listed int, excluded batch.Excluded, ids ...string) {
	t.Helper()
	manifest := header
	var uploads []batch.Upload
	for i, customer := range ids {
		manifest += customer + ",1.jpg,41,female,170,65,never,1000,20,US\n"
		if _, out := excluded[i+2]; !out {
			uploads = append(uploads, batch.Upload{Case: customer, N: 1, Bucket: "uploads", Key: casefile.BatchUploadKey(customer, 1), Version: "v1"})
		}
	}
	var items bytes.Buffer
	if err := batch.WriteUploads(&items, uploads); err != nil {
		t.Fatal(err)
	}
	w.put(t, batch.Key(id, batch.ManifestName), manifest+"torn\n")
	w.put(t, batch.Key(id, batch.ItemsName), items.String())
	w.put(t, batch.Key(id, batch.ExcludedName), excluded)
	w.put(t, batch.Key(id, batch.AboutName), batch.About{Schema: 1, ID: id, Listed: listed, Started: now})
}

// TestReport tells of an item of each kind, in the manifest's order, and again
// after it was broken off: the same files.
func TestReport(t *testing.T) {
	w := newWorld()
	w.batch(t, 7, batch.Excluded{6: {Code: batch.PhotoMissing, Sentence: batch.PhotoMissing.Sentence()}},
		"customer1", "customer2", "customer3", "customer4", "customer5", "customer6")
	w.estimate(t, "customer1", "sha256:a", reason.OK, underwriting.Quote)
	w.estimate(t, "customer2", "sha256:b", reason.NoFace, "")
	w.estimate(t, "customer6", "sha256:c", reason.OK, "") // quote gave it up; predict gave up customer3 and customer4
	w.put(t, casefile.DeletedKey("customer4"), "{}")
	answer, err := w.Handle(t.Context(), report.Event{Step: report.Report, Batch: id})
	if err != nil {
		t.Fatal(err)
	}
	books := &batch.Books{Listed: 7, Quoted: 1, Refused: 1, Failed: 5}
	want := report.Answer{Schema: 1, Step: report.Report, Batch: id, Books: books, Summary: batch.Key(id, "summary.json")}
	if diff := cmp.Diff(want, answer); diff != "" {
		t.Errorf("answer (-want +got)\n%s", diff)
	}

	records, err := csv.NewReader(strings.NewReader(w.get(t, "results.csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range records[1:] {
		got = append(got, strings.Join([]string{r[1], r[3], r[4], r[5]}, " "))
	}
	rows := []string{
		"customer1 quoted ok ", "customer2 refused no_face ", "customer3 failed gave_up predict", "customer4 failed erased ",
		"customer5 failed photo_missing manifest", "customer6 failed gave_up quote", " failed bad_row manifest",
	}
	if diff := cmp.Diff(rows, got); diff != "" {
		t.Errorf("rows (-want +got)\n%s", diff)
	}
	f, err := cases.Read[casefile.Failure](t.Context(), w.store, casefile.FailureKey("customer3", "photo-0001"))
	if err != nil || f.Object.Tries != report.Tries || f.Object.Source.Key != "batch-uploads/customer3/0001" || f.Object.Source.Version != "v1" {
		t.Errorf("failure %+v, %v", f.Object, err)
	}
	if queue, _ := w.store.List(t.Context(), "queue/waiting/failed/"); len(queue) != 2 {
		t.Errorf("queue %q, want customer3 and customer6", queue)
	}
	var s batch.Summary
	if err := json.Unmarshal([]byte(w.get(t, "summary.json")), &s); err != nil || s.Batch.Model != "sha256:model" || s.Batch.ModelUse != "research" || s.Batch.Rules != "sha256:rules" {
		t.Errorf("summary is about %+v, %v", s.Batch, err)
	}
	if !strings.Contains(w.metrics.String(), `"BatchItemsFailed":5`) {
		t.Errorf("metrics %s", w.metrics)
	}
	for _, customer := range []string{"customer1", "customer3"} {
		if strings.Contains(w.log.String(), customer) {
			t.Errorf("the log names a case: %s", w.log)
		}
	}

	for _, name := range []string{"results.parquet", "failures.csv", "report.html"} {
		w.get(t, name)
	}
	before := w.get(t, "results.csv")
	if again, err := w.Handle(t.Context(), report.Event{Step: report.Report, Batch: id}); err != nil || cmp.Diff(answer, again) != "" || w.get(t, "results.csv") != before {
		t.Errorf("the second time: %+v, %v", again, err)
	}
}

// TestReportUnbalanced counts fewer lines than were brought.
func TestReportUnbalanced(t *testing.T) {
	w := newWorld()
	w.batch(t, 3, batch.Excluded{}, "customer1")
	if _, err := w.Handle(t.Context(), report.Event{Step: report.Report, Batch: id}); !errors.Is(err, batch.ErrUnbalanced) {
		t.Errorf("err = %v", err)
	}
}

// TestReportStopped names the items that a stopped batch did not come to.
func TestReportStopped(t *testing.T) {
	w := newWorld()
	w.batch(t, 2, batch.Excluded{}, "customer1")
	var e report.Event
	text := `{"step":"report","batch":"renewals","stopped":{"Error":"States.ExceedToleratedFailureThreshold","Cause":"..."}}`
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Handle(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(w.get(t, "failures.csv"), ",stopped,predict,0,") {
		t.Errorf("failures\n%s", w.get(t, "failures.csv"))
	}
}

// TestListing has photos of cases that exist, and no manifest.
func TestListing(t *testing.T) {
	w := newWorld()
	var items bytes.Buffer
	err := batch.WriteUploads(&items, []batch.Upload{{Case: "customer1", N: 2, Bucket: "uploads", Key: casefile.UploadKey("customer1", 2)}})
	if err != nil {
		t.Fatal(err)
	}
	w.put(t, batch.Key(id, batch.ItemsName), items.String())
	w.put(t, batch.Key(id, batch.AboutName), batch.About{Schema: 1, ID: id, Listed: 1, Started: now})
	w.put(t, casefile.ApplicationKey("customer1", 1), casefile.Application{Schema: 1, Case: "customer1", N: 1, Facts: underwriting.Facts{Sex: "female", SumCents: 123_00}})
	w.put(t, casefile.EstimateKey("customer1", 2), casefile.Estimate{Schema: 1, Case: "customer1", N: 2, Code: reason.NoFace})
	answer, err := w.Handle(t.Context(), report.Event{Step: report.Report, Batch: id})
	if err != nil || answer.Books.Refused != 1 {
		t.Errorf("answer %+v, %v", answer, err)
	}
	if !strings.Contains(w.get(t, "results.csv"), ",12300,") {
		t.Errorf("the case's own sum is not in\n%s", w.get(t, "results.csv"))
	}
}

// TestDuplicates finds the same file within a batch, and marks it once.
func TestDuplicates(t *testing.T) {
	w := newWorld()
	w.batch(t, 4, batch.Excluded{}, "customer1", "customer2", "customer3")
	w.estimate(t, "customer1", "sha256:same", reason.OK, "")
	w.estimate(t, "customer3", "sha256:same", reason.OK, "")
	for range 2 {
		answer, err := w.Handle(t.Context(), report.Event{Step: report.Duplicates, Batch: id})
		if err != nil || answer.Duplicates != 2 {
			t.Errorf("answer %+v, %v", answer, err)
		}
	}
	d, err := cases.Read[casefile.Duplicates](t.Context(), w.store, casefile.DuplicatesKey("customer3", 1))
	if err != nil || !slices.Equal(d.Object.Cases(), []string{"customer1"}) {
		t.Errorf("duplicates %+v, %v", d.Object, err)
	}
}

func TestHandleRefuses(t *testing.T) {
	for _, e := range []report.Event{{}, {Step: "report"}, {Step: "other", Batch: id}, {Step: "report", Batch: "../cases"}} {
		if _, err := newWorld().Handle(t.Context(), e); !errors.Is(err, report.ErrEvent) {
			t.Errorf("%+v: %v", e, err)
		}
	}
}

// broken is a store of which one object cannot be read.
type broken struct{ *store.Memory }

func (b broken) Get(ctx context.Context, key string, limit int64) ([]byte, error) {
	if key == casefile.EstimateKey("customer0150", 1) {
		return nil, errors.New("S3 is slow")
	}
	return b.Memory.Get(ctx, key, limit)
}

// TestReportBreaksOff writes nothing where an item cannot be looked at, so that
// the next try tells of all.
func TestReportBreaksOff(t *testing.T) {
	w := newWorld()
	var ids []string
	for n := range 300 {
		ids = append(ids, fmt.Sprintf("customer%04d", n))
	}
	w.batch(t, 301, batch.Excluded{}, ids...)
	w.Cases = broken{w.store}
	if _, err := w.Handle(t.Context(), report.Event{Step: report.Report, Batch: id}); err == nil {
		t.Error("no error")
	}
	if keys, _ := w.store.List(t.Context(), batch.Key(id, "results")); len(keys) > 0 {
		t.Errorf("wrote %q", keys)
	}
	w.Cases = w.store
	answer, err := w.Handle(t.Context(), report.Event{Step: report.Report, Batch: id})
	if err != nil || answer.Books.Failed != 301 {
		t.Errorf("answer %+v, %v", answer, err)
	}
	records, err := csv.NewReader(strings.NewReader(w.get(t, "results.csv"))).ReadAll()
	if err != nil || len(records) != 302 || records[151][1] != "customer0150" {
		t.Errorf("%d lines, %v", len(records), err)
	}
}
