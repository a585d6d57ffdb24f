package review

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/audit"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/erasure"
	"github.com/agequote/agequote/internal/replay"
	"github.com/agequote/agequote/internal/store"
	"github.com/agequote/agequote/internal/underwriting"
)

// TestAuthority: past one's authority a decision is suggested, and another
// person who is a senior confirms or returns it.
func TestAuthority(t *testing.T) {
	o := newOffice(t)
	large := facts(60)
	large.SumCents = 100_000_000 // a million dollars: past anna's 500,000, within sam's
	const id = "case-0001"
	o.apply(t, id, large)
	o.take(t, anna, id)
	if b := o.look(t, anna, id); !slices.Contains(b.NeedsConfirmation, casefile.Accept) {
		t.Errorf("needs confirmation: %v", b.NeedsConfirmation)
	}
	if got := o.decideOn(t, anna, id, "accept", nil).problem(t); got != "403 authority" {
		t.Errorf("accepting past the authority: %s", got)
	}
	if got := o.decideOn(t, anna, id, "suggest", map[string]any{"suggested": "change", "change": map[string]any{"class": "Standard"}}).problem(t); got != "422 invalid" {
		t.Errorf("suggesting a change without a reason: %s", got)
	}
	o.decideOn(t, anna, id, "suggest", map[string]any{"suggested": "accept"}).into(t, http.StatusCreated, nil)
	if b := o.look(t, anna, id); b.State != "suggested" || len(b.May) > 0 || b.Quote.Decision != underwriting.Refer {
		t.Errorf("a suggestion leaves %s, quote %s, anna may %v", b.State, b.Quote.Decision, b.May)
	}
	if ids, page := o.queued(t, sam); len(ids) != 1 || page.Cases[0].State != "suggested" {
		t.Errorf("the queue shows %+v", page.Cases)
	}
	// Neither the author nor another underwriter may confirm.
	o.take(t, anna, id)
	if got := o.decideOn(t, anna, id, "confirm", nil).problem(t); got != "409 closed" {
		t.Errorf("the author confirms: %s", got)
	}
	o.pass(time.Hour)
	o.take(t, ben, id)
	if got := o.decideOn(t, ben, id, "confirm", nil).problem(t); got != "409 closed" {
		t.Errorf("an underwriter confirms: %s", got)
	}
	o.pass(time.Hour)
	o.take(t, sam, id)
	if got := o.decideOn(t, sam, id, "return", nil).problem(t); got != "422 invalid" {
		t.Errorf("returning without a word: %s", got)
	}
	o.decideOn(t, sam, id, "return", map[string]any{"text": "ask for the passport"}).into(t, http.StatusCreated, nil)
	if b := o.look(t, anna, id); b.State != "refer" {
		t.Errorf("returned, the case is %s", b.State)
	}
	o.take(t, anna, id)
	o.decideOn(t, anna, id, "suggest", map[string]any{"suggested": "change", "change": map[string]any{"price_age": 31}, "reason": "age_proven", "text": "passport"}).into(t, http.StatusCreated, nil)
	o.take(t, tess, id)
	o.decideOn(t, tess, id, "confirm", nil).into(t, http.StatusCreated, nil)
	b := o.look(t, anna, id)
	if b.State != stateClosed || b.Quote.Decision != underwriting.Quote || b.Quote.Basis.PriceAge != 31 || b.Quote.Cause != "decision-0004" {
		t.Errorf("confirmed, the case is %s, quote %+v", b.State, b.Quote.Basis)
	}
	if left := o.markers(t); len(left) > 0 {
		t.Errorf("markers left: %v", left)
	}
	o.audited(t, id)

	// What a senior may not decide alone, two do.
	huge := facts(60)
	huge.SumCents = 300_000_000
	o.apply(t, "case-0002", huge)
	o.take(t, sam, "case-0002")
	if got := o.decideOn(t, sam, "case-0002", "accept", nil).problem(t); got != "403 authority" {
		t.Errorf("a senior past the authority: %s", got)
	}
	o.decideOn(t, sam, "case-0002", "suggest", map[string]any{"suggested": "accept"}).into(t, http.StatusCreated, nil)
	o.take(t, tess, "case-0002")
	o.decideOn(t, tess, "case-0002", "confirm", nil).into(t, http.StatusCreated, nil)
}

func (o *office) audited(t *testing.T, id string) {
	t.Helper()
	var r audit.Report
	o.ask(t, ada, "GET /cases/{case}/audit", id, nil).into(t, http.StatusOK, &r)
	if !r.OK {
		t.Errorf("audit %+v", r)
	}
	// And every quote replays to its bytes.
	again := &replay.Replayer{Cases: o.store, Book: o.Book, Version: "test",
		Calibration: func(_ context.Context, _ string) (func(age.Distribution) (age.Estimate, error), error) {
			return nil, replay.ErrNoModel
		}}
	reports, err := again.Case(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range reports {
		if !r.Same {
			t.Errorf("%s does not replay: %+v %+v", r.Quote, r.Checks, r.Differences)
		}
	}
}

// TestRace lets 20 people take a case, and 20 decide on it: one does, and the
// others are told who.
func TestRace(t *testing.T) {
	o := newOffice(t)
	const id, people = "case-0001", 20
	o.apply(t, id, facts(60))
	race := func(try func(who string) reply) (won []string, told map[string]int) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		told = map[string]int{}
		for i := range people {
			wg.Go(func() {
				who := fmt.Sprintf("u%02d/underwriter", i)
				got := try(who)
				mu.Lock()
				defer mu.Unlock()
				if got.status < 300 {
					won = append(won, strings.TrimSuffix(who, "/underwriter"))
					return
				}
				told[string(got.body)]++
			})
		}
		wg.Wait()
		return won, told
	}
	won, told := race(func(who string) reply { return o.ask(t, who, "POST /cases/{case}/reservation", id, nil) })
	if len(won) != 1 {
		t.Fatalf("%v have the case", won)
	}
	for body, n := range told {
		if !strings.Contains(body, `"code":"taken"`) || !strings.Contains(body, `"by":"`+won[0]+`"`) {
			t.Errorf("%d were told %s, and %s has it", n, body, won[0])
		}
	}
	seen := o.look(t, anna, id)
	won, told = race(func(string) reply { // all as the one who has it, as in two windows
		return o.ask(t, won[0]+"/underwriter", "POST /cases/{case}/decisions", id, map[string]any{"action": "accept", "quote": seen.QuoteName, "n": 1})
	})
	if len(won) != 1 {
		t.Fatalf("%d decided", len(won))
	}
	for body := range told {
		if !strings.Contains(body, `"code":"decided"`) || !strings.Contains(body, `"action":"accept"`) {
			t.Errorf("told %s", body)
		}
	}
	keys, _ := o.store.List(t.Context(), casefile.DecisionsPrefix(id))
	if len(keys) != 1 {
		t.Errorf("stored %v", keys)
	}
	o.audited(t, id)
}

// TestReservation: it holds for 15 minutes, is renewed at its end, given back,
// and taken over after it.
func TestReservation(t *testing.T) {
	o := newOffice(t)
	const id = "case-0001"
	o.apply(t, id, facts(60))
	o.take(t, anna, id)
	first := o.look(t, ben, id).Reservation
	o.take(t, anna, id)
	if again := o.look(t, ben, id).Reservation; !again.Until.Equal(first.Until) {
		t.Error("taking again at once makes another reservation")
	}
	if got := o.ask(t, ben, "POST /cases/{case}/reservation", id, nil).problem(t); got != "409 taken" {
		t.Errorf("ben takes anna's: %s", got)
	}
	if got := o.decideOn(t, ben, id, "accept", nil).problem(t); got != "409 taken" {
		t.Errorf("ben decides on anna's: %s", got)
	}
	o.pass(12 * time.Minute)
	o.take(t, anna, id)
	if renewed := o.look(t, ben, id).Reservation; !renewed.Until.After(first.Until) {
		t.Error("it is not renewed at its end")
	}
	o.ask(t, ben, "DELETE /cases/{case}/reservation", id, nil).into(t, http.StatusNoContent, nil)
	if o.look(t, ben, id).Reservation == nil {
		t.Error("ben gave back anna's")
	}
	o.ask(t, anna, "DELETE /cases/{case}/reservation", id, nil).into(t, http.StatusNoContent, nil)
	if r := o.look(t, ben, id).Reservation; r != nil {
		t.Errorf("given back, %+v", r)
	}
	o.take(t, ben, id)
	o.pass(16 * time.Minute)
	o.take(t, anna, id)
	if got := o.decideOn(t, ben, id, "accept", nil).problem(t); got != "409 taken" {
		t.Errorf("ben decides after anna took it over: %s", got)
	}
	o.pass(16 * time.Minute) // anna's is over, and nobody else has taken it
	o.decideOn(t, anna, id, "accept", nil).into(t, http.StatusCreated, nil)
}

// TestMoved: whoever saw something else is told so.
func TestMoved(t *testing.T) {
	o := newOffice(t)
	const id = "case-0001"
	o.apply(t, id, facts(60))
	o.take(t, anna, id)
	seen := o.look(t, anna, id)
	corrected := facts(59)
	put(t, o.store, casefile.ApplicationKey(id, 2), casefile.Application{Schema: 1, Case: id, N: 2, Time: o.tick(), Facts: corrected, Salt: casefile.NewSalt()})
	o.quote(t, id, casefile.FactsCause(2))
	got := o.ask(t, anna, "POST /cases/{case}/decisions", id, map[string]any{"action": "accept", "quote": seen.QuoteName, "n": 1})
	if got.problem(t) != "409 moved" {
		t.Errorf("deciding on an older quote: %s", got.body)
	}
	if got := o.ask(t, anna, "POST /cases/{case}/decisions", id, map[string]any{"action": "accept", "quote": seen.QuoteName, "n": 5}); got.problem(t) != "409 moved" {
		t.Errorf("a number too far: %s", got.body)
	}
}

// TestProof goes over a request to the customer: the case leaves the queue, and
// can be decided when the proof came by post.
func TestProof(t *testing.T) {
	o := newOffice(t)
	const id = "case-0001"
	o.apply(t, id, facts(60))
	o.take(t, anna, id)
	o.decideOn(t, anna, id, "proof_of_age", nil).into(t, http.StatusCreated, nil)
	if ids, _ := o.queued(t, anna); len(ids) > 0 {
		t.Errorf("still in the queue: %v", ids)
	}
	o.pass(30 * 24 * time.Hour)
	o.take(t, ben, id)
	o.decideOn(t, ben, id, "decline", why("age_unproven")).into(t, http.StatusCreated, nil) // it was asked for
	b := o.look(t, ada, id)
	if b.Quote.Decision != underwriting.Decline || b.Quote.GrossAnnualCents != nil || b.Quote.At.Low.GrossAnnualCents != nil || len(b.May) > 0 {
		t.Errorf("declined: %+v, may %v", b.Quote, b.May)
	}
	want := []underwriting.Code{underwriting.UnderwriterDeclined, underwriting.AgeUnproven}
	if diff := cmp.Diff(want, b.Quote.Principal); diff != "" {
		t.Errorf("the customer is told (-want +got)\n%s", diff)
	}
	o.audited(t, id)
}

// TestWithoutQuote: a case whose photo gave up can be decided but not priced.
func TestWithoutQuote(t *testing.T) {
	o := newOffice(t)
	const id = "case-0001"
	put(t, o.store, casefile.ApplicationKey(id, 1), casefile.Application{Schema: 1, Case: id, N: 1, Time: o.tick(), Facts: facts(60), Salt: casefile.NewSalt(),
		Consent: &casefile.Consent{Version: "1"}})
	at := o.tick()
	put(t, o.store, casefile.FailureKey(id, "photo-0001"), casefile.Failure{Schema: 1, Case: id, N: 1, Stage: "predict", Time: at})
	if err := cases.Mark(t.Context(), o.store, casefile.Marker(id, casefile.StateFailed, at, 25_000_000)); err != nil {
		t.Fatal(err)
	}
	ids, page := o.queued(t, anna)
	if len(ids) != 1 || page.Cases[0].State != "failed" || page.Cases[0].Decision != "" || page.Cases[0].Currency != "USD" {
		t.Fatalf("the queue shows %+v", page.Cases)
	}
	o.take(t, anna, id)
	b := o.look(t, anna, id)
	want := []casefile.Action{casefile.Postpone, casefile.Decline, casefile.AnotherPhoto, casefile.ProofOfAge, casefile.Evidence}
	if diff := cmp.Diff(want, b.May); diff != "" {
		t.Errorf("may (-want +got)\n%s", diff)
	}
	if got := o.decideOn(t, anna, id, "accept", nil).problem(t); got != "409 action" {
		t.Errorf("accepting nothing: %s", got)
	}
	o.decideOn(t, anna, id, "decline", why("facts_inconsistent")).into(t, http.StatusCreated, nil)
	b = o.look(t, anna, id)
	if b.Quote == nil || b.Quote.Decision != underwriting.Decline || b.Quote.GrossAnnualCents != nil {
		t.Errorf("quote %+v", b.Quote)
	}
	if left := o.markers(t); len(left) > 0 {
		t.Errorf("markers left: %v", left)
	}
	o.audited(t, id)
}

// TestSample: a blind sample looks like a case whose customer wants a person,
// and a decision on it changes nothing but what is known of the agreement.
func TestSample(t *testing.T) {
	o := newOffice(t)
	o.quotes.Sample = func(string) bool { return true }
	thirty := facts(30)
	o.apply(t, "sample-01", thirty) // quoted by the rules
	o.apply(t, "sample-02", thirty)
	o.quotes.Sample = nil
	o.apply(t, "asked-001", thirty)
	at := o.tick()
	put(t, o.store, casefile.PersonKey("asked-001", 1), casefile.PersonRequest{Schema: 1, Case: "asked-001", N: 1, Time: at})
	if err := cases.Mark(t.Context(), o.store, casefile.Marker("asked-001", casefile.StateAsked, at, thirty.SumCents)); err != nil {
		t.Fatal(err)
	}
	ids, page := o.queued(t, anna)
	if diff := cmp.Diff([]string{"sample-01", "sample-02", "asked-001"}, ids); diff != "" {
		t.Fatal(diff)
	}
	if page.Open["asked"] != 3 || page.Open["sample"] != 0 {
		t.Errorf("counts tell: %v", page.Open)
	}
	// What tells two cases apart is what they are, not why they are here.
	same := func(e entry) entry { e.Case, e.Since = "", time.Time{}; return e }
	if diff := cmp.Diff(same(page.Cases[2]), same(page.Cases[0])); diff != "" {
		t.Errorf("in the queue a sample shows (-asked +sample)\n%s", diff)
	}
	asked, sampled := o.look(t, anna, "asked-001"), o.look(t, anna, "sample-01")
	shape := func(b caseBody) (out []string) {
		for _, h := range b.History {
			out = append(out, h.What)
		}
		slices.Sort(out)
		return append(out, b.State, fmt.Sprint(b.Reasons, b.May, b.NeedsConfirmation, b.Decisions))
	}
	if diff := cmp.Diff(shape(asked), shape(sampled)); diff != "" {
		t.Errorf("as a case a sample shows (-asked +sample)\n%s", diff)
	}

	before := sampled.Quote
	o.take(t, anna, "sample-01")
	o.decideOn(t, anna, "sample-01", "accept", nil).into(t, http.StatusCreated, nil)
	o.take(t, anna, "sample-02")
	o.decideOn(t, anna, "sample-02", "change", map[string]any{"change": map[string]any{"class": "Standard"}, "reason": "hazard_reviewed", "text": "dives"}).into(t, http.StatusCreated, nil)
	after := o.look(t, anna, "sample-01")
	if !reflect.DeepEqual(after.Quote, before) || after.Decisions[0].Action != casefile.SecondLook || after.State != stateClosed {
		t.Errorf("a second look changes the case: %s, %+v", after.State, after.Decisions)
	}
	if ids, _ := o.queued(t, anna); !slices.Equal(ids, []string{"asked-001"}) {
		t.Errorf("still in the queue: %v", ids)
	}
	var got struct {
		N     int
		Agree float64
	}
	o.ask(t, ada, "GET /agreement", "", nil).into(t, http.StatusOK, &got)
	if got.N != 2 || got.Agree != 0.5 {
		t.Errorf("agreement %+v", got)
	}
	keys, _ := o.store.List(t.Context(), looksPrefix)
	if len(keys) != 2 || strings.Contains(strings.Join(keys, " "), "sample-0") {
		t.Errorf("second looks tell of which case: %v", keys)
	}
	o.audited(t, "sample-01")
}

// TestSampleIsBlind looks where a sample could be told from a case whose customer
// wants a person: in its chain, and in the time at which the person was wanted.
func TestSampleIsBlind(t *testing.T) {
	o := newOffice(t)
	o.quotes.Sample = func(string) bool { return true }
	o.apply(t, "sample-01", facts(30))
	o.quotes.Sample = nil
	o.apply(t, "asked-001", facts(30))
	put(t, o.store, casefile.PersonKey("asked-001", 1), casefile.PersonRequest{Schema: 1, Case: "asked-001", N: 1, Time: o.tick()})
	o.pass(time.Hour)

	chain := func(who, id string) (names []string) {
		var report audit.Report
		o.ask(t, who, "GET /cases/{case}/audit", id, nil).into(t, http.StatusOK, &report)
		for _, l := range report.Lines {
			names = append(names, strings.TrimPrefix(l.Object, casefile.Prefix(id)))
		}
		return names
	}
	for _, who := range []string{anna, sam} {
		if diff := cmp.Diff(chain(who, "asked-001"), chain(who, "sample-01")); diff != "" {
			t.Errorf("to %s the chain of a sample shows (-asked +sample)\n%s", who, diff)
		}
	}
	if all := chain(ada, "asked-001"); !slices.Contains(all, "requests/person-0001.json") {
		t.Errorf("an auditor is not shown the request: %q", all)
	}
	b := o.look(t, anna, "sample-01")
	if after := b.Since.Sub(b.Quote.Time); after < soonestAsked || after > latestAsked {
		t.Errorf("the customer of a sample asked %s after the quote", after)
	}
	if last := b.History[len(b.History)-1]; last.What != "asked" || !last.Time.Equal(*b.Since) {
		t.Errorf("the history ends with %+v, and the case waits since %s", last, b.Since)
	}
	o.take(t, anna, "sample-01")
	o.decideOn(t, anna, "sample-01", "accept", nil).into(t, http.StatusCreated, nil)
	if all := chain(anna, "sample-01"); !slices.Contains(all, "decisions/0001.json") {
		t.Errorf("the chain once it is decided: %q", all)
	}
}

// TestOverdue: an overdue case comes first in both orders, and its marker moves.
func TestOverdue(t *testing.T) {
	o := newOffice(t)
	small, large := facts(60), facts(60)
	small.SumCents, large.SumCents = 10_000_000, 40_000_000
	o.apply(t, "old-small", small)
	o.pass(47 * time.Hour)
	o.apply(t, "new-large", large)
	if ids, _ := o.queued(t, anna, "order", "sum"); !slices.Equal(ids, []string{"new-large", "old-small"}) {
		t.Errorf("by sum %v", ids)
	}
	o.pass(2 * time.Hour)
	if ids, page := o.queued(t, anna); !slices.Equal(ids, []string{"old-small", "new-large"}) || !page.Cases[0].Overdue || page.Cases[1].Overdue {
		t.Errorf("by waiting %+v", page.Cases)
	}
	ids, page := o.queued(t, anna, "order", "sum")
	if !slices.Equal(ids, []string{"old-small", "new-large"}) || page.Open["overdue"] != 1 {
		t.Errorf("overdue, by sum %v, %v", ids, page.Open)
	}
	o.take(t, anna, "old-small") // whoever it is
	o.decideOn(t, anna, "old-small", "accept", nil).into(t, http.StatusCreated, nil)
	if left := o.markers(t); len(left) != 2 {
		t.Errorf("markers left: %v", left)
	}
}

// TestHeal: markers that are out of date go, and a quote that a decision still
// waits for is started again.
func TestHeal(t *testing.T) {
	o := newOffice(t)
	const id = "case-0001"
	o.apply(t, id, facts(60))
	markers := o.markers(t)
	o.take(t, anna, id)
	started := o.Quote
	o.Quote = lost{}
	o.decideOn(t, anna, id, "accept", nil).into(t, http.StatusCreated, nil) // what follows is lost
	if got := o.markers(t); !slices.Equal(got, markers) {
		t.Errorf("markers %v, want those of before: they are the reminder", got)
	}
	o.Quote = started
	if ids, _ := o.queued(t, ben); len(ids) > 0 {
		t.Errorf("the queue shows %v", ids)
	}
	if b := o.look(t, ben, id); b.Quote.Cause != "decision-0001" {
		t.Errorf("the decision's quote was not started again")
	}
	if left := o.markers(t); len(left) > 0 {
		t.Errorf("markers left: %v", left)
	}
}

// TestUnsealed: while the audit bucket refuses, decisions stand and are quoted,
// and the queue goes on; afterwards whoever reads it seals them.
func TestUnsealed(t *testing.T) {
	for _, action := range []string{"accept", "proof_of_age"} {
		o := newOffice(t)
		const id = "case-0001"
		o.apply(t, id, facts(60))
		o.take(t, anna, id)
		writable := o.seal.Heads
		o.seal.Heads = refusing{o.heads}
		o.decideOn(t, anna, id, action, nil).into(t, http.StatusCreated, nil)
		if ids, _ := o.queued(t, ben); len(ids) > 0 {
			t.Errorf("%s: the queue shows %v", action, ids)
		}
		if left := o.markers(t); len(left) == 0 {
			t.Errorf("%s: nothing reminds of the head that is missing", action)
		}
		o.seal.Heads = writable
		for range 2 {
			o.queued(t, ben)
		}
		r, err := audit.Verify(t.Context(), o.store, o.heads, id)
		if err != nil || !r.OK || r.Heads != 1 || !r.Lines[len(r.Lines)-1].Sealed || len(o.markers(t)) > 0 {
			t.Errorf("%s: %+v, %v; markers %v", action, r, err, o.markers(t))
		}
	}
}

// refusing is a bucket that takes nothing.
type refusing struct{ *store.Memory }

func (refusing) PutIfAbsent(context.Context, string, []byte) error { return store.ErrDenied }

// lost starts nothing.
type lost struct{}

func (lost) InvokeAsync(context.Context, string, []byte) error { return store.ErrDenied }

// TestDamaged: a case whose photo gave up on a damaged estimate stays in the
// queue, though the estimate is there by its name. One that is damaged and has
// to be moved shows too, and takes no other with it.
func TestDamaged(t *testing.T) {
	o := newOffice(t)
	const id, moved = "case-0001", "case-0002"
	at := o.tick()
	put(t, o.store, casefile.ApplicationKey(id, 1), casefile.Application{Schema: 1, Case: id, N: 1, Time: at, Facts: facts(60)})
	put(t, o.store, casefile.FailureKey(id, "photo-0001"), casefile.Failure{Schema: 1, Case: id, N: 1, Stage: "predict", Time: at})
	if err := o.store.PutIfAbsent(t.Context(), casefile.EstimateKey(id, 1), []byte(`{"age":4`)); err != nil {
		t.Fatal(err)
	}
	if err := cases.Mark(t.Context(), o.store, casefile.Marker(id, casefile.StateFailed, at, facts(60).SumCents)); err != nil {
		t.Fatal(err)
	}
	o.apply(t, moved, facts(60))
	if err := o.store.Overwrite(t.Context(), casefile.EstimateKey(moved, 1), []byte(`{`)); err != nil {
		t.Fatal(err)
	}
	o.pass(30 * 24 * time.Hour) // overdue
	markers := o.markers(t)
	if ids, _ := o.queued(t, anna); !slices.Equal(ids, []string{id, moved}) {
		t.Errorf("the queue shows %v", ids)
	}
	if left := o.markers(t); !slices.Equal(left, markers) {
		t.Errorf("markers %v, were %v", left, markers)
	}
}

// TestErased: an erased case leaves the queue and answers 410, and its chain
// still verifies.
func TestErased(t *testing.T) {
	o := newOffice(t)
	const id = "case-0001"
	o.apply(t, id, facts(60))
	o.take(t, anna, id)
	o.ask(t, anna, "POST /cases/{case}/photo", id, map[string]int{"n": 1}).into(t, http.StatusOK, nil)
	o.decideOn(t, anna, id, "change", map[string]any{"change": map[string]any{"price_age": 33}, "reason": "age_proven", "text": "born in Kassel"}).into(t, http.StatusCreated, nil)
	eraser := &erasure.Eraser{Photos: o.photos, Cases: o.store, Version: "test", Now: o.tick}
	if _, err := eraser.Erase(t.Context(), id, "customer", "consent withdrawn"); err != nil {
		t.Fatal(err)
	}
	for route, body := range map[string]any{
		"GET /cases/{case}": nil, "POST /cases/{case}/reservation": nil, "DELETE /cases/{case}/reservation": nil,
		"POST /cases/{case}/photo":     map[string]int{"n": 1},
		"POST /cases/{case}/decisions": map[string]any{"action": "evidence", "quote": "", "n": 2},
	} {
		if got := o.ask(t, anna, route, id, body).problem(t); got != "410 deleted" {
			t.Errorf("%s: %s", route, got)
		}
	}
	versions, _ := o.store.Versions(t.Context(), casefile.Prefix(id))
	for _, v := range versions {
		body, _ := o.store.GetVersion(t.Context(), v.Key, v.ID, 1<<20)
		for _, personal := range []string{"Kassel", `"price_age"`, "33"} {
			if strings.Contains(string(body), personal) && !strings.Contains(string(body), "sha256:") {
				t.Errorf("%s still holds %q: %s", v.Key, personal, body)
			}
		}
	}
	var r audit.Report
	o.ask(t, ada, "GET /cases/{case}/audit", id, nil).into(t, http.StatusOK, &r)
	if !r.OK || len(r.Lines) < 5 {
		t.Errorf("audit of an erased case %+v", r)
	}
}

// TestTexts: what people typed comes back as it is, in JSON that no browser
// takes for anything else.
func TestTexts(t *testing.T) {
	o := newOffice(t)
	const id, script = "case-0001", `<script>alert("1")</script>`
	o.apply(t, id, facts(60))
	put(t, o.store, casefile.ComplaintKey(id, 1), casefile.Complaint{Schema: 1, Case: id, N: 1, Time: o.tick(), Text: script})
	o.take(t, "<b>eve</b>/underwriter", id)
	got := o.decideOn(t, "<b>eve</b>/underwriter", id, "decline", map[string]any{"reason": "evidence_reviewed", "text": script})
	got.into(t, http.StatusCreated, nil)
	if strings.Contains(string(got.body), "<script") {
		t.Errorf("a script stands in the answer as it is: %s", got.body)
	}
	b := o.look(t, anna, id)
	if b.Decisions[0].Text != script || b.Decisions[0].By != "<b>eve</b>" || b.Complaints[0].Text != script {
		t.Errorf("texts came back as %q, %q", b.Decisions[0].Text, b.Complaints[0].Text)
	}
	for _, bad := range []map[string]any{
		{"reason": script, "text": "x"}, {"text": strings.Repeat("x", 5000)}, {"change": map[string]any{"class": "Standard", "sum": 1}}, {"more": 1},
	} {
		if got := o.decideOn(t, anna, id, "change", bad).problem(t); got != "422 invalid" {
			t.Errorf("%v: %s", bad, got)
		}
	}
}

// TestOtherCases: a photo is opened of the case alone, wherever its estimate
// points to, and only one that is there.
func TestOtherCases(t *testing.T) {
	o := newOffice(t)
	o.apply(t, "case-0001", facts(60))
	o.apply(t, "case-0002", facts(60))
	point := 30.0
	put(t, o.store, casefile.EstimateKey("case-0001", 2), casefile.Estimate{Schema: 1, Case: "case-0001", N: 2, Code: "ok", Time: o.tick(),
		Source: casefile.Source{Key: casefile.UploadKey("case-0002", 1)}, Estimate: age.Estimate{Age: &point}})
	for id, n := range map[string]int{"case-0001": 2, "case-0002": 2, "case-0003": 1} {
		if got := o.ask(t, anna, "POST /cases/{case}/photo", id, map[string]int{"n": n}).problem(t); got != "404 not_found" {
			t.Errorf("photo %d of %s: %s", n, id, got)
		}
	}
	if err := o.photos.Delete(t.Context(), casefile.UploadKey("case-0002", 1)); err != nil {
		t.Fatal(err)
	}
	if got := o.ask(t, anna, "POST /cases/{case}/photo", "case-0002", map[string]int{"n": 1}).problem(t); got != "410 photo_expired" {
		t.Errorf("a photo whose time is over: %s", got)
	}
	if keys, _ := o.store.List(t.Context(), casefile.OpeningsPrefix("case-0002")); len(keys) > 0 {
		t.Errorf("recorded %v, and nothing was opened", keys)
	}
	for _, id := range []string{"case-0009", "../case-0001", "x"} {
		if got := o.ask(t, anna, "GET /cases/{case}", id, nil).problem(t); got != "404 not_found" {
			t.Errorf("%s: %s", id, got)
		}
	}
}

// TestPages goes through a long queue, page by page, in both orders.
func TestPages(t *testing.T) {
	o := newOffice(t)
	const n = 120
	var want []string
	for i := range n {
		id := fmt.Sprintf("case-%04d", i)
		f := facts(60)
		f.SumCents = int64(10_000_000 + 100*(i*37%n))
		o.apply(t, id, f)
		want = append(want, id)
		if i%3 == 0 { // waits twice, and shows once
			at := o.tick()
			put(t, o.store, casefile.PersonKey(id, 1), casefile.PersonRequest{Schema: 1, Case: id, N: 1, Time: at})
			if err := cases.Mark(t.Context(), o.store, casefile.Marker(id, casefile.StateAsked, at, f.SumCents)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, order := range []string{"waiting", "sum"} {
		for _, limit := range []string{"7", "50", "200"} {
			var got []string
			var sums []int64
			query := []string{"order", order, "limit", limit}
			for {
				ids, page := o.queued(t, anna, query...)
				got = append(got, ids...)
				for _, e := range page.Cases {
					sums = append(sums, -e.SumCents)
				}
				if page.Next == nil {
					break
				}
				query = []string{"order", order, "limit", limit, "after", *page.Next}
			}
			if order == "sum" {
				if !slices.IsSorted(sums) {
					t.Errorf("by sum, %s a page: not in order", limit)
				}
				slices.Sort(got)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %s a page (-want +got)\n%s", order, limit, diff)
			}
		}
	}
	if got := o.ask(t, anna, "GET /queue", "", nil, "after", "rubbish").problem(t); got != "422 invalid" {
		t.Errorf("a cursor of nobody's: %s", got)
	}
	if got := o.ask(t, anna, "GET /queue", "", nil, "limit", "1000").problem(t); got != "422 invalid" {
		t.Errorf("a page too long: %s", got)
	}
}

// TestRebuild loses the queue, and some of it, and makes it anew.
func TestRebuild(t *testing.T) {
	o := newOffice(t)
	o.quotes.Sample = func(id string) bool { return strings.HasPrefix(id, "sample") }
	for i := range 5 {
		o.apply(t, fmt.Sprintf("case-%04d", i), facts(60))
	}
	o.apply(t, "sample-01", facts(30))
	o.apply(t, "quoted-01", facts(30))
	o.take(t, anna, "case-0000")
	o.decideOn(t, anna, "case-0000", "accept", nil).into(t, http.StatusCreated, nil)
	large := facts(60)
	large.SumCents = 100_000_000
	o.apply(t, "suggest-1", large)
	o.take(t, anna, "suggest-1")
	o.decideOn(t, anna, "suggest-1", "suggest", map[string]any{"suggested": "accept"}).into(t, http.StatusCreated, nil)
	want := o.markers(t)

	b := &Rebuilder{Cases: o.store, Limits: o.Limits, Now: o.tick, Sample: o.quotes.Sample,
		Each: func(ctx context.Context, do func(string) error) error {
			keys, err := o.store.List(ctx, "cases/")
			seen := ""
			for _, key := range keys {
				if id := strings.Split(key, "/")[1]; id != seen {
					if seen = id; do(id) != nil {
						return ctx.Err()
					}
				}
			}
			return err
		}}
	run := func(name string, want Rebuilt) {
		t.Helper()
		got, err := b.Run(t.Context())
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", name, err, diff)
		}
	}
	run("nothing to do", Rebuilt{Schema: 1, Cases: 8, Waiting: 5})
	for _, key := range want {
		if err := o.store.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	stale := append(casefile.Marker("case-0000", casefile.StateRefer, o.now, 1), casefile.Marker("nobody-01", casefile.StateAsked, o.now, 1)...)
	if err := cases.Mark(t.Context(), o.store, stale); err != nil {
		t.Fatal(err)
	}
	b.DryRun = true
	run("dry", Rebuilt{Schema: 1, Cases: 8, Waiting: 5, Written: len(want), Removed: 4})
	if got := o.markers(t); len(got) != 4 {
		t.Errorf("a dry run leaves %v", got)
	}
	b.DryRun = false
	run("all lost", Rebuilt{Schema: 1, Cases: 8, Waiting: 5, Written: len(want), Removed: 4})
	if diff := cmp.Diff(want, o.markers(t)); diff != "" {
		t.Errorf("the queue made anew (-before +after)\n%s", diff)
	}
}

// TestDuplicate: a case that waits for its photo's sake shows which others it
// was sent with, and what is decided on it replays, also where another duplicate
// came to light after the quote.
func TestDuplicate(t *testing.T) {
	o := newOffice(t)
	const id = "case-0001"
	put(t, o.store, casefile.DuplicatesKey(id, 1), casefile.Duplicates{Schema: 1, Case: id, N: 1, Time: o.tick(),
		Of: []casefile.Duplicate{{Case: "case-0002", N: 1, Kind: "file"}}})
	o.apply(t, id, facts(30))
	o.apply(t, "case-0003", facts(30)) // quoted, and a duplicate is found later
	put(t, o.store, casefile.DuplicatesKey("case-0003", 1), casefile.Duplicates{Schema: 1, Case: "case-0003", N: 1, Time: o.tick(),
		Of: []casefile.Duplicate{{Case: "case-0002", N: 1, Kind: "picture", Distance: 3}}})
	at := o.tick()
	put(t, o.store, casefile.PersonKey("case-0003", 1), casefile.PersonRequest{Schema: 1, Case: "case-0003", N: 1, Time: at})
	for _, id := range []string{id, "case-0003"} {
		o.take(t, anna, id)
		before := o.look(t, anna, id)
		if len(before.Duplicates) != 1 || !strings.Contains(string(before.Duplicates[0]), "case-0002") {
			t.Errorf("%s shows %s", id, before.Duplicates)
		}
		o.decideOn(t, anna, id, "accept", nil).into(t, http.StatusCreated, nil)
		if b := o.look(t, anna, id); *b.Quote.GrossAnnualCents != *before.Quote.GrossAnnualCents || b.Quote.Inputs.Duplicates != before.Quote.Inputs.Duplicates {
			t.Errorf("%s: accepted at %d with %q", id, *b.Quote.GrossAnnualCents, b.Quote.Inputs.Duplicates)
		}
		o.audited(t, id)
	}
}
