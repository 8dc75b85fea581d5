package conditionalcache

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
)

// ServeHTTP gives the next handler's response its validators and answers the request's preconditions.
//
// This is the life of a request; each step has its files in internal/exchange, whose documentation says more:
//
//	Arrive   reads the facts, or says why it does not act             arrive.go, sent.go
//	Pass     judges a guarded write; lets all else through            pass.go, write.go, reading.go
//	Recall   a 304 from memory                                        recall.go
//	Show     what the upstream is to see of the request               show.go, transfer.go
//	Answer   the next handler is called; its head is judged           end.go, head.go, selected.go, dates.go, memory.go, judge.go
//	         … and answered, sliced, streamed, or held                notmodified.go, slice.go, stream.go, hold.go, freshness.go
//	         … until all of it is here; or it is asked for again      whole.go, again.go
//	Leave    the request is as it was                                 end.go
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	x, reason := h.service.Arrive(r)
	if reason != journal.NoReason {
		return h.service.Pass(w, r, next, reason)
	}
	defer x.Leave()
	if x.Recall(w) {
		return nil
	}
	x.Show(w)
	return x.Answer(next)
}
