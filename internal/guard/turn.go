package guard

import (
	"errors"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
)

// lineUp waits until the writes to the same URI that came before have been answered.
func (g *Write) lineUp() (err error) {
	if g.Queue == nil {
		return nil
	}
	came := time.Now()
	g.turn, err = g.Queue.Acquire(g.R.Context(), g.key())
	if g.Waited != nil {
		g.Waited(time.Since(came))
	}
	switch {
	case g.R.Context().Err() != nil:
		return g.gone()
	case err == nil:
		return nil
	}
	if unsettled, ok := errors.AsType[*UnsettledError](err); ok {
		g.To.Header()["Retry-After"] = []string{strconv.Itoa(int(math.Ceil(unsettled.For.Seconds())))}
		return g.unavailable(journal.GuardUnsettled, err)
	}
	return g.unavailable(journal.GuardQueue, err)
}

// key names the URI as the client sent it, before any rewrite; two ways to write one URI are one.
func (g *Write) key() string {
	uri := g.URL
	host := strings.ToLower(g.R.Host)
	if name, port, err := net.SplitHostPort(host); err == nil && (port == "80" || port == "443") {
		host = name
	}
	if at, ok := g.R.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		if _, port, err := net.SplitHostPort(at.String()); err == nil && port != "80" && port != "443" {
			host = port + "/" + host
		}
	}
	return host + uri.Path + "?" + uri.RawQuery
}
