package redis

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// proxy stands between a store and a server, and may change, delay or hold back what goes through.
type proxy struct {
	listener net.Listener
	server   string
	rewrite  func(command []string) []string
	delay    time.Duration
	asked    atomic.Int64 // commands that came
	held     atomic.Bool  // nothing comes through any more, in either direction
	garble   atomic.Pointer[func(part []byte) []byte]
	mu       sync.Mutex
	conns    []net.Conn
}

func startProxy(t *testing.T, server string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, server: server, rewrite: func(command []string) []string { return command }}
	t.Cleanup(func() {
		listener.Close()
		p.cut()
	})
	return p
}

func (p *proxy) serve() *proxy {
	go func() {
		for {
			client, err := p.listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", p.server) //nolint:noctx // local
			if err != nil {
				client.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, client, server)
			p.mu.Unlock()
			go p.commands(client, server)
			go p.answers(server, client)
		}
	}()
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

// cut closes all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		conn.Close()
	}
	p.conns = nil
}

func (p *proxy) commands(from io.ReadCloser, to io.WriteCloser) {
	defer to.Close()
	for in := bufio.NewReader(from); ; {
		command, err := readCommand(in)
		if err != nil {
			return
		}
		p.asked.Add(1)
		if p.held.Load() {
			continue
		}
		if p.delay > 0 {
			<-time.After(p.delay)
		}
		command = p.rewrite(command)
		var out strings.Builder
		fmt.Fprintf(&out, "*%d\r\n", len(command))
		for _, word := range command {
			fmt.Fprintf(&out, "$%d\r\n%s\r\n", len(word), word)
		}
		if _, err := io.WriteString(to, out.String()); err != nil {
			return
		}
	}
}

func (p *proxy) answers(from io.ReadCloser, to io.WriteCloser) {
	defer to.Close()
	part := make([]byte, 32<<10)
	for {
		n, err := from.Read(part)
		if err != nil {
			return
		}
		if p.held.Load() {
			continue
		}
		said := part[:n]
		if garble := p.garble.Load(); garble != nil {
			said = (*garble)(said)
		}
		if _, err := to.Write(said); err != nil {
			return
		}
	}
}

// say has the server say something that it does not say, on all connections.
func (p *proxy) say(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := 0; i < len(p.conns); i += 2 {
		_, _ = io.WriteString(p.conns[i], text)
	}
}

func readCommand(in *bufio.Reader) ([]string, error) {
	words, err := readNumber(in)
	if err != nil {
		return nil, err
	}
	command := make([]string, words)
	for i := range command {
		length, err := readNumber(in)
		if err != nil {
			return nil, err
		}
		word := make([]byte, length+2)
		if _, err := io.ReadFull(in, word); err != nil {
			return nil, err
		}
		command[i] = string(word[:length])
	}
	return command, nil
}

func readNumber(in *bufio.Reader) (int, error) {
	line, err := in.ReadString('\n')
	if err != nil || len(line) < 4 {
		return 0, io.ErrUnexpectedEOF
	}
	return strconv.Atoi(line[1 : len(line)-2])
}
