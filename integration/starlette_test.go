package integration

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// starletteSites are the ways to Starlette's files: uvicorn itself, and Caddy before it. The tags that Starlette
// 0.26 makes lack their quotes, which makes them no tags (RFC 9110 §8.8.3); later versions have them.
var starletteSites = []struct {
	name, directives string
	quoted           bool // the tag is one
	withheld         bool // Starlette sees no condition
}{
	{name: "alone"},
	{name: "bare", directives: "conditional_cache"},
	{name: "lenient", directives: "conditional_cache {\n last_modified normalize {\n lenient\n }\n }"},
	{name: "repair", directives: "conditional_cache {\n etag auto {\n existing repair\n }\n }", quoted: true},
	{name: "replace", directives: "conditional_cache {\n etag auto {\n existing replace\n }\n head get\n }", quoted: true, withheld: true},
	{
		name:       "replace lenient",
		directives: "conditional_cache {\n etag auto {\n existing replace\n }\n head get\n last_modified normalize {\n lenient\n }\n }",
		quoted:     true, withheld: true,
	},
}

// statuses are what the sites answer, in their order.
type statuses [6]int

// starletteRow is a request with conditions. In the fields, {tag} is what the site has said before, without W/, and {date}
// the Last-Modified; {earlier} is a second before it, {later} one after.
type starletteRow struct {
	name   string
	fields []string
	want   statuses
	why    string // where the answers differ from Starlette's own: the rule
}

// all is one status from every site.
func all(status int) statuses {
	return statuses{status, status, status, status, status, status}
}

// starletteConditions are answered to GET and HEAD alike.
var starletteConditions = []starletteRow{
	{"none", nil, all(200), ""},
	{"a second before", []string{"If-Modified-Since", "{earlier}"}, all(200), ""},
	{"the second itself", []string{"If-Modified-Since", "{date}"}, all(304), ""},
	{"a second after", []string{"If-Modified-Since", "{later}"}, all(304), ""},
	{
		"quoted date",
		[]string{"If-Modified-Since", `"{date}"`},
		statuses{304, 304, 304, 304, 200, 304},
		"RFC 9110 §13.1.3: what is not a valid HTTP-date is ignored; where Starlette is asked, its 304 is relayed",
	},
	{"quoted date, a second before", []string{"If-Modified-Since", `"{earlier}"`}, all(200), ""},
	{
		"date in another form",
		[]string{"If-Modified-Since", "2024-01-03T03:04:05Z"},
		statuses{200, 200, 304, 200, 200, 304},
		"lenient: known to be that date",
	},
	{"the tag", []string{"If-None-Match", "{tag}"}, all(304), ""},
	{"the tag beside an older date", []string{"If-None-Match", "{tag}", "If-Modified-Since", "{earlier}"}, all(304), ""},
	{"another tag", []string{"If-None-Match", `"another"`}, all(200), ""},
	{
		"the tag, weak",
		[]string{"If-None-Match", "W/{tag}"},
		statuses{200, 200, 200, 304, 304, 304},
		"RFC 9110 §13.1.2: the comparison is weak",
	},
	{
		"the tag in a list",
		[]string{"If-None-Match", `"another", {tag}`},
		statuses{200, 200, 200, 304, 304, 304},
		"RFC 9110 §13.1.2: any member may match",
	},
	{
		"any tag",
		[]string{"If-None-Match", "*"},
		statuses{200, 304, 304, 304, 304, 304},
		"RFC 9110 §13.1.2: * is false where there is a representation",
	},
	{
		"another tag beside the date",
		[]string{"If-None-Match", `"another"`, "If-Modified-Since", "{date}"},
		statuses{304, 304, 304, 304, 200, 200},
		"RFC 9110 §13.1.3: If-Modified-Since is ignored beside If-None-Match; where Starlette is asked, its 304 is relayed",
	},
	{
		"If-Match with the tag",
		[]string{"If-Match", "{tag}"},
		statuses{200, 412, 412, 200, 200, 200},
		"RFC 9110 §13.1.1: what has no quotes is no tag and matches nothing",
	},
	{
		"If-Match with another",
		[]string{"If-Match", `"another"`},
		statuses{200, 412, 412, 412, 412, 412},
		"RFC 9110 §13.1.1: false without the tag",
	},
	{
		"If-Unmodified-Since a second before",
		[]string{"If-Unmodified-Since", "{earlier}"},
		statuses{200, 412, 412, 412, 412, 412},
		"RFC 9110 §13.1.4: false if it has been modified since",
	},
}

// starletteRanges are answered to GET.
var starletteRanges = []starletteRow{
	{
		"range",
		[]string{"Range", "bytes=5-14"},
		statuses{200, 200, 200, 206, 206, 206},
		"RFC 9110 §14.2: Starlette 0.26 knows no Range, and without a tag that is one no part is of a known whole",
	},
	{
		"range if the tag",
		[]string{"Range", "bytes=5-14", "If-Range", "{tag}"},
		statuses{200, 200, 200, 206, 206, 206},
		"RFC 9110 §13.1.5",
	},
	{"range if another tag", []string{"Range", "bytes=5-14", "If-Range", `"another"`}, all(200), ""},
	{
		"range after the end",
		[]string{"Range", "bytes=999999-"},
		statuses{200, 200, 200, 416, 416, 416},
		"RFC 9110 §14.2",
	},
}

// startStarlette runs the files of a folder, alone and behind Caddy, and returns a client of every site.
func startStarlette(t *testing.T, dir string) []*client {
	t.Helper()
	uvicorn := startUvicorn(t, dir)
	blocks := make([]string, 0, len(starletteSites)-1)
	for _, site := range starletteSites[1:] {
		blocks = append(blocks, fmt.Sprintf("%s\nreverse_proxy 127.0.0.1:%d", site.directives, uvicorn))
	}
	clients := append([]*client{plainClient(t, uvicorn)}, runSites(t, blocks...)...)
	for _, c := range clients {
		c.acceptEncoding = "identity" // so that our tags are strong
	}
	return clients
}

// TestStarletteFiles: files served by Starlette's StaticFiles are answered through Caddy as Starlette answers them
// alone, to the second and for its own tags, or better, by the rule that the table names.
func TestStarletteFiles(t *testing.T) {
	for _, row := range slices.Concat(starletteConditions, starletteRanges) {
		if !row.explained() {
			t.Errorf("%s: no rule is named for an answer other than Starlette's", row.name)
		}
	}
	pages := newPageFolder(t)
	for i, c := range startStarlette(t, pages.dir) {
		name := starletteSites[i].name
		first := c.get(t, "/static/page.html", nil)
		if first.body != pages.content() || first.header.Get("Last-Modified") != "Wed, 03 Jan 2024 03:04:05 GMT" {
			t.Fatalf("%s: got %v, want the page with its date", name, first)
		}
		if quoted := strings.HasPrefix(first.header.Get("Etag"), `"`); quoted != starletteSites[i].quoted {
			t.Fatalf("%s: got ETag %s; where Starlette has learned to quote, this table is to be made anew", name, first.header.Get("Etag"))
		}
		for _, row := range starletteConditions {
			row.check(t, c, name, http.MethodGet, row.want[i], first)
			row.check(t, c, name, http.MethodHead, row.want[i], first)
		}
		for _, row := range starletteRanges {
			row.check(t, c, name, http.MethodGet, row.want[i], first)
			row.check(t, c, name, http.MethodHead, http.StatusOK, first) // Range is for GET (RFC 9110 §14.2)
		}
		c.must(t, http.StatusNotFound, http.MethodGet, "/static/nothing.html", "", since(first, 0)...)
		c.must(t, http.StatusMethodNotAllowed, http.MethodPost, "/static/page.html", "", since(first, 0)...)
	}
}

// check sends the request to one site that has said first before.
func (r *starletteRow) check(t *testing.T, c *client, site, method string, status int, first answer) {
	t.Helper()
	t.Run(site+"/"+method+"/"+r.name, func(t *testing.T) {
		t.Helper()
		before, after := since(first, -time.Second)[1], since(first, time.Second)[1]
		filled := strings.NewReplacer("{tag}", first.header.Get("Etag"), "{date}", first.header.Get("Last-Modified"), "{earlier}", before, "{later}", after)
		fields := slices.Clone(r.fields)
		for i := range fields {
			fields[i] = filled.Replace(fields[i])
		}
		got := c.must(t, status, method, "/static/page.html", "", fields...)
		want := first.body
		switch {
		case method == http.MethodHead || status == http.StatusNotModified || status > 399:
			want = ""
		case status == http.StatusPartialContent:
			want = want[5:15]
		}
		if got.body != want {
			t.Errorf("got %v, want the body %.60q", got, want)
		}
		if status > 399 {
			return
		}
		// A 304 has the tag alone. Where a date decides, a short page is held for a tag of ours.
		validators := [2]string{first.header.Get("Etag"), first.header.Get("Last-Modified")}
		if status == http.StatusNotModified {
			validators[1] = ""
		}
		if status == http.StatusPartialContent && slices.Contains(fields, "If-Range") {
			validators[1] = "" // known to who has the tag (RFC 9110 §15.3.7)
		}
		if said := [2]string{got.header.Get("Etag"), got.header.Get("Last-Modified")}; said != validators {
			t.Errorf("got validators %q, want %q", said, validators)
		}
	})
}

// explained reports whether all sites answer alike, or the row says why they do not.
func (r *starletteRow) explained() bool {
	return r.want == all(r.want[0]) || r.why != ""
}

// TestStarletteNewVersion: a page that has changed is sent anew, whatever a client knows of the one before.
func TestStarletteNewVersion(t *testing.T) {
	pages := newPageFolder(t)
	for i, c := range startStarlette(t, pages.dir) {
		t.Run(starletteSites[i].name, func(t *testing.T) {
			first := c.get(t, "/static/page.html", nil)
			tag := first.header.Get("Etag")
			pages.change(t)
			for _, condition := range [][]string{since(first, 0), {"If-None-Match", tag}, {"Range", "bytes=5-14", "If-Range", tag}} {
				if got := c.must(t, http.StatusOK, http.MethodGet, "/static/page.html", "", condition...); got.body != pages.content() {
					t.Errorf("%q: got %v, want the new page", condition, got)
				}
			}
		})
	}
}

// TestStarletteOlderVersion: a rollback brings the page of before with its date of before. By the date alone it looks
// unmodified; who sends the tag as well gets the page, unless Starlette is asked, which takes the date for enough.
func TestStarletteOlderVersion(t *testing.T) {
	pages := newPageFolder(t)
	for i, c := range startStarlette(t, pages.dir) {
		t.Run(starletteSites[i].name, func(t *testing.T) {
			first := c.get(t, "/static/page.html", nil)
			condition := append(since(first, 0), "If-None-Match", first.header.Get("Etag"))
			path := filepath.Join(pages.dir, "page.html")
			if err := os.WriteFile(path, []byte(strings.Repeat("the version of before\n", 100)), 0o644); err != nil {
				t.Fatal(err)
			}
			before := lastDeploy.AddDate(0, 0, -i)
			if err := os.Chtimes(path, before, before); err != nil {
				t.Fatal(err)
			}
			status := http.StatusNotModified // RFC 9110 §13.1.3 would have it otherwise
			if starletteSites[i].withheld {
				status = http.StatusOK
			}
			c.must(t, status, http.MethodGet, "/static/page.html", "", condition...)
			pages.change(t)
		})
	}
}

// TestFastAPIEndpoint: a JSON endpoint without validators is answered as one that has them by hand.
func TestFastAPIEndpoint(t *testing.T) {
	pages := newPageFolder(t)
	uvicorn := startUvicorn(t, pages.dir)
	own, with := plainClient(t, uvicorn), runSites(t, fmt.Sprintf(`conditional_cache {
		last_modified normalize {
			from json updated_at
		}
		head get
	}
	reverse_proxy 127.0.0.1:%d`, uvicorn))[0]
	plain := own.get(t, "/articles/1", nil)
	if plain.header.Get("Etag")+plain.header.Get("Last-Modified") != "" {
		t.Fatalf("without conditional_cache: got %v, want no validators", plain)
	}
	stored := [2]answer{own.get(t, "/dated/articles/1", nil), with.get(t, "/articles/1", nil)}
	if stored[1].body != stored[0].body || stored[1].body != plain.body {
		t.Fatalf("got %v, want the JSON of %v", stored[1], stored[0])
	}
	for _, condition := range hourConditions {
		t.Run(condition.name, func(t *testing.T) {
			sameEndpoint(t, own, with, condition, stored)
		})
	}
	pages.change(t)
	for _, fields := range [][]string{since(stored[1], 0), {"If-None-Match", stored[1].header.Get("Etag")}} {
		got := with.must(t, http.StatusOK, http.MethodGet, "/articles/1", "", fields...)
		if want := own.get(t, "/dated/articles/1", nil); got.body != want.body || got.header.Get("Last-Modified") != want.header.Get("Last-Modified") {
			t.Errorf("%q after a change: got %v, want %v", fields, got, want)
		}
	}
}

// sameEndpoint asks both endpoints under one condition, each in its own terms.
func sameEndpoint(t *testing.T, own, with *client, condition hourCondition, stored [2]answer) {
	t.Helper()
	status, ownFields, withFields := condition.ours(), condition.fields(stored[0]), condition.fields(stored[1])
	want := own.must(t, condition.status, http.MethodGet, "/dated/articles/1", "", ownFields...)
	got := with.must(t, status, http.MethodGet, "/articles/1", "", withFields...)
	if status == condition.status && got.body != want.body || (got.header.Get("Etag") == "") != (want.header.Get("Etag") == "") {
		t.Errorf("got %v, want what the endpoint would say by itself: %v", got, want)
	}
	if date := got.header.Get("Last-Modified"); status == http.StatusOK && want.status == status && date != want.header.Get("Last-Modified") {
		t.Errorf("Last-Modified %q, want %q", date, want.header.Get("Last-Modified"))
	}
	// What GET is for, HEAD is for as well (RFC 9110 §9.1); FastAPI has to be told of each.
	own.must(t, http.StatusMethodNotAllowed, http.MethodHead, "/dated/articles/1", "", ownFields...)
	head := with.must(t, status, http.MethodHead, "/articles/1", "", withFields...)
	if head.header.Get("Etag") != got.header.Get("Etag") || head.header.Get("Last-Modified") != got.header.Get("Last-Modified") {
		t.Errorf("HEAD: got %v, want the validators of GET: %v", head, got)
	}
}
