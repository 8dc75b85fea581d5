package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// clientSite is realSite behind a bare conditional_cache and encode.
type clientSite struct {
	base  string // the beginning of its URLs
	pages *pageFolder
}

func TestCommandLineClients(t *testing.T) {
	directives, pages := realSite(t)
	port := freePort(t)
	runCaddy(t, fmt.Sprintf("http://localhost:%d {\n conditional_cache\n encode gzip\n %s\n}", port, directives))
	site := clientSite{base: fmt.Sprintf("http://localhost:%d", port), pages: pages}
	t.Run("curl --etag-compare", site.testCurlTags)
	t.Run("curl -z", site.testCurlDates)
	t.Run("curl -z, page without date", site.testCurlWithoutDate)
	t.Run("wget -N", site.testWget)
}

// runCurl runs curl and returns the status it saw.
func runCurl(t *testing.T, args ...string) (status string) {
	t.Helper()
	path, err := exec.LookPath("curl")
	requireProgram(t, err == nil, "curl")
	// -q: whatever the user's .curlrc says does not count.
	args = slices.Concat([]string{"-q", "--silent", "--show-error", "--write-out", "%{http_code}"}, args)
	var problem strings.Builder
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stderr = &problem
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("curl %v: %v: %s", args, err, problem.String())
	}
	return string(output)
}

// curl runs curl and wants a status and, if that is 200, the current page.
func (s clientSite) curl(t *testing.T, status string, args ...string) {
	t.Helper()
	page := filepath.Join(t.TempDir(), "page")
	if got := runCurl(t, slices.Concat([]string{"--output", page}, args)...); got != status {
		t.Errorf("curl %v: got %s, want %s", args, got, status)
	}
	content, err := os.ReadFile(page)
	switch {
	case status == "304":
		if len(content) > 0 {
			t.Errorf("curl %v: the 304 came with %d bytes", args, len(content))
		}
	case err != nil:
		t.Error(err)
	case string(content) != s.pages.content():
		t.Errorf("curl %v: got %.60q, want %.60q", args, content, s.pages.content())
	}
}

// testCurlTags saves the tag of a page, and then asks whether the page has changed.
func (s clientSite) testCurlTags(t *testing.T) {
	for _, options := range [][]string{nil, {"--compressed"}} {
		for _, page := range realPages {
			t.Run(strings.Join(options, "")+page.name, func(t *testing.T) {
				tag := filepath.Join(t.TempDir(), "tag")
				withTag := func(option string) []string {
					return slices.Concat(options, []string{option, tag, s.base + page.path})
				}
				s.curl(t, "200", withTag("--etag-save")...)
				s.curl(t, "304", withTag("--etag-compare")...)
				s.pages.change(t)
				s.curl(t, "200", withTag("--etag-compare")...)
			})
		}
	}
}

// datedPages are the real pages that come with a Last-Modified.
var datedPages = []string{"/nginx/page.html", "/nginx/untagged/page.html", "/django/dated", "/files/page.html"}

// testCurlDates: with -R curl gives the file it writes the date of the page, and with -z it asks for what is
// newer than a file.
func (s clientSite) testCurlDates(t *testing.T) {
	for _, path := range datedPages {
		t.Run(path, func(t *testing.T) {
			saved := filepath.Join(t.TempDir(), "saved")
			if status := runCurl(t, s.base+path, "-R", "-o", saved); status != "200" {
				t.Fatalf("got %s, want 200", status)
			}
			s.curl(t, "304", s.base+path, "-z", saved)
			s.pages.change(t)
			s.curl(t, "200", s.base+path, "-z", saved)
		})
	}
}

// testCurlWithoutDate: a page without a date cannot be compared by one. Nothing is newer than an unknown date.
func (s clientSite) testCurlWithoutDate(t *testing.T) {
	for _, path := range []string{"/nginx/nix.html", "/django/plain", "/files/nix.html", "/templates/template.html", "/respond"} {
		t.Run(path, func(t *testing.T) {
			s.curl(t, "200", s.base+path, "-z", "2030-01-01T00:00:00Z")
		})
	}
}

// testWget: with -N wget loads a page only if it is newer than the file from the last time.
func (s clientSite) testWget(t *testing.T) {
	wget, err := exec.LookPath("wget")
	requireProgram(t, err == nil, "wget")
	for _, path := range datedPages {
		t.Run(path, func(t *testing.T) {
			folder := t.TempDir()
			load := func(status string) {
				t.Helper()
				cmd := exec.CommandContext(t.Context(), wget, "-N", "--server-response", "--no-config", "-P", folder, s.base+path)
				output, err := cmd.CombinedOutput()
				if err != nil || !strings.Contains(string(output), "HTTP/1.1 "+status) {
					t.Errorf("wget: %v, want %s:\n%s", err, status, output)
				}
				content, err := os.ReadFile(filepath.Join(folder, filepath.Base(path)))
				if err != nil || string(content) != s.pages.content() {
					t.Errorf("got %.60q, %v; want %.60q", content, err, s.pages.content())
				}
			}
			load("200")
			load("304")
			s.pages.change(t)
			load("200")
		})
	}
}
