package audit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

const (
	// DefaultConcurrency is how many URLs are looked at in one go, where nobody says how many. The requests to one URL
	// are sent one after the other.
	DefaultConcurrency = 2
	maxConcurrency     = 16
	// DefaultTimeout is how long a request may take.
	DefaultTimeout = 30 * time.Second
	// MaxBody is how much of a body is read.
	MaxBody = 4 << 20
	// maxDecoded is how long a body may be once it is decoded.
	maxDecoded = 16 << 20
	// pause is how long after the first plain answer the second one is asked for: in another second, by which a date that
	// is only the time of the answer is told.
	pause = 1100 * time.Millisecond
)

// Options say how to ask. The zero value of each is its default, and Check puts that in.
type Options struct {
	// Header are fields that the given URLs are asked with, and nothing else is.
	Header http.Header
	// Cookies are those of a browser that has been there before.
	Cookies []Cookie
	// Addresses are where to find the host of the URLs, host:port each: replicas that are to agree with each other. The
	// first one gets all requests.
	Addresses []string
	// Concurrency is how many URLs are looked at in one go.
	Concurrency int
	Timeout     time.Duration
	MaxBody     int64
	// Pause is negative for none.
	Pause time.Duration
	// Progress is told of each URL that is done. It is called by one goroutine at a time.
	Progress func(done, all int, url string)
}

// Check puts defaults in, and refuses what cannot be meant.
func (o *Options) Check() error {
	if o.Concurrency == 0 {
		o.Concurrency = DefaultConcurrency
	}
	if o.Concurrency < 1 || o.Concurrency > maxConcurrency {
		return fmt.Errorf("concurrency is %d; it may be 1 to %d", o.Concurrency, maxConcurrency)
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Timeout < 0 {
		return errors.New("a timeout has to be longer than nothing")
	}
	if o.MaxBody == 0 {
		o.MaxBody = MaxBody
	}
	if o.Pause == 0 {
		o.Pause = pause
	}
	seen := make(map[string]bool)
	for _, address := range o.Addresses {
		if _, port, err := net.SplitHostPort(address); err != nil || !isPort(port) {
			return fmt.Errorf("address %q has to be host:port, as 192.0.2.1:443 or [2001:db8::1]:443", address)
		}
		if seen[address] {
			return fmt.Errorf("address %q is there twice", address)
		}
		seen[address] = true
	}
	return nil
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// ParseURL reads a URL that can be looked at.
func ParseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is no URL", s)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%q is no URL that begins with http:// or https://", s)
	case u.Hostname() == "":
		return nil, fmt.Errorf("%q has no host", s)
	case u.User != nil:
		return nil, fmt.Errorf("the URL of host %s has credentials in it; give them with --header \"Authorization: …\"", u.Hostname())
	}
	u.Fragment = ""
	if u.Path == "" {
		u.Path = "/"
	}
	return u, nil
}

// Run looks at URLs, and reports what it found in their order. Options have to be checked.
func Run(ctx context.Context, options *Options, urls []*url.URL) *Report {
	secrets, connections := newSecrets(options), new(wires)
	defer connections.close()
	pages := make([]*Page, len(urls))
	var (
		next, done int
		mu         sync.Mutex
		workers    sync.WaitGroup
	)
	take := func() (i int, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		next++
		return next - 1, next <= len(urls) && ctx.Err() == nil
	}
	tell := func(u *url.URL) {
		mu.Lock()
		defer mu.Unlock()
		done++
		if options.Progress != nil {
			options.Progress(done, len(urls), secrets.line(u.String()))
		}
	}
	for range min(options.Concurrency, len(urls)) {
		workers.Go(func() {
			for i, ok := take(); ok; i, ok = take() {
				v := newVisitor(options, connections, urls[i])
				pages[i] = judge(v.visit(ctx), secrets)
				tell(urls[i])
			}
		})
	}
	workers.Wait()
	return reportOf(pages, secrets)
}
