// Package journal keeps what there is to say of one request's decisions, and says it: as placeholders, and
// as a field of Caddy's access log. Its outcomes and reasons are the vocabulary of all that is said.
package journal

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Record is what there is to say: the latest decision. It may be read from any goroutine and at any time, as access
// logs and placeholders are after the request: what it is part of is never used for another one. One goroutine at a
// time writes it. The zero value is ready; it must not be copied.
type Record struct {
	last   atomic.Uint32 // outcome, reason, which of the tags goes with them, and how many of these there are
	aspect atomic.Uint32 // what memory and cache_control have to do with it
	coding atomic.Uint32 // what encode_once has
	etags  [2]string     // each is written once, before last tells of it
}

// Places in Record.last.
const (
	reasonAt = 8
	tagAt    = 16 // 0: none; else one more than its index
	tagsAt   = 24
)

// Places in Record.aspect.
const (
	notRememberedAt = 8 // memory is before it
	cacheControlAt  = 16
	rowAt           = 24
)

// Note is one decision: its outcome, the reason, and an ETag, if any: the one that goes out with it, or where nothing of
// the response does, the current one.
type Note struct {
	Outcome Outcome
	Reason  Reason
	ETag    string

	// Memory is why the answer is not from memory, and NotRemembered why nothing was remembered of it. NoReason: it is, or
	// there is no memory.
	Memory, NotRemembered Reason
	// CacheControl is what became of the rows of cache_control, and Row the number of the one that was found, from 1 on; 0:
	// none, or one past the 255th.
	CacheControl Reason
	Row          uint8
	// Coding is what became of encode_once. NoReason: there is none, or nothing went out that could be coded.
	Coding Reason
}

// refuses reports whether the response, if there was one, did not go out, and an error in its place.
func (n Note) refuses() bool {
	switch n.Outcome {
	case PreconditionFailed, PreconditionRequired, Failed:
		return true
	case Undecided, Streamed, Tagged, NotModified, Partial, RangeUnsatisfiable, Guarded:
	}
	return false
}

// Decide notes a decision about a response with these fields, which may be nil. It takes the place of the one before.
// The tags of the first two are kept; of later ones none is told.
func (rec *Record) Decide(outcome Outcome, reason Reason, header http.Header) {
	tags, which := rec.last.Load()>>tagsAt, uint32(0)
	if lines := header["Etag"]; len(lines) > 0 && int(tags) < len(rec.etags) {
		rec.etags[tags] = lines[0]
		tags++
		which = tags
	}
	rec.last.Store(uint32(outcome) | uint32(reason)<<reasonAt | which<<tagAt | tags<<tagsAt)
}

// Remembering notes what the memory has to do with it.
func (rec *Record) Remembering(memory, notRemembered Reason) {
	rec.aspect.Store(rec.aspect.Load()&^0xffff | uint32(memory) | uint32(notRemembered)<<notRememberedAt)
}

// Dressed notes what became of the rows of cache_control.
func (rec *Record) Dressed(by Reason, row uint8) {
	rec.aspect.Store(rec.aspect.Load()&0xffff | uint32(by)<<cacheControlAt | uint32(row)<<rowAt)
}

// Coding notes what became of encode_once.
func (rec *Record) Coding(why Reason) { rec.coding.Store(uint32(why)) }

// Last is the latest decision, and what there is to say besides; the zero Note when there is nothing.
func (rec *Record) Last() (note Note) {
	last, aspect := rec.last.Load(), rec.aspect.Load()
	note.Memory, note.NotRemembered = Reason(aspect&0xff), Reason(aspect>>notRememberedAt&0xff)
	note.CacheControl, note.Row = Reason(aspect>>cacheControlAt&0xff), uint8(aspect>>rowAt)
	note.Coding = Reason(rec.coding.Load() & 0xff)
	note.Outcome, note.Reason = Outcome(last&0xff), Reason(last>>reasonAt&0xff)
	if which := last >> tagAt & 0xff; which > 0 {
		note.ETag = rec.etags[which-1]
	}
	return note
}

// Offer makes the record known to the handlers outside, as {http.conditional_cache.*} of the request's replacer, and
// to the access log.
func (rec *Record) Offer(ctx context.Context, repl *caddy.Replacer) {
	repl.Map(rec.placeholder)
	server, _ := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if server == nil || server.Logs == nil {
		return // there is no access log
	}
	if extra, ok := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Set(zap.Object("conditional_cache", rec))
	}
}

// placeholder evaluates {http.conditional_cache.*}.
func (rec *Record) placeholder(key string) (any, bool) {
	name, ours := strings.CutPrefix(key, "http.conditional_cache.")
	if !ours {
		return nil, false
	}
	switch decided := rec.Last(); name {
	case "outcome":
		return decided.Outcome.String(), true
	case "reason":
		return decided.Reason.String(), true
	case "etag":
		if decided.refuses() {
			return "", true
		}
		return decided.ETag, true
	case "current_etag":
		if decided.refuses() {
			return decided.ETag, true
		}
		return "", true
	case "memory":
		return decided.Memory.String(), true
	case "not_remembered":
		return decided.NotRemembered.String(), true
	case "cache_control":
		return decided.CacheControl.String(), true
	case "encode_once":
		return decided.Coding.String(), true
	}
	return nil, false
}

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (rec *Record) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	note := rec.Last()
	enc.AddString("outcome", note.Outcome.String())
	return note.MarshalLogObject(enc)
}

// MarshalLogObject implements zapcore.ObjectMarshaler: it adds all but the outcome, which is the message of a debug line.
func (n Note) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("reason", n.Reason.String())
	for _, aspect := range [...]struct {
		name   string
		reason Reason
	}{{"memory", n.Memory}, {"not_remembered", n.NotRemembered}, {"cache_control", n.CacheControl}, {"encode_once", n.Coding}} {
		if aspect.reason != NoReason {
			enc.AddString(aspect.name, aspect.reason.String())
		}
	}
	if n.Row > 0 {
		enc.AddUint8("row", n.Row)
	}
	return nil
}
