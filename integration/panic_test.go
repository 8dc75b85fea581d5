package integration

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
	memorystore "github.com/conditionalcache/caddy-conditional-cache/validators/memory"
)

func init() { caddy.RegisterModule(new(panicking)) }

// panicking is a store of somebody else: the memory store, until it panics at every call. It is one level further down
// than stores are, so that it is not among those that an error lists.
type panicking struct {
	validators.Store `json:"-"`
}

// storePanics has all of these stores panic.
var storePanics atomic.Pointer[any]

func (*panicking) check() {
	if value := storePanics.Load(); value != nil {
		panic(*value)
	}
}

func (*panicking) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: validators.StoreNamespace + ".test.panicking", New: func() caddy.Module { return new(panicking) }}
}

func (p *panicking) Provision(caddy.Context) (err error) {
	p.Store, err = memorystore.New(memorystore.Options{})
	return err
}

func (p *panicking) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	return nil
}

func (*panicking) Name() string { return "panicking" }

func (p *panicking) Stats() validators.Stats { p.check(); return p.Store.Stats() }

func (p *panicking) Load(ctx context.Context, key validators.Key) (validators.Record, validators.Stamp, error) {
	p.check()
	return p.Store.Load(ctx, key)
}

func (p *panicking) Save(ctx context.Context, key validators.Key, record validators.Record, ttl time.Duration) error {
	p.check()
	return p.Store.Save(ctx, key, record, ttl)
}

func (p *panicking) Delete(ctx context.Context, key validators.Key) error {
	p.check()
	return p.Store.Delete(ctx, key)
}

func (p *panicking) Forget(ctx context.Context, uri validators.URI) error {
	p.check()
	return p.Store.Forget(ctx, uri)
}

func (p *panicking) Purge(ctx context.Context, scope validators.Scope) error {
	p.check()
	return p.Store.Purge(ctx, scope)
}

func (p *panicking) FirstSeen(ctx context.Context, key validators.Key, tag string, now time.Time, ttl time.Duration) (time.Time, error) {
	p.check()
	return p.Store.FirstSeen(ctx, key, tag, now, ttl)
}

// panickingSite has pages that are held, and some that are so slow that the deadline lets them go.
const panickingSite = `http://:%%d {
	bind 127.0.0.1
	conditional_cache {
		last_modified normalize {
			from first_seen
		}
		remember 1h {
			store test.panicking
		}
		buffer {
			max_delay 20ms
		}
	}
	reverse_proxy %s
}
`

// TestAStoreThatPanics: requests are served as if nothing were remembered, whatever the store panics with, and
// whichever goroutine asks it; what a write should have made it forget is not answered when it is well again.
func TestAStoreThatPanics(t *testing.T) {
	upstream := newCounted("page")
	slow := func(w http.ResponseWriter, r *http.Request) {
		upstream.ServeHTTP(w, r)
		if r.URL.Path == "/slow" {
			_ = http.NewResponseController(w).Flush()
			time.Sleep(100 * time.Millisecond) // longer than max_delay, by the clock of Caddy
			_, _ = io.WriteString(w, " and more")
		}
	}
	server := httptest.NewServer(http.HandlerFunc(slow))
	t.Cleanup(server.Close)
	a := runAdmin(t, "", fmt.Sprintf(panickingSite, server.Listener.Addr()))
	c := plainClient(t, a.port)
	t.Cleanup(func() { storePanics.Store(nil) })
	first := c.must(t, http.StatusOK, http.MethodGet, "/", "")
	if first.header.Get("Last-Modified") == "" {
		t.Errorf("the store is not used: %v", first)
	}
	again := func() {
		c.must(t, http.StatusNotModified, http.MethodGet, "/", "", "If-None-Match", first.header.Get("Etag"))
	}
	upstream.asks(t, 0, again)
	for _, value := range []any{"lost my head", http.ErrAbortHandler} {
		storePanics.Store(&value)
		for path, want := range map[string]string{"/": "page", "/new": "page", "/slow": "page and more"} {
			got := c.must(t, http.StatusOK, http.MethodGet, path, "")
			if got.body != want {
				t.Errorf("%s: %v", path, got)
			}
			if date := got.header.Get("Last-Modified"); date != "" {
				t.Errorf("%s has a date of a store that does not tell: %s", path, date)
			}
		}
		upstream.asks(t, 1, again)
		c.must(t, http.StatusNoContent, http.MethodPost, "/", "x")
		if code, answer, _ := a.ask(http.MethodPost, "/conditional_cache/purge", `{"all": true}`); code != http.StatusServiceUnavailable || !strings.Contains(answer, "panicked") {
			t.Errorf("a purge: %d %s", code, answer)
		}
	}
	_, status, _ := a.ask(http.MethodGet, "/conditional_cache/", "")
	if strings.Contains(status, `"errors":0`) {
		t.Errorf("nothing was counted: %s", status)
	}
	storePanics.Store(nil)
	upstream.asks(t, 1, again)
	upstream.asks(t, 0, again)
}
