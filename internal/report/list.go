package report

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/agequote/agequote/internal/batch"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/store"
)

// list is every item that a batch lists.
type list struct {
	header []string
	walk   func(each func(batch.Item) error) error
}

// list reads the batch's manifest, with what kept some of its lines from being
// items; a listing has its items alone.
func (h *Handler) list(ctx context.Context, id string) (list, error) {
	body, err := h.Cases.Get(ctx, batch.Key(id, batch.ItemsName), MaxManifest)
	if err != nil {
		return list{}, fmt.Errorf("read items: %w", err)
	}
	uploads := map[string]batch.Upload{} // by case; a manifest has one photo of each
	var all []batch.Item
	err = batch.ReadUploads(bytes.NewReader(body), func(line int, u batch.Upload) error {
		uploads[u.Case] = u
		all = append(all, batch.Item{Row: line, Case: u.Case, N: u.N, Photo: u.Key, Upload: u,
			Fields: []string{u.Case, strconv.Itoa(u.N), u.Bucket, u.Key, u.Version}})
		return nil
	})
	if err != nil {
		return list{}, err
	}
	manifest, err := h.Cases.Get(ctx, batch.Key(id, batch.ManifestName), MaxManifest)
	if errors.Is(err, store.ErrNotFound) {
		return list{[]string{"case", "n", "bucket", "key", "version"}, h.listing(ctx, all)}, nil
	}
	if err != nil {
		return list{}, fmt.Errorf("read manifest: %w", err)
	}
	excluded, err := h.excluded(ctx, id)
	if err != nil {
		return list{}, err
	}
	first, err := batch.NewReader(bytes.NewReader(manifest))
	if err != nil {
		return list{}, err
	}
	return list{first.Header(), func(each func(batch.Item) error) error {
		r, err := batch.NewReader(bytes.NewReader(manifest))
		if err != nil {
			return err
		}
		for {
			item, err := r.Next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if p, ok := excluded[item.Row]; ok && item.Problem == nil {
				item.Problem = &p
			}
			item.Upload = uploads[item.Case]
			if err := each(item); err != nil {
				return err
			}
		}
	}}, nil
}

// listing walks photos of cases that exist; their facts are the cases' own.
func (h *Handler) listing(ctx context.Context, all []batch.Item) func(func(batch.Item) error) error {
	return func(each func(batch.Item) error) error {
		for _, item := range all {
			application, err := cases.LatestApplication(ctx, h.Cases, item.Case)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("read application: %w", err)
			}
			item.Facts = application.Object.Facts
			if err := each(item); err != nil {
				return err
			}
		}
		return nil
	}
}

func (h *Handler) excluded(ctx context.Context, id string) (batch.Excluded, error) {
	body, err := h.Cases.Get(ctx, batch.Key(id, batch.ExcludedName), MaxManifest)
	if err != nil {
		return nil, fmt.Errorf("read excluded lines: %w", err)
	}
	var out batch.Excluded
	if err := json.Unmarshal(body, &out); err != nil {
		return nil, fmt.Errorf("decode excluded lines: %w", cases.ErrUnreadable)
	}
	return out, nil
}

// inOrder does every item, some at a time, and takes what came of them in the
// order of the list.
func inOrder[T any](ctx context.Context, walk func(func(batch.Item) error) error,
	do func(context.Context, batch.Item) (T, error), take func(batch.Item, T) error) error {
	type job struct {
		item batch.Item
		out  chan T
	}
	group, ctx := errgroup.WithContext(ctx)
	begin, end := make(chan job), make(chan job, readers)
	for range readers {
		group.Go(func() error {
			for j := range begin {
				v, err := do(ctx, j.item)
				if err != nil {
					return fmt.Errorf("line %d: %w", j.item.Row, err)
				}
				j.out <- v
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(begin)
		defer close(end)
		return walk(func(item batch.Item) error {
			j := job{item, make(chan T, 1)}
			for _, to := range []chan job{end, begin} {
				select {
				case to <- j:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
	})
	group.Go(func() error {
		for j := range end {
			select {
			case v := <-j.out:
				if err := take(j.item, v); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return group.Wait()
}
