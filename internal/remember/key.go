package remember

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/identity"
	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// Request is what a request is remembered by, and what it says of who asks.
type Request struct {
	// Scheme, Host and URL are the target URI as the client sent it, before any rewrite.
	Scheme, Host string
	URL          *url.URL
	// Header are its fields. The map has to stay as it is until Detach, which copies it.
	Header http.Header
	// Extra is what the configuration adds to the key.
	Extra string
	// Origin are the lines of that field. Their value is part of the key: upstreams that answer each origin with its own
	// Access-Control-Allow-Origin forget to say so in Vary. Nil is a key of its own.
	Origin []string
	// Unshared: nothing is remembered of it, nor answered. The server knows who asks, the request has content, or its key
	// could not be made.
	Unshared bool
}

// maxNominated bounds the names in Vary that a record is kept under; what has more is not remembered.
const maxNominated = 16

// secretSize is how much of the secret goes into a digest: as many bits as come out of it. A short URI then fits into one
// block of SHA-256.
const secretSize = 16

// digest is the beginning of the SHA-256 of the secret and texts, each led by its length.
type digest struct {
	space [512]byte
	n     int
	more  []byte // in place of space, once that is full
}

func (d *digest) add(text string) {
	var length [binary.MaxVarintLen64]byte
	d.write(length[:binary.PutUvarint(length[:], uint64(len(text)))])
	if d.more == nil && d.n+len(text) <= len(d.space) {
		d.n += copy(d.space[d.n:], text)
		return
	}
	d.spill()
	d.more = append(d.more, text...)
}

func (d *digest) write(b []byte) {
	if d.more == nil && d.n+len(b) <= len(d.space) {
		d.n += copy(d.space[d.n:], b)
		return
	}
	d.spill()
	d.more = append(d.more, b...)
}

func (d *digest) spill() {
	if d.more == nil {
		d.more = append(make([]byte, 0, 4*len(d.space)), d.space[:d.n]...)
	}
}

func (d *digest) sum() validators.Digest {
	all := d.space[:d.n]
	if d.more != nil {
		all = d.more
	}
	whole := sha256.Sum256(all)
	return validators.Digest(whole[:len(validators.Digest{})])
}

// keyOf is the key of a request before Vary is known. Those of pages that are asked for often are at hand.
func (m *Memory) keyOf(r *Request) validators.Key {
	place := m.keys.of(r)
	if made := place.Load(); made != nil && made.isFor(r) {
		return made.key
	}
	key := m.digestOf(r)
	if mayKeep(r) {
		place.Store(keep(r, key))
	}
	return key
}

// digestOf makes that key. Spellings of one URI have one key in what is forgotten,
// and several in what is remembered: what another spelling gives, only the upstream knows.
func (m *Memory) digestOf(r *Request) validators.Key {
	var d digest
	d.write(m.Secret[:secretSize])
	d.write([]byte{shapeOf(r)})
	d.add(r.Scheme)
	d.add(r.Host)
	d.add(r.URL.EscapedPath())
	d.add(r.URL.RawQuery)
	d.add(r.Extra)
	if r.URL.Opaque != "" {
		d.add(r.URL.Opaque)
	}
	for _, line := range r.Origin {
		d.add(line)
	}
	return validators.Key{Sum: d.sum(), Site: m.site(), URI: validators.NewURI(r.Host, r.URL)}
}

// shapeOf tells what is empty from what is not there: an empty query is not none (RFC 3986 §6.2.3). A target without a
// host, such as that of `GET http:p`, has no path, and is one of its own.
func shapeOf(r *Request) (shape byte) {
	if r.URL.ForceQuery {
		shape |= 1
	}
	if r.Origin != nil {
		shape |= 2
	}
	if r.URL.Opaque != "" {
		shape |= 4
	}
	return shape
}

// site is the half of the secret that goes into no digest.
func (m *Memory) site() uint64 { return binary.LittleEndian.Uint64(m.Secret[secretSize:]) }

// variantOf is the key of the representation that the values of the nominated fields select.
func (m *Memory) variantOf(base validators.Key, nominated string, h http.Header) validators.Key {
	var d digest
	d.write(m.Secret[:secretSize])
	d.write(base.Sum[:])
	d.add(nominated)
	for name := range strings.SplitSeq(nominated, ",") {
		if name == byWho {
			d.add(m.whoAsks(h))
			continue
		}
		m.addValue(&d, name, h)
	}
	return validators.Key{Sum: d.sum(), Site: base.Site, URI: base.URI}
}

// addValue adds the value of one nominated field, normalized only where that cannot change its meaning
// (RFC 9111 §4.1): lines are joined, cookies that do not count left out, and of codings and languages neither
// case nor spaces count (RFC 9110 §8.4.1, §8.5.1).
func (m *Memory) addValue(d *digest, name string, h http.Header) {
	lines := h[http.CanonicalHeaderKey(name)]
	switch {
	case len(lines) == 0:
		d.add("") // absent and empty are two things
		return
	case name == "cookie":
		d.add("=" + m.countedCookies(lines))
	case name == "accept-encoding" || name == "accept-language":
		d.add("=" + plainList(lines))
	default:
		d.add("=" + strings.Join(lines, ", "))
	}
}

// plainList is a list whose members have neither spaces nor case.
func plainList(lines []string) string {
	joined := strings.ToLower(strings.Join(lines, ","))
	if !strings.ContainsAny(joined, " \t") {
		return joined
	}
	return strings.NewReplacer(" ", "", "\t", "").Replace(joined)
}

// countedCookies are the cookies of a request that answers may depend on, as it has them.
func (m *Memory) countedCookies(lines []string) string {
	var counted []string
	for pair := range identity.Cookies(lines) {
		if !m.Cookies.Ignores(pair) {
			counted = append(counted, pair)
		}
	}
	return strings.Join(counted, "; ")
}

// hasCookies reports whether a request has a cookie that answers may depend on.
func (m *Memory) hasCookies(h http.Header) bool {
	lines := h["Cookie"]
	if len(lines) == 0 {
		return false
	}
	return len(m.Cookies.Ignored) == 0 || m.countedCookies(lines) != ""
}

// addedHere are fields that reverse_proxy writes by itself, so that what the client sent of them selects nothing.
var addedHere = []string{"x-forwarded-for", "forwarded", "x-real-ip"}

// nominate reads the names that Vary nominates, in lower case, sorted and once each. why is set for *, for
// what is no name or says nothing of the client, and for too many.
func nominate(lines []string, also string) (nominated string, why Reason) {
	var names []string
	if also != "" {
		names = strings.Split(also, ",")
	}
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			name = strings.ToLower(strings.Trim(name, " \t"))
			switch {
			case name == "":
				continue
			case name == "*" || slices.Contains(addedHere, name) || !httpcond.IsToken(name):
				return "", UnkeptVaryStar
			case !slices.Contains(names, name):
				names = append(names, name)
			}
		}
	}
	if len(names) > maxNominated {
		return "", UnkeptVaryMany
	}
	slices.Sort(names)
	return strings.Join(names, ","), ""
}

// firstSeenTTL is how long the time of a tag is kept.
const firstSeenTTL = 365 * 24 * time.Hour

// FirstSeen is when the tag became the current one of what a request asks for, in whole seconds; ok is false where
// that is not known. An error of the store it has counted itself. It is told how long the request has waited for it.
func (m *Memory) FirstSeen(r *Request, vary []string, tag string, now time.Time, waited time.Duration) (date time.Time, ok bool) {
	nominated, why := nominate(vary, "")
	if why != "" {
		return time.Time{}, false
	}
	key := m.keyOf(r)
	if nominated != "" {
		key = m.variantOf(key, nominated, r.Header)
	}
	date, err := m.Store.FirstSeen(validators.WithWaited(context.Background(), waited), key, tag, now, firstSeenTTL)
	return date, err == nil
}
