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
//	           304, 412 or 416, or the head alone; the body is thrown away
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
// The fields of Exchange are what is known, and where it is set:
//
//	asked         the facts of the request                                     arrive.go, who.go
//	visit         the dealings with the memory                                 recall.go, memory.go
//	shown         the request as the next handler gets it, and the way back    show.go, transfer.go, again.go
//	kept          what handlers may keep                                       exchange.go
//	selected      the representation that the head speaks of                   selected.go, facts.go
//	selected.row  what is said of its freshness                                freshness.go
//	dates         a Last-Modified that the upstream has not sent               dates.go
//	verdict       what became of the conditions and of Range                   judge.go, slice.go
//	probe         the GET before a guarded write                               reading.go
//
// What the head says is behind a pointer, selected, that is nil before it has come: code that asks for it too early
// panics in its first test. Of the rest, nil is an answer: visit without a memory, dates without sources, shown.cond
// without conditions. A verdict that was not made yet says Proceed. So no phase before head may ask for the verdict,
// nor one before show for dates and conditions.
//
// A *tag of ours* is one in this module's format, cc1, whichever instance or node has made it. *Made here* means by
// this instance.
//
// # Where to change what
//
//	a field of the 304        notmodified.go, trim; of one from memory: package remember, carries
//	why a body is streamed    stream.go, streams, or facts.go; its word in package journal, and a row in docs/troubleshooting.md
//	which Range is answered   slice.go, judgeRange; by what terms: package httpcond, range.go
//	who has misread a Range   again.go, misreads, and writers.go
//	a condition               judge.go, evaluate; from memory: recall.go and memory.go; of writes: package guard
//	the answer to a write     answer.go; the writer that sees its head come: package remember, Witness
//	a write's coded tag       decode.go; its suffixes: packages upstream and tag
//	who gets a tag            whole.go, setTag; out of a record: memory.go, compareHead
//	for whom its date counts  who.go; what tells users apart: package identity
//	when to ask a second time again.go: a Range that was misread, a 304 that rests on nothing
//	what is said of a request service.go, tell: the debug line; announce.go and package announce: fields of the response
//	what is counted           counted.go, and package metrics
//	why something was so      package journal, reasons.go, and docs/reasons.md; of the memory: package remember, reasons.go
//	what may be imported      .golangci.yml, depguard › exchange
//	the tests                 the file's name and _test.go; of pass.go in arrive_test.go, of shared.go in
//	                          arrive_nested_test.go, of the pool in pool_test.go; watched(t) reads the log
//	what always holds         fuzz_checks_test.go and fuzz_memory_test.go, of any request, response and configuration;
//	                          FuzzHandler
//
// # What may be kept
//
// An Exchange comes out of a pool and goes back into it, and so does all that it has room for. Handlers, access logs
// and contexts keep what they were given, and use it at any time. So what they are given is never in the pool: the
// Handle that stands for the response writer, the header map and its lines, the Record that logs and placeholders
// read, the Shared that instances further in hold, the transfer that is the request's context. An exchange goes
// back to the pool at the end of close (or of leaveUnshown), unless a handler has panicked, or something may still be
// under way behind its handle (capture.Response.Quiet). Then the garbage collector has it: nobody waits for it.
//
// # Goroutines
//
// A response that is held for too long is let go by a timer. Then Spill runs in the timer's goroutine, under the lock
// of the response, while the next handler still writes the request, its variables and its own header map. It reaches
// hold, judge, slice, stream, notmodified, freshness, dates, memory and selected, and the spill of a probe. If another
// instance stands further out, Field and Head of that one run in this goroutine, too, and with them head, facts and
// sent. Code there reads x.asked, and of the request itself its context only, not its URI, fields or
// variables. Where it needs these, it asks first whether an instance gaveUp (asSentAtHead, sourceRequest). It may ask
// a store (takeFirstSeen, learnFromHead, Confirm), and the handler's next write waits for that.
package exchange
