package integration

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestChromium shows what a browser does by itself with what it has stored.
func TestChromium(t *testing.T) {
	newTab := startChromium(t)
	t.Run("reload", newTab(t).testReload)
	t.Run("back and forward", newTab(t).testBackAndForward)
	t.Run("a form after a 304", newTab(t).testForm)
	t.Run("seeking", newTab(t).testSeeking)
}

// pageParts are a page and what it loads. The page and its style have versions.
func pageParts(page, style int) map[string]string {
	return map[string]string{
		"/page": fmt.Sprintf(`<!doctype html><link rel=icon href="data:,"><link rel=stylesheet href=/style.css><title>page %d</title>`+
			`<script src=/script.js></script><img src=/image.svg><p>%s</p>`, page, strings.Repeat("Some text. ", 100)),
		"/script.js": fmt.Sprintf("var script = 1 // %s", strings.Repeat("some code ", 100)),
		"/style.css": fmt.Sprintf("p { margin-left: %dpx }", style),
		"/image.svg": `<svg xmlns="http://www.w3.org/2000/svg" width="1" height="10"/>`,
	}
}

// shownParts says which versions a browser shows.
const shownParts = "document.title + ' ' + script + ' ' + getComputedStyle(document.querySelector('p')).marginLeft + ' ' + document.querySelector('img').naturalWidth"

// testReload: a page and all that is in it is confirmed by a 304, and what has changed is loaded.
func (b tab) testReload(t *testing.T) {
	for _, site := range returningSites {
		t.Run(site.name, func(t *testing.T) {
			origin, handler := startShelf(t)
			origin.put(pageParts(1, 1), "")
			w := watch(t, site.directives, handler)
			expect := func(step chromedp.Action[chromedp.Void], shown string, asked int, loaded ...string) {
				t.Helper()
				client, upstream := w.during(func() { b.do(t, step) })
				if got := b.script(t, shownParts); got != shown {
					t.Errorf("the page shows %q, want %q", got, shown)
				}
				client.checkConfirmed(t, loaded)
				if len(upstream) != asked {
					t.Errorf("the upstream was asked %v, want %d requests", upstream, asked)
				}
			}
			expect(chromedp.Navigate(w.base+"/page"), "page 1 1 1px 1", 4, slices.Collect(maps.Keys(pageParts(1, 1)))...)
			expect(chromedp.Reload(), "page 1 1 1px 1", 4*site.asked)
			expect(chromedp.Reload(), "page 1 1 1px 1", 4*site.asked)
			if site.asked > 0 {
				origin.put(pageParts(2, 2), "")
				expect(chromedp.Reload(), "page 2 1 2px 1", 4, "/page", "/style.css")
			}
		})
	}
}

// checkConfirmed wants one 304 for each of pageParts, or one 200 for what is loaded.
func (all sightings) checkConfirmed(t *testing.T, loaded []string) {
	t.Helper()
	for path := range ordered(pageParts(1, 1)) {
		status, field := http.StatusNotModified, "If-None-Match"
		if slices.Contains(loaded, path) {
			status, field = http.StatusOK, ""
		}
		if got := all.about(path); len(got) != 1 || got.count(status, field) != 1 {
			t.Errorf("%v: want one %d of %s with %q", all, status, path, field)
		}
	}
}

// testBackAndForward: what was seen is seen again without a question, in both directions, and a new visit asks.
func (b tab) testBackAndForward(t *testing.T) {
	origin, handler := startShelf(t)
	page := func(title string) string {
		return `<!doctype html><link rel=icon href="data:,"><title>` + title + "</title>" + strings.Repeat("<p>Some text.</p>", 100)
	}
	origin.put(map[string]string{"/a": page("a"), "/b": page("b")}, "")
	w := watch(t, "encode\nconditional_cache", handler)
	b.do(t, chromedp.Navigate(w.base+"/a"), chromedp.Navigate(w.base+"/b"))
	for _, step := range []struct{ move, title string }{{"history.back()", "a"}, {"history.forward()", "b"}, {"history.back()", "a"}} {
		client, _ := w.during(func() {
			b.script(t, step.move+"; ''")
			awaitTitle(t, b, step.title)
		})
		if len(client) > 0 {
			t.Errorf("%s: %v was asked for, want nothing", step.move, client)
		}
	}
	client, _ := w.during(func() { b.do(t, chromedp.Navigate(w.base+"/b")) })
	if len(client) != 1 || client.count(http.StatusNotModified, "If-None-Match") != 1 {
		t.Errorf("a new visit: %v, want one 304", client)
	}
	if got := b.script(t, "document.title"); got != "b" {
		t.Errorf("a new visit shows %q", got)
	}
}

// awaitTitle returns when the tab shows a page with a title. A page that comes back from the browser's memory is not loaded, so
// there is nothing else to wait for.
func awaitTitle(t *testing.T, b tab, title string) {
	t.Helper()
	for {
		// Between two pages there is none that could be asked.
		said, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.title"))
		if err == nil && said == title {
			return
		}
		select {
		case <-b.ctx.Done():
			t.Fatalf("the tab shows %q, %v; want %q", said, err, title)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// testForm: Django takes a form that comes from a page which a 304 has confirmed, whose token is the one of the first load.
func (b tab) testForm(t *testing.T) {
	w := watch(t, "encode\nconditional_cache {\netag auto {\nignore csrf\n}\n}", "reverse_proxy "+startDjango(t, newPageFolder(t)))
	const token = "document.querySelector('[name=csrfmiddlewaretoken]').value"
	b.do(t, chromedp.Navigate(w.base+"/contact"))
	first := b.script(t, token)
	client, upstream := w.during(func() { b.do(t, chromedp.Reload()) })
	if got := client.about("/contact"); len(got) != 1 || got.count(http.StatusNotModified, "If-None-Match") != 1 {
		t.Errorf("reload: %v, want one 304", client)
	}
	if got := upstream.about("/contact"); len(got) != 1 || got.count(http.StatusOK, "") != 1 {
		t.Errorf("reload: Django was asked %v, want a page with another token", upstream)
	}
	if again := b.script(t, token); again != first {
		t.Errorf("the token was %q, and is %q after a 304", first, again)
	}
	client, _ = w.during(func() {
		submit := chromedp.Steps(chromedp.SetValue(chromedp.CSS("input[name=q]"), "some words"), chromedp.Submit(chromedp.CSS("form")))
		if _, err := chromedp.RunResponse(b.ctx, submit); err != nil {
			t.Fatal(err)
		}
	})
	if said := b.script(t, "document.body.innerText"); said != "accepted some words" || client.count(http.StatusOK, "") == 0 {
		t.Errorf("the form was answered by %q: %v", said, client)
	}
}

// sound is ten minutes of noise in the plainest of formats, WAVE: more than a player loads before it is told to play, and no two
// parts of it are the same.
func sound() string {
	const rate, seconds = 8000, 600
	const size = 2 * rate * seconds // of samples of 16 bits
	noise := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	head := binary.LittleEndian.AppendUint32([]byte("RIFF"), 36+size)
	head = binary.LittleEndian.AppendUint32(append(head, "WAVEfmt "...), 16)
	head = append(head, 1, 0, 1, 0) // PCM, mono
	head = binary.LittleEndian.AppendUint32(head, rate)
	head = binary.LittleEndian.AppendUint32(head, 2*rate)
	head = append(head, 2, 0, 16, 0) // octets and bits of a sample
	head = binary.LittleEndian.AppendUint32(append(head, "data"...), size)
	return string(head) + string(noise)
}

// seek has the player of a page go to a place near the end, and says where it is then, and how long it takes all to be.
const seek = `new Promise((done, failed) => {
	const player = document.querySelector('video')
	const seek = () => { player.onseeked = () => done(player.currentTime + ' of ' + player.duration); player.currentTime = 590 }
	player.onerror = () => failed(player.error.message)
	player.readyState ? seek() : player.onloadedmetadata = seek
})`

// testSeeking: a player goes to a place near the end by a Range, though the upstream knows none. Without parts it stays at the
// beginning.
func (b tab) testSeeking(t *testing.T) {
	origin, handler := startShelf(t)
	file := sound()
	page := `<!doctype html><link rel=icon href="data:,"><video src=/sound.wav preload=metadata></video>`
	origin.put(map[string]string{"/sound.wav": file, "/page": page}, "")
	for _, site := range []struct {
		name, directives, place string
		late                    bool // parts from the middle on are asked for and sent: one, or more if the player is in a hurry
	}{
		{"the whole only", "conditional_cache", "0 of 600", false},
		{"ranges stream", "encode\nconditional_cache {\nranges stream\n}", "590 of 600", true},
	} {
		t.Run(site.name, func(t *testing.T) {
			w := watch(t, site.directives, handler)
			var place string
			client, upstream := w.during(func() {
				b.do(t, chromedp.Navigate(w.base+"/page"))
				place = b.script(t, seek)
				b.do(t, chromedp.Navigate("about:blank")) // the player lets go of what it loads
			})
			if place != site.place {
				t.Errorf("the player is at %s, want %s", place, site.place)
			}
			late := client.partsFrom(len(file) / 2)
			if late > 0 != site.late || upstream.count(http.StatusPartialContent, "") != 0 {
				t.Errorf("%v: %d parts from the middle on, want some: %t, and none of them from the upstream: %v", client, late, site.late, upstream)
			}
			client.checkParts(t, file)
		})
	}
}

// partsFrom counts the parts that were asked for and sent from a place on, or from one behind it.
func (all sightings) partsFrom(place int) (n int) {
	for _, s := range all {
		var first int
		if _, err := fmt.Sscanf(s.asked.Get("Range"), "bytes=%d-", &first); err == nil && first >= place && s.status == http.StatusPartialContent {
			n++
		}
	}
	return n
}
