package integration

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// fault is what an upstream does wrong, or at an unusual time.
type fault struct {
	name   string
	script script
	is     damage
	coding string // the Accept-Encoding of the client
	// decoded: Caddy's transport decodes it, as it has asked for the coding by itself. (With Range it does not.)
	decoded bool
	// hurried: the proxy does not wait for it for more than a second.
	hurried bool
	// unshared: nobody may remember it.
	unshared bool
}

// impatient is the field of a request that has the proxy keep to a time limit.
const impatient = "X-Impatient"

// fields are those that a request needs to meet the fault.
func (f fault) fields() http.Header {
	fields := make(http.Header)
	if f.coding != "" {
		fields.Set("Accept-Encoding", f.coding)
	}
	if f.hurried {
		fields.Set(impatient, "yes")
	}
	return fields
}

// damage is what is left of a page after a fault.
type damage int

const (
	// whole: the client gets the page.
	whole damage = iota
	// broken: what has come is not all there is, or means nothing, and an HTTP client has to be told.
	broken
	// other: it is a complete answer, but not the page; it passes as it does without the directive.
	other
)

const (
	// page is what the upstream has when nothing is wrong with it; half of it is what comes before most faults.
	page = half + pageRest
	half = "<!doctype html>\n<title>A page</title>\n<p>This sentence is in the half of the page that always arrives, as far as " +
		"anything does.</p>\n"
	pageRest = "<form><input type=\"hidden\" name=\"csrfmiddlewaretoken\" value=\"0123456789abcdef0123456789abcdef\"></form>\n" +
		"<p>And this is in the other half, with which the page is whole.</p>\n"
	// limit is the max_body of all sites but the bare one.
	limit = 256 << 10
)

// head is a head of HTTP/1.1 with the page's media type.
func head(status string, lines ...string) string {
	return "HTTP/1.1 " + status + "\r\nContent-Type: text/html\r\n" + strings.Join(append(slices.Clone(lines), ""), "\r\n") + "\r\n"
}

// ok is the head of a 200.
func ok(lines ...string) string { return head("200 OK", lines...) }

func length(n int) string { return fmt.Sprintf("Content-Length: %d", n) }

const (
	chunked = "Transfer-Encoding: chunked"
	// once keeps a connection from being used again. It is said where more comes than belongs to the response: on its way
	// back, Go's transport may take that for the response to the next request, with the directive and without.
	once = "Connection: close"
)

// chunk is text as one chunk.
func chunk(text string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(text), text) }

const lastChunk = "0\r\n\r\n"

func zipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

// faults are all of them, with names that say where they strike.
func faults() []fault {
	all := slices.Concat(aborts(), lengths(), chunks(), stalls(), hints(), unaskedStatuses(), conflicts(), tags(), delimited(), trailers(), codings())
	names := make(map[string]bool)
	for _, f := range all {
		if names[f.name] {
			panic("two faults are " + f.name)
		}
		names[f.name] = true
	}
	return all
}

func aborts() []fault {
	full := ok(length(len(page)))
	return []fault{
		{name: "closed before the head", script: script{closes()}, is: broken},
		{name: "reset before the head", script: script{resets()}, is: broken},
		{name: "closed in the status line", script: script{says("HTTP/1.1 20"), closes()}, is: broken},
		{name: "closed in the fields", script: script{says(full[:40]), closes()}, is: broken},
		{name: "closed before the empty line", script: script{says(strings.TrimSuffix(full, "\r\n")), closes()}, is: broken},
		{name: "reset in the fields", script: script{says(full[:40]), resets()}, is: broken},
		{name: "closed after the head", script: script{says(full), closes()}, is: broken},
		{name: "closed after a chunked head", script: script{says(ok(chunked)), closes()}, is: broken},
		{name: "reset after the head", script: script{says(full), resets()}, is: broken},
		{name: "reset in the body", script: script{says(full, half), resets()}, is: broken},
		{name: "reset in a chunked body", script: script{says(ok(chunked), chunk(half)), resets()}, is: broken},
		{name: "closed in a long body", script: script{says(ok(length(2*limit)), strings.Repeat(page, limit/len(page))), closes()}, is: broken},
		{name: "closed in a long chunked body", script: script{says(ok(chunked), chunk(strings.Repeat(page, 5*limit/4/len(page)))), closes()}, is: broken},
		{name: "noise for a head", script: script{says("\x00\x01\x02\r\n\r\n"), closes()}, is: broken},
	}
}

func lengths() []fault {
	return []fault{
		// All that HTTP can tell is that the rest is none of this response's: what is delivered is whole.
		{name: "length too short", script: script{says(ok(length(len(half)), once), page), closes()}, is: other},
		{name: "length of nothing", script: script{says(ok(length(0), once), page), closes()}, is: other},
		{name: "length too long", script: script{says(ok(length(len(page)+1)), page), closes()}, is: broken},
		{name: "half of the length", script: script{says(ok(length(len(page))), half), closes()}, is: broken},
		{name: "all but a byte", script: script{says(ok(length(len(page))), page[:len(page)-1]), closes()}, is: broken},
		{name: "half of the length, tagged", script: script{says(ok(length(len(page)), `ETag: "whole"`), half), closes()}, is: broken},
		{name: "half of the length, dated", script: script{says(ok(length(len(page)), "Last-Modified: Tue, 03 Mar 2020 10:00:00 GMT"), half), closes()}, is: broken},
		{name: "length over max_body", script: script{says(ok(length(1<<30)), half), closes()}, is: broken},
		{name: "length over everything", script: script{says(ok("Content-Length: 9223372036854775807"), half), closes()}, is: broken},
		{name: "length without body", script: script{says(ok(length(len(page)))), waits(stall), closes()}, is: broken},
	}
}

func chunks() []fault {
	begun := ok(chunked) + chunk(half)
	return []fault{
		{name: "no chunk size", script: script{says(ok(chunked), "nonsense\r\n", page), closes()}, is: broken},
		{name: "bad chunk size", script: script{says(begun, "xyz\r\n", pageRest, "\r\n", lastChunk), closes()}, is: broken},
		{name: "negative chunk size", script: script{says(begun, "-5\r\n", pageRest, "\r\n", lastChunk), closes()}, is: broken},
		{name: "chunk size over 64 bits", script: script{says(begun, "ffffffffffffffff1\r\n", pageRest), closes()}, is: broken},
		{name: "chunk size without line", script: script{says(begun, strings.Repeat("0", 10<<10)), closes()}, is: broken},
		{name: "no line end behind a chunk", script: script{says(ok(chunked), fmt.Sprintf("%x\r\n%s", len(half), half), "XX", lastChunk), closes()}, is: broken},
		{name: "closed in a chunk", script: script{says(ok(chunked), fmt.Sprintf("%x\r\n%s", len(page), half)), closes()}, is: broken},
		{name: "closed between chunks", script: script{says(begun), closes()}, is: broken},
		{name: "closed before the last chunk", script: script{says(ok(chunked), chunk(page)), closes()}, is: broken},
		{name: "closed in the last chunk", script: script{says(ok(chunked), chunk(page), "0\r\n"), closes()}, is: broken},
		{name: "garbage behind the last chunk", script: script{says(ok(chunked, once), chunk(page), lastChunk, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"), closes()}, is: whole},
		{name: "last chunk amid the page", script: script{says(ok(chunked, once), chunk(half), lastChunk, chunk(pageRest), lastChunk), closes()}, is: other},
		{name: "chunk extensions", script: script{says(ok(chunked), fmt.Sprintf("%x;a=b\r\n%s\r\n", len(page), page), lastChunk)}, is: whole},
		{name: "chunks of one byte", script: script{says(ok(chunked), singly(page), lastChunk)}, is: whole},
		{name: "flood of chunk extensions", script: script{says(ok(chunked), strings.Repeat("1;"+strings.Repeat("x", 2000)+"\r\na\r\n", 40)), closes()}, is: broken},
	}
}

// singly is text in chunks of one byte.
func singly(text string) string {
	var b strings.Builder
	for i := range text {
		b.WriteString(chunk(text[i : i+1]))
	}
	return b.String()
}

func stalls() []fault {
	full := ok(length(len(page)))
	return []fault{
		{name: "stall before the head", script: script{waits(stall), says(full, page)}, is: whole},
		{name: "stall in the head", script: script{says(full[:40]), waits(stall), says(full[40:], page)}, is: whole},
		{name: "stall after the head", script: script{says(full), waits(stall), says(page)}, is: whole},
		{name: "stall in the body", script: script{says(full, half), waits(stall), says(pageRest)}, is: whole},
		{name: "stall before the last byte", script: script{says(full, page[:len(page)-1]), waits(stall), says(page[len(page)-1:])}, is: whole},
		{name: "stall between chunks", script: script{says(ok(chunked), chunk(half)), waits(stall), says(chunk(pageRest), lastChunk)}, is: whole},
		{name: "stall before the last chunk", script: script{says(ok(chunked), chunk(page)), waits(stall), says(lastChunk)}, is: whole},
		{name: "stall in the trailers", script: script{says(ok(chunked, "Trailer: X-Sum"), chunk(page), "0\r\nX-S"), waits(stall), says("um: 9\r\n\r\n")}, is: whole},
		{name: "a body in drops", script: script{says(full), drips(page)}, is: whole},
		{name: "a head in drops", script: script{drips(full), says(page)}, is: whole},
		{name: "closed after a stall before the head", script: script{waits(stall), closes()}, is: broken},
		{name: "reset after a stall before the head", script: script{waits(stall), resets()}, is: broken},
		{name: "closed after a stall before the last byte", script: script{says(full, page[:len(page)-1]), waits(stall), closes()}, is: broken},
		{name: "closed after a stall in the trailers", script: script{says(ok(chunked, "Trailer: X-Sum"), chunk(page), "0\r\nX-S"), waits(stall), closes()}, is: broken},
		{name: "no head for ever", script: script{awaitsEnd()}, is: broken, hurried: true},
		{name: "no body for ever", script: script{says(full), awaitsEnd()}, is: broken, hurried: true},
		{name: "no other half for ever", script: script{says(full, half), awaitsEnd()}, is: broken, hurried: true},
		{name: "no other chunk for ever", script: script{says(ok(chunked), chunk(half)), awaitsEnd()}, is: broken, hurried: true},
		{name: "no last chunk for ever", script: script{says(ok(chunked), chunk(page)), awaitsEnd()}, is: broken, hurried: true},
		{name: "no other trailer for ever", script: script{says(ok(chunked, "Trailer: X-Sum"), chunk(page), "0\r\nX-S"), awaitsEnd()}, is: broken, hurried: true},
		{name: "closed after a stall in the status line", script: script{says("HTTP/1.1 2"), waits(stall), closes()}, is: broken},
		{name: "closed after a stall in the body", script: script{says(full, half), waits(stall), closes()}, is: broken},
		{name: "reset after a stall in the body", script: script{says(full, half), waits(stall), resets()}, is: broken},
		{name: "closed after a stall between chunks", script: script{says(ok(chunked), chunk(half)), waits(stall), closes()}, is: broken},
		{name: "closed after a stall before the last chunk", script: script{says(ok(chunked), chunk(page)), waits(stall), closes()}, is: broken},
		{name: "bad chunk size after a stall", script: script{says(ok(chunked), chunk(half)), waits(stall), says("xyz\r\n"), closes()}, is: broken},
	}
}
