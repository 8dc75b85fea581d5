package integration

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"time"
)

// script is what an upstream does with a connection that a request has come on, byte by byte. PUT is not its business:
// the origin answers that as it would without.
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

// drips writes byte by byte, for about as long as a stall takes.
func drips(text string) step {
	return func(conn scriptedConn) error {
		pause := stall / time.Duration(len(text))
		for i := range text {
			if _, err := io.WriteString(conn, text[i:i+1]); err != nil {
				return err
			}
			time.Sleep(pause)
		}
		return nil
	}
}

// awaitsEnd waits until the other side ends the connection, and reports to left whether it did.
func awaitsEnd(begun chan<- struct{}, left chan<- bool) step {
	return func(conn scriptedConn) error {
		begun <- struct{}{}
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		_, err := conn.rest.ReadByte()
		var timeout net.Error
		left <- err != nil && !(errors.As(err, &timeout) && timeout.Timeout())
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
