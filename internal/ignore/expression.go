package ignore

import (
	"bytes"
	"errors"
	"fmt"
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
	// near is the same for a match that begins with the second character.
	near *regexp.Regexp
	// weight is how many units of work it is at most to read an octet.
	weight int64
	// prefix begins every match.
	prefix []byte
	// literal is in every match; empty if none is known. Most bodies are done with by looking for it.
	literal []byte
}

func compile(source string) (expression, error) {
	if word := strings.ToLower(source); IsWord(word) {
		return expression{}, fmt.Errorf("%q is no expression but the word %s, in lower case and in JSON under ignore; as an expression it is (?:%s)", source, word, source)
	}
	re, err := regexp.Compile(source)
	if err != nil {
		if failed, ok := errors.AsType[*syntax.Error](err); ok {
			return expression{}, fmt.Errorf("%q is no regular expression (RE2): %s in %q; %s", source, failed.Code, failed.Expr, cureOf(failed))
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
	near, err := regexp.Compile(`\A(?s:.)(` + parsed.String() + `)`)
	if err != nil {
		return expression{}, err
	}
	weight, err := weigh(parsed)
	if err != nil {
		return expression{}, err
	}
	prefix, _ := re.LiteralPrefix()
	return expression{re, behind, near, weight, []byte(prefix), []byte(required(parsed))}, nil
}

// weigh says how many units of work it is to read an octet. For each one, regexp goes through all places of an expression
// that a match may have come to by then: at the worst all there are.
func weigh(parsed *syntax.Regexp) (int64, error) {
	const perUnit = 16 // places; most expressions have no more than twice as many
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0, err
	}
	return max(1, int64(len(program.Inst)/perUnit)), nil
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
// that then is short, and so may the next one. All that is read is spent; what was found is worth nothing once the work
// is over.
func (e *expression) appendMatches(list []gap, body []byte, w *work) []gap {
	if !w.spend(int64(len(body)/scanned)) || !bytes.Contains(body, e.literal) {
		return list
	}
	end, most := 0, len(list)+maxGaps
	if few := e.few(body); few > 0 {
		first := e.re.FindAllSubmatchIndex(body, few)
		for _, match := range first {
			w.spend(int64(len(body)-end) * e.weight)
			list, end = appendMatch(list, match), match[1]
		}
		if len(first) < few {
			w.spend(int64(len(body)-end) * e.weight)
			return list
		}
	}
	s := &search{expression: e, body: body, end: end, work: w}
	for len(list) < most {
		match := s.next()
		if match == nil {
			break
		}
		before := len(list)
		list, s.end = appendMatch(list, match), match[1]
		w.spend(int64(len(list)-before) * perGap)
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

// cureOf says what to write in place of what RE2 does not read.
func cureOf(failed *syntax.Error) string {
	if failed.Code == syntax.ErrInvalidPerlOp { // (?=, (?!, (?<= and (?<!
		return "it looks neither ahead nor behind: write what is before and after as well, and put what is left out into a group, as in `built (\\d+) times`"
	}
	return `a character that stands for itself is written with a backslash, as in \( or \[`
}
