package validators

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
)

// ErrNoDate is what Store.FirstSeen returns, wrapped or not, while an entity tag has no date. That is no failure of
// the store.
var ErrNoDate = errors.New("the entity tag has no date yet")

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
