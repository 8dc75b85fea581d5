package integration

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// resourceRow is a line of testdata/judges/resources.jsonl: a page, of which is asked what REDbot asks of any page.
type resourceRow struct {
	ID     string       `json:"id"`
	Origin originAnswer `json:"origin"`
}

const minResourceRows = 15

// keptFields are those of the 200 that a 304 and a 206 have as well (RFC 9110 §15.3.7, §15.4.5). Last-Modified is not among them.
var keptFields = []string{"Cache-Control", "Content-Location", "ETag", "Expires", "Vary"}

// inspected are a page as it comes without conditions, and what is found of it.
type inspected struct {
	t         *testing.T
	c         *client
	path      string
	whole     answer
	supported []string // of "tag", "date", "coding" and "ranges"
	problems  problems
}

// inspect asks for a page in several ways.
func inspect(t *testing.T, c *client, path string) *inspected {
	t.Helper()
	c.acceptEncoding = "identity"
	i := &inspected{t: t, c: c, path: path, whole: c.get(t, path, nil)}
	if i.whole.status != http.StatusOK {
		t.Fatalf("%s: got %v", path, i.whole)
	}
	i.validate("tag", "Etag", "If-None-Match")
	i.validate("date", "Last-Modified", "If-Modified-Since")
	i.negotiate()
	i.divide()
	return i
}

// validate names a validator of the page, which has not changed since.
func (i *inspected) validate(kind, validator, condition string) {
	value := i.whole.header.Get(validator)
	if value == "" {
		return
	}
	got := i.c.get(i.t, i.path, http.Header{condition: {value}})
	switch {
	case got.status == http.StatusNotModified:
		i.supported = append(i.supported, kind)
		i.missing("304 to a "+kind, got)
	case got.status != http.StatusOK || got.body != i.whole.body:
		i.problems.addf("by %s comes %d", kind, got.status)
	}
}

// missing looks for fields of the 200 in an answer that stands for it.
func (i *inspected) missing(what string, got answer) {
	for _, name := range keptFields {
		if i.whole.header.Get(name) != "" && got.header.Get(name) == "" {
			i.problems.addf("%s has no %s", what, name)
		}
	}
}

// negotiate compares the page with what comes for those who take gzip (RFC 9110 §8.8.3.3, §12.5.5).
func (i *inspected) negotiate() {
	i.c.acceptEncoding = "gzip"
	coded := i.c.get(i.t, i.path, nil)
	i.c.acceptEncoding = "identity"
	if coded.header.Get("Content-Encoding") != "gzip" {
		return
	}
	i.supported = append(i.supported, "coding")
	vary := strings.ToLower(strings.Join(coded.header["Vary"], ", "))
	if !strings.Contains(vary, "accept-encoding") && vary != "*" {
		i.problems.addf("coded, Vary is %q", vary)
	}
	if whole := strings.ToLower(strings.Join(i.whole.header["Vary"], ", ")); whole != vary {
		i.problems.addf("Vary is %q, and coded %q", whole, vary)
	}
	if coded.status != i.whole.status || coded.body != i.whole.body || coded.header.Get("Content-Type") != i.whole.header.Get("Content-Type") {
		i.problems.addf("coded comes another page")
	}
	tag := i.whole.header.Get("Etag")
	if strings.HasPrefix(tag, `"`) && coded.header.Get("Etag") == tag {
		i.problems.addf("coded and not coded have one strong tag")
	}
}

// divide asks for a part of a page that says that it has parts.
func (i *inspected) divide() {
	if i.whole.header.Get("Accept-Ranges") != "bytes" {
		return
	}
	const first, last = 1, 3
	got := i.c.get(i.t, i.path, http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", first, last)}})
	want := fmt.Sprintf("bytes %d-%d/%d", first, last, len(i.whole.body))
	switch {
	case got.status == http.StatusOK:
		i.problems.addf("it says that it has parts, and has none")
	case got.status != http.StatusPartialContent || got.header.Get("Content-Range") != want || got.body != i.whole.body[first:last+1] ||
		got.header.Get("Content-Length") != strconv.Itoa(len(got.body)):
		i.problems.addf("the part is %v", got)
	case got.header.Get("Etag") != i.whole.header.Get("Etag") || got.header.Get("Date") == "":
		i.problems.addf("the part has ETag %q and Date %q", got.header.Get("Etag"), got.header.Get("Date"))
	default:
		i.supported = append(i.supported, "ranges")
		i.missing("206", got)
	}
}

// Problems that are there by decision, with the reason. They have to be found, so that no line outlives its reason.
var (
	dateHasNoTag = map[string]string{
		"304 to a date has no ETag": "with another Vary, a tag may be that of another version: choice C21 of docs/conformance.md",
	}
	encodesPart = map[string]string{
		"304 to a date has no ETag": dateHasNoTag["304 to a date has no ETag"],
		"206 has no Vary":           "encode adds it to a 200 and a 304, but not to the 206 of an upstream either; that there is an encode is not known here",
	}
)

// inspectAll asks for all pages behind a site.
func inspectAll(t *testing.T, rows []resourceRow, directives, upstream string) map[string]*inspected {
	t.Helper()
	port := freePort(t)
	runCaddy(t, fmt.Sprintf("http://localhost:%d {\n%s\nreverse_proxy %s\n}", port, directives, upstream))
	found := make(map[string]*inspected)
	for _, row := range rows {
		found[row.ID] = inspect(t, plainClient(t, port), "/case/"+row.ID+"/")
	}
	return found
}

// compare says what a page lacks that it has without this module, and what is wrong with it that was right.
func (i *inspected) compare(alone *inspected, decided map[string]string) (found problems) {
	for _, problem := range i.problems {
		if decided[problem] == "" && !slices.Contains(alone.problems, problem) {
			found = append(found, problem)
		}
	}
	for _, kind := range append(alone.supported, "tag") {
		if !slices.Contains(i.supported, kind) && i.whole.header.Get("Etag") != "v" { // under existing keep, that stays
			found.addf("%s is of no use, but %q", kind, i.supported)
		}
	}
	return found
}

// TestResources: whatever an upstream sends, its page is confirmed by its tag and has parts where it says so, a 304 and a 206
// have the fields of the 200, and coding it is no mistake that it was not before.
func TestResources(t *testing.T) {
	rows := readRows[resourceRow](t, "testdata/judges/resources.jsonl", minResourceRows)
	o := startOrigin(t)
	for _, row := range rows {
		o.answer(row.ID, row.Origin)
	}
	for name, tt := range map[string]struct {
		without, with string
		decided       map[string]string
	}{
		"bare":           {"", "conditional_cache", dateHasNoTag},
		"encode":         {"encode gzip", "conditional_cache\nencode gzip", encodesPart},
		"encode, strong": {"encode gzip", "conditional_cache {\netag strong\n}\nencode gzip", encodesPart},
		"remember":       {"", "conditional_cache {\nremember\n}", nil},
		"lifetimes":      {"", "conditional_cache 1h", dateHasNoTag},
	} {
		t.Run(name, func(t *testing.T) {
			var alone map[string]*inspected
			t.Run("alone", func(t *testing.T) { alone = inspectAll(t, rows, tt.without, o.addr()) })
			var all problems
			for id, got := range ordered(inspectAll(t, rows, tt.with, o.addr())) {
				all = append(all, got.problems...)
				for _, problem := range got.compare(alone[id], tt.decided) {
					t.Errorf("%s: %s", id, problem)
				}
				t.Logf("%-30s %q %q, alone %q %q", id, got.supported, got.problems, alone[id].supported, alone[id].problems)
			}
			for problem, reason := range tt.decided {
				if !slices.Contains(all, problem) {
					t.Errorf("%q is not found any more (%s)", problem, reason)
				}
			}
		})
	}
}
