package ignore

import (
	"fmt"
	"regexp/syntax"
	"strings"
)

// Lint says in one line what is probably not meant by an expression; empty where there is nothing to say, and of what
// does not compile.
//
// An expression is meant for a place: it has something beside the part that varies to find it by. One that matches a
// number or a word by itself leaves out all of them, and a page whose price or text has changed is 304.
func Lint(source string) string {
	e, err := compile(source)
	if err != nil {
		return ""
	}
	switch {
	case e.leavesOut(numbers()):
		return fmt.Sprintf("%#q matches numbers by themselves: a page on which only a price has changed would be 304; "+
			"name what stands beside the number, and group the number, as in `built (\\d+)`", source)
	case e.leavesOut(anyWords()):
		return fmt.Sprintf("%#q matches any word: a page whose text has changed would be 304; "+
			"name what stands beside the part that varies, and group that, as in `id=\"(\\w+)\"`", source)
	case isLiteral(source):
		return fmt.Sprintf("%#q matches one text only, which is the same each time, so nothing that varies is left out", source) + meant(source)
	}
	return ""
}

func meant(source string) string {
	if near := nearest(source); near != "" {
		return "; the word is " + near
	}
	return ""
}

// surroundings are what a number or a word stands in, by themselves.
var surroundings = [...]string{"%s", " %s ", "\n%s\n", "<p>%s</p>", "<b> %s </b>", `"%s"`, "'%s'", ": %s,", "(%s).", "a=%s&"}

// leavesOut reports whether one of the texts is left out wholly, in surroundings that any page has.
func (e *expression) leavesOut(texts []string) bool {
	for _, text := range texts {
		for _, around := range surroundings {
			before, after, _ := strings.Cut(around, "%s")
			if e.covers(before+text+after, len(before), len(before)+len(text)) {
				return true
			}
		}
	}
	return false
}

// covers reports whether a part of a text is left out.
func (e *expression) covers(text string, start, end int) bool {
	for _, g := range e.appendMatches(nil, []byte(text), &work{left: maxWork}) {
		if g.start <= start && g.end > start {
			start = g.end
		}
	}
	return start >= end
}

// longestRun is how many digits or letters an expression may ask for and still be taken for one of all.
const longestRun = 20

// numbers are runs of digits of every length, and prices.
func numbers() []string {
	all := []string{"12.50", "12,50", "1,234.50", "1.234,50", "1 234", "-7", "99%"}
	for length := range longestRun {
		all = append(all, strings.Repeat("7294150386", 2)[:length+1])
	}
	return all
}

// anyWords are words of every length, in lower case, with a capital, and of capitals.
func anyWords() (all []string) {
	const letters = "quickbrownfoxesjumpover"
	for length := range longestRun {
		word := letters[:length+1]
		all = append(all, word, strings.ToUpper(word[:1])+word[1:], strings.ToUpper(word))
	}
	return all
}

// isLiteral reports whether an expression matches one text only.
func isLiteral(source string) bool {
	re, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return false
	}
	for re.Op == syntax.OpCapture {
		re = re.Sub[0]
	}
	return re.Op == syntax.OpLiteral && re.Flags&syntax.FoldCase == 0
}
