package integration

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// datedViews are views of Django without validators, and beside each the same with Django's own.
var datedViews = []struct{ name, plain, dated string }{
	{"a detail, by a field of the response", "/articles/1", "/dated/articles/1"},
	{"another detail", "/articles/2", "/dated/articles/2"},
	{"a detail, by its JSON", "/api/articles/1", "/dated/articles/1"},
	{"a list, by its JSON", "/api/articles", "/dated/articles"},
	{"a list, by its JSON, gzip-coded", "/api/gzip/articles", "/dated/articles"},
	{"a template, by its file", "/about", "/dated/about"},
}

// datedSite runs Caddy in front of Django, once as it is and once with conditional_cache, and returns a client of each.
func datedSite(t *testing.T, pages *pageFolder) (bare, with *client) {
	t.Helper()
	django := startDjango(t, pages)
	ports := [2]int{freePort(t), freePort(t)}
	runCaddy(t, strings.NewReplacer("{bare}", fmt.Sprint(ports[0]), "{with}", fmt.Sprint(ports[1]), "{django}", django, "{dir}", pages.dir).Replace(`
http://localhost:{bare} {
	reverse_proxy {django}
}
http://localhost:{with} {
	conditional_cache {
		last_modified normalize {
			from header X-Article-Updated "02.01.2006 15:04:05"
			from json updated_at
			from json items.#.updated_at
		}
	}
	conditional_cache /about {
		last_modified normalize {
			from file {dir}/page.html
		}
	}
	reverse_proxy {django}
}
`))
	return plainClient(t, ports[0]), plainClient(t, ports[1])
}

// TestDjangoDates: without a change of the application a page gets the date that Django would give it by
// `last_modified`, from a field of the object, the newest of a list, or the template's file; and is answered as Django
// would answer it, before and after a change. A later date than that is another date here, as it may have been the
// page's before.
func TestDjangoDates(t *testing.T) {
	pages := newPageFolder(t)
	bare, with := datedSite(t, pages)
	for _, view := range datedViews {
		t.Run(view.name, func(t *testing.T) {
			bare.acceptEncoding, with.acceptEncoding = "gzip", "gzip"
			if got := bare.get(t, view.plain, nil); got.status != http.StatusOK || got.header.Get("Last-Modified") != "" {
				t.Fatalf("without conditional_cache: got %v, want 200 without Last-Modified", got)
			}
			first := sameDate(t, bare, with, view.dated, view.plain, nil)
			for _, hours := range []time.Duration{-1, 0} {
				since := http.Header{"If-Modified-Since": {first.Add(hours * time.Hour).Format(http.TimeFormat)}}
				sameDate(t, bare, with, view.dated, view.plain, since)
			}
			later := http.Header{"If-Modified-Since": {first.Add(time.Hour).Format(http.TimeFormat)}}
			if got := with.get(t, view.plain, later); got.status != http.StatusOK {
				t.Errorf("%v: got %v, want 200", later, got)
			}
			pages.change(t)
			since := http.Header{"If-Modified-Since": {first.Format(http.TimeFormat)}}
			if second := sameDate(t, bare, with, view.dated, view.plain, since); !second.After(first) {
				t.Errorf("after a change the date is %v, before it was %v", second, first)
			}
		})
	}
}

// sameDate asks Django for a view with its own validators, and us for the one without, and wants the same status and
// the same date, which it returns.
func sameDate(t *testing.T, bare, with *client, dated, plain string, condition http.Header) time.Time {
	t.Helper()
	want, got := bare.get(t, dated, condition), with.get(t, plain, condition)
	date := want.header.Get("Last-Modified")
	if got.status != want.status || got.status == http.StatusOK && got.header.Get("Last-Modified") != date {
		t.Errorf("%v: got %v, want what Django says: %v", condition, got, want)
	}
	if cc := got.header.Get("Cache-Control"); cc != "no-cache" {
		t.Errorf("%v: Cache-Control %q, want no-cache on 200 and 304 alike", condition, cc)
	}
	parsed, err := http.ParseTime(date)
	if err != nil {
		t.Fatalf("Django's Last-Modified: %v", err)
	}
	return parsed
}

// writerIn writes files into a folder.
func writerIn(t *testing.T, dir string) func(name, content string, mtime time.Time) {
	t.Helper()
	return func(name, content string, mtime time.Time) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, mtime, mtime); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTemplatesDates: a page that Caddy renders is as new as the newest file it is made of. file_server, further in,
// knows the date of one of them only, and must not answer for all.
func TestTemplatesDates(t *testing.T) {
	dir := t.TempDir()
	write := writerIn(t, dir)
	write("page.html", `<p>{{include "/layout.html"}}</p>`, lastDeploy)
	write("layout.html", "the first layout", lastDeploy.AddDate(0, 0, 1))
	port := freePort(t)
	runCaddy(t, fmt.Sprintf(`http://localhost:%d {
	root %s
	conditional_cache {
		last_modified normalize {
			from file {http.vars.root}{path} {http.vars.root}/layout.html
		}
	}
	templates
	file_server
}`, port, dir))
	c := plainClient(t, port)
	first := c.get(t, "/page.html", nil)
	if first.status != http.StatusOK || first.body != "<p>the first layout</p>" || first.header.Get("Last-Modified") != "Wed, 03 Jan 2024 03:04:05 GMT" {
		t.Fatalf("first load: got %v, want the page with the layout's date", first)
	}
	since := http.Header{"If-Modified-Since": first.header["Last-Modified"]}
	if got := c.get(t, "/page.html", since); got.status != http.StatusNotModified {
		t.Errorf("revalidation: got %v, want 304", got)
	}
	write("layout.html", "another layout", lastDeploy.AddDate(0, 0, 2))
	if got := c.get(t, "/page.html", since); got.status != http.StatusOK || got.body != "<p>another layout</p>" || got.header.Get("Last-Modified") != "Thu, 04 Jan 2024 03:04:05 GMT" {
		t.Errorf("after a change of the layout: got %v, want 200 with it and its date", got)
	}
	write("page.html", `<b>{{include "/layout.html"}}</b>`, lastDeploy.AddDate(0, 0, 3))
	if got := c.get(t, "/page.html", since); got.status != http.StatusOK || got.header.Get("Last-Modified") != "Fri, 05 Jan 2024 03:04:05 GMT" {
		t.Errorf("after a change of the page: got %v, want 200 with its date", got)
	}
	if err := os.Remove(filepath.Join(dir, "layout.html")); err != nil {
		t.Fatal(err)
	}
	write("page.html", "<p>no layout any more</p>", lastDeploy.AddDate(0, 0, 4))
	if got := c.get(t, "/page.html", since); got.status != http.StatusOK || got.header.Get("Last-Modified") != "Sat, 06 Jan 2024 03:04:05 GMT" {
		t.Errorf("after the layout has vanished: got %v, want 200 with the page's date", got)
	}
}

// TestDatesThatMoveBackwards: what the newest file was is gone, and an older release is back. If-Modified-Since alone
// tells.
func TestDatesThatMoveBackwards(t *testing.T) {
	dir := t.TempDir()
	write := writerIn(t, dir)
	port := freePort(t)
	runCaddy(t, fmt.Sprintf(`http://localhost:%d {
	root %s
	conditional_cache {
		last_modified normalize {
			from file {http.vars.root}{path} {http.vars.root}{path}index.html {http.vars.root}/news.html
		}
	}
	templates
	file_server
}`, port, dir))
	write("index.html", `<p>{{if fileExists "news.html"}}{{include "/news.html"}}{{end}}</p>`, lastDeploy)
	write("news.html", "some news", lastDeploy.AddDate(0, 0, 1))
	c := plainClient(t, port)
	first := c.get(t, "/", nil)
	since := http.Header{"If-Modified-Since": first.header["Last-Modified"]}
	if got := c.get(t, "/", since); first.body != "<p>some news</p>" || got.status != http.StatusNotModified {
		t.Fatalf("got %v, then %v, want the page and a 304", first, got)
	}
	if err := os.Remove(filepath.Join(dir, "news.html")); err != nil {
		t.Fatal(err)
	}
	if got := c.get(t, "/", since); got.status != http.StatusOK || got.body != "<p></p>" || got.header.Get("Last-Modified") != "Tue, 02 Jan 2024 03:04:05 GMT" {
		t.Errorf("without the newest file: got %v, want 200 with the older one's date", got)
	}
	write("index.html", "<p>from the backup</p>", lastDeploy.AddDate(-1, 0, 0))
	since = http.Header{"If-Modified-Since": {"Tue, 02 Jan 2024 03:04:05 GMT"}}
	if got := c.get(t, "/", since); got.status != http.StatusOK || got.body != "<p>from the backup</p>" {
		t.Errorf("with an older release: got %v, want 200", got)
	}
}

// TestRootOfTheRequest: a site's root may be made of what a request says, which file_server takes as it is. A date is
// not looked for outside of the folder in front, nor does a request's text count as a placeholder.
func TestRootOfTheRequest(t *testing.T) {
	dir := t.TempDir()
	write := writerIn(t, dir)
	write("sites/one/page.html", "one", lastDeploy)
	write("page.html", "of none", lastDeploy)
	t.Setenv("CONDITIONAL_CACHE_TEST_SITE", "one")
	port := freePort(t)
	runCaddy(t, fmt.Sprintf(`http://localhost:%d {
	root %s/sites/{http.request.header.X-Site}
	conditional_cache {
		last_modified normalize {
			from file {http.vars.root}/page.html
		}
	}
	handle /status {
		rewrite * /page.html
		file_server
	}
	respond "a page"
}`, port, dir))
	c := plainClient(t, port)
	for site, want := range map[string]string{
		"one": "Tue, 02 Jan 2024 03:04:05 GMT", "..": "", "one/../..": "", "one/../one": "", "two": "",
		"{env.CONDITIONAL_CACHE_TEST_SITE}": "",
	} {
		asked := http.Header{"X-Site": {site}}
		if got := c.get(t, "/", asked); got.status != http.StatusOK || got.header.Get("Last-Modified") != want {
			t.Errorf("%s: got %v, want Last-Modified %q", site, got, want)
		}
	}
	asked := http.Header{"X-Site": {"{env.CONDITIONAL_CACHE_TEST_SITE}"}}
	if got := c.get(t, "/status", asked); got.status != http.StatusNotFound {
		t.Errorf("file_server expands a placeholder of the request: got %v", got)
	}
}
