package integration

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// script is what an upstream does with a connection that a request has come on, byte by byte.
type script []step

// step is one thing of a script. An error ends the connection.
type step func(conn scriptedConn) error

// scriptedConn is a connection whose request has been read.
type scriptedConn struct {
	net.Conn
	rest *bufio.Reader // what comes behind the request
}

// stall is longer than the max_delay of all sites.
const stall = 300 * time.Millisecond

var errScriptEnds = errors.New("the script ends the connection")

func (s script) play(conn scriptedConn) error {
	for _, do := range s {
		if err := do(conn); err != nil {
			return err
		}
	}
	return nil
}

// says writes.
func says(text ...string) step {
	return func(conn scriptedConn) error {
		_, err := io.WriteString(conn, strings.Join(text, ""))
		return err
	}
}

// waits does nothing for a while.
func waits(d time.Duration) step {
	return func(scriptedConn) error {
		time.Sleep(d)
		return nil
	}
}

// closes ends the connection with a FIN.
func closes() step { return func(scriptedConn) error { return errScriptEnds } }

// resets ends it with an RST. What was written before has a moment to arrive: an RST overtakes it.
func resets() step {
	return func(conn scriptedConn) error {
		time.Sleep(30 * time.Millisecond)
		if err := conn.Conn.(*net.TCPConn).SetLinger(0); err != nil {
			return err
		}
		return errScriptEnds
	}
}

// drips writes a little at a time, for as long as a stall takes.
func drips(text string) step {
	return func(conn scriptedConn) error {
		const drops = 20
		for piece := range slices.Chunk([]byte(text), len(text)/drops+1) {
			if _, err := conn.Write(piece); err != nil {
				return err
			}
			time.Sleep(stall / drops)
		}
		return nil
	}
}

// awaitsEnd says nothing more until the other side ends the connection.
func awaitsEnd() step {
	return func(conn scriptedConn) error {
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		_, _ = conn.rest.ReadByte()
		return errScriptEnds
	}
}

// watched is what a script tells of its client.
type watched struct {
	begun chan struct{} // gets a value when the script waits for the client to leave, or has begun to flood it
	left  chan bool     // whether it did leave
}

func newWatched() watched {
	return watched{begun: make(chan struct{}, 100), left: make(chan bool, 100)}
}

// begins says that a request has come.
func (w watched) begins() step {
	return func(scriptedConn) error {
		w.begun <- struct{}{}
		return nil
	}
}

// mustBegin wants the request to have come so far.
func (w watched) mustBegin(t *testing.T) {
	t.Helper()
	select {
	case <-w.begun:
	case <-time.After(2 * patience):
		t.Error("the upstream has not been asked")
	}
}

// mustEnd wants the other side to have left.
func (w watched) mustEnd(t *testing.T) {
	t.Helper()
	select {
	case left := <-w.left:
		if !left {
			t.Error("the upstream waits for ever")
		}
	case <-time.After(2 * patience):
		t.Error("the upstream has heard nothing")
	}
}

// awaitsEnd waits until the other side ends the connection.
func (w watched) awaitsEnd() step {
	return func(conn scriptedConn) error {
		w.begun <- struct{}{}
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		_, err := conn.rest.ReadByte()
		w.left <- err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
		return errScriptEnds
	}
}

// floods writes until the other side ends the connection.
func (w watched) floods(piece string) step {
	return func(conn scriptedConn) error {
		w.begun <- struct{}{}
		_ = conn.SetWriteDeadline(time.Now().Add(patience))
		for {
			if _, err := io.WriteString(conn, piece); err != nil {
				w.left <- !errors.Is(err, os.ErrDeadlineExceeded)
				return errScriptEnds
			}
		}
	}
}

// echoes sends back all that comes, and says when the other side has left.
func (w watched) echoes() step {
	return func(conn scriptedConn) error {
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, err := io.Copy(conn.Conn, conn.rest)
		w.left <- !errors.Is(err, os.ErrDeadlineExceeded)
		return errScriptEnds
	}
}

// hangUp ends every connection.
func (o *origin) hangUp() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for c := range o.conns {
		_ = c.Close()
	}
}
