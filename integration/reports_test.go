package integration

import (
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A report is what somebody has told in public of a server or a client that does this job, in its smallest form: what the
// upstream does, in which configurations, and what a client has to see.
type report struct {
	id       string
	sites    []string                           // each a site's directives, {upstream} and {root} in them
	upstream func(s *scripted) http.HandlerFunc // nil: the site has files
	accept   string                             // Accept-Encoding of the client; empty: none
	check    func(*testing.T, *client, *scripted)
}

// scripted is what an upstream of a report keeps.
type scripted struct {
	asked   atomic.Int64 // requests
	version atomic.Int64 // of its content; 0 at first
	root    string       // folder of a site that has files
	site    string       // the directives
}

const proxyIt = "\nreverse_proxy {upstream}"

var (
	reportBare   = "conditional_cache" + proxyIt
	reportCoded  = "encode zstd gzip\nconditional_cache" + proxyIt
	reportMemory = configured("remember 10m")
	reportGuard  = configured("etag strong\nguard_writes")
	reportRename = configured("etag strong {\nexisting replace\n}\nguard_writes")
)

// configured is a site with these subdirectives.
func configured(lines string) string { return "conditional_cache {\n" + lines + "\n}" + proxyIt }

// TestReports runs what each report tells, in the configurations that help, or that had nothing to mend.
func TestReports(t *testing.T) {
	for _, r := range slices.Concat(reportsOfWrites, reportsOfValidators, reportsOfPages) {
		for i, site := range r.sites {
			t.Run(fmt.Sprintf("%s/%d", r.id, i), func(t *testing.T) {
				s := &scripted{root: t.TempDir(), site: site}
				site = strings.NewReplacer("{root}", s.root, "{fcgi}", startFastCGI(t)).Replace(site)
				upstream := http.NotFoundHandler()
				if r.upstream != nil {
					serve := r.upstream(s)
					upstream = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.asked.Add(1); serve(w, r) })
				}
				c := noteSite(t, site, upstream)
				c.acceptEncoding = r.accept
				r.check(t, c, s)
			})
		}
	}
}

// wants sends a GET and checks its status, and fields: a name and its value, "" for none, "*" for any.
func wants(t *testing.T, c *client, status int, sent []string, fields ...string) answer {
	t.Helper()
	got := c.must(t, status, http.MethodGet, "/", "", sent...)
	for i := 0; i < len(fields); i += 2 {
		value := strings.Join(got.header.Values(fields[i]), " | ")
		if fields[i+1] == "*" && value != "" {
			continue
		}
		if value != fields[i+1] {
			t.Errorf("after %q: %s is %q, want %q", sent, fields[i], value, fields[i+1])
		}
	}
	return got
}

// byTag is the request's field with the tag of an answer.
func byTag(field string, a answer) []string { return []string{field, a.header.Get("Etag")} }

// calendar is an upstream with a text that can be written to.
type calendar struct {
	tag    func(version int64, r *http.Request) string // of a GET; nil: none
	strict bool                                        // writes are compared with the tag of a GET without codings
	told   bool                                        // the answer to a write has the new tag
	junk   bool                                        // any If-None-Match of a write is false
	codes  bool                                        // it says that its answers are coded, where that is accepted
}

func (d calendar) upstream(s *scripted) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		plain := r.Clone(r.Context())
		plain.Header.Del("Accept-Encoding")
		switch {
		case r.Method == http.MethodGet || r.Method == http.MethodHead:
			w.Header().Set("Content-Type", "text/calendar")
			if d.tag != nil {
				w.Header().Set("Etag", d.tag(s.version.Load(), r))
			}
			content := strings.Repeat(fmt.Sprintf("SUMMARY:%d\n", s.version.Load()), 100)
			if d.codes && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				w.Header().Set("Content-Encoding", "gzip")
				content = "\x1f\x8b\x08 " + content // enough for who does not decode it
			}
			_, _ = io.WriteString(w, content)
		case d.junk && r.Header.Get("If-None-Match") != "",
			d.strict && r.Header.Get("If-Match") != "" && r.Header.Get("If-Match") != d.tag(s.version.Load(), plain):
			w.WriteHeader(http.StatusPreconditionFailed)
		default:
			version := s.version.Add(1)
			if d.told {
				w.Header().Set("Etag", d.tag(version, plain))
			}
			w.WriteHeader(http.StatusNoContent)
		}
	}
}

// upTag is the tag of a version, with something behind it, or before it, for who accepts gzip.
func upTag(mark, coded string) func(int64, *http.Request) string {
	return func(version int64, r *http.Request) string {
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			return fmt.Sprintf(`%s"up-%d%s"`, mark, version, coded)
		}
		return fmt.Sprintf(`"up-%d"`, version)
	}
}

// onceOnly: a write upon what was read is done, and another one upon the same is not.
func onceOnly(t *testing.T, c *client, _ *scripted) {
	t.Helper()
	read := c.fetch(t, "/")
	c.must(t, http.StatusNoContent, http.MethodPut, "/", "a", byTag("If-Match", read)...)
	c.must(t, http.StatusPreconditionFailed, http.MethodPut, "/", "b", byTag("If-Match", read)...)
}

func bothClients(t *testing.T, c *client, s *scripted) {
	t.Helper()
	onceOnly(t, c, s)
	c.acceptEncoding = "gzip"
	onceOnly(t, c, s)
}

var reportsOfWrites = []report{
	{
		id: "B01", accept: "gzip", upstream: calendar{tag: upTag("", ""), strict: true}.upstream, check: onceOnly,
		sites: []string{reportCoded, reportBare, "encode gzip\n" + reportGuard, reportGuard},
	},
	{
		id: "B01 Apache", accept: "gzip", upstream: calendar{tag: upTag("", "-gzip"), strict: true, codes: true}.upstream, check: onceOnly,
		sites: []string{reportBare, reportCoded, reportGuard},
	},
	{
		id: "B02", accept: "gzip", upstream: calendar{tag: upTag("W/", ""), strict: true, codes: true}.upstream, check: onceOnly,
		sites: []string{reportRename, "encode gzip\n" + configured("etag auto {\nexisting replace\n}"), configured("etag auto {\nexisting replace\n}")},
	},
	{
		id: "B03", upstream: calendar{}.upstream, check: bothClients,
		sites: []string{reportBare, reportCoded, configured("etag strong"), reportGuard},
	},
	{id: "B04", upstream: calendar{tag: upTag("", "")}.upstream, check: bothClients, sites: []string{reportGuard}},
	{
		id: "B05", upstream: calendar{tag: upTag("", ""), strict: true, told: true}.upstream,
		sites: []string{reportRename, reportGuard, configured("etag strong {\nexisting remove\n}\nguard_writes"), reportBare},
		check: func(t *testing.T, c *client, _ *scripted) {
			t.Helper()
			against := byTag("If-Match", c.fetch(t, "/"))
			for range 3 {
				if against[1] == "" {
					against = nil // who was told no tag asks again, or sends none
				}
				against = byTag("If-Match", c.must(t, http.StatusNoContent, http.MethodPut, "/", "text", against...))
			}
		},
	},
	{
		id: "B06", upstream: calendar{tag: upTag("", ""), strict: true}.upstream,
		sites: []string{reportBare, reportCoded, reportGuard, reportRename},
		check: func(t *testing.T, c *client, _ *scripted) {
			t.Helper()
			c.must(t, http.StatusNoContent, http.MethodPut, "/", "text", "If-Match", `"up-0"`)
			c.must(t, http.StatusPreconditionFailed, http.MethodPut, "/", "text", "If-Match", `"up-0"`)
		},
	},
	{
		id: "B07", upstream: calendar{tag: upTag("", ""), junk: true}.upstream, sites: []string{reportGuard},
		check: func(t *testing.T, c *client, _ *scripted) {
			t.Helper()
			c.must(t, http.StatusNoContent, http.MethodPut, "/", "text", "If-None-Match", "JoplinIgnore-74610")
		},
	},
	{
		id: "B08", upstream: calendar{}.upstream, sites: []string{configured("head get"), "encode gzip\n" + configured("head get")},
		check: func(t *testing.T, c *client, _ *scripted) {
			t.Helper()
			head := c.must(t, http.StatusOK, http.MethodHead, "/", "")
			if tag := c.fetch(t, "/").header.Get("Etag"); tag == "" || head.header.Get("Etag") != tag {
				t.Errorf("HEAD has %q, GET %q", head.header.Get("Etag"), tag)
			}
			c.must(t, http.StatusNoContent, http.MethodPut, "/", "a", byTag("If-Match", head)...)
			c.must(t, http.StatusPreconditionFailed, http.MethodPut, "/", "b", byTag("If-Match", head)...)
		},
	},
	{
		id: "B09", sites: []string{configured("head get")},
		upstream: func(*scripted) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Etag", `"cf91"`)
				if r.Method == http.MethodHead {
					w.Header().Set("Etag", `"67f4ce74-66157"`)
				}
				http.ServeContent(w, r, "a.txt", time.Time{}, strings.NewReader("a text"))
			}
		},
		check: func(t *testing.T, c *client, _ *scripted) {
			t.Helper()
			head := c.must(t, http.StatusOK, http.MethodHead, "/", "")
			wants(t, c, http.StatusOK, byTag("If-Match", head))
			wants(t, c, http.StatusPartialContent, append(byTag("If-Match", head), "Range", "bytes=0-1"), "Content-Range", "bytes 0-1/6")
		},
	},
	{
		id: "B45", sites: []string{reportBare, reportCoded, configured("etag strong"), configured("remember")}, accept: "gzip",
		upstream: func(*scripted) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				signed := []string{r.Header.Get("Accept-Encoding"), r.Header.Get("If-Match"), r.Header.Get("Range")}
				w.Header().Set("X-Signed", strings.Join(signed, " "))
			}
		},
		check: func(t *testing.T, c *client, _ *scripted) {
			t.Helper()
			for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPost} {
				fields := []string{"Authorization", "AWS4-HMAC-SHA256 SignedHeaders=accept-encoding;host;if-match;range", "Range", "bytes=0-9", "If-Match"}
				for _, tag := range []string{`*`, `"a-gzip"`} {
					if got := c.must(t, http.StatusOK, method, "/", "", append(fields, tag)...); got.header.Get("X-Signed") != "gzip "+tag+" bytes=0-9" {
						t.Errorf("%s: the upstream saw %s", method, got.header.Get("X-Signed"))
					}
					if method == http.MethodGet {
						break // the answer has no tag, so that one by another name would be 412
					}
				}
			}
		},
	},
}

// textOf is a content of the same length for each version.
func textOf(version int64) string { return strings.Repeat(fmt.Sprintf("text %d. ", version), 100) }

// fixed is an upstream whose validators never change, and which judges by them.
func fixed(fields ...string) func(*scripted) http.HandlerFunc {
	return func(s *scripted) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			setFields(w.Header(), fields)
			date, _ := http.ParseTime(w.Header().Get("Last-Modified"))
			http.ServeContent(w, r, "a.txt", date, strings.NewReader(textOf(s.version.Load())))
		}
	}
}

// write puts a version of a file in place.
func (s *scripted) write(t *testing.T, name, content string, mtime time.Time) {
	t.Helper()
	path := filepath.Join(s.root, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, mtime, mtime); err != nil {
		t.Fatal(err)
	}
}

// changesBehind: the content changes while the validators that are not ours stay, which this one knows, too.
func changesBehind(etag, date string) func(*testing.T, *client, *scripted) {
	return func(t *testing.T, c *client, s *scripted) {
		t.Helper()
		first := wants(t, c, http.StatusOK, nil, "Etag", "*")
		wants(t, c, http.StatusNotModified, byTag("If-None-Match", first))
		s.version.Add(1)
		wants(t, c, http.StatusOK, byTag("If-None-Match", first))
		wants(t, c, http.StatusOK, append(byTag("If-None-Match", first), "If-Modified-Since", date))
		wants(t, c, http.StatusOK, []string{"If-None-Match", etag, "If-Modified-Since", date})
	}
}

// builtAt: a release of files that all have one date.
func builtAt(mtime time.Time) func(*testing.T, *client, *scripted) {
	return func(t *testing.T, c *client, s *scripted) {
		t.Helper()
		s.write(t, "index.html", textOf(1), mtime)
		first := wants(t, c, http.StatusOK, nil, "Last-Modified", "")
		wants(t, c, http.StatusNotModified, byTag("If-None-Match", first))
		s.write(t, "index.html", textOf(2), mtime)
		date := mtime.UTC().Format(http.TimeFormat)
		wants(t, c, http.StatusOK, byTag("If-None-Match", first))
		wants(t, c, http.StatusOK, append(byTag("If-None-Match", first), "If-Modified-Since", date))
		wants(t, c, http.StatusOK, []string{"If-Modified-Since", date})
	}
}

const filesIt = "\nroot {root}\nfile_server"

// partsAsked wants so many parts of 96 octets each.
func partsAsked(t *testing.T, c *client, s *scripted) {
	t.Helper()
	for _, n := range []int{2, 7, 16, 17, 162, 255} {
		var asked []string
		for i := range n {
			asked = append(asked, fmt.Sprintf("%d-%d", i*376, i*376+95))
		}
		if n > 16 && !strings.Contains(s.site, "max 255") {
			wants(t, c, http.StatusOK, []string{"Range", "bytes=" + strings.Join(asked, ", ")})
			continue
		}
		got := wants(t, c, http.StatusPartialContent, []string{"Range", "bytes=" + strings.Join(asked, ", ")}, "Etag", "*")
		_, params, err := mime.ParseMediaType(got.header.Get("Content-Type"))
		if err != nil || !strings.HasPrefix(got.body, "\r\n--"+params["boundary"]) {
			t.Errorf("%d: %v", n, got)
		}
		parts := multipart.NewReader(strings.NewReader(got.body), params["boundary"])
		for i := range n {
			part, err := parts.NextPart()
			if err != nil {
				t.Fatalf("%d: part %d: %v", n, i, err)
			}
			if content, _ := io.ReadAll(part); string(content) != longPackage[i*376:i*376+96] {
				t.Fatalf("%d: part %d is %.20q", n, i, content)
			}
		}
	}
}

var longPackage = func() string {
	var b strings.Builder
	for i := range 12_000 {
		fmt.Fprintf(&b, "%08d", i)
	}
	return b.String()
}()
