package capture

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// minRead is the least room a read gets.
const minRead = 512

func (w *Response) readFrom(r io.Reader) (total int64, err error) {
	for {
		now, spare := w.beforeRead()
		switch now {
		case open:
			n, err := w.readFirst(r)
			total += n
			if err != nil {
				return total, endOfRead(err)
			}
		case held:
			n, err := w.readHeld(r, spare)
			total += n
			if err != nil {
				return total, endOfRead(err)
			}
		case streaming:
			n, err := readInto(w.opt.Outer, r)
			w.passed.count(n, err)
			return total + n, err
		case slicing:
			n, err := w.readPart(r)
			total += n
			if err != nil {
				return total, endOfRead(err)
			}
		case answered:
			n, err := io.Copy(taken{w}, r)
			return total + n, err
		case hijacked, settled:
			return total, ErrSettled
		}
	}
}

// beforeRead returns the state and, while the response is held, room for one read.
func (w *Response) beforeRead() (state, []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state == held {
		spare, reason := w.nextRead()
		if reason == "" {
			return held, spare
		}
		w.spill(reason)
	}
	return w.state, nil
}

// readFirst reads once before there is a head. As with net/http, the head waits for the first byte: a
// handler whose source fails at once can still answer with an error.
func (w *Response) readFirst(r io.Reader) (int64, error) {
	first := make([]byte, minRead)
	n, readErr := r.Read(first)
	return w.pass(first[:n], readErr)
}

// nextRead returns room for the next read, or why there is none. The room is bounded by MaxBody plus
// one byte: the byte too much is what tells a longer body from one that fits exactly.
func (w *Response) nextRead() ([]byte, Reason) {
	left := w.decision.MaxBody - int64(len(w.hold.body.bytes)) + 1
	if !w.hold.body.reserve(int(min(left, minRead))) {
		return nil, ReasonMaxTotal
	}
	spare := w.hold.body.spare()
	w.hold.reading = true
	return spare[:min(int64(len(spare)), left)], ""
}

// readHeld reads once, without the lock: a slow reader must not keep the deadline from firing. What
// was read is kept if the response is still held then, and otherwise follows what the deadline sent.
func (w *Response) readHeld(r io.Reader, spare []byte) (int64, error) {
	n, readErr := r.Read(spare)
	if w.kept(n) {
		return int64(n), readErr
	}
	return w.pass(spare[:n], readErr)
}

// kept takes the n bytes read into the spare room of body; false when they are not held any longer.
func (w *Response) kept(n int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	// Only now: the bytes are still needed after a spill, so their memory must not go to a pool.
	defer func() { w.hold.reading = false }()
	if w.state != held {
		return false
	}
	if reason := w.room(n); reason != "" {
		w.spill(reason)
		return false
	}
	w.hold.body.bytes = w.hold.body.bytes[:len(w.hold.body.bytes)+n]
	return true
}

// pass writes what a read gave, and returns the read's error unless writing failed.
func (w *Response) pass(p []byte, readErr error) (int64, error) {
	if len(p) == 0 {
		return 0, readErr
	}
	n, err := w.write(p)
	if err != nil {
		return int64(n), err
	}
	return int64(n), readErr
}

// endOfRead is err, or nil when the reader merely came to its end.
func endOfRead(err error) error {
	if err == io.EOF { //nolint:errorlint // io.Reader's contract is the bare value
		return nil
	}
	return err
}

// readInto copies r to w by w's own ReadFrom, if it has one.
func readInto(w io.Writer, r io.Reader) (int64, error) {
	if to, ok := w.(io.ReaderFrom); ok {
		return to.ReadFrom(r)
	}
	return io.Copy(onlyWriter{w}, r)
}

// onlyWriter hides ReadFrom from io.Copy.
type onlyWriter struct{ io.Writer }

// taken is a response as an io.Writer and nothing else.
type taken struct{ w *Response }

func (t taken) Write(p []byte) (int, error) { return t.w.write(p) }

func (w *Response) hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state == held {
		w.spill(ReasonHijack)
	}
	if w.state == answered || w.state == settled {
		return nil, nil, http.ErrHijacked
	}
	conn, rw, err := http.NewResponseController(w.opt.Outer).Hijack()
	if err == nil {
		w.state = hijacked
		w.opt.Exchange.Hijacked()
	}
	return conn, rw, err
}
