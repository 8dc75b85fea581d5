package integration

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// The rows below show for every key of an expectation which answers it lets pass and which it catches: a check that
// lets everything pass would make every case that uses it worthless. The upstream's body is always 0123456789.
// Answers are written as "status, field lines, empty line, body"; Content-Length is added.

const twoParts = "206\nContent-Type: multipart/byteranges; boundary=x\n\n" +
	"--x\r\nContent-Range: bytes 0-0/10\r\n\r\n0\r\n--x\r\nContent-Range: bytes 9-9/10\r\n\r\n9\r\n--x--\r\n"

const onePart = "206\nContent-Type: multipart/byteranges; boundary=x\n\n" +
	"--x\r\nContent-Range: bytes 0-0/10\r\n\r\n0\r\n--x--\r\n"

var answerRows = []struct {
	expect       string
	request      caseRequest
	right, wrong []string
}{
	{expect: `{"status":304}`, right: []string{"304\n\n"}, wrong: []string{"200\n\n0123456789", "412\n\n"}},
	{
		expect: `{"status":304,"status_also":[200,400],"headers_present":["ETag"]}`,
		right:  []string{"304\nETag: \"a\"\n\n", "200\n\n0123456789", "400\n\n"},
		wrong:  []string{"304\n\n", "200\n\n012345678", "200\n\n", "412\n\n", "206\nContent-Range: bytes 0-0/10\n\n0"},
	},
	{expect: `{"status":200,"body":"same"}`, right: []string{"200\n\n0123456789"}, wrong: []string{"200\n\n012345678", "200\n\n01234567890"}},
	{expect: `{"status":412,"body":"any"}`, right: []string{"412\n\nno", "412\n\n"}, wrong: []string{"200\n\n0123456789"}},
	{expect: `{"status":412,"body":"empty"}`, right: []string{"412\n\n"}, wrong: []string{"412\n\nno"}},
	{
		expect:  `{"status":206,"body":"0"}`,
		request: caseRequest{Method: "GET", Headers: headerLines{"Range": lines{"bytes=0-0, 90-"}}},
		right:   []string{"206\nContent-Range: bytes 0-0/10\n\n0", onePart},
		wrong:   []string{"206\nContent-Range: bytes 0-0/10\n\n1", "206\n\n0", twoParts},
	},
	{
		expect:  `{"status":206,"body":"0"}`,
		request: caseRequest{Method: "GET", Headers: headerLines{"Range": lines{"bytes=0-0"}}},
		right:   []string{"206\nContent-Range: bytes 0-0/*\n\n0"},
		wrong:   []string{onePart}, // a single range asked for is never multipart (RFC 9110 §15.3.7.2)
	},
	{
		expect: `{"status":206,"body":"ranges","ranges":[[0,0],[9,9]]}`,
		right:  []string{twoParts, "206\nContent-Range: bytes 0-9/10\n\n0123456789"},
		wrong: []string{
			onePart, strings.Replace(twoParts, "\r\n9\r\n", "\r\n8\r\n", 1), strings.Replace(twoParts, "9-9/10", "9-9/11", 1),
			"206\nContent-Range: bytes 0-8/10\n\n012345678", strings.TrimSuffix(twoParts, "--x--\r\n"),
		},
	},
	{expect: `{"status":200,"headers_present":["Age"]}`, right: []string{"200\nage: 1\n\n"}, wrong: []string{"200\n\n"}},
	{expect: `{"status":200,"headers_absent":["Age"]}`, right: []string{"200\n\n"}, wrong: []string{"200\nage: 1\n\n", "200\nAge:\n\n"}},
	{expect: `{"status":200,"headers_absent_or_empty":["Age"]}`, right: []string{"200\n\n", "200\nAge:\n\n"}, wrong: []string{"200\nAge: 1\n\n"}},
	{
		expect: `{"status":200,"header_equals":{"ETag":"\"\u00fc\""}}`,
		right:  []string{"200\nEtag: \"\xfc\"\n\n"},
		wrong:  []string{"200\n\n", "200\nETag: \"u\"\n\n", "200\nETag: \"\xfc\"\nETag: \"\xfc\"\n\n", "200\nETag: \"\u00fc\"\n\n"},
	},
	{expect: `{"status":200,"header_equals":{"ETag":""}}`, right: []string{"200\nETag:\n\n"}, wrong: []string{"200\n\n"}},
	{expect: `{"status":200,"header_not_equals":{"ETag":"\"a\""}}`, right: []string{"200\nETag: \"b\"\n\n"}, wrong: []string{"200\nETag: \"a\"\n\n", "200\n\n"}},
	{expect: `{"status":200,"header_absent_or_equals":{"Age":"1"}}`, right: []string{"200\n\n", "200\nAge: 1\n\n"}, wrong: []string{"200\nAge: 2\n\n"}},
	{expect: `{"status":200,"header_one_of":{"Age":["1",null]}}`, right: []string{"200\n\n", "200\nAge: 1\n\n"}, wrong: []string{"200\nAge: 2\n\n", "200\nAge:\n\n"}},
	{expect: `{"status":200,"header_one_of":{"Age":["","1"]}}`, right: []string{"200\nAge:\n\n"}, wrong: []string{"200\n\n"}},
	{expect: `{"status":200,"header_matches":{"Age":"^[0-9]+$"}}`, right: []string{"200\nAge: 12\n\n"}, wrong: []string{"200\nAge: 1s\n\n", "200\n\n"}},
	{expect: `{"status":200,"header_contains":{"Vary":"Cookie"}}`, right: []string{"200\nVary: Accept\nVary: Cookie\n\n"}, wrong: []string{"200\nVary: Accept\n\n", "200\n\n"}},
	{
		expect: `{"status":200,"header_list_equals":{"Vary":["A","B"]}}`,
		right:  []string{"200\nVary: A\nVary: B\n\n", "200\nVary: A,, B\n\n"},
		wrong:  []string{"200\nVary: B, A\n\n", "200\nVary: A\n\n", "200\n\n"},
	},
	{
		expect: `{"status":200,"header_set_equals":{"Cache-Control":["public","private=\"a, b\""]}}`,
		right:  []string{"200\nCache-Control: private=\"a, b\",public\n\n"},
		wrong:  []string{"200\nCache-Control: private=\"a, b\", Public\n\n", "200\nCache-Control: public, public, private=\"a, b\"\n\n", "200\n\n"},
	},
	{
		expect: `{"status":200,"header_set_equals_ci":{"Vary":["cookie","Accept"]}}`,
		right:  []string{"200\nVary: accept, Cookie\n\n"},
		wrong:  []string{"200\nVary: accept\n\n", "200\nVary: accept, cookies\n\n"},
	},
	{
		expect: `{"status":200,"header_lines_equal":{"Set-Cookie":["a=1","b=2"]}}`,
		right:  []string{"200\nSet-Cookie: a=1\nSet-Cookie: b=2\n\n"},
		wrong:  []string{"200\nSet-Cookie: a=1, b=2\n\n", "200\nSet-Cookie: b=2\nSet-Cookie: a=1\n\n"},
	},
	{expect: `{"status":200,"header_line_count":{"ETag":1}}`, right: []string{"200\nETag: \"a\"\n\n"}, wrong: []string{"200\n\n", "200\nETag: \"a\"\nETag: \"a\"\n\n"}},
	{
		expect: `{"status":200,"expires_equals_date_plus":60}`,
		right:  []string{"200\nDate: Sun, 06 Nov 1994 08:49:37 GMT\nExpires: Sun, 06 Nov 1994 08:50:37 GMT\n\n"},
		wrong: []string{
			"200\nDate: Sun, 06 Nov 1994 08:49:37 GMT\nExpires: Sun, 06 Nov 1994 08:50:38 GMT\n\n",
			"200\nDate: Sun, 06 Nov 1994 08:49:37 GMT\n\n",
			"200\nDate: Sun, 06 Nov 1994 08:49:37 GMT\nExpires: Mon, 06 Nov 1994 08:50:37 GMT\n\n",
		},
	},
	{
		expect: `{"status":200,"expires_equals_lm_plus":60}`,
		right:  []string{"200\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\nExpires: Sun, 06 Nov 1994 08:50:37 GMT\n\n"},
		wrong:  []string{"200\nLast-Modified: Sun, 06 Nov 1994 08:49:38 GMT\nExpires: Sun, 06 Nov 1994 08:50:37 GMT\n\n", "200\n\n"},
	},
	{
		expect: `{"status":200,"last_modified_not_after_date":true}`,
		right:  []string{"200\n\n", "200\nDate: Sun, 06 Nov 1994 08:49:37 GMT\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\n\n"},
		wrong:  []string{"200\nDate: Sun, 06 Nov 1994 08:49:37 GMT\nLast-Modified: Sun, 06 Nov 1994 08:49:38 GMT\n\n", "200\nLast-Modified: foo\n\n"},
	},
	{
		expect:  `{"status":200,"content_length_matches_body":true}`,
		request: caseRequest{Method: "HEAD"},
		right:   []string{"200\nContent-Length: 10\n\n"}, wrong: []string{"200\nContent-Length: 9\n\n"},
	},
	{
		expect: `{"status":200,"content_length_matches_body":true}`,
		right:  []string{"200\n\n01"}, wrong: []string{"200\nTransfer-Encoding: chunked\n\n2\r\n01\r\n0\r\n\r\n"},
	},
}

func TestCheckerCatchesWrongAnswers(t *testing.T) {
	for _, row := range answerRows {
		request := row.request
		if request.Method == "" {
			request.Method = "GET"
		}
		for _, wire := range row.right {
			x := newExchange(t, request, wire)
			if p := mustExpect(t, row.expect).problems(x); p != nil {
				t.Errorf("%s\nrefuses %q: %q", row.expect, wire, p)
			}
		}
		for _, wire := range row.wrong {
			x := newExchange(t, request, wire)
			if p := mustExpect(t, row.expect).problems(x); p == nil {
				t.Errorf("%s\nlets %q pass", row.expect, wire)
			}
		}
	}
}

// exchangeRows are those whose wrongness does not show in the response alone: each starts from a right exchange.
var exchangeRows = map[string]struct {
	expect string
	wire   string
	spoil  func(*exchange)
}{
	"body cut short": {`{"status":200}`, "200\n\n0123456789", func(x *exchange) { x.response.incomplete = true }},
	"a cut body made whole": {`{"status":502,"status_also":[200],"body":"any"}`, "502\n\n", func(x *exchange) {
		x.response.status, x.response.body, x.origin.Truncate = 200, []byte("01"), new(2)
	}},
	"bytes after a 304":    {`{"status":304}`, "304\n\n", func(x *exchange) { x.reuse = errors.New("garbage") }},
	"connection closed":    {`{"status":200,"connection_reusable":true}`, "200\n\n0123456789", func(x *exchange) { x.reuse = errors.New("closed") }},
	"interim swallowed":    {`{"status":200}`, "200\n\n", func(x *exchange) { x.origin.Interim = []interimResponse{{Status: 103}} }},
	"upstream not called":  {`{"status":200,"upstream":{"header_equals":{"If-Match":"*"}}}`, "200\n\n", func(x *exchange) { x.upstream = nil }},
	"condition withheld":   {`{"status":200,"upstream":{"header_equals":{"If-Match":"*"}}}`, "200\n\n", func(x *exchange) { x.upstream[0].fields = nil }},
	"upstream call saved":  {`{"status":200,"upstream_calls":1}`, "200\n\n", func(x *exchange) { x.upstream = nil }},
	"upstream called more": {`{"status":200,"upstream_calls":0,"upstream_calls_also":[1]}`, "200\n\n", func(x *exchange) { x.upstream = slices.Repeat(x.upstream, 2) }},
	"no Age from memory":   {`{"status":200,"if_upstream_calls":0,"headers_present":["Age"]}`, "200\n\n", func(x *exchange) { x.upstream = nil }},
}

func TestCheckerCatchesWrongExchanges(t *testing.T) {
	for name, row := range exchangeRows {
		t.Run(name, func(t *testing.T) {
			x := newExchange(t, caseRequest{Method: "GET"}, row.wire)
			x.upstream = []receivedRequest{{line: "GET / HTTP/1.1", fields: fields{{"If-Match", "*"}}}}
			e := mustExpect(t, row.expect)
			if p := e.problems(x); p != nil {
				t.Fatalf("refuses the right exchange: %q", p)
			}
			if row.spoil(x); e.problems(x) == nil {
				t.Error("lets the wrong exchange pass")
			}
		})
	}
}

// TestEveryExpectationKeyHasRows keeps a key added later from going without a proof that it catches something.
func TestEveryExpectationKeyHasRows(t *testing.T) {
	used := make(map[string]json.RawMessage)
	note := func(expect string) {
		if err := json.Unmarshal([]byte(expect), &used); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range answerRows {
		note(row.expect)
	}
	for _, row := range exchangeRows {
		note(row.expect)
	}
	for f := range fieldsOf[expectation]() {
		if _, ok := used[f]; !ok {
			t.Errorf("no row shows what %s catches", f)
		}
	}
}

// fieldsOf ranges over the JSON keys of a struct.
func fieldsOf[T any]() func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for f := range reflect.TypeFor[T]().Fields() {
			if !yield(f.Tag.Get("json")) {
				return
			}
		}
	}
}

// newExchange is a right exchange with the given answer to a request.
func newExchange(t *testing.T, request caseRequest, wire string) *exchange {
	t.Helper()
	head, body, _ := strings.Cut(wire, "\n\n")
	if !strings.Contains(head, "Content-Length") && !strings.Contains(head, "Transfer-Encoding") {
		head += fmt.Sprintf("\nContent-Length: %d", len(body))
	}
	message := "HTTP/1.1 " + strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n" + body
	response, err := readResponse(bufio.NewReader(strings.NewReader(message)), request.Method)
	if err != nil {
		t.Fatalf("%q: %v", message, err)
	}
	return &exchange{origin: originAnswer{Status: 200, Body: "0123456789"}, request: request, response: response}
}

func mustExpect(t *testing.T, expect string) *expectation {
	t.Helper()
	var e expectation
	if err := unmarshalStrict([]byte(expect), &e); err != nil {
		t.Fatalf("%s: %v", expect, err)
	}
	return &e
}

func TestClientSeesWhatTheWireSays(t *testing.T) {
	for name, tc := range map[string]struct {
		wire string
		want caseResponse
	}{
		"interim first": {
			"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
			caseResponse{status: 204, line: "HTTP/1.1 204 No Content", interim: []caseResponse{{status: 103, line: "HTTP/1.1 103 Early Hints", fields: fields{{"Link", "a"}}}}},
		},
		"chunks and trailers": {
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\nX: 1\r\n\r\n",
			caseResponse{status: 200, line: "HTTP/1.1 200 OK", fields: fields{{"Transfer-Encoding", "chunked"}}, body: []byte("abc"), trailers: fields{{"X", "1"}}},
		},
		"too short": {
			"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc",
			caseResponse{status: 200, line: "HTTP/1.1 200 OK", fields: fields{{"Content-Length", "4"}}, body: []byte("abc"), incomplete: true},
		},
		"chunks cut short": {
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
			caseResponse{status: 200, line: "HTTP/1.1 200 OK", fields: fields{{"Transfer-Encoding", "chunked"}}, body: []byte("abc"), incomplete: true},
		},
		"latin-1 value": {
			"HTTP/1.1 304 Not Modified\r\nETag: \"\xfc\"\r\n\r\n",
			caseResponse{status: 304, line: "HTTP/1.1 304 Not Modified", fields: fields{{"ETag", "\"\u00fc\""}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readResponse(bufio.NewReader(strings.NewReader(tc.wire)), "GET")
			if err != nil || !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %+v, %v\nwant %+v", got, err, tc.want)
			}
		})
	}
}

func TestUnknownKeysOfACaseAreRefused(t *testing.T) {
	for _, raw := range []string{
		`{"expect":{"status":200,"header_equal":{}}}`,
		`{"expect":{"status":200,"upstream":{"headers_absent":[]}}}`,
		`{"request":{"method":"GET","body":"x"}}`,
		`{"origin":{"status":200,"delay":1}}`,
		`{"origin":{"body":"\u20ac"}}`,
		`{"origin":{"body":"abc"},"expect":{"ranges":[[0,3]]}}`,
	} {
		if _, err := readStep([]byte(raw)); err == nil {
			t.Errorf("%s is read", raw)
		}
	}
	if unmarshalStrict([]byte(`{"id":"x","skip":true}`), &testCase{}) == nil {
		t.Error("an unknown key of a case is read")
	}
}

func TestPlaceholdersAreExpanded(t *testing.T) {
	values := placeholders{now: time.Date(1994, 11, 6, 8, 49, 37, 0, time.UTC)}
	values.learn("", fields{{"Etag", `W/"a\b"`}})
	got, unknown := values.expand([]byte(`"{{now+1}} {{now-86400}} {{etag}} {{etag_opaque}} {{etag_unquoted}} {{step1.etag}}"`))
	want := `"Sun, 06 Nov 1994 08:49:38 GMT Sat, 05 Nov 1994 08:49:37 GMT W/\"a\\b\" \"a\\b\" a\\b {{step1.etag}}"`
	if string(got) != want || !slices.Equal(unknown, []string{"step1.etag"}) {
		t.Errorf("got %s, unknown %q", got, unknown)
	}
}

func TestConditionsAreLeftOutOfThePrimingRequest(t *testing.T) {
	got := caseRequest{Method: "HEAD", Target: "/a", Headers: headerLines{
		"If-None-Match": lines{"*"}, "if-range": lines{"x"}, "Range": lines{"bytes=0-0"}, "Accept-Encoding": lines{"gzip"},
	}}.withoutConditions()
	if got.Method != "GET" || got.Target != "/a" || !slices.Equal(slices.Collect(maps.Keys(got.Headers)), []string{"Accept-Encoding"}) {
		t.Errorf("got %+v", got)
	}
}

func TestConfigWordsAreTranslated(t *testing.T) {
	for config, want := range map[string]string{
		"etag_generation=strong, memory=on":             "etag strong\nremember\n",
		`cache_control="public, max-age=60"`:            "cache_control `public, max-age=60`\n",
		`cache_control="private" (override)`:            "cache_control `private` {\nexisting replace\n}\n",
		`cache_control="private" (set if absent)`:       "cache_control `private` {\nexisting keep\n}\n",
		`cache_control_merge="no-cache="Set-Cookie""`:   "cache_control `no-cache=\"Set-Cookie\"` {\nexisting merge\n}\n",
		"cache_control=off":                             "",
		"expires=+2048s":                                "cache_control max-age=2048\n",
		"expires=access+86400s, last_modified=off":      "cache_control max-age=86400\nlast_modified off\n",
		"expires=modified+5s, ranges=on, max_body=1KiB": "expires modified 5s\nranges on\nbuffer {\nmax_body 1KiB\n}\n",
	} {
		got, err := directiveFor(config)
		if want = "\tconditional_cache {\n" + want + "\t}\n"; err != nil || got != want {
			t.Errorf("%s: got %q, %v", config, got, err)
		}
	}
	for _, config := range []string{"expires=epoch", "expires=max", "expires=+-1s", "etag_generation=md5", "gzip=on"} {
		if got, err := directiveFor(config); err == nil {
			t.Errorf("%s: got %q, want an error", config, got)
		}
	}
}
