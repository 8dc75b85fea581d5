package ignore

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// element is a kind of tag that is looked at.
type element uint8

const (
	another element = iota
	input
	meta
	withNonce // script, style, link
)

var elements = [...]struct {
	name string
	kind element
}{{"input", input}, {"meta", meta}, {"script", withNonce}, {"style", withNonce}, {"link", withNonce}}

// span is a part of a body; the zero value is none, as nothing in a tag is at its very start.
type span struct{ start, end int }

// attributes are the values of a tag's attributes that matter.
type attributes struct{ name, kind, value, content, nonce span }

// scan goes through the tags of a body, once and from its start to its end, whatever the body is.
type scan struct {
	body        []byte
	csrf, nonce bool
	resp        *Response
	found       gaps
	visited     bool    // what stands for the visitor is among what counts
	named       []named // tokens that have a name, by their places; set by nameTokens
	otherFrom   int     // from where on tags of other elements are read; set by other and raw
	unclosed    int     // how many of these were never closed
}

// tags finds tokens and nonces. Tags are read as HTML reads them (WHATWG HTML §13.2.5), but everywhere: in comments and
// scripts, too, as forms may come from there.
func (s *scan) tags() {
	for i := 0; len(s.found.gaps) < maxGaps && s.resp.work.spend(1); {
		next := bytes.IndexByte(s.body[i:], '<')
		if next < 0 {
			return
		}
		i += next + 1
		s.raw(i)
		kind, length := elementAt(s.body[i:])
		if kind == another {
			s.other(i)
			continue
		}
		var a attributes
		if i = s.attributes(i+length, &a); i < 0 {
			return // never closed, so there is no tag, and none comes after it
		}
		s.take(kind, &a)
	}
}

// elementAt tells which tag's name b begins with.
func elementAt(b []byte) (kind element, length int) {
	for i := range elements {
		name := elements[i].name
		if len(b) > len(name) && equalFold(b[:len(name)], name) && (isSpace(b[len(name)]) || b[len(name)] == '/') {
			return elements[i].kind, len(name)
		}
	}
	return another, 0
}

// attributes reads a tag from behind its name and returns where it ends, -1 if it does not.
func (s *scan) attributes(i int, a *attributes) int {
	b := s.body
	for i < len(b) && s.resp.work.spend(1) {
		switch c := b[i]; {
		case c == '>':
			return i + 1
		case isSpace(c) || c == '/':
			i++
			continue
		}
		start := i
		// A name may begin with "=" but has none further on.
		for i++; i < len(b) && b[i] != '=' && b[i] != '>' && b[i] != '/' && !isSpace(b[i]); {
			i++
		}
		name := b[start:i]
		for i < len(b) && isSpace(b[i]) {
			i++
		}
		if i == len(b) || b[i] != '=' {
			continue
		}
		for i++; i < len(b) && isSpace(b[i]); {
			i++
		}
		var value span
		if value, i = s.value(i); i < 0 {
			return -1
		}
		a.set(name, value)
		s.takeNamed(name, value)
	}
	return -1
}

// value reads an attribute's value and returns where it ends, -1 if it does not.
func (s *scan) value(i int) (span, int) {
	b := s.body
	if i < len(b) && (b[i] == '"' || b[i] == '\'') {
		length := bytes.IndexByte(b[i+1:], b[i])
		if length < 0 {
			return span{}, -1
		}
		return span{i + 1, i + 1 + length}, i + length + 2
	}
	start := i
	for i < len(b) && b[i] != '>' && !isSpace(b[i]) {
		i++
	}
	return span{start, i}, i
}

// set keeps a value that matters. Of attributes with one name the first counts.
func (a *attributes) set(name []byte, value span) {
	var to *span
	switch {
	case equalFold(name, "name"):
		to = &a.name
	case equalFold(name, "type"):
		to = &a.kind
	case equalFold(name, "value"):
		to = &a.value
	case equalFold(name, "content"):
		to = &a.content
	case equalFold(name, "nonce"):
		to = &a.nonce
	default:
		return
	}
	if *to == (span{}) {
		*to = value
	}
}

func (s *scan) text(at span) []byte { return s.body[at.start:at.end] }

// take leaves out what a tag has to be left out.
func (s *scan) take(kind element, a *attributes) {
	switch kind {
	case input:
		if s.csrf && equalFold(s.text(a.kind), "hidden") {
			s.takeToken(inputs[:], a.name, a.value)
		}
	case meta:
		if s.csrf {
			s.takeToken(metas[:], a.name, a.content)
		}
		// What `csp_meta_tag` of Rails writes for its scripts to read.
		if s.nonce && string(s.text(a.name)) == "csp-nonce" {
			s.takeNonce(a.content)
			s.takeNonce(a.nonce)
		}
	case withNonce:
		if s.nonce {
			s.takeNonce(a.nonce)
		}
	case another:
	}
}

// takeNonce leaves a nonce out, if it is one: the base64-value of CSP3 §2.3.1.
func (s *scan) takeNonce(at span) {
	text := bytes.TrimRight(s.text(at), "=")
	if len(text) == 0 || at.end-at.start-len(text) > 2 {
		return
	}
	for _, c := range text {
		if !isBase64(c) {
			return
		}
	}
	s.found.gaps = append(s.found.gaps, gap{start: at.start, end: at.end})
}

// takeToken leaves a token out if its name is among the fields and its value in a format of that field. The secret
// under its mask counts instead; where it cannot be unmasked, what stands for the visitor.
func (s *scan) takeToken(fields []field, name, at span) {
	for i := range fields {
		if !fields[i].is(s.text(name)) {
			continue
		}
		for _, format := range fields[i].formats {
			before := len(s.found.instead)
			if counts, ok := s.unmask(format, s.text(at)); ok {
				s.found.instead = counts
				s.found.gaps = append(s.found.gaps, gap{start: at.start, end: at.end, instead: len(counts) - before})
				return
			}
		}
		return
	}
}

// unmask appends to what counts instead the format and the secret of a token in that format.
func (s *scan) unmask(format format, token []byte) (counts []byte, ok bool) {
	counts = s.found.instead
	switch format {
	case django:
		return appendDjango(append(counts, byte(format)), token)
	case rails:
		return appendRails(append(counts, byte(format)), token)
	case spring:
		return appendSpring(append(counts, byte(format)), token)
	case phoenix:
		return appendPhoenix(append(counts, byte(format)), token)
	case symfony:
		return appendSymfony(append(counts, byte(format)), token)
	case aspNet:
		if !isProtected(token) {
			return nil, false
		}
		if s.visited { // once is enough, and hostile pages have many forms
			return append(counts, byte(format), 0), true
		}
		visitor := visitorOf(s.resp)
		if visitor == "" {
			return nil, false
		}
		s.visited = true
		counts = binary.AppendUvarint(append(counts, byte(format)), uint64(len(visitor)))
		return append(counts, visitor...), true
	}
	return nil, false
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r'
}

// isBase64 reports whether a character is of base64 or its URL-safe form, padding aside.
func isBase64(c byte) bool {
	return isAlphanumeric(c) || c == '+' || c == '/' || c == '-' || c == '_'
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// equalFold compares without regard to the case of ASCII; word is of lower-case letters.
func equalFold(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i := range b {
		if b[i]|0x20 != word[i] {
			return false
		}
	}
	return true
}

// indexFold returns the first place of a word in any case, -1 if there is none; word is of three lower-case letters or
// more. It compares three letters at sixteen places at a time: a page that has no such word is done with at some GB/s.
func indexFold(b []byte, word string) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	first, second, third := ones*uint64(word[0]), ones*uint64(word[1]), ones*uint64(word[2])
	i := 0
	for i+18 <= len(b) {
		p := (*[18]byte)(b[i:])
		low := lowered(p[0:8]) ^ first | lowered(p[1:9]) ^ second | lowered(p[2:10]) ^ third
		high := lowered(p[8:16]) ^ first | lowered(p[9:17]) ^ second | lowered(p[10:18]) ^ third
		// The lowest byte that is zero has its top bit set in these; none below it has.
		low, high = (low-ones)&^low&tops, (high-ones)&^high&tops
		if low|high == 0 {
			i += 16
			continue
		}
		if low != 0 {
			i += bits.TrailingZeros64(low) / 8
		} else {
			i += 8 + bits.TrailingZeros64(high)/8
		}
		if len(b)-i >= len(word) && equalFold(b[i:i+len(word)], word) {
			return i
		}
		i++
	}
	for ; i+len(word) <= len(b); i++ {
		if equalFold(b[i:i+len(word)], word) {
			return i
		}
	}
	return -1
}

// lowered are eight bytes with their letters in lower case.
func lowered(b []byte) uint64 { return binary.LittleEndian.Uint64(b) | 0x2020202020202020 }
