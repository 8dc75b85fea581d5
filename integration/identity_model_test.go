package integration

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zeebo/xxh3"
)

// manyMinds is a site whose pages are of who asks, with the flaws that sites have: one Last-Modified for all, 304s to any
// date, tags that are sent back as they came, Vary forgotten. A path is /<flaw>/<what it says to caches>.
type manyMinds struct {
	mu      sync.Mutex
	version map[string]int // of a page, by path and who asks
	changed map[string]time.Time
	heard   string // the conditions of the last request, and whether they were answered with 304
	silent  bool   // nobody has asked since
}

// mind is who asks, as the site tells users apart.
func mind(r *http.Request) string {
	if session, err := r.Cookie("sid"); err == nil {
		return session.Value
	}
	return r.Header.Get("Authorization")
}

var saysToCaches = map[string][2]string{
	"nothing": {}, "lasts": {"max-age=300", ""}, "private": {"private, max-age=0", ""}, "no-cache": {"no-cache", ""},
	"varies": {"max-age=300", "Cookie"}, "shared": {"s-maxage=300", "Cookie, Authorization"},
}

func (u *manyMinds) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	flaw, says := pathParts(r.URL.Path)
	page := r.URL.Path + "|" + mind(r)
	body := fmt.Sprintf("<html>%s|%d|", page, u.version[page])
	own, h := fmt.Sprintf(`"%x"`, xxh3.HashString(body)), w.Header()
	h.Set("Content-Type", "text/html")
	for i, name := range [...]string{"Cache-Control", "Vary"} {
		if value := saysToCaches[says][i]; value != "" {
			h.Set(name, value)
		}
	}
	if rand.IntN(6) == 0 {
		h.Set("Set-Cookie", fmt.Sprint("token=", rand.IntN(9)))
	}
	matches, same := u.judges(h, r, flaw, own)
	u.heard, u.silent = conditionsOf(r.Header, same), false
	switch {
	case !same:
		_, _ = io.WriteString(w, body)
		return
	case flaw == "echo" && !matches && r.Header.Get("If-None-Match") != "":
		h.Set("Etag", r.Header.Get("If-None-Match"))
	case flaw == "forgets":
		h.Del("Vary")
	}
	w.WriteHeader(http.StatusNotModified)
}

// judges sets the validators that a flaw has, and reports what they make of the request's conditions.
func (u *manyMinds) judges(h http.Header, r *http.Request, flaw, own string) (matches, same bool) {
	changed, ok := u.changed[r.URL.Path]
	if !ok {
		changed = modifiedTime()
	}
	names := r.Header.Get("If-None-Match")
	since, err := http.ParseTime(r.Header.Get("If-Modified-Since"))
	matches, fresh := names == own, err == nil && !since.Before(changed)
	if flaw != "dates" && flaw != "untold" && flaw != "none" {
		h.Set("Etag", own)
	}
	if flaw == "dates" || flaw == "untold" || flaw == "echo" || flaw == "both" {
		h.Set("Last-Modified", changed.UTC().Format(http.TimeFormat))
	}
	switch flaw {
	case "dates":
		return false, fresh
	case "echo":
		return matches, matches || fresh
	case "both":
		return matches, matches || names == "" && fresh
	case "own", "forgets":
		return matches, matches
	}
	return false, false
}

func conditionsOf(h http.Header, same bool) string {
	return fmt.Sprint(h["If-None-Match"], h["If-Modified-Since"], same)
}

func pathParts(path string) (flaw, says string) {
	flaw, says, _ = strings.Cut(path[1:], "/")
	return flaw, says
}

// begin is called before the n-th request, which may be for a new version of its page.
func (u *manyMinds) begin(r *http.Request, n int, changes bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.silent = true; !changes {
		return
	}
	u.version[r.URL.Path+"|"+mind(r)]++
	u.changed[r.URL.Path] = modifiedTime().Add(time.Duration(n) * time.Second)
}

// mindBrowser is a browser that several people use, one after another. What it has stored stays.
type mindBrowser struct{ stored map[string]answer }

// ask is what it does for a page: the tag and the date of what it has stored go along, whoever was signed in then. It
// returns the page that it shows.
func (b *mindBrowser) ask(t *testing.T, c *client, r *http.Request) answer {
	t.Helper()
	as, key := r.Header.Clone(), c.base+r.URL.Path
	stored, known := b.stored[key]
	for field, validator := range map[string]string{"If-None-Match": "Etag", "If-Modified-Since": "Last-Modified"} {
		if value := stored.header.Get(validator); known && value != "" {
			as.Set(field, value)
		}
	}
	got := c.get(t, r.URL.Path, as)
	if r.Header = as; got.status == http.StatusNotModified {
		for _, name := range [...]string{"Etag", "Last-Modified"} {
			if value := got.header.Get(name); value != "" {
				stored.header.Set(name, value)
			}
		}
		got.body = stored.body
		return got
	}
	b.stored[key] = got
	return got
}

// mindSites are directives in front of the site, and whether they may show what has changed since, for as long as they
// remember it.
var mindSites = []struct {
	directives string
	remembers  bool
}{
	{"conditional_cache {\n}", false},
	{"encode gzip\nconditional_cache {\n etag auto {\n secret 0123456789abcdef\n existing replace\n }\n}", false},
	{"conditional_cache {\n remember 1h\n cache_control private {\n existing replace\n }\n}", false},
	{"conditional_cache {\n remember 1h\n}", true},
	{"encode gzip\nconditional_cache {\n remember\n expires modified 1h\n}", true},
	{"conditional_cache {\n remember 1h {\n ignore_cookies token _ga*\n ignore_set_cookie token\n }\n cache_control public max-age=60\n}", true},
	{"conditional_cache {\n remember 1s {\n grace 1s\n stale_if_error 1h\n }\n cache_control public max-age=60 {\n existing replace\n }\n}", true},
	{"conditional_cache {\n cache_control text/html public max-age=60 {\n existing merge\n }\n}\nroute {\n conditional_cache {\n remember 1h\n head get\n }\n {proxy}\n}", true},
}

// mindsAsking are those who ask, at one browser after another.
var mindsAsking = []http.Header{
	nil, who("Cookie", "_ga=9"), who("Cookie", "token=4"), who("Cookie", "sid=1"), who("Cookie", "sid=2"), who("Cookie", "sid=1; _ga=7"),
	who("Cookie", "token=4; sid=2"), who("Authorization", "Bearer x"),
}

// TestNobodyIsShownAnothersPage: whatever a site does wrong, a browser shows nobody what was another's, unless the site
// itself has said so to what the browser has asked; and nothing outdated but out of memory.
func TestNobodyIsShownAnothersPage(t *testing.T) {
	u := &manyMinds{version: make(map[string]int), changed: make(map[string]time.Time)}
	server := httptest.NewServer(u)
	t.Cleanup(server.Close)
	clients, sites := make([]*client, len(mindSites)), ""
	for i, site := range mindSites {
		port := freePort(t)
		clients[i] = plainClient(t, port)
		clients[i].acceptEncoding = "identity"
		sites += fmt.Sprintf("http://localhost:%d {\n%s\n}\n", port, withProxy(site.directives, server.Listener.Addr().String()))
	}
	runCaddy(t, sites)
	flaws, says := []string{"none", "dates", "untold", "own", "both", "echo", "forgets"}, []string{"nothing", "lasts", "private", "no-cache", "varies", "shared"}
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	browsers := [2]mindBrowser{{make(map[string]answer)}, {make(map[string]answer)}}
	for n := range 6000 {
		r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/" + flaws[rnd.IntN(len(flaws))] + "/" + says[rnd.IntN(len(says))]}}
		if r.Header = mindsAsking[rnd.IntN(len(mindsAsking))].Clone(); r.Header == nil {
			r.Header = make(http.Header)
		}
		u.begin(r, n, rnd.IntN(20) == 0)
		i := rnd.IntN(len(mindSites))
		got := browsers[rnd.IntN(len(browsers))].ask(t, clients[i], r)
		if why := u.wrong(r, got, mindSites[i].remembers); why != "" {
			t.Errorf("seed %d, request %d: %s: %s as %v from %q: %v", seed, n, why, r.URL.Path, r.Header, mindSites[i].directives, got)
		}
	}
}

// withProxy completes directives. What is held is held on a busy machine as well: who has a page without a tag has its date
// only, which is the site's word.
func withProxy(directives, upstream string) string {
	directives = strings.ReplaceAll(directives, "conditional_cache {\n", "conditional_cache {\nbuffer {\nmax_delay off\n}\n")
	if !strings.Contains(directives, "{proxy}") {
		directives += "\n{proxy}"
	}
	return strings.ReplaceAll(directives, "{proxy}", "reverse_proxy "+upstream)
}

// wrong says what is wrong with what a browser shows; empty: nothing, or it is the site's own fault.
func (u *manyMinds) wrong(r *http.Request, shown answer, remembers bool) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	_, says := pathParts(r.URL.Path)
	page := r.URL.Path + "|" + mind(r)
	switch {
	case !u.silent && u.heard == conditionsOf(r.Header, true):
		return ""
	case !strings.HasPrefix(shown.body, "<html>"+page+"|"):
		return "another's page"
	case shown.body != fmt.Sprintf("<html>%s|%d|", page, u.version[page]) && (!remembers || says == "private" || says == "no-cache"):
		return "an outdated page"
	case u.silent && (!remembers || says == "private" || says == "no-cache"):
		return "out of memory"
	}
	return ""
}
