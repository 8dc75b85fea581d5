package httpcond

import "strings"

// Multipart lays out a multipart/byteranges body (RFC 9110 §14.6, §15.3.7.2):
// for each range its head and then its bytes, which the caller writes, and the
// end. It is for more than one range; a single one is sent without parts.
type Multipart struct {
	// Boundary has to be a token of at most 70 bytes (RFC 2046 §5.1.1) that
	// does not occur in the representation: make it random. Whether an answer is
	// shorter than the whole was reckoned with one of BoundaryLength.
	Boundary string
	// ContentType is that of the whole; empty puts none into the parts.
	ContentType string
	// Size is the length of the whole in bytes.
	Size   int64
	Ranges []ByteRange
}

// MediaType returns the Content-Type of the 206.
func (m *Multipart) MediaType() string { return "multipart/byteranges; boundary=" + m.Boundary }

// Length returns the Content-Length of the 206.
func (m *Multipart) Length() int64 {
	n := m.around()
	for _, r := range m.Ranges {
		n += r.Length
	}
	return n
}

// around is how many bytes are sent around the ranges.
func (m *Multipart) around() int64 {
	scratch := m.AppendEnd(make([]byte, 0, 256))
	n := int64(len(scratch))
	for i := range m.Ranges {
		// The heads are made rather than counted, so that the two cannot differ.
		scratch = m.AppendPartHead(scratch[:0], i)
		n += int64(len(scratch))
	}
	return n
}

// AppendPartHead appends what goes before the bytes of Ranges[i]: the end of the
// line before, the boundary and the part's fields. The first part has a line to
// end as well: nothing stands on it, and a recipient has to do without it (RFC
// 2046 §5.1.1), but nginx and Apache send it, and some clients look for it.
func (m *Multipart) AppendPartHead(dst []byte, i int) []byte {
	dst = append(dst, "\r\n--"...)
	dst = append(dst, m.Boundary...)
	if m.ContentType != "" {
		dst = append(dst, "\r\nContent-Type: "...)
		dst = appendFieldValue(dst, m.ContentType)
	}
	dst = append(dst, "\r\nContent-Range: "...)
	dst = m.Ranges[i].appendContentRange(dst, m.Size)
	return append(dst, "\r\n\r\n"...)
}

// AppendEnd appends what goes behind the bytes of the last range.
func (m *Multipart) AppendEnd(dst []byte) []byte {
	dst = append(dst, "\r\n--"...)
	dst = append(dst, m.Boundary...)
	return append(dst, "--\r\n"...)
}

// appendFieldValue replaces control characters with spaces. RFC 9110 §5.5 wants
// it of CR, LF and NUL, which net/http sees to in the head of a response only: a
// part's head is a body to it, and a line break in there would make fields, or
// bytes, of the value. The others are as invalid and make clients give up.
func appendFieldValue(dst []byte, value string) []byte {
	for i := range len(value) {
		b := value[i]
		if b < ' ' && b != '\t' || b == 0x7F {
			b = ' '
		}
		dst = append(dst, b)
	}
	return dst
}

// BoundaryLength is the length in bytes of the boundary that RangeRequest.Evaluate
// reckons with: of 26 letters and digits, as crypto/rand.Text makes them.
const BoundaryLength = 26

// anyBoundary stands for one that is still to be made.
var anyBoundary = strings.Repeat("x", BoundaryLength)
