package truth

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// noon is when the request of each test begins; it ends a second later.
var noon = time.Date(2025, 1, 1, 12, 0, 0, 0, time.UTC)

func at(seconds float64) func() time.Time {
	return func() time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }
}

var (
	remembers = &Site{Name: "site", Window: 10 * time.Second, Strong: true}
	personal  = &Style{Name: "own", Personal: true, Dated: true}
)

// known is a place of three versions: the first until a minute before noon, the second until five seconds before, or until
// half a second after. Of each the user "ann" has got a tag and a date; "bob" has one tag.
func known(t *testing.T, last float64) *Page {
	t.Helper()
	place := NewPlace(remembers, "/page", personal, noon.Add(-time.Hour))
	ann, bob := place.Of("ann"), place.Of("bob")
	ann.Change(at(-60), false)
	ann.Change(at(last), false)
	for n, tag := range []string{`"zero"`, `"one"`, `"two"`} {
		if problem := ann.keep(n, tag, DateText(n)); problem != "" {
			t.Fatal(problem)
		}
	}
	if problem := bob.keep(0, `"bob"`, DateText(0)); problem != "" {
		t.Fatal(problem)
	}
	return ann
}

// said is an answer: its fields are names and values in turn.
func said(status int, body string, fields ...string) *Answer {
	return &Answer{Status: status, Header: header(fields), Body: body, End: noon.Add(time.Second)}
}

func header(fields []string) http.Header {
	h := make(http.Header)
	for i := 0; i < len(fields); i += 2 {
		h.Add(fields[i], fields[i+1])
	}
	return h
}

func asked(page *Page, method string, fields ...string) *Request {
	return &Request{Page: page, Method: method, Header: header(fields), Start: noon, Settled: page.Settled()}
}

// wants checks a judgement: empty, or with some words in it.
func wants(t *testing.T, name, got, want string) {
	t.Helper()
	if (want == "") != (got == "") || !strings.Contains(got, want) {
		t.Errorf("%s: judged %q, want %q", name, got, want)
	}
}

func TestWholeAnswers(t *testing.T) {
	page := known(t, 0.5) // so that versions 1 and 2 were current
	other := NewPlace(remembers, "/other", personal, noon.Add(-time.Hour)).Of("ann")
	for name, tt := range map[string]struct {
		q    *Request
		a    *Answer
		want string
	}{
		"the version before":   {asked(page, "GET"), said(200, page.Text(1), "Etag", `"one"`), ""},
		"the version after":    {asked(page, "GET"), said(200, page.Text(2), "Etag", `"two"`, StampField, "ann 2"), ""},
		"an outdated version":  {asked(page, "GET"), said(200, page.Text(0)), "version 0; current were 1 to 2"},
		"another URL's":        {asked(page, "GET"), said(200, other.Text(0)), "another URL"},
		"another user's":       {asked(page, "GET"), said(200, page.Place.Of("bob").Text(0)), "another user"},
		"truncated":            {asked(page, "GET"), said(200, page.Text(1)[:80]), "not the whole"},
		"nothing":              {asked(page, "GET"), said(200, ""), "nobody has sent"},
		"the tag of another":   {asked(page, "GET"), said(200, page.Text(2), "Etag", `"one"`), "one tag"},
		"the date of another":  {asked(page, "GET"), said(200, page.Text(2), "Last-Modified", DateText(1)), "not its own"},
		"the head of another":  {asked(page, "GET"), said(200, page.Text(2), StampField, "ann 1"), "before the content"},
		"though it is named":   {asked(page, "GET", "If-None-Match", `"x", W/"two"`), said(200, page.Text(2), "Etag", `"two"`), "names its tag"},
		"HEAD":                 {asked(page, "HEAD"), said(200, "", StampField, "ann 2", "Etag", `"two"`), ""},
		"HEAD of an old one":   {asked(page, "HEAD"), said(200, "", StampField, "ann 0"), "current were"},
		"HEAD with content":    {asked(page, "HEAD"), said(200, "x"), "there must be none"},
		"a piece of it":        {asked(page, "GET"), &Answer{Status: 200, Body: page.Text(1)[:80], End: noon, Broken: true}, ""},
		"a piece of another's": {asked(page, "GET"), &Answer{Status: 200, Body: page.Place.Of("bob").Text(0)[:80], End: noon, Broken: true}, "another user"},
		"an error":             {asked(page, "GET"), said(502, ""), "was well"},
		"an error's error":     {&Request{Page: page, Method: "GET", Start: noon, Faulty: true}, said(502, ""), ""},
		"another has left":     {asked(page, "GET"), said(499, ""), ""},
		"499 with a text":      {asked(page, "GET"), said(499, "x"), "nobody has sent"},
		"418":                  {asked(page, "GET"), said(418, ""), "nobody has sent"},
		"404":                  {asked(page, "GET"), said(404, ""), "all the time"},
		"412 for nothing":      {asked(page, "GET"), said(412, ""), "nobody has asked for"},
	} {
		wants(t, name, Judge(tt.q, tt.a), tt.want)
	}
}

func TestNotModified(t *testing.T) {
	page := known(t, -5)
	memory := []string{ByField, "not_modified remembered"}
	settled := asked(page, "GET", "If-None-Match", `"one"`)
	settled.Settled = 2
	replacing := asked(page, "GET", "If-None-Match", `"one"`)
	replacing.Settled, replacing.Replacing = 2, true
	for name, tt := range map[string]struct {
		q    *Request
		a    *Answer
		want string
	}{
		"a tag":                    {asked(page, "GET", "If-None-Match", `"two"`), said(304, "", "Etag", `"two"`), ""},
		"in another form":          {asked(page, "GET", "If-None-Match", `"x", W/"two-gzip"`), said(304, "", "Etag", `"two"`), ""},
		"a date":                   {asked(page, "GET", "If-Modified-Since", DateText(2)), said(304, ""), ""},
		"nobody has asked":         {asked(page, "GET"), said(304, ""), "nobody has asked for"},
		"rubbish":                  {asked(page, "GET", "If-Modified-Since", "today"), said(304, ""), "nobody has asked for"},
		"content":                  {asked(page, "GET", "If-None-Match", `"two"`), said(304, "x", "Etag", `"two"`), "there must be none"},
		"another tag":              {asked(page, "GET", "If-None-Match", `"one"`), said(304, "", "Etag", `"two"`), "asked about"},
		"no tag":                   {asked(page, "GET", "If-None-Match", `"two"`), said(304, ""), "does not say"},
		"a tag that nobody has":    {asked(page, "GET", "If-None-Match", `"x"`), said(304, "", "Etag", `"x"`), "nobody has seen"},
		"another user's":           {asked(page, "GET", "If-None-Match", `"bob"`), said(304, "", "Etag", `"bob"`), `the page of user "bob"`},
		"outdated":                 {asked(page, "GET", "If-None-Match", `"one"`), said(304, "", "Etag", `"one"`), "a 304 for version 1"},
		"an outdated date":         {asked(page, "GET", "If-Modified-Since", DateText(1)), said(304, ""), "a 304 for version 1"},
		"by the head of another":   {asked(page, "GET", "If-None-Match", `"two"`), said(304, "", "Etag", `"two"`, StampField, "ann 1"), "upon the head"},
		"from memory":              {asked(page, "GET", "If-None-Match", `"one"`), said(304, "", append(memory, "Etag", `"one"`)...), ""},
		"from memory, settled":     {settled, said(304, "", append(memory, "Etag", `"one"`)...), "was acknowledged before"},
		"from another memory":      {replacing, said(304, "", append(memory, "Etag", `"one"`)...), ""},
		"from memory for too long": {asked(page, "GET", "If-None-Match", `"zero"`), said(304, "", append(memory, "Etag", `"zero"`)...), "overwritten 1m0s before"},
		"with a nonce": {
			asked(page, "GET", "If-None-Match", `"two"`), said(304, "", "Etag", `"two"`, "Content-Security-Policy", "script-src 'nonce-1'"), "the nonce",
		},
	} {
		wants(t, name, Judge(tt.q, tt.a), tt.want)
	}
}

func TestParts(t *testing.T) {
	page := known(t, -5)
	text, size := page.Text(2), len(page.Text(2))
	old := page.Text(1)
	ranged := []string{"Content-Range", "bytes 0-9/" + strconv.Itoa(size)}
	several := "--b\r\nContent-Range: bytes 0-9/" + strconv.Itoa(size) + "\r\n\r\n" + text[:10] + "\r\n--b\r\nContent-Range: bytes 20-59/" + strconv.Itoa(size) + "\r\n\r\n"
	for name, tt := range map[string]struct {
		q    *Request
		a    *Answer
		want string
	}{
		"a part":              {asked(page, "GET", "Range", "x"), said(206, text[:10], ranged...), ""},
		"that was not asked":  {asked(page, "GET"), said(206, text[:10], ranged...), "nobody has asked for"},
		"of another place":    {asked(page, "GET", "Range", "x"), said(206, text[1:11], ranged...), "parts of none"},
		"too short":           {asked(page, "GET", "Range", "x"), said(206, text[:9], ranged...), "not about its content"},
		"of an old version":   {asked(page, "GET", "Range", "x"), said(206, old[60:100], "Content-Range", "bytes 60-99/"+strconv.Itoa(len(old))), "parts of none"},
		"by If-Range":         {asked(page, "GET", "Range", "x", "If-Range", `"two"`), said(206, text[:10], ranged...), ""},
		"by a false If-Range": {asked(page, "GET", "Range", "x", "If-Range", `"one"`), said(206, text[:10], ranged...), "does not name"},
		"by a weak If-Range":  {asked(page, "GET", "Range", "x", "If-Range", `W/"two"`), said(206, text[:10], ranged...), "does not name"},
		"by a date":           {asked(page, "GET", "Range", "x", "If-Range", DateText(1)), said(206, text[:10], ranged...), "does not name"},
		"another's tag":       {asked(page, "GET", "Range", "x"), said(206, text[:10], append(ranged, "Etag", `"one"`)...), "one tag"},
		"several":             {asked(page, "GET", "Range", "x"), said(206, several+text[20:60]+"\r\n--b--\r\n", "Content-Type", "multipart/byteranges; boundary=b"), ""},
		"several, one wrong":  {asked(page, "GET", "Range", "x"), said(206, several+text[21:61]+"\r\n--b--\r\n", "Content-Type", "multipart/byteranges; boundary=b"), "parts of none"},
		"several, cut off":    {asked(page, "GET", "Range", "x"), said(206, several, "Content-Type", "multipart/byteranges; boundary=b"), "not about its content"},
		"416":                 {asked(page, "GET", "Range", "x"), said(416, "", "Content-Range", "bytes */"+strconv.Itoa(size)), ""},
		"416 of another":      {asked(page, "GET", "Range", "x"), said(416, "", "Content-Range", "bytes */1"), "nothing has had"},
	} {
		wants(t, name, Judge(tt.q, tt.a), tt.want)
	}
}

func TestWrites(t *testing.T) {
	for name, tt := range map[string]struct {
		base   *Base
		made   bool
		status int
		want   string
	}{
		"acknowledged":               {&Base{Version: 2}, true, 204, ""},
		"acknowledged, and not done": {&Base{Version: 2}, false, 204, "not done"},
		"refused, and done":          {&Base{Version: 1}, true, 412, "done all the same"},
		"refused":                    {&Base{Version: 1}, false, 412, ""},
		"wrongly refused":            {&Base{Version: 2}, false, 412, "what is current"},
		"428 for nothing":            {&Base{Version: 2}, false, 428, "with a condition"},
		"428":                        {nil, false, 428, ""},
		"an error":                   {&Base{Version: 2}, false, 503, ""},
	} {
		page := known(t, -5)
		q := asked(page, "PUT")
		q.Write = &Write{Page: page, Base: tt.base}
		if tt.made {
			q.Write.Done(2)
		}
		wants(t, name, Judge(q, said(tt.status, "")), tt.want)
	}
}

func TestEdits(t *testing.T) {
	page := known(t, -5)
	if _, problem := page.ChangeUpon(Base{Version: 1}, at(0), false); !strings.Contains(problem, "lost update") {
		t.Errorf("upon what is no more: %q", problem)
	}
	if n, problem := page.ChangeUpon(Base{Version: 2}, at(0), true); n != 3 || problem != "" {
		t.Errorf("upon what is there: %d, %q", n, problem)
	}
	if n, problem := page.ChangeUpon(Base{Gone: true}, at(0), false); n != 4 || problem != "" {
		t.Errorf("upon nothing: %d, %q", n, problem)
	}
	if _, problem := page.ChangeUpon(Base{Gone: true}, at(0), false); !strings.Contains(problem, "lost update") {
		t.Errorf("upon nothing, where something is: %q", problem)
	}
}

// A write is settled when it is done and answered, whichever is first.
func TestSettledWrites(t *testing.T) {
	page := known(t, -5)
	first, second := &Write{Page: page}, &Write{Page: page}
	first.Done(1)
	second.Answered()
	if n := page.Settled(); n != 0 {
		t.Errorf("settled is %d", n)
	}
	second.Done(2)
	first.Answered()
	if n := page.Settled(); n != 2 {
		t.Errorf("settled is %d, want 2", n)
	}
}

// A form is its user's, whatever the mask.
func TestForms(t *testing.T) {
	place := NewPlace(&Site{Name: "site"}, "/form", &Style{Form: true, Personal: true}, noon.Add(-time.Hour))
	ann := place.Of("ann")
	page := ann.WithToken(ann.Text(0), "abc")
	wants(t, "hers", Judge(asked(ann, "GET"), said(200, page)), "")
	wants(t, "another's token", Judge(asked(ann, "GET"), said(200, place.Of("bob").WithToken(ann.Text(0), "abc"))), "dead token")
	if page == ann.WithToken(ann.Text(0), "abc") {
		t.Error("two answers with one token")
	}
}

// Names of tags are the same in all forms.
func TestNames(t *testing.T) {
	digest := "cc1." + strings.Repeat("0", 32)
	for _, tag := range []string{`"` + digest + `"`, `W/"` + digest + `.abc"`, `"` + digest + `.abc.def-gzip"`} {
		if got := nameOf(tag); got != digest {
			t.Errorf("%s is named %s", tag, got)
		}
	}
}

// Any finds what a user has, and sometimes what another one has.
func TestAny(t *testing.T) {
	page := known(t, -5)
	rnd := rand.New(rand.NewPCG(1, 1))
	users := make(map[string]int)
	for range 200 {
		s, _ := page.Place.Any("bob", rnd)
		users[s.Page.User]++
	}
	if users["bob"] < 50 || users["ann"] < 20 {
		t.Errorf("found are %v", users)
	}
}
