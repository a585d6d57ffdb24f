package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// patience is for one thing to show; a photo on a busy machine is slowest.
const patience = time.Minute

// Tab is one tab. Whatever the page says on the console, and
// wherever it asks, is kept.
type Tab struct {
	*Browser
	Screen Screen

	T   *testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string
	expected []string // substrings of problems that the test provokes
	sent     []string // every request: method and address without its query
}

// Open opens an address in a tab of its own, which shares no cookies nor storage
// with the others.
func (b *Browser) Open(t *testing.T, address string) *Tab {
	t.Helper()
	tb := &Tab{Browser: b, Screen: b.Screen, T: t}
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(tb.listen))
	t.Cleanup(cancel)
	tb.ctx = ctx
	if err := chromedp.Do(ctx); err != nil { // the tab lives as long as the context of its first action
		t.Fatalf("open a tab: %v", err)
	}
	tb.Run("open "+address,
		tb.Screen.emulate(),
		chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			// Each tab has the focus, whatever the others do.
			_, err := cdp.Call(ctx, target, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
			return err
		}),
		chromedp.Navigate(address))
	t.Cleanup(tb.check)
	return tb
}

// Show puts the tab on another screen.
func (tb *Tab) Show(s Screen) {
	tb.T.Helper()
	tb.Screen = s
	tb.Run("change the screen", s.emulate())
}

func (tb *Tab) listen(event any) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	note := func(format string, args ...any) { tb.problems = append(tb.problems, fmt.Sprintf(format, args...)) }
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			var words []string
			for _, a := range e.Args {
				words = append(words, fmt.Sprint(a.Value, a.Description))
			}
			note("console: %s", strings.Join(words, " "))
		}
	case *runtime.EventExceptionThrown:
		note("exception: %s", e.ExceptionDetails.Text)
	case *cdplog.EventEntryAdded:
		if e.Entry.Level == cdplog.EntryLevelError || e.Entry.Level == cdplog.EntryLevelWarning {
			note("log: %s %s", e.Entry.Text, e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		url, _, _ := strings.Cut(e.Request.URL, "?")
		tb.sent = append(tb.sent, e.Request.Method+" "+url)
		for _, origin := range tb.Origins {
			if strings.HasPrefix(url, origin+"/") {
				return
			}
		}
		if !strings.HasPrefix(url, "blob:") && !strings.HasPrefix(url, "about:") {
			note("request to another site: %s", url)
		}
	}
}

// Expect allows a problem that the test provokes.
func (tb *Tab) Expect(part string) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.expected = append(tb.expected, part)
}

// check fails the test for what the browser had to complain of.
func (tb *Tab) check() {
	tb.T.Helper()
	tb.mu.Lock()
	defer tb.mu.Unlock()
problems:
	for _, p := range tb.problems {
		for _, e := range tb.expected {
			if strings.Contains(p, e) {
				continue problems
			}
		}
		tb.T.Error(p)
	}
}

// Requests returns what was sent so far to addresses that contain part.
func (tb *Tab) Requests(part string) (found []string) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	for _, r := range tb.sent {
		if strings.Contains(r, part) {
			found = append(found, r)
		}
	}
	return found
}

// Run does the actions, or ends the test with what the page shows instead.
func (tb *Tab) Run(what string, actions ...chromedp.Action[chromedp.Void]) {
	tb.T.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		tb.Fatal("%s: %v", what, err)
	}
}

// Fatal ends the test with the step that shows, and a picture of it.
func (tb *Tab) Fatal(format string, args ...any) {
	tb.T.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, 5*time.Second)
	defer cancel()
	shows, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector('main')?.innerText ?? ''`))
	tb.Shot("failed-" + strings.ReplaceAll(tb.T.Name(), "/", "-"))
	tb.T.Fatalf("%s\nThe page shows:\n%s", fmt.Sprintf(format, args...), shows)
}

// Value evaluates an expression.
func Value[T any](tb *Tab, expression string, options ...chromedp.EvaluateOption) T {
	tb.T.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, options...))
	if err != nil {
		tb.Fatal("evaluate %.200s: %v", expression, err)
	}
	return v
}

// Print shows the page as it is printed.
func (tb *Tab) Print() {
	tb.T.Helper()
	if _, err := chromedp.Call(tb.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"}); err != nil {
		tb.Fatal("print: %v", err)
	}
}

// Dark shows the page to somebody who prefers dark pages.
func (tb *Tab) Dark() {
	tb.T.Helper()
	dark := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}
	if _, err := chromedp.Call(tb.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: dark}); err != nil {
		tb.Fatal("prefer dark: %v", err)
	}
}

// Do runs a script of the test's own.
func (tb *Tab) Do(script string, options ...chromedp.EvaluateOption) {
	tb.T.Helper()
	tb.Run("run "+script, chromedp.Evaluate[chromedp.Void](script, options...))
}

// Until waits for an expression to be true. chromedp.Poll would compile it in
// the page, which the page's policy forbids.
func (tb *Tab) Until(what, expression string) {
	tb.T.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(25 * time.Millisecond) {
		if Value[bool](tb, "Boolean("+expression+")") {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatal("waited %v for %s", patience, what)
		}
	}
}

func quote(s string) string {
	b, _ := json.Marshal(s) // a string always encodes
	return string(b)
}

// View waits for a step of the page.
func (tb *Tab) View(name string) {
	tb.T.Helper()
	tb.Until("the step "+name, `document.querySelector('main')?.dataset.view === `+quote(name))
}

// See waits for words in an element.
func (tb *Tab) See(selector, words string) {
	tb.T.Helper()
	tb.Until(fmt.Sprintf("%q in %s", words, selector), fmt.Sprintf(`[...document.querySelectorAll(%s)].some((e) => e.innerText.includes(%s))`, quote(selector), quote(words)))
}

// Text waits for an element and returns its words.
func (tb *Tab) Text(selector string) string {
	tb.T.Helper()
	tb.Until(selector, `document.querySelector(`+quote(selector)+`)`)
	return Value[string](tb, `document.querySelector(`+quote(selector)+`).innerText`)
}

// Click clicks an element.
func (tb *Tab) Click(selector string) {
	tb.T.Helper()
	tb.Run("click "+selector, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// Press clicks the button, label or summary that has these words.
func (tb *Tab) Press(words string) {
	tb.T.Helper()
	const mark = "data-test-press"
	find := fmt.Sprintf(`(() => {
		document.querySelector('[%[1]s]')?.removeAttribute('%[1]s');
		const all = [...document.querySelectorAll('button, label, summary, a')];
		const found = all.find((e) => e.innerText.trim() === %[2]s && e.offsetParent !== null);
		found?.setAttribute('%[1]s', '');
		return found !== undefined;
	})()`, mark, quote(words))
	tb.Until("a button "+words, find)
	tb.Click("[" + mark + "]")
}

// Fill types into a field in place of what it has.
func (tb *Tab) Fill(id, text string) {
	tb.T.Helper()
	tb.Run("fill "+id,
		chromedp.Focus(chromedp.ID(id), chromedp.NodeVisible),
		chromedp.Evaluate[chromedp.Void](`document.querySelector('#`+id+`').select()`),
		chromedp.KeyEvent(kb.Delete),
		chromedp.KeyEvent(text))
}

// Enter presses Enter.
func (tb *Tab) Enter() {
	tb.T.Helper()
	tb.press(input.DispatchKeyEventParams{Key: "Enter", Code: "Enter", WindowsVirtualKeyCode: 13, Text: "\r"})
}

// Key presses the key of a character.
func (tb *Tab) Key(character string) {
	tb.T.Helper()
	tb.press(input.DispatchKeyEventParams{Key: character, Text: character})
}

// press presses a key as one event, which the browser splits as it does a
// keyboard's. chromedp.KeyEvent sends the parts by themselves, and the second
// comes even where the page has taken the first.
func (tb *Tab) press(key input.DispatchKeyEventParams) {
	tb.T.Helper()
	text := key.Text
	for _, key.Type = range []input.DispatchKeyEventType{input.DispatchKeyEventTypeKeyDown, input.DispatchKeyEventTypeKeyUp} {
		key.Text = ""
		if key.Type == input.DispatchKeyEventTypeKeyDown {
			key.Text = text
		}
		if _, err := chromedp.Call(tb.ctx, input.DispatchKeyEvent, key); err != nil {
			tb.Fatal("press %s: %v", key.Key, err)
		}
	}
}

// Shot writes a picture of the whole page.
func (tb *Tab) Shot(name string) {
	tb.T.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	all := true
	shot, err := chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &all, OptimizeForSpeed: &all})
	if err == nil {
		err = os.WriteFile(filepath.Join(tb.shots, name+".png"), shot.Data, 0o600)
	}
	if err != nil {
		tb.T.Errorf("screenshot %s: %v", name, err)
	}
}

// axeReport is what we read of axe-core's report.
type axeReport struct {
	Violations []struct {
		ID, Impact, Help string
		Nodes            []struct {
			HTML           string `json:"html"`
			FailureSummary string `json:"failureSummary"`
		}
	}
}

// Step is what is done on every step of the page: a picture, axe-core's
// judgement, and no sideways scrolling.
func (tb *Tab) Step(name string) {
	tb.T.Helper()
	tb.Shot(name)
	if wide := Value[int](tb, `document.documentElement.scrollWidth`); wide > tb.Screen.width() {
		tb.T.Errorf("%s is %d px wide on a screen of %d", name, wide, tb.Screen.width())
	}
	if !Value[bool](tb, `typeof axe === 'object'`) {
		tb.Run("load axe-core", chromedp.Evaluate[chromedp.Void](tb.axe))
	}
	const rules = `{runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}`
	for _, v := range Value[axeReport](tb, `axe.run(document, `+rules+`)`, chromedp.EvalAwaitPromise).Violations {
		for _, n := range v.Nodes {
			report := tb.T.Logf
			if v.Impact == "serious" || v.Impact == "critical" {
				report = tb.T.Errorf
			}
			report("%s: axe, %s: %s (%s)\n%s\n%s", name, v.Impact, v.Help, v.ID, n.HTML, n.FailureSummary)
		}
	}
}

// Choose gives the file input a picture.
func (tb *Tab) Choose(t *testing.T, name string, picture []byte) {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, picture, 0o600); err != nil {
		t.Fatal(err)
	}
	tb.Run("choose "+name, chromedp.SetUploadFiles(chromedp.ID("file"), []string{file}))
}
