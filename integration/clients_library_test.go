package integration

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gregjones/httpcache"
)

// libraries are caches that programs have for what they ask.
var libraries = []returning{
	{name: "httpcache", field: "If-None-Match", start: startHTTPCache},
	{name: "httpcache, page with a date", field: "If-Modified-Since", start: startHTTPCache},
	{name: "undici's cache interceptor", field: "If-None-Match", start: startUndici},
}

// TestLibraries: caches inside of programs get a 304 as long as nothing has changed, though the upstream makes none, and with remember it is not even
// asked.
func TestLibraries(t *testing.T) { checkAll(t, libraries) }

// startHTTPCache starts a cache for Go's client. It keeps what was decoded, and its tag.
func startHTTPCache(t *testing.T, base string) (load func() string) {
	t.Helper()
	client := httpcache.NewMemoryCacheTransport().Client()
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return func() string {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/page", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		content, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s, %v", resp.Status, err)
		}
		return string(content)
	}
}

// startUndici starts, of the Node.js packages that testdata/clients/SHA256SUMS names and .ci/run gets, a process that loads the page once a line.
func startUndici(t *testing.T, base string) (load func() string) {
	t.Helper()
	folder := os.Getenv("CONDITIONAL_CACHE_CLIENTS")
	node, err := exec.LookPath("node")
	requireProgram(t, err == nil && folder != "", "undici, with Node.js and CONDITIONAL_CACHE_CLIENTS,")
	cmd := exec.CommandContext(t.Context(), node, "testdata/clients/undici.cjs", base+"/page")
	cmd.Env = append(os.Environ(), "UNDICI="+filepath.Join(folder, "node_modules", "undici"))
	cmd.Stderr = os.Stderr
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = input.Close() // the end of what it does
		_ = cmd.Wait()
	})
	lines := json.NewDecoder(bufio.NewReader(output))
	return func() (content string) {
		if _, err := io.WriteString(input, "\n"); err != nil {
			t.Fatal(err)
		}
		if err := lines.Decode(&content); err != nil {
			t.Fatal(err)
		}
		return content
	}
}
