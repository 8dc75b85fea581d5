package exchange

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// hasContent reports whether a request has content, which what is remembered of its URI says nothing of. In doubt it has.
func hasContent(r *http.Request) bool {
	if r.ContentLength >= 0 || r.ProtoMajor != 3 {
		// Over HTTP/2 an unknown length means that something follows, be it nothing.
		return r.ContentLength != 0 || len(r.TransferEncoding) > 0
	}
	open := openStream(r)
	if open != nil && !open.isEmpty(patience) {
		return true
	}
	r.Body, r.ContentLength = http.NoBody, 0 // from now on that is known
	return false
}

// How long the end of a stream is waited for. Of a request without content it has come with the fields, mostly in the same
// packet.
const (
	patience = 20 * time.Millisecond
	// longPatience is for where an answer is known to be wrong.
	longPatience = 50 * time.Millisecond
)

// openStream is the body of a request over HTTP/3 whose length is not known: there its fields do not tell whether anything
// follows. (package http3 gives every such request a body and no length.) Its first octet is being read from now on. It is nil
// where it is known whether there is content.
func openStream(r *http.Request) *peekedBody {
	if r.ContentLength >= 0 || r.ProtoMajor != 3 || r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	if p, peeked := r.Body.(*peekedBody); peeked {
		return p
	}
	p := &peekedBody{ReadCloser: r.Body, done: make(chan struct{})}
	go p.peek()
	r.Body = p
	return p
}

// peekedBody is a body whose first octet was read, or is being read. There is no other way to learn whether it has one,
// that would leave it as it is.
type peekedBody struct {
	io.ReadCloser
	done  chan struct{} // closed when what follows is set, by peek
	empty bool          // it ended without an octet
	first [1]byte
	n     int   // how much of first there is to be had
	err   error // what came with it
}

func (p *peekedBody) peek() {
	defer close(p.done)
	p.n, p.err = p.ReadCloser.Read(p.first[:])
	p.empty = p.n == 0 && errors.Is(p.err, io.EOF)
}

// isEmpty reports whether the body has turned out to be empty. It waits for that, and not longer than it is told.
func (p *peekedBody) isEmpty(patience time.Duration) bool {
	select {
	case <-p.done:
		return p.empty // mostly it has come
	default:
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
		return p.empty
	case <-timer.C:
		return false
	}
}

// Read implements io.Reader.
func (p *peekedBody) Read(b []byte) (int, error) {
	<-p.done
	if p.n > 0 && len(b) > 0 {
		p.n = 0
		b[0] = p.first[0]
		return 1, nil
	}
	if p.err != nil {
		return 0, p.err
	}
	return p.ReadCloser.Read(b)
}
