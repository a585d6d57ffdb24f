package browsertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
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

const (
	// patience is for one thing to show; a photo on a busy machine is slowest.
	patience = time.Minute
	// phone is the width of the smallest common phone, in CSS pixels.
	phoneWidth, phoneHeight = 375, 812
)

// onPhone gives a tab a phone's screen.
var onPhone = chromedp.EmulateViewport(phoneWidth, phoneHeight, chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch)

// skip skips the test, or fails it where the browser is demanded.
func skip(t *testing.T, err error) {
	t.Helper()
	if os.Getenv("AGEQUOTE_REQUIRE_BROWSER") != "" {
		t.Fatal(err)
	}
	t.Skip(err)
}

// chromium returns the path of a browser.
func chromium() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no Chromium; on Debian: apt-get install chromium")
}

// axeScript returns axe-core's source out of the cache, where infra/axe.sh puts it.
func axeScript() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	found, err := filepath.Glob(filepath.Join(cache, "agequote", "axe", "*", "axe.min.js"))
	if err != nil || len(found) == 0 {
		return "", errors.New("axe-core is not in the cache; run infra/axe.sh")
	}
	b, err := os.ReadFile(found[len(found)-1])
	return string(b), err
}

// browser is one running Chromium with what its tabs may ask for.
type browser struct {
	ctx     context.Context
	axe     string
	shots   string   // folder of the screenshots
	origins []string // that a tab may send requests to
}

// startBrowser starts Chromium with a camera that shows the video of a file
// (Motion JPEG).
func startBrowser(t *testing.T, camera, shots string) *browser {
	t.Helper()
	path, err := chromium()
	if err != nil {
		skip(t, err)
	}
	b := &browser{shots: shots}
	if b.axe, err = axeScript(); err != nil {
		skip(t, err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.NoSandbox, // CI runs as root; the browser sees nothing but our page
		chromedp.Flag("use-fake-device-for-media-stream", true),
		chromedp.Flag("use-fake-ui-for-media-stream", true),
		chromedp.Flag("use-file-for-fake-video-capture", camera),
		chromedp.Flag("accept-lang", "en-GB"),
		chromedp.Flag("lang", "en-GB"),
	)
	allocator, cancelAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() { cancel(); cancelAllocator() })
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	b.ctx = ctx
	return b
}

// tab is one tab on a phone's screen. Whatever the page says on the console, and
// wherever it asks, is kept.
type tab struct {
	*browser
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string
	expected []string // substrings of problems that the test provokes
	sent     []string // every request: method and address without its query
}

func (b *browser) open(t *testing.T, address string) *tab {
	t.Helper()
	tb := &tab{browser: b, t: t}
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(tb.listen))
	t.Cleanup(cancel)
	tb.ctx = ctx
	if err := chromedp.Do(ctx); err != nil { // the tab lives as long as the context of its first action
		t.Fatalf("open a tab: %v", err)
	}
	tb.run("open "+address,
		onPhone,
		chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			// Each tab has the focus, whatever the others do.
			_, err := cdp.Call(ctx, target, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
			return err
		}),
		chromedp.Navigate(address))
	t.Cleanup(tb.check)
	return tb
}

func (tb *tab) listen(event any) {
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
		for _, origin := range tb.origins {
			if strings.HasPrefix(url, origin+"/") {
				return
			}
		}
		if !strings.HasPrefix(url, "blob:") && !strings.HasPrefix(url, "about:") {
			note("request to another site: %s", url)
		}
	}
}

// expect allows a problem that the test provokes.
func (tb *tab) expect(part string) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.expected = append(tb.expected, part)
}

// check fails the test for what the browser had to complain of.
func (tb *tab) check() {
	tb.t.Helper()
	tb.mu.Lock()
	defer tb.mu.Unlock()
problems:
	for _, p := range tb.problems {
		for _, e := range tb.expected {
			if strings.Contains(p, e) {
				continue problems
			}
		}
		tb.t.Error(p)
	}
}

// requests returns what was sent so far to addresses that contain part.
func (tb *tab) requests(part string) (found []string) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	for _, r := range tb.sent {
		if strings.Contains(r, part) {
			found = append(found, r)
		}
	}
	return found
}

// run does the actions, or ends the test with what the page shows instead.
func (tb *tab) run(what string, actions ...chromedp.Action[chromedp.Void]) {
	tb.t.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		tb.fatal("%s: %v", what, err)
	}
}

// fatal ends the test with the step that shows, and a picture of it.
func (tb *tab) fatal(format string, args ...any) {
	tb.t.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, 5*time.Second)
	defer cancel()
	shows, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector('main')?.innerText ?? ''`))
	tb.shot("failed-" + strings.ReplaceAll(tb.t.Name(), "/", "-"))
	tb.t.Fatalf("%s\nThe page shows:\n%s", fmt.Sprintf(format, args...), shows)
}

// value evaluates an expression.
func value[T any](tb *tab, expression string, options ...chromedp.EvaluateOption) T {
	tb.t.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, options...))
	if err != nil {
		tb.fatal("evaluate %.200s: %v", expression, err)
	}
	return v
}

// until waits for an expression to be true. chromedp.Poll would compile it in
// the page, which the page's policy forbids.
func (tb *tab) until(what, expression string) {
	tb.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(25 * time.Millisecond) {
		if value[bool](tb, "Boolean("+expression+")") {
			return
		}
		if time.Now().After(deadline) {
			tb.fatal("waited %v for %s", patience, what)
		}
	}
}

func quote(s string) string {
	b, _ := json.Marshal(s) // a string always encodes
	return string(b)
}

// view waits for a step of the page.
func (tb *tab) view(name string) {
	tb.t.Helper()
	tb.until("the step "+name, `document.querySelector('main').dataset.view === `+quote(name))
}

// see waits for words in an element.
func (tb *tab) see(selector, words string) {
	tb.t.Helper()
	tb.until(fmt.Sprintf("%q in %s", words, selector), fmt.Sprintf(`[...document.querySelectorAll(%s)].some((e) => e.innerText.includes(%s))`, quote(selector), quote(words)))
}

func (tb *tab) text(selector string) string {
	tb.t.Helper()
	tb.until(selector, `document.querySelector(`+quote(selector)+`)`)
	return value[string](tb, `document.querySelector(`+quote(selector)+`).innerText`)
}

func (tb *tab) click(selector string) {
	tb.t.Helper()
	tb.run("click "+selector, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// press clicks the button, label or summary that has these words.
func (tb *tab) press(words string) {
	tb.t.Helper()
	const mark = "data-test-press"
	find := fmt.Sprintf(`(() => {
		document.querySelector('[%[1]s]')?.removeAttribute('%[1]s');
		const all = [...document.querySelectorAll('button, label, summary, a')];
		const found = all.find((e) => e.innerText.trim() === %[2]s && e.offsetParent !== null);
		found?.setAttribute('%[1]s', '');
		return found !== undefined;
	})()`, mark, quote(words))
	tb.until("a button "+words, find)
	tb.click("[" + mark + "]")
}

// fill types into a field in place of what it has.
func (tb *tab) fill(id, text string) {
	tb.t.Helper()
	tb.run("fill "+id,
		chromedp.Focus(chromedp.ID(id), chromedp.NodeVisible),
		chromedp.Evaluate[chromedp.Void](`document.querySelector('#`+id+`').select()`),
		chromedp.KeyEvent(kb.Delete),
		chromedp.KeyEvent(text))
}

// enter presses Enter as one event, which the browser splits as it does a
// keyboard's. kb.Enter sends the parts by themselves, and the second comes even
// where the page has taken the first.
func (tb *tab) enter() {
	tb.t.Helper()
	for _, kind := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeKeyDown, input.DispatchKeyEventTypeKeyUp} {
		press := input.DispatchKeyEventParams{Type: kind, Key: "Enter", Code: "Enter", WindowsVirtualKeyCode: 13}
		if kind == input.DispatchKeyEventTypeKeyDown {
			press.Text = "\r"
		}
		if _, err := chromedp.Call(tb.ctx, input.DispatchKeyEvent, press); err != nil {
			tb.fatal("press Enter: %v", err)
		}
	}
}

// shot writes a picture of the whole page.
func (tb *tab) shot(name string) {
	tb.t.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	all := true
	shot, err := chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &all, OptimizeForSpeed: &all})
	if err == nil {
		err = os.WriteFile(filepath.Join(tb.shots, name+".png"), shot.Data, 0o600)
	}
	if err != nil {
		tb.t.Errorf("screenshot %s: %v", name, err)
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

// step is what is done on every step of the page: a picture, axe-core's
// judgement, and no sideways scrolling on a phone.
func (tb *tab) step(name string) {
	tb.t.Helper()
	tb.shot(name)
	if wide := value[int](tb, `document.documentElement.scrollWidth`); wide > phoneWidth {
		tb.t.Errorf("%s is %d px wide on a screen of %d", name, wide, phoneWidth)
	}
	if !value[bool](tb, `typeof axe === 'object'`) {
		tb.run("load axe-core", chromedp.Evaluate[chromedp.Void](tb.axe))
	}
	const rules = `{runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}`
	for _, v := range value[axeReport](tb, `axe.run(document, `+rules+`)`, chromedp.EvalAwaitPromise).Violations {
		for _, n := range v.Nodes {
			report := tb.t.Logf
			if v.Impact == "serious" || v.Impact == "critical" {
				report = tb.t.Errorf
			}
			report("%s: axe, %s: %s (%s)\n%s\n%s", name, v.Impact, v.Help, v.ID, n.HTML, n.FailureSummary)
		}
	}
}

// choose gives the file input a picture.
func (tb *tab) choose(t *testing.T, name string, picture []byte) {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, picture, 0o600); err != nil {
		t.Fatal(err)
	}
	tb.run("choose "+name, chromedp.SetUploadFiles(chromedp.ID("file"), []string{file}))
}
