package validators

import (
	"context"
	"errors"
	"time"
)

// ErrUnavailable is what the methods of a Store return, wrapped or not, while it cannot be reached.
var ErrUnavailable = errors.New("the store cannot be reached")

// Store keeps records, for one process or for many.
//
// All methods may be called at any time, and by many goroutines at once. After the Caddy module of the store was cleaned
// up, they may return ErrUnavailable. A method waits no longer than the store's own bound, even if the context ends
// later. A method must not panic. A handler takes a panic for an error, and does not look up a
// URI that was to be forgotten until it has been.
//
// An error means that nothing is known. The request is then served as if nothing were remembered.
type Store interface {
	// Name tells stores apart in the log and in the admin API: "memory", or "redis cache.example:6379/0". It has no secret
	// in it.
	Name() string

	// Load returns the record kept under the key, and the stamp for the record of a request that begins now. The record is
	// the zero Record when there is none, when its ttl is over, when it cannot be read, and when its own stamp says that it
	// was forgotten or purged since.
	Load(ctx context.Context, key Key) (Record, Stamp, error)

	// Save keeps a record under the key for ttl or less, in place of what was there. A record whose stamp is out of date may
	// be kept, because no Load returns it.
	Save(ctx context.Context, key Key, record Record, ttl time.Duration) error

	// Delete drops what is kept under the key, and nothing else.
	Delete(ctx context.Context, key Key) error

	// Forget makes every record of the URI out of date, also those of requests that have begun and not ended. When it
	// returns nil, no Load of this process returns one of them; other processes that share the store follow as soon as they
	// are told. If it fails, the store makes sure that no Load of this process returns one of them, and tells the other
	// processes as soon as it can. It may forget more than it is asked to.
	Forget(ctx context.Context, uri URI) error

	// Purge does the same for every URI in a scope. If it fails, nothing was purged, or the outcome is not known. A purge of
	// everything also drops the dates of FirstSeen.
	Purge(ctx context.Context, scope Scope) error

	// FirstSeen returns when the entity tag last became the current one of the representation with this key, in whole
	// seconds. A store keeps a tag and its time for each key:
	//
	//	nothing is kept                       now, which is kept with the tag
	//	this tag is kept                      the time kept, or ErrNoDate if that is later than now
	//	another tag is kept, in this second   ErrNoDate; what is kept stays
	//	another tag is kept, from before      now, which is kept with this tag
	//
	// So a date never moves backwards, no two tags have the same one, and tags that take turns do not push it ahead of the
	// clock. A Last-Modified must not be in the future (RFC 9110 §8.8.2.1).
	//
	// A date is kept for DateLives(ttl): for 48 hours at first, and for ttl from the second call with the same tag on. A
	// store keeps a bounded number of dates of each site. When it is reached, a new tag gets ErrNoDate, and no other date is
	// dropped. After a purge of everything, and after a loss of everything, no date is given that another tag may have had.
	//
	// All processes that share the store have the same dates. Forget, and a Purge of less than everything, leave them alone.
	// Their keys are apart from those of records. Tags of any length are told apart; see ShortTag.
	FirstSeen(ctx context.Context, key Key, tag string, now time.Time, ttl time.Duration) (time.Time, error)

	// Stats returns figures of the store. It does not wait for anything.
	Stats() Stats
}

// Stats has figures of a store.
type Stats struct {
	// Entries is how many records are kept, in this process or at the server. -1: not known.
	Entries int64 `json:"entries"`
	// FirstSeen is how many dates of FirstSeen are kept, of all sites that this process has asked for. -1: not known.
	FirstSeen int64 `json:"first_seen"`
	// Hits and Misses count the Loads of this process that found a record, or none.
	Hits   uint64 `json:"hits"`
	Misses uint64 `json:"misses"`
	// Evictions counts the records dropped for want of room, as far as that is known.
	Evictions uint64 `json:"evictions"`
	// Errors counts the calls of this process that failed.
	Errors uint64 `json:"errors"`
	// Available is false while the store has failed and is not asked.
	Available bool `json:"available"`
}
