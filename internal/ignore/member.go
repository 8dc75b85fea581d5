package ignore

import (
	"bytes"
	"encoding/binary"
)

// The flags of a gzip member's header (RFC 1952 §2.3.1).
const (
	flagText    = 1 << 0
	flagCRC     = 1 << 1
	flagExtra   = 1 << 2
	flagName    = 1 << 3
	flagComment = 1 << 4
	flagsKnown  = flagText | flagCRC | flagExtra | flagName | flagComment
	// flagsCounting are of what counts of a header.
	flagsCounting = flagText | flagExtra | flagComment
)

// fixedHeader is the length of what every header has: ID1, ID2, CM, FLG, MTIME (4 octets), XFL, OS.
const fixedHeader = 10

// plainHeader is that of a writer which was told nothing: no time, no name, XFL 0, an unknown OS.
const plainHeader = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

// WithoutGzipHeader takes the header off a body that is gzip-coded and nothing else, where it is one that is likely to
// be another one each time: where it has a time or a name. Rack::Deflater writes the time, Django a random name against
// BREACH. It returns what counts of the body, and a mark that goes with it; with an empty mark the body counts as it is.
// varies tells that bodies which differ may count as one: what they have in common is no strong validator.
//
// What is left out are MTIME, XFL, OS, FNAME and FHCRC. FTEXT, FEXTRA and FCOMMENT count, as nobody is known to change
// them from answer to answer. Of several members (RFC 1952 §2.2) it is the header of the first one: where the next one
// begins tells only who decodes all before it.
//
// The plain header is taken off as well, though it varies from nothing: Django's random name is empty now and then, and
// the page is the same. All other headers without time and name count.
func WithoutGzipHeader(contentEncoding []string, body []byte) (rest []byte, mark string, varies bool) {
	if len(contentEncoding) == 0 || codingOf(contentEncoding) != gzipped {
		return body, "", false
	}
	if rest, plain := bytes.CutPrefix(body, []byte(plainHeader)); plain {
		return rest, markGzip, false
	}
	if rest, mark, ok := cutHeader(body); ok {
		return rest, mark, true
	}
	return body, "", false
}

// cutHeader takes a header with a time or a name off. It fails on any other one, and on what is no header.
func cutHeader(body []byte) (rest []byte, mark string, ok bool) {
	if len(body) < fixedHeader || body[0] != 0x1f || body[1] != 0x8b || body[2] != 8 || body[3]&^flagsKnown != 0 {
		return nil, "", false
	}
	flags, timed := body[3], binary.LittleEndian.Uint32(body[4:8]) != 0
	if !timed && flags&flagName == 0 {
		return nil, "", false
	}
	rest, ok = body[fixedHeader:], true
	var extra, comment []byte
	if flags&flagExtra != 0 {
		extra, rest, ok = cutExtra(rest)
	}
	if ok && flags&flagName != 0 {
		_, rest, ok = cutText(rest)
	}
	if ok && flags&flagComment != 0 {
		comment, rest, ok = cutText(rest)
	}
	if ok && flags&flagCRC != 0 {
		if ok = len(rest) >= 2; ok {
			rest = rest[2:]
		}
	}
	if !ok {
		return nil, "", false
	}
	if flags &= flagsCounting; flags == 0 {
		return rest, markGzip, true
	}
	return rest, markGzip + string([]byte{flags}) + string(extra) + string(comment), true
}

// cutExtra cuts FEXTRA off, with its length.
func cutExtra(b []byte) (extra, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	length := 2 + int(binary.LittleEndian.Uint16(b))
	if len(b) < length {
		return nil, nil, false
	}
	return b[:length], b[length:], true
}

// cutText cuts FNAME or FCOMMENT off, with the zero at its end.
func cutText(b []byte) (text, rest []byte, ok bool) {
	end := bytes.IndexByte(b, 0)
	if end < 0 {
		return nil, nil, false
	}
	return b[:end+1], b[end+1:], true
}
