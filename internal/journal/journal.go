// Package journal keeps what there is to say of one request's decisions, and says it: as placeholders, and
// as a field of Caddy's access log.
package journal

import (
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Outcomes of requests.
const (
	OutcomeStreamed             = "streamed"              // the response passed, with the upstream's tag or none
	OutcomeTagged               = "tagged"                // it was held, and sent with a tag of ours if it had none
	OutcomeNotModified          = "not_modified"          // 304
	OutcomePartial              = "partial"               // 206, made here
	OutcomePreconditionFailed   = "precondition_failed"   // 412
	OutcomeRangeUnsatisfiable   = "range_unsatisfiable"   // 416, made here
	OutcomePreconditionRequired = "precondition_required" // 428
	OutcomeGuarded              = "guarded"               // a write was judged, and let through
	OutcomeFailed               = "failed"                // an error or an abort travelled on
)

// Reasons of OutcomeFailed.
const (
	ReasonAborted = "aborted"
	ReasonError   = "error"
)

// Journal is what there is to say. Notes are added, never changed, so that they can be read from any
// goroutine: a deadline may decide while handlers inside evaluate placeholders. The zero value is ready;
// it must not be copied.
type Journal struct {
	notes [4]Note
	count atomic.Int32
}

// Note is one decision: its outcome, the reason, and the ETag that goes out with it, if any.
type Note struct{ Outcome, Reason, ETag string }

// Add notes a decision about a response with these fields, which may be nil. One goroutine at a time may
// call it; what is more than four is dropped.
func (j *Journal) Add(outcome, reason string, header http.Header) {
	n := j.count.Load()
	if int(n) == len(j.notes) {
		return
	}
	note := Note{Outcome: outcome, Reason: reason}
	if lines := header["Etag"]; len(lines) > 0 {
		note.ETag = lines[0]
	}
	j.notes[n] = note
	j.count.Store(n + 1)
}

// Last is the latest note; the zero Note when there is none.
func (j *Journal) Last() Note {
	if n := j.count.Load(); n > 0 {
		return j.notes[n-1]
	}
	return Note{}
}

// Offer makes the notes known to the handlers outside, as {http.conditional_cache.*} of the request's replacer, and
// to the access log.
func (j *Journal) Offer(r *http.Request, repl *caddy.Replacer) { offer(r, repl, j) }

// Offer does the same for one note, which is not to be changed any more.
func (n *Note) Offer(r *http.Request, repl *caddy.Replacer) { offer(r, repl, n) }

// Last is the note itself.
func (n *Note) Last() Note { return *n }

// account is a Journal, or a single Note.
type account interface {
	Last() Note
	zapcore.ObjectMarshaler
}

func offer(r *http.Request, repl *caddy.Replacer, a account) {
	repl.Map(func(key string) (any, bool) { return placeholder(key, a) })
	server, _ := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if server == nil || server.Logs == nil {
		return // there is no access log
	}
	if extra, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Set(zap.Object("conditional_cache", a))
	}
}

// placeholder evaluates {http.conditional_cache.*}.
func placeholder(key string, a account) (any, bool) {
	name, ours := strings.CutPrefix(key, "http.conditional_cache.")
	if !ours {
		return nil, false
	}
	switch decided := a.Last(); name {
	case "outcome":
		return decided.Outcome, true
	case "reason":
		return decided.Reason, true
	case "etag":
		return decided.ETag, true
	}
	return nil, false
}

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (j *Journal) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	decided := j.Last()
	return decided.MarshalLogObject(enc)
}

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (n *Note) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("outcome", n.Outcome)
	enc.AddString("reason", n.Reason)
	return nil
}
