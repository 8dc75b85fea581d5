package integration

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// demoPatience is how long a visit of everything may take on a machine that does other things as well.
const demoPatience = time.Minute

// demoBrowser is a Chromium that has the page of the example open, and what it has noted since.
type demoBrowser struct {
	ctx  context.Context
	base string // the page's URL

	mu       sync.Mutex
	problems []string // what the console says
	answers  []*demoAnswer
	byID     map[network.RequestID]*demoAnswer
	foreign  []string // URLs of other hosts
}

// demoAnswer is a response as the network saw it.
type demoAnswer struct {
	path        string
	status      int     // on the wire: 304 also where the browser gives a page the stored 200
	head, whole float64 // bytes
	stored      bool    // the network was not asked
}

// openDemo starts Chromium with the page, and waits for its first two visits.
func openDemo(t *testing.T, base string) *demoBrowser {
	t.Helper()
	flags := append(chromiumOptions(t), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1000, 800))
	allocator, end := chromedp.NewExecAllocator(t.Context(), flags...)
	t.Cleanup(end)
	b := &demoBrowser{base: base, byID: make(map[network.RequestID]*demoAnswer)}
	tab, closeTab := chromedp.NewContext(allocator, chromedp.WithListener(b.note))
	b.ctx = tab
	t.Cleanup(func() {
		closeTab()
		chromedp.FromContext(tab).Allocator.Wait() // its profile is removed next
	})
	b.run(t, chromedp.Navigate(base))
	b.wait(t)
	return b
}

// note is called by chromedp, one event after the other.
func (b *demoBrowser) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		b.problems = append(b.problems, fmt.Sprintf("console.%s: %s", e.Type, e.Args[0].Value))
	case *runtime.EventExceptionThrown:
		b.problems = append(b.problems, e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		b.problems = append(b.problems, fmt.Sprintf("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL))
	default:
		b.noteNetwork(event)
	}
}

func (b *demoBrowser) noteNetwork(event any) {
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, b.base) && !strings.HasPrefix(e.Request.URL, "data:") {
			b.foreign = append(b.foreign, e.Request.URL)
		}
	case *network.EventResponseReceivedExtraInfo:
		b.answer(e.RequestID).status = int(e.StatusCode)
	case *network.EventResponseReceived:
		answer := b.answer(e.RequestID)
		if place, err := url.Parse(e.Response.URL); err == nil {
			answer.path = place.Path
		}
		answer.head, answer.stored = e.Response.EncodedDataLength, e.Response.FromDiskCache
		answer.status = cmp.Or(answer.status, int(e.Response.Status))
	case *network.EventLoadingFinished:
		b.answer(e.RequestID).whole = e.EncodedDataLength
	}
}

// answer is that of a request: its events come in no order.
func (b *demoBrowser) answer(id network.RequestID) *demoAnswer {
	if b.byID[id] == nil {
		b.byID[id] = new(demoAnswer)
		b.answers = append(b.answers, b.byID[id])
	}
	return b.byID[id]
}

// of returns the answers for a path so far, but those that the browser gave itself.
func (b *demoBrowser) of(path string) (answers []demoAnswer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, answer := range b.answers {
		if answer.path == path && !answer.stored {
			answers = append(answers, *answer)
		}
	}
	return answers
}

func (b *demoBrowser) run(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

// evaluate runs JavaScript in the page, and waits for what it promises.
func evaluate[T any](t *testing.T, b *demoBrowser, script string) T {
	t.Helper()
	result, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// wait waits for the page to have done what it was told.
func (b *demoBrowser) wait(t *testing.T) {
	t.Helper()
	done := chromedp.Poll[bool](`document.body?.getAttribute('aria-busy') === 'false'`, chromedp.WithPollingTimeout(demoPatience))
	if _, err := chromedp.Run(b.ctx, done); err != nil {
		t.Fatal(err)
	}
}

// click clicks, and waits.
func (b *demoBrowser) click(t *testing.T, selector string) {
	t.Helper()
	b.run(t, chromedp.Click(chromedp.CSS(selector)))
	b.wait(t)
}

// press presses keys, one after the other.
func (b *demoBrowser) press(t *testing.T, keys ...string) {
	t.Helper()
	for _, key := range keys {
		b.run(t, chromedp.KeyEvent(key))
	}
}

// look makes the window this wide, and light or dark.
func (b *demoBrowser) look(t *testing.T, width int64, scheme string) {
	t.Helper()
	b.run(t, chromedp.EmulateViewport(width, 800))
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media); err != nil {
		t.Fatal(err)
	}
}

// clean fails the test if the console has said anything, or another host was asked.
func (b *demoBrowser) clean(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, problem := range slices.Concat(b.problems, b.foreign) {
		t.Errorf("the browser says: %s", problem)
	}
}
