package ignore

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// member is a gzip member as Go's writer makes it, of a header and a text.
func member(tb testing.TB, header gzip.Header, text string) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Header = header
	if _, err := w.Write([]byte(text)); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// withCRC puts a FHCRC behind the header, which Go's writer has none of. length is the header's.
func withCRC(coded []byte, length int, crc string) []byte {
	b := bytes.Clone(coded)
	b[3] |= flagCRC
	return append(append(append([]byte(nil), b[:length]...), crc...), b[length:]...)
}

var gzipLines = []string{"gzip"}

// counted is all that counts of a gzip-coded body.
func counted(body []byte) string {
	rest, mark, _ := WithoutGzipHeader(gzipLines, body)
	return fmt.Sprintf("%q %q", rest, mark)
}

// A time, a name and what goes with them are no change; all else is.
func TestGzipHeader(t *testing.T) { //nolint:funlen // a table
	at := func(seconds int64) time.Time { return time.Unix(seconds, 0) }
	now := member(t, gzip.Header{ModTime: at(1_700_000_000)}, "a page")
	for name, body := range map[string][]byte{
		"another time":             member(t, gzip.Header{ModTime: at(1_700_000_001)}, "a page"),
		"a name":                   member(t, gzip.Header{Name: "a"}, "a page"),
		"a long name, and a time":  member(t, gzip.Header{Name: strings.Repeat("b", 1000), ModTime: at(1)}, "a page"),
		"another system":           member(t, gzip.Header{ModTime: at(1), OS: 3}, "a page"),
		"another XFL":              append(append(bytes.Clone(now[:8]), 4), now[9:]...),
		"a checksum of the header": withCRC(now, fixedHeader, "xy"),
		"neither":                  member(t, gzip.Header{OS: 255}, "a page"),
	} {
		if counted(body) != counted(now) {
			t.Errorf("%s is a change: %q and %q", name, counted(body), counted(now))
		}
	}
	seen := map[string]string{counted(now): "the first one"}
	timed := gzip.Header{ModTime: at(2)}
	with := func(change func(*gzip.Header)) gzip.Header {
		h := timed
		change(&h)
		return h
	}
	texted := bytes.Clone(now)
	texted[3] |= flagText
	for name, body := range map[string][]byte{
		"another text":        member(t, timed, "a Page"),
		"a comment":           member(t, with(func(h *gzip.Header) { h.Comment = "a" }), "a page"),
		"another comment":     member(t, with(func(h *gzip.Header) { h.Comment = "b" }), "a page"),
		"an extra field":      member(t, with(func(h *gzip.Header) { h.Extra = []byte("a\x00") }), "a page"),
		"a longer extra":      member(t, with(func(h *gzip.Header) { h.Extra = []byte("a\x00\x00") }), "a page"),
		"extra and comment":   member(t, with(func(h *gzip.Header) { h.Extra, h.Comment = []byte("a"), "\x01" }), "a page"),
		"it is text":          texted,
		"neither, of Unix":    member(t, gzip.Header{OS: 3}, "a page"),
		"neither, and FAT":    member(t, gzip.Header{OS: 0}, "a page"),
		"neither, and slow":   append([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"), now[fixedHeader:]...),
		"a second member":     append(bytes.Clone(now), now...),
		"another second one":  append(bytes.Clone(now), member(t, timed, "a page")...),
		"the rest by itself":  now[fixedHeader:],
		"its form":            append(bytes.Clone(now[fixedHeader:]), markGzip...),
		"nothing":             {},
		"an octet after it":   append(bytes.Clone(now), 0),
		"the header alone":    now[:fixedHeader],
		"an empty one":        member(t, timed, ""),
		"another method":      append([]byte{0x1f, 0x8b, 7}, now[3:]...),
		"a reserved flag":     append([]byte{0x1f, 0x8b, 8, 0x20}, now[4:]...),
		"another beginning":   append([]byte{0x1f, 0x8c}, now[2:]...),
		"a name without end":  append([]byte{0x1f, 0x8b, 8, flagName}, "\x01\x00\x00\x00\x00\x03name"...),
		"an extra cut short":  append([]byte{0x1f, 0x8b, 8, flagExtra}, "\x01\x00\x00\x00\x00\x03\xff\xffa"...),
		"no length of extra":  append([]byte{0x1f, 0x8b, 8, flagExtra}, "\x01\x00\x00\x00\x00\x03\xff"...),
		"a checksum too many": append([]byte{0x1f, 0x8b, 8, flagCRC}, "\x01\x00\x00\x00\x00\x03\xff"...),
	} {
		form := counted(body)
		if other, twice := seen[form]; twice {
			t.Errorf("%s counts as %s does", name, other)
		}
		seen[form] = name
	}
	for body, want := range map[string]bool{string(now): true, string(member(t, gzip.Header{OS: 255}, "a page")): false, string(member(t, gzip.Header{OS: 255, Name: "a"}, "")): true} {
		if _, _, varies := WithoutGzipHeader(gzipLines, []byte(body)); varies != want {
			t.Errorf("%q varies: %t", body, varies)
		}
	}
	for length := range fixedHeader { // a header that is cut off counts as it is
		if got := counted(now[:length]); got != fmt.Sprintf("%q %q", now[:length], "") {
			t.Errorf("%d octets count as %q", length, got)
		}
	}
}

// Which Content-Encoding says that a body is gzip and nothing else.
func TestGzipHeaderNeedsTheCoding(t *testing.T) {
	body := member(t, gzip.Header{Name: "a"}, "a page")
	for said, want := range map[string]bool{
		"gzip": true, "GZip": true, " gzip ": true, "x-gzip": true,
		"": false, "gzip, gzip": false, "gzip|gzip": false, "br": false, "identity": false, "gzip,": false, "deflate, gzip": false, "zstd": false,
	} {
		_, mark, _ := WithoutGzipHeader(strings.Split(said, "|"), body)
		if got := mark != ""; got != want {
			t.Errorf("%q: the header is left out: %t", said, got)
		}
	}
	if _, mark, _ := WithoutGzipHeader(nil, body); mark != "" {
		t.Error("without Content-Encoding the header is left out")
	}
}

// Under rules as well: of media types that are not looked into, and of bodies that cannot be decoded.
func TestGzipHeaderUnderRules(t *testing.T) {
	for name, resp := range map[string]Response{
		"no text":        {MediaType: "image/png"},
		"over the limit": {MediaType: "text/html", MaxDecoded: 3},
		"no memory":      {MediaType: "text/html", Memory: heap{none: true}},
	} {
		form := func(name, text string) string {
			resp.Header = http.Header{"Content-Encoding": gzipLines}
			resp.Body = member(t, gzip.Header{Name: name}, text)
			return formWith(t, resp, "csrf")
		}
		if form("a", "text") != form("bb", "text") {
			t.Errorf("%s: a name is a change", name)
		}
		if form("a", "text") == form("a", "Text") {
			t.Errorf("%s: the text is none", name)
		}
	}
}

// Whatever the body: what counts is its end, a changed time or name makes no other form, and it is taken for no other one.
func FuzzGzipHeader(f *testing.F) {
	f.Add(member(f, gzip.Header{Name: "a", Comment: "b", Extra: []byte("c"), ModTime: time.Unix(1, 0)}, "d"), uint32(3))
	f.Add(withCRC(member(f, gzip.Header{ModTime: time.Unix(1, 0)}, "d"), fixedHeader, "ab"), uint32(1<<31))
	f.Fuzz(func(t *testing.T, body []byte, seconds uint32) {
		before := bytes.Clone(body)
		rest, mark, varies := WithoutGzipHeader(gzipLines, body)
		if !bytes.HasSuffix(body, rest) || !bytes.Equal(before, body) {
			t.Fatalf("%q is not the end of %q", rest, before)
		}
		if mark == "" {
			if len(rest) != len(body) || varies {
				t.Fatalf("%q counts as %q without a mark", body, rest)
			}
			return
		}
		if len(body)-len(rest) < fixedHeader {
			t.Fatalf("a header of %d octets", len(body)-len(rest))
		}
		if varies == bytes.HasPrefix(body, []byte(plainHeader)) {
			t.Fatalf("%q varies: %t", body, varies)
		}
		if seconds == 0 {
			return
		}
		body[4], body[5], body[6], body[7], body[9] = byte(seconds), byte(seconds>>8), byte(seconds>>16), byte(seconds>>24), body[9]+1
		if again, mark2, varies := WithoutGzipHeader(gzipLines, body); mark2 != mark || !varies || !bytes.Equal(again, rest) {
			t.Fatalf("at another time it is %q %q, was %q %q", again, mark2, rest, mark)
		}
	})
}
