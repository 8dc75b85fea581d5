package remember

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/freshness"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// signpostTTL is how long a signpost is kept. It is written anew only when it changes, and a missing one costs one
// request to the next handler.
const signpostTTL = 24 * time.Hour

// maxSize is how long a record's texts may be in all: some two hundred octets are usual, and a store is bounded by the
// number of records. The URI in a Content-Location is the client's to choose.
const maxSize = 4 << 10

// Response is a 200 as it goes out.
type Response struct {
	Header       http.Header
	LastModified time.Time
	Trust        httpcond.DateTrust // of LastModified
	Size         int64              // of its content; -1: not known
	// Codable: it is coded after that for who accepts it.
	Codable bool
	// Named: it is a 304, and its tag may be as weak or as strong as a client has named it.
	Named bool
}

// flags are those that it gives its record.
func (r *Response) flags() (flags validators.Flags) {
	if r.Named {
		flags |= validators.NamedTag
	}
	if r.Codable {
		flags |= validators.Codable
	}
	if r.Trust == httpcond.TrustEqual {
		flags |= validators.FoundDate
	}
	return flags
}

// Prepare makes the record of a 200, whose fields are those that go out, to be saved once its body is
// complete. It touches nothing but the visit.
func (v *Visit) Prepare(r Response) {
	if v.idle() {
		return
	}
	h := r.Header
	v.next = validators.Record{}
	out := freshness.ReadKept(h, v.judged.date, v.judged.received)
	flags, forbidden := v.lifts(&out, v.judged.flags), v.forbids(&out)
	if v.unkept = cmp.Or(v.bars(flags), v.judged.withheld); forbidden && v.judged.refused == "" {
		v.unkept = UnkeptOutside
	}
	if v.unkept != "" {
		v.ends = forbidden || v.judged.refused != "" || v.judged.personal == "" && !v.Names(first(h["Etag"]))
		return
	}
	next := validators.Record{
		Stamp: v.stamp, ETag: forAnybody(first(h["Etag"])), LastModified: r.LastModified, Size: r.Size,
		Received: v.judged.received, Date: v.judged.date, InitialAge: v.judged.age, Flags: flags | r.flags(),
		SetCookies: v.judged.needed,
	}
	if _, usable := httpcond.ParseEntityTag(next.ETag); !usable || len(h["Etag"]) > 1 {
		next.ETag = ""
	}
	if r.Trust == httpcond.TrustDifference {
		next.LastModified = time.Time{} // it can confirm nothing
	}
	if v.unkept = v.complete(&next, h, &out); v.unkept != "" {
		v.ends = true
		return
	}
	v.next, v.unkept = next, UnkeptIncomplete // until it is saved
}

// complete adds what goes out to a record that has its validators. Where that makes none, it says why.
func (v *Visit) complete(r *validators.Record, h http.Header, out *freshness.Kept) Reason {
	switch {
	case r.ETag == "" && r.LastModified.IsZero():
		return UnkeptNoValidator
	case !v.addFields(r, h):
		return UnkeptTooLarge
	case !v.setLifetime(r, out):
		return UnkeptNoLifetime
	}
	return v.selectBy(h["Vary"])
}

// selectBy finds the names that the record will be selected by. Mostly they are those of the record that is there.
func (v *Visit) selectBy(vary []string) (why Reason) {
	by := v.selectors()
	if by == v.nominated && v.variesOn(vary) {
		v.selecting = by
		return ""
	}
	v.selecting, why = nominate(vary, by)
	return why
}

// variesOn reports whether there is a record with these lines of Vary.
func (v *Visit) variesOn(vary []string) bool {
	i := 0
	for name, value := range v.record.Fields() {
		if name != "Vary" {
			continue
		}
		if i == len(vary) || vary[i] != value {
			return false
		}
		i++
	}
	return i == len(vary) && !v.record.Received.IsZero()
}

// keyUnder is the key of a record that is selected by these names.
func (v *Visit) keyUnder(nominated string) validators.Key {
	if nominated == "" {
		return v.base
	}
	return v.m.variantOf(v.base, nominated, v.request.Header)
}

// addFields adds the lines that a 304 is to carry; false if they are too long.
func (v *Visit) addFields(r *validators.Record, h http.Header) bool {
	size := len(r.ETag) + len(r.SetCookies)
	if size > maxSize {
		return false
	}
	for _, name := range v.carried(h) {
		lines := h[name]
		if hasNonce(name, lines) {
			lines = someNonce
		}
		for _, line := range lines {
			if size += len(name) + len(line); size > maxSize {
				return false
			}
			r.AddField(name, line)
		}
	}
	return true
}

// carried are the names of the fields of a 200, or of the 304 that confirms it, that a record has lines of, for the 304
// that stands for it. They are sorted, so that the same fields make the same record. A 304 that is not from memory is
// made by exchange, in its trim.
func (v *Visit) carried(h http.Header) []string {
	names := make([]string, 0, 8)
	for name, lines := range h {
		if len(lines) > 0 && v.carries(name) && (required(name) || !v.setOutside(name, lines)) || hasNonce(name, lines) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// someNonce stands in a record for a policy that had a nonce. No 304 has that (see Fill), but it has to be known: a line of
// the field that a handler outside has set would take the place of all that are stored.
var someNonce = []string{"'nonce-any'"}

func hasNonce(name string, lines []string) bool {
	return httpcond.IsPolicy(name) && httpcond.HasNonce(lines)
}

func (v *Visit) carries(name string) bool {
	switch {
	case required(name):
		return true
	case httpcond.CheckedOnNotModified(name):
		return !v.m.Drop[name]
	}
	return v.m.Keep[name] && !slices.Contains(notKept, name)
}

// required reports whether a field is one of those that a 304 must have if the 200 has it (RFC 9110 §15.4.5), and that
// have no place of their own in a record.
func required(name string) bool {
	switch name {
	case "Cache-Control", "Content-Location", "Expires", "Vary":
		return true
	}
	return false
}

// setOutside reports whether a field is as handlers outside have set it before. They do so for each response, and what
// they say may be something else by then: another configuration may have been loaded.
func (v *Visit) setOutside(name string, lines []string) bool {
	if v.Outside == nil {
		return false
	}
	return slices.Equal(v.Outside.Outside(name), lines)
}

// notKept are fields that have a place of their own in a record, or none at all.
var notKept = []string{"Etag", "Last-Modified", "Date", "Age", "Set-Cookie", "Set-Cookie2", "Connection", "Content-Length"}

// setLifetime says how long a record lasts, by the operator's ttl or by what goes out; false when it would be no time at all.
func (v *Visit) setLifetime(r *validators.Record, out *freshness.Kept) bool {
	if out.NeverStale {
		r.Flags |= validators.NeverStale
	}
	if v.m.TTL > 0 {
		r.Lifetime = v.m.TTL
		return true
	}
	if out.Refused || !out.Explicit {
		return false
	}
	r.Lifetime = out.Lifetime - r.InitialAge
	return r.Lifetime > 0
}

// Save saves what was prepared, if its body has turned out to be complete. What was remembered and is not true any
// longer is dropped.
func (v *Visit) Save(complete bool) {
	switch {
	case v.idle() || !v.known:
	case !complete:
		if !sameTag(v.next.ETag, v.record.ETag) || !v.next.LastModified.Equal(v.record.LastModified) {
			v.Drop()
		}
	case v.next.Received.IsZero():
		if v.ends {
			v.Drop()
		}
	default:
		v.remember()
	}
}

// remember saves what was prepared, unless the store has it already.
func (v *Visit) remember() {
	v.unkept = ""
	if !v.sameAgain() {
		v.put()
	}
}

// sameAgain reports whether what is remembered says the same, and is so young that there is no need to say it
// again: on a busy page that would be a write to the store for every client.
func (v *Visit) sameAgain() bool {
	old, next := &v.record, &v.next
	since := next.Received.Sub(old.Received) // negative when the clock was set back: the old one is of no use then
	return !old.Received.IsZero() && since >= 0 && since+next.Lifetime-old.Lifetime <= next.Lifetime/10 && old.Lifetime <= next.Lifetime &&
		sameTag(old.ETag, next.ETag) && old.LastModified.Equal(next.LastModified) && old.Size == next.Size && old.Flags == next.Flags &&
		slices.Equal(lasting(old), lasting(next))
}

// forAnybody is a tag as a record has it, which is for many: see tag.ForAnybody.
func forAnybody(etag string) string {
	named, ok := httpcond.ParseEntityTag(etag)
	if opaque := tag.ForAnybody(named.Opaque); ok && opaque != named.Opaque {
		named.Opaque = opaque
		return named.String()
	}
	return etag
}

// sameTag reports whether two tags are the same in a record: to the letter, or but for their date and for whom that counts.
func sameTag(a, b string) bool {
	if a == b {
		return true
	}
	tagA, okA := httpcond.ParseEntityTag(a)
	tagB, okB := httpcond.ParseEntityTag(b)
	return okA && okB && tagA.Weak == tagB.Weak && tag.Same(tagA.Opaque, tagB.Opaque)
}

// lasting are the lines of a record's fields, without Expires, which moves with the time, and the cookies that it needs.
func lasting(r *validators.Record) (lines []string) {
	lines = append(lines, r.SetCookies)
	for name, value := range r.Fields() {
		if name != "Expires" {
			lines = append(lines, name, value)
		}
	}
	return lines
}

// put saves what was prepared, under the key that its own Vary selects. Where the store fails, nothing is
// remembered, which it has counted.
func (v *Visit) put() {
	v.key = v.keyUnder(v.selecting)
	if v.selecting != "" {
		v.post(v.selecting)
	}
	v.record = v.next
	v.ask(func(ctx context.Context) { _ = v.m.Store.Save(ctx, v.key, v.next, v.m.last(v.next.Lifetime)) })
}

// post writes the signpost anew if the record is not on it yet. The one that has been on it for longest makes
// room.
func (v *Visit) post(nominated string) {
	const size = len(validators.Digest{})
	variants := v.variants
	if v.nominated != nominated {
		variants = "" // their keys are of fewer fields: nobody finds them any longer
	}
	sum := string(v.key.Sum[:])
	for i := 0; i < len(variants); i += size {
		if variants[i:i+size] == sum {
			return
		}
	}
	if len(variants) >= validators.MaxVariants*size {
		oldest := validators.Key{Sum: validators.Digest([]byte(variants[:size])), URI: v.base.URI}
		v.ask(func(ctx context.Context) { _ = v.m.Store.Delete(ctx, oldest) })
		variants = variants[size:]
	}
	v.nominated, v.variants = nominated, variants+sum
	post := validators.Record{Stamp: v.stamp, Nominated: v.nominated, Variants: v.variants}
	v.ask(func(ctx context.Context) { _ = v.m.Store.Save(ctx, v.base, post, signpostTTL) })
}

// Drop drops what is remembered: the upstream has said something else to one whom the record is for. What it says to
// others, with a session say, tells nothing of that.
func (v *Visit) Drop() {
	if v == nil || v.m == nil || !v.known || v.record.Received.IsZero() || !v.mayAnswer() {
		return
	}
	v.record, v.usable = validators.Record{}, false
	v.ask(func(ctx context.Context) { _ = v.m.Store.Delete(ctx, v.key) })
}

// Names reports whether a tag is the remembered one: to the letter or, if both were made by this project, with the
// same digest.
func (v *Visit) Names(etag string) bool {
	if v == nil || etag == "" || v.record.ETag == "" {
		return false
	}
	if v.record.ETag == etag {
		return true
	}
	a, okA := httpcond.ParseEntityTag(etag)
	b, okB := httpcond.ParseEntityTag(v.record.ETag)
	return okA && okB && a.Opaque != b.Opaque && tag.Same(a.Opaque, b.Opaque)
}

// NamesDated reports whether an opaque tag is the remembered one with the same date in it: an upstream that has
// confirmed the date has then confirmed the record.
func (v *Visit) NamesDated(opaque string) bool {
	if v == nil {
		return false
	}
	remembered, ok := httpcond.ParseEntityTag(v.record.ETag)
	if !ok {
		return false
	}
	a, oursA := tag.Parse(opaque)
	b, oursB := tag.Parse(remembered.Opaque)
	r, date := &v.record, b.Date
	if date.IsZero() && !r.Flags.Has(validators.FoundDate) && httpcond.StrongDate(r.LastModified, r.Date) {
		date = r.LastModified // the tag had it, too: see forAnybody
	}
	return oursA && oursB && a.Digest == b.Digest && !a.Date.IsZero() && a.Date.Equal(date)
}

// NamesDate reports whether a Last-Modified is all that the record is compared by, and the same (RFC 9111 §4.3.4).
func (v *Visit) NamesDate(date time.Time) bool {
	if v == nil {
		return false
	}
	r := &v.record
	return r.ETag == "" && !date.IsZero() && date.Equal(r.LastModified) && !r.Flags.Has(validators.FoundDate)
}

// Confirm renews what is remembered with the fields that a 304, or the head of a 200, goes out with (RFC 9111
// §4.3.4). It is for who has seen that it speaks of the record: by Names or NamesDated.
func (v *Visit) Confirm(h http.Header) {
	if v.idle() || !v.judged.made || v.record.Received.IsZero() {
		return
	}
	merged := v.merge(h)
	flags := v.record.Flags
	if v.judged.explicit {
		flags = v.judged.flags | v.record.Flags&(validators.FoundDate|validators.NamedTag|validators.Codable)
		if !v.judged.public {
			flags &^= validators.Cookies // the 304's own Vary may not be among what goes out
		}
		if httpcond.VariesOn(merged["Vary"], "Cookie") {
			flags |= validators.Cookies
		}
	}
	out := freshness.ReadKept(merged, v.judged.date, v.judged.received)
	flags = v.lifts(&out, flags)
	forbidden := v.forbids(&out)
	if v.unkept = v.bars(flags); forbidden || v.unkept != "" {
		v.unkept = cmp.Or(v.unkept, UnkeptOutside)
		if forbidden || v.judged.refused != "" {
			v.Drop()
		}
		return
	}
	v.next = validators.Record{
		Stamp: v.stamp, ETag: v.record.ETag, LastModified: v.record.LastModified, Size: v.record.Size,
		Received: v.judged.received, Date: v.judged.date, InitialAge: v.judged.age, Flags: flags,
		SetCookies: v.neededStill(),
	}
	if v.unkept = v.complete(&v.next, merged, &out); v.unkept != "" {
		v.Drop() // what it says now ends what it said before
		return
	}
	v.remember()
}

// neededStill are the cookies that a confirmed record needs: a 304 need not set again what the 200 has set.
func (v *Visit) neededStill() string {
	if v.judged.needed == "" || v.judged.needed == v.record.SetCookies {
		return v.record.SetCookies
	}
	return joinNames(slices.DeleteFunc(strings.Split(v.record.SetCookies+","+v.judged.needed, ","), func(name string) bool { return name == "" }))
}

// merge is what a client has after a 304: the remembered fields, but for those that it brings anew.
func (v *Visit) merge(h http.Header) http.Header {
	merged := make(http.Header)
	for name, value := range v.record.Fields() {
		merged[name] = append(merged[name], value)
	}
	for _, name := range v.carried(h) {
		merged[name] = h[name]
	}
	return merged
}

// Differs reports whether the fields of a HEAD's 200 show that what is remembered of GET is not true any longer
// (RFC 9111 §4.3.5).
func (v *Visit) Differs(h http.Header, lastModified time.Time) bool {
	r := &v.record
	if r.Received.IsZero() {
		return false
	}
	length, err := strconv.ParseInt(first(h["Content-Length"]), 10, 64)
	if err == nil && r.Size >= 0 && length != r.Size {
		return true
	}
	if h["Etag"] != nil && !sameTag(first(h["Etag"]), r.ETag) {
		return true
	}
	return !lastModified.IsZero() && !r.Flags.Has(validators.FoundDate) && !lastModified.Equal(r.LastModified)
}

func first(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return lines[0]
}
