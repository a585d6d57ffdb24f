package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	_ "image/png" // of a selfie
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/image/draw"

	"github.com/agequote/agequote/internal/batch"
	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/onnx/onnxtest"
)

// asProgram makes the test's own binary the program, which a test can kill.
const asProgram = "AGEQUOTE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// program returns a run of agequote in a process of its own.
func program(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// batchPhotos makes small photos out of the sample selfies, each another file,
// and some that cannot be read.
func batchPhotos(t testing.TB, dir string, n int) {
	t.Helper()
	var selfies []image.Image
	for _, name := range []string{"astronaut.png", "grace_hopper.jpg"} {
		f, err := os.Open(filepath.Join("../../events/selfies", name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		img, _, err := image.Decode(f)
		if err != nil {
			t.Fatal(err)
		}
		selfies = append(selfies, img)
	}
	for i := range n {
		from := selfies[i%2]
		w := 460 + i%40
		small := image.NewRGBA(image.Rect(0, 0, w, w*from.Bounds().Dy()/from.Bounds().Dx()))
		draw.ApproxBiLinear.Scale(small, small.Rect, from, from.Bounds(), draw.Src, nil)
		small.SetRGBA(0, 0, color.RGBA{uint8(i), uint8(i >> 4), 0, 255})
		writeJPEG(t, filepath.Join(dir, fmt.Sprintf("%d.jpg", i)), small, 80+i%15)
	}
	writeJPEG(t, filepath.Join(dir, "grey.jpg"), image.NewGray(image.Rect(0, 0, 300, 300)), 90)
	if err := os.WriteFile(filepath.Join(dir, "text.jpg"), []byte("no picture"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.jpg"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "link.jpg")); err != nil {
		t.Fatal(err)
	}
}

func writeJPEG(t testing.TB, name string, img image.Image, quality int) {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// batchManifest lists photos, with a line of each kind that cannot be done.
func batchManifest(t testing.TB, dir string, n int) (name string) {
	t.Helper()
	var text strings.Builder
	fmt.Fprintln(&text, "case,photo,age,sex,height_cm,weight_kg,tobacco,sum,term,market,consent_version,consent_time,consent_days,race")
	agreed := "2026-11-25," + time.Now().UTC().Format(time.RFC3339) + ",30"
	line := func(id, photo, rest string) {
		fmt.Fprintf(&text, "%s,%s,%s\n", id, photo, rest)
	}
	for i := range n {
		id := fmt.Sprintf("customer-%04d", i)
		facts := fmt.Sprintf("%d,female,170,%d,never,%d,20,US,%s,", 25+i%50, 55+i%60, 50000+1000*i, agreed)
		line(id, fmt.Sprintf("%d.jpg", i), facts+[]string{"", "asian", "black"}[i%3])
		switch i % 40 {
		case 3:
			line(id, "0.jpg", facts) // the same case
		case 7:
			fmt.Fprintf(&text, "%s-b,\"0.jpg,%s\n", id, facts) // a quote left open
		case 11:
			line(id+"-b", "none.jpg", facts)
		case 15:
			line(id+"-b", "text.jpg", facts)
		case 19:
			line(id+"-b", "grey.jpg", facts)
		case 23:
			line(id+"-b", "0.jpg", "40,male,180,80,never,100000,20,US,,,,")
		case 27:
			line(id+"-b", "folder.jpg", facts)
		case 31:
			line(id+"-b", "link.jpg", facts) // leads out of the folder
		case 35:
			line(id+"-b", "../manifest.csv", facts)
		}
	}
	name = filepath.Join(dir, "manifest.csv")
	if err := os.WriteFile(name, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestBatchKilled kills a batch three times at random and compares it with one
// that nobody killed.
func TestBatchKilled(t *testing.T) {
	onnxtest.Require(t)
	photos := 200
	if testing.Short() {
		photos = 40
	}
	dir := t.TempDir()
	images := filepath.Join(dir, "images")
	if err := os.Mkdir(images, 0o700); err != nil {
		t.Fatal(err)
	}
	batchPhotos(t, images, photos)
	manifest := batchManifest(t, dir, photos)
	args := func(out string) []string {
		return []string{"batch", manifest, "--images", images, "--out", out, "--model", "../../models", "--valuation-date", "2026-11-25"}
	}
	unbroken, killed := filepath.Join(dir, "unbroken"), filepath.Join(dir, "killed")
	finish(t, args(unbroken))

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	whole := len(objects(t, unbroken))
	standing := map[string]string{}
	for range 3 {
		cmd := program(t.Context(), args(killed)...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		until := len(standing) + 1 + random.IntN((whole-len(standing))/2)
		for len(objects(t, killed)) < until && t.Context().Err() == nil {
			time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
		now := objects(t, killed)
		t.Logf("killed with %d of %d objects", len(now), whole)
		for name, hash := range standing {
			if now[name] != hash {
				t.Fatalf("%s was %s and is %q", name, hash, now[name])
			}
		}
		standing = now
	}
	finish(t, args(killed))
	end := objects(t, killed)
	for name, hash := range standing {
		if end[name] != hash {
			t.Fatalf("%s was done twice", name)
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(objects(t, unbroken))), slices.Sorted(maps.Keys(objects(t, killed)))); diff != "" {
		t.Errorf("objects (-unbroken +killed)\n%s", diff)
	}
	if diff := cmp.Diff(withoutTimes(t, unbroken), withoutTimes(t, killed)); diff != "" {
		t.Errorf("results.csv (-unbroken +killed)\n%s", diff)
	}
	if diff := cmp.Diff(read(t, unbroken, "failures.csv"), read(t, killed, "failures.csv")); diff != "" {
		t.Errorf("failures.csv (-unbroken +killed)\n%s", diff)
	}
	a, b := summaryOf(t, unbroken), summaryOf(t, killed)
	a.Times, b.Times = nil, nil
	a.Batch.ID, a.Batch.Started = b.Batch.ID, b.Batch.Started
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("summary.json (-unbroken +killed)\n%s", diff)
	}

	n := photos / 40 // of each line that cannot be done
	want := map[string]int{"bad_row": 2 * n, "duplicate_case": n, "photo_missing": n, "not_image": n, "no_face": n, "no_consent": n, "photo_unreadable": 2 * n}
	if diff := cmp.Diff(want, a.Codes); diff != "" {
		t.Errorf("codes (-want +got)\n%s", diff)
	}
	if err := a.Books.Check(); err != nil || a.Books.Failed != 6*n || a.Books.Listed != photos+9*n || a.Books.Quoted+a.Books.Referred < photos/2 {
		t.Errorf("books %+v: %v", a.Books, err)
	}
}

// finish runs to the end.
func finish(t *testing.T, args []string) {
	t.Helper()
	if out, err := program(t.Context(), args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// objects are the stored objects under their names with their hashes. A marker's
// name has a time, which is left out.
func objects(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(filepath.Join(dir, "cases"), func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // killed before there was one
		}
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		all[strings.TrimPrefix(name, dir)] = digest.Of(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// withoutTimes returns results.csv with nothing in the columns that hold times.
func withoutTimes(t *testing.T, dir string) string {
	t.Helper()
	records, err := csv.NewReader(strings.NewReader(read(t, dir, "results.csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range records[0] {
		if slices.Contains(batch.TimeColumns, name) {
			for _, r := range records[1:] {
				r[i] = ""
			}
		}
	}
	var out strings.Builder
	if err := csv.NewWriter(&out).WriteAll(records); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func summaryOf(t *testing.T, dir string) (s batch.Summary) {
	t.Helper()
	if err := json.Unmarshal([]byte(read(t, dir, "summary.json")), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestBatchSample runs the sample manifest, again, beside itself, and then
// another one in the same folder.
func TestBatchSample(t *testing.T) {
	onnxtest.Require(t)
	out := filepath.Join(t.TempDir(), "out")
	args := []string{"batch", "../../events/manifest.csv", "--out", out, "--model", "../../models"}
	for range 2 {
		status, stdout, stderr := call(t, args...)
		want := "5 listed = 1 quoted + 1 referred + 0 postponed + 0 declined + 2 refused + 1 failed\n"
		if status != 0 || !strings.HasPrefix(stdout, want) {
			t.Fatalf("status %d, stdout %q, stderr %q, want %q", status, stdout, stderr, want)
		}
	}

	unlock, err := lock(out)
	if err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := call(t, args...); status != 1 || !strings.Contains(stderr, "in use by another run") {
		t.Errorf("two runs at once: status %d, stderr %q", status, stderr)
	}
	unlock()

	// The rerun of what failed is a batch of its own.
	failures := filepath.Join(out, "failures.csv")
	if status, _, stderr := call(t, "batch", failures, "--out", out, "--model", "../../models"); status != 1 || !strings.Contains(stderr, "another batch: this one has manifest") {
		t.Errorf("another manifest: status %d, stderr %q", status, stderr)
	}
	if status, _, stderr := call(t, append(args, "--valuation-date", "2026-01-31")...); status != 1 || !strings.Contains(stderr, "valuation date 2026-01-31 instead of 2026-11-24") {
		t.Errorf("another day: status %d, stderr %q", status, stderr)
	}
	status, stdout, stderr := call(t, "batch", failures, "--images", "../../events", "--out", filepath.Join(t.TempDir(), "rerun"), "--model", "../../models")
	if status != 0 || !strings.HasPrefix(stdout, "1 listed = 0 quoted + 0 referred + 0 postponed + 0 declined + 0 refused + 1 failed\n") {
		t.Errorf("rerun: status %d, stdout %q, stderr %q", status, stdout, stderr)
	}

	// The folder is a bucket of cases like any other.
	for _, id := range []string{"sample-astronaut", "sample-hopper"} {
		if status, stdout, stderr := call(t, "replay", id, "--cases", out, "--model", "../../models"); status != 0 {
			t.Errorf("replay: status %d, stdout %q, stderr %q", status, stdout, stderr)
		}
	}
}

// TestBatchInterrupted stops a batch as Ctrl-C does, and lets it go on.
func TestBatchInterrupted(t *testing.T) {
	onnxtest.Require(t)
	dir := t.TempDir()
	images := filepath.Join(dir, "images")
	if err := os.Mkdir(images, 0o700); err != nil {
		t.Fatal(err)
	}
	batchPhotos(t, images, 60)
	out := filepath.Join(dir, "out")
	args := []string{"batch", batchManifest(t, dir, 60), "--images", images, "--out", out, "--model", "../../models"}
	cmd := program(t.Context(), args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for len(objects(t, out)) < 10 && t.Context().Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(stderr.String(), "the same command goes on") {
		t.Fatalf("%v: %s", err, &stderr)
	}
	finish(t, args)
}
