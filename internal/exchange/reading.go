package exchange

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
	"github.com/conditionalcache/caddy-conditional-cache/internal/guard"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// probeVar is the request variable by which the instances further in find the probe.
const probeVar = "conditional_cache.probe"

// probe is what became of the GET for the current representation, which is asked before a write. It is not used again.
type probe struct {
	byDate   bool // the write rests on a date; set by write
	headOnly bool // by which tag the upstream knows it is all there is to find out; set by glance

	found probed       // set by head or spill
	why   error        // of probeFailed; set with it
	own   upstream.Own // the tag by which the upstream knows it; set by noteOwn, of nested instances the innermost's
	owned bool         // … was looked for; set with it
	made  bool         // the tag that it has for clients was made by one of these instances; set by noteMade
	parts bool         // … of parts of the content; set with it
}

type probed uint8

const (
	probeUnanswered probed = iota // no head came
	probeFailed                   // nothing is known of the representation
	probeNothing                  // there is none
	probeForbidden                // who asks may not know
	probeHeld                     // its tag is to be made of the body
	probeKnown                    // all there is to know of it was in the head
)

// head decides at the head of the answer, with the validators already read.
func (p *probe) head(x *Exchange, status int, header http.Header) capture.Decision {
	x.chooseRow(status, header)
	hold := capture.Decision{Action: capture.Hold, MaxBody: x.svc.Policy.Bounds.MaxBody, Declared: x.selected.declared}
	switch {
	case p.headOnly && status == http.StatusOK:
		p.found = probeKnown
	case p.headOnly:
		p.found = probeNothing
	case status == http.StatusOK && x.streams(header) == journal.NoReason:
		p.found = probeHeld
		return hold
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		p.found = probeForbidden
		return hold
	case status == http.StatusNotFound || status == http.StatusGone:
		p.found = probeNothing
	case status >= 200 && status <= 299 && status != http.StatusPartialContent:
		p.found = probeKnown
		if status == http.StatusOK {
			x.takeFirstSeen(header, x.selected.opaque())
		}
	default:
		p.found, p.why = probeFailed, fmt.Errorf("a GET of the current representation was answered with %d", status)
	}
	return capture.Decision{Action: capture.Answer, Declared: x.unread()}
}

// spill gives up holding. A body over max_body has no tag for clients either, so what the head said is all there is. If
// there is no memory left, or the answer is malformed, nothing is known.
func (p *probe) spill(reason capture.Reason) capture.Decision {
	if p.found == probeHeld {
		p.found = probeKnown
		if reason != capture.ReasonMaxBody {
			p.found, p.why = probeFailed, fmt.Errorf("the current representation could not be buffered: %s", reason)
		}
	}
	return capture.Decision{Action: capture.Answer}
}

// reader asks the next handler for the current representation, as this handler would for a client's GET. What it finds
// out is kept in p.
func (s *Service) reader(next caddyhttp.Handler, blocks []string, p *probe) guard.Read {
	return func(w *guard.Sink, r *http.Request, use func(guard.Reading) error) error {
		x := s.exchange()
		x.enter(arrived)
		x.asked = asked{r: r, method: r.Method, client: r.Context(), replacer: replacerOf(r.Context())}
		x.asked.vars = varsOf(r.Context())
		x.asked.readFields()
		x.probe = p
		x.keep()
		x.kept.shared.blocks = slices.Clone(blocks) // which have let the write pass, and do not act on its probe either
		x.kept.shared.set(probing)
		if x.asked.vars != nil {
			x.asked.vars[probeVar] = p
		}
		x.announce()
		x.show(w)
		returned := false
		defer func() { x.close(returned) }()
		err := x.runProbe(next)
		err = use(x.reading(x.resp.Settle(), err))
		returned = true
		return err
	}
}

// theProbe is what the answer to this request is wanted for, by this instance or one further out; nil: it is a client's.
func (x *Exchange) theProbe() *probe {
	if x.probe != nil || !x.kept.shared.is(probing) {
		return x.probe
	}
	p, _ := x.asked.vars[probeVar].(*probe)
	return p
}

// noteOwn notes by which tag the upstream knows the representation, before anything is done to it.
func (x *Exchange) noteOwn() {
	p := x.theProbe()
	if p == nil || p.owned {
		return
	}
	s := x.selected
	p.own, p.owned = upstream.ReadOwn(s.etag, s.lastModified, s.coded, s.now), true
	if x.weakens() {
		p.own.Weaken()
	}
}

// weakens reports whether the configuration says that the upstream's tags are weak, whatever they say themselves.
func (x *Exchange) weakens() bool { return x.svc.Policy.Treatment.Existing == upstream.WeakenTag }

// noteMade notes that the tag for clients is made here.
func (x *Exchange) noteMade() {
	if p := x.theProbe(); p != nil {
		p.made, p.parts = true, x.svc.Policy.Tags.Ignore != nil
	}
}

// runProbe calls the next handler. What it aborts is an error here, as the write can still be answered.
func (x *Exchange) runProbe(next caddyhttp.Handler) (err error) {
	defer func() {
		if p := recover(); p == http.ErrAbortHandler { //nolint:errorlint // net/http compares the value, too
			x.shown.aborted = true
			err = errors.New("the upstream aborted its response")
		} else if p != nil {
			panic(p)
		}
	}()
	return next.ServeHTTP(x.kept.handle, x.asked.r)
}

// reading is what the answer says.
func (x *Exchange) reading(found capture.Found, err error) guard.Reading {
	if found == capture.Untouched {
		x.resp.Adopt()
		return guard.ReadError(err)
	}
	if err != nil && found == capture.Held {
		return guard.Reading{Err: err}
	}
	body := x.resp.Body()
	all := found == capture.Held && x.selected.declared <= int64(len(body))
	switch x.probe.found {
	case probeNothing:
		return guard.Reading{Found: guard.Nothing}
	case probeForbidden:
		forbidden := guard.Reading{Found: guard.Forbidden, Status: x.resp.Status()}
		if all {
			forbidden.Body = append([]byte{}, body...) // not nil, though it be empty
		}
		return forbidden
	case probeHeld:
		if !all {
			return guard.Reading{Err: errors.New("the current representation was cut off")}
		}
		return x.readWhole(x.resp.OuterHeader(), body)
	case probeKnown:
		return x.known()
	case probeFailed, probeUnanswered:
	}
	return guard.Reading{Err: cmp.Or(x.probe.why, errors.New("a handler took the connection over"))}
}

// readWhole makes the tag that a client's GET would get.
func (x *Exchange) readWhole(header http.Header, body []byte) guard.Reading {
	x.enter(whole)
	x.readBody(header, body)
	x.sniff(header, body)
	if !x.goesUnstored(header) {
		if digest, ok := x.digest(header, body); ok { // else a client's GET gets no tag either
			x.setTag(header, digest)
		}
	}
	x.takeFirstSeen(header, x.selected.opaque())
	return x.known()
}

// known is a representation that is there. A write that rests on a date must not pass as one without a condition for
// want of the date (RFC 9110 §13.1.4), where there may be one that could not be told this time.
func (x *Exchange) known() guard.Reading {
	switch {
	case !x.probe.byDate:
	case x.dates.searchErr() != nil:
		return guard.Reading{Err: x.dates.searchErr()}
	case x.dates != nil && x.dates.unseen:
		return guard.Reading{Err: errors.New("when the current tag was first seen could not be told")}
	}
	return guard.Reading{Found: guard.Known, Current: x.current()}
}

// current is what a write's preconditions are compared with. A tag of ours is strong here: it is made from the content,
// and weak only towards clients that may have it coded.
func (x *Exchange) current() guard.Current {
	p, rep := x.probe, x.representation()
	rep.Same = upstream.SameInWrite
	// Under ignore a tag of ours does not speak for the whole content.
	if _, ours := tag.Parse(rep.ETag.Opaque); ours && !p.parts {
		rep.ETag.Weak = false
	}
	x.warnOfWeak(&rep)
	own := p.own
	if x.weakens() || own.OfWholeSecond && !p.headOnly {
		own.Weaken()
	}
	return guard.Current{Representation: rep, Own: own.Tag, Uncoded: own.Uncoded, Made: p.made}
}

// warnOfWeak says once that the upstream's tags are of no use to guard_writes.
func (x *Exchange) warnOfWeak(current *httpcond.Representation) {
	if len(x.svc.Policy.Guard.Methods) == 0 || !current.HasETag || !current.ETag.Weak {
		return
	}
	x.svc.weak.Do(func() {
		x.svc.Log.Warn("guard_writes stands beside an upstream whose entity tags are weak: If-Match matches none of these (RFC 9110 §13.1.1), so "+
			"that such writes are refused with 412; write `existing replace` in the block of `etag strong`, which makes strong ones", zap.String("uri", sentURI(x.asked.r)))
	})
}
