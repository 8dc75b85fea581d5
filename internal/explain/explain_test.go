package explain_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/audit"
	"github.com/conditionalcache/caddy-conditional-cache/internal/explain"
)

// page is what a server answers, for the first request (0) and the reload (1).
type page func(n int, w http.ResponseWriter, r *http.Request)

// tell has a server explained.
func tell(t *testing.T, p page, header http.Header) *explain.Story {
	t.Helper()
	n := -1
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		p(n, w, r)
	}))
	t.Cleanup(server.Close)
	options := &audit.Options{Pause: -1, Timeout: time.Minute, Header: header}
	if err := options.Check(); err != nil {
		t.Fatal(err)
	}
	u, err := audit.ParseURL(server.URL + "/page")
	if err != nil {
		t.Fatal(err)
	}
	return explain.Tell(audit.Revalidate(t.Context(), options, u))
}

// sends answers with fields, and with 304 where the reload names the tag or the date.
func sends(fields ...string) page {
	return func(_ int, w http.ResponseWriter, r *http.Request) {
		set(w, fields...)
		for condition, validator := range map[string]string{"If-None-Match": "Etag", "If-Modified-Since": "Last-Modified"} {
			if asked := r.Header.Get(condition); asked != "" && asked == w.Header().Get(validator) {
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
		_, _ = io.WriteString(w, "hello")
	}
}

// ignores answers in full whatever is asked; %d in the fields and the body is the number of the request.
func ignores(body string, fields ...string) page {
	return func(n int, w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(fields); i += 2 {
			set(w, fields[i], strings.ReplaceAll(fields[i+1], "%d", fmt.Sprint(n)))
		}
		_, _ = io.WriteString(w, strings.ReplaceAll(body, "%d", fmt.Sprint(n)))
	}
}

func set(w http.ResponseWriter, fields ...string) {
	w.Header().Set("Content-Type", "text/html")
	for i := 0; i < len(fields); i += 2 {
		w.Header().Add(fields[i], fields[i+1])
	}
}

func compressed(p page) page {
	return func(n int, w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		p(n, rec, r)
		maps.Copy(w.Header(), rec.Header())
		w.Header().Set("Content-Encoding", "gzip")
		coder := gzip.NewWriter(w)
		coder.ModTime = time.Unix(int64(n+1), 0) // another one each time
		_, _ = coder.Write(rec.Body.Bytes())
		_ = coder.Close()
	}
}

const fresh, date = "max-age=7200", "Wed, 01 Jan 2025 00:00:00 GMT"

// TestDecides: what is decided of the reload, by which rule, and what is proposed.
func TestDecides(t *testing.T) {
	for name, test := range map[string]struct {
		page        page
		notModified bool
		decided     string
		section     string
		change      string
	}{
		"by tag":  {sends("Etag", `"a"`, "Cache-Control", fresh), true, "304: the tag is the current one, so 5 bytes were not sent again.", "§13.1.2", "Nothing is to be mended"},
		"by date": {sends("Last-Modified", date, "Cache-Control", fresh), true, "304: it was not modified since", "§13.1.3", "no entity tag"},
		"tag another one": {
			ignores("hello", "Etag", `"%d"`, "Cache-Control", fresh), false,
			`200 in full, 5 bytes: the tag is another one now, "1". The content is the same as before.`, "§13.1.2", "existing replace",
		},
		"content another one": {
			ignores("hello at 10:00:0%d", "Etag", `"%d"`, "Cache-Control", fresh), false,
			`the tag is another one now, "1". The content is another one than before.`, "§13.1.2", "ignore `",
		},
		"tag not looked at": {ignores("hello", "Etag", `"a"`, "Cache-Control", fresh), false, "though the tag is the one that was asked with", "§13.1.2", "existing replace"},
		"date not looked at": {
			ignores("hello", "Last-Modified", date, "Cache-Control", fresh), false, "though Last-Modified is the date that was asked with", "§13.1.3", "conditional_cache",
		},
		"date another one":   {ignores("hello", "Last-Modified", "Wed, 01 Jan 2025 00:00:0%d GMT"), false, "Last-Modified is another one now", "§13.1.3", "last_modified remove"},
		"no tag any more":    {page: onlyFirst("Etag", `"a"`), decided: "the tag is another one now, or rather none", section: "§13.1.2", change: "existing replace"},
		"nothing to go by":   {ignores("hello", "Cache-Control", fresh), false, "without a validator there is never a 304. The content is the same as before.", "§8.8", "\nconditional_cache\n"},
		"no tag of a kind":   {ignores("hello", "Etag", "a", "Cache-Control", fresh), false, "what is no entity tag matches none", "§13.1.2", "existing repair"},
		"not kept":           {ignores("hello", "Etag", `"a"`, "Cache-Control", "no-store"), false, "nobody keeps it", "§5.2.2.5", "no-store keeps browsers"},
		"gone":               {gone, false, "Only a 200 is revalidated", "§13.2.1", "Give the URL of a page"},
		"unasked":            {always304, true, "304, though the reload had no condition", "§15.4.5", ""},
		"reload fails":       {failing, false, "The reload was answered with 500 Internal Server Error", "§15", ""},
		"compressed, stable": {compressed(ignores("hello", "Etag", `"%d"`, "Cache-Control", fresh)), false, "The content is the same as before.", "§13.1.2", "existing replace"},
	} {
		t.Run(name, func(t *testing.T) {
			story := tell(t, test.page, nil)
			decided, change := linesAbout(story, explain.Decided), linesAbout(story, explain.Change)
			if story.NotModified != test.notModified || !strings.Contains(decided, test.decided) || !strings.Contains(decided, test.section+"]") || !strings.Contains(change, test.change) {
				t.Errorf("%v\n%s\n%s", story.NotModified, decided, change)
			}
		})
	}
}

func gone(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) }

func always304(n int, w http.ResponseWriter, _ *http.Request) {
	if n > 0 {
		w.WriteHeader(http.StatusNotModified)
	}
}

func failing(n int, w http.ResponseWriter, r *http.Request) {
	if n > 0 {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	sends("Etag", `"a"`)(n, w, r)
}

// onlyFirst has a field in the first answer only.
func onlyFirst(name, value string) page {
	return func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 0 {
			w.Header().Set(name, value)
		}
		_, _ = io.WriteString(w, "hello")
	}
}

// linesAbout are the lines of one part, each with what it proposes on lines of its own.
func linesAbout(s *explain.Story, about string) string {
	var b strings.Builder
	for _, l := range s.Lines {
		if l.About == about {
			fmt.Fprintf(&b, "%s [%s]\n", l.Says, l.Section)
			if l.Caddyfile != "" {
				b.WriteString(l.Caddyfile + "\n")
			}
		}
	}
	return b.String()
}

// TestTellsWhatCame: each field that matters has its sentence.
func TestTellsWhatCame(t *testing.T) {
	for name, test := range map[string]struct {
		fields []string
		want   string
	}{
		"strong":       {[]string{"Etag", `"a"`}, `the strong entity tag "a": another answer with it has the same octets.`},
		"weak":         {[]string{"Etag", `W/"a"`}, `the weak entity tag W/"a": another answer with it is as good as this one.`},
		"ours":         {[]string{"Etag", `W/"cc1.00000000000000000000000000000000"`}, "conditional_cache has made it"},
		"no tag":       {nil, "It has no entity tag."},
		"unquoted":     {[]string{"Etag", "a"}, "ETag: a is no entity tag"},
		"date":         {[]string{"Last-Modified", date}, "It was last modified on " + date},
		"Vary":         {[]string{"Vary", "Cookie", "Vary", "Accept-Language"}, "Vary: Cookie, Accept-Language. A cache keeps"},
		"cookies":      {[]string{"Set-Cookie", "a=s3cret", "Set-Cookie", "b=s3cret; Path=/"}, "It sets cookies (a, b), which"},
		"fresh":        {[]string{"Cache-Control", fresh}, "For 2 hours a browser uses it without asking"},
		"aged":         {[]string{"Cache-Control", "max-age=60", "Age", "30"}, "For 30 seconds a browser"},
		"stale":        {[]string{"Cache-Control", "max-age=60", "Age", "70"}, "It is stale at once"},
		"Expires":      {[]string{"Expires", date}, "It is stale at once"},
		"no Expires":   {[]string{"Expires", "0"}, "It is stale at once"},
		"no-cache":     {[]string{"Cache-Control", "max-age=60, no-cache"}, "A browser asks each time before it uses it"},
		"Pragma":       {[]string{"Pragma", "no-cache"}, "no-cache. A browser asks each time" /* Go's client makes it a Cache-Control */},
		"no-store":     {[]string{"Cache-Control", "no-store"}, "Nobody may keep it"},
		"without word": {nil, "has no date to guess by"},
		"guessed":      {[]string{"Last-Modified", date}, "so browsers and caches guess by its date"},
		"no lifetime":  {[]string{"Cache-Control", "public"}, "That does not say how long it is fresh"},
		"coding":       {[]string{"Content-Encoding", "br"}, "Its content is coded: br."},
	} {
		t.Run(name, func(t *testing.T) {
			came := linesAbout(tell(t, sends(test.fields...), nil), explain.Came)
			if !strings.Contains(came, test.want) || strings.Contains(came, "s3cret") {
				t.Errorf("%s", came)
			}
		})
	}
}

// TestTellsWhatTheServerSays: in Server-Timing, else in Cache-Status, by the words of the journal.
func TestTellsWhatTheServerSays(t *testing.T) {
	for name, test := range map[string]struct {
		fields []string
		want   []string
	}{
		"timing": {
			[]string{"Server-Timing", `db;dur=53, cc;desc="tagged none_matched"`, "Server-Timing", `cc-mem;desc="miss: personal, not remembered: set_cookie"`},
			[]string{
				"Of the first answer the server says tagged, none_matched: If-None-Match names other tags.",
				"The first answer did not come from memory, personal: who asks has credentials",
				"Nothing was remembered of the first answer, set_cookie: the response sets a cookie",
			},
		},
		"hit": {[]string{"Server-Timing", `cc;desc="not_modified remembered", cc-mem;desc="hit"`}, []string{"came from memory: the upstream was not asked"}},
		"status": {
			[]string{"Cache-Status", `"a, b"; hit, Caddy;fwd=bypass;fwd-status=200;detail="tagged no_condition"`},
			[]string{`a cache says "a, b"; hit.`, `a cache says Caddy;fwd=bypass;fwd-status=200;detail="tagged no_condition": the request has no condition.`},
		},
		"others": {[]string{"Server-Timing", `cc;desc="unknown word", total;dur=1`}, []string{""}},
		"none":   {nil, []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			said := linesAbout(tell(t, sends(append(test.fields, "Etag", `"a"`)...), nil), explain.Server)
			for _, want := range test.want {
				if !strings.Contains(said, want) || want == "" && said != "" {
					t.Errorf("%s\nwant %s", said, want)
				}
			}
		})
	}
}

// TestCookiesOfForms: of a page that has a token in it, it is not said that ignoring its cookie would help, and of others it is.
func TestCookiesOfForms(t *testing.T) {
	const tail, hint = "ignoring it does not help, as the page has the token of a form in it", "ignore_set_cookie names those that are not"
	mask := func(n int) string { return strings.Repeat(string(rune('a'+n)), 64) } // as Django has it
	form := func(n int) string {
		return `<form method="post"><input type="hidden" name="csrfmiddlewaretoken" value="` + mask(n) + `"></form>`
	}
	for name, test := range map[string]struct {
		body      func(n int) string
		want, not string
	}{
		"a form":    {form, tail, hint},
		"no form":   {func(int) string { return "hello" }, hint, tail},
		"no tokens": {func(int) string { return `<form method="get"><input name="q"></form>` }, hint, tail},
	} {
		t.Run(name, func(t *testing.T) {
			story := tell(t, func(n int, w http.ResponseWriter, _ *http.Request) {
				set(w, "Etag", `"a"`, "Set-Cookie", "csrftoken="+strings.Repeat("s", 32), "Server-Timing", `cc;desc="tagged no_condition", cc-mem;desc="miss: conditions, not remembered: set_cookie"`)
				_, _ = io.WriteString(w, test.body(n))
			}, nil)
			said := linesAbout(story, explain.Server)
			if !strings.Contains(said, "set_cookie: the response sets a cookie that may be somebody's; "+test.want) || strings.Contains(said, test.not) {
				t.Errorf("%s", said)
			}
		})
	}
}

// TestHidesSecrets: what the user has given is not repeated, nor does a server steer the terminal.
func TestHidesSecrets(t *testing.T) {
	story := tell(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"`+r.Header.Get("X-Key")+`"`)
		w.Header().Set("Cache-Control", "max-age=1, key="+r.Header.Get("X-Key"))
	}, http.Header{"X-Key": {"header-s3cret"}})
	var text strings.Builder
	if err := explain.Text(&text, story, false); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text.String(), "s3cret") || !strings.Contains(text.String(), "[hidden]") || strings.Contains(text.String(), "\x1b") {
		t.Errorf("%s", &text)
	}
}

// TestText: parts in their order, each with a title, and what was inserted where it belongs.
func TestText(t *testing.T) {
	story := &explain.Story{Lines: []explain.Line{
		{About: explain.Asked, Says: "One."},
		{About: explain.Change, Says: "Three.", Section: "RFC 9110 §1", Caddyfile: "conditional_cache {\n\tetag off\n}"},
	}}
	story.Insert(explain.Counters, []string{"Two."})
	want := "What was asked\n  One.\n\nWhat was counted\n  Two.\n\nWhat would change it\n  Three. [RFC 9110 §1]\n    conditional_cache {\n    \tetag off\n    }\n"
	var plain, coloured strings.Builder
	if err := explain.Text(&plain, story, false); err != nil || plain.String() != want {
		t.Errorf("%v\n%s\nwant\n%s", err, &plain, want)
	}
	if err := explain.Text(&coloured, story, true); err != nil || !strings.Contains(coloured.String(), "\x1b[1mWhat was asked\x1b[0m") {
		t.Errorf("%v\n%q", err, &coloured)
	}
}
