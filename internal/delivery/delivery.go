// Package delivery tells how far a request has come on its way to an upstream.
package delivery

import (
	"context"
	"net/http/httptrace"
	"sync/atomic"
)

// Delivery is that of one request, over however many attempts. The zero value is one that nobody has watched yet. It may
// be used concurrently.
type Delivery struct {
	traced atomic.Bool // a transport tells how far it has come
	sent   atomic.Bool // it has, or has had, a connection to an upstream
}

// Watch returns a context by which a transport of net/http tells.
func (d *Delivery) Watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { d.traced.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { d.sent.Store(true) },
	})
}

// MayBeSent reports whether anything of the request may have been sent. A transport that does not tell may have sent it.
func (d *Delivery) MayBeSent() bool { return d.sent.Load() || !d.traced.Load() }
