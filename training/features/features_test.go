package features

import (
	"bytes"
	"context"
	"errors"
	"image"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/onnx"
	"github.com/agequote/agequote/internal/onnx/onnxtest"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/training/augment"
)

// testJob is a job on three photos, the second of which is none.
func testJob(t *testing.T) Job {
	t.Helper()
	onnxtest.Require(t)
	network, err := os.ReadFile("../../models/detector.onnx")
	if err != nil {
		t.Fatal(err)
	}
	detector, err := onnx.Open(network, face.DetectorInput, face.DetectorOutputs, onnx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = detector.Close() })
	dir := t.TempDir()
	for to, from := range map[string]string{"a.png": "astronaut.png", "c.jpg": "grace_hopper.jpg"} {
		b, err := os.ReadFile(filepath.Join("../../events/selfies", from))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "b.jpg"), []byte("no picture"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Job{
		Images: dir, Labels: []evaluation.Label{{File: "a.png"}, {File: "b.jpg"}, {File: "c.jpg"}}, Detector: detector,
		Shape: [3]int{56, 56, 3}, Key: "crops", Seed: 1,
		Views: []View{{Name: "plain"}, {Name: "mirror", Mirror: true}, {Name: "varied", Augment: augment.Settings{Turn: 6, Light: 0.2, JPEG: 0.5}}},
	}
}

func mustOpen(t *testing.T, dir string, j Job) *Cache {
	t.Helper()
	c, err := Open(t.Context(), dir, j, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func read(t *testing.T, c *Cache, view, photo int) []byte {
	t.Helper()
	b := make([]byte, c.Size())
	if err := c.Read(view, photo, b); err != nil {
		t.Fatal(err)
	}
	return b
}

// contents are the files of a cache by name.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(p)] = string(b)
	}
	return files
}

func TestOpen(t *testing.T) {
	j := testJob(t)
	dir := t.TempDir()
	c := mustOpen(t, dir, j)

	var codes []reason.Code
	for _, f := range c.Faces {
		codes = append(codes, f.Code)
	}
	if diff := cmp.Diff([]reason.Code{reason.OK, reason.NotImage, reason.OK}, codes); diff != "" {
		t.Errorf("codes (-want +got)\n%s", diff)
	}
	for _, photo := range []int{0, 2} {
		raw, err := os.ReadFile(filepath.Join(j.Images, j.Labels[photo].File))
		if err != nil {
			t.Fatal(err)
		}
		f, err := (&face.Reader{Detector: j.Detector}).Read(raw)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(read(t, c, 0, photo), Pixels(f.Crop, 56)) {
			t.Errorf("photo %d: the plain view is not serving's crop", photo)
		}
		augment.Mirror(f.Crop)
		if !bytes.Equal(read(t, c, 1, photo), Pixels(f.Crop, 56)) {
			t.Errorf("photo %d: the mirrored view is not serving's crop, mirrored", photo)
		}
		if bytes.Equal(read(t, c, 2, photo), read(t, c, 0, photo)) {
			t.Errorf("photo %d: the varied view is the plain one", photo)
		}
	}

	want := contents(t, dir)
	again := t.TempDir()
	mustOpen(t, again, j)
	if diff := cmp.Diff(want, contents(t, again)); diff != "" {
		t.Error("the same job gives other bytes")
	}

	// A view that was broken off: half its items, and no index.
	varied, err := filepath.Glob(filepath.Join(again, "*", "varied-*.u8"))
	if err != nil || len(varied) != 1 {
		t.Fatalf("%q: %v", varied, err)
	}
	index := varied[0][:len(varied[0])-len(".u8")] + ".json"
	if err := errors.Join(os.Truncate(varied[0], 100), os.Remove(index), os.WriteFile(index[:len(index)-len(".json")]+".next", []byte(`{"sch`), 0o600)); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, again, j)
	if diff := cmp.Diff(want, contents(t, again)); diff != "" {
		t.Error("a view that was broken off is not computed again")
	}

	// What is there is not computed again, even where the photos are gone; and one
	// that is stopped leaves no index.
	j.Images = t.TempDir()
	mustOpen(t, dir, j)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	j.Images, j.Views = testJob(t).Images, append(j.Views, View{Name: "late"})
	if _, err := Open(ctx, dir, j, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("Open of a stopped job = %v", err)
	}
	if late, _ := filepath.Glob(filepath.Join(dir, "*", "late-*.json")); len(late) > 0 {
		t.Errorf("a stopped job wrote %q", late)
	}
}

// TestBounds lets in what serving refuses, in a cache of its own.
func TestBounds(t *testing.T) {
	j := testJob(t)
	j.Views = j.Views[:1]
	dir := t.TempDir()
	if c := mustOpen(t, dir, j); c.Faces[0].Code != reason.OK {
		t.Fatalf("serving says %q", c.Faces[0].Code)
	}
	j.Bounds = face.DefaultBounds
	j.Bounds.Dark = 250
	if c := mustOpen(t, dir, j); c.Faces[0].Code != reason.TooDark {
		t.Errorf("with a limit of 250 the photo is %q, want too_dark", c.Faces[0].Code)
	}
}

// double is a network that gives a map of two channels, half the size of the
// crop: blue and red, in [0, 6].
type double struct{}

func (double) Run(input []float32, _ ...int64) ([][]float32, error) {
	const half = face.Size / 2
	out := make([]float32, 2*half*half)
	for c, plane := range []int{0, 2} {
		for y := range half {
			for x := range half {
				out[(c*half+y)*half+x] = input[(plane*face.Size+2*y)*face.Size+2*x] * 6 / 255
			}
		}
	}
	return [][]float32{out}, nil
}

// TestItemOfMap follows pixels through the planes that a network gets and the
// map that it gives: the bytes are the pixels again, channels last.
func TestItemOfMap(t *testing.T) {
	crop := image.NewRGBA(image.Rect(0, 0, face.Size, face.Size))
	r := rand.New(rand.NewPCG(1, 1))
	for i := range crop.Pix {
		crop.Pix[i] = uint8(r.UintN(256))
	}
	const half = face.Size / 2
	got, err := Job{Network: double{}, Shape: [3]int{half, half, 2}}.item(crop, false)
	if err != nil {
		t.Fatal(err)
	}
	for y := range half {
		for x := range half {
			p := crop.RGBAAt(2*x, 2*y)
			if at := 2 * (y*half + x); got[at] != p.B || got[at+1] != p.R {
				t.Fatalf("at %d, %d: %v, want blue and red of %v", x, y, got[at:at+2], p)
			}
		}
	}
	if _, err := bytesOf([]float32{6.1}, [3]int{1, 1, 1}); err == nil {
		t.Error("a map beyond 6 passes")
	}
}
