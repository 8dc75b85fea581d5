package freshness

import (
	"math"
	"math/bits"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// policy is what one side, a row or an upstream, says of a response's freshness: the directives that an
// RFC knows by their meaning, the others as they were written.
type policy struct {
	words         wordSet
	seconds       lifetimes
	privateFields []string // of the qualified private="A, B"
	noCacheFields []string // of the qualified no-cache="A, B"
	others        []string
}

// wordSet is a set of directives that take no seconds; private and no-cache are the unqualified forms.
type wordSet uint16

const (
	public wordSet = 1 << iota
	private
	noStore
	noCache
	mustRevalidate
	proxyRevalidate
	mustUnderstand
	noTransform
	immutable
)

// wordNames has the names of a wordSet, in the order of their bits.
var wordNames = [...]string{
	"public", "private", "no-store", "no-cache", "must-revalidate", "proxy-revalidate", "must-understand",
	"no-transform", "immutable",
}

// lifetimes are seconds, or unsaid. The order of the names is that of the constants.
type lifetimes [len(lifetimeNames)]int64

const (
	maxAge = iota
	sMaxAge
	staleWhileRevalidate
	staleIfError

	unsaid = -1
)

var (
	lifetimeNames = [...]string{"max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"}
	nothingSaid   = lifetimes{unsaid, unsaid, unsaid, unsaid}
)

// read reads the lines of Cache-Control. Of a directive that is given several times the stricter one
// counts, and what is malformed counts as the stricter thing it may have meant (RFC 9111 §4.2.1).
func read(lines []string) policy {
	p := policy{seconds: nothingSaid}
	for d := range httpcond.RawDirectives(lines) {
		p.add(d)
	}
	return p
}

func (p *policy) add(d httpcond.Directive) {
	name := strings.ToLower(d.Name)
	if i := slices.Index(lifetimeNames[:], name); i >= 0 {
		p.seconds[i] = shorter(p.seconds[i], deltaSeconds(httpcond.Unquote(d.Value)))
		return
	}
	i := slices.Index(wordNames[:], name)
	if i < 0 {
		p.pass(d)
		return
	}
	switch word := wordSet(1) << i; {
	case word == private && d.HasValue:
		p.addFields(private, &p.privateFields, d.Value)
	case word == noCache && d.HasValue:
		p.addFields(noCache, &p.noCacheFields, d.Value)
	case d.HasValue && word&(public|immutable) != 0:
		// A licence that is not understood is none; a restriction stays one.
	default:
		p.words |= word
	}
}

// maxFields bounds the field names of a qualified form.
const maxFields = 100

// addFields reads the field names of a qualified form. What is no list of them, or too long a one, counts as
// the unqualified form, which says more (RFC 9111 §5.2.2.4).
func (p *policy) addFields(word wordSet, fields *[]string, argument string) {
	found := 0
	for name := range strings.SplitSeq(httpcond.Unquote(argument), ",") {
		if name = strings.Trim(name, " \t"); name == "" {
			continue // as in any list (RFC 9110 §5.6.1.2)
		}
		if !httpcond.IsToken(name) || len(*fields) >= maxFields {
			p.words |= word
			return
		}
		*fields = addField(*fields, name)
		found++
	}
	if found == 0 {
		p.words |= word
	}
}

func addField(fields []string, name string) []string {
	if slices.ContainsFunc(fields, func(other string) bool { return strings.EqualFold(other, name) }) {
		return fields
	}
	return append(fields, name)
}

// pass keeps a directive that no RFC here knows, as it was written. One with an open quote is left out: to
// some recipients that would hide what stands behind it.
func (p *policy) pass(d httpcond.Directive) {
	text := d.Name
	if d.HasValue {
		if strings.Contains(d.Value, `"`) && !isQuoted(d.Value) {
			return
		}
		text += "=" + d.Value
	}
	p.others = append(p.others, text)
}

// deltaSeconds reads RFC 9111 §1.2.2. What is no such number is stale at once (§4.2.1), and what is over
// 2^31-1 is that.
func deltaSeconds(s string) int64 {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return math.MaxInt32 // it has digits only, so it is out of range
	}
	return min(seconds, math.MaxInt32)
}

// shorter is the shorter of two lifetimes; one that was not said does not count.
func shorter(a, b int64) int64 {
	if a == unsaid || b == unsaid {
		return max(a, b)
	}
	return min(a, b)
}

// lifetimeOf is the lifetime that Expires gives (RFC 9111 §5.3). What is no date is stale at once, and of
// several the first to come counts.
func lifetimeOf(expires []string, date, now time.Time) int64 {
	least := int64(unsaid)
	for _, line := range expires {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		lifetime := int64(0)
		if t, ok := httpcond.ParseDate(line, now); ok {
			lifetime = secondsBetween(date, t)
		}
		least = shorter(least, lifetime)
	}
	return least
}

// secondsBetween is never negative: what has ended is stale at once.
func secondsBetween(from, to time.Time) int64 {
	return min(max(to.Unix()-from.Unix(), 0), math.MaxInt32)
}

// upstreamPolicy is what an upstream says. Its Expires is its max-age, unless it has one, and a Pragma without
// Cache-Control its no-cache.
func upstreamPolicy(h http.Header, now time.Time) policy {
	p := read(h["Cache-Control"])
	if pragmaNoCache(h) {
		p.words |= noCache
	}
	if p.seconds[maxAge] == unsaid && hasValue(h["Expires"]) {
		p.seconds[maxAge] = lifetimeOf(h["Expires"], Date(h, now), now)
	}
	return p
}

// join is what holds when both sides are to have their way: of each directive the stricter. What only one
// side says stands, unless the other denies it. Of directives that no RFC knows up's come first, and
// count where both have one of that name.
func join(row, up *policy) policy {
	j := policy{words: row.words | up.words}
	if row.neverStored() || up.neverStored() {
		// To who understands the status, must-understand lifts no-store (RFC 9111 §5.2.2.3).
		j.words &^= mustUnderstand
	}
	for i := range j.seconds {
		j.seconds[i] = shorter(row.seconds[i], up.seconds[i])
	}
	if j.seconds[sMaxAge] != unsaid {
		j.seconds[sMaxAge] = shorter(row.shared(), up.shared())
	}
	if row.neverStale() || up.neverStale() {
		j.seconds[staleWhileRevalidate] = unsaid
	}
	j.privateFields = union(row.privateFields, up.privateFields)
	j.noCacheFields = union(row.noCacheFields, up.noCacheFields)
	j.others = joinOthers(row.others, up.others)
	j.settle()
	return j
}

// settle takes out what other directives deny.
func (p *policy) settle() {
	if len(p.privateFields) > maxFields {
		p.words |= private
	}
	if len(p.noCacheFields) > maxFields {
		p.words |= noCache
	}
	never := p.neverStored()
	if p.words&private != 0 {
		p.words &^= public
		p.seconds[sMaxAge] = unsaid
		p.privateFields = nil
	}
	if p.words&noCache != 0 {
		p.noCacheFields = nil
	}
	if never {
		p.words &^= public
		p.seconds[maxAge], p.seconds[sMaxAge] = ended(p.seconds[maxAge]), ended(p.seconds[sMaxAge])
	}
	if never || p.words&(noCache|mustRevalidate) != 0 { // RFC 9111 §4.2.4
		p.seconds[staleWhileRevalidate], p.seconds[staleIfError] = unsaid, unsaid
	}
	if never || p.words&noCache != 0 || p.seconds[maxAge] == 0 { // RFC 8246 §2: as long as it is fresh
		p.words &^= immutable
	}
}

// ended leaves of a lifetime only what agrees with no-store.
func ended(seconds int64) int64 {
	if seconds > 0 {
		return unsaid
	}
	return seconds
}

// neverStored: no-store, and nothing that lifts it.
func (p *policy) neverStored() bool { return p.words&(noStore|mustUnderstand) == noStore }

// neverStale: who says that a response is stale at once, and nothing of what may be done with it then, is not
// overruled by a stale-while-revalidate of the other side.
func (p *policy) neverStale() bool {
	return (p.seconds[maxAge] == 0 || p.seconds[sMaxAge] == 0) && p.seconds[staleWhileRevalidate] == unsaid
}

// shared is the lifetime in shared caches (RFC 9111 §4.2.1).
func (p *policy) shared() int64 {
	if p.seconds[sMaxAge] != unsaid {
		return p.seconds[sMaxAge]
	}
	return p.seconds[maxAge]
}

// lastsNow reports whether a max-age could say anything beside the rest.
func (p *policy) lastsNow() bool { return !p.neverStored() && p.words&noCache == 0 }

func union(a, b []string) []string {
	if len(a) == 0 {
		return b
	}
	all := slices.Clip(a) // rows are shared by all requests
	for _, name := range b {
		all = addField(all, name)
	}
	return all
}

func joinOthers(row, up []string) []string {
	if len(row) == 0 {
		return up
	}
	all := up
	for _, d := range row {
		if !slices.ContainsFunc(up, func(other string) bool { return strings.EqualFold(nameOf(other), nameOf(d)) }) {
			all = append(all, d)
		}
	}
	return all
}

func nameOf(directive string) string {
	name, _, _ := strings.Cut(directive, "=")
	return name
}

// fieldOrder is the order of what join makes: who may store it, how long it lasts, and what then.
var fieldOrder = [...]wordSet{public, private, noStore, noCache}

// String writes the policy as a field value.
func (p *policy) String() string {
	b := make([]byte, 0, 128)
	for _, word := range fieldOrder {
		b = p.appendWord(b, word)
	}
	for i, seconds := range p.seconds {
		if seconds != unsaid {
			b = strconv.AppendInt(append(begin(b, lifetimeNames[i]), '='), seconds, 10)
		}
	}
	for word := mustRevalidate; word <= immutable; word <<= 1 {
		b = p.appendWord(b, word)
	}
	for _, d := range p.others {
		b = begin(b, d)
	}
	return string(b)
}

// begin appends the begin of a directive, behind a comma if it is not the first.
func begin(b []byte, text string) []byte {
	if len(b) > 0 {
		b = append(b, ", "...)
	}
	return append(b, text...)
}

func (p *policy) appendWord(b []byte, word wordSet) []byte {
	var fields []string
	switch {
	case p.words&word != 0:
	case word == private:
		fields = p.privateFields
	case word == noCache:
		fields = p.noCacheFields
	}
	if p.words&word == 0 && len(fields) == 0 {
		return b
	}
	b = begin(b, wordNames[word.index()])
	for i, name := range fields {
		if i == 0 {
			b = append(b, `="`...)
		} else {
			b = append(b, ", "...)
		}
		b = append(b, name...)
	}
	if len(fields) > 0 {
		b = append(b, '"')
	}
	return b
}

func (w wordSet) index() int { return bits.TrailingZeros16(uint16(w)) }
