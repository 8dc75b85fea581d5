package validators

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// ErrNoDate is what Store.FirstSeen returns, wrapped or not, while an entity tag has no date. It does not mean that the
// store has failed.
var ErrNoDate = errors.New("the entity tag has no date yet")

// FirstDateLife is how long a date is kept at first. It is two days, so that a client that comes once a day finds it.
const FirstDateLife = 48 * time.Hour

// DateLives returns how long a store keeps a date, given the ttl of FirstSeen. first counts from the first call. again
// counts from a later call that finds less than the ttl left; it is longer than the ttl, so that dates are seldom written
// again.
func DateLives(ttl time.Duration) (first, again time.Duration) {
	ttl = min(max(ttl, 0), 1<<62) // some 146 years
	return min(ttl, FirstDateLife), ttl + ttl/8
}

// The number of dates that a store keeps of each site, by default, and at most. A greater number is taken for a mistake.
const (
	DefaultMaxFirstSeen = 100_000
	MostMaxFirstSeen    = 100_000_000
)

// CheckMaxFirstSeen checks the option max_first_seen of a store: from 1 to MostMaxFirstSeen.
func CheckMaxFirstSeen(n int) error {
	if n < 1 || n > MostMaxFirstSeen {
		return fmt.Errorf("max_first_seen has to be from 1 to %d, not %d", MostMaxFirstSeen, n)
	}
	return nil
}

// longestTag is how many octets of an entity tag are kept as they are: two to three times what servers make. How long
// an upstream's tag is, only the bound of its header says.
const longestTag = 128

// ShortTag returns what a store may keep in place of an entity tag, to compare it with others. It is the tag itself up to
// 128 octets, and a text with its SHA-256 beyond that. Different tags have different ones: that text has a space in it,
// and no tag has (RFC 9110 §8.8.3).
func ShortTag(tag string) string {
	if len(tag) <= longestTag {
		return tag
	}
	sum := sha256.Sum256([]byte(tag))
	return "sha256 " + hex.EncodeToString(sum[:])
}
