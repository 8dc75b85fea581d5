package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// returning is a client that keeps what it has got, and asks later whether that is still current.
type returning struct {
	name  string
	path  string // what is asked for; "" is /page
	field string // the condition that the client makes
	// files are what the upstream has of a version, and shows what the client then comes to. nil: a page, as it is.
	files func(version int) map[string]string
	shows func(version int) string
	// start starts the client, once. What it returns loads the file, or confirms it, and returns what the client has then.
	start func(t *testing.T, base string) (load func() string)
	// learns is how often the client has to come before it keeps the validator.
	learns int
	// known are clients whose revalidation in front of real pages TestCommandLineClients shows already.
	known bool
}

// returningSites are setups of conditional_cache, in front of an upstream that says nothing but, for some clients, a date, and
// always sends the whole.
var returningSites = []struct {
	name, directives string
	asked            int // requests that reach the upstream for a 304
}{
	{"bare", "conditional_cache", 1},
	{"encode", "encode\nconditional_cache", 1},
	// The upstream is left alone for an hour.
	{"remember", "conditional_cache {\nremember 1h\n}", 0},
}

// checkReturning lets a client load a file, ask whether it has changed, and load what has. It counts what is on the wire.
func (c returning) checkReturning(t *testing.T) {
	t.Helper()
	if c.path == "" {
		c.path = "/page"
	}
	if c.files == nil {
		c.files = func(version int) map[string]string { return map[string]string{c.path: onePage(version)} }
		c.shows = onePage
	}
	for _, site := range returningSites {
		remembers := site.asked == 0
		if c.known && !remembers {
			continue
		}
		t.Run(site.name, func(t *testing.T) {
			origin, handler := startShelf(t)
			origin.put(c.files(1), c.date(1))
			w := watch(t, site.directives, handler)
			load := c.start(t, w.base)
			for range c.learns {
				w.expectLoad(t, c, load, 1, http.StatusOK, 1)
			}
			w.expectLoad(t, c, load, 1, http.StatusOK, 1)
			w.expectLoad(t, c, load, 1, http.StatusNotModified, site.asked)
			if remembers {
				return // the upstream would not be asked for what has changed, either
			}
			origin.put(c.files(2), c.date(2))
			w.expectLoad(t, c, load, 2, http.StatusOK, 1)
		})
	}
}

// date is what the upstream says of a version: nothing, unless that is what the client needs.
func (c returning) date(version int) string {
	if c.field != "If-Modified-Since" {
		return ""
	}
	return lastDeploy.AddDate(0, 0, version).Format(http.TimeFormat)
}

// onePage is longer than what encode leaves as it is.
func onePage(version int) string {
	return fmt.Sprintf("<!doctype html><title>Version %d</title>", version) + strings.Repeat("\n<p>The same text as before.</p>", 50)
}

// expectLoad lets a client load a file, and wants it to come to a version by one request for it, with a status, of which so many
// reach the upstream. With a 304, the request had the client's condition.
func (w *watchedSite) expectLoad(t *testing.T, c returning, load func() string, version, status, asked int) {
	t.Helper()
	var shown string
	client, upstream := w.during(func() { shown = load() })
	if want := c.shows(version); shown != want {
		t.Errorf("version %d: the client has %.200q (%d bytes), want %.200q (%d bytes)", version, shown, len(shown), want, len(want))
	}
	var field string
	if status == http.StatusNotModified {
		field = c.field
	}
	if got := client.about(c.path); len(got) != 1 || got.count(status, field) != 1 {
		t.Errorf("version %d: %v, want one %d of %s with %q", version, client, status, c.path, field)
	}
	if got := upstream.about(c.path); len(got) != asked {
		t.Errorf("version %d: the upstream was asked %v, want %d requests for %s", version, upstream, asked, c.path)
	}
}

// checkAll does that with several clients.
func checkAll(t *testing.T, clients []returning) {
	t.Helper()
	for _, c := range clients {
		t.Run(c.name, c.checkReturning)
	}
}
