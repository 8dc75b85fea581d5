package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// What a client shows its user is half of a test of it: it may have got it without ever asking whether it is current. The
// other half is what it sent, and what came back.

func init() {
	caddy.RegisterModule(new(witness))
	httpcaddyfile.RegisterHandlerDirective("witness", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		w := new(witness)
		return w, w.UnmarshalCaddyfile(h.Dispenser)
	})
}

// witness is a Caddy handler that notes what passes it. The access log would say the same, but only some time after the
// client has the answer.
type witness struct {
	Place string `json:"place,omitempty"` // in front of conditional_cache or behind it
}

// Places of a witness.
const (
	atClient   = "client"
	atUpstream = "upstream"
)

// testimony is what the witnesses of the one Caddy have noted.
var testimony = newNotebook()

// notebook has sightings in the order of their requests, by the place of the witness.
type notebook struct {
	mu    sync.Mutex
	ended *sync.Cond // one more answer has ended
	open  int        // those that have not
	seen  map[string]sightings
}

// sighting is one request and its answer. All but the request is set by the time the answer has ended.
type sighting struct {
	method, uri string
	asked       http.Header
	status      int
	answered    http.Header
	content     bytes.Buffer // what was written of it
}

func newNotebook() *notebook {
	n := &notebook{seen: make(map[string]sightings)}
	n.ended = sync.NewCond(&n.mu)
	return n
}

// take returns what was noted since the last time. An answer whose end the client has, but its handler not yet, is waited for.
func (n *notebook) take() (atPlace map[string]sightings) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for n.open > 0 {
		n.ended.Wait()
	}
	atPlace, n.seen = n.seen, make(map[string]sightings)
	return atPlace
}

func (*witness) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.witness_test", New: func() caddy.Module { return new(witness) }}
}

// UnmarshalCaddyfile takes the place.
func (w *witness) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.AllArgs(&w.Place) {
		return d.ArgErr()
	}
	return nil
}

func (w *witness) ServeHTTP(rw http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	one := &sighting{method: r.Method, uri: r.RequestURI, asked: r.Header.Clone()}
	testimony.mu.Lock()
	testimony.open++
	testimony.seen[w.Place] = append(testimony.seen[w.Place], one)
	testimony.mu.Unlock()
	defer func() {
		testimony.mu.Lock()
		defer testimony.mu.Unlock()
		testimony.open--
		testimony.ended.Broadcast()
	}()
	err := next.ServeHTTP(&notingWriter{ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: rw}, one: one}, r)
	if failed, ok := errors.AsType[caddyhttp.HandlerError](err); ok && one.status == 0 {
		one.status = failed.StatusCode // Caddy writes it when all handlers have returned
	}
	return err
}

// notingWriter notes an answer that is written through it.
type notingWriter struct {
	*caddyhttp.ResponseWriterWrapper
	one *sighting
}

func (w *notingWriter) WriteHeader(status int) {
	if w.one.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.one.status, w.one.answered = status, w.Header().Clone()
	}
	w.ResponseWriterWrapper.WriteHeader(status)
}

func (w *notingWriter) Write(content []byte) (int, error) {
	w.begin()
	n, err := w.ResponseWriterWrapper.Write(content)
	w.one.content.Write(content[:n])
	return n, err
}

func (w *notingWriter) ReadFrom(r io.Reader) (int64, error) {
	w.begin()
	return w.ResponseWriterWrapper.ReadFrom(io.TeeReader(r, &w.one.content))
}

// begin is what the first octet of a content does where no status was written.
func (w *notingWriter) begin() {
	if w.one.status == 0 {
		w.one.status, w.one.answered = http.StatusOK, w.Header().Clone()
	}
}

// String is what the messages of tests have of a request and its answer.
func (s *sighting) String() string {
	var said strings.Builder
	fmt.Fprintf(&said, "%s %s %d", s.method, s.uri, s.status)
	for _, name := range []string{"If-None-Match", "If-Modified-Since", "Range", "If-Range"} {
		if value := s.asked.Get(name); value != "" {
			fmt.Fprintf(&said, " (%s: %s)", name, value)
		}
	}
	return said.String()
}

// watchedSite is a Caddy with a witness on each side of conditional_cache.
type watchedSite struct{ base string }

// watch runs such a Caddy. The directives are those with conditional_cache, the handler is what is behind.
func watch(t *testing.T, directives, handler string) *watchedSite {
	t.Helper()
	port := freePort(t)
	runCaddy(t, fmt.Sprintf("http://127.0.0.1:%d {\nroute {\nwitness %s\n%s\nwitness %s\n%s\n}\n}", port, atClient, directives, atUpstream, handler))
	testimony.take()
	return &watchedSite{base: fmt.Sprintf("http://127.0.0.1:%d", port)}
}

// during returns what a client asked while do ran, and what of it the upstream was asked.
func (*watchedSite) during(do func()) (client, upstream sightings) {
	testimony.take()
	do()
	seen := testimony.take()
	return seen[atClient], seen[atUpstream]
}

// sightings are in the order of their requests.
type sightings []*sighting

// about returns those of one path.
func (all sightings) about(path string) sightings {
	return slices.DeleteFunc(slices.Clone(all), func(s *sighting) bool {
		asked, _, _ := strings.Cut(s.uri, "?")
		return asked != path
	})
}

// count counts those that had a status and, unless it is "", a field in the request.
func (all sightings) count(status int, field string) (n int) {
	for _, s := range all {
		if s.status == status && (field == "" || s.asked.Get(field) != "") {
			n++
		}
	}
	return n
}

// checkParts wants each 206 to say which part of a file it is, and to have that, or the beginning of it where the client left.
func (all sightings) checkParts(t *testing.T, file string) {
	t.Helper()
	for _, s := range all {
		if s.status != http.StatusPartialContent {
			continue
		}
		var first, last, length int
		said := s.answered.Get("Content-Range")
		if _, err := fmt.Sscanf(said, "bytes %d-%d/%d", &first, &last, &length); err != nil || length != len(file) || last >= length {
			t.Errorf("%v: Content-Range is %q of %d bytes", s, said, len(file))
		} else if !strings.HasPrefix(file[first:last+1], s.content.String()) {
			t.Errorf("%v: the content is not what Content-Range says, %s", s, said)
		}
	}
}

// shelf is an origin in Go that knows neither validators nor ranges: it always sends the whole, and at most a date.
type shelf struct {
	mu     sync.Mutex
	header http.Header
	files  map[string]string // by path
}

// startShelf runs such an origin, and returns the directive that leads to it as well.
func startShelf(t *testing.T) (origin *shelf, handler string) {
	t.Helper()
	// Without max-age=0, a client that takes its own guess how long a file is good would not ask again.
	origin = &shelf{header: http.Header{"Cache-Control": {"public, max-age=0"}, "Content-Type": {"text/html"}}}
	server := httptest.NewServer(origin)
	t.Cleanup(server.Close)
	return origin, "reverse_proxy " + server.Listener.Addr().String()
}

// put replaces all files, and the Last-Modified that they have; "" is none.
func (s *shelf) put(files map[string]string, date string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = files
	if date != "" {
		s.header.Set("Last-Modified", date)
	}
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	content, exists := s.files[r.URL.Path]
	maps.Copy(w.Header(), s.header)
	s.mu.Unlock()
	if !exists {
		http.Error(w, "there is none", http.StatusNotFound)
		return
	}
	if known := mime.TypeByExtension(filepath.Ext(r.URL.Path)); known != "" {
		w.Header().Set("Content-Type", known)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	_, _ = io.WriteString(w, content)
}

// program returns the path of a client that has to be installed.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	requireProgram(t, err == nil, name)
	return path
}

// run runs a client and returns what it prints, of which nothing goes unread when it fails.
func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var problem strings.Builder
	cmd.Stderr = &problem
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", cmd.Args, err, output, problem.String())
	}
	return string(output)
}
