package config

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	_ "github.com/conditionalcache/caddy-conditional-cache/validators/memory" // the store that is always built in
)

// rows are configurations and the whole of the error that Check has for each; empty: it has none.
var rows = map[string]struct {
	h    Handler
	want string
}{
	"bare": {},

	"etag":             {h: Handler{ETag: &ETag{Mode: "weak", Hash: "sha256", Existing: "repair", Secret: "s", Ignore: []string{"csrf"}, IgnoreExpressions: []string{"a+"}, Epoch: "1"}}},
	"etag mode":        {Handler{ETag: &ETag{Mode: "on"}}, `etag: unrecognized "on"; write auto (the words are auto, strong, weak or off)`},
	"etag hash":        {Handler{ETag: &ETag{Hash: "md5"}}, `etag hash: unrecognized "md5"; use xxh3 or sha256`},
	"etag existing":    {Handler{ETag: &ETag{Existing: "merge"}}, `etag existing: unrecognized "merge"; use keep, repair, weaken, replace or remove`},
	"etag secret":      {Handler{ETag: &ETag{Hash: "xxh3", Secret: "s"}}, "hash xxh3 takes no secret; remove the hash line, or say hash sha256"},
	"etag off, epoch":  {Handler{ETag: &ETag{Mode: "off", Epoch: "1"}}, "etag off makes no tags, so there is nothing to hash; remove hash, secret and epoch, or write etag auto"},
	"etag off, tags":   {Handler{ETag: &ETag{Mode: "off", Existing: "replace"}}, "etag off makes no tags, so existing replace has nothing to put in place; write existing remove, or etag auto"},
	"etag off, ignore": {Handler{ETag: &ETag{Mode: "off", Ignore: []string{"csrf"}}}, "etag off makes no tags, so ignore has nothing to leave out; remove it, or write etag auto"},
	"ignore, strong": {
		Handler{ETag: &ETag{Mode: "strong", Ignore: []string{"csrf"}}},
		"ignore makes every tag weak, as bodies that differ share one (RFC 9110 §8.8.1); say etag auto or etag weak",
	},
	"etag off, expression":  {Handler{ETag: &ETag{Mode: "off", IgnoreExpressions: []string{"a+"}}}, "etag off makes no tags, so ignore has nothing to leave out; remove it, or write etag auto"},
	"expression, strong":    {Handler{ETag: &ETag{Mode: "strong", IgnoreExpressions: []string{"a+"}}}, "ignore makes every tag weak, as bodies that differ share one (RFC 9110 §8.8.1); say etag auto or etag weak"},
	"guard and expressions": {Handler{ETag: &ETag{IgnoreExpressions: []string{"a+"}}, GuardWrites: new(GuardWrites)}, "guard_writes needs etag strong, and ignore makes every tag weak; keep one of the two"},
	"ignore twice":          {Handler{ETag: &ETag{Ignore: []string{"csrf", "csrf"}}}, `ignore: "csrf" is there already; write it once`},

	"last_modified":             {h: Handler{LastModified: dates(LastModifiedSource{Header: "X-Date"}, LastModifiedSource{JSON: "a.b"}, LastModifiedSource{FirstSeen: true})}},
	"last_modified mode":        {Handler{LastModified: &LastModified{Mode: "keep"}}, `last_modified: unrecognized "keep"; use normalize, off or remove`},
	"last_modified remove":      {Handler{LastModified: &LastModified{Mode: "remove", From: []LastModifiedSource{{FirstSeen: true}}}}, "last_modified remove sends no date, so from has nothing to give; remove from, or write last_modified normalize"},
	"from nothing":              {Handler{LastModified: dates(LastModifiedSource{})}, "last_modified from: a source is one of header, json and file; write a source for each"},
	"from two":                  {Handler{LastModified: dates(LastModifiedSource{FirstSeen: true, JSON: "a"})}, "last_modified from: a source is one of header, json, file and first_seen; write a source for each"},
	"from the same":             {Handler{LastModified: dates(LastModifiedSource{Header: "X-Date"}, LastModifiedSource{Header: "x-date"})}, "last_modified from: header X-Date is given twice; give it once"},
	"first_seen twice":          {Handler{LastModified: dates(LastModifiedSource{FirstSeen: true}, LastModifiedSource{FirstSeen: true})}, "last_modified from: first_seen is given twice; give it once"},
	"first_seen with a layout":  {Handler{LastModified: dates(LastModifiedSource{FirstSeen: true, Layout: "2006"})}, "last_modified from: first_seen is no date of the response, so there is no layout to read; remove it"},
	"json under etag off":       {Handler{ETag: off, LastModified: dates(LastModifiedSource{JSON: "a"})}, "last_modified from json reads the buffered body, and under etag off no body is buffered; remove one of them"},
	"first_seen under etag off": {Handler{ETag: off, LastModified: dates(LastModifiedSource{FirstSeen: true})}, "last_modified from first_seen dates entity tags, and etag off makes none; remove one of them"},

	"rows": {h: withRows(
		CacheControl{Path: OneOrMore{"/a*"}, Directives: []string{"max-age=1h"}, Existing: "merge", Jitter: 10},
		CacheControl{MediaType: OneOrMore{"image/*"}, Directives: []string{"no-store"}}, CacheControl{Directives: []string{"public"}, Extension: []string{"x=1"}},
	)},
	"two selectors":        {withRows(CacheControl{Path: OneOrMore{"/"}, MediaType: OneOrMore{"a/b"}}), "cache_control[0]: one line has one kind of selector: paths, media types or a response matcher; write a line for each kind"},
	"path with a query":    {withRows(CacheControl{Path: OneOrMore{"/a?b"}}), `cache_control[0]: path "/a?b": a path selector has no query; end it before the question mark`},
	"path without a slash": {withRows(CacheControl{Path: OneOrMore{"a"}}), `cache_control[0]: path "a" has to begin with a slash; for one kind of file say its media type, such as text/css or image/*`},
	"path with a bracket":  {withRows(CacheControl{Path: OneOrMore{"/["}}), `cache_control[0]: path "/[" is not a pattern: a bracket or backslash stands alone; write a backslash in front of it`},
	"media type":           {withRows(CacheControl{MediaType: OneOrMore{"*/*"}}), `cache_control[0]: "*/*" is not a media type such as text/html or image/*; leave it out: a line without a selector is for every other response`},
	"existing of a row":    {withRows(CacheControl{Existing: "remove"}), `cache_control[0]: existing: unrecognized "remove"; use keep, merge or replace`},
	"empty row":            {withRows(CacheControl{Directives: []string{"public"}}, CacheControl{Path: OneOrMore{"/"}}), "cache_control[1]: at least one directive is needed, such as max-age=1h"},
	"no such matcher": {
		withRows(CacheControl{ResponseMatcher: "x", Directives: []string{"public"}}),
		"cache_control @x: no response matcher of that name in this block; define it there, as in @x status 404, or @x header <field> <pattern>. A request matcher does not work here: write its path, as in cache_control /assets/* max-age=1h, or give it to the directive, as in conditional_cache @x 1h",
	},
	"off, no selector":     {withRows(CacheControl{Off: true}), "cache_control[0]: off needs a selector, such as /api/*; to set no Cache-Control at all, remove all of cache_control"},
	"off, and directives":  {withRows(CacheControl{Path: OneOrMore{"/a"}, Off: true, Jitter: 5}), "cache_control[0]: off goes with selectors and nothing else; remove the rest, or remove off"},
	"no media types":       {withRows(CacheControl{MediaType: OneOrMore{}, Directives: []string{"public"}}), "cache_control[0]: an empty list selects nothing; remove it for every response, or name one, such as /assets/* or image/*"},
	"types in one another": {withRows(CacheControl{MediaType: OneOrMore{"a/b", "A/*"}, Directives: []string{"public"}}), "cache_control[0]: a/b is part of a/*; remove it"},
	"a type twice":         {withRows(CacheControl{MediaType: OneOrMore{"a/b", "A/b"}, Directives: []string{"public"}}), "cache_control[0]: a/b is named twice; name it once"},
	"one of several paths below": {
		withRows(CacheControl{Path: OneOrMore{"/a/*", "/b/*"}, Off: true}, CacheControl{Path: OneOrMore{"/c", "/B/c"}, Directives: []string{"public"}}),
		"cache_control /c /b/c: /b/c never applies, as cache_control /a/* /b/* above it matches all of this; move that one below",
	},
	"one of several paths again": {
		withRows(CacheControl{Path: OneOrMore{"/a/*", "/b/*"}, Off: true}, CacheControl{Path: OneOrMore{"/b/*"}, Directives: []string{"public"}}),
		"cache_control /b/*: cache_control /a/* /b/* above it is for /b/*, too, and the first line counts; remove it from one of them",
	},
	"the same row": {
		withRows(CacheControl{MediaType: OneOrMore{"A/b"}, Directives: []string{"public"}}, CacheControl{MediaType: OneOrMore{"a/B"}, Directives: []string{"public"}}),
		"cache_control a/b: a second line for the same responses never applies; keep one",
	},
	"behind all": {
		withRows(CacheControl{Directives: []string{"public"}}, CacheControl{Path: OneOrMore{"/a"}, Directives: []string{"public"}}),
		"cache_control /a: never applies, as a cache_control line without a selector stands above it; move that one to the end",
	},
	"covered": {
		withRows(CacheControl{Path: OneOrMore{"/a*"}, Directives: []string{"public"}}, CacheControl{Path: OneOrMore{"/A/b"}, Directives: []string{"public"}}),
		"cache_control /a/b: never applies, as cache_control /a* above it matches all of this; move that one below",
	},

	"expires":           {h: Handler{Expires: "modified", ExpiresModified: caddy.Duration(time.Hour)}},
	"expires word":      {Handler{Expires: "on"}, `expires: unrecognized "on"; write auto (the words are auto, off or modified)`},
	"expires, duration": {Handler{ExpiresModified: 1}, "expires_modified goes with expires modified; remove it, or say modified"},
	"expires, fraction": {Handler{Expires: "modified", ExpiresModified: 1}, "expires modified: 1ns is not a duration of whole seconds such as 1h, from 1 to 2147483647 of them"},
	"expires of no date": {
		Handler{Expires: "modified", ExpiresModified: caddy.Duration(time.Hour), LastModified: &LastModified{Mode: "remove"}},
		"expires modified counts from Last-Modified, which last_modified remove takes off; keep one",
	},
	"expires of no response": {
		Handler{Expires: "modified", ExpiresModified: caddy.Duration(time.Hour), CacheControl: []CacheControl{{Directives: []string{"max-age=1"}}}},
		"expires modified, and a cache_control line without a selector (or the max_age behind conditional_cache), both say how long every other response lasts; remove one",
	},

	"buffer":             {h: Handler{Buffer: &Buffer{MaxBody: 1 << 40, MaxDelay: -1}}},
	"buffer, too much":   {Handler{Buffer: &Buffer{MaxBody: 1<<40 + 1}}, "max_body has to be a size above zero and at most 1TiB, such as 4MiB (in JSON 4194304)"},
	"buffer, negative":   {Handler{Buffer: &Buffer{MaxBody: -1}}, "max_body has to be a size above zero and at most 1TiB, such as 4MiB (in JSON 4194304)"},
	"head and ranges":    {h: Handler{Head: "get", Ranges: &Ranges{Mode: "stream"}}},
	"cache_status":       {Handler{CacheStatus: "Küche"}, `cache_status: "Küche" cannot be a name there; use printable ASCII, such as conditional_cache`},
	"a named cache":      {h: Handler{CacheStatus: "the edge"}},
	"head":               {Handler{Head: "on"}, `head: unrecognized "on"; use pass or get`},
	"ranges, most":       {h: Handler{Ranges: &Ranges{Max: 1000}}},
	"ranges, too many":   {Handler{Ranges: &Ranges{Mode: "on", Max: 1001}}, "ranges max: 1001 is not a whole number from 1 to 1000"},
	"ranges, negative":   {Handler{Ranges: &Ranges{Max: -1}}, "ranges max: -1 is not a whole number from 1 to 1000"},
	"ranges, none":       {Handler{Ranges: &Ranges{Mode: "off", Max: 2}}, "ranges max says how many ranges are answered, and ranges off answers none; remove one of them"},
	"ranges":             {Handler{Ranges: &Ranges{Mode: "pass"}}, `ranges: unrecognized "pass"; use on, off or stream`},
	"not_modified":       {h: Handler{NotModified: &NotModified{Keep: []string{"Set-Cookie"}, Drop: []string{"Link"}}}},
	"not_modified field": {Handler{NotModified: &NotModified{Keep: []string{"a b"}}}, `not_modified: "a b" is not a field name such as Set-Cookie`},
	"not_modified drops": {Handler{NotModified: &NotModified{Drop: []string{"etag"}}}, "not_modified: etag cannot be dropped: a 304 must send it if the 200 would (RFC 9110 §15.4.5); remove it"},
	"not_modified keeps": {Handler{NotModified: &NotModified{Keep: []string{"trailer"}}}, "not_modified: trailer cannot be kept: it describes a body, and a 304 has none; remove it"},
	"not_modified both":  {Handler{NotModified: &NotModified{Keep: []string{"Link"}, Drop: []string{"link"}}}, "not_modified: Link is both kept and dropped; name it once"},

	"guard_writes":           {h: Handler{ETag: &ETag{Mode: "strong"}, GuardWrites: &GuardWrites{Methods: []string{"PUT", "LOCK"}, Require: true}}},
	"guard_writes method":    {Handler{GuardWrites: &GuardWrites{Methods: []string{"a b"}}}, `guard_writes: "a b" is not a method such as PUT`},
	"guard_writes read":      {Handler{GuardWrites: &GuardWrites{Methods: []string{"get"}}}, "guard_writes: get is no write, so there is nothing to guard; remove it"},
	"guard_writes small":     {Handler{GuardWrites: &GuardWrites{Methods: []string{"Put"}}}, `guard_writes: "Put" is not a method, as these are in capitals; write PUT (options such as require go in a block)`},
	"guard_writes no write":  {Handler{GuardWrites: &GuardWrites{Methods: []string{"HEAD"}}}, "guard_writes: HEAD is no write, so there is nothing to guard; remove it"},
	"guard_writes twice":     {Handler{GuardWrites: &GuardWrites{Methods: []string{"PUT", "PUT"}}}, "guard_writes: PUT is named twice; name it once"},
	"guard_writes, auto":     {Handler{GuardWrites: new(GuardWrites)}, "guard_writes needs etag strong: etag auto makes weak tags, and If-Match matches none of these (RFC 9110 §13.1.1); write etag strong beside it"},
	"guard_writes, off":      {Handler{ETag: off, GuardWrites: new(GuardWrites)}, "guard_writes needs etag strong: etag off makes no tags that a write could name; write etag strong, or remove guard_writes"},
	"guard_writes, ignoring": {Handler{ETag: &ETag{Ignore: []string{"csrf"}}, GuardWrites: new(GuardWrites)}, "guard_writes needs etag strong, and ignore makes every tag weak; keep one of the two"},

	"remember": {h: Handler{Remember: &Remember{
		TTL: caddy.Duration(time.Hour), StoreRaw: []byte(`{"name": "memory"}`), Key: "{http.vars.a}", IgnoreCookies: []string{"_ga*", "a"}, Grace: caddy.Duration(time.Second),
	}}},
	"remember ttl":       {Handler{Remember: &Remember{TTL: 1}}, "remember: ttl 1ns is not a duration of whole seconds such as 10m, from 1s to 365d"},
	"remember grace":     {Handler{Remember: &Remember{Grace: -caddy.Duration(time.Second)}}, "remember: grace -1s is not a duration of whole seconds such as 10m, from 1s to 365d"},
	"remember for years": {Handler{Remember: &Remember{StaleIfError: caddy.Duration(366 * 24 * time.Hour)}}, "remember: stale_if_error 8784h0m0s is not a duration of whole seconds such as 10m, from 1s to 365d"},
	"key of a field":     {Handler{Remember: &Remember{Key: "x-tenant"}}, `key: "x-tenant" has no placeholder, so it tells nothing apart; write {http.request.header.X-Tenant}`},
	"key without braces": {Handler{Remember: &Remember{Key: "header.X-Tenant"}}, `key: "header.X-Tenant" has no placeholder, so it tells nothing apart; write {http.request.header.X-Tenant}`},
	"key of a name":      {Handler{Remember: &Remember{Key: "host"}}, `key: "host" has no placeholder, so it tells nothing apart; write {http.request.host}`},
	"key of a word":      {Handler{Remember: &Remember{Key: `v2 \{literal\}`}}, `key: "v2 \\{literal\\}" has no placeholder, so it tells nothing apart; write {http.request.header.X-Api-Key}`},
	"key beside words":   {h: Handler{Remember: &Remember{Key: `v2 {http.request.host}`}}},
	"all cookies":        {Handler{Remember: &Remember{IgnoreCookies: []string{"*"}}}, "ignore_cookies: * would give everybody what one user's cookies stand for; name the cookies"},
	"cookies amidst":     {Handler{Remember: &Remember{IgnoreCookies: []string{"a*b"}}}, `ignore_cookies: "a*b" has an asterisk elsewhere than at its end; write the beginning of the name and one *, such as _ga*`},
	"no cookie":          {Handler{Remember: &Remember{IgnoreCookies: []string{"a b"}}}, `ignore_cookies: "a b" is not the name of a cookie, or the beginning of one and *, such as _ga*`},
	"all set cookies":    {Handler{Remember: &Remember{IgnoreSetCookie: []string{"*"}}}, "ignore_set_cookie: * would remember pages of users who have just signed in; name the cookies"},
	"no set cookie":      {Handler{Remember: &Remember{IgnoreSetCookie: []string{"a=1"}}}, `ignore_set_cookie: "a=1" is not the name of a cookie, or the beginning of one and *, such as _ga*; write a`},
	"set cookies":        {h: Handler{Remember: &Remember{IgnoreCookies: []string{"a"}, IgnoreSetCookie: []string{"a", "b*"}}}},
	"a cookie twice":     {Handler{Remember: &Remember{IgnoreCookies: []string{"a", "a"}}}, "ignore_cookies: a is named twice; name it once"},
	"remember key":       {Handler{Remember: &Remember{Key: "{host}"}}, "key: {host} is not known; write {http.request.host}"},
	"store":              {Handler{Remember: &Remember{StoreRaw: []byte(`"memory"`)}}, `store has to be an object that has a name, such as {"name": "memory"}`},
	"remember of nothing": {
		Handler{ETag: &ETag{Mode: "off", Existing: "remove"}, LastModified: &LastModified{Mode: "remove"}, Remember: new(Remember)},
		"remember keeps validators, and none is left: etag off with existing remove takes off the tags, and last_modified remove the dates; remove remember, or one of these",
	},

	"response matcher": {h: Handler{
		ResponseMatchers: map[string]caddyhttp.ResponseMatcher{"x": {StatusCode: []int{4, 503}}, "y": {Headers: http.Header{"A": {"*"}}}},
		CacheControl:     []CacheControl{{ResponseMatcher: "x", Directives: []string{"no-store"}}},
	}},
	"response matcher of all": {Handler{ResponseMatchers: map[string]caddyhttp.ResponseMatcher{"x": {}}}, "response matcher @x matches everything; give it a status or a header"},
	"response matcher of none": {
		Handler{ResponseMatchers: map[string]caddyhttp.ResponseMatcher{"x": {StatusCode: []int{304}}}},
		"response matcher @x: 304 is not a final status code or a class such as 4 for 4xx",
	},
}

var off = &ETag{Mode: "off"}

func dates(from ...LastModifiedSource) *LastModified { return &LastModified{From: from} }

func withRows(rows ...CacheControl) Handler { return Handler{CacheControl: rows} }

func TestCheck(t *testing.T) {
	for name, row := range rows {
		got := ""
		if err := row.h.Check(); err != nil {
			got = err.Error()
		}
		if got != row.want {
			t.Errorf("%s: %q, want %q", name, got, row.want)
		}
	}
}

// TestContradiction: what is wrong between subdirectives is said of one of them, which has a line in a Caddyfile.
func TestContradiction(t *testing.T) {
	for name, of := range map[string]string{
		"guard_writes, off": "guard_writes", "guard_writes, auto": "guard_writes",
		"expires of no date": "expires", "expires of no response": "expires",
		"json under etag off": "last_modified from json", "first_seen under etag off": "last_modified from first_seen",
		"remember of nothing": "remember",
		"bare":                "", "etag mode": "", "covered": "", "remember": "", "guard_writes": "",
	} {
		row := rows[name]
		got, err := row.h.Contradiction()
		if got != of || (err == nil) != (of == "") || err != nil && err.Error() != row.want {
			t.Errorf("%s: %q of %q, want %q of %q", name, err, got, row.want, of)
		}
	}
}

func TestReadRow(t *testing.T) {
	for text, want := range map[string]CacheControl{
		"/a* max-age=1":        {Path: OneOrMore{"/a*"}, Directives: []string{"max-age=1"}},
		"text/html;q=1 public": {MediaType: OneOrMore{"text/html;q=1"}, Directives: []string{"public"}},
		"@x no-store":          {ResponseMatcher: "x", Directives: []string{"no-store"}},
		"max-age=1 public":     {Directives: []string{"max-age=1", "public"}},
		`private="a/b"`:        {Directives: []string{`private="a/b"`}},
		"/a":                   {Path: OneOrMore{"/a"}, Directives: []string{}},
		"/a /b no-cache":       {Path: OneOrMore{"/a", "/b"}, Directives: []string{"no-cache"}},
		"a/b c/* no-cache":     {MediaType: OneOrMore{"a/b", "c/*"}, Directives: []string{"no-cache"}},
		"/a /b off":            {Path: OneOrMore{"/a", "/b"}, Off: true},
		"@x off":               {ResponseMatcher: "x", Off: true},
		"off":                  {Off: true},
	} {
		if row, err := ReadRow(strings.Fields(text)); err != nil || !reflect.DeepEqual(row, want) {
			t.Errorf("%s: %+v, %v, want %+v", text, row, err, want)
		}
	}
	for text, want := range map[string]string{
		"public| |x":  "cache_control: an empty word is no directive; remove it",
		"@":           "cache_control: a response matcher needs a name after @; write @missing, and define it with @missing status 404",
		"*.css":       `cache_control: "*.css" is no directive; a path pattern begins with a slash. For one kind of file write its media type, such as text/css`,
		"/a|b/c|off":  "cache_control: /a is a path and b/c a media type, and one line has paths, or media types, or one response matcher; write two lines, such as cache_control /a max-age=1h and cache_control b/c max-age=1h",
		"b/c|d/e|@f":  "cache_control: b/c is a media type and @f a response matcher, and one line has paths, or media types, or one response matcher; write two lines, such as cache_control b/c d/e max-age=1h and cache_control @f max-age=1h",
		"@a|@b":       "cache_control: @a and @b are response matchers, and one line has paths, or media types, or one response matcher; write two lines, such as cache_control @a max-age=1h and cache_control @b max-age=1h",
		"/a|off|x":    "cache_control: off stands alone behind the selectors; write cache_control /a off, or remove off",
		"public|off":  "cache_control: off stands alone behind the selectors; write cache_control off, or remove off",
		"*":           "cache_control: * is no directive; leave it out: a line without a selector is for every other response",
		"image":       `cache_control: "image" is no directive; write image/* for all media types of that kind`,
		"public|@ab":  `cache_control: unexpected "@ab"; selectors come first: write it in front of public`,
		".css|public": `cache_control: ".css" is no directive; for one kind of file write its media type, such as text/css`,
		".zip|public": `cache_control: ".zip" is no directive; for one kind of file write its media type, such as text/css or image/*`,
		"JSON|public": `cache_control: "JSON" is no directive; for one kind of file write its media type, such as application/json`,
	} {
		if _, err := ReadRow(strings.Split(text, "|")); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// TestWarnings: a warning has the row's selector, and what `expires modified` gives is not missed.
func TestWarnings(t *testing.T) {
	h := withRows(
		CacheControl{Path: OneOrMore{"/A"}, Directives: []string{"max-age=1h"}}, CacheControl{Path: OneOrMore{"/b"}, Directives: []string{"max-age=x"}},
		CacheControl{MediaType: OneOrMore{"Text/*"}, Directives: []string{"max-age=366d immutable"}}, CacheControl{Directives: []string{"public"}},
	)
	h.ETag = &ETag{IgnoreExpressions: []string{"<!--.*?-->", `\d+`}}
	want := []Warning{
		{Row: 0, Text: "cache_control /a: matches that path alone, and nothing below it; for a folder write /A/*"},
		{Row: 2, Text: "cache_control text/*: max-age is over a year"},
		{Row: 2, Text: "cache_control text/*: immutable on pages"},
		{Row: 3, Text: "cache_control: public says"},
		{Row: NoRow, Of: OfExpression(`\d+`), Text: "etag ignore: `\\d+` matches numbers by themselves"},
	}
	got := h.Warnings()
	if len(got) != len(want) {
		t.Fatalf("got %+v", got)
	}
	for i, w := range want {
		if got[i].Row != w.Row || got[i].Of != w.Of || !strings.HasPrefix(got[i].Text, w.Text) {
			t.Errorf("got %+v, want %+v", got[i], w)
		}
	}
	if h.Expires = "modified"; len(h.Warnings()) != 4 {
		t.Errorf("with expires modified: %+v", h.Warnings())
	}
}

// TestWarningsOfLateAnswers: a row is told whether remember is to answer past the lifetime.
func TestWarningsOfLateAnswers(t *testing.T) {
	h := withRows(CacheControl{Directives: []string{"s-maxage=1h max-age=1h"}})
	for name, row := range map[string]struct {
		remember *Remember
		want     int
	}{
		"stale_if_error": {&Remember{StaleIfError: caddy.Duration(time.Hour)}, 1},
		"grace":          {&Remember{Grace: caddy.Duration(time.Minute)}, 1},
		"neither":        {new(Remember), 0},
		"nothing":        {nil, 0},
	} {
		h.Remember = row.remember
		if got := h.Warnings(); len(got) != row.want || row.want > 0 && !strings.Contains(got[0].Text, "s-maxage forbids") {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

// TestWarningsOfSelectors: what matches less than it looks like.
func TestWarningsOfSelectors(t *testing.T) {
	matchers := map[string]caddyhttp.ResponseMatcher{
		"page":  {Headers: http.Header{"Content-Type": {"text/html"}}},
		"pages": {Headers: http.Header{"Content-Type": {"text/html*"}}},
		"utf8":  {Headers: http.Header{"Content-Type": {"text/html; charset=utf-8"}}},
		"gone":  {StatusCode: []int{404}},
		"typed": {Headers: http.Header{"Content-Type": {""}}},
	}
	for selector, want := range map[string]string{
		"/": "", "/assets/*": "", "/assets*": "", "/index.html": "", "/a[bc]": "", "/{vars.x}": "", "/v1.2/feed.xml": "", "image/*": "", "@pages": "", "@utf8": "", "@gone": "", "@typed": "",
		"/assets":  "for a folder write /assets/*",
		"/assets/": "for a folder write /assets/*",
		"/v1.2/x":  "for a folder write /v1.2/x/*",
		"@page":    "Content-Type text/html does not match text/html; charset=utf-8; write text/html*, or the media type in place of @page",
	} {
		row, err := ReadRow([]string{selector, "max-age=1h"})
		if err != nil {
			t.Fatal(err)
		}
		h := withRows(row)
		h.ResponseMatchers = matchers
		got := h.Warnings()
		if want == "" && len(got) != 0 || want != "" && (len(got) != 1 || got[0].Row != 0 || !strings.Contains(got[0].Text, want)) {
			t.Errorf("%s: got %+v, want %q", selector, got, want)
		}
	}
}

// TestRedisHasToBeBuiltIn: the store that is not says how it comes in.
func TestRedisHasToBeBuiltIn(t *testing.T) {
	want := `no store "redis" is built in, only memory; redis comes with ` +
		"`xcaddy build --with github.com/conditionalcache/caddy-conditional-cache/validators/redis` (see xcaddy.md)"
	if err := CheckStore([]byte(`{"name": "redis"}`)); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestKeysOfPlaceholders(t *testing.T) {
	for _, text := range []string{
		"v1 {http.vars.a}", "{http.request.header.X-Api-Key}", "a{http.vars.a}b{tenant}", `\{literal\}{tenant}`, `C:\ {http.vars.a}`, `{tenant}\\\{`, "{geoip2.country_code}", `{tenant}back\`,
		"{http.request.uri.query.a[0]}", "{http.regexp.name.1}",
	} {
		if err := CheckKey(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{
		"", " ", "\t", "{", "}", "a}", "{a", "{}", "{ a}", "{a b}", "{a{b}}", "{$A}", `\{a}`, `{a\`, `{a\}`, `\\{a}`, "{header.X}", "{cookie.a}", "{host}", "{é}",
		"v1", "X-Api-Key", `\{literal\}`, `back\`,
	} {
		if err := CheckKey(text); err == nil {
			t.Errorf("%s: accepted", text)
		}
	}
}

// TestLaterWords: a word of a later version is refused as one, wherever a word may stand.
func TestLaterWords(t *testing.T) {
	defer func(now []string) { later = now }(later)
	later = []string{"head often"}
	want := "head often is not available in this version; use pass or get"
	if err := Head.Check("often"); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
