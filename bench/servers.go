package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	caddyPackage = "github.com/conditionalcache/caddy-conditional-cache/cmd/caddy"
	// startTime is how long a server may take before it listens.
	startTime = 15 * time.Second
	// endTime is how long the pipes of a process that was ended may stay open.
	endTime = 2 * time.Second
)

// process is a server that was started.
type process struct {
	address string
	cmd     *exec.Cmd
	cancel  context.CancelFunc
	log     bytes.Buffer  // of the standard error; to be read once ended is closed
	ended   chan struct{} // closed when the process has ended
}

// start starts a server. It ends with ctx, or with end.
func start(ctx context.Context, prepare func(*exec.Cmd) error, name string, arguments ...string) (*process, error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &process{cmd: exec.CommandContext(ctx, name, arguments...), cancel: cancel, ended: make(chan struct{})} //nolint:gosec // programs that were built a moment ago
	p.cmd.WaitDelay, p.cmd.Stderr = endTime, &p.log
	if err := prepare(p.cmd); err != nil {
		cancel()
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		cancel()
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// end ends the process and returns what it has said. The zero pointer has been ended.
func (p *process) end() string {
	if p == nil {
		return ""
	}
	p.cancel()
	<-p.ended
	return strings.TrimSpace(p.log.String())
}

// failed is why something went wrong with the process, with what it has said itself.
func (p *process) failed(err error) error {
	if said := p.end(); said != "" {
		return fmt.Errorf("%w; the server has said:\n%s", err, said)
	}
	return err
}

// awaitListening returns once the server accepts connections.
func (p *process) awaitListening(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.ended:
			return p.failed(errors.New("the server has ended"))
		case <-ctx.Done():
			return p.failed(fmt.Errorf("the server does not listen: %w", err))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// startUpstream starts this program once more, as the upstream.
func startUpstream(ctx context.Context) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	said, upstreamSays, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = said.Close() }()
	p, err := start(ctx, func(cmd *exec.Cmd) error {
		cmd.Stdout = upstreamSays
		_, err := cmd.StdinPipe() // which ends with this process, however that ends
		return err
	}, self, "-upstream")
	_ = upstreamSays.Close()
	if err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		return nil, p.failed(fmt.Errorf("the upstream names no address: %w", err))
	}
	p.address = strings.TrimSpace(line)
	return p, nil
}

// buildCaddy builds Caddy with this module.
func buildCaddy(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "caddy")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, caddyPackage) //nolint:gosec // the path is ours
	build.WaitDelay = endTime
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building Caddy: %w\n%s", err, out)
	}
	return binary, nil
}

// startCaddy starts a Caddy with one site. It writes nothing outside dir.
func startCaddy(ctx context.Context, binary, dir string, handlers []module) (*process, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(configuration(address, handlers))
	if err != nil {
		return nil, err
	}
	p, err := start(ctx, func(cmd *exec.Cmd) error {
		cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
		cmd.Stdin = bytes.NewReader(config)
		return nil
	}, binary, "run", "--config", "-")
	if err != nil {
		return nil, err
	}
	p.address = address
	return p, p.awaitListening(ctx)
}

// configuration has no admin endpoint, no access log, and nothing to say but errors.
func configuration(address string, handlers []module) module {
	return module{
		"admin":   module{"disabled": true, "config": module{"persist": false}},
		"logging": module{"logs": module{"default": module{"level": "ERROR"}}},
		"apps": module{"http": module{"servers": module{"bench": module{
			"listen":          []string{address},
			"automatic_https": module{"disable": true},
			"routes":          []module{{"handle": handlers}},
		}}}},
	}
}

// proxyTo is reverse_proxy, with enough idle connections that none is dialled anew under the most clients.
func proxyTo(address string) module {
	return module{
		"handler":   "reverse_proxy",
		"upstreams": []module{{"dial": address}},
		"transport": module{"protocol": "http", "keep_alive": module{"max_idle_conns_per_host": 1024}},
	}
}

// respond answers as another site does.
func respond(status int, fields http.Header) module {
	fields = fields.Clone()
	fields.Del("Server") // is in every answer
	return module{"handler": "static_response", "status_code": status, "headers": fields}
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
