package exchange_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// answersFirst answers a write before it reads the body, and then says how long that was. A write without a body it takes
// its time with.
func answersFirst(w http.ResponseWriter, r *http.Request) error {
	switch {
	case r.Method == http.MethodGet:
		return sendsPage()(w, r)
	case r.ContentLength == 0:
		time.Sleep(8 * time.Second) //nolint:forbidigo // in a bubble of synctest
		return sends(http.StatusNoContent, "")(w, r)
	}
	w.WriteHeader(http.StatusOK)
	n, err := io.Copy(io.Discard, r.Body)
	_, _ = io.WriteString(w, strconv.FormatInt(n, 10))
	return err
}

// The turn of a write whose head has come is over: its body keeps nobody waiting, however long it takes, and is not ended
// for the sake of those who wait for another one.
func TestGuardLeavesBodiesOfAnsweredWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := provisioned(t, strong())
		answered := newVisit(t, http.MethodPut, "/", "If-Match", strongTag)
		answered.r.Body, answered.r.ContentLength = &slowBody{left: 60}, 1<<20
		var all sync.WaitGroup
		all.Go(func() { answered.serve(h, answersFirst) })
		synctest.Wait()
		for range 2 {
			all.Go(func() { newVisit(t, http.MethodPut, "/", "If-Match", strongTag).serve(h, answersFirst) })
		}
		all.Wait()
		if answered.err != nil || answered.rec.Body.String() != "60" {
			t.Errorf("error %v, and the upstream has read %s of 60 bytes", answered.err, answered.rec.Body)
		}
		wantIdle(t)
	})
}

// Where an upstream answers early, a transport goes on with the body when the answer has gone out. So the request stays
// as it is then, as the body of reverse_proxy looks into it at its end, and its context follows the client's.
func TestGuardLeavesTheRequestToTransports(t *testing.T) {
	body, more := io.Pipe()
	v := newVisit(t, http.MethodPut, "/", "If-Match", strongTag)
	ctx, leave := context.WithCancel(v.r.Context())
	v.r = v.r.WithContext(ctx)
	v.r.Body, v.r.ContentLength = body, 1<<20
	var inside context.Context
	var read sync.WaitGroup
	v.serve(provisioned(t, strong()), func(w http.ResponseWriter, r *http.Request) error {
		if r.Method == http.MethodGet {
			return sendsPage()(w, r)
		}
		inside = r.Context()
		sent := r.Body
		read.Go(func() { _, _ = io.Copy(io.Discard, sent) })
		return sends(http.StatusRequestEntityTooLarge, "")(w, r)
	})
	_ = more.Close()
	read.Wait()
	wantStatus(t, v, http.StatusRequestEntityTooLarge)
	if v.r.Context() != inside || inside.Err() != nil {
		t.Errorf("the request has another context, or one that has ended (%v)", inside.Err())
	}
	leave()
	select {
	case <-inside.Done():
	case <-time.After(5 * time.Second):
		t.Error("the client has left, and the context has not ended")
	}
	wantIdle(t)
}

// deadlined is a writer whose read deadline takes its time. After the end of the request it is somebody else's, or nobody's.
type deadlined struct {
	*httptest.ResponseRecorder
	over *atomic.Bool
	t    *testing.T
}

func (w deadlined) SetReadDeadline(time.Time) error {
	time.Sleep(3 * time.Second) //nolint:forbidigo // in a bubble of synctest
	if w.over.Load() {
		w.t.Error("a deadline was set for a request that has ended")
	}
	return nil
}

// A body that is given up has its deadline before the request ends: net/http panics where a handler that has returned sets
// one over HTTP/2, in a goroutine where nobody recovers.
func TestGuardSetsNoDeadlineLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, over := provisioned(t, strong()), new(atomic.Bool)
		slow := newVisit(t, http.MethodPut, "/", "If-Match", strongTag)
		slow.r.Body, slow.r.ContentLength = &slowBody{left: 60}, 1<<20
		var all sync.WaitGroup
		all.Go(func() {
			err := h.ServeHTTP(deadlined{slow.rec, over, t}, slow.r, caddyhttp.HandlerFunc(readsBody))
			over.Store(true)
			if handlerErr, ok := errors.AsType[caddyhttp.HandlerError](err); slow.rec.Code != http.StatusRequestTimeout && (!ok || handlerErr.StatusCode != http.StatusRequestTimeout) {
				t.Errorf("status %d, error %v", slow.rec.Code, err)
			}
		})
		synctest.Wait()
		all.Go(func() { newVisit(t, http.MethodPut, "/", "If-Match", strongTag).serve(h, readsBody) })
		all.Wait()
		time.Sleep(time.Minute) //nolint:forbidigo // until the slow body has come
		wantIdle(t)
	})
}
