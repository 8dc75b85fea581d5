package integration

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// flaw is something that servers in use get wrong.
type flaw struct {
	name string // with its number
	rfc  string // the paragraphs of RFC 9110 that it is against
	// peers have it. Each is made of the flaw and as little else as possible, so that the check is seen to fail, and to
	// fail for the reason given.
	peers []peer
	// paths of flawPaths are those on which the flaw could arise and the decision is ours.
	paths []string
	check func(*probe)
	// behind checks what is mended even in front of a peer that has the flaw itself; nil: its own answer passes.
	behind func(*probe)
}

// peer is a server with a flaw.
type peer struct {
	product string
	handler http.Handler
	site    string   // instead of handler: directives, where the peer is Caddy
	shows   []string // what check says of it, among other things
}

// flaws are those that the tests and trials of peers have brought to light.
var flaws = []flaw{
	{
		name: "01_only_the_first_line_is_read", rfc: "§5.3, §13.1.1, §13.1.2",
		peers: []peer{{product: "net/http", handler: serveContent(), shows: []string{"got 200, want 304", "got 412, want 200"}}},
		paths: []string{"held", "own tag", "replaced"},
		check: checkAllLinesAreRead,
	},
	{
		name: "02_a_malformed_member_stops_the_scan", rfc: "§13.1.1, §13.1.2",
		peers: []peer{{product: "net/http", handler: serveContent(), shows: []string{"got 200, want 304", "got 412, want 200"}}},
		paths: []string{"held", "own tag", "replaced"},
		check: checkMalformedMemberIsSkipped,
	},
	{
		name: "03_a_star_with_junk_is_a_star", rfc: "§13.1.1, §13.1.2",
		peers: []peer{{product: "net/http", handler: serveContent(), shows: []string{"got 304, want 200", "got 200, want 412"}}},
		paths: []string{"held", "own tag", "replaced"},
		check: checkStarStandsAlone,
	},
	{
		name: "04_two_dates_are_honoured", rfc: "§13.1.3, §13.1.4",
		peers: []peer{{product: "net/http", handler: serveContent(), shows: []string{"got 304, want 200", "got 412, want 200"}}},
		paths: []string{"held", "own tag", "replaced"},
		check: checkTwoDatesAreNone,
	},
	{
		name: "05_range_on_head", rfc: "§14.2",
		peers:  []peer{{product: "net/http", handler: serveContent(), shows: []string{"HEAD [Range bytes=0-4]: got 206, want 200"}}},
		paths:  []string{"held", "own tag", "replaced", "static"},
		check:  checkNoRangeOnHead,
		behind: checkNoRangeOnHead,
	},
	{
		name: "06_416_to_what_is_no_unsatisfiable_range", rfc: "§14.1, §14.1.2, §14.2",
		peers: []peer{{product: "net/http", handler: serveContent(), shows: []string{
			"[Range items=0-4]: got 416, want 200", "[Range BYTES=0-4]: got 416, want 206",
			"[Range bytes=0-99999999999999999999]: got 416, want 206", "[Range bytes=-99999999999999999999]: got 416, want 206",
		}}},
		paths:  []string{"held", "own tag", "replaced", "static"},
		check:  checkUnitsAndLargeNumbers,
		behind: checkLargeNumbers, // of its 416 to a unit nobody can tell whether it knows that
	},
	{
		name: "07_an_empty_206_to_a_suffix_of_no_bytes", rfc: "§14.1.2",
		peers:  []peer{{product: "net/http", handler: serveContent(), shows: []string{"[Range bytes=-0]: got 206, want 416"}}},
		paths:  []string{"held", "own tag", "replaced", "static"},
		check:  checkSuffixOfNoBytes,
		behind: checkSuffixOfNoBytes,
	},
	{
		name: "08_if_range_with_a_weak_date", rfc: "§13.1.5, §8.8.2.2",
		peers: []peer{{product: "net/http", handler: serveContent("Etag", "", "Date", modified), shows: []string{"got 206, want 200"}}},
		paths: []string{"made just now", "made just now, own tag"},
		check: checkWeakDateInIfRange,
	},
	{
		name: "09_412_with_the_freshness_of_the_200", rfc: "§15.5.13",
		peers: []peer{{product: "net/http", handler: serveContent(allFields...), shows: []string{"the 412 has Cache-Control", "the 412 has Expires"}}},
		paths: []string{"all fields", "all, own tag"},
		check: checkErrorsHaveNoFreshness,
	},
	{
		name: "10_dates_read_by_a_fixed_pivot_and_loosely", rfc: "§5.6.7, §13.1.3",
		peers: []peer{{product: "net/http", handler: serveContent(), shows: []string{"GMT]: got 200, want 304", "EST]: got 304, want 200", "05.5 GMT]: got 304, want 200"}}},
		paths: []string{"held", "own tag", "replaced"},
		check: checkDatesAreReadExactly,
	},
	{
		name: "11_content_language_on_a_304", rfc: "§15.4.5",
		peers:  []peer{{product: "net/http", handler: serveContent("Content-Language", "en"), shows: []string{"the 304 has Content-Language"}}},
		paths:  []string{"all fields", "all, own tag"},
		check:  checkNoContentFieldsOn304,
		behind: checkNoContentFieldsOn304,
	},
	{
		name: "12_if_modified_since_beside_if_none_match", rfc: "§13.1.3, §13.2.2",
		peers: []peer{
			{product: "nginx, Apache, ASP.NET (both have to hold)", handler: decides(notModifiedIf(func(tag, date bool) bool { return tag && date })), shows: []string{"got 200, want 304"}},
			{product: "any that lets one of them do", handler: decides(notModifiedIf(func(tag, date bool) bool { return tag || date })), shows: []string{"got 304, want 200"}},
		},
		paths: []string{"held", "own tag", "replaced"},
		check: checkIfNoneMatchOverrulesTheDate,
	},
	{
		name: "13_if_modified_since_on_equality_only", rfc: "§13.1.3",
		peers: []peer{{product: "nginx", handler: decides(func(r *http.Request) int {
			return when(r.Header.Get("If-Modified-Since") == modified, http.StatusNotModified)
		}), shows: []string{"got 200, want 304"}}},
		paths: []string{"held", "own tag", "replaced"},
		check: func(p *probe) { p.expect(304, "GET", "If-Modified-Since", later) },
	},
	{
		name: "14_weak_tags_match_if_match_and_if_range", rfc: "§13.1.1, §13.1.5, §8.8.3.2",
		peers: []peer{{product: "nginx", handler: http.HandlerFunc(comparesStrings), shows: []string{"got 200, want 412", "got 206, want 200"}}},
		paths: []string{"held", "own tag", "weak tag", "replaced"},
		check: checkWeakTagsMatchNothingStrong,
	},
	{
		name: "15_if_unmodified_since_beside_if_match", rfc: "§13.1.4, §13.2.2",
		peers: []peer{{product: "nginx, Apache, actix-files", handler: decides(func(r *http.Request) int {
			return when(r.Header.Get("If-Unmodified-Since") == earlier, http.StatusPreconditionFailed)
		}), shows: []string{"got 412, want 200"}}},
		paths: []string{"held", "own tag", "replaced"},
		check: func(p *probe) { p.expect(200, "GET", "If-Match", p.etag(), "If-Unmodified-Since", earlier) },
	},
	{
		name: "16_412_without_last_modified", rfc: "§13.1.4",
		peers: []peer{{product: "Django, nginx", handler: decides(failsOn("If-Unmodified-Since"), "Last-Modified", ""), shows: []string{"got 412, want 200"}}},
		paths: []string{"held, no date", "own tag, no date", "no validator", "no store"},
		check: func(p *probe) { p.expect(200, "GET", "If-Unmodified-Since", earlier) },
	},
	{
		name: "17_a_list_is_compared_as_one_string", rfc: "§13.1.1, §13.1.2",
		peers: []peer{{product: "Varnish, Rack, cache-handler", handler: decides(func(r *http.Request) int {
			match := r.Header.Get("If-Match")
			return verdictOf(match != "" && match != ownETag, r.Header.Get("If-None-Match") == ownETag)
		}), shows: []string{"got 200, want 304", "got 412, want 200"}}},
		paths: []string{"held", "own tag", "replaced"},
		check: checkListsHaveMembers,
	},
	{
		name: "18_a_star_is_ignored_on_get", rfc: "§13.1.1, §13.1.2",
		peers: []peer{{product: "Spring, Varnish", handler: decides(func(r *http.Request) int {
			return when(r.Header.Get("If-Match") == "*", http.StatusPreconditionFailed)
		}), shows: []string{"got 200, want 304", "got 412, want 200"}}},
		paths: []string{"held", "own tag", "replaced", "static", "no validator", "no store"},
		check: checkStarIsAnything,
	},
	{
		name: "19_a_comma_inside_a_tag_splits_it", rfc: "§8.8.3",
		peers: []peer{{product: "Express, Symfony, Django, fiber", handler: decides(func(r *http.Request) int {
			members := strings.Split(r.Header.Get("If-None-Match"), ",")
			return when(slices.Contains(members, commaETag), http.StatusNotModified)
		}, "Etag", commaETag), shows: []string{"got 200, want 304"}}},
		paths: []string{"tag with a comma"},
		check: checkCommaInsideATag,
	},
	{
		name: "20_304_to_a_date_that_is_none", rfc: "§13.1.3",
		peers: []peer{{product: "Marvin.Cache.Headers", handler: decides(func(r *http.Request) int {
			_, valid := httpcond.ParseDate(r.Header.Get("If-Modified-Since"), time.Now())
			return when(r.Header["If-Modified-Since"] != nil && !valid, http.StatusNotModified)
		}), shows: []string{"[If-Modified-Since yesterday]: got 304, want 200", "[If-Modified-Since ]: got 304, want 200"}}},
		paths: []string{"held", "own tag", "replaced"},
		check: checkNoDateIsIgnored,
	},
	{
		name: "21_304_to_any_method_or_status", rfc: "§13.1.2, §13.2.1, §15.4.5",
		peers: []peer{
			{product: "fiber", handler: decides(tagMatches), shows: []string{"POST [If-None-Match \"v1\"]: got 304, want 200"}},
			{product: "@fastify/etag", handler: http.HandlerFunc(notModifiedWhateverTheStatus), shows: []string{"got 304, want 404"}},
		},
		paths: []string{"own tag", "missing"},
		check: checkOnlyReadsOf200,
	},
	{
		name: "22_304_with_content_length_0", rfc: "§8.6, §15.4.5",
		peers:  []peer{{product: "@fastify/etag", handler: http.HandlerFunc(saysLengthZero), shows: []string{"the 304 has Content-Length: 0"}}},
		paths:  []string{"held", "own tag", "replaced", "static"},
		check:  checkNoLengthOn304,
		behind: checkNoLengthOn304,
	},
	{
		name: "23_304_without_the_fields_of_the_200", rfc: "§15.4.5",
		peers: []peer{
			{product: "Hono", handler: dropsOn304("Access-Control-Allow-Origin", "Access-Control-Expose-Headers"), shows: []string{"the 304 has not Access-Control-Allow-Origin"}},
			{product: "Marvin.Cache.Headers", handler: dropsOn304("Cache-Control", "Expires", "Vary"), shows: []string{"has not Cache-Control", "has not Expires", "has not Vary"}},
			{product: "SvelteKit", handler: http.HandlerFunc(joinsCookies), shows: []string{"the 304 has not Set-Cookie"}},
		},
		paths: []string{"all fields", "all, own tag"},
		check: checkFieldsOf304,
	},
	{
		name: "24_412_from_memory", rfc: "§13.1.1, §13.2.1",
		peers: []peer{{product: "Marvin.Cache.Headers", handler: new(memory), shows: []string{"with the current tag: got 412, want 204", "with the old tag: got 204, want 412", "was read 0 times for two verdicts"}}},
		paths: []string{"guarded", "guarded by itself"},
		check: checkWritesAreJudgedByWhatThereIs,
	},
	{
		name: "25_412_to_any_if_unmodified_since", rfc: "§13.1.4",
		peers: []peer{{product: "cache-handler", handler: decides(failsOn("If-Unmodified-Since")), shows: []string{"got 412, want 200"}}},
		paths: []string{"held", "own tag", "replaced"},
		check: checkUnmodifiedHolds,
	},
	{
		name: "26_no_tag_taken_for_no_representation", rfc: "§13.1.1, §13.1.2",
		peers: []peer{{product: "tower-http", handler: decides(failsOn("If-Match"), "Etag", ""), shows: []string{"[If-Match *]: got 412, want 200"}}},
		paths: []string{"no validator", "no store"},
		check: checkUntaggedExists,
	},
	{
		name: "27_no_bound_on_the_members", rfc: "§17, CVE-2024-38809",
		peers: []peer{{product: "Spring", handler: decides(tagAnywhere), shows: []string{"the 101st member", "behind 8 KiB", "of 100001 members"}}},
		paths: []string{"held", "own tag", "replaced"},
		check: checkMembersAreBounded,
	},
	{
		name: "28_a_tag_for_half_a_body", rfc: "§8.8.1, §8.8.3",
		peers: []peer{{product: "hapi's inert", handler: http.HandlerFunc(tagsHalf), shows: []string{"has a tag for 512 of 1024 bytes"}}},
		paths: []string{"cut short", "aborted", "aborted late", "partial"},
		check: checkNoTagForAPart,
	},
	{
		name: "29_ranges_that_cost_more_than_the_whole", rfc: "§14.2, §17.15",
		peers: []peer{{product: "net/http", handler: serveContent(), shows: []string{",30-30]: got 206, want 200", ",32-32]: got 206, want 200"}}},
		paths: []string{"held", "own tag", "replaced"},
		check: checkCostlyRanges,
	},
	{
		name: "30_a_suffixed_tag_never_matches", rfc: "§13.1.1, §13.1.2",
		peers: []peer{{product: "Caddy", site: "encode gzip\nrewrite /page.txt\nfile_server", shows: []string{"got 412, want 200"}}},
		paths: []string{"encoded", "encoded, replaced"},
		check: checkSuffixedTags,
	},
}

// The representation that all of these servers have: text of 1024 bytes, last modified on lastDeploy, its entity tag
// ownETag where it is the server's own.
var (
	flawBody = strings.Repeat("0123456789abcdef", 64)
	modified = lastDeploy.Format(http.TimeFormat)
	earlier  = lastDeploy.AddDate(0, 0, -1).Format(http.TimeFormat)
	later    = lastDeploy.AddDate(0, 0, 1).Format(http.TimeFormat)
)

const (
	ownETag   = `"v1"`
	otherETag = `"other"`
	commaETag = `"x,y"`
)

// allFields are those of a 200 that has much to say.
var allFields = []string{
	"Last-Modified", modified,
	"Cache-Control", "max-age=60", "Expires", "Fri, 01 Jan 2038 00:00:00 GMT", "Vary", "Origin",
	"Content-Location", "/page.txt", "Content-Language", "en",
	"Access-Control-Allow-Origin", "https://a.example", "Access-Control-Expose-Headers", "ETag",
	"Set-Cookie", "a=1; Path=/", "Set-Cookie", "b=2; Path=/",
}

// flawPath is a way on which a response gets its answer from us.
type flawPath struct {
	site    string // directives; none: a bare conditional_cache in front of handler
	handler http.Handler
}

const toUpstream = "\nreverse_proxy {upstream}\n"

// flawPaths: what is held gets a tag of ours and is judged with it, an upstream's own tag when the head is there. Static
// files have file_server's tag, which `existing replace` replaces by ours.
var flawPaths = map[string]flawPath{
	"held":     {handler: serves("Last-Modified", modified)},
	"own tag":  {handler: serves("Etag", ownETag, "Last-Modified", modified)},
	"static":   {site: "conditional_cache\nrewrite /page.txt\nfile_server\n"},
	"replaced": {site: "conditional_cache {\netag auto {\nexisting replace\n}\n}\nrewrite /page.txt\nfile_server\n"},

	"held, no date":          {handler: serves()},
	"own tag, no date":       {handler: serves("Etag", ownETag)},
	"weak tag":               {handler: serves("Etag", "W/"+ownETag, "Last-Modified", modified)},
	"tag with a comma":       {handler: serves("Etag", commaETag)},
	"no validator":           {site: "conditional_cache {\netag off\n}" + toUpstream, handler: serves()},
	"no store":               {handler: serves("Cache-Control", "no-store")},
	"all fields":             {handler: serves(allFields...)},
	"all, own tag":           {handler: serves(append([]string{"Etag", ownETag}, allFields...)...)},
	"made just now":          {handler: serves("Last-Modified", modified, "Date", modified)},
	"made just now, own tag": {handler: serves("Etag", ownETag, "Last-Modified", modified, "Date", modified)},
	"missing":                {handler: answers(http.StatusNotFound, "Etag", ownETag, "Last-Modified", modified)},

	"cut short":    {handler: cutShort(0, "Content-Length", strconv.Itoa(len(flawBody)))},
	"aborted":      {handler: cutShort(0)},
	"aborted late": {site: "conditional_cache {\nbuffer {\nmax_delay 10ms\n}\n}" + toUpstream, handler: cutShort(100 * time.Millisecond)},
	"partial":      {handler: http.HandlerFunc(servesPart)},

	"encoded": {site: "encode gzip\nconditional_cache {\netag strong\n}" + toUpstream, handler: serves("Last-Modified", modified)},
	"encoded, replaced": {
		site: "encode gzip\nconditional_cache {\netag strong {\nexisting replace\n}\n}\nrewrite /page.txt\nfile_server\n",
	},

	"guarded":           {site: "conditional_cache {\netag strong\nguard_writes\n}" + toUpstream, handler: theDocument},
	"guarded by itself": {handler: theDocument},
}

// TestPeerFlaws lets every flaw be found in a server that has it, and not in Caddy with this module.
func TestPeerFlaws(t *testing.T) {
	if n := len(flaws); n != 30 {
		t.Errorf("%d flaws, want 30", n)
	}
	for _, f := range flaws {
		t.Run(f.name, func(t *testing.T) {
			caddyPort, peerPorts := startFlawSites(t, f)
			for i, peer := range f.peers {
				t.Run("peer "+peer.product, func(t *testing.T) {
					mustShow(t, peer, problemsOf(t, peerPorts[i], siteKey("peer", i), f.check))
				})
			}
			for i, path := range f.paths {
				t.Run(path, func(t *testing.T) {
					mustHaveNone(t, f, problemsOf(t, caddyPort, siteKey("path", i), f.check))
				})
			}
			if f.behind != nil {
				t.Run("in front of "+f.peers[0].product, func(t *testing.T) {
					mustHaveNone(t, f, problemsOf(t, caddyPort, siteKey("behind", 0), f.behind))
				})
			}
		})
	}
}

// mustShow fails when the check has not found the flaw of the peer.
func mustShow(t *testing.T, p peer, found []string) {
	t.Helper()
	for _, symptom := range p.shows {
		if !slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, symptom) }) {
			t.Errorf("the check does not find %q; it finds %q", symptom, found)
		}
	}
}

func mustHaveNone(t *testing.T, f flaw, found []string) {
	t.Helper()
	for _, problem := range found {
		t.Errorf("%s (RFC 9110 %s)", problem, f.rfc)
	}
}

// siteKey names a site in the paths of its requests.
func siteKey(kind string, i int) string { return kind + strconv.Itoa(i) }

// flawOptions: upstreams that abort are no news here, and lists may be longer than Caddy's 16 KiB.
const flawOptions = `
	log {
		level FATAL
	}
	servers {
		max_header_size 1MiB
	}
`

// startFlawSites runs the peers of a flaw, each on a port of its own, and one Caddy, which has the flaw's paths, the peer
// that is Caddy, and us in front of the first peer.
func startFlawSites(t *testing.T, f flaw) (caddyPort int, peerPorts []int) {
	t.Helper()
	caddyPort = freePort(t)
	var sites strings.Builder
	handle := func(key, directives string, handler http.Handler) (port int) {
		if handler != nil {
			server := httptest.NewServer(handler)
			t.Cleanup(server.Close)
			address := server.Listener.Addr().(*net.TCPAddr)
			port, directives = address.Port, strings.ReplaceAll(directives, "{upstream}", address.String())
		}
		fmt.Fprintf(&sites, "handle /case/%s/* {\n%s\n}\n", key, directives)
		return port
	}
	for i, p := range f.peers {
		if p.handler == nil {
			handle(siteKey("peer", i), p.site, nil)
			peerPorts = append(peerPorts, caddyPort)
			continue
		}
		peerPorts = append(peerPorts, handle(siteKey("behind", i), "conditional_cache"+toUpstream, p.handler))
	}
	for i, name := range f.paths {
		path, ok := flawPaths[name]
		if !ok {
			t.Fatalf("there is no path %q", name)
		}
		if path.site == "" {
			path.site = "conditional_cache" + toUpstream
		}
		handle(siteKey("path", i), path.site, path.handler)
	}
	runCaddyWith(t, flawOptions, fmt.Sprintf(
		"http://:%d {\nbind 127.0.0.1\nroot %s\n%s}\n", caddyPort, flawFolder(t), sites.String()))
	return caddyPort, peerPorts
}

// flawFolder has the representation as a file.
func flawFolder(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	file := filepath.Join(dir, "page.txt")
	if err := os.WriteFile(file, []byte(flawBody), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, lastDeploy, lastDeploy); err != nil {
		t.Fatal(err)
	}
	return dir
}

// probe asks one site and notes what is wrong.
type probe struct {
	t        *testing.T
	port     int
	key      string
	problems []string
}

func problemsOf(t *testing.T, port int, key string, check func(*probe)) []string {
	t.Helper()
	p := &probe{t: t, port: port, key: key}
	check(p)
	return p.problems
}

func (p *probe) notef(format string, args ...any) {
	p.problems = append(p.problems, fmt.Sprintf(format, args...))
}

// ask sends a request with field lines, given as names and values in turn.
func (p *probe) ask(method string, pairs ...string) caseResponse {
	p.t.Helper()
	return p.askFor("", method, pairs...)
}

// askFor is ask with the end of the path.
func (p *probe) askFor(target, method string, pairs ...string) caseResponse {
	p.t.Helper()
	client, err := dialCase(p.port)
	if err != nil {
		p.t.Fatal(err)
	}
	defer client.close()
	sent := caseRequest{Method: method, Target: target, Headers: headerLines{}}
	for i := 0; i < len(pairs); i += 2 {
		sent.Headers[pairs[i]] = append(sent.Headers[pairs[i]], pairs[i+1])
	}
	got, err := client.send(sent, p.key)
	if err != nil {
		p.t.Fatalf("%s %.200q: %v", method, pairs, err)
	}
	return got
}

// expect asks, and notes an answer with another status, or a 200 without the whole body.
func (p *probe) expect(status int, method string, pairs ...string) caseResponse {
	p.t.Helper()
	got := p.ask(method, pairs...)
	switch {
	case got.status != status:
		p.notef("%s %.200v: got %d, want %d", method, pairs, got.status, status)
	case method == http.MethodGet && status == http.StatusOK && !got.fields.has("Content-Encoding") && string(got.body) != flawBody:
		p.notef("%s %.200v: the 200 has %d of %d bytes", method, pairs, len(got.body), len(flawBody))
	}
	return got
}

// expectPart asks for a part and notes when something else comes.
func (p *probe) expectPart(first, last int, pairs ...string) {
	p.t.Helper()
	got := p.expect(http.StatusPartialContent, http.MethodGet, pairs...)
	if got.status != http.StatusPartialContent {
		return
	}
	want := fmt.Sprintf("bytes %d-%d/%d", first, last, len(flawBody))
	if said, _ := got.fields.joined("Content-Range"); said != want || string(got.body) != flawBody[first:last+1] {
		p.notef("GET %v: got %s with %q, want %s", pairs, said, got.body, want)
	}
}

// expectUnsatisfiable asks for what no byte is in.
func (p *probe) expectUnsatisfiable(pairs ...string) {
	p.t.Helper()
	got := p.expect(http.StatusRequestedRangeNotSatisfiable, http.MethodGet, pairs...)
	want := fmt.Sprintf("bytes */%d", len(flawBody))
	if said, _ := got.fields.joined("Content-Range"); said != want {
		p.notef("GET %v: got Content-Range %q, want %s", pairs, said, want)
	}
}

// etag is the tag of a first answer.
func (p *probe) etag(pairs ...string) string {
	p.t.Helper()
	etag, _ := p.expect(http.StatusOK, http.MethodGet, pairs...).fields.joined("ETag")
	if etag == "" {
		p.notef("the first answer has no ETag")
	}
	return etag
}

func checkAllLinesAreRead(p *probe) {
	etag := p.etag()
	p.expect(304, "GET", "If-None-Match", otherETag, "If-None-Match", etag)
	p.expect(200, "GET", "If-Match", otherETag, "If-Match", etag)
}

func checkMalformedMemberIsSkipped(p *probe) {
	etag := p.etag()
	for _, malformed := range []string{`unquoted`, `w/"v0"`, `"a b"`, `"open`} {
		p.expect(304, "GET", "If-None-Match", malformed+", "+etag)
		p.expect(200, "GET", "If-Match", malformed+", "+etag)
	}
}

func checkStarStandsAlone(p *probe) {
	for _, junk := range []string{"*junk", "**", `*"v0"`} {
		p.expect(200, "GET", "If-None-Match", junk)
		p.expect(412, "GET", "If-Match", junk)
	}
}

func checkTwoDatesAreNone(p *probe) {
	p.expect(200, "GET", "If-Modified-Since", modified, "If-Modified-Since", modified)
	p.expect(200, "GET", "If-Modified-Since", later, "If-Modified-Since", earlier)
	p.expect(200, "GET", "If-Unmodified-Since", earlier, "If-Unmodified-Since", earlier)
}

func checkNoRangeOnHead(p *probe) {
	for _, wanted := range []string{"bytes=0-4", "bytes=9999-"} {
		got := p.expect(200, "HEAD", "Range", wanted)
		length, _ := got.fields.joined("Content-Length")
		if got.fields.has("Content-Range") || length != strconv.Itoa(len(flawBody)) {
			p.notef("HEAD with Range: got\n%v, want the fields of the whole", got.fields)
		}
	}
}

func checkUnitsAndLargeNumbers(p *probe) {
	p.expect(200, "GET", "Range", "items=0-4")
	checkLargeNumbers(p)
}

func checkLargeNumbers(p *probe) {
	p.expectPart(0, 4, "Range", "BYTES=0-4")
	p.expectPart(0, 1023, "Range", "bytes=0-99999999999999999999")
	p.expectPart(0, 1023, "Range", "bytes=-99999999999999999999")
	p.expectUnsatisfiable("Range", "bytes=99999999999999999999-")
}

func checkSuffixOfNoBytes(p *probe) {
	p.expectUnsatisfiable("Range", "bytes=-0")
	p.expectPart(1023, 1023, "Range", "bytes=-1")
}

// checkWeakDateInIfRange: a Last-Modified of the second of Date may stand for two contents.
func checkWeakDateInIfRange(p *probe) {
	p.expect(200, "GET", "If-Range", modified, "Range", "bytes=0-4")
	p.expect(304, "GET", "If-Modified-Since", modified, "Range", "bytes=0-4")
}

func checkErrorsHaveNoFreshness(p *probe) {
	for _, got := range []caseResponse{
		p.expect(412, "GET", "If-Match", otherETag),
		p.expect(412, "GET", "If-Unmodified-Since", earlier),
		p.expect(416, "GET", "Range", "bytes=9999-"),
	} {
		for _, name := range []string{"Cache-Control", "Expires", "Last-Modified", "ETag"} {
			if got.fields.has(name) {
				p.notef("the %d has %s", got.status, name)
			}
		}
	}
}

// checkDatesAreReadExactly works until 2050: then the two-digit year of 49 years hence, which is the next century's, is no
// longer one that a pivot of 69 takes for the last one's.
func checkDatesAreReadExactly(p *probe) {
	const rfc850 = "Monday, 02-Jan-06 15:04:05 MST"
	p.expect(304, "GET", "If-Modified-Since", time.Now().UTC().AddDate(49, 0, 0).Format("Monday, 02-Jan-06 15:04:05")+" GMT")
	p.expect(200, "GET", "If-Modified-Since", time.Now().UTC().AddDate(51, 0, 0).Format("Monday, 02-Jan-06 15:04:05")+" GMT")
	p.expect(200, "GET", "If-Modified-Since", lastDeploy.In(time.FixedZone("EST", 0)).Format(rfc850))
	p.expect(200, "GET", "If-Modified-Since", strings.Replace(modified, " GMT", ".5 GMT", 1))
	p.expect(304, "GET", "If-Modified-Since", lastDeploy.Format(strings.Replace(rfc850, "MST", "GMT", 1)))
	p.expect(304, "GET", "If-Modified-Since", lastDeploy.Format(time.ANSIC))
}

func checkNoContentFieldsOn304(p *probe) {
	got := p.expect(304, "GET", "If-None-Match", p.etag())
	for _, f := range got.fields {
		if strings.HasPrefix(f.name, "Content-") && f.name != "Content-Location" {
			p.notef("the 304 has %s", f.name)
		}
	}
}

func checkIfNoneMatchOverrulesTheDate(p *probe) {
	p.expect(304, "GET", "If-None-Match", p.etag(), "If-Modified-Since", earlier)
	p.expect(200, "GET", "If-None-Match", otherETag, "If-Modified-Since", later)
	p.expect(200, "GET", "If-None-Match", "junk", "If-Modified-Since", later)
}

// checkWeakTagsMatchNothingStrong: a weak one never does, be it the client's or the current one.
func checkWeakTagsMatchNothingStrong(p *probe) {
	etag := p.etag()
	weak := "W/" + strings.TrimPrefix(etag, "W/")
	p.expect(412, "GET", "If-Match", weak)
	p.expect(200, "GET", "If-Range", weak, "Range", "bytes=0-4")
	p.expect(304, "GET", "If-None-Match", weak)
	if weak != etag {
		p.expect(200, "GET", "If-Match", etag)
		p.expectPart(0, 4, "If-Range", etag, "Range", "bytes=0-4")
		return
	}
	strong := strings.TrimPrefix(etag, "W/")
	p.expect(412, "GET", "If-Match", strong)
	p.expect(200, "GET", "If-Range", strong, "Range", "bytes=0-4")
}

func checkListsHaveMembers(p *probe) {
	etag := p.etag()
	p.expect(304, "GET", "If-None-Match", otherETag+", "+etag)
	p.expect(304, "GET", "If-None-Match", etag+","+otherETag)
	p.expect(200, "GET", "If-Match", otherETag+" , "+etag)
	p.expect(200, "GET", "If-None-Match", otherETag+`, "another"`)
}

func checkStarIsAnything(p *probe) {
	p.expect(304, "GET", "If-None-Match", "*")
	p.expect(200, "GET", "If-Match", "*")
}

func checkCommaInsideATag(p *probe) {
	p.expect(304, "GET", "If-None-Match", commaETag)
	p.expect(304, "GET", "If-None-Match", `"a,b", `+commaETag)
	p.expect(200, "GET", "If-Match", commaETag)
	p.expect(200, "GET", "If-None-Match", `"z,y"`)
}

func checkNoDateIsIgnored(p *probe) {
	for _, value := range []string{"yesterday", "", "0", "-1", "Mon, 30 Feb 2026 00:00:00 GMT", modified + "; length=1024"} {
		p.expect(200, "GET", "If-Modified-Since", value)
		p.expect(200, "GET", "If-Unmodified-Since", value)
	}
}

// checkOnlyReadsOf200 takes the status of an answer to which no condition applies from the answer without one.
func checkOnlyReadsOf200(p *probe) {
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		status := p.ask(method).status
		p.expect(status, method, "If-None-Match", ownETag)
		p.expect(status, method, "If-Modified-Since", later)
	}
	if status := p.ask("GET").status; status != http.StatusOK {
		p.expect(status, "GET", "If-None-Match", ownETag)
		p.expect(status, "GET", "If-None-Match", "*")
		p.expect(status, "GET", "If-Modified-Since", later)
		p.expect(status, "GET", "If-Match", otherETag)
		return
	}
	p.expect(304, "GET", "If-None-Match", ownETag)
	p.expect(304, "HEAD", "If-None-Match", ownETag)
}

func checkNoLengthOn304(p *probe) {
	for _, got := range []caseResponse{
		p.expect(304, "GET", "If-None-Match", p.etag()),
		p.expect(304, "GET", "If-None-Match", "*"),
	} {
		if length, has := got.fields.joined("Content-Length"); has && length != strconv.Itoa(len(flawBody)) {
			p.notef("the 304 has Content-Length: %s", length)
		}
	}
}

func checkFieldsOf304(p *probe) {
	full := p.expect(200, "GET")
	etag, _ := full.fields.joined("ETag")
	got := p.expect(304, "GET", "If-None-Match", etag)
	for _, name := range []string{
		"ETag", "Cache-Control", "Expires", "Vary", "Content-Location",
		"Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Set-Cookie",
	} {
		want := full.fields.lines(name)
		if have := got.fields.lines(name); want == nil || !slices.Equal(have, want) {
			p.notef("the 304 has not %s as %q, but %q", name, want, have)
		}
	}
	if !got.fields.has("Date") {
		p.notef("the 304 has no Date")
	}
}

// checkWritesAreJudgedByWhatThereIs changes the document behind everybody's back. Who answers by what was seen before
// refuses those who know the current tag, and lets those write who do not.
func checkWritesAreJudgedByWhatThereIs(p *probe) {
	tagAt := func(target string) string {
		etag, _ := p.askFor(target, "GET").fields.joined("ETag")
		return etag
	}
	old := tagAt("/seen")
	theDocument.change()
	current := tagAt("/other") // the same content, asked for elsewhere
	if old == current || strings.HasPrefix(current, "W/") {
		p.notef("the tags are %s and %s, want two strong ones", old, current)
	}
	reads, writes := theDocument.counts()
	if got := p.askFor("/seen", "PUT", "If-Match", current); got.status != http.StatusNoContent {
		p.notef("PUT with the current tag: got %d, want 204", got.status)
	}
	if got := p.askFor("/seen", "PUT", "If-Match", old); got.status != http.StatusPreconditionFailed {
		p.notef("PUT with the old tag: got %d, want 412", got.status)
	}
	readsNow, writesNow := theDocument.counts()
	if n := readsNow - reads; n != 2 {
		p.notef("the document was read %d times for two verdicts", n)
	}
	if n := writesNow - writes; n != 1 {
		p.notef("the document was written %d times, want once", n)
	}
}

func checkUnmodifiedHolds(p *probe) {
	p.expect(200, "GET", "If-Unmodified-Since", later)
	p.expect(200, "GET", "If-Unmodified-Since", modified)
	p.expect(412, "GET", "If-Unmodified-Since", earlier)
}

func checkUntaggedExists(p *probe) {
	p.expect(200, "GET", "If-Match", "*")
	p.expect(200, "GET", "If-None-Match", otherETag)
	p.expect(412, "GET", "If-Match", otherETag)
}

// checkMembersAreBounded: 100 members of 8 KiB are looked at; the rest match nothing. BenchmarkManyMembers has the cost.
func checkMembersAreBounded(p *probe) {
	etag := p.etag()
	p.expect(304, "GET", "If-None-Match", strings.Repeat(`"x",`, 99)+etag)
	p.expect(200, "GET", "If-Match", strings.Repeat(`"x",`, 99)+etag)
	long := `"` + strings.Repeat("x", 8<<10) + `",`
	for what, list := range map[string]string{
		"the 101st member":  strings.Repeat(`"x",`, 100),
		"behind 8 KiB":      long,
		"of 100001 members": strings.Repeat(`"x",`, 100_000),
	} {
		if got := p.ask("GET", "If-None-Match", list+etag); got.status != http.StatusOK {
			p.notef("%s: got %d, want 200", what, got.status)
		}
		if got := p.ask("GET", "If-Match", list+etag); got.status != http.StatusPreconditionFailed {
			p.notef("%s: got %d, want 412", what, got.status)
		}
	}
}

// BenchmarkManyMembers: from the hundredth member on, a list costs no more time and memory.
func BenchmarkManyMembers(b *testing.B) {
	for _, n := range []int{1, 100, 1000, 100_000} {
		h := http.Header{"If-None-Match": {strings.Repeat(`"x",`, n)}, "If-Match": {strings.Repeat(`"x",`, n)}}
		b.Run("members="+strconv.Itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				httpcond.ParsePreconditions(h, lastDeploy, false)
			}
		})
	}
}

func checkNoTagForAPart(p *probe) {
	whole := p.ask("GET")
	etag, _ := whole.fields.joined("ETag")
	for _, pairs := range [][]string{nil, {"Range", "bytes=0-511"}, {"If-None-Match", otherETag}} {
		got := p.ask("GET", pairs...)
		said, tagged := got.fields.joined("ETag")
		switch {
		case got.status == http.StatusPartialContent && said == etag:
			// The tag of the whole, or none.
		case got.status == http.StatusOK && len(got.body) == len(flawBody):
		case got.status >= 400: // such as our 502
		case tagged:
			p.notef("GET %v: the %d has a tag for %d of %d bytes", pairs, got.status, len(got.body), len(flawBody))
		}
	}
}

func checkCostlyRanges(p *probe) {
	p.expectPart(5, 9, "Range", "bytes=5-9")
	many := make([]string, 17)
	for i := range many {
		many[i] = fmt.Sprintf("%d-%[1]d", 2*i)
	}
	p.expect(206, "GET", "Range", "bytes=0-0,-1")
	p.expectPart(0, 14, "Range", "bytes=0-9,5-14")
	p.expectPart(0, 1023, "Range", "bytes=0-,0-,0-")
	p.expectPart(994, 1023, "Range", "bytes=1000-,-30")
	for _, costly := range []string{
		"0-599,1000-,0-599", strings.Join(many[:16], ","), strings.Join(many, ","),
	} {
		p.expect(200, "GET", "Range", "bytes="+costly)
	}
}

func checkSuffixedTags(p *probe) {
	etag := p.etag("Accept-Encoding", "gzip")
	if !strings.HasSuffix(etag, `-gzip"`) {
		p.notef("encode has made no suffix: %s", etag)
	}
	ask := func(status int, pairs ...string) {
		p.t.Helper()
		p.expect(status, "GET", append(pairs, "Accept-Encoding", "gzip")...)
	}
	ask(200, "If-Match", etag)
	ask(200, "If-Match", otherETag+", "+etag)
	ask(412, "If-Match", otherETag)
	ask(304, "If-None-Match", etag)
	ask(304, "If-None-Match", otherETag+", "+etag)
	ask(304, "If-None-Match", otherETag, "If-None-Match", etag)
}

// setFields sets field lines given as names and values in turn. An empty value is no line.
func setFields(h http.Header, pairs []string) {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			h.Del(pairs[i])
			continue
		}
		h[pairs[i]] = append(h[pairs[i]], pairs[i+1])
	}
}

// answers is an upstream that ignores every condition.
func answers(status int, pairs ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		setFields(w.Header(), append([]string{"Content-Type", "text/plain"}, pairs...))
		w.WriteHeader(status)
		_, _ = io.WriteString(w, flawBody)
	})
}

func serves(pairs ...string) http.Handler { return answers(http.StatusOK, pairs...) }

// cutShort breaks off after half the body, some time after the head.
func cutShort(after time.Duration, pairs ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		setFields(w.Header(), pairs)
		_, _ = io.WriteString(w, flawBody[:512])
		_ = http.NewResponseController(w).Flush()
		time.Sleep(after)
		panic(http.ErrAbortHandler)
	})
}

// servesPart answers Range by itself, and has no tag.
func servesPart(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	if r.Header.Get("Range") == "" {
		_, _ = io.WriteString(w, flawBody)
		return
	}
	w.Header().Set("Content-Range", "bytes 0-511/1024")
	w.WriteHeader(http.StatusPartialContent)
	_, _ = io.WriteString(w, flawBody[:512])
}

// theDocument is the upstream of those who write.
var theDocument = new(document)

// document is a representation that changes behind everybody's back. It has no tag and ignores every condition.
type document struct {
	mu                     sync.Mutex
	version, reads, writes int
}

func (d *document) change() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.version++
}

func (d *document) counts() (reads, writes int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.reads, d.writes
}

func (d *document) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.Method != http.MethodGet {
		d.writes++
		w.WriteHeader(http.StatusNoContent)
		return
	}
	d.reads++
	w.Header().Set("Content-Type", "text/plain")
	_, _ = fmt.Fprintf(w, "version %d", d.version)
}

// own fills up what a peer says with the common validators.
func own(pairs []string) []string {
	pairs = slices.Clone(pairs)
	for name, value := range map[string]string{"Content-Type": "text/plain", "Etag": ownETag, "Last-Modified": modified} {
		if !slices.Contains(pairs, name) {
			pairs = append(pairs, name, value)
		}
	}
	return pairs
}

// serveContent is net/http itself, with everything that its documentation asks for.
func serveContent(pairs ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setFields(w.Header(), own(pairs))
		http.ServeContent(w, r, "", lastDeploy, strings.NewReader(flawBody))
	})
}

// decides is a peer whose verdict on a request is a status; anything but a 200 has no body.
func decides(verdict func(*http.Request) int, pairs ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setFields(w.Header(), own(pairs))
		status := verdict(r)
		w.WriteHeader(status)
		if status == http.StatusOK {
			_, _ = io.WriteString(w, flawBody)
		}
	})
}

// when is a verdict: a status if something is the case, else 200.
func when(is bool, status int) int {
	if is {
		return status
	}
	return http.StatusOK
}

// verdictOf is 412, 304 or 200.
func verdictOf(failed, notModified bool) int {
	if failed {
		return http.StatusPreconditionFailed
	}
	return when(notModified, http.StatusNotModified)
}

func tagMatches(r *http.Request) int {
	return when(r.Header.Get("If-None-Match") == ownETag, http.StatusNotModified)
}

func failsOn(name string) func(*http.Request) int {
	return func(r *http.Request) int { return when(r.Header[name] != nil, http.StatusPreconditionFailed) }
}

// notModifiedIf combines what the tag and the date say.
func notModifiedIf(combined func(tag, date bool) bool) func(*http.Request) int {
	return func(r *http.Request) int {
		since, err := http.ParseTime(r.Header.Get("If-Modified-Since"))
		date := err == nil && !since.Before(lastDeploy)
		return when(combined(r.Header.Get("If-None-Match") == ownETag, date), http.StatusNotModified)
	}
}

func tagAnywhere(r *http.Request) int {
	match := r.Header.Get("If-Match")
	return verdictOf(match != "" && !strings.Contains(match, ownETag), strings.Contains(r.Header.Get("If-None-Match"), ownETag))
}

// comparesStrings compares weak tags like others.
func comparesStrings(w http.ResponseWriter, r *http.Request) {
	const weak = "W/" + ownETag
	setFields(w.Header(), own([]string{"Etag", weak}))
	match := r.Header.Get("If-Match")
	switch {
	case match != "" && match != weak:
		w.WriteHeader(http.StatusPreconditionFailed)
	case r.Header.Get("If-None-Match") == weak:
		w.WriteHeader(http.StatusNotModified)
	case r.Header.Get("If-Range") == weak:
		servesPart(w, r)
	default:
		_, _ = io.WriteString(w, flawBody)
	}
}

func notModifiedWhateverTheStatus(w http.ResponseWriter, r *http.Request) {
	setFields(w.Header(), own(nil))
	status := tagMatches(r)
	if status == http.StatusOK {
		status = http.StatusNotFound
	}
	w.WriteHeader(status)
}

// saysLengthZero writes its 304 by itself, as net/http would leave the length out.
func saysLengthZero(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("If-None-Match") == "" {
		serves(own(nil)...).ServeHTTP(w, r)
		return
	}
	writeRaw(w, "HTTP/1.1 304 Not Modified\r\nETag: "+ownETag+"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

func writeRaw(w http.ResponseWriter, message string) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	_, _ = buffered.WriteString(message)
	_ = buffered.Flush()
}

// dropsOn304 leaves fields out of the 304.
func dropsOn304(names ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setFields(w.Header(), own(allFields))
		status := tagMatches(r)
		for _, name := range names {
			if status == http.StatusNotModified {
				w.Header().Del(name)
			}
		}
		w.WriteHeader(status)
	})
}

func joinsCookies(w http.ResponseWriter, r *http.Request) {
	setFields(w.Header(), own(allFields))
	status := tagMatches(r)
	if status == http.StatusNotModified {
		w.Header().Set("Set-Cookie", strings.Join(w.Header()["Set-Cookie"], ", "))
	}
	w.WriteHeader(status)
}

// tagsHalf reads half a file and tags it.
func tagsHalf(w http.ResponseWriter, _ *http.Request) {
	setFields(w.Header(), own(nil))
	_, _ = io.WriteString(w, flawBody[:512])
}

// memory judges writes of the document by the tag that it has last seen at a URI.
type memory struct {
	mu   sync.Mutex
	tags map[string]string
}

func (m *memory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.Method != http.MethodGet {
		if r.Header.Get("If-Match") != m.tags[r.URL.Path] {
			w.WriteHeader(http.StatusPreconditionFailed)
			return
		}
		theDocument.ServeHTTP(w, r)
		return
	}
	recorded := httptest.NewRecorder()
	theDocument.ServeHTTP(recorded, r)
	etag := strconv.Quote(regexp.MustCompile(`\W`).ReplaceAllString(recorded.Body.String(), "-"))
	if m.tags == nil {
		m.tags = make(map[string]string)
	}
	m.tags[r.URL.Path] = etag
	w.Header().Set("Etag", etag)
	_, _ = w.Write(recorded.Body.Bytes())
}
