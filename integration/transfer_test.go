package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	// offered is the length of the bodies that nobody needs.
	offered = 100 << 20
	// patience bounds every wait: a test that fails does not hang.
	patience = 20 * time.Second
	// pace is the pause of a slow upstream after each 32 KiB.
	pace = 10 * time.Millisecond
)

// longPiece is 32 KiB of a long body.
var longPiece = strings.Repeat("a long body is offered in vain. ", 1<<10)

// transfer is one response of a longUpstream.
type transfer struct {
	written atomic.Int64
	ended   chan struct{}
}

// await returns what was written of the body by the time its handler had returned.
func (tr *transfer) await(t *testing.T) int64 {
	t.Helper()
	select {
	case <-tr.ended:
	case <-time.After(patience):
		t.Fatalf("the upstream still sends, %d bytes so far", tr.written.Load())
	}
	return tr.written.Load()
}

// longUpstream has long bodies, and no ear for conditions or ranges: every answer is a 200.
type longUpstream struct {
	server    *httptest.Server
	mu        sync.Mutex
	transfers map[string]*transfer // by request URI
	open      map[net.Conn]bool
	most      int // connections at one time
}

func newLongUpstream(t *testing.T) *longUpstream {
	t.Helper()
	u := &longUpstream{transfers: map[string]*transfer{}, open: map[net.Conn]bool{}}
	u.server = httptest.NewUnstartedServer(u)
	u.server.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		u.mu.Lock()
		defer u.mu.Unlock()
		switch state {
		case http.StateNew:
			u.open[conn] = true
			u.most = max(u.most, len(u.open))
		case http.StateClosed, http.StateHijacked:
			delete(u.open, conn)
		case http.StateActive, http.StateIdle:
		}
	}
	u.server.Start()
	t.Cleanup(func() {
		u.server.CloseClientConnections()
		u.server.Close()
	})
	return u
}

// transfer is the one that a request URI, used once, stands for.
func (u *longUpstream) transfer(uri string) *transfer {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.transfers[uri] == nil {
		u.transfers[uri] = &transfer{ended: make(chan struct{})}
	}
	return u.transfers[uri]
}

// connections returns how many are open, and how many were at one time.
func (u *longUpstream) connections() (open, most int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.open), u.most
}

// ServeHTTP offers a body as the words in the path say: tagged or dated; chunked or with its length;
// slow, or stalled after the head, or after the first piece, or else as fast as it is taken.
func (u *longUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	tr := u.transfer(r.RequestURI)
	defer close(tr.ended)
	says := func(word string) bool { return strings.Contains(r.URL.Path, "/"+word) }
	w.Header().Set("Content-Type", "text/html")
	if says("tagged") {
		w.Header().Set("Etag", `"long"`)
	}
	if says("dated") {
		w.Header().Set("Last-Modified", lastDeploy.Format(http.TimeFormat))
	}
	if !says("chunked") {
		w.Header().Set("Content-Length", strconv.Itoa(offered))
	}
	var pause <-chan time.Time // for ever
	for range offered / len(longPiece) {
		if !says("stalled") || says("begun") {
			n, err := io.WriteString(w, longPiece)
			if tr.written.Add(int64(n)); err != nil {
				return
			}
		}
		if says("slow") {
			pause = time.After(pace)
		} else if !says("stalled") {
			continue
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-pause:
		}
	}
}

// unneeded are requests whose answer is known long before the end of the body.
var unneeded = []struct {
	name   string
	method string
	path   string
	fields http.Header
	status int
	body   string
}{
	{
		"If-None-Match", http.MethodGet, "/tagged",
		http.Header{"If-None-Match": {`"long"`}},
		http.StatusNotModified, "",
	},
	{
		"If-Modified-Since", http.MethodGet, "/dated",
		http.Header{"If-Modified-Since": {lastDeploy.Format(http.TimeFormat)}},
		http.StatusNotModified, "",
	},
	{
		"If-Match", http.MethodGet, "/tagged",
		http.Header{"If-Match": {`"another"`}},
		http.StatusPreconditionFailed, "",
	},
	{
		"If-Unmodified-Since", http.MethodGet, "/dated",
		http.Header{"If-Unmodified-Since": {lastDeploy.Add(-time.Hour).Format(http.TimeFormat)}},
		http.StatusPreconditionFailed, "",
	},
	{"HEAD", http.MethodHead, "/tagged", nil, http.StatusOK, ""},
	{
		"HEAD with If-None-Match", http.MethodHead, "/tagged",
		http.Header{"If-None-Match": {`"long"`}},
		http.StatusNotModified, "",
	},
	{
		"Range", http.MethodGet, "/tagged/begun",
		http.Header{"Range": {"bytes=10-99"}},
		http.StatusPartialContent, longPiece[10:100],
	},
}

// transferSite is Caddy with conditional_cache before a longUpstream.
type transferSite struct {
	*longUpstream
	clients []*client
	log     string
	logged  int64 // length of the log when the site was ready
}

// newTransferSite starts one. A quiet one has to have logged nothing that an operator would look at when
// it has stopped.
func newTransferSite(t *testing.T, directives string, quiet bool) *transferSite {
	t.Helper()
	s := &transferSite{longUpstream: newLongUpstream(t), log: filepath.Join(t.TempDir(), "caddy.log")}
	if quiet {
		t.Cleanup(func() { s.checkLog(t) })
	}
	port := freePort(t)
	// Why request_buffers, newFaultMatrix says.
	runCaddyWith(t, "log {\n output file "+s.log+"\n level DEBUG\n}", fmt.Sprintf(
		"https://localhost:%d {\n tls internal\n %s\n reverse_proxy %s {\n request_buffers unlimited\n }\n}", port, directives, s.server.Listener.Addr()))
	s.clients = protocolClients(t, port)
	// One that hangs up as soon as it has its answer, as command-line tools do.
	hasty := *s.clients[0]
	hasty.transport = s.clients[0].transport.(*http.Transport).Clone()
	hasty.transport.(*http.Transport).DisableKeepAlives = true
	s.clients = append(s.clients, &hasty)
	info, err := os.Stat(s.log)
	if err != nil {
		t.Fatal(err)
	}
	s.logged = info.Size()
	return s
}

// checkLog wants nothing above INFO of the time since the site was ready, but of an upstream that was silent
// for too long, as it may be on a busy machine: reverse_proxy warns of that, and conditional_cache says why.
func (s *transferSite) checkLog(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(s.log)
	if err != nil {
		t.Fatal(err)
	}
	silent := make(map[string]bool)
	for line := range strings.Lines(string(text[s.logged:])) {
		var entry struct {
			Level, Msg, URI string
			Request         struct{ URI string }
		}
		err := json.Unmarshal([]byte(line), &entry)
		switch {
		case err == nil && entry.Msg == "closing the connection of a silent upstream":
			silent[entry.URI] = true
		case err != nil, entry.Level != "debug" && entry.Level != "info" && !silent[entry.Request.URI]:
			t.Errorf("the log has: %s", line)
		}
	}
}

// load sends the nth request of unneeded, which waits no longer than the test's patience, and checks
// the answer.
func (s *transferSite) load(t *testing.T, c *client, n int, uri string) {
	t.Helper()
	tt := unneeded[n]
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, tt.method, c.base+uri, http.NoBody)
	if err != nil {
		t.Error(err)
		return
	}
	request.Host = c.host
	request.Header.Set("Accept-Encoding", "gzip")
	maps.Copy(request.Header, tt.fields)
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		t.Error(err)
		return
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.Proto != c.protocol || response.StatusCode != tt.status || string(body) != tt.body {
		t.Errorf("got %s %d with %d bytes, error %v; want %d with %d bytes",
			response.Proto, response.StatusCode, len(body), err, tt.status, len(tt.body))
	}
}

// each calls test for every client and every request, with a URI that is used once.
func (s *transferSite) each(t *testing.T, prefix string, test func(t *testing.T, c *client, n int, uri string)) {
	t.Helper()
	for i, c := range s.clients {
		for n, tt := range unneeded {
			for _, length := range []string{"/length", "/chunked"} {
				if length == "/chunked" && tt.status == http.StatusPartialContent {
					continue // a part of a length that nobody knows
				}
				t.Run(fmt.Sprintf("client=%d/%s/%s%s", i, c.protocol, tt.name, length), func(t *testing.T) {
					test(t, c, n, fmt.Sprintf("%s%s%s?%d-%d", prefix, tt.path, length, i, n))
				})
			}
		}
	}
}

// transferSetups are what stands around the upstream.
var transferSetups = []struct{ name, directives string }{
	{"alone", "conditional_cache {\n head get\n ranges stream\n }"},
	{"inside encode", "encode gzip\n conditional_cache {\n head get\n ranges stream\n }"},
}

// Of a body that nobody needs hardly anything is fetched: neither before the client has its answer nor
// after it.
func TestUnneededBodyIsNotFetched(t *testing.T) {
	for _, setup := range transferSetups {
		t.Run(setup.name, func(t *testing.T) {
			s := newTransferSite(t, setup.directives, true)
			s.each(t, "/slow", func(t *testing.T, c *client, n int, uri string) {
				t.Helper()
				s.load(t, c, n, uri)
				if before := s.transfer(uri).written.Load(); before >= 1<<20 {
					t.Errorf("%d bytes were sent before the client had its answer", before)
				}
				if all := s.transfer(uri).await(t); all > offered/10 {
					t.Errorf("%d of %d bytes were sent, of which none was needed", all, offered)
				}
			})
		})
	}
}

// An upstream that falls silent keeps nobody waiting, though encode keeps a head without a body back
// until the handlers inside have returned. (That reverse_proxy logs the end of the request then, as a
// warning, is known.)
func TestStalledUpstreamKeepsNobodyWaiting(t *testing.T) {
	for _, setup := range transferSetups {
		t.Run(setup.name, func(t *testing.T) {
			s := newTransferSite(t, setup.directives, false)
			s.each(t, "/stalled", func(t *testing.T, c *client, n int, uri string) {
				t.Helper()
				began := time.Now()
				s.load(t, c, n, uri)
				if took := time.Since(began); took > patience/4 {
					t.Errorf("the answer took %v", took)
				}
				s.transfer(uri).await(t)
			})
		})
	}
}

// A transfer that is ended costs its connection; it must not cost more than that one.
func TestEndedTransfersLeaveNoConnections(t *testing.T) {
	for _, setup := range transferSetups {
		t.Run(setup.name, func(t *testing.T) {
			s := newTransferSite(t, setup.directives, true)
			load := func(i int) {
				c, n := s.clients[i%len(s.clients)], i%len(unneeded)
				length := "/length"
				if i%2 == 1 && unneeded[n].status != http.StatusPartialContent {
					length = "/chunked"
				}
				s.load(t, c, n, fmt.Sprintf("%s%s?%d", unneeded[n].path, length, i))
			}
			for i := range 200 {
				load(i)
			}
			// A client may have its answer before the handler has come to its end.
			if _, most := s.connections(); most > 16 {
				t.Errorf("for one request after the other there were %d connections at one time", most)
			}
			s.checkConnections(t)
			var all sync.WaitGroup
			for i := range 20 {
				all.Go(func() { load(200 + i) })
			}
			all.Wait()
			s.checkConnections(t)
		})
	}
}

// checkConnections wants all connections but a few to be closed soon.
func (s *transferSite) checkConnections(t *testing.T) {
	t.Helper()
	const few = 4
	deadline := time.Now().Add(patience)
	for {
		open, most := s.connections()
		if open <= few {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d connections to the upstream stay open, of %d at one time", open, most)
		}
		time.Sleep(time.Millisecond)
	}
}
