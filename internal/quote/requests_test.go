package quote_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/consent"
	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/event"
	"github.com/agequote/agequote/internal/metrics"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/predict"
	"github.com/agequote/agequote/internal/store/storetest"
)

const selfie = "a selfie"

// reads is a model to whom every photo shows the same age.
type reads struct{}

func (reads) Look([]byte) (age.Estimate, string, error) {
	years, low, high, coverage := 42.0, 35.0, 50.0, 0.9
	distribution := make([]float64, 100)
	distribution[42] = 1
	return age.Estimate{Age: &years, Mean: &years, Low: &low, High: &high, Coverage: &coverage, Distribution: distribution}, "", nil
}
func (reads) Hash() string              { return "sha256:model" }
func (reads) Manifest() *model.Manifest { return &model.Manifest{Use: model.Production} }

// TestRequests holds what one ordinary photo asks of S3, from its event to its
// quote: that is the larger part of what a photo costs (docs/cost.md).
func TestRequests(t *testing.T) {
	w, bucket := newWorld(t), new(storetest.Asked)
	w.cases = &bucket.Objects
	terms, err := consent.Current(30)
	if err != nil {
		t.Fatal(err)
	}
	photo := casefile.UploadKey(caseID, 1)
	w.put(t, casefile.ApplicationKey(caseID, 1), casefile.Application{Schema: 1, Case: caseID, N: 1, Facts: goodFacts, Consent: terms.Record(w.Now())})
	if err := w.cases.PutIfAbsent(t.Context(), photo, []byte(selfie)); err != nil {
		t.Fatal(err)
	}
	w.Handler.Cases = bucket
	p := predict.Handler{
		Photos: bucket, UploadsBucket: "uploads", Cases: bucket,
		Model:   func(context.Context) (predict.Estimator, func()) { return reads{}, func() {} },
		Metrics: &metrics.Recorder{Out: w.metrics, Now: time.Now}, Now: w.Now, Log: slog.New(slog.DiscardHandler),
	}

	read, err := p.Handle(t.Context(), event.Predict{Photos: []event.Photo{{Case: caseID, N: 1, Bucket: "uploads", Key: photo}}})
	if err != nil {
		t.Fatal(err)
	}
	compareRequests(t, "predict", bucket.Requests(), []string{
		"LIST cases/CASE/",
		"GET cases/CASE/application/0001.json",
		"GET uploads/CASE/0001",
		"PUT index/photo/HASH/CASE/0001",
		"LIST index/photo/HASH/",
		"PUT cases/CASE/photos/0001/estimate.json",
	})

	quoted, err := w.Handle(t.Context(), event.Quote{Cases: []event.Cause{{Case: caseID, Cause: casefile.PhotoCause(1), Code: read.Results[0].Code}}})
	if err != nil || quoted.Quotes[0].Decision != "quote" {
		t.Fatalf("quoted %+v, %v", quoted, err)
	}
	compareRequests(t, "quote", bucket.Requests(), []string{
		"LIST cases/CASE/",
		"GET cases/CASE/application/0001.json",
		"GET cases/CASE/photos/0001/estimate.json",
		"PUT cases/CASE/quotes/photo-0001.json",
	})
}

func compareRequests(t *testing.T, function string, got, want []string) {
	t.Helper()
	names := strings.NewReplacer(caseID, "CASE", strings.TrimPrefix(digest.Of([]byte(selfie)), "sha256:"), "HASH")
	for i := range got {
		got[i] = names.Replace(got[i])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s makes %d requests for one photo, want %d (-want +got)\n%s", function, len(got), len(want), diff)
	}
}
