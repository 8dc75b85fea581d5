package guard

import (
	"cmp"
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// Read asks the next handlers with r, as for a client's GET, whose answer's fields go to w; what can be
// read out of the answer is given to use, whose error it returns.
type Read func(w *Sink, r *http.Request, use func(Reading) error) error

// Reading is what an answer says of the current representation.
type Reading struct {
	Found Found
	// Current is the representation; of Known.
	Current Current
	// Status is the answer's, and Body its whole body or nil; of Forbidden, unless Err is set.
	Status int
	Body   []byte
	// Err is why it Failed, or the error by which a handler said Forbidden.
	Err error
}

// Current is what a write would change, by the names that it has.
type Current struct {
	// Representation is what clients get: its tag may be the upstream's, or one of ours.
	httpcond.Representation
	// Own is the tag by which the upstream knows it, whatever clients get; zero: there is none that can be told. It is weak
	// where it does not tell two versions apart for sure.
	Own httpcond.EntityTag
	// Uncoded is Own without the suffix of a coding that the upstream has applied; zero: there is none.
	Uncoded httpcond.EntityTag
	// Made tells that the tag of Representation was made by this process: the upstream cannot know it.
	Made bool
}

// hasOwn reports whether there is such a tag. The empty one is none that anybody would use.
func (c *Current) hasOwn() bool { return c.Own.Opaque != "" }

// isItsOwn reports whether the tag that clients get is the one by which the upstream knows the representation, and none
// that it has put on for a coding.
func (c *Current) isItsOwn() bool { return !c.Made && c.Uncoded.Opaque == "" }

// isOwn reports whether a tag is, by strong comparison, one by which the upstream knows the representation.
func (c *Current) isOwn(t httpcond.EntityTag) bool {
	return t.Opaque != "" && (httpcond.StrongMatch(t, c.Own, nil) || httpcond.StrongMatch(t, c.Uncoded, nil))
}

// Found is how much an answer says.
type Found uint8

const (
	// Failed: nothing is known of the representation.
	Failed Found = iota
	// Nothing: there is none.
	Nothing
	// Forbidden: who asks may not know.
	Forbidden
	// Known: there is one.
	Known
)

// ReadError reads the error of a handler that has written nothing: 404 and 410 say that there is nothing, 401 and 403 that
// who asks may not know.
func ReadError(err error) Reading {
	handlerErr, _ := errors.AsType[caddyhttp.HandlerError](err)
	switch handlerErr.StatusCode {
	case http.StatusNotFound, http.StatusGone:
		return Reading{Found: Nothing}
	case http.StatusUnauthorized, http.StatusForbidden:
		return Reading{Found: Forbidden, Err: err}
	}
	return Reading{Err: cmp.Or(err, errors.New("no handler answers a GET here"))}
}
