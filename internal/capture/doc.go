// Package capture is a response writer that holds a response until it is complete, or streams it, and
// decides that once, when the head is known.
//
// It knows net/http and nothing else: what to hold, what to do with a head, and what becomes of a held
// body are the business of the Exchange that uses it.
//
// # Two halves
//
// Handlers inside hold a Handle, a few words that are never used for a second response. Behind it stands a
// Response, which belongs to the caller and may be used again: Settle cuts the handle off, and what handlers do
// with it from then on reaches nobody. Response.Quiet tells whether it is certain that nothing of theirs is still
// under way behind the handle. Where it is not, the response is left to the garbage collector: to wait would be to
// hang on a slow client.
//
// # States
//
//	open ──head──▶ streaming             the head goes out, the body follows as it comes
//	     ├─head──▶ slicing ──▶ answered  a part of the body goes out as it comes; the rest is thrown away
//	     ├─head──▶ answered              the answer is known from the head; the body is thrown away
//	     └─head──▶ held                  the body is kept; too much or too late, and it becomes one of
//	                                     the other three after all
//
// Settle ends them all: from then on the inner handlers' calls have no effect. A body that is thrown
// away is read for a short while, then its transfer is ended: by the error that Write returns or, if
// nothing is written, by Stalled.
//
// # The lock
//
// Heads, held bytes, counts and changes of state are under one lock, as the deadline, a flush and Settle
// may come from other goroutines than the body does. Bytes that pass go to the writer below without it:
// there it is as if this writer were not in between. So does the flush at the end of a part. Stalled is
// called without it, and Settle waits for its return.
//
// # Header maps
//
// The inner handlers get a map of their own. When their head is known it is copied into the outer map,
// which only this writer touches from then on: a deadline that fires in another goroutine never reads
// a map in which a handler is setting trailers. Where the response can only be streamed there is nothing to keep
// apart, and they get the outer map itself (Options.Share).
//
// No map and no list of lines is ever used again: handlers, and Caddy's access log, keep them.
package capture
