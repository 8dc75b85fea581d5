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
// All methods may be called at any time from many goroutines, also after the Caddy module that the store
// came from was cleaned up: then they may return ErrUnavailable. None waits longer than the store's own
// bound, however late the context ends, and none panics, not even with http.ErrAbortHandler: a handler that uses the
// store takes a panic for an error, and what was to be forgotten then is not looked for until it was. An error means
// that nothing is known: the request is served as if nothing were remembered.
type Store interface {
	// Name tells stores apart in the log and in the admin API: "memory", or "redis cache.example:6379/0". It
	// has no secrets in it.
	Name() string

	// Load returns the record kept under the key, and the stamp that a record has to carry whose request
	// begins now. The record is the zero Record when there is none, when its ttl is over, when it cannot be
	// read, and when its own stamp says that it was forgotten or purged since.
	Load(ctx context.Context, key Key) (Record, Stamp, error)

	// Save keeps a record under the key for ttl, or less, in place of what was there. A record whose stamp is
	// out of date by now may be kept, as no Load returns it.
	Save(ctx context.Context, key Key, record Record, ttl time.Duration) error

	// Delete drops what is kept under the key, and nothing else.
	Delete(ctx context.Context, key Key) error

	// Forget makes every record of the URI out of date, and every one of a response to a request that began
	// before. When it returns nil no Load of this process returns one of them; those of other processes that
	// share the store follow as soon as they are told. If it fails, the store itself sees to it that Loads of
	// this process do not return one of them, and forgets for the others as soon as it can. It may forget more
	// than it is asked to.
	Forget(ctx context.Context, uri URI) error

	// Purge does the same for every URI in a scope. If it fails, nothing was purged, or the outcome is not known. A purge
	// of everything drops the dates of FirstSeen, too.
	Purge(ctx context.Context, scope Scope) error

	// FirstSeen returns when the entity tag last became the current one of the representation with this key, in
	// whole seconds. If nothing is kept, that is now. With what is kept of this tag, it is the time kept. With what
	// is kept of another tag it is now if that is a later second, and now is kept with this tag; else the error is
	// ErrNoDate and what is kept stays, tag included: so the date never goes back, no two tags have the same, and
	// those that take turns do not push it ahead of the clock. It is ErrNoDate as well if the time kept is later than
	// now, as Last-Modified is not to be in the future (RFC 9110 §8.8.2.1).
	//
	// What is kept is kept for DateLives(ttl): for 48 hours at first, and for ttl from the second call with the same tag
	// on. Of each site a store keeps so many dates and no more; when there are so many, the error for what is new is
	// ErrNoDate, and nothing gives way. After a purge of everything, too, no date is given that another tag may have had; nor is one by a store that may have
	// lost everything just now.
	//
	// What is kept is the same for all processes that share the store, and has nothing to do with Forget, or with a Purge
	// of less than everything. Its keys are apart from those of records. Tags of any length are told apart; ShortTag bounds
	// what that takes.
	FirstSeen(ctx context.Context, key Key, tag string, now time.Time, ttl time.Duration) (time.Time, error)

	// Stats says how the store fares. It does not wait for anything.
	Stats() Stats
}

// Stats says how a store fares.
type Stats struct {
	// Entries is how many records are kept, in this process or at the server; -1 if that is not known.
	Entries int64 `json:"entries"`
	// FirstSeen is how many dates of FirstSeen are kept, of all sites that this process has asked for; -1 if that is not
	// known.
	FirstSeen int64 `json:"first_seen"`
	// Hits and Misses count the Loads of this process that found a record, or none.
	Hits   uint64 `json:"hits"`
	Misses uint64 `json:"misses"`
	// Evictions counts the records dropped for want of room, as far as it is known.
	Evictions uint64 `json:"evictions"`
	// Errors counts the calls of this process that failed.
	Errors uint64 `json:"errors"`
	// Available is false while the store is left alone because it has failed.
	Available bool `json:"available"`
}
