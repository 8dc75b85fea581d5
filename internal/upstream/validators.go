package upstream

import (
	"net/http"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// Treatment is what becomes of an upstream's validators.
type Treatment struct {
	// LastModified is what `last_modified` says.
	LastModified Dating
	// Existing is what `etag › existing` says.
	Existing Existing
	// Tagless tells that no tag is made here, so that a malformed one has nothing in its place.
	Tagless bool
	// Undated tells that tags made here carry no date.
	Undated bool
}

// Dating is what becomes of an upstream's Last-Modified.
type Dating uint8

const (
	// Normalize: what is understood is sent in HTTP's form, all else taken off.
	Normalize Dating = iota
	// AsSent: it stays as it is.
	AsSent
	// Undate: it is taken off.
	Undate
)

// Existing is what becomes of an upstream's entity tag.
type Existing uint8

const (
	// KeepTag: it stands.
	KeepTag Existing = iota
	// RepairTag: one without quotes gets them.
	RepairTag
	// WeakenTag: it is made weak.
	WeakenTag
	// ReplaceTag: one of ours takes its place.
	ReplaceTag
	// RemoveTag: it is taken off, and nothing takes its place.
	RemoveTag
)

// stays reports whether what an upstream names stays its tag, though it may be written in another way.
func (e Existing) stays() bool { return e != ReplaceTag && e != RemoveTag }

// Validators are those of a response, as they are sent on.
type Validators struct {
	ETag         ETag
	LastModified time.Time // zero: none
	Date         time.Time // the response's Date, or now; where neither Head.Dated nor a Last-Modified asks for it: now
	TagDate      time.Time // the date that a tag made here carries, for who asks; zero: none
}

// Head is what the head of a response says of its validators. The lists are those of its fields.
type Head struct {
	Status       int
	ETag         []string
	LastModified []string
	Date         []string
	Vary         []string
	Now          time.Time // when it came
	// Made tells that a 304 was made by an instance further in. Its tag is not taken off: there is no content to make
	// another one of.
	Made bool
	// Repaired remembers the tags that get their quotes here; needed under RepairTag.
	Repaired *Repaired
	// Dated tells that the response's Date is needed even where there is no Last-Modified.
	Dated bool
}

// Read reads the validators of a response and puts its fields in order.
func (t *Treatment) Read(head *Head, header http.Header) (v Validators) {
	v.Date = head.Now
	if len(head.Date) == 1 && (head.Dated || len(head.LastModified) > 0) {
		if date, ok := httpcond.ParseDate(head.Date[0], head.Now); ok {
			v.Date = date
		}
	}
	raw := t.readLastModified(&v, head, header)
	v.ETag = ReadETag(head.ETag)
	if v.ETag.Usable && Untrusted(v.ETag.Tag.Opaque, raw) {
		v.drop(header)
	}
	if v.ETag.Present && (!head.Made || head.Status != http.StatusNotModified || t.Existing.stays()) {
		t.treatExisting(&v, head, header, raw)
	}
	if !t.Undated && head.Status == http.StatusOK && httpcond.StrongDate(v.LastModified, v.Date) &&
		httpcond.OnlyVariesOn(head.Vary, "Accept-Encoding", "Cookie", "Authorization") {
		v.TagDate = v.LastModified
	}
	return v
}

// drop takes a tag off, as if there had been none.
func (v *Validators) drop(header http.Header) {
	delete(header, "Etag")
	v.ETag = ETag{}
}

// readLastModified reads the Last-Modified and sends it in the form the configuration asks for. raw is the
// date as it was understood, be it a build tool's; zero is none.
func (t *Treatment) readLastModified(v *Validators, head *Head, header http.Header) (raw time.Time) {
	lines, now := head.LastModified, head.Now
	if len(lines) == 0 {
		return time.Time{}
	}
	var ok bool
	raw = sentDate(lines, now)
	switch t.LastModified {
	case AsSent:
		if date, ok := httpcond.ParseDate(lines[0], now); ok && len(lines) == 1 && !httpcond.BuildEpoch(date) {
			v.LastModified = date
		}
	case Undate:
		delete(header, "Last-Modified")
	case Normalize:
		if v.LastModified, ok = httpcond.LastModified(lines, v.Date, now); !ok {
			delete(header, "Last-Modified")
			break
		}
		if value := httpcond.FormatDate(v.LastModified); len(lines) > 1 || lines[0] != value {
			header["Last-Modified"] = []string{value}
		}
	}
	return raw
}

// sentDate is a date as an upstream has sent it, be it a build tool's; zero: there is none that is understood.
func sentDate(lines []string, now time.Time) time.Time {
	if len(lines) == 0 {
		return time.Time{}
	}
	date, ok := httpcond.ParseLenientDate(lines[0], now)
	if ok && date.IsZero() {
		return time.Unix(0, 0) // the year 1 is some runtimes' zero, and here it would read as no date
	}
	return date
}

// treatExisting does to an upstream's tag what `existing` says.
func (t *Treatment) treatExisting(v *Validators, head *Head, header http.Header, lastModified time.Time) {
	switch t.Existing {
	case KeepTag:
	case RepairTag:
		if !v.ETag.Usable {
			t.repair(v, head, header, lastModified)
		}
	case WeakenTag:
		if v.ETag.Usable && !v.ETag.Tag.Weak {
			v.ETag.Tag.Weak = true
			header["Etag"] = []string{v.ETag.Tag.String()}
		}
	case ReplaceTag:
		v.drop(header)
	case RemoveTag:
		// Present stays: nothing takes the removed tag's place.
		delete(header, "Etag")
		v.ETag.Usable = false
	}
}

// repair puts quotes around a tag that lacks them. Where nothing certain can be made of it, it could never
// match as it is, and ours is better.
func (t *Treatment) repair(v *Validators, head *Head, header http.Header, lastModified time.Time) {
	lines := header["Etag"]
	repaired, ok := Repair(lines[0])
	switch ok = ok && len(lines) == 1; {
	case !ok && t.Tagless:
	case !ok || Untrusted(repaired.Opaque, lastModified):
		v.drop(header)
	default:
		head.Repaired.Remember(repaired.Opaque)
		header["Etag"] = []string{repaired.String()}
		v.ETag = ETag{Tag: repaired, Present: true, Usable: true}
	}
}
