// Package progress shows how far long work has come, on a terminal and nowhere
// else: a log file gets no bar.
package progress

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// Bar counts finished items. Its methods may be called from many goroutines.
type Bar struct {
	bar     *progressbar.ProgressBar
	visible bool
}

// New starts a bar of total items on w, with rate and time left. It stays
// silent where w is no terminal.
func New(w io.Writer, total int, what string) *Bar {
	f, ok := w.(*os.File)
	visible := ok && term.IsTerminal(int(f.Fd()))
	return &Bar{visible: visible, bar: progressbar.NewOptions(total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetVisibility(visible),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionThrottle(100*time.Millisecond),
	)}
}

// Done counts one item. A bar that cannot be drawn stops no work.
func (b *Bar) Done() { _ = b.bar.Add(1) }

// Finish takes the bar off the screen.
func (b *Bar) Finish() { _ = b.bar.Finish() }

// Skip counts items that were finished before.
func (b *Bar) Skip(n int) { _ = b.bar.Add(n) }

// Describe changes the words before the bar.
func (b *Bar) Describe(what string) { b.bar.Describe(what) }

// Visible tells whether the bar is drawn.
func (b *Bar) Visible() bool { return b.visible }
