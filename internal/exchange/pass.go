package exchange

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/delivery"
	"github.com/conditionalcache/caddy-conditional-cache/internal/guard"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/policy"
	"github.com/conditionalcache/caddy-conditional-cache/internal/remember"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// Pass serves a request that has no exchange, for the reason that Arrive gave. A write may be judged first; its answer
// says no more of the representation than a GET would, and what it may have changed is forgotten.
func (s *Service) Pass(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, reason journal.Reason) error {
	if reason == journal.Method && remember.Unsafe(r.Method) {
		return s.witnessed(w, r, next)
	}
	return s.passOrJudge(w, r, next, reason)
}

func (s *Service) passOrJudge(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, reason journal.Reason) error {
	if s.leavesAlone(varsOf(r.Context())) {
		return s.pass(w, r, next, journal.Sibling)
	}
	if reason == journal.Method && policy.IsWrite(r.Method) && !withinRead(r) {
		return s.write(w, r, next)
	}
	return s.pass(w, r, next, reason)
}

// withinRead reports whether an instance further out has an exchange for this request: then a handler in between has
// given it another method.
func withinRead(r *http.Request) bool {
	return sharedBy(varsOf(r.Context())) != nil
}

// pass leaves a response alone. Only what the request says is put right: an error's answer is under no
// condition, and an upstream that sends tags without quotes gets them back so.
func (s *Service) pass(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, reason journal.Reason) error {
	switch {
	case reason == journal.ErrorRoute:
		upstream.Remove(r.Header)
	case (reason == journal.Method || reason == journal.CodedTag) && s.rules.Repaired != nil:
		fields := upstream.Snapshot(r.Header)
		defer fields.Put(r.Header)
		s.rules.Repaired.Unquote(r.Header)
	}
	note := journal.Note{Outcome: journal.Streamed, Reason: reason}
	if reason == journal.Upgrade || reason == journal.Method && sharedWriteOf(r) == nil {
		// An error route and a sibling are part of a request of which there is more to say already.
		said := new(journal.Record)
		said.Decide(journal.Streamed, reason, nil)
		said.Offer(r.Context(), replacerOf(r.Context()))
		s.countPassed(r, &note)
	}
	s.tell(note, r, r.Method)
	delivery.Begin(r.Context())
	return next.ServeHTTP(w, r)
}

// witnessed serves a request that may change what its URI stands for: see answer.go, and the memory's Witness.
func (s *Service) witnessed(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	amends := s.amends(r)
	if !amends && s.Memory == nil {
		return s.passOrJudge(w, r, next, journal.Method)
	}
	witness := &remember.Witness{ResponseWriter: w}
	if amends {
		witness.Amend = func(status int, header http.Header) { s.amend(r, status, header) }
	}
	var sent *delivery.Delivery // only the memory asks
	if s.Memory != nil {
		sent = new(delivery.Delivery)
		witness.Forget = s.forgetting(r, sent)
		// In place, as handlers outside know this request by its address; and for good, as a transport may look into it later.
		*r = *r.WithContext(sent.Watch(r.Context()))
	}
	status := http.StatusInternalServerError // of a panic
	defer func() { witness.End(status) }()
	err := s.passOrJudge(witness, r, next, journal.Method)
	sent.Failed(err)
	if status = http.StatusOK; err != nil {
		status = guard.StatusOf(err)
	}
	return err
}

// forgetting returns what forgets what is remembered of all that a request may have changed. What may have been sent and
// was not answered may change it at any time.
func (s *Service) forgetting(r *http.Request, sent *delivery.Delivery) func(status int, header http.Header) {
	ctx, host, target := context.WithoutCancel(r.Context()), r.Host, sentURL(r)
	destination := destinationOf(r)
	var waited time.Duration
	return func(status int, header http.Header) {
		unanswered := remember.Unanswered(status)
		if !remember.Changes(status) || unanswered && !sent.MayBeSent() {
			return
		}
		changed := remember.Changed(host, target, header["Location"], header["Content-Location"], destination)
		if unanswered {
			s.Memory.Doubt(changed)
		}
		waited = s.Memory.Forget(ctx, waited, changed)
	}
}

// destinationOf is the Destination of a request that has one (RFC 4918 §10.3): of another method, or on several lines, it is a
// field like any other, and nobody forgets a page by naming it there.
func destinationOf(r *http.Request) []string {
	if lines := r.Header["Destination"]; len(lines) == 1 && (r.Method == "COPY" || r.Method == "MOVE") {
		return lines
	}
	return nil
}

// aloneVar is the request variable that has the blocks whose handlers leave a request alone.
const aloneVar = "conditional_cache.alone"

// LeaveAlone serves a request as if the handler were not there, nor its siblings; but what a write may have changed is
// forgotten by these.
func (s *Service) LeaveAlone(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if s.Policy.Block != "" {
		blocks, _ := caddyhttp.GetVar(r.Context(), aloneVar).([]string)
		caddyhttp.SetVar(r.Context(), aloneVar, append(slices.Clip(blocks), s.Policy.Block))
	}
	return next.ServeHTTP(w, r)
}

// leavesAlone reports whether a sibling further out leaves the request alone.
func (s *Service) leavesAlone(vars map[string]any) bool {
	blocks, _ := vars[aloneVar].([]string)
	return len(blocks) > 0 && slices.Contains(blocks, s.Policy.Block)
}
