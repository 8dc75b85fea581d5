package integration

import (
	"net/http"
	"sync"
	"testing"

	"github.com/conditionalcache/caddy-conditional-cache/soak/footing"
)

// TestFaultsOfWrites lets answers to guarded writes be faulty. The client gets what it gets without the directive, or is told
// that nobody knows; no answer to a write is tagged or remembered; a write that nobody has answered keeps its turn for a while
// and no longer.
func TestFaultsOfWrites(t *testing.T) {
	wantFaults(t)
	m := newFaultMatrix(t)
	before := footing.Take()
	t.Run("cases", func(t *testing.T) {
		for i, setup := range faultSetups() {
			if setup.name == "guarded" {
				m.writes(t, i, setup)
			}
		}
	})
	m.origin.hangUp()
	wantRegained(t, before) // turns are kept for ten seconds
}

// writes meet every fault, over every version of HTTP.
func (m *faultMatrix) writes(t *testing.T, i int, setup faultSetup) {
	t.Helper()
	var all sync.WaitGroup
	defer all.Wait()
	room := make(chan struct{}, 32)
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

// write is one guarded write whose answer is a fault's.
func (s *faultSite) write(t *testing.T, f fault) {
	t.Helper()
	key, path := s.place()
	s.origin.answer(key, answersWrites(f))
	want := s.stock.send(t.Context(), http.MethodPut, path, f.fields())
	fields := f.fields()
	fields.Set("If-Match", `"`+s.whole+`"`)
	got := s.c.send(t.Context(), http.MethodPut, path, fields)
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
