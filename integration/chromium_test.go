package integration

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// startChromium starts Chromium, with an empty profile and nothing that it does by itself, until the test ends. newTab opens a
// tab for what a subtest does; its context ends after two minutes, which are for a machine that has other things to do.
func startChromium(t *testing.T) (newTab func(t *testing.T) tab) {
	t.Helper()
	options := chromiumOptions(t)
	// The context of the test ends before its cleanups begin, and would kill the browser before it can leave by itself.
	allocator, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	browser, _ := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		_ = chromedp.Cancel(browser) // ends it, and takes its profile away
		stop()
	})
	if err := chromedp.Do(browser); err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T) tab {
		t.Helper()
		opened, closeTab := chromedp.NewContext(browser)
		ctx, cancel := context.WithTimeout(opened, 2*time.Minute)
		t.Cleanup(func() {
			cancel()
			closeTab()
		})
		return tab{ctx}
	}
}

// chromiumOptions start Chromium without a window, and without anything that it does by itself.
func chromiumOptions(t *testing.T) []chromedp.ExecAllocatorOption {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	requireProgram(t, path != "", "Chromium")
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path)}
	for _, flag := range []string{
		"headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking", "disable-component-update",
		"disable-sync", "disable-dev-shm-usage", "hide-scrollbars", "mute-audio",
	} {
		options = append(options, chromedp.Flag(flag, true))
	}
	return options
}

// tab is one of Chromium's.
type tab struct{ ctx context.Context }

// do does things in it, one after the other.
func (b tab) do(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

// script returns what a script in the page says.
func (b tab) script(t *testing.T, text string) string {
	t.Helper()
	said, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](text, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	return said
}
