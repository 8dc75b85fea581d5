package httpcond

// Multipart lays out a multipart/byteranges body (RFC 9110 §14.6, §15.3.7.2):
// for each range its head and then its bytes, which the caller writes, and the
// end. It is for more than one range; a single one is sent without parts.
type Multipart struct {
	// Boundary has to be a token of at most 70 bytes (RFC 2046 §5.1.1) that
	// does not occur in the representation: make it long and random.
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
	scratch := m.AppendEnd(make([]byte, 0, 256))
	n := int64(len(scratch))
	for i, r := range m.Ranges {
		// The heads are made rather than counted, so that the two cannot differ.
		scratch = m.AppendPartHead(scratch[:0], i)
		n += int64(len(scratch)) + r.Length
	}
	return n
}

// AppendPartHead appends what goes before the bytes of Ranges[i]: the end of the
// line that the last part's bytes are on, the boundary and the part's fields.
func (m *Multipart) AppendPartHead(dst []byte, i int) []byte {
	if i > 0 {
		dst = append(dst, "\r\n"...)
	}
	dst = append(dst, "--"...)
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
