package integration

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// slowWriter is an upstream that has sent half of its answer to a POST when it changes what it answers to GET.
type slowWriter struct {
	half   chan struct{} // closed when half is sent
	change chan struct{} // closed to let it go on
	end    func(*http.Request)
	after  atomic.Bool
	asked  atomic.Int64
}

func (u *slowWriter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		u.asked.Add(1)
		_, _ = io.WriteString(w, map[bool]string{false: "before", true: "after"}[u.after.Load()])
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	_, _ = io.WriteString(w, strings.Repeat("working\n", 1000))
	_ = http.NewResponseController(w).Flush()
	close(u.half)
	select {
	case <-u.change:
	case <-time.After(20 * time.Second):
	}
	u.after.Store(true)
	u.end(r)
}

// TestAWriteThatStreamsIsForgottenAtItsEnd: what was read while its answer was on the way, before it had changed anything,
// is not remembered beyond it, however it ends.
func TestAWriteThatStreamsIsForgottenAtItsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		end    func(*http.Request)
		leaves bool // the client does not wait for the end
	}{
		"to its end":              {func(*http.Request) {}, false},
		"broken off upstream":     {func(*http.Request) { panic(http.ErrAbortHandler) }, false},
		"abandoned by the client": {func(r *http.Request) { <-r.Context().Done() }, true},
	} {
		t.Run(name, func(t *testing.T) {
			upstream := &slowWriter{half: make(chan struct{}), change: make(chan struct{}), end: c.end}
			site := noteSite(t, remembering, upstream)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			over := make(chan struct{})
			go func() {
				defer close(over)
				_, _ = site.write(ctx, http.MethodPost, "/", "x")
			}()
			<-upstream.half
			etag := readMeanwhile(t, site, upstream)
			close(upstream.change)
			if c.leaves {
				eventually(t, "the change", upstream.after.Load)
				leave()
			}
			<-over
			if c.leaves {
				eventually(t, "what was read meanwhile is forgotten", func() bool {
					got, err := site.write(t.Context(), http.MethodGet, "/", "", "If-None-Match", etag)
					return err == nil && got.status == http.StatusOK
				})
				return
			}
			if got := site.must(t, http.StatusOK, http.MethodGet, "/", "", "If-None-Match", etag); got.body != "after" {
				t.Errorf("after the write: %v", got)
			}
		})
	}
}

// readMeanwhile reads the page before the change, and sees it remembered: once the head of the write's answer has come to
// Caddy, where it makes the page forgotten.
func readMeanwhile(t *testing.T, site *client, upstream *slowWriter) (etag string) {
	t.Helper()
	eventually(t, "what was read meanwhile to be remembered", func() bool {
		etag = site.must(t, http.StatusOK, http.MethodGet, "/", "").header.Get("Etag")
		asked := upstream.asked.Load()
		site.must(t, http.StatusNotModified, http.MethodGet, "/", "", "If-None-Match", etag)
		return upstream.asked.Load() == asked
	})
	return etag
}
