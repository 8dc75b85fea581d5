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
	// literal is in every match; empty if none is known. Most bodies are done with by looking for it.
	literal string
}

func compile(source string) (expression, error) {
	re, err := regexp.Compile(source)
	if err != nil {
		if failed, ok := errors.AsType[*syntax.Error](err); ok {
			return expression{}, fmt.Errorf("%q is neither csrf nor nonce, and no regular expression either: %s in %q", source, failed.Code, failed.Expr)
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
	return expression{re: re, literal: required(parsed)}, nil
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

// appendMatches appends what the expression leaves out of a body.
func (e *expression) appendMatches(list []gap, body []byte) []gap {
	if !bytes.Contains(body, []byte(e.literal)) {
		return list
	}
	for _, match := range e.re.FindAllSubmatchIndex(body, maxGaps) {
		if len(match) > 2 {
			match = match[2:] // the groups
		}
		for i := 0; i < len(match); i += 2 {
			// A group that took no part is at -1.
			if match[i] < match[i+1] {
				list = append(list, gap{start: match[i], end: match[i+1]})
			}
		}
	}
	return list
}
