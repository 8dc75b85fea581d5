// Package freshness compiles rows of Cache-Control directives and applies them to responses: the
// Cache-Control field, the Expires that says the same to HTTP/1.0, and the rule that no row shares what
// belongs to one user (RFC 9111 §5.2.2, §5.3, §3.5).
package freshness

import (
	"math/bits"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// Row is a compiled list of directives. It is immutable and may be used concurrently.
type Row struct {
	shared   version
	personal version // for a response that belongs to one user
	existing Existing
	jitter   uint64 // hundredths of a percent
	silent   bool   // says nothing, whatever else it has
}

// Silence is a row that leaves every response as it is, whatever would speak to it else.
var Silence = &Row{shared: newVersion(nil), personal: newVersion(nil), silent: true}

// Off reports whether the row is Silence.
func (r *Row) Off() bool { return r.silent }

// version is what a row says to one kind of response.
type version struct {
	directives []directive
	text       string // for the wire
	policy     policy
}

func newVersion(directives []directive) version {
	text := render(directives, nil)
	return version{directives, text, read([]string{text})}
}

// Existing is what becomes of an upstream's own word.
type Existing uint8

const (
	// Keep: it stands, and the row says nothing.
	Keep Existing = iota
	// Merge: of each directive the stricter one counts.
	Merge
	// Replace: the row stands in its place.
	Replace
)

// Replaces reports whether the row wins over what the upstream sent.
func (r *Row) Replaces() bool { return r.existing == Replace }

// Merges reports whether the row is joined with what the upstream sent.
func (r *Row) Merges() bool { return r.existing == Merge }

// Spreads reports whether the row's lifetimes depend on the URL.
func (r *Row) Spreads() bool { return r.jitter != 0 }

// Private reports whether the row says that a response is for one user.
func (r *Row) Private() bool { return r.shared.policy.words&private != 0 }

// NoStore reports whether a response with the fields h goes out with no-store once the row has been applied to it.
func (r *Row) NoStore(h http.Header) bool {
	row := r.shared.policy.words&noStore != 0
	if r.existing == Replace || !Explicit(h) {
		return row
	}
	return r.existing == Merge && row || httpcond.HasDirective(h["Cache-Control"], "no-store")
}

// Personal reports whether the row says of itself that a response is not to be kept for others: what it says of one that
// sets a cookie only is not among that.
func (r *Row) Personal() bool { return r.shared.policy.personal() }

// Dated reports whether the row leaves it to Response.AfterModified how long a response lasts.
func (r *Row) Dated() bool {
	p := &r.shared.policy
	return !r.silent && p.seconds[maxAge] == unsaid && p.lastsNow()
}

// String returns the field value as it goes on the wire, without jitter and what the upstream says.
func (r *Row) String() string { return r.shared.text }

// Response is what a row has to know of the response it applies to.
type Response struct {
	// Personal: the request had Authorization, or the response sets a cookie. Then nothing that
	// invites a shared cache is sent (RFC 9111 §3.5), unless the row replaces.
	Personal bool
	// Expires: an Expires field is sent along.
	Expires bool
	// Now is used as Date where the response has none, and is then sent as such.
	Now time.Time
	// URL is the hash of the URL that the client sent, for rows that spread their lifetimes.
	URL uint64
	// LastModified is the response's, if it has one that can be believed.
	LastModified time.Time
	// AfterModified is how long a response lasts, counted from LastModified, where the row does not say
	// how long. Zero: the response does not last, or not so.
	AfterModified time.Duration
}

// Apply sets Cache-Control and Expires, unless the upstream has said something of its own and the row
// does not speak to it.
func (r *Row) Apply(h http.Header, resp Response) {
	explicit := Explicit(h)
	if r.silent || explicit && r.existing == Keep {
		return
	}
	v := &r.shared
	if resp.Personal && r.existing != Replace {
		v = &r.personal
	}
	p, text := v.policy, v.text
	if changed := r.adjust(&p, h, &resp); changed {
		text = render(v.directives, &p)
	}
	if explicit && r.existing == Merge {
		up := upstreamPolicy(h, resp.Now)
		p = join(&p, &up)
		if text = p.String(); !resp.Expires && p.allows(h, resp.Now) {
			h["Cache-Control"] = []string{text}
			return
		}
	}
	if r.existing == Replace {
		delete(h, "Pragma") // it would deny to some recipients what the row says
	}
	delete(h, "Expires")
	h["Cache-Control"] = []string{text}
	if resp.Expires {
		p.setExpires(h, resp.Now)
	}
}

// noRow is what speaks where no row does.
var noRow = &Row{shared: newVersion(nil), personal: newVersion(personal(nil))}

// ApplyWithoutRow gives a response that no row speaks to its lifetime by Last-Modified.
func ApplyWithoutRow(h http.Header, resp Response) {
	if resp.AfterModified != 0 && !resp.LastModified.IsZero() {
		noRow.Apply(h, resp)
	}
}

// adjust fits a copy of a row's policy to a response, and reports whether that has changed it.
func (r *Row) adjust(p *policy, h http.Header, resp *Response) (changed bool) {
	if r.jitter != 0 {
		p.seconds[maxAge] = r.spread(p.seconds[maxAge], resp.URL)
		p.seconds[sMaxAge] = r.spread(p.seconds[sMaxAge], resp.URL)
		changed = true
	}
	if resp.AfterModified != 0 && !resp.LastModified.IsZero() && p.seconds[maxAge] == unsaid && p.lastsNow() {
		p.seconds[maxAge] = secondsBetween(Date(h, resp.Now), resp.LastModified.Add(resp.AfterModified))
		changed = true
	}
	return changed
}

// spread shortens a lifetime by up to the row's jitter, so that nothing is fresh for longer than the
// operator has said. All lifetimes of one URL are shortened by the same share.
func (r *Row) spread(seconds int64, url uint64) int64 {
	if seconds <= 0 {
		return seconds
	}
	const whole = 100_00 // hundredths of a percent
	off, _ := bits.Mul64(url, uint64(seconds)*r.jitter)
	return seconds - int64(off/whole) //nolint:gosec // less than seconds
}

// HashURL is the hash by which rows spread their lifetimes: the same for a URL on every replica. What it
// is made of is no promise, as it only moves lifetimes within their bounds.
func HashURL(host, path, query string) uint64 {
	seed := xxh3.HashStringSeed(path, xxh3.HashString(strings.ToLower(host)))
	return xxh3.HashStringSeed(query, seed)
}

// Explicit reports whether a response says of itself how long it is fresh, or that it is not.
func Explicit(h http.Header) bool {
	return hasValue(h["Cache-Control"]) || hasValue(h["Expires"]) || pragmaNoCache(h)
}

// pragmaNoCache reports whether a response has no Cache-Control, and a Pragma: no-cache in its place. RFC 9111 §5.4
// gives that no meaning in a response, but browsers do, and so did who sent it.
func pragmaNoCache(h http.Header) bool {
	return httpcond.HasDirective(h["Pragma"], "no-cache") && !hasValue(h["Cache-Control"])
}

func hasValue(lines []string) bool {
	return slices.ContainsFunc(lines, func(line string) bool { return strings.TrimSpace(line) != "" })
}

// Date returns a response's Date. One that is missing or cannot be read is set to now, since a
// recipient counts the lifetimes from it (RFC 9110 §6.6.1).
func Date(h http.Header, now time.Time) time.Time {
	if lines := h["Date"]; len(lines) == 1 {
		if t, ok := httpcond.ParseDate(lines[0], now); ok {
			return t
		}
	}
	h["Date"] = []string{httpcond.FormatDate(now)}
	return now.Truncate(time.Second)
}

// lifetime is how long the response is fresh without being asked for; unsaid when nothing tells.
func (p *policy) lifetime() int64 {
	if p.words&(noStore|noCache) != 0 {
		return 0
	}
	return p.seconds[maxAge]
}

// setExpires says the same to HTTP/1.0 recipients (RFC 9111 §5.3): Date itself is stale at once.
func (p *policy) setExpires(h http.Header, now time.Time) {
	if lifetime := p.lifetime(); lifetime != unsaid {
		expires := Date(h, now).Add(time.Duration(lifetime) * time.Second)
		h["Expires"] = []string{httpcond.FormatDate(expires)}
	}
}

// allows reports whether no line of a response's Expires promises more than the policy does. Of several, recipients
// may take the first (RFC 9111 §4.2.1).
func (p *policy) allows(h http.Header, now time.Time) bool {
	lifetime := p.lifetime()
	return !slices.ContainsFunc(h["Expires"], func(line string) bool {
		return lifetimeOf([]string{line}, Date(h, now), now) > lifetime
	})
}

// render writes directives as a field value, with the lifetimes of adjusted if that is given.
func render(directives []directive, adjusted *policy) string {
	b := make([]byte, 0, 128)
	dated := adjusted != nil && adjusted.seconds[maxAge] != unsaid
	for _, d := range directives {
		b = begin(b, d.name)
		i := slices.Index(lifetimeNames[:], d.name)
		switch {
		case i >= 0 && adjusted != nil:
			b = strconv.AppendInt(append(b, '='), adjusted.seconds[i], 10)
		case d.seconds >= 0:
			b = strconv.AppendInt(append(b, '='), d.seconds, 10)
		case d.argument != "":
			b = append(append(b, '='), d.argument...)
		}
		dated = dated && i != maxAge
	}
	if dated {
		b = strconv.AppendInt(append(begin(b, lifetimeNames[maxAge]), '='), adjusted.seconds[maxAge], 10)
	}
	return string(b)
}
