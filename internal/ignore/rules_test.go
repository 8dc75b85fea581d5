package ignore

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// heap is memory without bounds, or none.
type heap struct{ none bool }

func (h heap) Space() Space {
	if h.none {
		return noSpace{}
	}
	return new(bytes.Buffer)
}

type noSpace struct{}

var errNoSpace = errors.New("no space")

func (noSpace) Write([]byte) (int, error)         { return 0, errNoSpace }
func (noSpace) ReadFrom(io.Reader) (int64, error) { return 0, errNoSpace }
func (noSpace) Bytes() []byte                     { return []byte("not to be read") }

// sorted are words, and expressions, which are what is no word.
func sorted(all []string) (words, expressions []string) {
	for _, one := range all {
		if IsWord(one) {
			words = append(words, one)
		} else {
			expressions = append(expressions, one)
		}
	}
	return words, expressions
}

func compiled(tb testing.TB, words ...string) *Rules {
	tb.Helper()
	r, err := Compile(sorted(words))
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// formOf is what counts of a page, with its marks.
func formOf(tb testing.TB, page string, words ...string) string {
	tb.Helper()
	return formWith(tb, Response{MediaType: "text/html", Body: []byte(page)}, words...)
}

func formWith(tb testing.TB, resp Response, words ...string) string {
	tb.Helper()
	if resp.Memory == nil {
		resp.Memory = heap{}
	}
	if resp.MaxDecoded == 0 {
		resp.MaxDecoded = 1 << 20
	}
	before := bytes.Clone(resp.Body)
	content, marks, _ := compiled(tb, words...).Content(&resp)
	if !bytes.Equal(resp.Body, before) {
		tb.Fatal("the body was touched")
	}
	return string(content) + strings.Join(marks, "")
}

// read takes a canonical form apart: the kept bytes, with a place for each gap and what counts in it.
func read(tb testing.TB, form string) (marked string) {
	tb.Helper()
	form, reduced := strings.CutSuffix(form, markReduced)
	if !reduced {
		return form
	}
	next := func(b []byte) (int, []byte) {
		n, length := binary.Uvarint(b)
		if length <= 0 {
			tb.Fatalf("no number in %q", b)
		}
		return int(n), b[length:]
	}
	length := int(binary.BigEndian.Uint64([]byte(form[len(form)-8:])))
	form = form[:len(form)-8]
	kept, table := []byte(form[:len(form)-length]), []byte(form[len(form)-length:])
	number, table := next(table)
	for range number {
		var before, counts int
		before, table = next(table)
		counts, table = next(table)
		marked += string(kept[:before]) + fmt.Sprintf("[%s]", table[:counts])
		kept, table = kept[before:], table[counts:]
	}
	if len(table) > 0 {
		tb.Fatalf("%q is left over", table)
	}
	return marked + string(kept)
}

// Which parts are left out of which tags, in whatever form they are written. D and R lead the secrets of Django and Rails.
func TestLeftOut(t *testing.T) { //nolint:funlen // a table
	s := newSource(1)
	secret := djangoSecret(s)
	token := func() string { return djangoToken(s, secret) }
	in := func(page string) string { return strings.ReplaceAll(page, "TOKEN", token()) }
	out := func(page string) string { return strings.ReplaceAll(page, "TOKEN", "[D"+secret+"]") }
	for _, page := range []string{
		`<input type="hidden" name="csrfmiddlewaretoken" value="TOKEN">`,
		`<input type='hidden' name='csrfmiddlewaretoken' value='TOKEN'>`,
		`<input type=hidden name=csrfmiddlewaretoken value=TOKEN>`,
		`<input value="TOKEN" name="csrfmiddlewaretoken" type="hidden">`,
		`<INPUT TYPE="HIDDEN" NAME="csrfmiddlewaretoken" VALUE="TOKEN">`,
		`<iNpUt tYpE=HiDdEn nAmE=csrfmiddlewaretoken vAlUe=TOKEN>`,
		`<input type="hidden" name="csrfmiddlewaretoken" value="TOKEN"/>`,
		`<input type="hidden" name="csrfmiddlewaretoken" value=TOKEN />`,
		`<input/type="hidden"/name="csrfmiddlewaretoken"/value="TOKEN"/>`,
		"<input\n\ttype = \"hidden\"\r\n\fname= 'csrfmiddlewaretoken' value =TOKEN >",
		`<input type="hidden"name="csrfmiddlewaretoken"value="TOKEN">`,
		`<input disabled type="hidden" name="csrfmiddlewaretoken" value="TOKEN" data-x=">" hidden>`,
		`<input = type="hidden" name="csrfmiddlewaretoken" value="TOKEN">`,
		`<input disabled/type="hidden" name="csrfmiddlewaretoken" value="TOKEN">`,
		`<input title="<input" type="hidden" name="csrfmiddlewaretoken" value="TOKEN">`,
		`<input =x=y type="hidden" name="csrfmiddlewaretoken" value="TOKEN">`,
		`<input type="hidden" name="csrfmiddlewaretoken" value="TOKEN" value="TOKE">`,
		`<form><input type=hidden name=csrfmiddlewaretoken value="TOKEN"></form><form><input type=hidden name=csrfmiddlewaretoken value="TOKEN"></form>`,
		`<!-- <input type=hidden name=csrfmiddlewaretoken value="TOKEN"> -->`,
		`<script>var form = '<input type="hidden" name="csrfmiddlewaretoken" value="TOKEN">'</script>`,
		`<textarea><input type=hidden name=csrfmiddlewaretoken value=TOKEN></textarea>`,
		`<p title='<input type=hidden name=csrfmiddlewaretoken value="TOKEN">'>`,
		"\x00<input type=hidden name=csrfmiddlewaretoken value=TOKEN>\x00",
		`<inputs><input><input ><input type=text name=csrfmiddlewaretoken value=a><input type=hidden name=csrfmiddlewaretoken value=TOKEN>`,
		`a < b <<input type=hidden name=csrfmiddlewaretoken value=TOKEN>`,
		`<meta name="csrf-token" content="TOKEN">`,
		`<META CONTENT=TOKEN NAME=csrf-token>`,
	} {
		if got, want := read(t, formOf(t, in(page), "csrf")), out(page); got != want {
			t.Errorf("%s\ncounts as %q\nwant      %q", page, got, want)
		}
	}
	for _, page := range []string{
		`<input type="text" name="csrfmiddlewaretoken" value="TOKEN">`,
		`<input name="csrfmiddlewaretoken" value="TOKEN">`,
		`<input type="hidden" value="TOKEN" data-name="csrfmiddlewaretoken">`,
		`<input type="hidden" name="csrfmiddlewaretoken" content="TOKEN">`,
		`<input type="hidden" name="csrfmiddlewaretoken" value="TOKEN"`,
		`<input type="hidden" name="csrfmiddlewaretoken" value="TOKEN>`,
		`<input type="hidden" name="csrfmiddlewaretoken" value=TOKEN/>`,
		`<input type="hidden" name="x" name="csrfmiddlewaretoken" value="TOKEN">`,
		`<input x= type="hidden" name="csrfmiddlewaretoken" value="TOKEN">`,
		`<inputx type="hidden" name="csrfmiddlewaretoken" value="TOKEN">`,
		`<inpu type="hidden" name="csrfmiddlewaretoken" value="TOKEN">`,
		"<input type=\"hidden\"\x00name=\"csrfmiddlewaretoken\" value=\"TOKEN\">",
		"<input type=hid\x00den name=csrfmiddlewaretoken value=TOKEN>",
		"<input type=hidden name=csrfmiddlewaretoken value=\"TOKEN\n\">",
		"<input type=hidden name=csrfmiddlewaretoken value=\"TOKEN\x00\">",
		`<meta name="csrf-param" content="TOKEN">`,
		`<meta name="csrfmiddlewaretoken" content="TOKEN">`,
		`<meta name="csrf-token" value="TOKEN">`,
		`<script name="csrf-token" content="TOKEN" value="TOKEN" type="hidden"></script>`,
		`&lt;input type="hidden" name="csrfmiddlewaretoken" value="TOKEN">`,
	} {
		if page = in(page); formOf(t, page, "csrf") != page {
			t.Errorf("%s counts as %q", page, formOf(t, page, "csrf"))
		}
	}
}

func TestNonces(t *testing.T) {
	for page, want := range map[string]string{
		`<script nonce="abc">`:                       `<script nonce="[]">`,
		`<script nonce='abc'>`:                       `<script nonce='[]'>`,
		`<script nonce=abc>`:                         `<script nonce=[]>`,
		`<SCRIPT SRC=a.js NONCE=abc DEFER>`:          `<SCRIPT SRC=a.js NONCE=[] DEFER>`,
		`<style NoNcE = "abc">`:                      `<style NoNcE = "[]">`,
		`<link rel=preload nonce="abc" href=/a>`:     `<link rel=preload nonce="[]" href=/a>`,
		`<script nonce="aZ0+/-_==">`:                 `<script nonce="[]">`,
		`<script nonce="a="><script nonce=b>`:        `<script nonce="[]"><script nonce=[]>`,
		`<script nonce=a nonce=b>`:                   `<script nonce=[] nonce=b>`,
		`<meta name="csp-nonce" content="abc" />`:    `<meta name="csp-nonce" content="[]" />`,
		`<meta nonce=a name="csp-nonce" content=b>`:  `<meta nonce=[] name="csp-nonce" content=[]>`,
		`<meta content=b name="csp-nonce" nonce=aa>`: `<meta content=[] name="csp-nonce" nonce=[]>`,
		// No 304 can leave out a policy that is in the page.
		`<meta http-equiv=Content-Security-Policy content="'nonce-a'"><script nonce=a>`: `<meta http-equiv=Content-Security-Policy content="'nonce-a'"><script nonce=[]>`,
	} {
		if got := read(t, formOf(t, page, "nonce")); got != want {
			t.Errorf("%s counts as %q, want %q", page, got, want)
		}
	}
	for _, page := range []string{
		`<script nonce="">`, `<script nonce>`, `<script nonce="=">`, `<script nonce="a===">`, `<script nonce="a b">`, `<script nonce="a=b">`,
		`<script nonce="{{ nonce }}">`, `<script data-nonce="abc">`, `<script nonces="abc">`, `<p nonce="abc">`, `<input nonce="abc">`,
		`<meta name="nonce" content="abc">`, `<scripts nonce="abc">`, `<script nonce="abc"`, `script nonce="abc">`, `"<script nonce=\"abc\">"`,
	} {
		if got := formOf(t, page, "nonce"); got != page {
			t.Errorf("%s counts as %q", page, got)
		}
	}
}

// Each word does its own work only.
func TestWordsAreApart(t *testing.T) {
	s := newSource(1)
	token := djangoToken(s, djangoSecret(s))
	page := `<script nonce="abc"></script><meta name=csp-nonce content=abc><input type=hidden name=csrfmiddlewaretoken value=` + token + `>7 ms` +
		`<meta name=csrf-token content=` + token + `>`
	for _, tt := range []struct {
		words []string
		gaps  int
	}{
		{nil, 0},
		{[]string{"csrf"}, 2},
		{[]string{"nonce"}, 2},
		{[]string{`\d+ ms`}, 1},
		{[]string{"csrf", "nonce"}, 4},
		{[]string{"nonce", `\d+ ms`, "csrf"}, 5},
	} {
		got := read(t, formOf(t, page, tt.words...))
		if strings.Count(got, "[") != tt.gaps {
			t.Errorf("%q: %q, want %d gaps", tt.words, got, tt.gaps)
		}
	}
}

func TestExpressions(t *testing.T) {
	for _, tt := range []struct{ name, page, want, word string }{
		{"all of a match", "in 12 ms.", "in [].", `\d+ ms`},
		{"what a group matches", "in 12 ms.", "in [] ms.", `(\d+) ms`},
		{"what several match", "a1b2c a3b4c", "a[]b[]c a[]b[]c", `a(\d)b(\d)c`},
		{"a group that takes no part", "x1 y2", "x[] y2", `x(\d)|y\d`},
		{"an empty group", "x y1", "x y[]", `[xy](\d*)`},
		{"a group that does not capture", "a1b", "[]", `a(?:1)b`},
		{"nested groups", "a12b", "a[]b", `a((\d)\d)b`},
		{"nothing matches", "abc", "abc", `\d+`},
		{"at both ends", "1a1", "[]a[]", `1`},
		{"all of it", "aaa", "[]", `a+`},
		{"matches that touch are one gap", "12", "[]", `\d`},
		{"anchors see the body", "aa", "[]a", `^a`},
		{"a literal in another case", "ABC", "[]", `(?i)abc`},
		{"bytes that are no UTF-8", "a\xffb", "a[]b", `\x{FFFD}`},
		{"lines", "a\nb", "a\nb", `a.b`},
		{"with spaces and quotes", `x="1" y`, `x=[] y`, `"1"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := read(t, formOf(t, tt.page, tt.word)); got != tt.want {
				t.Errorf("%q counts as %q, want %q", tt.page, got, tt.want)
			}
		})
	}
}

// Parts that overlap are left out together, and the secret in them counts.
func TestOverlaps(t *testing.T) {
	s := newSource(1)
	secret := djangoSecret(s)
	input := `<input type=hidden name=csrfmiddlewaretoken value=` + djangoToken(s, secret) + `>`
	for _, tt := range []struct {
		page, want string
		words      []string
	}{
		{"a" + input + "b", "a[D" + secret + "]b", []string{"csrf", `<input[^>]*>`}},
		{"abcd", "[]", []string{"abc", "bcd"}},
		{"abcd", "[]d", []string{"bc", "abc"}},
		{"abcdef", "[]", []string{"def", "abc"}},
		{"abcdef", "[]d[]", []string{"ef", "abc"}},
		{"abcd", "[]", []string{"abcd", "b", "c"}},
	} {
		if got := read(t, formOf(t, tt.page, tt.words...)); got != tt.want {
			t.Errorf("%q: %q counts as %q, want %q", tt.words, tt.page, got, tt.want)
		}
	}
}

// The canonical form: which differences count, and which do not.
func TestFormsTellApart(t *testing.T) {
	seen := make(map[string]string)
	for _, page := range []string{
		"", "ab", "a1b", "1ab", "ab1", "a1b1", "1a1b", "1", "b11", "a 1b", "ab 1", "1 1", " 1 1", "1 1 ",
		// A body cannot pass for the form of another one.
		strings.TrimSuffix(formOf(t, "a1b", "1"), markReduced),
	} {
		form := formOf(t, page, "1")
		if other, twice := seen[form]; twice {
			t.Errorf("%q and %q count as %q", page, other, form)
		}
		seen[form] = page
	}
	for a, b := range map[string]string{"a1b": "a2b", "1": "99999", "x12y3": "x1y45678"} {
		if formOf(t, a, `\d+`) != formOf(t, b, `\d+`) {
			t.Errorf("%q and %q differ in what is left out only", a, b)
		}
	}
	want := "ab" + "\x01" + "\x01\x00" + "\x00\x00\x00\x00\x00\x00\x00\x03" + markReduced
	if got := formOf(t, "a1b", "1"); got != want {
		t.Errorf("the form is %q, want %q: what clients have stored is lost with it", got, want)
	}
}

// What an unaffected body counts as is the body, in place, and costs no memory.
func TestUnaffected(t *testing.T) {
	r := compiled(t, "csrf", "nonce", `\d+ ms`, `rendered in (\w+)`)
	page := []byte(strings.Repeat(`<p class="a">The author, announced.</p><input name=q><meta name=a content=b><script src=a.js></script>`, 100))
	resp := &Response{MediaType: "text/html", Body: page, Memory: heap{}, Header: http.Header{"Content-Type": {"text/html"}}}
	content, marks, _ := r.Content(resp)
	if &content[0] != &page[0] || len(content) != len(page) || marks != nil {
		t.Errorf("it counts as something else, with %q", marks)
	}
	if n := testing.AllocsPerRun(100, func() { _, _, _ = r.Content(resp) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestNilRules(t *testing.T) {
	r, err := Compile(nil, nil)
	if r != nil || err != nil {
		t.Fatalf("no word gives %v, %v", r, err)
	}
	if content, marks, _ := r.Content(&Response{Body: []byte("a")}); string(content) != "a" || marks != nil {
		t.Errorf("got %q, %q", content, marks)
	}
}

func TestMediaTypes(t *testing.T) {
	for _, mediaType := range []string{
		"text/html", "text/plain", "text/css", "text/javascript", "application/xhtml+xml", "application/json", "application/ld+json",
		"application/javascript", "application/x-javascript", "application/ecmascript", "application/xml", "application/atom+xml", "image/svg+xml",
	} {
		if got := formWith(t, Response{MediaType: mediaType, Body: []byte("a1")}, "1"); !strings.HasSuffix(got, markReduced) {
			t.Errorf("%s counts whole", mediaType)
		}
	}
	for _, mediaType := range []string{"", "image/png", "application/octet-stream", "application/pdf", "font/woff2", "application/zip", "application/jsonx", "texts/html"} {
		if got := formWith(t, Response{MediaType: mediaType, Body: []byte("a1")}, "1"); got != "a1" {
			t.Errorf("%s counts as %q", mediaType, got)
		}
	}
}

func zipped(tb testing.TB, text, padding string) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Name = padding
	if _, err := io.WriteString(w, text); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func TestGzip(t *testing.T) {
	coded := func(body []byte, coding ...string) Response {
		return Response{MediaType: "text/html", Body: body, Header: http.Header{"Content-Encoding": coding}}
	}
	const page = "a page, in 7 ms"
	zip := zipped(t, page, "")
	want := formWith(t, coded(zip, "gzip"), "csrf")
	if want != page+markDecoded {
		t.Errorf("it counts as %q", want)
	}
	for _, coding := range []string{"gzip", "GZip", " gzip ", "x-gzip"} {
		if got := formWith(t, coded(zipped(t, page, "random padding"), coding), "csrf"); got != want {
			t.Errorf("%q, padded: it counts as %q", coding, got)
		}
	}
	if got := read(t, strings.Replace(formWith(t, coded(zip, "gzip"), `\d+`), markDecoded, "", 1)); got != "a page, in [] ms" {
		t.Errorf("with an expression it counts as %q", got)
	}
	if got := formWith(t, coded(append(slices.Clone(zip), zip...), "gzip"), "csrf"); got != page+page+markDecoded {
		t.Errorf("two members count as %q", got)
	}
	limited := coded(zip, "gzip")
	if limited.MaxDecoded = int64(len(page)); formWith(t, limited, "csrf") != want {
		t.Error("of exactly the limit, it counts coded")
	}
	tooLong, noMemory, image := limited, coded(zip, "gzip"), coded(zip, "gzip")
	tooLong.MaxDecoded--
	noMemory.Memory = heap{none: true}
	image.MediaType = "image/png"
	broken := slices.Clone(zip)
	broken[len(broken)-5] ^= 1 // of the checksum
	for name, resp := range map[string]Response{
		"longer than the limit": tooLong, "no memory": noMemory, "no text": image,
		"cut off": coded(zip[:len(zip)-1], "gzip"), "cut off in a second member": coded(append(slices.Clone(zip), zip[:len(zip)-1]...), "gzip"),
		"Zstandard": coded([]byte("a 7"), "zstd"), "a wrong checksum": coded(broken, "gzip"), "no gzip": coded([]byte("a 7"), "gzip"),
		"empty": coded(nil, "gzip"), "rubbish behind": coded(append(slices.Clone(zip), 'x'), "gzip"),
		"Brotli": coded([]byte("a 7"), "br"), "twice": coded(zip, "gzip", "gzip"), "gzip in Brotli": coded(zip, "gzip, br"), "unknown": coded([]byte("a 7"), "x"),
	} {
		rest, mark, _ := WithoutGzipHeader(resp.Header["Content-Encoding"], resp.Body)
		if got := formWith(t, resp, "csrf", `\d`); got != string(rest)+mark {
			t.Errorf("%s: it counts as %q", name, got)
		}
	}
	if got := read(t, formWith(t, coded([]byte("a 7"), ""), `\d`)); got != "a []" {
		t.Errorf("an empty Content-Encoding: it counts as %q", got)
	}
}

// In UTF-16 a page has no tags that are known here.
func TestUTF16(t *testing.T) {
	var page []byte
	for _, c := range `<script nonce="abc"><meta name="csrf-token" content="` + djangoToken(newSource(1), djangoSecret(newSource(2))) + `">` {
		page = append(page, byte(c), 0)
	}
	if got := formOf(t, string(page), "csrf", "nonce"); got != string(page) {
		t.Errorf("it counts as %q", got)
	}
}

// Without memory for its reduced form a body counts as it came.
func TestNoMemory(t *testing.T) {
	if got := formWith(t, Response{MediaType: "text/html", Body: []byte("a1"), Memory: heap{none: true}}, "1"); got != "a1" {
		t.Errorf("it counts as %q", got)
	}
}

func TestBoundOfExpressions(t *testing.T) {
	page := "1" + strings.Repeat("a", maxExpression-1)
	if got := formOf(t, page, "1"); !strings.HasSuffix(got, markReduced) {
		t.Error("a body of 1 MiB counts whole")
	}
	if got := formOf(t, page+"a", "1"); got != page+"a" {
		t.Error("a longer one does not")
	}
	// Tokens and nonces have no such bound.
	page += "a<script nonce=abc>"
	if got := formOf(t, page, "1", "nonce"); got != formOf(t, page, "nonce") || got == page {
		t.Error("a longer one keeps its nonce, or loses a match")
	}
}

// A hostile page cannot ask for memory without end.
func TestBoundOfGaps(t *testing.T) {
	const n = maxGaps + 10
	for word, part := range map[string]string{"nonce": "<link nonce=a>", "a": "a-"} {
		if got := strings.Count(read(t, formOf(t, strings.Repeat(part, n), word)), "[]"); got != maxGaps {
			t.Errorf("%s: %d parts are left out, want %d", word, got, maxGaps)
		}
	}
}

// The groups of a match are parts as well.
func TestBoundOfGroups(t *testing.T) {
	body := []byte(strings.Repeat("abc", maxGaps))
	e, err := compile("(a)(b)(c)")
	if err != nil {
		t.Fatal(err)
	}
	before := []gap{{}}
	if got := len(e.appendMatches(before, body, plenty())); got != len(before)+maxGaps {
		t.Errorf("%d parts are left out, want %d", got-len(before), maxGaps)
	}
}

// Matches behind the first few are found by counted octets: they are those that regexp finds.
func TestManyMatches(t *testing.T) {
	for _, tt := range []struct{ name, word, page string }{
		{"plain", `\d+ ms`, strings.Repeat("in 12 ms, ", 50)},
		{"with a prefix", `in (\d)`, strings.Repeat("in 12 ms, in no time, ", 20)},
		{"with a prefix behind a boundary", `ms\b`, strings.Repeat("ms, ms1, é", 20)},
		{"with a prefix before a boundary", `(?:ms)\B`, strings.Repeat("ms, ms1, msms ", 20)},
		{"side by side", `\d`, strings.Repeat("1", 50)},
		{"a character before counts", `\b\d`, strings.Repeat("1 23 a4 ", 20)},
		{"and whether it is none", `\B\d`, strings.Repeat("1 23 a4 ", 20)},
		{"lines", `(?m)^\d`, strings.Repeat("12\n3 4\n", 20)},
		{"ends of lines", `(?m)\d$`, strings.Repeat("12\n3 4\n", 20)},
		{"the beginning", `(?:^|x)\d`, "1" + strings.Repeat("2x3", 20)},
		{"the end", `\d(?:x|$)`, strings.Repeat("2x3", 20)},
		{"groups", `a(\d)(b)?`, strings.Repeat("a1b a2 ", 20)},
		{"shortest", `<.*?>`, strings.Repeat("<a><bb> ", 20)},
		{"longest", `<.*>`, strings.Repeat("<a><bb>\n", 20)},
		{"of several the first", `a|ab`, strings.Repeat("ab", 20)},
		{"long letters", `é.`, strings.Repeat("éàé€é😀", 20)},
		{"bytes that are no UTF-8", `\x{FFFD}`, strings.Repeat("\xff\xc3\x80\xe2\x82", 20)},
		{"around them", `a.`, strings.Repeat("a\xffa\xc3a\x80b", 20)},
		{"quoted to the end", `\Qa)`, strings.Repeat("a) ", 20)},
		{"any case", `(?i)aB`, strings.Repeat("AB ab b", 20)},
		{"none in the end", `a1`, strings.Repeat("a1", 20) + strings.Repeat("b", 1000)},
		{"none in the end, with the literal", `a\d`, strings.Repeat("a1", 20) + strings.Repeat("a", 20)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := compile(tt.word)
			if err != nil {
				t.Fatal(err)
			}
			got, want := e.appendMatches(nil, []byte(tt.page), plenty()), allMatches(&e, tt.page)
			if !slices.Equal(got, want) || len(want) < 20 {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
}

func TestCompile(t *testing.T) {
	const quoted = "an expression stands in quotes, as in `built (\\d+)`, and in JSON in ignore_expressions"
	for _, tt := range []struct {
		want               string
		words, expressions []string
	}{
		{`ignore: "csrf" is there already; write it once`, []string{"csrf", "nonce", "csrf"}, nil},
		{`ignore: "a+" is there already; write it once`, nil, []string{"a+", "a+"}},
		{`ignore: unrecognized "CSRF"; say csrf (` + quoted + `)`, []string{"CSRF"}, nil},
		{"ignore: `<!--` is neither csrf nor nonce; " + quoted, []string{"<!--", `(\d+)`, "-->"}, nil},
		{`ignore: unrecognized "none"; to leave nothing out, remove the line`, []string{"none"}, nil},
		{`ignore: unrecognized "off"; to leave nothing out, remove the line`, []string{"csrf", "off"}, nil},
		{"ignore: `` is neither csrf nor nonce; " + quoted, []string{""}, nil},
		{`ignore: "Nonce" is no expression but the word nonce, in lower case and in JSON under ignore; as an expression it is (?:Nonce)`, nil, []string{"Nonce"}},
		{`ignore: "csrf" is no expression but the word csrf, in lower case and in JSON under ignore; as an expression it is (?:csrf)`, nil, []string{"csrf"}},
		{`ignore: "a[" is no regular expression (RE2): missing closing ] in "["; a character that stands for itself is written with a backslash, as in \( or \[`, nil, []string{"a["}},
		{`ignore: "a(?=b)" is no regular expression (RE2): invalid or unsupported Perl syntax in "(?="; it looks neither ahead nor behind: write what is before and after as well, and put what is left out into a group, as in ` + "`built (\\d+) times`", nil, []string{"a(?=b)"}},
		{`ignore: "a*" matches the empty string, which is everywhere; make it match a text`, []string{"csrf"}, []string{"a*"}},
		{`ignore: "" matches the empty string, which is everywhere; make it match a text`, nil, []string{""}},
	} {
		r, err := Compile(tt.words, tt.expressions)
		if r != nil || err == nil || err.Error() != tt.want {
			t.Errorf("%q, %q: got %v, want %s", tt.words, tt.expressions, err, tt.want)
		}
	}
	for _, word := range []string{"a?", "a*", "(a|b*)", "a{0}", "a{0,3}", "^", "$", `\b`, `\B`, `\A`, `\z`, "(?m)^$", "(?:)", "a|", "(a?)(b?)", "(a*)+", "(a*){3}", `\b\B`, "()"} {
		if _, err := Compile(nil, []string{word}); err == nil || !strings.Contains(err.Error(), "matches the empty string") {
			t.Errorf("%s: %v", word, err)
		}
	}
	for _, word := range []string{"a", "a+", ".", "(?s).", "[ab]", "a|b", "a?b", "^a", "(a*)b", "a{1,3}", "(a|bc)+", `\d$`, "(?:CSRF)", "x(?:)", "(?:ab|a?c){2}"} {
		if _, err := Compile(nil, []string{word}); err != nil {
			t.Errorf("%s: %v", word, err)
		}
	}
}

// The literal that is looked for first is in every match.
func TestRequired(t *testing.T) {
	for word, want := range map[string]string{
		"abc": "abc", `\d+ ms`: " ms", `ab\d+cde`: "cde", `abc\d+de`: "abc", "(abc)+": "abc", "(?:abc){2}": "abc", "(?:abc){0,2}d": "d", "(?:abc)?d": "d",
		"(?:abc)*d": "d", "abc|abd": "ab", `ab\d+cd`: "ab", "(?i)abc": "", "(?i:a)bc": "bc", `\x{FFFD}a`: "", "[ab]": "", ".": "", "x|yy": "", "^abc$": "abc", "(x(abc))": "abc",
	} {
		e, err := compile(word)
		if err != nil {
			t.Fatal(err)
		}
		if string(e.literal) != want {
			t.Errorf("%s: %q, want %q", word, string(e.literal), want)
		}
	}
}

func TestIndexFold(t *testing.T) {
	const word = "nonce"
	for _, text := range []string{"", "nonc", "nonce", "NONCE", "NoNcE", "n\x0fnce", "nonnonce", "nononce", "\x00\x01\xff\x80", "N", "noncE"} {
		for before := range 20 {
			for after := range 12 {
				padded := strings.Repeat("n", before) + text + strings.Repeat("o", after)
				if got, want := indexFold([]byte(padded), word), strings.Index(strings.ToLower(padded), word); got != want {
					t.Fatalf("%q: %d, want %d", padded, got, want)
				}
				padded = strings.Repeat("\x4f", before) + text + strings.Repeat("\xee", after)
				if got, want := indexFold([]byte(padded), word), indexByByte(padded, word); got != want {
					t.Fatalf("%q: %d, want %d", padded, got, want)
				}
			}
		}
	}
}

func indexByByte(text, word string) int {
	for i := 0; i+len(word) <= len(text); i++ {
		if strings.EqualFold(text[i:i+len(word)], word) {
			return i
		}
	}
	return -1
}

func TestPolicies(t *testing.T) {
	const csp, reportOnly = "Content-Security-Policy", "Content-Security-Policy-Report-Only"
	mark := func(header http.Header) string {
		return formWith(t, Response{Header: header, MediaType: "image/png"}, "nonce")
	}
	with := func(name string, lines ...string) http.Header { return http.Header{name: lines} }
	for _, header := range []http.Header{
		with(csp, "script-src 'nonce-abc'"), with(reportOnly, "script-src 'nonce-abc'"), with(csp, "default-src 'self'", "script-src 'NONCE-abc'"),
	} {
		if mark(header) == "" {
			t.Errorf("%v does not count", header)
		}
		if got := formWith(t, Response{Header: header, MediaType: "image/png"}, "csrf"); got != "" {
			t.Errorf("%v counts without nonce", header)
		}
	}
	for _, header := range []http.Header{nil, with(csp, "script-src 'self' nonce-abc"), with("X-Policy", "'nonce-abc'")} {
		if mark(header) != "" {
			t.Errorf("%v is taken for one with a nonce", header)
		}
	}
	// What no policy has is not searched for nonces: in lower case it is of another length.
	if got := mark(with(csp, "\u0130\u0130\u0130 'nonce-abc'")); !strings.Contains(got, "'nonce-abc'") {
		t.Errorf("it counts as %q", got)
	}
	want := mark(with(csp, "a 'nonce-abc' 'self'; b 'nonce-d'"))
	for _, tt := range []struct {
		header http.Header
		same   bool
	}{
		{with(csp, "a 'nonce-x' 'self'; b 'nonce-yy=='"), true},
		{with(csp, "a 'nonce-x' 'self'; b 'nonce-'"), true},
		{with(csp, "a 'nonce-x'; b 'nonce-yy=='"), false},
		{with(csp, "a 'nonce-x' 'self'; b 'nonce-yy'; c"), false},
		{with(csp, "a 'nonce-x' 'self'; ", "b 'nonce-yy'"), false},
		{with(csp, "a 'nonce-x' 'self'; b 'nonce-yy"), false},
		{with(reportOnly, "a 'nonce-x' 'self'; b 'nonce-yy'"), false},
		{http.Header{csp: {"a 'nonce-x' 'self'; b 'nonce-d'"}, reportOnly: {"x"}}, false},
		{with(csp, "a 'nonce-x' 'self'; b 'nonce-yy' \u0130"), false},
	} {
		if got := mark(tt.header); (got == want) != tt.same {
			t.Errorf("%v: %q, the same: %t", tt.header, got, !tt.same)
		}
	}
}
