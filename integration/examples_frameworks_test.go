package integration

import (
	"crypto/md5" //nolint:gosec // what Laravel makes its tags with
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/http/fcgi"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// publicFolder is a folder of an application with one file in it.
func publicFolder(t *testing.T, name, content string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// railsPages sends what Rails 8 sends: the default headers, a session cookie that is encrypted anew in each answer and a token that is masked
// anew (ActionController::RequestForgeryProtection), a weak tag and a Cache-Control from Rack::ETag.
func railsPages(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	for _, field := range [][2]string{
		{"X-Frame-Options", "SAMEORIGIN"},
		{"X-Content-Type-Options", "nosniff"},
		{"Vary", "Accept"},
		{"Content-Type", "text/html; charset=utf-8"},
		{"X-Request-Id", rand.Text()},
		{"X-Runtime", "0.004211"},
	} {
		h.Set(field[0], field[1])
	}
	body, lifetime := "<!doctype html>\n<title>Articles</title>\n", "max-age=300, public" // expires_in 5.minutes, public: true
	if r.URL.Path != "/articles" {
		user := "guest"
		if cookie, err := r.Cookie("_shop_session"); err == nil {
			user, _, _ = strings.Cut(cookie.Value, "--")
		}
		lifetime = "max-age=0, private, must-revalidate"
		body = fmt.Sprintf("<!doctype html>\n<meta name=\"csrf-token\" content=\"%s\">\n<p>Hello, %s.</p>\n", maskedByRails(user), user)
		h.Set("Set-Cookie", "_shop_session="+user+"--"+rand.Text()+"; path=/; httponly; samesite=lax")
	}
	digest := sha256.Sum256([]byte(body))
	h.Set("Etag", `W/"`+hex.EncodeToString(digest[:])[:32]+`"`)
	h.Set("Cache-Control", lifetime)
	if r.Header.Get("If-None-Match") == h.Get("Etag") { // Rack::ConditionalGet
		h.Del("Content-Type")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write([]byte(body))
}

// maskedByRails is a user's token under a pad of its own.
func maskedByRails(user string) string {
	token, masked := sha256.Sum256([]byte(user)), make([]byte, 64)
	_, _ = rand.Read(masked[:32])
	for i, b := range token {
		masked[32+i] = b ^ masked[i]
	}
	return base64.RawURLEncoding.EncodeToString(masked)
}

// The example before an upstream that sends what Rails sends.
func TestExampleRails(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(railsPages))
	t.Cleanup(upstream.Close)
	root := publicFolder(t, "assets/application-5f1e2a.css", "p { color: black }")
	c := runSiteExample(t, "rails", "UPSTREAM", upstream.Listener.Addr().String(), "ROOT", root)[0]
	checkGuide(t, "rails", c)
	c.assets(t, "/assets/application-5f1e2a.css", "public, max-age=31536000, immutable", toldByUpstream)

	// A token under another mask is no change. The page is its user's, and not remembered.
	first := c.fetch(t, "/", "Cookie", "_shop_session=ada--1")
	if got := c.reload(t, "/", toldByTag, "Cookie", "_shop_session=ada--1"); !strings.Contains(got.header.Get("Server-Timing"), "not remembered: ") {
		t.Errorf("%v", got)
	}
	other := c.fetch(t, "/", "Cookie", "_shop_session=grace--1", "If-None-Match", first.header.Get("Etag"))
	mustSay(t, other, "Hello, grace.")

	// What an action gives to all is remembered for all.
	guestsPages(t, c, "/articles")
	c.reload(t, "/articles", toldByMemory, "Cookie", "_shop_session=ada--1")
}

// laravelPages sends what Laravel 12 sends: for routes of the group web the Cache-Control of Symfony's ResponseHeaderBag and two cookies
// that are encrypted anew in each answer (VerifyCsrfToken, StartSession), for a route with the middleware cache.headers what SetCacheHeaders
// makes of public;s_maxage=300;etag.
func laravelPages(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("X-Powered-By", "PHP/8.4.1")
	if r.URL.Path == "/articles" {
		body := "<!doctype html>\n<title>Articles</title>\n"
		h.Set("Cache-Control", "public, s-maxage=300")
		h.Set("Etag", fmt.Sprintf(`"%x"`, md5.Sum([]byte(body)))) //nolint:gosec // what Laravel makes its tags with
		_, _ = w.Write([]byte(body))
		return
	}
	user := "guest"
	if cookie, err := r.Cookie("laravel_session"); err == nil {
		user, _, _ = strings.Cut(cookie.Value, ".")
	}
	h.Set("Cache-Control", "no-cache, private")
	h.Add("Set-Cookie", "XSRF-TOKEN="+rand.Text()+"; expires=Sat, 01 Jan 2050 00:00:00 GMT; Max-Age=7200; path=/; samesite=lax")
	h.Add("Set-Cookie", "laravel_session="+user+"."+rand.Text()+"; expires=Sat, 01 Jan 2050 00:00:00 GMT; Max-Age=7200; path=/; httponly; samesite=lax")
	token := sha256.Sum256([]byte(user))
	_, _ = fmt.Fprintf(w, "<!doctype html>\n<meta name=\"csrf-token\" content=\"%s\">\n<p>Hello, %s.</p>\n", hex.EncodeToString(token[:])[:40], user)
}

// The example before an upstream that sends what Laravel sends, over FastCGI, with a real Redis.
func TestExampleLaravel(t *testing.T) {
	redis := startRedis(t)
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	go func() { _ = fcgi.Serve(socket, http.HandlerFunc(laravelPages)) }()
	root := publicFolder(t, "build/assets/app-5f1e2a.css", "p { color: black }")
	if err := os.WriteFile(filepath.Join(root, "index.php"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// More than the default of 50ms: the machine may have other things to do.
	c := runSiteExample(t, "laravel", "UPSTREAM", socket.Addr().String(), "ROOT", root, "REDIS", redis.addr+"\ntimeout 3s")[0]
	c.untilRemembered(t, "/articles") // Redis is connected to when it is needed
	checkGuide(t, "laravel", c)
	c.assets(t, "/build/assets/app-5f1e2a.css", "public, max-age=31536000, immutable", toldByUpstream)

	first := c.fetch(t, "/", "Cookie", "laravel_session=ada.1")
	if got := c.reload(t, "/", toldByTag, "Cookie", "laravel_session=ada.1"); len(got.header["Set-Cookie"]) != 2 || !strings.Contains(got.header.Get("Server-Timing"), "not remembered: ") {
		t.Errorf("%v", got)
	}
	other := c.fetch(t, "/", "Cookie", "laravel_session=grace.1", "If-None-Match", first.header.Get("Etag"))
	mustSay(t, other, "Hello, grace.")

	guestsPages(t, c, "/articles")
	c.reload(t, "/articles", toldByMemory, "Cookie", "laravel_session=ada.1; XSRF-TOKEN=1")
	if got := redis.command(t, "DBSIZE"); strings.TrimSpace(got) == ":0" {
		t.Errorf("DBSIZE: %s: nothing is in Redis", got)
	}
}

// nextPages sends what Next.js sends (getCacheControlHeader, sendEtagResponse): a tag and s-maxage for what was built, no-store and no tag for what
// is rendered for each request. What a script asks for, with the field RSC, is another representation.
func nextPages(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Vary", "rsc, next-router-state-tree, next-router-prefetch, next-router-segment-prefetch")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("X-Powered-By", "Next.js")
	body := "<!doctype html>\n<title>" + r.URL.Path + "</title>\n"
	switch {
	case r.URL.Path == "/dashboard":
		h.Set("Cache-Control", "private, no-cache, no-store, max-age=0, must-revalidate")
		_, _ = w.Write([]byte(body))
		return
	case strings.HasPrefix(r.URL.Path, "/_next/static/"):
		h.Del("Vary")
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("Etag", `W/"24-18f0a2b3c40"`)
	case r.URL.Path == "/news":
		h.Set("Cache-Control", "s-maxage=60, stale-while-revalidate=31535940")
		h.Set("Etag", `"9x1k2nfxa5q3"`)
	default:
		h.Set("Cache-Control", "s-maxage=31536000")
		h.Set("Etag", `"15rcpwz0d7a3u"`)
	}
	if r.Header.Get("Rsc") == "1" {
		h.Set("Content-Type", "text/x-component")
		h.Set("Etag", `"payload"`)
		body = "0:{}"
	}
	if r.Header.Get("If-None-Match") == h.Get("Etag") {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write([]byte(body))
}

// The example before an upstream that sends what Next.js sends.
func TestExampleNextjs(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(nextPages))
	t.Cleanup(upstream.Close)
	c := runSiteExample(t, "node-nextjs", "UPSTREAM", upstream.Listener.Addr().String())[0]
	guestsPages(t, c, "/", "/news")
	c.assets(t, "/_next/static/chunks/5f1e2a.js", "public, max-age=31536000, immutable", toldByUpstream)

	// The payload for a script has a record of its own, and a page's tag is none of it.
	page := c.fetch(t, "/")
	if got := c.fetch(t, "/", "Rsc", "1", "If-None-Match", page.header.Get("Etag")); got.status != http.StatusOK || got.body != "0:{}" {
		t.Errorf("%v", got)
	}
	c.reload(t, "/", toldByMemory, "Rsc", "1")
	// The year of s-maxage is for other caches: here the ttl counts.
	if got := page.header.Get("Cache-Control"); got != "s-maxage=31536000" {
		t.Errorf("Cache-Control: %s", got)
	}
	dynamic := c.fetch(t, "/dashboard")
	if got := dynamic.header.Get("Server-Timing"); dynamic.header.Get("Etag") != "" || !strings.HasPrefix(got, `cc;desc="streamed no_store"`) {
		t.Errorf("%v", dynamic)
	}
}
