package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	gomlx "github.com/gomlx/gomlx/pkg/ml/context"
	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/onnx"
	"github.com/agequote/agequote/internal/onnx/onnxtest"
	"github.com/agequote/agequote/training/backbone"
	"github.com/agequote/agequote/training/fit"
	"github.com/agequote/agequote/training/net"
	"github.com/agequote/agequote/training/onnxfile"
	"github.com/agequote/agequote/training/recipe"
	"github.com/agequote/agequote/training/xla/xlatest"
)

// coarse is a network with the backbone's names whose features are a picture of
// 7 x 7 pixels: enough to tell two portraits apart.
func coarse() []byte {
	b := &onnxfile.Builder{}
	x := b.Input(backbone.Input, onnxfile.Float32, -1, 3, face.Size, face.Size)
	x = b.Node("AveragePool", []string{x}, onnxfile.Attribute{Name: "kernel_shape", Value: []int{32, 32}}, onnxfile.Attribute{Name: "strides", Value: []int{32, 32}})
	b.NodeTo(backbone.Features, "Flatten", []string{x})
	b.Output(backbone.Features, onnxfile.Float32, -1, 3*7*7)
	return b.Model()
}

// similarSet lays out two portraits, each twice, and a file that is none, in a
// folder that it changes to. It returns the flags that all calls need.
func similarSet(t *testing.T) []string {
	t.Helper()
	detector, err := filepath.Abs("../models/detector.onnx")
	if err != nil {
		t.Fatal(err)
	}
	content := map[string][]byte{
		"labels.tsv": []byte("file\tage\tperson\n" +
			"ann 20.jpg\t20\tann\nann 34.jpg\t34\tann\nnone.jpg\t1\tann\ngrace 30.jpg\t30\tgrace\ngrace 38.jpg\t38\tgrace\n"),
		"network.onnx":    coarse(),
		"photos/none.jpg": []byte("no picture"),
	}
	for from, to := range map[string][]string{
		"astronaut.png": {"ann 20.jpg", "ann 34.jpg"}, "grace_hopper.jpg": {"grace 30.jpg", "grace 38.jpg"},
	} {
		b, err := os.ReadFile(filepath.Join("../events/selfies", from))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range to {
			content["photos/"+name] = b
		}
	}
	t.Chdir(t.TempDir())
	if err := os.Mkdir("photos", 0o700); err != nil {
		t.Fatal(err)
	}
	for name, b := range content {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"similar", "--images", "photos", "--labels", "labels.tsv", "--backbone", "network.onnx", "--detector", detector}
}

func tree(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		files = append(files, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestSimilar(t *testing.T) {
	onnxtest.Require(t)
	flags := similarSet(t)
	before := tree(t)
	call := func(args ...string) []byte {
		t.Helper()
		var stdout bytes.Buffer
		if err := run(t.Context(), append(slices.Clone(flags), args...), &stdout, io.Discard); err != nil {
			t.Fatalf("similar %q: %v", args, err)
		}
		return stdout.Bytes()
	}

	var answer struct {
		Neighbours []neighbour
		Refused    map[string]int
	}
	if err := json.Unmarshal(call("photos/grace 38.jpg", "--json", "--k", "3"), &answer); err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, n := range answer.Neighbours {
		files = append(files, n.File)
	}
	// The first two are one picture, in the order of the labels.
	if diff := cmp.Diff([]string{"grace 30.jpg", "grace 38.jpg", "ann 20.jpg"}, files); diff != "" {
		t.Errorf("neighbours (-want, +got):\n%s", diff)
	}
	if s := answer.Neighbours[1].Similarity; math.Abs(s-1) > 1e-6 || answer.Neighbours[2].Similarity > 0.99 {
		t.Errorf("similarities %+v", answer.Neighbours)
	}
	if diff := cmp.Diff(map[string]int{"not_image": 1}, answer.Refused); diff != "" {
		t.Errorf("refused (-want, +got):\n%s", diff)
	}

	var report struct{ Figures []measured }
	if err := json.Unmarshal(call("--measure", "--json"), &report); err != nil {
		t.Fatal(err)
	}
	queries := map[string]int{}
	for _, f := range report.Figures {
		queries[f.Pairs] = f.Queries
		if f.Precision1.Value != 1 || f.MeanAveragePrecision.Value != 1 || f.Width != 147 {
			t.Errorf("figures of two portraits: %+v", f)
		}
	}
	if diff := cmp.Diff(map[string]int{"all": 4, "10 years apart or more": 2, "under 10 years apart": 2}, queries); diff != "" {
		t.Errorf("queries (-want, +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, tree(t)); diff != "" {
		t.Errorf("something was kept (-before, +after):\n%s", diff)
	}

	call("photos/ann 20.jpg", "--html", "build/page.html")
	page, err := os.ReadFile("build/page.html")
	if err != nil {
		t.Fatal(err)
	}
	sources := regexp.MustCompile(`src="([^"]*)"`).FindAllSubmatch(page, -1)
	if len(sources) != 5 {
		t.Errorf("%d pictures on the page, want 5", len(sources))
	}
	for _, s := range sources {
		path, err := url.PathUnescape(string(s[1]))
		if err == nil {
			_, err = os.Stat(filepath.Join("build", path))
		}
		if err != nil {
			t.Errorf("page links %s: %v", s[1], err)
		}
	}
}

func TestSimilarWrongUse(t *testing.T) {
	flags := similarSet(t)
	for _, args := range [][]string{
		{}, {"a.jpg", "b.jpg"}, {"a.jpg", "--k", "0"}, {"a.jpg", "--features", "backbone,model"}, {"a.jpg", "--features", "eyes"},
		{"a.jpg", "--html", "page.html"}, {"a.jpg", "--html", "build/../page.html"}, {"a.jpg", "--html", "/tmp/build/page.html"},
		{"--measure", "a.jpg"}, {"--measure", "--features", "model,seed", "--run", "x"},
	} {
		if err := run(t.Context(), append(slices.Clone(flags), args...), io.Discard, io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("similar %q = %v, want wrong use", args, err)
		}
	}
	if _, err := os.Stat("page.html"); err == nil {
		t.Error("a page of faces was written outside build")
	}
}

// TestSeedFeatures runs the article's network, untrained, on the two portraits.
func TestSeedFeatures(t *testing.T) {
	onnxtest.Require(t)
	backend := xlatest.Backend(t)
	p := &net.Params{Ctx: gomlx.New()}
	if err := (net.ResNet34{}).Load(p, nil, rand.New(rand.NewPCG(1, 1)).NormFloat64); err != nil {
		t.Fatal(err)
	}
	j := &job{recipe: &recipe.Recipe{Network: recipe.Network{Kind: recipe.ResNet34}, Fit: fit.Settings{Stages: []fit.Stage{{Size: 32}, {Size: 64}}}}}
	n, err := j.hiddenLayer(seedFeatures, "", backend, p)
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()

	model, err := os.ReadFile("../models/detector.onnx")
	if err != nil {
		t.Fatal(err)
	}
	detector, err := onnx.Open(model, face.DetectorInput, face.DetectorOutputs, onnx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer detector.Close()
	var all [][]float32
	for _, name := range []string{"astronaut.png", "astronaut.png", "grace_hopper.jpg"} {
		photo, err := os.ReadFile(filepath.Join("../events/selfies", name))
		if err != nil {
			t.Fatal(err)
		}
		crop, err := readCrop(&face.Reader{Detector: detector}, photo)
		if err != nil {
			t.Fatal(err)
		}
		values, err := n.features(crop)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, values)
	}
	if len(all[0]) != 512 || slices.Min(all[0]) >= 0 {
		t.Errorf("%d features, the least %v; want 512 before a ReLU", len(all[0]), slices.Min(all[0]))
	}
	if !slices.Equal(all[0], all[1]) || slices.Equal(all[0], all[2]) {
		t.Error("features do not depend on the face alone")
	}
}
