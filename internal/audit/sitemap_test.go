package audit_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/conditionalcache/caddy-conditional-cache/internal/audit"
)

func urlset(urls ...string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><url><loc> ` +
		strings.Join(urls, "</loc><lastmod>2026-01-01</lastmod></url>\n<url><loc>") + `</loc></url></urlset>`
}

func index(urls ...string) string {
	return `<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><sitemap><loc>` + strings.Join(urls, "</loc></sitemap><sitemap><loc>") +
		`</loc></sitemap></sitemapindex>`
}

func compressed(text string) string {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return out.String()
}

// serveSitemaps has files with sitemaps, good and bad ones, and counts the requests for them.
func serveSitemaps(t *testing.T) (at string, requests *atomic.Int64) {
	t.Helper()
	requests = new(atomic.Int64)
	files := make(map[string]string)
	server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		text, ok := files[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = fmt.Fprint(w, text)
	}))
	at = server.URL
	files["/plain.xml"] = urlset(at+"/a", at+"/b?x=1&amp;y=2", "http://elsewhere.invalid/c", "mailto:somebody")
	files["/packed.xml.gz"] = compressed(urlset(at + "/d"))
	files["/index.xml"] = index(at+"/plain.xml", at+"/packed.xml.gz", at+"/index.xml", "http://elsewhere.invalid/sitemap.xml")
	files["/broken.xml"] = "<urlset><url><loc>" + at + "/a</url>"
	files["/page.html"] = "<!doctype html><p>no sitemap</p>"
	files["/cut.xml.gz"] = compressed(urlset(at + "/d"))[:40]
	var many []string
	for i := range 200 {
		many = append(many, fmt.Sprintf("%s/many-%d.xml", at, i))
		files[fmt.Sprintf("/many-%d.xml", i)] = urlset(fmt.Sprintf("%s/%d", at, i))
	}
	files["/many.xml"] = index(many...)
	return at, requests
}

// TestSitemap: an index, what it names, and what is compressed; only what is of the same host, and each file once.
func TestSitemap(t *testing.T) {
	at, _ := serveSitemaps(t)
	for path, test := range map[string]struct {
		urls      []string
		elsewhere int
	}{
		"/plain.xml":     {urls: []string{"/a", "/b?x=1&y=2"}, elsewhere: 1},
		"/packed.xml.gz": {urls: []string{"/d"}},
		"/index.xml":     {urls: []string{"/a", "/b?x=1&y=2", "/d"}, elsewhere: 1},
	} {
		list, err := readSitemap(t, at+path)
		var got []string
		for _, u := range list.URLs {
			got = append(got, u.RequestURI())
		}
		if err != nil || !slices.Equal(got, test.urls) || list.Elsewhere != test.elsewhere {
			t.Errorf("%s: %v, %d elsewhere, %v", path, got, list.Elsewhere, err)
		}
	}
}

// TestBadSitemap: what is none is said to be none.
func TestBadSitemap(t *testing.T) {
	at, _ := serveSitemaps(t)
	for path, want := range map[string]string{
		"/broken.xml": "XML syntax error", "/page.html": "no URL", "/cut.xml.gz": "EOF", "/none.xml": "404",
	} {
		if _, err := readSitemap(t, at+path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

// TestManySitemaps: of a long index the first files are read.
func TestManySitemaps(t *testing.T) {
	at, requests := serveSitemaps(t)
	if list, err := readSitemap(t, at+"/many.xml"); err != nil || len(list.URLs) != 49 || requests.Load() != 50 {
		t.Errorf("%d URLs, %d requests, %v", len(list.URLs), requests.Load(), err)
	}
}

func readSitemap(t *testing.T, at string) (audit.List, error) {
	t.Helper()
	options := audit.Options{Timeout: timeout}
	if err := options.Check(); err != nil {
		t.Fatal(err)
	}
	u, err := audit.ParseURL(at)
	if err != nil {
		t.Fatal(err)
	}
	return audit.Sitemap(t.Context(), &options, u)
}

// TestReadURLs: a list has one URL on a line.
func TestReadURLs(t *testing.T) {
	urls, err := audit.ReadURLs(strings.NewReader("# pages\n\nhttp://example.com\n  https://example.com/a#top \n"))
	if err != nil || len(urls) != 2 || urls[0].String() != "http://example.com/" || urls[1].String() != "https://example.com/a" {
		t.Error(urls, err)
	}
	for _, text := range []string{"example.com", "ftp://example.com/", "http:///a", "http://ada:s3cret@example.com/", "http://[::1/"} {
		_, err := audit.ReadURLs(strings.NewReader("http://example.com/\n" + text))
		if err == nil || !strings.HasPrefix(err.Error(), "line 2: ") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
