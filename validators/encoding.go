package validators

import (
	"encoding/binary"
	"errors"
	"time"
)

// version is the first octet of every encoded record. What begins with another one is not read: after a change
// of the encoding, nodes of both versions can share a store, each with records of its own.
const version = 2

// ErrEncoding is what Decode returns for a text that it cannot read.
var ErrEncoding = errors.New("not a record of this version")

// AppendBinary appends the record's encoding, which Decode reads. It never fails.
//
//	version flags forgotten purged etag last-modified size received date age lifetime cookies nominated variants fields
//
// Version and flags are one octet each. The two numbers of the stamp have eight octets, little-endian. Other numbers are
// varints, a text has its length before it, and the fields go to the end.
func (r *Record) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, version, byte(r.Flags))
	b = binary.LittleEndian.AppendUint64(b, r.Stamp.Forgotten)
	b = binary.LittleEndian.AppendUint64(b, r.Stamp.Purged)
	b = appendText(b, r.ETag)
	b = binary.AppendVarint(b, unix(r.LastModified))
	b = binary.AppendVarint(b, r.Size)
	b = binary.AppendVarint(b, unixMilli(r.Received))
	b = binary.AppendVarint(b, unix(r.Date))
	b = binary.AppendVarint(b, int64(r.InitialAge/time.Second))
	b = binary.AppendVarint(b, int64(r.Lifetime/time.Millisecond))
	b = appendText(b, r.SetCookies)
	b = appendText(b, r.Nominated)
	b = appendText(b, r.Variants)
	return append(b, r.fields...), nil
}

// Decode reads what AppendBinary has written. The record shares the memory of s, and nothing is allocated. The only error
// is ErrEncoding: another version, or a text that is cut off or damaged.
func Decode(s string) (Record, error) {
	const head = 2 + 8 + 8
	if len(s) < head || s[0] != version {
		return Record{}, ErrEncoding
	}
	in := input{rest: s[head:]}
	r := Record{
		Flags:        Flags(s[1]),
		Stamp:        Stamp{Forgotten: fixed(s[2:10]), Purged: fixed(s[10:head])},
		ETag:         in.text(),
		LastModified: fromUnix(in.number()),
		Size:         in.number(),
		Received:     fromUnixMilli(in.number()),
		Date:         fromUnix(in.number()),
		InitialAge:   times(in.number(), time.Second),
		Lifetime:     times(in.number(), time.Millisecond),
		SetCookies:   in.text(),
		Nominated:    in.text(),
		Variants:     in.text(),
		fields:       in.rest,
	}
	if in.failed || !r.Exists() || !wholeFields(r.fields) || len(r.Variants)%len(Digest{}) != 0 {
		return Record{}, ErrEncoding
	}
	return r, nil
}

// wholeFields reports whether the lines of fields are all there.
func wholeFields(s string) bool {
	for s != "" {
		name, _, rest := cutField(s)
		if name == "" {
			return false
		}
		s = rest
	}
	return true
}

// input is what is still to be read.
type input struct {
	rest   string
	failed bool
}

func (in *input) number() int64 {
	n, width := varint(in.rest)
	if width <= 0 {
		in.failed, in.rest = true, ""
		return 0
	}
	in.rest = in.rest[width:]
	return n
}

func (in *input) text() string {
	text, rest, ok := cutText(in.rest)
	in.failed = in.failed || !ok
	in.rest = rest
	return text
}

// appendText appends a text after its length.
func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// cutText takes such a text off; of what is none, nothing is left.
func cutText(s string) (text, rest string, ok bool) {
	n, width := uvarint(s)
	if width <= 0 || n > uint64(len(s)-width) { //nolint:gosec // never negative
		return "", "", false
	}
	end := width + int(n) //nolint:gosec // at most len(s)
	return s[width:end], s[end:], true
}

// uvarint is binary.Uvarint of a string; width is 0 if there is no number, or one of more than 64 bits.
func uvarint(s string) (n uint64, width int) {
	if s != "" && s[0] < 0x80 {
		return uint64(s[0]), 1 // which most are, so this much is worth inlining
	}
	return longUvarint(s)
}

func longUvarint(s string) (n uint64, width int) {
	for i := range min(len(s), binary.MaxVarintLen64) {
		if octet := s[i]; octet >= 0x80 {
			n |= uint64(octet&0x7f) << (7 * i)
		} else if i < binary.MaxVarintLen64-1 || octet <= 1 {
			return n | uint64(octet)<<(7*i), i + 1
		}
	}
	return 0, 0
}

// varint is binary.Varint of a string.
func varint(s string) (n int64, width int) {
	u, width := uvarint(s)
	return int64(u>>1) ^ -int64(u&1), width
}

func fixed(s string) uint64 {
	var octets [8]byte
	copy(octets[:], s)
	return binary.LittleEndian.Uint64(octets[:])
}

// unix is 0 for the zero time, which no response of the web is older than.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func fromUnix(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

func unixMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromUnixMilli(milliseconds int64) time.Time {
	if milliseconds == 0 {
		return time.Time{}
	}
	return time.UnixMilli(milliseconds).UTC()
}

// times is n units, or none where they would be too many: what is rubbish shall not be long-lived.
func times(n int64, unit time.Duration) time.Duration {
	if d := time.Duration(n) * unit; n >= 0 && d/unit == time.Duration(n) {
		return d
	}
	return 0
}
