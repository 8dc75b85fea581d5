package ignore

import (
	"bytes"
	"io"
	"regexp"
	"unicode/utf8"
)

const (
	// maxStep is how much is done in one go, for as fast as regexp can: some ms.
	maxStep = 1 << 18
	// fewMatches is how many most pages have at most.
	fewMatches = 4
	// nearby is how many octets from a prefix on are read to see whether a match begins with it, before it is looked for
	// with all that may come first. It is what most matches have.
	nearby = 128
	// setUp is what it takes to begin a search, in units.
	setUp = 16
	// spareTries are near searches in vain that may cost more than to read on.
	spareTries = 64
)

// few is how many matches may be looked for without leaving off in between. The length alone tells, so that what is
// spent is the same each time.
func (e *expression) few(body []byte) int {
	return int(min(fewMatches, maxStep/(int64(len(body))*e.weight+1)))
}

// search looks for the matches of an expression one after the other. It can be left at any octet.
type search struct {
	*expression
	body  []byte
	end   int // where the last match has ended
	known int // where the literal is next, if not before what is looked at
	tries int // how many near searches were in vain
	work  *work
	runes runes
}

// next returns the first match from end on, where another one ends, or nil if there is none, or the work is over.
func (s *search) next() []int {
	for at := s.end; ; at++ {
		if at = s.candidate(at); at < 0 {
			return nil
		}
		if at == 0 {
			return s.read(s.re, 0, len(s.body))
		}
		_, before := utf8.DecodeLastRune(s.body[:at])
		if s.prefixPays(at) {
			switch match := s.read(s.near, at-before, nearby); {
			case s.work.err != nil:
				return nil
			case s.runes.short:
			case match == nil:
				s.tries++
				continue
			default:
				return match[2:]
			}
		}
		if match := s.read(s.behind, at-before, len(s.body)); match != nil {
			return match[2:]
		}
		return nil
	}
}

// prefixPays reports whether to go from one prefix to the next, instead of reading all that is between them: where there
// are not too many.
func (s *search) prefixPays(at int) bool {
	return len(s.prefix) > 0 && (s.tries-spareTries)*setUp < at
}

// candidate is the first place from at on where a match may begin: where the prefix is, with the literal behind it. It is
// negative if there is none.
func (s *search) candidate(at int) int {
	skipped := bytes.Index(s.body[at:], s.prefix)
	if skipped < 0 || !s.work.spend(int64(skipped/scanned+setUp)) {
		return -1
	}
	if at += skipped; s.known < at {
		ahead := bytes.Index(s.body[at:], s.literal)
		if ahead < 0 || !s.work.spend(int64(ahead/scanned)) {
			return -1
		}
		s.known = at + ahead
	}
	return at
}

// read looks for a match by reading no more than most octets from a place on. It returns nil where there is none, and
// when the work is over.
func (s *search) read(re *regexp.Regexp, from, most int) []int {
	s.runes = runes{rest: s.body[from:], most: most, weight: s.weight, work: s.work}
	match := re.FindReaderSubmatchIndex(&s.runes)
	if s.work.err != nil {
		return nil
	}
	for i := range match {
		if match[i] >= 0 {
			match[i] += from
		}
	}
	return match
}

// runes reads a text, and no more of it than may be.
type runes struct {
	rest   []byte
	most   int  // octets
	short  bool // there was more to read than that
	weight int64
	work   *work
}

// ReadRune is that of io.RuneReader.
func (r *runes) ReadRune() (c rune, size int, err error) {
	if len(r.rest) == 0 {
		return 0, 0, io.EOF
	}
	if r.most <= 0 {
		r.short = true
		return 0, 0, io.EOF
	}
	if c, size = rune(r.rest[0]), 1; c >= utf8.RuneSelf {
		c, size = utf8.DecodeRune(r.rest)
	}
	if !r.work.spend(int64(size) * r.weight) {
		return 0, 0, io.EOF
	}
	r.rest, r.most = r.rest[size:], r.most-size
	return c, size, nil
}
