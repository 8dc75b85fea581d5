package validators

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"net/url"
	"strings"

	"github.com/zeebo/xxh3"
)

// Digest is 128 bits that stand for a longer text. It comes from a cryptographic hash, so that no two texts
// that somebody chooses have the same one.
type Digest [16]byte

// Places is how many places there are that a store may forget URIs by.
const Places = 1 << 16

// Place is which of the Places something has under a seed. Whoever does not know the seed cannot find two that share a
// place but by trying.
func (d Digest) Place(seed uint64) uint16 {
	return uint16(xxh3.HashSeed(d[:], seed)) //nolint:gosec // 16 bits of a hash are one, too
}

// Key says which record is meant, and what it is forgotten with.
type Key struct {
	// Sum stands for everything that selects a record: the target URI as the client sent it, scheme
	// included, the handler's configuration, and the request fields nominated by Vary.
	Sum Digest
	// Site stands for the handler's configuration alone. FirstSeen keeps so and so many dates of each site.
	Site uint64
	// URI is what is forgotten and purged as one.
	URI URI
}

// URI is a target URI as far as forgetting is concerned: without its scheme, in a form that is equal for
// spellings that mean the same.
type URI struct {
	// Host is as CanonicalHost writes it.
	Host string
	// Path is percent-decoded, and begins with a slash.
	Path string
	// Sum stands for host, path and query. It is the same on every node, and known to whoever knows the URI.
	Sum Digest
}

// NewURI reads a URI whose host is given apart, as in a request. The result may share the memory of both.
func NewURI(host string, u *url.URL) URI {
	uri := URI{Host: CanonicalHost(host), Path: canonicalPath(u.Path)}
	var room [512]byte
	b := room[:0]
	for _, text := range [...]string{uri.Host, uri.Path, u.RawQuery} {
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	whole := sha256.Sum256(b)
	uri.Sum = Digest(whole[:len(Digest{})])
	return uri
}

// CanonicalHost writes a host in lower case, without a port that is empty or the default of one of the schemes, and
// without a final dot (RFC 9110 §4.2.3, RFC 3986 §6.2.3); an IPv6 address in the form of RFC 5952, in brackets.
func CanonicalHost(host string) string {
	host = strings.ToLower(host) // makes no copy of what is lower already
	name, port := host, ""
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		name, port = host[:i], host[i:]
	}
	if strings.HasPrefix(name, "[") {
		name = canonicalAddress(name)
	} else {
		name = strings.TrimSuffix(name, ".")
	}
	switch {
	case port == "" || port == ":" || port == ":80" || port == ":443":
		return name
	case len(name)+len(port) == len(host) && strings.HasPrefix(host, name):
		return host // again no copy
	}
	return name + port
}

// canonicalAddress leaves what is no address as it is.
func canonicalAddress(name string) string {
	address, err := netip.ParseAddr(strings.TrimSuffix(name[1:], "]"))
	if err != nil || !address.Is6() {
		return name
	}
	return "[" + address.String() + "]"
}

func canonicalPath(path string) string {
	if !strings.HasPrefix(path, "/") {
		return "/" + path
	}
	return path
}

// Scope is a set of URIs to purge. The zero value is every URI there is.
type Scope struct {
	// Host is as in URI; empty means every host.
	Host string `json:"host,omitempty"`
	// Path is as in URI: it, and all that lies below it at a segment boundary. So /a/b is the prefix of /a/b,
	// /a/b/c and /a/b?q, but not of /a/bc. Empty or "/" means every path.
	Path string `json:"path,omitempty"`
}

// Covers reports whether a URI belongs to the scope.
func (s Scope) Covers(uri URI) bool {
	if s.Host != "" && s.Host != uri.Host {
		return false
	}
	below, found := strings.CutPrefix(uri.Path, strings.TrimSuffix(s.Path, "/"))
	return found && (below == "" || below[0] == '/')
}
