package integration

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// early is a hint.
const early = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"

func hints() []fault {
	full := ok(length(len(page)))
	return []fault{
		{name: "three hints", script: script{says(strings.Repeat(early, 3), full, page)}, is: whole},
		{name: "storm of hints", script: script{says(strings.Repeat(early, 300), full, page)}, is: whole},
		{name: "storm of hints and no end", script: script{says(strings.Repeat(early, 300)), closes()}, is: broken},
		{name: "storm of hints and half", script: script{says(strings.Repeat(early, 300), full, half), closes()}, is: broken},
		{name: "hint, stall, half", script: script{says(early), waits(stall), says(full, half), closes()}, is: broken},
		{name: "hint, stall, page", script: script{says(early), waits(stall), says(full, page)}, is: whole},
		{name: "hints in drops", script: script{drips(strings.Repeat(early, 20)), says(full, page)}, is: whole},
		{name: "hint for a 304", script: script{says(early, head("304 Not Modified", `ETag: "theirs"`))}, is: other},
		{name: "100 out of the blue", script: script{says(strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 3), full, page)}, is: whole},
		{name: "102 and 199", script: script{says("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 199 Whatever\r\nX-Y: z\r\n\r\n", full, page)}, is: whole},
		{name: "hint with a tag", script: script{says("HTTP/1.1 103 Early Hints\r\nETag: \"early\"\r\nCache-Control: public, max-age=99\r\n\r\n", full, page)}, is: whole},
		// Stock Caddy has an empty 200 for that.
		{name: "101 out of the blue", script: script{says("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n", full, page), closes()}, is: other},
	}
}

func unaskedStatuses() []fault {
	of := func(status, body string, lines ...string) script { return script{says(head(status, lines...), body)} }
	n := length(len(page))
	return []fault{
		{name: "304 out of the blue", script: of("304 Not Modified", ""), is: other},
		{name: "304 with a tag", script: of("304 Not Modified", "", `ETag: "theirs"`), is: other},
		{name: "304 with a date", script: of("304 Not Modified", "", "Last-Modified: Tue, 03 Mar 2020 10:00:00 GMT", "Cache-Control: public, max-age=99"), is: other},
		{name: "304 with content", script: of("304 Not Modified", page, n, once), is: other},
		{name: "304 with chunks", script: of("304 Not Modified", chunk(page)+lastChunk, chunked, once), is: other},
		{name: "304 with half of its content", script: append(of("304 Not Modified", half, n, once), closes()), is: other},
		{name: "204 with a length", script: of("204 No Content", "", n), is: other},
		{name: "204 with chunks", script: of("204 No Content", chunk(page)+lastChunk, chunked, once), is: other},
		{name: "205 with chunks", script: of("205 Reset Content", chunk(page)+lastChunk, chunked), is: other},
		{name: "205 cut", script: append(of("205 Reset Content", half, n), closes()), is: broken},
		{name: "204", script: of("204 No Content", ""), is: other},
		{name: "204 with content", script: of("204 No Content", page, n, once), is: other},
		{name: "205", script: of("205 Reset Content", "", length(0)), is: other},
		{name: "205 with content", script: of("205 Reset Content", page, n), is: other},
		{name: "206 out of the blue", script: of("206 Partial Content", half, length(len(half)), fmt.Sprintf("Content-Range: bytes 0-%d/%d", len(half)-1, len(page))), is: other},
		{name: "206 of the whole", script: of("206 Partial Content", page, n, fmt.Sprintf("Content-Range: bytes 0-%d/%d", len(page)-1, len(page))), is: other},
		{name: "206 without Content-Range", script: of("206 Partial Content", half, length(len(half))), is: other},
		{name: "206 with a tag", script: of("206 Partial Content", half, length(len(half)), `ETag: "theirs"`, "Content-Range: bytes 0-1/2"), is: other},
		{name: "206 of what nobody has", script: of("206 Partial Content", half, length(len(half)), "Content-Range: bytes 9-1/2"), is: other},
		{name: "206 of a stranger's unit", script: of("206 Partial Content", half, length(len(half)), "Content-Range: pages 1-2/3"), is: other},
		{name: "206 of parts", script: script{says("HTTP/1.1 206 Partial Content\r\nContent-Type: multipart/byteranges; boundary=x\r\n", length(len(parts)), "\r\n\r\n", parts)}, is: other},
		{name: "206 of parts, cut", script: script{says("HTTP/1.1 206 Partial Content\r\nContent-Type: multipart/byteranges; boundary=x\r\n", length(len(parts)), "\r\n\r\n", parts[:40]), closes()}, is: broken},
		{name: "206 cut between chunks", script: append(of("206 Partial Content", chunk(half), chunked, fmt.Sprintf("Content-Range: bytes 0-%d/%d", len(page)-1, len(page))), closes()), is: broken},
		{name: "206 cut", script: append(of("206 Partial Content", half, n, fmt.Sprintf("Content-Range: bytes 0-%d/%d", len(page)-1, len(page))), closes()), is: broken},
		{name: "200 with Content-Range", script: of("200 OK", half, length(len(half)), fmt.Sprintf("Content-Range: bytes 0-%d/%d", len(half)-1, len(page))), is: other},
		{name: "203", script: of("203 Non-Authoritative Information", page, n), is: other},
		{name: "404", script: of("404 Not Found", half, length(len(half))), is: other},
		{name: "404 cut", script: append(of("404 Not Found", half, n), closes()), is: broken},
		{name: "412 out of the blue", script: of("412 Precondition Failed", half, length(len(half))), is: other},
		{name: "416 out of the blue", script: of("416 Range Not Satisfiable", "", length(0), "Content-Range: bytes */5"), is: other},
		{name: "426", script: of("426 Upgrade Required", "", length(0), "Upgrade: h2c", "Connection: Upgrade"), is: other},
		{name: "500 cut", script: append(of("500 Internal Server Error", half, n), closes()), is: broken},
		{name: "502", script: of("502 Bad Gateway", half, length(len(half))), is: other},
		{name: "299", script: of("299 Fine", page, n), is: other},
		{name: "999", script: of("999 Many", page, n), is: other},
		{name: "status of two digits", script: append(of("20 OK", page, n), closes()), is: broken},
		{name: "status of letters", script: append(of("OK 200", page, n), closes()), is: broken},
	}
}

// parts are two of the page.
const parts = "--x\r\nContent-Range: bytes 0-1/9\r\n\r\n<!\r\n--x\r\nContent-Range: bytes 3-4/9\r\n\r\noc\r\n--x--\r\n"

func conflicts() []fault {
	n := length(len(page))
	breaks := func(name, body string, lines ...string) fault {
		return fault{name: name, script: script{says(ok(lines...), body), closes()}, is: broken}
	}
	return []fault{
		breaks("two lengths", page, n, length(len(half))),
		breaks("two lengths in a line", page, fmt.Sprintf("Content-Length: %d, %d", len(page), len(half))),
		breaks("negative length", page, "Content-Length: -1"),
		breaks("length with a plus", page, fmt.Sprintf("Content-Length: +%d", len(page))),
		breaks("length in words", page, "Content-Length: many"),
		breaks("length past 63 bits", page, "Content-Length: 18446744073709551615"),
		breaks("unknown transfer coding", page, "Transfer-Encoding: gzip, chunked"),
		breaks("two transfer codings", chunk(page)+lastChunk, chunked, chunked),
		breaks("transfer coding identity", page, "Transfer-Encoding: identity", n),
		breaks("field without colon", page, "Nonsense", n),
		breaks("field with NUL", page, "X-Nul: a\x00b", n),
		// RFC 9112 §6.3: chunks overrule a length. (It should be an error with some peers; Go takes the length off.)
		{name: "length and chunks", script: script{says(ok(length(len(half)), chunked), chunk(page), lastChunk)}, is: whole},
		{name: "length and half of the chunks", script: script{says(ok(length(len(half)), chunked), chunk(half)), closes()}, is: broken},
		{name: "the same length twice", script: script{says(ok(n, n), page)}, is: whole},
		// Go passes over what it cannot name: this one ends with its connection.
		{name: "space before a colon", script: script{says(ok("Content-Length : 5"), page), closes()}, is: whole},
		{name: "no-store and public", script: script{says(ok(n, "Cache-Control: no-store", "Cache-Control: public, max-age=99"), page)}, is: other, unshared: true},
		{name: "private and public", script: script{says(ok(n, "Cache-Control: public, private, max-age=99"), page)}, is: other, unshared: true},
		{name: "Vary on one field and on all", script: script{says(ok(n, "Vary: Accept", "Vary: *"), page)}, is: other, unshared: true},
		{name: "a cookie for everybody", script: script{says(ok(n, "Cache-Control: max-age=99", "Set-Cookie: a=b"), page)}, is: other, unshared: true},
		{name: "two media types", script: script{says(ok(n, "Content-Type: text/plain"), page)}, is: other},
		{name: "folded field", script: script{says(ok("X-Folded: a\r\n b", n), page)}, is: whole},
		{name: "line feeds alone", script: script{says(strings.ReplaceAll(ok(n), "\r", ""), page)}, is: whole},
		{name: "fields of 300 KiB", script: script{says(ok(n, "X-Long: "+strings.Repeat("x", 300<<10)), page)}, is: whole},
		{name: "300 fields", script: script{says(ok(append(slices.Repeat([]string{"X-Many: x"}, 300), n)...), page)}, is: whole},
	}
}

func tags() []fault {
	n := length(len(page))
	tagged := func(name string, lines ...string) fault {
		return fault{name: name, script: script{says(ok(append([]string{n}, lines...)...), page)}, is: other}
	}
	return []fault{
		tagged("tag of 64 KiB", `ETag: "`+strings.Repeat("x", 64<<10)+`"`),
		tagged("two tags", `ETag: "a"`, `ETag: "b"`),
		tagged("tag without quotes", "ETag: a"),
		tagged("tag without end", `ETag: "a`),
		tagged("empty tag", "ETag: "),
		tagged("tag in our form", `ETag: "cc1.0123456789abcdef0123456789abcdef"`),
		tagged("dates of nonsense", "Last-Modified: "+noDate, "Date: tomorrow", "Expires: never"),
		{name: "tag of 64 KiB on a half", script: script{says(ok(n, `ETag: "`+strings.Repeat("x", 64<<10)+`"`), half), closes()}, is: broken},
	}
}

func delimited() []fault {
	old := "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n"
	return []fault{
		{name: "HTTP/1.0, to the end", script: script{says(old, page), closes()}, is: whole},
		{name: "no framing, to the end", script: script{says(ok(), page), closes()}, is: whole},
		// Nobody can tell this from the end of a page: HTTP has no word for it (RFC 9112 §8). It passes as in stock Caddy.
		{name: "HTTP/1.0, half", script: script{says(old, half), closes()}, is: other},
		{name: "HTTP/1.0, reset", script: script{says(old, half), resets()}, is: broken},
		{name: "HTTP/1.0, stall and reset", script: script{says(old, half), waits(stall), resets()}, is: broken},
		{name: "HTTP/1.0 with half of the length", script: script{says("HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n", n2(), "\r\n", half), closes()}, is: broken},
		{name: "HTTP/1.0 that keeps alive", script: script{says("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Type: text/html\r\n", n2(), "\r\n", page)}, is: whole},
		{name: "HTTP/1.0 with chunks", script: script{says("HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n", chunked, "\r\n\r\n", chunk(page), lastChunk), closes()}, is: other},
		{name: "HTTP/0.9", script: script{says(page), closes()}, is: broken},
		{name: "HTTP/3.7", script: script{says("HTTP/3.7 200 OK\r\nContent-Type: text/html\r\n", once, "\r\n", n2(), "\r\n", page), closes()}, is: whole},
	}
}

// n2 is the line with the page's length.
func n2() string { return length(len(page)) + "\r\n" }

func trailers() []fault {
	with := func(name string, is damage, announced, trailers string) fault {
		lines := []string{chunked}
		if announced != "" {
			lines = append(lines, "Trailer: "+announced)
		}
		return fault{name: name, script: script{says(ok(lines...), chunk(page), "0\r\n", trailers)}, is: is}
	}
	cut := func(f fault) fault {
		f.script = append(f.script, closes())
		return f
	}
	return []fault{
		with("trailers", whole, "X-Sum", "X-Sum: 9\r\n\r\n"),
		with("trailers that nobody announced", whole, "", "X-Sum: 9\r\n\r\n"),
		with("announced trailers that do not come", whole, "X-Sum", "\r\n"),
		with("a tag for a trailer", whole, "ETag", "ETag: \"late\"\r\n\r\n"),
		with("a tag for a trailer that nobody announced", whole, "", "ETag: \"late\"\r\nCache-Control: public\r\n\r\n"),
		cut(with("trailers without colon", broken, "", "nonsense\r\n\r\n")),
		cut(with("announced trailers without colon", broken, "X-Sum", "nonsense\r\n\r\n")),
		cut(with("forbidden trailer", broken, "Content-Length", "Content-Length: 5\r\n\r\n")),
		cut(with("closed in the trailers", broken, "X-Sum", "X-Su")),
		cut(with("closed behind the trailers", broken, "X-Sum", "X-Sum: 9\r\n")),
	}
}

// bomb is 64 MiB in about 64 KiB.
var bomb = sync.OnceValue(func() string { return zipped(strings.Repeat("\x00", 64<<20)) })

func codings() []fault {
	gz := zipped(page)
	coded := func(name, body string) fault {
		return fault{name: name, script: script{says(ok("Content-Encoding: gzip", length(len(body))), body)}, is: other, coding: "gzip"}
	}
	bad := []byte(gz)
	bad[len(bad)-5] ^= 0xff // in the checksum
	all := []fault{
		coded("gzip", gz),
		coded("gzip without end", gz[:len(gz)/2]),
		coded("gzip without checksum", gz[:len(gz)-8]),
		coded("gzip with a wrong checksum", string(bad)),
		coded("gzip and garbage", gz+"garbage"),
		coded("no gzip at all", page),
		coded("gzip of nothing", ""),
		coded("gzip twice", zipped(gz)),
		coded("gzip bomb", bomb()),
	}
	all = append(all, fault{name: "gzip cut", script: script{says(ok("Content-Encoding: gzip", length(len(gz))), gz[:len(gz)/2]), closes()}, is: broken, coding: "gzip"})
	small := zipped(strings.Repeat("\x00", 6<<20)) // more than may be held
	all = append(all, fault{name: "gzip bomb, decoded on the way", script: script{says(ok("Content-Encoding: gzip", length(len(small))), small)}, is: other, decoded: true})
	// Where the client accepts no coding, Caddy's transport asks for gzip by itself, and decodes it.
	plain := map[string]damage{"gzip": whole, "gzip without end": broken, "gzip without checksum": broken, "gzip with a wrong checksum": broken, "gzip and garbage": broken, "no gzip at all": broken, "gzip cut": broken}
	for _, f := range slices.Clone(all) {
		if is, has := plain[f.name]; has {
			all = append(all, fault{name: f.name + ", decoded on the way", script: f.script, is: is, decoded: true})
		}
	}
	return all
}
