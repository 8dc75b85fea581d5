package conditionalcache

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/quic-go/quic-go/http3"
	"go.uber.org/zap"

	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
	exchanges "github.com/conditionalcache/caddy-conditional-cache/internal/exchange"
	"github.com/conditionalcache/caddy-conditional-cache/internal/freshness"
	"github.com/conditionalcache/caddy-conditional-cache/internal/guard"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/ignore"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/lastmodified"
	"github.com/conditionalcache/caddy-conditional-cache/internal/policy"
	"github.com/conditionalcache/caddy-conditional-cache/internal/remember"
	"github.com/conditionalcache/caddy-conditional-cache/internal/subrequest"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// Reasons why a response was streamed, besides those of package capture.
const (
	reasonMethod         = "method"
	reasonUpgrade        = "upgrade"
	reasonErrorRoute     = "error_route"
	reasonSibling        = "sibling"
	reasonHead           = "head"
	reasonStatus         = "status"
	reasonNoStore        = "no_store"
	reasonMediaType      = "media_type"
	reasonTrailer        = "trailer"
	reasonIncremental    = "incremental"
	reasonAccelBuffering = "accel_buffering"
	reasonDeclaredLength = "declared_length"
	reasonETagOff        = "etag_off"
	reasonExistingTag    = "existing_tag"
	reasonShortBody      = "short_body"
	reasonNoResponse     = "no_response"
	reasonRangeLength    = "range_length"
)

// Who made a 304 that was not made here, or what it was made from.
const (
	reasonUpstream   = "upstream"
	reasonInner      = "inner"
	reasonRemembered = "remembered"
	reasonIfError    = "stale_if_error"
)

// exchangeVar is the request variable by which nested instances find the outermost one's exchange.
const exchangeVar = "conditional_cache.exchange"

// errNotNeeded ends an upstream's transfer whose body nobody needs. reverse_proxy takes it for a client
// that went away and logs it at DEBUG, where any other error would be a warning.
var errNotNeeded error = &http3.Error{Remote: true, ErrorCode: http3.ErrCodeRequestCanceled}

// ServeHTTP gives the next handler's response its validators and answers the request's preconditions.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if h.memory != nil && remember.Unsafe(r.Method) && r.Context().Value(caddyhttp.ErrorCtxKey) == nil {
		return h.forgetting(w, r, next)
	}
	return h.serve(w, r, next)
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	outermost, _ := caddyhttp.GetVar(r.Context(), exchangeVar).(*exchange)
	switch reason := h.passes(r, outermost); {
	case reason == reasonMethod && outermost == nil && isWrite(r):
		return h.write(w, r, next)
	case reason != "":
		return h.pass(w, r, next, reason)
	}
	var visit remember.Visit
	why, answered := h.recall(w, r, outermost, &visit)
	if answered {
		return nil
	}
	x := &exchange{h: h, r: r, method: r.Method, visit: visit, notRecalled: why}
	x.enter(w, outermost)
	defer x.leave()
	x.present()
	err := x.run(next)
	if x.misread || x.failedOnRange(err) {
		err = x.askAgain(next)
	} else {
		err = x.finish(err)
	}
	x.failed = err != nil
	return err
}

// recall answers from memory, if that is allowed and a condition of the request matches. If not, it says why, and
// the visit goes on with the exchange.
func (h *Handler) recall(w http.ResponseWriter, r *http.Request, outermost *exchange, visit *remember.Visit) (why string, answered bool) {
	if h.memory == nil {
		return "", false
	}
	now := time.Now()
	repl := replacer(r)
	visit.Begin(r.Context(), h.memory, h.asRemembered(r, repl), now)
	etag, why := h.matchesRecord(r, outermost, visit)
	if why == "" {
		if answered, why = visit.MayAnswer(now); answered {
			h.answerFromMemory(w, r, outermost, visit, etag, now, repl)
			return "", true
		}
	}
	visit.Detach()
	return why, false
}

// asRemembered is a request as far as remembering is concerned.
func (h *Handler) asRemembered(r *http.Request, repl *caddy.Replacer) remember.Request {
	request := remember.Request{
		Scheme: "http", Host: r.Host, URL: sentURL(r), Header: r.Header,
		Known: authenticated(r, repl) || r.ContentLength > 0 || len(r.TransferEncoding) > 0, // what content asks for is in no key
	}
	if r.TLS != nil {
		request.Scheme = "https"
	}
	if h.policy.Key != "" {
		var err error
		if request.Extra, err = repl.ReplaceOrErr(h.policy.Key, false, true); err != nil {
			request.Known = true // what tells users apart is not known, so that nobody is to share
			h.logger.Error("remember key: nothing is remembered", zap.Error(err))
		}
	}
	return request
}

// matchesRecord compares what a request asks with what is remembered: why is empty if it only asks whether that has
// changed, and it has not. The etag is the tag in the form that the client knows it by, or empty if that is the
// remembered one.
func (h *Handler) matchesRecord(r *http.Request, outermost *exchange, visit *remember.Visit) (etag, why string) {
	fields := r.Header
	if outermost != nil {
		original := upstream.Original(upstream.Snapshot(fields), outermost.left, outermost.original)
		fields = original.Header()
	}
	lines := fields["If-None-Match"]
	if lines == nil && fields["If-Modified-Since"] == nil || fields["If-Match"] != nil || fields["If-Unmodified-Since"] != nil {
		return "", remember.WhyCondition
	}
	if why := visit.Unusable(); why != "" {
		return "", why
	}
	if len(lines) == 1 {
		if _, ok := httpcond.ParseEntityTag(lines[0]); ok && visit.Is(lines[0]) {
			return "", "" // as most are
		}
	}
	pre := httpcond.ParsePreconditions(fields, time.Now(), h.policy.Lenient)
	if result := pre.Evaluate(r.Method, visit.Representation()); result.Verdict == httpcond.NotModified {
		return h.formOf(result.Matched, visit), ""
	}
	return "", remember.WhyChanged
}

// recalled is an answer from memory: one allocation for the lists of its fields and what there is to say.
type recalled struct {
	space remember.Space
	said  journal.Note
}

func (h *Handler) answerFromMemory(
	w http.ResponseWriter, r *http.Request, outermost *exchange, visit *remember.Visit, etag string, now time.Time, repl *caddy.Replacer,
) {
	answer := &recalled{said: journal.Note{Outcome: journal.OutcomeNotModified, Reason: reasonRemembered}}
	header := w.Header()
	visit.Fill(header, etag, now, &answer.space)
	if outermost != nil {
		outermost.answered304 = true // what there is to say, it says when it passes this on
	} else {
		answer.said.ETag = first(header["Etag"])
		answer.said.Offer(r, repl)
	}
	w.WriteHeader(http.StatusNotModified)
	flushHTTP3(w, r)
	if c := h.logger.Check(zap.DebugLevel, journal.OutcomeNotModified); c != nil {
		c.Write(zap.String("reason", reasonRemembered), zap.String("method", r.Method), zap.String("uri", sentURI(r)))
	}
}

// formOf is the tag in the form that the client knows it by, or empty if that is the remembered one.
func (h *Handler) formOf(matched httpcond.EntityTag, visit *remember.Visit) string {
	if _, ours := tag.Parse(matched.Opaque); !ours || visit.Is(matched.String()) {
		return ""
	}
	return h.namedForm(matched).String()
}

// forgetting serves a request that may change what its URI stands for, and forgets what is remembered of that.
func (h *Handler) forgetting(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	ctx, host, target := context.WithoutCancel(r.Context()), r.Host, sentURL(r)
	var waited time.Duration
	witness := &remember.Witness{ResponseWriter: w, Forget: func(status int, header http.Header) {
		if remember.Changes(status) {
			waited = h.memory.Forget(ctx, waited, remember.Changed(host, target, header))
		}
	}}
	status := http.StatusInternalServerError // of a panic
	defer func() { witness.End(status) }()
	err := h.serve(witness, r, next)
	if status = http.StatusOK; err != nil {
		status = statusOf(err)
	}
	return err
}

// passes names the reason why a request is none of this handler's business.
func (h *Handler) passes(r *http.Request, outermost *exchange) string {
	switch {
	case r.Context().Value(caddyhttp.ErrorCtxKey) != nil:
		return reasonErrorRoute
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return reasonMethod
	case upgrades(r.Header):
		return reasonUpgrade
	case outermost != nil && h.policy.Block != "" && slices.Contains(outermost.blocks, h.policy.Block):
		return reasonSibling
	}
	return ""
}

// upgrades reports whether the client asks for another protocol. An offer of h2c is none: it comes with
// every first request of some clients, and servers answer it as the plain request it is.
func upgrades(h http.Header) bool {
	lines := h["Upgrade"]
	return len(lines) > 0 && !strings.EqualFold(strings.TrimSpace(lines[0]), "h2c")
}

// pass leaves a response alone. Only what the request says is put right: an error's answer is under no
// condition, and an upstream that sends tags without quotes gets them back so.
func (h *Handler) pass(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, reason string) error {
	switch {
	case reason == reasonErrorRoute:
		upstream.Remove(r.Header)
	case reason == reasonMethod && h.treatment.Repaired != nil:
		fields := upstream.Snapshot(r.Header)
		defer fields.Put(r.Header)
		h.treatment.Repaired.Unquote(r.Header)
	}
	if reason == reasonUpgrade || reason == reasonMethod && metWrite(r) == nil {
		// An error route and a sibling are part of a request of which there is more to say already.
		said := new(journal.Journal)
		said.Add(journal.OutcomeStreamed, reason, nil)
		said.Offer(r, replacer(r))
	}
	if c := h.logger.Check(zap.DebugLevel, journal.OutcomeStreamed); c != nil {
		c.Write(zap.String("reason", reason), zap.String("method", r.Method), zap.String("uri", sentURI(r)))
	}
	return next.ServeHTTP(w, r)
}

// isWrite reports whether a request may change what its URI stands for.
func isWrite(r *http.Request) bool {
	return !slices.Contains(unguarded, r.Method)
}

// unguarded are the methods that change nothing, or nothing of what the URI stands for.
var unguarded = []string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodConnect}

// writeVar is the request variable by which the instances that one write meets know of each other.
const writeVar = "conditional_cache.write"

// write is what they know.
type write struct {
	blocks    []string // names of the blocks that have acted
	judged    bool     // one has judged: what is right once is not asked again
	protected bool     // and there was a precondition that counts
	said      journal.Journal
}

func metWrite(r *http.Request) *write {
	met, _ := caddyhttp.GetVar(r.Context(), writeVar).(*write)
	return met
}

// write lets a write pass, after it was judged if it is guarded. Of the instances in one block only the
// outermost acts, as with reads; of nested ones the first that has something to judge.
func (h *Handler) write(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	met := metWrite(r)
	switch {
	case met == nil:
		met = new(write)
		met.said.Add(journal.OutcomeStreamed, reasonMethod, nil)
		met.said.Offer(r, replacer(r))
		caddyhttp.SetVar(r.Context(), writeVar, met)
	case h.policy.Block != "" && slices.Contains(met.blocks, h.policy.Block):
		return h.pass(w, r, next, reasonSibling)
	}
	if h.policy.Block != "" {
		met.blocks = append(met.blocks, h.policy.Block)
	}
	pre, guarded := h.guards(r)
	if met.protected || !guarded || met.judged && !h.mustCondition(r) {
		return h.pass(w, r, next, reasonMethod)
	}
	turn := &exchanges.Writes
	if met.judged {
		turn = nil
	}
	met.judged = true
	g := guard.Write{
		To: w, R: r, Next: next, Said: &met.said, Queue: turn, URL: asSent(r).URL,
		Pre: pre, Must: h.mustCondition(r), Read: h.reader(next, met.blocks, &pre), Protected: &met.protected,
	}
	err := g.Serve()
	decided := met.said.Last()
	if c := h.logger.Check(zap.DebugLevel, decided.Outcome); c != nil {
		c.Write(zap.String("reason", decided.Reason), zap.String("method", r.Method), zap.String("uri", sentURI(r)), zap.Error(err))
	}
	return err
}

// mustCondition reports whether a write has to have a precondition.
func (h *Handler) mustCondition(r *http.Request) bool {
	return h.policy.Guard.Require && h.guardsMethod(r)
}

// guardsMethod reports whether the configuration names the method, or the one that frameworks take in its
// place for a field that says so.
func (h *Handler) guardsMethod(r *http.Request) bool {
	return slices.ContainsFunc(h.policy.Guard.Methods, func(method string) bool {
		if strings.EqualFold(method, r.Method) {
			return true
		}
		return slices.ContainsFunc(guard.MethodOverrides, func(name string) bool {
			return strings.EqualFold(method, first(r.Header[name]))
		})
	})
}

// guards reports whether a write is to be judged: If-Match names a tag of ours, which no upstream knows,
// or the configuration wants writes of this method judged.
func (h *Handler) guards(r *http.Request) (pre httpcond.Preconditions, guarded bool) {
	header := r.Header
	if header["If-Match"] == nil && header["If-None-Match"] == nil && header["If-Unmodified-Since"] == nil {
		return pre, h.mustCondition(r)
	}
	pre = httpcond.ParsePreconditions(header, time.Now(), h.policy.Lenient)
	_, ours := upstream.Ours(pre.IfMatch.Tags)
	// What lies past the bounds of a list might be ours.
	return pre, ours || pre.IfMatch.Truncated || h.guardsMethod(r)
}

// exchange is one request and its response. It is the capture.Exchange of its writer.
type exchange struct {
	capture.Writer
	h        *Handler
	r        *http.Request
	method   string    // the client's
	asGet    bool      // the next handler is asked with GET for the client's HEAD
	now      time.Time // when the response's head came
	location string    // the URI as the client sent it, for Content-Location; else empty

	outermost *exchange
	blocks    []string // of the outermost: names of the blocks that have acted
	*conditions

	codable  bool // the client accepts content codings
	noStore  bool // the request has Cache-Control: no-store
	personal bool // the request is somebody's: see identified

	row          *policy.Row // the row of cache_control that applies
	rowUncertain bool        // the media type, and with it the row, is known with the body only
	rowHidden    bool        // on a 304 of the upstream: a row that replaces or merges may apply to its 200
	rowSilent    bool        // a row may apply, or have applied to what a 304 stands for, and nothing takes its place
	rowDated     bool        // on such a 304: what is stored may count from its Last-Modified, if the configuration says so
	rowApplied   bool        // what was made of an upstream's word is not that word
	urlHash      uint64      // for rows that spread their lifetimes
	upstream.Validators
	visit       remember.Visit
	notRecalled string               // why it was not answered from memory; empty: there is none
	search      *lastmodified.Search // for a Last-Modified that the upstream has not sent; nil if it is not to be
	madeHere    bool                 // ETag is one of ours
	untagged    bool                 // held, but not for a tag
	declared    int64                // Content-Length of the response, or -1
	result      httpcond.Result
	size        int64                // length of the whole that Range was judged against
	part        httpcond.RangeResult // what Range makes of the response; known once result says Proceed
	spilled     bool                 // the response was held, and cannot be any longer
	answered304 bool                 // of the outermost: an instance has made a 304
	spaces      []*capture.Scratch   // in use while the digest is made
	dateFound   bool                 // of the outermost: an instance has found a Last-Modified
	asSeen      remember.Request     // for first_seen
	firstSeen   bool                 // LastModified is when the tag was first seen
	unseen      bool                 // when it was, could not be told, or is still to come
	asked       time.Time            // when the request came; known if dates are looked for
	cookied     bool                 // the request is somebody's, or has a cookie that may tell whose; known with asked
	ignoring    bool                 // of the outermost: an instance leaves parts of the body out of its tag
	dateAlone   bool                 // of the outermost: the date that was found is worth something without a tag
	gaveUp      atomic.Bool          // of the outermost: an instance has held the response for its max_delay

	unbound context.Context  // of the request, without our end of it
	unwatch func() bool      // the client's leaving no longer ends the request's context
	release func()           // ends it; nil: it is the client's own
	failed  bool             // an error was returned: the error routes are next
	said    *journal.Journal // notes, or those of the exchange that this one repeats
	notes   journal.Journal

	probe *probe // of the GET that is asked before a guarded write; else nil

	spare   *http.Request // the same without Range; nil if there is no use for it
	met     int           // of the outermost's blocks: how many had acted before
	misread bool          // the next handler has misread Range, and is to be asked again
}

// conditions are a request's conditional fields and Range, and what became of them. Most requests have
// none and share one that is empty.
type conditions struct {
	original upstream.Fields // what the client sent
	found    upstream.Fields // what this instance found on the request
	left     upstream.Fields // of the outermost: what the innermost instance left on the request
	view     upstream.View   // what the upstream sees
	pre      httpcond.Preconditions
	ranges   httpcond.RangeRequest
	matching httpcond.EntityTag // under upstream.Translated: the client's tag
}

// unconditional is never written to.
var unconditional conditions

// newConditions reads what the client asked, before handlers inside change the request. An inner instance
// judges the original conditions, not what an outer one has made of them.
func newConditions(h http.Header, outermost *exchange, lenient bool) *conditions {
	found := upstream.Snapshot(h)
	if outermost == nil {
		if !found.Any() {
			return &unconditional
		}
		c := &conditions{original: found, found: found}
		c.parse(h, lenient)
		return c
	}
	if outermost.conditions == &unconditional {
		outermost.conditions = new(conditions) // for what the inner ones leave
	}
	c := &conditions{original: upstream.Original(found, outermost.left, outermost.original), found: found}
	c.parse(c.original.Header(), lenient)
	return c
}

func (c *conditions) parse(h http.Header, lenient bool) {
	now := time.Now()
	c.pre = httpcond.ParsePreconditions(h, now, lenient)
	c.ranges = httpcond.ParseRangeRequest(h, now, lenient)
}

// enter takes the snapshot of the request and readies the writer.
func (x *exchange) enter(w http.ResponseWriter, outermost *exchange) {
	h := x.r.Header
	x.conditions = newConditions(h, outermost, x.h.policy.Lenient)
	x.said = &x.notes
	if x.outermost = outermost; outermost == nil {
		x.outermost = x
		caddyhttp.SetVar(x.r.Context(), exchangeVar, x)
		x.said.Offer(x.r, replacer(x.r))
	}
	if x.h.policy.Block != "" {
		x.outermost.blocks = append(x.outermost.blocks, x.h.policy.Block)
	}
	x.outermost.ignoring = x.outermost.ignoring || x.h.policy.Tags.Ignore != nil
	x.met = len(x.outermost.blocks)
	x.ready(w)
}

// ready reads what the request says besides its conditions, and starts the writer.
func (x *exchange) ready(w http.ResponseWriter) {
	h := x.r.Header
	if x.h.policy.ContentLocation {
		x.location = locationOf(asSent(x.r).URL)
	}
	x.codable = httpcond.AcceptsCoding(h["Accept-Encoding"])
	x.noStore = httpcond.HasDirective(h["Cache-Control"], "no-store")
	x.personal = (x.h.policy.Freshness.Any()) && identified(x.r)
	if x.h.policy.Dates.Any() {
		x.asked, x.cookied = time.Now(), h["Cookie"] != nil || identified(x.r)
	}
	if x.h.policy.Dates.FirstSeen {
		x.asSeen = x.h.asRemembered(x.r, replacer(x.r))
		x.asSeen.Header = h.Clone() // and the lists, as with a visit
	}
	if x.h.policy.Freshness.Spreads {
		x.urlHash = hashURL(x.r) // now, as handlers inside may be writing the request later
	}
	x.bind()
	x.Start(w, x, &exchanges.Budget, x.h.policy.Bounds.MaxTotal)
}

// bind readies the two ways to end a transfer that nobody needs: an error for the next write, which
// leaves no trace in the log, and for an upstream that has fallen silent the end of the request's context,
// which reverse_proxy logs as a warning. The second needs a context of the request's own, so only
// requests have it that can be answered without a body. It ends with the client's leaving, too, but not
// once there is an answer: who has that may leave at once, and no warning is due for it.
func (x *exchange) bind() {
	x.Cancel = errNotNeeded
	if x.conditions == &unconditional && x.method != http.MethodHead {
		return
	}
	x.unbound = x.r.Context()
	ctx, cancel := context.WithCancel(context.WithoutCancel(x.unbound))
	if deadline, ok := x.unbound.Deadline(); ok {
		ctx, cancel = context.WithDeadline(context.WithoutCancel(x.unbound), deadline)
	}
	x.unwatch = context.AfterFunc(x.unbound, func() {
		if !x.Over() {
			cancel()
		}
	})
	*x.r = *x.r.WithContext(ctx) // in place: handlers outside know this request by its address
	uri := sentURI(x.r)
	x.Stalled = func() {
		if c := x.h.logger.Check(zap.DebugLevel, "closing the connection of a silent upstream"); c != nil {
			c.Write(zap.String("uri", uri))
		}
		cancel()
	}
	x.release = cancel
}

// unbind gives the request its context back.
func (x *exchange) unbind() {
	if x.release == nil {
		return
	}
	x.unwatch()
	x.release()
	*x.r = *x.r.WithContext(x.unbound)
}

// identified reports whether the server or the upstream can tell who asks: credentials, a user that
// Caddy has authenticated (whatever became of the credentials since), or a client certificate.
func identified(r *http.Request) bool {
	return r.Header["Authorization"] != nil || authenticated(r, replacer(r))
}

// authenticated reports whether this server has found out who asks.
func authenticated(r *http.Request, repl *caddy.Replacer) bool {
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		return true
	}
	user, _ := repl.GetString("http.auth.user.id")
	return user != ""
}

// replacer is the request's, with its placeholders.
func replacer(r *http.Request) *caddy.Replacer {
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		return repl
	}
	return caddy.NewReplacer()
}

// present shows the upstream the conditional fields it can judge, and the method it is to answer.
func (x *exchange) present() {
	set := &x.h.policy
	if x.conditions != &unconditional {
		x.original.Put(x.r.Header)
		x.view = upstream.Present(x.r.Header, &x.original, &x.pre, x.h.shown)
		x.presentRange()
	}
	if x.view == upstream.Translated {
		x.matching = x.pre.IfNoneMatch.Tags[0]
	}
	if x.asGet = x.method == http.MethodHead && (set.HeadAsGet || x.namesOurs()); x.asGet {
		x.r.Method = http.MethodGet
		upstream.RemoveRange(x.r.Header) // a HEAD has none (RFC 9110 §14.2)
	}
	if x.conditions != &unconditional {
		x.outermost.left = upstream.Snapshot(x.r.Header)
	}
}

// presentRange shows the upstream a Range it cannot misread, and keeps a copy of the request without, in
// case it does.
func (x *exchange) presentRange() {
	if x.h.policy.Ranges == policy.RangesOff {
		return
	}
	upstream.PresentRange(x.r.Header, x.method, &x.ranges, time.Now())
	hasBody := x.r.ContentLength > 0 || len(x.r.TransferEncoding) > 0 // over HTTP/3 an unknown length is mostly none
	if x.r.Header["Range"] != nil && !hasBody && x.h.policy.Tags.Mode != policy.Off {
		x.spare = subrequest.Get(x.r.WithContext(x.unbound), x.Unwrap()) // not of the context that ends the first answer
		upstream.Remove(x.spare.Header)
	}
}

// misreads reports whether an answer to Range is one that a client cannot use, or that need not be true, by
// the fields the upstream has sent.
//
// `templates` renders file_server's part of a file as if it were the file, and takes off whatever said
// which part of what it is: validators and Accept-Ranges, but not Content-Range. Of the file's length a
// 416 speaks as well, which net/http also gives to a unit it does not know (RFC 9110 §14.2). A whole over
// max_body would get no tag of ours, and is not asked for.
func (x *exchange) misreads(status int, header http.Header) bool {
	if x.spare == nil || x.method != http.MethodGet || header["Etag"] != nil || header["Last-Modified"] != nil ||
		header["Accept-Ranges"] != nil || x.noStore || httpcond.HasDirective(header["Cache-Control"], "no-store") {
		return false
	}
	contentRange := first(header["Content-Range"])
	size, known := httpcond.SizeOfWhole(contentRange)
	served := x.ranges.Range.Valid && known && size <= x.h.policy.Bounds.MaxBody
	switch status {
	case http.StatusPartialContent:
		return served
	case http.StatusRequestedRangeNotSatisfiable:
		byNetHTTP := first(header["X-Content-Type-Options"]) == "nosniff" && httpcond.MediaType(first(header["Content-Type"])) == "text/plain"
		return byNetHTTP && (served || !x.ranges.Range.Valid && contentRange == "")
	}
	return false
}

// failedOnRange reports whether a handler failed that had been sent a Range: it may be for that only, as
// `templates` fails on a part that ends within an action. What speaks of an upstream out of reach is
// another thing.
func (x *exchange) failedOnRange(err error) bool {
	if err == nil || x.spare == nil || x.method != http.MethodGet {
		return false
	}
	if found := x.Settle(); found != capture.Untouched && found != capture.Held {
		return false
	}
	handlerErr, ok := errors.AsType[caddyhttp.HandlerError](err)
	return !ok || handlerErr.StatusCode == http.StatusInternalServerError
}

// askAgain asks the next handler for the whole, out of which Range is answered here.
func (x *exchange) askAgain(next caddyhttp.Handler) error {
	x.Settle() // its timer would end this answer, too
	x.Restore()
	x.outermost.blocks = x.outermost.blocks[:x.met]
	x.outermost.left = upstream.Fields{}
	again := &exchange{h: x.h, r: x.spare, method: x.method, outermost: x.outermost, said: x.said}
	again.conditions = &conditions{original: x.original, view: upstream.Withheld, pre: x.pre, ranges: x.ranges}
	again.ready(x.Unwrap())
	defer func() {
		again.Settle()
		again.Close()
		again.unbind()
	}()
	return again.finish(again.run(next))
}

// namesOurs reports whether If-Match names a tag of ours. Such a condition is judged against the full
// answer, of HEAD as of GET: the client has had that answer to a GET before.
func (x *exchange) namesOurs() bool {
	_, ours := upstream.Ours(x.pre.IfMatch.Tags)
	return ours
}

// run calls the next handler. An abort of the upstream becomes an error that can still be answered, if
// nothing has been sent and somebody is there to read it; it is no news behind an answer that was known
// from the head, where it may be of our own making. Every other panic travels on.
func (x *exchange) run(next caddyhttp.Handler) (err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		found := x.Settle()
		over := found == capture.Answered || found == capture.Sliced && x.Complete()
		if !over && (found != capture.Held || x.gone()) {
			x.said.Add(journal.OutcomeFailed, journal.ReasonAborted, nil)
			return // the panic goes on, its stack untouched
		}
		if p := recover(); p != http.ErrAbortHandler { //nolint:errorlint // net/http compares the value, too
			x.said.Add(journal.OutcomeFailed, journal.ReasonAborted, nil)
			panic(p)
		}
		if found == capture.Held {
			x.said.Add(journal.OutcomeFailed, journal.ReasonAborted, nil)
			err = caddyhttp.Error(http.StatusBadGateway, errors.New("the upstream aborted its response"))
		}
	}()
	err = next.ServeHTTP(&x.Writer, x.r)
	returned = true
	return err
}

// gone reports whether the client has left.
func (x *exchange) gone() bool { return cmp.Or(x.unbound, x.r.Context()).Err() != nil }

// leave gives the memory back, and the request its method and fields. Only an error leaves it without
// conditions: an error route comes next, and its answer is under none (RFC 9110 §13.2.1).
func (x *exchange) leave() {
	x.Settle()
	x.Close()
	x.unbind()
	x.visit.Leave()
	if x.asGet {
		x.r.Method = x.method
	}
	switch {
	case x.failed:
		upstream.Remove(x.r.Header)
	case x.conditions != &unconditional:
		x.found.Put(x.r.Header)
		x.outermost.left = x.found
	}
	decided := x.said.Last()
	if c := x.h.logger.Check(zap.DebugLevel, decided.Outcome); c != nil {
		c.Write(zap.String("reason", decided.Reason), zap.String("method", x.method), zap.String("uri", sentURI(x.r)), x.missed(), x.recalling())
	}
}

// recalling says why the answer is not from memory.
func (x *exchange) recalling() zap.Field {
	if x.notRecalled == "" {
		return zap.Skip()
	}
	return zap.String("memory", x.notRecalled)
}

// missed says which sources of a date gave none.
func (x *exchange) missed() zap.Field {
	if x.search == nil || len(x.search.Missed) == 0 {
		return zap.Skip()
	}
	return zap.Strings("no_date", x.search.Missed)
}

// Head decides at the response head. It is the first of capture.Exchange's two methods.
func (x *exchange) Head(status int, header http.Header) capture.Decision {
	x.now, x.declared = time.Now(), declaredLength(header)
	x.misread = x.misreads(status, header)
	if !x.misread {
		x.visit.Judge(header, x.now)
		if x.h.memory != nil && authenticated(x.r, replacer(x.r)) {
			x.visit.Forbid() // a handler further in has found out who asks
		}
	}
	x.readValidators(status, header)
	if x.probe != nil {
		return x.probe.head(x, status, header)
	}
	if x.misread {
		return capture.Decision{Action: capture.Answer, Declared: x.unread(header)}
	}
	if status >= 500 && x.covers() {
		return x.cover(header)
	}
	x.chooseRow(status, header)
	x.outermost.dateAlone = x.outermost.dateAlone && x.worthAlone(header)
	x.compareWithRecord(status, header)
	switch {
	case status == http.StatusNotModified:
		return x.relayNotModified(header)
	case status < 200 || status > 299 || status == http.StatusPartialContent:
		// Errors are under no condition; before an upstream cut a part out, it has judged them.
		return x.stream(status, header, reasonStatus)
	case status != http.StatusOK:
		return x.judgeAtHead(status, header, reasonStatus)
	}
	if reason := x.streams(header); reason != "" {
		return x.judgeAtHead(status, header, reason)
	}
	return x.hold(status, header)
}

// compareWithRecord drops what is remembered where the upstream says something else, and gives the answer to a
// HEAD the tag that its GET has had.
func (x *exchange) compareWithRecord(status int, header http.Header) {
	record, _ := x.visit.Record()
	if record.Received.IsZero() {
		return
	}
	switch {
	case status == http.StatusNotModified, status == http.StatusPartialContent, status >= 500:
	case status != http.StatusOK:
		x.visit.Drop()
	case x.method == http.MethodHead && !x.asGet:
		x.compareHead(header)
	case x.ETag.Usable && !x.visit.Names(x.ETag.Tag.String()):
		x.visit.Drop()
	}
}

// compareHead compares the head of a GET's answer with the one that is remembered (RFC 9111 §4.3.5).
func (x *exchange) compareHead(header http.Header) {
	switch {
	case x.visit.Differs(header, x.LastModified):
		x.visit.Drop()
	case x.visit.Names(first(header["Etag"])):
		x.dress(header) // what goes out is what is remembered
		x.visit.Confirm(header)
	case header["Etag"] == nil && !x.ETag.Present && x.h.policy.Tags.Mode != policy.Off && x.visit.Fresh(x.now):
		if record, _ := x.visit.Record(); record.ETag != "" {
			header["Etag"] = []string{record.ETag}
			x.ETag, x.madeHere = upstream.ReadETag(header["Etag"]), true
		}
	}
}

// covers reports whether what is remembered may answer for a next handler that fails.
func (x *exchange) covers() bool {
	if !x.visit.MayCover(time.Now()) || x.pre.IfMatch.Present || x.pre.IfUnmodifiedSince.Present {
		return false
	}
	x.result = x.pre.Evaluate(x.method, x.visit.Representation())
	return x.result.Verdict == httpcond.NotModified
}

// cover answers from memory in place of a failure.
func (x *exchange) cover(header http.Header) capture.Decision {
	x.fillFromMemory()
	return capture.Decision{Action: capture.Answer, Status: http.StatusNotModified, Declared: x.unread(header)}
}

func (x *exchange) fillFromMemory() {
	x.outermost.answered304 = true
	x.Restore()
	header := x.OuterHeader()
	x.visit.Fill(header, x.h.formOf(x.result.Matched, &x.visit), time.Now(), new(remember.Space))
	x.said.Add(journal.OutcomeNotModified, reasonIfError, header)
}

// readValidators reads what the upstream has sent, and looks elsewhere for a date that it has not.
func (x *exchange) readValidators(status int, header http.Header) {
	set := &x.h.policy
	sent := header["Last-Modified"]
	x.Validators = x.h.treatment.Read(status, header, x.now, x.outermost.answered304)
	if x.outermost.dateFound {
		x.TagDate = time.Time{} // an inner instance found the date, and the upstream cannot judge by it
		x.outermost.dateAlone = x.outermost.dateAlone && x.worthAlone(header)
	}
	if set.Dates.From == nil || status != http.StatusOK || header["Last-Modified"] != nil {
		return
	}
	x.search = set.Dates.From.Begin(header, sent, x.sourceRequest(), x.now, x.h.logger.Core().Enabled(zap.DebugLevel))
	x.takeDate(header)
}

// sourceRequest is what of the request the sources go by. When an inner instance has stopped waiting, this may be the
// goroutine of its deadline, while the handler still writes the variables.
func (x *exchange) sourceRequest() lastmodified.Request {
	if x.outermost.gaveUp.Load() {
		return lastmodified.Request{Elsewhere: true}
	}
	return lastmodified.Request{Replacer: replacer(x.r)}
}

// readBody looks for a date in what was held.
func (x *exchange) readBody(header http.Header, body []byte) {
	if x.search != nil && x.search.Unread() {
		space := capture.NewScratch(&exchanges.Budget, x.h.policy.Bounds.MaxTotal)
		defer space.Free()
		x.search.Body(header, body, x.h.policy.Bounds.MaxBody, space)
		x.takeDate(header)
	}
}

// takeDate makes the date that was found the response's, if it is known by now. While it may still change without
// showing, it is not sent: it can only stop what rests on another one.
func (x *exchange) takeDate(header http.Header) {
	date, ok := x.search.Date()
	if !ok {
		return
	}
	settled := x.search.Settled(x.asked, x.Date)
	x.LastModified, x.outermost.dateFound, x.outermost.dateAlone = date, true, settled && x.worthAlone(header)
	if settled {
		header["Last-Modified"] = []string{httpcond.FormatDate(date)}
	}
}

// takeFirstSeen makes the response's date the time when its tag was first seen, unless it has a later one. No two
// tags have the same, so that it need not be settled; but it is not sent before it has come.
//
// It goes before the rows, which may count from it. Where it is not known or still to come, there is no date at all:
// the other sources need not know of the change.
func (x *exchange) takeFirstSeen(header http.Header, opaque string) {
	if !x.h.policy.Dates.FirstSeen || opaque == "" || header["Last-Modified"] != nil && !x.outermost.dateFound ||
		x.search != nil && x.search.Err() != nil {
		return
	}
	if own, ours := tag.Parse(opaque); ours {
		opaque = own.Digest
	}
	began := time.Now()
	date, ok := x.h.dates.FirstSeen(&x.asSeen, header["Vary"], opaque, x.now, x.visit.Waited)
	x.visit.Waited += time.Since(began)
	if !ok || date.After(x.Date) {
		x.unseen, x.outermost.dateAlone = true, false
		delete(header, "Last-Modified")
		return
	}
	if date.Before(x.LastModified) {
		return
	}
	x.LastModified, x.outermost.dateFound, x.outermost.dateAlone = date, true, x.worthAlone(header)
	x.firstSeen = true
	header["Last-Modified"] = []string{httpcond.FormatDate(date)}
}

// worthAlone reports whether a date that was found says as much of a response as a tag would. It knows what the page
// is made from, but not for whom, nor what of it `ignore` leaves out but for the secrets behind it: by such a date a
// 304 would bring back a form's dead token, or the page of the user before. Of the upstream's own date it is for the
// upstream to know.
func (x *exchange) worthAlone(header http.Header) bool {
	return !x.outermost.ignoring && !x.cookied && header["Set-Cookie"] == nil && !(x.row != nil && x.row.Private()) &&
		httpcond.OnlyVariesOn(header["Vary"], "Accept-Encoding") && !httpcond.HasDirective(header["Cache-Control"], "private")
}

// dropDate takes a date that was found off a response that has no tag beside it, if it is worth nothing alone.
func (x *exchange) dropDate(header http.Header) {
	if x.outermost.dateFound && !x.outermost.dateAlone && !x.ETag.Usable {
		x.LastModified = time.Time{}
		delete(header, "Last-Modified")
	}
}

// trust is how far the date can be compared. One that was found may move backwards.
func (x *exchange) trust() httpcond.DateTrust {
	switch {
	case !x.outermost.dateFound:
		return httpcond.TrustOrder
	case !x.outermost.dateAlone:
		return httpcond.TrustDifference
	}
	return httpcond.TrustEqual
}

// strongDate is the Last-Modified where it may be one as well: the upstream's. One that was found speaks of a
// part of what the response is made from.
func (x *exchange) strongDate() time.Time {
	if x.outermost.dateFound {
		return time.Time{}
	}
	return x.LastModified
}

// Spill gives up holding. It is the second method, and runs in the deadline's goroutine.
func (x *exchange) Spill(header http.Header, reason capture.Reason) capture.Decision {
	if x.probe != nil {
		return x.probe.spill(reason)
	}
	x.spilled = true
	if reason == capture.ReasonMaxDelay {
		x.outermost.gaveUp.Store(true) // the client has waited once, that is enough
	}
	return x.judgeAtHead(http.StatusOK, header, string(reason))
}

// hold keeps the response back until its tag can be made, unless the dates decide already.
func (x *exchange) hold(status int, header http.Header) capture.Decision {
	// A date that was found is not the last word where the tag may have been seen later, or a row may make it worth less.
	open := x.outermost.dateFound && (x.h.policy.Dates.FirstSeen || x.rowUncertain)
	if !open && !x.pre.IfMatch.Present && !x.pre.IfNoneMatch.Present && x.pre.Any() {
		if x.evaluate(status); x.result.Verdict != httpcond.Proceed {
			return x.answer(header)
		}
	}
	d := x.holdAll()
	if x.pre.IfMatch.Present && !x.pre.IfMatch.Any {
		if !x.namesOurs() {
			// No tag of ours can match, so it need not be made.
			x.evaluate(status)
			return x.answer(header)
		}
		// Without its tag the answer could only be 412, so this one is worth waiting for.
		d.MaxDelay = 0
	}
	if x.outermost.probe != nil {
		d.MaxDelay = 0 // and so is that of a guarded write
	}
	return d
}

func (x *exchange) holdAll() capture.Decision {
	return capture.Decision{
		Action: capture.Hold, MaxBody: x.h.policy.Bounds.MaxBody, MaxDelay: x.h.policy.Bounds.MaxDelay, Declared: x.declared,
	}
}

// judgeAtHead evaluates the preconditions against the validators that are known without the body.
func (x *exchange) judgeAtHead(status int, header http.Header, reason string) capture.Decision {
	if status == http.StatusOK {
		x.takeFirstSeen(header, x.opaque())
	}
	x.evaluate(status)
	x.dropDate(header)
	if x.result.Verdict != httpcond.Proceed {
		return x.answer(header)
	}
	if status == http.StatusOK {
		if d, ok := x.rangeAtHead(header); ok {
			return d
		}
	}
	return x.stream(status, header, reason)
}

// rangeAtHead answers Range out of a passing response; ok is false when that one is to go out whole.
func (x *exchange) rangeAtHead(header http.Header) (d capture.Decision, ok bool) {
	if x.declared < 0 {
		// Its length shows at its end, if that comes within the bounds.
		longest := x.judgeRange(header, math.MaxInt64)
		x.part.Verdict = httpcond.RangeWhole
		if longest != httpcond.RangeWhole {
			x.part.Reason = reasonRangeLength // unless it ends in time
		}
		return x.holdPassing(), longest != httpcond.RangeWhole && !x.spilled
	}
	held := x.declared <= x.h.policy.Bounds.MaxBody
	switch verdict := x.judgeRange(header, x.declared); {
	case verdict == httpcond.RangeUnsatisfiable:
		x.said.Add(journal.OutcomeRangeUnsatisfiable, string(x.part.Reason), nil)
		return capture.Decision{Action: capture.Answer, Declared: x.unread(header)}, true
	case verdict != httpcond.RangePartial:
		return capture.Decision{}, false
	case len(x.part.Ranges) == 1 && (held || x.h.policy.Ranges == policy.RangesStream):
		part := x.part.Ranges[0]
		x.dress(header)
		x.partial(header)
		x.said.Add(journal.OutcomePartial, string(x.part.Reason), header)
		return capture.Decision{
			Action: capture.Slice, Status: http.StatusPartialContent, Declared: x.declared,
			Offset: part.Start, Length: part.Length,
		}, true
	case held && !x.spilled:
		// Several are put together from the whole, as they need not come in its order.
		return x.holdPassing(), true
	}
	x.part = httpcond.RangeResult{Reason: reasonRangeLength}
	return capture.Decision{}, false
}

// holdPassing holds what would pass but for Range. It gets no tag for that.
func (x *exchange) holdPassing() capture.Decision {
	x.untagged = true
	return x.holdAll()
}

// judgeRange applies the last step of RFC 9110 §13.2.2 to a 200 of size bytes.
func (x *exchange) judgeRange(header http.Header, size int64) httpcond.RangeVerdict {
	x.part, x.size = httpcond.RangeResult{}, size
	if x.h.policy.Ranges != policy.RangesOff && x.ranges.Range.Present && x.divisible(header) {
		rep := x.representation()
		rep.Same, rep.LastModified = tag.SameOctets, x.strongDate()
		x.part = x.ranges.Evaluate(x.method, rep, x.Date, size)
	}
	return x.part.Verdict
}

// divisible reports whether a part of a 200's body is a part of what every client gets under the same
// validator.
func (x *exchange) divisible(header http.Header) bool {
	switch {
	case header["Trailer"] != nil || header["Transfer-Encoding"] != nil || incremental(header) != "":
		return false
	case x.ETag.Usable:
		return true
	case header["Etag"] != nil:
		return false // nothing that is compared with it can match
	}
	// A coding gives a tag another form, which a date has not.
	return !x.codable || contentCoded(header)
}

// acceptRanges says in a 200 whether Range of its kind is answered. What an upstream says of itself does
// not hold where it is not asked.
func (x *exchange) acceptRanges(header http.Header, size int64) {
	set := &x.h.policy
	strong := x.ETag.Usable && !x.ETag.Tag.Weak || !x.ETag.Usable && httpcond.StrongDate(x.strongDate(), x.Date)
	switch {
	case set.Ranges != policy.RangesOff && strong && size >= 0 && (size <= set.Bounds.MaxBody || set.Ranges == policy.RangesStream) && x.divisible(header):
		header["Accept-Ranges"] = []string{"bytes"}
	case set.Shown.WithholdAll, set.Ranges != policy.RangesOff && x.madeHere:
		delete(header, "Accept-Ranges")
	}
}

// partial turns the fields of the 200 into those of the 206 (RFC 9110 §15.3.7), and returns the layout of
// its content when that has several parts. What a client that sent If-Range has stored with its part
// already is left out, but for what describes the content itself.
func (x *exchange) partial(header http.Header) *httpcond.Multipart {
	if x.ranges.IfRange.Present {
		delete(header, "Content-Language")
		if x.ETag.Usable {
			delete(header, "Last-Modified")
		}
	}
	if header["Accept-Ranges"] != nil {
		header["Accept-Ranges"] = []string{"bytes"} // whatever the upstream says of itself
	}
	// Digests of the message's content, which is another one now.
	delete(header, "Content-Digest")
	delete(header, "Content-Md5")
	if x.madeHere && x.tagDependsOnCoding(header) && !httpcond.VariesOn(header["Vary"], "Accept-Encoding") {
		header["Vary"] = append(slices.Clip(header["Vary"]), "Accept-Encoding")
	}
	if _, typed := header["Content-Type"]; !typed {
		header["Content-Type"] = nil // or net/http would guess at it from the part
	}
	if len(x.part.Ranges) == 1 {
		part := x.part.Ranges[0]
		header["Content-Range"] = []string{part.ContentRange(x.size)}
		header["Content-Length"] = []string{strconv.FormatInt(part.Length, 10)}
		return nil
	}
	parts := &httpcond.Multipart{
		Boundary: rand.Text(), ContentType: first(header["Content-Type"]), Size: x.size, Ranges: x.part.Ranges,
	}
	header["Content-Type"] = []string{parts.MediaType()}
	header["Content-Length"] = []string{strconv.FormatInt(parts.Length(), 10)}
	delete(header, "Content-Range")
	return parts
}

// sendParts answers Range out of what was held. A failed write is the client's leaving.
func (x *exchange) sendParts(header http.Header, body []byte) {
	parts := x.partial(header)
	x.said.Add(journal.OutcomePartial, string(x.part.Reason), header)
	x.SendHead(http.StatusPartialContent)
	w := x.Unwrap()
	for i, part := range x.part.Ranges {
		if parts != nil {
			if _, err := w.Write(parts.AppendPartHead(nil, i)); err != nil {
				return
			}
		}
		if _, err := w.Write(body[part.Start : part.Start+part.Length]); err != nil {
			return
		}
	}
	if parts != nil {
		_, _ = w.Write(parts.AppendEnd(nil))
	}
}

// representation is what conditions are judged against.
func (x *exchange) representation() httpcond.Representation {
	return httpcond.Representation{
		Exists: true, HasETag: x.ETag.Usable, ETag: x.ETag.Tag, LastModified: x.LastModified, Trust: x.trust(), Same: tag.Same,
	}
}

// evaluate applies RFC 9110 §13.2.2 with the upstream's validators.
func (x *exchange) evaluate(status int) {
	rep := x.representation()
	if x.pre.IfMatch.Present && !x.pre.IfNoneMatch.Present {
		rep.Same = upstream.SameCoded // encode takes its suffix off If-None-Match only
	}
	x.result = x.pre.Evaluate(x.method, rep)
	if x.result.Reason == httpcond.ReasonIfMatch && x.leavesTagToOuter() {
		x.result = httpcond.Result{Verdict: httpcond.Proceed, Reason: httpcond.Reason(reasonETagOff)}
	}
	if x.result.Verdict == httpcond.NotModified && status != http.StatusOK {
		// A 304 stands for a 200 (§15.4.5).
		x.result = httpcond.Result{Verdict: httpcond.Proceed, Reason: httpcond.Reason(reasonStatus)}
	}
}

// leavesTagToOuter reports whether If-Match names a tag that an outer instance will make, as this one
// makes none: that one judges it.
func (x *exchange) leavesTagToOuter() bool {
	return x.outermost != x && x.h.policy.Tags.Mode == policy.Off && !x.ETag.Present && x.namesOurs()
}

// stream lets the response pass, with its head put in order. Of a GET that stands for a HEAD, only the
// head goes out.
func (x *exchange) stream(status int, header http.Header, reason string) capture.Decision {
	x.dress(header)
	if status == http.StatusOK {
		x.prepare(header, x.declared)
	}
	if x.part.Reason != "" && !x.spilled {
		reason = string(x.part.Reason) // who asks for a part wants to know why it is the whole
	}
	if status == http.StatusOK {
		x.acceptRanges(header, x.declared)
	}
	x.said.Add(journal.OutcomeStreamed, reason, header)
	if !x.asGet {
		return capture.Decision{Action: capture.Stream}
	}
	return capture.Decision{Action: capture.Answer, Status: status, Declared: x.unread(header)}
}

// prepare makes the record of a 200 to GET as it goes out, to be saved when it is complete.
func (x *exchange) prepare(header http.Header, size int64) {
	if x.method == http.MethodHead && !x.asGet {
		return
	}
	x.visit.Prepare(remember.Response{Header: header, LastModified: x.LastModified, Trust: x.trust(), Size: size})
}

// answer gives the verdict in place of the response.
func (x *exchange) answer(header http.Header) capture.Decision {
	d := capture.Decision{Action: capture.Answer, Declared: x.unread(header)}
	if x.result.Verdict == httpcond.NotModified {
		known := x.ETag.Usable && x.visit.Names(x.ETag.Tag.String())
		x.notModified(header)
		if known {
			x.visit.Confirm(header)
		}
		d.Status = http.StatusNotModified
		return d
	}
	x.said.Add(journal.OutcomePreconditionFailed, string(x.result.Reason), nil)
	return d
}

// unread is the length of a body that nobody needs. Of one that is made to have no end not even the
// beginning is worth reading.
func (x *exchange) unread(header http.Header) int64 {
	if incremental(header) != "" {
		return math.MaxInt64
	}
	return x.declared
}

// finish completes the exchange after the next handler has returned.
func (x *exchange) finish(err error) error {
	switch found := x.Settle(); {
	case found == capture.Answered && !x.Sent():
		return x.refused()
	case found == capture.Answered, found == capture.Sliced && x.Complete():
		return nil // the answer is out; what the handler says of the rest is no news
	case err != nil:
		return x.fail(found, err)
	case found == capture.Held:
		return x.complete()
	case found == capture.Streamed && x.Status() == http.StatusOK && (x.method != http.MethodHead || x.asGet):
		x.visit.Save(x.Whole(x.declared))
	case found == capture.Untouched:
		x.said.Add(journal.OutcomeStreamed, reasonNoResponse, nil)
		x.Adopt()
	}
	return nil
}

// fail lets an error travel on, unless what is remembered answers for it. Nothing held is sent, tagged or
// remembered.
func (x *exchange) fail(found capture.Found, err error) error {
	if (found == capture.Untouched || found == capture.Held) && statusOf(err) >= 500 && !x.gone() && x.covers() {
		x.fillFromMemory()
		x.SendHead(http.StatusNotModified)
		flushHTTP3(x.Unwrap(), x.r)
		return nil
	}
	if statusOf(err) < 500 {
		x.visit.Drop() // a 404 is an answer like any other
	}
	if x.said.Last().Outcome != journal.OutcomeFailed {
		x.said.Add(journal.OutcomeFailed, journal.ReasonError, nil)
	}
	switch found {
	case capture.Untouched:
		x.Adopt() // the error's own fields, such as Allow or Retry-After
	case capture.Held:
		x.clearForError()
	case capture.Streamed, capture.Sliced, capture.Answered, capture.Hijacked:
	}
	return err
}

// refused answers 412 or 416 in place of a response that was not sent, by way of Caddy's error routes.
func (x *exchange) refused() error {
	x.clearForError()
	if x.part.Verdict == httpcond.RangeUnsatisfiable {
		x.OuterHeader()["Content-Range"] = []string{httpcond.UnsatisfiedRange(x.size)}
		return caddyhttp.Error(http.StatusRequestedRangeNotSatisfiable,
			fmt.Errorf("no byte that Range asks for is among the %d there are", x.size))
	}
	return caddyhttp.Error(http.StatusPreconditionFailed, fmt.Errorf("the precondition in %s is false", x.result.Reason))
}

// clearForError takes the fields of a response that is not sent off, so that the error's answer has
// neither its freshness nor its length. What lets a browser read the error stays: without CORS fields
// it reports a network failure instead.
func (x *exchange) clearForError() {
	header := x.OuterHeader()
	kept := make(http.Header)
	for name, lines := range header {
		if name == "Vary" || strings.HasPrefix(name, "Access-Control-") {
			kept[name] = lines
		}
	}
	x.Restore()
	maps.Copy(header, kept)
}

// complete makes the tag of what was held, judges the preconditions with it and sends the answer. A
// failed write is the client's leaving, which is no error of the site.
func (x *exchange) complete() error {
	header, body := x.OuterHeader(), x.Body()
	if x.declared > int64(len(body)) {
		// Cut off, though nobody said so: the client has to see that as well.
		x.dropDate(header)
		x.dress(header)
		x.said.Add(journal.OutcomeStreamed, reasonShortBody, header)
		x.send()
		return nil
	}
	x.readBody(header, body)
	x.sniff(header, body)
	x.tagAndDress(header, body)
	x.prepare(header, int64(len(body)))
	x.visit.Save(true)
	switch x.evaluate(http.StatusOK); x.result.Verdict {
	case httpcond.NotModified:
		x.notModified(header)
		x.SendHead(http.StatusNotModified)
		flushHTTP3(x.Unwrap(), x.r)
	case httpcond.PreconditionFailed:
		x.said.Add(journal.OutcomePreconditionFailed, string(x.result.Reason), nil)
		return x.refused()
	case httpcond.Proceed:
		return x.proceed(header, body)
	}
	return nil
}

// tagAndDress makes the tag of what was held. A date may need the tag's digest, the rows that date, and whether the tag
// is weak what the rows say of no-transform.
func (x *exchange) tagAndDress(header http.Header, body []byte) {
	if x.ETag.Present || x.untagged {
		x.takeFirstSeen(header, x.opaque())
		x.dress(header)
		return
	}
	digest := x.digest(header, body)
	if x.h.policy.Dates.FirstSeen {
		x.takeFirstSeen(header, hex.EncodeToString(digest[:]))
	}
	x.dress(header)
	x.setTag(header, digest)
}

// opaque is the tag that the response has by now; empty if it has none that can be used.
func (x *exchange) opaque() string {
	if !x.ETag.Usable {
		return ""
	}
	return x.ETag.Tag.Opaque
}

// flushHTTP3 flushes a 304: Caddy's HTTP/3 server gives what is not flushed a Content-Length of 0, which a 304
// must not have unless the 200 does (RFC 9110 §8.6).
func flushHTTP3(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 3 {
		_ = http.NewResponseController(w).Flush()
	}
}

// proceed sends what was held: the part of it that Range asks for, or the whole.
func (x *exchange) proceed(header http.Header, body []byte) error {
	size := int64(len(body))
	switch x.judgeRange(header, size) {
	case httpcond.RangeUnsatisfiable:
		x.said.Add(journal.OutcomeRangeUnsatisfiable, string(x.part.Reason), nil)
		return x.refused()
	case httpcond.RangePartial:
		x.sendParts(header, body)
		return nil
	case httpcond.RangeWhole:
	}
	x.acceptRanges(header, size)
	x.said.Add(journal.OutcomeTagged, string(cmp.Or(x.part.Reason, x.result.Reason)), header)
	if header["Transfer-Encoding"] == nil && !x.LateTrailers() {
		// Said at once, as encode looks at it; trailers that nobody announced need a message without.
		header["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	x.send()
	return nil
}

// send sends what is held, or of it what belongs into the answer to HEAD.
func (x *exchange) send() {
	if x.method == http.MethodHead {
		x.SendHead(x.Status())
		return
	}
	_ = x.Release()
}

// sniff says the media type that net/http would find out by itself, as it is part of what is tagged
// and selects the row. A nil list is how a handler asks for none.
func (x *exchange) sniff(header http.Header, body []byte) {
	if _, set := header["Content-Type"]; !set && len(body) > 0 && !contentCoded(header) {
		header["Content-Type"] = []string{http.DetectContentType(body)}
		if x.rowUncertain {
			x.chooseRow(http.StatusOK, header)
		}
	}
	x.rowUncertain = false // what has no type now will have none
}

// setTag makes the entity tag. Under auto it is weak where a coding may still change the bytes on their
// way out: encode alters a strong tag on the 200 but not on the 304, and leaves weak ones alone.
func (x *exchange) setTag(header http.Header, digest tag.Digest) {
	weak := x.h.policy.Tags.Mode == policy.Weak || x.codable && x.tagDependsOnCoding(header)
	x.madeHere = true
	value := digest.Field(weak, x.TagDate)
	header["Etag"] = []string{value}
	x.ETag = upstream.ReadETag([]string{value})
}

// digest makes the digest of what counts of a held body. Marks of another form than the body's own go with the lines
// of Content-Type.
func (x *exchange) digest(header http.Header, body []byte) tag.Digest {
	set := &x.h.policy
	meta := tag.Metadata{ContentType: header["Content-Type"], ContentEncoding: header["Content-Encoding"]}
	if set.Tags.Ignore == nil {
		return set.Tags.Maker.Digest(meta, body)
	}
	defer x.freeSpaces()
	resp := &ignore.Response{
		Request: x.r.Header, Identified: identified(x.r), Header: header, MediaType: httpcond.MediaType(first(header["Content-Type"])), Body: body,
		MaxDecoded: set.Bounds.MaxBody, Memory: x,
	}
	content, marks := set.Tags.Ignore.Content(resp)
	if resp.Tokens {
		x.visit.Forbid() // only the upstream knows whether the session that a token is good for is still there
	}
	if len(marks) > 0 {
		meta.ContentType = slices.Concat(meta.ContentType, marks)
	}
	return set.Tags.Maker.Digest(meta, content)
}

// Space is memory for a form of the body, for as long as its digest is made.
func (x *exchange) Space() ignore.Space {
	space := capture.NewScratch(&exchanges.Budget, x.h.policy.Bounds.MaxTotal)
	x.spaces = append(x.spaces, space)
	return space
}

func (x *exchange) freeSpaces() {
	for _, space := range x.spaces {
		space.Free()
	}
	x.spaces = nil
}

// tagDependsOnCoding reports whether auto has looked, or would look, at the codings that the client accepts.
func (x *exchange) tagDependsOnCoding(header http.Header) bool {
	return x.h.policy.Tags.Mode == policy.Auto && !contentCoded(header) && !httpcond.HasDirective(header["Cache-Control"], "no-transform")
}

// notModified turns the fields of the 200 into those of the 304 that stands for it (RFC 9110 §15.4.5).
func (x *exchange) notModified(header http.Header) {
	x.outermost.answered304 = true
	x.dress(header)
	if _, ours := tag.Parse(x.result.Matched.Opaque); ours {
		// A tag of ours goes back in the form the client knows it by, as another date in it is no change;
		// whether it is weak, the 200 would say.
		named := httpcond.EntityTag{Weak: x.ETag.Tag.Weak, Opaque: x.result.Matched.Opaque}
		header["Etag"] = []string{named.String()}
	}
	x.trim(header)
	x.said.Add(journal.OutcomeNotModified, string(x.result.Reason), header)
}

// trim leaves out what a 304 does not carry.
func (x *exchange) trim(header http.Header) {
	set := &x.h.policy
	for name := range header {
		dropped := httpcond.DroppedFromNotModified(name) && !set.NotModified.Keep[name] || set.NotModified.Drop[name] ||
			strings.HasPrefix(name, http.TrailerPrefix)
		if dropped {
			delete(header, name)
		}
	}
	if header["Etag"] != nil && !set.NotModified.Keep["Last-Modified"] {
		delete(header, "Last-Modified")
	}
	for _, name := range set.Tags.Ignore.DroppedPolicies(header) {
		if !set.NotModified.Keep[name] {
			delete(header, name)
		}
	}
}

// relayNotModified passes a 304 on that was not made here: an inner instance's as it is, an upstream's
// with the client's own tag if it answers a translated condition.
func (x *exchange) relayNotModified(header http.Header) capture.Decision {
	reason := reasonInner
	confirmed := false
	if !x.outermost.answered304 {
		reason = reasonUpstream
		x.outermost.answered304 = true
		if x.view == upstream.Translated {
			confirmed = x.visit.NamesDated(x.matching.Opaque)
			header["Etag"] = []string{x.h.namedForm(x.matching).String()}
		} else if lines := header["Etag"]; lines != nil {
			if confirmed = x.visit.Names(first(lines)); !confirmed {
				x.visit.Drop()
			}
		} else if date, ok := httpcond.ParseDate(first(header["Last-Modified"]), x.now); ok {
			confirmed = x.visit.NamesDate(date)
		}
		x.trim(header)
	}
	x.dress(header)
	if confirmed {
		x.visit.Confirm(header)
	}
	x.said.Add(journal.OutcomeNotModified, reason, header)
	return capture.Decision{Action: capture.Answer, Status: http.StatusNotModified}
}

// namedForm is a client's tag of ours as a 304 returns it. Under auto it stays as weak as the client knows it:
// how the 200 would be coded, is not known where there is none.
func (h *Handler) namedForm(named httpcond.EntityTag) httpcond.EntityTag {
	if mode := h.policy.Tags.Mode; mode != policy.Auto {
		named.Weak = mode == policy.Weak
	}
	return named
}

// streams names the reason why a 200 is not held.
func (x *exchange) streams(header http.Header) string {
	switch {
	case x.method == http.MethodHead && !x.asGet:
		return reasonHead
	case x.h.policy.Tags.Mode == policy.Off:
		return reasonETagOff
	case x.ETag.Present:
		return reasonExistingTag
	case x.noStore || httpcond.HasDirective(header["Cache-Control"], "no-store"):
		return reasonNoStore
	case header["Trailer"] != nil:
		return reasonTrailer
	case x.outermost.gaveUp.Load():
		return string(capture.ReasonMaxDelay)
	}
	if reason := incremental(header); reason != "" {
		return reason
	}
	if x.declared > x.h.policy.Bounds.MaxBody {
		return reasonDeclaredLength
	}
	return ""
}

// incremental names the reason why a response is to be read while it is written, if there is one.
func incremental(header http.Header) string {
	switch {
	case streamedType(httpcond.MediaType(first(header["Content-Type"]))):
		return reasonMediaType
	case caddyhttp.IsIncremental(header):
		return reasonIncremental
	case strings.EqualFold(strings.TrimSpace(first(header["X-Accel-Buffering"])), "no"):
		return reasonAccelBuffering
	}
	return ""
}

// streamedType reports whether bodies of a media type are made to be read while they are written.
func streamedType(mediaType string) bool {
	switch mediaType {
	case "text/event-stream", "multipart/x-mixed-replace", "application/x-ndjson", "application/grpc":
		return true
	}
	return strings.HasPrefix(mediaType, "application/grpc+") || strings.HasPrefix(mediaType, "application/grpc-")
}

// chooseRow finds the row of cache_control that applies to the response: the first that matches. Where
// that cannot be known, none does, and what the client has stored stands (RFC 9111 §3.2).
func (x *exchange) chooseRow(status int, header http.Header) {
	x.row, x.rowUncertain, x.rowHidden = nil, false, false
	x.rowSilent, x.rowDated = false, false
	_, typed := header["Content-Type"]
	typed = typed || contentCoded(header) // net/http finds out the type of what is neither
	contentType := first(header["Content-Type"])
	for i := range x.h.policy.Freshness.Rows {
		row := &x.h.policy.Freshness.Rows[i]
		if row.SpeaksNotOf(status) {
			continue
		}
		if row.Unknowable(status, contentType) {
			x.hideRow(i)
			return
		}
		if row.MediaType != "" && !typed {
			x.rowUncertain = true
		}
		if row.Matches(x.asSent, status, header, contentType) {
			x.takeRow(row, status, header)
			return
		}
	}
}

// takeRow takes the row that applies. To a 304 that was not made here it speaks if it replaces, if there is something
// to merge with, as the 200 would have it, too (RFC 9110 §15.4.5), or if it counts from a Last-Modified; else what it
// has said in the 200 stands.
func (x *exchange) takeRow(row *policy.Row, status int, header http.Header) {
	dated := x.h.policy.Freshness.AfterModified != 0 && row.Dated()
	if status != http.StatusNotModified || row.Replaces() || dated || row.Merges() && freshness.Explicit(header) {
		x.row = row
	} else {
		x.rowSilent = true
	}
}

// hideRow notes what the row may have said that cannot be known: one from the i-th on.
func (x *exchange) hideRow(i int) {
	x.rowSilent = true
	for ; i < len(x.h.policy.Freshness.Rows); i++ {
		row := &x.h.policy.Freshness.Rows[i]
		hides := row.Unknowable(http.StatusNotModified, "")
		if row.SpeaksNotOf(http.StatusNotModified) || !hides && !row.Matches(x.asSent, http.StatusNotModified, nil, "") {
			continue
		}
		x.rowHidden = x.rowHidden || row.Replaces() || row.Merges()
		x.rowDated = x.rowDated || row.Dated()
		if !hides {
			return
		}
	}
	x.rowDated = true // it may have been none
}

// dress sets the fields that depend on the configuration: Cache-Control, Expires, Content-Location.
func (x *exchange) dress(header http.Header) {
	if x.rowHidden && x.Status() == http.StatusNotModified {
		// A row that replaces or merges may have spoken in the 200: what is stored then stands, which
		// the upstream's own word in its 304 would write over (RFC 9111 §3.2).
		delete(header, "Cache-Control")
		delete(header, "Expires")
		delete(header, "Pragma")
	}
	x.applyRow(header)
	if (x.search != nil || x.firstSeen) && !x.LastModified.IsZero() {
		freshness.NoHeuristic(header)
	}
	if x.location != "" && header["Content-Location"] == nil && (x.Status() == http.StatusOK || x.Status() == http.StatusNotModified) {
		header["Content-Location"] = []string{x.location}
	}
}

// applyRow applies the row of cache_control, once, and `expires modified` to what no row speaks to.
func (x *exchange) applyRow(header http.Header) {
	if x.rowUncertain || x.rowApplied {
		return
	}
	x.rowApplied = true
	set := &x.h.policy
	resp := freshness.Response{
		Personal: x.personal || header["Set-Cookie"] != nil,
		Expires:  set.Freshness.Expires,
		Now:      x.now,
		URL:      x.urlHash,
	}
	switch status := x.Status(); status {
	case http.StatusOK, http.StatusNonAuthoritativeInfo, http.StatusPartialContent, http.StatusNotModified:
		if resp.AfterModified = set.Freshness.AfterModified; resp.AfterModified != 0 {
			resp.LastModified = x.modified(status, header)
		}
	}
	switch {
	case x.row != nil:
		x.row.Apply(header, resp)
	case x.rowDated && x.Status() == http.StatusNotModified:
		resp.LastModified = longAgo
		freshness.ApplyWithoutRow(header, resp)
	case !x.rowSilent:
		freshness.ApplyWithoutRow(header, resp)
	}
}

// longAgo stands for a Last-Modified that nobody knows: what counts from it has ended.
var longAgo = time.Unix(0, 0)

// modified is the Last-Modified that `expires modified` counts from; zero is none.
//
// A 304 that was not made here need not have that of its 200 (RFC 9110 §15.4.5), nor a 206 in answer to If-Range
// (§15.3.7). But they renew the Date of what is stored (RFC 9111 §3.2), and with it any max-age that they do not
// write over. So the date in a tag of ours counts instead, and where there is none, the lifetime has ended: that
// costs a client a question, not a stale page.
func (x *exchange) modified(status int, header http.Header) time.Time {
	relayed := status == http.StatusNotModified || status == http.StatusPartialContent && x.ranges.IfRange.Present
	if x.outermost.dateFound && x.LastModified.After(x.Date) {
		return time.Time{} // it is not sent either, and may be any number of years ahead
	}
	if !x.LastModified.IsZero() || !relayed {
		return x.LastModified
	}
	own, _ := tag.Parse(upstream.ReadETag(header["Etag"]).Tag.Opaque)
	switch {
	case own.Date.IsZero():
		return longAgo
	case own.Date.After(x.Date):
		return x.Date // a client has made it up
	}
	return own.Date
}

// hashURL is the hash of a request's host, path and query as the client sent them.
func hashURL(r *http.Request) uint64 {
	sent := asSent(r).URL
	return freshness.HashURL(r.Host, sent.EscapedPath(), sent.RawQuery)
}

// locationOf writes a URI for Content-Location, relative to its server (RFC 9110 §8.7). A path that
// begins with two slashes would name another server that way, and gets none.
func locationOf(uri *url.URL) string {
	location := uri.RequestURI()
	if strings.HasPrefix(location, "//") || !strings.HasPrefix(location, "/") {
		return ""
	}
	return location
}

// asSent is the request with the URI as the client sent it, before any rewrite.
func asSent(r *http.Request) *http.Request {
	sent, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok || sent.URL == nil || *sent.URL == *r.URL {
		return r
	}
	return sent.WithContext(r.Context())
}

// asSent is the same at the head. While the handler still runs, it may be writing the request's URL.
func (x *exchange) asSent() *http.Request {
	sent, ok := x.r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if ok && sent.URL != nil && x.outermost.gaveUp.Load() {
		return sent.WithContext(x.r.Context())
	}
	return asSent(x.r)
}

// sentURL is the URI of a request as the client sent it. It must not be changed.
func sentURL(r *http.Request) *url.URL {
	if sent, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && sent.URL != nil {
		return sent.URL
	}
	return r.URL
}

// sentURI is that URI, for the log.
func sentURI(r *http.Request) string {
	if sent, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && sent.RequestURI != "" {
		return sent.RequestURI
	}
	return r.RequestURI
}

// probe is what became of the GET for the current representation.
type probe struct {
	found  probed
	why    error // of probeFailed
	byDate bool  // the write rests on a date
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
func (p *probe) head(x *exchange, status int, header http.Header) capture.Decision {
	hold := capture.Decision{Action: capture.Hold, MaxBody: x.h.policy.Bounds.MaxBody, Declared: x.declared}
	switch {
	case status == http.StatusOK && x.streams(header) == "":
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
			x.takeFirstSeen(header, x.opaque())
		}
	default:
		p.found, p.why = probeFailed, fmt.Errorf("a GET of the current representation was answered with %d", status)
	}
	return capture.Decision{Action: capture.Answer, Declared: x.unread(header)}
}

// spill gives up holding. A longer body has no tag of ours, for a client either; without memory, or of a
// malformed answer, nothing is known.
func (p *probe) spill(reason capture.Reason) capture.Decision {
	if p.found == probeHeld {
		p.found = probeKnown
		if reason != capture.ReasonMaxBody {
			p.found, p.why = probeFailed, fmt.Errorf("the current representation could not be held: %s", reason)
		}
	}
	return capture.Decision{Action: capture.Answer}
}

// reader asks the next handler for the current representation, as this handler would for a client's GET.
func (h *Handler) reader(next caddyhttp.Handler, blocks []string, pre *httpcond.Preconditions) guard.Read {
	byDate := pre.IfUnmodifiedSince.Valid && !pre.IfMatch.Present
	return func(w *guard.Sink, r *http.Request, use func(guard.Reading) error) error {
		x := &exchange{h: h, r: r, method: r.Method, probe: &probe{byDate: byDate}, blocks: slices.Clone(blocks)}
		x.enter(w, nil)
		defer func() {
			x.Settle()
			x.Close()
		}()
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		*r = *r.WithContext(ctx)
		x.Stalled = cancel
		err := x.runProbe(next)
		return use(x.reading(x.Settle(), err))
	}
}

// runProbe calls the next handler. What it aborts is an error here, as the write can still be answered.
func (x *exchange) runProbe(next caddyhttp.Handler) (err error) {
	defer func() {
		if p := recover(); p == http.ErrAbortHandler { //nolint:errorlint // net/http compares the value, too
			err = errors.New("the upstream aborted its response")
		} else if p != nil {
			panic(p)
		}
	}()
	return next.ServeHTTP(&x.Writer, x.r)
}

// reading is what the answer says.
func (x *exchange) reading(found capture.Found, err error) guard.Reading {
	if found == capture.Untouched {
		x.Adopt()
		return guard.ReadError(err)
	}
	if err != nil && found == capture.Held {
		return guard.Reading{Err: err}
	}
	whole := found == capture.Held && x.declared <= int64(len(x.Body()))
	switch x.probe.found {
	case probeNothing:
		return guard.Reading{Found: guard.Nothing}
	case probeForbidden:
		forbidden := guard.Reading{Found: guard.Forbidden, Status: x.Status()}
		if whole {
			forbidden.Body = append([]byte{}, x.Body()...) // not nil, though it be empty
		}
		return forbidden
	case probeHeld:
		if !whole {
			return guard.Reading{Err: errors.New("the current representation was cut off")}
		}
		x.readBody(x.OuterHeader(), x.Body())
		x.sniff(x.OuterHeader(), x.Body())
		x.setTag(x.OuterHeader(), x.digest(x.OuterHeader(), x.Body()))
		x.takeFirstSeen(x.OuterHeader(), x.opaque())
		return x.known()
	case probeKnown:
		return x.known()
	case probeFailed, probeUnanswered:
	}
	return guard.Reading{Err: cmp.Or(x.probe.why, errors.New("a handler took the connection over"))}
}

// known is a representation that is there. A write that rests on a date must not pass as one without a condition for
// want of the date (RFC 9110 §13.1.4), where there may be one that could not be told this time.
func (x *exchange) known() guard.Reading {
	switch {
	case !x.probe.byDate:
	case x.search != nil && x.search.Err() != nil:
		return guard.Reading{Err: x.search.Err()}
	case x.unseen:
		return guard.Reading{Err: errors.New("when the current tag was first seen could not be told")}
	}
	return guard.Reading{Found: guard.Known, Current: x.stronglyTagged()}
}

// stronglyTagged is what a write's preconditions are compared with. A tag of ours is strong here: it is
// made from the content, and weak only towards clients that may have it coded.
func (x *exchange) stronglyTagged() httpcond.Representation {
	rep := x.representation()
	rep.Same = upstream.SameCoded
	// Under ignore a tag of ours does not speak for the whole content.
	if _, ours := tag.Parse(rep.ETag.Opaque); ours && x.h.policy.Tags.Ignore == nil {
		rep.ETag.Weak = false
	}
	return rep
}

// contentCoded reports whether a response says of itself that it is content-coded. An empty field says nothing.
func contentCoded(header http.Header) bool {
	return slices.ContainsFunc(header["Content-Encoding"], func(line string) bool { return line != "" })
}

// statusOf is the status of the answer to an error.
func statusOf(err error) int {
	if handlerErr, ok := errors.AsType[caddyhttp.HandlerError](err); ok && handlerErr.StatusCode != 0 {
		return handlerErr.StatusCode
	}
	return http.StatusInternalServerError
}

func first(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return lines[0]
}

// declaredLength reads Content-Length; -1 when there is none that can be used.
func declaredLength(header http.Header) int64 {
	n, err := strconv.ParseInt(first(header["Content-Length"]), 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

var (
	_ capture.Exchange = (*exchange)(nil)
	_ ignore.Memory    = (*exchange)(nil)
)
