package integration

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// freshnessRows are what operators say.
var freshnessRows = []string{
	"public, max-age=3600, s-maxage=7200", "private, max-age=3600, immutable", "no-cache", "no-store", "s-maxage=7200",
	`private="X-User", max-age=3600`, "max-age=3600, stale-while-revalidate=86400, stale-if-error=86400", "must-revalidate, max-age=0",
}

// freshnessUpstreams are what upstreams say of how long an answer is fresh. Dates are whole seconds from now.
var freshnessUpstreams = map[string]func(now func(int) string) headerLines{
	"nothing": func(func(int) string) headerLines { return nil },
	"Cache-Control only": func(func(int) string) headerLines {
		return headerLines{"Cache-Control": {"max-age=600, must-revalidate"}}
	},
	"Expires only": func(now func(int) string) headerLines {
		return headerLines{"Date": {now(0)}, "Expires": {now(600)}}
	},
	"both, contradicting": func(now func(int) string) headerLines {
		return headerLines{"Date": {now(0)}, "Expires": {now(90000)}, "Cache-Control": {"max-age=600"}}
	},
	"Expires to come beside no-store": func(now func(int) string) headerLines {
		return headerLines{"Date": {now(0)}, "Expires": {now(600)}, "Cache-Control": {"no-store"}}
	},
	"past Expires beside a long max-age": func(now func(int) string) headerLines {
		return headerLines{"Date": {now(0)}, "Expires": {now(-600)}, "Cache-Control": {"max-age=86400"}}
	},
	"Age": func(now func(int) string) headerLines {
		return headerLines{"Date": {now(-100)}, "Age": {"100"}, "Cache-Control": {"max-age=600"}}
	},
	"Age alone": func(now func(int) string) headerLines { return headerLines{"Date": {now(-100)}, "Age": {"100"}} },
	"Date an hour behind": func(now func(int) string) headerLines {
		return headerLines{"Date": {now(-3600)}, "Expires": {now(-3000)}}
	},
	"Date an hour ahead": func(now func(int) string) headerLines {
		return headerLines{"Date": {now(3600)}, "Expires": {now(4200)}, "Cache-Control": {"s-maxage=30"}}
	},
	"Date an hour ahead, nothing else": func(now func(int) string) headerLines { return headerLines{"Date": {now(3600)}} },
	"no Date":                          func(now func(int) string) headerLines { return headerLines{"Date": nil, "Expires": {now(600)}} },
	"two Dates": func(now func(int) string) headerLines {
		return headerLines{"Date": {now(0), now(-3600)}, "Cache-Control": {"max-age=60"}}
	},
	"two Expires": func(now func(int) string) headerLines {
		return headerLines{"Date": {now(0)}, "Expires": {now(900), now(600)}}
	},
	"Expires: 0":  func(func(int) string) headerLines { return headerLines{"Expires": {"0"}} },
	"Expires: -1": func(func(int) string) headerLines { return headerLines{"Expires": {"-1"}, "Cache-Control": {"public"}} },
	"a lone Pragma": func(func(int) string) headerLines {
		return headerLines{"Pragma": {"no-cache"}}
	},
	"Pragma beside Cache-Control": func(func(int) string) headerLines {
		return headerLines{"Pragma": {"no-cache"}, "Cache-Control": {"max-age=60"}}
	},
	"several lines": func(func(int) string) headerLines {
		return headerLines{"Cache-Control": {"max-age=900", "private", "max-age=600, must-revalidate"}}
	},
	"an empty line first": func(func(int) string) headerLines { return headerLines{"Cache-Control": {"", "no-cache"}} },
	"a qualified no-cache": func(func(int) string) headerLines {
		return headerLines{"Cache-Control": {`no-cache="Set-Cookie", max-age=60`}}
	},
	"a qualified private": func(func(int) string) headerLines {
		return headerLines{"Cache-Control": {`private="X-User, X-Cart", max-age=60`}}
	},
	"a quoted comma": func(func(int) string) headerLines {
		return headerLines{"Cache-Control": {`ext="a, no-store, max-age=5", max-age=60`}}
	},
	"a quoted quote": func(func(int) string) headerLines {
		return headerLines{"Cache-Control": {`ext="a\", no-store", max-age=60`}}
	},
	"an open quote":  func(func(int) string) headerLines { return headerLines{"Cache-Control": {`ext="a, no-store`}} },
	"upper case":     func(func(int) string) headerLines { return headerLines{"Cache-Control": {"PRIVATE, MAX-AGE=60"}} },
	"quoted seconds": func(func(int) string) headerLines { return headerLines{"Cache-Control": {`max-age="60"`}} },
	"twice":          func(func(int) string) headerLines { return headerLines{"Cache-Control": {"max-age=60, max-age=30"}} },
	"twice, malformed": func(func(int) string) headerLines {
		return headerLines{"Cache-Control": {"max-age=60, max-age=x"}}
	},
	"negative":   func(func(int) string) headerLines { return headerLines{"Cache-Control": {"max-age=-1"}} },
	"huge":       func(func(int) string) headerLines { return headerLines{"Cache-Control": {"max-age=99999999999"}} },
	"s-maxage=0": func(func(int) string) headerLines { return headerLines{"Cache-Control": {"s-maxage=0, public"}} },
	"blanks around =": func(func(int) string) headerLines {
		return headerLines{"Cache-Control": {"max-age = 60, private"}}
	},
	"stale use": func(func(int) string) headerLines {
		return headerLines{"Cache-Control": {"max-age=60, stale-while-revalidate=30, stale-if-error=86400"}}
	},
	"must-understand": func(func(int) string) headerLines {
		return headerLines{"Cache-Control": {"must-understand, no-store, max-age=60"}}
	},
}

// unlimited is the lifetime that nobody has said.
const unlimited = math.MaxInt64

// heard is what a careful recipient takes from a response's fields: RFC 9111 §4.2.1 and §5.2.2, the stricter of what is
// said twice. It shares no code with the module.
type heard struct {
	noStore, private, noCache bool     // private and no-cache without field names
	lifetime, shared          int64    // seconds; of private and of shared caches
	words                     []string // all names
	explicit                  bool
}

func (v heard) says(word string) bool { return slices.Contains(v.words, word) }

func hear(h http.Header, now time.Time) heard {
	v := heard{lifetime: unlimited, shared: unlimited}
	maxAge, sMaxAge := int64(-1), int64(-1)
	for _, member := range membersOf(strings.Join(h["Cache-Control"], ",")) {
		name, value, _ := strings.Cut(member, "=")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.Trim(strings.TrimSpace(value), `"`)
		v.words = append(v.words, name)
		v.explicit = true
		switch name {
		case "no-store":
			v.noStore = true
		case "private":
			v.private = v.private || value == ""
		case "no-cache":
			v.noCache = v.noCache || value == ""
		case "max-age":
			maxAge = stricter(maxAge, value)
		case "s-maxage":
			sMaxAge = stricter(sMaxAge, value)
		}
	}
	if v.says("must-understand") {
		v.noStore = false
	}
	if maxAge < 0 {
		maxAge = expiresLifetime(h, now)
	}
	v.explicit = v.explicit || maxAge >= 0
	if maxAge >= 0 {
		v.lifetime, v.shared = maxAge, maxAge
	}
	if sMaxAge >= 0 {
		v.shared = sMaxAge
	}
	if v.noCache || v.noStore {
		v.lifetime, v.shared = 0, 0
	}
	return v
}

// expiresLifetime is what Expires says: of several the first to come, 0 for what is no date, -1 for nothing.
func expiresLifetime(h http.Header, now time.Time) int64 {
	least := int64(-1)
	if strings.TrimSpace(strings.Join(h["Expires"], "")) == "" {
		return least
	}
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil || len(h["Date"]) != 1 {
		date = now
	}
	for _, line := range h["Expires"] {
		seconds := int64(0)
		if expires, err := http.ParseTime(line); err == nil {
			seconds = max(0, int64(expires.Sub(date)/time.Second))
		}
		least = stricter(least, strconv.FormatInt(seconds, 10))
	}
	return least
}

// stricter is the shorter of a lifetime that is known, -1 for none, and one as written. What is no number is 0.
func stricter(known int64, value string) int64 {
	seconds := int64(0)
	if value != "" && strings.Trim(value, "0123456789") == "" {
		seconds = math.MaxInt32
		if n, err := strconv.ParseInt(value, 10, 32); err == nil {
			seconds = n
		}
	}
	if known < 0 {
		return seconds
	}
	return min(known, seconds)
}

// membersOf cuts at commas outside of quotes; a quote that is never closed is none.
func membersOf(s string) (members []string) {
	var member strings.Builder
	flush := func() {
		if text := strings.TrimSpace(member.String()); text != "" {
			members = append(members, text)
		}
		member.Reset()
	}
	for i := 0; i < len(s); i++ {
		if s[i] == '"' {
			end := i + 1
			for end < len(s) && s[end] != '"' {
				if s[end] == '\\' {
					end++
				}
				end++
			}
			if end < len(s) {
				member.WriteString(s[i : end+1])
				i = end
				continue
			}
		}
		if s[i] == ',' {
			flush()
			continue
		}
		member.WriteByte(s[i])
	}
	flush()
	return members
}

// TestFreshnessAgrees holds every treatment of every upstream against RFC 9111 §4.2 and §5.2, with a reading of its own:
// what is kept is kept to the letter, what is replaced says what the row says, what is joined is no looser than either
// side; Cache-Control and Expires say the same, counted from Date; Date and Age stay; errors are left alone unless a
// matcher names them.
func TestFreshnessAgrees(t *testing.T) {
	o := startOrigin(t)
	port := freePort(t)
	sites := freshnessSites()
	config := make([]string, len(sites))
	for i, site := range sites {
		config[i] = site.config(i)
	}
	runCaddy(t, fmt.Sprintf("http://:%d {\n%s\nreverse_proxy %s\n}", port, strings.Join(config, "\n"), o.addr()))
	for name, upstream := range ordered(freshnessUpstreams) {
		t.Run(name, func(t *testing.T) {
			c, err := dialCase(port)
			if err != nil {
				t.Fatal(err)
			}
			defer c.close()
			for i, site := range sites {
				for _, trial := range freshnessTrials {
					trial.run(t, freshnessExchange{o, c, strconv.Itoa(i), site}, upstream)
				}
			}
		})
	}
}

// freshnessSite is a configuration.
type freshnessSite struct {
	row, existing, expires string
	errors                 bool // the row is for 404 and 500
}

func freshnessSites() (all []freshnessSite) {
	for _, existing := range []string{"keep", "merge", "replace"} {
		for _, row := range freshnessRows {
			all = append(all, freshnessSite{row: row, existing: existing, expires: "auto"})
		}
		all = append(all,
			freshnessSite{row: freshnessRows[0], existing: existing, expires: "off"},
			freshnessSite{row: freshnessRows[0], existing: existing, expires: "auto", errors: true})
	}
	return all
}

func (s freshnessSite) config(i int) string {
	row := "cache_control"
	if s.errors {
		row = "@errors status 404 500\ncache_control @errors"
	}
	return fmt.Sprintf("conditional_cache /case/%d/* {\n%s `%s` {\nexisting %s\n}\nexpires %s\n}",
		i, row, s.row, s.existing, s.expires)
}

// freshnessTrial is a kind of answer.
type freshnessTrial struct {
	status   int
	personal string // "": nobody's
}

var freshnessTrials = []freshnessTrial{
	{status: 200},
	{status: 200, personal: "Authorization"},
	{status: 200, personal: "Set-Cookie"},
	{status: 206},
	{status: 304},
	{status: 404},
	{status: 404, personal: "Set-Cookie"},
	{status: 500},
}

// freshnessExchange is where a trial is made.
type freshnessExchange struct {
	origin *origin
	client *caseClient
	key    string
	site   freshnessSite
}

func (f freshnessTrial) run(t *testing.T, x freshnessExchange, upstream func(func(int) string) headerLines) {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	sent := headerLines{"Content-Type": {"text/plain"}}
	maps.Copy(sent, upstream(func(seconds int) string { return now.Add(time.Duration(seconds) * time.Second).Format(http.TimeFormat) }))
	request := caseRequest{Method: http.MethodGet, Headers: headerLines{}}
	switch f.personal {
	case "Authorization":
		request.Headers["Authorization"] = lines{"Basic dTpw"}
	case "Set-Cookie":
		sent["Set-Cookie"] = lines{"a=1"}
	}
	switch f.status {
	case http.StatusNotModified:
		sent["Etag"], request.Headers["If-None-Match"] = lines{`"x"`}, lines{`"x"`}
	case http.StatusPartialContent:
		sent["Content-Range"], request.Headers["Range"] = lines{"bytes 0-3/10"}, lines{"bytes=0-3"}
	}
	x.origin.answer(x.key, originAnswer{Status: f.status, Headers: sent, Body: "body"})
	response, err := x.client.send(request, x.key)
	if err != nil {
		t.Fatal(err)
	}
	got := http.Header{}
	for _, one := range response.fields {
		got.Add(one.name, one.value)
	}
	for _, problem := range f.problems(x.site, asRead(sent), got, now) {
		t.Errorf("%+v, %+v: %s\nsent %v\ngot  %v", x.site, f, problem, sent, got)
	}
	if response.status != f.status {
		t.Errorf("%+v: status %d, want %d", x.site, response.status, f.status)
	}
}

// asRead is what reverse_proxy reads: net/http puts a Cache-Control beside a lone Pragma that says the same.
func asRead(sent headerLines) http.Header {
	h := http.Header{}
	for name, values := range sent {
		if len(values) > 0 {
			h[name] = values
		}
	}
	if h.Get("Pragma") == "no-cache" && h["Cache-Control"] == nil {
		h.Set("Cache-Control", "no-cache")
	}
	return h
}

// problems says what is not as it should be.
func (f freshnessTrial) problems(site freshnessSite, sent, got http.Header, now time.Time) (found []string) {
	if dates := sent["Date"]; len(dates) == 1 && !slices.Equal(got["Date"], dates) {
		found = append(found, "Date is another")
	}
	if !slices.Equal(got["Age"], sent["Age"]) {
		found = append(found, "Age is another")
	}
	up, failed := hear(sent, now), f.status >= 400
	switch {
	case failed != site.errors, site.existing == "keep" && up.explicit, site.existing != "replace" && !up.explicit && f.status == http.StatusNotModified:
		for _, name := range []string{"Cache-Control", "Expires", "Pragma"} {
			if !slices.Equal(got[name], sent[name]) {
				found = append(found, name+" is touched")
			}
		}
	default:
		result := hear(got, now)
		found = append(found, f.wordProblems(site, sent, got, result)...)
		found = append(found, f.lifetimeProblems(site, up, result)...)
		found = append(found, expiresProblems(site, got, result)...)
	}
	return found
}

// restrictions are words that merge never loses. no-store may stand for the others.
var restrictions = []string{"no-cache", "private", "must-revalidate", "proxy-revalidate", "no-transform"}

// wordProblems is about the directives that have no lifetime.
func (f freshnessTrial) wordProblems(site freshnessSite, sent, got http.Header, result heard) (found []string) {
	note := func(when bool, format string, args ...any) {
		if when {
			found = append(found, fmt.Sprintf(format, args...))
		}
	}
	note(len(got["Cache-Control"]) != 1, "%d lines of Cache-Control", len(got["Cache-Control"]))
	said := got.Get("Cache-Control")
	if site.existing == "replace" {
		note(said != site.row, "not the row")
		note(got["Pragma"] != nil, "Pragma is left")
		return found
	}
	shared := result.says("public") || result.says("s-maxage")
	note(f.personal != "" && (shared || !result.private), "shares what is one user's")
	note(result.private && shared, "private, and shared")
	up, row := hear(sent, time.Time{}), hear(http.Header{"Cache-Control": {site.row}}, time.Time{})
	note(result.noStore != (up.noStore || row.noStore), "no-store: %t", result.noStore)
	for _, side := range []heard{up, row} {
		for _, word := range restrictions {
			note(!result.noStore && side.says(word) && !result.says(word), "%s is lost", word)
		}
		note(!result.noStore && (side.private && !result.private || side.noCache && !result.noCache), "private or no-cache is qualified now")
	}
	for _, member := range membersOf(strings.Join(sent["Cache-Control"], ",")) {
		verbatim := strings.HasPrefix(member, "ext=") && strings.Count(member, `"`) > 1
		note(verbatim && !strings.Contains(said, member), "%s is not verbatim", member)
	}
	return found
}

// lifetimeProblems: how long a response is fresh is what the row says, or the shorter of both.
func (f freshnessTrial) lifetimeProblems(site freshnessSite, up, result heard) (found []string) {
	want := hear(http.Header{"Cache-Control": {site.row}}, time.Time{})
	if site.existing == "merge" {
		want.lifetime, want.shared = min(want.lifetime, up.lifetime), min(want.shared, up.shared)
	}
	if result.lifetime != want.lifetime {
		found = append(found, fmt.Sprintf("fresh for %d, want %d", result.lifetime, want.lifetime))
	}
	if !result.private && result.shared != want.shared {
		found = append(found, fmt.Sprintf("fresh in shared caches for %d, want %d", result.shared, want.shared))
	}
	return found
}

// expiresProblems: what HTTP/1.0 reads is what the others read.
func expiresProblems(site freshnessSite, got http.Header, result heard) (found []string) {
	if len(got["Expires"]) == 0 {
		if site.expires == "auto" && result.lifetime != unlimited {
			found = append(found, "no Expires")
		}
		return found
	}
	date, err := http.ParseTime(got.Get("Date"))
	if err != nil || len(got["Date"]) != 1 {
		return []string{"no Date to count from"}
	}
	seconds := int64(0)
	for _, line := range got["Expires"] {
		if at, err := http.ParseTime(line); err == nil {
			seconds = max(seconds, int64(at.Sub(date)/time.Second))
		}
	}
	lifetime := result.lifetime
	if result.says("no-store") {
		lifetime = 0 // whatever must-understand says to others
	}
	switch {
	case site.expires == "off" && site.existing == "replace":
		found = append(found, "an Expires under off")
	case site.expires == "off" && seconds > lifetime, site.expires == "auto" && (seconds != lifetime || len(got["Expires"]) != 1):
		found = append(found, fmt.Sprintf("Expires says %d, Cache-Control %d", seconds, lifetime))
	}
	return found
}

// TestNginxExpiresModified: an hour after its Last-Modified a page is stale, however often nginx has said 304 since,
// asked by its own tag or, for a tag of ours, by date. nginx's own `expires modified` says the same of both.
func TestNginxExpiresModified(t *testing.T) {
	pages := newPageFolder(t)
	nginx := runNginx(t, "expires.conf", pages.dir)
	port := freePort(t)
	runCaddy(t, fmt.Sprintf(`http://localhost:%d {
	conditional_cache {
		cache_control /untagged/* public
		expires modified 1h
	}
	reverse_proxy %s
}`, port, nginx))
	c := plainClient(t, port)
	c.acceptEncoding = "identity" // or our tag would be weak on the 200 only
	for _, age := range []time.Duration{10 * time.Minute, time.Hour - time.Second, 2 * time.Hour} {
		modified := time.Now().Add(-age).Truncate(time.Second)
		if err := os.Chtimes(filepath.Join(pages.dir, "page.html"), modified, modified); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/native/page.html", "/page.html", "/untagged/page.html"} {
			first := c.get(t, path, nil)
			checkLasts(t, path, first, modified.Add(time.Hour))
			for _, condition := range []http.Header{
				{"If-None-Match": first.header["Etag"]}, {"If-Modified-Since": first.header["Last-Modified"]},
			} {
				again := c.get(t, path, condition)
				if again.status != http.StatusNotModified {
					t.Fatalf("%s with %v: got %v, want 304", path, condition, again)
				}
				checkLasts(t, fmt.Sprint(path, " with ", condition), again, modified.Add(time.Hour))
			}
		}
	}
}

// checkLasts: a response is fresh until then, and stale at once if that is over.
func checkLasts(t *testing.T, what string, a answer, end time.Time) {
	t.Helper()
	date, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		t.Fatalf("%s: Date: %v", what, err)
	}
	lifetime := max(0, int64(end.Sub(date)/time.Second))
	heard := hear(a.header, date)
	// nginx says of what is over that it is not to be stored by a guess: no-cache, with the Expires of the past.
	if heard.lifetime != lifetime {
		t.Errorf("%s: fresh for %d seconds, want %d: %v", what, heard.lifetime, lifetime, a)
	}
	expires, err := http.ParseTime(a.header.Get("Expires"))
	if left := int64(expires.Sub(date) / time.Second); err != nil || max(0, left) != lifetime {
		t.Errorf("%s: Expires %s, %d seconds after Date, want %d", what, a.header.Get("Expires"), left, lifetime)
	}
	if strings.HasPrefix(what, "/untagged/") && !heard.says("public") {
		t.Errorf("%s: the row does not speak: %v", what, a)
	}
}

// TestLonePragma: net/http reads a lone Pragma: no-cache from an upstream as Cache-Control, but a handler may send one.
func TestLonePragma(t *testing.T) {
	var config strings.Builder
	for i, existing := range []string{"keep", "merge", "replace"} {
		fmt.Fprintf(&config, "handle /case/%d/* {\nconditional_cache {\ncache_control max-age=1h {\nexisting %s\n}\n}\nheader Pragma no-cache\nrespond page\n}\n", i, existing)
	}
	port := freePort(t)
	runCaddy(t, fmt.Sprintf("http://:%d {\n%s}", port, &config))
	c, err := dialCase(port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for i, want := range []string{"", "no-cache, max-age=3600", "max-age=3600"} {
		got, err := c.send(caseRequest{Method: http.MethodGet}, strconv.Itoa(i))
		if err != nil {
			t.Fatal(err)
		}
		control, _ := got.fields.joined("Cache-Control")
		if kept := got.fields.has("Pragma"); control != want || kept != (i < 2) {
			t.Errorf("%d: Cache-Control %q, want %q; Pragma is kept: %t", i, control, want, kept)
		}
	}
}
