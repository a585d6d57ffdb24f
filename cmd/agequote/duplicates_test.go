package main

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/erasure"
	"github.com/agequote/agequote/internal/s3store"
	"github.com/agequote/agequote/internal/store"
	"github.com/agequote/agequote/internal/underwriting"
)

// TestDuplicates sends one file with 20 cases at once: of any two at least one
// names the other, and goes to a person for it. Then all but one are erased,
// and a newcomer names that one alone.
func TestDuplicates(t *testing.T) {
	photo := asJPEG(t, readSample(t, "astronaut.png")) // whose age alone sends nobody to a person
	c := startChain(t)
	var ids [20]string
	g, ctx := errgroup.WithContext(t.Context())
	for i := range ids {
		ids[i] = casefile.NewID()
		g.Go(func() error { return c.upload(ctx, ids[i], photo) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	c.settle(t, 2*time.Minute)

	named := map[string][]string{}
	for _, id := range ids {
		named[id] = c.namedAsReason(t, id)
	}
	for i, a := range ids {
		for _, b := range ids[i+1:] {
			if !slices.Contains(named[a], b) && !slices.Contains(named[b], a) {
				t.Errorf("neither of two cases with one photo names the other: %d and %d named", len(named[a]), len(named[b]))
			}
		}
	}

	eraser := &erasure.Eraser{
		Photos: &s3store.Bucket{Client: c.client, Name: c.Resource("UploadsBucket")},
		Cases:  c.cases, Version: "test", Now: time.Now,
	}
	for _, id := range ids[1:] {
		if _, err := eraser.Erase(t.Context(), id, "customer", "asked"); err != nil {
			t.Fatal(err)
		}
	}
	index, err := c.cases.List(t.Context(), casefile.PhotoIndexPrefix)
	if err != nil || len(index) != 1 {
		t.Errorf("index after erasing: %q, %v", index, err)
	}
	newcomer := casefile.NewID()
	if err := c.upload(t.Context(), newcomer, photo); err != nil {
		t.Fatal(err)
	}
	c.settle(t, time.Minute)
	if got := c.namedAsReason(t, newcomer); !slices.Equal(got, ids[:1]) {
		t.Errorf("the newcomer names %q, want the one case that is left", got)
	}
}

// namedAsReason returns the cases that the stored duplicates of a case's photo
// name, after it has held the quote against them.
func (c *chain) namedAsReason(t *testing.T, id string) []string {
	t.Helper()
	d, err := cases.Read[casefile.Duplicates](context.Background(), c.cases, casefile.DuplicatesKey(id, 1))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	q, err := cases.Read[casefile.Quote](t.Context(), c.cases, casefile.QuoteKey(id, casefile.PhotoCause(1)))
	if err != nil {
		t.Fatalf("%v\n%s", err, c.log)
	}
	want := underwriting.Quote
	if len(d.Object.Of) > 0 {
		want = underwriting.Refer
	}
	refers := slices.ContainsFunc(q.Object.Reasons, func(r underwriting.Reason) bool { return r.Code == underwriting.DuplicatePhoto })
	if q.Object.Decision != want || refers != (want == underwriting.Refer) || q.Object.Hashes.Duplicates != d.Hash {
		t.Errorf("%d duplicates, decision %s, reasons %+v", len(d.Object.Of), q.Object.Decision, q.Object.Reasons)
	}
	return d.Object.Cases()
}
