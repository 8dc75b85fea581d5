// Package delivery tells how far a request has come on its way to an upstream.
package delivery

import (
	"context"
	"errors"
	"net/http/httptrace"
	"strings"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// Delivery is that of one request, over however many attempts. The zero value is one that nobody has watched yet. It may
// be used concurrently.
type Delivery struct {
	outer  *Delivery   // that of who else watches the same request, further out; set by Watch
	begun  atomic.Bool // the handlers that may send it have it
	traced atomic.Bool // a transport tells how far it has come
	sent   atomic.Bool // it has, or has had, a connection to an upstream
}

type key struct{}

// Watch returns a context by which a transport of net/http tells. What is sent before Begin is another request, such as one
// that asks whether this one may be sent.
func (d *Delivery) Watch(ctx context.Context) context.Context {
	d.outer, _ = ctx.Value(key{}).(*Delivery)
	return httptrace.WithClientTrace(context.WithValue(ctx, key{}, d), &httptrace.ClientTrace{
		GetConn: func(string) { note(&d.traced, d) },
		GotConn: func(httptrace.GotConnInfo) { note(&d.sent, d) },
	})
}

func note(what *atomic.Bool, d *Delivery) {
	if d.begun.Load() {
		what.Store(true)
	}
}

// Begin says that from now on what is sent with this context is the request.
func Begin(ctx context.Context) {
	d, _ := ctx.Value(key{}).(*Delivery)
	for ; d != nil; d = d.outer {
		d.begun.Store(true)
	}
}

// noUpstream is what reverse_proxy says where there is no upstream that it could ask. The error has no name outside of its
// package.
const noUpstream = "no upstreams available"

// Failed is told an error of the handlers. Some say by themselves that nothing was sent: where no connection was made, and
// where there was nobody to make it to. Transports that do not trace (FastCGI) tell by these alone. Of nil, a delivery that
// nobody watches, and of no error there is nothing to learn.
func (d *Delivery) Failed(err error) {
	if d == nil || err == nil {
		return
	}
	if _, undialled := errors.AsType[reverseproxy.DialError](err); undialled || strings.HasSuffix(err.Error(), noUpstream) {
		d.traced.Store(true)
	}
}

// MayBeSent reports whether anything of the request may have been sent. A transport that does not tell may have sent it.
func (d *Delivery) MayBeSent() bool {
	return d.begun.Load() && (d.sent.Load() || !d.traced.Load())
}
