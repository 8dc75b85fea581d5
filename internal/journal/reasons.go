package journal

// Outcome is what became of a request.
type Outcome uint8

// Outcomes. The zero value is none yet.
const (
	Undecided            Outcome = iota
	Streamed                     // the response passed, with the upstream's tag or none
	Tagged                       // it was buffered, and sent with a cc1 tag if it had none
	NotModified                  // 304
	Partial                      // 206, made here
	PreconditionFailed           // 412
	RangeUnsatisfiable           // 416, made here
	PreconditionRequired         // 428
	Guarded                      // a write was judged, and let through
	Failed                       // an error or an abort travelled on
)

// outcomes are their words, as logs and placeholders have them.
var outcomes = [...]string{
	Streamed: "streamed", Tagged: "tagged", NotModified: "not_modified", Partial: "partial",
	PreconditionFailed: "precondition_failed", RangeUnsatisfiable: "range_unsatisfiable",
	PreconditionRequired: "precondition_required", Guarded: "guarded", Failed: "failed",
}

// How many there are, the zero values with them: what is counted by outcome or reason is in arrays.
const (
	OutcomeCount = int(Failed) + 1
	ReasonCount  = int(countOfReasons)
)

// String is the word that logs and placeholders have; empty when nothing is decided.
func (o Outcome) String() string { return outcomes[o] }

// Answers reports whether it is a response with its fields that goes out.
func (o Outcome) Answers() bool {
	return o == Streamed || o == Tagged || o == NotModified || o == Partial
}

// Reason says why an outcome is what it is, above all why there was no 304; or what memory and cache_control have to do with
// it. The set is closed: it can be the label of a metric.
type Reason uint8

// Reasons. The sentence of each stands in the table below.
const (
	NoReason Reason = iota

	Method
	Upgrade
	ErrorRoute
	Sibling
	Head
	Status
	NoStore
	MediaType
	Trailer
	Incremental
	AccelBuffering
	DeclaredLength
	ETagOff
	ExistingTag
	FirstVisit
	IgnoreIdle
	ShortBody
	NoResponse
	RangeLength

	MaxBody
	MaxDelay
	MaxTotal
	Length
	Hijack

	IgnoreWork

	NoCondition
	Matched
	NoneMatched
	TokenCounts
	NoEntityTag
	Unusable
	ModifiedSince
	Ignored
	IfMatch
	IfMatchUnusable
	IfUnmodifiedSince
	IfNoneMatch
	IfModifiedSince

	Range
	Unsatisfiable
	RangeUnusable
	RangeEmpty
	RangeMany
	RangeExcessive
	RangeCoding
	AcceptRanges
	NoValidator
	WeakValidator
	IfRange

	Upstream
	Inner
	Remembered
	StaleIfError

	GuardRequired
	GuardUnavailable
	GuardQueue
	GuardUnsettled
	GuardForbidden
	GuardWeakTag
	CodedTag

	Aborted
	Error

	Miss
	Stale
	Personal
	CookieMissing
	Request
	Changed
	StoreUnavailable
	Unsettled
	Conditions

	Private
	NoCache
	Surrogate
	Withdrawn
	RowUnknown
	NoLifetime
	SetCookie
	Cookie
	Authorization
	Tokens
	VaryStar
	VaryMany
	TooLarge
	Incomplete
	EndUntold
	OnlyNotModified

	RowAdded
	RowKept
	RowMerged
	RowReplaced
	RowStands
	RowHidden
	RowOff
	NoMatch

	Coded
	FirstSight
	Type
	Short
	NoTransform
	Accept
	AlreadyCoded
	HeldNot
	Large
	Busy
	EncoderFailed

	countOfReasons
)

// reasons has the word of each, as logs and placeholders have it, and what it tells an operator.
var reasons = [countOfReasons]struct{ word, sentence string }{
	NoReason: {"", "nothing is decided yet"},

	// Why a response was streamed.
	Method:         {"method", "neither GET nor HEAD"},
	Upgrade:        {"upgrade", "another protocol was asked for"},
	ErrorRoute:     {"error_route", "this is the answer to an error, which is under no condition"},
	Sibling:        {"sibling", "a more specific handler of the same block acts on this request"},
	Head:           {"head", "a HEAD has no body to make a tag of"},
	Status:         {"status", "not a 200"},
	NoStore:        {"no_store", "no-store in the request, or in the response as it goes out"},
	MediaType:      {"media_type", "made to be read while it is written"},
	Trailer:        {"trailer", "the response announces trailers"},
	Incremental:    {"incremental", "the response asks to be passed on as it comes"},
	AccelBuffering: {"accel_buffering", "the response asks not to be buffered"},
	DeclaredLength: {"declared_length", "its declared length is over max_body"},
	ETagOff:        {"etag_off", "the configuration makes no tags"},
	ExistingTag:    {"existing_tag", "the upstream's tag decides: the client names one of ours, or the upstream's is none that can be used"},
	FirstVisit:     {"first_visit", "the upstream has sent a tag, and the request has no condition"},
	IgnoreIdle:     {"ignore_idle", "the upstream has sent a tag, so ignore leaves nothing out of it; existing replace puts a cc1 tag in its place"},
	ShortBody:      {"short_body", "the body ended before its declared length"},
	NoResponse:     {"no_response", "the next handler wrote nothing"},
	RangeLength:    {"range_length", "too long to be answered in parts"},

	// The same, as the body has told: the reasons of package capture.
	MaxBody:  {"max_body", "the body grew over max_body"},
	MaxDelay: {"max_delay", "the body did not end within max_delay of its head, or what is looked for in it was not found out by then"},
	MaxTotal: {"max_total", "the buffered bodies of this process have reached max_total"},
	Length:   {"length", "the body grew over its declared length"},
	Hijack:   {"hijack", "a handler took the connection over"},

	// The same, as what is looked for in the body has told.
	IgnoreWork: {"ignore_work", "what the expressions of ignore leave out of the body is more work to find out than is done for one"},

	// What the preconditions say: the reasons of package httpcond.
	NoCondition:       {"no_condition", "the request has no condition"},
	Matched:           {"matched", "If-Match or If-Unmodified-Since is true, and nothing else was asked"},
	NoneMatched:       {"none_matched", "If-None-Match names other tags"},
	TokenCounts:       {"token_counts", "If-None-Match names other tags, and a form token that is masked anew each time is in a script or elsewhere where it counts"},
	NoEntityTag:       {"no_entity_tag", "If-None-Match names tags, and the response has none"},
	Unusable:          {"if_none_match_unusable", "nothing in If-None-Match is a tag"},
	ModifiedSince:     {"modified_since", "Last-Modified is later than the client's date"},
	Ignored:           {"condition_ignored", "a date that is none, or nothing to compare it with"},
	IfMatch:           {"if_match", "If-Match is false"},
	IfMatchUnusable:   {"if_match_unusable", "nothing in If-Match is a tag, mostly for want of quotes"},
	IfUnmodifiedSince: {"if_unmodified_since", "If-Unmodified-Since is false"},
	IfNoneMatch:       {"if_none_match", "If-None-Match names the current tag"},
	IfModifiedSince:   {"if_modified_since", "it was not modified since the client's date"},

	// What Range says: of package httpcond, too.
	Range:          {"range", "Range was answered"},
	Unsatisfiable:  {"range_unsatisfiable", "nothing is at the place that Range asks for"},
	RangeUnusable:  {"range_unusable", "Range is malformed, or in another unit than bytes"},
	RangeEmpty:     {"range_empty", "there is no byte to select"},
	RangeMany:      {"range_many", "more ranges than max"},
	RangeExcessive: {"range_excessive", "the parts would be longer than the whole"},
	RangeCoding:    {"range_coding", "a coding may follow, and no tag would tell coded bytes from plain ones"},
	AcceptRanges:   {"accept_ranges", "the upstream says Accept-Ranges: none"},
	NoValidator:    {"no_validator", "nothing tells this version from the next one"},
	WeakValidator:  {"weak_validator", "nothing tells this version from the next one for sure"},
	IfRange:        {"if_range", "If-Range names another version"},

	// Who made a 304 that was not made here, or what it was made from.
	Upstream:     {"upstream", "the upstream has answered by itself"},
	Inner:        {"inner", "another handler of this kind has answered, further in"},
	Remembered:   {"remembered", "from what is remembered; the upstream was not asked"},
	StaleIfError: {"stale_if_error", "from what is remembered, as the upstream has failed"},

	// Of guarded writes.
	GuardRequired:    {"guard_required", "there is no condition, or none that counts"},
	GuardUnavailable: {"guard_unavailable", "the current version could not be read"},
	GuardUnsettled:   {"guard_unsettled", "the write before this one was not answered, and may still be done"},
	GuardQueue:       {"guard_queue", "the writes before this one took too long"},
	GuardForbidden:   {"guard_forbidden", "who writes may not read, and got the answer to that"},
	GuardWeakTag:     {"guard_weak_tag", "the current tag is a weak one of the upstream's, in the form of a cc1 tag: the write went on with its If-Match"},

	CodedTag: {"coded_tag", "If-Match had the current tag as a compressor has changed it, and went on without the change"},

	// Why a request failed.
	Aborted: {"aborted", "the transfer was aborted"},
	Error:   {"error", "an error travelled on"},

	// Why the answer is not from memory: of package remember. Of Personal, StoreUnavailable and Unsettled it is also why a
	// response was not remembered.
	Miss:             {"miss", "nothing is remembered: the first visit, another variant, forgotten, purged, or nothing that may be remembered"},
	Stale:            {"stale", "what is remembered is over, or this request is the one that asks for all"},
	Personal:         {"personal", "who asks has credentials, cookies, a certificate or a user of Caddy, or sends content"},
	CookieMissing:    {"cookie_missing", "the request lacks a cookie that the response sets, and that ignore_set_cookie names"},
	Request:          {"request", "the request says no-cache, no-store, or a max-age or min-fresh that is not met"},
	Changed:          {"changed", "the client has another version than the one that is remembered"},
	StoreUnavailable: {"store_unavailable", "the store does not answer; or another configuration has been loaded since"},
	Unsettled:        {"unsettled", "a write to this URI was not answered a moment ago, and may still be done"},
	Conditions:       {"conditions", "the request has no If-None-Match or If-Modified-Since, or also If-Match or If-Unmodified-Since"},

	// Why a response was not remembered; so are NoStore, NoValidator, MaxDelay, IgnoreWork, Head and Status.
	Private:         {"private", "the upstream says private"},
	NoCache:         {"no_cache", "the upstream says no-cache"},
	Surrogate:       {"surrogate", "the upstream says in CDN-Cache-Control or Surrogate-Control that it is not for others"},
	Withdrawn:       {"withdrawn", "a cache_control line, or a handler further out, says private or no-store"},
	RowUnknown:      {"row_unknown", "a cache_control line that goes by the media type may apply, and the response has no media type"},
	NoLifetime:      {"no_lifetime", "the response does not say how long it lasts, or that is over; a ttl would"},
	SetCookie:       {"set_cookie", "the response sets a cookie that may be somebody's; ignore_set_cookie names those that are not"},
	Cookie:          {"cookie", "the request has a cookie, and the response may be made for that; Vary: Cookie, public or ignore_cookies would tell"},
	Authorization:   {"authorization", "the request has Authorization, and the response is neither public, must-revalidate nor s-maxage"},
	Tokens:          {"tokens", "ignore has left out a token of a session"},
	VaryStar:        {"vary_star", "Vary has *, what is no name, or a field that a proxy writes by itself"},
	VaryMany:        {"vary_many", "Vary has more than 16 names"},
	TooLarge:        {"too_large", "what a 304 would have to carry is longer than 4 KiB"},
	Incomplete:      {"incomplete", "the response has not come to its end"},
	EndUntold:       {"end_untold", "the upstream speaks HTTP/1.0 and does not say how long it is: its end may be a break"},
	OnlyNotModified: {"not_modified", "a 304 was the answer, and too little is known of the response that it stands for"},

	// What became of the rows of cache_control.
	RowAdded:    {"added", "a cache_control line applies, and the upstream has said nothing itself"},
	RowKept:     {"kept", "a cache_control line matches, and what the upstream says itself stands"},
	RowMerged:   {"merged", "a cache_control line was joined with what the upstream says: of each directive the stricter one counts"},
	RowReplaced: {"replaced", "a cache_control line took the place of what the upstream says"},
	RowStands:   {"stands", "a cache_control line has applied to the response that this 304 stands for"},
	RowHidden:   {"hidden", "this response does not tell which cache_control line applies"},
	RowOff:      {"off", "a cache_control line with off matches: what the upstream says stands, and nothing is added"},
	NoMatch:     {"no_match", "no cache_control line matches"},

	// What became of encode_once: of package coding. NoStore and Trailer are among these, too.
	Coded:         {"coded", "the response went out in its compressed form, which was there or is kept from now on"},
	FirstSight:    {"first_sight", "this content has not come before; it is compressed once when it comes again"},
	Type:          {"type", "the matcher of encode_once does not match; by default it selects types of text"},
	Short:         {"short", "the content is not longer than minimum_length"},
	NoTransform:   {"no_transform", "the response says no-transform"},
	Accept:        {"accept", "the client accepts none of the encodings"},
	AlreadyCoded:  {"already_coded", "the upstream has compressed the response"},
	HeldNot:       {"held_not", "the response was not buffered, so its content is not known at once"},
	Large:         {"large", "the content is longer than a quarter of max_bytes"},
	Busy:          {"busy", "all processors are compressing, or another request compresses this content and takes too long"},
	EncoderFailed: {"encoder_failed", "the encoder has failed; the log has its error"},
}

// String is the word that logs and placeholders have.
func (r Reason) String() string { return reasons[r].word }

// Sentence tells an operator what the reason means.
func (r Reason) Sentence() string { return reasons[r].sentence }

// Outcomes are all of them but the zero value.
func Outcomes() []Outcome {
	all := make([]Outcome, 0, len(outcomes))
	for o := Undecided + 1; int(o) < len(outcomes); o++ {
		all = append(all, o)
	}
	return all
}

// Reasons are all of them but the zero value.
func Reasons() []Reason {
	all := make([]Reason, 0, countOfReasons)
	for r := NoReason + 1; r < countOfReasons; r++ {
		all = append(all, r)
	}
	return all
}

// words finds reasons by their words.
var words = func() map[string]Reason {
	all := make(map[string]Reason, countOfReasons)
	for r := range countOfReasons {
		all[reasons[r].word] = r
	}
	return all
}()

// Because is the reason of a word, as the packages have it that decide and know nothing of this one. A word that is
// not in the table is none.
func Because[Word ~string](word Word) Reason { return words[string(word)] }
