package exchange

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// hasContent reports whether a request has content, which what is remembered of its URI says nothing of. In doubt it has.
func hasContent(r *http.Request) bool {
	if r.ContentLength < 0 && r.ProtoMajor == 3 {
		return openStream(r)
	}
	// Over HTTP/2 an unknown length means that something follows, be it nothing.
	return r.ContentLength != 0 || len(r.TransferEncoding) > 0
}

// patience is how long the end of a stream is waited for. Of a request without content it has come with the fields,
// mostly in the same packet.
const patience = 20 * time.Millisecond

// openStream reports whether a request over HTTP/3, whose length is not known, may have content: there its fields do not
// tell whether anything follows. (package http3 gives every such request a body and no length.) What has ended has none
// from now on; of what has not, the first octet is read already.
func openStream(r *http.Request) bool {
	if _, peeked := r.Body.(*peekedBody); peeked {
		return true
	}
	if r.Body == nil || r.Body == http.NoBody {
		return false
	}
	p := &peekedBody{ReadCloser: r.Body, done: make(chan struct{})}
	go p.peek()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
		if p.empty {
			r.Body, r.ContentLength = http.NoBody, 0
			return false
		}
	case <-timer.C:
	}
	r.Body = p
	return true
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

// moreComes is how long isEmpty waits: it is asked where an answer is known to be wrong.
const moreComes = 50 * time.Millisecond

// isEmpty reports whether the body has turned out to be empty.
func (p *peekedBody) isEmpty() bool {
	timer := time.NewTimer(moreComes)
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
