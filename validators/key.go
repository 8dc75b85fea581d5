package validators

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/zeebo/xxh3"
)

// Digest is 128 bits that stand for a longer text. It comes from a cryptographic hash, so that no two texts
// that somebody chooses have the same one.
type Digest [16]byte

// Key says which record is meant, and what it is forgotten with.
type Key struct {
	// Sum stands for everything that selects a record: the target URI as the client sent it, scheme
	// included, the handler's configuration, and the request fields nominated by Vary.
	Sum Digest
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
	// Sum stands for host, path and query. It is the same on every node, and not safe from somebody who looks
	// for collisions: what it is used for is to forget, which is harmless where it hits too much.
	Sum uint64
}

// NewURI reads a URI whose host is given apart, as in a request. The result may share the memory of both.
func NewURI(host string, u *url.URL) URI {
	uri := URI{Host: CanonicalHost(host), Path: canonicalPath(u.Path)}
	uri.Sum = xxh3.HashStringSeed(u.RawQuery, xxh3.HashStringSeed(uri.Path, xxh3.HashString(uri.Host)))
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
