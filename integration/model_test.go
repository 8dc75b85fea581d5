package integration

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() { caddy.RegisterModule(modelUpstream{}) }

// modelUpstream is a site whose pages have versions. It is a handler of Caddy's, so that many requests cost little.
type modelUpstream struct{}

// CaddyModule returns the Caddy module information.
func (modelUpstream) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.model_upstream", New: func() caddy.Module { return new(modelUpstream) }}
}

// ServeHTTP answers a GET with the page's version as it is now, sometimes late, and makes a PUT a new version.
func (modelUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	m := theModel.Load()
	m.asked.Add(1)
	n, err := strconv.Atoi(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
	if err != nil {
		return caddyhttp.Error(http.StatusNotFound, err)
	}
	p := &m.pages[n]
	if r.Method == http.MethodPut {
		w.Header().Set("X-Version", strconv.FormatInt(p.current.Add(1), 10))
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	version := p.current.Load()
	if rand.IntN(4) == 0 {
		time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond) // so that some are overtaken
	}
	w.Header().Set("Content-Type", "text/plain")
	_, err = fmt.Fprintf(w, "%d %d", n, version)
	return err
}

var theModel atomic.Pointer[model]

// model knows which versions of a page may be confirmed. What a client may rely on: once a write through the server
// was answered, or a purge after a change behind its back, nothing older is confirmed to who asks after that.
type model struct {
	t     *testing.T
	nodes []*caddyhttp.Server
	purge func(path string) // returns when the pages at and below it are purged
	late  time.Duration     // how long another node may take to hear of it
	pages []modelPage
	asked atomic.Int64
	tags  sync.Map // entity tag: "page version"

	requests, confirmed atomic.Int64
}

type modelPage struct {
	current atomic.Int64 // version
	settled atomic.Int64 // the oldest version that may still be confirmed
	at      atomic.Int64 // when it was settled
}

// settle says that no version older than this may be confirmed any longer.
func (p *modelPage) settle(version int64) {
	for {
		old := p.settled.Load()
		if version <= old || p.settled.CompareAndSwap(old, version) {
			p.at.Store(time.Now().UnixNano())
			return
		}
	}
}

func modelPath(n int) string { return fmt.Sprintf("/%d/%d/%d", n%10, n%100, n) }

func (m *model) request(node int, method, path string, fields ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(m.t.Context(), method, "http://model.example"+path, http.NoBody)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	w := httptest.NewRecorder()
	m.nodes[node].ServeHTTP(w, r)
	m.requests.Add(1)
	return w
}

// get asks for a page as one who has a version of it, and checks what comes.
func (m *model) get(node, n int, have string) (tag string) {
	p := &m.pages[n]
	before := p.settled.Load()
	if m.late > 0 && time.Now().UnixNano()-p.at.Load() < int64(m.late) {
		before = 0 // this node need not have heard of it
	}
	var fields []string
	if have != "" {
		fields = []string{"If-None-Match", have}
	}
	w := m.request(node, http.MethodGet, modelPath(n), fields...)
	after := p.current.Load()
	tag = w.Header().Get("Etag")
	switch w.Code {
	case http.StatusOK:
		m.tags.Store(tag, w.Body.String())
	case http.StatusNotModified:
		m.confirmed.Add(1)
		if tag != have {
			m.t.Errorf("asked about %s, answered with %s", have, tag)
		}
	default:
		m.t.Errorf("%d to a GET of page %d", w.Code, n)
		return ""
	}
	content, _ := m.tags.Load(tag)
	var page int
	var version int64
	if _, err := fmt.Sscanf(fmt.Sprint(content), "%d %d", &page, &version); err != nil || page != n {
		m.t.Errorf("page %d was answered with %s, which is %v", n, tag, content)
	} else if version < before || version > after {
		m.t.Errorf("page %d: %d with version %d; it has to be from %d to %d", n, w.Code, version, before, after)
	}
	return tag
}

// write makes a new version by way of the server.
func (m *model) write(node, n int) {
	w := m.request(node, http.MethodPut, modelPath(n))
	if w.Code != http.StatusNoContent {
		m.t.Errorf("%d to a PUT of page %d", w.Code, n)
		return
	}
	version, err := strconv.ParseInt(w.Header().Get("X-Version"), 10, 64)
	if err != nil {
		m.t.Error(err)
	}
	m.pages[n].settle(version)
}

// change makes a new version behind the server's back, and purges it.
func (m *model) change(n int, prefix string) {
	version := m.pages[n].current.Add(1)
	m.purge(prefix)
	m.pages[n].settle(version)
}

const modelWorkers = 8

// work does one worker's share.
func (m *model) work(worker, requests int) {
	rnd := rand.New(rand.NewPCG(1, uint64(worker)))
	have := make(map[int]string)
	popular := rand.NewZipf(rnd, 1.1, 8, uint64(len(m.pages)-1))
	for range requests {
		n, node := int(popular.Uint64()), rnd.IntN(len(m.nodes))
		switch kind := rnd.IntN(1000); {
		case kind < 50:
			m.write(node, n)
		case kind < 55:
			m.change(n, modelPath(n))
		case kind < 56:
			m.change(n, fmt.Sprintf("/%d/%d", n%10, n%100))
		case kind < 100:
			have[n] = m.get(node, n, "")
		default:
			have[n] = m.get(node, n, have[n])
		}
	}
}

// run lets all workers do their share, and sees to it that there was something to find out.
func (m *model) run(requests int) {
	m.t.Helper()
	var wg sync.WaitGroup
	for worker := range modelWorkers {
		wg.Go(func() { m.work(worker, requests/modelWorkers) })
	}
	wg.Wait()
	total, asked := m.requests.Load(), m.asked.Load()
	m.t.Logf("%d requests, %d answered with 304, the upstream was asked %d times", total, m.confirmed.Load(), asked)
	if m.confirmed.Load() < total/4 || asked > total*3/4 {
		m.t.Error("too little is answered from memory for the model to say anything")
	}
}

// startModel loads a Caddy whose servers are nodes, each with a store of its own.
func startModel(t *testing.T, pages int, stores ...map[string]any) *model {
	t.Helper()
	admin := fmt.Sprintf("localhost:%d", freePort(t))
	servers := make(map[string]any)
	for i, store := range stores {
		servers[fmt.Sprint("node", i)] = map[string]any{
			"listen": []string{fmt.Sprintf("127.0.0.1:%d", freePort(t))},
			"routes": []map[string]any{{"handle": []map[string]any{
				{"handler": "conditional_cache", "remember": map[string]any{"ttl": "1h", "store": store}},
				{"handler": "model_upstream"},
			}}},
		}
	}
	config, err := json.Marshal(map[string]any{
		"admin":   map[string]any{"listen": admin, "config": map[string]any{"persist": false}},
		"logging": map[string]any{"logs": map[string]any{"default": map[string]any{"level": "ERROR"}}},
		"apps":    map[string]any{"http": map[string]any{"servers": servers}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caddy.Stop() })
	app, err := caddy.ActiveContext().App("http")
	if err != nil {
		t.Fatal(err)
	}
	m := &model{t: t, pages: make([]modelPage, pages)}
	for i := range stores {
		m.nodes = append(m.nodes, app.(*caddyhttp.App).Servers[fmt.Sprint("node", i)])
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: modelWorkers}}
	t.Cleanup(client.CloseIdleConnections)
	m.purge = func(path string) {
		kind := "url"
		if strings.Count(path, "/") < 3 {
			kind = "prefix"
		}
		body := fmt.Sprintf(`{%q: %q}`, kind, "http://model.example"+path)
		resp, err := client.Post("http://"+admin+"/conditional_cache/purge", "application/json", strings.NewReader(body))
		if err != nil {
			t.Errorf("purging: %v", err)
			return
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("purging %s: %d", path, resp.StatusCode)
		}
	}
	theModel.Store(m)
	return m
}

// TestModelOfOneNode: 200,000 requests for 10,000 pages, with writes, and changes that are purged, at the same
// time. No answer confirms what was overwritten before it was asked for.
func TestModelOfOneNode(t *testing.T) {
	requests := 200_000
	if testing.Short() {
		requests = 20_000
	}
	m := startModel(t, 10_000, map[string]any{"name": "memory", "max_entries": 8_000})
	m.run(requests + requests/100) // some are purges
}
