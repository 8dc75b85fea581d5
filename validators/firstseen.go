package validators

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// ErrNoDate is what Store.FirstSeen returns, wrapped or not, while an entity tag has no date. That is no failure of
// the store.
var ErrNoDate = errors.New("the entity tag has no date yet")

// FirstDateLife is how long a date is kept at first: so that who comes once a day finds it.
const FirstDateLife = 48 * time.Hour

// DateLives is for how long a store keeps a date for which FirstSeen asks it to be kept for ttl: at first, and from the
// second call on, each time that there is less than the ttl left. The second is longer than the ttl, so that it is written
// seldom.
func DateLives(ttl time.Duration) (first, again time.Duration) {
	ttl = min(max(ttl, 0), 1<<62) // some 146 years
	return min(ttl, FirstDateLife), ttl + ttl/8
}

// How many dates a store keeps of each site: unless it is told, and at most. What is more is a slip of the pen.
const (
	DefaultMaxFirstSeen = 100_000
	MostMaxFirstSeen    = 100_000_000
)

// CheckMaxFirstSeen is for the option max_first_seen of a store.
func CheckMaxFirstSeen(n int) error {
	if n < 1 || n > MostMaxFirstSeen {
		return fmt.Errorf("max_first_seen has to be from 1 to %d, not %d", MostMaxFirstSeen, n)
	}
	return nil
}

// longestTag is how many octets of an entity tag are kept as they are: two to three times what servers make. How long
// an upstream's tag is, only the bound of its header says.
const longestTag = 128

// ShortTag is what a store may keep in place of an entity tag, to compare it with others: the tag, or, if that is
// longer than 128 octets, what begins with its SHA-256. No two tags have the same: the space in it is in none (RFC
// 9110 §8.8.3).
func ShortTag(tag string) string {
	if len(tag) <= longestTag {
		return tag
	}
	sum := sha256.Sum256([]byte(tag))
	return "sha256 " + hex.EncodeToString(sum[:])
}
