package audit

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
)

// Looks is what a part that differs seems to be.
type Looks uint8

// What a part may look like.
const (
	Text  Looks = iota // nothing in particular: the content itself
	Token              // a token against cross-site request forgery
	Nonce              // of a Content-Security-Policy
	Time               // a date, a time, or how long something took
	ID                 // a number or a random name that is made anew
	Order              // the same words in another order
)

var looks = [...]string{Text: "text", Token: "token", Nonce: "nonce", Time: "time", ID: "id", Order: "order"}

// String is the word that reports have.
func (l Looks) String() string { return looks[l] }

const (
	// maxBefore is how many octets of the line before a part are looked at.
	maxBefore = 96
	// maxPiece is the length of the longest part that may be a value; what is longer is text.
	maxPiece = 512
)

var (
	nonceBefore = regexp.MustCompile(`(?i)(?:nonce["']?\s*[=:]\s*["']?|csp-nonce["'][^<>]*content=["']?|'nonce-)$`)
	tokenBefore = regexp.MustCompile(`(?i)(?:csrf|xsrf|_token|-token|authenticity|RequestVerificationToken)[^<>]*$`)
	timeBefore  = regexp.MustCompile(`(?i)(?:rendered|generated|created|built|updated|served|took|time|timestamp|date|duration|elapsed|now|at)["']?\s*(?:[=:]|in|at|on)?\s*["']?$`)
	idBefore    = regexp.MustCompile(`(?i)(?:id|uuid|guid|key|hash|seed|rand|request|trace|session|cid|uid)["']?\s*[=:]\s*["']?[\w.-]*$`)

	// times are forms of dates, times and durations.
	times = regexp.MustCompile(`\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?(?:Z|[+-]\d\d:?\d\d))?)?` +
		`|(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*, )?\d{1,2}[ -][A-Z][a-z]{2,8}[ -]\d{2,4}(?: \d\d:\d\d(?::\d\d)?(?: GMT)?)?` +
		`|\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?[AaPp][Mm])?` +
		`|\b1\d{9}(?:\d{3})?(?:\.\d+)?\b` +
		`|\b\d+(?:[.,]\d+)? ?(?:ms|µs|us|ns|s|sec|seconds|milliseconds)\b`)
	uuid   = regexp.MustCompile(`^[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$`)
	number = regexp.MustCompile(`^\d+$`)
)

// classify says of each part what it looks like.
func classify(a, b []byte, parts []Part) {
	if reordered(a, b, parts) {
		for i := range parts {
			parts[i].Looks = Order
		}
		return
	}
	for i := range parts {
		parts[i].Looks = looksLike(a, b, &parts[i])
	}
}

func looksLike(a, b []byte, p *Part) Looks {
	value, again, before := a[p.From:p.To], b[p.FromAgain:p.ToAgain], lineBefore(a, p.From, maxBefore)
	if len(value) > maxPiece || len(again) > maxPiece || len(value) == 0 || len(again) == 0 {
		return Text
	}
	switch {
	case nonceBefore.Match(before):
		return Nonce
	case tokenBefore.Match(before) && random(value):
		return Token
	case timeAt(a, p) != (word{}), timeBefore.Match(before) && timeLike(value) && timeLike(again):
		return Time
	case uuid.Match(value), random(value) && random(again):
		return ID
	case idBefore.Match(before) && number.Match(value) && number.Match(again):
		return ID
	}
	return Text
}

// timeAt is the date, the time or the duration that a part is in or makes up; none is the zero word.
func timeAt(body []byte, p *Part) word {
	const around = 40
	start := max(0, p.From-around)
	for _, at := range times.FindAllIndex(body[start:min(len(body), p.To+around)], -1) {
		if from, to := start+at[0], start+at[1]; from <= p.From && to >= p.To {
			return word{from, to}
		}
	}
	return word{}
}

func timeLike(value []byte) bool {
	return len(value) > 0 && bytes.Trim(value, "0123456789:.,TZ+-/ ") == nil
}

// random reports whether a text looks as if it were made by chance: long, without spaces, and letters mixed with digits
// or with each other's case.
func random(value []byte) bool {
	const shortest = 8
	var digits, lower, upper int
	for _, c := range value {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c >= 'a' && c <= 'z':
			lower++
		case c >= 'A' && c <= 'Z':
			upper++
		case bytes.IndexByte([]byte("_-+/.="), c) < 0:
			return false
		}
	}
	letters := lower + upper
	return len(value) >= shortest && (letters > 0 && digits > 0 || lower > 2 && upper > 2 || letters == 0 && digits > 12)
}

// reordered reports whether all parts together have the same words in both bodies.
func reordered(a, b []byte, parts []Part) bool {
	var wordsA, wordsB []string
	for i := range parts {
		wordsA = append(wordsA, fieldsOf(a[parts[i].From:parts[i].To])...)
		wordsB = append(wordsB, fieldsOf(b[parts[i].FromAgain:parts[i].ToAgain])...)
	}
	if len(wordsA) < 2 || len(wordsA) != len(wordsB) {
		return false
	}
	slices.Sort(wordsA)
	slices.Sort(wordsB)
	return slices.Equal(wordsA, wordsB)
}

func fieldsOf(b []byte) []string {
	return strings.FieldsFunc(string(b), func(r rune) bool { return r < 0x80 && !isWordByte(byte(r)) }) //nolint:gosec // G115: it is ASCII
}

// lineBefore is what stands before an offset in its line, at most so much.
func lineBefore(b []byte, at, most int) []byte {
	before := b[max(0, at-most):at]
	return before[bytes.LastIndexByte(before, '\n')+1:]
}

// lineBehind is what stands behind an offset in its line, at most so much.
func lineBehind(b []byte, at, most int) []byte {
	behind, _, _ := bytes.Cut(b[at:min(len(b), at+most)], []byte("\n"))
	return behind
}
