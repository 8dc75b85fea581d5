package tokens

import (
	"fmt"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/conditionalcache/caddy-conditional-cache/internal/config"
	_ "github.com/conditionalcache/caddy-conditional-cache/validators/memory" // the store that is always built in
)

// reading is how one thing is read, with the reader on the word before it.
type reading func(Reader) (any, error)

// readings are the ways to read what one subdirective or option takes.
var readings = map[string]reading{
	"word":  func(r Reader) (any, error) { return r.Word(config.Head) },
	"text":  func(r Reader) (any, error) { return r.Text("epoch", "1") },
	"words": func(r Reader) (any, error) { return r.Words("keep", "Link") },
	"ignored": func(r Reader) (any, error) {
		words, expressions, err := r.Ignored()
		return []any{words, expressions}, err
	},
	"nothing":  func(r Reader) (any, error) { return nil, r.Nothing("lenient") },
	"noblock":  func(r Reader) (any, error) { r.RemainingArgs(); return nil, r.NoBlock("head") },
	"size":     func(r Reader) (any, error) { return r.Size("4MiB") },
	"count":    func(r Reader) (any, error) { return r.Count(1000) },
	"percent":  func(r Reader) (any, error) { return r.Percent("jitter") },
	"delay":    func(r Reader) (any, error) { d, err := r.Delay("max_delay"); return int64(d), err },
	"lifetime": func(r Reader) (any, error) { d, err := r.Lifetime("expires modified"); return int64(d), err },
	"span":     func(r Reader) (any, error) { d, err := r.Span("grace"); return int64(d), err },
	"max_age":  func(r Reader) (any, error) { return r.MaxAge(r.RemainingArgs()[0]) },
	"key":      func(r Reader) (any, error) { return r.Key() },
	"cookies":  func(r Reader) (any, error) { return r.Cookies(config.IgnoreCookies) },
	"store":    func(r Reader) (any, error) { raw, err := r.Store(); return string(raw), err },
	"row":      func(r Reader) (any, error) { return r.Row() },
	"@x":       func(r Reader) (any, error) { return r.ResponseMatcher("@x") },
	"from": func(r Reader) (any, error) {
		kind, source, err := r.Source()
		return []any{kind, source}, err
	},
	"only":   func(r Reader) (any, error) { return nil, r.Block("only", Options{"one": nil}) },
	"digest": func(r Reader) (any, error) { return nil, r.Unrecognized("option", r.Val(), []string{"one"}) },
	"block": func(r Reader) (any, error) {
		var names []string
		option := func() error {
			names = append(names, r.Val())
			r.RemainingArgs()
			return nil
		}
		err := r.Block("block", Options{"one": option, "many": option}, "many")
		return names, err
	},
}

// read are texts, and what is read of each, or the error with its line. The first word says how the rest is read.
var read = map[string]string{
	"word get":     "get",
	"word":         "head needs a word: pass or get, at Testfile:1",
	"word on":      `head: unrecognized "on"; use pass or get, at Testfile:1`,
	"word get off": `unexpected "off": head takes one word; remove it, at Testfile:1`,
	"count 1":      "1",
	"count 1000":   "1000",
	"count 1001":   `count: "1001" is not a whole number from 1 to 1000, at Testfile:1`,
	"count 0":      `count: "0" is not a whole number from 1 to 1000, at Testfile:1`,
	"count -1":     `count: "-1" is not a whole number from 1 to 1000, at Testfile:1`,
	"count 1.5":    `count: "1.5" is not a whole number from 1 to 1000, at Testfile:1`,
	"count 1 2":    `unexpected "2": count takes one value; remove it, at Testfile:1`,
	"count":        "count needs a value, such as 1000, at Testfile:1",
	"text a":       "a",
	`text ""`:      "epoch needs a value, such as 1; the value is empty: if a {$VARIABLE} gives it, that is not set, at Testfile:1",
	"text a b":     `unexpected "b": epoch takes one value; remove it, at Testfile:1`,
	"words a b":    "[a b]",
	"words":        "keep needs at least one value, such as Link, at Testfile:1",
	`words a ""`:   "keep: an empty value means nothing; remove it, or if a {$VARIABLE} gives it, set that, at Testfile:1",
	"ignored a \"a b\" `a` csrf \"csrf\" `nonce` a\"b\" <<A\n c\n A d": `[[a csrf csrf nonce a"b" d] [a b a c]]`,
	"ignored":      "ignore needs at least one value, such as csrf, nonce or a regular expression in quotes, at Testfile:1",
	"ignored a ``": "ignore: an empty value means nothing; remove it, or if a {$VARIABLE} gives it, set that, at Testfile:1",

	"nothing\na":     "<nil>",
	"nothing a":      `unexpected "a": lenient takes no argument; remove it, at Testfile:1`,
	"noblock a":      "<nil>",
	"noblock a {\n}": "head takes no block; remove it with its braces, at Testfile:1",

	"size 1KiB":      "1024",
	"size 0":         `size: "0" is not a size above zero, such as 4MiB, at Testfile:1`,
	"size 9EiB":      `size: "9EiB" is too large to be meant; write a size such as 4MiB, at Testfile:1`,
	"size 99EB":      `size: "99EB" is too large to be meant; write a size such as 4MiB, at Testfile:1`,
	"percent 2.5%":   "2.5",
	"percent 1e1%":   `jitter: "1e1%" is not a percentage such as 10% or 2.5%, at Testfile:1`,
	"percent 10":     `jitter: "10" is not a percentage such as 10% or 2.5%; write 10%, at Testfile:1`,
	"delay off":      "-1",
	"delay 1us":      "1000",
	"delay 0s":       `max_delay: "0s" is neither a duration above zero, such as 200ms, nor off, at Testfile:1`,
	"lifetime -1us":  "-1000",
	"lifetime on":    `expires modified: "on" is not a duration such as 1h or 30d, at Testfile:1`,
	"span 1s":        "1000000000",
	"span 0s":        "0",
	"span off":       "0",
	"span 90":        "90000000000",
	"span {env.X}":   `grace: "{env.X}" is not a duration such as 90s, 10m or 1d; {env.X} is not known yet when the file is read: write {$X}, at Testfile:1`,
	"span 1ms":       "grace: 1ms is not a duration of whole seconds from 1s to 365d, such as 10m, at Testfile:1",
	"span on":        `grace: "on" is not a duration such as 90s, 10m or 1d, at Testfile:1`,
	"max_age 1d":     "86400",
	"max_age x":      `"x" is not a max_age such as 90s, 1h or 30d, at Testfile:1`,
	"max_age -1s":    "max_age -1s has to be a whole number of seconds, from 0 to 2147483647, such as 1h, at Testfile:1",
	"key {a.b}":      "{a.b}",
	"key a b":        `unexpected "b": key takes one text; put quotes around one with spaces, at Testfile:1`,
	"key":            "key needs a text, such as {header.X-Api-Key}, at Testfile:1",
	"store disk":     "no store \"disk\" is built in, only memory; write one of these, or nothing for memory; redis comes with `xcaddy build --with github.com/conditionalcache/caddy-conditional-cache/validators/redis` (see xcaddy.md), at Testfile:1",
	"key {host}":     "key: {host} is not known; write {http.request.host}, at Testfile:1",
	"cookies _ga* a": "[_ga* a]",
	"cookies *":      "ignore_cookies: * would give everybody what one user's cookies stand for; name the cookies, at Testfile:1",
	"store memory":   `{"name":"memory"}`,
	"store":          "store needs a name, such as memory, at Testfile:1",
	"store memory a": `unexpected "a": memory has its options in a block, such as memory { max_entries 100000 } (with a line break at each brace), at Testfile:1`,

	"row /a* max-age=1 {\n jitter 10%\n existing merge\n extension x=1\n}": "{[/a*] []  false [max-age=1] [x=1] merge 10}",
	"row max-age=1 {\n\n jitter 90%\n}":                                    "jitter: 90% is not a percentage from 1% to 50%, with two decimals at most, at Testfile:3",
	"row max-age=1 {\n extension max-age=1\n}":                             "max-age is no extension; write it on the cache_control line itself, as in cache_control max-age=1, at Testfile:2",
	"row /a* {\n existing merge\n}":                                        "cache_control: at least one directive is needed, such as max-age=1h, at Testfile:1",
	"row *.css":                                                            `cache_control: "*.css" is no directive; a path pattern begins with a slash. For one kind of file write its media type, such as text/css, at Testfile:1`,

	"from header A 2006-01-02": "[header {A  [] false 2006-01-02}]",
	"from json a.b":            "[json { a.b [] false }]",
	"from file a b":            "[file {  [a b] false }]",
	"from first_seen":          "[first_seen {  [] true }]",
	"from first_seen a":        `unexpected "a": from first_seen takes no argument; remove it, at Testfile:1`,
	"from header":              "from header needs a field, such as X-Updated-At, at Testfile:1",
	"from file":                "from file needs at least one path, such as {http.vars.root}{path}, at Testfile:1",
	`from json a ""`:           "from json: an empty layout means nothing; remove it, at Testfile:1",
	"from json a b c":          `unexpected "c": from json takes a path and a layout; put the layout in quotes: from json a "b c", at Testfile:1`,
	"from upstream":            `unrecognized source of last_modified: "upstream"; use header, json, file or first_seen, at Testfile:1`,

	"@x status 2xx 404":                             "{[2 404] map[]}",
	"@x {\n status 5xx\n header a *\n header !b\n}": "{[5] map[A:[*] B:[]]}",
	"@x status 1xx":                                 `status: "1xx" is not a final status code from 200 to 599, nor a class such as 4xx (a 304 counts as the 200 it stands for), at Testfile:1`,
	`@x header "a b" c`:                             `header: "a b" is not a field name such as X-Draft, at Testfile:1`,
	"@x header a b c":                               `unexpected "c": header takes a field and one pattern, or !field; remove it, at Testfile:1`,
	"@x header a":                                   "header a needs a pattern, such as * for any value, at Testfile:1",
	"@x {\n path /a\n}":                             `unrecognized condition of a response matcher: "path"; a response matcher goes by the status and the fields of a response; write the path on the cache_control line, as in cache_control /assets/* max-age=1h, at Testfile:2`,
	"@x {\n}":                                       "response matcher @x matches everything; give it a status or a header, at Testfile:1",

	"block {\n one 1\n many 1\n many 2\n}": "[one many many]",
	"block {\n one\n one\n}":               `duplicate option "one"; write it once, at Testfile:3`,
	"only {\n two\n}":                      `unrecognized option of only: "two"; the only one is one, at Testfile:2`,
	"digest":                               "digest is not available in this version; remove it, at Testfile:1",
	"block {\n two\n}":                     `unrecognized option of block: "two"; use many or one, at Testfile:2`,
	"block {\n one {\n  a\n }\n}":          "one takes no block; remove it with its braces, at Testfile:2",
}

func TestReader(t *testing.T) {
	for text, want := range read {
		d := caddyfile.NewTestDispenser(text)
		d.Next()
		got, err := readings[d.Val()](Reader{d})
		if err != nil {
			got = err
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%q: %v, want %s", text, got, want)
		}
	}
}

// TestPlace: a place stays where it was when the reader goes on, and the reader can be set back to it.
func TestPlace(t *testing.T) {
	r := Reader{caddyfile.NewTestDispenser("a\nb")}
	r.Next()
	at := r.Here()
	r.Next()
	if err := at.At(nil); err != nil || at.Line() != 1 || at.File() != "Testfile" || at.Errf("x").Error() != "x, at Testfile:1" || r.Errf("x").Error() != "x, at Testfile:2" {
		t.Errorf("%v: %s:%d, %v", err, at.File(), at.Line(), at.Errf("x"))
	}
	if r.Return(at); r.Val() != "a" {
		t.Errorf("back at %q", r.Val())
	}
}
