// Package rig starts the servers that the benchmarks compare, each as a process of its own on 127.0.0.1, and reads from
// /proc what they take. It knows nothing of what is compared.
package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"time"
)

const (
	// StartTime is how long a server may take before it listens; an interpreter on a busy machine takes its time.
	StartTime = time.Minute
	// EndTime is how long the pipes of a process that was ended may stay open.
	EndTime = 2 * time.Second
)

// Process is a server that was started.
type Process struct {
	Address string // where it listens; set by who starts it
	cmd     *exec.Cmd
	cancel  context.CancelFunc
	log     bytes.Buffer  // of the standard error; to be read once ended is closed
	ended   chan struct{} // closed when the process has ended
}

// Start starts a server. It ends with ctx, or with End.
func Start(ctx context.Context, prepare func(*exec.Cmd) error, name string, arguments ...string) (*Process, error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &Process{cmd: exec.CommandContext(ctx, name, arguments...), cancel: cancel, ended: make(chan struct{})} //nolint:gosec // programs that were built a moment ago
	p.cmd.WaitDelay, p.cmd.Stderr = EndTime, &p.log
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

// PID is the number by which the kernel knows it.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// End ends the process and returns what it has said. The zero pointer has been ended.
func (p *Process) End() string {
	if p == nil {
		return ""
	}
	p.cancel()
	<-p.ended
	return strings.TrimSpace(p.log.String())
}

// Failed is why something went wrong with the process, with what it has said itself.
func (p *Process) Failed(err error) error {
	if said := p.End(); said != "" {
		return fmt.Errorf("%w; the server has said:\n%s", err, said)
	}
	return err
}

// AwaitListening returns once the server accepts connections at its address.
func (p *Process) AwaitListening(ctx context.Context) error {
	return p.AwaitListeningAt(ctx, p.Address)
}

// AwaitListeningAt is the same for another address of the server.
func (p *Process) AwaitListeningAt(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, StartTime)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.ended:
			return p.Failed(errors.New("the server has ended"))
		case <-ctx.Done():
			return p.Failed(fmt.Errorf("the server does not listen: %w", err))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// FreeAddress is one of this machine where nobody listens.
func FreeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
