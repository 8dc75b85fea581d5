package integration

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// nonceUpstream sends a page whose scripts run under the nonce of this very answer, under one tag for ever. On /304 it
// answers conditions by itself.
func nonceUpstream() http.Handler {
	n := 0
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		nonce := fmt.Sprintf("n%d", n)
		w.Header().Set("Etag", `W/"9b4e"`)
		w.Header().Add("Content-Security-Policy", "default-src 'self'")
		w.Header().Add("Content-Security-Policy", "img-src *, script-src 'nonce-"+nonce+"'")
		w.Header().Set("Content-Security-Policy-Report-Only", "default-src 'none'")
		if r.URL.Path == "/304" && r.Header.Get("If-None-Match") == `W/"9b4e"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<script nonce="+nonce+">alert(1)</script>")
	})
}

// A page with a nonce whose tag does not change with it: the stored page keeps the policy that it came with, whoever
// makes the 304 and whatever is configured.
func TestNonceOfAPageThatWasNotSent(t *testing.T) {
	for name, directives := range map[string]string{
		"bare":                              "conditional_cache",
		"with encode":                       "conditional_cache\nencode",
		"kept by name":                      "conditional_cache {\n not_modified {\n keep Content-Security-Policy\n }\n }",
		"etag off":                          "conditional_cache {\n etag off\n }",
		"remembered":                        "conditional_cache {\n remember 1m\n not_modified {\n keep Content-Security-Policy\n }\n }",
		"set outside":                       "header Content-Security-Policy \"script-src 'nonce-{http.request.uuid}'\"\nconditional_cache",
		"remembered, and set outside":       "header Content-Security-Policy \"object-src 'none'\"\nconditional_cache {\n remember 1m\n }",
		"remembered, kept, and set outside": "header Content-Security-Policy \"object-src 'none'\"\nconditional_cache {\n remember 1m\n not_modified {\n keep Content-Security-Policy\n }\n }",
		"nested":                            "conditional_cache {\n not_modified {\n keep Content-Security-Policy\n }\n }\nroute {\n conditional_cache\n }",
	} {
		t.Run(name, func(t *testing.T) {
			c := noteSite(t, directives+"\nreverse_proxy {upstream}", nonceUpstream())
			for _, path := range []string{"/200", "/304"} {
				first := c.get(t, path, nil)
				got := c.get(t, path, http.Header{"If-None-Match": {first.header.Get("Etag")}})
				if got.status != http.StatusNotModified || got.header.Get("Etag") != `W/"9b4e"` {
					t.Errorf("%s: got %v, want a 304 with its tag", path, got)
				}
				if lines := got.header["Content-Security-Policy"]; lines != nil {
					t.Errorf("%s: the 304 has the policy %q", path, lines)
				}
				if got.header.Get("Content-Security-Policy-Report-Only") == "" && !strings.HasPrefix(name, "remembered") {
					t.Errorf("%s: the 304 lacks the policy for reports, which has no nonce", path)
				}
			}
		})
	}
}

// A framework says no-store to every page with a token, and the operator overrules it: what goes out decides.
func TestNoStoreIsOverruled(t *testing.T) {
	c := noteSite(t, `conditional_cache {
		cache_control text/html private no-cache {
			existing replace
		}
		remember 1m
	}
	reverse_proxy {upstream}`, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store, no-cache, must-revalidate")
		w.Header().Set("Pragma", "no-cache")
		w.Header().Set("Expires", "Thu, 19 Nov 1981 08:52:00 GMT")
		w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		w.Header().Set("X-Asked", r.Method)
		_, _ = io.WriteString(w, "<p>a page</p>")
	}))
	first := c.get(t, "/", nil)
	etag := first.header.Get("Etag")
	if first.header.Get("Cache-Control") != "private, no-cache" || first.header.Get("Pragma") != "" || etag == "" {
		t.Fatalf("got %v, want the row's word and a tag", first)
	}
	for range 2 {
		again := c.get(t, "/", http.Header{"If-None-Match": {etag}})
		checkNotModified(t, again, etag)
		if again.header.Get("X-Asked") == "" || again.header.Get("Cache-Control") != "private, no-cache" {
			t.Errorf("got %v, want the upstream's answer with the row's word", again)
		}
	}
}

// headOf asks with HEAD.
func headOf(t *testing.T, c *client, path string, header http.Header) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodHead, c.base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host, request.Header = c.host, header
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return answer{status: response.StatusCode, header: response.Header}
}

// checkAskedAgain wants the whole of a file for a date from before, and returns its tag.
func checkAskedAgain(t *testing.T, c *client, path, content string) (etag string) {
	t.Helper()
	condition := http.Header{"If-Modified-Since": {"Tue, 14 Nov 2023 22:13:20 GMT"}}
	got := c.get(t, path, condition)
	if got.status != http.StatusOK || got.body != content || got.header.Get("Last-Modified") != "" {
		t.Errorf("%s: got %v, want 200 with the page and no date", path, got)
	}
	if head := headOf(t, c, path, condition); head.status != http.StatusOK {
		t.Errorf("HEAD %s: got %v, want 200", path, head)
	}
	return got.header.Get("Etag")
}

// writeBuiltFiles writes files with the dates of build tools, one of them long.
func writeBuiltFiles(t *testing.T, pages *pageFolder, long string) {
	t.Helper()
	for name, mtime := range map[string]time.Time{
		"unix0.html": time.Unix(0, 0), "nix1.html": time.Unix(1, 0), "zip1980.html": time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC),
		"sde.html": time.Unix(315532801, 0), "long.html": time.Unix(1, 0),
	} {
		body := pages.content()
		if name == "long.html" {
			body = long
		}
		file := filepath.Join(pages.dir, name)
		if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, mtime, mtime); err != nil {
			t.Fatal(err)
		}
	}
}

// A client has a date from before the files got that of a build tool: file_server says 304 to it for ever. It is asked
// again without the date, here and behind a proxy.
func TestDateFromBeforeTheBuildTool(t *testing.T) {
	pages := newPageFolder(t)
	content := strings.Repeat(pages.content(), 10_000) // longer than what is held
	writeBuiltFiles(t, pages, content)
	embed(pages.content())
	upstream := freePort(t)
	ports := map[string]int{"bare": freePort(t), "with encode": freePort(t), "last_modified remove": freePort(t), "nested": freePort(t), "proxied": freePort(t), "handled": freePort(t)}
	const files = "handle_path /embedded/* {\n file_server {\n fs embedded\n }\n }\nhandle {\n root %[2]s\n file_server\n }\n"
	site := func(port int, directives string) string {
		return fmt.Sprintf("http://localhost:%[1]d {\n"+directives+"\n}\n", port, pages.dir)
	}
	runCaddyWith(t, "filesystem embedded embedded_test", site(upstream, files)+
		site(ports["bare"], "conditional_cache\n"+files)+
		site(ports["with encode"], "encode\nconditional_cache\n"+files)+
		site(ports["last_modified remove"], "conditional_cache {\n last_modified remove\n }\n"+files)+
		site(ports["nested"], "conditional_cache\nroute {\n conditional_cache\n "+files+"}\n")+
		site(ports["handled"], "handle {\n conditional_cache\n "+files+"}\n")+
		site(ports["proxied"], fmt.Sprintf("conditional_cache\nreverse_proxy localhost:%d {\n header_up Host {upstream_hostport}\n }", upstream)))
	for name, port := range ports {
		t.Run(name, func(t *testing.T) {
			c := plainClient(t, port)
			for _, path := range []string{"/embedded/page.html", "/unix0.html", "/nix1.html", "/zip1980.html", "/sde.html"} {
				etag := checkAskedAgain(t, c, path, pages.content())
				if !strings.Contains(etag, "cc1.") {
					t.Errorf("%s: the tag is %s, want one of ours", path, etag)
				}
				checkNotModified(t, c.get(t, path, http.Header{"If-None-Match": {etag}}), etag)
			}
			checkAskedAgain(t, c, "/long.html", content)
			if got := c.get(t, "/page.html", http.Header{"If-Modified-Since": {time.Now().UTC().Format(http.TimeFormat)}}); got.status != http.StatusNotModified {
				t.Errorf("a real date: got %v, want 304", got)
			}
		})
	}
}

// An upstream that sends a date and judges nothing: the 304 that the date decides has the tag of the 200, so that the
// client can go by it from then on.
func TestTagOfA304ByDate(t *testing.T) {
	long := strings.Repeat("a", 2<<20)
	c := noteSite(t, "conditional_cache\nreverse_proxy {upstream}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Last-Modified", "Tue, 14 Nov 2023 22:13:20 GMT")
		w.Header().Set("Content-Type", "text/plain")
		body := "a page"
		switch r.URL.Path {
		case "/long":
			body = long
		case "/aborts":
			w.Header().Set("Content-Length", "12")
			_, _ = io.WriteString(w, body)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/chunked":
			_ = http.NewResponseController(w).Flush()
		}
		_, _ = io.WriteString(w, body)
	}))
	condition := http.Header{"If-Modified-Since": {"Tue, 14 Nov 2023 22:13:20 GMT"}}
	for _, path := range []string{"/", "/chunked"} {
		first := c.get(t, path, nil)
		checkNotModified(t, c.get(t, path, condition), first.header.Get("Etag"))
		checkNotModified(t, c.get(t, path, http.Header{"If-None-Match": {first.header.Get("Etag")}}), first.header.Get("Etag"))
	}
	for _, path := range []string{"/long", "/aborts"} {
		got := c.get(t, path, condition)
		if got.status != http.StatusNotModified || got.header.Get("Etag") != "" || got.header.Get("Last-Modified") == "" {
			t.Errorf("%s: got %v, want a 304 with its date and no tag", path, got)
		}
	}
	condition["Cookie"] = []string{"user=1"}
	if got := c.get(t, "/", condition); got.status != http.StatusNotModified || got.header.Get("Etag") != "" {
		t.Errorf("for somebody: got %v, want a 304 without a tag", got)
	}
}

// All files of a reproducible build have one date, and one length: the recipe is what the documentation says.
func TestConstantDateOfABuild(t *testing.T) {
	dir := t.TempDir()
	release := func(content string) {
		file, date := filepath.Join(dir, "app.js"), time.Date(2020, 4, 16, 12, 0, 0, 0, time.UTC)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, date, date); err != nil {
			t.Fatal(err)
		}
	}
	release("let a = 1")
	c := noteSite(t, "conditional_cache {\n etag auto {\n existing replace\n }\n last_modified remove\n }\nroot "+dir+"\nfile_server", http.NotFoundHandler())
	first := c.get(t, "/app.js", nil)
	release("let a = 2")
	for name, line := range map[string]string{"If-Modified-Since": "Thu, 16 Apr 2020 12:00:00 GMT", "If-None-Match": first.header.Get("Etag")} {
		if got := c.get(t, "/app.js", http.Header{name: {line}}); got.status != http.StatusOK || got.body != "let a = 2" {
			t.Errorf("%s: %s: got %v, want the new release", name, line, got)
		}
	}
	// What a loose client sends is understood by the upstream.
	sent := make(chan string, 1)
	c = noteSite(t, "conditional_cache {\n last_modified normalize {\n lenient\n }\n }\nreverse_proxy {upstream}", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		sent <- r.Header.Get("If-Modified-Since")
	}))
	_ = c.get(t, "/", http.Header{"If-Modified-Since": {"Thursday, 16-Apr-20 12:00:00 GMT; length=9"}})
	if got := <-sent; got != "Thu, 16 Apr 2020 12:00:00 GMT" {
		t.Errorf("the upstream sees %q", got)
	}
}
