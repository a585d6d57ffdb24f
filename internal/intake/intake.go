// Package intake brings a batch to AWS before it starts: an application and a
// photo for each line of a manifest, each once, or the photos of cases that
// exist, and the file of items that the state machine reads. What is there is
// found again, so an intake that was broken off is taken up by doing it again.
// It reads no photo's picture and starts nothing.
package intake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/agequote/agequote/internal/batch"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/store"
)

// What we need of others, no more.
type (
	caseStore interface {
		Get(ctx context.Context, key string, limit int64) ([]byte, error)
		List(ctx context.Context, prefix string) ([]string, error)
		PutIfAbsent(ctx context.Context, key string, body []byte) error
	}
	uploadStore interface {
		Get(ctx context.Context, key string, limit int64) ([]byte, error)
		PutIfAbsent(ctx context.Context, key string, body []byte) error
		Overwrite(ctx context.Context, key string, body []byte) error
		Versions(ctx context.Context, prefix string) ([]store.Version, error)
	}
	images interface {
		// Check returns why a photo cannot be read, "" where it can.
		Check(photo string) batch.Code
		GetVersion(ctx context.Context, photo, version string, limit int64) ([]byte, error)
	}
)

// maxPhoto bounds a photo in bytes. It is above what predict takes, so that one
// that is too large is refused there, with its code.
const maxPhoto = 32 << 20

// workers is how many lines are brought at a time.
const workers = 16

// Intake brings one batch. Its fields are set by cmd/agequote or a test.
type Intake struct {
	Cases         caseStore
	Uploads       uploadStore
	UploadsBucket string // its name, for the items
	Images        images // of a manifest
	Version       string // code version, for the stored objects
	Now           func() time.Time
	// Brought is told of every line: "", or why it is no item. Several at a time.
	Brought func(code batch.Code)
}

// ErrOtherBatch says that a batch of this name stands, and is not this one.
var ErrOtherBatch = errors.New("another batch has this name")

// Manifest brings the lines of a manifest.
func (i *Intake) Manifest(ctx context.Context, about batch.About, manifest []byte) (items int, err error) {
	about, err = i.begin(ctx, about)
	if err != nil {
		return 0, err
	}
	if err := i.put(ctx, about.ID, batch.ManifestName, manifest); err != nil {
		return 0, err
	}
	reader, err := batch.NewReader(bytes.NewReader(manifest))
	if err != nil {
		return 0, err
	}
	var (
		mu       sync.Mutex
		uploads  = map[int]batch.Upload{}
		excluded = batch.Excluded{}
	)
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for {
		item, err := reader.Next()
		if errors.Is(err, io.EOF) || gctx.Err() != nil {
			break
		}
		if err != nil {
			return 0, errors.Join(err, group.Wait())
		}
		group.Go(func() error {
			if item.Problem != nil {
				i.Brought(item.Problem.Code)
				return nil // the manifest itself says so
			}
			upload, code, err := i.bring(gctx, about, item)
			if err != nil {
				return fmt.Errorf("line %d of the manifest: %w", item.Row, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if code != "" {
				excluded[item.Row] = batch.Problem{Code: code, Sentence: code.Sentence()}
			} else {
				uploads[item.Row] = upload
			}
			i.Brought(code)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	body, err := json.Marshal(excluded)
	if err != nil {
		return 0, fmt.Errorf("encode excluded lines: %w", err)
	}
	if err := i.put(ctx, about.ID, batch.ExcludedName, append(body, '\n')); err != nil {
		return 0, err
	}
	return len(uploads), i.items(ctx, about.ID, inRows(uploads))
}

// Listing brings the photos under a prefix of the uploads bucket, whose cases
// exist. Those that come later are no part of the batch.
func (i *Intake) Listing(ctx context.Context, about batch.About, uploads []batch.Upload) error {
	about, err := i.begin(ctx, about)
	if err != nil {
		return err
	}
	return i.items(ctx, about.ID, uploads)
}

// Uploads returns the photos under a prefix, in the order of their names.
func Uploads(ctx context.Context, bucket string, s uploadStore, prefix string) ([]batch.Upload, error) {
	versions, err := s.Versions(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("list photos: %w", err)
	}
	var out []batch.Upload
	for _, v := range versions {
		id, n, ok := casefile.ParseUploadKey(v.Key)
		if !ok || !v.Latest || v.Marker {
			continue
		}
		out = append(out, batch.Upload{Case: id, N: n, Bucket: bucket, Key: v.Key, Version: v.ID})
	}
	return out, nil
}

func inRows(uploads map[int]batch.Upload) []batch.Upload {
	rows := make([]int, 0, len(uploads))
	for row := range uploads {
		rows = append(rows, row)
	}
	slices.Sort(rows)
	out := make([]batch.Upload, len(rows))
	for k, row := range rows {
		out[k] = uploads[row]
	}
	return out
}

// begin writes down what the batch is asked for, or finds it begun before.
func (i *Intake) begin(ctx context.Context, about batch.About) (batch.About, error) {
	body, err := cases.Encode(about)
	if err != nil {
		return about, err
	}
	standing, err := cases.WriteOnce[batch.About](ctx, i.Cases, batch.Key(about.ID, batch.AboutName), body)
	if err != nil {
		return about, fmt.Errorf("write what the batch is asked for: %w", err)
	}
	if standing.Object.Manifest != about.Manifest || standing.Object.Listed != about.Listed {
		return about, fmt.Errorf("batch %s: %w", about.ID, ErrOtherBatch)
	}
	return standing.Object, nil
}

// items writes items.csv last: the batch can start where it stands.
func (i *Intake) items(ctx context.Context, id string, uploads []batch.Upload) error {
	var body bytes.Buffer
	if err := batch.WriteUploads(&body, uploads); err != nil {
		return err
	}
	return i.put(ctx, id, batch.ItemsName, body.Bytes())
}

func (i *Intake) put(ctx context.Context, id, name string, body []byte) error {
	err := i.Cases.PutIfAbsent(ctx, batch.Key(id, name), body)
	if err != nil && !errors.Is(err, store.ErrExists) {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// bring writes the application and photo of one line. A code says why it is no
// item.
func (i *Intake) bring(ctx context.Context, about batch.About, item batch.Item) (batch.Upload, batch.Code, error) {
	code, err := i.apply(ctx, about, item)
	if code != "" || err != nil {
		return batch.Upload{}, code, err
	}
	if code := i.Images.Check(item.Photo); code != "" {
		return batch.Upload{}, code, nil
	}
	photo, err := i.Images.GetVersion(ctx, item.Photo, "", maxPhoto)
	if err != nil {
		return batch.Upload{}, batch.PhotoUnreadable, nil
	}
	key := casefile.BatchUploadKey(item.Case, item.N)
	if err := i.upload(ctx, item, key, photo); err != nil {
		return batch.Upload{}, "", err
	}
	version, err := i.version(ctx, key)
	return batch.Upload{Case: item.Case, N: item.N, Bucket: i.UploadsBucket, Key: key, Version: version}, "", err
}

// apply writes the application, or finds the same facts and consent standing
// under the case's id. It never adds to a case that says anything else.
func (i *Intake) apply(ctx context.Context, about batch.About, item batch.Item) (batch.Code, error) {
	switch err := cases.Alive(ctx, i.Cases, item.Case); {
	case errors.Is(err, cases.ErrErased):
		return batch.Erased, nil
	case err != nil:
		return "", err
	}
	body, err := cases.Encode(casefile.Application{
		Schema: casefile.Schema, Case: item.Case, N: 1, Time: about.Started.UTC(),
		Facts: item.Facts, Consent: item.Consent, Version: i.Version, Salt: casefile.NewSalt(),
	})
	if err != nil {
		return "", err
	}
	stands, err := cases.WriteOnce[casefile.Application](ctx, i.Cases, casefile.ApplicationKey(item.Case, 1), body)
	switch {
	case err != nil:
		return "", fmt.Errorf("write application: %w", err)
	case stands.Erased:
		return batch.Erased, nil
	}
	same, err := sameLine(stands.Object, item)
	if err != nil || same {
		return "", err
	}
	return batch.CaseExists, nil
}

// sameLine tells whether an application says what a line says, no more and no
// less.
func sameLine(a casefile.Application, item batch.Item) (bool, error) {
	stands, err := json.Marshal([]any{a.Facts, a.Consent})
	if err != nil {
		return false, fmt.Errorf("encode application: %w", err)
	}
	line, err := json.Marshal([]any{item.Facts, item.Consent})
	if err != nil {
		return false, fmt.Errorf("encode line: %w", err)
	}
	return bytes.Equal(stands, line), nil
}

// upload writes the photo. A photo that nothing was made of yet may be mended: a
// new version comes over it.
func (i *Intake) upload(ctx context.Context, item batch.Item, key string, photo []byte) error {
	err := i.Uploads.PutIfAbsent(ctx, key, photo)
	if !errors.Is(err, store.ErrExists) {
		return err
	}
	stands, err := i.Uploads.Get(ctx, key, maxPhoto)
	if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrTooLarge) {
		return fmt.Errorf("read standing photo: %w", err)
	}
	if err == nil && bytes.Equal(stands, photo) {
		return nil
	}
	read, err := cases.Exists(ctx, i.Cases, casefile.EstimateKey(item.Case, item.N))
	if err != nil || read {
		return err
	}
	return i.Uploads.Overwrite(ctx, key, photo)
}

// version is that of the photo that stands, so that predict reads this one,
// never one that came after.
func (i *Intake) version(ctx context.Context, key string) (string, error) {
	versions, err := i.Uploads.Versions(ctx, key)
	if err != nil {
		return "", fmt.Errorf("look for the photo's version: %w", err)
	}
	for _, v := range versions {
		if v.Key == key && v.Latest && !v.Marker {
			return v.ID, nil
		}
	}
	return "", nil // of a bucket that keeps none
}
