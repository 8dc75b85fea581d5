package exchange

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/conditionalcache/caddy-conditional-cache/internal/guard"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// passUnjudged lets a write pass that nobody judges here.
func (s *Service) passUnjudged(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, pre *httpcond.Preconditions) error {
	sent := upstream.Snapshot(r.Header)
	reason := s.decode(w, r, next, pre)
	if reason == journal.CodedTag {
		defer sent.Put(r.Header)
	}
	return s.pass(w, r, next, reason)
}

// decode looks at the If-Match of a write that nobody judges here. Compressors change strong tags ("x-gzip" of "x"), the
// client has them so, and an upstream that compares would refuse its writes for good. Whether such a tag is the coded form
// of the current one is asked with a GET. If it is, the write goes up with the current tag alone, and the upstream can
// still refuse; in every other case it goes up as it came. The reason says which.
//
// It is a favour: it takes no turn, does not wait for long, and refuses nothing.
func (s *Service) decode(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, pre *httpcond.Preconditions) journal.Reason {
	m := sharedWriteOf(r)
	if m == nil || m.judged || m.decoded || !upstream.NamesCodedForm(pre.IfMatch.Tags) {
		return journal.Method
	}
	m.decoded = true
	if !repeatable(r) {
		return journal.Method
	}
	current := s.glance(w, r, next, m.blocks)
	if !namesCoded(pre.IfMatch.Tags, current) {
		return journal.Method
	}
	r.Header["If-Match"] = []string{current.String()}
	m.said.Decide(journal.Streamed, journal.CodedTag, nil)
	return journal.CodedTag
}

// glance asks the next handler by which tag it knows what a write is about, uncoded; zero: it does not say. Whatever
// becomes of that, the write goes on.
func (s *Service) glance(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, blocks []string) (current httpcond.EntityTag) {
	defer func() {
		if p := recover(); p != nil {
			s.Log.Error("the GET before a write panicked", zap.String("panic", fmt.Sprint(p)), zap.Stack("stack"))
		}
	}()
	sink := guard.NewSink(w.Header())
	get, cancel := guard.Glance(r, sink)
	defer cancel()
	get.Header["Accept-Encoding"] = []string{"identity"}
	_ = s.reader(next, blocks, &probe{headOnly: true})(sink, get, func(said guard.Reading) error {
		current = said.Current.Own
		return nil
	})
	return current
}

// namesCoded reports whether one of the tags is the coded form of the current one, which must be strong. Where the
// current one itself is named, too, nothing needs to be changed.
func namesCoded(tags []httpcond.EntityTag, current httpcond.EntityTag) (coded bool) {
	if current.Weak {
		return false
	}
	for _, t := range tags {
		if httpcond.StrongMatch(t, current, nil) {
			return false
		}
		coded = coded || !t.Weak && upstream.CodedOf(t.Opaque, current.Opaque)
	}
	return coded
}

// repeatable reports whether a request's credentials are good for a second request with another method, and say nothing of
// If-Match. Who signs its fields has signed that one: changed, it would be refused. A nonce or a proof that was used up by
// the GET would be missing for the write.
func repeatable(r *http.Request) bool {
	if r.Header["Signature"] != nil || r.Header["Signature-Input"] != nil || r.Header["Dpop"] != nil ||
		strings.Contains(strings.ToLower(r.URL.RawQuery), "signature") {
		return false
	}
	for _, line := range r.Header["Authorization"] {
		scheme, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch strings.ToLower(scheme) {
		case "basic", "bearer", "token", "":
		default:
			return false
		}
	}
	return true
}
