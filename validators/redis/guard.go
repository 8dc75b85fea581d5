package redis

import (
	"fmt"
	"net"
	"sync"
)

// guard stands between a connection and the client, and ends the connection before the client reads what it could not
// cope with. It is to be read by one goroutine at a time, and written by one.
type guard struct {
	net.Conn

	mu      sync.Mutex
	answers answers
}

func newGuard(conn net.Conn) *guard { return &guard{Conn: conn} }

// Write counts the commands before they are sent, so that no answer can come earlier.
func (g *guard) Write(b []byte) (int, error) {
	g.mu.Lock()
	err := g.answers.command.read(b, &g.answers.questions)
	g.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return g.Conn.Write(b)
}

// Read returns what is good.
func (g *guard) Read(b []byte) (int, error) {
	n, err := g.Conn.Read(b)
	g.mu.Lock()
	n, refused := g.answers.read(b[:n])
	g.mu.Unlock()
	if refused != nil {
		_ = g.Conn.Close()
		return n, fmt.Errorf("the server breaks the protocol: %w", refused)
	}
	return n, err
}
