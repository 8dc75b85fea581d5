package audit

// The kinds of findings. What each means stands in the table below.
const (
	Unreachable Kind = iota
	ProbeFailed
	SlowDown
	NotOK
	Redirected
	BodyLimit

	NoValidator
	NoTag
	MalformedTag
	UnstableTag
	UnstableBody
	StaleTag
	ReplicaTag
	ReplicaDate
	ReplicaBody

	CodingForced
	CodingDropsTag
	CodingSharesTag
	CodingUnstableTag
	CodingNotConfirmed
	VaryMissing
	VaryStar

	NotConfirmed
	ListNotConfirmed
	WeakNotConfirmed
	AlwaysNotModified
	DateBeforeTag
	DateNotConfirmed
	DateAlwaysNotModified

	NotModifiedWithout
	NotModifiedChanges
	NotModifiedDescribes
	NotModifiedNonce
	NotModifiedCORS

	HeadStatus
	HeadDiffers
	HeadWithout
	HeadBody

	IfRangeNotConfirmed
	IfRangeIgnored
	IfRangeWeak
	RangeWrong

	DateMalformed
	DateFuture
	DateEpoch
	DateNow
	DateUnstable
	DateConstant
	DateEverywhere
	NoDate

	NoStore
	Heuristic
	Contradiction
	MalformedCacheControl
	ExpiresContradicts
	PublicSetCookie

	TrackingTag
	TrackingBody
	TrackingMiss
)

// Lines that cure more than one kind.
var (
	bare        = Cure{Bare: true}
	replaceTag  = Cure{Lines: "etag auto {\n\texisting replace\n}"}
	replaceDate = Cure{Lines: "etag auto {\n\texisting replace\n}\nlast_modified remove"}
	removeDate  = Cure{Lines: "last_modified remove"}
	headAsGet   = Cure{Lines: "head get"}
)

func reason(text string) Cure { return Cure{Reason: text} }

var kinds = [...]about{
	Unreachable: {
		"unreachable", Error, "The server gave no answer, so nothing is known.", "RFC 9110 §3.4",
		reason("No line helps against that: see whether the server runs, and whether its certificate is valid."),
	},
	ProbeFailed: {
		"probe_failed", Warning, "A request got no answer, though others did.", "RFC 9110 §3.4",
		reason("The server or something in front of it breaks the connection off; its log may say why."),
	},
	SlowDown: {
		"slow_down", Note, "The server asked for fewer requests (429 or 503), so the rest of the plan was not carried out.", "RFC 6585 §4",
		reason("Let the address of this machine through, or ask again later."),
	},
	NotOK: {
		"not_ok", Warning, "The answer is neither 200 nor a redirect that was followed, so there is nothing to revalidate.", "RFC 9110 §15",
		reason("Give the URL of a page, and with --header or --cookie-jar what is needed to see it."),
	},
	Redirected: {
		"redirected", Note, "The URL redirects. What is said here is about where it leads.", "RFC 9110 §15.4",
		reason("Link to where it leads: each visit pays for the redirect."),
	},
	BodyLimit: {
		"body_limit", Note, "The body is longer than is read here, so contents were not compared.", "RFC 9110 §8.6",
		reason("Nothing is wrong with it. To a client, ranges of such a body matter more than revalidation."),
	},

	NoValidator: {"no_validator", Error, "There is neither an entity tag nor a date, so each reload is sent in full.", "RFC 9110 §8.8", bare},
	NoTag:       {"no_tag", Warning, "There is a date but no entity tag. Two changes in one second, or an older release put back, go unseen.", "RFC 9110 §8.8.3", bare},
	MalformedTag: {
		"malformed_tag", Error, "The ETag is no entity tag, so nothing ever matches it.", "RFC 9110 §8.8.3",
		Cure{Lines: "etag auto {\n\texisting repair\n}"},
	},
	UnstableTag: {"unstable_tag", Error, "The tag changes though the content does not, so each reload is sent in full.", "RFC 9110 §8.8.1", replaceTag},
	UnstableBody: {
		"unstable_body", Warning, "The content is another one each time, so no tag can ever match.", "RFC 9110 §8.8.1",
		reason("See the parts that differ."),
	},
	StaleTag: {"stale_tag", Error, "A strong tag stays though the octets change, so clients keep what is not current.", "RFC 9110 §8.8.1", replaceTag},
	ReplicaTag: {
		"replica_tag", Error, "Replicas have different tags for the same content, so a reload that meets another replica is sent in full.", "RFC 9110 §8.8.1",
		replaceTag,
	},
	ReplicaDate: {"replica_date", Warning, "Replicas have different dates for the same content.", "RFC 9110 §8.8.2.1", replaceDate},
	ReplicaBody: {
		"replica_body", Warning, "Replicas send different contents.", "RFC 9110 §8.8.1",
		reason("No line makes them the same: see whether all have the same release, and whether the page names the machine it is made on."),
	},

	CodingForced: {
		"coding_forced", Warning, "The body is content-coded though the request asked for none.", "RFC 9110 §12.5.3",
		reason("No line takes a coding off: have the server look at Accept-Encoding."),
	},
	CodingDropsTag: {"coding_drops_tag", Error, "Compression takes the tag away.", "RFC 9110 §8.8.3.3", bare},
	CodingSharesTag: {
		"coding_shares_tag", Warning, "The same strong tag stands for the coded and the plain octets.", "RFC 9110 §8.8.3.3",
		Cure{Lines: "etag auto {\n\texisting weaken\n}"},
	},
	CodingUnstableTag: {"coding_unstable_tag", Error, "The tag of the compressed page changes though the content does not.", "RFC 9110 §8.8.1", replaceTag},
	CodingNotConfirmed: {
		"coding_not_confirmed", Error, "The tag of the compressed page is never confirmed, and browsers ask with that one.", "RFC 9110 §13.1.2",
		replaceTag,
	},
	VaryMissing: {
		"vary_missing", Error, "The response depends on Accept-Encoding and does not say so, so a cache may send a coding to who cannot read it.", "RFC 9110 §12.5.5",
		reason("Whatever compresses has to send Vary: Accept-Encoding; Caddy's encode does."),
	},
	VaryStar: {
		"vary_star", Warning, "Vary: * lets no cache use the response for another request.", "RFC 9111 §4.1",
		reason("Name the request fields that the page depends on, or mark it private. header Vary can replace it."),
	},

	NotConfirmed:      {"not_confirmed", Error, "The current tag in If-None-Match gets the whole page instead of a 304.", "RFC 9110 §13.1.2", replaceTag},
	ListNotConfirmed:  {"list_not_confirmed", Error, "The current tag among others in If-None-Match gets no 304.", "RFC 9110 §13.1.2", replaceTag},
	WeakNotConfirmed:  {"weak_not_confirmed", Warning, "The current tag under W/, as compressors send it, gets no 304.", "RFC 9110 §8.8.3.2", replaceTag},
	AlwaysNotModified: {"always_not_modified", Error, "A tag that is not the current one gets a 304, so clients keep what is not current.", "RFC 9110 §13.1.2", replaceTag},
	DateBeforeTag: {
		"date_before_tag", Error, "If-Modified-Since decides though If-None-Match is there, so a change within one second is never seen.", "RFC 9110 §13.1.3",
		replaceTag,
	},
	DateNotConfirmed: {"date_not_confirmed", Warning, "The current date in If-Modified-Since gets the whole page instead of a 304.", "RFC 9110 §13.1.3", bare},
	DateAlwaysNotModified: {
		"date_always_not_modified", Error, "A date before Last-Modified gets a 304, so clients keep what is not current.", "RFC 9110 §13.1.3",
		replaceDate,
	},

	NotModifiedWithout: {"not_modified_without", Warning, "The 304 lacks a field that the 200 has and that it must have.", "RFC 9110 §15.4.5", Cure{
		Lines: replaceTag.Lines, Reason: "For Cache-Control and Expires alone, a line of cache_control with existing replace is enough.",
	}},
	NotModifiedChanges: {"not_modified_changes", Warning, "A field of the 304 is not that of the 200, and caches write it over the stored one.", "RFC 9111 §3.2", replaceTag},
	NotModifiedDescribes: {
		"not_modified_describes", Warning, "The 304 describes a content that it has not got, and caches write that over the stored fields.", "RFC 9110 §15.4.5",
		replaceTag,
	},
	NotModifiedNonce: {
		"not_modified_nonce", Error, "The 304 has a policy with a new nonce, while the stored page has the old one: its scripts do not run.", "RFC 9111 §3.2",
		bare,
	},
	NotModifiedCORS: {
		"not_modified_cors", Error, "The 304 lacks what browsers look for in it, so a script of another origin is refused the page.", "Fetch, CORS protocol",
		replaceTag,
	},

	HeadStatus:  {"head_status", Warning, "HEAD is not answered as GET is.", "RFC 9110 §9.3.2", headAsGet},
	HeadDiffers: {"head_differs", Warning, "HEAD has a field with another value than GET.", "RFC 9110 §9.3.2", headAsGet},
	HeadWithout: {"head_without", Note, "HEAD lacks a validator that GET has, which it may where that is only known with the content.", "RFC 9110 §9.3.2", headAsGet},
	HeadBody:    {"head_body", Error, "The answer to HEAD has a body, with which the next answer on the connection begins.", "RFC 9110 §9.3.2", headAsGet},

	IfRangeNotConfirmed: {"if_range_not_confirmed", Warning, "The server says it has ranges, but sends the whole to the current strong tag in If-Range.", "RFC 9110 §13.1.5", replaceTag},
	IfRangeIgnored: {
		"if_range_ignored", Error, "A validator in If-Range that is not the current one gets a part, so a resumed download is a mixture.", "RFC 9110 §13.1.5",
		replaceTag,
	},
	IfRangeWeak: {
		"if_range_weak", Error, "A weak tag in If-Range gets a part, though the octets may have changed.", "RFC 9110 §13.1.5",
		replaceTag,
	},
	RangeWrong: {
		"range_wrong", Error, "The 206 does not have the octets that its Content-Range says.", "RFC 9110 §15.3.7",
		replaceTag,
	},

	DateMalformed: {"date_malformed", Error, "Last-Modified is no date in the form of HTTP, so it is never looked at.", "RFC 9110 §8.8.2", bare},
	DateFuture:    {"date_future", Error, "Last-Modified is later than Date.", "RFC 9110 §8.8.2.1", bare},
	DateEpoch:     {"date_epoch", Error, "Last-Modified is a date of build tools and says nothing about changes.", "RFC 9110 §8.8.2.1", bare},
	DateNow:       {"date_now", Warning, "Last-Modified is the time of the answer, so it never confirms anything.", "RFC 9110 §8.8.2.1", removeDate},
	DateUnstable:  {"date_unstable", Warning, "Last-Modified changes though the content does not.", "RFC 9110 §8.8.2.1", removeDate},
	DateConstant:  {"date_constant", Error, "The tag changes and Last-Modified does not, so a client that asks by date keeps what is not current.", "RFC 9110 §8.8.2.1", replaceDate},
	DateEverywhere: {
		"date_everywhere", Warning, "All pages have one Last-Modified: that of a release, which puts every page anew or none.", "RFC 9110 §8.8.2.1",
		replaceDate,
	},
	NoDate: {
		"no_date", Warning, "There is no Date, from which ages and lifetimes are counted.", "RFC 9110 §6.6.1",
		reason("Whatever has a clock has to send it; Caddy does."),
	},

	NoStore: {
		"no_store", Warning, "no-store keeps browsers from revalidating, and mostly from going back without loading anew.", "RFC 9111 §5.2.2.5",
		Cure{Lines: "cache_control /page private no-cache {\n\texisting replace\n}", Reason: "For pages that nobody may find on the disk, no-store is right."},
	},
	Heuristic: {
		"heuristic", Warning, "Nothing says how long the page is fresh, so caches guess from Last-Modified.", "RFC 9111 §4.2.2",
		Cure{Lines: "cache_control no-cache"},
	},
	Contradiction: {
		"contradiction", Warning, "Directives of Cache-Control contradict each other.", "RFC 9111 §4.2.1",
		Cure{Lines: "cache_control private no-cache {\n\texisting replace\n}"},
	},
	MalformedCacheControl: {
		"malformed_cache_control", Warning, "A part of Cache-Control is not understood.", "RFC 9111 §5.2",
		Cure{Lines: "cache_control private no-cache {\n\texisting replace\n}"},
	},
	ExpiresContradicts: {
		"expires_contradicts", Warning, "Expires says another lifetime than Cache-Control.", "RFC 9111 §5.3",
		Cure{Lines: "cache_control private no-cache {\n\texisting replace\n}"},
	},
	PublicSetCookie: {
		"public_set_cookie", Error, "Shared caches may store the response, and it sets a cookie: others may get it.", "RFC 9111 §7.3",
		Cure{Lines: "cache_control private {\n\texisting merge\n}"},
	},

	TrackingTag: {"tracking_tag", Warning, "Under a tracking parameter the same content has another tag.", "RFC 9110 §8.8.1", replaceTag},
	TrackingBody: {
		"tracking_body", Warning, "The content has the tracking parameter in it.", "RFC 9111 §2",
		reason("Have the page made without the parameters: in Caddy, uri query -utm_source in front of the upstream."),
	},
	TrackingMiss: {
		"tracking_miss", Warning, "Under a tracking parameter the cache in front of the server misses what it has.", "RFC 9111 §2",
		reason("Have that cache leave tracking parameters out of its key; conditional_cache stores no pages."),
	},
}
