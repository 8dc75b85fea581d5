package integration

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// hourSetup is a way to give a whole site one date and an hour of freshness by Django's own means. The middlewares
// are those of testdata/django/sitewide.py.
type hourSetup struct {
	name, middleware string
	headsCompared    bool // conditions of a HEAD are, too
}

var hourSetups = []hourSetup{
	{"last_modified", "sitewide.an_hour sitewide.date_first", true},
	{"ConditionalGetMiddleware", "django.middleware.http.ConditionalGetMiddleware sitewide.an_hour sitewide.dated", false},
}

// markedSite is the file that a site is as old as.
type markedSite struct{ marker string }

func newMarkedSite(t *testing.T) markedSite {
	t.Helper()
	s := markedSite{filepath.Join(t.TempDir(), "deployed")}
	if err := os.WriteFile(s.marker, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.deploy(t, lastDeploy)
	return s
}

// deploy makes the whole site as old as a date.
func (s markedSite) deploy(t *testing.T, date time.Time) {
	t.Helper()
	if err := os.Chtimes(s.marker, date, date); err != nil {
		t.Fatal(err)
	}
}

// django runs the site with middlewares around it and returns its address.
func (s markedSite) django(t *testing.T, middleware string) (addr string) {
	t.Helper()
	return runDjango(t, "sitewide", "MARKER="+s.marker, "MIDDLEWARE="+middleware)
}

// behind runs Caddy before several upstreams, each with directives of its own, and returns a client of each, one
// that accepts gzip as browsers do. In the directives, {marker} is the site's file.
func (s markedSite) behind(t *testing.T, sites ...[2]string) []*client {
	t.Helper()
	blocks := make([]string, 0, len(sites))
	for _, site := range sites {
		blocks = append(blocks, strings.ReplaceAll(site[0], "{marker}", s.marker)+"\nreverse_proxy "+site[1])
	}
	clients := runSites(t, blocks...)
	for _, c := range clients {
		c.acceptEncoding = "gzip"
	}
	return clients
}

// runSites runs Caddy with several sites, told apart by their names, and returns a client of each.
func runSites(t *testing.T, blocks ...string) (clients []*client) {
	t.Helper()
	port := freePort(t)
	var config strings.Builder
	for i, block := range blocks {
		c := plainClient(t, port)
		c.host = fmt.Sprintf("site%d.localhost:%d", i, port)
		fmt.Fprintf(&config, "http://%s {\n%s\n}\n", c.host, block)
		clients = append(clients, c)
	}
	runCaddy(t, config.String())
	return clients
}

// hourOfSite is what takes the place of all those middlewares, and headsOfSite the same for a site that has nothing
// against being asked with GET for a HEAD.
const (
	hourOfSite = `
	conditional_cache 1h {
		last_modified normalize {
			from file {marker}
		}
	}`
	headsOfSite = `
	conditional_cache 1h {
		last_modified normalize {
			from file {marker}
		}
		head get
	}`
)

// hourCondition is a condition about an answer that the client has stored, and what it makes of the request.
type hourCondition struct {
	name   string
	status int
	fields func(stored answer) []string
	found  int // the status where the date is one that was found, if that is another one
}

// ours is the status where the date is one that was found: it may move backwards, and is compared by equality.
func (c *hourCondition) ours() int { return cmp.Or(c.found, c.status) }

// hourConditions are what a client may ask that has an answer already, and the status that is right then. A condition
// by a tag is out of reach of a HEAD that passes: what it has no content of has no tag of ours.
var hourConditions = []hourCondition{
	{name: "none", status: 200, fields: func(answer) []string { return nil }},
	{name: "a second before the date", status: 200, fields: func(a answer) []string { return since(a, -time.Second) }},
	{name: "the date", status: 304, fields: func(a answer) []string { return since(a, 0) }},
	{name: "a second after the date", status: 304, found: 200, fields: func(a answer) []string { return since(a, time.Second) }},
	{name: "the date in quotes", status: 200, fields: func(a answer) []string {
		return []string{"If-Modified-Since", `"` + a.header.Get("Last-Modified") + `"`}
	}},
	{name: "the tag", status: 304, fields: func(a answer) []string { return []string{"If-None-Match", a.header.Get("Etag")} }},
	{name: "another tag beside the date", status: 200, fields: func(a answer) []string {
		return append(since(a, 0), "If-None-Match", `"another"`)
	}},
	{name: "the tag beside an older date", status: 304, fields: func(a answer) []string {
		return append(since(a, -time.Hour), "If-None-Match", a.header.Get("Etag"))
	}},
}

// since is an If-Modified-Since so much later than an answer's date.
func since(a answer, later time.Duration) []string {
	date, _ := http.ParseTime(a.header.Get("Last-Modified"))
	return []string{"If-Modified-Since", date.Add(later).UTC().Format(http.TimeFormat)}
}

// TestSiteWideHour: one line and a file give a site that knows nothing of caching the answers of one that had all of
// it built in with Django's own tools: the same directives, an Expires an hour after Date, the same Last-Modified,
// the same 304 with Cache-Control and Expires in it; to HEAD as well, before and after a new version of the site.
func TestSiteWideHour(t *testing.T) {
	for _, setup := range hourSetups {
		t.Run(setup.name, func(t *testing.T) {
			site := newMarkedSite(t)
			plain := site.django(t, "")
			clients := site.behind(t, [2]string{"", site.django(t, setup.middleware)}, [2]string{hourOfSite, plain}, [2]string{headsOfSite, plain})
			for _, path := range []string{"/", "/pages/2?lang=en", "/style.css"} {
				site.deploy(t, lastDeploy)
				asked := hourComparison{setup: setup, path: path, django: clients[0], stored: clients[0].get(t, path, nil)}
				asked.check(t, "", clients[1], map[string]bool{http.MethodGet: true})
				asked.check(t, "head get/", clients[2], map[string]bool{http.MethodGet: true, http.MethodHead: true})
				site.deploy(t, lastDeploy.Add(time.Hour))
				for _, c := range clients {
					got := c.must(t, 200, http.MethodGet, path, "", since(asked.stored, 0)...)
					if date := got.header.Get("Last-Modified"); date != "Tue, 02 Jan 2024 04:04:05 GMT" {
						t.Errorf("%s after a new version: got %v, want its date", path, got)
					}
				}
			}
		})
	}
}

// hourComparison is a page of Django with its own caching, and what it has said of it.
type hourComparison struct {
	setup  hourSetup
	path   string
	django *client
	stored answer
}

// check asks for the page under all conditions, with GET and HEAD; tagged are the methods whose answers have a tag of
// ours. Each site is asked by what it has said itself before.
func (h *hourComparison) check(t *testing.T, name string, with *client, tagged map[string]bool) {
	t.Helper()
	stored := with.get(t, h.path, nil)
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		for _, condition := range hourConditions {
			t.Run(name+method+h.path+"/"+condition.name, func(t *testing.T) {
				h.compare(t, with, method, tagged[method], stored, condition)
			})
		}
	}
}

// compare asks both sites under one condition.
func (h *hourComparison) compare(t *testing.T, with *client, method string, tagged bool, stored answer, condition hourCondition) {
	t.Helper()
	byTag := strings.HasPrefix(condition.name, "the tag")
	status, fields := condition.status, condition.fields(h.stored)
	if byTag && h.stored.header.Get("Etag") == "" {
		fields = since(h.stored, 0) // it has only the date to compare
	}
	if method == http.MethodHead && !h.setup.headsCompared {
		status = http.StatusOK
	}
	want := h.django.must(t, status, method, h.path, "", fields...)
	if status = condition.ours(); byTag && !tagged {
		status = http.StatusOK
	}
	got := with.must(t, status, method, h.path, "", condition.fields(stored)...)
	if got.status == want.status {
		sameHour(t, want, got)
	}
}

// sameHour wants of our answer what Django's says, but for the tag, which is the one of another maker.
func sameHour(t *testing.T, want, got answer) {
	t.Helper()
	if got.body != want.body || got.header.Get("Content-Type") != want.header.Get("Content-Type") {
		t.Errorf("got %v, want the page: %v", got, want)
	}
	if a, b := directives(got), directives(want); !slices.Equal(a, b) || !slices.Equal(a, []string{"max-age=3600", "s-maxage=3600"}) {
		t.Errorf("Cache-Control %q, Django's %q, want an hour for all", a, b)
	}
	// Django counts from its own clock, and gunicorn writes Date a moment later.
	if ours, theirs := lifetime(t, got), lifetime(t, want); ours != time.Hour || theirs < time.Hour-time.Second || theirs > time.Hour {
		t.Errorf("Expires is Date + %v, Django's + %v, want an hour", ours, theirs)
	}
	date := want.header.Get("Last-Modified")
	if got.status == http.StatusNotModified && got.header.Get("Etag") != "" {
		date = "" // not beside a tag in a 304 (RFC 9110 §15.4.5)
	}
	if said := got.header.Get("Last-Modified"); said != date {
		t.Errorf("Last-Modified %q, want %q", said, date)
	}
	if got.status == http.StatusNotModified && got.header.Get("Etag")+got.header.Get("Last-Modified") == "" {
		t.Errorf("got %v, want a validator in it", got)
	}
}

// directives are those of Cache-Control, sorted.
func directives(a answer) []string {
	var list []string
	for directive := range strings.SplitSeq(strings.Join(a.header["Cache-Control"], ","), ",") {
		if directive = strings.TrimSpace(directive); directive != "" {
			list = append(list, directive)
		}
	}
	slices.Sort(list)
	return list
}

// lifetime is what Expires says from Date on.
func lifetime(t *testing.T, a answer) time.Duration {
	t.Helper()
	var times [2]time.Time
	for i, name := range []string{"Date", "Expires"} {
		var err error
		if times[i], err = http.ParseTime(a.header.Get(name)); err != nil || len(a.header[name]) != 1 {
			t.Fatalf("%s %q: %v", name, a.header[name], err)
		}
	}
	return times[1].Sub(times[0])
}

// said is what an answer has of these fields, an Expires as how long it is from Date.
func said(t *testing.T, a answer) map[string]string {
	t.Helper()
	fields := make(map[string]string)
	for _, name := range []string{"Last-Modified", "Expires"} {
		if value := a.header.Get(name); value != "" {
			fields[name] = value
		}
	}
	if fields["Expires"] != "" {
		fields["Expires"] = lifetime(t, a).String()
	}
	if list := directives(a); len(list) > 0 {
		fields["Cache-Control"] = strings.Join(list, ", ")
	}
	return fields
}

// TestSiteWideHourIsNotForAll: what is not a page for everybody has no hour of ours. Django's tools, put around a
// whole site, know less; what they say is here so that the difference is seen.
func TestSiteWideHourIsNotForAll(t *testing.T) {
	site := newMarkedSite(t)
	plain := site.django(t, "")
	clients := site.behind(t, [2]string{"", site.django(t, hourSetups[0].middleware)}, [2]string{hourOfSite, plain}, [2]string{"", plain})
	own, with, bare := clients[0], clients[1], clients[2]
	const date = "Tue, 02 Jan 2024 03:04:05 GMT"
	none := map[string]string{}
	for _, tt := range []struct {
		name, path   string
		django, ours int
		fields       map[string]string
	}{
		// Conditions are for what would be a 200 (RFC 9110 §13.2.1): there is no page to be still the same.
		{"404", "/nothing", 304, 404, none},
		{"500", "/broken", 304, 500, none},
		{"redirect", "/moved", 304, 302, none},
		// A shared cache may store an answer with Set-Cookie unless it is told (RFC 9111 §7.3).
		{"page with a cookie", "/account", 200, 200, map[string]string{"Last-Modified": date, "Expires": "1h0m0s", "Cache-Control": "max-age=3600, private"}},
		// s-maxage beside no-store and private is not what the view has said; and a page of somebody's own is not dated by
		// a file, unless a tag stands beside the date.
		{"page that says never", "/live", 200, 200, map[string]string{
			"Expires": "0s", "Cache-Control": "max-age=0, must-revalidate, no-cache, no-store, private",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var condition []string
			if tt.ours != http.StatusOK {
				condition = []string{"If-Modified-Since", date}
			}
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				django := own.must(t, tt.django, method, tt.path, "", condition...)
				if list := directives(django); !slices.Contains(list, "s-maxage=3600") {
					t.Errorf("%s: Django says %q; if it has learned better, this comparison may go", method, list)
				}
				got := with.must(t, tt.ours, method, tt.path, "", condition...)
				saysOnly(t, method, got, tt.fields)
				if want := bare.must(t, tt.ours, method, tt.path, "", condition...); got.body != want.body {
					t.Errorf("%s: got %v, want the body of %v", method, got, want)
				}
			}
		})
	}
}

// saysOnly wants these fields. A page of somebody's own is dated beside its tag only, which a HEAD has not.
func saysOnly(t *testing.T, method string, got answer, want map[string]string) {
	t.Helper()
	want = maps.Clone(want)
	if method == http.MethodHead && got.header.Get("Etag") == "" {
		delete(want, "Last-Modified")
	}
	if fields := said(t, got); !maps.Equal(fields, want) {
		t.Errorf("%s: got %v, want %v", method, fields, want)
	}
}

// TestSiteWideHourLeavesPostsAlone: a POST goes through with the fields it has, and comes back with those that
// Django gave it, whatever its conditions.
func TestSiteWideHourLeavesPostsAlone(t *testing.T) {
	site := newMarkedSite(t)
	plain := site.django(t, "")
	clients := site.behind(t, [2]string{"", site.django(t, hourSetups[0].middleware)}, [2]string{hourOfSite, plain}, [2]string{"", plain})
	for _, condition := range [][]string{
		nil,
		{"If-Modified-Since", "Tue, 02 Jan 2024 03:04:05 GMT"},
		{"Range", "bytes=0-1"},
	} {
		fields := append([]string{"Content-Type", "application/x-www-form-urlencoded"}, condition...)
		var got []answer
		for _, c := range clients {
			a := c.must(t, http.StatusOK, http.MethodPost, "/send", "q=text", fields...)
			a.header.Del("Date")
			got = append(got, a)
		}
		for i := range got[:2] {
			if got[i].body != "sent text" || len(said(t, got[i])) > 0 {
				t.Errorf("%q, site %d: got %v, want the answer without validators and lifetimes", condition, i, got[i])
			}
		}
		if !maps.EqualFunc(got[1].header, got[2].header, slices.Equal) {
			t.Errorf("%q: got %v, without conditional_cache %v", condition, got[1].header, got[2].header)
		}
	}
}
