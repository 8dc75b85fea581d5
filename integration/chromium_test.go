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
func startChromium(t *testing.T) (newTab func(t *testing.T) context.Context) {
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
		"disable-sync", "disable-dev-shm-usage", "mute-audio",
	} {
		options = append(options, chromedp.Flag(flag, true))
	}
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
	return func(t *testing.T) context.Context {
		t.Helper()
		tab, closeTab := chromedp.NewContext(browser)
		ctx, cancel := context.WithTimeout(tab, 2*time.Minute)
		t.Cleanup(func() {
			cancel()
			closeTab()
		})
		return ctx
	}
}
