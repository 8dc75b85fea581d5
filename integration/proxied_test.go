package integration

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// proxySite runs Caddy with a bare conditional_cache in front of one upstream and returns a client of it.
func proxySite(t *testing.T, upstream string) *client {
	t.Helper()
	port := freePort(t)
	runCaddy(t, fmt.Sprintf("http://localhost:%d {\n conditional_cache\n reverse_proxy %s\n}", port, upstream))
	return plainClient(t, port)
}

// djangoSite is proxySite in front of Django.
func djangoSite(t *testing.T) (*client, *pageFolder) {
	t.Helper()
	pages := newPageFolder(t)
	return proxySite(t, startDjango(t, pages)), pages
}

// renders asks Django how often it has rendered a page.
func renders(t *testing.T, c *client, path string) string {
	t.Helper()
	return c.get(t, "/renders?path="+path, nil).body
}

// A client that only knows our tag sends no date. The tag carries the date, so Django still gets to say 304
// before it renders the page: a revalidation costs what it cost without us.
func TestDjangoIsAskedByDateForOurTag(t *testing.T) {
	c, pages := djangoSite(t)
	first := c.get(t, "/dated", nil)
	condition := http.Header{"If-None-Match": {first.header.Get("Etag")}}
	if n := renders(t, c, "/dated"); first.status != http.StatusOK || n != "1" {
		t.Fatalf("first load: got %v after %s renders, want 200 after 1", first, n)
	}

	revalidated := c.get(t, "/dated", condition)
	checkNotModified(t, revalidated, first.header.Get("Etag"))
	if status := revalidated.header.Get("X-Django-Status"); status != "304" {
		t.Errorf("Django answered the revalidation with %s, want 304", status)
	}
	if n := renders(t, c, "/dated"); n != "1" {
		t.Errorf("the page was rendered %s times after a revalidation, want 1", n)
	}

	pages.change(t)
	changed := c.get(t, "/dated", condition)
	if n := renders(t, c, "/dated"); changed.status != http.StatusOK || changed.body != pages.content() || n != "2" {
		t.Errorf("after a change: got %v after %s renders, want 200 with the new page after 2", changed, n)
	}
}

// What Django can answer by itself it is asked as without us.
func TestDjangoAnswersItsOwnConditions(t *testing.T) {
	c, _ := djangoSite(t)
	for _, tt := range []struct{ path, validator, field string }{
		{"/etagged", "Etag", "If-None-Match"},
		{"/dated", "Last-Modified", "If-Modified-Since"},
	} {
		t.Run(tt.path, func(t *testing.T) {
			first := c.get(t, tt.path, nil)
			got := c.get(t, tt.path, http.Header{tt.field: {first.header.Get(tt.validator)}})
			if got.status != http.StatusNotModified || got.body != "" {
				t.Errorf("got %v, want an empty 304", got)
			}
			if status := got.header.Get("X-Django-Status"); status != "304" {
				t.Errorf("Django answered with %s, want 304", status)
			}
		})
	}
}

// Conditions do not apply to an answer that is not 2xx (RFC 9110 §13.2.1), and an error has no entity tag.
func TestUpstreamErrorsPass(t *testing.T) {
	conditions := map[string]string{
		"If-None-Match":     "*",
		"If-Match":          `"x"`,
		"If-Modified-Since": "Mon, 01 Jan 2035 00:00:00 GMT",
		"Range":             "bytes=0-1",
	}
	for _, tt := range []struct {
		name   string
		start  func(*testing.T, *pageFolder) string
		status map[string]int
	}{
		{"Django", startDjango, map[string]int{"/error500": http.StatusInternalServerError, "/nothing": http.StatusNotFound}},
		{"nginx", startNginx, map[string]int{"/nothing": http.StatusNotFound}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := proxySite(t, tt.start(t, newPageFolder(t)))
			for path, status := range tt.status {
				for name, value := range conditions {
					got := c.get(t, path, http.Header{name: {value}})
					if got.status != status || got.body == "" || got.header.Get("Etag") != "" {
						t.Errorf("%s with %s: %s: got %v, want %d with its page and without ETag", path, name, value, got, status)
					}
				}
			}
		})
	}
}

// A page that stalls in the middle is not held back: its first half arrives while the upstream waits.
func TestStalledPageStreams(t *testing.T) {
	c, pages := djangoSite(t)
	response := c.open(t, "/stalled", nil)
	defer response.Body.Close()
	half := make([]byte, len(pages.content())/2)
	if _, err := io.ReadFull(response.Body, half); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(pages.dir, "release"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if body := string(half) + string(rest); body != pages.content() {
		t.Errorf("got %q, want %q", body, pages.content())
	}
	if etag := response.Header.Get("Etag"); etag != "" {
		t.Errorf("got ETag %s for a body that was not known at the head", etag)
	}
}

// Django masks the CSRF token anew in every answer, so no two are the same: a tag of one never confirms
// another.
func TestDjangoFormIsNeverConfirmed(t *testing.T) {
	c, _ := djangoSite(t)
	first := c.get(t, "/form", nil)
	second := c.get(t, "/form", http.Header{"If-None-Match": {first.header.Get("Etag")}})
	if second.status != http.StatusOK || second.body == first.body || second.header.Get("Etag") == first.header.Get("Etag") {
		t.Errorf("got %v after %v, want 200 with another token and another ETag", second, first)
	}
}

// nginx sends ranges of what it has tagged or dated itself; nothing of ours stands in between.
func TestNginxRangesPass(t *testing.T) {
	pages := newPageFolder(t)
	c := proxySite(t, startNginx(t, pages))
	for _, path := range []string{"/page.html", "/untagged/page.html"} {
		t.Run(path, func(t *testing.T) {
			got := c.get(t, path, http.Header{"Range": {"bytes=0-14"}})
			if got.status != http.StatusPartialContent || got.body != pages.content()[:15] {
				t.Errorf("got %v, want 206 with the first 15 bytes", got)
			}
		})
	}
}

// A download that goes on names the version it began with. When that is not the current one, the answer has
// to be the whole page, never a part of another version.
func TestInterruptedDownloadIsNeverMixed(t *testing.T) {
	pages := newPageFolder(t)
	c := proxySite(t, startNginx(t, pages))
	c.acceptEncoding = "identity"
	for _, path := range []string{"/page.html", "/untagged/page.html", "/nix.html"} {
		t.Run(path, func(t *testing.T) {
			etag := c.get(t, path, nil).header.Get("Etag")
			pages.change(t)
			got := c.get(t, path, http.Header{"Range": {"bytes=100-"}, "If-Range": {etag}})
			if got.status != http.StatusOK || got.body != pages.content() {
				t.Errorf("got %v, want 200 with the whole new page", got)
			}
		})
	}
}
