package release_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/gate"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/model/modeltest"
	"github.com/agequote/agequote/internal/registry"
	"github.com/agequote/agequote/internal/release"
	"github.com/agequote/agequote/internal/store"
)

// desk is a desk with an empty registry in memory.
type desk struct {
	*release.Desk
	store *store.Memory
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	limits, err := gate.Default()
	if err != nil {
		t.Fatal(err)
	}
	s := new(store.Memory)
	return &desk{&release.Desk{
		Registry: &registry.Registry{Objects: s}, Limits: limits, Version: "sha256:code",
		Now: func() time.Time { return time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC) },
	}, s}
}

// candidate describes a package to publish.
type candidate struct {
	name, network string
	use           model.Use
	change        func(*gate.Evaluation) // nil: it passes
	unmeasured    bool
}

// publish puts a package of small stand-ins for the networks into the registry.
func (d *desk) publish(t *testing.T, c candidate) string {
	t.Helper()
	b, err := os.ReadFile("../gate/testdata/evaluation.json")
	if err != nil {
		t.Fatal(err)
	}
	e, err := gate.ParseEvaluation(b)
	if err != nil {
		t.Fatal(err)
	}
	if c.change != nil {
		c.change(e)
	}
	if b, err = json.Marshal(e); err != nil {
		t.Fatal(err)
	}
	dir, hash := modeltest.Derive(t, "../../models", func(m *model.Manifest, files map[string][]byte) {
		m.Name, m.Use = c.name, c.use
		if m.Use == "" {
			m.Use = model.Production
		}
		files[m.Network.File], files[m.Detector.File] = []byte("network "+c.network), []byte("detector")
		files[gate.EvaluationName] = b
		if c.unmeasured {
			delete(files, gate.EvaluationName)
		}
	})
	published, _, err := d.Publish(t.Context(), os.DirFS(dir), "Ada")
	if err != nil {
		t.Fatal(err)
	}
	if published.Model != hash || published.Name != c.name {
		t.Errorf("published %+v, want %s", published, hash)
	}
	return hash
}

func (d *desk) approve(t *testing.T, model string) error {
	t.Helper()
	_, err := d.Approve(t.Context(), release.Approval{Model: model, By: "Bob", Why: "smaller error"})
	return err
}

// live is the model that the pointer names.
func (d *desk) live(t *testing.T) string {
	t.Helper()
	history, err := d.Registry.History(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(history) == 0 {
		return ""
	}
	last := history[len(history)-1]
	if last.Err != nil {
		t.Error(last.Err)
	}
	return last.Model
}

func adults(change func(*gate.Group)) func(*gate.Evaluation) {
	return func(e *gate.Evaluation) {
		g := e.Report.Groups[gate.Adults]
		change(&g)
		e.Report.Groups[gate.Adults] = g
	}
}

var (
	worse = adults(func(g *gate.Group) { v := *g.MAE + 0.3; g.MAE = &v })
	bad   = adults(func(g *gate.Group) { v := 7.0; g.MAE = &v })
)

// TestApprove asks for what can be had and what cannot.
func TestApprove(t *testing.T) {
	d := newDesk(t)
	first := d.publish(t, candidate{name: "first", network: "1"})
	a := release.Approval{Model: first, By: "Bob", Why: "the first"}
	for name, tt := range map[string]struct {
		approval release.Approval
		want     error
	}{
		"author":          {release.Approval{Model: first, By: " ada ", Why: a.Why}, release.ErrSamePerson},
		"nobody":          {release.Approval{Model: first, By: " ", Why: a.Why}, release.ErrNoReason},
		"no reason":       {release.Approval{Model: first, By: "Bob"}, release.ErrNoReason},
		"unknown model":   {release.Approval{Model: "sha256:" + strings.Repeat("0", 64), By: "Bob", Why: a.Why}, registry.ErrNotFound},
		"no model at all": {release.Approval{Model: "../live", By: "Bob", Why: a.Why}, registry.ErrNotFound},
		"research": {release.Approval{Model: d.publish(t, candidate{name: "r", network: "r", use: model.Research}), By: "Bob", Why: a.Why},
			release.ErrResearch},
	} {
		if _, err := d.Approve(t.Context(), tt.approval); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	if got := d.live(t); got != "" {
		t.Fatalf("%s is live after refusals alone", got)
	}

	record, err := d.Approve(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if record.N != 1 || record.ApprovedBy != "Bob" || record.Author != "Ada" || record.Use != "production" ||
		record.Gate.Limits != d.Limits.Hash || len(record.Gate.Findings) == 0 || d.live(t) != first {
		t.Errorf("record %+v", record)
	}
	if err := d.approve(t, first); !errors.Is(err, release.ErrAlready) {
		t.Errorf("approved twice: %v", err)
	}
	if _, err := d.Approve(t.Context(), release.Approval{Model: d.publish(t, candidate{name: "r", network: "r", use: model.Research}),
		By: "Bob", Why: "a trial", AllowResearch: true}); err != nil {
		t.Errorf("research model with leave: %v", err)
	}
}

// TestApproveAsksTheGate has the gate refuse, on the figures that the live
// model has at the moment of the approval.
func TestApproveAsksTheGate(t *testing.T) {
	tests := []struct {
		name      string
		live      *candidate
		candidate candidate
		want      string // the check that refuses
	}{
		{"first, without an evaluation", nil, candidate{unmeasured: true}, "evaluation"},
		{"first, beyond the limits", nil, candidate{change: bad}, "adults.mae"},
		{"first, within the limits", nil, candidate{change: worse}, ""},
		{"worse than live", &candidate{}, candidate{change: worse}, "adults.mae.live"},
		{"as good as live", &candidate{}, candidate{}, ""},
		{"other labels", &candidate{}, candidate{change: func(e *gate.Evaluation) { e.Labels = "sha256:new" }}, "labels"},
		{"live model on other labels", &candidate{}, candidate{network: "live", change: func(e *gate.Evaluation) { e.Labels = "sha256:new" }}, ""},
		{"live model measured anew and found bad", &candidate{}, candidate{network: "live", change: bad}, "adults.mae"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			if tt.live != nil {
				tt.live.name, tt.live.network = "live", "live"
				if err := d.approve(t, d.publish(t, *tt.live)); err != nil {
					t.Fatal(err)
				}
			}
			tt.candidate.name = "candidate"
			before := d.live(t)
			hash := d.publish(t, tt.candidate)
			err := d.approve(t, hash)
			if tt.want == "" {
				if err != nil || d.live(t) != hash {
					t.Errorf("Approve = %v", err)
				}
				return
			}
			var refused *release.RefusedError
			if !errors.As(err, &refused) || refused.Verdict.Refusals()[0].Check != tt.want {
				t.Errorf("Approve = %v, want %s", err, tt.want)
			}
			if d.live(t) != before {
				t.Error("the pointer moved")
			}
		})
	}
}

// TestApproveVerifies changes a network in the registry after its upload.
func TestApproveVerifies(t *testing.T) {
	d := newDesk(t)
	hash := d.publish(t, candidate{name: "first"})
	key := "models/" + strings.TrimPrefix(hash, "sha256:") + "/age.onnx"
	if err := d.store.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if err := d.approve(t, hash); !errors.Is(err, registry.ErrBroken) {
		t.Errorf("without its network: %v", err)
	}
	if err := d.store.PutIfAbsent(t.Context(), key, []byte("another network")); err != nil {
		t.Fatal(err)
	}
	if err := d.approve(t, hash); err == nil {
		t.Error("with another network it was approved")
	}
}

// TestApproveRace has eight people approve eight models at once.
func TestApproveRace(t *testing.T) {
	d := newDesk(t)
	models := make([]string, 8)
	for i := range models {
		models[i] = d.publish(t, candidate{name: string(rune('a' + i)), network: string(rune('a' + i))})
	}
	errs := make([]error, len(models))
	var wg sync.WaitGroup
	for i, m := range models {
		wg.Go(func() { errs[i] = d.approve(t, m) })
	}
	wg.Wait()
	history, err := d.Registry.History(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, registry.ErrMoved):
			t.Error(err)
		}
	}
	if won == 0 || won != len(history) {
		t.Errorf("%d were told that they won, the history has %d records", won, len(history))
	}
	for _, l := range history {
		if l.Err != nil {
			t.Error(l.Err)
		}
	}
}

// TestRollback goes back, and further back, and forward by an approval.
func TestRollback(t *testing.T) {
	d := newDesk(t)
	names := map[string]string{registry.Packaged: "packaged"}
	for _, name := range []string{"A", "B", "C"} {
		names[d.publish(t, candidate{name: name, network: name})] = name
	}
	byName := map[string]string{}
	for hash, name := range names {
		byName[name] = hash
	}
	never := d.publish(t, candidate{name: "never", network: "never"})

	back := func(to string) func() error {
		return func() error {
			_, err := d.Rollback(t.Context(), to, "Bob", "worse in the street")
			return err
		}
	}
	approve := func(name string) func() error { return func() error { return d.approve(t, byName[name]) } }
	// Pointers that nobody approved: to a model that is whole, to one that is not
	// there, and one that cannot be read.
	broken := func() error {
		numbers, err := d.Registry.Numbers(t.Context())
		if err != nil {
			return err
		}
		n := len(numbers)
		for _, hash := range []string{never, "sha256:" + strings.Repeat("0", 64)} {
			_, before, err := d.Registry.Record(t.Context(), n)
			if err != nil {
				return err
			}
			n++
			if err := d.Registry.Append(t.Context(), registry.Live{N: n, Model: hash, Previous: before}); err != nil {
				return err
			}
		}
		return d.store.PutIfAbsent(t.Context(), fmt.Sprintf("live/%06d.json", n+1), []byte("{"))
	}
	for i, step := range []struct {
		do   func() error
		want string // live after it
		err  error
	}{
		{back(""), "", release.ErrNotEarlier},
		{approve("A"), "A", nil},
		{approve("B"), "B", nil},
		{back(never), "B", release.ErrNeverLive},
		{back(byName["B"]), "B", release.ErrAlready},
		{back(""), "A", nil},
		{back(""), "packaged", nil}, // and not forward to B
		{back(""), "packaged", release.ErrNotEarlier},
		{back(byName["B"]), "B", nil},
		{approve("C"), "C", nil},
		{back(""), "B", nil},
	} {
		if err := step.do(); !errors.Is(err, step.err) {
			t.Errorf("step %d: %v, want %v", i, err, step.err)
		}
		if got := names[d.live(t)]; got != step.want {
			t.Fatalf("after step %d %q is live, want %q", i, got, step.want)
		}
	}

	if err := broken(); err != nil {
		t.Fatal(err)
	}
	var refused *release.RefusedError
	if err := d.approve(t, byName["C"]); !errors.As(err, &refused) || refused.Verdict.Refusals()[0].Check != "live" {
		t.Errorf("approval over a broken pointer: %v", err)
	}
	if err := back("")(); err != nil || names[d.live(t)] != "B" {
		t.Errorf("back from a broken pointer: %v, live %q", err, names[d.live(t)])
	}
	if _, err := d.Rollback(t.Context(), "", "Bob", ""); !errors.Is(err, release.ErrNoReason) {
		t.Errorf("rollback without a reason: %v", err)
	}
}

// TestPrintVerdict reads what a refused author is shown.
func TestPrintVerdict(t *testing.T) {
	value, limit := 4.75, 4.7
	var text strings.Builder
	err := release.PrintVerdict(&text, registry.Verdict{Against: "sha256:live", Findings: []registry.Finding{
		{Check: "labels", OK: true, Sentence: "Same."},
		{Check: "adults.mae.live", Value: &value, Limit: &limit, Sentence: "Worse."},
	}})
	want := "Judged against the live model sha256:live.\n\n" +
		"passes   labels           -     -    Same.\n" +
		"REFUSED  adults.mae.live  4.75  4.7  Worse.\n"
	if diff := cmp.Diff(want, text.String()); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}
