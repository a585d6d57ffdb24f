package main

import (
	"context"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/s3store"
)

// lostStage is what a photo of which nothing came is said to have stopped at.
const lostStage = "lost"

// runLost sends the photos that came before a time and of which nothing came.
// One that is on its way after all is found and not done twice.
func (r *redriver) runLost(ctx context.Context, uploads *s3store.Bucket, before time.Time) error {
	photos, err := uploads.Versions(ctx, "uploads/")
	if err != nil {
		return err
	}
	waiting, err := r.cases.List(ctx, "queue/waiting/"+casefile.StateFailed+"/")
	if err != nil {
		return err
	}
	queued := map[string]bool{}
	for _, marker := range waiting {
		queued[path.Base(marker)] = true
	}
	sent := 0
	for _, p := range photos {
		id, n, ok := casefile.ParseUploadKey(p.Key)
		if !ok || p.Marker || !p.Latest || !p.Modified.Before(before) {
			continue
		}
		lost, err := r.isLost(ctx, id, n, queued[id])
		if err != nil {
			return fmt.Errorf("case %s: %w", id, err)
		}
		if !lost {
			continue
		}
		source := casefile.Source{Bucket: uploads.Name, Key: p.Key, Version: p.ID}
		if err := r.send(ctx, casefile.Failure{Case: id, N: n, Source: source}, casefile.PhotoCause(n)); err != nil {
			return fmt.Errorf("case %s: %w", id, err)
		}
		sent++
		if err := r.print(redriven{Schema: 1, Case: id, Stage: lostStage, Sent: !r.dryRun}); err != nil {
			return err
		}
	}
	verb := "sent again"
	if r.dryRun {
		verb = "would be sent again"
	}
	fmt.Fprintf(r.env.stderr, "%d lost photos %s\n", sent, verb)
	return nil
}

// isLost tells whether a photo has neither led to what it leads to nor to a
// failure in the queue, which plain redrive sends. A failure without a marker,
// whose writer died between the two, is found by nobody else, unless a person
// has decided the case since.
func (r *redriver) isLost(ctx context.Context, id string, n int, queued bool) (bool, error) {
	keys, err := r.cases.List(ctx, casefile.Prefix(id))
	if err != nil {
		return false, err
	}
	stands := func(key string) bool { return slices.Contains(keys, key) }
	cause := casefile.PhotoCause(n)
	decided := stands(casefile.DecisionKey(id, 1))
	if stands(casefile.DeletedKey(id)) || stands(casefile.QuoteKey(id, cause)) || stands(casefile.FailureKey(id, cause)) && (queued || decided) {
		return false, nil
	}
	if !stands(casefile.EstimateKey(id, n)) {
		return true, nil
	}
	estimate, err := cases.Read[casefile.Estimate](ctx, r.cases, casefile.EstimateKey(id, n))
	if err != nil {
		return false, err
	}
	return estimate.Object.Code == reason.OK, nil // a refusal has no quote
}
