package guard

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/subrequest"
)

// MaxCheck is how long the current representation is waited for, from the question to the last byte
// that is needed of the answer.
const MaxCheck = 10 * time.Second

// MaxGlance is how long it is waited for where the write can do without: what it would tell is a favour.
const MaxGlance = 2 * time.Second

// Request makes the GET that asks for the current representation of what the write r is about; its
// answer goes to w. The caller calls cancel when it is done with the answer.
//
// It asks in the name of the client: credentials, cookies, Accept fields and Origin go along. It has no
// body, no condition, and nothing that could make an upstream take it for the write.
func Request(r *http.Request, w http.ResponseWriter) (get *http.Request, cancel context.CancelFunc) {
	ctx, cancel := context.WithTimeout(r.Context(), MaxCheck)
	return request(ctx, r, w), cancel
}

// Glance makes the same GET for MaxGlance. After that it ends as if the client had left: reverse_proxy counts a deadline as
// a failure of the upstream, of which it may conclude that it is down.
func Glance(r *http.Request, w http.ResponseWriter) (get *http.Request, cancel context.CancelFunc) {
	ctx, end := context.WithCancel(r.Context())
	timer := time.AfterFunc(MaxGlance, end)
	return request(ctx, r, w), func() {
		timer.Stop()
		end()
	}
}

func request(ctx context.Context, r *http.Request, w http.ResponseWriter) *http.Request {
	ctx = caddyhttp.ContextWithIdleTimeouts(ctx, nil, nil) // these are about the write's body and answer
	get := subrequest.Get(r.WithContext(ctx), w)
	for name := range get.Header {
		if ofWrite(name) {
			delete(get.Header, name)
		}
	}
	get.Header["Cache-Control"] = []string{"no-cache"} // no cache behind this one answers from memory
	return get
}

// MethodOverrides are the fields by which frameworks let a POST stand for another method.
var MethodOverrides = []string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override"}

// ofWrite reports whether a field is about the write: its body, its conditions (the If of WebDAV among
// them), what its answer is to be like, or that the method is another one. An upstream that remembers
// the answer to an Idempotency-Key would repeat the GET's for the write.
func ofWrite(name string) bool {
	switch name {
	case "Expect", "Trailer", "Transfer-Encoding", "Range", "Digest", "Repr-Digest", "If", "Prefer",
		"Idempotency-Key", "X-Idempotency-Key":
		return true
	}
	return slices.Contains(MethodOverrides, name) || strings.HasPrefix(name, "Content-") || strings.HasPrefix(name, "If-")
}

// Sink is a response writer that keeps the fields and throws the rest away.
type Sink struct{ header http.Header }

// NewSink returns a sink whose fields are, to begin with, a copy of those that handlers outside have
// set on the answer to the write: a GET of the client would find them, too.
func NewSink(header http.Header) *Sink { return &Sink{header: header.Clone()} }

// Header returns the fields.
func (s *Sink) Header() http.Header { return s.header }

// WriteHeader does nothing.
func (*Sink) WriteHeader(int) {}

// Write throws p away.
func (*Sink) Write(p []byte) (int, error) { return len(p), nil }

// WriteString throws s away.
func (*Sink) WriteString(s string) (int, error) { return len(s), nil }

var (
	_ http.ResponseWriter = (*Sink)(nil)
	_ io.StringWriter     = (*Sink)(nil)
)
