package dataset_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/onnx"
	"github.com/agequote/agequote/internal/onnx/onnxtest"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/training/dataset"
)

const selfies = "../../events/selfies"

// reader is serving's, with the detector that ships.
func reader(t *testing.T) *face.Reader {
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
	t.Cleanup(func() { detector.Close() })
	return &face.Reader{Detector: detector}
}

func TestInspect(t *testing.T) {
	selfie, err := os.ReadFile(filepath.Join(selfies, "grace_hopper.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	dir := lay(t, map[string]string{"a.jpg": string(selfie), "b.jpg": "no picture", "c.jpg": "not used", "d.jpg": "known"})
	samples := []dataset.Sample{
		{File: "a.jpg", Side: dataset.Train},
		{File: "b.jpg", Side: dataset.Validation},
		{File: "c.jpg", Drop: dataset.NotUsed},
		{File: "d.jpg", Side: dataset.Train},
		{File: "e.jpg", Side: dataset.Train}, // is not there
		{File: "f.jpg", Drop: dataset.Unusable},
	}
	want := []dataset.Sample{
		{File: "a.jpg", Side: dataset.Train, Hash: digest.Of(selfie), Code: reason.OK},
		{File: "b.jpg", Side: dataset.Validation, Hash: digest.Of([]byte("no picture")), Code: reason.NotImage},
		{File: "c.jpg", Drop: dataset.NotUsed, Hash: digest.Of([]byte("not used"))},
		{File: "d.jpg", Side: dataset.Train, Hash: digest.Of([]byte("known")), Code: reason.Turned},
		{File: "e.jpg", Drop: dataset.Missing},
		{File: "f.jpg", Drop: dataset.Unusable},
	}
	if got := dataset.Open(samples); got != 5 {
		t.Errorf("Open = %d, want 5", got)
	}
	known := map[string]reason.Code{digest.Of([]byte("known")): reason.Turned}
	in := dataset.Inspection{Faces: reader(t), Known: known, Workers: 2}
	if err := dataset.Inspect(t.Context(), samples, dir, in); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, samples, cmp.AllowUnexported(dataset.Sample{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// broken is a detector that fails.
type broken struct{ err error }

func (b broken) Read([]byte) (*face.Face, error) { return nil, b.err }

func TestInspectEndsOnItsOwnFaults(t *testing.T) {
	fault := errors.New("out of memory")
	samples := []dataset.Sample{{File: "a.jpg", Side: dataset.Train}}
	dir := lay(t, map[string]string{"a.jpg": "x"})
	if err := dataset.Inspect(t.Context(), samples, dir, dataset.Inspection{Faces: broken{fault}}); !errors.Is(err, fault) {
		t.Errorf("Inspect = %v, want the detector's fault", err)
	}
}

// TestSynthetic checks what a smoke test needs of the set: faces that serving
// takes, and something to learn from their pixels.
func TestSynthetic(t *testing.T) {
	dir := t.TempDir()
	const n = 40
	if err := dataset.Synthetic(dir, selfies, n, 1); err != nil {
		t.Fatal(err)
	}
	c := parse(t, "sources: [{kind: labels, file: labels.tsv, salt: s, train: [0,1,2,3,4,5,6,7], validate: [8,9], use: research}]")
	samples, err := dataset.Read(c, dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(samples) != n {
		t.Errorf("%d photos, want %d", len(samples), n)
	}

	r := reader(t)
	var ages, light []float64
	for i, p := range samples {
		photo, err := os.ReadFile(filepath.Join(dir, p.File))
		if err != nil {
			t.Fatal(err)
		}
		f, err := r.Read(photo)
		if err != nil {
			t.Errorf("%s, %v years: %v", p.File, p.Age, err)
			continue
		}
		if i%2 == 0 { // of one portrait: the other is lighter throughout
			ages, light = append(ages, p.Age), append(light, f.Quality.Light)
		}
	}
	if c := correlation(ages, light); c < 0.9 {
		t.Errorf("age and light correlate by %.2f, want 0.9 or more", c)
	}

	again := t.TempDir()
	if err := dataset.Synthetic(again, selfies, 3, 1); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"photos/00000.jpg", "photos/00002.jpg"} {
		a, errA := os.ReadFile(filepath.Join(dir, name))
		b, errB := os.ReadFile(filepath.Join(again, name))
		if errA != nil || errB != nil || string(a) != string(b) {
			t.Errorf("%s is another one the second time (%v, %v)", name, errA, errB)
		}
	}
	if err := dataset.Synthetic(again, t.TempDir(), 3, 1); err == nil || !strings.Contains(err.Error(), "no portrait") {
		t.Errorf("Synthetic without portraits = %v", err)
	}
}

// correlation is Pearson's.
func correlation(x, y []float64) float64 {
	var sx, sy, sxx, syy, sxy float64
	n := float64(len(x))
	for i := range x {
		sx, sy = sx+x[i], sy+y[i]
		sxx, syy, sxy = sxx+x[i]*x[i], syy+y[i]*y[i], sxy+x[i]*y[i]
	}
	return (n*sxy - sx*sy) / math.Sqrt((n*sxx-sx*sx)*(n*syy-sy*sy))
}
