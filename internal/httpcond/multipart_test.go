package httpcond

import (
	"strings"
	"testing"
)

// render makes the whole body, as a caller does.
func render(m *Multipart, content string) string {
	var dst []byte
	for i, r := range m.Ranges {
		dst = m.AppendPartHead(dst, i)
		dst = append(dst, content[r.Start:r.Start+r.Length]...)
	}
	return string(m.AppendEnd(dst))
}

const alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"

// The form of RFC 9110 §14.6.
func TestMultipart(t *testing.T) {
	for name, tc := range map[string]struct {
		m    Multipart
		want string
	}{
		"two ranges (§14.6)": {
			Multipart{"THIS_STRING_SEPARATES", "text/plain", 36, []ByteRange{{0, 5}, {31, 5}}},
			"\r\n--THIS_STRING_SEPARATES\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-4/36\r\n\r\n01234" +
				"\r\n--THIS_STRING_SEPARATES\r\nContent-Type: text/plain\r\nContent-Range: bytes 31-35/36\r\n\r\nvwxyz" +
				"\r\n--THIS_STRING_SEPARATES--\r\n",
		},
		"the client's order (§15.3.7.2, SHOULD)": {
			Multipart{"b", "a/b; c=d", 36, []ByteRange{{10, 1}, {0, 1}, {35, 1}}},
			"\r\n--b\r\nContent-Type: a/b; c=d\r\nContent-Range: bytes 10-10/36\r\n\r\na" +
				"\r\n--b\r\nContent-Type: a/b; c=d\r\nContent-Range: bytes 0-0/36\r\n\r\n0" +
				"\r\n--b\r\nContent-Type: a/b; c=d\r\nContent-Range: bytes 35-35/36\r\n\r\nz" +
				"\r\n--b--\r\n",
		},
		"the whole has no Content-Type (§15.3.7.2)": {
			Multipart{"b", "", 36, []ByteRange{{0, 1}, {1, 1}}},
			"\r\n--b\r\nContent-Range: bytes 0-0/36\r\n\r\n0\r\n--b\r\nContent-Range: bytes 1-1/36\r\n\r\n1\r\n--b--\r\n",
		},
		"controls in a field value (§5.5)": {
			Multipart{"b", "a\x01b\x1f\x7f\xe9c", 36, []ByteRange{{0, 1}}},
			"\r\n--b\r\nContent-Type: a b  \xe9c\r\nContent-Range: bytes 0-0/36\r\n\r\n0\r\n--b--\r\n",
		},
		"line breaks in a field value (§5.5, MUST)": {
			Multipart{"b", "a/b\r\nX: y\r\n\r\n<script>\x00\t", 36, []ByteRange{{0, 1}}},
			"\r\n--b\r\nContent-Type: a/b  X: y    <script> \t\r\nContent-Range: bytes 0-0/36\r\n\r\n0\r\n--b--\r\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := render(&tc.m, alphabet)
			if got != tc.want {
				t.Errorf("got\n%q, want\n%q", got, tc.want)
			}
			if tc.m.Length() != int64(len(tc.want)) {
				t.Errorf("the length is %d, want %d", tc.m.Length(), len(tc.want))
			}
			if mt := tc.m.MediaType(); mt != "multipart/byteranges; boundary="+tc.m.Boundary {
				t.Errorf("the media type is %q", mt)
			}
		})
	}
}

func TestMultipartAllocations(t *testing.T) {
	m := Multipart{strings.Repeat("b", 70), "text/plain; charset=utf-8", 36, manyParts(16)}
	dst := make([]byte, 0, 4<<10)
	for name, f := range map[string]func(){
		"length": func() { m.Length() },
		"append": func() { m.AppendEnd(m.AppendPartHead(dst, 15)) },
	} {
		if got := testing.AllocsPerRun(100, f); got > 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}

func BenchmarkMultipartLength(b *testing.B) {
	for name, n := range map[string]int{"parts=2": 2, "parts=16": 16} {
		m := Multipart{strings.Repeat("b", 32), "text/plain; charset=utf-8", 36, manyParts(n)}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.Length()
			}
		})
	}
}
