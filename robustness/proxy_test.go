//go:build unix

package robustness

import (
	"net"
	"sync"
	"testing"
)

// proxy is the network between one node and a Redis.
type proxy struct {
	listener net.Listener
	server   string

	mu     sync.Mutex
	conns  map[net.Conn]bool
	refuse bool
	pass   chan struct{} // closed while something passes
}

func startProxy(t *testing.T, server string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, server: server, conns: make(map[net.Conn]bool), pass: make(chan struct{})}
	close(p.pass)
	go p.accept()
	t.Cleanup(func() {
		listener.Close()
		p.drop()
		p.heal()
	})
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			client.Close()
			continue
		}
		if !p.keep(client, server) {
			continue
		}
		go p.copy(server, client)
		go p.copy(client, server)
	}
}

func (p *proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.refuse {
			c.Close()
		} else {
			p.conns[c] = true
		}
	}
	return !p.refuse
}

// copy passes octets on. Those that are held come later, as those that TCP sends again.
func (p *proxy) copy(to, from net.Conn) {
	defer p.end(to, from)
	part := make([]byte, 32<<10)
	for {
		n, err := from.Read(part)
		p.mu.Lock()
		pass := p.pass
		p.mu.Unlock()
		<-pass
		if _, failed := to.Write(part[:n]); failed != nil || err != nil {
			return
		}
	}
}

func (p *proxy) end(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		c.Close()
		delete(p.conns, c)
	}
}

// hold lets nothing through any more, and nobody is told.
func (p *proxy) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pass = make(chan struct{})
}

// drop closes all connections, and refuses new ones.
func (p *proxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = true
	for c := range p.conns {
		c.Close()
	}
}

// heal ends what hold or drop has begun.
func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = false
	select {
	case <-p.pass:
	default:
		close(p.pass)
	}
}
