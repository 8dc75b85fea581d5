package integration

import (
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// siteExamples are those of a kind of site, which have a guide and a compose file.
var siteExamples = []string{"django", "rails", "php-wordpress", "laravel", "node-nextjs", "static"}

// exampleFolder is where an example is, as a whole path.
func exampleFolder(t *testing.T, name string) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "examples", name))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// runSiteExample runs an example as it is, but for its ports, with the environment variables that its compose file knows: pairs of
// name and value. It returns a client of each of its ports, which sends what curl sends.
func runSiteExample(t *testing.T, name string, env ...string) (clients []*client) {
	t.Helper()
	for i := 0; i < len(env); i += 2 {
		t.Setenv(env[i], env[i+1])
	}
	text := readDoc(t, filepath.Join(exampleFolder(t, name), "Caddyfile"))
	for _, port := range []string{"8080", "8081"} {
		if !strings.Contains(text, "\nhttp://localhost:"+port+" {\n") {
			continue
		}
		free := freePort(t)
		text = strings.ReplaceAll(text, "http://localhost:"+port+" {", "http://localhost:"+strconv.Itoa(free)+" {")
		clients = append(clients, plainClient(t, free))
	}
	globals := ""
	if before, after, ok := strings.Cut(text, "\n{\n"); ok {
		globals, text, _ = strings.Cut(after, "\n}\n")
		text = before + "\n" + text
	}
	runCaddyWith(t, globals, text)
	return clients
}

// reload gets a page twice, the second time with the tag of the first answer, and wants a 304 whose Server-Timing begins with
// what it names. It returns that.
func (c *client) reload(t *testing.T, path, timing string, fields ...string) answer {
	t.Helper()
	first := c.fetch(t, path, fields...)
	tag := first.header.Get("Etag")
	if first.status != http.StatusOK || tag == "" {
		t.Fatalf("GET %s with %q: %v", path, fields, first)
	}
	second := c.fetch(t, path, append([]string{"If-None-Match", tag}, fields...)...)
	if got := second.header.Get("Server-Timing"); second.status != http.StatusNotModified || !strings.HasPrefix(got, timing) {
		t.Errorf("GET %s once more with %q: %v, want a 304 and %s", path, fields, second, timing)
	}
	return second
}

// forgotten wants a 304 to a tag that does not come from memory.
func (c *client) forgotten(t *testing.T, path, tag string) {
	t.Helper()
	got := c.must(t, http.StatusNotModified, http.MethodGet, path, "", "If-None-Match", tag)
	if !strings.HasPrefix(got.header.Get("Server-Timing"), toldByTag) {
		t.Errorf("%s is remembered: %v", path, got)
	}
}

// assets is reload of a file, whose Cache-Control it wants to be one.
func (c *client) assets(t *testing.T, path, cacheControl, timing string) {
	t.Helper()
	c.reload(t, path, timing)
	if got := c.fetch(t, path).header.Get("Cache-Control"); got != cacheControl {
		t.Errorf("%s: Cache-Control %q, want %q", path, got, cacheControl)
	}
}

// mustSay wants a 200 with texts in its body.
func mustSay(t *testing.T, got answer, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if got.status != http.StatusOK || !strings.Contains(got.body, text) {
			t.Errorf("%v, want a 200 with %q in\n%s", got, text, got.body)
		}
	}
}

// setCookie is the first cookie that an answer sets, as a request has it.
func setCookie(t *testing.T, got answer) string {
	t.Helper()
	cookie, _, _ := strings.Cut(got.header.Get("Set-Cookie"), ";")
	if cookie == "" {
		t.Fatalf("no cookie: %v", got)
	}
	return cookie
}
