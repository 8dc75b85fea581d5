package audit

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"time"
)

// errCut is a response that ended before its end.
var errCut = errors.New("the body ended early")

// maxFields is how many octets of fields a response may have.
const maxFields = 256 << 10

// dialTime is how long a connection may take.
const dialTime = 10 * time.Second

// wires are the connections to each address, so that a request for a replica never takes that of another one. They may
// be used concurrently.
type wires struct {
	mu sync.Mutex
	to map[string]*http.Transport
}

// transport is what leads to an address; empty: wherever a URL leads.
func (w *wires) transport(address string) *http.Transport {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t := w.to[address]; t != nil {
		return t
	}
	dialer := &net.Dialer{Timeout: dialTime}
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    dialTime,
		MaxResponseHeaderBytes: maxFields,
		MaxIdleConnsPerHost:    maxConcurrency,
		DisableCompression:     true, // a coding is what is looked at
	}
	if address != "" {
		t.Proxy = nil
		t.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, address)
		}
	}
	if w.to == nil {
		w.to = make(map[string]*http.Transport)
	}
	w.to[address] = t
	return t
}

func (w *wires) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.to {
		t.CloseIdleConnections()
	}
}

// visitor is a browser that has been given one URL. What the user has given to say who he is goes to that URL's origin
// and to no other one.
type visitor struct {
	options *Options
	wires   *wires
	given   *url.URL
	here    *url.URL // where it is now
	codings string   // what the first request accepts
	jar     http.CookieJar
	seen    *Observation
}

func newVisitor(options *Options, w *wires, given *url.URL) *visitor {
	v := &visitor{options: options, wires: w, given: given, here: given, codings: browserCodings, seen: &Observation{URL: given.String()}}
	v.jar = emptyJar()
	for _, c := range options.Cookies {
		c.putInto(v.jar)
	}
	return v
}

func emptyJar() http.CookieJar {
	jar, _ := cookiejar.New(nil) // fails never
	return jar
}

// own reports whether a URL may be told what the user has given: it has the origin of the given URL, or it is where that
// moves from http to https.
func (v *visitor) own(u *url.URL) bool {
	if !strings.EqualFold(u.Hostname(), v.given.Hostname()) {
		return false
	}
	same := u.Scheme == v.given.Scheme && portOf(u) == portOf(v.given)
	return same || v.given.Scheme == "http" && portOf(v.given) == "80" && u.Scheme == "https" && portOf(u) == "443"
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// ask sends one request, and follows nothing.
func (v *visitor) ask(ctx context.Context, s *step, u *url.URL, address string, fields http.Header) *Exchange {
	e := &Exchange{Address: address, Sent: fields}
	v.seen.Requests++
	ctx, cancel := context.WithTimeout(ctx, v.options.Timeout)
	defer cancel()
	method := s.method
	if method == "" {
		method = http.MethodGet
	}
	request, err := http.NewRequestWithContext(ctx, method, u.String(), http.NoBody)
	if err != nil {
		e.Err = err
		return e
	}
	v.dress(request, fields)
	response, err := v.send(request, address, e)
	if err != nil {
		e.Err = err
		return e
	}
	defer response.Body.Close() //nolint:errcheck // what is left of it is of no interest
	v.jar.SetCookies(u, response.Cookies())
	e.Status, e.Header, e.Now = response.StatusCode, response.Header, time.Now()
	e.Err = e.read(response.Body, v.options.MaxBody, s.keep)
	return e
}

// send sends a request. HEAD goes alone, unless it has to go by a proxy.
func (v *visitor) send(request *http.Request, address string, e *Exchange) (response *http.Response, err error) {
	if request.Method == http.MethodHead {
		request.Close = true
		if proxy, err := http.ProxyFromEnvironment(request); address != "" || err == nil && proxy == nil {
			response, e.Surplus, err = sendAlone(request, address)
			return response, err
		}
	}
	return v.wires.transport(address).RoundTrip(request)
}

// dress gives a request the fields of a browser, of the user, and of the probe.
func (v *visitor) dress(request *http.Request, fields http.Header) {
	h := request.Header
	h.Set("User-Agent", "Mozilla/5.0 (compatible; caddy-conditional-cache-audit)")
	h.Set("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
	h.Set("Accept-Language", "en")
	if v.own(request.URL) {
		for name, values := range v.options.Header {
			if name == "Host" {
				request.Host = values[0]
				continue
			}
			h[name] = append([]string(nil), values...)
		}
	}
	for _, cookie := range v.jar.Cookies(request.URL) {
		request.AddCookie(cookie)
	}
	maps.Copy(h, fields)
}

// read reads a body up to a limit.
func (e *Exchange) read(body io.Reader, limit int64, keep bool) error {
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return errCut
	}
	if int64(len(data)) > limit {
		e.Cut, data = true, data[:limit]
	}
	e.Size, e.Digest = int64(len(data)), sha256.Sum256(data)
	if keep {
		e.Body = data
	}
	return nil
}
