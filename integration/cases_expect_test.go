package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// expectation is what a case demands of an exchange. Keys that are not listed here are refused when the case is
// read, so nothing that a case says goes unchecked.
type expectation struct {
	Status     int     `json:"status"`
	StatusAlso []int   `json:"status_also"`
	Body       *string `json:"body"` // same, empty, any, ranges, else the literal bytes
	Ranges     [][]int `json:"ranges"`

	HeadersPresent       []string                `json:"headers_present"`
	HeadersAbsent        []string                `json:"headers_absent"`
	HeadersAbsentOrEmpty []string                `json:"headers_absent_or_empty"`
	HeaderEquals         map[string]string       `json:"header_equals"`
	HeaderNotEquals      map[string]string       `json:"header_not_equals"`
	HeaderAbsentOrEquals map[string]string       `json:"header_absent_or_equals"`
	HeaderOneOf          map[string]alternatives `json:"header_one_of"`
	HeaderMatches        map[string]string       `json:"header_matches"`
	HeaderContains       map[string]string       `json:"header_contains"`
	HeaderListEquals     map[string][]string     `json:"header_list_equals"`
	HeaderSetEquals      map[string][]string     `json:"header_set_equals"`
	HeaderSetEqualsCI    map[string][]string     `json:"header_set_equals_ci"`
	HeaderLinesEqual     map[string][]string     `json:"header_lines_equal"`
	HeaderLineCount      map[string]int          `json:"header_line_count"`

	ExpiresEqualsDatePlus    *int `json:"expires_equals_date_plus"`
	ExpiresEqualsLMPlus      *int `json:"expires_equals_lm_plus"`
	LastModifiedNotAfterDate bool `json:"last_modified_not_after_date"`
	ContentLengthMatchesBody bool `json:"content_length_matches_body"`
	ConnectionReusable       bool `json:"connection_reusable"`

	Upstream *struct {
		HeaderEquals map[string]string `json:"header_equals"`
	} `json:"upstream"`
	UpstreamCalls     *int  `json:"upstream_calls"`
	UpstreamCallsAlso []int `json:"upstream_calls_also"`
	IfUpstreamCalls   *int  `json:"if_upstream_calls"` // the field checks hold only for so many calls
}

// exchange is everything that is known about one request after it was answered.
type exchange struct {
	origin   originAnswer
	request  caseRequest
	response caseResponse
	upstream []receivedRequest
	reuse    error // why a second request on the same connection got no intact answer
}

// problems collects what an exchange lacks; none means that it is as expected.
type problems []string

func (p *problems) addf(format string, args ...any) { *p = append(*p, fmt.Sprintf(format, args...)) }

// problems judges an exchange. Fields and body are judged only when the preferred status came: another allowed
// status has other fields.
func (e *expectation) problems(x *exchange) problems {
	var p problems
	e.checkUpstream(&p, x)
	checkTransport(&p, x)
	if e.ConnectionReusable && x.reuse != nil {
		p.addf("connection_reusable: %v", x.reuse)
	}
	switch got := x.response.status; {
	case got == e.Status:
		e.checkBody(&p, x)
		if e.IfUpstreamCalls == nil || *e.IfUpstreamCalls == len(x.upstream) {
			e.checkFields(&p, x)
		}
	case !slices.Contains(e.StatusAlso, got):
		p.addf("status %d, want %d (or %v)", got, e.Status, e.StatusAlso)
	case got == http.StatusOK:
		checkWhole(&p, x)
	}
	return p
}

// checkTransport holds whatever the case says: the framing is kept, a 206 has the bytes it names, responses without
// content leave the connection clean (RFC 9112 §6.3), interim responses are forwarded (RFC 9110 §15.2).
func checkTransport(p *problems, x *exchange) {
	r := x.response
	if r.incomplete && x.origin.Truncate == nil {
		p.addf("the response ends before its framing does")
	}
	if x.origin.Truncate != nil && x.request.Method != http.MethodHead && r.status == x.origin.Status && !r.incomplete {
		p.addf("the upstream's body was cut short and is passed on as complete")
	}
	if r.status == http.StatusPartialContent && x.origin.Status == http.StatusOK {
		checkRanges(p, x, nil)
	}
	if x.reuse != nil && hasNoContent(x) {
		p.addf("bytes after a response without content: %v", x.reuse)
	}
	for _, want := range x.origin.Interim {
		if !slices.ContainsFunc(r.interim, func(got caseResponse) bool { return forwards(got, want) }) {
			p.addf("the interim response %d %v was not forwarded", want.Status, want.Headers)
		}
	}
}

// hasNoContent is true where a client reads no content whatever the fields say.
func hasNoContent(x *exchange) bool {
	return x.request.Method == http.MethodHead ||
		x.response.status == http.StatusNoContent || x.response.status == http.StatusNotModified
}

func forwards(got caseResponse, want interimResponse) bool {
	for name, values := range want.Headers {
		if !slices.Equal(got.fields.lines(name), values) {
			return false
		}
	}
	return got.status == want.Status
}

func (e *expectation) checkUpstream(p *problems, x *exchange) {
	calls := len(x.upstream)
	if e.UpstreamCalls != nil && calls != *e.UpstreamCalls && !slices.Contains(e.UpstreamCallsAlso, calls) {
		p.addf("%d upstream calls, want %d (or %v)", calls, *e.UpstreamCalls, e.UpstreamCallsAlso)
	}
	if e.Upstream == nil {
		return
	}
	if calls == 0 {
		p.addf("the upstream was not called")
		return
	}
	for name, want := range ordered(e.Upstream.HeaderEquals) {
		if got, _ := x.upstream[calls-1].fields.joined(name); got != want {
			p.addf("the upstream received %s: %q, want %q", name, got, want)
		}
	}
}

// checkWhole demands the body of the upstream. A body that the upstream did not finish must not look finished.
func checkWhole(p *problems, x *exchange) {
	want := []byte(toWire(x.origin.Body))
	switch got := x.response.body; {
	case hasNoContent(x):
	case x.origin.Truncate != nil:
		if !bytes.HasPrefix(want, got) {
			p.addf("body %q is not the beginning of %q", got, want)
		}
	case !bytes.Equal(got, want):
		p.addf("body %q, want the upstream's %q", got, want)
	}
}

func (e *expectation) checkBody(p *problems, x *exchange) {
	if e.Body == nil {
		return
	}
	switch got, want := x.response.body, *e.Body; want {
	case "any":
	case "same":
		checkWhole(p, x)
	case "empty":
		if len(got) != 0 {
			p.addf("body %q, want none", got)
		}
	case "ranges":
		checkRanges(p, x, e.Ranges)
	default:
		if string(got) != toWire(want) && !isOnePart(x, toWire(want)) {
			p.addf("body %q, want %q", got, want)
		}
	}
}

// isOnePart allows a single range out of several asked for to arrive as multipart/byteranges (RFC 9110 §15.3.7.2).
func isOnePart(x *exchange, want string) bool {
	if asked := x.request.Headers["Range"]; !strings.Contains(strings.Join(asked, ","), ",") {
		return false
	}
	parts, err := x.response.rangeParts()
	return err == nil && len(parts) == 1 && string(parts[0].data) == want
}

// rangePart is one range of a 206.
type rangePart struct {
	first, last, size int // size is -1 where Content-Range has *
	data              []byte
}

// checkRanges demands that every range sent is right and that together they have the wanted ones: how they are
// ordered, coalesced or packed is the server's choice (RFC 9110 §15.3.7.2).
func checkRanges(p *problems, x *exchange, want [][]int) {
	parts, err := x.response.rangeParts()
	if err != nil {
		p.addf("206: %v", err)
		return
	}
	body := toWire(x.origin.Body)
	sent := make([]bool, len(body))
	for _, part := range parts {
		if part.first > part.last || part.last >= len(body) || (part.size != -1 && part.size != len(body)) {
			p.addf("206: range %d-%d/%d of a body of %d bytes", part.first, part.last, part.size, len(body))
			continue
		}
		if asked := body[part.first : part.last+1]; string(part.data) != asked {
			p.addf("206: range %d-%d has %q, want %q", part.first, part.last, part.data, asked)
		}
		for i := part.first; i <= part.last; i++ {
			sent[i] = true
		}
	}
	for _, w := range want {
		if slices.Contains(sent[w[0]:w[1]+1], false) {
			p.addf("206: range %d-%d was not sent", w[0], w[1])
		}
	}
}

var contentRange = regexp.MustCompile(`^bytes ([0-9]+)-([0-9]+)/([0-9]+|\*)$`)

// rangeParts reads the one range of a plain 206, or all of a multipart/byteranges.
func (r caseResponse) rangeParts() ([]rangePart, error) {
	contentType, _ := r.fields.joined("Content-Type")
	mediaType, params, _ := mime.ParseMediaType(contentType)
	if mediaType != "multipart/byteranges" {
		value, _ := r.fields.joined("Content-Range")
		part, err := newRangePart(value, r.body)
		return []rangePart{part}, err
	}
	var parts []rangePart
	for reader := multipart.NewReader(bytes.NewReader(r.body), params["boundary"]); ; {
		next, err := reader.NextRawPart()
		if errors.Is(err, io.EOF) {
			return parts, nil
		}
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(next)
		if err != nil {
			return nil, err
		}
		part, err := newRangePart(next.Header.Get("Content-Range"), data)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
}

func newRangePart(contentRangeValue string, data []byte) (rangePart, error) {
	m := contentRange.FindStringSubmatch(contentRangeValue)
	if m == nil {
		return rangePart{}, fmt.Errorf("Content-Range %q is not bytes first-last/size", contentRangeValue)
	}
	part := rangePart{size: -1, data: data}
	var errs [3]error
	part.first, errs[0] = strconv.Atoi(m[1])
	part.last, errs[1] = strconv.Atoi(m[2])
	if m[3] != "*" {
		part.size, errs[2] = strconv.Atoi(m[3])
	}
	return part, errors.Join(errs[:]...)
}

// checkFields judges the field lines of the response.
func (e *expectation) checkFields(p *problems, x *exchange) {
	fs := x.response.fields
	e.checkPresence(p, fs)
	e.checkValues(p, fs)
	e.checkLists(p, fs)
	e.checkDates(p, fs)
	if e.ContentLengthMatchesBody {
		checkContentLength(p, x)
	}
}

func (e *expectation) checkPresence(p *problems, fs fields) {
	for _, name := range e.HeadersPresent {
		if !fs.has(name) {
			p.addf("%s is absent", name)
		}
	}
	for _, name := range e.HeadersAbsent {
		if got, has := fs.joined(name); has {
			p.addf("%s: %q is present", name, got)
		}
	}
	for _, name := range e.HeadersAbsentOrEmpty {
		if got, _ := fs.joined(name); got != "" {
			p.addf("%s: %q is present and not empty", name, got)
		}
	}
	for name, want := range ordered(e.HeaderLineCount) {
		if got := fs.lines(name); len(got) != want {
			p.addf("%s has %d lines %q, want %d", name, len(got), got, want)
		}
	}
}

// checkValues compares whole values, several lines being one list (RFC 9110 §5.3).
func (e *expectation) checkValues(p *problems, fs fields) {
	checkEach(p, fs, "is not", e.HeaderEquals, func(got string, has bool, want string) bool { return has && got == want })
	// An absent field would be unequal to everything: what is asked for is another value.
	checkEach(p, fs, "is absent or still", e.HeaderNotEquals, func(got string, has bool, unwanted string) bool { return has && got != unwanted })
	checkEach(p, fs, "is neither absent nor", e.HeaderAbsentOrEquals, func(got string, has bool, want string) bool { return !has || got == want })
	checkEach(p, fs, "is none of", e.HeaderOneOf, func(got string, has bool, allowed alternatives) bool { return allowed.include(got, has) })
	checkEach(p, fs, "does not match", e.HeaderMatches, func(got string, has bool, pattern string) bool {
		return has && regexp.MustCompile(pattern).MatchString(got)
	})
	checkEach(p, fs, "does not contain", e.HeaderContains, func(got string, _ bool, want string) bool { return strings.Contains(got, want) })
}

// checkEach reports the fields whose value does not hold against what the case gives for them.
func checkEach[V any](p *problems, fs fields, failure string, wants map[string]V, holds func(got string, has bool, want V) bool) {
	for name, want := range ordered(wants) {
		if got, has := fs.joined(name); !holds(got, has, want) {
			p.addf("%s: %q (present: %t) %s %v", name, got, has, failure, want)
		}
	}
}

// alternatives are the values that a field may have; null stands for its absence.
type alternatives []*string

func (a alternatives) include(got string, has bool) bool {
	return slices.ContainsFunc(a, func(v *string) bool { return (v != nil) == has && (v == nil || *v == got) })
}

func (a alternatives) String() string {
	var b strings.Builder
	for _, v := range a {
		if v == nil {
			b.WriteString("<absent> ")
		} else {
			fmt.Fprintf(&b, "%q ", *v)
		}
	}
	return b.String()
}

func (e *expectation) checkLists(p *problems, fs fields) {
	for name, want := range ordered(e.HeaderLinesEqual) {
		if got := fs.lines(name); !slices.Equal(got, want) {
			p.addf("%s has the lines %q, want %q", name, got, want)
		}
	}
	compare := func(sets map[string][]string, prepare func([]string) []string) {
		for name, want := range ordered(sets) {
			value, _ := fs.joined(name)
			if got := prepare(listMembers(value)); !slices.Equal(got, prepare(want)) {
				p.addf("%s has the members %q, want %q", name, got, want)
			}
		}
	}
	compare(e.HeaderListEquals, func(members []string) []string { return members })
	compare(e.HeaderSetEquals, sortedCopy)
	compare(e.HeaderSetEqualsCI, func(members []string) []string {
		lower := slices.Clone(members)
		for i := range lower {
			lower[i] = strings.ToLower(lower[i])
		}
		return sortedCopy(lower)
	})
}

func (e *expectation) checkDates(p *problems, fs fields) {
	if e.ExpiresEqualsDatePlus != nil {
		checkDistance(p, fs, "Date", *e.ExpiresEqualsDatePlus)
	}
	if e.ExpiresEqualsLMPlus != nil {
		checkDistance(p, fs, "Last-Modified", *e.ExpiresEqualsLMPlus)
	}
	if e.LastModifiedNotAfterDate && fs.has("Last-Modified") {
		modified, errModified := fs.date("Last-Modified")
		date, errDate := fs.date("Date")
		if err := errors.Join(errModified, errDate); err != nil {
			p.addf("last_modified_not_after_date: %v", err)
		} else if modified.After(date) {
			p.addf("Last-Modified %v is later than Date %v", modified, date)
		}
	}
}

// checkDistance demands Expires to be exactly so many seconds after another date of the same response: a recipient
// computes the freshness lifetime from that difference (RFC 9111 §4.2.1).
func checkDistance(p *problems, fs fields, from string, seconds int) {
	expires, errExpires := fs.date("Expires")
	start, errStart := fs.date(from)
	if err := errors.Join(errExpires, errStart); err != nil {
		p.addf("Expires and %s: %v", from, err)
		return
	}
	if got := int(expires.Sub(start) / time.Second); got != seconds {
		p.addf("Expires is %s + %d s, want + %d s", from, got, seconds)
	}
}

// date reads a field as the one format that may be sent, IMF-fixdate (RFC 9110 §5.6.7).
func (fs fields) date(name string) (time.Time, error) {
	value, _ := fs.joined(name)
	t, err := time.Parse(http.TimeFormat, value)
	if err != nil || t.Format(http.TimeFormat) != value {
		return time.Time{}, fmt.Errorf("%s: %q is not an IMF-fixdate", name, value)
	}
	return t, nil
}

// checkContentLength compares Content-Length with the content, on HEAD with that of the upstream's GET
// (RFC 9110 §8.6).
func checkContentLength(p *problems, x *exchange) {
	want := len(x.response.body)
	if x.request.Method == http.MethodHead {
		want = len(toWire(x.origin.Body))
	}
	if got, _ := x.response.fields.joined("Content-Length"); got != strconv.Itoa(want) {
		p.addf("Content-Length: %q, want %d", got, want)
	}
}

// listMembers splits a comma-separated list outside quoted strings and drops empty members (RFC 9110 §5.6.1).
func listMembers(value string) []string {
	var members []string
	quoted, start := false, 0
	add := func(end int) {
		if member := strings.Trim(value[start:end], " \t"); member != "" {
			members = append(members, member)
		}
		start = end + 1
	}
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			add(i)
		}
	}
	add(len(value))
	return members
}

func sortedCopy(members []string) []string { return slices.Sorted(slices.Values(members)) }

// ordered ranges over a map by its sorted names, so that a failing case prints the same every time.
func ordered[V any](m map[string]V) func(yield func(string, V) bool) {
	return func(yield func(string, V) bool) {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if !yield(name, m[name]) {
				return
			}
		}
	}
}
