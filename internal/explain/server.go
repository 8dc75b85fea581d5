package explain

import (
	"net/http"
	"strings"

	"github.com/conditionalcache/caddy-conditional-cache/internal/audit"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
)

// server tells what the answers say of themselves, in Server-Timing or else in Cache-Status. The words are those of
// docs/reasons.md. Other servers have words of their own, which are shown as they are.
func (s *Story) server(r *audit.Revalidation) {
	for _, one := range [...]struct {
		which  string
		answer *audit.Answered
	}{{"first answer", r.First}, {"reload", r.Again}} {
		if one.answer == nil || one.answer.Cause != "" {
			continue
		}
		before := len(s.Lines)
		s.timing(one.which, one.answer.Header, Words(r))
		if len(s.Lines) == before {
			s.cacheStatus(one.which, one.answer.Header)
		}
	}
}

// timing reads Server-Timing as this module writes it: `cc;desc="tagged none_matched", cc-mem;desc="miss: personal"`.
func (s *Story) timing(which string, h http.Header, say func(word, sentence string) string) {
	for _, metric := range quotedMembers(lines(h, "Server-Timing")) {
		switch name, desc, _ := strings.Cut(metric, ";desc="); name {
		case "cc":
			outcome, reason, _ := strings.Cut(strings.Trim(desc, `"`), " ")
			if sentence := sentenceOf(reason); sentence != "" {
				s.say(Server, "", "Of the %s the server says %s, %s: %s.", which, outcome, reason, sentence)
			}
		case "cc-mem":
			s.memory(which, strings.Trim(desc, `"`), say)
		}
	}
}

// memory tells why an answer did not come from memory, and why nothing was remembered of it.
func (s *Story) memory(which, desc string, say func(word, sentence string) string) {
	if desc == "hit" {
		s.say(Server, "", "The %s came from memory: the upstream was not asked.", which)
		return
	}
	for part := range strings.SplitSeq(desc, ", ") {
		what, word, ok := strings.Cut(part, ": ")
		sentence := sentenceOf(word)
		switch {
		case !ok || sentence == "":
		case what == "miss":
			s.say(Server, "", "The %s did not come from memory, %s: %s.", which, word, sentence)
		case what == "not remembered":
			s.say(Server, "", "Nothing was remembered of the %s, %s: %s.", which, word, say(word, sentence))
		}
	}
}

// cacheStatus reads Cache-Status (RFC 9211). A cache nearer to the client comes later in the list.
func (s *Story) cacheStatus(which string, h http.Header) {
	for _, member := range quotedMembers(lines(h, "Cache-Status")) {
		_, detail, _ := strings.Cut(member, "detail=")
		detail, _, _ = strings.Cut(detail, ";")
		_, reason, _ := strings.Cut(strings.Trim(detail, `"`), " ")
		if sentence := sentenceOf(reason); sentence != "" {
			s.say(Server, "RFC 9211 §2", "Of the %s a cache says %s: %s.", which, member, sentence)
			continue
		}
		s.say(Server, "RFC 9211 §2", "Of the %s a cache says %s.", which, member)
	}
}

// Words puts the sentence of a reason in other words where it would lead nowhere: the cookie that comes with a form may be
// ignored, but then it is the token in the form for which the page is not remembered.
func Words(r *audit.Revalidation) func(word, sentence string) string {
	return func(word, sentence string) string {
		if word != journal.SetCookie.String() && word != journal.Cookie.String() || !r.Tokens {
			return sentence
		}
		cause, _, _ := strings.Cut(sentence, ";")
		return cause + "; ignoring it does not help, as the page has the token of a form in it"
	}
}

func sentenceOf(word string) string {
	if reason := journal.Because(word); reason != journal.NoReason {
		return reason.Sentence()
	}
	return ""
}

// quotedMembers are those of a list, whose strings may have commas in them.
func quotedMembers(list string) (all []string) {
	quoted, start := false, 0
	for i := 0; i < len(list); i++ {
		switch {
		case quoted && list[i] == '\\':
			i++
		case list[i] == '"':
			quoted = !quoted
		case list[i] == ',' && !quoted:
			all, start = append(all, strings.TrimSpace(list[start:i])), i+1
		}
	}
	if rest := strings.TrimSpace(list[start:]); rest != "" {
		all = append(all, rest)
	}
	return all
}
