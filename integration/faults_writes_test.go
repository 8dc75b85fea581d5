package integration

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	inuse "github.com/conditionalcache/caddy-conditional-cache/internal/exchange"
)

// TestFaultsOfWrites lets answers to guarded writes be faulty. The client gets what it gets without the directive, or is told
// that nobody knows; no answer to a write is tagged or remembered; a write that nobody has answered keeps its turn for a while
// and no longer.
func TestFaultsOfWrites(t *testing.T) {
	wantFaults(t)
	m := newFaultMatrix(t)
	var all sync.WaitGroup
	room := make(chan struct{}, 32)
	for i, setup := range faultSetups() {
		if setup.name != "guarded" {
			continue
		}
		for p, protocol := range []string{"HTTP/1.1", "HTTP/2.0", "HTTP/3.0"} {
			s := &faultSite{faultMatrix: m, faultSetup: setup, c: faultClient(t, m.ports[i], p), stock: faultClient(t, m.stock, p)}
			s.whole, s.half = s.reference(t, page), s.reference(t, half)
			for _, f := range faults() {
				room <- struct{}{}
				all.Go(func() {
					defer func() { <-room }()
					t.Run(protocol+"/"+f.name, func(t *testing.T) { s.write(t, f) })
				})
			}
		}
	}
	all.Wait()
	for end := time.Now().Add(patience); inUse() && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		continue // ten seconds are kept
	}
	if inUse() {
		t.Errorf("%d URIs still have a write in line, %d bytes are held", inuse.Writes.Len(), inuse.Budget.Held())
	}
}

func inUse() bool { return inuse.Writes.Len() > 0 || inuse.Budget.Held() > 0 }

// write is one guarded write whose answer is a fault's.
func (s *faultSite) write(t *testing.T, f fault) {
	t.Helper()
	key, path := s.place()
	s.origin.answer(key, answersWrites(f))
	got := s.c.put(t.Context(), path, `"`+s.whole+`"`)
	want := s.stock.put(t.Context(), path, "")
	switch {
	case got.tag() != "":
		t.Errorf("the answer to a write has a tag of ours: %v", got)
	case f.is == broken && !got.told():
		t.Errorf("the client is not told: %v", got)
	case f.is != broken && (got.status != want.status || got.body != want.body) && want.err == nil && got.status != http.StatusBadGateway:
		t.Errorf("got %v, without the directive %v", got, want)
	}
	s.origin.answer(key, healthy(page))
	if read := s.load(t, path, page, nil); read.tag() != s.whole {
		t.Errorf("after that the page has the tag %q", read.tag())
	}
}

// answersWrites is a page that is there, and a fault for an answer to whoever writes.
func answersWrites(f fault) originAnswer {
	a := healthy(page)
	a.Script, a.ScriptFor = f.script, http.MethodPut
	return a
}

// put sends a write, with a condition or without.
func (c *client) put(ctx context.Context, path, match string) reply {
	fields := make(http.Header)
	if match = strings.TrimSpace(match); match != "" {
		fields.Set("If-Match", match)
	}
	return c.send(ctx, http.MethodPut, path, fields)
}
