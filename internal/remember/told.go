package remember

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// What is told of a visit in the fields of a response.

// Lasts is how long the record that is prepared, or else the one that is remembered, is fresh from now on; negative: it is not
// any more.
func (v *Visit) Lasts(now time.Time) time.Duration {
	r := &v.record
	if v.Prepared() {
		r = &v.next
	}
	return r.Received.Add(r.Lifetime).Sub(now)
}

// Label tells the records of one process apart for people. It is a digest of the key, which is one itself, with a secret in it;
// empty: nothing was looked for.
func (v *Visit) Label() string {
	key := v.key
	if v.Prepared() {
		key = v.keyUnder(v.selecting)
	}
	if key == (validators.Key{}) {
		return ""
	}
	sum := sha256.Sum256(append([]byte("label"), key.Sum[:]...))
	return hex.EncodeToString(sum[:8])
}

// Prepared reports whether a record is ready, which is remembered when the response has come to its end.
func (v *Visit) Prepared() bool {
	return !v.idle() && !v.next.Received.IsZero() && (v.unkept == "" || v.unkept == UnkeptIncomplete)
}
