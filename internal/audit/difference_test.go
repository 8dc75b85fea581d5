package audit

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// page is the frame in which the bodies of these tests differ.
func page(part string) string {
	return "<!doctype html>\n<title>A page</title>\n<p>Some words before.</p>\n" + part + "\n<p>Some words behind.</p>\n"
}

const (
	djangoA = "NlxfdRJuM1KvzHJrKZxjnf6EyEpoAl3hEBa4QYFWWhXx8mTow1cRkYm2sH2GSVeM"
	uuidA   = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
	uuidB   = "9c858901-8a57-4791-81fe-4c455b099bc9"
)

// remask is the token of a form under another mask.
func remask(token string) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	out := []byte(token)
	for i := range len(out) {
		out[i] = letters[(strings.IndexByte(letters, token[i])+7)%len(letters)]
	}
	return string(out)
}

// TestUnstableBody: what differs is found where it is, named by what it looks like, and cured if a line can.
func TestUnstableBody(t *testing.T) {
	for name, test := range map[string]struct {
		a, b  string
		looks []Looks
		line  string // what the cure has in it
		why   string // or the reason there is none
	}{
		"a token of Django": {
			`<input type="hidden" name="csrfmiddlewaretoken" value="` + djangoA + `">`,
			`<input type="hidden" name="csrfmiddlewaretoken" value="` + remask(djangoA) + `">`,
			[]Looks{Token},
			"\tignore csrf", "",
		},
		"a token in a script": {
			`<script>const csrf_token = "` + djangoA + `"</script>`, `<script>const csrf_token = "` + remask(djangoA) + `"</script>`,
			[]Looks{Token},
			"", "data-*",
		},
		"a nonce": {`<script nonce="abcdefgh01">x()</script>`, `<script nonce="ijklmnop23">x()</script>`, []Looks{Nonce}, "\tignore nonce", ""},
		"a nonce and a time": {
			`<script nonce="abcdefgh01">x()</script><!-- rendered at 10:15:09 -->`, `<script nonce="ijklmnop23">x()</script><!-- rendered at 10:15:11 -->`,
			[]Looks{Nonce, Time},
			"\tignore nonce\n\tignore `script><!-- rendered at (\\d+:\\d+:\\d+)", "",
		},
		"a duration":    {"<!-- rendered in 12 ms -->", "<!-- rendered in 7 ms -->", []Looks{Time}, "rendered in (\\d+ [A-Za-z]+)", ""},
		"an instant":    {"<p>now 2026-11-28T15:52:07Z</p>", "<p>now 2026-11-28T15:53:11Z</p>", []Looks{Time}, "now (", ""},
		"Unix seconds":  {`<a href="/x?t=1795882642">`, `<a href="/x?t=1795882649">`, []Looks{Time}, "t=(\\d+)", ""},
		"a UUID":        {`<body data-request="` + uuidA + `">`, `<body data-request="` + uuidB + `">`, []Looks{ID}, `data-request="(`, ""},
		"a short digit": {"<p>request_id=17</p>", "<p>request_id=18</p>", []Looks{ID}, "request_id=(\\d+)", ""},
		"two on a line": {"<p>request_id=17 trace_id=28</p>", "<p>request_id=18 trace_id=29</p>", []Looks{ID}, " trace_id=(\\d+)", ""},
		"an order":      {"<li>red</li><li>green</li><li>blue</li>", "<li>blue</li><li>red</li><li>green</li>", []Looks{Order}, "", "sort"},
		"a price":       {"<b>12 EUR</b>", "<b>13 EUR</b>", []Looks{Text}, "", "content itself"},
		"a time alone":  {"10:15:09", "10:15:11", []Looks{Time}, "", "nothing beside it"},
		"more at the end": {
			"<p>a</p>", "<p>a</p><p>b</p>", []Looks{Text}, "", "content itself",
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := answerOf(page(test.a)), answerOf(page(test.b))
			parts := compare(a.Body, b.Body)
			classify(a.Body, b.Body, parts)
			got := make([]Looks, 0, len(parts))
			for i := range parts {
				got = append(got, parts[i].Looks)
			}
			if got = slices.Compact(got); !slices.Equal(got, test.looks) {
				t.Errorf("looks like %v, want %v: %+v", got, test.looks, parts)
			}
			for etag, replaces := range map[string]bool{"": false, `W/"cc1.0"`: false, `"cc1.0"`: false, `"v1"`: true, "unquoted": true} {
				a.Header.Set("Etag", etag)
				if cure := cureBody(a, b, parts, false); cure.Lines != "" && strings.Contains(cure.Lines, "\texisting replace\n") != replaces {
					t.Errorf("for the tag %s: %s", etag, cure.Lines)
				}
			}
			cure := cureBody(a, b, parts, false)
			if test.line == "" && cure.Lines != "" || !strings.Contains(cure.Lines, test.line) || !strings.Contains(cure.Reason, test.why) {
				t.Errorf("cure %+v", cure)
			}
		})
	}
}

func answerOf(body string) *Exchange {
	return &Exchange{Body: []byte(body), Header: http.Header{"Content-Type": {"text/html"}}}
}

// TestParts: where what differs begins and ends.
func TestParts(t *testing.T) {
	for name, test := range map[string]struct {
		a, b string
		want []Part
	}{
		"the same":       {"one two", "one two", nil},
		"a word":         {"one two three", "one 2 three", []Part{{From: 4, To: 7, FromAgain: 4, ToAgain: 5}}},
		"a time is one":  {"at 10:15:09 o", "at 11:16:08 o", []Part{{From: 3, To: 11, FromAgain: 3, ToAgain: 11}}},
		"two apart":      {"a 1 b c d e 2 f", "a 3 b c d e 4 f", []Part{{From: 2, To: 3, FromAgain: 2, ToAgain: 3}, {From: 12, To: 13, FromAgain: 12, ToAgain: 13}}},
		"more":           {"one three four", "one two three four", []Part{{From: 4, To: 4, FromAgain: 4, ToAgain: 8}}},
		"less":           {"one two three four", "one three four", []Part{{From: 4, To: 8, FromAgain: 4, ToAgain: 4}}},
		"nothing common": {"one", "two three", []Part{{From: 0, To: 3, FromAgain: 0, ToAgain: 9}}},
	} {
		if got := compare([]byte(test.a), []byte(test.b)); !slices.Equal(got, test.want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestHiddenBody: of a body with a secret in it no expression is made.
func TestHiddenBody(t *testing.T) {
	a, b := answerOf(page("<p>rendered in 12 ms</p>")), answerOf(page("<p>rendered in 13 ms</p>"))
	parts := compare(a.Body, b.Body)
	classify(a.Body, b.Body, parts)
	if cure := cureBody(a, b, parts, true); cure.Lines != "" || !strings.Contains(cure.Reason, "not shown") {
		t.Errorf("%+v", cure)
	}
}

// checkParts: with its parts replaced, one body is the other.
func checkParts(t *testing.T, a, b []byte) {
	t.Helper()
	var made []byte
	at, atB := 0, 0
	for _, p := range compare(a, b) {
		if p.From < at || p.To < p.From || p.FromAgain < atB || p.ToAgain < p.FromAgain {
			t.Fatalf("%+v after %d and %d", p, at, atB)
		}
		made = append(append(made, a[at:p.From]...), b[p.FromAgain:p.ToAgain]...)
		at, atB = p.To, p.ToAgain
	}
	if made = append(made, a[at:]...); string(made) != string(b) {
		t.Fatalf("%q and %q: %q", a, b, made)
	}
}

// TestCompareIsBounded: two long bodies without anything in common take no longer than they may.
func TestCompareIsBounded(t *testing.T) {
	a, b := strings.Repeat("a b c d e ", 100_000), strings.Repeat("f g h i j ", 100_000)
	checkParts(t, []byte(a), []byte(b))
	d := difference{a: []byte(a), b: []byte(b), wordsA: wordsOf([]byte(a)), wordsB: wordsOf([]byte(b))}
	d.meet(0, 0)
	if d.compared > maxAhead*maxAhead {
		t.Errorf("%d words were compared", d.compared)
	}
	if parts := compare([]byte(a), []byte(b)); len(parts) > maxParts+1 {
		t.Errorf("%d parts", len(parts))
	}
}

func FuzzCompare(f *testing.F) {
	f.Add([]byte(page("one")), []byte(page("two")))
	f.Add([]byte("a b c"), []byte(""))
	f.Add([]byte(strings.Repeat("a b ", 50)), []byte(strings.Repeat("b a ", 50)))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		checkParts(t, a, b)
		parts := compare(a, b)
		classify(a, b, parts)
		if len(parts) > 0 {
			cureBody(&Exchange{Body: a, Header: http.Header{"Content-Type": {"text/html"}}}, &Exchange{Body: b, Header: http.Header{"Content-Type": {"text/html"}}}, parts, false)
		}
	})
}
