// Package browser drives the project's pages in a real Chromium, on the local
// stack, for the tests of each page. A tab keeps what the browser complains of
// and whom the page asks; both fail the test at its end. Tests skip where there
// is no browser; AGEQUOTE_REQUIRE_BROWSER demands one.
package browser

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

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

// Browser is one running Chromium with what its tabs may ask for.
type Browser struct {
	Screen  Screen   // of the tabs that are opened; the zero value is a phone's
	Origins []string // scheme://host:port, that a tab may send requests to

	ctx   context.Context
	axe   string
	shots string // folder of the screenshots
}

// Screen is what a tab is shown on.
type Screen int

// The screens.
const (
	Phone Screen = iota // the smallest common phone, 375 px wide
	Desk                // 1440 x 900
)

func (s Screen) width() int {
	if s == Desk {
		return 1440
	}
	return 375
}

func (s Screen) emulate() chromedp.Action[chromedp.Void] {
	if s == Desk {
		return chromedp.EmulateViewport(1440, 900)
	}
	return chromedp.EmulateViewport(375, 812, chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch)
}

// Start starts Chromium with a camera that shows a JPEG, or none where that is
// nil. Pictures go to build/screenshots of the project's root.
func Start(t *testing.T, root string, camera []byte) *Browser {
	t.Helper()
	shots := filepath.Join(root, "build", "screenshots")
	if err := os.MkdirAll(shots, 0o700); err != nil {
		t.Fatal(err)
	}
	path, err := chromium()
	if err != nil {
		skip(t, err)
	}
	b := &Browser{shots: shots}
	if b.axe, err = axeScript(); err != nil {
		skip(t, err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.NoSandbox, // CI runs as root; the browser sees nothing but our page
		chromedp.Flag("accept-lang", "en-GB"),
		chromedp.Flag("lang", "en-GB"),
	)
	if camera != nil {
		video := filepath.Join(t.TempDir(), "camera.mjpeg")
		if err := os.WriteFile(video, bytes.Repeat(camera, 8), 0o600); err != nil { // Motion JPEG is JPEGs in a row
			t.Fatal(err)
		}
		options = append(options,
			chromedp.Flag("use-fake-device-for-media-stream", true),
			chromedp.Flag("use-fake-ui-for-media-stream", true),
			chromedp.Flag("use-file-for-fake-video-capture", video))
	}
	allocator, cancelAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() { cancel(); cancelAllocator() })
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	b.ctx = ctx
	return b
}
