package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/gate"
	"github.com/agequote/agequote/internal/local"
	"github.com/agequote/agequote/internal/local/faultproxy"
	"github.com/agequote/agequote/internal/local/ownfile"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/registry"
	"github.com/agequote/agequote/internal/release"
	"github.com/agequote/agequote/internal/s3store"
	"github.com/agequote/agequote/internal/store"
)

// setting returns a number from the environment, or the one given.
func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// faulty is a chain on which everything breaks.
type faulty struct {
	*chain
	proxy   *faultproxy.Proxy
	random  *rand.Rand // of the one goroutine that breaks things
	uploads []sending
	ballast string // fills the disk; empty: the disk is not ours to fill

	repeated       atomic.Int64 // events sent again: a quarter of the uploads'
	killed, filled int
}

// sending is a photo with what has to come of it.
type sending struct {
	id    string
	photo []byte
	want  reason.Code
	sent  *atomic.Bool
}

// TestFaults sends uploads, five of them broken, while S3 fails one request in
// ten, functions are killed, the disk fills, events come twice and late, and the
// model is replaced. In the end, with redrive, the books balance: each photo has
// its quote or its refusal, each object was written once. AGEQUOTE_UPLOADS=10000
// AGEQUOTE_SEED=n is the full size (make faults).
func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("a long test")
	}
	n, seed := setting(t, "AGEQUOTE_UPLOADS", 60), setting(t, "AGEQUOTE_SEED", 1)
	selfie := readSample(t, "grace_hopper.jpg")
	f := &faulty{random: rand.New(rand.NewPCG(uint64(seed), 1))}
	for code, photo := range brokenPhotos(t, selfie) {
		text, _, _ := strings.Cut(string(code), " ")
		f.uploads = append(f.uploads, sending{casefile.NewID(), photo, reason.Code(text), new(atomic.Bool)})
	}
	for i := len(f.uploads); i < n; i++ {
		f.uploads = append(f.uploads, sending{casefile.NewID(), ownfile.Of(selfie, strconv.Itoa(i)), reason.OK, new(atomic.Bool)})
	}
	f.random.Shuffle(len(f.uploads), func(i, j int) { f.uploads[i], f.uploads[j] = f.uploads[j], f.uploads[i] })

	dirA, a := derive(t, "second", nil)
	disk := f.smallDisk(t, n)
	f.chain = startChainWith(t, func(o *local.Options) {
		o.Dir = disk
		o.Concurrency = 16 // most of the time they wait for S3
		o.Front = func(s3 string) (_ string, err error) {
			plan := faultproxy.Even(uint64(seed), 0.01)
			plan.Delay = 300 * time.Millisecond
			if f.proxy, err = faultproxy.Serve(s3, plan); err != nil {
				return "", err
			}
			return f.proxy.Endpoint, nil
		}
	}, "ModelFollowSeconds=1")
	defer func() {
		if err := f.proxy.Close(); err != nil {
			t.Error(err)
		}
	}()

	started := time.Now()
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(8)
	done := make(chan struct{})
	var breaking sync.WaitGroup
	breaking.Go(func() { f.breakThings(t.Context(), t, done) })
	for i, u := range f.uploads {
		if i == n/2 {
			f.replaceModel(t, dirA, a)
		}
		g.Go(func() error { return f.persist(ctx, u) })
	}
	err := g.Wait()
	for err == nil && int(f.repeated.Load()) < n/4 {
		time.Sleep(100 * time.Millisecond)
	}
	if err == nil {
		// The other faults go on while what was sent is worked on.
		wait, cancel := context.WithTimeout(t.Context(), time.Duration(n)*time.Second)
		err = f.Idle(wait)
		cancel()
	}
	close(done)
	breaking.Wait()
	if err != nil {
		t.Fatalf("%v\n%s", err, f.tail())
	}
	f.emptyDisk(t)
	f.proxy.Rest()
	f.settle(t, 5*time.Minute)
	first := f.books(t)
	t.Logf("%d uploads in %v, seed %d", n, time.Since(started).Round(time.Second), seed)
	t.Logf("faults: %v of S3; %d instances killed, %d events twice, the disk full %d times", f.proxy.Counts(), f.killed, f.repeated.Load(), f.filled)
	t.Logf("before redrive: %v", first)

	// The cause is mended; what gave up is sent again, and then what was lost.
	f.environment(t)
	for _, args := range [][]string{{"redrive"}, {"redrive", "--lost", "--age", "0s"}} {
		var said bytes.Buffer
		e := &env{stdout: io.Discard, stderr: &said, getenv: os.Getenv, now: func() time.Time { return time.Now().Add(2 * time.Second) }}
		if err := run(t.Context(), e, args); err != nil {
			t.Fatal(err)
		}
		t.Log(strings.TrimSpace(said.String()))
		f.settle(t, 5*time.Minute)
	}
	last := f.books(t)
	t.Logf("after redrive: %v", last)
	if last["quoted"] != n-5 || last["refused"] != 5 {
		t.Errorf("books: %v of %d uploads, 5 of them broken\n%s", last, n, f.tail())
	}
	if f.killed == 0 || f.repeated.Load() == 0 || last["model "+a] == 0 || len(f.proxy.Counts()) < 10 {
		t.Error("not every fault was met")
	}
	for key, versions := range f.versions(t, "cases/") {
		if versions != 1 {
			t.Errorf("%s was written %d times", key, versions)
		}
	}
	f.noPersonalData(t, nil)
}

// persist sends a photo until it is sent, as a customer does.
func (f *faulty) persist(ctx context.Context, u sending) error {
	for {
		err := f.upload(ctx, u.id, u.photo)
		if err == nil || errors.Is(err, store.ErrExists) {
			u.sent.Store(true)
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// breakThings kills instances, sends events again, late and out of order, and
// fills the disk, until done.
func (f *faulty) breakThings(ctx context.Context, t *testing.T, done <-chan struct{}) {
	functions := []string{"PredictFunction", "PredictFunction", "QuoteFunction", "FailedFunction"}
	lambda := f.lambda()
	for round := 1; ; round++ {
		select {
		case <-done:
			return
		case <-time.After(250 * time.Millisecond):
		}
		// Rarer where there is more to do: an instance that has just started does
		// nothing but start.
		if f.random.IntN(3+len(f.uploads)/500) == 0 {
			f.killed += f.KillFunction(functions[f.random.IntN(len(functions))])
		}
		for range 1 + len(f.uploads)/100 {
			u := f.uploads[f.random.IntN(len(f.uploads))]
			if !u.sent.Load() || int(f.repeated.Load()) >= len(f.uploads)/4 {
				continue
			}
			event, err := json.Marshal(photoEvent(casefile.Source{Bucket: f.Resource("UploadsBucket"), Key: casefile.UploadKey(u.id, 1)}))
			if err == nil {
				err = lambda.InvokeAsync(ctx, f.Resource("PredictFunction"), event)
			}
			if err == nil {
				f.repeated.Add(1)
			}
		}
		if round%(20+len(f.uploads)/100) == 0 {
			f.fillDisk(t)
			f.filled++
			time.Sleep(500 * time.Millisecond)
			f.emptyDisk(t)
		}
	}
}

// smallDisk returns a folder for the stack's data: on a file system of its own
// where this process may mount one, so that it can be filled.
func (f *faulty) smallDisk(t *testing.T, uploads int) string {
	dir := t.TempDir()
	size := fmt.Sprintf("size=%dm", 64+uploads/2) // a photo and its objects take 80 KB
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, size); err != nil {
		t.Logf("the disk is full by the proxy's word alone: mount: %v", err)
		return dir
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	f.ballast = filepath.Join(dir, "ballast")
	return dir
}

// fillDisk leaves no room, in truth where the disk is ours.
func (f *faulty) fillDisk(t *testing.T) {
	if f.ballast == "" {
		f.proxy.SetFull(true)
		return
	}
	file, err := os.Create(f.ballast)
	if err != nil {
		return // full already
	}
	defer file.Close()
	block := make([]byte, 1<<20)
	for err == nil {
		_, err = file.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("fill the disk: %v", err)
	}
}

func (f *faulty) emptyDisk(t *testing.T) {
	f.proxy.SetFull(false)
	if f.ballast == "" {
		return
	}
	if err := os.Remove(f.ballast); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Errorf("empty the disk: %v", err)
	}
}

// replaceModel publishes a package and takes it live.
func (f *faulty) replaceModel(t *testing.T, dir, hash string) {
	t.Helper()
	limits, err := gate.Default()
	if err != nil {
		t.Fatal(err)
	}
	desk := &release.Desk{
		Registry: &registry.Registry{Objects: &s3store.Bucket{Client: f.client, Name: f.Resource("ModelsBucket")}},
		Limits:   limits, Now: time.Now, Version: "test",
	}
	// The disk may be full at this moment.
	for range 50 {
		if _, _, err = desk.Publish(t.Context(), os.DirFS(dir), "Ada"); err == nil {
			_, err = desk.Approve(t.Context(), release.Approval{Model: hash, By: "Bob", Why: "trial", AllowResearch: true})
		}
		if err == nil || errors.Is(err, release.ErrAlready) {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Errorf("replace the model: %v", err)
}

// environment makes commands of ours find the stack.
func (f *faulty) environment(t *testing.T) {
	t.Helper()
	for _, line := range append(f.Env(), "CASES_BUCKET="+f.cases.Name, "UPLOADS_BUCKET="+f.Resource("UploadsBucket"),
		"PREDICT_FUNCTION="+f.Resource("PredictFunction"), "QUOTE_FUNCTION="+f.Resource("QuoteFunction")) {
		name, value, _ := strings.Cut(line, "=")
		t.Setenv(name, value)
	}
}

// books counts what became of the uploads, and checks what stands.
func (f *faulty) books(t *testing.T) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, u := range f.uploads {
		cause := casefile.PhotoCause(1)
		estimate, err := cases.Read[casefile.Estimate](t.Context(), f.cases, casefile.EstimateKey(u.id, 1))
		failure, _ := cases.Exists(t.Context(), f.cases, casefile.FailureKey(u.id, cause))
		quote, quoteErr := cases.Read[casefile.Quote](t.Context(), f.cases, casefile.QuoteKey(u.id, cause))
		if err == nil && estimate.Object.Code != u.want {
			t.Errorf("code %s, want %s", estimate.Object.Code, u.want)
		}
		if err == nil && u.want == reason.OK {
			out["model "+estimate.Object.Model]++
		}
		switch {
		case err == nil && u.want != reason.OK:
			out["refused"]++
			if quoteErr == nil {
				t.Errorf("a photo refused as %s has a quote", u.want)
			}
		case quoteErr == nil:
			out["quoted"]++
			if quote.Object.Hashes.Estimate != estimate.Hash || quote.Object.Hashes.Photo != estimate.Object.Photo {
				t.Error("the quote names another estimate or photo than its own")
			}
		case failure:
			out["failed"]++
		default:
			out["lost"]++
		}
	}
	return out
}

// tail is the end of what the functions printed.
func (f *faulty) tail() string {
	log := f.log.String()
	return log[max(0, len(log)-4000):]
}
