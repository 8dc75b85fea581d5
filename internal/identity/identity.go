// Package identity knows who asks, as far as a request says so: by its cookies, its Authorization, the certificate of its
// client, the user whom Caddy has authenticated, and whatever else the configuration tells users apart by. It makes a
// short digest of that.
//
// The digest stands in entity tags, which stand in logs. So it is keyed, by what is not public: without the key nobody
// can try passwords or cookies against it. Where there is no key, somebody is Unknown, and nothing may rest on who it is.
//
// What a cookie's name says is here, and nowhere else: see Rules.
package identity

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"hash"
	"slices"
	"strings"
)

// Digits is the length of a digest.
//
// Each digit is 5 bits, all of them 60. Two people at one browser have the same digest once in 10^18 times, whoever and
// how many they are. Of a million people who ask for one page, two have the same with a probability of 4 in 10^7. Who
// wants any two sets of cookies with the same digest, has to ask this server 10^9 times, and has gained nothing: both
// sets are his.
const Digits = 12

// Key is what digests are made with.
type Key [32]byte

// KeyOf is the key that a secret of the configuration gives; nil: an empty one gives none. Entity tags are made with the same secret; their input
// begins with a length of 8 octets, which the label here would be too large a one for.
func KeyOf(secret []byte) *Key {
	if len(secret) == 0 {
		return nil
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("conditional_cache identity"))
	return (*Key)(mac.Sum(nil))
}

// Request is what a request says of who asks. The zero value says nothing.
type Request struct {
	// Cookie and Authorization are the lines of these fields; nil: there are none.
	Cookie, Authorization []string
	// Certificate is the one of the client, in DER; nil: it has shown none.
	Certificate []byte
	// User is whom Caddy has authenticated; empty: nobody.
	User string
	// Key is what `remember › key` gives for the request.
	Key string
}

// Who is who asks: nobody in particular, somebody known by a digest, or somebody who is unknown for want of a key. The zero
// value is nobody.
type Who struct {
	digest  string
	unknown bool
}

// Unknown is somebody of whom there is no digest.
var Unknown = Who{unknown: true}

// Known reports whether there is a digest, or nobody to have one.
func (w Who) Known() bool { return !w.unknown }

// Digest is the digest, of Digits digits from 0 to 9 and a to v. It is empty for nobody and for who is unknown.
func (w Who) Digest() string { return w.digest }

// Has reports whether it is the one with this digest; none is nobody's. Who is unknown is never the one.
func (w Who) Has(digest string) bool { return !w.unknown && w.digest == digest }

// Who returns who asks. Without a key (nil), somebody is Unknown. It may be called concurrently.
//
// Cookies are sorted by name: browsers send them in no fixed order. Of one name the order counts, as upstreams take the
// first or the last.
func (r *Rules) Who(asks *Request, key *Key) Who {
	cookies := r.counted(asks.Cookie)
	somebody := len(cookies) > 0 || asks.Authorization != nil || asks.Certificate != nil || asks.User != "" || asks.Key != ""
	switch {
	case !somebody:
		return Who{}
	case key == nil:
		return Unknown
	}
	slices.SortStableFunc(cookies, func(a, b string) int { return strings.Compare(NameOf(a), NameOf(b)) })
	d := digest{mac: hmac.New(sha256.New, key[:])}
	d.addAll('c', cookies)
	d.addAll('a', asks.Authorization)
	if asks.Certificate != nil {
		d.add('x', string(asks.Certificate))
	}
	d.add('u', asks.User)
	d.add('k', asks.Key)
	return Who{digest: d.sum()}
}

// digest is the beginning of a keyed digest of texts, each led by its kind and its length, so that no two lists of them
// are the same octets.
type digest struct{ mac hash.Hash }

func (d *digest) addAll(kind byte, texts []string) {
	for _, text := range texts {
		d.add(kind, text)
	}
}

func (d *digest) add(kind byte, text string) {
	var head [1 + binary.MaxVarintLen64]byte
	head[0] = kind
	d.mac.Write(head[:1+binary.PutUvarint(head[1:], uint64(len(text)))])
	d.mac.Write([]byte(text))
}

func (d *digest) sum() string {
	var space [sha256.Size]byte
	return digits.EncodeToString(d.mac.Sum(space[:0]))[:Digits]
}

var digits = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)
