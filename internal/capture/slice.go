package capture

import (
	"io"
	"net/http"
	"strings"
)

// part is what is still to come of a Slice.
type part struct {
	begun    bool  // the decision was Slice
	skip     int64 // bytes of the body before the part
	left     int64 // bytes of the part that have not been sent
	complete bool  // the whole part has been given to the writer below
}

// cut passes over what p has before the part, and returns what p has of it.
func (s *part) cut(p []byte) (before int, wanted []byte) {
	before = int(min(s.skip, int64(len(p))))
	s.skip -= int64(before)
	wanted = p[before:]
	return before, wanted[:min(s.left, int64(len(wanted)))]
}

// Complete reports, after Settle, whether the whole part of a Slice went out. If not, the client has to
// see that its message is cut short.
func (w *Response) Complete() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.found == Sliced && w.part.complete
}

// slice sends the head of a part, and of the part what is in body. The caller holds the lock.
func (w *Response) slice(body []byte) {
	w.state = slicing
	w.part = part{begun: true, skip: w.decision.Offset, left: w.decision.Length}
	header := w.opt.Outer.Header()
	dropTrailers(header)
	w.opt.Outer.WriteHeader(w.decision.Status)
	before, wanted := w.part.cut(body)
	if len(wanted) > 0 {
		n, err := writeAll(w.opt.Outer, wanted)
		w.advance(int64(n), err)
	}
	switch {
	case w.state != slicing:
	case w.part.left == 0:
		_ = w.flushOuter()
		w.finish(len(body) - before - len(wanted))
	case w.part.skip > 0:
		_ = w.flushOuter() // the part may be long in coming, and the client is to know that it comes
	}
}

// dropTrailers takes off what speaks of trailers: those of the whole say nothing true of a part.
func dropTrailers(header http.Header) {
	delete(header, "Trailer")
	for name := range header {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			delete(header, name)
		}
	}
}

// writePart sends what p has of the part. Like a streamed write it goes out without the lock, which
// guards the counts: bytes come from one goroutine only, but FlushError, Hijack and Settle need not.
func (w *Response) writePart(p []byte) (int, error) {
	before, wanted, err := w.takePart(p)
	if err != nil || len(wanted) == 0 {
		return before, err
	}
	n, err := writeAll(w.opt.Outer, wanted)
	if complete := w.sent(int64(n), err); !complete {
		return before + n, err
	}
	return len(p), w.endPart(len(p) - before - n)
}

// takePart is cut under the lock.
func (w *Response) takePart(p []byte) (before int, wanted []byte, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state != slicing {
		return 0, nil, ErrSettled
	}
	before, wanted = w.part.cut(p)
	return before, wanted, nil
}

// readPart takes what r has of the part from the writer below straight to the connection (sendfile).
// Its error is io.EOF when r has ended before the part has.
func (w *Response) readPart(r io.Reader) (int64, error) {
	before, err := w.readBefore(r)
	if err != nil {
		return before, err
	}
	limited, outer := w.limitPart(r)
	room := limited.N
	n, err := readInto(w.opt.Outer, limited)
	if outer != nil {
		outer.N -= room - limited.N
	}
	if complete := w.sent(n, err); complete {
		err = w.endPart(0)
	} else if err == nil {
		err = io.EOF
	}
	return before + n, err
}

// readBefore reads what stands before the part.
func (w *Response) readBefore(r io.Reader) (int64, error) {
	w.mu.Lock()
	skip := w.part.skip
	w.mu.Unlock()
	if skip == 0 {
		return 0, nil
	}
	n, err := io.CopyN(io.Discard, r, skip)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.part.skip -= n
	return n, err
}

// limitPart is r up to the end of the part. sendfile looks behind one limit only: if r has one of its
// own, it is returned as well, and what lies behind it is limited to the shorter of both.
func (w *Response) limitPart(r io.Reader) (limited, own *io.LimitedReader) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if own, ok := r.(*io.LimitedReader); ok {
		return &io.LimitedReader{R: own.R, N: min(own.N, w.part.left)}, own
	}
	return &io.LimitedReader{R: r, N: w.part.left}, nil
}

// sent counts n bytes of the part, and reports whether they were the last.
func (w *Response) sent(n int64, err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.advance(n, err); err != nil || w.part.left > 0 {
		return false
	}
	w.over()
	return true
}

// advance counts n bytes of the part. After an error it is unknown which byte would be next, and clients
// put parts together: rather than a wrong byte, none is sent any more. The caller holds the lock.
func (w *Response) advance(n int64, err error) {
	w.part.left -= n
	if err != nil && w.state == slicing {
		w.unneeded(-1)
	}
}

// endPart ends a part that went out whole: its client need not wait for what stands behind it, of which
// behind bytes have come. The flush has no lock, as others need not wait for a slow client.
func (w *Response) endPart(behind int) error {
	_ = w.flushOuter()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.finish(behind); w.state != answered {
		return nil
	}
	return w.discard(0)
}

// finish is endPart without the flush. The caller holds the lock.
func (w *Response) finish(behind int) {
	w.part.complete = true
	if w.state == slicing {
		w.unread.discarded = int64(behind)
		w.unneeded(w.decision.Declared - w.decision.Offset - w.decision.Length)
	}
}

// writeAll is w.Write with a short write made an error, as io.Writer has it.
func writeAll(w io.Writer, p []byte) (int, error) {
	n, err := w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return n, err
}
