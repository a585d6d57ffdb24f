package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/gate"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/model/modeltest"
	"github.com/agequote/agequote/internal/onnx/onnxtest"
	"github.com/agequote/agequote/internal/registry"
	"github.com/agequote/agequote/internal/release"
	"github.com/agequote/agequote/internal/s3store"
)

// modelsChain is a chain whose predict looks for the live model every second.
type modelsChain struct {
	*chain
	desk *release.Desk
}

const followInterval = time.Second

func startModels(t *testing.T, parameters ...string) *modelsChain {
	t.Helper()
	c := startChain(t, append(parameters, "ModelFollowSeconds=1")...)
	limits, err := gate.Default()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range append(c.Env(), "MODELS_BUCKET="+c.Resource("ModelsBucket")) {
		name, value, _ := strings.Cut(line, "=")
		t.Setenv(name, value)
	}
	return &modelsChain{c, &release.Desk{
		Registry: &registry.Registry{Objects: &s3store.Bucket{Client: c.client, Name: c.Resource("ModelsBucket")}},
		Limits:   limits, Now: time.Now, Version: "test",
	}}
}

// derive makes a package of the shipped one. It must be called before the stack
// starts, which changes the working directory.
func derive(t *testing.T, name string, change func(m *model.Manifest, files map[string][]byte)) (dir, hash string) {
	t.Helper()
	evaluation, err := os.ReadFile("../../internal/gate/testdata/evaluation.json")
	if err != nil {
		t.Fatal(err)
	}
	return modeltest.Derive(t, "../../models", func(m *model.Manifest, files map[string][]byte) {
		m.Name = name
		files[gate.EvaluationName] = evaluation
		if change != nil {
			change(m, files)
		}
	})
}

// publish stores a package as `go run ./training publish` does.
func (c *modelsChain) publish(t *testing.T, dir string) {
	t.Helper()
	if _, verdict, err := c.desk.Publish(t.Context(), os.DirFS(dir), "Ada"); err != nil || !verdict.Passed() {
		t.Fatalf("publish: %v, %+v", err, verdict.Refusals())
	}
}

// models runs agequote models.
func (c *modelsChain) models(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	e := &env{stdout: &out, stderr: io.Discard, getenv: os.Getenv, now: time.Now}
	err := run(t.Context(), e, append([]string{"models"}, args...))
	return out.String(), err
}

func (c *modelsChain) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.models(t, args...)
	if err != nil {
		t.Fatalf("models %q: %v\n%s", args, err, out)
	}
	return out
}

// serves sends a photo after predict had time to look, and returns the model
// that estimated it.
func (c *modelsChain) serves(t *testing.T, photo []byte) string {
	t.Helper()
	time.Sleep(followInterval)
	id := casefile.NewID()
	if err := c.upload(t.Context(), id, photo); err != nil {
		t.Fatal(err)
	}
	estimate, err := await[casefile.Estimate](t.Context(), c.cases, casefile.EstimateKey(id, 1))
	if err != nil {
		t.Fatalf("%v\n%s", err, c.log)
	}
	if estimate.Code != "ok" {
		t.Errorf("code %s", estimate.Code)
	}
	return estimate.Model
}

func (c *modelsChain) refusals() int { return strings.Count(c.log.String(), `"ModelRefused":1`) }

// point moves the pointer past every check, as nothing in agequote does.
func (c *modelsChain) point(t *testing.T, model string) {
	t.Helper()
	numbers, err := c.desk.Registry.Numbers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := numbers[len(numbers)-1]
	_, hash, err := c.desk.Registry.Record(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.desk.Registry.Append(t.Context(), registry.Live{N: n + 1, Model: model, Previous: hash}); err != nil {
		t.Fatal(err)
	}
}

// TestChainModels takes models live and back on the local stack: predict
// follows without being deployed anew, and keeps what it has where the pointer
// leads nowhere. It has the least memory that the template allows.
func TestChainModels(t *testing.T) {
	photo := readSample(t, "grace_hopper.jpg")
	manifest, err := os.ReadFile(filepath.Join("../../models", model.ManifestName))
	if err != nil {
		t.Fatal(err)
	}
	packaged := digest.Of(manifest)
	dirA, a := derive(t, "second", nil)
	dirBad, bad := derive(t, "garbage", func(m *model.Manifest, files map[string][]byte) {
		files[m.Network.File] = []byte("not a network")
	})
	dirTen, ten := derive(t, "wrong classes", func(m *model.Manifest, _ map[string][]byte) { m.Network.Classes = 10 })

	onnxtest.Require(t)
	c := startModels(t, "PredictMemory=512")
	if got := c.serves(t, photo); got != packaged {
		t.Fatalf("%s serves, want the packaged model %s", got, packaged)
	}

	for _, dir := range []string{dirA, dirBad, dirTen} {
		c.publish(t, dir)
	}
	if got := c.serves(t, photo); got != packaged {
		t.Errorf("%s serves before anybody approved it", got)
	}
	if _, err := c.models(t, "approve", a, "--by", "Ada", "--why", "mine", "--allow-research"); !errors.Is(err, release.ErrSamePerson) {
		t.Errorf("approved by its author: %v", err)
	}
	if _, err := c.models(t, "approve", a, "--by", "Bob", "--why", "trial"); !errors.Is(err, release.ErrResearch) {
		t.Errorf("research model approved without leave: %v", err)
	}
	// The pointer moves while photos come, one each 100 ms: none is lost, and
	// each names one of the two models.
	var g errgroup.Group
	ids := make([]string, 30)
	for i := range ids {
		ids[i] = casefile.NewID()
		g.Go(func() error {
			time.Sleep(time.Duration(i) * 100 * time.Millisecond)
			return c.upload(t.Context(), ids[i], photo)
		})
	}
	c.must(t, "approve", strings.TrimPrefix(a, "sha256:")[:12], "--by", "Bob", "--why", "trial", "--allow-research")
	approved := time.Now()
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	c.settle(t, time.Minute)
	made := map[string]int{}
	var first time.Duration // until the first photo on the new model
	for _, id := range ids {
		e, err := cases.Read[casefile.Estimate](t.Context(), c.cases, casefile.EstimateKey(id, 1))
		if err != nil {
			t.Fatal(err)
		}
		if made[e.Object.Model]++; e.Object.Model == a && made[a] == 1 {
			first = e.Object.Time.Sub(approved)
		}
	}
	t.Logf("the first of %d photos on the new model began %v after the approval", made[a], first.Round(time.Millisecond))
	if made[packaged] == 0 || made[a] == 0 || made[packaged]+made[a] != len(ids) {
		t.Errorf("photos by model: %v, want some of each and %d in all", made, len(ids))
	}
	if got := c.serves(t, photo); got != a {
		t.Errorf("%s serves after the approval, want %s\n%s", got, a, c.log)
	}

	for _, broken := range []string{bad, ten} {
		if _, err := c.models(t, "approve", broken, "--by", "Bob", "--why", "hope", "--allow-research"); err == nil || !strings.Contains(err.Error(), "try model") {
			t.Errorf("approved a model that cannot run: %v", err)
		}
	}
	for i, broken := range []struct{ name, hash string }{
		{"missing", "sha256:" + strings.Repeat("0", 64)},
		{"garbage for a network", bad},
		{"network that is not as the manifest says", ten},
	} {
		c.point(t, broken.hash)
		if got := c.serves(t, photo); got != a {
			t.Errorf("%s: %s serves, want %s", broken.name, got, a)
		}
		if got := c.refusals(); got != i+1 {
			t.Errorf("%s: %d refusals counted, want %d\n%s", broken.name, got, i+1, c.log)
		}
	}

	c.must(t, "rollback", "--by", "Bob", "--why", "the alarm")
	if got := c.serves(t, photo); got != a || c.refusals() != 3 {
		t.Errorf("%s serves after the rollback, want %s; %d refusals", got, a, c.refusals())
	}
	c.must(t, "rollback", "--by", "Bob", "--why", "the trial is over")
	if got := c.serves(t, photo); got != packaged {
		t.Errorf("%s serves after the second rollback, want %s", got, packaged)
	}

	var got []string
	for line := range strings.Lines(c.must(t, "history", "--json")) {
		var l registry.Live
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		got = append(got, l.Model)
	}
	want := []string{a, "sha256:" + strings.Repeat("0", 64), bad, ten, a, registry.Packaged}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("history %q, want %q", got, want)
	}
	for _, args := range [][]string{{"list"}, {"show", a}, {"live"}} {
		if out := c.must(t, args...); !strings.Contains(out, "second") && args[0] != "live" {
			t.Errorf("models %q does not name the model:\n%s", args, out)
		}
	}
	if log := c.log.String(); strings.Contains(log, "memory") {
		t.Errorf("the log speaks of memory:\n%s", log)
	}
}

// TestChainModelsResearch has a deployment that does not allow research models
// refuse one that somebody made live, and start with one for production.
func TestChainModelsResearch(t *testing.T) {
	photo := readSample(t, "grace_hopper.jpg")
	production := func(m *model.Manifest, _ map[string][]byte) { m.Use = model.Production }
	dirA, a := derive(t, "for production", production)
	dirB, b := derive(t, "for trials", func(m *model.Manifest, _ map[string][]byte) { m.Use = model.Research })
	c := startModels(t, "AllowResearchModel=no")
	c.publish(t, dirA)
	c.publish(t, dirB)
	c.must(t, "approve", a, "--by", "Bob", "--why", "licensed data") // the packaged one could not start
	if got := c.serves(t, photo); got != a {
		t.Errorf("%s serves, want %s", got, a)
	}
	c.must(t, "approve", b, "--by", "Bob", "--why", "by mistake", "--allow-research")
	if got := c.serves(t, photo); got != a || c.refusals() != 1 {
		t.Errorf("%s serves, want %s; %d refusals", got, a, c.refusals())
	}
}

// TestChainModelsRace moves one pointer from many sides on a real S3 server.
func TestChainModelsRace(t *testing.T) {
	dirs := make([]string, 4)
	hashes := make([]string, len(dirs))
	for i := range dirs {
		dirs[i], hashes[i] = derive(t, string(rune('a'+i)), func(m *model.Manifest, files map[string][]byte) {
			files[m.Network.File], files[m.Detector.File] = []byte("network"), []byte("detector")
		})
	}
	c := startModels(t)
	for _, dir := range dirs {
		c.publish(t, dir)
	}
	errs := make([]error, 20)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = c.desk.Approve(t.Context(), release.Approval{Model: hashes[i%len(hashes)], By: "Bob", Why: "race", AllowResearch: true})
		})
	}
	wg.Wait()
	won, lost := 0, 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case errors.Is(err, registry.ErrMoved):
			lost++
		case !errors.Is(err, release.ErrAlready):
			t.Error(err)
		}
	}
	history, err := c.desk.Registry.History(t.Context())
	if err != nil || len(history) != won {
		t.Errorf("%d won, %d records, %v", won, len(history), err)
	}
	for _, l := range history {
		if l.Err != nil {
			t.Error(l.Err)
		}
	}
	if won == 0 || lost == 0 {
		t.Errorf("%d won and %d were told that another was faster", won, lost)
	}
}
