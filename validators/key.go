package validators

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"net/url"
	"strings"

	"github.com/zeebo/xxh3"
)

// Digest is 128 bits that stand for a longer text. It comes from a cryptographic hash, so that nobody can find two texts
// with the same one.
type Digest [16]byte

// Places is the number of places that URIs fall into. A store may forget all URIs of a place at once.
const Places = 1 << 16

// Place returns the place of a digest under a seed, from 0 to Places-1. Without the seed, two digests with the same place
// can be found by trying only.
func (d Digest) Place(seed uint64) uint16 {
	return uint16(xxh3.HashSeed(d[:], seed)) //nolint:gosec // 16 bits of a hash are one, too
}

// Key says which record is meant, and which URI it is forgotten with.
type Key struct {
	// Sum stands for everything that selects a record: the target URI as the client sent it, scheme
	// included, the handler's configuration, and the request fields nominated by Vary.
	Sum Digest
	// Site stands for the handler's configuration alone. The number of FirstSeen dates is bounded for each site.
	Site uint64
	// URI is what Forget and Purge go by: all records of one URI are forgotten together.
	URI URI
}

// URI is a target URI as Forget and Purge see it: without its scheme, and in one form for all spellings that mean the
// same. NewURI makes one.
type URI struct {
	// Host is as CanonicalHost writes it.
	Host string
	// Path is percent-decoded, and begins with a slash. It has no query.
	Path string
	// Sum stands for host, path and query. It is the same on every node, and known to whoever knows the URI.
	Sum Digest
}

// NewURI makes a URI of a host, which may have a port, and of the path and query of u, as a request has them. The result
// may share the memory of both.
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

// CanonicalHost writes a host in lower case, without a final dot, and without a port that is empty, 80 or 443 (RFC 9110
// §4.2.3, RFC 3986 §6.2.3). It writes an IPv6 address in the form of RFC 5952, in brackets.
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
	// Host is as in URI. Empty means every host.
	Host string `json:"host,omitempty"`
	// Path is as in URI, and covers itself and everything below it at a segment boundary: /a/b covers /a/b, /a/b/c and
	// /a/b?q, and not /a/bc. Empty or "/" means every path.
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
