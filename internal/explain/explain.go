// Package explain tells one request and its revalidation as a story, in plain sentences: what was asked, what came, what
// the reload asked with, what was decided by which rule, and what would change it. It is pure: package audit has asked,
// and judged.
package explain

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/conditionalcache/caddy-conditional-cache/internal/audit"
)

// What a line is about, in the order of a story. The words are in its JSON.
const (
	Asked      = "asked"
	Came       = "came"
	AskedAgain = "asked_again"
	Decided    = "decided"
	Server     = "server"
	Counters   = "counters"
	Change     = "change"
)

// Line is one sentence, or a few that belong together.
type Line struct {
	About string `json:"about"`
	Says  string `json:"says"`
	// Section is where the rule is written that it speaks of.
	Section string `json:"section,omitempty"`
	// Caddyfile is what to write, where that is what it says.
	Caddyfile string `json:"caddyfile,omitempty"`
}

// Story is what there is to tell.
type Story struct {
	NotModified bool
	Lines       []Line
}

func (s *Story) say(about, section, format string, args ...any) {
	s.Lines = append(s.Lines, Line{About: about, Says: fmt.Sprintf(format, args...), Section: section})
}

// Tell makes the story of a revalidation.
func Tell(r *audit.Revalidation) *Story {
	s := &Story{NotModified: r.Again != nil && r.Again.Status == http.StatusNotModified}
	s.asked(r)
	if r.First.Cause != "" {
		s.say(Came, "RFC 9110 §3.4", "There was no answer: %s.", r.First.Cause)
		s.change(r)
		return s
	}
	s.came(r.First)
	s.freshness(r.First)
	s.askedAgain(r)
	s.decided(r)
	s.server(r)
	s.change(r)
	return s
}

func (s *Story) asked(r *audit.Revalidation) {
	s.say(Asked, "RFC 9110 §9.3.1", "GET %s, as a browser sends it that was never there; it accepts gzip.", r.URL)
	if len(r.Hops) > 0 {
		s.say(Asked, "RFC 9110 §15.4", "It redirects to %s. What follows is about that.", strings.Join(r.Hops, ", and on to "))
	}
	if r.Refused != "" {
		s.say(Asked, "RFC 9110 §15.4", "It redirects to %s, which was not followed: explain that URL by itself.", r.Refused)
	}
}

// came tells the head of the first answer.
func (s *Story) came(a *audit.Answered) {
	s.say(Came, "RFC 9110 §15", "The answer was %d %s, %s.", a.Status, http.StatusText(a.Status), octets(a.Size))
	s.validators(a)
	if coding := a.Header.Get("Content-Encoding"); coding != "" {
		s.say(Came, "RFC 9110 §8.4", "Its content is coded: %s.", coding)
	}
	if vary := lines(a.Header, "Vary"); vary != "" {
		s.say(Came, "RFC 9110 §12.5.5", "Vary: %s. A cache keeps one answer for each value of these request fields.", vary)
	}
	if cookies := a.Header["Set-Cookie"]; len(cookies) > 0 {
		s.say(Came, "RFC 6265 §5.3", "It sets cookies (%s), which the reload sent back.", strings.Join(cookies, ", "))
	}
}

func (s *Story) validators(a *audit.Answered) {
	etag, date := a.Header.Get("Etag"), a.Header.Get("Last-Modified")
	tag, ok := a.Tag()
	switch {
	case etag == "":
		s.say(Came, "RFC 9110 §8.8.3", "It has no entity tag.")
	case !ok:
		s.say(Came, "RFC 9110 §8.8.3", "ETag: %s is no entity tag, which has quotes around it.", etag)
	case tag.Weak:
		s.say(Came, "RFC 9110 §8.8.3", "It has the weak entity tag %s: another answer with it is as good as this one%s.", etag, maker(etag))
	default:
		s.say(Came, "RFC 9110 §8.8.3", "It has the strong entity tag %s: another answer with it has the same octets%s.", etag, maker(etag))
	}
	if date == "" {
		s.say(Came, "RFC 9110 §8.8.2", "It has no Last-Modified.")
		return
	}
	s.say(Came, "RFC 9110 §8.8.2", "It was last modified on %s.", date)
}

// maker tells a tag of conditional_cache by its form.
func maker(etag string) string {
	if strings.HasPrefix(strings.TrimPrefix(etag, "W/"), `"cc1.`) {
		return "; conditional_cache has made it from the content"
	}
	return ""
}

// askedAgain tells what the reload asked with.
func (s *Story) askedAgain(r *audit.Revalidation) {
	if r.Again == nil {
		return
	}
	switch value := r.Again.Sent.Get(r.Condition); r.Condition {
	case "If-None-Match":
		s.say(AskedAgain, "RFC 9110 §13.1.2", "The reload asks for the page unless it still has that tag: If-None-Match: %s.", value)
	case "If-Modified-Since":
		s.say(AskedAgain, "RFC 9110 §13.1.3", "There is no tag, so the reload asks with the date: If-Modified-Since: %s.", value)
	default:
		s.say(AskedAgain, "RFC 9110 §8.8", "There is nothing to ask with, so the reload asks for all of it again.")
	}
}

// decided tells what the reload has got, and by which rule.
func (s *Story) decided(r *audit.Revalidation) {
	switch {
	case r.First.Status != http.StatusOK:
		s.say(Decided, "RFC 9110 §13.2.1", "Only a 200 is revalidated, so the story ends here.")
	case r.Again == nil && has(r, audit.NoStore):
		s.say(Decided, "RFC 9111 §5.2.2.5", "no-store: nobody keeps it, so nobody revalidates it. Every visit is sent in full.")
	case r.Again == nil:
		s.say(Decided, "", "The reload was not sent: the time was over.")
	case r.Again.Cause != "":
		s.say(Decided, "RFC 9110 §3.4", "The reload got no answer: %s.", r.Again.Cause)
	case s.NotModified && r.Condition == "If-None-Match":
		s.say(Decided, "RFC 9110 §13.1.2", "304: the tag is the current one, so %s were not sent again.", octets(r.First.Size))
	case s.NotModified && r.Condition == "":
		s.say(Decided, "RFC 9110 §15.4.5", "304, though the reload had no condition: there is nothing that it could rest on.")
	case s.NotModified:
		s.say(Decided, "RFC 9110 §13.1.3", "304: it was not modified since that date, so %s were not sent again.", octets(r.First.Size))
	case r.Again.Status != http.StatusOK:
		s.say(Decided, "RFC 9110 §15", "The reload was answered with %d %s.", r.Again.Status, http.StatusText(r.Again.Status))
	case r.Condition == "":
		s.say(Decided, "RFC 9110 §8.8", "200 in full, %s: without a validator there is never a 304.%s", octets(r.Again.Size), contents(r))
	default:
		s.full(r)
	}
}

// full tells why a condition got the whole.
func (s *Story) full(r *audit.Revalidation) {
	size := octets(r.Again.Size)
	if r.Condition == "If-Modified-Since" {
		if before, now := r.First.Header.Get("Last-Modified"), r.Again.Header.Get("Last-Modified"); before != now {
			s.say(Decided, "RFC 9110 §13.1.3", "200 in full, %s: Last-Modified is another one now, %s.%s", size, orNone(now), contents(r))
			return
		}
		s.say(Decided, "RFC 9110 §13.1.3", "200 in full, %s, though Last-Modified is the date that was asked with: the server does not look at the condition.%s", size, contents(r))
		return
	}
	before, ok := r.First.Tag()
	now, okNow := r.Again.Tag()
	switch {
	case !ok:
		s.say(Decided, "RFC 9110 §13.1.2", "200 in full, %s: what is no entity tag matches none.%s", size, contents(r))
	case okNow && before.Opaque == now.Opaque:
		s.say(Decided, "RFC 9110 §13.1.2", "200 in full, %s, though the tag is the one that was asked with: the server does not look at the condition.%s", size, contents(r))
	default:
		s.say(Decided, "RFC 9110 §13.1.2", "200 in full, %s: the tag is another one now, %s.%s", size, orNone(r.Again.Header.Get("Etag")), contents(r))
	}
}

func orNone(value string) string {
	if value == "" {
		return "or rather none"
	}
	return value
}

// contents compares what came the first and the second time.
func contents(r *audit.Revalidation) string {
	switch {
	case !r.Compared:
		return ""
	case r.Same:
		return " The content is the same as before."
	}
	return " The content is another one than before."
}

// change tells what is to be mended, or that nothing is.
func (s *Story) change(r *audit.Revalidation) {
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Kind.Severity() == audit.Note {
			continue
		}
		says := f.Kind.Sentence()
		if f.Evidence != "" {
			says += " (" + f.Evidence + ")"
		}
		if f.Cure.Reason != "" {
			says += " " + f.Cure.Reason
		}
		s.Lines = append(s.Lines, Line{About: Change, Says: says, Section: f.Kind.Section(), Caddyfile: f.Cure.Caddyfile()})
	}
	if s.NotModified && !slices.ContainsFunc(s.Lines, func(l Line) bool { return l.About == Change }) {
		s.say(Change, "RFC 9110 §13.1", "Nothing is to be mended. Another content would have another validator, and be sent in full.")
	}
}

func has(r *audit.Revalidation, kind audit.Kind) bool {
	return slices.ContainsFunc(r.Findings, func(f audit.Finding) bool { return f.Kind == kind })
}

func lines(h http.Header, name string) string { return strings.Join(h[name], ", ") }

func octets(n int64) string {
	if n == 1 {
		return "1 byte"
	}
	return fmt.Sprintf("%d bytes", n)
}
