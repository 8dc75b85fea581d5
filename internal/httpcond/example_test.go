package httpcond_test

import (
	"fmt"
	"net/http"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

func ExamplePreconditions_Evaluate() {
	request := http.Header{
		"If-None-Match":     {`"old"`, `W/"xyzzy", "r2d2"`},
		"If-Modified-Since": {"Sun, 06 Nov 1994 08:49:37 GMT"},
	}
	p := httpcond.ParsePreconditions(request, time.Now(), false)

	tag, _ := httpcond.ParseEntityTag(`"xyzzy"`)
	current := httpcond.Representation{Exists: true, HasETag: true, ETag: tag}

	r := p.Evaluate(http.MethodGet, current)
	fmt.Println(r.Verdict, r.Reason, r.Matched)
	r = p.Evaluate(http.MethodPut, current)
	fmt.Println(r.Verdict, r.Reason)

	// Output:
	// not_modified if_none_match W/"xyzzy"
	// precondition_failed if_none_match
}

func ExampleRangeRequest_Evaluate() {
	request := http.Header{
		"Range":    {"bytes=0-4, 9999-, -5"},
		"If-Range": {`"xyzzy"`},
	}
	now := time.Date(2026, time.July, 10, 0, 0, 0, 0, time.UTC)
	r := httpcond.ParseRangeRequest(request, now, false)

	tag, _ := httpcond.ParseEntityTag(`"xyzzy"`)
	current := httpcond.Representation{Exists: true, HasETag: true, ETag: tag}

	const size = 3600
	terms := httpcond.RangeTerms{Max: 16, ContentType: "text/plain"}
	result := r.Evaluate(http.MethodGet, current, now, size, terms)
	fmt.Println(result.Verdict, result.Reason)
	for _, part := range result.Ranges {
		fmt.Println(part.ContentRange(size))
	}
	current.ETag.Opaque = "changed"
	result = r.Evaluate(http.MethodGet, current, now, size, terms)
	fmt.Println(result.Verdict, result.Reason)

	// Output:
	// partial range
	// bytes 0-4/3600
	// bytes 3595-3599/3600
	// whole if_range
}

func ExampleMultipart() {
	m := httpcond.Multipart{
		Boundary:    "gc0p4Jq0M2Yt08j34c0p",
		ContentType: "text/plain",
		Size:        11,
		Ranges:      []httpcond.ByteRange{{Start: 0, Length: 5}, {Start: 10, Length: 1}},
	}
	const content = "hello world"
	var body []byte
	for i, r := range m.Ranges {
		body = m.AppendPartHead(body, i)
		body = append(body, content[r.Start:r.Start+r.Length]...)
	}
	body = m.AppendEnd(body)
	fmt.Println(m.MediaType())
	fmt.Println(m.Length() == int64(len(body)))
	// Output:
	// multipart/byteranges; boundary=gc0p4Jq0M2Yt08j34c0p
	// true
}

func ExampleParseTagCondition() {
	c := httpcond.ParseTagCondition([]string{`"a,b", junk,, "c"`, `W/"d"`})
	fmt.Println(c.Tags, c.Malformed)
	// Output: ["a,b" "c" W/"d"] 1
}

func ExampleParseLenientDate() {
	now := time.Date(2026, time.July, 10, 0, 0, 0, 0, time.UTC)
	for _, s := range []string{
		"Sunday, 06-Nov-94 08:49:37 GMT",
		"Sun, 6 Nov 1994 10:49:37 +0200",
		"1994-11-06T08:49:37.5Z",
		"784111777",
	} {
		t, _ := httpcond.ParseLenientDate(s, now)
		_, strict := httpcond.ParseDate(s, now)
		fmt.Println(httpcond.FormatDate(t), strict)
	}
	// Output:
	// Sun, 06 Nov 1994 08:49:37 GMT true
	// Sun, 06 Nov 1994 08:49:37 GMT false
	// Sun, 06 Nov 1994 08:49:37 GMT false
	// Sun, 06 Nov 1994 08:49:37 GMT false
}

func ExampleLastModified() {
	now := time.Date(2026, time.July, 10, 0, 0, 0, 0, time.UTC)
	date := now
	for _, line := range []string{
		"Tue, 01 Jan 1980 00:00:00 GMT",
		"Fri, 31 Dec 9999 23:59:59 GMT",
	} {
		t, ok := httpcond.LastModified([]string{line}, date, now)
		fmt.Println(ok, t.Equal(date))
	}
	// Output:
	// false false
	// true true
}

func ExampleParseCacheControl() {
	for _, d := range httpcond.ParseCacheControl([]string{`private="Set-Cookie, X-A", Max-Age=60`, "immutable"}) {
		fmt.Printf("%s %q %v\n", d.Name, d.Value, d.HasValue)
	}
	// Output:
	// private "Set-Cookie, X-A" true
	// max-age "60" true
	// immutable "" false
}

func ExampleNearestDirective() {
	fmt.Println(httpcond.NearestDirective("maxage"))
	// Output: max-age
}
