package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// The states of a store.
const (
	connecting int32 = iota // has never been connected, and has not failed
	up
	down // has failed, and is left alone until it was found to be well
	closed
)

const (
	// maxInFlight is how many calls are under way at a time. It is less than the 1024 that the client queues on
	// a connection before it makes callers wait.
	maxInFlight = 512

	// Each failure counts as costOfFailure, and each success takes one off. With tooMuch the store is left
	// alone: after five failures in a row, or when more than one in five calls fails, as with a node of a
	// cluster that is lost.
	costOfFailure = 4
	tooMuch       = 5 * costOfFailure
)

var (
	errConnecting = fmt.Errorf("%w yet", validators.ErrUnavailable)
	errBusy       = fmt.Errorf("%w: too many calls at a time", validators.ErrUnavailable)
	errTimeout    = fmt.Errorf("%w in time", validators.ErrUnavailable)
)

// outcome is what a call returns, which may not have needed the server.
type outcome interface{ isLocal() bool }

// remote is the outcome of a call of which only the error counts.
type remote struct{}

func (remote) isLocal() bool { return false }

// call makes one call to the server, in a goroutine of its own: whatever the client has to wait for (its queue, a
// connection that is being made, the list of a cluster's nodes), the caller waits for the timeout and no longer, and less
// if the request has waited for other calls. What it does not wait for has the whole timeout all the same. A goroutine
// that is left behind ends with its context, or at the latest with the connection.
func call[T outcome](of context.Context, s *store, do func(context.Context, rueidis.Client) (T, error)) (T, error) {
	var none T
	if err := s.admit(); err != nil {
		s.errors.Add(1)
		return none, err
	}
	client := s.client.Load()
	if client == nil { // was closed since the call was admitted
		s.inFlight.Add(-1)
		s.errors.Add(1)
		return none, validators.ErrUnavailable
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.options.timeout)
	type result struct {
		value T
		err   error
	}
	answer := make(chan result, 1)
	go func() {
		defer cancel() // here, as who called may leave before
		defer s.inFlight.Add(-1)
		var r result
		defer func() { answer <- r }()
		defer contain(&r.err)
		r.value, r.err = do(ctx, *client)
	}()
	waited := validators.Waited(of)
	timer := time.NewTimer(s.options.timeout - waited)
	defer timer.Stop()
	select {
	case r := <-answer:
		if r.err != nil {
			return none, s.failed(r.err)
		}
		if !r.value.isLocal() {
			s.succeeded()
		}
		return r.value, nil
	case <-timer.C:
		if waited > 0 {
			s.errors.Add(1)
			return none, errTimeout // which says nothing of the server
		}
		return none, s.failed(context.DeadlineExceeded)
	}
}

// admit counts a call, unless the store is left alone.
func (s *store) admit() error {
	switch s.state.Load() {
	case up:
	case connecting:
		s.awake()
		return errConnecting
	default:
		return validators.ErrUnavailable
	}
	if s.inFlight.Add(1) > maxInFlight {
		s.inFlight.Add(-1)
		return errBusy
	}
	return nil
}

// succeeded counts an answer of the server. What came from memory says nothing about the server.
func (s *store) succeeded() {
	for {
		failures := s.failures.Load()
		if failures == 0 || s.failures.CompareAndSwap(failures, failures-1) {
			return
		}
	}
}

// failed counts an error, and returns it as callers get it. A server that only refuses to write is not left alone:
// what it has can still be read.
func (s *store) failed(err error) error {
	s.errors.Add(1)
	if !isRefusal(err) {
		switch failures := s.failures.Add(costOfFailure); {
		case isReadOnly(err), failures >= tooMuch:
			s.leaveAlone(err)
		}
	} else {
		s.logs.warn("the store refuses to write", err)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errTimeout
	}
	return fmt.Errorf("%w: %s", validators.ErrUnavailable, s.logs.redact(err))
}

// leaveAlone opens the circuit.
func (s *store) leaveAlone(err error) {
	if s.state.CompareAndSwap(up, down) {
		s.logs.warn("the store is left alone: requests are served as if nothing were remembered", err)
		s.awake()
	}
}

// isRefusal reports whether the server cannot write now, but read.
func isRefusal(err error) bool { return isFull(err) || hasCode(err, "MISCONF", "NOREPLICAS") }

// isFull reports whether the server has no memory for a write; it can still delete.
func isFull(err error) bool { return hasCode(err, "OOM") }

// isReadOnly reports whether the server is a replica now, and the connection should be to another one.
func isReadOnly(err error) bool { return hasCode(err, "READONLY") }

// hasCode reports whether the server answered with an error that begins with one of the codes. The error of a
// script has it too, in servers before version 7 further behind.
func hasCode(err error, codes ...string) bool {
	var answer *rueidis.RedisError
	if !errors.As(err, &answer) {
		return false
	}
	for _, code := range codes {
		if text := answer.Error(); strings.HasPrefix(text, code+" ") || strings.Contains(text, "-"+code+" ") {
			return true
		}
	}
	return false
}

// contain makes an error of a panic of the client: in a goroutine of this package it would end the process, and not
// just a request.
func contain(err *error) {
	if panicked := recover(); panicked != nil {
		*err = fmt.Errorf("panic: %v", panicked)
	}
}
