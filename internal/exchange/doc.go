// Package exchange is one request and its response: what a handler does with it, from the facts of the request to the
// last byte of the answer. The rules that it goes by are in other packages, which know nothing of this one; what the
// configuration says is in its Service's Policy.
//
// # Phases
//
// A request's life is a sequence of phases, each in a file of its own. This is which may follow which, and what each
// does (phase.go has the table that this picture is made of, and that is held to while requests are served):
//
//	idle    ─▶ arrive
//	           waits in the pool
//	arrive  ─▶ recall, show, end
//	           reads the facts of the request; what is none of ours passes
//	recall  ─▶ show, end
//	           asks the memory, and answers 304 from it if a condition matches
//	show    ─▶ head, end
//	           makes the request what the next handler is to see, and calls it
//	head    ─▶ answer, slice, stream, hold, end
//	           reads what the head selects, and judges what can be judged by it
//	answer  ─▶ end
//	           304 or 412 or 416 by the head; the body is thrown away
//	slice   ─▶ end
//	           206, a part of the passing body
//	stream  ─▶ end
//	           the response passes, its head put in order
//	hold    ─▶ answer, slice, stream, whole, end
//	           keeps the response back; too long or too late, and it is another one of these
//	whole   ─▶ end
//	           makes the tag, judges by it, and sends 200, 206, 304, 412 or 416
//	end     ─▶ idle
//	           gives the request its fields back, and what is behind it to the pool
//
// What a phase finds out is behind a pointer that is nil until the phase has run. So no code can ask for what is not
// known yet: it would not survive its first test.
//
//	asked      the facts of the request                        arrive.go
//	visit      what is remembered of it                        recall.go, memory.go
//	given      the request as the next handler gets it         show.go, transfer.go, again.go
//	selected   the representation that the head speaks of      selected.go, facts.go
//	rowState   what is said of its freshness                   freshness.go
//	dates      a Last-Modified that the upstream has not sent  dates.go
//	verdict    what became of the conditions and of Range      judge.go, slice.go
//	probe      the GET before a guarded write                  reading.go
//
// # What may be kept
//
// An Exchange comes out of a pool and goes back into it, and so does all that it has room for. Handlers, access logs
// and contexts keep what they were given, and use it at any time. So what they are given is never in the pool: the
// Handle that stands for the response writer, the header map and its lines, the Record that logs and placeholders
// read, the Shared that instances further in hold, the transfer that is the request's context. Where it is not
// certain that a response is over, its exchange is left to the garbage collector (capture.Response.Quiet): nobody
// waits for it.
//
// # Goroutines
//
// A response that is held for too long is let go by a timer: Spill, and what it calls, may run in another goroutine
// while the next handler still writes the request, its variables and its own header map. It runs under the lock of the
// response, and touches none of these.
package exchange
