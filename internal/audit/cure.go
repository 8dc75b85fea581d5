package audit

import (
	"bytes"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/ignore"
)

// maxExpressions is how many expressions are offered. A page that would need more of them is another one each time.
const maxExpressions = 8

// why no line helps against a part, by what it looks like.
var why = [...]string{
	Text: "The content itself changes, which is what a tag is to tell; if it has to, no line makes it the same.",
	Token: "A token stands where none is looked for: have the script read it from a data-* attribute, and ignore csrf knows it." +
		" Do not match it with an expression: what that leaves out may be a token that has died since.",
	Nonce: "A nonce stands elsewhere than on script, style and link, where ignore nonce knows it.",
	Time:  "A time has nothing beside it that an expression could find it by: write a word before it, or leave it out of the page.",
	ID:    "A number or a name that is made anew has nothing beside it that an expression could find it by: leave it out of the page, or send it in a field.",
	Order: "The same things come in another order each time: sort them where the page is made.",
}

// cureBody looks for the lines under which two bodies count as one, and tries them: what it offers works on these two.
func cureBody(a, b *Exchange, parts []Part, hide bool) Cure {
	for _, words := range [][]string{{"nonce"}, {"csrf"}, {"csrf", "nonce"}} {
		if sameUnder(a, b, words, nil) {
			return ignoring(a, words, nil)
		}
	}
	if hide {
		return Cure{Reason: "The page has in it what was given with --header or --cookie-jar, so its parts are not shown."}
	}
	words, expressions := wordsFor(parts), expressionsFor(a.Body, parts)
	if len(expressions) > 0 && len(expressions) <= maxExpressions && sameUnder(a, b, words, expressions) {
		return ignoring(a, words, expressions)
	}
	worst := parts[0].Looks
	for i := range parts {
		if rank(parts[i].Looks) < rank(worst) {
			worst = parts[i].Looks
		}
	}
	return Cure{Reason: why[worst]}
}

// rank puts first what is the harder to do something about.
func rank(l Looks) int { return slices.Index([]Looks{Order, Text, Token, Nonce, ID, Time}, l) }

func wordsFor(parts []Part) (words []string) {
	for _, pair := range [...]struct {
		looks Looks
		word  string
	}{{Token, "csrf"}, {Nonce, "nonce"}} {
		if slices.ContainsFunc(parts, func(p Part) bool { return p.Looks == pair.looks }) {
			words = append(words, pair.word)
		}
	}
	return words
}

// ignoring is the lines that say so. They make a tag of their own, so one of the upstream has to give way.
func ignoring(page *Exchange, words, expressions []string) Cure {
	lines := []string{"etag auto {"}
	if etag := page.Header.Get("Etag"); etag != "" && !madeHere(etag) {
		lines = append(lines, "\texisting replace")
	}
	if len(words) > 0 {
		lines = append(lines, "\tignore "+strings.Join(words, " "))
	}
	for _, expression := range expressions {
		lines = append(lines, "\tignore `"+expression+"`")
	}
	return Cure{Lines: strings.Join(append(lines, "}"), "\n")}
}

// madeHere reports whether a tag has the form of those of conditional_cache.
func madeHere(etag string) bool { return strings.HasPrefix(strings.TrimPrefix(etag, "W/"), `"cc1.`) }

// sameUnder reports whether two answers count as the same content under these rules.
func sameUnder(a, b *Exchange, words, expressions []string) bool {
	rules, err := ignore.Compile(words, expressions)
	if err != nil || rules == nil {
		return false
	}
	contentA, marksA, errA := rules.Content(responseOf(a))
	contentB, marksB, errB := rules.Content(responseOf(b))
	return errA == nil && errB == nil && slices.Equal(marksA, marksB) && bytes.Equal(contentA, contentB)
}

// hasTokens reports whether a page has tokens of forms, whatever part of them counts.
func hasTokens(page *Exchange) bool {
	if page == nil {
		return false
	}
	rules, err := ignore.Compile([]string{"csrf"}, nil)
	if err != nil {
		return false
	}
	response := responseOf(page)
	_, _, err = rules.Content(response)
	return err == nil && response.Tokens
}

func responseOf(e *Exchange) *ignore.Response {
	return &ignore.Response{
		Request: http.Header{}, Header: e.Header, MediaType: httpcond.MediaType(e.Header.Get("Content-Type")),
		Body: e.Body, MaxDecoded: maxDecoded, Memory: heap{},
	}
}

// heap gives spaces for as long as they are used. Bodies are bounded already.
type heap struct{}

func (heap) Space() ignore.Space { return new(bytes.Buffer) }

// expressionsFor makes an expression for each time and each name that is made anew, or none if there is one that it
// cannot be found by what stands beside it.
func expressionsFor(body []byte, parts []Part) (all []string) {
	for i := range parts {
		p := &parts[i]
		switch p.Looks {
		case Token, Nonce:
			continue
		case Time, ID:
		default:
			return nil
		}
		// What stands between two parts belongs to both; what is a part belongs to no other one's place.
		low, high := 0, len(body)
		if i > 0 {
			low = parts[i-1].To
		}
		if i+1 < len(parts) {
			high = parts[i+1].From
		}
		expression := expressionFor(body, p, low, high)
		if expression == "" {
			return nil
		}
		if !slices.Contains(all, expression) {
			all = append(all, expression)
		}
	}
	return all
}

// expressionFor finds a part by what stands before and behind it in its line, between two offsets; empty if that is too
// little.
func expressionFor(body []byte, p *Part, low, high int) string {
	const most = 24
	from, to := p.From, p.To
	if at := timeAt(body, p); p.Looks == Time && at != (word{}) {
		from, to = at.from, at.to
	}
	before := lineBefore(body, from, min(most, max(0, from-low)))
	behind := lineBehind(body, to, min(most/2, max(0, high-to)))
	expression := quoted(before) + "(" + shapeOf(body[from:to]) + ")" + quoted(behind)
	if len(bytes.TrimSpace(before)) < 3 || strings.ContainsAny(expression, "`\t\r{}") || ignore.Lint(expression) != "" {
		return ""
	}
	return expression
}

// quoted is an expression for a text, of which a character may be cut off at either end.
func quoted(text []byte) string { return regexp.QuoteMeta(strings.ToValidUTF8(string(text), "")) }

// shapeOf is an expression for texts of the same make: numbers may be others, and what has letters and digits mixed may be
// anything of that kind.
func shapeOf(value []byte) string {
	if random(value) {
		return `[\w+/=.-]+`
	}
	return shapes.ReplaceAllStringFunc(regexp.QuoteMeta(string(value)), func(run string) string {
		if run[0] >= '0' && run[0] <= '9' {
			return `\d+`
		}
		return `[A-Za-z]+`
	})
}

// shapes are runs of digits or letters.
var shapes = regexp.MustCompile(`\d+|[A-Za-z]+`)
