package model_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"image/jpeg"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/onnx"
	"github.com/agequote/agequote/internal/onnx/onnxtest"
)

const packageDir = "../../models"

func readManifest(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile(packageDir + "/" + model.ManifestName)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func openModel(t testing.TB) *model.Model {
	t.Helper()
	onnxtest.Require(t)
	pkg, err := model.ReadPackage(os.DirFS(packageDir))
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Open(pkg, model.Options{AllowResearch: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

var update = flag.Bool("update", false, "write testdata/selfies.json anew")

// selfie is what the shipped model reads from one sample selfie.
type selfie struct {
	Age  float64 `json:"age"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// TestEstimateSelfies holds the shipped model to what it read when it was
// shipped, on every processor: points within .05 years, as a replay with the
// photo may differ, and ends, which are whole ages, within one.
func TestEstimateSelfies(t *testing.T) {
	m := openModel(t)
	got := map[string]selfie{}
	for _, name := range []string{"astronaut.png", "grace_hopper.jpg"} {
		photo, err := os.ReadFile("../../events/selfies/" + name)
		if err != nil {
			t.Fatal(err)
		}
		e, err := m.Estimate(photo)
		if err != nil {
			t.Fatal(err)
		}
		var sum float64
		for _, p := range e.Distribution {
			sum += p
		}
		if math.Abs(sum-1) > 1e-3 {
			t.Errorf("%s: distribution sums to %v", name, sum)
		}
		got[name] = selfie{*e.Age, *e.Low, *e.High}
	}

	const golden = "testdata/selfies.json"
	if *update {
		b, err := json.MarshalIndent(got, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]selfie
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	for name, w := range want {
		g := got[name]
		if math.Abs(g.Age-w.Age) > 0.05 || math.Abs(g.Low-w.Low) > 1 || math.Abs(g.High-w.High) > 1 {
			t.Errorf("%s is read as %+v, want %+v", name, g, w)
		}
	}
}

func TestResearchModelNeedsLeave(t *testing.T) {
	pkg, err := model.ReadPackage(os.DirFS(packageDir))
	if err != nil {
		t.Fatal(err)
	}
	if pkg.Manifest.Use != model.Research {
		t.Skipf("the shipped model has use %q", pkg.Manifest.Use)
	}
	if _, err := model.Open(pkg, model.Options{}); !errors.Is(err, model.ErrUse) {
		t.Errorf("Open without leave = %v, want ErrUse", err)
	}
}

// TestReadPackageRefuses changes one thing at a time in the shipped package.
func TestReadPackageRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(fstest.MapFS, map[string]any)
	}{
		{"changed network", func(f fstest.MapFS, _ map[string]any) { f["age.onnx"].Data[1000] ^= 1 }},
		{"changed card", func(f fstest.MapFS, _ map[string]any) { f["card.md"].Data = append(f["card.md"].Data, '.') }},
		{"missing file", func(f fstest.MapFS, _ map[string]any) { delete(f, "detector.onnx") }},
		{"unknown field", func(_ fstest.MapFS, m map[string]any) { m["colour"] = "red" }},
		{"later schema", func(_ fstest.MapFS, m map[string]any) { m["schema"] = 3 }},
		{"unknown use", func(_ fstest.MapFS, m map[string]any) { m["use"] = "anything" }},
		{"other preprocessing", func(_ fstest.MapFS, m map[string]any) { network(m)["face"] = "0" }},
		{"other size", func(_ fstest.MapFS, m map[string]any) { network(m)["size"] = 112 }},
		{"unknown point", func(_ fstest.MapFS, m map[string]any) { m["point"] = "mode" }},
		{"coverage of one", func(_ fstest.MapFS, m map[string]any) { m["calibration"].(map[string]any)["coverage"] = 1 }},
		{"no knots", func(_ fstest.MapFS, m map[string]any) { m["calibration"].(map[string]any)["knots"] = nil }},
		{"file outside the package", func(f fstest.MapFS, m map[string]any) {
			m["files"].(map[string]any)["../secret"] = "sha256:00"
		}},
		{"file at an absolute place", func(f fstest.MapFS, m map[string]any) {
			m["files"].(map[string]any)["/etc/hostname"] = "sha256:00"
		}},
		{"file in a folder", func(f fstest.MapFS, m map[string]any) {
			m["files"].(map[string]any)["a/card.md"] = m["files"].(map[string]any)["card.md"]
			f["a/card.md"] = f["card.md"]
		}},
		{"the folder itself", func(f fstest.MapFS, m map[string]any) { m["files"].(map[string]any)["."] = "sha256:00" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := fstest.MapFS{}
			for _, name := range []string{model.ManifestName, "age.onnx", "card.md", "detector.onnx"} {
				b, err := fs.ReadFile(os.DirFS(packageDir), name)
				if err != nil {
					t.Fatal(err)
				}
				files[name] = &fstest.MapFile{Data: b}
			}
			var manifest map[string]any
			if err := json.Unmarshal(files[model.ManifestName].Data, &manifest); err != nil {
				t.Fatal(err)
			}
			tt.change(files, manifest)
			b, err := json.Marshal(manifest)
			if err != nil {
				t.Fatal(err)
			}
			files[model.ManifestName].Data = b
			if _, err := model.ReadPackage(files); err == nil {
				t.Error("ReadPackage took it")
			}
		})
	}
}

// TestReadPackageTakesOrdinaryFiles puts a link in the place of a file: to a
// device that never ends, to a file too large for memory, to another file.
func TestReadPackageTakesOrdinaryFiles(t *testing.T) {
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, 1<<40); err != nil {
		t.Skip(err) // no file of a terabyte of nothing here
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{model.ManifestName, "card.md"} {
		for _, target := range []string{"/dev/zero", large, secret} {
			t.Run(name+" to "+filepath.Base(target), func(t *testing.T) {
				dir := t.TempDir()
				if err := os.CopyFS(dir, os.DirFS(packageDir)); err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(os.Remove(filepath.Join(dir, name)), os.Symlink(target, filepath.Join(dir, name))); err != nil {
					t.Skip(err)
				}
				if _, err := model.ReadPackage(os.DirFS(dir)); err == nil {
					t.Error("ReadPackage took it")
				}
			})
		}
	}
}

func network(m map[string]any) map[string]any {
	return m["network"].(map[string]any)
}

// TestNetworkTellsNoSex looks into the shipped network: what must never be read
// from a face is not in it.
func TestNetworkTellsNoSex(t *testing.T) {
	b, err := os.ReadFile(packageDir + "/age.onnx")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"gender", "Gender", "sex_"} {
		if strings.Contains(string(b), word) {
			t.Errorf("the network names %q", word)
		}
	}
}

// FuzzParseManifest looks for a manifest that crashes, or passes and cannot
// calibrate.
func FuzzParseManifest(f *testing.F) {
	f.Add(readManifest(f))
	f.Add([]byte(`{"schema":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := model.ParseManifest(b)
		if err == nil && m.Calibration.Check() != nil {
			t.Error("a manifest with a broken calibration passed")
		}
	})
}

// BenchmarkEstimate is the warm way of a photo of 640 pixels from its bytes to
// its estimate, on one core. It takes turns with what no such service can do
// without, the standard library's decoder and the two networks on tensors that
// lie ready: x-floor is the time over theirs, and so what agequote adds.
func BenchmarkEstimate(b *testing.B) {
	m := openModel(b)
	photo, err := os.ReadFile("testdata/selfie-640.jpg")
	if err != nil {
		b.Fatal(err)
	}
	detect := session(b, "detector.onnx", face.DetectorInput, face.DetectorOutputs)
	network := m.Manifest().Network
	age := session(b, network.File, network.Input, []string{network.Output})
	const w, h = 288, 320 // the photo halved and padded, as face.Detect looks at it
	small, crop := make([]float32, 3*w*h), make([]byte, 3*face.Size*face.Size)

	b.ReportAllocs()
	var own, floor time.Duration
	for b.Loop() {
		t0 := time.Now()
		if _, err := m.Estimate(photo); err != nil {
			b.Fatal(err)
		}
		t1 := time.Now()
		_, err1 := jpeg.Decode(bytes.NewReader(photo))
		_, err2 := detect.Run(small, 1, 3, h, w)
		_, err3 := age.RunBytes(crop, 1, face.Size, face.Size, 3)
		if err := errors.Join(err1, err2, err3); err != nil {
			b.Fatal(err)
		}
		own, floor = own+t1.Sub(t0), floor+time.Since(t1)
	}
	b.ReportMetric(own.Seconds()*1e3/float64(b.N), "ms/photo")
	b.ReportMetric(own.Seconds()/floor.Seconds(), "x-floor")
}

func session(b *testing.B, file, input string, outputs []string) *onnx.Session {
	b.Helper()
	content, err := os.ReadFile(packageDir + "/" + file)
	if err != nil {
		b.Fatal(err)
	}
	s, err := onnx.Open(content, input, outputs, onnx.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}
