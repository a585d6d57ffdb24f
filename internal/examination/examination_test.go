package examination_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/audit"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/control"
	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/erasure"
	"github.com/agequote/agequote/internal/examination"
	"github.com/agequote/agequote/internal/fairness"
	"github.com/agequote/agequote/internal/journal"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/registry"
	"github.com/agequote/agequote/internal/store"
	"github.com/agequote/agequote/internal/underwriting"
	"github.com/agequote/agequote/rules"
)

const from, to = "2026-10-01", "2026-12-31"

// The words and facts that nobody may read who was not to.
var secrets = []string{"SECRET-COMPLAINT", "SECRET-NOTE", "1984-05-17", "SECRET-SALT", `"height_cm":171.5`, "172.25 cm"}

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

// world is the stores of a test.
type world struct {
	t                    *testing.T
	cases, models, heads *store.Memory
	model                string
}

func (w *world) put(key string, object any) string {
	w.t.Helper()
	body, err := json.Marshal(object)
	if err == nil {
		err = w.cases.PutIfAbsent(w.t.Context(), key, body)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return digest.Of(body)
}

// quoted puts a case that was quoted at a moment, and returns the quote's hash.
func (w *world) quoted(id string, when time.Time) string {
	application := w.put(casefile.ApplicationKey(id, 1), casefile.Application{Schema: 1, Case: id, N: 1, Time: when, Salt: "SECRET-SALT",
		Facts: underwriting.Facts{BirthDate: "1984-05-17", Sex: "female", HeightCM: 171.5, WeightKG: 65, Tobacco: "never", SumCents: 100, TermYears: 20, Market: "US"}})
	estimate := w.put(casefile.EstimateKey(id, 1), casefile.Estimate{Schema: 1, Case: id, N: 1, Code: reason.OK, Time: when, Model: w.model})
	return w.put(casefile.QuoteKey(id, "photo-0001"), casefile.Quote{Schema: 2, Case: id, Cause: "photo-0001", Code: reason.OK, Decision: underwriting.Refer, Time: when,
		Reasons: []underwriting.Reason{{Code: underwriting.BuildOutsideClass, Rule: "BUILD-1", Value: "172.25 cm"}},
		Inputs:  casefile.Inputs{Application: casefile.ApplicationKey(id, 1), Estimate: casefile.EstimateKey(id, 1)},
		Hashes:  casefile.Hashes{Application: application, Estimate: estimate, Model: w.model}})
}

const (
	inside  = "case-inside"
	outside = "case-outside"
	erased  = "case-was-erased"
	timeles = "case-without-time"
)

// newWorld has a case that was decided twice in the period and complained of, one
// of the day after it, one that was erased, and one without a time.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, cases: &store.Memory{}, models: &store.Memory{}, heads: &store.Memory{}}
	w.registered()
	quote := w.quoted(inside, at("2026-12-31T23:59:59Z").Add(-time.Hour))
	first := w.put(casefile.DecisionKey(inside, 1), casefile.Decision{Schema: 1, Case: inside, N: 1, Time: at("2026-12-31T23:59:58Z"), By: "u1", Role: "underwriter",
		Action: casefile.Suggest, Suggested: casefile.Accept, Text: "SECRET-NOTE", Quote: casefile.QuoteKey(inside, "photo-0001"), Previous: quote})
	w.put(casefile.DecisionKey(inside, 2), casefile.Decision{Schema: 1, Case: inside, N: 2, Time: at("2026-12-31T23:59:59Z"), By: "u2", Role: "senior", Action: casefile.Return, Quote: casefile.QuoteKey(inside, "photo-0001"), Previous: first})
	w.put(casefile.ComplaintKey(inside, 1), casefile.Complaint{Schema: 1, Case: inside, N: 1, Time: at("2027-01-01T00:00:00Z"), Text: "SECRET-COMPLAINT"})
	w.put(casefile.ComplaintKey(inside, 2), casefile.Complaint{Schema: 1, Case: inside, N: 2, Time: at("2026-12-31T23:59:59Z"), Text: "SECRET-COMPLAINT"})
	w.quoted(outside, at("2027-01-01T00:00:00Z"))
	w.quoted(erased, at("2026-10-01T00:00:00Z"))
	eraser := &erasure.Eraser{Photos: &store.Memory{}, Cases: w.cases, Now: func() time.Time { return at("2027-02-01T00:00:00Z") }, Version: "v1"}
	if _, err := eraser.Erase(t.Context(), erased, "operator", "asked by letter"); err != nil {
		t.Fatal(err)
	}
	w.put("cases/"+timeles+"/photos/0001/duplicates.json", map[string]any{"schema": 1, "of": []any{}})
	sealer := &audit.Sealer{Cases: w.cases, Heads: w.heads, Now: func() time.Time { return at("2026-12-31T23:59:59Z") }, Version: "v1"}
	if err := sealer.Seal(t.Context(), inside); err != nil {
		t.Fatal(err)
	}
	j := control.New(w.cases)
	for _, step := range []struct{ action, when string }{{control.Stop, "2026-11-01T08:00:00Z"}, {control.Start, "2027-01-01T00:00:00Z"}} {
		if _, err := j.Set(t.Context(), step.action, journal.Record{By: "operator", Why: "a test", Time: at(step.when), Version: "v1"}); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// registered puts three models into the registry: one was live when the period
// began, one came in it and one after it.
func (w *world) registered() {
	r := registry.Registry{Objects: w.models}
	for n, when := range []string{"2026-09-01T00:00:00Z", "2026-11-01T00:00:00Z", "2027-01-01T00:00:00Z"} {
		card := fmt.Appendf(nil, "# card %d\n", n+1)
		manifest := fmt.Appendf(nil, `{"schema":2,"name":"m%d","files":{"age.onnx":"sha256:0","card.md":%q}}`, n+1, digest.Of(card))
		hash := digest.Of(manifest)
		folder := "models/" + strings.TrimPrefix(hash, "sha256:") + "/"
		for name, body := range map[string][]byte{"manifest.json": manifest, "card.md": card, "published.json": []byte("{}")} {
			if err := w.models.PutIfAbsent(w.t.Context(), folder+name, body); err != nil {
				w.t.Fatal(err)
			}
		}
		previous := ""
		if n > 0 {
			_, previous, _ = r.Record(w.t.Context(), n)
		}
		if err := r.Append(w.t.Context(), registry.Live{N: n + 1, Model: hash, Name: "m", Action: registry.Approved, ApprovedBy: "a", Author: "b", Time: at(when), Previous: previous}); err != nil {
			w.t.Fatal(err)
		}
		if n == 0 {
			w.model = hash
		}
	}
}

func (w *world) export(personal bool) (examination.Index, []byte) {
	w.t.Helper()
	period, err := fairness.ParsePeriod(from, to)
	if err != nil {
		w.t.Fatal(err)
	}
	var out bytes.Buffer
	index, err := examination.Export(w.t.Context(), &out, examination.Input{From: from, To: to, Period: period, Personal: personal,
		Cases: w.cases, Heads: w.heads, IDs: []string{inside, outside, erased, timeles}, Registry: &registry.Registry{Objects: w.models},
		Package: func(context.Context, string) (fs.ReadFileFS, error) { return nil, fs.ErrNotExist },
		Rules:   rules.FS, Fairness: map[string][]byte{"fairness.json": []byte("{}")}, Version: "v1"})
	if err != nil {
		w.t.Fatal(err)
	}
	return index, out.Bytes()
}

// unpack returns the files of an archive.
func unpack(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if files[f.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func verify(t *testing.T, archive []byte) []string {
	t.Helper()
	_, problems, err := examination.Verify(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	return problems
}

func TestExport(t *testing.T) {
	w := newWorld(t)
	index, archive := w.export(false)
	if _, again := w.export(false); !bytes.Equal(archive, again) {
		t.Error("the same stores and period give other bytes")
	}
	if problems := verify(t, archive); len(problems) > 0 {
		t.Errorf("verify: %q", problems)
	}
	if len(index.Problems)+len(index.Missing) > 0 || !index.Balanced {
		t.Errorf("problems %q, missing %q, balanced %v", index.Problems, index.Missing, index.Balanced)
	}
	want := examination.Counts{Listed: 4, Archived: 2, Outside: 1, Empty: 1, Erased: 1, ChainsOK: 2, Outcomes: map[string]int{"refer": 2},
		// Redacted: application, estimate, quote, the first decision, and the complaint.
		Objects: 16, Written: 15, Later: 1, Redacted: 5,
		Kinds: map[string]int{"applications": 2, "estimates": 2, "quotes": 2, "decisions": 2, "complaints": 1, "tombstones": 1, "placeholders": 5}}
	if diff := cmp.Diff(want, index.Counts); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	files := unpack(t, archive)
	for name, there := range map[string]bool{
		casefile.DecisionKey(inside, 2): true, casefile.ComplaintKey(inside, 2): true, casefile.ComplaintKey(inside, 1): false,
		casefile.QuoteKey(outside, "photo-0001"): false, casefile.QuoteKey(erased, "photo-0001"): true, casefile.DeletedKey(erased): true,
		"audit/" + inside + ".json": true, "audit/" + erased + ".json": false, "heads/" + inside + "/000001.json": true,
		"journals/control/000001.json": true, "journals/control/000002.json": false,
		"models/live/000001.json": true, "models/live/000002.json": true, "models/live/000003.json": false,
		"models/" + strings.TrimPrefix(w.model, "sha256:") + "/card.md": true, "models/" + strings.TrimPrefix(w.model, "sha256:") + "/age.onnx": false,
		"rules/history.jsonl": true, "rules/tables/tables.yaml": true, "fairness/fairness.json": true, "index.html": true,
	} {
		if (files[name] != nil) != there {
			t.Errorf("%s: there %v, want %v", name, !there, there)
		}
	}
	cards := 0
	for name, body := range files {
		if strings.HasSuffix(name, "/card.md") {
			cards++
		}
		for _, secret := range secrets {
			if bytes.Contains(body, []byte(secret)) {
				t.Errorf("%s holds %s", name, secret)
			}
		}
	}
	if cards != 2 {
		t.Errorf("%d cards, want those of the two models that were live in the period", cards)
	}
	if !bytes.Contains(files["index.html"], []byte("The counts balance")) {
		t.Error("the index does not say that all is well")
	}
}

// TestPersonal has everything as it stands, so that what was said can be
// followed and computed again; what was erased stays erased.
func TestPersonal(t *testing.T) {
	w := newWorld(t)
	index, archive := w.export(true)
	files := unpack(t, archive)
	for name, secret := range map[string]string{
		casefile.ComplaintKey(inside, 2): "SECRET-COMPLAINT", casefile.DecisionKey(inside, 1): "SECRET-NOTE", casefile.ApplicationKey(inside, 1): "1984-05-17",
	} {
		if !bytes.Contains(files[name], []byte(secret)) {
			t.Errorf("%s lacks %s", name, secret)
		}
	}
	if bytes.Contains(files[casefile.ApplicationKey(erased, 1)], []byte("1984")) {
		t.Error("an erased case has its facts")
	}
	for name, body := range files {
		if strings.HasPrefix(name, "cases/") {
			stored, err := w.cases.Get(t.Context(), name, 1<<20)
			if err != nil || !bytes.Equal(stored, body) {
				t.Errorf("%s is not as it is stored: %v", name, err)
			}
		}
	}
	if index.Counts.Redacted != 0 {
		t.Errorf("%d redacted", index.Counts.Redacted)
	}
}

// TestTamperedArchive changes, removes and adds a file.
func TestTamperedArchive(t *testing.T) {
	_, archive := newWorld(t).export(false)
	key := casefile.DecisionKey(inside, 1)
	for name, tt := range map[string]struct {
		change func(map[string][]byte)
		want   string
	}{
		"changed": {func(f map[string][]byte) { f[key] = bytes.Replace(f[key], []byte("u1"), []byte("u9"), 1) }, key + ": was changed"},
		"removed": {func(f map[string][]byte) { delete(f, key) }, key + ": is missing"},
		"added":   {func(f map[string][]byte) { f["cases/x.json"] = []byte("{}") }, "cases/x.json: is not in the index"},
		"bomb": {func(f map[string][]byte) { f[key] = make([]byte, 1<<20) }, // not all of it is unpacked
			fmt.Sprintf("%s: was changed: it has %d bytes", key, len(unpack(t, archive)[key])+1)},
		"counts": {func(f map[string][]byte) {
			f["index.json"] = bytes.Replace(f["index.json"], []byte(`"cases_listed": 4`), []byte(`"cases_listed": 5`), 1)
		}, "index.json: its counts do not balance"},
	} {
		t.Run(name, func(t *testing.T) {
			files := unpack(t, archive)
			tt.change(files)
			var out bytes.Buffer
			z := zip.NewWriter(&out)
			for name, body := range files {
				f, err := z.Create(name)
				if err == nil {
					_, err = f.Write(body)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			if problems := verify(t, out.Bytes()); len(problems) != 1 || !strings.HasPrefix(problems[0], tt.want) {
				t.Errorf("problems %q, want %q", problems, tt.want)
			}
		})
	}
}

// TestTamperedStore changes what a quote rests on and takes out a decision: the
// archive is written, and says so.
func TestTamperedStore(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(context.Context, *world) error
		want   []string
	}{
		"facts": {func(ctx context.Context, w *world) error {
			return w.cases.Overwrite(ctx, casefile.ApplicationKey(inside, 1), []byte(`{"case":"case-inside","n":1,"time":"2026-12-01T00:00:00Z"}`))
		}, []string{"application/0001.json: changed: quotes/photo-0001.json was made from another content"}},
		"decision": {func(ctx context.Context, w *world) error {
			return w.cases.Overwrite(ctx, casefile.DecisionKey(inside, 1), []byte(`{"case":"case-inside","n":1,"time":"2026-12-01T00:00:00Z","quote":"cases/case-inside/quotes/photo-0001.json","previous":"sha256:x"}`))
		}, []string{"decisions/0001.json: changed or exchanged", "decisions/0002.json: changed or exchanged"}},
		"missing": {func(ctx context.Context, w *world) error { return w.cases.Delete(ctx, casefile.DecisionKey(inside, 1)) },
			[]string{"decisions/0001.json: missing: a later one stands"}},
		"stop": {func(ctx context.Context, w *world) error {
			return w.cases.Overwrite(ctx, "control/000001.json", []byte(`{"schema":1,"n":1,"action":"stop"}`))
		}, []string{"control/000002.json"}},
		"live": {func(ctx context.Context, w *world) error {
			return w.models.Overwrite(ctx, "live/000001.json", []byte(`{"schema":1,"n":1,"model":"packaged"}`))
		}, []string{"live/000002.json"}},
		"card": {func(ctx context.Context, w *world) error {
			return w.models.Overwrite(ctx, "models/"+strings.TrimPrefix(w.model, "sha256:")+"/card.md", []byte("better"))
		}, []string{"card.md: has hash"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if err := tt.change(t.Context(), w); err != nil {
				t.Fatal(err)
			}
			index, archive := w.export(false)
			for _, want := range tt.want {
				if !slices.ContainsFunc(index.Problems, func(p string) bool { return strings.Contains(p, want) }) {
					t.Errorf("problems %q lack %q", index.Problems, want)
				}
			}
			if len(index.Problems) != len(tt.want) || !index.Balanced {
				t.Errorf("problems %q, balanced %v", index.Problems, index.Balanced)
			}
			if problems := verify(t, archive); len(problems) > 0 {
				t.Errorf("verify: %q", problems)
			}
		})
	}
}
