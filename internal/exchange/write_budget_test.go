package exchange_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/conditionalcache/caddy-conditional-cache/internal/exchange"
)

// Bodies that begin and do not end are read, but do not use up what pages and the GETs of writes are held in.
func TestGuardLeavesRoomForPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const maxTotal = 1 << 20
		h := bounded(t, maxTotal, strong())
		var all sync.WaitGroup
		var ends []*io.PipeWriter
		for i := range 64 {
			body, more := io.Pipe()
			begun := newVisit(t, http.MethodPut, "/"+strconv.Itoa(i), "If-Match", strongTag)
			begun.r.Body, begun.r.ContentLength = body, 30_000
			all.Go(func() { begun.serve(h, readsBody) })
			go func() { _, _ = io.WriteString(more, strings.Repeat("x", 20_000)) }()
			ends = append(ends, more)
		}
		synctest.Wait()
		if held := exchange.Budget.Held(); held == 0 || held > maxTotal/4 {
			t.Errorf("%d bytes are held of bodies that do not end", held)
		}
		page := newVisit(t, http.MethodGet, "/")
		page.serve(h, sendsPage())
		wantPairs(t, "the page", page.rec.Header(), pairs("Etag", strongTag))
		owner := newVisit(t, http.MethodPut, "/", "If-Match", strongTag)
		owner.serve(h, readsBody)
		wantStatus(t, owner, http.StatusNoContent)
		for _, more := range ends {
			_ = more.CloseWithError(io.ErrUnexpectedEOF)
		}
		all.Wait()
		wantIdle(t)
	})
}
