package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// slowlyChanging is an upstream whose pages change with each POST, which takes its time.
type slowlyChanging struct {
	version     atomic.Int64
	begun, done chan struct{}
}

func (s *slowlyChanging) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		_, _ = io.Copy(io.Discard, r.Body)
		s.begun <- struct{}{}
		time.Sleep(patienceOf(r, "X-Takes"))
		s.version.Add(1)
		s.done <- struct{}{}
		return
	}
	w.Header().Set("Cache-Control", "max-age=60")
	_, _ = fmt.Fprintf(w, "version %d of %s", s.version.Load(), r.URL.Path)
}

// visitTwice reports whether a page is answered from memory the second time, and its tag.
func (c *client) visitTwice(t *testing.T, path string) (tag string, remembered bool) {
	t.Helper()
	tag = c.get(t, path, nil).header.Get("Etag")
	return tag, c.get(t, path, http.Header{"If-None-Match": {tag}}).header.Get("Age") != ""
}

// TestUnansweredWriteIsInDoubt: a write may be done after its client has left, or a time limit of the proxy has ended it.
// What was read meanwhile is not what the URI stands for then.
func TestUnansweredWriteIsInDoubt(t *testing.T) {
	s := &slowlyChanging{begun: make(chan struct{}, 1), done: make(chan struct{}, 1)}
	upstream := httptest.NewServer(s)
	t.Cleanup(upstream.Close)
	port := freePort(t)
	runCaddy(t, fmt.Sprintf("http://localhost:%d {\n conditional_cache {\n remember\n }\n @down header X-Down yes\n reverse_proxy @down 127.0.0.1:%d\n reverse_proxy %s {\n transport http {\n response_header_timeout 300ms\n }\n }\n}",
		port, freePort(t), upstream.Listener.Addr()))
	c := plainClient(t, port)
	t.Run("left", func(t *testing.T) {
		s.doubts(t, c, "/left", func() {
			ctx, leave := context.WithCancel(t.Context())
			go func() {
				<-s.begun
				leave()
			}()
			if _, err := c.write(ctx, "POST", "/left", "x", "X-Takes", "200ms"); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	})
	t.Run("timeout", func(t *testing.T) {
		s.doubts(t, c, "/timeout", func() {
			c.must(t, http.StatusGatewayTimeout, "POST", "/timeout", "x", "X-Takes", "500ms")
			<-s.begun
		})
	})
	t.Run("never sent", func(t *testing.T) {
		c.visitTwice(t, "/unsent")
		c.must(t, http.StatusBadGateway, "POST", "/unsent", "x", "X-Down", "yes")
		if _, ok := c.visitTwice(t, "/unsent"); !ok {
			t.Error("it is in doubt")
		}
	})
}

func (s *slowlyChanging) doubts(t *testing.T, c *client, path string, write func()) {
	t.Helper()
	if _, ok := c.visitTwice(t, path); !ok {
		t.Fatal("it is not remembered before")
	}
	write()
	time.Sleep(50 * time.Millisecond) // reverse_proxy may hear of it a little later
	tag, ok := c.visitTwice(t, path)
	if ok {
		t.Error("it is remembered while the write is under way")
	}
	<-s.done
	for range 3 {
		if got := c.get(t, path, http.Header{"If-None-Match": {tag}}); got.status != http.StatusOK {
			t.Errorf("the version before the write was confirmed: %v", got)
		}
	}
	if _, ok := c.visitTwice(t, "/another"+path); !ok {
		t.Error("another page is not remembered")
	}
}
