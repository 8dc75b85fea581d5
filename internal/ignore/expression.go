package ignore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// expression is a regular expression of which matches are left out, or of each what its groups match.
type expression struct {
	re *regexp.Regexp
	// behind finds the first match, as its first group, from the second character of a text on. Thus `^` and `\b` see what
	// is before a match when the text begins in the midst of a body.
	behind *regexp.Regexp
	// literal is in every match; empty if none is known. Most bodies are done with by looking for it.
	literal string
}

func compile(source string) (expression, error) {
	if word := strings.ToLower(source); IsWord(word) {
		return expression{}, fmt.Errorf("%q is no expression but the word %s, in lower case and in JSON under ignore; as an expression it is (?:%s)", source, word, source)
	}
	re, err := regexp.Compile(source)
	if err != nil {
		if failed, ok := errors.AsType[*syntax.Error](err); ok {
			return expression{}, fmt.Errorf("%q is no regular expression (RE2): %s in %q", source, failed.Code, failed.Expr)
		}
		return expression{}, err
	}
	parsed, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return expression{}, err
	}
	if shortest(parsed) == 0 {
		return expression{}, fmt.Errorf("%q matches the empty string, which is everywhere; make it match a text", source)
	}
	// Of the parsed one, as a \Q may be open at the end of the source.
	behind, err := regexp.Compile(`\A(?s:.)(?s:.*?)(` + parsed.String() + `)`)
	if err != nil {
		return expression{}, err
	}
	return expression{re: re, behind: behind, literal: required(parsed)}, nil
}

// shortest is the length, in runes, of the shortest text that may match.
func shortest(re *syntax.Regexp) int {
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 1
	case syntax.OpCapture, syntax.OpPlus:
		return shortest(re.Sub[0])
	case syntax.OpRepeat:
		return re.Min * shortest(re.Sub[0])
	case syntax.OpConcat:
		sum := 0
		for _, sub := range re.Sub {
			sum += shortest(sub)
		}
		return sum
	case syntax.OpAlternate:
		least := shortest(re.Sub[0])
		for _, sub := range re.Sub[1:] {
			least = min(least, shortest(sub))
		}
		return least
	case syntax.OpNoMatch, syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText,
		syntax.OpWordBoundary, syntax.OpNoWordBoundary, syntax.OpStar, syntax.OpQuest:
	}
	return 0
}

// required is the longest literal found that is in every match.
func required(re *syntax.Regexp) (longest string) {
	switch re.Op {
	case syntax.OpLiteral:
		text := string(re.Rune)
		if re.Flags&syntax.FoldCase != 0 || strings.ContainsRune(text, utf8.RuneError) {
			return "" // is also in a match in another case, or as a byte that is no UTF-8
		}
		return text
	case syntax.OpCapture, syntax.OpPlus:
		return required(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return required(re.Sub[0])
		}
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			if text := required(sub); len(text) > len(longest) {
				longest = text
			}
		}
	default:
	}
	return longest
}

// appendMatches appends what the expression leaves out of a body: of its matches, as regexp finds them one after the
// other, the first maxGaps parts. One search reads no octet twice, but it may read on to the end of the body for a match
// that then is short, and so may the next one. So only a few matches are looked for with the usual searches, and all
// further ones with those that count what they read, for as long as that is no more than passes times the body in all.
// What comes then counts as it is; for one body that is the same each time.
func (e *expression) appendMatches(list []gap, body []byte, passes int) []gap {
	const few = 4
	if !bytes.Contains(body, []byte(e.literal)) {
		return list
	}
	end, most := 0, len(list)+maxGaps
	first := e.re.FindAllSubmatchIndex(body, few)
	for _, match := range first {
		list, end = appendMatch(list, match), match[1]
	}
	if len(first) < few {
		return list
	}
	for left := (passes - few) * len(body); len(list) < most; {
		match := e.following(body, end, &left)
		if match == nil {
			break
		}
		list, end = appendMatch(list, match), match[1]
	}
	return list[:min(len(list), most)]
}

// appendMatch appends a match, or what its groups match if there are any.
func appendMatch(list []gap, match []int) []gap {
	if len(match) > 2 {
		match = match[2:]
	}
	for i := 0; i < len(match); i += 2 {
		// A group that took no part is at -1.
		if match[i] < match[i+1] {
			list = append(list, gap{start: match[i], end: match[i+1]})
		}
	}
	return list
}

// following returns the first match from end on, where another one ends, or nil if there is none, or none before the
// octets that are left have been read.
func (e *expression) following(body []byte, end int, left *int) []int {
	// A match begins with the prefix and has the literal in it: what cannot be one is passed over without reading it.
	prefix, _ := e.re.LiteralPrefix()
	skipped := bytes.Index(body[end:], []byte(prefix))
	if skipped < 0 || !bytes.Contains(body[end+skipped:], []byte(e.literal)) {
		return nil
	}
	_, before := utf8.DecodeLastRune(body[:end+skipped])
	start := end + skipped - before
	r := runes{rest: body[start:], left: *left}
	match := e.behind.FindReaderSubmatchIndex(&r)
	if *left = r.left; match == nil || r.short {
		return nil
	}
	match = match[2:]
	for i := range match {
		if match[i] >= 0 {
			match[i] += start
		}
	}
	return match
}

// runes reads a text, and no more of it than what is left.
type runes struct {
	rest  []byte
	left  int  // octets
	short bool // there was more to read than what was left
}

// ReadRune is that of io.RuneReader.
func (r *runes) ReadRune() (c rune, size int, err error) {
	if len(r.rest) == 0 {
		return 0, 0, io.EOF
	}
	if r.left <= 0 {
		r.short = true
		return 0, 0, io.EOF
	}
	if c, size = rune(r.rest[0]), 1; c >= utf8.RuneSelf {
		c, size = utf8.DecodeRune(r.rest)
	}
	r.rest, r.left = r.rest[size:], r.left-size
	return c, size, nil
}
