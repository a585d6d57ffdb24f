package audit_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/agequote/agequote/internal/audit"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/store"
)

const id = "case-0001"

// world is a case with a quote, three decisions, two openings, the quotes that
// follow, and its heads.
type world struct{ cases, heads *store.Memory }

func newWorld(t testing.TB, seal bool) world {
	t.Helper()
	w := world{&store.Memory{}, &store.Memory{}}
	at := time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)
	tick := func() time.Time { at = at.Add(time.Minute); return at }
	put := func(key string, object any) string {
		t.Helper()
		body, err := cases.Encode(object)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.cases.PutIfAbsent(t.Context(), key, body); err != nil {
			t.Fatal(err)
		}
		return digest.Of(body)
	}
	sealer := &audit.Sealer{Cases: w.cases, Heads: w.heads, Version: "test", Now: tick}
	sealNow := func() {
		t.Helper()
		if !seal {
			return
		}
		if err := sealer.Seal(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}

	application, estimate, quote := casefile.ApplicationKey(id, 1), casefile.EstimateKey(id, 1), casefile.QuoteKey(id, "photo-0001")
	applicationHash := put(application, casefile.Application{Schema: 1, Case: id, N: 1, Time: tick(), Salt: "salt"})
	estimateHash := put(estimate, casefile.Estimate{Schema: 1, Case: id, N: 1, Time: tick(), Code: "ok", Application: application})
	q := casefile.Quote{Schema: 2, Case: id, Cause: "photo-0001", Decision: "refer", Time: tick(),
		Inputs: casefile.Inputs{Application: application, Estimate: estimate}, Hashes: casefile.Hashes{Application: applicationHash, Estimate: estimateHash}}
	before := put(quote, q)
	opening := put(casefile.OpeningKey(id, 1), casefile.Opening{Schema: 1, Case: id, N: 1, Photo: 1, By: "anna", Time: tick()})
	put(casefile.OpeningKey(id, 2), casefile.Opening{Schema: 1, Case: id, N: 2, Photo: 1, By: "sam", Time: tick(), Previous: opening})
	put(casefile.ReservationKey(id, 1), casefile.Reservation{Schema: 1, Case: id, N: 1, By: "anna", Time: tick()})
	for n, action := range []casefile.Action{casefile.Suggest, casefile.Return, casefile.Accept} {
		d := casefile.Decision{Schema: 1, Case: id, N: n + 1, Time: tick(), By: "anna", Action: action, Quote: quote, Application: application, Previous: before}
		if action == casefile.Suggest {
			d.Suggested = casefile.Accept
		}
		before = put(casefile.DecisionKey(id, n+1), d)
		sealNow()
	}
	q.Cause, q.Decision, q.Time, q.Replaces = "decision-0003", "quote", tick(), &quote
	q.Inputs.Decision, q.Hashes.Decision = casefile.DecisionKey(id, 3), before
	put(casefile.QuoteKey(id, "decision-0003"), q)
	sealNow()
	return w
}

func (w world) verify(t testing.TB, heads bool) audit.Report {
	t.Helper()
	var r audit.Report
	var err error
	if heads {
		r, err = audit.Verify(t.Context(), w.cases, w.heads, id)
	} else {
		r, err = audit.Verify(t.Context(), w.cases, nil, id)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// keys of the chain; reservations are none of it.
func (w world) keys(t testing.TB) []string {
	t.Helper()
	keys, err := w.cases.List(t.Context(), casefile.Prefix(id))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, key := range keys {
		if !strings.Contains(key, "/reservations/") {
			out = append(out, key)
		}
	}
	return out
}

func (w world) set(t testing.TB, key string, body []byte) {
	t.Helper()
	if err := w.cases.Overwrite(t.Context(), key, body); err != nil {
		t.Fatal(err)
	}
}

func (w world) get(t testing.TB, key string) []byte {
	t.Helper()
	b, err := w.cases.Get(t.Context(), key, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWhole(t *testing.T) {
	w := newWorld(t, true)
	for _, heads := range []bool{true, false} {
		r := w.verify(t, heads)
		if !r.OK || len(r.Lines) != 9 || heads && r.Heads != 4 {
			t.Errorf("heads %v: %+v", heads, r)
		}
		for _, l := range r.Lines {
			if l.Sealed != heads {
				t.Errorf("%s: sealed %v", l.Object, l.Sealed)
			}
		}
	}
	if _, err := audit.Verify(t.Context(), w.cases, w.heads, "case-0002"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a case that is none: %v", err)
	}
}

// TestChanged changes every byte of every object in turn, to one that it was
// not.
func TestChanged(t *testing.T) {
	w := newWorld(t, true)
	r := rand.New(rand.NewPCG(1, 2))
	for _, key := range w.keys(t) {
		body := w.get(t, key)
		for i := range body {
			changed := append([]byte{}, body...)
			changed[i] ^= byte(1 + r.IntN(255))
			w.set(t, key, changed)
			if w.verify(t, true).OK {
				t.Fatalf("%s: byte %d changed from %q to %q is not found", key, i, body[i], changed[i])
			}
		}
		w.set(t, key, body)
	}
	if !w.verify(t, true).OK {
		t.Fatal("put back, it is not whole")
	}
}

// TestDropped takes out each object, and each pair.
func TestDropped(t *testing.T) {
	w := newWorld(t, true)
	keys := w.keys(t)
	for i, one := range keys {
		for _, other := range keys[i:] {
			bodies := map[string][]byte{one: w.get(t, one), other: w.get(t, other)}
			for key := range bodies {
				if err := w.cases.Delete(t.Context(), key); err != nil {
					t.Fatal(err)
				}
			}
			if w.verify(t, true).OK {
				t.Errorf("%s and %s taken out are not found", path.Base(one), path.Base(other))
			}
			for key, body := range bodies {
				w.set(t, key, body)
			}
		}
	}
}

// TestSwapped exchanges the contents of each two objects of a kind.
func TestSwapped(t *testing.T) {
	for _, sealed := range []bool{true, false} { // decisions show it by themselves
		w := newWorld(t, sealed)
		keys := w.keys(t)
		for i, one := range keys {
			for _, other := range keys[i+1:] {
				if path.Dir(one) != path.Dir(other) {
					continue
				}
				a, b := w.get(t, one), w.get(t, other)
				w.set(t, one, b)
				w.set(t, other, a)
				if w.verify(t, sealed).OK {
					t.Errorf("%s and %s exchanged are not found", one, other)
				}
				w.set(t, one, a)
				w.set(t, other, b)
			}
		}
	}
}

// TestRenumbered puts decisions into another order and numbers them anew, as one
// would who knows the format but not the hashes.
func TestRenumbered(t *testing.T) {
	w := newWorld(t, false)
	one, two := casefile.DecisionKey(id, 1), casefile.DecisionKey(id, 2)
	a, b := string(w.get(t, one)), string(w.get(t, two))
	w.set(t, one, []byte(strings.Replace(b, `"n":2`, `"n":1`, 1)))
	w.set(t, two, []byte(strings.Replace(a, `"n":1`, `"n":2`, 1)))
	if r := w.verify(t, false); r.OK {
		t.Errorf("not found: %+v", r)
	}
}

// TestForged makes the whole chain anew around a changed decision, which shows
// by the heads alone: what they are for.
func TestForged(t *testing.T) {
	w := newWorld(t, true)
	forged := newWorld(t, false)
	for n := 1; n <= 3; n++ {
		key := casefile.DecisionKey(id, n)
		forged.set(t, key, []byte(strings.Replace(string(forged.get(t, key)), `"by":"anna"`, `"by":"ben"`, 1)))
	}
	relink(t, forged)
	if r := forged.verify(t, false); !r.OK {
		t.Fatalf("the forgery is not whole in itself: %+v", r)
	}
	forged.heads = w.heads
	if r := forged.verify(t, true); r.OK {
		t.Error("the heads do not find a chain that was made anew")
	}
}

// relink puts the hashes right that follow from what was changed.
func relink(t *testing.T, w world) {
	t.Helper()
	original := newWorld(t, false)
	for n := 1; n <= 3; n++ {
		was, is := digest.Of(original.get(t, casefile.DecisionKey(id, n))), digest.Of(w.get(t, casefile.DecisionKey(id, n)))
		next := casefile.DecisionKey(id, n+1)
		if n == 3 {
			next = casefile.QuoteKey(id, "decision-0003")
		}
		w.set(t, next, []byte(strings.Replace(string(w.get(t, next)), was, is, 1)))
	}
}

// TestHeads: a head that is hidden, or written over, is read all the same; one
// that does not follow is told.
func TestHeads(t *testing.T) {
	w := newWorld(t, true)
	if err := w.heads.Delete(t.Context(), audit.HeadKey(id, 2)); err != nil {
		t.Fatal(err)
	}
	if err := w.heads.Overwrite(t.Context(), audit.HeadKey(id, 3), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if r := w.verify(t, true); !r.OK || r.Heads != 4 {
		t.Errorf("hidden and written over: %+v", r)
	}
	if err := w.heads.PutIfAbsent(t.Context(), audit.HeadKey(id, 5), []byte(`{"schema":1,"case":"case-0001","n":5}`)); err != nil {
		t.Fatal(err)
	}
	if r := w.verify(t, true); r.OK {
		t.Error("a head that follows nothing is not found")
	}
}

// TestSealMeetsAnother: of two who seal the same at once both succeed, by one
// head; without anything new there is none.
func TestSealMeetsAnother(t *testing.T) {
	w := newWorld(t, true)
	if err := (&audit.Sealer{Cases: w.cases, Heads: w.heads, Now: time.Now}).Seal(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if r := w.verify(t, true); r.Heads != 4 {
		t.Errorf("sealed again without anything new: %d heads", r.Heads)
	}
	if err := w.cases.PutIfAbsent(t.Context(), casefile.ApplicationKey(id, 2), []byte(`{"schema":1,"case":"case-0001","n":2}`)); err != nil {
		t.Fatal(err)
	}
	first := true
	racing := &racer{Memory: w.heads, before: func() {
		if first {
			first = false
			other := &audit.Sealer{Cases: w.cases, Heads: w.heads, Now: time.Now}
			if err := other.Seal(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
	}}
	s := &audit.Sealer{Cases: w.cases, Heads: racing, Now: time.Now}
	if err := s.Seal(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if r := w.verify(t, true); !r.OK || r.Heads != 5 {
		t.Errorf("%+v", r)
	}
}

type racer struct {
	*store.Memory
	before func()
}

func (r *racer) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	r.before()
	return r.Memory.PutIfAbsent(ctx, key, body)
}
