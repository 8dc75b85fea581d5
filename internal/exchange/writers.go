package exchange

import (
	"runtime"
	"strings"
)

// Functions by which it is told who writes a head: those of Caddy and net/http by the names that they have in v2.11.9
// and Go 1.26 (a test fails when one of them is called otherwise), and ours.
const (
	templatesServe  = "github.com/caddyserver/caddy/v2/modules/caddyhttp/templates.(*Templates).ServeHTTP"
	recorderWrites  = "github.com/caddyserver/caddy/v2/modules/caddyhttp.(*responseRecorder).WriteResponse"
	netServeContent = "net/http.serveContent"
	ourSlice        = "github.com/conditionalcache/caddy-conditional-cache/internal/capture.(*Response).slice"
	ourRun          = "github.com/conditionalcache/caddy-conditional-cache/internal/exchange.(*Exchange).run"
)

// writers is what the call stack of a WriteHeader says of those who call it.
type writers struct {
	rendered     bool // templates writes what it has rendered
	unrendered   bool // templates lets pass what stands behind it, as it is
	serveContent bool // net/http writes, out of what can be read from any place on, such as a file
}

// readWriters reads the stack of this goroutine, from the head that is being written outwards to where the nearest
// instance has called the next handler. That takes ten microseconds and more: it is for answers that only a Range gets.
//
// What an instance further in has cut out of a page itself, and is about to send, is nobody else's part. If it lets one
// pass, templates does not write outside of it: that holds back what it renders, until all inside have returned.
func readWriters() (by writers) {
	var pcs [64]uintptr
	inner := ""
	for skip := 0; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs[:])
		frames := runtime.CallersFrames(pcs[:n])
		for more := n > 0; more; {
			var frame runtime.Frame
			frame, more = frames.Next()
			switch frame.Function {
			case ourSlice:
				return writers{}
			case ourRun:
				return by
			case netServeContent:
				by.serveContent = true
			case templatesServe:
				by.rendered = by.rendered || inner == recorderWrites
				by.unrendered = by.unrendered || inner != recorderWrites
			}
			inner = frame.Function
		}
		if n < len(pcs) {
			return by
		}
	}
}

// byTemplates reports whether templates has made an error, by the trace that Caddy notes in it: of a page that cannot be
// rendered, or that a page has asked for (httpError).
func byTemplates(trace string) bool {
	return strings.HasPrefix(trace, "templates.(*Templates).executeTemplate (") || strings.HasPrefix(trace, "templates.TemplateContext.funcHTTPError (")
}
