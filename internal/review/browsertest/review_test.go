package browsertest

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	_ "image/png" // the sample is one
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/agequote/agequote/internal/browser"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/underwriting"
)

// script is what somebody hopes to run in an underwriter's browser.
const script = `<script>document.title = 'taken over'</script><img src=x onerror="document.title='taken over'">`

// TestReview goes through the page as underwriters do. The sample photo reads as
// 27 years or so: who declares 60 with it is referred, who declares 30 is quoted.
func TestReview(t *testing.T) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	photo := astronaut(t, root) // before the stack changes the working directory
	s := startSite(t, root)

	t.Run("people", func(t *testing.T) {
		for name, walk := range map[string]func(*testing.T, []byte){
			"signin": s.signsIn, "keys": s.keys, "override": s.override, "authority": s.authority, "conflict": s.conflict,
			"complaint": s.complaint, "sample": s.sample, "auditor": s.auditor, "phone": s.phone,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				walk(t, photo)
			})
		}
	})
	t.Run("ten thousand open cases", func(t *testing.T) { s.tenThousand(t, photo) })
}

// signsIn signs in and out; an answer that nobody asked for is refused.
func (s *site) signsIn(t *testing.T, _ []byte) {
	tb := &tab{s.Open(t, s.page)}
	tb.View("signin")
	tb.Step("r-01-signin")
	tb.Click("#signin")
	tb.Click("button[value=sam]")
	tb.View("queue")
	tb.See("#role", "Senior underwriter")
	if address := browser.Value[string](tb.Tab, `location.href + document.referrer`); strings.Contains(address, "code=") || strings.Contains(address, "state=") {
		t.Errorf("the address still holds what the issuer sent: %s", address)
	}
	tb.Do(`location.reload()`)
	tb.See("#who", "Sam") // the tab stays signed in
	tb.Click("#signout")
	tb.View("signin")
	if kept := browser.Value[int](tb.Tab, `sessionStorage.length + document.cookie.length`); kept != 0 {
		t.Error("something is kept after signing out")
	}

	forged := &tab{s.Open(t, s.page+"?code=stolen&state=forged")}
	forged.See("#notice", "does not belong to this tab")
	if asked := forged.Requests("/token"); len(asked) > 0 {
		t.Errorf("the code was redeemed all the same: %q", asked)
	}
}

// keys decides a case in a few keys, and looks at what the customer sees.
func (s *site) keys(t *testing.T, photo []byte) {
	c := s.apply(t, 60, 150_000, photo)
	tb := s.signIn(t, "anna")
	tb.Key("r")
	tb.Until("the case in the queue", `document.querySelector('[data-id="`+c.id+`"]')`)
	tb.Step("r-02-queue")
	tb.Key("j")
	tb.Until("focus in the queue", `document.activeElement.matches('.row')`)
	tb.Do(`document.querySelector('[data-id="` + c.id + `"]').focus()`)
	tb.Enter()
	tb.See("#reasons", "Age contradicts photo")
	tb.Until("focus on the case", `document.activeElement.id === 'case-title'`)
	tb.Step("r-03-case")
	if shown := browser.Value[bool](tb.Tab, `document.querySelector('#photo img') !== null`); shown {
		t.Error("the photo shows before it was opened")
	}
	tb.Key("o")
	tb.Until("the photo", `document.querySelector('#photo img')?.naturalWidth > 0`)
	openings, err := s.Cases.List(t.Context(), casefile.OpeningsPrefix(c.id))
	if err != nil || len(openings) != 1 {
		t.Errorf("openings on record: %q, %v", openings, err)
	}

	// Without the case nothing is decided.
	tb.Key("a")
	tb.See("#notice", "Take the case first")
	tb.take()
	tb.Step("r-04-taken")
	tb.Key("a")
	tb.Until("focus on the button", `document.activeElement.id === 'send'`)
	tb.Step("r-05-accept")
	tb.Enter()
	tb.See("#decided", "accepted")
	d := s.decision(t, c.id, 1)
	if d.By != "anna" || d.Action != casefile.Accept || !d.Opened {
		t.Errorf("decision on record: %+v", d)
	}
	s.customerSees(t, c, "decision-0001", "r-06-customer")
}

// customerSees opens the customers' page of a case and looks for the premium of a
// quote that a decision made.
func (s *site) customerSees(t *testing.T, c customer, cause, shot string) {
	t.Helper()
	q := s.quote(t, c.id, cause)
	if q.Decision != underwriting.Quote || q.ModalCents == nil {
		t.Fatalf("quote %s: %s", cause, q.Decision)
	}
	tb := s.Open(t, s.onboard+"/?lang=en#"+c.id+"."+c.secret)
	tb.Show(browser.Phone)
	tb.View("quoted")
	tb.See("#premium", dollars(*q.ModalCents))
	tb.Shot(shot)
}

// override changes the class: without a reason it is refused on the spot, and by
// the server too; with one the case is priced again. What is written is text.
func (s *site) override(t *testing.T, photo []byte) {
	c := s.apply(t, 60, 160_000, photo)
	tb := s.signIn(t, "anna")
	tb.open(c.id)
	tb.take()
	tb.Key("c")
	tb.Until("focus in the form", `document.activeElement.id === 'class'`)
	tb.Click("#send")
	tb.See(".summary", "Choose a reason")
	tb.Step("r-10-override-refused")
	if sent := tb.Requests("/decisions"); len(sent) > 0 {
		t.Errorf("the form was sent without a reason: %q", sent)
	}
	token, err := s.Token(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	var refused struct {
		Fields []struct{ Field string }
	}
	call(t, "POST", s.page+"cases/"+c.id+"/decisions", token, map[string]any{"action": "change", "change": map[string]any{"class": "Standard"},
		"quote": casefile.QuoteKey(c.id, "photo-0001"), "n": 1}, &refused, http.StatusUnprocessableEntity)
	if len(refused.Fields) != 2 {
		t.Errorf("the server finds %+v, want reason and text missing", refused.Fields)
	}

	tb.choose("class", "Standard")
	tb.choose("reason", "evidence_reviewed")
	tb.Fill("text", script)
	tb.Step("r-11-override")
	tb.Click("#send")
	tb.See("#decided", "terms changed")
	before, after := s.quote(t, c.id, "photo-0001"), s.quote(t, c.id, "decision-0001")
	if after.Class != "Standard" || *after.GrossAnnualCents <= *before.GrossAnnualCents {
		t.Errorf("priced again as %s at %d, was %s at %d", after.Class, *after.GrossAnnualCents, before.Class, *before.GrossAnnualCents)
	}
	tb.open(c.id)
	tb.See("#decisions .words", script)
	tb.Step("r-12-script-is-text")
	if title := browser.Value[string](tb.Tab, `document.title`); title == "taken over" {
		t.Error("the script ran")
	}
	s.customerSees(t, c, "decision-0001", "r-13-customer-changed")
}

// authority suggests what is past the authority; a senior confirms.
func (s *site) authority(t *testing.T, photo []byte) {
	c := s.apply(t, 60, 900_000, photo)
	tb := s.signIn(t, "anna")
	tb.open(c.id)
	tb.take()
	tb.Key("a")
	tb.See("#past", "past your authority")
	tb.Step("r-20-suggest")
	tb.Enter()
	tb.See("#decided", "suggested")

	sam := s.signIn(t, "sam")
	sam.open(c.id)
	sam.See("#case-title ~ .badge", "Suggested")
	sam.take()
	sam.Key("f")
	sam.See("#decision", "anna suggested: Accept")
	sam.Step("r-21-confirm")
	sam.Enter()
	sam.See("#decided", "confirmed")
	s.customerSees(t, c, "decision-0002", "r-22-customer-confirmed")
}

// conflict has two people want one case, and one case decided twice.
func (s *site) conflict(t *testing.T, photo []byte) {
	c := s.apply(t, 60, 170_000, photo)
	anna, ben := s.signIn(t, "anna"), s.signIn(t, "ben")
	ben.Expect("status of 409") // the browser's word for what is provoked here
	anna.open(c.id)
	ben.open(c.id)
	anna.take()
	ben.Key("t")
	ben.See("#notice", "anna has taken this case until")
	ben.See("#reserved", "Taken by anna")
	ben.Step("r-30-taken-by-another")

	// Anna lets go of it in a second tab, while the form is open in the first; ben
	// decides before she sends it.
	anna.Expect("status of 409")
	anna.Key("a")
	anna.Until("focus on the button", `document.activeElement.id === 'send'`)
	second := s.signIn(t, "anna")
	second.open(c.id)
	second.See("#reserved", "Yours until")
	second.Key("u")
	second.See("#do-take", "Take")
	ben.open(c.id)
	ben.take()
	ben.Key("a")
	ben.Enter()
	ben.See("#decided", "accepted")
	anna.Enter()
	anna.See("#notice", "ben decided this case first, at")
	anna.Step("r-31-decided-first")
	decisions, err := s.Cases.List(t.Context(), casefile.DecisionsPrefix(c.id))
	if err != nil || len(decisions) != 1 {
		t.Errorf("decisions on record: %q, %v", decisions, err)
	}
}

// complaint shows what a customer wrote as text.
func (s *site) complaint(t *testing.T, photo []byte) {
	c := s.apply(t, 60, 180_000, photo)
	call(t, "POST", c.api+"/complaints", c.secret, map[string]any{"text": script}, nil, http.StatusCreated)
	tb := s.signIn(t, "ben")
	tb.open(c.id)
	tb.See("#complaints", script)
	tb.Step("r-40-complaint")
	if title := browser.Value[string](tb.Tab, `document.title`); title == "taken over" {
		t.Error("the script ran")
	}
}

// sample takes a second look without knowing it: the case looks like one whose
// customer wants a person.
func (s *site) sample(t *testing.T, photo []byte) {
	c := s.apply(t, 30, 190_000, photo)
	tb := s.signIn(t, "ben")
	tb.open(c.id)
	tb.See("#case-title ~ .badge", "Asked for a person")
	if words := strings.ToLower(tb.Text("body")); strings.Contains(words, "sample") || strings.Contains(words, "second look") {
		t.Error("the page tells that the case is a sample")
	}
	if told := tb.Text("#history"); strings.Index(told, "Quoted") > strings.Index(told, "A person is wanted") {
		t.Errorf("a person is wanted before there is a quote, which tells that the case is a sample:\n%s", told)
	}
	tb.Step("r-50-sample")
	tb.take()
	tb.Key("a")
	tb.Enter()
	tb.See("#decided", "accepted")
	if d := s.decision(t, c.id, 1); d.Action != casefile.SecondLook || d.Suggested != casefile.Accept {
		t.Errorf("decision on record: %s of %s, want a second look", d.Action, d.Suggested)
	}
	if quotes, err := s.Cases.List(t.Context(), casefile.QuotesPrefix(c.id)); err != nil || len(quotes) != 1 {
		t.Errorf("quotes after a second look: %q, %v", quotes, err)
	}
	tb.Press("Agreement")
	tb.See("#agreement", "100%")
	tb.Step("r-51-agreement")
}

// auditor sees everything, decides nothing, and prints the chain.
func (s *site) auditor(t *testing.T, photo []byte) {
	c := s.apply(t, 60, 200_000, photo)
	tb := s.signIn(t, "ada")
	tb.open(c.id)
	tb.See("#premiums", "Low end")
	tb.See("#photo", "Your role does not open photos")
	if buttons := browser.Value[[]string](tb.Tab, `[...document.querySelectorAll('.bar button, #photo button, #reserved')].map((e) => e.id)`); len(buttons) > 0 {
		t.Errorf("an auditor has the buttons %q", buttons)
	}
	for _, key := range []string{"t", "o", "a", "c", "d"} {
		tb.Key(key)
	}
	if sent := tb.Requests("POST " + s.page); len(sent) > 0 {
		t.Errorf("an auditor's keys sent %q", sent)
	}
	tb.Step("r-60-auditor")
	tb.Click("#do-audit")
	tb.See("#audit-verdict", "The chain is whole")
	tb.Step("r-61-audit")
	// On paper: the chain with its hashes whole, and nothing else.
	tb.Print()
	tb.Shot("r-62-audit-printed")
	paper := tb.Text("#audit")
	d := s.quote(t, c.id, "photo-0001")
	if !strings.Contains(strings.ReplaceAll(paper, "\n", ""), strings.TrimPrefix(d.Hashes.Estimate, "sha256:")) {
		t.Errorf("the printed chain does not show the estimate's hash:\n%s", paper)
	}
	if more := browser.Value[[]string](tb.Tab, `[...document.querySelectorAll('.queue, .bar, .parts, #top, button')].filter((e) => e.getClientRects().length > 0).map((e) => e.className + '#' + e.id)`); len(more) > 0 {
		t.Errorf("more than the chain is printed: %q", more)
	}
}

// phone goes from the queue to a case on a phone.
func (s *site) phone(t *testing.T, photo []byte) {
	c := s.apply(t, 60, 210_000, photo)
	tb := s.signIn(t, "anna")
	tb.Show(browser.Phone)
	tb.Click("#refresh")
	tb.Until("the case in the queue", `document.querySelector('[data-id="`+c.id+`"]')`)
	tb.Step("r-70-phone-queue")
	tb.Click(`[data-id="` + c.id + `"]`)
	tb.See("#case-title", c.id[:8])
	tb.Click("#do-take")
	tb.See("#reserved", "Yours until")
	tb.Click("#do-postpone")
	tb.Step("r-71-phone-postpone")
	tb.Click("#cancel")
	tb.Click(".back")
	tb.View("queue")
}

// tenThousand has 10,000 open cases and measures what an underwriter waits.
func (s *site) tenThousand(t *testing.T, photo []byte) {
	const n = 10_000
	const enough = 20 * time.Second // what hangs, on however busy a machine; a free one takes about a quarter of a second
	c := s.apply(t, 60, 220_000, photo)
	s.many(t, c.id, n, 250)
	tb := s.signIn(t, "anna")
	tb.See("#count", "+ open")
	took := func(what string, act func()) {
		t.Helper()
		before := time.Now()
		act()
		d := time.Since(before)
		t.Logf("%s: %d ms", what, d.Milliseconds())
		if d > enough {
			t.Errorf("%s took %v, want at most %v", what, d, enough)
		}
	}
	shows := func(words string) { tb.See("#range", words) }
	took("the next page", func() { tb.Key("]"); shows("51 to 100") })
	took("the page after it", func() { tb.Key("]"); shows("101 to 150") })
	took("the order by sum", func() { tb.Click("#order-sum"); shows("1 to 50") })
	took("a case", func() { tb.Key("j"); tb.Enter(); tb.See("#case-title", "Case") })
	tb.Step("r-80-ten-thousand")
	tb.Dark()
	tb.Step("r-81-dark")
	if rows := browser.Value[int](tb.Tab, `document.querySelectorAll('.row').length`); rows != 50 {
		t.Errorf("the page shows %d rows, want 50", rows)
	}
}

// dollars writes an amount below a million as the pages do.
func dollars(cents int64) string {
	if cents < 1000_00 {
		return fmt.Sprintf("$%.2f", float64(cents)/100)
	}
	return fmt.Sprintf("$%d,%06.2f", cents/1000_00, float64(cents%1000_00)/100)
}

// choose picks an option of a select.
func (tb *tab) choose(id, value string) {
	tb.T.Helper()
	tb.Do(fmt.Sprintf(`(() => { const e = document.querySelector('#%s'); e.value = '%s'; e.dispatchEvent(new Event('input', { bubbles: true })); })()`, id, value))
}

// astronaut is the sample selfie as the customers' page sends it.
func astronaut(t *testing.T, root string) []byte {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(root, "events", "selfies", "astronaut.png"))
	if err != nil {
		t.Fatal(err)
	}
	img, _, err := image.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 85}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
