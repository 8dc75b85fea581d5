//go:build unix

package robustness

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// idField names a request, on its way through a node to the upstream.
	idField = "X-Operation"
	// lateField has the upstream close the connection of a write, and do it after a time.
	lateField = "X-Late"
)

// upstream owns the truth. Pages have a version each, which every write makes one more of, whatever its conditions say:
// nothing but a node keeps a write from being made. Those with "own" in their path have an entity tag of its own.
type upstream struct {
	server *httptest.Server
	late   sync.WaitGroup // writes that are still to be made

	mu    sync.Mutex
	pages map[string]int
	made  map[string]making // by the write
	asked map[string]bool   // by the read
}

// making is what became of a write.
type making struct {
	version, times int
	at             time.Time
}

func startUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{pages: make(map[string]int), made: make(map[string]making), asked: make(map[string]bool)}
	u.server = httptest.NewServer(u)
	t.Cleanup(func() {
		u.late.Wait()
		u.server.Close()
	})
	return u
}

// ServeHTTP takes a little while before and after what it does.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	pause(rand.N(3 * time.Millisecond))
	defer pause(rand.N(3 * time.Millisecond))
	id := r.Header.Get(idField)
	if r.Method == http.MethodGet {
		u.show(w, r, id)
		return
	}
	late, err := time.ParseDuration(r.Header.Get(lateField))
	if err != nil {
		u.make(r.URL.Path, id)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	u.late.Go(func() {
		pause(late)
		u.make(r.URL.Path, id)
	})
	panic(http.ErrAbortHandler)
}

func (u *upstream) show(w http.ResponseWriter, r *http.Request, id string) {
	u.mu.Lock()
	u.asked[id] = true
	version := u.version(r.URL.Path)
	u.mu.Unlock()
	if strings.Contains(r.URL.Path, "own") {
		etag := fmt.Sprintf(`"v%d"`, version)
		w.Header().Set("Etag", etag)
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	_, _ = fmt.Fprint(w, text(r.URL.Path, version))
}

// text is a page, which says its version.
func text(path string, version int) string { return fmt.Sprintf("%s %d\n", path, version) }

// version is that of a page. The caller holds mu.
func (u *upstream) version(path string) int { return max(u.pages[path], firstVersion) }

// make makes a new version of a page.
func (u *upstream) make(path, id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	version := u.version(path) + 1
	u.pages[path] = version
	u.made[id] = making{version: version, times: u.made[id].times + 1, at: time.Now()}
}

// complete adds to an operation what the upstream knows of it.
func (u *upstream) complete(o *operation, begun time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	o.Asked = o.Kind == reading && u.asked[o.ID]
	if made, ok := u.made[o.ID]; ok {
		o.Version, o.Times, o.Applied = made.version, made.times, made.at.Sub(begun)
	}
}

// pause is for what takes real time.
func pause(d time.Duration) { <-time.After(d) }
