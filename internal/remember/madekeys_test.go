package remember

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// asked has requests for each thing that a key is made of: for one path and query, which take turns at one place, and
// for more paths and queries than there are places.
func asked() []Request {
	page := func(change func(*Request)) Request {
		r := Request{Scheme: "https", Host: "h", URL: &url.URL{Path: "/a/b"}}
		change(&r)
		return r
	}
	requests := []Request{
		page(func(*Request) {}),
		page(func(r *Request) { r.Scheme = "http" }),
		page(func(r *Request) { r.Host = "H" }),
		page(func(r *Request) { r.URL.RawPath = "/a%2Fb" }),
		page(func(r *Request) { r.URL.ForceQuery = true }),
		page(func(r *Request) { r.Extra = "mobile" }),
		page(func(r *Request) { r.Origin = []string{"https://a"} }),
		page(func(r *Request) { r.Origin = []string{"https://a", "https://a"} }),
		page(func(r *Request) { r.Origin = []string{""} }),
		page(func(r *Request) { r.Extra, r.Origin = "mobile", []string{"https://a"} }),
	}
	for i := range 2 * len(madeKeys{}) {
		requests = append(requests,
			page(func(r *Request) { r.URL.RawQuery = strconv.Itoa(i) }),
			page(func(r *Request) { r.URL.Path += strconv.Itoa(i) }))
	}
	return requests
}

func TestKeysAtHandAreThoseThatWouldBeMade(t *testing.T) {
	m := &Memory{Secret: [32]byte{1}}
	requests := asked()
	for _, r := range requests[1:] {
		if m.digestOf(&r) == m.digestOf(&requests[0]) {
			t.Fatalf("%+v has the key of the first one, so that nothing is tested", r)
		}
	}
	for range 50 {
		for _, r := range requests {
			for range 2 {
				if got, want := m.keyOf(&r), m.digestOf(&r); got != want {
					t.Fatalf("%+v of %v has the key %+v, not %+v", r, r.URL, got, want)
				}
			}
		}
	}
}

func TestKeysAreKept(t *testing.T) {
	m := new(Memory)
	for i := range 10_000 {
		r := Request{Host: "h", URL: &url.URL{Path: "/" + strings.Repeat("a", i%100), RawQuery: strings.Repeat("b", i%97)}}
		m.keyOf(&r)
	}
	for i := range m.keys {
		if m.keys[i].Load() != nil {
			return
		}
	}
	t.Error("no key was kept")
}

func TestLongAddressesAreNotKept(t *testing.T) {
	m := new(Memory)
	for name, r := range map[string]Request{
		"path":   {URL: &url.URL{Path: "/" + strings.Repeat("a", madeSize)}},
		"query":  {URL: &url.URL{Path: "/", RawQuery: strings.Repeat("a", madeSize)}},
		"host":   {Host: strings.Repeat("a", madeSize), URL: &url.URL{Path: "/"}},
		"extra":  {Extra: strings.Repeat("a", madeSize), URL: &url.URL{Path: "/"}},
		"origin": {Origin: []string{strings.Repeat("a", madeSize)}, URL: &url.URL{Path: "/"}},
	} {
		for range 500 {
			m.keyOf(&r)
		}
		if m.keys.of(&r).Load() != nil {
			t.Errorf("a long %s is kept", name)
		}
	}
}

// What is kept is not part of what a client has sent, which would keep all of its request alive.
func TestKeysAreKeptWithCopies(t *testing.T) {
	text := "https://h/path?query"
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	r := Request{Scheme: "https", Host: text[8:9], URL: u}
	kept := keep(&r, new(Memory).digestOf(&r))
	for _, own := range []string{kept.host, kept.path, kept.query, kept.key.URI.Host, kept.key.URI.Path} {
		if within(own, text) {
			t.Errorf("%q is a part of the request", own)
		}
	}
	if want := validators.NewURI("h", u); kept.key.URI != want {
		t.Errorf("got %+v, want %+v", kept.key.URI, want)
	}
}

// within reports whether a text lies in the memory of another.
func within(part, whole string) bool {
	start := uintptr(unsafe.Pointer(unsafe.StringData(whole))) //nolint:gosec // is only compared
	at := uintptr(unsafe.Pointer(unsafe.StringData(part)))     //nolint:gosec // too
	return at >= start && at < start+uintptr(len(whole))
}

// What dates are counted by is the same for all that a handler is asked for, and another one for each configuration.
func TestKeysHaveTheirSite(t *testing.T) {
	m, other := &Memory{Secret: [32]byte{20: 1}}, &Memory{Secret: [32]byte{20: 2}}
	page := Request{Scheme: "http", Host: "h", URL: &url.URL{Path: "/"}, Header: http.Header{"Accept": {"text/html"}}}
	elsewhere := Request{Scheme: "http", Host: "other", URL: &url.URL{Path: "/a", RawQuery: "b"}}
	key := m.keyOf(&page)
	if key.Site == 0 || m.keyOf(&elsewhere).Site != key.Site || m.variantOf(key, "accept", page.Header).Site != key.Site {
		t.Error("the keys of one handler have several sites, or none")
	}
	if other.keyOf(&page).Site == key.Site {
		t.Error("two handlers are one site")
	}
}
