package remember

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// safe are the methods that change nothing (RFC 9110 §9.2.1 and the registry it founds). What is not known counts
// as one that does.
var safe = []string{
	http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodConnect,
	"PROPFIND", "REPORT", "SEARCH", "QUERY", "PRI",
}

// Unsafe reports whether a request may change what URIs stand for.
func Unsafe(method string) bool { return !slices.Contains(safe, method) }

// Witness is the response writer of an unsafe request: before its answer goes out, what it may have changed is
// forgotten (RFC 9111 §4.4). It is forgotten once more when the answer ends, however it does: one that streams may go
// on changing things, and what was read meanwhile is as old as what was read before.
type Witness struct {
	http.ResponseWriter
	// Amend, if set, puts the fields of the answer in order, once, before it goes out.
	Amend func(status int, h http.Header)
	// Forget, if set, is told the answer's status and fields, of which those count that name URIs.
	Forget func(status int, h http.Header)

	status int // 0: nobody has answered yet
	named  http.Header
}

// WriteHeader implements http.ResponseWriter.
func (w *Witness) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.see(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *Witness) see(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	if w.Amend != nil {
		w.Amend(status, w.Header())
	}
	if w.Forget != nil {
		h := w.Header()
		w.named = http.Header{"Location": h["Location"], "Content-Location": h["Content-Location"]}
		w.Forget(status, w.named)
	}
}

// Write implements http.ResponseWriter.
func (w *Witness) Write(p []byte) (int, error) {
	w.see(http.StatusOK)
	return w.ResponseWriter.Write(p)
}

// ReadFrom implements io.ReaderFrom.
func (w *Witness) ReadFrom(r io.Reader) (int64, error) {
	w.see(http.StatusOK)
	return io.Copy(w.ResponseWriter, r)
}

// FlushError sends what there is.
func (w *Witness) FlushError() error {
	w.see(http.StatusOK)
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Push passes an HTTP/2 server push on to the writer below.
func (w *Witness) Push(target string, opts *http.PushOptions) error {
	if pusher, ok := w.ResponseWriter.(http.Pusher); ok {
		return pusher.Push(target, opts)
	}
	return http.ErrNotSupported
}

// Unwrap returns the writer below, for http.ResponseController.
func (w *Witness) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// End comes when the next handler is done. If nothing was answered yet, the status is that of an answer that others
// will give, or that nobody will: what failed may have done its work all the same. Else that of the answer counts.
func (w *Witness) End(status int) {
	if w.status == 0 {
		w.see(status)
	} else if w.Forget != nil {
		w.Forget(w.status, w.named)
	}
}

// Changes reports whether an answer to an unsafe request leaves it possible that something was changed. RFC 9111
// §4.4 speaks of answers that are no error; a server's failure is counted as well, as what was done before it is
// not known; and so is 499, by which reverse_proxy says that the client has left, whatever the upstream has done.
func Changes(status int) bool { return status < 400 || status >= statusClientGone }

const statusClientGone = 499

// Unanswered reports whether an answer to an unsafe request says nothing of what becomes of it: the client has left, or the
// upstream was not heard to the end of the head. The upstream may do it still.
func Unanswered(status int) bool {
	return status == statusClientGone || status == http.StatusBadGateway || status == http.StatusGatewayTimeout
}

// Changed lists the URIs that an unsafe request for target makes doubtful: its own, and what is named by lines of its
// answer's Location and Content-Location, and of its own Destination (RFC 4918 §10.3), on the same server. Others are not
// this one's to forget (RFC 9111 §7.1).
func Changed(host string, target *url.URL, names ...[]string) []validators.URI {
	all := []validators.URI{validators.NewURI(host, target)}
	for _, lines := range names {
		for _, line := range lines {
			named, err := target.Parse(line)
			switch {
			case err != nil, named.Scheme != "" && named.Scheme != "http" && named.Scheme != "https":
				continue
			case named.Host != "" && validators.CanonicalHost(named.Host) != all[0].Host:
				continue
			}
			if uri := validators.NewURI(host, named); !slices.Contains(all, uri) {
				all = append(all, uri)
			}
		}
	}
	return all
}

// Forget forgets URIs. Where the store fails, it sees to it by itself that they are not answered from it. It is told how
// long the request has waited for the store already, and returns how long it has then.
func (m *Memory) Forget(ctx context.Context, waited time.Duration, uris []validators.URI) time.Duration {
	stores := []validators.Store{m.Store}
	if m.over.Load() && m.InUse != nil {
		stores = append(stores, slices.DeleteFunc(m.InUse(), func(s validators.Store) bool { return s == m.Store })...)
	}
	for _, uri := range uris {
		for _, store := range stores {
			began := time.Now()
			_ = store.Forget(validators.WithWaited(ctx, waited), uri)
			waited += time.Since(began)
		}
	}
	return waited
}
