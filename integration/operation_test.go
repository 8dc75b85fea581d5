package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// logged is what the access log says of a request.
type logged struct {
	Status           int `json:"status"`
	ConditionalCache struct {
		Outcome string `json:"outcome"`
		Reason  string `json:"reason"`
	} `json:"conditional_cache"`
}

// Who reads the access log learns what became of each request and why.
func TestAccessLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	port := freePort(t)
	runCaddy(t, fmt.Sprintf(`http://127.0.0.1:%d {
	log {
		output file %s
	}
	conditional_cache
	header /private Cache-Control no-store
	handle /nested {
		conditional_cache {
			etag strong
			guard_writes
		}
		respond "a page"
	}
	respond "a page"
}`, port, path))
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	tagged := ask(t, http.MethodGet, base+"/", "")
	ask(t, http.MethodGet, base+"/", tagged.Header.Get("Etag"))
	ask(t, http.MethodGet, base+"/private", "")
	ask(t, http.MethodPost, base+"/", "")
	ask(t, http.MethodPut, base+"/nested", `"another"`)
	ask(t, http.MethodPut, base+"/nested", "*")
	ask(t, http.MethodPut, base+"/nested", "")

	want := []string{
		"200 tagged no_condition", "304 not_modified if_none_match", "200 streamed no_store", "200 streamed method",
		"200 guarded none_matched", "412 precondition_failed if_none_match", "200 streamed method",
	}
	var got []string
	for deadline := time.Now().Add(5 * time.Second); len(got) < len(want) && time.Now().Before(deadline); {
		got = nil
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the file comes with the first line
		}
		for line := range strings.Lines(string(text)) {
			var entry logged
			if err := json.Unmarshal([]byte(line), &entry); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			got = append(got, fmt.Sprintf("%d %s %s", entry.Status, entry.ConditionalCache.Outcome, entry.ConditionalCache.Reason))
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the access log says\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// ask sends a request over a connection of its own and reads the answer to its end.
func ask(t *testing.T, method, uri, ifNoneMatch string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, uri, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if ifNoneMatch != "" {
		r.Header.Set("If-None-Match", ifNoneMatch)
	}
	resp, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp
}

// A reload replaces the handlers while requests are inside them: no answer is cut short or has another
// tag.
func TestReloadUnderLoad(t *testing.T) {
	body := strings.Repeat("a line of a page\n", 4096)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		half := len(body) / 2
		_, _ = io.WriteString(w, body[:half])
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, body[half:])
	}))
	defer upstream.Close()
	port := freePort(t)
	config := func(n int) string {
		return fmt.Sprintf("http://127.0.0.1:%d {\n conditional_cache %dm\n reverse_proxy %s\n}", port, n, upstream.Listener.Addr())
	}
	runCaddy(t, config(1))
	uri := fmt.Sprintf("http://127.0.0.1:%d/", port)
	etag := ask(t, http.MethodGet, uri, "").Header.Get("Etag")

	var (
		clients sync.WaitGroup
		answers atomic.Int64
	)
	stop := make(chan struct{})
	defer clients.Wait()
	defer close(stop)
	for range 4 {
		clients.Go(func() { revalidate(t, uri, etag, body, &answers, stop) })
	}
	for n := range 10 {
		reload(t, config(n+2))
		for enough, deadline := answers.Load()+10, time.Now().Add(5*time.Second); answers.Load() < enough; {
			if time.Now().After(deadline) {
				t.Fatalf("no answers after reload %d", n+1)
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// reload loads another configuration into the Caddy that runCaddy runs.
func reload(t *testing.T, sites string) {
	t.Helper()
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte("{\n"+globalOptions+"\n}\n"+sites), nil)
	if err == nil {
		err = caddy.Load(adapted, true)
	}
	if err != nil {
		t.Errorf("reloading: %v", err)
	}
}

// revalidate asks for the page and for its 304 in turn until it is told to stop.
func revalidate(t *testing.T, uri, etag, body string, answers *atomic.Int64, stop <-chan struct{}) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer client.CloseIdleConnections()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, uri, http.NoBody)
		if err != nil {
			t.Error(err)
			return
		}
		want, wantBody := http.StatusOK, body
		if n%2 == 1 {
			r.Header.Set("If-None-Match", etag)
			want, wantBody = http.StatusNotModified, ""
		}
		resp, err := client.Do(r)
		if err != nil {
			continue // Caddy closes the old listener's connections; another one will do
		}
		answers.Add(1)
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != want || string(got) != wantBody || resp.Header.Get("Etag") != etag {
			t.Errorf("status %d, %d bytes, ETag %s, error %v; want %d, %d bytes, %s",
				resp.StatusCode, len(got), resp.Header.Get("Etag"), err, want, len(wantBody), etag)
			return
		}
	}
}

// TestRiskyRowsAreLogged: what is valid in a row and probably not meant is one line when the Caddyfile is adapted, with
// its place, and one when the handler is provisioned. It is no error.
func TestRiskyRowsAreLogged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "caddy.log")
	options := "\tlog {\n\t\toutput file " + path + "\n\t\tlevel WARN\n\t}\n"
	runCaddyWith(t, options, "") // what adapts next logs to the file
	runCaddyWith(t, options, fmt.Sprintf("http://127.0.0.1:%d {\n\tconditional_cache {\n\t\tcache_control text/html immutable max-age=1h\n\t}\n}\n", freePort(t)))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"logger":"caddyfile","msg":"cache_control text/html: immutable on pages`, `"file":"Caddyfile","line":`,
		`"logger":"http.handlers.conditional_cache","msg":"cache_control text/html: immutable on pages`, `"row":1`,
	} {
		if strings.Count(string(text), want) != 1 {
			t.Errorf("not one line with %s in\n%s", want, text)
		}
	}
}
